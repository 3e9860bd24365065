import { CheckOutlined, CopyOutlined } from '@ant-design/icons';
import { App, Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { copy } from '@/lib/browser';

type Props = {
  /** What is copied; put together when it is asked for, where that is work. */
  text: string | (() => string);
  /** What is copied, in words: the name of the button, where an icon is all that is seen of it. */
  label: string;
  iconOnly?: boolean;
};

/** Copies a text, and says that it did. */
export function CopyButton({ text, label, iconOnly = false }: Props) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [done, setDone] = useState(false);
  const act = async () => {
    const worked = await copy(typeof text === 'string' ? text : text());
    setDone(worked);
    if (worked) void message.success(t('app.copied'), 2);
    else void message.error(t('app.notCopied'), 6);
  };
  const icon = done ? <CheckOutlined aria-hidden /> : <CopyOutlined aria-hidden />;
  return iconOnly ? (
    <Button size="small" type="text" icon={icon} aria-label={label} title={label} onClick={() => void act()} />
  ) : (
    <Button icon={icon} onClick={() => void act()}>
      {label}
    </Button>
  );
}

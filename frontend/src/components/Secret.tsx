import { Alert, Flex } from 'antd';
import { useTranslation } from 'react-i18next';
import { CopyButton } from './CopyButton';

type Props = { label: string; value: string; copyLabel: string; hint?: string };

/** Something that is shown this once: to read, to select and to copy. */
export function Secret({ label, value, copyLabel, hint }: Props) {
  const { t } = useTranslation();
  return (
    <Flex vertical gap="small">
      <Alert type="warning" showIcon title={t('app.shownOnce')} />
      {hint && <p style={{ margin: 0 }}>{hint}</p>}
      <div className="soft">{label}</div>
      <Flex gap="small" wrap align="center">
        <code className="secret" aria-label={label} role="group">
          {value}
        </code>
        <CopyButton text={value} label={copyLabel} />
      </Flex>
    </Flex>
  );
}

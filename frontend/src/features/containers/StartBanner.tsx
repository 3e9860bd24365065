import { Alert, Button, Flex } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { startable } from './Actions';
import type { Detail } from './documents';

type Props = { container: Pick<Detail, 'name' | 'status' | 'ports'>; start: () => Promise<void>; onDone: () => void };

/** For who came from the page of a program whose container does not run: starts it, and leads back. */
export function StartBanner({ container: { name, status, ports }, start, onDone }: Props) {
  const { t } = useTranslation();
  const [busy, setBusy] = useState(false);
  const act = async () => {
    setBusy(true);
    await start();
    setBusy(false);
  };
  if (status === 'RUNNING')
    return (
      <Alert
        type="success"
        showIcon
        role="status"
        title={t('start.runs', { name })}
        description={
          <Flex gap="small" wrap>
            {ports.map(({ name: called, port, url }) => (
              <a key={port} className="inline" href={url} onClick={onDone}>
                {t('start.back', { name: called })}
              </a>
            ))}
          </Flex>
        }
        closable={{ onClose: onDone, 'aria-label': t('app.close') }}
      />
    );
  if (!startable.includes(status)) return <Alert type="info" showIcon role="status" title={t('start.under', { name })} />;
  return (
    <Alert
      type="info"
      showIcon
      title={t('start.asked', { name })}
      action={
        <Button type="primary" autoFocus loading={busy} onClick={() => void act()}>
          {t('container.start')}
        </Button>
      }
    />
  );
}

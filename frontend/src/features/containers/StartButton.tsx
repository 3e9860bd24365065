import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { startable } from './Actions';
import type { Detail } from './documents';

/** Starts a container, where it is told that it does not run. */
export function StartButton({
  container: { name, status },
  start,
}: {
  container: Pick<Detail, 'name' | 'status'>;
  start: () => Promise<void>;
}) {
  const { t } = useTranslation();
  return (
    <Button
      size="small"
      disabled={!startable.includes(status)}
      aria-label={`${t('container.start')}: ${name}`}
      onClick={() => void start()}
    >
      {t('container.start')}
    </Button>
  );
}

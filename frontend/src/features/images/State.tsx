import { Flex, Progress, Tag, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { StatusTag } from '@/components/StatusTag';
import { useNow } from '@/components/useNow';
import { bytes } from '@/lib/format';
import type { Row } from './documents';
import { reasonIn } from './known';
import { rates } from './rate';

/** How far a pull or build has come: a bar, bytes and their rate, or the step. */
export function Progressing({ row, wide = false }: { row: Row; wide?: boolean }) {
  const { t, i18n } = useTranslation();
  const now = useNow(1_000);
  const { progress } = row;
  if (!progress) return null;
  const { currentBytes, totalBytes, percent, step, steps } = progress;
  const rate = row.status === 'PULLING' ? rates.get(row.id, now) : undefined;
  return (
    <div style={{ width: wide ? '100%' : 240, maxWidth: '100%' }}>
      {/* Rounded down: 100 is not said before it is so. */}
      <Progress aria-label={t('image.progressOf', { reference: row.reference })} percent={Math.floor(percent ?? 0)} size="small" />
      <span className="number" data-testid="progress">
        {row.status === 'BUILDING' && step !== null && t('image.step', { step, steps: steps ?? step })}
        {row.status === 'PULLING' &&
          [
            totalBytes === null
              ? bytes(currentBytes, i18n.language)
              : `${bytes(currentBytes, i18n.language)} / ${bytes(totalBytes, i18n.language)}`,
            ...(rate === undefined ? [] : [t('image.rate', { amount: bytes(rate, i18n.language) })]),
          ].join(' · ')}
      </span>
    </div>
  );
}

/** What state an image is in, why, and how far it has come. */
export function State({ row, message = true }: { row: Row; message?: boolean }) {
  const { t, i18n } = useTranslation();
  return (
    <Flex vertical gap={4}>
      <Flex gap={4} wrap>
        <StatusTag status={row.status} />
        {row.usedFallback && row.status === 'READY' && <Tag title={t('image.fallback')}>{t('image.regular')}</Tag>}
        {row.updateAvailable && row.status === 'READY' && <Tag color="warning">{t('image.updateAvailable')}</Tag>}
        {row.queuePosition !== null && (
          <span>{row.queuePosition === 1 ? t('image.next') : t('image.queued', { place: row.queuePosition })}</span>
        )}
      </Flex>
      <Progressing row={row} />
      {message && row.statusMessage && (
        <Typography.Paragraph
          type={row.status === 'FAILED' ? 'danger' : 'secondary'}
          ellipsis={{ rows: 3, tooltip: row.statusMessage }}
          style={{ margin: 0, maxWidth: 420, whiteSpace: 'pre-line' }}
        >
          {reasonIn(row.statusMessage, i18n.language)}
        </Typography.Paragraph>
      )}
    </Flex>
  );
}

import { Alert, App, Button, Collapse, Flex, Skeleton } from 'antd';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { StatusTag } from '@/components/StatusTag';
import { problemIn } from '@/lib/errors';
import { bytes, shortReference } from '@/lib/format';
import { cancelDocument, type Row } from './documents';
import { reasonIn } from './known';
import { LogView } from './LogView';
import { underWay } from './states';
import { Progressing } from './State';
import { useImage } from './useImage';

/** The layers of a pull, each with how far it is. */
function Layers({ layers }: { layers: NonNullable<Row['progress']>['layers'] }) {
  const { t, i18n } = useTranslation();
  if (layers.length === 0) return null;
  return (
    <ul className="plain" aria-label={t('image.layers')} style={{ maxHeight: 220, overflow: 'auto' }} tabIndex={0}>
      {layers.map(({ id, state, currentBytes, totalBytes }) => (
        <li key={id}>
          <code>{id}</code>
          <span className="number">
            {i18n.exists(`layerState.${state}`) ? t(`layerState.${state as 'Downloading'}`) : state}{' '}
            {totalBytes !== null &&
              currentBytes < totalBytes &&
              `${bytes(currentBytes, i18n.language)} / ${bytes(totalBytes, i18n.language)}`}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** One pull as it goes on, and what came of it. */
export function Pulling({ id, onUse, onAgain }: { id: string; onUse: () => void; onAgain: () => void }) {
  const { t, i18n } = useTranslation();
  const { message } = App.useApp();
  const row = useImage(id);
  const [, cancel] = useMutation(cancelDocument);
  if (row === undefined) return <Skeleton active />;
  if (row === null) return <Alert type="warning" title={t('image.gone')} />;
  const giveUp = async () => {
    const { error } = await cancel({ id });
    if (error) void message.error(problemIn(error).message, 8);
  };
  const reason = row.statusMessage && reasonIn(row.statusMessage, i18n.language);
  return (
    <Flex vertical gap="small">
      <Flex gap="small" align="center" wrap>
        <strong title={row.reference}>{shortReference(row.reference)}</strong>
        <StatusTag status={row.status} />
        {underWay(row.status) && (
          <Button size="small" onClick={() => void giveUp()}>
            {t('image.giveUp')}
          </Button>
        )}
      </Flex>
      {underWay(row.status) && <span className="soft">{t('image.goesOn')}</span>}
      <Progressing row={row} wide />
      {row.progress && <Layers layers={row.progress.layers} />}
      {row.status === 'READY' && (
        <Alert
          role="status"
          type={row.usedFallback ? 'warning' : 'success'}
          showIcon
          title={t('image.isReady', { size: bytes(row.size ?? 0, i18n.language) })}
          description={row.usedFallback && t('image.fallback')}
          action={
            <Button size="small" type="primary" onClick={onUse}>
              {t('image.use')}
            </Button>
          }
        />
      )}
      {(row.status === 'FAILED' || row.status === 'CANCELLED') && (
        <Alert
          role="alert"
          type={row.status === 'FAILED' ? 'error' : 'info'}
          showIcon
          title={reason ?? t(`status.${row.status}`)}
          action={
            <Button size="small" onClick={onAgain}>
              {t('image.change')}
            </Button>
          }
        />
      )}
      <Collapse
        ghost
        size="small"
        destroyOnHidden
        items={[{ key: 'log', label: t('image.log'), children: <LogView id={id} name={shortReference(row.reference)} /> }]}
      />
    </Flex>
  );
}

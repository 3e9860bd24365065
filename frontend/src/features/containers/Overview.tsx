import { Card, Descriptions, Flex, Skeleton, Timeline } from 'antd';
import { lazy, type ReactNode, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { StatusTag } from '@/components/StatusTag';
import { again } from '@/lib/again';
import { bytes, decimal, lasting, moment, plain, seconds, shortReference } from '@/lib/format';
import type en from '@/lib/i18n/en.json';
import type { Detail } from './documents';
import { LiveCpu, LiveMemory } from './LiveNumbers';

const FiguresCard = lazy(() => again(() => import('./figures/FiguresCard')));

// What these say is in their words alone: which limits, which code, why.
const detailed = ['create', 'update', 'update-refused', 'exited', 'failed', 'restart', 'idle-warning', 'freeze', 'disk-full'];

/** A line of the timeline in the language of the page: by its kind, with the server's own words where they say more. */
function Told({ kind, message }: { kind: string; message: string }) {
  const { t, i18n } = useTranslation();
  if (i18n.language.startsWith('en') || !i18n.exists(`events.${kind}`)) return message;
  return (
    <>
      {t(`events.${kind as keyof typeof en.events}`)}
      {detailed.includes(kind) && <div className="soft">{message}</div>}
    </>
  );
}

/** What uses a container now, or since when nothing does. */
function Alive({ container: { activity, idleSince } }: { container: Pick<Detail, 'activity' | 'idleSince'> }) {
  const { t, i18n } = useTranslation();
  if (activity.length > 0)
    return activity.map((one) => (i18n.exists(`activity.${one}`) ? t(`activity.${one as keyof typeof en.activity}`) : one)).join(' · ');
  return idleSince ? t('container.idleSince', { time: moment(idleSince, i18n.language) }) : '–';
}

/** What a container is, has, uses and did. `programs`: what in it is reached through the server. */
export function Overview({ container, programs }: { container: Detail; programs: ReactNode }) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const { lastExit, startedAt, finishedAt } = container;
  const time = (at: string | null) => (at ? <span className="number">{moment(at, language)}</span> : '–');
  return (
    <Flex vertical gap="middle">
      <Suspense
        fallback={
          <Card>
            <Skeleton active />
          </Card>
        }
      >
        <FiguresCard container={container} />
      </Suspense>
      {programs}
      <Card>
        <Descriptions
          column={{ xs: 1, lg: 2 }}
          items={[
            { key: 'status', label: t('container.status'), children: <StatusTag status={container.status} /> },
            {
              key: 'image',
              label: t('container.image'),
              children: <span title={container.image.reference}>{shortReference(container.image.reference)}</span>,
            },
            { key: 'cpu', label: t('quota.cpu'), children: <LiveCpu container={container} /> },
            { key: 'memory', label: t('quota.memory'), children: <LiveMemory container={container} /> },
            {
              key: 'reserved',
              label: t('container.reserved'),
              children: container.reserved ? t('container.reservedNow') : t('container.reservedNot'),
            },
            {
              key: 'limits',
              label: t('container.limits'),
              children: [
                t('container.cores', { count: container.cpuLimit, amount: decimal(container.cpuLimit, language, 2) }),
                bytes(container.memoryLimit, language),
                ...(container.gpuLimit > 0 ? [t('container.gpus', { count: container.gpuLimit })] : []),
              ].join(' · '),
            },
            {
              key: 'command',
              label: t('create.command'),
              children: container.command.length > 0 ? <code>{container.command.join(' ')}</code> : t('container.imageCommand'),
            },
            {
              key: 'restart',
              label: t('create.restart'),
              children: container.restartPolicy === 'NEVER' ? t('create.never') : t('create.onFailure'),
            },
            {
              key: 'volumes',
              label: t('app.volumes'),
              children:
                container.volumes.length > 0 ? (
                  <div>
                    {container.volumes.map(({ volume, path, readOnly }) => (
                      <div key={path}>
                        <Link className="inline" to="/volumes">
                          {volume.name}
                        </Link>{' '}
                        → <code>{path}</code>
                        {readOnly && ` (${t('container.readOnly')})`}
                      </div>
                    ))}
                  </div>
                ) : (
                  '–'
                ),
            },
            {
              key: 'disk',
              label: t('container.diskUsed'),
              children: container.diskUsed === null ? t('volume.notMeasured') : bytes(container.diskUsed, language),
            },
            ...(container.gpuDevices.length > 0
              ? [{ key: 'gpus', label: t('quota.gpu'), children: <code>{container.gpuDevices.join(', ')}</code> }]
              : []),
            {
              key: 'idle',
              label: t('create.idle'),
              children:
                container.idleTimeout === null
                  ? t('create.idleNever')
                  : t('create.idleAfter', { time: lasting(seconds(container.idleTimeout), language) }),
            },
            ...(container.status === 'RUNNING' || container.status === 'PAUSED'
              ? [{ key: 'alive', label: t('container.alive'), children: <Alive container={container} /> }]
              : []),
            ...(container.status === 'QUEUED' && container.queuedAt
              ? [{ key: 'queued', label: t('container.queuedAt'), children: time(container.queuedAt) }]
              : []),
            { key: 'created', label: t('container.created'), children: time(container.createdAt) },
            { key: 'started', label: t('container.started'), children: time(startedAt) },
            { key: 'finished', label: t('container.finished'), children: time(finishedAt) },
            {
              key: 'exit',
              label: t('container.lastExit'),
              children: lastExit ? `${t(`exit.${lastExit.reason}`)}${lastExit.code === null ? '' : ` (${String(lastExit.code)})`}` : '–',
            },
            ...(container.environment.length > 0
              ? [
                  {
                    key: 'environment',
                    label: t('create.environment'),
                    children: <pre className="plain">{container.environment.map((v) => `${v.name}=${v.value}`).join('\n')}</pre>,
                  },
                ]
              : []),
          ]}
        />
      </Card>
      {lastExit && (lastExit.memoryPeak !== null || lastExit.lastLines.length > 0) && (
        <Card title={<h2 className="part">{t('container.lastRun')}</h2>}>
          {lastExit.memoryPeak !== null && (
            <div>
              {t('container.memoryPeak', { amount: bytes(lastExit.memoryPeak, language), limit: bytes(container.memoryLimit, language) })}
            </div>
          )}
          {lastExit.lastLines.length > 0 && (
            <>
              <div>{t('container.lastLines')}</div>
              <pre className="block">
                <code>{plain(lastExit.lastLines.join('\n'))}</code>
              </pre>
            </>
          )}
        </Card>
      )}
      <Card title={<h2 className="part">{t('container.timeline')}</h2>}>
        <Timeline
          items={container.events.map((event, i) => ({
            key: i,
            content: (
              <>
                <Told kind={event.kind} message={event.message} />
                <div className="soft">
                  {time(event.at)}
                  {event.actor && ` · ${event.actor.username}`}
                </div>
              </>
            ),
          }))}
        />
      </Card>
    </Flex>
  );
}

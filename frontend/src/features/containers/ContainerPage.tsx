import { Alert, Card, Descriptions, Empty, Skeleton, Timeline } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useParams } from 'react-router';
import { useQuery, useSubscription } from 'urql';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { StatusTag } from '@/components/StatusTag';
import { bytes, decimal, moment } from '@/lib/format';
import { stats } from '@/lib/stats';
import { Actions } from './Actions';
import { type Detail, oneChangedDocument, oneDocument } from './documents';
import { LiveNumbers } from './LiveNumbers';
import { LogsDrawer } from './LogsDrawer';
import { useLiveStats } from './useLive';

export default function ContainerPage() {
  const { t } = useTranslation();
  const { id = '' } = useParams();
  const [{ data, error, fetching }] = useQuery({ query: oneDocument, variables: { id }, requestPolicy: 'cache-and-network' });
  const found = data?.node?.__typename === 'Container' ? data.node : undefined;
  if (!found)
    return (
      <>
        <Heading title={t('container.one')} />
        <Problems error={error} />
        {fetching ? <Skeleton active /> : <Empty description={t('container.gone')} />}
      </>
    );
  return <Details container={found} />;
}

function Details({ container }: { container: Detail }) {
  const { t, i18n } = useTranslation();
  const navigate = useNavigate();
  const [logs, setLogs] = useState(false);
  const { id, name } = container;
  useSubscription({ query: oneChangedDocument, variables: { id } }, (_, change) => {
    if (change.containerChanged.container?.status !== 'RUNNING') stats.forget(id);
    return change;
  });
  useLiveStats();
  const { language } = i18n;
  const exit = container.lastExit;
  return (
    <>
      <Heading title={name}>
        <Actions
          container={container}
          onLogs={() => {
            setLogs(true);
          }}
          onRemoved={() => void navigate('/containers')}
        />
      </Heading>
      {container.statusMessage && (
        <Alert type={container.status === 'FAILED' ? 'error' : 'info'} showIcon title={container.statusMessage} />
      )}
      <Card>
        <Descriptions
          column={{ xs: 1, md: 2 }}
          items={[
            { key: 'status', label: t('container.status'), children: <StatusTag status={container.status} /> },
            { key: 'live', label: t('container.live'), children: <LiveNumbers id={id} name={name} /> },
            { key: 'image', label: t('container.image'), children: container.image.reference },
            {
              key: 'limits',
              label: t('container.limits'),
              children: `${t('container.cores', { amount: decimal(container.cpuLimit, language, 2) })}, ${bytes(container.memoryLimit, language)}`,
            },
            { key: 'command', label: t('create.command'), children: container.command.join(' ') || t('container.imageCommand') },
            { key: 'created', label: t('container.created'), children: moment(container.createdAt, language) },
            { key: 'started', label: t('container.started'), children: container.startedAt ? moment(container.startedAt, language) : '–' },
            {
              key: 'exit',
              label: t('container.lastExit'),
              children: exit
                ? `${t(`exit.${exit.reason}`)}${exit.code === null ? '' : ` (${String(exit.code)})`} · ${moment(exit.at, language)}`
                : '–',
            },
          ]}
        />
      </Card>
      <Card title={t('container.timeline')} style={{ marginTop: 16 }}>
        <Timeline
          items={container.events.map((event, i) => ({
            key: i,
            content: (
              <>
                <span className="number">{moment(event.at, language)}</span> {event.message} {event.actor?.username}
              </>
            ),
          }))}
        />
      </Card>
      {logs && (
        <LogsDrawer
          id={id}
          name={name}
          onClose={() => {
            setLogs(false);
          }}
        />
      )}
    </>
  );
}

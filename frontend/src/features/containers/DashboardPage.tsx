import { Button, Card, Empty, Flex, Skeleton } from 'antd';
import { useCallback, useEffect, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate } from 'react-router';
import { useClient, useQuery, useSubscription } from 'urql';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { Spark } from '@/components/Spark';
import { StatusTag } from '@/components/StatusTag';
import { UsageList } from '@/components/UsageList';
import { bytes, decimal } from '@/lib/format';
import { stats } from '@/lib/stats';
import { Actions } from './Actions';
import { changedDocument, dashboardDocument, type Row, statsDocument, whoseDocument } from './documents';
import { LiveCpu, LiveMemory } from './LiveNumbers';
import { Note } from './Note';

/** One subscription for all of one's own that run, whichever they are. */
function useOwnStats() {
  const client = useClient();
  useEffect(() => {
    const heard = new Set<string>();
    const subscription = client.subscription(statsDocument, {}).subscribe(({ data }) => {
      if (!data) return;
      heard.add(data.containersStats.containerId);
      stats.put(data.containersStats);
    });
    return () => {
      subscription.unsubscribe();
      for (const id of heard) stats.forget(id);
    };
  }, [client]);
}

function useLately(id: string) {
  const subscribe = useCallback((listener: () => void) => stats.subscribe(id, listener), [id]);
  return useSyncExternalStore(subscribe, () => stats.lately(id));
}

/** The last minute of a container: only this is drawn again when a sample comes. */
function Sparks({ container: { id, name, cpuLimit, memoryLimit } }: { container: Row }) {
  const { t } = useTranslation();
  const lately = useLately(id);
  return (
    <>
      <LiveCpu container={{ id, name, cpuLimit, memoryLimit }} />
      <Spark values={lately.map(({ cpuPercent }) => cpuPercent)} top={cpuLimit * 100} label={t('dashboard.cpuLately', { name })} />
      <LiveMemory container={{ id, name, cpuLimit, memoryLimit }} />
      <Spark values={lately.map(({ memoryUsage }) => memoryUsage)} top={memoryLimit} label={t('dashboard.memoryLately', { name })} />
    </>
  );
}

/** What those that run use together, now. */
function Together({ ids }: { ids: readonly string[] }) {
  const { t, i18n } = useTranslation();
  const key = ids.join(' ');
  const subscribe = useCallback(
    (listener: () => void) => {
      const leave = key.split(' ').map((id) => stats.subscribe(id, listener));
      return () => {
        for (const one of leave) one();
      };
    },
    [key],
  );
  const sum = useSyncExternalStore(subscribe, () => {
    let [cpu, memory] = [0, 0];
    for (const id of ids) {
      cpu += stats.get(id)?.cpuPercent ?? 0;
      memory += stats.get(id)?.memoryUsage ?? 0;
    }
    return `${cpu} ${memory}`;
  });
  const [cpu = 0, memory = 0] = sum.split(' ').map(Number);
  return (
    <p className="number" data-testid="together">
      {t('dashboard.together', { cpu: decimal(cpu / 100, i18n.language, 2), memory: bytes(memory, i18n.language) })}
    </p>
  );
}

/** All of one's containers with what they use now, and what one has left. */
export default function DashboardPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [{ data: who, error: unknown }] = useQuery({ query: whoseDocument });
  const viewer = who?.viewer;
  const [{ data, error }] = useQuery({
    query: dashboardDocument,
    variables: { owner: viewer?.id ?? '' },
    pause: !viewer,
    requestPolicy: 'cache-and-network',
  });
  useSubscription({ query: changedDocument, variables: { all: false }, pause: !viewer });
  useOwnStats();
  const rows = data?.containers.edges.map(({ node }) => node) ?? [];
  const live = ({ status }: Row) => status === 'RUNNING' || status === 'PAUSED';
  const running = rows.filter(live);
  return (
    <>
      <Heading title={t('app.dashboard')} />
      <Problems error={unknown ?? error} />
      {(!viewer || !data) && !error && !unknown && <Skeleton active />}
      {viewer && data && (
        <Flex vertical gap="middle">
          <Card title={<h2 className="part">{t('app.usage')}</h2>}>
            <div className="totals">
              <UsageList quota={viewer.quota} usage={viewer.usage} />
            </div>
            <Together ids={running.map(({ id }) => id)} />
          </Card>
          {rows.length === 0 && (
            <Empty className="nothing" image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('container.none')}>
              <Button type="primary" onClick={() => void navigate('/containers?create')}>
                {t('container.first')}
              </Button>
            </Empty>
          )}
          <div className="cards">
            {rows.map((row) => (
              <Card
                key={row.id}
                size="small"
                title={<Link to={`/containers/${row.id}`}>{row.name}</Link>}
                extra={<StatusTag status={row.status} />}
              >
                <Flex vertical gap="small">
                  <Note container={row} />
                  {live(row) && <Sparks container={row} />}
                  <Actions container={row} />
                </Flex>
              </Card>
            ))}
          </div>
          {data.containers.pageInfo.hasNextPage && <Link to="/containers">{t('dashboard.more')}</Link>}
        </Flex>
      )}
    </>
  );
}

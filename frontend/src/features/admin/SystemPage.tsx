import { Alert, Card, Descriptions, Flex, Skeleton, Table, Tag, Typography } from 'antd';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useQuery } from 'urql';
import { Gauge } from '@/components/Gauge';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { StatusTag } from '@/components/StatusTag';
import { graphql, type ResultOf } from '@/gql/tada';
import { bytes, decimal, moment } from '@/lib/format';
import { PeopleUse } from './PeopleUse';

const systemDocument = graphql(`
  query System {
    system {
      version
      engine {
        name
        version
        apiVersion
        state
        since
        lastEventAt
      }
      capacity {
        cpu
        memory
        gpu
      }
      reserved {
        cpu
        memory
        gpu
      }
      usedMemory
      usedCpu
      people {
        user {
          id
          username
          nickname
        }
        running
        reserved {
          cpu
          memory
          gpu
        }
        usedCpu
        usedMemory
      }
      users
      images
      containers {
        status
        count
      }
      diskFree
      diskUsed
      engineDiskFree
      diskReserve
      queued
      gpus {
        id
        name
        present
        heldBy {
          id
          name
          owner {
            id
            username
          }
        }
      }
      hostProtection {
        protected
        message
        commands
      }
    }
  }
`);

type System = ResultOf<typeof systemDocument>['system'];
type Gpu = System['gpus'][number];

const every = 5_000;

/** The GPUs of the machine, and who holds which. */
function Gpus({ gpus }: { gpus: Gpu[] }) {
  const { t } = useTranslation();
  return (
    <Table<Gpu>
      className="wide"
      rowKey="id"
      dataSource={gpus}
      pagination={false}
      size="small"
      columns={[
        { title: t('system.gpuId'), render: (_, { id }) => <code>{id}</code> },
        {
          title: t('container.name'),
          render: (_, { name, present }) => (
            <>
              {name} {!present && <Tag color="error">{t('system.gpuGone')}</Tag>}
            </>
          ),
        },
        {
          title: t('system.heldBy'),
          render: (_, { heldBy }) =>
            heldBy ? (
              <>
                <Link className="inline" to={`/containers/${heldBy.id}`}>
                  {heldBy.name}
                </Link>
                {heldBy.owner && <span className="soft"> {heldBy.owner.username}</span>}
              </>
            ) : (
              t('system.gpuFree')
            ),
        },
      ]}
    />
  );
}

/** Says that containers reach the services of the machine, and what mends it. */
function Unprotected({ message, commands }: Pick<System['hostProtection'], 'message' | 'commands'>) {
  const { t } = useTranslation();
  return (
    <Alert
      type="warning"
      showIcon
      title={t('system.unprotected')}
      description={
        <>
          <div>{message}</div>
          {commands.length > 0 && (
            <>
              <div>{t('system.runAsRoot')}</div>
              <pre className="block">
                <code>{commands.join('\n')}</code>
              </pre>
              <Typography.Text copyable={{ text: commands.join('\n') }}>{t('system.copy')}</Typography.Text>
            </>
          )}
        </>
      }
    />
  );
}

/** The machine and the engine. */
export default function SystemPage() {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const [{ data, error }, ask] = useQuery({ query: systemDocument, requestPolicy: 'cache-and-network' });
  useEffect(() => {
    const timer = setInterval(() => {
      ask({ requestPolicy: 'network-only' });
    }, every);
    return () => {
      clearInterval(timer);
    };
  }, [ask]);
  const s = data?.system;
  const bar = (name: string, used: number, all: number, text: string) => (
    <Gauge label={name} percent={all > 0 ? (100 * used) / all : 0}>
      {text}
    </Gauge>
  );
  return (
    <>
      <Heading title={t('app.system')} />
      <Problems error={error} />
      {!s && !error && <Skeleton active />}
      {s && (
        <Flex vertical gap="middle">
          {!s.hostProtection.protected && <Unprotected {...s.hostProtection} />}
          <Card>
            <Descriptions
              column={{ xs: 1, md: 2 }}
              items={[
                { key: 'version', label: 'MLRide', children: s.version },
                {
                  key: 'engine',
                  label: t('system.engine'),
                  children: (
                    <div>
                      {s.engine.name} {s.engine.version}{' '}
                      <Tag color={s.engine.state === 'CONNECTED' ? 'success' : 'error'}>{t(`engine.${s.engine.state}`)}</Tag>
                      <div className="soft">{t('system.since', { time: moment(s.engine.since, language) })}</div>
                    </div>
                  ),
                },
                {
                  key: 'cpu',
                  label: t('system.cpu'),
                  children: bar(
                    t('system.cpu'),
                    s.reserved.cpu,
                    s.capacity.cpu,
                    `${decimal(s.reserved.cpu, language, 2)} / ${decimal(s.capacity.cpu, language, 2)}`,
                  ),
                },
                {
                  key: 'memory',
                  label: t('system.memory'),
                  children: bar(
                    t('system.memory'),
                    s.reserved.memory,
                    s.capacity.memory,
                    `${bytes(s.reserved.memory, language)} / ${bytes(s.capacity.memory, language)}`,
                  ),
                },
                {
                  key: 'usedCpu',
                  label: t('system.usedCpu'),
                  children: bar(
                    t('system.usedCpu'),
                    s.usedCpu,
                    s.capacity.cpu,
                    `${decimal(s.usedCpu, language, 2)} / ${decimal(s.capacity.cpu, language, 2)}`,
                  ),
                },
                {
                  key: 'used',
                  label: t('system.used'),
                  children: bar(
                    t('system.used'),
                    s.usedMemory,
                    s.capacity.memory,
                    `${bytes(s.usedMemory, language)} / ${bytes(s.capacity.memory, language)}`,
                  ),
                },
                {
                  key: 'disk',
                  label: t('system.disk'),
                  children: bar(
                    t('system.disk'),
                    s.diskUsed,
                    s.diskUsed + s.diskFree,
                    t('system.free', { amount: bytes(s.diskFree, language) }),
                  ),
                },
                {
                  key: 'engineDisk',
                  label: t('system.engineDisk'),
                  children: (
                    <div>
                      {s.engineDiskFree === null ? t('system.elsewhere') : t('system.free', { amount: bytes(s.engineDiskFree, language) })}{' '}
                      {s.engineDiskFree !== null && s.engineDiskFree < s.diskReserve && <Tag color="error">{t('system.belowReserve')}</Tag>}
                      <div className="soft">{t('system.reserve', { amount: bytes(s.diskReserve, language) })}</div>
                    </div>
                  ),
                },
                { key: 'queued', label: t('system.queued'), children: s.queued },
                {
                  key: 'protection',
                  label: t('system.protection'),
                  children: s.hostProtection.protected ? (
                    <div>
                      <Tag color="success">{t('system.protected')}</Tag>
                      <div className="soft">{s.hostProtection.message}</div>
                    </div>
                  ) : (
                    <Tag color="warning">{t('system.no')}</Tag>
                  ),
                },
                { key: 'users', label: t('app.users'), children: s.users },
                { key: 'images', label: t('app.images'), children: s.images },
                {
                  key: 'containers',
                  label: t('app.containers'),
                  children: (
                    <span>
                      {s.containers.length === 0 && '0'}
                      {s.containers.map(({ status, count }) => (
                        <span key={status}>
                          <StatusTag status={status} /> {count}{' '}
                        </span>
                      ))}
                    </span>
                  ),
                },
              ]}
            />
          </Card>
          <Card title={<h2 className="part">{t('system.people')}</h2>}>
            <PeopleUse people={s.people} gpus={s.capacity.gpu > 0} />
          </Card>
          {s.gpus.length > 0 && (
            <Card title={<h2 className="part">{t('quota.gpu')}</h2>}>
              <Gpus gpus={s.gpus} />
            </Card>
          )}
        </Flex>
      )}
    </>
  );
}

import { Alert, Card, Descriptions, Skeleton, Tag } from 'antd';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { useQuery } from 'urql';
import { Gauge } from '@/components/Gauge';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { StatusTag } from '@/components/StatusTag';
import { graphql } from '@/gql/tada';
import { bytes, decimal, moment } from '@/lib/format';

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
      users
      images
      containers {
        status
        count
      }
      diskFree
      diskUsed
      firewall {
        state
        reason
        commands
      }
    }
  }
`);

const every = 5_000;

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
      {s && s.firewall.state !== 'PROTECTED' && (
        <Alert
          style={{ marginBottom: 12 }}
          type="warning"
          showIcon
          title={t('system.open')}
          description={
            <>
              <p>{s.firewall.state === 'OFF' ? t('system.firewallOff') : s.firewall.reason}</p>
              <details>
                <summary>{t('system.firewallCommands')}</summary>
                <pre className="plain">{s.firewall.commands.join('\n')}</pre>
              </details>
            </>
          }
        />
      )}
      {s && (
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
              { key: 'used', label: t('system.used'), children: bytes(s.usedMemory, language) },
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
                key: 'firewall',
                label: t('system.firewall'),
                children: <Tag color={s.firewall.state === 'PROTECTED' ? 'success' : 'warning'}>{t(`firewall.${s.firewall.state}`)}</Tag>,
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
      )}
    </>
  );
}

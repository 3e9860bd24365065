import { Alert, Empty, Flex, Skeleton, Tabs } from 'antd';
import { lazy, Suspense, useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router';
import { useMutation, useQuery, useSubscription } from 'urql';
import { Heading } from '@/components/Heading';
import { Problems } from '@/components/Problems';
import { again } from '@/lib/again';
import { Actions } from './Actions';
import { type Detail, keepDocument, oneChangedDocument, oneDocument } from './documents';
import { Note } from './Note';
import { Overview } from './Overview';
import { PortsCard } from './ports/PortsCard';
import { StartBanner } from './StartBanner';
import { useLiveStats } from './useLive';
import { StartButton } from './StartButton';
import { useStart } from './useStart';

const LogsView = lazy(() => again(() => import('./logs/LogsView')));
const TerminalView = lazy(() => again(() => import('./terminal/TerminalView')));

const tabs = ['overview', 'logs', 'terminal'] as const;
type Tab = (typeof tabs)[number];

export default function ContainerPage() {
  const { t } = useTranslation();
  const { id = '' } = useParams();
  const [{ data, error, fetching }] = useQuery({ query: oneDocument, variables: { id }, requestPolicy: 'cache-and-network' });
  const found = data?.node?.__typename === 'Container' ? data.node : undefined;
  if (found)
    return <Details container={found} mine={found.owner?.id === data?.viewer?.id} shared={data?.serverInfo.appsShareOrigin === true} />;
  return (
    <>
      <Heading title={t('container.one')} />
      <Problems error={error} />
      {fetching && <Skeleton active />}
      {!fetching && !error && (
        <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('container.gone')}>
          <Link to="/containers">{t('container.back')}</Link>
        </Empty>
      )}
    </>
  );
}

/** Opening its page wakes what was frozen for doing nothing: its owner is here. Not what is frozen while it is looked at. */
function useWakeOnOpening({ id, frozen, status }: Pick<Detail, 'id' | 'frozen' | 'status'>, mine: boolean) {
  const [, keep] = useMutation(keepDocument);
  const opened = useRef('');
  useEffect(() => {
    if (opened.current === id) return;
    opened.current = id;
    if (mine && frozen === 'IDLE' && status === 'PAUSED') void keep({ id });
  }, [id, mine, frozen, status, keep]);
}

function Details({ container, mine, shared }: { container: Detail; mine: boolean; shared: boolean }) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const navigate = useNavigate();
  const [parameters, setParameters] = useSearchParams();
  const start = useStart();
  const { id, name, lastExit } = container;
  useSubscription({ query: oneChangedDocument, variables: { id } });
  useLiveStats([container]);
  useWakeOnOpening(container, mine);
  const asked = parameters.get('tab') ?? '';
  const tab: Tab = tabs.find((one) => one === asked) ?? 'overview';
  const exitIsBad = lastExit && ['ERROR', 'OUT_OF_MEMORY', 'KILLED'].includes(lastExit.reason);
  const begin = () => start(id);
  const without = (parameter: string) => {
    setParameters(
      (before) => {
        const rest = new URLSearchParams(before);
        rest.delete(parameter);
        return rest;
      },
      { replace: true },
    );
  };
  const shown = {
    overview: (
      <Overview
        container={container}
        programs={<PortsCard container={container} mine={mine} shared={shared} start={() => void begin()} />}
      />
    ),
    logs: <LogsView id={id} name={name} />,
    terminal: <TerminalView key={id} container={container} start={<StartButton container={container} start={begin} />} />,
  };
  return (
    <>
      <Link to="/containers">{t('container.back')}</Link>
      <Heading title={name}>
        <Actions container={container} onRemoved={() => void navigate('/containers')} />
      </Heading>
      <Flex vertical gap="middle">
        {parameters.has('start') && (
          <StartBanner
            container={container}
            start={begin}
            onDone={() => {
              without('start');
            }}
          />
        )}
        <Note container={container} boxed />
        {lastExit && container.status === 'EXITED' && lastExit.message !== container.statusMessage && (
          <Alert
            type={exitIsBad ? 'warning' : 'info'}
            showIcon
            title={language.startsWith('en') ? lastExit.message : t(`exit.${lastExit.reason}`)}
          />
        )}
      </Flex>
      <Tabs
        activeKey={tab}
        onChange={(next) => {
          setParameters(next === 'overview' ? {} : { tab: next });
        }}
        // Only what is looked at is there: a terminal goes on in the server, logs begin with their last lines.
        destroyOnHidden
        items={tabs.map((key) => ({
          key,
          label: t(`container.tabs.${key}`),
          children: key === tab && <Suspense fallback={<Skeleton active />}>{shown[key]}</Suspense>,
        }))}
      />
    </>
  );
}

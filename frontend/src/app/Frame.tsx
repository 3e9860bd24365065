import {
  AppstoreOutlined,
  AuditOutlined,
  CodeOutlined,
  DashboardOutlined,
  DatabaseOutlined,
  LineChartOutlined,
  LogoutOutlined,
  MenuOutlined,
  MoonOutlined,
  PictureOutlined,
  SunOutlined,
  TeamOutlined,
  SafetyOutlined,
  UserOutlined,
} from '@ant-design/icons';
import { Alert, App, Button, Drawer, Flex, Grid, Select } from 'antd';
import { type ReactNode, useEffect, useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, NavLink } from 'react-router';
import { useQuery, useSubscription } from 'urql';
import { AskForMore } from '@/components/AskForMore';
import { Portrait } from '@/components/Portrait';
import { UsageList } from '@/components/UsageList';
import type { Connection } from '@/gql/client';
import { graphql } from '@/gql/tada';
import { type Language, languages, setLanguage } from '@/lib/i18n';
import { theme } from '@/lib/theme';
import './frame.css';
import { viewerDocument } from './viewer';

const engineDocument = graphql(`
  query EngineState {
    serverInfo {
      version
      engineState
      contact
    }
  }
`);
const usageDocument = graphql(`
  subscription UsageChanged {
    usageChanged {
      containers
      cpu
      memory
      gpu
      images
      volumes
      disk
    }
  }
`);

const engineEvery = 10_000;

type Props = { connection: Connection; onSignOut: () => Promise<boolean>; onSignedOut: () => void; children: ReactNode };

/** What stands around every page: where one can go, who one is, and what is away. */
export function Frame({ connection, onSignOut, onSignedOut, children }: Props) {
  const { t, i18n } = useTranslation();
  const { message } = App.useApp();
  const [{ data }] = useQuery({ query: viewerDocument });
  const [{ data: server }, askEngine] = useQuery({ query: engineDocument });
  useSubscription({ query: usageDocument });
  useEffect(() => {
    const timer = setInterval(() => {
      askEngine({ requestPolicy: 'network-only' });
    }, engineEvery);
    return () => {
      clearInterval(timer);
    };
  }, [askEngine]);
  const chosen = useSyncExternalStore(theme.subscribe, theme.get);
  const wide = Grid.useBreakpoint().md !== false;
  const [navigating, setNavigating] = useState(false);
  const [personal, setPersonal] = useState(false);
  const viewer = data?.viewer;
  const { version, engineState, contact } = server?.serverInfo ?? {};

  const places = [
    { to: '/dashboard', icon: <LineChartOutlined aria-hidden />, name: t('app.dashboard') },
    { to: '/containers', icon: <AppstoreOutlined aria-hidden />, name: t('app.containers') },
    { to: '/volumes', icon: <DatabaseOutlined aria-hidden />, name: t('app.volumes') },
    { to: '/images', icon: <PictureOutlined aria-hidden />, name: t('app.images') },
    ...(viewer?.role === 'ADMIN'
      ? [
          { to: '/users', icon: <TeamOutlined aria-hidden />, name: t('app.users') },
          { to: '/system', icon: <DashboardOutlined aria-hidden />, name: t('app.system') },
        ]
      : []),
    { to: '/audit', icon: <AuditOutlined aria-hidden />, name: t('app.audit') },
  ];
  const navigation = (
    <ul className="places">
      {places.map(({ to, icon, name }) => (
        <li key={to}>
          <NavLink
            to={to}
            onClick={() => {
              setNavigating(false);
            }}
          >
            {icon}
            {name}
          </NavLink>
        </li>
      ))}
      <li>
        <a href="/graphiql">
          <CodeOutlined aria-hidden />
          GraphiQL
        </a>
      </li>
    </ul>
  );
  const signOut = async () => {
    if (await onSignOut()) onSignedOut();
    else void message.error(t('errors.NETWORK'));
  };

  return (
    <div className="frame">
      <a className="skip" href="#main">
        {t('app.skip')}
      </a>
      {wide && (
        <nav className="side" aria-label={t('app.navigation')}>
          <div className="brand">MLRide</div>
          {navigation}
          {version && <div className="version">{version}</div>}
        </nav>
      )}
      <div className="body">
        <header>
          {!wide && (
            <Flex align="center" gap="small" flex={1}>
              <Button
                icon={<MenuOutlined aria-hidden />}
                aria-label={t('app.navigation')}
                onClick={() => {
                  setNavigating(true);
                }}
              />
              <span className="brand">MLRide</span>
            </Flex>
          )}
          <Flex justify="end" gap="small" flex={1}>
            <Select
              aria-label={t('app.language')}
              value={i18n.language as Language}
              options={Object.entries(languages).map(([value, label]) => ({ value: value as Language, label }))}
              onChange={(language) => void setLanguage(language)}
              style={{ width: 108 }}
            />
            <Button
              icon={chosen === 'dark' ? <SunOutlined aria-hidden /> : <MoonOutlined aria-hidden />}
              aria-label={t('app.theme')}
              onClick={() => {
                theme.set(chosen === 'dark' ? 'light' : 'dark');
              }}
            />
            {viewer && (
              <Button
                icon={viewer.avatarUrl ? <Portrait address={viewer.avatarUrl} size={22} /> : <UserOutlined aria-hidden />}
                aria-haspopup="dialog"
                aria-label={t('app.account', { name: viewer.nickname ?? viewer.username })}
                onClick={() => {
                  setPersonal(true);
                }}
              >
                {wide && <span className="person">{viewer.nickname ?? viewer.username}</span>}
              </Button>
            )}
          </Flex>
        </header>
        <main id="main" tabIndex={-1}>
          {engineState === 'UNREACHABLE' && <Alert type="warning" showIcon title={t('app.engineAway')} style={{ marginBottom: 12 }} />}
          {connection === 'closed' && <Alert type="info" showIcon title={t('app.connectionAway')} style={{ marginBottom: 12 }} />}
          {children}
        </main>
      </div>
      <Drawer
        open={!wide && navigating}
        placement="left"
        size={240}
        title="MLRide"
        styles={{ body: { padding: 8 } }}
        onClose={() => {
          setNavigating(false);
        }}
      >
        <nav aria-label={t('app.navigation')}>{navigation}</nav>
      </Drawer>
      {viewer && (
        <Drawer
          open={personal}
          size={320}
          title={viewer.nickname ? `${viewer.nickname} (${viewer.username})` : viewer.username}
          onClose={() => {
            setPersonal(false);
          }}
        >
          <ul className="places" style={{ margin: '-12px -16px 16px' }}>
            {[
              { to: '/profile', icon: <UserOutlined aria-hidden />, name: t('app.profile') },
              { to: '/security', icon: <SafetyOutlined aria-hidden />, name: t('app.security') },
            ].map(({ to, icon, name }) => (
              <li key={to}>
                <Link
                  to={to}
                  onClick={() => {
                    setPersonal(false);
                  }}
                >
                  {icon}
                  {name}
                </Link>
              </li>
            ))}
          </ul>
          <h2 className="part">{t('app.usage')}</h2>
          <UsageList quota={viewer.quota} usage={viewer.usage} />
          <div style={{ marginTop: 12 }}>
            <AskForMore block />
          </div>
          {contact && <p className="hint">{t('account.help', { contact })}</p>}
          <Button block icon={<LogoutOutlined aria-hidden />} onClick={() => void signOut()} style={{ marginTop: 16 }}>
            {t('app.signOut')}
          </Button>
        </Drawer>
      )}
    </div>
  );
}

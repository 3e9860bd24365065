import {
  AppstoreOutlined,
  BulbOutlined,
  CodeOutlined,
  DashboardOutlined,
  LogoutOutlined,
  PictureOutlined,
  TeamOutlined,
} from '@ant-design/icons';
import { Alert, Button, Flex, Layout, Menu, Popover, Select, Space } from 'antd';
import { type ReactNode, useEffect, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'react-router';
import { useQuery, useSubscription } from 'urql';
import { UsageList } from '@/components/UsageList';
import { signOut } from '@/features/account/session';
import type { Connection } from '@/gql/client';
import { graphql } from '@/gql/tada';
import { type Language, languages, setLanguage } from '@/lib/i18n';
import { theme } from '@/lib/theme';

const viewerDocument = graphql(`
  query Viewer {
    viewer {
      id
      username
      nickname
      role
      quota {
        id
        maxContainers
        maxCpu
        maxMemory
        maxGpu
        maxImages
        maxVolumes
        maxDisk
      }
      usage {
        containers
        cpu
        memory
        gpu
        images
        volumes
        disk
      }
    }
  }
`);
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

export function Frame({ connection, onSignedOut, children }: { connection: Connection; onSignedOut: () => void; children: ReactNode }) {
  const { t, i18n } = useTranslation();
  const [{ data }] = useQuery({ query: viewerDocument });
  const [{ data: engine }, askEngine] = useQuery({ query: engineDocument });
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
  const { pathname } = useLocation();
  const viewer = data?.viewer;
  const admin = viewer?.role === 'ADMIN';
  const items = [
    { key: '/containers', icon: <AppstoreOutlined />, label: <Link to="/containers">{t('app.containers')}</Link> },
    { key: '/images', icon: <PictureOutlined />, label: <Link to="/images">{t('app.images')}</Link> },
    ...(admin
      ? [
          { key: '/users', icon: <TeamOutlined />, label: <Link to="/users">{t('app.users')}</Link> },
          { key: '/system', icon: <DashboardOutlined />, label: <Link to="/system">{t('app.system')}</Link> },
        ]
      : []),
    { key: 'graphiql', icon: <CodeOutlined />, label: <a href="/graphiql">GraphiQL</a> },
  ];
  const selected = items.find(({ key }) => pathname.startsWith(key))?.key;
  return (
    <Layout style={{ minHeight: '100vh' }}>
      <Layout.Sider breakpoint="md" collapsedWidth={0} theme="light" width={200}>
        <div style={{ padding: '16px 24px', fontSize: 18, fontWeight: 700 }}>MLRide</div>
        <nav aria-label={t('app.navigation')}>
          <Menu mode="inline" items={items} selectedKeys={selected ? [selected] : []} />
        </nav>
      </Layout.Sider>
      <Layout>
        <header style={{ padding: '12px 24px' }}>
          <Flex justify="end" wrap gap="small">
            <Select
              aria-label={t('app.language')}
              value={i18n.language as Language}
              options={Object.entries(languages).map(([value, label]) => ({ value: value as Language, label }))}
              onChange={(language) => void setLanguage(language)}
              style={{ width: 120 }}
            />
            <Button
              icon={<BulbOutlined />}
              aria-label={t('app.theme')}
              onClick={() => {
                theme.set(chosen === 'dark' ? 'light' : 'dark');
              }}
            />
            {viewer && (
              <Popover trigger="click" title={t('app.usage')} content={<UsageList quota={viewer.quota} usage={viewer.usage} />}>
                <Button>{viewer.nickname ?? viewer.username}</Button>
              </Popover>
            )}
            <Button
              icon={<LogoutOutlined />}
              onClick={() => {
                void signOut().then(onSignedOut);
              }}
            >
              {t('app.signOut')}
            </Button>
          </Flex>
        </header>
        <main style={{ padding: '0 24px 24px' }}>
          <Space orientation="vertical" style={{ width: '100%' }}>
            {engine?.serverInfo.engineState === 'UNREACHABLE' && <Alert type="warning" showIcon title={t('app.engineAway')} />}
            {connection === 'closed' && <Alert type="info" showIcon title={t('app.connectionAway')} />}
            {children}
          </Space>
        </main>
      </Layout>
    </Layout>
  );
}

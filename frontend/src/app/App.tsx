import { App as AntApp, ConfigProvider, Modal } from 'antd';
import enUS from 'antd/locale/en_US';
import zhCN from 'antd/locale/zh_CN';
import { lazy, Suspense, useEffect, useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { BrowserRouter, Navigate, Route, Routes } from 'react-router';
import { Provider } from 'urql';
import { SignInForm } from '@/features/account/SignInForm';
import { type Connection, createClient } from '@/gql/client';
import { theme } from '@/lib/theme';
import { Frame } from './Frame';
import { themeFor } from './theme';

const ContainersPage = lazy(() => import('@/features/containers/ContainersPage'));
const ContainerPage = lazy(() => import('@/features/containers/ContainerPage'));
const ImagesPage = lazy(() => import('@/features/images/ImagesPage'));
const UsersPage = lazy(() => import('@/features/admin/UsersPage'));
const SystemPage = lazy(() => import('@/features/admin/SystemPage'));

type Waiting = { resume: () => void };

/** Everything behind sign-in. */
export default function App({ onSignedOut }: { onSignedOut: () => void }) {
  const { t, i18n } = useTranslation();
  const [waiting, setWaiting] = useState<Waiting>();
  const [connection, setConnection] = useState<Connection>('connecting');
  const [{ client, dispose }] = useState(() =>
    createClient({
      signInAgain: () =>
        new Promise<void>((resume) => {
          setWaiting({ resume });
        }),
      connection: setConnection,
    }),
  );
  useEffect(() => dispose, [dispose]);
  const chosen = useSyncExternalStore(theme.subscribe, theme.get);
  return (
    <ConfigProvider theme={themeFor(chosen)} locale={i18n.language === 'zh-CN' ? zhCN : enUS} button={{ autoInsertSpace: false }}>
      <AntApp>
        <Provider value={client}>
          <BrowserRouter>
            <Frame connection={connection} onSignedOut={onSignedOut}>
              <Suspense fallback={null}>
                <Routes>
                  <Route path="/containers" element={<ContainersPage />} />
                  <Route path="/containers/:id" element={<ContainerPage />} />
                  <Route path="/images" element={<ImagesPage />} />
                  <Route path="/users" element={<UsersPage />} />
                  <Route path="/system" element={<SystemPage />} />
                  <Route path="*" element={<Navigate to="/containers" replace />} />
                </Routes>
              </Suspense>
            </Frame>
          </BrowserRouter>
        </Provider>
        <Modal
          open={waiting !== undefined}
          title={t('account.signInAgain')}
          footer={null}
          closable={false}
          mask={{ closable: false }}
          destroyOnHidden
        >
          <p>{t('account.ended')}</p>
          <SignInForm
            onSignedIn={() => {
              waiting?.resume();
              setWaiting(undefined);
            }}
          />
        </Modal>
      </AntApp>
    </ConfigProvider>
  );
}

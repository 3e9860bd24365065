import { App as AntApp, ConfigProvider, Modal } from 'antd';
import enUS from 'antd/locale/en_US';
import zhCN from 'antd/locale/zh_CN';
import { lazy, Suspense, useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { BrowserRouter, Navigate, Route, Routes } from 'react-router';
import { Provider } from 'urql';
import { signOut, whoIsHere } from '@/features/account/session';
import { SignInForm } from '@/features/account/SignInForm';
import { type Connection, createClient } from '@/gql/client';
import { again } from '@/lib/again';
import { theme } from '@/lib/theme';
import { Frame } from './Frame';
import { themeFor } from './theme';
import { viewerDocument } from './viewer';

const DashboardPage = lazy(() => again(() => import('@/features/containers/DashboardPage')));
const ContainersPage = lazy(() => again(() => import('@/features/containers/ContainersPage')));
const ContainerPage = lazy(() => again(() => import('@/features/containers/ContainerPage')));
const ImagesPage = lazy(() => again(() => import('@/features/images/ImagesPage')));
const ImagePage = lazy(() => again(() => import('@/features/images/ImagePage')));
const BuildPage = lazy(() => again(() => import('@/features/images/BuildPage')));
const VolumesPage = lazy(() => again(() => import('@/features/volumes/VolumesPage')));
const AuditPage = lazy(() => again(() => import('@/features/audit/AuditPage')));
const ProfilePage = lazy(() => again(() => import('@/features/account/ProfilePage')));
const SecurityPage = lazy(() => again(() => import('@/features/account/SecurityPage')));
const UsersPage = lazy(() => again(() => import('@/features/admin/UsersPage')));
const SystemPage = lazy(() => again(() => import('@/features/admin/SystemPage')));

type Waiting = { resume: () => void };

/** How long a socket that was closed rests, where its session has not ended. */
const rest = 500;

/** Loads the page anew: nothing of what one person saw is left in memory for the next. */
const startOver = (address = '/') => {
  window.location.assign(address);
};

/** Everything behind sign-in. */
export default function App() {
  const { t, i18n } = useTranslation();
  const [waiting, setWaiting] = useState<Waiting>();
  const [connection, setConnection] = useState<Connection>('connecting');
  const [{ client, leave }] = useState(() =>
    createClient({
      signInAgain: async () => {
        // Whoever changed their password has a new session: nobody is to sign in again who is signed in.
        if ((await whoIsHere())?.mustChangePassword === false) await new Promise((done) => setTimeout(done, rest));
        else
          await new Promise<void>((resume) => {
            setWaiting({ resume });
          });
      },
      connection: setConnection,
    }),
  );
  const chosen = useSyncExternalStore(theme.subscribe, theme.get);
  const resume = async () => {
    const before = client.readQuery(viewerDocument, {})?.data?.viewer?.id;
    const now = await whoIsHere();
    if (now?.mustChangePassword || (before && now && now.id !== before)) {
      startOver();
      return;
    }
    waiting?.resume();
    setWaiting(undefined);
  };
  return (
    <ConfigProvider theme={themeFor(chosen)} locale={i18n.language === 'zh-CN' ? zhCN : enUS} button={{ autoInsertSpace: false }}>
      <Provider value={client}>
        <BrowserRouter>
          {/* Within both, because what a confirmation shows asks the server and links to pages. */}
          <AntApp>
            <Frame connection={connection} onSignOut={() => leave(signOut)} onSignedOut={startOver}>
              <Suspense fallback={null}>
                <Routes>
                  <Route path="/dashboard" element={<DashboardPage />} />
                  <Route path="/containers" element={<ContainersPage />} />
                  <Route path="/containers/:id" element={<ContainerPage />} />
                  <Route path="/volumes" element={<VolumesPage />} />
                  <Route path="/images" element={<ImagesPage />} />
                  <Route path="/images/build" element={<BuildPage />} />
                  <Route path="/images/:id" element={<ImagePage />} />
                  <Route path="/audit" element={<AuditPage />} />
                  <Route path="/profile" element={<ProfilePage />} />
                  <Route
                    path="/security"
                    element={
                      <SecurityPage
                        leave={leave}
                        onDeleted={(until) => {
                          startOver(until ? `/?deleted=${encodeURIComponent(until)}` : '/');
                        }}
                      />
                    }
                  />
                  <Route path="/users" element={<UsersPage />} />
                  <Route path="/system" element={<SystemPage />} />
                  <Route path="*" element={<Navigate to="/containers" replace />} />
                </Routes>
              </Suspense>
            </Frame>
          </AntApp>
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
        <SignInForm onSignedIn={() => void resume()} />
      </Modal>
    </ConfigProvider>
  );
}

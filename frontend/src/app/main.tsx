import { lazy, StrictMode, Suspense, useState } from 'react';
import { createRoot } from 'react-dom/client';
import '@/app/base.css';
import { viewerId } from '@/features/account/session';
import { SignInPage } from '@/features/account/SignInPage';
import { startI18n } from '@/lib/i18n';
import '@/lib/theme';

const loadApp = () => import('./App');
const App = lazy(loadApp);

function Root({ known }: { known: boolean }) {
  const [inside, setInside] = useState(known);
  if (inside)
    return (
      <Suspense fallback={null}>
        <App />
      </Suspense>
    );
  return (
    <SignInPage
      onTyping={() => void loadApp()}
      onSignedIn={() => {
        setInside(true);
      }}
    />
  );
}

const [viewer] = await Promise.all([viewerId(), startI18n()]);
if (viewer) void loadApp();
const root = document.getElementById('root');
if (!root) throw new Error('no #root');
createRoot(root).render(
  <StrictMode>
    <Root known={viewer !== undefined} />
  </StrictMode>,
);

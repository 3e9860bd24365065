import { lazy, StrictMode, Suspense, useState } from 'react';
import { createRoot } from 'react-dom/client';
import '@/app/base.css';
import { NewPasswordPage } from '@/features/account/NewPasswordPage';
import { onward } from '@/features/account/door';
import { type Viewer, whoIsHere } from '@/features/account/session';
import { SignInPage } from '@/features/account/SignInPage';
import { again } from '@/lib/again';
import { startI18n } from '@/lib/i18n';
import '@/lib/theme';

const loadApp = () => again(() => import('./App'));
const App = lazy(loadApp);

/** At the door, inside, or between the two: with a one-time password that is to be changed first. */
type Place = { at: 'door' } | { at: 'inside' } | { at: 'threshold'; oneTime?: string };

/** Goes on to the program that was to be opened, where there is one. */
function goOn(): boolean {
  const then = onward(window.location);
  if (then) window.location.replace(then);
  return then !== undefined;
}

function Root({ viewer }: { viewer: Viewer | undefined }) {
  const [place, setPlace] = useState<Place>(() => {
    if (!viewer) return { at: 'door' };
    return { at: viewer.mustChangePassword ? 'threshold' : 'inside' };
  });
  if (place.at === 'inside')
    return (
      <Suspense fallback={null}>
        <App />
      </Suspense>
    );
  if (place.at === 'threshold')
    return (
      <NewPasswordPage
        oneTime={place.oneTime}
        onDone={() => {
          if (!goOn()) setPlace({ at: 'inside' });
        }}
        onSignedOut={() => {
          setPlace({ at: 'door' });
        }}
      />
    );
  return (
    <SignInPage
      onTyping={() => void loadApp()}
      onSignedIn={(oneTime) => {
        if (oneTime !== undefined) setPlace({ at: 'threshold', oneTime });
        else if (!goOn()) setPlace({ at: 'inside' });
      }}
    />
  );
}

const [viewer] = await Promise.all([whoIsHere(), startI18n()]);
if (viewer && !viewer.mustChangePassword) goOn();
if (viewer) void loadApp();
const root = document.getElementById('root');
if (!root) throw new Error('no #root');
createRoot(root).render(
  <StrictMode>
    <Root viewer={viewer} />
  </StrictMode>,
);

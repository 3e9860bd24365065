import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Language, languages, setLanguage } from '@/lib/i18n';
import { RegisterForm } from './RegisterForm';
import { type Info, serverInfo } from './session';
import { SignInForm } from './SignInForm';

/** What a visitor sees: native controls only, so that it is there at once on a slow line. */
export function SignInPage({ onSignedIn, onTyping }: { onSignedIn: () => void; onTyping: () => void }) {
  const { t, i18n } = useTranslation();
  const [registering, setRegistering] = useState(false);
  const [info, setInfo] = useState<Info>();
  useEffect(() => {
    void serverInfo().then(setInfo);
  }, []);
  return (
    <main className="sign-in">
      <title>{`${registering ? t('account.register') : t('account.signIn')} – MLRide`}</title>
      <h1>MLRide</h1>
      <p className="hint">{t('account.what')}</p>
      {registering ? (
        <RegisterForm info={info} onSignedIn={onSignedIn} onTyping={onTyping} />
      ) : (
        <SignInForm onSignedIn={onSignedIn} onTyping={onTyping} />
      )}
      <p>
        <button
          type="button"
          className="link"
          onClick={() => {
            setRegistering(!registering);
          }}
        >
          {registering ? t('account.haveAccount') : t('account.noAccount')}
        </button>
      </p>
      {info?.contact && <p className="hint">{t('account.help', { contact: info.contact })}</p>}
      <label className="language">
        <span>{t('app.language')}</span>{' '}
        <select value={i18n.language} onChange={(event) => void setLanguage(event.target.value as Language)}>
          {Object.entries(languages).map(([code, name]) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      </label>
    </main>
  );
}

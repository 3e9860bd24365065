import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { moment } from '@/lib/format';
import { invitedBy } from './door';
import { Outside } from './Outside';
import { RegisterForm } from './RegisterForm';
import { type Info, serverInfo } from './session';
import { SignInForm } from './SignInForm';

type Props = { onSignedIn: (oneTime?: string) => void; onTyping: () => void };

/** What a visitor sees. */
export function SignInPage({ onSignedIn, onTyping }: Props) {
  const { t, i18n } = useTranslation();
  const [{ registering: invited, code, deletedUntil }] = useState(() => invitedBy(window.location));
  const [registering, setRegistering] = useState(invited);
  const [info, setInfo] = useState<Info>();
  useEffect(() => {
    void serverInfo().then(setInfo);
    // The code is kept here and nowhere else: not in the address, nor in the browser's history.
    if (code) window.history.replaceState(null, '', window.location.pathname);
  }, [code]);
  const contact = info?.contact;
  return (
    <Outside title={registering ? t('account.register') : t('account.signIn')}>
      <p className="hint">{t('account.what')}</p>
      {deletedUntil && !registering && <p role="status">{t('account.deletedNow', { time: moment(deletedUntil, i18n.language) })}</p>}
      {registering ? (
        <RegisterForm
          info={info}
          code={code}
          onSignedIn={() => {
            onSignedIn();
          }}
          onTyping={onTyping}
        />
      ) : (
        <SignInForm onSignedIn={onSignedIn} onTyping={onTyping} />
      )}
      {!registering && (
        <details>
          <summary>{t('account.forgot')}</summary>
          <p>{contact ? t('account.forgotAsk', { contact }) : t('account.forgotAdmin')}</p>
        </details>
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
      {contact && <p className="hint">{t('account.help', { contact })}</p>}
    </Outside>
  );
}

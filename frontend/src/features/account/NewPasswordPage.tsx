import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Outside } from './Outside';
import { PasswordForm } from './PasswordForm';
import { type Info, serverInfo, signOut } from './session';

type Props = { oneTime?: string | undefined; onDone: () => void; onSignedOut: () => void };

/** Whoever signed in with a one-time password chooses one of their own before anything else. */
export function NewPasswordPage({ oneTime, onDone, onSignedOut }: Props) {
  const { t } = useTranslation();
  const [info, setInfo] = useState<Info>();
  useEffect(() => {
    void serverInfo().then(setInfo);
  }, []);
  const leave = async () => {
    if (await signOut()) onSignedOut();
  };
  return (
    <Outside title={t('account.newPassword')}>
      <h2>{t('account.choosePassword')}</h2>
      <p className="hint">{t('account.choosePasswordText')}</p>
      <PasswordForm known={oneTime} oneTime rules={info?.passwordRules} onDone={onDone} />
      <p>
        <button type="button" className="link" onClick={() => void leave()}>
          {t('app.signOut')}
        </button>
      </p>
    </Outside>
  );
}

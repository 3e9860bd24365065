import { type SyntheticEvent, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Problem, problemOf } from '@/lib/errors';
import { moment } from '@/lib/format';
import { restorable } from './door';
import { Field } from './Field';
import { type Entry, restore, signIn } from './session';

type Props = {
  /** With the password where it is a one-time password, which has to be changed now. */
  onSignedIn: (oneTime?: string) => void;
  onTyping?: () => void;
};

/** Signs in: on its own page, and in place when a session has ended. */
export function SignInForm({ onSignedIn, onTyping }: Props) {
  const { t, i18n } = useTranslation();
  const [problem, setProblem] = useState<Problem>();
  const [deleted, setDeleted] = useState<{ until: string | undefined }>();
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const attempt = async (by: (login: string, password: string) => Promise<Entry>) => {
    if (!form.current) return;
    const given = new FormData(form.current);
    const password = given.get('password') as string;
    setBusy(true);
    const entry = await by(given.get('login') as string, password);
    setBusy(false);
    if (!entry.errors) {
      if (entry.oneTime) onSignedIn(password);
      else onSignedIn();
      return;
    }
    const found = restorable(entry.errors);
    setDeleted(found);
    setProblem(found ? undefined : problemOf(entry.errors));
  };
  const submit = (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault();
    void attempt(signIn);
  };
  return (
    <form ref={form} onSubmit={submit} onInput={onTyping}>
      <Field name="login" label={t('account.login')} autoComplete="username" required />
      <Field name="password" label={t('account.password')} type="password" autoComplete="current-password" required />
      <p className="problem" role="alert">
        {problem?.message}
        {deleted && (deleted.until ? t('account.deletedUntil', { time: moment(deleted.until, i18n.language) }) : t('account.deletedStill'))}
      </p>
      {deleted && (
        <p>
          <button type="button" className="second" disabled={busy} onClick={() => void attempt(restore)}>
            {t('account.restore')}
          </button>
        </p>
      )}
      <button type="submit" disabled={busy}>
        {t('account.signIn')}
      </button>
    </form>
  );
}

import { type SyntheticEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Problem, problemOf } from '@/lib/errors';
import { Field } from './Field';
import { signIn } from './session';

/** Signs in: on its own page, and in place when a session has ended. */
export function SignInForm({ onSignedIn, onTyping }: { onSignedIn: () => void; onTyping?: () => void }) {
  const { t } = useTranslation();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    const errors = await signIn(form.get('login') as string, form.get('password') as string);
    setBusy(false);
    if (errors) setProblem(problemOf(errors));
    else onSignedIn();
  };
  return (
    <form onSubmit={(event) => void submit(event)} onInput={onTyping}>
      <Field name="login" label={t('account.login')} autoComplete="username" required />
      <Field name="password" label={t('account.password')} type="password" autoComplete="current-password" required />
      <p className="problem" role="alert">
        {problem?.message}
      </p>
      <button type="submit" disabled={busy}>
        {t('account.signIn')}
      </button>
    </form>
  );
}

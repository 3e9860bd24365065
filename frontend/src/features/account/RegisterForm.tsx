import { type SyntheticEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Problem, problemOf } from '@/lib/errors';
import { Field } from './Field';
import { type Info, register } from './session';

const named = ['username', 'email', 'password', 'nickname', 'code'];

export function RegisterForm({ info, onSignedIn, onTyping }: { info: Info | undefined; onSignedIn: () => void; onTyping?: () => void }) {
  const { t, i18n } = useTranslation();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => (form.get(name) as string | null) ?? '';
    setBusy(true);
    const errors = await register({
      username: text('username'),
      email: text('email'),
      password: text('password'),
      ...(text('nickname') && { nickname: text('nickname') }),
      ...(text('code') && { code: text('code') }),
    });
    setBusy(false);
    if (errors) setProblem(problemOf(errors));
    else onSignedIn();
  };
  if (info && !info.registrationOpen)
    return <p>{info.contact ? t('account.closedAsk', { contact: info.contact }) : t('account.closed')}</p>;
  const rules = i18n.language.startsWith('en') ? info?.passwordRules : t('account.passwordRules');
  const fields = problem?.fields ?? {};
  // What no field shows is said above the button.
  const rest = Object.keys(fields).some((name) => named.includes(name)) ? undefined : problem?.message;
  return (
    <form onSubmit={(event) => void submit(event)} onInput={onTyping} noValidate>
      <Field
        name="username"
        label={t('account.username')}
        autoComplete="username"
        hint={t('account.usernameHint')}
        problem={fields['username']}
      />
      <Field name="email" label={t('account.email')} type="email" autoComplete="email" problem={fields['email']} />
      <Field
        name="password"
        label={t('account.password')}
        type="password"
        autoComplete="new-password"
        hint={rules}
        problem={fields['password']}
      />
      <Field name="nickname" label={t('account.nickname')} autoComplete="nickname" problem={fields['nickname']} />
      {info?.registrationNeedsCode && <Field name="code" label={t('account.code')} hint={t('account.codeHint')} problem={fields['code']} />}
      <p className="problem" role="alert">
        {rest}
      </p>
      <button type="submit" disabled={busy}>
        {t('account.register')}
      </button>
    </form>
  );
}

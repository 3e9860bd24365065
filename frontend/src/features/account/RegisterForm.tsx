import { type SyntheticEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Problem, problemOf } from '@/lib/errors';
import { Field } from './Field';
import { rulesFor } from './rules';
import { type Info, register } from './session';

const named = ['username', 'email', 'password', 'nickname', 'code'];

type Props = { info: Info | undefined; code?: string; onSignedIn: () => void; onTyping?: () => void };

export function RegisterForm({ info, code = '', onSignedIn, onTyping }: Props) {
  const { t, i18n } = useTranslation();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const [invited, setInvited] = useState(code !== '');
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
      ...(text('code') && { code: text('code').trim() }),
    });
    setBusy(false);
    if (errors) setProblem(problemOf(errors));
    else onSignedIn();
  };
  if (info && !info.registrationOpen && !invited)
    return (
      <>
        <p>{info.contact ? t('account.closedAsk', { contact: info.contact }) : t('account.closed')}</p>
        <p>
          <button
            type="button"
            className="link"
            onClick={() => {
              setInvited(true);
            }}
          >
            {t('account.haveInvitation')}
          </button>
        </p>
      </>
    );
  const fields = problem?.fields ?? {};
  const askCode = invited || info?.registrationNeedsCode;
  const invitation = invited || info?.registrationMode !== 'OPEN';
  // What no field shows is said above the button.
  const shown = named.filter((name) => name !== 'code' || askCode);
  const rest = Object.keys(fields).some((name) => shown.includes(name)) ? undefined : problem?.message;
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
        hint={rulesFor(info?.passwordRules, i18n.language, t('account.passwordRules'))}
        problem={fields['password']}
      />
      <Field name="nickname" label={t('account.nickname')} autoComplete="nickname" problem={fields['nickname']} />
      {askCode && (
        <Field
          name="code"
          label={invitation ? t('account.invitationCode') : t('account.code')}
          hint={invitation ? t('account.invitationCodeHint') : t('account.codeHint')}
          defaultValue={code}
          autoComplete="off"
          spellCheck={false}
          problem={fields['code']}
        />
      )}
      <p className="problem" role="alert">
        {rest}
      </p>
      <button type="submit" disabled={busy}>
        {t('account.register')}
      </button>
    </form>
  );
}

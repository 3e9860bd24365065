import { type SyntheticEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Problem, problemOf } from '@/lib/errors';
import { Field } from './Field';
import { rulesFor } from './rules';
import { changePassword } from './session';

type Props = {
  /** The present password, where it was just typed. */
  known?: string | undefined;
  oneTime?: boolean;
  rules: string | undefined;
  onDone: () => void;
};

/** Takes a new password: native, as it may stand before the app. */
export function PasswordForm({ known, oneTime = false, rules, onDone }: Props) {
  const { t, i18n } = useTranslation();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const [visible, setVisible] = useState(false);
  const submit = async (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const given = new FormData(form);
    setBusy(true);
    const errors = await changePassword(known ?? (given.get('currentPassword') as string), given.get('newPassword') as string);
    setBusy(false);
    if (errors) {
      setProblem(problemOf(errors));
      return;
    }
    setProblem(undefined);
    form.reset();
    onDone();
  };
  const fields = problem?.fields ?? {};
  // What no field shows is said above the button.
  const rest = fields['newPassword'] || (!known && fields['currentPassword']) ? undefined : problem?.message;
  const type = visible ? 'text' : 'password';
  return (
    <form onSubmit={(event) => void submit(event)}>
      {!known && (
        <Field
          name="currentPassword"
          label={oneTime ? t('account.oneTimePassword') : t('account.currentPassword')}
          type={type}
          autoComplete="current-password"
          required
          problem={fields['currentPassword']}
        />
      )}
      <Field
        name="newPassword"
        label={t('account.newPassword')}
        type={type}
        autoComplete="new-password"
        required
        hint={rulesFor(rules, i18n.language, t('account.passwordRules'))}
        problem={fields['newPassword']}
      />
      <label>
        <input
          type="checkbox"
          checked={visible}
          onChange={({ target }) => {
            setVisible(target.checked);
          }}
        />{' '}
        {t('account.showPasswords')}
      </label>
      <p className="problem" role="alert">
        {rest}
      </p>
      <button type="submit" disabled={busy}>
        {t('account.changePassword')}
      </button>
    </form>
  );
}

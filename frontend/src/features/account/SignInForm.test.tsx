import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeAll, expect, test, vi } from 'vitest';
import { setLanguage, startI18n } from '@/lib/i18n';
import { RegisterForm } from './RegisterForm';
import { SignInForm } from './SignInForm';

beforeAll(async () => {
  await startI18n();
  await setLanguage('en');
});

const answers = (body: unknown) => {
  const asked = vi.fn<typeof fetch>(() => Promise.resolve(new Response(JSON.stringify(body))));
  vi.stubGlobal('fetch', asked);
  return asked;
};

test('signs in with what was typed', async () => {
  const asked = answers({ data: { login: { user: { id: 'user_1' } } } });
  const done = vi.fn();
  render(<SignInForm onSignedIn={done} />);
  await userEvent.type(screen.getByLabelText('User name or email'), 'ann');
  await userEvent.type(screen.getByLabelText('Password'), 'secret');
  await userEvent.click(screen.getByRole('button', { name: 'Sign in' }));
  expect(done).toHaveBeenCalledTimes(1);
  expect(JSON.parse(asked.mock.calls[0]?.[1]?.body as string)).toMatchObject({
    variables: { input: { login: 'ann', password: 'secret' } },
  });
});

test('a refusal is said, and what was typed stays', async () => {
  answers({ data: null, errors: [{ message: 'The name or the password is wrong.', extensions: { code: 'UNAUTHENTICATED' } }] });
  const done = vi.fn();
  render(<SignInForm onSignedIn={done} />);
  await userEvent.type(screen.getByLabelText('User name or email'), 'ann');
  await userEvent.type(screen.getByLabelText('Password'), 'wrong');
  await userEvent.click(screen.getByRole('button', { name: 'Sign in' }));
  expect((await screen.findByRole('alert')).textContent).toBe('The name or the password is wrong.');
  expect(screen.getByLabelText<HTMLInputElement>('User name or email').value).toBe('ann');
  expect(done).not.toHaveBeenCalled();
});

test('violations stand at their fields', async () => {
  answers({
    data: null,
    errors: [
      {
        message: 'Two rules.',
        extensions: { code: 'BAD_USER_INPUT', violations: [{ field: 'username', rule: 'format', message: 'Too short.' }] },
      },
    ],
  });
  render(
    <RegisterForm
      info={{ registrationOpen: true, registrationNeedsCode: false, registrationMode: 'OPEN', contact: null, passwordRules: 'Long.' }}
      onSignedIn={vi.fn()}
    />,
  );
  await userEvent.type(screen.getByLabelText('User name'), 'a');
  await userEvent.click(screen.getByRole('button', { name: 'Register' }));
  expect(await screen.findByText('Too short.')).toBeVisible();
  expect(screen.getByLabelText('User name')).toHaveAttribute('aria-invalid', 'true');
});

test('closed registration names whom to ask', () => {
  render(
    <RegisterForm
      info={{
        registrationOpen: false,
        registrationNeedsCode: false,
        registrationMode: 'CLOSED',
        contact: 'ops@example.org',
        passwordRules: '',
      }}
      onSignedIn={vi.fn()}
    />,
  );
  expect(screen.getByText(/ops@example.org/)).toBeVisible();
  expect(screen.queryByRole('button', { name: 'Register' })).toBeNull();
});

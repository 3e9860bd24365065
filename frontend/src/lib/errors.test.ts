import i18next from 'i18next';
import { beforeAll, expect, test } from 'vitest';
import { problemOf } from './errors';
import { setLanguage, startI18n } from './i18n';

beforeAll(startI18n);

const violated = {
  message: 'Two rules.',
  extensions: {
    code: 'BAD_USER_INPUT',
    violations: [
      { field: 'name', rule: 'format', message: 'A name is a label.' },
      { field: 'input.environment.0.name', rule: 'unique', message: 'Twice.' },
    ],
  },
};

test('violations stand at their fields', async () => {
  await setLanguage('en');
  expect(problemOf([violated])).toEqual({
    code: 'BAD_USER_INPUT',
    message: 'Two rules.',
    fields: { name: 'A name is a label.', environment: 'Twice.' },
  });
});

test('a taken name stands at its field', async () => {
  await setLanguage('en');
  expect(problemOf([{ message: 'Taken.', extensions: { code: 'CONFLICT', field: 'username' } }]).fields).toEqual({ username: 'Taken.' });
});

test('other languages are said by code and parameters', async () => {
  await setLanguage('zh-CN');
  const { message } = problemOf([{ message: 'Wait.', extensions: { code: 'RATE_LIMITED', retryAfter: 7 } }]);
  expect(message).toContain('7');
  expect(message).not.toContain('Wait');
  expect(problemOf([violated]).fields['name']).toBe(i18next.t('rules.format'));
  expect(problemOf([{ message: 'New.', extensions: { code: 'SOMETHING_NEW' } }]).message).toBe('New.');
});

test('no answer at all', async () => {
  await setLanguage('en');
  expect(problemOf([])).toMatchObject({ code: 'NETWORK', message: i18next.t('errors.NETWORK') });
});

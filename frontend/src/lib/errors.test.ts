import i18next from 'i18next';
import { beforeAll, expect, test } from 'vitest';
import { obstacles, problemOf } from './errors';
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
    rules: ['format', 'unique'],
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

const overQuota = { code: 'QUOTA_EXCEEDED', resource: 'memory', limit: 4 * 2 ** 30, used: 0, requested: 5 * 2 ** 30 };

test('too little memory stands at the memory, with readable amounts', async () => {
  await setLanguage('en');
  expect(problemOf([{ message: 'Your quota is 4 GiB.', extensions: overQuota }]).fields).toEqual({ memoryLimit: 'Your quota is 4 GiB.' });
  await setLanguage('zh-CN');
  const text = problemOf([{ message: 'Your quota is 4 GiB.', extensions: overQuota }]).fields['memoryLimit'];
  expect(text).toContain('4 GiB');
  expect(text).toContain('5 GiB');
  expect(text).toContain('内存');
});

test('what the dry run finds stands at the same field', async () => {
  await setLanguage('en');
  const full = { code: 'QUOTA_EXCEEDED', message: 'Five are enough.', resource: 'containers', limit: 5, used: 5, requested: 1 };
  expect(obstacles([{ ...overQuota, message: 'Too much.' }, full])).toEqual({
    fields: { memoryLimit: 'Too much.' },
    rest: ['Five are enough.'],
    short: { resource: 'memory', used: 0, requested: 5 * 2 ** 30 },
  });
});

test('the containers of an image are named, and a sentence never has holes', async () => {
  await setLanguage('zh-CN');
  const inUse = { code: 'IMAGE_IN_USE', containers: [{ id: 'ctr_1', name: 'work' }], others: 2 };
  expect(problemOf([{ message: 'In use.', extensions: inUse }]).message).toMatch(/work.*2/);
  expect(problemOf([{ message: 'Try again.', extensions: { code: 'QUOTA_EXCEEDED' } }]).message).toBe('Try again.');
});

test('the containers that have a volume can be linked to', async () => {
  await setLanguage('zh-CN');
  const inUse = { code: 'VOLUME_IN_USE', containers: [{ id: 'ctr_1', name: 'work' }] };
  const problem = problemOf([{ message: 'In use.', extensions: inUse }]);
  expect(problem.message).toContain('work');
  expect(problem.containers).toEqual([{ id: 'ctr_1', name: 'work' }]);
});

test('too many volumes stands at the workspace that would be one more', async () => {
  await setLanguage('en');
  const full = { code: 'QUOTA_EXCEEDED', message: 'Ten are enough.', resource: 'volumes', limit: 10, used: 10, requested: 1 };
  expect(obstacles([full])).toMatchObject({ fields: { workspace: 'Ten are enough.' }, rest: [] });
});

test('a refusal tells what was too little, and why an account lets nobody in', async () => {
  await setLanguage('zh-CN');
  expect(problemOf([{ message: 'Your quota is 4 GiB.', extensions: overQuota }]).short).toEqual({
    resource: 'memory',
    used: 0,
    requested: 5 * 2 ** 30,
  });
  const suspended = { message: 'Suspended.', extensions: { code: 'FORBIDDEN', reason: 'SUSPENDED' } };
  expect(problemOf([suspended]).message).toBe(i18next.t('reasons.SUSPENDED'));
  expect(problemOf([{ message: 'No.', extensions: { code: 'FORBIDDEN' } }]).message).toBe(i18next.t('errors.FORBIDDEN'));
});

import { expect, test } from 'vitest';
import { filterOf, parts, passwordsFile, stateOf } from './people';

test('nothing chosen filters nothing', () => {
  expect(filterOf('', undefined, undefined)).toBeNull();
  expect(filterOf('ann', 'ADMIN', 'suspended')).toEqual({ nameContains: 'ann', role: 'ADMIN', suspended: true });
  expect(filterOf('', undefined, 'active')).toEqual({ suspended: false, expired: false, deletionScheduled: false });
});

test('what weighs most is what an account is', () => {
  const none = { suspendedAt: null, expiresAt: null, deletionScheduledAt: null };
  const past = '2026-01-01T00:00:00.000Z';
  const now = Date.parse('2026-06-01T00:00:00Z');
  expect(stateOf(none, now)).toBe('active');
  expect(stateOf({ ...none, expiresAt: '2026-12-31T00:00:00.000Z' }, now)).toBe('active');
  expect(stateOf({ ...none, expiresAt: past }, now)).toBe('ended');
  expect(stateOf({ ...none, expiresAt: past, suspendedAt: past }, now)).toBe('suspended');
  expect(stateOf({ expiresAt: past, suspendedAt: past, deletionScheduledAt: past }, now)).toBe('deleted');
});

test('many go in parts', () => {
  expect(parts([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(parts([])).toEqual([]);
});

test('the passwords of a class', () => {
  expect(passwordsFile([{ username: 'ann', email: 'ann@example.org', oneTimePassword: 'a-b,c' }])).toBe(
    '\uFEFFusername,email,password\r\nann,ann@example.org,"a-b,c"\r\n',
  );
});

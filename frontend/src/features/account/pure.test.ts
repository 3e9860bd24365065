import { expect, test } from 'vitest';
import { device } from './device';
import { changes, invitedBy, restorable } from './door';

test('only what was changed is sent', () => {
  expect(changes({ nickname: 'Ann', email: 'a@example.org' }, { nickname: 'Ann', email: 'b@example.org' })).toEqual({
    email: 'b@example.org',
  });
});

test.each([
  [{ code: 'FORBIDDEN', reason: 'DELETED', deletionScheduledAt: '2026-12-01T00:00:00.000Z' }, { until: '2026-12-01T00:00:00.000Z' }],
  [{ code: 'FORBIDDEN', reason: 'DELETED' }, { until: undefined }],
  [{ code: 'FORBIDDEN', reason: 'SUSPENDED' }, undefined],
  [{ code: 'UNAUTHENTICATED' }, undefined],
])('%j can be restored: %j', (extensions, expected) => {
  expect(restorable([{ message: '', extensions }])).toEqual(expected);
  expect(restorable([])).toBeUndefined();
});

test.each([
  ['/register#code=abc', { registering: true, code: 'abc', deletedUntil: undefined }],
  ['/register?code=abc', { registering: true, code: 'abc', deletedUntil: undefined }],
  ['/?deleted=2026-12-01T00:00:00.000Z', { registering: false, code: '', deletedUntil: '2026-12-01T00:00:00.000Z' }],
  ['/?deleted=soon', { registering: false, code: '', deletedUntil: undefined }],
  ['/containers', { registering: false, code: '', deletedUntil: undefined }],
])('%s', (address, expected) => {
  expect(invitedBy(new URL(address, 'http://localhost') as unknown as Location)).toEqual(expected);
});

test.each([
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36', 'Chrome · Linux'],
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36 Edg/142.0',
    'Edge · Windows',
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/18.0 Mobile Safari/604.1',
    'Safari · iPhone',
  ],
  ['curl/8.5.0', 'curl/8.5.0'],
  ['', ''],
])('%s is %s', (agent, said) => {
  expect(device(agent)).toBe(said);
});

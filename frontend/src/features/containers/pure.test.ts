import { expect, test } from 'vitest';
import { idleChoices, inputOf } from './createInput';
import { soonFrozen } from './idle';
import { losses } from './lost';

const least = { name: 'box', imageId: 'img_1' };

test('what the form holds, as the server is asked', () => {
  expect(inputOf({ name: 'box' })).toBeUndefined();
  expect(inputOf(least)).toEqual({ ...least, restartPolicy: 'NEVER' });
  expect(
    inputOf({
      ...least,
      memoryMiB: 512,
      gpuLimit: 0,
      command: 'sh -c "a b"',
      environment: 'A=1',
      idleTimeout: '2h',
      restartPolicy: 'ON_FAILURE',
    }),
  ).toEqual({
    ...least,
    memoryLimit: 512 * 1024 * 1024,
    gpuLimit: 0,
    command: ['sh', '-c', 'a b'],
    environment: [{ name: 'A', value: '1' }],
    idleTimeout: '2h',
    restartPolicy: 'ON_FAILURE',
  });
});

test('a workspace is asked for only where it is wanted', () => {
  expect(inputOf({ ...least, keep: true, workspace: ' workspace ' })).toMatchObject({ workspace: 'workspace' });
  expect(inputOf({ ...least, keep: false, workspace: 'workspace' })).not.toHaveProperty('workspace');
  // An empty name is not silently no workspace: the server says what is wrong with it.
  expect(inputOf({ ...least, keep: true, workspace: '' })).toMatchObject({ workspace: '' });
});

test('further volumes: those not chosen yet are left out, those of others are only read', () => {
  const volumes = [{ volumeId: 'vol_1', path: ' /data/a ' }, {}, undefined, { volumeId: 'vol_2', path: '/data/b', readOnly: false }];
  expect(inputOf({ ...least, volumes }, ['vol_2'])?.volumes).toEqual([
    { volumeId: 'vol_1', path: '/data/a', readOnly: false },
    { volumeId: 'vol_2', path: '/data/b', readOnly: true },
  ]);
  expect(inputOf({ ...least, volumes: [{}] })).not.toHaveProperty('volumes');
});

test('ports: those without a number are left out, those without a name are called by it', () => {
  const ports = [{ name: ' web ', port: 8080 }, {}, undefined, { name: '', port: 22 }, { name: 'none', port: null }];
  expect(inputOf({ ...least, ports })?.ports).toEqual([
    { name: 'web', port: 8080 },
    { name: 'port-22', port: 22 },
  ]);
  expect(inputOf({ ...least, ports: [{}] })).not.toHaveProperty('ports');
});

test('idle timeouts within what the operator allows', () => {
  expect(idleChoices('8h')).toEqual(['30m', '1h', '2h', '4h', '8h']);
  expect(idleChoices('90m')).toEqual(['30m', '1h', '90m']);
  expect(idleChoices('10m')).toEqual(['10m']);
  expect(idleChoices(null)).toContain('0s');
  expect(idleChoices('168h')).not.toContain('0s');
});

test('a freezing is told a tenth of the timeout before, from a minute up to half of it', () => {
  const now = Date.parse('2026-11-24T12:00:00Z');
  const one = (cullAt: string | null, idleTimeout: string | null = '8h', status = 'RUNNING') =>
    soonFrozen({ status, cullAt, idleTimeout }, now);
  expect(one(null)).toBe(false);
  expect(one('2026-11-24T12:49:00Z')).toBe(false);
  expect(one('2026-11-24T12:47:00Z')).toBe(true);
  expect(one('2026-11-24T11:59:59Z'), 'late is near').toBe(true);
  expect(one('2026-11-24T12:01:30Z', '5m')).toBe(false);
  expect(one('2026-11-24T12:00:55Z', '5m')).toBe(true);
  expect(one('2026-11-24T12:00:45Z', '1m')).toBe(false);
  expect(one('2026-11-24T12:00:25Z', '1m')).toBe(true);
  expect(one('2026-11-24T12:05:00Z', '8h', 'PAUSED')).toBe(false);
});

test('what is lost with containers, and what stays', () => {
  const kept = (id: string, name: string) => ({ volume: { id, name } });
  expect(losses([])).toEqual({ amount: null, stay: [] });
  expect(
    losses([
      { diskUsed: 5, volumes: [kept('vol_2', 'work'), kept('vol_1', 'data')] },
      { diskUsed: null, volumes: [kept('vol_2', 'work')] },
      { diskUsed: 7, volumes: [] },
    ]),
  ).toEqual({ amount: 12, stay: ['data', 'work'] });
});

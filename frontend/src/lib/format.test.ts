import { expect, test } from 'vitest';
import { ago, bytes, countdown, lasting, plain, seconds, variables, words } from './format';

test.each([
  [0, '0 B'],
  [1023, '1,023 B'],
  [536_870_912, '512 MiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
])('%d bytes', (count, text) => {
  expect(bytes(count, 'en')).toBe(text);
});

test('ages', () => {
  const now = Date.parse('2026-11-24T12:00:00Z');
  expect(ago('2026-11-24T11:59:40Z', now, 'en')).toBe('this minute');
  expect(ago('2026-11-24T11:55:00Z', now, 'en')).toBe('5 minutes ago');
  expect(ago('2026-11-22T11:55:00Z', now, 'en')).toBe('2 days ago');
  expect(ago('2026-11-24T11:55:00Z', now, 'zh-CN')).toBe('5分钟前');
});

test('colours and titles of a terminal are left out', () => {
  expect(plain('\u001b[31mred\u001b[0m \u001b]0;title\u0007done\r')).toBe('red done');
});

test('a command line in words', () => {
  expect(words(`sh -c "echo hello world" 'a b'`)).toEqual(['sh', '-c', 'echo hello world', 'a b']);
  expect(words('  ')).toEqual([]);
});

test('variables', () => {
  expect(variables('A=1\n\n B=x=y \nC')).toEqual([
    { name: 'A', value: '1' },
    { name: 'B', value: 'x=y' },
    { name: 'C', value: '' },
  ]);
});

test.each([
  ['8h', 28_800],
  ['1m30s', 90],
  ['1h0m5s', 3_605],
  ['0s', 0],
  ['1.5s', 1.5],
  ['500ms', 0.5],
])('%s in seconds', (text, count) => {
  expect(seconds(text)).toBe(count);
});

test('lengths of time', () => {
  expect(lasting(28_800, 'en')).toBe('8 hours');
  expect(lasting(5_400, 'en')).toBe('1 hour 30 minutes');
  expect(lasting(7 * 86_400 - 1, 'en')).toBe('6 days 23 hours');
  expect(lasting(0, 'en')).toBe('0 seconds');
  expect(lasting(5_400, 'zh-CN')).toBe('1小时30分钟');
});

test('a clock that runs down, and stays at nothing', () => {
  const now = Date.parse('2026-11-24T12:00:00Z');
  expect(countdown('2026-11-24T12:04:05Z', now)).toBe('4:05');
  expect(countdown('2026-11-24T13:04:05Z', now)).toBe('1:04:05');
  expect(countdown('2026-11-24T11:00:00Z', now)).toBe('0:00');
});

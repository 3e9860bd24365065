import { expect, test } from 'vitest';
import { ago, bytes, plain, variables, words } from './format';

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

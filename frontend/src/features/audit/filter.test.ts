import { expect, test } from 'vitest';
import { actionOf, filterOf, instant, merged } from './filter';

const nothing = { actor: '', action: '', outcome: '', target: '', after: '', before: '' };

test('a word alone is everything that begins so', () => {
  expect(actionOf('container')).toBe('container.');
  expect(actionOf(' container.stop ')).toBe('container.stop');
  expect(actionOf('container.')).toBe('container.');
  expect(actionOf(' ')).toBe('');
});

test('nothing sought filters nothing, and nonsense in the address neither', () => {
  expect(filterOf(nothing)).toBeNull();
  expect(filterOf({ ...nothing, outcome: 'MAYBE', after: 'yesterday' })).toBeNull();
  expect(filterOf({ ...nothing, actor: 'user_1', action: 'account', outcome: 'DENIED' })).toEqual({
    actorId: 'user_1',
    action: 'account.',
    outcome: 'DENIED',
  });
  expect(instant('2026-11-24T08:15')).toBe(new Date(2026, 10, 24, 8, 15).toISOString());
});

test('what is told and what is loaded stand there once', () => {
  const [a, b, c] = [{ id: 'a' }, { id: 'b' }, { id: 'c' }];
  expect(merged([c, b], [b, a])).toEqual([c, b, a]);
});

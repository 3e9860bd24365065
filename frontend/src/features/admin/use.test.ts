import { expect, test } from 'vitest';
import { compare, type Order, type PersonUse } from './use';

const one = (username: string, memory: number, usedCpu: number): PersonUse => ({
  user: { id: `user_${username}`, username, nickname: null },
  running: 1,
  reserved: { cpu: 1, memory, gpu: 0 },
  usedCpu,
  usedMemory: 0,
});
const people = [one('Carol', 2, 0.5), one('alice', 2, 3), one('bob', 10, 0.1)];
const sorted = (order: Order) => [...people].sort((a, b) => compare(order, a, b)).map(({ user }) => user?.username);

test('people by what they have and use; equals by name', () => {
  expect(sorted('name')).toEqual(['alice', 'bob', 'Carol']);
  expect(sorted('memory')).toEqual(['alice', 'Carol', 'bob']);
  expect(sorted('usedCpu')).toEqual(['bob', 'Carol', 'alice']);
  expect(sorted('running')).toEqual(['alice', 'bob', 'Carol']);
});

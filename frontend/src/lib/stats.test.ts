import { expect, test, vi } from 'vitest';
import { type Stats, StatsStore } from './stats';

const sample = (containerId: string, cpuPercent: number): Stats => ({
  containerId,
  cpuPercent,
  memoryUsage: 1,
  memoryLimit: 2,
  memoryPercent: 50,
  pids: 1,
});

test('only the listeners of a container hear of it, until they leave', () => {
  const store = new StatsStore();
  const one = vi.fn();
  const two = vi.fn();
  const leave = store.subscribe('ctr_1', one);
  store.subscribe('ctr_2', two);
  store.put(sample('ctr_1', 10));
  store.put(sample('ctr_1', 20));
  expect(store.get('ctr_1')?.cpuPercent).toBe(20);
  expect(one).toHaveBeenCalledTimes(2);
  expect(two).not.toHaveBeenCalled();
  leave();
  store.put(sample('ctr_1', 30));
  expect(one).toHaveBeenCalledTimes(2);
});

test('what stopped has no numbers', () => {
  const store = new StatsStore();
  const heard = vi.fn();
  store.put(sample('ctr_1', 10));
  store.subscribe('ctr_1', heard);
  store.forget('ctr_1');
  store.forget('ctr_1');
  expect(store.get('ctr_1')).toBeUndefined();
  expect(heard).toHaveBeenCalledTimes(1);
});

test('the last minute is remembered, and no more', () => {
  const store = new StatsStore();
  expect(store.lately('ctr_1')).toEqual([]);
  for (let i = 0; i < 100; i++) store.put(sample('ctr_1', i));
  expect(store.lately('ctr_1').map(({ cpuPercent }) => cpuPercent)).toEqual(Array.from({ length: 60 }, (_, i) => i + 40));
  expect(store.lately('ctr_1')).toBe(store.lately('ctr_1'));
  store.forget('ctr_1');
  expect(store.lately('ctr_1')).toEqual([]);
});

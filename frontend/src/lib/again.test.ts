import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { again } from './again';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('what fails at first is fetched again', async () => {
  const load = vi.fn<() => Promise<string>>().mockRejectedValueOnce(new Error('network changed')).mockResolvedValue('code');
  const got = again(load);
  await vi.runAllTimersAsync();
  expect(await got).toBe('code');
  expect(load).toHaveBeenCalledTimes(2);
});

test('what goes on failing says so in the end', async () => {
  const load = vi.fn<() => Promise<string>>().mockRejectedValue(new Error('not there'));
  const got = again(load);
  const failed = expect(got).rejects.toThrow('not there');
  await vi.runAllTimersAsync();
  await failed;
  expect(load).toHaveBeenCalledTimes(4);
});

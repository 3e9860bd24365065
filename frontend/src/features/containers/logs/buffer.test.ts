import { expect, test } from 'vitest';
import { found, justBefore, LogBuffer, type LogLine } from './buffer';

const line = (at: string, text: string, dropped: number | null = null): LogLine => ({
  at: `2026-11-24T12:00:${at}Z`,
  stream: 'STDOUT',
  text,
  dropped,
});
const texts = (buffer: LogBuffer) => buffer.get().flatMap(({ lines }) => lines.map(({ text }) => text));

test('the instant before a line, to the nanosecond', () => {
  expect(justBefore('2026-11-24T12:00:01.000000001Z')).toBe('2026-11-24T12:00:01.000000000Z');
  expect(justBefore('2026-11-24T12:00:01.123456789Z')).toBe('2026-11-24T12:00:01.123456788Z');
  expect(justBefore('2026-11-24T12:00:01.1Z')).toBe('2026-11-24T12:00:01.099999999Z');
  expect(justBefore('2026-11-24T00:00:00Z')).toBe('2026-11-23T23:59:59.999999999Z');
});

test('going on after a reconnection: no line twice, and none of the same time lost', () => {
  const buffer = new LogBuffer();
  expect(buffer.place).toBeUndefined();
  buffer.add([line('01.1', 'a'), line('02.2', 'b'), line('02.2', 'b')]);
  expect(buffer.place).toBe('2026-11-24T12:00:02.199999999Z');
  buffer.resume();
  // The server tells everything from that instant on: two that are here, one of the same time that is not.
  buffer.add([line('02.2', 'b'), line('02.2', 'b'), line('02.2', 'c')]);
  buffer.add([line('03.0', 'd')]);
  expect(texts(buffer)).toEqual(['a', 'b', 'b', 'c', 'd']);
  // What was meanwhile rotated away is not waited for.
  buffer.resume();
  buffer.add([line('09.0', 'e', 12), line('03.0', 'the clock stepped back')]);
  expect(texts(buffer).slice(-2)).toEqual(['e', 'the clock stepped back']);
});

test('repeated lines that are new are kept', () => {
  const buffer = new LogBuffer();
  buffer.add([line('01.0', 'same'), line('01.0', 'same')]);
  buffer.add([line('01.0', 'same')]);
  expect(texts(buffer)).toEqual(['same', 'same', 'same']);
});

test('a page holds the last lines only, in chunks that do not change once they are full', () => {
  const buffer = new LogBuffer(1_000);
  const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => line('01.0', String(from + i)));
  buffer.add(many(0, 450));
  const [first] = buffer.get();
  buffer.add(many(450, 50));
  expect(buffer.get()[0]).toBe(first);
  expect(buffer.get().map(({ lines }) => lines.length)).toEqual([200, 200, 100]);
  buffer.add(many(500, 5_000));
  expect(texts(buffer).length).toBeGreaterThanOrEqual(1_000);
  expect(texts(buffer).length).toBeLessThan(1_200);
  expect(texts(buffer).at(-1)).toBe('5499');
  expect(buffer.total).toBe(5_500);
});

test('finding, whatever the case', () => {
  expect(found('Error: an ERROR', 'error')).toEqual([0, 10]);
  expect(found('aaaa', 'aa')).toEqual([0, 2]);
  expect(found('anything', '')).toEqual([]);
});

import { expect, test } from 'vitest';
import { type Range, ranges, type Sample, Series } from './series';

const start = Date.parse('2026-11-24T12:00:00Z') / 1000;
const sample = (second: number, cpuPercent = 10, total = second * 100): Sample => ({
  readAt: new Date((start + second) * 1000).toISOString(),
  cpuPercent,
  memoryUsage: 1_000,
  networkRx: total,
  networkTx: 0,
  blockRead: 0,
  blockWrite: 0,
});
const range = (name: Range['name']) => {
  const found = ranges.find((one) => one.name === name);
  if (!found) throw new Error(name);
  return found;
};
const offsets = (series: Series) => series.columns().at.map((at) => at - start);

test('history first, then live: nothing twice, and no gap', () => {
  const series = new Series(range('5m'));
  // Live samples come while the history is on its way; the history has the first of them too.
  expect(series.add(sample(10.4))).toBe(false);
  expect(series.add(sample(11.4))).toBe(false);
  series.fill([sample(8), sample(9), sample(10)]);
  series.add(sample(12.4));
  series.add(sample(12.4));
  series.add(sample(11.9)); // late, and older than what is there
  expect(offsets(series)).toEqual([8, 9, 10, 11, 12]);
  expect(series.columns().cpu).toEqual([10, 10, 10, 10, 10]);
});

test('a hole in the live samples is told, and filled by a new history', () => {
  const series = new Series(range('5m'));
  series.fill([sample(0), sample(1)]);
  expect(series.add(sample(2))).toBe(false);
  expect(series.add(sample(20))).toBe(true);
  expect(offsets(series)).toEqual([0, 1, 2, 3, 20]); // broken until it is filled
  expect(series.columns().cpu).toEqual([10, 10, 10, null, 10]);
  series.fill(Array.from({ length: 20 }, (_, i) => sample(i)));
  expect(offsets(series)).toEqual(Array.from({ length: 21 }, (_, i) => i));
});

test('live samples become steps with their mean and most', () => {
  const series = new Series(range('1h'));
  series.fill([{ ...sample(0, 10), cpuPercentMax: 40 }]);
  for (let second = 10; second < 20; second++) series.add(sample(second, second === 15 ? 100 : 0));
  series.add(sample(20, 50));
  expect(offsets(series)).toEqual([0, 10, 20]);
  const { cpu, cpuMax } = series.columns();
  expect(cpuMax).toEqual([40, 100, 50]);
  expect(cpu[1]).toBeCloseTo(10, 0);
});

test('rates are between two points, and none where a counter began anew or the line is broken', () => {
  const series = new Series(range('5m'));
  series.fill([sample(0, 1, 0), sample(1, 1, 500), sample(2, 1, 500), sample(3, 1, 20), sample(30, 1, 900), sample(31, 1, 901)]);
  expect(series.columns().received).toEqual([null, 500, 0, null, null, null, 1]);
});

test('a range holds no more than its span', () => {
  const series = new Series(range('5m'));
  for (let second = 0; second < 1_000; second++) series.add(sample(second));
  expect(offsets(series)[0]).toBe(699);
  expect(series.columns().at).toHaveLength(301);
});

test('GPUs are there live only', () => {
  const series = new Series(range('5m'));
  series.fill([sample(0)]);
  series.add({ ...sample(1), gpus: [{ utilisation: 40 }, { utilisation: 60 }] });
  expect(series.columns().gpu).toEqual([null, 50]);
});

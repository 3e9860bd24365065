import { expect, test } from 'vitest';
import { limitsInput, shownLimits } from './quota';

const GiB = 1024 ** 3;
const quota = { maxContainers: 5, maxCpu: 2, maxMemory: 4 * GiB, maxGpu: 0, maxImages: 20, maxVolumes: 10, maxDisk: 1.5 * GiB };

test('memory and disk are shown in GiB', () => {
  expect(shownLimits(quota)).toMatchObject({ maxMemory: 4, maxDisk: 1.5, maxCpu: 2 });
  expect(shownLimits({ maxMemory: null, maxCpu: 1 })).toEqual({ maxCpu: 1 });
});

test('only what was changed is sent', () => {
  expect(limitsInput(shownLimits(quota), quota)).toEqual({});
  expect(limitsInput({ ...shownLimits(quota), maxMemory: 3, maxGpu: 1 }, quota)).toEqual({ maxMemory: 3 * GiB, maxGpu: 1 });
  expect(limitsInput({ maxCpu: null, maxContainers: 0 }), 'nothing is not zero').toEqual({ maxContainers: 0 });
});

/** The limits of a quota, in the order in which they are shown. */
export const limitNames = ['maxContainers', 'maxCpu', 'maxMemory', 'maxGpu', 'maxImages', 'maxVolumes', 'maxDisk'] as const;
export type LimitName = (typeof limitNames)[number];
export type Limits = Record<LimitName, number>;
export type SomeLimits = Partial<Record<LimitName, number | null>>;

const GiB = 1024 ** 3;
export const inGiB = (name: LimitName) => name === 'maxMemory' || name === 'maxDisk';

/** As a form shows them: memory and disk in GiB. */
export const shownLimits = (limits: SomeLimits): SomeLimits =>
  Object.fromEntries(
    limitNames
      .filter((name) => typeof limits[name] === 'number')
      .map((name) => [name, inGiB(name) ? (limits[name] ?? 0) / GiB : limits[name]]),
  );

/** What a form says as the API takes it: only what is filled in, and differs from what was there. */
export function limitsInput(values: SomeLimits, before: SomeLimits = {}): Partial<Limits> {
  const shown = shownLimits(before);
  const input: Partial<Limits> = {};
  for (const name of limitNames) {
    const value = values[name];
    if (typeof value !== 'number' || value === shown[name]) continue;
    input[name] = inGiB(name) ? Math.round(value * GiB) : value;
  }
  return input;
}

const resources = {
  maxContainers: 'containers',
  maxCpu: 'cpu',
  maxMemory: 'memory',
  maxGpu: 'gpu',
  maxImages: 'images',
  maxVolumes: 'volumes',
  maxDisk: 'disk',
} as const satisfies Record<LimitName, string>;

/** What a limit limits, as refusals name it. */
export const resourceOf = (name: LimitName) => resources[name];

/** The limit that a refusal names by its resource. */
export const limitOf = (resource: string) => limitNames.find((name) => resources[name] === resource);

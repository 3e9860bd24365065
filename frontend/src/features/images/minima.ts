export type Minima = { minCpu?: number | null; minMemoryMiB?: number | null; minGpu?: number | null };

const MiB = 1024 * 1024;

/** What a form's minima are for the server: those left empty are left to it. */
export const minimaInput = ({ minCpu, minMemoryMiB, minGpu }: Minima) => ({
  ...(typeof minCpu === 'number' && { minCpu }),
  ...(typeof minMemoryMiB === 'number' && { minMemory: Math.round(minMemoryMiB * MiB) }),
  ...(typeof minGpu === 'number' && { minGpu }),
});

/** An image's minima as the form shows them. */
export const minimaShown = ({ minCpu, minMemory, minGpu }: { minCpu: number; minMemory: number; minGpu: number }): Minima => ({
  minCpu,
  minMemoryMiB: Math.ceil(minMemory / MiB),
  minGpu,
});

export const minimaFields = ['minCpu', 'minMemory', 'minGpu'];

import type { BuildInput, Detail } from './documents';
import { type Minima, minimaInput, minimaShown } from './minima';

export type Way = 'form' | 'dockerfile';
/** What the page of a build holds; an empty base is the first, an empty preset is none. */
export type Wish = {
  name: string;
  way: Way;
  base: string;
  preset: string;
  packages: string[];
  systemPackages: string[];
  dockerfile: string;
};

export const nothing: Wish = { name: '', way: 'form', base: '', preset: '', packages: [], systemPackages: [], dockerfile: '' };

/** What is asked of the server. */
export function inputOf(wish: Wish, minima: Minima): BuildInput {
  const { base, preset, packages, systemPackages } = wish;
  return {
    name: wish.name.trim(),
    ...minimaInput(minima),
    ...(wish.way === 'dockerfile'
      ? { dockerfile: wish.dockerfile }
      : { ...(base && { base }), ...(preset && { preset }), packages, systemPackages }),
  };
}

/** A name beside one that is taken: "env" gives "env 2", and that "env 3". */
export function nameBeside(name: string): string {
  const [, stem = name, number] = /^(.*?)(?: (\d+))?$/su.exec(name) ?? [];
  const end = ` ${String(Number(number ?? 1) + 1)}`;
  return (
    Array.from(stem)
      .slice(0, 64 - end.length)
      .join('') + end
  );
}

type Built = Pick<Detail, 'reference' | 'status' | 'dockerfile' | 'form' | 'minCpu' | 'minMemory' | 'minGpu'>;

/** What a build began from, to be changed: under the same name where it came to nothing, else beside it. */
export function wishOf(image: Built): { wish: Wish; minima: Minima } {
  const failed = image.status === 'FAILED' || image.status === 'CANCELLED';
  const { form } = image;
  return {
    wish: {
      ...nothing,
      name: failed ? image.reference : nameBeside(image.reference),
      way: form ? 'form' : 'dockerfile',
      dockerfile: form ? '' : (image.dockerfile ?? ''),
      ...(form && { base: form.base, preset: form.preset ?? '', packages: form.packages, systemPackages: form.systemPackages }),
    },
    minima: minimaShown(image),
  };
}

/** The line of a Dockerfile that a message of the server names; undefined where it names none. */
export function lineIn(problem: string | undefined): number | undefined {
  const [, number] = /\bline (\d+)/i.exec(problem ?? '') ?? [];
  return number ? Number(number) : undefined;
}

import type { VariablesOf } from '@/gql/tada';
import { seconds, variables, words } from '@/lib/format';
import type { createDocument } from './documents';
import { portsOf, type PortValue } from './ports/input';

export type CreateInput = VariablesOf<typeof createDocument>['input'];
export type Mount = { volumeId?: string; path?: string; readOnly?: boolean };
/** What the form holds. */
export type Values = {
  name?: string;
  imageId?: string;
  cpuLimit?: number | null;
  memoryMiB?: number | null;
  gpuLimit?: number | null;
  keep?: boolean;
  workspace?: string;
  volumes?: (Mount | undefined)[];
  ports?: (PortValue | undefined)[];
  idleTimeout?: string;
  command?: string;
  environment?: string;
  restartPolicy?: 'NEVER' | 'ON_FAILURE';
};

const MiB = 1024 * 1024;
export const forEver = '0s';

/** What is asked of the server; undefined while it cannot be asked yet. Those that are read only, are so whatever the form says. */
export function inputOf(values: Values, readable: readonly string[] = []): CreateInput | undefined {
  if (!values.name || !values.imageId) return undefined;
  const command = words(values.command ?? '');
  const environment = variables(values.environment ?? '');
  const volumes = (values.volumes ?? []).flatMap((mount) =>
    mount?.volumeId
      ? [
          {
            volumeId: mount.volumeId,
            path: (mount.path ?? '').trim(),
            readOnly: mount.readOnly === true || readable.includes(mount.volumeId),
          },
        ]
      : [],
  );
  const ports = portsOf(values.ports ?? []);
  const workspace = values.workspace?.trim();
  return {
    name: values.name,
    imageId: values.imageId,
    restartPolicy: values.restartPolicy ?? 'NEVER',
    ...(values.cpuLimit && { cpuLimit: values.cpuLimit }),
    ...(values.memoryMiB && { memoryLimit: Math.round(values.memoryMiB * MiB) }),
    ...(typeof values.gpuLimit === 'number' && { gpuLimit: values.gpuLimit }),
    ...(values.keep && { workspace: workspace ?? '' }),
    ...(volumes.length > 0 && { volumes }),
    ...(ports.length > 0 && { ports }),
    ...(values.idleTimeout && { idleTimeout: values.idleTimeout }),
    ...(command.length > 0 && { command }),
    ...(environment.length > 0 && { environment }),
  };
}

const usual = ['30m', '1h', '2h', '4h', '8h', '24h', '72h', '168h'];

/** The idle timeouts to choose from: those that the operator allows, the longest of them among them. */
export function idleChoices(most: string | null): string[] {
  if (most === null || seconds(most) === 0) return [...usual, forEver];
  const allowed = usual.filter((choice) => seconds(choice) < seconds(most));
  return [...allowed, most];
}

import { cacheExchange, type Cache, type CacheExchangeOpts, type KeyingConfig } from '@urql/exchange-graphcache';
import { graphql } from './tada';

// Every object type that is not a Node is part of its parent: the test beside this file compares the list with the schema.
export const embeddedTypes = [
  'Admission',
  'AdmissionProblem',
  'CatalogueEntry',
  'ContainerChange',
  'ContainerConnection',
  'ContainerEdge',
  'ContainerEvent',
  'ContainerExit',
  'ContainerPayload',
  'ContainerResult',
  'ContainerStats',
  'Engine',
  'EnvVar',
  'GpuDevice',
  'HostProtection',
  'ImageChange',
  'ImageConnection',
  'ImageEdge',
  'ImagePayload',
  'ImageProgress',
  'LayerProgress',
  'LogLine',
  'PageInfo',
  'QuotaPayload',
  'ResourceAmounts',
  'ServerInfo',
  'StatusCount',
  'System',
  'Usage',
  'UserConnection',
  'UserEdge',
  'UserPayload',
  'VolumeConnection',
  'VolumeEdge',
  'VolumeMount',
  'VolumePayload',
] as const;

const keys: KeyingConfig = Object.fromEntries(embeddedTypes.map((name) => [name, () => null]));

const usageFragment = graphql(`
  fragment ViewerUsage on User {
    id
    usage {
      containers
      cpu
      memory
      gpu
      images
      volumes
      disk
    }
  }
`);

/** Lists that hold a removed entity lose its edge at once; what it held elsewhere is asked for again. */
function dropEdge(cache: Cache, list: string, typename: string, id: string) {
  const gone = `${typename}:${id}`;
  for (const field of cache.inspectFields('Query')) {
    if (field.fieldName !== list) continue;
    const connection = cache.resolve('Query', field.fieldKey);
    if (typeof connection !== 'string') continue;
    const edges = cache.resolve(connection, 'edges');
    if (!Array.isArray(edges)) continue;
    const kept = edges.filter((edge) => typeof edge === 'string' && cache.resolve(edge, 'node') !== gone);
    if (kept.length !== edges.length) cache.link(connection, 'edges', kept as string[]);
  }
  cache.invalidate({ __typename: typename, id });
}

/** A new entity may belong to any list, in any place and under any filter: the server says where. */
function reloadList(cache: Cache, list: string) {
  for (const field of cache.inspectFields('Query')) {
    if (field.fieldName === list) cache.invalidate('Query', field.fieldName, field.arguments ?? undefined);
  }
}

type Change = { kind: 'CREATED' | 'UPDATED' | 'REMOVED'; id: string };

export const options = {
  keys,
  updates: {
    Subscription: {
      containerChanged(result, _args, cache) {
        const { kind, id } = result['containerChanged'] as Change;
        if (kind === 'REMOVED') dropEdge(cache, 'containers', 'Container', id);
        if (kind === 'CREATED') {
          reloadList(cache, 'containers');
          reloadList(cache, 'volumes'); // it is mounted in a new place, and its workspace may be new
        }
      },
      imageChanged(result, _args, cache) {
        const { kind, id } = result['imageChanged'] as Change;
        if (kind === 'REMOVED') dropEdge(cache, 'images', 'Image', id);
        if (kind === 'CREATED') reloadList(cache, 'images');
      },
      usageChanged(result, _args, cache) {
        const viewer = cache.resolve('Query', 'viewer');
        if (typeof viewer !== 'string') return;
        const id = viewer.slice('User:'.length);
        cache.writeFragment(usageFragment, { __typename: 'User', id, usage: result['usageChanged'] } as never);
      },
    },
    Mutation: {
      createContainer(_result, _args, cache) {
        reloadList(cache, 'containers');
        reloadList(cache, 'volumes');
      },
      createVolume(_result, _args, cache) {
        reloadList(cache, 'volumes');
      },
      // Into the trash and out of it: both lists change.
      deleteVolume(_result, _args, cache) {
        reloadList(cache, 'volumes');
      },
      restoreVolume(_result, _args, cache) {
        reloadList(cache, 'volumes');
      },
      purgeVolume(_result, args, cache) {
        dropEdge(cache, 'volumes', 'Volume', args['id'] as string);
      },
      pullImage(_result, _args, cache) {
        reloadList(cache, 'images');
      },
    },
  },
} satisfies Partial<CacheExchangeOpts>;

export const cache = () => cacheExchange(options);

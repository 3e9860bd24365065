import { cacheExchange, type Cache, type CacheExchangeOpts, type KeyingConfig } from '@urql/exchange-graphcache';
import type { Refetching } from './refetch';
import { graphql } from './tada';

// Every object type that is not a Node is part of its parent: the test beside this file compares the list with the schema.
export const embeddedTypes = [
  'AccessTokenPayload',
  'Admission',
  'AdmissionProblem',
  'AuditEventConnection',
  'AuditEventEdge',
  'BuildForm',
  'CatalogueEntry',
  'ContainerChange',
  'ContainerConnection',
  'ContainerEdge',
  'ContainerEvent',
  'ContainerExit',
  'ContainerPayload',
  'ContainerResult',
  'ContainerStats',
  'EndOfTermPayload',
  'EndOfTermPerson',
  'Engine',
  'EnvVar',
  'GpuDevice',
  'GpuStats',
  'HostProtection',
  'ImageBase',
  'ImageChange',
  'ImageConnection',
  'ImageEdge',
  'ImageLayer',
  'ImageLogLine',
  'ImagePayload',
  'ImagePreset',
  'ImageProgress',
  'ImportError',
  'ImportUsersPayload',
  'ImportedAccount',
  'InvitationConnection',
  'InvitationEdge',
  'InvitationPayload',
  'LayerProgress',
  'LogLine',
  'OpenJupyterPayload',
  'PageInfo',
  'PersonUse',
  'Port',
  'PruneImagesPayload',
  'QuotaLimits',
  'QuotaPayload',
  'QuotaRequestConnection',
  'QuotaRequestEdge',
  'QuotaRequestPayload',
  'ResetPasswordPayload',
  'ResourceAmounts',
  'ServerInfo',
  'StatusCount',
  'System',
  'Terminal',
  'Usage',
  'UserConnection',
  'UserEdge',
  'UserPayload',
  'UserResult',
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

type Change = { kind: 'CREATED' | 'UPDATED' | 'REMOVED'; id: string };

/**
 * The cache of the app. Which place a new entity has in a list, under its filter and on its page, only the server says:
 * reload asks again for the lists in use. It is not left to invalidation, because graphcache takes a miss that follows
 * a query's own answer for a loop, and then does not ask.
 */
export function cache({ reload, overtake }: Pick<Refetching, 'reload' | 'overtake'>) {
  const due = new Set<string>();
  // After what is being written, and once however much is written.
  const later = (...lists: string[]) => {
    if (due.size === 0)
      setTimeout(() => {
        const now = [...due];
        due.clear();
        now.forEach(reload);
      }, 0);
    for (const list of lists) due.add(list);
  };
  return cacheExchange({
    keys,
    updates: {
      Subscription: {
        containerChanged(result, _args, cache) {
          const { kind, id } = result['containerChanged'] as Change;
          if (kind === 'REMOVED') dropEdge(cache, 'containers', 'Container', id);
          if (kind === 'CREATED') later('containers');
          else overtake('containers');
          // What is mounted where has changed with it.
          if (kind !== 'UPDATED') later('volumes');
        },
        imageChanged(result, _args, cache) {
          const { kind, id } = result['imageChanged'] as Change;
          if (kind === 'REMOVED') dropEdge(cache, 'images', 'Image', id);
          if (kind === 'CREATED') later('images');
        },
        usageChanged(result, _args, cache) {
          const viewer = cache.resolve('Query', 'viewer');
          if (typeof viewer !== 'string') return;
          const id = viewer.slice('User:'.length);
          cache.writeFragment(usageFragment, { __typename: 'User', id, usage: result['usageChanged'] } as never);
        },
      },
      Mutation: {
        revokeSession() {
          later('viewer');
        },
        createAccessToken() {
          later('viewer');
        },
        revokeAccessToken() {
          later('viewer');
        },
        requestQuota() {
          later('quotaRequests');
        },
        grantQuota() {
          later('quotaRequests', 'users');
        },
        declineQuota() {
          later('quotaRequests');
        },
        createInvitation() {
          later('invitations');
        },
        revokeInvitation() {
          later('invitations');
        },
        // Which of them a filter lets through only the server says.
        createUser() {
          later('users');
        },
        updateUser() {
          later('users');
        },
        updateUsers() {
          later('users');
        },
        deleteUser() {
          later('users');
        },
        deleteUsers() {
          later('users');
        },
        restoreUser() {
          later('users');
        },
        importUsers(result) {
          if (!(result['importUsers'] as { dryRun: boolean }).dryRun) later('users');
        },
        endOfTerm(result) {
          if (!(result['endOfTerm'] as { dryRun: boolean }).dryRun) later('users');
        },
        createContainer() {
          later('containers', 'volumes'); // its workspace may be new
        },
        pullImage() {
          later('images');
        },
        buildImage() {
          later('images');
        },
        commitContainer() {
          later('images');
        },
        pruneImages(_result, args) {
          if (args['dryRun'] !== true) later('images');
        },
        createVolume() {
          later('volumes');
        },
        // Into the trash and out of it: both lists change, and what is in the other shows at once that it left this one.
        deleteVolume(_result, args, cache) {
          dropEdge(cache, 'volumes', 'Volume', args['id'] as string);
          later('volumes');
        },
        restoreVolume(_result, args, cache) {
          dropEdge(cache, 'volumes', 'Volume', args['id'] as string);
          later('volumes');
        },
        purgeVolume(_result, args, cache) {
          dropEdge(cache, 'volumes', 'Volume', args['id'] as string);
        },
      },
    },
  } satisfies Partial<CacheExchangeOpts>);
}

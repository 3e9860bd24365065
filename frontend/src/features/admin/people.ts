import { csv } from '@/lib/csv';
import type { UserFilter, UserOrder } from './documents';

export const states = ['active', 'suspended', 'ended', 'deleted'] as const;
export type State = (typeof states)[number];
export const orders = ['newest', 'oldest', 'name', 'seen', 'unseen'] as const;
export type Order = (typeof orders)[number];
export const roles = ['USER', 'ADMIN'] as const;
export type Role = (typeof roles)[number];

const stateFilter: Record<State, UserFilter> = {
  active: { suspended: false, expired: false, deletionScheduled: false },
  suspended: { suspended: true },
  ended: { expired: true },
  deleted: { deletionScheduled: true },
};

/** What was chosen as the API takes it; null where nothing was. */
export function filterOf(sought: string, role: Role | undefined, state: State | undefined): UserFilter | null {
  const where: UserFilter = {
    ...(sought && { nameContains: sought }),
    ...(role && { role }),
    ...(state && stateFilter[state]),
  };
  return Object.keys(where).length > 0 ? where : null;
}

export const orderOf: Record<Order, UserOrder> = {
  newest: { field: 'CREATED_AT', direction: 'DESC' },
  oldest: { field: 'CREATED_AT', direction: 'ASC' },
  name: { field: 'USERNAME', direction: 'ASC' },
  seen: { field: 'LAST_SEEN_AT', direction: 'DESC' },
  unseen: { field: 'LAST_SEEN_AT', direction: 'ASC' },
};

type Standing = { suspendedAt: string | null; expiresAt: string | null; deletionScheduledAt: string | null };

/** What an account is, by what weighs most. */
export function stateOf({ suspendedAt, expiresAt, deletionScheduledAt }: Standing, now: number): State {
  if (deletionScheduledAt) return 'deleted';
  if (suspendedAt) return 'suspended';
  if (expiresAt && Date.parse(expiresAt) <= now) return 'ended';
  return 'active';
}

/** In parts that the API takes at once. */
export function parts<T>(all: readonly T[], size = 100): T[][] {
  const found: T[][] = [];
  for (let at = 0; at < all.length; at += size) found.push(all.slice(at, at + size));
  return found;
}

type Account = { username: string; email: string; oneTimePassword: string | null };

/** The one-time passwords of a class, to hand out. */
export const passwordsFile = (accounts: readonly Account[]) =>
  csv([
    ['username', 'email', 'password'],
    ...accounts.map(({ username, email, oneTimePassword }) => [username, email, oneTimePassword ?? '']),
  ]);

/** A file to begin with, with all columns and one line that shows what stands in them. */
export const exampleFile = csv([
  [
    'username',
    'email',
    'nickname',
    'role',
    'expiresAt',
    'maxContainers',
    'maxCpu',
    'maxMemory',
    'maxGpu',
    'maxImages',
    'maxVolumes',
    'maxDisk',
  ],
  ['ann', 'ann@example.org', 'Ann', 'USER', '', '5', '2', '4GiB', '0', '20', '10', '20GiB'],
]);

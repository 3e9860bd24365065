import type { GraphQLProblem } from '@/lib/errors';

/** Whether a sign-in was refused only because the account is deleted and can still be restored; and until when. */
export function restorable(errors: readonly GraphQLProblem[]): { until: string | undefined } | undefined {
  const { code, reason, deletionScheduledAt } = errors[0]?.extensions ?? {};
  if (code !== 'FORBIDDEN' || reason !== 'DELETED') return undefined;
  return { until: typeof deletionScheduledAt === 'string' ? deletionScheduledAt : undefined };
}

/** What the address of the sign-in page says: an invitation's code, or that an account was just deleted. */
export function invitedBy({ pathname, search, hash }: Pick<Location, 'pathname' | 'search' | 'hash'>) {
  const given = new URLSearchParams(hash.replace(/^#/, '')).get('code') ?? new URLSearchParams(search).get('code') ?? '';
  const deleted = new URLSearchParams(search).get('deleted');
  return {
    registering: /^\/register\/?$/.test(pathname),
    code: given.trim(),
    deletedUntil: deleted && !Number.isNaN(Date.parse(deleted)) ? deleted : undefined,
  };
}

/**
 * Where a program in a container was going to be opened before signing in came in between; undefined when nowhere. Only
 * the server's own way there counts: whoever made the address must not choose where one lands.
 */
export function onward({ search }: Pick<Location, 'search'>): string | undefined {
  const then = new URLSearchParams(search).get('then');
  return then?.startsWith('/open?') ? then : undefined;
}

/** Only what differs: what is left out stays as it is. */
export function changes<T extends Record<string, unknown>>(before: T, after: T): Partial<T> {
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name] !== value)) as Partial<T>;
}

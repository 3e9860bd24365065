import type { AuditFilter } from './documents';

export const outcomes = ['ALLOWED', 'DENIED', 'FAILED'] as const;
export type Outcome = (typeof outcomes)[number];

/** What is sought, as it stands in the address: a filter can be kept and sent to somebody. */
export type Sought = { actor: string; action: string; outcome: string; target: string; after: string; before: string };
export const names = ['actor', 'action', 'outcome', 'target', 'after', 'before'] as const;

/** "container" means all that is done to containers; "container.stop" only that. */
export function actionOf(text: string) {
  const typed = text.trim();
  return typed === '' || typed.includes('.') ? typed : `${typed}.`;
}

/** An instant of a field of date and time, which is where the person is; nothing for what is none. */
export function instant(text: string) {
  const at = new Date(text);
  return text === '' || Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

export function filterOf({ actor, action, outcome, target, after, before }: Sought): AuditFilter | null {
  const from = instant(after);
  const until = instant(before);
  const known = outcomes.find((one) => one === outcome);
  const where: AuditFilter = {
    ...(actor && { actorId: actor }),
    ...(action.trim() && { action: actionOf(action) }),
    ...(known && { outcome: known }),
    ...(target.trim() && { target: target.trim() }),
    ...(from && { after: from }),
    ...(until && { before: until }),
  };
  return Object.keys(where).length > 0 ? where : null;
}

/** What came since, before what was there; each once, the newest first. */
export function merged<T extends { id: string }>(live: readonly T[], loaded: readonly T[]): T[] {
  const seen = new Set<string>();
  return [...live, ...loaded].filter(({ id }) => !seen.has(id) && seen.add(id));
}

import { seconds } from '@/lib/format';

type Idling = { status: string; cullAt: string | null; idleTimeout: string | null };

/** How many seconds before it a freezing is announced, as the server does: a tenth of the timeout, from a minute up to half of it. */
const ahead = (timeout: number) => Math.min(timeout / 2, Math.max(60, timeout / 10));

/** Whether somebody should be told now that a running container will be frozen. */
export const soonFrozen = ({ status, cullAt, idleTimeout }: Idling, now: number) =>
  status === 'RUNNING' &&
  cullAt !== null &&
  (Date.parse(cullAt) - now) / 1000 <= ahead(idleTimeout === null ? Infinity : seconds(idleTimeout));

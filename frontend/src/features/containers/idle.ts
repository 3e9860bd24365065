import { seconds } from '@/lib/format';

type Idling = { status: string; cullAt: string | null; idleTimeout: string | null };

/** Before how many seconds it is said that a container will be frozen: ten minutes, or a quarter of a short timeout. */
const ahead = (timeout: string | null) => Math.min(600, timeout === null ? 600 : seconds(timeout) / 4);

/** Whether somebody should be told now that a running container will be frozen. */
export const soonFrozen = ({ status, cullAt, idleTimeout }: Idling, now: number) =>
  status === 'RUNNING' && cullAt !== null && (Date.parse(cullAt) - now) / 1000 <= ahead(idleTimeout);

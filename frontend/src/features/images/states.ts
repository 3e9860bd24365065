import type { Row } from './documents';

export type Status = Row['status'];

export const statuses: Status[] = ['READY', 'PENDING', 'PULLING', 'BUILDING', 'FAILED', 'CANCELLED', 'DELETING'];
export const sources: Row['source'][] = ['PULL', 'BUILD', 'COMMIT'];
export const visibilities: Row['visibility'][] = ['PRIVATE', 'PUBLIC'];

/** Whether somebody works on it: it can be given up. */
export const underWay = (status: Status) => status === 'PENDING' || status === 'PULLING' || status === 'BUILDING';
/** Whether it came to nothing: it can be tried again. */
export const cameToNothing = (status: Status) => status === 'FAILED' || status === 'CANCELLED';

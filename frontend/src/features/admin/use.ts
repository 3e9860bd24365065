type Amounts = { cpu: number; memory: number; gpu: number };
/** What one person has and uses of the machine. */
export type PersonUse = {
  user: { id: string; username: string; nickname: string | null } | null;
  running: number;
  reserved: Amounts;
  usedCpu: number;
  usedMemory: number;
};

/** What people can be sorted by. */
export const orders = {
  name: (use: PersonUse) => use.user?.username.toLowerCase() ?? '',
  running: (use: PersonUse) => use.running,
  cpu: (use: PersonUse) => use.reserved.cpu,
  usedCpu: (use: PersonUse) => use.usedCpu,
  memory: (use: PersonUse) => use.reserved.memory,
  usedMemory: (use: PersonUse) => use.usedMemory,
  gpu: (use: PersonUse) => use.reserved.gpu,
};
export type Order = keyof typeof orders;

/** For a sort: by what it is, then by name, so that equals keep their places from one answer to the next. */
export function compare(order: Order, a: PersonUse, b: PersonUse) {
  const [x, y] = [orders[order](a), orders[order](b)];
  if (typeof x === 'number' && typeof y === 'number' && x !== y) return x - y;
  const [m, n] = [orders.name(a), orders.name(b)];
  return m < n ? -1 : Number(m > n);
}

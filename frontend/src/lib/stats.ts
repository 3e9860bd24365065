export type Stats = {
  containerId: string;
  cpuPercent: number;
  memoryUsage: number;
  memoryLimit: number;
  memoryPercent: number;
  pids: number;
};

/** The newest sample of each container, outside the graph cache: a sample a second for each of a hundred rows renders one cell, not the table. */
export class StatsStore {
  private readonly newest = new Map<string, Stats>();
  private readonly listeners = new Map<string, Set<() => void>>();

  put(sample: Stats) {
    this.newest.set(sample.containerId, sample);
    for (const listener of this.listeners.get(sample.containerId) ?? []) listener();
  }
  forget(id: string) {
    if (!this.newest.delete(id)) return;
    for (const listener of this.listeners.get(id) ?? []) listener();
  }
  get(id: string) {
    return this.newest.get(id);
  }
  subscribe(id: string, listener: () => void) {
    const set = this.listeners.get(id) ?? new Set();
    this.listeners.set(id, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0) this.listeners.delete(id);
    };
  }
}

export const stats = new StatsStore();

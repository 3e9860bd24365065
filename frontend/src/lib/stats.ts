export type Stats = {
  containerId: string;
  cpuPercent: number;
  memoryUsage: number;
  memoryLimit: number;
  memoryPercent: number;
  pids: number;
};

/** How many samples of each are remembered: at one a second, a minute. */
const remembered = 60;
const none: readonly Stats[] = [];

/** The newest sample of each container, outside the graph cache: a sample a second for each of a hundred rows renders one cell, not the table. */
export class StatsStore {
  private readonly newest = new Map<string, Stats>();
  private readonly recent = new Map<string, readonly Stats[]>();
  private readonly listeners = new Map<string, Set<() => void>>();

  put(sample: Stats) {
    this.newest.set(sample.containerId, sample);
    this.recent.set(sample.containerId, [...(this.recent.get(sample.containerId) ?? []), sample].slice(-remembered));
    for (const listener of this.listeners.get(sample.containerId) ?? []) listener();
  }
  forget(id: string) {
    this.recent.delete(id);
    if (!this.newest.delete(id)) return;
    for (const listener of this.listeners.get(id) ?? []) listener();
  }
  get(id: string) {
    return this.newest.get(id);
  }
  /** The last minute of a container, oldest first; the same array until a sample comes. */
  lately(id: string): readonly Stats[] {
    return this.recent.get(id) ?? none;
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

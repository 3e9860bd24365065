/** What is taken of a sample; totals count since the container's start. */
export type Sample = {
  readAt: string;
  cpuPercent: number;
  memoryUsage: number;
  networkRx: number;
  networkTx: number;
  blockRead: number;
  blockWrite: number;
  cpuPercentMax?: number | null;
  memoryUsageMax?: number | null;
  gpus?: readonly { utilisation: number }[];
};

/** A span of time to look at, in seconds: its steps, and how often live samples come. */
export type Range = { name: '5m' | '1h' | '24h' | '7d'; span: number; step: number; every: number };

/** Steps are those that the server keeps, or multiples of them. */
export const ranges: readonly Range[] = [
  { name: '5m', span: 300, step: 1, every: 1 },
  { name: '1h', span: 3_600, step: 10, every: 1 },
  { name: '24h', span: 86_400, step: 120, every: 10 },
  { name: '7d', span: 604_800, step: 900, every: 60 },
];

type Point = {
  /** The beginning of its step, in seconds since 1970. */
  at: number;
  cpu: number;
  cpuMax: number;
  memory: number;
  memoryMax: number;
  /** Totals at its end, and when that was. */
  totals: readonly [number, number, number, number];
  end: number;
  gpu: number | null;
  /** How many seconds of the step its means are of. */
  weight: number;
};

type Line = (number | null)[];
/** Columns for a chart, all of the same length. null: there is nothing, and no line. */
export type Columns = {
  at: number[];
  cpu: Line;
  cpuMax: Line;
  memory: Line;
  memoryMax: Line;
  received: Line;
  sent: Line;
  read: Line;
  written: Line;
  gpu: Line;
};

const totalsOf = (s: Sample) => [s.networkRx, s.networkTx, s.blockRead, s.blockWrite] as const;
const gpuOf = ({ gpus = [] }: Sample) => (gpus.length > 0 ? gpus.reduce((sum, gpu) => sum + gpu.utilisation, 0) / gpus.length : null);

/**
 * The figures of one container over a range: the history that was fetched, and what came live since. Whatever is told
 * twice counts once, and where a step is missing the line is broken.
 */
export class Series {
  private points: Point[] = [];
  /** Live samples as they came, to be put on top of a history that is older than they are. */
  private live: Sample[] = [];
  private newest = 0;

  readonly range: Range;

  constructor(range: Range) {
    this.range = range;
  }

  /** Begins anew from a history, and keeps what came live after its end. */
  fill(history: readonly Sample[]) {
    const { step } = this.range;
    this.points = history.map((s) => {
      const start = Date.parse(s.readAt) / 1000;
      const at = Math.floor(start / step) * step;
      return {
        at,
        cpu: s.cpuPercent,
        cpuMax: s.cpuPercentMax ?? s.cpuPercent,
        memory: s.memoryUsage,
        memoryMax: s.memoryUsageMax ?? s.memoryUsage,
        totals: totalsOf(s),
        end: at + step,
        gpu: null,
        weight: step,
      };
    });
    const last = this.points.at(-1);
    // The last step of a history may still go on: what came live in it is in it already.
    const covered = last ? last.at + step : 0;
    this.live = this.live.filter((s) => Date.parse(s.readAt) / 1000 >= covered);
    for (const sample of this.live) this.append(sample);
  }

  /** Takes a live sample. Says whether some are missing before it, so that the history is to be asked for again. */
  add(sample: Sample): boolean {
    const at = Date.parse(sample.readAt) / 1000;
    if (at <= this.newest) return false;
    const missing = this.newest > 0 && at - this.newest > 3 * this.range.every + 1;
    this.newest = at;
    this.live.push(sample);
    // As many as can come while a history is on its way, and then some.
    if (this.live.length > 120) this.live.shift();
    this.append(sample);
    return missing;
  }

  private append(s: Sample) {
    const { step, span, every } = this.range;
    const end = Date.parse(s.readAt) / 1000;
    const at = Math.floor(end / step) * step;
    const last = this.points.at(-1);
    if (last && at < last.at) return;
    if (last?.at === at) {
      // A step of a history that goes on has seen what it is old.
      const before = Math.min(last.weight, Math.max(every, end - at));
      const mean = (old: number, now: number) => (old * before + now * every) / (before + every);
      this.points[this.points.length - 1] = {
        at,
        cpu: mean(last.cpu, s.cpuPercent),
        cpuMax: Math.max(last.cpuMax, s.cpuPercent),
        memory: mean(last.memory, s.memoryUsage),
        memoryMax: Math.max(last.memoryMax, s.memoryUsage),
        totals: totalsOf(s),
        end,
        gpu: gpuOf(s) ?? last.gpu,
        weight: before + every,
      };
      return;
    }
    this.points.push({
      at,
      cpu: s.cpuPercent,
      cpuMax: s.cpuPercent,
      memory: s.memoryUsage,
      memoryMax: s.memoryUsage,
      totals: totalsOf(s),
      end,
      gpu: gpuOf(s),
      weight: every,
    });
    const oldest = at - span;
    const stale = this.points.findIndex((point) => point.at >= oldest);
    if (stale > 0) this.points.splice(0, stale);
  }

  columns(): Columns {
    const { step, every } = this.range;
    const c: Columns = { at: [], cpu: [], cpuMax: [], memory: [], memoryMax: [], received: [], sent: [], read: [], written: [], gpu: [] };
    // Samples of a busy machine are not on the second.
    const most = Math.max(step, every) * 2.5;
    let before: Point | undefined;
    for (const point of this.points) {
      const away = before !== undefined && point.at - before.at > most;
      if (before && away) {
        c.at.push(before.at + step);
        for (const name of lines) c[name].push(null);
      }
      c.at.push(point.at);
      c.cpu.push(point.cpu);
      c.cpuMax.push(point.cpuMax);
      c.memory.push(point.memory);
      c.memoryMax.push(point.memoryMax);
      const rates = before && !away ? ratesOf(before, point) : undefined;
      c.received.push(rates?.[0] ?? null);
      c.sent.push(rates?.[1] ?? null);
      c.read.push(rates?.[2] ?? null);
      c.written.push(rates?.[3] ?? null);
      c.gpu.push(point.gpu);
      before = point;
    }
    return c;
  }
}

const lines = ['cpu', 'cpuMax', 'memory', 'memoryMax', 'received', 'sent', 'read', 'written', 'gpu'] as const;

/** Bytes a second from one point to the next; none where a counter began anew, as it does with each run. */
function ratesOf(a: Point, b: Point): (number | null)[] {
  const time = b.end - a.end;
  return b.totals.map((total, i) => {
    const more = total - (a.totals[i] ?? 0);
    return time > 0 && more >= 0 ? more / time : null;
  });
}

/** The newest value of a line, null when it has none. */
export const newest = (line: readonly (number | null)[]) => line.at(-1) ?? null;

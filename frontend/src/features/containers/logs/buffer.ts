export type LogLine = { at: string; stream: 'STDOUT' | 'STDERR'; text: string; dropped: number | null };
/** A line with its number in this page, from 1. */
export type Kept = LogLine & { number: number };
/** Lines that are drawn together. One that is full never changes again. */
export type Chunk = { key: number; lines: readonly Kept[] };

/** A page holds this many lines; the download has all. */
export const most = 10_000;
const perChunk = 200;

/**
 * The instant just before this one, to go on from a line without losing its neighbours of the same time. The API writes
 * up to nine digits, more than Date holds.
 */
export function justBefore(at: string) {
  const [, seconds = '', digits = ''] = /^(.*?)(?:\.(\d{1,9}))?Z$/.exec(at) ?? [];
  const nanoseconds = Number(digits.padEnd(9, '0')) - 1;
  if (nanoseconds >= 0) return `${seconds}.${String(nanoseconds).padStart(9, '0')}Z`;
  const before = new Date(Date.parse(`${seconds}Z`) - 1000).toISOString().slice(0, 19);
  return `${before}.999999999Z`;
}

/**
 * The last lines of an output, in chunks. After a reconnection it is told so, and passes over what it has already: as
 * many lines of the last time as it had.
 */
export class LogBuffer {
  private chunks: readonly Chunk[] = [];
  private count = 0;
  private last = '';
  private ofLast = 0;
  private over = 0;

  private readonly limit: number;

  constructor(limit = most) {
    this.limit = limit;
  }

  /** Where to go on, for `since`; undefined while there is nothing yet. */
  get place() {
    return this.last ? justBefore(this.last) : undefined;
  }

  /** From now on lines come from `place`. */
  resume() {
    this.over = this.ofLast;
  }

  add(fresh: readonly LogLine[]) {
    let tail = this.chunks.at(-1);
    let lines = tail && tail.lines.length < perChunk ? [...tail.lines] : undefined;
    const done = lines ? this.chunks.slice(0, -1) : [...this.chunks];
    const close = () => {
      if (lines && lines.length > 0) done.push({ key: lines[0]?.number ?? 0, lines });
      lines = undefined;
    };
    for (const line of fresh) {
      if (this.over > 0 && line.at === this.last) {
        this.over--;
        continue;
      }
      this.over = 0;
      this.ofLast = line.at === this.last ? this.ofLast + 1 : 1;
      this.last = line.at;
      lines ??= [];
      lines.push({ ...line, number: ++this.count });
      if (lines.length === perChunk) close();
    }
    close();
    tail = done.at(0);
    let held = done.reduce((sum, chunk) => sum + chunk.lines.length, 0);
    while (tail && held - tail.lines.length >= this.limit) {
      held -= tail.lines.length;
      done.shift();
      tail = done.at(0);
    }
    this.chunks = done;
  }

  /** What is held now. The same as before where nothing came. */
  get = () => this.chunks;
  /** How many lines there were in all. */
  get total() {
    return this.count;
  }
}

/** Where text occurs in a line, whatever its case: beginnings, in order. */
export function found(text: string, sought: string) {
  const at: number[] = [];
  if (sought === '') return at;
  const [hay, needle] = [text.toLowerCase(), sought.toLowerCase()];
  for (let i = hay.indexOf(needle); i >= 0; i = hay.indexOf(needle, i + needle.length)) at.push(i);
  return at;
}

export type Line = { number: number; text: string; at: string };

/** Lines that are drawn together: what is full is never drawn again. */
const chunk = 400;

export type Log = { readonly chunks: readonly (readonly Line[])[]; readonly last: number };
export const empty: Log = { chunks: [], last: 0 };

/**
 * A log with more lines at its end. After a reconnection the server sends the log anew: what is there already is passed
 * over by its number, so that nothing is shown twice or lost.
 */
export function grown(log: Log, lines: readonly Line[]): Log {
  let { last } = log;
  const chunks: Line[][] = [];
  // Only the chunk at the end is made anew: the others stay the same objects.
  const kept = log.chunks.slice(0, -1);
  let end = [...(log.chunks.at(-1) ?? [])];
  for (const line of lines) {
    if (line.number <= last) continue;
    last = line.number;
    if (end.length >= chunk) {
      chunks.push(end);
      end = [];
    }
    end.push(line);
  }
  return last === log.last ? log : { chunks: [...kept, ...chunks, end], last };
}

export const linesOf = (log: Log): Line[] => log.chunks.flat();

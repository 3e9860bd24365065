const quoted = (cell: string) => (/[",\r\n]/.test(cell) || cell.trim() !== cell ? `"${cell.replaceAll('"', '""')}"` : cell);

/** A table as RFC 4180 has it, with the mark by which spreadsheets know UTF-8. */
export const csv = (lines: readonly (readonly string[])[]) =>
  `\uFEFF${lines.map((cells) => `${cells.map(quoted).join(',')}\r\n`).join('')}`;

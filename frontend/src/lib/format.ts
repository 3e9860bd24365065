const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** A count of bytes for a person: at most one decimal, binary units. */
export function bytes(count: number, language: string) {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(value)} ${units[unit] ?? 'B'}`;
}

export const decimal = (value: number, language: string, digits = 1) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** How long ago, in the largest whole unit; what is under a minute is now. */
export function ago(time: string, now: number, language: string) {
  const seconds = (now - Date.parse(time)) / 1000;
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
  for (const [unit, size] of steps) if (seconds >= size) return format.format(-Math.floor(seconds / size), unit);
  return format.format(0, 'minute');
}

export const moment = (time: string, language: string) =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(time));

// eslint-disable-next-line no-control-regex -- the escape character is what is looked for
const escape = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/** Output without the terminal's control sequences. */
export const plain = (text: string) => text.replace(escape, '').replace(/\r/g, '');

/** Splits a command line into words as a shell does, for quotes and spaces only. */
export function words(line: string): string[] {
  const found = line.match(/"[^"]*"|'[^']*'|[^\s"']+/g) ?? [];
  return found.map((word) => (/^(".*"|'.*')$/.test(word) ? word.slice(1, -1) : word));
}

/** Reads lines of NAME=value; what has no = is a name with an empty value. */
export function variables(text: string): { name: string; value: string }[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const at = line.indexOf('=');
      return at < 0 ? { name: line, value: '' } : { name: line.slice(0, at), value: line.slice(at + 1) };
    });
}

/** A reference as people write it, without the registry that goes without saying. */
export const shortReference = (reference: string) => reference.replace(/^docker\.io\/(library\/)?/, '');

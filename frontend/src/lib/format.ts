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

const steps: ['day' | 'hour' | 'minute', number][] = [
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

const unitSeconds = { h: 3_600, m: 60, s: 1, ms: 1e-3, us: 1e-6, µs: 1e-6, ns: 1e-9 } as const;

/** A length of time as the API writes it ("8h", "1m30s"), in seconds. */
export function seconds(duration: string) {
  let sum = 0;
  for (const [, count, unit] of duration.matchAll(/(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)/g))
    sum += Number(count) * unitSeconds[unit as keyof typeof unitSeconds];
  return sum;
}

/** A length of time for a person, in the two largest units that are not empty: "1 hour 30 minutes". */
export function lasting(length: number, language: string) {
  let rest = Math.max(0, Math.round(length));
  const parts: string[] = [];
  for (const [unit, size] of [...steps, ['second', 1]] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(count));
  }
  if (parts.length === 0) parts.push(new Intl.NumberFormat(language, { style: 'unit', unit: 'second', unitDisplay: 'long' }).format(0));
  return new Intl.ListFormat(language, { type: 'unit', style: 'narrow' }).format(parts.slice(0, 2));
}

/** What is left until an instant, as a clock that runs down: "4:05", "1:04:05". */
export function countdown(time: string, now: number) {
  const left = Math.max(0, Math.ceil((Date.parse(time) - now) / 1000));
  const [hours, minutes] = [Math.floor(left / 3_600), Math.floor(left / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
}

export const moment = (time: string, language: string) =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(time));

const two = (n: number) => String(n).padStart(2, '0');

/** The day of an instant where the person is, as a date field has it: "2026-12-31". */
export function dayOf(time: string) {
  const date = new Date(time);
  return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The last moment of a day where the person is: what ends "on" it lasts through it. Undefined for what is no day. */
export function endOfDay(day: string) {
  const [, year, month, date] = /^(\d{4,6})-(\d\d)-(\d\d)$/.exec(day) ?? [];
  if (!year || !month || !date) return undefined;
  const end = new Date(Number(year), Number(month) - 1, Number(date), 23, 59, 59);
  return Number.isNaN(end.getTime()) ? undefined : end.toISOString();
}

export const day = (time: string, language: string) => new Intl.DateTimeFormat(language, { dateStyle: 'medium' }).format(new Date(time));

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

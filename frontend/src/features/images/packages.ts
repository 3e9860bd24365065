/** At most as many of each kind: the server takes no more. */
export const mostPackages = 100;

// The same as the server's: see internal/image/form.go.
const name = '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?';
const version = '(?:===|~=|==|!=|<=|>=|<|>)[A-Za-z0-9](?:[A-Za-z0-9._+!-]*[A-Za-z0-9])?(?:\\.\\*)?';
const python = new RegExp(`^${name}(?:\\[${name}(?:,${name})*\\])?(?:${version}(?:,${version})*)?$`);
const system = /^[a-z0-9][a-z0-9+.-]+(?:=[A-Za-z0-9.+:~-]+)?$/;
/** At most as many bytes each. */
const longest = 200;

export type Kind = 'python' | 'system';

/** One package as it is sent: without the spaces that pip lets stand around operators. Undefined for what is none. */
export function packageOf(text: string, kind: Kind): string | undefined {
  const whole = kind === 'python' ? text.replace(/\s*(===|==|~=|!=|<=|>=|<|>|,|\[|\])\s*/g, '$1').trim() : text.trim();
  return whole.length <= longest && (kind === 'python' ? python : system).test(whole) ? whole : undefined;
}

export type Why = 'option' | 'address' | 'marker' | 'form';
export type Refused = { line: number; text: string; why: Why };
export type Split = { packages: string[]; refused: Refused[] };

/** Why a line is not taken: options and addresses could fetch anything from anywhere, and markers have no place here. */
function why(text: string): Why {
  if (text.startsWith('-')) return 'option';
  if (/:\/\/|\s@\s|^git\+|^\.{0,2}\//.test(text)) return 'address';
  if (text.includes(';')) return 'marker';
  return 'form';
}

/**
 * Reads what was typed or pasted: a requirements.txt, or several names on a line. What is taken comes in order and once;
 * what is not is told with its line, from 1.
 */
export function split(text: string, kind: Kind): Split {
  const packages: string[] = [];
  const refused: Refused[] = [];
  const take = (one: string) => {
    if (!packages.includes(one)) packages.push(one);
  };
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = raw
      .replace(/(^|\s)#.*$/, '')
      .replace(/\s--hash=\S+/g, '')
      .replace(/\\\s*$/, '')
      .trim();
    if (line === '' || raw.trim().startsWith('--hash=')) return;
    const whole = packageOf(line, kind);
    if (whole) {
      take(whole);
      return;
    }
    const parts = line.split(kind === 'python' ? /\s+/ : /[\s,]+/).filter(Boolean);
    const several = parts.map((part) => packageOf(part.replace(/,$/, ''), kind));
    if (parts.length > 1 && several.every((part) => part !== undefined)) several.forEach(take);
    else refused.push({ line: index + 1, text: line, why: why(line) });
  });
  return { packages, refused };
}

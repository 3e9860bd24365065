import Anser from 'anser';
import { plain } from '@/lib/format';

type Rgb = readonly [number, number, number];
/** A piece of a line that looks the same throughout. */
export type Piece = { text: string; colour?: string; ground?: string; bold: boolean; italic: boolean; underlined: boolean };

// anser says null where there is no colour, whatever its types say.
const parse = (colour: string | null): Rgb | undefined => {
  const parts = (colour ?? '').split(',').map(Number);
  const [r, g, b] = parts;
  return parts.length === 3 && r !== undefined && g !== undefined && b !== undefined && !parts.some(Number.isNaN) ? [r, g, b] : undefined;
};
const hex = (value: string): Rgb => [1, 3, 5].map((i) => parseInt(value.slice(i, i + 2), 16)) as unknown as Rgb;
const css = ([r, g, b]: Rgb) => `rgb(${r}, ${g}, ${b})`;

function luminance(colour: Rgb) {
  const [r = 0, g = 0, b = 0] = colour.map((value) => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** How well one colour reads on another, from 1 to 21, as WCAG counts. */
export function contrast(a: Rgb, b: Rgb) {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/** The nearest to a colour that can be read on this ground: programs choose colours for a ground that they do not know. */
export function readable(colour: Rgb, ground: Rgb): Rgb {
  const towards = luminance(ground) > 0.18 ? 0 : 255;
  let mixed = colour;
  for (let share = 0.1; contrast(mixed, ground) < 4.5 && share <= 1.001; share += 0.1)
    mixed = colour.map((value) => Math.round(value + (towards - value) * share)) as unknown as Rgb;
  return mixed;
}

// eslint-disable-next-line no-control-regex -- the escape character is what is looked for
const other = /\u001b(?:\[[0-9;?]*[ -/]*[@-ln-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\^_])/g;

/** A line as what overwrote it left it: bars of progress go back with \r. */
const overwritten = (text: string) => {
  const line = text.replace(/\r+$/, '');
  return line.slice(line.lastIndexOf('\r') + 1);
};

/** A line in pieces. Colours are kept, and made to read on this ground; what moves the cursor is left out. */
export function pieces(text: string, ground: string): Piece[] {
  const line = overwritten(text);
  if (!line.includes('\u001b')) return [{ text: line, bold: false, italic: false, underlined: false }];
  const base = hex(ground);
  return Anser.ansiToJson(line.replace(other, ''), { json: true, remove_empty: true }).map(({ content, fg, bg, decorations }) => {
    const own = parse(bg);
    const front = parse(fg);
    const on = own ?? base;
    const colour = front ? readable(front, on) : own && readable(luminance(own) > 0.18 ? [0, 0, 0] : [255, 255, 255], own);
    return {
      text: plain(content),
      ...(colour && { colour: css(colour) }),
      ...(own && { ground: css(own) }),
      bold: decorations.includes('bold'),
      italic: decorations.includes('italic'),
      underlined: decorations.includes('underline'),
    };
  });
}

/** A line without its colours: what is searched and copied. */
export const bare = (text: string) => plain(overwritten(text));

import { expect, test } from 'vitest';
import { bare, contrast, pieces, readable } from './ansi';

const esc = '\u001b[';
const numbers = (colour = '') => [...colour.matchAll(/\d+/g)].map(Number) as unknown as [number, number, number];

test('colours become pieces, and what moves the cursor is left out', () => {
  const line = `plain ${esc}1;31mred${esc}0m${esc}2K${esc}10;5H end`;
  expect(pieces(line, '#141414').map(({ text, bold }) => [text, bold])).toEqual([
    ['plain ', false],
    ['red', true],
    [' end', false],
  ]);
  expect(bare(line)).toBe('plain red end');
});

test('nothing in a line is markup', () => {
  const line = `${esc}32m<img src=x onerror=alert(1)>${esc}0m &amp;`;
  expect(
    pieces(line, '#ffffff')
      .map(({ text }) => text)
      .join(''),
  ).toBe('<img src=x onerror=alert(1)> &amp;');
});

test.each([
  ['#ffffff', [255, 255, 255]],
  ['#141414', [20, 20, 20]],
] as const)('every colour can be read on %s', (name, ground) => {
  for (let code = 0; code < 256; code++) {
    const colour = pieces(`${esc}38;5;${code}mx`, name)[0]?.colour;
    expect(contrast(numbers(colour), ground), `colour ${code}: ${colour ?? ''}`).toBeGreaterThanOrEqual(4.5);
    const own = pieces(`${esc}48;5;${code}mx`, name)[0];
    expect(contrast(numbers(own?.colour), numbers(own?.ground)), `on ${code}`).toBeGreaterThanOrEqual(4.5);
  }
  expect(readable([255, 0, 0], [255, 0, 0])).not.toEqual([255, 0, 0]);
});

test('a bar of progress shows its last state', () => {
  expect(bare('10%\r50%\r100%\r')).toBe('100%');
  expect(pieces('10%\r100%', '#ffffff')[0]?.text).toBe('100%');
});

import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, test } from 'vitest';
import en from './en.json';
import zh from './zh-CN.json';

type Tree = { [key: string]: string | Tree };
const flat = (tree: Tree, path = ''): string[] =>
  Object.entries(tree).flatMap(([key, value]) => (typeof value === 'string' ? [path + key] : flat(value, `${path}${key}.`)));
const plural = /_(zero|one|two|few|many|other)$/;
const names = (tree: Tree) => new Set(flat(tree).map((key) => key.replace(plural, '')));
const holes = (tree: Tree, key: string) => {
  const text = key.split('.').reduce<string | Tree | undefined>((t, k) => (typeof t === 'object' ? t[k] : undefined), tree);
  return typeof text === 'string' ? [...text.matchAll(/{{(\w+)/g)].map((m) => m[1]).sort() : [];
};

/** What the code asks for: t('a.b') exactly; t(`status.${x}`) all of status (tsc holds x to the keys there are). */
function asked() {
  const exact = new Set<string>();
  const prefixes = new Set<string>();
  const unreadable: string[] = [];
  for (const name of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
    if (!/\.tsx?$/.test(name) || /\.(test|d)\.tsx?$/.test(name)) continue;
    const file = ts.createSourceFile(
      name,
      readFileSync(`src/${name}`, 'utf8'),
      ts.ScriptTarget.Latest,
      true,
      name.endsWith('x') ? ts.ScriptKind.TSX : ts.ScriptKind.TS,
    );
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && /(^|\.)t$/.test(node.expression.getText())) {
        const [key] = node.arguments;
        if (key && ts.isStringLiteralLike(key)) exact.add(key.text);
        else if (key && ts.isTemplateExpression(key) && key.head.text.endsWith('.')) prefixes.add(key.head.text);
        else unreadable.push(`${name}: ${node.getText()}`);
      }
      ts.forEachChild(node, visit);
    };
    visit(file);
  }
  return { exact, prefixes, unreadable };
}

const { exact, prefixes, unreadable } = asked();
test('every key in the code can be read', () => {
  expect(unreadable).toEqual([]);
});
test.each([
  ['en', en],
  ['zh-CN', zh],
] as [string, Tree][])('%s has what the code asks for, and nothing else', (_language, tree) => {
  const present = names(tree);
  expect(
    [...exact].filter((key) => !present.has(key)),
    'missing',
  ).toEqual([]);
  expect(
    [...present].filter((key) => !exact.has(key) && ![...prefixes].some((p) => key.startsWith(p))),
    'unused',
  ).toEqual([]);
});
test('both languages have the same keys and the same holes in them', () => {
  expect([...names(zh)].sort()).toEqual([...names(en)].sort());
  for (const key of flat(en)) if (!plural.test(key)) expect(holes(zh, key), key).toEqual(holes(en, key));
});
test.each([
  ['en', en],
  ['zh-CN', zh],
] as [string, Tree][])('%s has its plural forms', (language, tree) => {
  const keys = new Set(flat(tree));
  for (const key of keys) {
    if (!plural.test(key)) continue;
    for (const form of new Intl.PluralRules(language).resolvedOptions().pluralCategories)
      expect(keys).toContain(key.replace(plural, `_${form}`));
  }
});

import i18next from 'i18next';
import type en from './i18n/en.json';

type Violation = { field: string; rule: string; message: string };
export type GraphQLProblem = { message: string; extensions?: Record<string, unknown> | undefined };

/** What went wrong, for a person: one text, and one for each field that is named. */
export type Problem = { code: string; message: string; fields: Record<string, string> };

type Code = keyof typeof en.errors;
type Rule = keyof typeof en.rules;

/** English comes from the server, which knows the numbers; other languages are said by code and parameters. */
function said(code: string, message: string, parameters: Record<string, unknown>) {
  const known = i18next.exists(`errors.${code}`);
  if (code === 'NETWORK' || (known && !i18next.language.startsWith('en'))) return i18next.t(`errors.${code as Code}`, parameters);
  return message;
}

function saidRule({ rule, message }: Violation) {
  if (i18next.language.startsWith('en') || !i18next.exists(`rules.${rule}`)) return message;
  return i18next.t(`rules.${rule as Rule}`);
}

export function problemOf(errors: readonly GraphQLProblem[]): Problem {
  const first = errors[0];
  if (!first) return { code: 'NETWORK', message: said('NETWORK', '', {}), fields: {} };
  const extensions = first.extensions ?? {};
  const code = typeof extensions['code'] === 'string' ? extensions['code'] : 'INTERNAL';
  const fields: Record<string, string> = {};
  for (const violation of (extensions['violations'] as Violation[] | undefined) ?? []) {
    const name = violation.field.replace(/^input\./, '').replace(/\..*$/, '');
    fields[name] = fields[name] ? `${fields[name]} ${saidRule(violation)}` : saidRule(violation);
  }
  const message = said(code, first.message, extensions);
  if (code === 'CONFLICT' && typeof extensions['field'] === 'string') fields[extensions['field']] = message;
  return { code, message, fields };
}

/** The same of an urql result's error. */
export const problemIn = (error: { graphQLErrors: readonly GraphQLProblem[] }): Problem => problemOf(error.graphQLErrors);

import i18next from 'i18next';
import { bytes, decimal } from './format';
import type en from './i18n/en.json';

type Violation = { field: string; rule: string; message: string };
export type GraphQLProblem = { message: string; extensions?: Record<string, unknown> | undefined };

/** What went wrong, for a person: one text, one for each field that is named, the containers in the way, and what of one's quota is. */
export type Problem = {
  code: string;
  message: string;
  fields: Record<string, string>;
  /** The rules that were broken, by name. */
  rules?: string[];
  containers?: { id: string; name: string }[];
  short?: Short;
};
/** What one's quota had too little of. */
export type Short = { resource?: string | undefined; used?: number | undefined; requested?: number | undefined };

type Code = keyof typeof en.errors;
type Rule = keyof typeof en.rules;
type Resource = keyof typeof en.quota;
type Reason = keyof typeof en.reasons;

/** Where a form asks for what there is too little of. */
const fieldOf: Record<string, string> = { cpu: 'cpuLimit', memory: 'memoryLimit', gpu: 'gpuLimit', volumes: 'workspace' };

const english = () => i18next.language.startsWith('en');

/** What an error tells beside its code, as a person reads it; amounts of memory are in bytes. */
function readable(extensions: Record<string, unknown>) {
  const { resource, containers, others, ...rest } = extensions;
  const told: Record<string, unknown> = { ...rest };
  const inBytes = resource === 'memory' || resource === 'disk';
  for (const name of ['limit', 'used', 'requested', 'free']) {
    const amount = rest[name];
    if (typeof amount === 'number') told[name] = inBytes ? bytes(amount, i18next.language) : decimal(amount, i18next.language, 2);
  }
  if (typeof resource === 'string' && i18next.exists(`quota.${resource}`)) told['resource'] = i18next.t(`quota.${resource as Resource}`);
  if (Array.isArray(containers)) {
    const names = (containers as { name: string }[]).map(({ name }) => name);
    if (typeof others === 'number' && others > 0) names.push(i18next.t('app.ofOthers', { count: others }));
    told['containers'] = new Intl.ListFormat(i18next.language, { type: 'conjunction' }).format(names);
  }
  return told;
}

/** English comes from the server, which knows the case best; other languages are said by code and parameters. */
export function said(code: string, message: string, extensions: Record<string, unknown> = {}) {
  if (code === 'NETWORK') return i18next.t('errors.NETWORK');
  if (english() || !i18next.exists(`errors.${code}`)) return message;
  const reason = extensions['reason'];
  if (typeof reason === 'string' && i18next.exists(`reasons.${reason}`)) return i18next.t(`reasons.${reason as Reason}`);
  const told = readable(extensions);
  const template = i18next.getResource(i18next.language, 'translation', `errors.${code}`) as string;
  // A sentence with a hole in it is worse than one in another language.
  const whole = [...template.matchAll(/{{(\w+)/g)].every(([, name]) => told[name ?? ''] !== undefined);
  return whole ? i18next.t(`errors.${code as Code}`, told) : message;
}

function saidRule({ rule, message }: Violation) {
  if (english() || !i18next.exists(`rules.${rule}`)) return message;
  return i18next.t(`rules.${rule as Rule}`);
}

function shortOf({ resource, used, requested }: Record<string, unknown>): Short {
  return {
    ...(typeof resource === 'string' && { resource }),
    ...(typeof used === 'number' && { used }),
    ...(typeof requested === 'number' && { requested }),
  };
}

export function problemOf(errors: readonly GraphQLProblem[]): Problem {
  const first = errors[0];
  if (!first) return { code: 'NETWORK', message: said('NETWORK', ''), fields: {} };
  const extensions = first.extensions ?? {};
  const code = typeof extensions['code'] === 'string' ? extensions['code'] : 'INTERNAL';
  const fields: Record<string, string> = {};
  const violations = (extensions['violations'] as Violation[] | undefined) ?? [];
  for (const violation of violations) {
    const name = violation.field.replace(/^input\./, '').replace(/\..*$/, '');
    fields[name] = fields[name] ? `${fields[name]} ${saidRule(violation)}` : saidRule(violation);
  }
  const message = said(code, first.message, extensions);
  if (code === 'CONFLICT' && typeof extensions['field'] === 'string') fields[extensions['field']] = message;
  const short = fieldOf[String(extensions['resource'])];
  if ((code === 'QUOTA_EXCEEDED' || code === 'CAPACITY_EXCEEDED') && short) fields[short] = message;
  const containers = extensions['containers'] as Problem['containers'];
  return {
    code,
    message,
    fields,
    ...(violations.length > 0 && { rules: violations.map(({ rule }) => rule) }),
    ...(Array.isArray(containers) && { containers }),
    ...(code === 'QUOTA_EXCEEDED' && { short: shortOf(extensions) }),
  };
}

/** The same of an urql result's error. */
export const problemIn = (error: { graphQLErrors: readonly GraphQLProblem[] }): Problem => problemOf(error.graphQLErrors);

type Obstacle = {
  code: string;
  message: string;
  resource: string | null;
  limit: number | null;
  used: number | null;
  requested: number | null;
};

/** What the dry run says would be refused, in the words of the refusal: by field, and the rest. */
export function obstacles(found: readonly Obstacle[]): { fields: Record<string, string>; rest: string[]; short?: Short } {
  const fields: Record<string, string> = {};
  const rest: string[] = [];
  let short: Short | undefined;
  for (const { code, message, ...amounts } of found) {
    const given = Object.fromEntries(Object.entries(amounts).filter(([, value]) => value !== null));
    const free = amounts.limit === null || amounts.used === null ? {} : { free: Math.max(amounts.limit - amounts.used, 0) };
    const text = said(code, message, { ...given, ...free });
    if (code === 'QUOTA_EXCEEDED') short ??= shortOf(given);
    const field = fieldOf[amounts.resource ?? ''];
    if (!field) rest.push(text);
    else fields[field] = fields[field] ? `${fields[field]} ${text}` : text;
  }
  return { fields, rest, ...(short && { short }) };
}

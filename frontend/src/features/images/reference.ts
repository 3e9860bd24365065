export type ReferenceFault = 'spaces' | 'scheme' | 'upper' | 'long' | 'shape';

const component = '[a-z0-9]+(?:(?:\\.|_{1,2}|-+)[a-z0-9]+)*';
const host =
  '(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::\\d+)?|\\[[0-9a-fA-F:]+\\](?::\\d+)?';
const whole = new RegExp(
  `^(?:(?:${host})/)?${component}(?:/${component})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`,
);

/** What is wrong with a reference while it is typed; undefined when nothing is, or nothing is there yet. The server has the last word. */
export function faultOf(typed: string): ReferenceFault | undefined {
  const text = typed.trim();
  if (text === '') return undefined;
  if (text.length > 255) return 'long';
  if (whole.test(text)) return undefined;
  if (/\s/.test(text)) return 'spaces';
  if (text.includes('://')) return 'scheme';
  const path = text.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  if (/[A-Z]/.test(path)) return 'upper';
  return 'shape';
}

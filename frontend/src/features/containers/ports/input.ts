export type PortValue = { name?: string | undefined; port?: number | null | undefined };

/** Ports of a form as the server is asked for them: without a number there is none, and without a name the number is it. */
export function portsOf(values: readonly (PortValue | undefined)[]) {
  return values.flatMap((value) => {
    const { name = '', port } = value ?? {};
    return typeof port === 'number' ? [{ name: name.trim() || `port-${port}`, port }] : [];
  });
}

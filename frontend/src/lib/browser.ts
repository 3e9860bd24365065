/** Hands the person a file that was made here. */
export function save(name: string, type: string, ...parts: string[]) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

/** Puts text on the clipboard; without TLS browsers have only the old way. Says whether it worked. */
export async function copy(text: string) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    // Beside what has the focus, as a dialog takes it back from everything outside.
    (document.activeElement?.parentElement ?? document.body).append(area);
    area.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- there is no other where clipboard is not
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** The address of something here, whatever name the server believes to have: nothing is fetched from elsewhere. */
export function here(address: string | null | undefined) {
  if (!address) return undefined;
  const { pathname, search } = new URL(address, window.location.href);
  return pathname + search;
}

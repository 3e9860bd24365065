export type Theme = 'light' | 'dark';

const stored = (): Theme => {
  const kept = localStorage.getItem('theme');
  if (kept === 'light' || kept === 'dark') return kept;
  return window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
};

let current: Theme = stored();
const listeners = new Set<() => void>();
const show = () => {
  document.documentElement.dataset['theme'] = current;
};
show();

/** The chosen theme, for useSyncExternalStore. */
export const theme = {
  get: () => current,
  set: (next: Theme) => {
    current = next;
    localStorage.setItem('theme', next);
    show();
    for (const listener of listeners) listener();
  },
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  },
};

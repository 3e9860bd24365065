const listeners = new Set<() => void>();

/**
 * Tells when the socket is there again after it was away. Listeners are called before the subscriptions that lived on are
 * asked for again: one that goes on from a place of its own ends its old subscription in time, and begins a new one.
 */
export const connection = {
  back() {
    for (const listener of [...listeners]) listener();
  },
  onBack(listener: () => void) {
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  },
};

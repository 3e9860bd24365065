const pauses = [300, 1000, 3000];

/**
 * Fetches code, again after a pause where that fails: a browser on the engine's own machine drops its connections
 * when a network comes or goes there.
 */
export async function again<T>(load: () => Promise<T>): Promise<T> {
  for (const pause of pauses) {
    try {
      return await load();
    } catch {
      await new Promise((resume) => setTimeout(resume, pause));
    }
  }
  return load();
}

type Sample = { at: number; bytes: number };

/** Over how long a rate is taken, and after how long without news there is none, in milliseconds. */
const span = 5_000;
/** How late what is told may be, in milliseconds. */
const late = 2_000;

/** The last seconds of a pull, from which its rate is told. */
export class Rate {
  private samples: Sample[] = [];

  add(bytes: number, at: number) {
    const last = this.samples.at(-1);
    if (last && bytes < last.bytes) {
      // Two subscriptions may tell of one pull, the one a little later than the other.
      if (at - last.at < late) return;
      // Another candidate is pulled, or the same from the beginning.
      this.samples = [];
    }
    this.samples.push({ at, bytes });
    // One from before the span stays, so that slow news has two ends.
    while (this.samples.length > 2 && (this.samples[1]?.at ?? at) < at - span) this.samples.shift();
  }

  /** Bytes a second; undefined before it can be told. */
  perSecond(now: number): number | undefined {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    if (!first || !last || last.at - first.at < 500) return undefined;
    const until = now - last.at > span ? now : last.at;
    return (1000 * (last.bytes - first.bytes)) / (until - first.at);
  }
}

/** The rates of the pulls that are watched, outside the graph cache: they are no part of what the server says. */
export class Rates {
  private readonly of = new Map<string, Rate>();

  put(id: string, bytes: number | undefined, at: number) {
    if (bytes === undefined) {
      this.of.delete(id);
      return;
    }
    const rate = this.of.get(id) ?? new Rate();
    this.of.set(id, rate);
    rate.add(bytes, at);
  }
  get(id: string, now: number) {
    return this.of.get(id)?.perSecond(now);
  }
}

export const rates = new Rates();

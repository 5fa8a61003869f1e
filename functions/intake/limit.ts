import type { Rate } from "../time.ts";

type Bucket = { left: number; at: number; told: boolean };

/** How many wrong tokens are answered and logged one by one, of all who send them together. */
export const wrongTokens: Rate = { most: 60, milliseconds: 60_000 };

/**
 * The rest of the rate of each name, in this process alone: a bucket of `most` that fills evenly. A charge that is
 * larger than the rest makes a debt: the whole batch goes through, and the next one waits.
 */
export const rateLimiter = () => {
  const buckets = new Map<string, Bucket>();
  const bucketOf = (name: string, { most, milliseconds }: Rate, now: number): Bucket => {
    const { left, at, told } = buckets.get(name) ?? { left: most, at: now, told: false };
    // A clock that was set back must not stop the filling.
    const filled = Math.min(most, left + (Math.max(0, now - at) * most) / milliseconds);
    const bucket = { left: filled, at: now, told };
    buckets.set(name, bucket);
    return bucket;
  };
  return {
    /** Takes one for `name`; if none is left, after how many seconds there is, and whether that is the first time. */
    take: (name: string, rate: Rate, now: number): undefined | { afterSeconds: number; first: boolean } => {
      const bucket = bucketOf(name, rate, now);
      const first = !bucket.told;
      bucket.told = bucket.left < 1;
      if (bucket.told)
        return {
          afterSeconds: Math.ceil(((1 - bucket.left) * rate.milliseconds) / rate.most / 1000),
          first,
        };
      bucket.left -= 1;
      return undefined;
    },
    /** Charges `count` more to `name`. */
    charge: (name: string, rate: Rate, count: number, now: number): void => {
      bucketOf(name, rate, now).left -= count;
    },
  };
};

export type Limiter = ReturnType<typeof rateLimiter>;

/** A call that takes longer may never end: Cloudflare stops it together with the request that began it. */
const longestCallMilliseconds = 10_000;

/**
 * A function that calls `ask` at most once in so many milliseconds, and not while a call runs. In between it returns the
 * last answer. `ask` must resolve to plain data, because requests share it.
 */
export const atMostEvery = <T>(
  milliseconds: number,
  clock: () => number,
  ask: () => Promise<T>,
): (() => Promise<T>) => {
  let last: { answer: Promise<T>; at: number; valid: number } | undefined;
  return () => {
    const now = clock();
    // A clock that was set back must not keep an old answer.
    if (last && Math.abs(now - last.at) < last.valid) return last.answer;
    const call = { answer: ask(), at: now, valid: longestCallMilliseconds };
    last = call;
    const ended = () => Object.assign(call, { at: clock(), valid: milliseconds });
    call.answer.then(ended, ended);
    return call.answer;
  };
};

import type { MiddlewareHandler } from "hono";
import type { Doors } from "./doors.ts";
import { atMostEvery } from "./limit.ts";

/**
 * So much of one site's alerts may wait in the queue. 10,000 services that fail at once, with five contacts and 2 KB each,
 * need 100 MB, and a relay may be down for days. A monitor that has gone mad must not fill a disk that sites share.
 */
export const mostWaitingBytes = 512 * 1024 * 1024;
/** The queue has room again only when relays accept mail. */
const quotaRetrySeconds = 60;
/** The queue is asked so often how much of a site waits. */
const quotaMilliseconds = 250;

/** Refuses posts of a site beyond its rate or its quota, before the body is read. The body's alerts are charged later. */
export const quota = ({
  tokens,
  queue,
  clock,
  rate,
  refusals,
  limiter,
}: Doors): MiddlewareHandler<{ Variables: { site: string } }> => {
  /** The sites whose last post exceeded the quota. */
  const over = new Set<string>();
  const bytesOf = new Map(
    tokens.map(({ site }) => [site, atMostEvery(quotaMilliseconds, clock, () => queue.waitingBytes(site))]),
  );
  return async (c, next) => {
    const site = c.get("site");
    const full = rate && limiter.take(site, rate, clock());
    if (full)
      return refusals.tooMany("This site posts more alerts than HARDSTATE_RATE allows.", full, { site });
    let bytes: number | undefined;
    try {
      bytes = await bytesOf.get(site)?.();
    } catch (error) {
      return refusals.unavailable("queue", error);
    }
    const first = !over.has(site);
    if (bytes === undefined || bytes < mostWaitingBytes) {
      over.delete(site);
      return next();
    }
    over.add(site);
    const detail = `${mostWaitingBytes / 1024 ** 2} MiB of this site's alerts wait for their mail.`;
    return refusals.tooMany(detail, { afterSeconds: quotaRetrySeconds, first }, { site });
  };
};

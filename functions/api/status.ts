import { refusing } from "../deliver/breaker.ts";
import { bouncing } from "../ledger/bouncing.ts";
import type { Flow } from "../ledger/flow.ts";
import { isSilent } from "../ledger/heartbeat.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { turnedAway } from "../ledger/rejection.ts";
import type { Queue } from "../queue/queue.ts";
import type { StatusPage } from "./shapes.ts";

/** How the bridge is for a site, and the site's flow since then. Routes that the settings have no more are left out. */
export const findStatus = async (
  { queue, ledger }: { queue: Pick<Queue, "depth" | "deadLetterCount">; ledger: Ledger },
  site: string,
  now: number,
  since = now,
): Promise<{ status: StatusPage; flow: Flow }> => {
  const [depth, dead, routes, heartbeats, flow, turned, lost] = await Promise.all([
    queue.depth(),
    queue.deadLetterCount(site),
    ledger.routes(),
    ledger.heartbeats(),
    ledger.flow(site, since),
    turnedAway(ledger, site, now),
    bouncing(ledger, site, now),
  ]);
  const status = {
    now,
    queue: { waiting: depth.waiting, in_flight: depth.handedOut, oldest: depth.oldestAt },
    dead_letters: dead,
    routes: routes
      .filter(({ removed }) => !removed)
      .map((state) => {
        const { route, down } = state;
        const refusal = refusing(state, now);
        return {
          route,
          down: down !== undefined,
          refused: refusal !== undefined,
          since: down?.since ?? refusal?.at,
          reason: (down ?? refusal)?.reason,
          probe_at: down?.probeAt,
        };
      }),
    heartbeats: heartbeats
      .filter((one) => one.site === site)
      .map((one) => ({ monitor: one.monitor, last: one.at, silent: isSilent(one) })),
    last: { accepted: flow.acceptedAt, mailed: flow.mailedAt },
    rejected: turned.rejected,
    wrong_tokens: turned.wrongTokens,
    bouncing: lost,
  };
  return { status, flow };
};

const secondsSince = (now: number, at: number): number => Math.max(0, Math.floor((now - at) / 1000));

/**
 * The status as lines of a name and a number, for scripts without JSON; more lines may come. One that begins with
 * `bouncing_contact` names one of those that `bouncing` counts.
 */
export const asLines = (status: StatusPage): string => {
  const { now, queue, dead_letters, routes, heartbeats, rejected, wrong_tokens, bouncing } = status;
  const count = <T>(all: readonly T[], which: (one: T) => boolean) => all.filter(which).length;
  // SQS does not tell since when its messages wait.
  const unknown = queue.oldest === undefined && queue.waiting + queue.in_flight > 0;
  const lines = {
    ...(!unknown && { oldest_seconds: queue.oldest === undefined ? 0 : secondsSince(now, queue.oldest) }),
    waiting: queue.waiting,
    in_flight: queue.in_flight,
    dead_letters,
    rejected,
    wrong_tokens: wrong_tokens.count,
    bouncing: bouncing.length,
    routes: routes.length,
    routes_down: count(routes, ({ down }) => down),
    // The check_hardstate of the version before needs it.
    routes_open: count(routes, ({ down }) => down),
    routes_refused: count(routes, ({ refused }) => refused),
    heartbeats: heartbeats.length,
    heartbeats_silent: count(heartbeats, ({ silent }) => silent),
    ...(heartbeats.length > 0 && {
      heartbeat_seconds: secondsSince(now, Math.min(...heartbeats.map(({ last }) => last))),
    }),
  };
  return [
    ...Object.entries(lines).map(([name, value]) => `${name} ${value}\n`),
    ...bouncing.map(({ contact }) => `bouncing_contact ${contact}\n`),
  ].join("");
};

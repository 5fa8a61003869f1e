import { refusing } from "../deliver/breaker.ts";
import { type Bouncing, bouncing } from "../ledger/bouncing.ts";
import type { Flow } from "../ledger/flow.ts";
import { isSilent } from "../ledger/heartbeat.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { turnedAway, type WrongTokens } from "../ledger/rejection.ts";
import type { Queue } from "../queue/queue.ts";

/** How the bridge is, as one site may know it. Times are Unix milliseconds of the bridge. */
export type Status = {
  now: number;
  queue: { waiting: number; in_flight: number; oldest?: number };
  /** Dead letters of this site, counted up to `mostDeadLetters`. */
  dead_letters: number;
  routes: {
    route: string;
    /** No mail goes by it but a probe now and then. */
    down: boolean;
    /** It refuses our login, sender or account, or the way to it is not safe; down or not. */
    refused: boolean;
    since?: number;
    reason?: string;
    probe_at?: number;
  }[];
  heartbeats: { monitor: string; last: number; silent: boolean }[];
  /** When the site's last alert was received, and when a relay last took a mail of it (ledger/flow.ts). */
  last: { accepted?: number; mailed?: number };
  /** Alerts, or mailboxes of alerts, of this site that were rejected in the last 24 hours. */
  rejected: number;
  /** Posts without a token of any site in the last 24 hours. */
  wrong_tokens: WrongTokens;
  /** Contacts of this site who get no mail: it comes back, or relays refuse or defer it. */
  bouncing: Bouncing[];
};

/** The status of a site, and its flow from `since` on. Routes that the settings have no more are left out. */
export const readStatus = async (
  { queue, ledger }: { queue: Pick<Queue, "depth" | "deadLetterCount">; ledger: Ledger },
  site: string,
  now: number,
  since = now,
): Promise<{ status: Status; flow: Flow }> => {
  const [depth, dead_letters, routes, heartbeats, flow, turned, lost] = await Promise.all([
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
    dead_letters,
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
export const asLines = (status: Status): string => {
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

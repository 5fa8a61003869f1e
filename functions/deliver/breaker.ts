import type { Rate } from "../rate.ts";
import type { DeliveryOutcome, Step } from "./delivery.ts";

/** What all workers know of one route. Times are Unix milliseconds. */
export type RouteState = {
  route: string;
  /** Of the ledger's row; 0 if there is none yet. */
  revision: number;
  /** Failures in a row that say that the route itself is of no use. */
  failures: number;
  /** While it is open, nobody sends by it but one probe at a time, the next at `probeAt`. */
  open?: { since: number; probes: number; probeAt: number; probing: boolean; reason: string; step: Step };
  /** What the operators were told last, and when that it is open. */
  told: { open: boolean; at: number };
  /** When mails were begun, as far back as its rate looks. */
  begun: number[];
  /** The settings have it no more. */
  removed?: true;
};

export const newRoute = (route: string): RouteState => ({
  route,
  revision: 0,
  failures: 0,
  told: { open: false, at: 0 },
  begun: [],
});

/** How often may be asked: a host costs a connection, but accounts are locked for too many refused logins. */
const hostSeconds = [30, 60, 120];
const loginSeconds = [30, 60, 120, 300, 600];
/** Who finds a probe under way looks again so soon. */
const lookAgainMilliseconds = 5_000;

/** No probe is further away than ten minutes: what seems to be was set before the clock was set back. */
const farMilliseconds = 660_000;

/** How long after a failure an open route is probed: the last of its schedule again and again. */
const probeDelay = (probes: number, { result }: DeliveryOutcome): number => {
  const schedule = result === "unauthorised" ? loginSeconds : hostSeconds;
  return (schedule[Math.min(probes, schedule.length - 1)] ?? 600) * 1000;
};

/** Until when a route is not to be tried, and why; `spread`: within what time after that those who wait may come. */
export type Wait = { until: number; reason: string; spread?: number };

/**
 * Whether a mail may be begun by a route now: the state with that noted, or until when to wait and why. An open route
 * takes one mail at its time, as a probe that may last until `probeEnds`.
 */
export const beginning = (
  state: RouteState,
  rate: Rate | undefined,
  now: number,
  probeEnds: number,
): { state: RouteState } | Wait => {
  const { open, begun } = state;
  if (open && now < open.probeAt && open.probeAt - now < farMilliseconds) {
    const until = open.probing ? Math.min(open.probeAt, now + lookAgainMilliseconds) : open.probeAt;
    return { until, reason: open.reason };
  }
  const recent = rate ? begun.filter((at) => Math.abs(now - at) < rate.milliseconds) : [];
  const first = recent.at(-(rate?.most ?? 0));
  if (rate && first !== undefined && recent.length >= rate.most)
    return {
      until: first + rate.milliseconds,
      reason: `its rate is ${rate.most} mails in ${rate.milliseconds / 1000} s`,
      spread: rate.milliseconds,
    };
  const probe = open && { ...open, probing: true, probeAt: probeEnds };
  if (!probe && !rate) return { state };
  return { state: { ...state, ...(probe && { open: probe }), begun: rate ? [...recent, now] : [] } };
};

/**
 * How many failures like this in a row open a route; undefined: it says nothing against the route. Refused
 * credentials are refused for every mail; a dead host may be one lost packet; replies to the final dot that are lost
 * again and again say that the relay is broken.
 */
const failuresThatOpen = (outcome: DeliveryOutcome): number | undefined => {
  if (outcome.result === "unauthorised") return 1;
  if (outcome.result !== "deferred") return undefined;
  if (outcome.lostAfterData) return 3;
  // What fails before a recipient was named is not about this mail.
  return ["recipient", "data", "after-data"].includes(outcome.step) ? undefined : 2;
};

/**
 * The route after an attempt, or after a session without a mail in which all went well. Any answer about the mail itself closes it, whatever it says. What began before the
 * route was opened, and fails after that, is no probe and changes nothing.
 */
export const afterAttempt = (
  state: RouteState,
  outcome: DeliveryOutcome | undefined,
  now: number,
): RouteState => {
  const { open, failures, ...rest } = state;
  const limit = outcome && failuresThatOpen(outcome);
  if (!outcome || outcome.result === "accepted" || limit === undefined)
    return open || failures > 0 ? { ...rest, failures: 0 } : state;
  if (open && !open.probing) return state;
  if (!open && failures + 1 < limit) return { ...rest, failures: failures + 1 };
  const probes = open ? open.probes + 1 : 0;
  return {
    ...rest,
    failures: failures + 1,
    open: {
      since: open?.since ?? now,
      probes,
      probeAt: now + probeDelay(probes, outcome),
      probing: false,
      reason: outcome.reply,
      step: outcome.step,
    },
  };
};

/** That a route is open is told once an hour at most, however often it opens; that it is closed, to whoever was told. */
const tellMilliseconds = 3_600_000;

/** The route once the operators were told how it is; undefined: there is nothing to be told now. */
export const afterTelling = (state: RouteState, now: number): RouteState | undefined => {
  const { open, told } = state;
  if ((open !== undefined) === told.open) return undefined;
  if (!open) return { ...state, told: { ...told, open: false } };
  return Math.abs(now - told.at) < tellMilliseconds ? undefined : { ...state, told: { open: true, at: now } };
};

/**
 * The route as a bridge finds it that has just been started, perhaps with better settings: it may be probed at once,
 * and is open no more if the settings have it no more.
 */
export const afterStart = (state: RouteState, now: number, used: boolean): RouteState => {
  const { removed: _, open, ...rest } = state;
  if (!used) return { ...rest, removed: true };
  return open ? { ...rest, open: { ...open, probeAt: Math.min(open.probeAt, now) } } : rest;
};

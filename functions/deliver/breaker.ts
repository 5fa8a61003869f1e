import type { Rate } from "../time.ts";
import type { DeliveryOutcome, Step } from "./outcome.ts";

/** The shared state of one route. Times are Unix milliseconds. */
export type RouteState = {
  route: string;
  /** The revision of the ledger's row; 0 if there is none yet. */
  revision: number;
  /** How many attempts in a row failed because of the route itself. */
  failures: number;
  /** While it is down, nobody sends by it but one probe at a time, the next at `probeAt`. */
  down?: {
    since: number;
    probes: number;
    probeAt: number;
    probing: boolean;
    reason: string;
    step: Step;
    /** It may refuse the recipients in `failedFor` alone: mail to others probes it at any time. */
    unclear?: true;
  };
  /** The recipients to whom it refused mail in a row for what may be their own fault. */
  failedFor?: string[];
  /**
   * Its last refusal because of us, down or not: sender, login, quota or policy. `over`: it has taken a mail since,
   * and the operators must still hear of it; else no mail that it took came after that.
   */
  refusal?: { at: number; lastAt?: number; reason: string; step: Step; over?: true };
  /** It asked for a slower pace, so many times in a row: no mail is begun before `until`. */
  slowed?: { until: number; times: number; reason: string };
  /** The last notice to the operators: whether it is down, when they heard so, and when they heard that it refuses us. */
  told: { down: boolean; at: number; refusalAt?: number };
  /** When mails began or will begin, as far back as its rate counts. */
  begun: number[];
  /** The site of each of these. */
  begunBy?: string[];
  /** The settings have it no more. */
  removed?: true;
};

type Stored = Omit<RouteState, "route" | "revision">;
/** A route's state as the ledger stored it. The version before said `open` for `down`. */
export const storedRoute = ({
  open,
  told: { open: wasTold, ...told },
  ...rest
}: Stored & { open?: Stored["down"]; told: { open?: boolean } }): Stored => ({
  ...(open && { down: open }),
  ...rest,
  told: { ...told, down: told.down ?? wasTold ?? false },
});

export const newRoute = (route: string): RouteState => ({
  route,
  revision: 0,
  failures: 0,
  told: { down: false, at: 0 },
  begun: [],
});

/** How often may be asked: a host costs a connection, but accounts are locked for too many refused logins. */
const hostSeconds = [30, 60, 120];
const loginSeconds = [30, 60, 120, 300, 600];
/** A worker that finds a probe under way looks again after this time. */
const lookAgainMilliseconds = 5_000;

/** No probe is further away than ten minutes: what seems to be was set before the clock was set back. */
const farMilliseconds = 660_000;

/** How long after a failure a route that is down is probed: the last of its schedule again and again. */
const probeDelay = (probes: number, outcome: DeliveryOutcome): number => {
  const accounts =
    outcome.result === "unauthorised" ||
    (outcome.result === "deferred" && (outcome.quota || outcome.step === "auth"));
  const schedule = accounts ? loginSeconds : hostSeconds;
  return (schedule[probes] ?? schedule.at(-1) ?? 600) * 1000;
};

/**
 * Until when a route must not be tried, and why. With `spread` the route works, and only its pace is in the way: the
 * mails that wait are spread over this many milliseconds after that.
 */
export type Wait = { until: number; reason: string; spread?: number };

/** So many recipients in a row take a route down: a few that it refuses must not hold up the mail of all others. */
const failedForUntilDown = 5;
const mostFailedFor = 100;

/** A mail may be quicker to the relay by so much than the one before it: its rate is counted there. */
const travelMilliseconds = 50;

/**
 * How many mails of a rate are reserved, a tenth: for sites that have begun fewer than these. So one site cannot use up the
 * rate of an hour or a day. A rate per second reserves none, because its mails wait at their connections, which sites
 * share by turns. A rate of fewer than five reserves none.
 */
const reservedOf = ({ most, milliseconds }: Rate): number =>
  milliseconds < 60_000 || most < 5 ? 0 : Math.max(1, Math.floor(most / 10));

/** How long a route rests each time it asks for a slower pace. SES allows mail again after one second. */
const slowedSeconds = [1, 2, 4, 8, 16, 30];
const slowedSpreadMilliseconds = 500;

/** How long a mail waits when the route rests, or when the relay told this mail "too fast". */
export const slowedWait = ({ until, reason }: NonNullable<RouteState["slowed"]>): Wait => ({
  until,
  reason,
  spread: slowedSpreadMilliseconds,
});

const rests = (slowed: RouteState["slowed"], now: number): boolean =>
  slowed !== undefined && now < slowed.until && slowed.until - now < farMilliseconds;

export type Begun = { state: RouteState; at: number } | Wait;
/**
 * When a mail may be begun by a route: now, or within `patience` milliseconds if its rate says so, and the state with
 * that noted; or until when to wait and why. A route that is down takes one mail at its time, as a probe that may last until
 * `probeEnds`.
 */
export const beginning = (
  state: RouteState,
  rate: Rate | undefined,
  now: number,
  probeEnds: number,
  patience = 0,
  mail?: { site: string; contact: string },
): Begun => {
  const { down, slowed, begun, begunBy = [], failedFor = [] } = state;
  const isOther = mail && failedFor.length < mostFailedFor && !failedFor.includes(mail.contact);
  const probesNow = down?.unclear && !down.probing && isOther;
  if (down && !probesNow && now < down.probeAt && down.probeAt - now < farMilliseconds) {
    const until = down.probing ? Math.min(down.probeAt, now + lookAgainMilliseconds) : down.probeAt;
    return { until, reason: down.reason };
  }
  if (slowed && rests(slowed, now)) return slowedWait(slowed);
  const probe = down && { ...down, probing: true, probeAt: probeEnds };
  if (!rate) {
    const { begunBy: _, ...rest } = state;
    return { state: probe ? { ...rest, down: probe, begun: [] } : state, at: now };
  }
  const span = rate.milliseconds + travelMilliseconds;
  const site = mail?.site ?? "";
  // A time further ahead than any wait was noted before the clock was set back.
  const recent = begun
    .map((at, index) => ({ at, site: begunBy[index] ?? "" }))
    .filter(({ at }) => Math.abs(now - at) < span + patience);
  const own = recent.filter((one) => one.site === site);
  /** From when one more mail makes at most `most` of these within the rate's time. */
  const within = (some: typeof recent, most: number): number =>
    most === 0 ? Number.POSITIVE_INFINITY : (some.at(-most)?.at ?? Number.NEGATIVE_INFINITY) + span;
  const reserved = reservedOf(rate);
  const mine = Math.min(within(recent, rate.most - reserved), within(own, reserved));
  const at = Math.max(now, within(recent, rate.most), mine);
  if (at > now + patience) {
    const reason = `its rate is ${rate.most} mails in ${rate.milliseconds / 1000} s`;
    return { until: at, reason, spread: rate.milliseconds };
  }
  // A mail of the reserved part may begin before mails that wait at their connections.
  const noted = [...recent, { at, site }].sort((one, other) => one.at - other.at).slice(-rate.most);
  const times = { begun: noted.map((one) => one.at), begunBy: noted.map((one) => one.site) };
  return { state: { ...state, ...(probe && { down: probe }), ...times }, at };
};

/** A login that is refused is refused for every mail, and accounts are locked for repeating it. */
const beforeMail: readonly Step[] = ["tls", "auth-offered", "token", "auth", "sender"];

/**
 * How many failures like this in a row take a route down; undefined: it says nothing about the route. A refusal that
 * comes at a mail may be that mail's; a dead host may be one lost packet; replies to the final dot that are lost again
 * and again say that the relay is broken.
 */
const failuresThatOpen = (outcome: DeliveryOutcome): number | undefined => {
  if (outcome.result === "unauthorised")
    return outcome.step === "connect" || beforeMail.includes(outcome.step) ? 1 : 2;
  if (outcome.result !== "deferred") return undefined;
  if (outcome.tooFast) return undefined;
  if (outcome.lostAfterData) return 3;
  if (outcome.quota) return 2;
  // A failure before a recipient was named is not about this mail.
  return ["recipient", "data", "after-data"].includes(outcome.step) ? undefined : 2;
};

/**
 * A reply without the address of the contact and the name of the mail (identity.ts), which the sender's address may
 * have: each site may read what a route said last, whosever mail that was, and who has a name may say that it bounced.
 */
const withoutContact = (reply: string, contact: string | undefined): string => {
  const nameless = reply.replaceAll(/(?<![\da-f])[\da-f]{40}(?![\da-f])/gi, "*");
  return contact
    ? nameless.replaceAll(new RegExp(contact.replaceAll(/\W/g, "\\$&"), "gi"), "[recipient]")
    : nameless;
};

/** Operators hear once an hour at most that a route is down, and that it is back only if they heard it was down. */
const tellMilliseconds = 3_600_000;
/** They hear at once that a route refuses us, before it is down, and no more of that for a day. */
const refusalMilliseconds = 86_400_000;
const lately = (at: number | undefined, span: number, now: number): boolean =>
  at !== undefined && Math.abs(now - at) < span;

const slowedFor = (times: number, now: number, reason: string): RouteState["slowed"] => {
  const seconds = slowedSeconds[times - 1] ?? 30;
  return { until: now + seconds * 1000, times, reason };
};

/**
 * The pace after an answer. Mails that were under way end while the route rests. Another "too fast" to them changes
 * nothing, but if the relay accepts one, no long rest is needed.
 */
const slowedAfter = (
  slowed: RouteState["slowed"],
  outcome: DeliveryOutcome | undefined,
  now: number,
  contact: string | undefined,
): RouteState["slowed"] => {
  const tooFast = outcome?.result === "deferred" && outcome.tooFast;
  if (slowed && rests(slowed, now))
    return tooFast || slowed.times === 1 ? slowed : slowedFor(1, now, slowed.reason);
  return tooFast
    ? slowedFor((slowed?.times ?? 0) + 1, now, withoutContact(outcome.reply, contact))
    : undefined;
};

/**
 * The route after an attempt to mail a contact, or after a session without a mail in which all went well. Any answer
 * about the mail itself brings the route up, whatever it says, and so does "too fast". A failure that began before the
 * route went down is no probe and changes nothing. A refusal that may be the recipient's counts at the fifth in a row.
 */
export const afterAttempt = (
  state: RouteState,
  outcome: DeliveryOutcome | undefined,
  now: number,
  contact?: string,
): RouteState => {
  const { down, failures, failedFor = [], refusal: before, ...rest } = state;
  const limit = outcome && failuresThatOpen(outcome);
  if (!outcome || outcome.result === "accepted" || limit === undefined) {
    const slowed = slowedAfter(state.slowed, outcome, now, contact);
    if (!down && (!before || before.over) && failures === 0 && slowed === state.slowed) return state;
    const untold = before && !down && !lately(state.told.refusalAt, refusalMilliseconds, now);
    return { ...rest, ...(untold && { refusal: { ...before, over: true } }), failures: 0, slowed };
  }
  if (down && !down.probing) return state;
  const said = { reason: withoutContact(outcome.reply, contact), step: outcome.step };
  const refused = outcome.result === "unauthorised" || (outcome.result === "deferred" && outcome.quota);
  const refusal = refused ? { at: before?.at ?? now, lastAt: now, ...said } : before;
  const unclear = limit > 1 && outcome.result === "unauthorised" && outcome.unclear && contact !== undefined;
  const recipients = unclear ? [...new Set([...failedFor, contact])].slice(0, mostFailedFor) : failedFor;
  const next = {
    ...rest,
    ...(refusal && { refusal }),
    ...(recipients.length > 0 && { failedFor: recipients }),
    failures: unclear ? failures : failures + 1,
  };
  if (!down && (unclear ? recipients.length < failedForUntilDown : next.failures < limit)) return next;
  const [since, probes] = down ? [down.since, down.probes + 1] : [now, 0];
  const probeAt = now + probeDelay(probes, outcome);
  return { ...next, down: { since, probes, probeAt, probing: false, ...said, ...(unclear && { unclear }) } };
};

/** The route once the operators were told how it is; undefined: there is nothing to be told now. */
export const afterTelling = (state: RouteState, now: number): RouteState | undefined => {
  const { refusal, ...rest } = state;
  const { down, told } = state;
  if (down) {
    const known = refusal && lately(told.refusalAt, tellMilliseconds, now);
    if (told.down || known || lately(told.at, tellMilliseconds, now)) return undefined;
    return { ...state, told: { ...told, down: true, at: now } };
  }
  if (told.down) return { ...state, told: { ...told, down: false } };
  if (!refusal || lately(told.refusalAt, refusalMilliseconds, now)) return undefined;
  return { ...rest, ...(!refusal.over && { refusal }), told: { ...told, refusalAt: now } };
};

/**
 * The route's present refusal because of us; undefined: it takes our mail, or has said nothing for a day. A fallback
 * that refused one recipient may have no other mail for weeks, and is not to raise an alarm for so long.
 */
export const refusing = ({ down, refusal }: RouteState, now: number): RouteState["refusal"] => {
  if (!refusal || refusal.over) return undefined;
  return down || lately(refusal.lastAt ?? refusal.at, refusalMilliseconds, now) ? refusal : undefined;
};

/** The route at a start, perhaps with better settings: it may be probed at once, and without use is down no more. */
export const afterStart = (state: RouteState, now: number, used: boolean): RouteState => {
  const { removed: _, down, refusal, ...rest } = state;
  if (!used) return { ...rest, removed: true };
  return down ? { ...rest, down: { ...down, probeAt: Math.min(down.probeAt, now) } } : rest;
};

import { setTimeout } from "node:timers/promises";
import { untilWritten } from "../until-written.ts";
import {
  afterAttempt,
  afterStart,
  type Begun,
  beginning,
  newRoute,
  type RouteState,
  slowedWait,
  type Wait,
} from "./breaker.ts";
import type { Mail } from "./mail.ts";
import { type Attempt, isLost } from "./outcome.ts";
import type { Relay } from "./relay-url.ts";
import { routeConnections, slowMilliseconds } from "./route-connections.ts";
import type { Transport } from "./transport.ts";

/** Where the states of routes are kept, for all workers: the ledger. */
export type RouteStates = {
  route(name: string): Promise<RouteState>;
  /** False if somebody else has written it since it was read. */
  writeRoute(state: RouteState): Promise<boolean>;
};

/** The result of a mail that was offered to the routes in their order. */
export type Handover = {
  /** In order; the last may be accepted. None if no route could be tried. */
  attempts: Attempt[];
  /** Every route was tried, and each refused it for the recipient or the message. */
  refused?: true;
  /** If no route may be tried before: until when, and why. */
  wait?: { until: number; reason: string };
  /** If a route that works deferred it: when another one may be tried that could not be now. */
  sooner?: number;
  /** The route that it waits for works: only its pace is in the way. */
  paced?: true;
};

export type RoutesParts = {
  routes: readonly { relay: Pick<Relay, "route" | "connections" | "rate">; transport: Transport }[];
  states: RouteStates;
  clock: () => number;
  /** A signal that aborts after so many milliseconds of `clock`; the platform's own if absent. */
  timeout?: (milliseconds: number) => AbortSignal;
  /** Resolves after so many milliseconds of `clock`; the platform's own if absent. */
  pause?: (milliseconds: number) => Promise<unknown>;
  /** After it aborts no mail waits here for its turn, because the process ends soon. */
  stopping?: AbortSignal;
};

/** An attempt that would have less time than this is not begun. */
export const leastAttemptMilliseconds = 20_000;
const noTime = "no time was left";
const givenWords = `no answer within ${slowMilliseconds / 1000} s, and another site's mail needed the connection`;
/** No mail waits for a connection with less time than this: a cut-off reply to the final dot makes a second copy. */
const unhurriedAttemptMilliseconds = 60_000;
/** The part of a mail's time that is left to each later route. */
const laterRouteMilliseconds = 40_000;
const busyMilliseconds = 10_000;
const othersFirstMilliseconds = 5_000;
/** How long a mail waits here for the pace of the last route: waiting in the queue costs two writes to the ledger. */
const mostPatienceMilliseconds = 30_000;

/** From 0 to 1, the same for one mail and one time: mails that wait for a pace spread, in another order each time. */
const shareOf = ({ messageId }: Mail, at: number): number =>
  (Number.parseInt(messageId.slice(1, 9), 16) / 0xffff_ffff + (at % 1000) / 1000 || 0) % 1;

/** When a mail that waits for a route may be tried again. */
const comeAt = ({ until, spread = 0 }: Wait, mail: Mail): number =>
  until + Math.floor(spread * shareOf(mail, until));

/** Changes a route's state, although other workers change it too. Resolves to its state after that. */
const change = (states: RouteStates, name: string, step: (state: RouteState) => RouteState) =>
  untilWritten("the state of a route", async () => {
    const state = await states.route(name);
    const next = step(state);
    return next === state || (await states.writeRoute(next)) ? next : undefined;
  });

/** Notes in a route's state that a mail begins, if it may. */
const noteBegin = async (states: RouteStates, name: string, begin: (state: RouteState) => Begun) => {
  let begun = begin(newRoute(name));
  await change(states, name, (state) => {
    begun = begin(state);
    return "state" in begun ? begun.state : state;
  });
  return begun;
};

/**
 * Offers a mail to the routes in their order until one accepts it. If a route defers or refuses it, the next one is tried
 * at once, which makes no second copy. If the reply to the final dot is lost, no other is tried, because that may make
 * one. Ends before `until` (Unix milliseconds). Breakers and rates are kept in `states`.
 */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: one state of attempts, and the steps that share it.
export const relays = ({
  routes,
  states,
  clock,
  timeout = (milliseconds) => AbortSignal.timeout(milliseconds),
  pause = setTimeout,
  stopping,
}: RoutesParts) => {
  const connected = routes.map((route) => ({
    ...route,
    connections: routeConnections(route.relay.connections, clock, pause),
  }));
  const offer = async (
    { relay, transport, connections }: (typeof connected)[number],
    mail: Mail,
    until: number,
    isLast: boolean,
  ): Promise<{ attempt: Attempt; state: RouteState } | Wait> => {
    const waitable = () => Math.max(until - unhurriedAttemptMilliseconds - clock(), 0);
    // A later route may take it at once.
    const patience = () =>
      isLast && !stopping?.aborted ? Math.min(waitable(), mostPatienceMilliseconds) : 0;
    const whose = { site: mail.alert.site, contact: mail.envelope.to };
    const begin = (state: RouteState) => beginning(state, relay.rate, clock(), until, patience(), whose);
    /** When a mail that has its connection is to ask again; undefined: it must wait in the queue. */
    const askAgainAt = (wait: Wait) => {
      const at = comeAt(wait, mail);
      return wait.spread !== undefined && at <= clock() + patience() ? at : undefined;
    };
    /** Waits here until the mail may begin, or tells how long it must wait in the queue. */
    const takeTurn = async (): Promise<Begun> => {
      for (;;) {
        const begun = await noteBegin(states, relay.route, begin);
        const at = "state" in begun ? begun.at : askAgainAt(begun);
        if (at === undefined) return begun;
        if (at > clock()) await pause(at - clock());
        if ("state" in begun) return begun;
      }
    };
    // A probe may use the only connection for minutes: no mail waits here for it.
    if (!connections.isFreeFor(mail)) {
      const seen = begin(await states.route(relay.route));
      if (!("state" in seen) && askAgainAt(seen) === undefined) return seen;
    }
    const patient = timeout(waitable());
    const giveUp = stopping ? AbortSignal.any([patient, stopping]) : patient;
    if (!(await connections.take(mail, giveUp)))
      return stopping?.aborted
        ? { until: clock(), reason: "this process ends", spread: 0 }
        : { until: clock() + busyMilliseconds, reason: "all its connections are busy" };
    try {
      const begun = await takeTurn();
      if (!("state" in begun)) return begun;
      const at = clock();
      // The ledger took long, or this process stood still: by now another worker may be handed this mail.
      if (until - at < leastAttemptMilliseconds) return { until: at, reason: noTime };
      const limit = timeout(Math.max(until - at, 1));
      const given = new AbortController();
      const loggedIn = () => {
        connections.show(true);
        connections.mayGive(mail, () => given.abort());
      };
      const signal = AbortSignal.any([limit, given.signal]);
      const sent = await transport.send(mail, signal, loggedIn, () => connections.mayGive(mail));
      const isGiven = given.signal.aborted && sent.result === "deferred" && sent.code === undefined;
      const outcome = isGiven ? { ...sent, reply: givenWords } : sent;
      connections.learn(mail, outcome);
      const after = (state: RouteState) => afterAttempt(state, outcome, clock(), mail.envelope.to);
      // A state that cannot be written costs a probe; a lost outcome would cost a second mail.
      const state = await change(states, relay.route, after).catch(() => after(begun.state));
      connections.show(state.failures === 0);
      return { attempt: { at, route: relay.route, outcome }, state };
    } finally {
      connections.release(mail);
    }
  };

  return async (mail: Mail, until: number, first?: string): Promise<Handover> => {
    const order = connected.toSorted(
      (a, b) => Number(b.relay.route === first) - Number(a.relay.route === first),
    );
    const attempts: Attempt[] = [];
    const waits: Wait[] = [];
    const waitFor = (name: string, wait: Wait) =>
      waits.push({ ...wait, until: comeAt(wait, mail), reason: `${name}: ${wait.reason}` });
    for (const [index, route] of order.entries()) {
      const [now, later] = [clock(), order.length - 1 - index];
      const share = Math.floor((until - now) / (later + 1));
      const mine = Math.max(until - later * laterRouteMilliseconds, now + share);
      if (mine - now < leastAttemptMilliseconds) {
        waits.push({ until: now, reason: noTime });
        continue;
      }
      const offered = await offer(route, mail, mine, later === 0);
      const name = route.relay.route;
      if ("until" in offered) {
        waitFor(name, offered);
        continue;
      }
      attempts.push(offered.attempt);
      const { outcome } = offered.attempt;
      if (outcome.result === "accepted" || isLost(offered.attempt)) return { attempts };
      const { down, slowed } = offered.state;
      // The next probe is another mail's, if one waits: a relay may require a login for this recipient alone.
      if (down) waitFor(name, { until: down.probeAt + othersFirstMilliseconds, reason: down.reason });
      else if (outcome.result === "deferred" && outcome.tooFast && slowed) waitFor(name, slowedWait(slowed));
    }
    if (attempts.length === order.length && attempts.every(({ outcome }) => outcome.result === "refused"))
      return { attempts, refused: true };
    const soonest = waits.toSorted((a, b) => a.until - b.until).at(0);
    const paced = soonest?.spread !== undefined && { paced: true as const };
    // A route that works and deferred this mail has its own time: the queue's.
    if (!soonest || waits.length < order.length)
      return { attempts, ...(soonest && { sooner: soonest.until }), ...paced };
    const reason = waits.map((wait) => wait.reason).join("; ");
    return { attempts, wait: { until: soonest.until, reason }, ...paced };
  };
};

/** In these steps a session without a mail shows all that a mail would. */
const withoutMail: readonly string[] = ["connect", "tls", "auth-offered", "token", "auth"];
/** Longer than the slowest greeting that is waited for. */
const probeMilliseconds = 90_000;
/** So long after its time a route is probed without a mail: those that wait for it come sooner. */
const unusedMilliseconds = 10_000;

/**
 * Tells the ledger which routes the settings have. A new route gets a state; a route that left the settings is marked as
 * removed. With `started`, routes that are down may be probed at once, because the settings may have been corrected.
 * Resolves to the states that the routes of the settings had before.
 */
export const useRoutes = async (
  ledger: Pick<RouteStates, "writeRoute"> & { routes(): Promise<RouteState[]> },
  used: readonly string[],
  now: number,
  started: boolean,
): Promise<RouteState[]> => {
  const known = await ledger.routes();
  for (const state of known) {
    const inUse = used.includes(state.route);
    if (started || inUse === (state.removed ?? false)) await ledger.writeRoute(afterStart(state, now, inUse));
  }
  for (const name of used)
    if (!known.some(({ route }) => route === name)) await ledger.writeRoute(newRoute(name));
  return known.filter(({ route }) => used.includes(route));
};

/** Probes every route that is down and gets no mail, each at its own times: a fallback would stay down otherwise. */
export const probeUnused = async ({ routes, states, clock }: RoutesParts, signal: AbortSignal) => {
  for (const { relay, transport } of routes) {
    const { down } = await states.route(relay.route);
    if (!transport.probe || !down || !withoutMail.includes(down.step)) continue;
    if (clock() < down.probeAt + unusedMilliseconds) continue;
    const begun = await noteBegin(states, relay.route, (state) =>
      beginning(state, undefined, clock(), clock() + probeMilliseconds),
    );
    // Another worker may probe it, or has found that it is not down.
    if (!("state" in begun) || !begun.state.down) continue;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(probeMilliseconds)]);
    const outcome = await transport.probe(limit);
    await change(states, relay.route, (state) => afterAttempt(state, outcome, clock()));
  }
};

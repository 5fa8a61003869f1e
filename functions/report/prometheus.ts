import { setTimeout } from "node:timers/promises";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { refusing } from "../deliver/breaker.ts";
import { operatorSite } from "../identity.ts";
import type { Heartbeat } from "../ledger/heartbeat.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Queue } from "../queue/queue.ts";
import type { Report } from "./event.ts";
import { counters, samplesOf } from "./metrics.ts";

/** From acceptance to the relay's reply: a healthy mail takes less than a second, a relay that is away some hours. */
const deliveryBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400];

type PrometheusParts = {
  queue: Pick<Queue, "depth" | "deadLetterCount">;
  ledger: Pick<Ledger, "routes" | "heartbeats">;
  /** The names of the routes that the settings have. */
  routes: readonly string[];
  clock: () => number;
  /** How long queue and ledger may take to answer a scrape. */
  readMilliseconds?: number;
};

/** The numbers that events add to. */
const countersIn = (registers: Registry[]) => {
  const counted = new Map(
    Object.entries(counters).map(([name, [help, labelNames = []]]) => [
      name,
      new Counter({ name, help, labelNames, registers }),
    ]),
  );
  // From 0 on: Prometheus sees no increase in a series that begins with 1.
  for (const what of ["queue", "ledger"]) counted.get("hardstate_unavailable_total")?.inc({ what }, 0);
  counted.get("hardstate_returned_total")?.inc({ kind: "bounce" }, 0);
  const delivery = new Histogram({
    name: "hardstate_delivery_seconds",
    help: "From an alert's acceptance to the relay's 250, waits in queue and ledger included.",
    buckets: deliveryBuckets,
    registers,
  });
  const observe: Report = (event) => {
    for (const { name, value, labels = {} } of samplesOf(event)) {
      if (name === "hardstate_delivery_seconds") delivery.observe(value);
      else counted.get(name)?.inc(labels, value);
    }
  };
  return observe;
};

/** The numbers that each scrape reads anew. */
const gaugesIn = (registers: Registry[]) => {
  const gauge = (name: string, help: string, ...labelNames: string[]) =>
    new Gauge({ name, help, labelNames, registers });
  return {
    readable: gauge("hardstate_readable", "Whether queue and ledger answered this scrape.", "part"),
    waiting: gauge("hardstate_queue_waiting", "Alerts in the queue that are not in hand."),
    inHand: gauge("hardstate_queue_in_hand", "Alerts that a worker has now."),
    oldest: gauge(
      "hardstate_queue_oldest_age_seconds",
      "How long ago the oldest alert in the queue was accepted; 0 if it is empty, absent where the queue cannot tell (SQS).",
    ),
    dead: gauge("hardstate_dead_letters", "Dead letters that wait for operators."),
    down: gauge("hardstate_route_down", "1 while a route is down and only probed.", "route"),
    unauthorised: gauge(
      "hardstate_route_unauthorised",
      "1 while a route refuses our login, sender or account, or offers no safe TLS.",
      "route",
    ),
  };
};

/** The heartbeats that a site may see. One registry for each scrape: scrapes of several sites may be under way. */
const heartbeatsOf = (site: string, heartbeats: readonly Heartbeat[], now: number): Registry => {
  const own = new Registry();
  const age = new Gauge({
    name: "hardstate_heartbeat_age_seconds",
    help: "How long ago a monitor was heard.",
    labelNames: ["site", "monitor"],
    registers: [own],
  });
  for (const { site: from, monitor, at } of heartbeats)
    if (from === site || site === operatorSite)
      age.set({ site: from, monitor }, Math.max(now - at, 0) / 1000);
  return own;
};

const setOrRemove = (one: Gauge, value: number | undefined) =>
  value === undefined ? one.remove() : one.set(value);

/**
 * The numbers of one bridge for Prometheus. `observe` counts an event; `scrape` reads queue and ledger as they are
 * now and resolves to the text within the time they may take. It has the monitors of the site that asks; the
 * operators' own site sees all. Numbers that cannot be read are left out, and `hardstate_readable` says so.
 */
export const prometheus = ({ queue, ledger, routes, clock, readMilliseconds = 3000 }: PrometheusParts) => {
  const registry = new Registry();
  const observe = countersIn([registry]);
  const { readable, waiting, inHand, oldest, dead, down, unauthorised } = gaugesIn([registry]);
  /** The answer of a part in its time. If there is none, the part is marked as unreadable. */
  const read = async <T>(part: string, reading: Promise<T>): Promise<T | undefined> => {
    const tooLate = setTimeout(readMilliseconds, undefined, { ref: false });
    const answer = await Promise.race([reading, tooLate]).catch(() => undefined);
    readable.set({ part }, answer === undefined ? 0 : 1);
    return answer;
  };
  const scrape = async (site: string): Promise<{ text: string; contentType: string }> => {
    const ofQueue = Promise.all([queue.depth(), queue.deadLetterCount()]);
    const ofLedger = Promise.all([ledger.routes(), ledger.heartbeats()]);
    const [[held, deadLetters] = [], [states, heartbeats = []] = []] = await Promise.all([
      read("queue", ofQueue),
      read("ledger", ofLedger),
    ]);
    setOrRemove(waiting, held?.waiting);
    setOrRemove(inHand, held?.handedOut);
    setOrRemove(dead, deadLetters);
    const empty = held && held.waiting + held.handedOut === 0 ? 0 : undefined;
    setOrRemove(oldest, held?.oldestAt === undefined ? empty : Math.max(clock() - held.oldestAt, 0) / 1000);
    for (const each of [down, unauthorised]) each.reset();
    for (const route of states ? routes : []) {
      const state = states?.find((one) => one.route === route);
      down.set({ route }, state?.down ? 1 : 0);
      unauthorised.set({ route }, state && refusing(state, clock()) ? 1 : 0);
    }
    const own = heartbeatsOf(site, heartbeats, clock());
    const texts = await Promise.all([registry.metrics(), own.metrics()]);
    return { text: texts.join(""), contentType: registry.contentType };
  };
  return { observe, scrape };
};

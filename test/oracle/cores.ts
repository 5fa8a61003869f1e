import type { Draw } from "../simulation/draws.ts";

// The acts of a monitoring core, by docs/nagios.md §1 and §4. Times are seconds of the scenario unless a clock is named.

export type State = "OK" | "WARNING" | "CRITICAL" | "UNKNOWN" | "UP" | "DOWN" | "UNREACHABLE";

/** How bad a state is, by docs/nagios.md §5.1. */
export const severityOf: Record<State, number> = {
  OK: 0,
  UP: 0,
  WARNING: 1,
  UNREACHABLE: 1,
  UNKNOWN: 2,
  DOWN: 2,
  CRITICAL: 3,
};
const letterOf = (state: State): string => (severityOf[state] === 0 ? "r" : state[0]?.toLowerCase()) ?? "";

/** Which core, for they number, name and recover differently; `curl` is a person's own script that gives no ids. */
export type Family = "4.3" | "4.4.6" | "4.5.6" | "4.5.12" | "naemon" | "icinga2" | "ids" | "curl";

/** A time in which the world's object is bad, and its states in that time. */
export type Spell = { object: string; states: { at: number; state: State }[]; end: number };

/** A contact of the monitor: `options` are the letters of Nagios, `hours` those of the day in which it is told. */
export type Contact = {
  name: string;
  mailboxes: string[];
  hostOptions: string;
  serviceOptions: string;
  hours?: [number, number];
};

/** From the notification `first` to `last` (0: all later ones) these contacts are told in place of the usual ones. */
export type Escalation = { first: number; last: number; contacts: string[] };

export type Watched = {
  name: string;
  options: string;
  contacts: string[];
  escalations: Escalation[];
  /** 0: one notification for each state. */
  renotifySeconds: number;
  checkSeconds: number;
  retrySeconds: number;
  attempts: number;
  volatile: boolean;
  hours?: [number, number];
};

/** A restart of a core: it `keeps` its memory, `forgets` all, or `crashes` back to what it saved last. */
export type Restart = { at: number; seconds: number; memory: "keeps" | "forgets" | "crashes" };

export type CoreSetup = {
  monitor: string;
  family: Family;
  objects: Watched[];
  contacts: Contact[];
  spells: Spell[];
  restarts: Restart[];
  /** When people acknowledge what is bad then. */
  acknowledgements: { at: number; object: string; sticky: boolean }[];
  /** From when on its clock is how many seconds ahead. */
  clock: { from: number; ahead: number }[];
  /** It does no more after this. */
  until: number;
  /** Its numbers begin here. */
  counter: number;
};

/** A time in which this core saw this object bad, whatever the core called it: the truth that a judge goes by. */
export type Real = { id: number; monitor: string; object: string; begin: number; end: number };

/** One notification, as the core issues it. */
export type Notice = {
  /** Counts the notifications of a history: `output` names it. */
  serial: number;
  issued: number;
  monitor: string;
  object: string;
  type: "PROBLEM" | "RECOVERY" | "ACKNOWLEDGEMENT";
  state: State;
  real: number;
  escalated: boolean;
  volatile: boolean;
  /** The core had forgotten this problem and found it again, or a crash brought back an older memory of the object. */
  restored: boolean;
  contacts: Contact[];
  macros: { num?: number; pid?: string; lpid?: string; nid?: number | string; ep?: number; mt: number };
  ps: number;
  lsc?: number;
};

type Memory = {
  state: State;
  hard: boolean;
  attempt: number;
  problemId: string;
  lastProblemId: string;
  olderProblemId: string;
  epoch: number;
  number: number;
  notifiedOn: string;
  told: string[];
  lastTold: Record<string, State>;
  noMore: boolean;
  next: number;
  acknowledged?: "normal" | "sticky";
  /** Since 4.5.7 a recovery that was held back is tried again at each check. */
  owesRecovery: boolean;
  hardChange: number;
  restored: boolean;
};

const base = 100_000;
const daySeconds = 86_400;
const goodOf = (object: string): State => (object.includes("/") ? "OK" : "UP");
const hostOf = (object: string): string => object.split("/")[0] ?? "";
const within = (hours: [number, number] | undefined, at: number): boolean => {
  if (!hours) return true;
  const second = at % daySeconds;
  return second >= hours[0] * 3600 && second < hours[1] * 3600;
};

/** A name as Naemon makes them. */
const uuid = (draw: Draw): string => {
  const hex = (digits: number) =>
    Array.from({ length: digits }, () => Math.floor(draw() * 16).toString(16)).join("");
  return [hex(8), hex(4), hex(4), hex(4), hex(12)].join("-");
};

/** The world's state of an object: what a check of it finds. */
const worldOf = (spells: readonly Spell[], object: string, at: number): State => {
  const spell = spells.find((one) => one.object === object && (one.states[0]?.at ?? 0) <= at && at < one.end);
  return spell?.states.findLast((one) => one.at <= at)?.state ?? goodOf(object);
};

/** The time that the clock of a core shows, in Unix seconds. */
export const clockOf = ({ clock }: CoreSetup, at: number): number =>
  base + Math.floor(at) + (clock.findLast(({ from }) => from <= at)?.ahead ?? 0);

/** Runs one core until it ends: its notifications in their order, and the bad times that it saw. */
export const runCore = (
  setup: CoreSetup,
  draw: Draw,
  serials: { notice: number; real: number },
): { notices: Notice[]; reals: Real[] } => {
  const { monitor, family, objects, spells } = setup;
  const notices: Notice[] = [];
  const reals: Real[] = [];
  const clockAt = (at: number): number => clockOf(setup, at);

  const fresh = (object: string): Memory => ({
    state: goodOf(object),
    hard: true,
    attempt: 1,
    problemId: "0",
    lastProblemId: "0",
    olderProblemId: "0",
    epoch: 0,
    number: 0,
    notifiedOn: "",
    told: [],
    lastTold: {},
    noMore: false,
    next: 0,
    owesRecovery: false,
    hardChange: 0,
    restored: false,
  });
  let memory = new Map(objects.map(({ name }) => [name, fresh(name)]));
  let counters = { problem: setup.counter, notification: 3 * setup.counter };
  let start = clockAt(0) - 50_000;
  let saved = structuredClone({ memory, counters });
  /** The objects that are bad now, as this core sees them. */
  const seen = new Map<string, Real>();

  const memoryOf = (object: string): Memory => {
    const found = memory.get(object);
    if (!found) throw new Error(`the core watches no ${object}`);
    return found;
  };
  const isNew = family === "4.5.12";
  const forgives = family === "4.3" || family === "naemon" || family === "icinga2";

  const issue = (
    watched: Watched,
    type: Notice["type"],
    at: number,
    contacts: Contact[],
    escalated: boolean,
    real: number,
  ) => {
    const one = memoryOf(watched.name);
    counters.notification += 1;
    const over = type === "RECOVERY";
    const ids =
      family === "icinga2" || family === "curl"
        ? {}
        : over && family === "4.4.6" && watched.name.includes("/")
          ? { pid: one.lastProblemId, lpid: one.olderProblemId }
          : { pid: over && family === "naemon" ? "" : one.problemId, lpid: one.lastProblemId };
    const shown = over && !isNew && family !== "icinga2" ? one.number + 1 : one.number;
    notices.push({
      serial: serials.notice++,
      issued: at,
      monitor,
      object: watched.name,
      type,
      state: one.state,
      real,
      escalated,
      volatile: watched.volatile && type === "PROBLEM",
      restored: one.restored,
      contacts,
      macros: {
        ...ids,
        num: family === "curl" ? undefined : family === "icinga2" && over ? 1 : shown,
        nid:
          family === "icinga2" || family === "curl"
            ? undefined
            : family === "naemon"
              ? uuid(draw)
              : counters.notification,
        ep: family === "curl" || family === "ids" ? undefined : one.epoch || undefined,
        mt: clockAt(at),
      },
      ps: family === "icinga2" || family === "curl" ? 0 : start,
      lsc: family === "icinga2" ? one.hardChange : undefined,
    });
  };

  /** The contacts who are told of the notification with this number: those of its escalations, or the usual ones. */
  const recipientsOf = (watched: Watched, number: number) => {
    const matching = watched.escalations.filter(
      ({ first, last }) => first <= number && (last === 0 || number <= last),
    );
    const names = new Set(
      matching.length > 0 ? matching.flatMap(({ contacts }) => contacts) : watched.contacts,
    );
    return {
      escalated: matching.length > 0,
      contacts: setup.contacts.filter(({ name }) => names.has(name)),
    };
  };
  const optionsOf = (watched: Watched, contact: Contact): string =>
    watched.name.includes("/") ? contact.serviceOptions : contact.hostOptions;
  /** A core is silent about the services of a host that is HARD down. */
  const hostIsDown = (watched: Watched): boolean => {
    if (!watched.name.includes("/")) return false;
    const host = memory.get(hostOf(watched.name));
    return host?.hard === true && host.state !== "UP";
  };

  const notifyProblem = (watched: Watched, at: number) => {
    const one = memoryOf(watched.name);
    const letter = letterOf(one.state);
    if (!within(watched.hours, at) || one.acknowledged || !watched.options.includes(letter)) return;
    if (hostIsDown(watched)) return;
    if (!watched.volatile && (one.noMore || at < one.next)) return;
    const { escalated, contacts } = recipientsOf(watched, one.number + 1);
    const told = contacts.filter(
      (contact) =>
        within(contact.hours, at) &&
        optionsOf(watched, contact).includes(letter) &&
        (family !== "icinga2" || at >= one.next || one.lastTold[contact.name] !== one.state),
    );
    if (told.length === 0) return;
    one.number += 1;
    one.notifiedOn += letter;
    one.noMore = watched.renotifySeconds === 0;
    one.next = at + watched.renotifySeconds;
    for (const { name } of told) {
      if (!one.told.includes(name)) one.told.push(name);
      one.lastTold[name] = one.state;
    }
    const real = seen.get(watched.name);
    if (real) issue(watched, "PROBLEM", at, told, escalated, real.id);
  };

  const forget = (one: Memory) => {
    Object.assign(one, { number: 0, notifiedOn: "", told: [], lastTold: {}, owesRecovery: false });
  };
  const notifyRecovery = (watched: Watched, at: number, real: number) => {
    const one = memoryOf(watched.name);
    if (!watched.options.includes("r") || one.notifiedOn === "") return forget(one);
    if (!within(watched.hours, at) || (!forgives && hostIsDown(watched))) {
      if (isNew) one.owesRecovery = true;
      else forget(one);
      return;
    }
    const { escalated, contacts } = recipientsOf(watched, isNew ? one.number - 1 : one.number);
    const told = contacts.filter((contact) => {
      const options = optionsOf(watched, contact);
      if (!within(contact.hours, at) || !options.includes("r")) return false;
      if (family === "icinga2") return one.told.includes(contact.name);
      return !watched.name.includes("/") || [...one.notifiedOn].some((letter) => options.includes(letter));
    });
    if (told.length > 0) issue(watched, "RECOVERY", at, told, escalated, real);
    forget(one);
  };

  const check = (watched: Watched, at: number) => {
    const one = memoryOf(watched.name);
    const result = worldOf(spells, watched.name, at);
    const before = one.state;
    if (severityOf[result] > 0) {
      const foundAgain = seen.has(watched.name);
      if (!seen.has(watched.name)) {
        const real: Real = { id: serials.real++, monitor, object: watched.name, begin: at, end: setup.until };
        seen.set(watched.name, real);
        reals.push(real);
      }
      const begins = severityOf[before] === 0;
      if (begins) {
        one.problemId = family === "naemon" ? uuid(draw) : String(++counters.problem);
        one.epoch = clockAt(at);
        one.attempt = 1;
        one.hard = watched.attempts === 1 || hostIsDown(watched);
        one.restored = foundAgain;
        // A recovery that nobody was sent yet is given up.
        one.owesRecovery = false;
      } else if (!one.hard) {
        one.attempt += 1;
        one.hard = one.attempt >= watched.attempts;
      }
      if (begins || before !== result) {
        one.noMore = false;
        one.next = 0;
        one.hardChange = clockAt(at);
        if (one.acknowledged === "normal") one.acknowledged = undefined;
        // The cores since 4.4 forget a host's id when DOWN and UNREACHABLE change.
        if (!begins && !watched.name.includes("/") && ["4.4.6", "4.5.6", "4.5.12"].includes(family))
          one.problemId = "0";
      }
      one.state = result;
      if (one.hard) notifyProblem(watched, at);
      return;
    }
    const real = seen.get(watched.name);
    if (real) {
      real.end = at;
      seen.delete(watched.name);
    }
    one.state = result;
    one.acknowledged = undefined;
    if (severityOf[before] > 0) {
      const wasHard = one.hard;
      if (one.problemId !== "0" || family === "naemon") {
        one.olderProblemId = one.lastProblemId;
        one.lastProblemId = one.problemId;
      } else one.lastProblemId = "0";
      one.problemId = "0";
      one.attempt = 1;
      one.hard = true;
      one.hardChange = clockAt(at);
      // Without a bad time of its own it speaks of one that it remembers, and that is over.
      const told = real ?? reals.findLast(({ object }) => object === watched.name);
      if (wasHard && told) notifyRecovery(watched, at, told.id);
      one.noMore = false;
      one.next = 0;
      return;
    }
    if (one.owesRecovery) {
      const told = reals.findLast(({ object }) => object === watched.name);
      one.epoch = clockAt(at - watched.checkSeconds);
      if (told) notifyRecovery(watched, at, told.id);
    }
  };

  /** The next check of an object after this one: quiet times are passed over. */
  const nextCheck = (watched: Watched, at: number): number => {
    const one = memoryOf(watched.name);
    if (severityOf[one.state] > 0 && !one.hard) return at + watched.retrySeconds;
    const step = watched.checkSeconds;
    if (one.owesRecovery || (watched.volatile && severityOf[one.state] > 0)) return at + step;
    const mine = spells.filter(({ object }) => object === watched.name);
    const changes = mine.flatMap(({ states, end }) => [...states.map((state) => state.at), end]);
    const times = changes.filter((time) => time > at);
    if (severityOf[one.state] > 0) {
      if (!one.noMore && !one.acknowledged) times.push(Math.max(one.next, at + step));
    }
    const next = Math.min(...times);
    return Number.isFinite(next) ? at + Math.max(1, Math.ceil((next - at) / step)) * step : next;
  };

  type Due = { at: number; do: () => void };
  const due: Due[] = [];
  const plan = (at: number, what: () => void) => {
    if (at <= setup.until) due.push({ at, do: what });
  };
  let away = 0;
  /** A check that is planned takes the place of the one that was. */
  const planned = new Map<string, object>();
  const checks = (watched: Watched, at: number) => {
    const token = {};
    planned.set(watched.name, token);
    plan(at, () => {
      if (planned.get(watched.name) !== token) return;
      if (at < away) return checks(watched, away + draw() * 20);
      check(watched, at);
      checks(watched, nextCheck(watched, at));
    });
  };
  for (const watched of objects) checks(watched, draw() * watched.checkSeconds);
  for (const { at, seconds, memory: after } of setup.restarts)
    plan(at, () => {
      away = at + seconds;
      start = clockAt(at + seconds);
      if (after === "forgets") {
        memory = new Map(objects.map(({ name }) => [name, fresh(name)]));
        counters = { problem: 0, notification: 0 };
      }
      if (after === "crashes") {
        const before = memory;
        ({ memory, counters } = structuredClone(saved));
        for (const [name, one] of memory)
          one.restored =
            JSON.stringify({ ...one, restored: 0 }) !== JSON.stringify({ ...before.get(name), restored: 0 });
      }
      for (const watched of objects) checks(watched, away + draw() * watched.checkSeconds);
      saved = structuredClone({ memory, counters });
    });
  for (let at = 3600; at < setup.until; at += 3600)
    if (setup.restarts.some(({ memory: after, at: when }) => after === "crashes" && when > at))
      plan(at, () => {
        saved = structuredClone({ memory, counters });
      });
  for (const { at, object, sticky } of setup.acknowledgements)
    plan(at, () => {
      const watched = objects.find(({ name }) => name === object);
      const real = seen.get(object);
      if (!watched || !real || at < away) return;
      const one = memoryOf(object);
      if (severityOf[one.state] === 0 || one.acknowledged) return;
      const { escalated, contacts } = recipientsOf(watched, one.number);
      const told = contacts.filter(
        (contact) => within(contact.hours, at) && optionsOf(watched, contact).includes(letterOf(one.state)),
      );
      if (told.length > 0) issue(watched, "ACKNOWLEDGEMENT", at, told, escalated, real.id);
      one.acknowledged = sticky ? "sticky" : "normal";
    });
  for (;;) {
    const next = due.reduce<Due | undefined>(
      (first, one) => (!first || one.at < first.at ? one : first),
      undefined,
    );
    if (!next) break;
    due.splice(due.indexOf(next), 1);
    next.do();
  }
  return { notices, reals };
};

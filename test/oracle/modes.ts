import { type Draw, draws } from "../simulation/draws.ts";
import type { Contact, CoreSetup, Escalation, Family, Restart, Spell, State, Watched } from "./cores.ts";
import { type History, historyOf, type Setup, type Way } from "./history.ts";

const minute = 60;
const hour = 3600;
const day = 86_400;

const calm: Way = {
  spreadSeconds: 0.9,
  late: { share: 0, seconds: 0 },
  twice: 0,
  lost: 0,
  lostRecoveries: 0,
  spools: [],
  odd: 0,
};

/** The parts that a mode may vary; the rest is drawn for every history alike. */
type Plan = {
  pair: boolean;
  family: Family | readonly Family[];
  objects: readonly string[];
  contacts: number;
  /** Contacts with options of their own, and not all that there are. */
  options: boolean;
  objectOptions: readonly string[];
  hours: boolean;
  escalations: boolean;
  renotifySeconds: readonly number[];
  volatile: boolean;
  twoAddresses: boolean;
  restarts: Restart["memory"] | undefined;
  acknowledgements: boolean;
  /** By how many seconds a clock jumps, or how far two are apart. */
  jumps: readonly number[];
  skews: readonly number[];
  /** How long it is good between two spells. */
  gaps: readonly number[];
  relayAway: boolean;
  /** The second core ends after this share of the time. */
  oneEnds: boolean;
  /** Hours for which posts wait in a spool. */
  spoolSeconds: number;
  unreachable: boolean;
  way: Partial<Way>;
};

const plain: Plan = {
  pair: false,
  family: "4.5.12",
  objects: ["web1/http"],
  contacts: 2,
  options: true,
  objectOptions: ["wucrdu"],
  hours: false,
  escalations: false,
  renotifySeconds: [0, 0, 0, hour],
  volatile: false,
  twoAddresses: false,
  restarts: undefined,
  acknowledgements: false,
  jumps: [],
  skews: [0],
  gaps: [5 * minute, 20 * minute, 2 * hour, day, 3 * day],
  relayAway: false,
  oneEnds: false,
  spoolSeconds: 0,
  unreachable: false,
  way: {},
};

const hosts = ["web1", "web1/http"];
const twoServices = [...hosts, "web1/disk"];
const cores: readonly Family[] = ["4.3", "4.4.6", "4.5.6", "4.5.12", "naemon"];
const everyFamily: readonly Family[] = [...cores, "icinga2"];

/** The subject of each mode in a sentence, and how it differs from a plain one. */
export const modes: Record<string, { about: string } & Partial<Plan>> = {
  plain: { about: "one Nagios 4.5.12, one service, contacts that take everything", options: false },
  "core-4.3": {
    about: "Core 4.3, a host and a service: recoveries pass a host that is down",
    family: "4.3",
    objects: hosts,
  },
  "core-4.4.6": {
    about: "Core 4.4.6: a service's recovery has PROBLEMID, hosts lose their ids, recoveries are lost",
    family: "4.4.6",
    objects: hosts,
    unreachable: true,
  },
  "core-4.5.6": {
    about: "Core 4.5.6: recoveries that were blocked are lost",
    family: "4.5.6",
    objects: hosts,
  },
  "core-4.5.12": {
    about: "Core 4.5.12: recoveries that were blocked are tried again",
    objects: hosts,
    unreachable: true,
  },
  naemon: { about: "Naemon: UUIDs for problems and notifications", family: "naemon", objects: hosts },
  icinga2: { about: "Icinga 2: no ids and no process start", family: "icinga2", objects: hosts },
  curl: { about: "a person's own script: no ids, no epoch, no process start", family: "curl", contacts: 3 },
  "ids-only": { about: "problem ids without epochs", family: "ids" },
  options: { about: "contacts with all sets of options, many without r", contacts: 3, family: cores },
  "no-r": {
    about: "objects of which no recovery is ever sent",
    objectOptions: ["wucd"],
    family: everyFamily,
  },
  periods: { about: "contacts that are told at some hours only", hours: true, contacts: 3, family: cores },
  "escalations-4.5.6": {
    about: "escalations, whose last level alone hears of the end",
    escalations: true,
    family: "4.5.6",
    contacts: 3,
    renotifySeconds: [30 * minute],
  },
  "escalations-4.5.12": {
    about: "escalations, of which the first level alone never hears of the end",
    escalations: true,
    contacts: 3,
    renotifySeconds: [30 * minute],
  },
  disorder: {
    about: "contacts' processes that overtake each other by up to a minute",
    family: everyFamily,
    way: { spreadSeconds: 60 },
  },
  late: {
    about: "some posts up to 20 minutes late",
    family: everyFamily,
    way: { late: { share: 0.3, seconds: 20 * minute } },
  },
  "hours-late": {
    about: "some posts hours late, or all posts of some hours at their end",
    family: everyFamily,
    spoolSeconds: 5 * hour,
    way: { late: { share: 0.1, seconds: 8 * hour } },
  },
  doubled: {
    about: "posts that come twice, at once and much later",
    family: everyFamily,
    way: { twice: 0.4 },
  },
  lost: { about: "posts that never come", family: cores, way: { lost: 0.15 } },
  "lost-recoveries": {
    about: "recoveries that never come",
    family: everyFamily,
    way: { lostRecoveries: 0.5 },
  },
  volatile: {
    about: "a volatile service: each event is news, whether the relay is away or not",
    volatile: true,
    options: false,
    relayAway: true,
    contacts: 1,
    family: cores,
  },
  hosts: { about: "a host and its services", objects: twoServices, family: everyFamily },
  "hosts-late": {
    about: "a host and a service, posts minutes late or lost",
    objects: hosts,
    family: cores,
    way: { late: { share: 0.3, seconds: 15 * minute }, lost: 0.05, lostRecoveries: 0.2 },
  },
  "relay-away": {
    about: "the relay cannot be reached for a while",
    relayAway: true,
    contacts: 3,
    family: everyFamily,
  },
  restarts: { about: "restarts with retention", restarts: "keeps", family: everyFamily },
  "restarts-forgetful": {
    about: "restarts that lose retention: counters begin again",
    restarts: "forgets",
    family: cores,
  },
  crashes: {
    about: "crashes: an older memory comes back, and numbers are issued again",
    restarts: "crashes",
    family: cores,
  },
  "odd-post": {
    about: "one post has a wrong clock, process start or number",
    family: everyFamily,
    way: { odd: 1 },
  },
  "clock-minutes": {
    about: "a clock that jumps by minutes",
    family: cores,
    jumps: [-20 * minute, -4 * minute, 4 * minute, 20 * minute],
  },
  "clock-days": {
    about: "a clock that jumps by days",
    family: everyFamily,
    jumps: [-day / 2, -day / 4, day, 20 * day],
  },
  "clock-years": {
    about: "a clock that jumps by years",
    family: everyFamily,
    jumps: [-90_000, 365 * day, 3000 * day],
  },
  "two-addresses": {
    about: "contacts with two mailboxes, and mailboxes of two contacts",
    twoAddresses: true,
  },
  acknowledgements: { about: "people acknowledge problems", acknowledgements: true, family: cores },
  everything: {
    about: "all that befalls one monitor, at once",
    contacts: 3,
    objects: hosts,
    family: cores,
    hours: true,
    escalations: true,
    acknowledgements: true,
    restarts: "keeps",
    relayAway: true,
    way: { spreadSeconds: 5, late: { share: 0.1, seconds: 10 * minute }, twice: 0.1, lost: 0.03 },
  },
  pair: {
    about: "two monitors that see the same",
    pair: true,
    options: false,
    contacts: 1,
    family: everyFamily,
  },
  "pair-skew": {
    about: "two monitors whose clocks differ",
    pair: true,
    family: everyFamily,
    skews: [-3 * hour, -90, 0, 45, 200, 7 * hour],
  },
  "pair-options": {
    about: "a pair, contacts that take only some states",
    pair: true,
    contacts: 2,
    family: cores,
  },
  "pair-no-r": {
    about: "a pair, no recovery is ever sent",
    pair: true,
    objectOptions: ["wucd"],
    family: everyFamily,
  },
  "pair-hosts": {
    about: "a pair, a host and a service",
    pair: true,
    objects: hosts,
    contacts: 1,
    family: everyFamily,
  },
  "pair-lossy": { about: "a pair, posts that never come", pair: true, family: cores, way: { lost: 0.25 } },
  "pair-lost-recoveries": {
    about: "a pair, recoveries that never come",
    pair: true,
    family: everyFamily,
    way: { lostRecoveries: 0.5 },
  },
  "pair-one-ends": {
    about: "a pair, of which one is switched off",
    pair: true,
    oneEnds: true,
    family: cores,
  },
  "pair-restarts": {
    about: "a pair, restarts that lose retention",
    pair: true,
    restarts: "forgets",
    family: cores,
  },
  "pair-hours-late": {
    about: "a lossy pair, one of which posts all of some hours at their end",
    pair: true,
    family: cores,
    spoolSeconds: 4 * hour,
    way: { lost: 0.1, late: { share: 0.1, seconds: 20 * minute } },
  },
  "pair-everything": {
    about: "all that befalls a pair, at once",
    pair: true,
    objects: hosts,
    contacts: 1,
    family: cores,
    relayAway: true,
    restarts: "keeps",
    skews: [-2 * hour, -60, 0, 100],
    way: { spreadSeconds: 5, late: { share: 0.1, seconds: 10 * minute }, twice: 0.1, lost: 0.05 },
  },
  "pair-curl": { about: "a pair of scripts without ids", pair: true, family: "curl" },
};

const names = ["alice", "bob", "carol"];

const contactsOf = (draw: Draw, plan: Plan): Contact[] =>
  names.slice(0, plan.contacts).map((name, index) => ({
    name,
    mailboxes:
      plan.twoAddresses && index === 0
        ? ["alice", "pager"]
        : plan.twoAddresses && draw.chance(0.3)
          ? ["pager"]
          : [name],
    hostOptions: plan.options ? draw.of(["dur", "dur", "dur", "d", "du", "r", "ur", "n"]) : "dur",
    serviceOptions: plan.options
      ? draw.of(["wucr", "wucr", "wucr", "cr", "c", "wu", "uc", "wr", "wuc"])
      : "wucr",
    hours:
      plan.hours && draw.chance(0.6)
        ? draw.of([
            [8, 18],
            [0, 12],
            [18, 24],
          ] as [number, number][])
        : undefined,
  }));

/** The bad times of a host or service; while a host is down its services are bad as well. */
const spellsOf = (draw: Draw, plan: Plan, ends: number): Spell[] => {
  const spells: Spell[] = [];
  for (const object of plan.objects) {
    const isHost = !object.includes("/");
    const count = draw.of(plan.objects.length > 1 ? [1, 1, 2] : plan.pair ? [1, 2, 2] : [1, 2, 2, 3]);
    let at = 300 + draw() * (plan.objects.length > 1 ? 2 * hour : 20 * minute);
    for (let number = 0; number < count && at < ends; number++) {
      const seconds =
        draw.of(plan.volatile ? [15, 25, 100] : [25, 100, 8 * minute, 40 * minute, 40 * minute, 2 * hour]) *
        (0.7 + 0.6 * draw());
      const states: Spell["states"] = [];
      const of: readonly State[] = isHost
        ? plan.unreachable
          ? ["DOWN", "UNREACHABLE"]
          : ["DOWN"]
        : ["CRITICAL", "CRITICAL", "WARNING", "UNKNOWN"];
      states.push({ at, state: draw.of(of) });
      for (
        let change = at + seconds * 0.3;
        draw.chance(0.25) && change < at + seconds;
        change += seconds * 0.3
      )
        states.push({ at: change, state: draw.of(of) });
      spells.push({ object, states, end: at + seconds });
      at += seconds + draw.of(plan.gaps) * (0.5 + draw());
    }
  }
  const down = spells.filter(({ object }) => !object.includes("/"));
  for (const { object: host, states, end } of down)
    for (const object of plan.objects.filter((one) => one.startsWith(`${host}/`))) {
      // An object that was bad before stays bad; a service may need a while longer to be well again.
      const begin = (states[0]?.at ?? 0) - (draw.chance(0.3) ? draw() * 150 : 0);
      spells.unshift({
        object,
        states: [{ at: begin, state: "CRITICAL" }],
        end: end + draw.of([-5, 40, 400]),
      });
    }
  return spells;
};

const setupOf = (draw: Draw, plan: Plan): Setup => {
  const contacts = contactsOf(draw, plan);
  const spells = spellsOf(draw, plan, 8 * day);
  const last = Math.max(...spells.map(({ end }) => end));
  const until = last + 2 * hour;
  const times = spells.flatMap(({ states, end }) => [...states.map(({ at }) => at), end]);
  /** A time when something is going on. */
  const eventful = () => Math.max(1, draw.of(times) + (draw() - 0.4) * 15 * minute);
  const watched = plan.objects.map((name): Watched => {
    const escalations: Escalation[] = plan.escalations
      ? [
          { first: 2, last: draw.of([0, 3]), contacts: draw.of([["bob"], ["bob", "carol"]]) },
          ...(draw.chance(0.4) ? [{ first: 3, last: 0, contacts: ["carol"] }] : []),
        ]
      : [];
    return {
      name,
      options: draw.of(plan.objectOptions),
      contacts: names.slice(0, plan.escalations ? draw.between(1, plan.contacts + 1) : plan.contacts),
      escalations,
      renotifySeconds: draw.of(plan.renotifySeconds),
      // The results of a volatile service come when something happens.
      checkSeconds: draw.of(plan.volatile ? [10, 60] : [60, 60, 300]),
      retrySeconds: 60,
      attempts: plan.volatile ? 1 : draw.of([1, 1, 3]),
      volatile: plan.volatile,
    };
  });
  const coreOf = (monitor: string): CoreSetup => {
    const clock = [{ from: 0, ahead: draw.of(plan.skews) }];
    if (plan.jumps.length > 0) {
      const at = eventful();
      const ahead = draw.of(plan.jumps);
      clock.push({ from: at, ahead });
      if (draw.chance(0.5)) clock.push({ from: at + draw.of([300, hour, day]), ahead: 0 });
    }
    return {
      monitor,
      family: typeof plan.family === "string" ? plan.family : draw.of(plan.family),
      objects: watched,
      contacts,
      spells,
      restarts: plan.restarts
        ? Array.from({ length: draw.between(1, 3) }, () => eventful())
            .sort((a, b) => a - b)
            .map((at) => ({ at, seconds: 5 + draw() * 60, memory: plan.restarts ?? "keeps" }))
        : [],
      acknowledgements: plan.acknowledgements
        ? Array.from({ length: 2 }, () => ({
            at: eventful(),
            object: draw.of(plan.objects),
            sticky: draw.chance(0.5),
          }))
        : [],
      clock,
      until: plan.oneEnds && monitor === "B" ? Math.max(hour, last * draw()) : until,
      counter: draw.between(1, 400),
    };
  };
  const monitors = plan.pair ? ["A", "B"] : ["A"];
  const spoolAt = eventful() - plan.spoolSeconds * draw();
  const away = draw.chance(0.5)
    ? eventful()
    : Math.max(1, (draw.of(spells).states[0]?.at ?? 0) - draw() * 5 * minute);
  return {
    cores: monitors.map(coreOf),
    way: {
      ...calm,
      ...plan.way,
      spools:
        plan.spoolSeconds > 0
          ? [
              {
                monitor: draw.of(monitors),
                from: spoolAt,
                to: spoolAt + plan.spoolSeconds * draw(),
                inOrder: draw.chance(0.5),
              },
            ]
          : [],
    },
    relayAway: plan.relayAway
      ? [
          {
            from: Math.round(away),
            to: Math.round(away + draw.of([20, 45, 200, 1200, hour]) * (0.5 + draw())),
          },
        ]
      : [],
  };
};

/** The history of a mode that a seed makes. */
export const history = (mode: string, seed: number): History => {
  const plan = modes[mode];
  if (!plan) throw new Error(`there is no mode ${mode}`);
  return historyOf(mode, seed, setupOf(draws(seed, `setup ${mode}`), { ...plain, ...plan }));
};

import { describe, expect, it } from "vitest";
import {
  afterAttempt,
  afterStart,
  afterTelling,
  beginning,
  newRoute,
  type RouteState,
  refusing,
  storedRoute,
} from "../../functions/deliver/breaker.ts";
import type { DeliveryOutcome, Step } from "../../functions/deliver/outcome.ts";
import { failure } from "../../functions/deliver/refusal.ts";
import type { Rate } from "../../functions/time.ts";

const begin = 1_000_000_000;
const seconds = (count: number) => begin + count * 1000;

const accepted: DeliveryOutcome = { result: "accepted", reply: "250 Ok", code: 250, durationMilliseconds: 1 };
const failed = (step: Step, code?: number, reply = `${code ?? "gone"}`): DeliveryOutcome => ({
  ...failure(step, code, reply),
  step,
  code,
  reply,
  durationMilliseconds: 1,
});
const login = failed("auth", 535);
const away = failed("connect");
const sendAs = failed("after-data", 554, "554 5.2.252 SendAsDenied");
const quota = failed("after-data", 454, "454 Throttling failure: Daily message quota exceeded.");
const guarded = failed("recipient", 530, "530 5.7.0 Authentication required for guarded@example.com");

/** A route after attempts at given seconds, each begun as a worker does that finds it usable. */
const routeAfter = (attempts: [at: number, outcome: DeliveryOutcome][]): RouteState =>
  attempts.reduce((state, [at, outcome]) => {
    const begun = beginning(state, undefined, seconds(at), seconds(at + 300));
    return afterAttempt("state" in begun ? begun.state : state, outcome, seconds(at));
  }, newRoute("smtp://relay:587"));

const usable = (state: RouteState, at: number) =>
  "state" in beginning(state, undefined, seconds(at), seconds(at + 300));

describe("a route", () => {
  it.each<[string, DeliveryOutcome[], down: boolean]>([
    ["is taken down by the first refused login", [login], true],
    ["is taken down by the first certificate that is wrong", [failed("tls")], true],
    ["is taken down by a sender that is refused", [failed("sender", 550)], true],
    ["is taken down by a refused token", [failed("token", 401)], true],
    ["is not taken down by one lost connection", [away], false],
    ["is taken down by the second lost connection in a row", [away, away], true],
    ["is not taken down by two that are not in a row", [away, accepted, away], false],
    ["is taken down by the second 421 in a row", [failed("connect", 421), failed("connect", 421)], true],
    [
      "is taken down by a login that cannot be checked twice",
      [failed("auth", 454), failed("auth", 454)],
      true,
    ],
    ["is not taken down by one refusal that is about us", [sendAs], false],
    ["is taken down by the second of them in a row", [sendAs, sendAs], true],
    ["is not taken down by two that are not in a row", [sendAs, accepted, sendAs], false],
    ["is taken down by the second quota in a row, though it says later", [quota, quota], true],
    ["is taken down by a token endpoint that is away twice", [failed("token"), failed("token")], true],
    [
      "is not taken down by recipients that are deferred",
      Array(5).fill(failed("recipient", 450)) as DeliveryOutcome[],
      false,
    ],
    [
      "is not taken down by refused recipients",
      Array(5).fill(failed("recipient", 550, "550 5.1.1 unknown")) as DeliveryOutcome[],
      false,
    ],
    [
      "is not taken down by a lost reply to the final dot",
      [failed("after-data"), failed("after-data")],
      false,
    ],
    [
      "is taken down by the third of them in a row",
      Array(3).fill(failed("after-data")) as DeliveryOutcome[],
      true,
    ],
    [
      "is not taken down by a mail that is put off after its dot",
      Array(5).fill(failed("after-data", 452)) as DeliveryOutcome[],
      false,
    ],
  ])("%s", (_, outcomes, down) => {
    expect(routeAfter(outcomes.map((outcome, index) => [index, outcome])).down !== undefined).toBe(down);
  });

  /** A route after refusals for these contacts, a second apart. */
  const refusedFor = (...contacts: string[]): RouteState =>
    contacts.reduce(
      (state, contact, at) => afterAttempt(state, guarded, seconds(at), contact),
      newRoute("smtp://relay:587"),
    );

  it("is not taken down by a refusal that may be one recipient's, however often that one gets it", () => {
    expect(refusedFor(...Array<string>(9).fill("guarded@example.com")).down).toBeUndefined();
  });

  const five = ["a", "b", "c", "d", "e"].map((name) => `${name}@example.com`);

  it("is taken down by it when five recipients get it in a row, and not by fewer again and again", () => {
    const few = five.slice(0, 4);
    expect(refusedFor(...few, ...few, ...few).down).toBeUndefined();
    expect(refusedFor(...five).down).toBeDefined();
    const between = afterAttempt(refusedFor(...few), accepted, seconds(9), "dba@example.com");
    expect(afterAttempt(between, guarded, seconds(10), "e@example.com").down).toBeUndefined();
  });

  it("that is down for it takes mail to other recipients at any time, one at a time", () => {
    const down = refusedFor(...five);
    const at = (state: RouteState, contact: string) =>
      beginning(state, undefined, seconds(6), seconds(300), 0, { site: "site", contact });
    expect(at(down, "a@example.com")).toMatchObject({ until: down.down?.probeAt });
    const begun = at(down, "dba@example.com");
    if (!("state" in begun)) throw new Error("it waits");
    expect(at(begun.state, "web@example.com")).toMatchObject({ until: seconds(11) });
    expect(afterAttempt(begun.state, accepted, seconds(7), "dba@example.com").down).toBeUndefined();
    const refused = afterAttempt(begun.state, guarded, seconds(7), "dba@example.com");
    expect(at(refused, "dba@example.com")).toHaveProperty("until");
    expect(at(refused, "web@example.com")).toHaveProperty("state");
    const login = afterAttempt(begun.state, failed("auth", 535), seconds(7), "dba@example.com");
    expect(at(login, "web@example.com")).toHaveProperty("until");
  });

  it("keeps no contact's address in what it said: each site may read that", () => {
    const state = refusedFor("Guarded@example.com", "guarded@EXAMPLE.com");
    expect(state.refusal?.reason).toBe("530 5.7.0 Authentication required for [recipient]");
  });

  it("keeps no name of a mail in what it said, with which another site could say that it bounced", () => {
    const name = "0123456789abcdef0123456789abcdef01234567";
    const reply = `553 5.7.1 <bounce+${name}@example.com>: Sender address rejected: not owned by user nagios`;
    const state = afterAttempt(newRoute("r"), failed("recipient", 553, reply), seconds(0), "ops@example.com");
    expect(state.refusal?.reason).toBe(reply.replace(name, "*"));
  });

  it("is told of at its first refusal, and not again when that opens it, nor on that day", () => {
    const first = afterAttempt(newRoute("smtp://relay:587"), sendAs, seconds(0));
    const told = afterTelling(first, seconds(1));
    expect(told?.told).toEqual({ down: false, at: 0, refusalAt: seconds(1) });
    if (!told) return;
    const down = afterAttempt(told, sendAs, seconds(2));
    expect(down.down).toBeDefined();
    expect(afterTelling(down, seconds(3))).toBeUndefined();
    expect(afterTelling(down, seconds(3602))?.told.down).toBe(true);
    const again = afterAttempt(afterAttempt(told, accepted, seconds(9)), sendAs, seconds(7200));
    expect(afterTelling(again, seconds(7201))).toBeUndefined();
    expect(afterTelling(again, seconds(90_000))?.told.refusalAt).toBe(seconds(90_000));
  });

  it("is told of its refusal though it takes the next mail before that, and works meanwhile", () => {
    const refused = afterAttempt(newRoute("r"), sendAs, seconds(0));
    const works = afterAttempt(refused, accepted, seconds(1));
    expect(refusing(works, seconds(1))).toBeUndefined();
    expect(afterAttempt(works, accepted, seconds(2))).toBe(works);
    const told = afterTelling(works, seconds(60));
    expect(told).toMatchObject({ told: { refusalAt: seconds(60) } });
    expect(told?.refusal).toBeUndefined();
    expect(told && afterTelling(told, seconds(61))).toBeUndefined();
    const again = afterAttempt(works, sendAs, seconds(3));
    expect(refusing(again, seconds(9))).toMatchObject({ at: seconds(0) });
  });

  it("refuses us no more a day after its last word, unless it is down", () => {
    const idle = afterAttempt(newRoute("smtp://relay:587"), sendAs, seconds(0));
    expect(refusing(idle, seconds(86_399))).toBeDefined();
    expect(refusing(idle, seconds(86_400))).toBeUndefined();
    const down = afterAttempt(idle, sendAs, seconds(9));
    expect(refusing(down, seconds(200_000))).toBeDefined();
  });

  it("is told of when its host dies within an hour of a refusal", () => {
    const told = afterTelling(afterAttempt(newRoute("r"), sendAs, seconds(0)), seconds(1));
    if (!told) throw new Error("not told");
    const worked = afterAttempt(told, accepted, seconds(2));
    const dead = afterAttempt(afterAttempt(worked, away, seconds(3)), away, seconds(4));
    expect(afterTelling(dead, seconds(5))?.told.down).toBe(true);
  });

  it.each<[string, DeliveryOutcome, number[]]>([
    [
      "refused our login is probed after 30 s, 1, 2, 5, then every 10 minutes",
      login,
      [30, 90, 210, 510, 1110, 1710],
    ],
    [
      "cannot check our login is probed as rarely, for accounts are locked for too many",
      failed("auth", 454, "454 4.7.0 Too many login attempts, please try again later"),
      [30, 90, 210, 510, 1110, 1710],
    ],
    ["cannot be reached is probed after 30 s, 1, then every 2 minutes", away, [30, 90, 210, 330, 450, 570]],
  ])("that %s", (_, outcome, expected) => {
    let state = routeAfter([
      [0, outcome],
      [0, outcome],
    ]);
    const probes: number[] = [];
    for (let at = 0; probes.length < expected.length; at++) {
      const begun = beginning(state, undefined, seconds(at), seconds(at + 300));
      if (!("state" in begun)) continue;
      probes.push(at);
      state = afterAttempt(begun.state, outcome, seconds(at));
    }
    expect(probes).toEqual(expected);
  });

  it("that is being probed is left alone by all others, who look again soon", () => {
    const begun = beginning(routeAfter([[0, login]]), undefined, seconds(30), seconds(100));
    if (!("state" in begun)) throw new Error("no probe");
    expect(beginning(begun.state, undefined, seconds(30), seconds(100))).toMatchObject({
      until: seconds(35),
    });
    expect(beginning(begun.state, undefined, seconds(99), seconds(200))).toMatchObject({
      until: seconds(100),
    });
  });

  it("whose probe never came to an end is probed again when its time is over", () => {
    const begun = beginning(routeAfter([[0, login]]), undefined, seconds(30), seconds(100));
    if (!("state" in begun)) throw new Error("no probe");
    expect(usable(begun.state, 100)).toBe(true);
  });

  it.each<[string, DeliveryOutcome]>([
    ["a mail that is taken", accepted],
    ["a recipient that is refused", failed("recipient", 550, "550 5.1.1 unknown")],
    ["a recipient that is deferred", failed("recipient", 450)],
  ])("is closed by %s, and is then as new", (_, outcome) => {
    const state = routeAfter([
      [0, login],
      [30, outcome],
    ]);
    expect(state).toMatchObject({ failures: 0 });
    expect(state.down).toBeUndefined();
    expect(
      routeAfter([
        [0, login],
        [30, outcome],
        [31, away],
      ]).down,
    ).toBeUndefined();
  });

  it("waits no longer for its probe because of those who had begun before it was downed", () => {
    const down = routeAfter([[0, login]]);
    expect(afterAttempt(down, login, seconds(1))).toBe(down);
  });

  it("says since when it is down, and what it said last", () => {
    expect(
      routeAfter([
        [0, login],
        [30, away],
      ]).down,
    ).toMatchObject({
      since: begin,
      reason: "gone",
      probeAt: seconds(90),
    });
  });

  it("is told of when it is downed and when it is closed, each once", () => {
    const now = seconds(1);
    expect(afterTelling(routeAfter([[0, away]]), now)).toBeUndefined();
    const told = afterTelling(routeAfter([[0, login]]), now);
    expect(told?.told).toEqual({ down: true, at: now });
    expect(told && afterTelling(told, seconds(9000))).toBeUndefined();
    const closed = told && afterTelling(afterAttempt(told, accepted, now), now);
    expect(closed?.told).toEqual({ down: false, at: now });
    expect(closed && afterTelling(closed, seconds(9000))).toBeUndefined();
  });

  it("that opens again is told of an hour after the last time, if it is down then", () => {
    const state = { ...routeAfter([[60, login]]), told: { down: false, at: begin } };
    expect(afterTelling(state, seconds(3599))).toBeUndefined();
    expect(afterTelling(state, seconds(3600))?.told).toEqual({ down: true, at: seconds(3600) });
    expect(afterTelling(afterAttempt(state, accepted, seconds(90)), seconds(3600))).toBeUndefined();
  });

  it("is probed at once by a bridge that has just been started", () => {
    expect(usable(routeAfter([[0, login]]), 1)).toBe(false);
    expect(usable(afterStart(routeAfter([[0, login]]), seconds(1), true), 1)).toBe(true);
  });

  it("that is in the settings no more is up, and operators hear so if they heard it was down", () => {
    const down = { ...routeAfter([[0, login]]), revision: 7 };
    const unheard = afterStart(down, seconds(9), false);
    expect(unheard.revision).toBe(7);
    expect(unheard.down).toBeUndefined();
    expect(afterTelling(unheard, seconds(9))).toBeUndefined();
    const told = afterStart({ ...down, told: { down: true, at: begin } }, seconds(9), false);
    expect(afterTelling(told, seconds(9))?.told.down).toBe(false);
    expect(afterStart(told, seconds(99), true).removed).toBeUndefined();
  });

  it("is probed though the clock was set back by an hour", () => {
    expect(usable(routeAfter([[0, login]]), 60 - 3600)).toBe(true);
  });

  it("is probed, and told of, though the clock was set back by a year", () => {
    const down = routeAfter([[0, login]]);
    const yearAgo = -365 * 86_400;
    expect(usable(down, yearAgo)).toBe(true);
    const told = { ...down, told: { down: false, at: begin } };
    expect(afterTelling(told, seconds(yearAgo))?.told.down).toBe(true);
  });

  it("that works changes nothing when it works again", () => {
    const state = newRoute("smtp://relay:587");
    expect(afterAttempt(state, accepted, begin)).toBe(state);
    expect(beginning(state, undefined, begin, begin)).toEqual({ state, at: begin });
  });
});

const tooFast: DeliveryOutcome = {
  result: "deferred",
  lostAfterData: false,
  tooFast: true,
  step: "connect",
  reply: "Throttling: Maximum sending rate exceeded.",
  durationMilliseconds: 1,
};

describe("a route that is asked too fast", () => {
  /** A route after outcomes at given milliseconds. */
  const slowedBy = (outcomes: [at: number, outcome: DeliveryOutcome][]) =>
    outcomes.reduce(
      (state, [at, outcome]) => afterAttempt(state, outcome, begin + at),
      newRoute("ses://eu-west-1"),
    );
  const next = (state: RouteState, at: number) => beginning(state, undefined, begin + at, begin + at);

  it("rests for a second, and is not open", () => {
    const state = slowedBy([[0, tooFast]]);
    expect(state.down).toBeUndefined();
    expect(next(state, 999)).toEqual({ until: begin + 1000, reason: tooFast.reply, spread: 500 });
    expect(next(state, 1000)).toEqual({ state, at: begin + 1000 });
  });

  it("rests no longer because mails that were under way hear the same", () => {
    const state = slowedBy([[0, tooFast]]);
    expect(afterAttempt(state, tooFast, begin + 50)).toBe(state);
    expect(afterAttempt(state, accepted, begin + 50)).toBe(state);
  });

  it("rests longer each time that no mail was taken in between", () => {
    let state = newRoute("ses://eu-west-1");
    const rests: number[] = [];
    for (let at = 0; rests.length < 8; ) {
      state = afterAttempt(state, tooFast, begin + at);
      const wait = next(state, at);
      if (!("until" in wait)) throw new Error("it does not rest");
      rests.push((wait.until - begin - at) / 1000);
      at = wait.until - begin;
    }
    expect(rests).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
  });

  it("rests for a second again once a mail was taken", () => {
    const state = slowedBy([
      [0, tooFast],
      [1000, tooFast],
      [3000, accepted],
      [3100, tooFast],
    ]);
    expect(next(state, 3100)).toMatchObject({ until: begin + 4100 });
  });

  it("rests no longer than a second when a mail that was under way is taken after all", () => {
    const state = slowedBy([
      [0, tooFast],
      [1000, tooFast],
      [1010, accepted],
    ]);
    expect(next(state, 1010)).toMatchObject({ until: begin + 2010 });
    const once = slowedBy([
      [0, tooFast],
      [10, accepted],
    ]);
    expect(next(once, 10)).toMatchObject({ until: begin + 1000 });
  });

  it("works: it closes, and its failures are forgotten", () => {
    const probed = routeAfter([
      [0, login],
      [30, tooFast],
    ]);
    expect([probed.down, probed.failures]).toEqual([undefined, 0]);
    const state = routeAfter([
      [0, away],
      [1, tooFast],
      [3, away],
    ]);
    expect(state.down).toBeUndefined();
  });

  it("stays open, and rests, if what fails next is its login", () => {
    const state = slowedBy([
      [0, tooFast],
      [50, login],
    ]);
    expect(state.down).toMatchObject({ reason: login.reply });
    expect(state.slowed).toMatchObject({ until: begin + 1000 });
  });

  it("does not rest for a year when the clock is set back by a year", () => {
    const state = slowedBy([[0, tooFast]]);
    expect("state" in next(state, -365 * 86_400_000)).toBe(true);
  });
});

describe("a rate", () => {
  const rate = { most: 3, milliseconds: 60_000 };
  /** At which seconds mails are begun, if one needs to be at each second. */
  const begunAt = (until: number) => {
    let state = newRoute("smtp://relay:587");
    const times: number[] = [];
    for (let at = 0; at < until; at++) {
      const begun = beginning(state, rate, seconds(at), seconds(at + 300));
      if (!("state" in begun)) continue;
      times.push(at);
      state = begun.state;
    }
    return { times, state };
  };

  it("is kept in every span of its length, and used in full", () => {
    // A second mail may be 50 ms quicker to the relay.
    expect(begunAt(184).times).toEqual([0, 1, 2, 61, 62, 63, 122, 123, 124, 183]);
  });

  it("that is reached says when the next mail may be begun", () => {
    expect(beginning(begunAt(5).state, rate, seconds(5), 0)).toMatchObject({ until: seconds(60.05) });
  });

  it("gives a mail that has patience its turn ahead of time, one after the other", () => {
    let state = begunAt(55).state;
    const turns = [1, 2, 3, 4].map(() => {
      const begun = beginning(state, rate, seconds(55), 0, 30_000);
      if (!("state" in begun)) return "not within 30 s";
      state = begun.state;
      return (begun.at - begin) / 1000;
    });
    expect(turns).toEqual([60.05, 61.05, 62.05, "not within 30 s"]);
    expect(beginning(state, rate, seconds(62), 0)).toMatchObject({ until: seconds(120.1) });
  });

  it("remembers no more than it needs", () => {
    expect(begunAt(1000).state.begun.length).toBeLessThanOrEqual(rate.most);
  });

  it("does not count what seems to be begun later, when the clock was set back by a year", () => {
    const full = begunAt(5).state;
    expect("state" in beginning(full, rate, seconds(-365 * 86_400), 0)).toBe(true);
  });

  /** How many mails of each site are begun at once, of those that come in this order. */
  const begunOf = (rate: Rate, sites: string[], state = newRoute("smtp://relay:587"), at = 0) => {
    const counts: Record<string, number> = {};
    for (const site of sites) {
      const begun = beginning(state, rate, seconds(at), seconds(300), 0, { site, contact: "x@example.com" });
      if (!("state" in begun)) continue;
      state = begun.state;
      counts[site] = (counts[site] ?? 0) + 1;
    }
    return { counts, state };
  };
  const many = (site: string) => Array<string>(60).fill(site);

  it.each<[string, most: number, milliseconds: number, counts: Record<string, number>]>([
    ["30 mails in a minute", 30, 60_000, { a: 27, b: 3 }],
    ["5 mails in an hour", 5, 3_600_000, { a: 4, b: 1 }],
    ["40 mails in a day", 40, 86_400_000, { a: 36, b: 4 }],
    ["4 mails in a minute, of which none is reserved", 4, 60_000, { a: 4 }],
    ["14 mails in a second, for which mails wait at their connections", 14, 1000, { a: 14 }],
  ])(
    "of %s reserves a tenth for other sites than the one with the most mails",
    (_, most, milliseconds, counts) => {
      expect(begunOf({ most, milliseconds }, [...many("a"), ...many("b"), ...many("c")]).counts).toEqual(
        counts,
      );
    },
  );

  it("keeps it for each new time, and is never exceeded", () => {
    const rate = { most: 30, milliseconds: 60_000 };
    const first = begunOf(rate, [...many("a"), "b", ...many("a")]);
    expect(first.counts).toEqual({ a: 27, b: 1 });
    const late = begunOf(rate, [...many("a"), "b", "b", "b"], first.state, 59);
    expect(late.counts).toEqual({ b: 2 });
    expect(begunOf(rate, [...many("a"), "b", "b", "b"], late.state, 62).counts).toEqual({ a: 25, b: 1 });
  });

  it("does not make a mail of the reserved part wait for those that wait at their connections", () => {
    const rate = { most: 30, milliseconds: 60_000 };
    let { state } = begunOf(rate, many("a"));
    const next = (site: string) => {
      const begun = beginning(state, rate, seconds(40), 0, 30_000, { site, contact: "x@example.com" });
      if (!("state" in begun)) return undefined;
      state = begun.state;
      return (begun.at - begin) / 1000;
    };
    expect([next("a"), next("b"), next("b"), next("b")]).toEqual([60.05, 40, 40, 60.05]);
    expect(state.begun).toEqual([...state.begun].sort((one, other) => one - other));
  });

  it("counts the mails that an older version noted without sites", () => {
    const { begunBy: _, ...old } = begunOf({ most: 4, milliseconds: 60_000 }, many("a")).state;
    expect(begunOf({ most: 30, milliseconds: 60_000 }, many("a"), old).counts).toEqual({ a: 23 });
  });

  it("holds for probes too", () => {
    const full = begunAt(5).state;
    const down = afterAttempt(full, login, seconds(6));
    expect(beginning(down, rate, seconds(36), 0)).toMatchObject({ until: seconds(60.05) });
  });
});

it("a stored route of the version before that was open is down, and operators heard so", () => {
  const { route: _, revision: __, down, told, ...rest } = routeAfter([[0, login]]);
  const stored = { ...rest, open: down, told: { open: true, at: told.at } };
  expect(storedRoute(stored as never)).toEqual({ ...rest, down, told: { down: true, at: told.at } });
  expect(storedRoute({ ...rest, down, told })).toEqual({ ...rest, down, told });
});

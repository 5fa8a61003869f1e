import { setTimeout } from "node:timers/promises";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Mail } from "../../functions/deliver/mail.ts";
import type { DeliveryOutcome, Step } from "../../functions/deliver/outcome.ts";
import { failure } from "../../functions/deliver/refusal.ts";
import { probeUnused, relays, useRoutes } from "../../functions/deliver/routes.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import type { Rate } from "../../functions/time.ts";

const begin = 1_000_000_000;
let now: number;
let states: Ledger;
/** Which route was given a mail, in order. */
let tried: string[];
/** How long mails waited at their connections. */
let paused: number[];
let stopping: AbortController;
beforeEach(() => {
  paused = [];
  stopping = new AbortController();
  now = begin;
  states = sqliteLedger(":memory:");
  tried = [];
});

const accepted: DeliveryOutcome = { result: "accepted", reply: "250 Ok", code: 250, durationMilliseconds: 1 };
const failed = (step: Step, code?: number, reply = `${code ?? "gone"}`): DeliveryOutcome => ({
  ...failure(step, code, reply),
  step,
  code,
  reply,
  durationMilliseconds: 1,
});

const unknown = failed("recipient", 550, "550 5.1.1 unknown");

type Send = (signal: AbortSignal, loggedIn?: () => void) => DeliveryOutcome | Promise<DeliveryOutcome>;
type Route = { connections?: number; rate?: Rate; send: Send };
/** One process's routes. */
const open = (routes: Record<string, Route | DeliveryOutcome>) =>
  relays({
    routes: Object.entries(routes).map(([route, given]) => {
      const { connections = 3, rate, send } = "send" in given ? given : { send: () => given };
      const transport = {
        route,
        send: async (_: Mail, signal: AbortSignal, loggedIn?: () => void) => {
          tried.push(route);
          return send(signal, loggedIn);
        },
      };
      return { relay: { route, connections, rate }, transport };
    }),
    states,
    clock: () => now,
    pause: async (milliseconds) => {
      paused.push(milliseconds);
      now += milliseconds;
    },
    stopping: stopping.signal,
  });

let mails = 0;
const mail = (site = "site"): Mail => ({
  alert: { site, id: "alert-0001" },
  envelope: { from: "nagios@example.com", to: "ops@example.org" },
  messageId: `<${(mails++).toString(16).padStart(8, "0")}@example.com>`,
  from: { address: "nagios@example.com" },
  bytes: Buffer.alloc(0),
});
const until = () => now + 395_000;

describe("a mail", () => {
  it("goes by the first route, if that takes it", async () => {
    expect(await open({ a: accepted, b: accepted })(mail(), until())).toEqual({
      attempts: [{ at: begin, route: "a", outcome: accepted }],
    });
    expect(tried).toEqual(["a"]);
  });

  it.each<[string, DeliveryOutcome]>([
    ["cannot be reached", failed("connect")],
    ["refuses our login", failed("auth", 535)],
    ["has lost its TLS", failed("tls")],
    ["defers it", failed("recipient", 450)],
    ["has a full disk", failed("after-data", 452)],
    ["does not know its recipient", unknown],
    ["finds it too large", failed("after-data", 552, "552 5.3.4 too large")],
    ["may not send as this sender", failed("after-data", 554, "554 5.2.252 SendAsDenied")],
  ])("goes by the second route at once if the first %s, and both attempts are told", async (_, outcome) => {
    const { attempts, wait } = await open({ a: outcome, b: accepted })(mail(), until());
    expect(attempts.map((attempt) => [attempt.route, attempt.outcome.result])).toEqual([
      ["a", outcome.result],
      ["b", "accepted"],
    ]);
    expect(wait).toBeUndefined();
  });

  it("is not offered to the second route if the first may have taken it", async () => {
    const { attempts } = await open({ a: failed("after-data"), b: accepted })(mail(), until());
    expect(attempts).toHaveLength(1);
    expect(tried).toEqual(["a"]);
  });

  it("is refused only when every route has refused it", async () => {
    const one = await open({ a: unknown, b: unknown })(mail(), until());
    expect(one).toMatchObject({ refused: true });
    expect(tried).toEqual(["a", "b"]);
  });

  it.each<[string, DeliveryOutcome]>([
    ["is away", failed("connect")],
    ["defers it", failed("recipient", 450)],
    ["refuses us", failed("recipient", 553, "553 5.7.1 Sender address rejected: not owned by user")],
  ])(
    "that one route refuses is kept if the other %s: that one may know the recipient",
    async (_, outcome) => {
      for (const routes of [
        { a: unknown, b: outcome },
        { a: outcome, b: unknown },
      ]) {
        const handover = await open(routes)(mail(), until());
        expect(handover.attempts).toHaveLength(2);
        expect(handover.refused).toBeUndefined();
      }
    },
  );

  it("is kept when one route refuses it and the other is open", async () => {
    const handOver = open({ a: failed("auth", 535), b: unknown });
    await handOver(mail(), until());
    const { refused, attempts, sooner } = await handOver(mail(), until());
    expect(attempts).toHaveLength(1);
    expect(refused).toBeUndefined();
    expect(sooner).toBe(begin + 30_000);
  });

  it("whose reply was lost by the second route is offered to that one first", async () => {
    await open({ a: accepted, b: accepted })(mail(), until(), "b");
    expect(tried).toEqual(["b"]);
  });

  it("that one route defers is tried again when an open one may be, if that is sooner", async () => {
    const handOver = open({ a: failed("auth", 535), b: failed("recipient", 450) });
    expect(await handOver(mail(), until())).toMatchObject({ sooner: begin + 35_000 });
    expect(await handOver(mail(), until())).toMatchObject({
      attempts: [{ route: "b" }],
      sooner: begin + 30_000,
    });
  });

  it("that all routes defer waits for the queue's time", async () => {
    const { attempts, wait } = await open({ a: failed("connect"), b: failed("recipient", 450) })(
      mail(),
      until(),
    );
    expect(attempts).toHaveLength(2);
    expect(wait).toBeUndefined();
  });

  it("waits for the first probe if all routes are open, and is told why", async () => {
    const handOver = open({ a: failed("auth", 535), b: failed("tls") });
    const first = await handOver(mail(), until());
    expect(first).toMatchObject({
      attempts: [{ route: "a" }, { route: "b" }],
      wait: { until: begin + 35_000 },
    });
    now += 10_000;
    const second = await handOver(mail(), until());
    expect(second).toEqual({
      attempts: [],
      wait: { until: begin + 30_000, reason: "a: 535; b: gone" },
    });
    expect(tried).toEqual(["a", "b"]);
  });

  it("passes by a route that is down, without a word to it", async () => {
    const handOver = open({ a: failed("auth", 535), b: accepted });
    for (let count = 0; count < 5; count++) await handOver(mail(), until());
    expect(tried).toEqual(["a", "b", "b", "b", "b", "b"]);
  });

  it("finds a route open that another process has opened", async () => {
    await open({ a: failed("auth", 535) })(mail(), until());
    expect(await open({ a: accepted })(mail(), until())).toMatchObject({ attempts: [] });
    expect(tried).toEqual(["a"]);
  });

  it("is the probe of a route that is down when its time has come, and puts it to use again", async () => {
    let outcome = failed("auth", 535);
    const handOver = open({ a: { send: () => outcome }, b: accepted });
    await handOver(mail(), until());
    now += 30_000;
    outcome = accepted;
    expect((await handOver(mail(), until())).attempts).toMatchObject([{ route: "a" }]);
    expect((await handOver(mail(), until())).attempts).toMatchObject([{ route: "a" }]);
  });

  it("that probes is alone: others pass the route by meanwhile", async () => {
    const answer = Promise.withResolvers<DeliveryOutcome>();
    let send: Send = () => failed("auth", 535);
    const handOver = open({ a: { send: (signal) => send(signal) }, b: accepted });
    await handOver(mail(), until());
    now += 30_000;
    send = () => answer.promise;
    const probe = handOver(mail(), until());
    const others = open({ a: accepted, b: accepted });
    for (let count = 0; count < 3; count++)
      expect((await others(mail(), until())).attempts).toMatchObject([{ route: "b" }]);
    answer.resolve(accepted);
    expect((await probe).attempts).toMatchObject([{ route: "a" }]);
    expect(tried.filter((route) => route === "a")).toHaveLength(2);
  });

  it("finds no line behind a probe that hangs, but goes by the next route at once", async () => {
    const answer = Promise.withResolvers<DeliveryOutcome>();
    let send: Send = () => failed("auth", 535);
    const handOver = open({ a: { send: (signal) => send(signal) }, b: accepted });
    await handOver(mail(), until());
    now += 30_000;
    send = () => answer.promise;
    const probe = handOver(mail(), until());
    await expect.poll(() => tried).toEqual(["a", "b", "a"]);
    const other = handOver(mail(), until());
    await expect.poll(() => tried).toEqual(["a", "b", "a", "b"]);
    expect((await other).attempts).toMatchObject([{ route: "b" }]);
    answer.resolve(accepted);
    expect((await probe).attempts).toMatchObject([{ route: "a" }]);
  });

  it("that was taken counts as taken, though its route's state cannot be written then", async () => {
    await open({ a: failed("connect") })(mail(), until());
    states = { ...states, writeRoute: () => Promise.reject(new Error("database is locked")) };
    const { attempts } = await open({ a: accepted, b: accepted })(mail(), until());
    expect(attempts).toMatchObject([{ route: "a", outcome: accepted }]);
  });

  it("is offered to the next route, though the state of the first cannot be written then", async () => {
    states = { ...states, writeRoute: () => Promise.reject(new Error("database is locked")) };
    const { attempts } = await open({ a: failed("auth", 535), b: accepted })(mail(), until());
    expect(attempts).toMatchObject([{ route: "a" }, { route: "b", outcome: accepted }]);
  });
});

describe("the connections of a route", () => {
  /** Offers so many mails at once to a route that holds them; tells how many it had at once, and lets them go. */
  const crowd = async (
    connections: number,
    count: number,
    proven: boolean,
    outcome: DeliveryOutcome = accepted,
  ) => {
    const held: ((outcome: DeliveryOutcome) => void)[] = [];
    let most = 0;
    let hold = false;
    const handOver = open({
      a: {
        connections,
        send: () => {
          if (!hold) return accepted;
          const { promise, resolve } = Promise.withResolvers<DeliveryOutcome>();
          held.push(resolve);
          most = Math.max(most, held.length);
          return promise;
        },
      },
    });
    if (proven) await handOver(mail(), until());
    hold = true;
    const all = Array.from({ length: count }, () => handOver(mail(), until()));
    let ended = 0;
    for (const handover of all) handover.then(() => ended++);
    while (ended < count) {
      await new Promise((resolve) => setImmediate(resolve));
      held.shift()?.(outcome);
    }
    return { most, handovers: await Promise.all(all) };
  };

  it("are as many as its settings say", async () => {
    const { most, handovers } = await crowd(2, 7, true);
    expect(most).toBe(2);
    expect(handovers.map(({ attempts }) => attempts.length)).toEqual(Array(7).fill(1));
  });

  it("are one until a mail has shown that it works, so that a wrong password is tried once", async () => {
    const { most, handovers } = await crowd(5, 20, false, failed("auth", 535));
    expect(most).toBe(1);
    expect(handovers.filter(({ attempts }) => attempts.length > 0)).toHaveLength(1);
    expect(tried).toHaveLength(1);
  });

  it("are all there once a login was taken, though the first mail is not done", async () => {
    const hang = Promise.withResolvers<DeliveryOutcome>();
    let first = true;
    const handOver = open({
      a: {
        connections: 3,
        send: (_, loggedIn) => {
          if (!first) return accepted;
          first = false;
          setImmediate(() => loggedIn?.());
          return hang.promise;
        },
      },
    });
    const slow = handOver(mail(), until());
    const others = await Promise.all([handOver(mail(), until()), handOver(mail(), until())]);
    expect(others.map(({ attempts }) => attempts.length)).toEqual([1, 1]);
    hang.resolve(accepted);
    await slow;
  });

  it("are given up by who has no time left to wait, who is told so", async () => {
    const answer = Promise.withResolvers<DeliveryOutcome>();
    const handOver = open({ a: { connections: 1, send: () => answer.promise } });
    const first = handOver(mail(), until());
    const late = await handOver(mail(), now + 20_050);
    expect(late).toMatchObject({ attempts: [], wait: { reason: "a: all its connections are busy" } });
    answer.resolve(accepted);
    expect((await first).attempts).toHaveLength(1);
    expect((await handOver(mail(), until())).attempts).toHaveLength(1);
  });

  it("are not waited for until there is hardly any time to send: a slow reply to the dot would be cut off", async () => {
    const timeout = vi.spyOn(AbortSignal, "timeout");
    const answer = Promise.withResolvers<DeliveryOutcome>();
    const handOver = open({ a: { connections: 1, send: () => answer.promise } });
    const both = [handOver(mail(), until()), handOver(mail(), until())];
    await expect.poll(() => tried).toEqual(["a"]);
    const waits = timeout.mock.calls.map(([milliseconds]) => milliseconds).filter((wait) => wait < 390_000);
    timeout.mockRestore();
    expect(Math.max(...waits)).toBeLessThanOrEqual(395_000 - 60_000);
    answer.resolve(accepted);
    await Promise.all(both);
  });

  it("are left alone, by who stands in line and who comes, once the process is to end", async () => {
    const answer = Promise.withResolvers<DeliveryOutcome>();
    const handOver = open({ a: { connections: 1, send: () => answer.promise } });
    const first = handOver(mail(), until());
    const inLine = handOver(mail(), until());
    await new Promise((resolve) => setImmediate(resolve));
    stopping.abort();
    const busy = { attempts: [], wait: { until: now, reason: "a: this process ends" }, paced: true };
    const late = handOver(mail(), until());
    const soon = setTimeout(100, "still in line");
    expect(await Promise.race([inLine, soon])).toMatchObject(busy);
    expect(await Promise.race([late, soon])).toMatchObject(busy);
    answer.resolve(accepted);
    expect((await first).attempts).toHaveLength(1);
    expect(tried).toHaveLength(1);
  });

  it("are free again after a transport threw", async () => {
    let broken = true;
    const handOver = open({
      a: {
        connections: 1,
        send: () => {
          if (broken) throw new Error("a fault of ours");
          return accepted;
        },
      },
    });
    await expect(handOver(mail(), until())).rejects.toThrow("a fault of ours");
    broken = false;
    expect((await handOver(mail(), until())).attempts).toHaveLength(1);
  });
});

describe("a rate", () => {
  const rate = { most: 2, milliseconds: 60_000 };

  it("sends what is beyond it by the next route", async () => {
    const handOver = open({ a: { rate, send: () => accepted }, b: accepted });
    for (let count = 0; count < 4; count++) await handOver(mail(), until());
    expect(tried).toEqual(["a", "a", "b", "b"]);
  });

  it("is shared by all processes", async () => {
    for (let count = 0; count < 4; count++)
      await open({ a: { rate, send: () => accepted } })(mail(), until());
    expect(tried).toEqual(["a", "a"]);
  });

  it("leaves a tenth of a day's mails to other sites, however many one site has", async () => {
    const daily = { most: 20, milliseconds: 86_400_000 };
    const process = () => open({ a: { rate: daily, send: () => accepted } });
    for (let count = 0; count < 30; count++) await process()(mail("flooding"), until());
    expect(tried).toHaveLength(18);
    expect((await process()(mail("quiet"), until())).attempts).toHaveLength(1);
  });

  it("makes mails wait, spread over its span and each for the same time again", async () => {
    const handOver = open({ a: { rate, send: () => accepted } });
    await handOver(mail(), until());
    await handOver(mail(), until());
    const late = { ...mail(), messageId: "<80000000@example.com>" };
    const { wait } = await handOver(late, until());
    // Half of its span, and as much of it as the turn's milliseconds are of a second.
    expect(wait?.until).toBeCloseTo(begin + 60_050 + 33_000, -1);
    expect((await handOver(late, until())).wait).toEqual(wait);
  });

  it("does not let the same mail be the last each time", async () => {
    const order: boolean[] = [];
    for (const milliseconds of [0, 300]) {
      states = sqliteLedger(":memory:");
      now = begin + milliseconds;
      const handOver = open({ a: { rate, send: () => accepted } });
      for (let count = 0; count < 2; count++) await handOver(mail(), until());
      const [one, other] = await Promise.all(
        ["<40000000@example.com>", "<c0000000@example.com>"].map(async (messageId) => {
          const { wait } = await handOver({ ...mail(), messageId }, until());
          return wait?.until ?? 0;
        }),
      );
      order.push(Number(one) < Number(other));
    }
    expect(order).toEqual([true, false]);
  });

  it("of a route that is open delays no mail beyond its next probe", async () => {
    const handOver = open({ a: { rate: { most: 9, milliseconds: 86_400_000 }, send: () => failed("tls") } });
    await handOver(mail(), until());
    const last = { ...mail(), messageId: "<ffffffff@example.com>" };
    expect((await handOver(last, until())).wait?.until).toBe(begin + 30_000);
  });
});

describe("a rate of which the next turn is near", () => {
  const rate = { most: 2, milliseconds: 1000 };

  it("lets a mail wait in its place for the last route", async () => {
    const handOver = open({ a: { rate, send: () => accepted } });
    for (let count = 0; count < 5; count++)
      expect((await handOver(mail(), until())).attempts).toHaveLength(1);
    expect(paused).toEqual([1050, 1050]);
    expect(now).toBe(begin + 2100);
  });

  it("is not waited for if another route comes after it", async () => {
    const handOver = open({ a: { rate, send: () => accepted }, b: accepted });
    for (let count = 0; count < 4; count++) await handOver(mail(), until());
    expect([tried, paused]).toEqual([["a", "a", "b", "b"], []]);
  });

  it("is not waited for by a process that is to end", async () => {
    const handOver = open({ a: { rate, send: () => accepted } });
    stopping.abort();
    for (let count = 0; count < 2; count++) await handOver(mail(), until());
    expect(await handOver(mail(), until())).toMatchObject({ attempts: [], paced: true });
    expect(paused).toEqual([]);
  });
});

describe("a route that is asked too fast", () => {
  const tooFast: DeliveryOutcome = {
    result: "deferred",
    lostAfterData: false,
    tooFast: true,
    step: "connect",
    reply: "Throttling: Maximum sending rate exceeded.",
    durationMilliseconds: 1,
  };

  it("leaves the mail to the next route at once, and those that follow while it rests", async () => {
    const handOver = open({ a: tooFast, b: accepted });
    const { attempts } = await handOver(mail(), until());
    expect(attempts.map(({ route }) => route)).toEqual(["a", "b"]);
    await handOver(mail(), until());
    expect(tried).toEqual(["a", "b", "b"]);
  });

  it("lets the mail wait for one to two seconds", async () => {
    const { attempts, wait, paced } = await open({ a: tooFast })(mail(), until());
    expect(attempts).toMatchObject([{ outcome: { tooFast: true } }]);
    expect(wait?.reason).toBe("a: Throttling: Maximum sending rate exceeded.");
    expect(wait?.until).toBeGreaterThanOrEqual(begin + 1000);
    expect(wait?.until).toBeLessThan(begin + 2000);
    expect(paced).toBe(true);
  });

  it("is left alone by the mails of all processes, and they wait at their connections without an attempt", async () => {
    const answers = [tooFast, accepted, accepted];
    const send: Send = () => answers.shift() ?? accepted;
    await open({ a: { send } })(mail(), until());
    for (let count = 0; count < 2; count++)
      expect((await open({ a: { send } })(mail(), until())).attempts).toMatchObject([{ outcome: accepted }]);
    expect(paused).toHaveLength(1);
    expect(tried).toHaveLength(3);
    expect(now).toBeGreaterThanOrEqual(begin + 1000);
  });

  it("that rests for long is waited for in the queue", async () => {
    const handOver = open({ a: tooFast });
    let waited = 0;
    for (let count = 0; count < 6; count++) {
      const { wait } = await handOver(mail(), until());
      waited = (wait?.until ?? 0) - now;
      now = wait?.until ?? 0;
    }
    expect(waited).toBeGreaterThanOrEqual(30_000);
    await handOver(mail(), until());
    const before = tried.length;
    expect(await handOver(mail(), now + 70_000)).toMatchObject({ attempts: [], paced: true });
    expect(tried).toHaveLength(before);
  });

  it("and another one that defers: the first is tried again when it has rested", async () => {
    const handOver = open({ a: tooFast, b: failed("recipient", 450) });
    const { attempts, sooner, paced } = await handOver(mail(), until());
    expect(attempts).toHaveLength(2);
    expect(sooner).toBeLessThan(begin + 2000);
    expect(paced).toBe(true);
  });
});

describe("all routes together", () => {
  it.each<[string, seconds: number, shares: number[]]>([
    ["each leaves 40 s to those after it", 395, [315, 355, 395]],
    ["a short time is shared", 90, [30, 60, 90]],
  ])("end before the mail's time: %s", async (_, seconds, shares) => {
    const given: number[] = [];
    const timeout = vi.spyOn(AbortSignal, "timeout");
    /** Takes all the time it is given. */
    const slow: Send = () => {
      now += timeout.mock.lastCall?.[0] ?? 0;
      given.push((now - begin) / 1000);
      return failed("recipient");
    };
    await open({ a: { send: slow }, b: { send: slow }, c: { send: slow } })(mail(), now + seconds * 1000);
    timeout.mockRestore();
    expect(given).toEqual(shares);
  });

  it("are not begun when there is no time left", async () => {
    const { attempts, wait } = await open({ a: accepted, b: accepted })(mail(), now + 19_000);
    expect(attempts).toEqual([]);
    expect(wait).toEqual({ until: now, reason: "no time was left; no time was left" });
  });

  it("are not begun when the ledger took all the time: by then another worker has the mail", async () => {
    const { route } = states;
    states.route = async (name) => {
      now += 400_000;
      return route(name);
    };
    const { attempts, wait } = await open({ a: accepted })(mail(), until());
    expect(attempts).toEqual([]);
    expect(wait?.reason).toBe("a: no time was left");
  });
});

describe("a route that is down, and that no mail comes to", () => {
  /** Opens a route by a failed mail, then calls for probes at each second; when each was made. */
  const probesOf = async (
    opening: DeliveryOutcome,
    answer: (at: number) => DeliveryOutcome | undefined,
    until: number,
  ) => {
    const probes: number[] = [];
    const transport = {
      route: "b",
      send: async () => opening,
      probe: async () => {
        probes.push((now - begin) / 1000);
        return answer((now - begin) / 1000);
      },
    };
    const parts = {
      routes: [{ relay: { route: "b", connections: 3 }, transport }],
      states,
      clock: () => now,
    };
    const handOver = relays(parts);
    await handOver(mail(), now + 395_000);
    if (!(await states.route("b")).down) await handOver(mail(), now + 395_000);
    for (let at = 0; at < until; at++) {
      now = begin + at * 1000;
      await probeUnused(parts, new AbortController().signal);
    }
    return { probes, state: await states.route("b") };
  };

  it("is probed by sessions without a mail, a little after each of its times", async () => {
    const { probes, state } = await probesOf(failed("connect"), () => failed("connect"), 500);
    expect(probes).toEqual([40, 110, 240, 370]);
    expect(state.down).toBeDefined();
  });

  it("is put to use by the first that goes well, and left alone then", async () => {
    const { probes, state } = await probesOf(
      failed("auth", 535),
      (at) => (at > 100 ? undefined : failed("auth", 535)),
      500,
    );
    expect(probes).toEqual([40, 110]);
    expect(state).toMatchObject({ failures: 0 });
    expect(state.down).toBeUndefined();
  });

  it.each<[string, DeliveryOutcome]>([
    ["our sender", failed("sender", 550)],
    ["a mail at its end", failed("recipient", 530)],
  ])("is not probed so where %s was refused: a session does not show that", async (_, opening) => {
    expect((await probesOf(opening, () => undefined, 300)).probes).toEqual([]);
  });

  it("is left to whoever probes it already", async () => {
    const hang = Promise.withResolvers<undefined>();
    const opening = failed("auth", 535);
    const transport = { route: "b", send: async () => opening, probe: () => hang.promise };
    const parts = {
      routes: [{ relay: { route: "b", connections: 3 }, transport }],
      states,
      clock: () => now,
    };
    await relays(parts)(mail(), now + 395_000);
    now += 60_000;
    const first = probeUnused(parts, new AbortController().signal);
    let others = 0;
    const other = { ...transport, probe: async () => void others++ };
    await new Promise((resolve) => setImmediate(resolve));
    now += 30_000;
    await probeUnused(
      { ...parts, routes: [{ relay: { route: "b", connections: 3 }, transport: other }] },
      new AbortController().signal,
    );
    expect(others).toBe(0);
    hang.resolve(undefined);
    await first;
    expect((await states.route("b")).down).toBeUndefined();
  });
});

describe("the routes of the settings", () => {
  it("are known before any mail goes by them; those that are no more are not", async () => {
    await useRoutes(states, ["a", "b"], now, true);
    expect((await states.routes()).map(({ route, removed }) => [route, removed])).toEqual([
      ["a", undefined],
      ["b", undefined],
    ]);
    await useRoutes(states, ["b", "c"], now, false);
    expect((await states.routes()).map(({ route, removed }) => [route, removed])).toEqual([
      ["a", true],
      ["b", undefined],
      ["c", undefined],
    ]);
    await useRoutes(states, ["a", "b", "c"], now, false);
    expect((await states.routes()).map(({ removed }) => removed)).toEqual([undefined, undefined, undefined]);
  });

  it.each([
    ["at once after a start", true, 0],
    ["at its time if nothing was started", false, 600_000],
  ])("may be probed %s", async (_, started, wait) => {
    const down = {
      since: now,
      probes: 5,
      probeAt: now + 600_000,
      probing: false,
      reason: "no",
      step: "auth" as const,
    };
    await states.writeRoute({ ...(await states.route("a")), down });
    await useRoutes(states, ["a"], now, started);
    expect((await states.route("a")).down?.probeAt).toBe(now + wait);
  });
});

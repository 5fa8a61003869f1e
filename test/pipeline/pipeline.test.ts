import { beforeEach, describe, expect, it } from "vitest";
import type { RenderedMail } from "../../functions/compose/mime.ts";
import { released } from "../../functions/decide/entry.ts";
import { defaultPolicy, type Policy } from "../../functions/decide/policy.ts";
import { afterAttempt, newRoute } from "../../functions/deliver/breaker.ts";
import type { DeliveryOutcome } from "../../functions/deliver/outcome.ts";
import { relays } from "../../functions/deliver/routes.ts";
import type { JournalRecord } from "../../functions/ledger/journal.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { stamp, storyOf } from "../../functions/ledger/story.ts";
import { pipeline } from "../../functions/pipeline/pipeline.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { type QueuedAlert, readQueuedAlert, toMessage } from "../../functions/queue/message.ts";
import type { ReceivedMessage } from "../../functions/queue/queue.ts";
import type { Event } from "../../functions/report/event.ts";
import { queuedAlert } from "../world/alerts.ts";

const accepted: DeliveryOutcome = {
  result: "accepted",
  reply: "250 queued as A1",
  code: 250,
  queueId: "A1",
  durationMilliseconds: 3,
};
const deferred: DeliveryOutcome = {
  result: "deferred",
  step: "recipient",
  reply: "450 later",
  code: 450,
  lostAfterData: false,
  durationMilliseconds: 3,
};
const refused: DeliveryOutcome = {
  result: "refused",
  about: "recipient",
  step: "recipient",
  reply: "550 5.1.1 no such user",
  code: 550,
  durationMilliseconds: 3,
};
const away: DeliveryOutcome = {
  result: "deferred",
  step: "connect",
  reply: "ECONNREFUSED",
  lostAfterData: false,
  durationMilliseconds: 3,
};
const unauthorised: DeliveryOutcome = {
  result: "unauthorised",
  step: "auth",
  reply: "535 5.7.8 no",
  code: 535,
  durationMilliseconds: 3,
};

let now: number;
let ledger: Ledger;
let mails: RenderedMail[];
let events: Event[];
beforeEach(() => {
  events = [];
  now = 100_000_000;
  ledger = sqliteLedger(":memory:");
  mails = [];
});

type Send = (mail: RenderedMail) => Promise<DeliveryOutcome>;
/** A worker whose relay answers by `send`. */
const worker = (
  send: Send = async () => accepted,
  using: Ledger = ledger,
  policy: Partial<Policy> = {},
  by?: ReturnType<typeof relays>,
) => {
  const route = "smtp://relay:587";
  const transport = {
    route,
    send: (mail: RenderedMail) => {
      mails.push(mail);
      return send(mail);
    },
  };
  return pipeline({
    ledger: using,
    queue: { send: async (messages) => messages.map(() => true) },
    handOver:
      by ??
      relays({
        routes: [{ relay: { route, connections: 3 }, transport }],
        states: using,
        clock: () => now,
      }),
    operators: [],
    sender: { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" },
    policy: { ...defaultPolicy, flapHoldSeconds: 0, ...policy },
    giveUpAfterSeconds: 48 * 3600,
    clock: () => now,
    report: (event) => events.push(event),
  });
};

/** The nth hand-out of an alert's message. */
const handOut = (queued: QueuedAlert, receiveCount = 1): ReceivedMessage => ({
  ...toMessage(queued),
  receipt: String(receiveCount),
  receiveCount,
  visibleAgainAt: now + 400_000,
});
const story = () => ledger.story("site", "alert-0001");

it("an alert that comes again after its end makes no mail, and the log says so", async () => {
  for (let times = 0; times < 2; times++) await worker()(handOut(queuedAlert()));
  expect(mails).toHaveLength(1);
  expect(events.map(({ event }) => event)).toEqual(["ended", "repeated"]);
  expect(events.at(-1)).toMatchObject({ id: "alert-0001", reason: "this alert is mailed already" });
});

describe("a mail that the relay refuses for its size or content", () => {
  const tooLarge: DeliveryOutcome = {
    result: "refused",
    about: "message",
    step: "after-data",
    reply: "552 5.3.4 Message size exceeds fixed limit",
    code: 552,
    durationMilliseconds: 3,
  };
  const long = queuedAlert({}, { output: "disk full", long_output: "x".repeat(9000), perfdata: "a=1" });

  it("is offered once more, reduced: that one says so, and leaves out what was long", async () => {
    const send: Send = async ({ html }) => (html === undefined ? accepted : tooLarge);
    expect(await worker(send)(handOut(long))).toEqual({ message: "remove" });
    expect(mails.map(({ html }) => html === undefined)).toEqual([false, true]);
    const [whole, small] = mails;
    expect(small?.messageId).toBe(whole?.messageId);
    expect(small?.text).toContain("disk full");
    expect(small?.text).toContain(`This mail is reduced: it has no HTML, long output or performance data.`);
    expect(small?.text).toContain(tooLarge.reply);
    expect(small?.text).not.toMatch(/xxx|a=1/);
    expect(small?.text).toMatch(/\n-- \nAlert alert-0001, by Hardstate\n$/);
    const record = await story();
    expect(record?.ending?.as).toBe("mailed");
    expect(record && storyOf(record).join("\n")).toMatch(/refused in .*\n.*accepted the reduced form in/);
  });

  it("is a dead letter only when that is refused too", async () => {
    const done = await worker(async () => tooLarge)(handOut(long));
    expect(done).toEqual({ message: "bury", reason: tooLarge.reply });
    expect(mails).toHaveLength(2);
  });

  it("waits if that is deferred, and is offered whole again", async () => {
    const send: Send = async ({ html }) => (html === undefined ? deferred : tooLarge);
    expect(await worker(send)(handOut(long))).toMatchObject({ message: "give-back" });
    now += 3_600_000;
    await worker()(handOut(long, 2));
    expect(mails.map(({ html }) => html === undefined)).toEqual([false, true, false]);
    expect((await story())?.ending?.as).toBe("mailed");
  });

  it.each<[string, DeliveryOutcome[]]>([
    ["refuses us", [unauthorised]],
    ["refuses us for this recipient", [{ ...unauthorised, step: "recipient", unclear: true }]],
    ["is down already", [away, away]],
  ])("is offered reduced, and taken, though another route %s", async (_, others) => {
    const second = others.at(-1) ?? away;
    const routes = [
      { route: "first", send: async ({ html }: RenderedMail) => (html === undefined ? accepted : tooLarge) },
      { route: "second", send: async () => second },
    ].map((transport) => ({ relay: { route: transport.route, connections: 3 }, transport }));
    const handOver = relays({ routes, states: ledger, clock: () => now });
    await ledger.writeRoute(others.reduce((state, one) => afterAttempt(state, one, now), newRoute("second")));
    expect(await worker(undefined, ledger, {}, handOver)(handOut(long))).toEqual({ message: "remove" });
    expect((await story())?.ending?.as).toBe("mailed");
  });

  it("waits for a route that puts it off, which may take it whole", async () => {
    const routes = [
      { route: "first", send: async () => tooLarge },
      { route: "second", send: async () => deferred },
    ].map((transport) => ({ relay: { route: transport.route, connections: 3 }, transport }));
    const handOver = relays({ routes, states: ledger, clock: () => now });
    expect(await worker(undefined, ledger, {}, handOver)(handOut(long))).toMatchObject({
      message: "give-back",
    });
    expect((await story())?.attempts).toHaveLength(2);
  });

  it("is not offered reduced for a refusal of its recipient", async () => {
    await worker(async () => refused)(handOut(long));
    expect(mails).toHaveLength(1);
  });
});

describe("a mail that the relay refuses for a reason of ours", () => {
  const sendAs: DeliveryOutcome = {
    result: "unauthorised",
    step: "after-data",
    reply: "554 5.2.252 SendAsDenied",
    code: 554,
    durationMilliseconds: 3,
  };

  it("is kept, and mailed when the cause is gone", async () => {
    expect(await worker(async () => sendAs)(handOut(queuedAlert()))).toMatchObject({ message: "give-back" });
    now += 40_000;
    expect(await worker(async () => sendAs)(handOut(queuedAlert(), 2))).toMatchObject({
      message: "give-back",
    });
    expect((await ledger.routes())[0]).toMatchObject({ down: { reason: sendAs.reply } });
    now += 24 * 3_600_000;
    expect(await worker()(handOut(queuedAlert(), 3))).toEqual({ message: "remove" });
    expect((await story())?.ending?.as).toBe("mailed");
  });
});

it("a worker whose claim was written too late leaves that of the next one alone", async () => {
  let late = true;
  const write: Ledger["write"] = async (change) => {
    const done = await ledger.write(change);
    if (!late || !change.records[0]?.claim) return done;
    late = false;
    now += 400_000;
    // By now another worker has the message, and dies when the relay has the mail.
    const dies: Send = async () => {
      throw new Error("it dies");
    };
    await expect(worker(dies)(handOut(queuedAlert(), 2))).rejects.toThrow("it dies");
    return done;
  };
  const first = handOut(queuedAlert());
  expect(await worker(undefined, { ...ledger, write })(first)).toMatchObject({ message: "give-back" });
  expect(await story()).toMatchObject({ claim: { attempt: 1, receiveCount: 2 }, inDoubt: true });
});

it("an attempt whose worker died is in the story, with its time", async () => {
  const dies: Send = async () => {
    throw new Error("it dies");
  };
  await expect(worker(dies)(handOut(queuedAlert()))).rejects.toThrow("it dies");
  const begun = stamp(now);
  now += 400_000;
  await worker()(handOut(queuedAlert(), 2));
  const [, unnoted, sent] = storyOf((await story()) as JournalRecord);
  expect(unnoted).toMatch(`${begun} UTC  an attempt was begun, and its end was not noted`);
  expect(sent).toMatch(`${stamp(now)} UTC  smtp://relay:587 accepted`);
});

it("a worker that is told late of a refusal does not undo the end of a mail that the next one sent", async () => {
  const late: Send = async () => {
    now += 400_000;
    expect(await worker()(handOut(queuedAlert(), 2))).toEqual({ message: "remove" });
    return refused;
  };
  expect(await worker(late)(handOut(queuedAlert()))).toEqual({ message: "remove" });
  expect(await story()).toMatchObject({ ending: { as: "mailed", reason: accepted.reply } });
  expect((await story())?.attempts.map(({ outcome }) => outcome)).toEqual([accepted, refused]);
});

it("a worker that gives up late does not end what the next one is still at", async () => {
  let other: Promise<unknown> | undefined;
  const answer = Promise.withResolvers<DeliveryOutcome>();
  const late: Send = async () => {
    now += 400_000;
    const begun = Promise.withResolvers<void>();
    other = worker(() => {
      begun.resolve();
      return answer.promise;
    })(handOut(queuedAlert(), 2));
    await begun.promise;
    return refused;
  };
  expect(await worker(late)(handOut(queuedAlert()))).toMatchObject({ message: "give-back" });
  expect((await story())?.ending).toBeUndefined();
  answer.resolve(accepted);
  expect(await other).toEqual({ message: "remove" });
  expect(await story()).toMatchObject({ ending: { as: "mailed" } });
});

describe("a message", () => {
  it("is removed when the relay took the mail, and the journal has the whole story", async () => {
    expect(await worker()(handOut(queuedAlert()))).toEqual({ message: "remove" });
    expect(await story()).toMatchObject({
      verdict: { action: "send", row: "R1", kind: "PROBLEM" },
      attempts: [{ route: "smtp://relay:587", outcome: accepted }],
      ending: { as: "mailed", reason: "250 queued as A1" },
      messageId: mails[0]?.messageId,
    });
  });

  it("is removed without a mail when the ledger says so", async () => {
    await worker()(handOut(queuedAlert()));
    const again = queuedAlert({ id: "alert-0002" }, { notification: { id: "102", number: 2 } });
    expect(await worker()(handOut(again))).toEqual({ message: "remove" });
    expect(mails).toHaveLength(1);
    expect(await ledger.story("site", "alert-0002")).toMatchObject({
      ending: { as: "suppressed" },
      verdict: { row: "R3" },
    });
  });

  it("goes back for longer each time the relay defers, and is mailed once in the end", async () => {
    const waits: unknown[] = [];
    for (let count = 1; count <= 3; count++)
      waits.push(await worker(async () => deferred)(handOut(queuedAlert(), count)));
    expect(waits).toEqual([30, 60, 120].map((afterSeconds) => ({ message: "give-back", afterSeconds })));
    expect(await worker()(handOut(queuedAlert(), 4))).toEqual({ message: "remove" });
    expect((await story())?.attempts.map(({ outcome }) => outcome.result)).toEqual([
      "deferred",
      "deferred",
      "deferred",
      "accepted",
    ]);
    expect(new Set(mails.map(({ messageId }) => messageId)).size).toBe(1);
  });

  it("is handed out fewer than 1000 times before it is given up, however often its route is probed", async () => {
    const away: DeliveryOutcome = {
      ...deferred,
      step: "connect",
      reply: "connect ECONNREFUSED",
      code: undefined,
    };
    const begun = now;
    let receives = 0;
    for (;;) {
      const disposition = await worker(async () => away)(
        handOut(queuedAlert({ receivedAt: begun }), ++receives),
      );
      if (disposition.message !== "give-back") break;
      now += disposition.afterSeconds * 1000;
    }
    expect((await story())?.ending).toMatchObject({ as: "dead" });
    expect(now - begun).toBeLessThan(49 * 3_600_000);
    expect(receives).toBeLessThan(700);
  });

  it("stays when our credentials are refused: the alert is good", async () => {
    expect(await worker(async () => unauthorised)(handOut(queuedAlert()))).toEqual({
      message: "give-back",
      afterSeconds: 35,
    });
    expect((await story())?.ending).toBeUndefined();
  });

  it("is buried with the relay's words when the relay refuses the mail", async () => {
    const reason = "550 5.1.1 no such user";
    expect(await worker(async () => refused)(handOut(queuedAlert()))).toEqual({ message: "bury", reason });
    expect(await story()).toMatchObject({ ending: { as: "refused", reason } });
    const recovery = queuedAlert(
      { id: "alert-0002" },
      { type: "RECOVERY", state: "OK", notification: { id: "102" } },
    );
    await worker()(handOut(recovery));
    expect(await ledger.story("site", "alert-0002")).toMatchObject({ verdict: { row: "R21" } });
  });

  it("is given up as a dead letter after 48 hours", async () => {
    await worker(async () => deferred)(handOut(queuedAlert()));
    now += 48 * 3_600_000;
    expect(await worker(async () => deferred)(handOut(queuedAlert(), 99))).toMatchObject({ message: "bury" });
    expect(await story()).toMatchObject({ ending: { as: "dead", reason: "given up after 48 h: 450 later" } });
    const about = { id: "alert-0001", row: "R1", route: "smtp://relay:587", code: 450 };
    expect(events).toMatchObject([
      { event: "attempt-failed", result: "deferred", step: "recipient", ...about },
      { event: "attempt-failed", result: "deferred", step: "recipient", ...about },
      { event: "ended", ending: "dead", ...about },
    ]);
  });

  it("keeps its verdict while the relay is away: problem and recovery go out in order, whatever others did", async () => {
    const away = worker(async () => deferred);
    await away(handOut(queuedAlert()));
    const recovery = { type: "RECOVERY", state: "OK", notification: { id: "102" } };
    const bobs = queuedAlert({ id: "alert-of-bob", contact: "bob@example.com" });
    await worker()(handOut(bobs));
    await worker()(handOut({ ...bobs, id: "recovery-bob", alert: queuedAlert({}, recovery).alert }));
    now += 600_000;
    expect(await worker()(handOut(queuedAlert(), 2))).toEqual({ message: "remove" });
    await worker()(handOut(queuedAlert({ id: "recovery-ops", receivedAt: now }, recovery)));
    expect(mails.filter(({ to }) => to === "ops@example.com").map(({ subject }) => subject)).toEqual([
      "[PROBLEM CRITICAL] web01/HTTP",
      "[PROBLEM CRITICAL] web01/HTTP",
      "[RECOVERY OK] web01/HTTP",
    ]);
  });

  it("of which a relay may have the mail counts as told when it is given up: its recovery is mailed (R43)", async () => {
    await worker(async () => ({ ...deferred, lostAfterData: true }))(handOut(queuedAlert()));
    now += 48 * 3_600_000;
    expect(await worker(async () => deferred)(handOut(queuedAlert(), 9))).toMatchObject({ message: "bury" });
    const recovery = { type: "RECOVERY", state: "OK", notification: { id: "102" } };
    await worker()(handOut(queuedAlert({ id: "alert-0002", receivedAt: now }, recovery)));
    expect(mails.at(-1)?.subject).toBe("[RECOVERY OK] web01/HTTP");
  });

  it("whose worker died between claim and settlement counts as told too, if it is given up (R43)", async () => {
    void worker(() => new Promise(() => {}))(handOut(queuedAlert()));
    await expect.poll(() => mails.length).toBe(1);
    now += 48 * 3_600_000;
    expect(await worker(async () => deferred)(handOut(queuedAlert(), 2))).toMatchObject({ message: "bury" });
    const recovery = { type: "RECOVERY", state: "OK", notification: { id: "102" } };
    await worker()(handOut(queuedAlert({ id: "alert-0002", receivedAt: now }, recovery)));
    expect(mails.at(-1)?.subject).toBe("[RECOVERY OK] web01/HTTP");
  });

  it("that was put back by hand when its problem was over is not mailed, and has its time again if it is not", async () => {
    await worker(async () => refused)(handOut(queuedAlert()));
    const recovery = { type: "RECOVERY", state: "OK", notification: { id: "102" } };
    await worker()(handOut(queuedAlert({ id: "alert-0002", receivedAt: now + 60_000 }, recovery)));
    now += 72 * 3_600_000;
    expect(await worker()(handOut(queuedAlert({ putBackAt: now })))).toEqual({ message: "remove" });
    expect(await story()).toMatchObject({ ending: { as: "suppressed" }, verdict: { row: "R13" } });
    expect(mails).toHaveLength(1);
    const other = queuedAlert({ id: "alert-0003" }, { object: { host: "db01" }, state: "DOWN" });
    await worker(async () => refused)(handOut(other));
    now += 72 * 3_600_000;
    expect(await worker(async () => deferred)(handOut({ ...other, putBackAt: now }))).toMatchObject({
      message: "give-back",
    });
  });

  it("that was held for an hour has the relay's time from then on", async () => {
    const host = { object: { host: "web01", service: null }, state: "DOWN", notification: { id: "700" } };
    await worker()(handOut(queuedAlert({ id: "alert-of-host" }, host)));
    await worker()(handOut(queuedAlert()));
    expect(await story()).toMatchObject({ verdict: { action: "hold", row: "R16" } });
    const handOver = async () => {
      const messages: string[] = [];
      const send = async (all: readonly { body: string }[]) => all.map(({ body }) => messages.push(body) > 0);
      await sweep({ ledger, queue: { send }, operators: [], report: () => {} }, now);
      return messages.length;
    };
    for (let polls = 0; polls < 11; polls++) {
      now += 300_000;
      expect(await handOver()).toBe(1);
      await worker()(handOut(queuedAlert()));
    }
    const up = { ...host, type: "RECOVERY", state: "UP", notification: { id: "701" } };
    await worker()(handOut(queuedAlert({ id: "alert-host-up", receivedAt: now }, up)));
    for (const wait of [300_000, 1]) {
      now += wait;
      await handOver();
      await worker(async () => deferred)(handOut(queuedAlert()));
    }
    expect(await story()).toMatchObject({ verdict: { row: "R18" }, holds: [{ row: "R16" }] });
    expect(await story()).not.toHaveProperty("ending");
  });

  it("that was buried and put back by hand is tried anew", async () => {
    await worker(async () => refused)(handOut(queuedAlert()));
    expect(await worker()(handOut(queuedAlert({ putBackAt: now })))).toEqual({ message: "remove" });
    expect(await story()).toMatchObject({ ending: { as: "mailed" }, putBackAt: now });
  });

  it("that was put back twice, for who put it back died before it was out of the dead letters, is mailed once", async () => {
    await worker(async () => refused)(handOut(queuedAlert()));
    await worker()(handOut(queuedAlert({ putBackAt: now })));
    now += 60_000;
    const again = worker(async () => {
      throw new Error("mailed again");
    });
    expect(await again(handOut(queuedAlert({ putBackAt: now })))).toEqual({ message: "remove" });
    expect(await story()).toMatchObject({ ending: { as: "mailed" } });
  });

  it("that was put back by hand is tried, though its first hand-out came to nothing", async () => {
    await worker(async () => refused)(handOut(queuedAlert()));
    const back = queuedAlert({ putBackAt: now });
    await expect(worker(undefined, dyingBefore(1))(handOut(back))).rejects.toThrow("killed");
    expect(await worker()(handOut(back, 2))).toEqual({ message: "remove" });
    expect(await story()).toMatchObject({ ending: { as: "mailed" } });
  });

  it("that was put back by hand and is refused again is buried again, once more by hand, and so on", async () => {
    for (const putBackAt of [undefined, now + 1, now + 2]) {
      const again = handOut(queuedAlert({ putBackAt }));
      expect(await worker(async () => refused)(again)).toMatchObject({ message: "bury" });
      expect(await worker()({ ...again, receiveCount: 2 })).toMatchObject({ message: "bury" });
    }
    expect(mails).toHaveLength(3);
  });

  it("that is posted again after it was buried is no reason to try again", async () => {
    await worker(async () => refused)(handOut(queuedAlert()));
    expect(await worker()(handOut(queuedAlert()))).toMatchObject({ message: "bury" });
    expect(mails).toHaveLength(1);
    expect(await story()).not.toHaveProperty("putBackAt");
  });

  it("that waited as a dead letter until its story was forgotten has its time again", async () => {
    now += 31 * 86_400_000;
    const late = queuedAlert({ putBackAt: now });
    expect(await worker(async () => deferred)(handOut(late))).toMatchObject({ message: "give-back" });
  });

  it("that cannot be read is buried, not deleted", async () => {
    expect(await worker()({ ...handOut(queuedAlert()), body: '{"v":9}' })).toMatchObject({
      message: "bury",
      reason: expect.stringContaining("v, expected 1, the only version known here"),
    });
  });

  it("is not begun when there is no time to end it before others see it", async () => {
    const late = { ...handOut(queuedAlert()), visibleAgainAt: now + 1000 };
    expect(await worker()(late)).toEqual({ message: "give-back", afterSeconds: 0 });
    expect(mails).toEqual([]);
  });
});

/** A ledger whose process is killed before its nth write. */
const dyingBefore = (write: number): Ledger => ({
  ...ledger,
  write: async (page) => {
    write -= 1;
    if (write <= 0) throw new Error("killed");
    return ledger.write(page);
  },
});
const never = () => new Promise<DeliveryOutcome>(() => {});

describe("a worker that is killed", () => {
  it("before its claim has changed nothing", async () => {
    await expect(worker(undefined, dyingBefore(1))(handOut(queuedAlert()))).rejects.toThrow("killed");
    expect(mails).toEqual([]);
    expect(await worker()(handOut(queuedAlert(), 2))).toEqual({ message: "remove" });
    expect(mails).toHaveLength(1);
  });

  it("after its claim, before the relay has the mail: the next hand-out sends it", async () => {
    void worker(never)(handOut(queuedAlert()));
    await expect.poll(() => mails.length).toBe(1);
    expect(await worker()(handOut(queuedAlert(), 2))).toEqual({ message: "remove" });
    expect(mails[1]?.messageId).toBe(mails[0]?.messageId);
  });

  it("after the relay took the mail, before it settled: a second copy with the same Message-ID, one ending", async () => {
    await expect(worker(undefined, dyingBefore(3))(handOut(queuedAlert()))).rejects.toThrow("killed");
    expect(await worker()(handOut(queuedAlert(), 2))).toEqual({ message: "remove" });
    expect(mails.map(({ messageId }) => messageId)).toEqual([mails[0]?.messageId, mails[0]?.messageId]);
    expect(await story()).toMatchObject({ ending: { as: "mailed" }, attempts: [{}] });
  });

  it("after it settled, before the message was removed: no second mail", async () => {
    await worker()(handOut(queuedAlert()));
    expect(await worker()(handOut(queuedAlert(), 2))).toEqual({ message: "remove" });
    expect(mails).toHaveLength(1);
  });

  it("after it settled a refusal, before the message was buried: it is buried, not sent again", async () => {
    await worker(async () => refused)(handOut(queuedAlert()));
    expect(await worker()(handOut(queuedAlert(), 2))).toMatchObject({ message: "bury" });
    expect(mails).toHaveLength(1);
  });

  it("after it settled a suppression: nothing happens again", async () => {
    await worker()(handOut(queuedAlert()));
    const again = queuedAlert({ id: "alert-0002" }, { notification: { id: "102", number: 2 } });
    for (const count of [1, 2]) expect(await worker()(handOut(again, count))).toEqual({ message: "remove" });
    expect(mails).toHaveLength(1);
  });
});

describe("a message that the ledger holds", () => {
  const policy = { flapHoldSeconds: 30 };
  const waiting = async () => (await ledger.due(Number.MAX_SAFE_INTEGER, 10)).flatMap(({ alerts }) => alerts);
  const queued: { deduplicationId: string; body: string }[] = [];
  const sweepNow = async () => {
    queued.length = 0;
    const send = async (messages: readonly { deduplicationId: string; body: string }[]) => {
      queued.push(...messages);
      return messages.map(() => true);
    };
    return sweep({ ledger, queue: { send }, operators: [], report: () => {} }, now);
  };

  it("waits after the attempt that failed, in its story too", async () => {
    const slow: Send = async () => {
      now += 5000;
      return deferred;
    };
    await worker(slow, ledger, policy)(handOut(queuedAlert()));
    const [, attempt, hold] = storyOf((await story()) as JournalRecord);
    expect(attempt).toMatch(`${stamp(now - 5000)} UTC  smtp://relay:587 deferred`);
    expect(hold).toMatch(`${stamp(now)} UTC  held until`);
  });

  it("is not held a second time when its recovery lets it go early, for the queue drops what has the same key", async () => {
    expect(await worker(async () => deferred, ledger, policy)(handOut(queuedAlert()))).toEqual({
      message: "remove",
    });
    expect(await story()).toMatchObject({ holds: [{ row: "R29" }] });
    const page = await ledger.read(queuedAlert());
    const entry = released(page.entry, now, ({ row }) => row === "R29");
    expect(await ledger.write({ key: page.key, entry, records: [] })).toBe(true);
    now += 1000;
    expect(await worker(async () => deferred, ledger, policy)(handOut(queuedAlert()))).toMatchObject({
      message: "give-back",
    });
  });

  it("is removed from the queue once it is on disk, and put there again when it is due, as another message", async () => {
    expect(await worker(async () => deferred, ledger, policy)(handOut(queuedAlert()))).toEqual({
      message: "remove",
    });
    expect(await story()).toMatchObject({ verdict: { action: "hold", row: "R29" }, attempts: [{}] });
    now += 29_999;
    expect(await sweepNow()).toBe(0);
    now += 1;
    expect(await sweepNow()).toBe(1);
    expect(readQueuedAlert(queued[0]?.body ?? "")).toEqual({ ok: true, value: queuedAlert() });
    expect(queued[0]?.deduplicationId).not.toBe(toMessage(queuedAlert()).deduplicationId);
    expect(await sweepNow()).toBe(0);
    expect(await worker(undefined, ledger, policy)(handOut(queuedAlert()))).toEqual({ message: "remove" });
    expect(await story()).toMatchObject({ ending: { as: "mailed" }, attempts: [{}, {}] });
    expect(await waiting()).toEqual([]);
  });

  it("waits on if we die after holding it, before it is removed", async () => {
    await worker(async () => deferred, ledger, policy)(handOut(queuedAlert()));
    expect(await worker(undefined, ledger, policy)(handOut(queuedAlert(), 2))).toEqual({ message: "remove" });
    expect(mails).toHaveLength(1);
    expect(await waiting()).toHaveLength(1);
  });

  it("goes to the queue twice if we die between queue and ledger, and is mailed once", async () => {
    await worker(async () => deferred, ledger, policy)(handOut(queuedAlert()));
    now += 30_000;
    const dying: Ledger = { ...ledger, write: () => Promise.reject(new Error("killed")) };
    const send = async () => [true];
    await expect(
      sweep({ ledger: dying, queue: { send }, operators: [], report: () => {} }, now),
    ).rejects.toThrow("killed");
    expect(await sweepNow()).toBe(1);
    for (const count of [1, 1])
      expect(await worker(undefined, ledger, policy)(handOut(queuedAlert(), count))).toEqual({
        message: "remove",
      });
    expect(mails).toHaveLength(2);
  });

  it("stays due if the queue does not take it", async () => {
    await worker(async () => deferred, ledger, policy)(handOut(queuedAlert()));
    now += 30_000;
    const full = { send: () => Promise.reject(new Error("disk full")) };
    await expect(sweep({ ledger, queue: full, operators: [], report: () => {} }, now)).rejects.toThrow(
      "disk full",
    );
    expect(await sweepNow()).toBe(1);
  });

  it("is one of 250 that are due at once, and all are put there", async () => {
    const away = worker(async () => deferred, ledger, { ...policy, burst: undefined });
    for (let n = 0; n < 250; n++)
      await away(
        handOut(queuedAlert({ id: `alert-number-${n}` }, { object: { host: "farm", service: `S${n}` } })),
      );
    now += 30_000;
    expect(await sweepNow()).toBe(250);
    expect(await sweepNow()).toBe(0);
  });
});

describe("an old alert", () => {
  const days = 86_400_000;
  const events: Event[] = [];
  const sweepAt = async (at: number) => {
    now = at;
    events.length = 0;
    const send = async (messages: readonly unknown[]) => messages.map(() => true);
    await sweep({ ledger, queue: { send }, operators: [], report: (event) => events.push(event) }, now);
  };
  /** The result of the first alert's event, run again under another id. */
  const again = async (id: string, change: Record<string, unknown> = {}) => {
    await worker()(handOut(queuedAlert({ id, receivedAt: now }, change)));
    return (await ledger.story("site", id))?.verdict?.row;
  };

  it("is still known after 29 days: by its id, and by its event", async () => {
    const begin = now;
    await worker()(handOut(queuedAlert()));
    await sweepAt(begin + 29 * days);
    expect(await worker()(handOut(queuedAlert(), 2))).toEqual({ message: "remove" });
    expect(await again("alert-0002")).toBe("R0");
    expect(mails).toHaveLength(1);
  });

  it("is forgotten after 30 days, and its problem closed at the end of that day, without a mail but not without a word (R44)", async () => {
    const begin = now;
    await worker()(handOut(queuedAlert()));
    await sweepAt(begin + 30 * days);
    expect(events).toEqual([]);
    await sweepAt(begin + 31 * days);
    expect(events).toEqual([{ event: "forgotten", object: "web01/HTTP", since: begin }]);
    expect((await ledger.problems({ site: "site", limit: 9 })).items).toEqual([]);
    await sweepAt(begin + 31 * days + 1);
    expect(await story()).toBeUndefined();
    expect(await again("alert-0002")).toBe("R3");
    expect(
      await again("alert-0003", { problem: { id: "6", epoch: 200_000 }, notification: { id: "300" } }),
    ).toBe("R9");
  });
});

describe("two workers", () => {
  it("that were handed the same message at once make one mail", async () => {
    void worker(never)(handOut(queuedAlert()));
    await expect.poll(() => mails.length).toBe(1);
    expect(await worker()(handOut(queuedAlert()))).toEqual({ message: "give-back", afterSeconds: 400 });
    expect(mails).toHaveLength(1);
  });

  it("and 100, as many as one process has, with one object's alerts for as many contacts, make one mail for each", async () => {
    const all = Array.from({ length: 100 }, (_, n) =>
      queuedAlert({ id: `alert-${n}`, contact: `c${n}@example.com` }),
    );
    const dispositions = await Promise.all(all.map((queued) => worker()(handOut(queued))));
    expect(dispositions.every(({ message }) => message === "remove")).toBe(true);
    expect(new Set(mails.map(({ to }) => to)).size).toBe(100);
    expect(mails).toHaveLength(100);
  });

  it("with two contacts' alerts of one object make one mail for each, in one episode", async () => {
    const both = [queuedAlert(), queuedAlert({ id: "alert-0002", contact: "bob@example.com" })];
    await Promise.all(both.map((queued) => worker()(handOut(queued))));
    expect(mails.map(({ to }) => to).toSorted()).toEqual(["bob@example.com", "ops@example.com"]);
    expect(new Set(mails.map(({ threadId }) => threadId)).size).toBe(1);
  });
});

describe("a relay that is asked too fast", () => {
  const tooFast: DeliveryOutcome = {
    result: "deferred",
    lostAfterData: false,
    tooFast: true,
    step: "connect",
    reply: "Throttling: Maximum sending rate exceeded.",
    durationMilliseconds: 1,
  };
  const queued = (id: string) => queuedAlert({ id, receivedAt: now });

  it("gets a new problem again in seconds: it is not held for its recovery", async () => {
    const handle = worker(async () => tooFast, ledger, { flapHoldSeconds: 30 });
    const disposition = await handle(handOut(queued("alert-0001")));
    expect(disposition.message).toBe("give-back");
    expect([1, 2]).toContain((disposition as { afterSeconds: number }).afterSeconds);
    expect(await story()).toMatchObject({
      holds: [],
      attempts: [{ outcome: { result: "deferred" } }],
      waiting: { reason: "smtp://relay:587: Throttling: Maximum sending rate exceeded." },
    });
  });

  it("never makes dead letters before the alert's time is over", async () => {
    const handle = worker(async () => tooFast);
    const begun = now;
    const alert = queued("alert-0001");
    let receives = 0;
    for (;;) {
      const disposition = await handle(handOut(alert, ++receives));
      if (disposition.message !== "give-back") {
        expect(disposition.message).toBe("bury");
        break;
      }
      now += disposition.afterSeconds * 1000;
    }
    expect(now - begun).toBeGreaterThanOrEqual(48 * 3_600_000);
    // SQS buries what it hands out more than a thousand times.
    expect(receives).toBeLessThan(700);
  });

  it("makes no story that DynamoDB could not hold", async () => {
    const tls = {
      version: "TLSv1.3",
      cipher: "TLS_AES_256_GCM_SHA384",
      subject: "relay.example.com",
      validTo: "x".repeat(24),
    };
    const long: DeliveryOutcome = { ...tooFast, reply: `450 4.7.1 rate limit ${"x".repeat(479)}`, tls };
    const handle = worker(async () => long);
    const alert = queued("alert-0001");
    for (let receives = 1; ; receives++) {
      const disposition = await handle(handOut(alert, receives));
      if (disposition.message !== "give-back") break;
      now += disposition.afterSeconds * 1000;
    }
    const record = await story();
    expect(JSON.stringify(record).length).toBeLessThan(200_000);
    expect(record?.attempts).toHaveLength(200);
    expect(record && storyOf(record).filter((line) => /\d more attempts failed/.test(line))).toHaveLength(1);
  });
});

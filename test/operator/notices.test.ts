import { describe, expect, it } from "vitest";
import { unmailed } from "../../functions/decide/case.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import { newRoute } from "../../functions/deliver/breaker.ts";
import type { DeliveryOutcome } from "../../functions/deliver/outcome.ts";
import { relays } from "../../functions/deliver/routes.ts";
import { operatorSite } from "../../functions/identity.ts";
import { readPost } from "../../functions/intake/post.ts";
import { claim, settleUnsent } from "../../functions/ledger/page.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { alertsOf, type Notice, noticeAlerts } from "../../functions/operator/notices.ts";
import { returnedWords } from "../../functions/operator/returned.ts";
import { pipeline } from "../../functions/pipeline/pipeline.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { type OutgoingMessage, readQueuedAlert, toMessage } from "../../functions/queue/message.ts";
import { rehearse } from "../../scripts/hardstate/rehearsal.ts";
import { posted, queuedAlert } from "../world/alerts.ts";

const hour = 3_600_000;
const now = 500_000 * hour;
const operators = ["admin@example.com"];
const down = {
  ...newRoute("smtp://relay:587"),
  down: {
    since: now,
    probes: 0,
    probeAt: now,
    probing: false,
    reason: "550 5.7.30 no passwords",
    step: "auth" as const,
  },
};
const refused: Notice = {
  about: "refused",
  id: "alert-0001",
  object: "web01/HTTP",
  contact: "ops@example.com",
  reason: "550 5.1.1 no such user",
  last: {
    at: now,
    route: "smtp://relay:587",
    outcome: {
      result: "refused",
      about: "recipient",
      step: "recipient",
      reply: "550 5.1.1 no such user",
      durationMilliseconds: 1,
    },
  },
};
const dead: Notice = { ...refused, about: "dead" };
const unreadable: Notice = { about: "unreadable", reason: "body, expected JSON" };
const idsOf = (notice: Notice, at = now) => noticeAlerts(notice, operators, at).map(({ id }) => id);

const rejection = {
  id: "r1",
  site: "site",
  revision: 1,
  faults: [],
  ids: [],
  first: now,
  last: now,
  hours: {},
};
const heartbeat = { about: "heartbeat", site: "site", monitor: "m1", since: now } as const;
/** All of each kind that are about another object: the compiler asks for a kind that is missing. */
const notices: Record<Notice["about"], Notice[]> = {
  route: [
    { about: "route", state: down },
    { about: "route", state: { ...newRoute("smtp://relay:587"), told: { down: true, at: now } } },
    {
      about: "route",
      state: { ...newRoute("smtp://relay:587"), refusal: { at: now, step: "recipient", reason: "553" } },
    },
  ],
  dead: [dead],
  refused: [refused],
  unreadable: [unreadable],
  clock: [{ about: "clock", site: "site", monitor: "m1", reason: "it is an hour ahead" }],
  rejected: [{ about: "rejected", site: "site", rejections: [rejection] }],
  "still-open": [{ about: "still-open", problems: [], more: false, dayNumber: 20_000 }],
  heartbeat: [
    { ...heartbeat, silent: true },
    { ...heartbeat, silent: false },
  ],
};
/** The bridge's answer to a post of a site about this object. */
const readBy = (object: { host: string; service?: string | null }) =>
  readPost(
    posted({
      object,
      state: object.service ? "CRITICAL" : "DOWN",
      recipients: [{ email: "ops@example.com" }],
    }),
    { site: "site", now, aliases: new Map(), allowed: () => true },
  );
const ownObject = "another name: the bridge's own notices use this one";

describe("the object of a notice", () => {
  const own = Object.values(notices)
    .flat()
    .flatMap((notice) => noticeAlerts(notice, operators, now).map(({ alert }) => alert.object));
  const returned = returnedWords(
    { id: "alert-0001", host: "web01", service: null },
    { at: now, kind: "bounce", contact: "ops@example.com", reply: "550" },
    now,
  );
  const objects = [
    ...own,
    ...alertsOf(returned, operators, now).map(({ alert }) => alert.object),
    { host: "hardstate", service: "digest" },
  ].map(({ host, service }) => ({
    host,
    service,
  }));

  it.each(objects)("is the bridge's own, and no site posts it: $host/$service", ({ host, service }) => {
    for (const object of [
      { host, service },
      { host: host.toUpperCase(), service: `  ${service?.toUpperCase().replaceAll(" ", "\u00a0 ")}` },
      { host: "hard\u200bstate ", service },
      { host: `${host}/${service}` },
    ]) {
      const field = object.service === undefined ? "object.host" : "object.service";
      expect(readBy(object)).toMatchObject({ ok: false, faults: [{ field, expected: ownObject }] });
    }
  });

  it.each([
    [null],
    ["HTTP"],
    ["Disk /var"],
    ["canary"],
    ["Router"],
    ["route"],
    ["mailto"],
    ["digests"],
    ["Dead letters of Postfix"],
    ["clock"],
  ])("leaves a host named hardstate its own services: %s", (service) => {
    expect(readBy({ host: "hardstate", service })).toMatchObject({ ok: true });
    expect(readBy({ host: "web01", service: "dead letters" })).toMatchObject({ ok: true });
  });
});

describe("a notice for operators", () => {
  it.each<[string, Notice, word: RegExp]>([
    [
      "of a route has the relay's words and what can be done",
      { about: "route", state: down },
      /550 5\.7\.30 no passwords[\s\S]*XOAUTH2/,
    ],
    [
      "of a route that refuses our sender has the right advice",
      {
        about: "route",
        state: {
          ...newRoute("smtp://relay:587"),
          refusal: { at: now, step: "recipient", reason: "553 5.7.1 Sender address rejected: not owned" },
        },
      },
      /refuses mail: 553[\s\S]*HARDSTATE_FROM[\s\S]*Nothing is lost/,
    ],
    [
      "of refused mail has what can be done about it",
      refused,
      /550 5\.1\.1 no such user[\s\S]*contact's address[\s\S]*redrive alert-0001/,
    ],
    ["of a dead letter names the command that puts it back", dead, /redrive alert-0001/],
    ["of what is no alert says so", unreadable, /body, expected JSON/],
  ])("%s", (_, notice, words) => {
    const [queued, ...more] = noticeAlerts(notice, operators, now);
    expect(`${queued?.alert.output}\n${queued?.alert.long_output}`).toMatch(words);
    expect(queued).toMatchObject({ site: operatorSite, contact: "admin@example.com" });
    expect(more).toEqual([]);
  });

  it("is an alert that the queue can carry, whatever a relay said", () => {
    const state = { ...down, down: { ...down.down, reason: `550 \u0000\ud800 ${"x".repeat(5000)}` } };
    const [queued] = noticeAlerts({ about: "route", state }, operators, now);
    if (!queued) throw new Error("no notice");
    expect(readQueuedAlert(toMessage(queued).body)).toMatchObject({ ok: true, value: { id: queued.id } });
  });

  it.each<[string, Notice, once: number]>([
    ["dead letters", dead, hour],
    ["what is no alert", unreadable, hour],
    ["a contact's refused mail", refused, 24 * hour],
  ])("about %s is the same within its time, and another after it", (_, notice, once) => {
    const begin = Math.floor(now / once) * once;
    expect(idsOf(notice, begin)).toEqual(idsOf(notice, begin + once - 1));
    expect(idsOf(notice, begin)).not.toEqual(idsOf(notice, begin + once));
  });

  it("is another for each contact whose mail is refused, for each address, and for each cause", () => {
    const all = [
      ...noticeAlerts(refused, ["a@example.com", "b@example.com"], now),
      ...noticeAlerts({ ...refused, contact: "dba@example.com" }, ["a@example.com"], now),
      ...noticeAlerts(dead, ["a@example.com"], now),
      ...noticeAlerts(unreadable, ["a@example.com"], now),
      ...noticeAlerts({ about: "route", state: down }, ["a@example.com"], now),
    ];
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  });

  it("is none if there are no operators", () => {
    expect(noticeAlerts(dead, [], now)).toEqual([]);
  });
});

describe("a bridge that dies on either side of a notice", () => {
  const policy = { ...defaultPolicy, flapHoldSeconds: 0 };
  const refusal: DeliveryOutcome = {
    result: "refused",
    about: "recipient",
    step: "recipient",
    reply: "550 5.1.1 no such user",
    durationMilliseconds: 1,
  };
  const route = "smtp://relay:587";

  it("after settling and before it, buries the mail at the next hand-out, and the operators are told", async () => {
    const ledger = sqliteLedger(":memory:");
    const sent: string[] = [];
    let dies = true;
    const send = async (messages: readonly OutgoingMessage[]) => {
      if (dies) throw new Error("killed");
      return messages.map(({ body }) => sent.push(body) > 0);
    };
    const routes = [{ relay: { route, connections: 1 }, transport: { route, send: async () => refusal } }];
    const handle = pipeline({
      ledger,
      queue: { send },
      handOver: relays({ routes, states: ledger, clock: () => now }),
      operators,
      sender: { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" },
      policy,
      giveUpAfterSeconds: 3600,
      clock: () => now,
      report: () => {},
    });
    const message = {
      ...toMessage(queuedAlert({ receivedAt: now })),
      receipt: "1",
      visibleAgainAt: now + 400_000,
    };
    await expect(handle({ ...message, receiveCount: 1 })).rejects.toThrow("killed");
    dies = false;
    expect(await handle({ ...message, receiveCount: 2 })).toMatchObject({ message: "bury" });
    expect(sent).toHaveLength(1);
  });

  it("after queueing one about a route and before noting it, queues the same alert again", async () => {
    const ledger = sqliteLedger(":memory:");
    await ledger.writeRoute(down);
    const sent: OutgoingMessage[] = [];
    const send = async (messages: readonly OutgoingMessage[]) => messages.map((one) => sent.push(one) > 0);
    const parts = { queue: { send }, operators, report: () => {} };
    const dying = { ...ledger, writeRoute: () => Promise.reject(new Error("killed")) };
    await expect(sweep({ ...parts, ledger: dying }, now)).rejects.toThrow("killed");
    for (const later of [1000, 2000]) await sweep({ ...parts, ledger }, now + later);
    expect(sent).toHaveLength(2);
    expect(new Set(sent.map(({ deduplicationId }) => deduplicationId)).size).toBe(1);
  });
});

describe("the mail about open problems", () => {
  const day = 24 * hour;
  const morning = 20_000 * day + 7 * hour + 30 * 60_000;
  /** A bridge with these problems, and what its operators are told of them. */
  const bridge = async (objects: readonly [site: string, host: string][]) => {
    const ledger = sqliteLedger(":memory:");
    for (const [index, [site, host]] of objects.entries()) {
      const queued = queuedAlert(
        { site, id: `alert-${host}`, receivedAt: morning - 7200_000 + index * 60_000 },
        { object: { host, service: null }, state: "DOWN" },
      );
      const page = await ledger.read(queued);
      const verdict = decide(page, queued, defaultPolicy, morning - 7200_000 + index * 60_000);
      if (verdict.action !== "send") throw new Error(verdict.reason);
      const handOut = { visibleAgainAt: morning, receiveCount: 1 };
      await claim(ledger, page, verdict, "<m@example.com>", morning, handOut);
    }
    const told: string[] = [];
    const send = async (messages: readonly OutgoingMessage[]) => {
      for (const { body } of messages) {
        const reading = readQueuedAlert(body);
        if (!reading.ok) throw new Error("a notice is no alert");
        const { contact, alert, id, site } = reading.value;
        told.push(`${contact} ${alert.state} ${alert.object.service}: ${alert.output}\n${alert.long_output}`);
        // The journal has it once it was decided.
        const page = await ledger.read(reading.value);
        await settleUnsent(ledger, page, { ...unmailed("record", "R45", "", page.entry) }, morning);
        expect(await ledger.story(site, id)).toBeDefined();
      }
      return messages.map(() => true);
    };
    const parts = { ledger, queue: { send }, operators, report: () => {} };
    return {
      told,
      at: (time: number, minute?: number) => sweep({ ...parts, stillOpenAtMinute: minute }, time),
    };
  };

  it("is sent once a day at its time, with the oldest first, and only if it is configured", async () => {
    const { told, at } = await bridge([
      ["site", "web01"],
      ["site", "db01"],
    ]);
    await at(morning);
    await at(morning - 1000, 450);
    expect(told).toEqual([]);
    for (const later of [0, 1000, 16 * hour]) await at(morning + later, 450);
    expect(told).toEqual([
      "admin@example.com WARNING still open: 2 problems are open, the oldest first\n" +
        "DOWN        since 4 Oct 2024, 05:30 UTC  web01\n" +
        "DOWN        since 4 Oct 2024, 05:31 UTC  db01",
    ]);
    await at(morning + day, 450);
    expect(told).toHaveLength(2);
  });

  it("is not told later on a day on which nothing was open at its time", async () => {
    const { told, at } = await bridge([["site", "web01"]]);
    // It began at 05:30.
    for (const later of [0, 1000, 16 * hour]) await at(morning + later, 329);
    expect(told).toEqual([]);
    await at(morning + day, 329);
    expect(told).toHaveLength(1);
  });

  it("names the sites where there are several", async () => {
    const { told, at } = await bridge([
      ["berlin", "web01"],
      ["paris", "web01"],
    ]);
    await at(morning, 450);
    expect(told[0]).toMatch(/UTC {2}berlin: web01\n.*UTC {2}paris: web01$/);
  });

  it("is no news while nothing is, and the bridge's own mails are not told twice", async () => {
    const { told, at } = await bridge([[operatorSite, "hardstate"]]);
    await at(morning, 450);
    expect(told).toEqual([]);
  });
});

describe("a monitor whose clock is wrong", () => {
  it("is told to operators once a day, and its problem is mailed", async () => {
    const mails: string[] = [];
    const stage = rehearse({
      policy: defaultPolicy,
      begin: now,
      operators,
      relay: ({ to, subject }) => {
        mails.push(`${to} ${subject}`);
        return "accepted";
      },
    });
    try {
      for (const [hours, id] of [
        [0, "1"],
        [2, "2"],
        [30, "3"],
      ] as const) {
        await stage.passTo(now + hours * hour);
        const time = (now + hours * hour) / 1000 + 365 * 86_400;
        const input = {
          time,
          notification: { id },
          problem: { epoch: time },
          recipients: [{ email: "ops@example.com" }],
        };
        await stage.post("site", posted({ id: `alert-${id}-of-it`, ...input }));
      }
    } finally {
      stage.close();
    }
    const subject = "[operator PROBLEM WARNING] hardstate/clock of site/monitor1";
    expect(mails.filter((mail) => mail.startsWith("admin@"))).toEqual([
      `admin@example.com ${subject}`,
      `admin@example.com ${subject}`,
    ]);
    expect(mails.filter((mail) => mail === "ops@example.com [PROBLEM CRITICAL] web01/HTTP")).toHaveLength(3);
  });
});

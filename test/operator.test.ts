import { describe, expect, it } from "vitest";
import { newRoute } from "../functions/deliver/breaker.ts";
import type { DeliveryOutcome } from "../functions/deliver/delivery.ts";
import { relays } from "../functions/deliver/relays.ts";
import { defaultPolicy } from "../functions/ledger/policy.ts";
import { sqliteLedger } from "../functions/ledger/sqlite.ts";
import { type Notice, noticeAlerts, operatorSite } from "../functions/operator.ts";
import { pipeline } from "../functions/pipeline.ts";
import { type OutgoingMessage, readQueuedAlert, toMessage } from "../functions/queue/queue.ts";
import { sweep } from "../functions/sweep.ts";
import { queuedAlert } from "./alerts.ts";

const hour = 3_600_000;
const now = 500_000 * hour;
const operators = ["admin@example.com"];
const open = {
  ...newRoute("smtp://relay:587"),
  open: {
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
      step: "recipient",
      reply: "550 5.1.1 no such user",
      durationMilliseconds: 1,
    },
  },
};
const dead: Notice = { ...refused, about: "dead" };
const unreadable: Notice = { about: "unreadable", reason: "body, expected JSON" };
const idsOf = (notice: Notice, at = now) => noticeAlerts(notice, operators, at).map(({ id }) => id);

describe("a notice for operators", () => {
  it.each<[string, Notice, word: RegExp]>([
    [
      "of a route has the relay's words and what can be done",
      { about: "route", state: open },
      /550 5\.7\.30 no passwords[\s\S]*XOAUTH2/,
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
    const state = { ...open, open: { ...open.open, reason: `550 \u0000\ud800 ${"x".repeat(5000)}` } };
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
      ...noticeAlerts({ about: "route", state: open }, ["a@example.com"], now),
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
    await ledger.writeRoute(open);
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

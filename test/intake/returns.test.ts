import { readdirSync, readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { readAllowList } from "../../functions/address.ts";
import type { Verdict } from "../../functions/decide/case.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import { operatorSite } from "../../functions/identity.ts";
import { intake } from "../../functions/intake/app.ts";
import type { IntakeParts } from "../../functions/intake/doors.ts";
import { mostReportBytes } from "../../functions/intake/returns.ts";
import { claim, settle } from "../../functions/ledger/page.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import type { QueuedAlert } from "../../functions/queue/message.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import type { Event } from "../../functions/report/event.ts";
import { samplesOf } from "../../functions/report/metrics.ts";
import { Secret } from "../../functions/secret.ts";
import { described } from "../api/described.ts";
import { cutOff, queuedAlert, takenFrom } from "../world/alerts.ts";

const allowed = readAllowList(["example.net"]);
if (!allowed.ok) throw new Error("the tests' own settings are wrong");
const tokens = { site: "a".repeat(24), other: "b".repeat(24), [operatorSite]: "c".repeat(24) };
const sample = (name: string) => readFileSync(`test/intake/reports/${name}.eml`, "utf8");
const name = "e0d1ab370d30e446439bad3ca522707a9edf7f70";
const contact = "ops@example.net";
const mailedAt = 100_000_000;

let now: number;
let events: Event[];
let parts: IntakeParts;
let app: ReturnType<typeof intake>;
const start = (more: Partial<IntakeParts> = {}) => {
  parts = { ...parts, ...more };
  app = described(intake(parts));
};

/** An alert whose mail, by this name, a relay has taken. */
const mailed = async (change: Partial<QueuedAlert> = {}, mailName = name) => {
  const queued = queuedAlert({ contact, ...change });
  const { ledger } = parts;
  const page = await ledger.read(queued);
  const verdict = decide(page, queued, defaultPolicy, mailedAt) as Verdict & { action: "send" };
  const handOut = { visibleAgainAt: mailedAt + 60_000, receiveCount: 1 };
  const mine = await claim(ledger, page, verdict, `<${mailName}@example.com>`, mailedAt, handOut);
  if (!mine) throw new Error("not claimed");
  const outcome = { result: "accepted", reply: "250 queued as 4Q", durationMilliseconds: 9 } as const;
  const attempts = [{ at: mailedAt, route: "smtp://relay", outcome }];
  await settle(
    ledger,
    queued,
    mine,
    { attempts },
    { at: mailedAt, as: "mailed", reason: outcome.reply },
    (e) => e,
  );
};
const post = (body: string | ReadableStream, site: keyof typeof tokens = "site", headers = {}) =>
  app.request("/v1/returns", {
    method: "POST",
    body,
    ...(body instanceof ReadableStream && { duplex: "half" }),
    headers: { "Content-Type": "message/rfc822", Authorization: `Bearer ${tokens[site]}`, ...headers },
  });
const answerTo = async (body: string, site: keyof typeof tokens = "site") => {
  const response = await post(body, site);
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
};
const storyOf = async (id = "alert-0001") => {
  const response = await app.request(`/v1/alerts/${id}`, {
    headers: { Authorization: `Bearer ${tokens.site}` },
  });
  return ((await response.json()) as { story: string[] }).story;
};
const counted = () =>
  events.flatMap(samplesOf).filter((sample) => sample.name === "hardstate_returned_total").length;

beforeEach(async () => {
  [now, events] = [mailedAt + 14_000, []];
  parts = {
    tokens: Object.entries(tokens).map(([site, token]) => ({ site, token: new Secret(token) })),
    aliases: new Map(),
    allowed: allowed.value,
    operators: ["admin@example.com", "boss@example.com"],
    queue: sqliteQueue(":memory:", () => now),
    ledger: sqliteLedger(":memory:"),
    clock: () => now,
    report: (event) => events.push(event),
  };
  start();
  await mailed();
});

const samples = readdirSync("test/intake/reports").map((file) => file.replace(".eml", ""));
const ignored = ["out-of-office", "read-receipt", "postfix-delivered", "ses-smtp"];
const delays = samples.filter((one) => one.includes("delayed"));
const bounces = samples.filter((one) => !ignored.includes(one) && !delays.includes(one));

describe("a report of a mail that did not arrive", () => {
  it.each(bounces)(
    "as in %s ends in the alert's story, is counted, and operators hear of it",
    async (file) => {
      const answer = await answerTo(sample(file));
      expect(answer).toMatchObject({
        status: "noted",
        site: "site",
        id: "alert-0001",
        contact,
        kind: "bounce",
      });
      const story = await storyOf();
      expect(story.at(-1)).toContain(`; 250 queued as 4Q; bounced 14 s later: ${answer.reply}`);
      expect(counted()).toBe(1);
      const notices = await takenFrom(parts.queue);
      expect(notices.map((notice) => notice.contact)).toEqual(parts.operators);
      expect(notices[0]).toMatchObject({
        site: operatorSite,
        alert: {
          object: { service: "returned mail: ops@example.net" },
          notification: { volatile: true },
          output: `A mail to ops@example.net did not arrive: ${answer.reply}`,
          long_output: expect.stringContaining("What became of it: hardstate explain alert-0001"),
        },
      });
      const remedy = answer.permanent ? "Correct the contact's address" : "does not send it again";
      expect(notices[0]?.alert.long_output).toContain(remedy);
    },
  );

  it("reads as the relay's words and the report's, in order", async () => {
    await post(sample("postfix"));
    expect(await storyOf()).toEqual([
      expect.stringContaining("received from monitor1"),
      "1970-01-02 03:46:40 UTC  smtp://relay accepted in 0.0 s: 250 queued as 4Q",
      "1970-01-02 03:46:54 UTC  the mail to ops@example.net bounced: 5.1.1 no such user here",
      "mailed: PROBLEM mail, first news of this problem (R1); 250 queued as 4Q; bounced 14 s later: 5.1.1 no such user here",
    ]);
  });

  it.each([
    [119_000, "119 s"],
    [120_000, "2 min"],
    [7_199_000, "120 min"],
    [7_200_000, "2 h"],
    [172_800_000, "2 d"],
    [-5000, "0 s"],
  ])("that comes %i ms after the mail says %s", async (later, words) => {
    now = mailedAt + later;
    await post(sample("postfix"));
    expect((await storyOf()).at(-1)).toContain(`; bounced ${words} later: `);
  });

  it("is noted once, however often it comes", async () => {
    expect(await answerTo(sample("qmail"))).toMatchObject({ status: "noted" });
    now += 1000;
    expect(await answerTo(sample("qmail"))).toMatchObject({
      status: "known",
      kind: "bounce",
      permanent: true,
    });
    expect(counted()).toBe(1);
    expect((await storyOf()).filter((line) => line.includes(" bounced: "))).toHaveLength(1);
    expect(await takenFrom(parts.queue)).toHaveLength(2);
  });

  it("makes one notice a day for a contact", async () => {
    const [second, third] = ["0a".repeat(20), "0b".repeat(20)];
    await mailed({ id: "alert-0002" }, second);
    await mailed({ id: "alert-0003" }, third);
    await post(sample("qmail"));
    await post(sample("qmail").replaceAll(name, second));
    expect(await takenFrom(parts.queue)).toHaveLength(2);
    expect(counted()).toBe(2);
    now += 86_400_000;
    await post(sample("qmail").replaceAll(name, third));
    expect(await takenFrom(parts.queue)).toHaveLength(2);
  });

  it.each(delays)("yet, as in %s, is in the story alone: it is neither counted nor told", async (file) => {
    expect(await answerTo(sample(file))).toMatchObject({ status: "noted", kind: "delay" });
    expect((await storyOf()).at(-1)).toContain("; was late 14 s later: ");
    expect(counted()).toBe(0);
    expect(await takenFrom(parts.queue)).toEqual([]);
  });

  it("to an operator makes no mail to operators", async () => {
    await mailed({ id: "notice-0001", site: operatorSite }, "0b".repeat(20));
    const body = sample("qmail").replaceAll(name, "0b".repeat(20));
    expect(await answerTo(body, operatorSite)).toMatchObject({ status: "noted", site: operatorSite });
    expect(await takenFrom(parts.queue)).toEqual([]);
    expect(counted()).toBe(1);
  });

  it("is accepted with a token of its site or of the operators' own site", async () => {
    expect(await answerTo(sample("qmail"), operatorSite)).toMatchObject({ status: "noted", site: "site" });
  });

  it("is known by its own reverse-path, whatever address it names", async () => {
    const forwarded = sample("ses-smtp")
      .replace("To: nagios@", `To: bounces+${name.toUpperCase()}@`)
      .replaceAll(contact, "private@example.org");
    expect(await answerTo(forwarded)).toMatchObject({ status: "noted", contact, kind: "bounce" });
  });

  it("gets 503 while the ledger or the queue is away: nothing was noted, send it again", async () => {
    const away = () => Promise.reject(new Error("disk I/O error"));
    const { queue } = parts;
    start({ queue: { ...queue, send: away } });
    expect((await post(sample("qmail"))).status).toBe(503);
    expect((await parts.ledger.story("site", "alert-0001"))?.returned).toBeUndefined();
    start({ queue, ledger: { ...parts.ledger, noteReturned: away } });
    expect((await post(sample("qmail"))).status).toBe(503);
    expect(counted()).toBe(0);
  });
});

describe("a contact whose mails bounced on three days", () => {
  it("is named by the status and its lines", async () => {
    for (const days of [0, 1, 2]) {
      const own = `0${days}`.repeat(20);
      await mailed({ id: `alert-day-${days}` }, own);
      now = mailedAt + days * 86_400_000 + 14_000;
      await post(sample("qmail").replaceAll(name, own));
    }
    await post(sample("qmail"));
    const headers = { Authorization: `Bearer ${tokens.site}` };
    const status = await app.request("/v1/status", { headers });
    const reply = "Remote host said: 550 5.1.1 <ops@example.net>: User unknown Giving up on 192.0.2.33.";
    expect(await status.json()).toMatchObject({ bouncing: [{ contact, days: 3, last: now, reply }] });
    const lines = await app.request("/v1/status", { headers: { ...headers, Accept: "text/plain" } });
    expect(await lines.text()).toMatch(/^bouncing 1$[\s\S]*^bouncing_contact ops@example\.net$/m);
  });
});

describe("a mail that changes nothing", () => {
  const nothing = async () => {
    expect(await parts.ledger.returned("site")).toEqual([]);
    expect(await takenFrom(parts.queue)).toEqual([]);
    expect(counted()).toBe(0);
    expect(events).toContainEqual(expect.objectContaining({ event: "return-ignored" }));
  };

  it.each(ignored)("is %s", async (file) => {
    expect(await answerTo(sample(file))).toMatchObject({ status: "ignored" });
    await nothing();
  });

  const forged: [what: string, mail: string, reason: string][] = [
    [
      "of a Message-ID that no mail has",
      sample("postfix").replaceAll(name, "0c".repeat(20)),
      "returns no mail",
    ],
    ["of another recipient", sample("postfix").replaceAll(contact, "dba@example.net"), "its contact"],
    ["of another recipient, in words", sample("qmail").replaceAll(contact, "dba@example.net"), "its contact"],
    [
      "of a recipient whose address only ends or begins like the contact's",
      sample("qmail").replaceAll(contact, `x${contact}`).replace("ops@example.net>:", `${contact}.org>:`),
      "its contact",
    ],
    [
      "that only answers the mail",
      sample("postfix")
        .replaceAll(name, "0c".repeat(20))
        .replace("To: ", `In-Reply-To: <${name}@example.com>\nReferences: <${name}@example.com>\nTo: `),
      "returns no mail",
    ],
    [
      "that only quotes the mail's Message-ID",
      sample("postfix")
        .replaceAll(name, "0c".repeat(20))
        .replace("This is the mail system", `> Message-ID: <${name}@example.com>`),
      "returns no mail",
    ],
    [
      "by a person",
      sample("qmail").replace("From: MAILER-DAEMON@mx6", "From: eve@mx6"),
      "not a non-delivery report",
    ],
    ["of nothing", "", "not a non-delivery report"],
  ];
  it.each(forged)("is a report %s", async (_, mail, reason) => {
    const answer = await answerTo(mail);
    expect(answer).toMatchObject({ status: "ignored", reason: expect.stringContaining(reason) });
    await nothing();
  });

  it("is a report of another site's mail, and does not say that there is such a mail", async () => {
    const unknown = await answerTo(sample("postfix").replaceAll(name, "0c".repeat(20)), "other");
    expect(await answerTo(sample("postfix"), "other")).toEqual(unknown);
    await nothing();
  });

  it("is the twenty-first different report about one mail", async () => {
    for (let turn = 0; turn < 25; turn++) {
      now += 1000;
      await post(sample("qmail").replace("User unknown", `User unknown ${turn}`));
    }
    expect((await parts.ledger.story("site", "alert-0001"))?.returned).toHaveLength(20);
  });
});

describe("POST /v1/returns", () => {
  it.each([
    [401, "", { Authorization: "Bearer wrong" }],
    [415, "", { "Content-Type": "application/json" }],
    [415, "", { "Content-Encoding": "gzip" }],
    [413, "x".repeat(mostReportBytes + 1), {}],
    [413, "x".repeat(mostReportBytes + 1), { "Transfer-Encoding": "chunked" }],
    [400, cutOff("From: MAILER"), {}],
  ])("answers %i", async (status, body, headers) => {
    expect((await post(body, "site", headers)).status).toBe(status);
  });

  it("takes a report of a megabyte", async () => {
    const long = sample("qmail") + "x\n".repeat((mostReportBytes - sample("qmail").length - 2) / 2);
    expect(await answerTo(long)).toMatchObject({ status: "noted" });
  });

  it("takes 600 a minute of a site, and no alert waits behind them", async () => {
    for (let turn = 0; turn < 600; turn++) await post("");
    const full = await post(sample("qmail"));
    expect([full.status, full.headers.get("Retry-After")]).toEqual([429, "1"]);
    expect((await post(sample("qmail"), "other")).status).toBe(200);
    const alerts = await app.request("/v1/alerts", {
      method: "POST",
      body: JSON.stringify([]),
      headers: { Authorization: `Bearer ${tokens.site}`, "Content-Type": "application/json" },
    });
    expect(alerts.status).toBe(422);
    now += 1000;
    expect((await post(sample("qmail"))).status).toBe(200);
  });
});

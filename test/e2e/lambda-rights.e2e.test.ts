import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tagOf } from "../../functions/deliver/ses-events.ts";
import { sqsQueue } from "../../functions/queue/sqs.ts";
import { buildAll } from "../../scripts/build.ts";
import { accepted, error, type ScriptedSes, scriptedSes } from "../deliver/scripted-ses.ts";
import { createTable, clientOf as databaseOf } from "../ledger/table.ts";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { posted } from "../world/alerts.ts";
import { startDynalite, startElasticMq } from "../world/judges.ts";
import { until } from "../world/lab.ts";
import { type LambdaBridge, startLambdaBridge } from "../world/lambda/bridge.ts";
import { type Between, countingProxy, type Exchange, signedBy } from "../world/lambda/counting-proxy.ts";
import { startEventSource } from "../world/lambda/event-source.ts";
import { allows, type Right, rightsOf, wantedBy } from "../world/lambda/roles.ts";
import { readTemplate } from "../world/template.ts";

const token = "a-token-of-twenty-four-characters";
const functionNames = ["intake", "worker", "sweep", "feedback"];
const template = readTemplate();
const rights = new Map(functionNames.map((name) => [name, rightsOf(template, name)]));

const used = new Map<string, Set<Right>>();
const denied: string[] = [];
/** Answers as AWS does to who may not do what is asked. */
const withRights: Between = async (operation, request, forward, by) => {
  const wanted = wantedBy(operation, request);
  const right = rights.get(by)?.find((one) => allows(one, wanted));
  if (right) {
    used.set(by, (used.get(by) ?? new Set()).add(right));
    return forward(request);
  }
  const message = `${by} is not authorized to perform: ${wanted.action} on resource: ${wanted.resource}`;
  denied.push(message);
  const answer = { __type: "com.amazon.coral.service#AccessDeniedException", message };
  return { operation, status: 400, request, answer } satisfies Exchange;
};

let bridge: LambdaBridge;
let ses: ScriptedSes;
let sendUnreadable: () => Promise<unknown>;
const ends: (() => unknown)[] = [];
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-rights-"));
  ends.push(() => rmSync(folder, { recursive: true }));
  await buildAll(folder);
  const [dynamodb, sqs] = await Promise.all([startDynalite(), startElasticMq()]);
  ends.push(() => Promise.all([dynamodb.stop(), sqs.stop()]));
  await createTable(databaseOf(dynamodb.url), "hardstate");
  const table = await countingProxy(dynamodb.url, withRights);
  const queue = await countingProxy(sqs.url, withRights);
  ends.push(() => Promise.all([table.stop(), queue.stop()]));
  ses = await scriptedSes();
  ends.push(() => ses.close());
  ses.answer = (response, request) => {
    const contact = ses.taken.at(-1)?.form.get("Destinations.member.1") ?? "";
    let answer = accepted;
    if (contact.startsWith("gone")) answer = error("InvalidParameterValue", "Missing final '@domain'");
    if (contact.startsWith("slow")) answer = error("Throttling", "Maximum sending rate exceeded.");
    return answer(response, request);
  };
  const client = clientOf(sqs.url);
  const queueUrl = await createAlertQueue(client, "rights");
  sendUnreadable = () =>
    sqsQueue(client, queueUrl, Date.now).send([
      { group: "unreadable", deduplicationId: "unreadable", body: "{", site: "", contact: "" },
    ]);
  bridge = await startLambdaBridge({
    folder,
    environment: {
      HARDSTATE_TOKENS: `site=${token}`,
      HARDSTATE_RELAYS: "ses://us-east-1?configuration-set=hardstate",
      HARDSTATE_FROM: "Monitoring <nagios@example.com>",
      HARDSTATE_RECIPIENTS: "example.com",
      HARDSTATE_OPERATOR: "operator@example.com",
      HARDSTATE_FLAP_HOLD: "off",
      HARDSTATE_BURST: "1/s",
      HARDSTATE_HEARTBEAT_AFTER: "5s",
      HARDSTATE_STILL_OPEN_AT: "00:00",
      HARDSTATE_QUEUE: `sqs:${queueUrl.replace(/^http:\/\/[^/]+/, queue.url)}`,
      HARDSTATE_LEDGER: "dynamodb:hardstate",
      AWS_ENDPOINT_URL_DYNAMODB: table.url,
      AWS_ENDPOINT_URL_SES: ses.url,
    },
  });
  ends.push(() => bridge.stop());
  const source = await startEventSource({ client, queueUrl, lambda: bridge.worker, waitSeconds: 1 });
  ends.push(() => source.stop());
});
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
const ask = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(bridge.url + path, { headers, redirect: "manual", ...init });
  return { status: response.status, headers: response.headers, text: await response.text() };
};
const statusOf = async (id: string): Promise<unknown> =>
  JSON.parse((await ask(`/v1/alerts/${id}`)).text).status;
/** Which of the six went out by itself, and which by a digest, is a matter of milliseconds. */
const oneThatWas = async (outcome: string): Promise<{ id: string; object: string }> => {
  const { alerts } = JSON.parse((await ask(`/v1/journal?outcome=${outcome}`)).text);
  return alerts.find(({ id }: { id: string }) => id.startsWith("alert-"));
};
const alert = (id: string, email: string, host: string) => ({
  ...posted({ id, object: { host, service: "HTTP" } }),
  recipients: [{ email }],
});
const sweep = async () => expect(await bridge.sweep.invoke({})).toMatchObject({ ok: true });

describe("functions that may do no more than their roles in the template", () => {
  it("take alerts, mail them, some in a digest, and bury what is refused or unreadable", async () => {
    const body = JSON.stringify([
      ...["one", "two", "three", "four", "five", "six"].map((host) =>
        alert(`alert-${host}`, "ops@example.com", host),
      ),
      alert("gone-first", "gone1@example.com", "one"),
      alert("gone-second", "gone2@example.com", "two"),
    ]);
    expect((await ask("/v1/alerts", { method: "POST", body })).status).toBe(202);
    await sendUnreadable();
    for (const id of ["gone-first", "gone-second"])
      await until(`${id} is refused`, 30, async () => {
        await sweep();
        return (await statusOf(id)) === "refused";
      });
    await until("a digest is mailed", 30, async () => {
      await sweep();
      return bridge
        .events()
        .some(
          ({ row, ending, contact }) => row === "R46" && ending === "mailed" && contact === "ops@example.com",
        );
    });
  });

  it("note heartbeats and rejections, and report silent monitors and refused mail", async () => {
    const misspelt = JSON.stringify(alert("alert-misspelt", "db@exmaple.com", "db01"));
    expect((await ask("/v1/alerts", { method: "POST", body: misspelt })).status).toBe(422);
    const noToken = { method: "POST", headers: { "X-Hardstate-Monitor": "m9" }, body: "[]" };
    expect((await ask("/v1/alerts", noToken)).status).toBe(401);
    const beat = { method: "PUT", body: '{"monitor":"monitor1"}' };
    for (let times = 0; times < 2; times++) expect((await ask("/v1/heartbeat", beat)).status).toBe(200);
    await until("the operator is told", 30, async () => {
      await sweep();
      // By a mail or in a digest.
      const told = bridge
        .events()
        .filter(({ event, contact }) => event === "ended" && contact === "operator@example.com")
        .map(({ object }) => object);
      const wanted = ["heartbeat of site/monitor1", "mail to gone1@example.com", "rejected: db@exmaple.com"];
      return wanted.every((one) => told.includes(`hardstate/${one}`));
    });
  });

  it("count a silent monitor at each sweep, until it is heard again", async () => {
    const counted = async () => {
      await sweep();
      return bridge.events().findLast(({ event }) => event === "swept")?.hardstate_silent_monitors;
    };
    expect(await counted()).toBe(1);
    expect((await ask("/v1/heartbeat", { method: "PUT", body: '{"monitor":"monitor1"}' })).status).toBe(200);
    expect(await counted()).toBeUndefined();
  });

  it("answer everything that the API has", async () => {
    for (const path of [
      ...["/healthz", "/readyz", "/openapi.json", "/v1/status", "/v1/queue", "/v1/problems", "/v1/journal"],
      "/v1/journal?object=one/HTTP",
      "/v1/journal?contact=ops@example.com",
      "/v1/journal?outcome=refused",
      "/v1/journal?outcome=rejected",
      "/v1/alerts/alert-one",
      "/v1/alerts/alert-misspelt",
    ])
      expect([path, (await ask(path)).status]).toEqual([path, 200]);
    expect(JSON.parse((await ask("/v1/queue")).text).dead_letters).toHaveLength(3);
    expect(
      (await ask("/v1/dead-letters/redrive", { method: "POST", body: '{"id":"gone-first"}' })).text,
    ).toBe('{"redriven":1}\n');
    expect((await ask("/metrics")).status).toBe(404);
  });

  it("show the whole console to a browser, and put a dead letter back from it", async () => {
    const form = (fields: Record<string, string>, more: Record<string, string> = {}) => ({
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded", Accept: "text/html", ...more },
      body: new URLSearchParams(fields).toString(),
    });
    const entered = await ask("/login", form({ token, after: "/journal" }));
    expect([entered.status, entered.headers.get("location")]).toEqual([303, "/journal"]);
    const [cookie = ""] = entered.headers.getSetCookie();
    expect(cookie).toMatch(
      /^__Host-hardstate=[^;]+; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
    );
    const reader = { Cookie: `theme=dark; ${cookie.split(";", 1)}`, Accept: "text/html" };
    const show = (path: string) => ask(path, { headers: reader });
    const [mailed, digested] = [await oneThatWas("mailed"), await oneThatWas("digested")];
    const search = new URLSearchParams({
      object: digested.object,
      contact: "ops@example.com",
      outcome: "digested",
    });
    for (const [path, words] of [
      ["/", /ses:\/\/us-east-1/],
      ["/", /1 alert rejected in the last 24 hours[\s\S]*1 post with a wrong token or none[\s\S]*from m9/],
      ["/journal?outcome=rejected", /db01\/HTTP[\s\S]*db@exmaple/],
      ["/problems", /one\/HTTP/],
      ["/journal", /alert-one/],
      [`/journal?${search}`, new RegExp(digested.id)],
      [`/alerts/${mailed.id}`, /mailed/],
      ["/dead-letters", /Missing final/],
      ["/console.css", /font/],
    ] as const) {
      const { status, text } = await show(path);
      expect([path, status]).toEqual([path, 200]);
      expect(text).toMatch(words);
    }
    const { text } = await show("/dead-letters");
    const form_token = /name="form_token" value="([0-9a-f]{64})"/.exec(text)?.[1] ?? "";
    const { status, headers: told } = await ask(
      "/dead-letters/redrive",
      form({ form_token, id: "gone-second" }, reader),
    );
    expect([status, told.get("location")]).toEqual([303, "/dead-letters?back=1"]);
    expect((await ask("/logout", form({ form_token }, reader))).headers.getSetCookie()[0]).toContain(
      "Max-Age=0",
    );
  });

  it("write to an alert's story what SES tells of its mail", async () => {
    const { id } = await oneThatWas("mailed");
    const { attempts } = JSON.parse((await ask(`/v1/alerts/${id}`)).text);
    const tag = tagOf({ site: "site", id });
    const reject = {
      eventType: "Reject",
      mail: {
        messageId: attempts[0].queueId,
        timestamp: "2026-11-25T09:59:00Z",
        destination: ["ops@example.com"],
        tags: { [tag.Name]: [tag.Value] },
      },
      reject: { reason: "Bad content" },
    };
    expect(await bridge.feedback.invoke({ source: "aws.ses", detail: reject })).toMatchObject({ ok: true });
    expect((await ask(`/v1/alerts/${id}`)).text).toContain("Bad content");
  });

  it("write to an alert's story what a report says of its mail, and tell operators", async () => {
    const { id } = await oneThatWas("mailed");
    const { message_id, contact } = JSON.parse((await ask(`/v1/alerts/${id}`)).text);
    const report = [
      "From: MAILER-DAEMON@mx.example.com",
      "Subject: failure notice",
      "",
      `<${contact}>:`,
      "550 5.1.1 this mailbox is gone",
      "",
      "--- Below this line is a copy of the message.",
      "",
      `Message-ID: ${message_id}`,
      "",
    ].join("\n");
    const post = { method: "POST", headers: { ...headers, "Content-Type": "message/rfc822" }, body: report };
    const { status, text } = await ask("/v1/returns", post);
    expect([status, text]).toEqual([200, expect.stringContaining('"status":"noted"')]);
    expect((await ask(`/v1/alerts/${id}`)).text).toContain("550 5.1.1 this mailbox is gone");
    expect((await ask("/v1/status")).text).toContain('"bouncing":[]');
  });

  it("give back what a relay needs later", async () => {
    const body = JSON.stringify(alert("slow-first", "slow@example.com", "one"));
    expect((await ask("/v1/alerts", { method: "POST", body })).status).toBe(202);
    await until("a mail is deferred", 30, async () =>
      bridge
        .events()
        .some(({ event, contact }) => event === "attempt-failed" && contact === "slow@example.com"),
    );
    const text = { headers: { ...headers, Accept: "text/plain" } };
    // SQS does not tell since when an alert waits.
    await until("it waits", 10, async () => {
      const lines = (await ask("/v1/status", text)).text;
      return /^waiting 0\nin_flight 1\n/.test(lines) && !lines.includes("oldest_seconds");
    });
  });

  it("were refused nothing meanwhile, and the worker alone has mailed", () => {
    expect(denied).toEqual([]);
    expect(bridge.events().filter(({ event }) => event === "failed")).toEqual([]);
    expect(new Set(ses.taken.map(({ headers }) => signedBy(headers.authorization)))).toEqual(
      new Set(["worker"]),
    );
  });

  it.each([
    ["intake", []],
    // The event source takes messages from the queue by the worker's role.
    ["worker", ["sqs:ReceiveMessage on Alerts.Arn"]],
    ["sweep", []],
    // Lambda itself keeps what feedback has failed on; a route's state is read when its settings change.
    ["feedback", ["dynamodb:GetItem on Ledger.Arn", "sqs:SendMessage on ReturnedUnread.Arn"]],
  ])("have no right of queue and table that is not used: %s, but %j", (name, others) => {
    const unused = (rights.get(name) ?? [])
      .filter(({ action }) => /^(sqs|dynamodb):/.test(action))
      .filter((right) => !used.get(name)?.has(right))
      .map(({ action, resource }) => `${action} on ${resource}`);
    expect(unused.sort()).toEqual(others);
  });
});

import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SQSClient } from "@aws-sdk/client-sqs";
import type { SQSBatchResponse, SQSRecord } from "aws-lambda";
import { startFauxqs } from "fauxqs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { tagOf } from "../../functions/deliver/ses-events.ts";
import { type QueuedAlert, toMessage } from "../../functions/queue/message.ts";
import { sqsQueue } from "../../functions/queue/sqs.ts";
import { buildAll } from "../../scripts/build.ts";
import { document } from "../api/described.ts";
import { type Certificate, certificate } from "../deliver/certificate.ts";
import { type ScriptedRelay, scriptedRelay, silence } from "../deliver/scripted-relay.ts";
import { scriptedSes } from "../deliver/scripted-ses.ts";
import { createTable, clientOf as databaseOf } from "../ledger/table.ts";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { posted, queuedAlert } from "../world/alerts.ts";
import { type Judge, startDynalite } from "../world/judges.ts";
import { type LambdaBridge, startLambdaBridge } from "../world/lambda/bridge.ts";
import { countingProxy } from "../world/lambda/counting-proxy.ts";
import { startEventSource } from "../world/lambda/event-source.ts";

const token = "a-token-of-twenty-four-characters";
const folder = mkdtempSync(join(tmpdir(), "hardstate-lambda-"));
let tls: Certificate;
let sqs: Awaited<ReturnType<typeof startFauxqs>>;
let client: SQSClient;
beforeAll(async () => {
  await buildAll(folder);
  tls = await certificate({});
  sqs = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
  client = clientOf(`http://127.0.0.1:${sqs.port}`);
}, 60_000);
afterAll(async () => {
  await sqs.stop();
  rmSync(folder, { recursive: true });
});

let count = 0;
let dynamodb: Judge;
let relay: ScriptedRelay;
let queueUrl: string;
let bridge: LambdaBridge;
beforeEach(async () => {
  dynamodb = await startDynalite();
  relay = await scriptedRelay(tls);
  await createTable(databaseOf(dynamodb.url), "hardstate");
  const created = await createAlertQueue(client, `lambda-${count++}`);
  // fauxqs names a host that no URL can have.
  queueUrl = created.replace(/^.*?(?=\/\d+\/[^/]+$)/, `http://127.0.0.1:${sqs.port}`);
});

afterEach(async () => {
  await bridge?.stop();
  await relay.close();
  await dynamodb.stop();
});

const start = async (changes: Record<string, string> = {}, without: readonly string[] = []) => {
  const environment = {
    HARDSTATE_TOKENS: `site=${token}`,
    HARDSTATE_RELAYS: `smtp://user:password@127.0.0.1:${relay.port}`,
    HARDSTATE_RELAY_CA: tls.cert,
    HARDSTATE_FROM: "nagios@example.com",
    HARDSTATE_RECIPIENTS: "example.com",
    HARDSTATE_FLAP_HOLD: "off",
    HARDSTATE_QUEUE: `sqs:${queueUrl}`,
    HARDSTATE_LEDGER: "dynamodb:hardstate",
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
    ...changes,
  };
  const given = Object.entries(environment).filter(([name]) => !without.includes(name));
  bridge = await startLambdaBridge({ folder, environment: Object.fromEntries(given) });
};
const post = (body: unknown) =>
  fetch(`${bridge.url}/v1/alerts`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
const get = async (path: string) => {
  const response = await fetch(bridge.url + path, { headers: { Authorization: `Bearer ${token}` } });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const forOps = (change: Record<string, unknown> = {}) => ({
  ...posted(change),
  recipients: [{ name: "ops", email: "ops@example.com" }],
});

/** A record of an SQS event, as the event source makes it of a message. */
const record = (queued: QueuedAlert | string, change: { id?: string; count?: number } = {}): SQSRecord => {
  const message = typeof queued === "string" ? { group: "g", body: queued } : toMessage(queued);
  const { id = typeof queued === "string" ? "unreadable" : queued.id, count: receives = 1 } = change;
  return {
    messageId: id,
    receiptHandle: `lapsed-${id}`,
    body: message.body,
    attributes: {
      MessageGroupId: message.group,
      ApproximateReceiveCount: String(receives),
      SentTimestamp: "0",
      SenderId: "x",
      ApproximateFirstReceiveTimestamp: "0",
    },
    messageAttributes: {},
    md5OfBody: "",
    eventSource: "aws:sqs",
    eventSourceARN: "arn:aws:sqs:us-east-1:123456789012:x.fifo",
    awsRegion: "us-east-1",
  };
};
const work = async (...Records: SQSRecord[]) => {
  const result = await bridge.worker.invoke({ Records });
  if (!result.ok) throw new Error(`${result.error.errorType}: ${result.error.errorMessage}`);
  return (result.value as SQSBatchResponse).batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
};
const fresh = (change: Partial<QueuedAlert> = {}, alert: Record<string, unknown> = {}) =>
  queuedAlert({ receivedAt: Date.now(), ...change }, alert);
const headersIn = (contents: readonly string[], name: string) =>
  contents.map((content) => new RegExp(`^${name}: (.*)$`, "m").exec(content)?.[1]?.trim());

describe("a bridge on Lambda", () => {
  it("takes an alert, mails it once, and tells its story", async () => {
    await start();
    const source = await startEventSource({ client, queueUrl, lambda: bridge.worker, waitSeconds: 1 });
    onTestFinished(() => source.stop());
    expect(await get("/v1/alerts/alert-web01-1")).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining("may still wait in the queue") },
    });
    const taken = await post(forOps({ id: "alert-web01-1" }));
    expect(taken.status).toBe(202);
    await expect.poll(() => relay.contents.length, { timeout: 10_000 }).toBe(1);
    const again = await post(forOps({ id: "alert-web01-2", notification: { id: "102", number: 2 } }));
    expect(again.status).toBe(202);
    const story = async (id: string) => (await get(`/v1/alerts/${id}`)).body;
    await expect
      .poll(async () => (await story("alert-web01-2")).status, { timeout: 10_000 })
      .toBe("suppressed");
    expect(await story("alert-web01-1")).toMatchObject({
      status: "mailed",
      attempts: [{ result: "accepted", queueId: "SCRIPTED1" }],
    });
    expect(relay.contents).toHaveLength(1);
    expect((await get("/v1/problems")).body).toMatchObject({
      problems: [{ object: "web01/HTTP", state: "CRITICAL", told: [{ contact: "ops@example.com" }] }],
    });
    expect((await get("/v1/journal")).body.totals).toMatchObject({
      accepted: 2,
      mailed: 1,
      suppressed: 1,
      pending: 0,
    });
    expect((await get("/readyz")).status).toBe(200);
    expect((await get("/openapi.json")).body).toEqual(document);
    expect(bridge.events()).toContainEqual(
      expect.objectContaining({
        event: "ended",
        hardstate_mailed_total: 1,
        hardstate_delivery_seconds: expect.any(Number),
        _aws: expect.anything(),
      }),
    );
  });

  it("makes one mail of a message that SQS hands out twice", async () => {
    await start();
    const twice = fresh();
    expect(await work(record(twice))).toEqual([]);
    expect(await work(record(twice, { id: "second-copy", count: 2 }))).toEqual([]);
    expect(relay.contents).toHaveLength(1);
  });

  it("loses nothing by kill -9 while a relay holds its reply to the final dot: a second copy, its own", async () => {
    relay.script = { dot: silence };
    await start();
    const dotted = relay.reached("dot");
    const killed = bridge.worker.invoke({ Records: [record(fresh())] });
    await dotted;
    for (const pid of bridge.worker.pids()) process.kill(pid, "SIGKILL");
    expect(await killed).toMatchObject({ ok: false, error: { errorType: "Runtime.ExitError" } });
    relay.script = {};
    expect(await work(record(fresh(), { count: 2 }))).toEqual([]);
    expect(relay.contents).toHaveLength(2);
    const [first, second] = headersIn(relay.contents, "Message-ID");
    expect(first).toBeDefined();
    expect(second).toBe(first);
  });

  it("mails once after kill -9 before a relay had the mail", async () => {
    relay.script = { MAIL: silence };
    await start();
    const begun = relay.reached("MAIL");
    const killed = bridge.worker.invoke({ Records: [record(fresh())] });
    await begun;
    for (const pid of bridge.worker.pids()) process.kill(pid, "SIGKILL");
    await killed;
    relay.script = {};
    expect(await work(record(fresh(), { count: 2 }))).toEqual([]);
    expect(relay.contents).toHaveLength(1);
  });

  it.each([
    ["was handed out before", "2", 0],
    ["Lambda could only invoke with late", "1", 300_000],
  ])("hides a message that %s until its time is over", async (_, ApproximateReceiveCount, age) => {
    relay.script = { MAIL: silence };
    await start();
    const queue = sqsQueue(client, queueUrl, Date.now);
    const message = toMessage(fresh());
    await queue.send([message]);
    const [almostVisible] = await queue.receive({ max: 1, waitSeconds: 5, visibilityTimeoutSeconds: 3 });
    const made = record(fresh());
    const attributes = {
      ...made.attributes,
      ApproximateReceiveCount,
      ApproximateFirstReceiveTimestamp: String(Date.now() - age),
    };
    const begun = relay.reached("MAIL");
    void bridge.worker.invoke({
      Records: [{ ...made, receiptHandle: almostVisible?.receipt ?? "", attributes }],
    });
    await begun;
    expect(await queue.receive({ max: 1, waitSeconds: 5, visibilityTimeoutSeconds: 30 })).toEqual([]);
  });

  it("gives a deferred message back with all later ones of its group, and no other", async () => {
    relay.script = { RCPT: (line) => (line.includes("bob") ? "450 4.2.1 later\r\n" : "250 Ok\r\n") };
    await start();
    const bobs = { contact: "bob@example.com" };
    const recovery = { type: "RECOVERY", state: "OK", notification: { id: "102" } };
    const failed = await work(
      record(fresh({ id: "bob-problem", ...bobs })),
      record(fresh({ id: "ops-problem" })),
      record(fresh({ id: "bob-recovery", ...bobs }, recovery)),
      record(fresh({ id: "ops-recovery" }, recovery)),
    );
    expect(failed).toEqual(["bob-problem", "bob-recovery"]);
    expect(headersIn(relay.contents, "Subject")).toEqual([
      "[PROBLEM CRITICAL] web01/HTTP",
      "[RECOVERY OK] web01/HTTP",
    ]);
  });

  it.each([
    ["no JSON", "{", "unreadable: body, expected JSON"],
    ["a version that is not known here", JSON.stringify({ ...fresh(), v: 2 }), "unreadable: v, expected 1"],
    ["another tenant's shape", JSON.stringify({ tenant: "x", payload: {} }), "unreadable: v, expected"],
  ])("puts %s to the dead letters with its reason, and goes on with the rest", async (_, body, reason) => {
    await start();
    expect(await work(record(body), record(fresh()))).toEqual([]);
    expect(relay.contents).toHaveLength(1);
    const letters = await sqsQueue(client, queueUrl, Date.now).deadLetters(10);
    expect(letters).toMatchObject([{ body, reason: expect.stringContaining(reason) }]);
  });

  it("answers a GET that has a body as one that has none", async () => {
    await start();
    const { hostname, port } = new URL(bridge.url);
    const body = "nobody reads this";
    const headers = { "Content-Length": body.length };
    const asked = request({ hostname, port, path: "/v1/problems", headers });
    const status = await new Promise((done) =>
      asked.once("response", ({ statusCode }) => done(statusCode)).end(body),
    );
    expect(status).toBe(401);
    expect(bridge.intake.output().filter((line) => !line.startsWith("{"))).toEqual([]);
  });

  it("answers 503 with Retry-After while the queue is away", async () => {
    const port = await unusedPort();
    await start({ HARDSTATE_QUEUE: `sqs:http://127.0.0.1:${port}/123456789012/gone.fifo` });
    const answer = await post(forOps());
    expect(answer.status).toBe(503);
    expect(answer.headers.get("Retry-After")).toBe("10");
    expect(await answer.json()).toMatchObject({ type: "urn:hardstate:problem:unavailable" });
  });

  it("answers 503 while a table is throttled, and the worker lets the message come again", async () => {
    const throttling = await throttled(dynamodb.url);
    await start({ AWS_ENDPOINT_URL_DYNAMODB: throttling.url });
    throttling.on = true;
    expect((await get("/v1/problems")).status).toBe(503);
    expect(await work(record(fresh()))).toEqual(["alert-0001"]);
    expect(relay.contents).toHaveLength(0);
    throttling.on = false;
    expect(await work(record(fresh(), { count: 2 }))).toEqual([]);
    expect(relay.contents).toHaveLength(1);
  });

  it.each([
    ["first", 1, 30],
    ["third", 3, 120],
  ])("gives a message back soon that cannot be worked on, the %s time", async (_, receives, seconds) => {
    const throttling = await throttled(dynamodb.url);
    const proxy = await countingProxy(`http://127.0.0.1:${sqs.port}`);
    onTestFinished(() => proxy.stop());
    const proxied = queueUrl.replace(/^http:\/\/[^/]+/, proxy.url);
    await start({ HARDSTATE_QUEUE: `sqs:${proxied}`, AWS_ENDPOINT_URL_DYNAMODB: throttling.url });
    throttling.on = true;
    const later = { id: "recovery-0001" };
    const recovery = { type: "RECOVERY", state: "OK", notification: { id: "102" } };
    expect(
      await work(record(fresh(), { count: receives }), record(fresh(later, recovery), { count: receives })),
    ).toEqual(["alert-0001", "recovery-0001"]);
    const last = proxy.exchanges.slice(-2).map(({ request }) => request);
    for (const id of ["alert-0001", "recovery-0001"])
      expect(last).toContainEqual(
        expect.objectContaining({ ReceiptHandle: `lapsed-${id}`, VisibilityTimeout: seconds }),
      );
  });

  it("mails once what a relay took, though the table was throttled for some seconds when that was to be written", async () => {
    const throttling = await throttled(dynamodb.url);
    relay.script = {
      dot: () => {
        throttling.on = true;
        setTimeout(() => {
          throttling.on = false;
        }, 3000);
        return "250 2.0.0 Ok: queued as FIRST\r\n";
      },
    };
    await start({ AWS_ENDPOINT_URL_DYNAMODB: throttling.url });
    expect(await work(record(fresh()))).toEqual([]);
    expect(await work(record(fresh(), { count: 2 }))).toEqual([]);
    expect(relay.contents).toHaveLength(1);
    expect((await get("/v1/alerts/alert-0001")).body).toMatchObject({
      status: "mailed",
      attempts: [{ result: "accepted" }],
    });
  });

  it("reads its secrets again when a relay refuses its login, and goes on without a new start", async () => {
    const store = await parameterStore();
    const parameter = { HARDSTATE_RELAYS_PARAMETER: "/hardstate/relays", AWS_ENDPOINT_URL_SSM: store.url };
    store.values.set("/hardstate/relays", `smtp://user:old@127.0.0.1:${relay.port}`);
    relay.script = {
      AUTH: (line) => (line.includes(btoa("\0user\0new")) ? "235 ok\r\n" : "535 5.7.8 no\r\n"),
    };
    await start(parameter, ["HARDSTATE_RELAYS"]);
    expect(await work(record(fresh()))).toEqual(["alert-0001"]);
    store.values.set("/hardstate/relays", `smtp://user:new@127.0.0.1:${relay.port}`);
    await expect
      .poll(() => work(record(fresh(), { count: 2 })), { timeout: 20_000, interval: 1000 })
      .toEqual([]);
    expect(relay.contents).toHaveLength(1);
    expect(JSON.stringify(bridge.events())).not.toMatch(/user:(old|new)|dXNlcg/);
  });

  it("puts what was held and is due on the queue by its sweep, and says that it swept", async () => {
    await start();
    const source = await startEventSource({ client, queueUrl, lambda: bridge.worker, waitSeconds: 1 });
    onTestFinished(() => source.stop());
    await post(forOps({ degraded: true }));
    await expect
      .poll(() => bridge.events().some(({ event }) => event === "held"), { timeout: 10_000 })
      .toBe(true);
    await expect
      .poll(async () => (await bridge.sweep.invoke({})).ok && relay.contents.length, {
        timeout: 20_000,
        interval: 1000,
      })
      .toBe(1);
    expect(bridge.events()).toContainEqual(
      expect.objectContaining({ event: "swept", hardstate_sweeps_total: 1 }),
    );
  });

  it("counts at each sweep the routes that are down, if any are", async () => {
    const counted = async () => {
      expect(await bridge.sweep.invoke({})).toMatchObject({ ok: true });
      return bridge.events().findLast(({ event }) => event === "swept")?.hardstate_route_down;
    };
    relay.script = { AUTH: "535 5.7.8 no\r\n" };
    await start();
    expect(await counted()).toBeUndefined();
    expect(await work(record(fresh()))).toEqual(["alert-0001"]);
    expect(await counted()).toBe(1);
  });

  it("adds what SES tells of its mail to the alert's story, and nothing that is told of another's", async () => {
    const ses = await scriptedSes();
    onTestFinished(() => ses.close());
    await start({
      HARDSTATE_RELAYS: "ses://us-east-1?configuration-set=alerts",
      AWS_ENDPOINT_URL_SES: ses.url,
    });
    expect(await work(record(fresh()))).toEqual([]);
    const sent = (await get("/v1/alerts/alert-0001")).body.attempts as { queueId: string }[];
    const tag = tagOf({ site: "site", id: "alert-0001" });
    const bounceOf = (messageId: string) => ({
      source: "aws.ses",
      detail: {
        eventType: "Bounce",
        mail: {
          messageId,
          timestamp: "2026-11-25T09:59:00Z",
          destination: ["ops@example.com"],
          tags: { [tag.Name]: [tag.Value] },
        },
        bounce: {
          timestamp: "2026-11-25T10:00:00Z",
          bounceType: "Permanent",
          bouncedRecipients: [{ emailAddress: "ops@example.com", diagnosticCode: "smtp; 550 no such user" }],
        },
      },
    });
    expect(await bridge.feedback.invoke(bounceOf("of-another"))).toMatchObject({ ok: false });
    expect((await get("/v1/alerts/alert-0001")).body.returned).toBeUndefined();
    for (let times = 0; times < 2; times++)
      expect(await bridge.feedback.invoke(bounceOf(sent[0]?.queueId ?? ""))).toEqual({
        ok: true,
        value: null,
      });
    const { returned, story } = (await get("/v1/alerts/alert-0001")).body as {
      returned: unknown;
      story: string[];
    };
    expect(returned).toEqual([
      expect.objectContaining({ kind: "bounce", reply: "Permanent: smtp; 550 no such user" }),
    ]);
    expect(story.join("\n")).toContain(
      "the mail to ops@example.com bounced: Permanent: smtp; 550 no such user",
    );
  });

  it("does not start with wrong settings, and names them all", async () => {
    await start({ HARDSTATE_FROM: "nobody", HARDSTATE_RECIPIENTS: "" });
    const result = await bridge.worker.invoke({ Records: [] });
    expect(result).toMatchObject({
      ok: false,
      error: {
        errorMessage: expect.stringMatching(
          /HARDSTATE_RECIPIENTS needs a value.*HARDSTATE_FROM needs an address/,
        ),
      },
    });
  });
});

/** A port on which nothing listens. */
const unusedPort = async () => {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
};

/** A DynamoDB in front of another, that answers as a throttled one while `on`. */
const throttled = async (url: string) => {
  const throttling = {
    __type: "com.amazonaws.dynamodb.v20120810#ThrottlingException",
    message: "Rate exceeded",
  };
  const proxy = await countingProxy(url, async (operation, request, forward) =>
    state.on ? { operation, status: 400, request, answer: throttling } : forward(request),
  );
  onTestFinished(() => proxy.stop());
  const state = { url: proxy.url, on: false };
  return state;
};

/** SSM's Parameter Store, whose values may change. */
const parameterStore = async () => {
  const values = new Map<string, string>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { Names } = JSON.parse(Buffer.concat(chunks).toString()) as { Names: string[] };
    const Parameters = Names.flatMap((Name) => (values.has(Name) ? [{ Name, Value: values.get(Name) }] : []));
    response.end(JSON.stringify({ Parameters }));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  onTestFinished(() => void server.close());
  return { values, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
};

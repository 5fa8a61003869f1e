import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { startFauxqs } from "fauxqs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { toMessage } from "../../functions/queue/message.ts";
import { sqsQueue } from "../../functions/queue/sqs.ts";
import { buildAll } from "../../scripts/build.ts";
import { type LocalWorker, startWorker } from "../../scripts/workerd.ts";
import { document } from "../api/described.ts";
import { authority, type Certificate, certificate } from "../deliver/certificate.ts";
import { type Script, type ScriptedRelay, scriptedRelay, silence } from "../deliver/scripted-relay.ts";
import { type ScriptedSes, scriptedSes } from "../deliver/scripted-ses.ts";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { posted, queuedAlert } from "../world/alerts.ts";
import { countingProxy } from "../world/lambda/counting-proxy.ts";

const token = "a-token-of-twenty-four-characters";
const folder = mkdtempSync(join(tmpdir(), "hardstate-worker-"));
const authorities = join(folder, "authorities.pem");
let good: Certificate;
let ofAnother: Certificate;
let selfSigned: Certificate;
let sqs: Awaited<ReturnType<typeof startFauxqs>>;
let client: SQSClient;
beforeAll(async () => {
  const ca = await authority();
  writeFileSync(authorities, ca.cert);
  good = await certificate({ ca, forName: "localhost" });
  ofAnother = await certificate({ ca, forName: "other.example" });
  selfSigned = await certificate({ forName: "localhost" });
  await buildAll(folder);
  sqs = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
  client = clientOf(`http://127.0.0.1:${sqs.port}`);
}, 60_000);
afterAll(async () => {
  await sqs.stop();
  rmSync(folder, { recursive: true });
});

let count = 0;
let queueUrl: string;
let worker: LocalWorker;
const said: string[] = [];
const toEnd: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  said.length = 0;
  const created = await createAlertQueue(client, `worker-${count++}`);
  // fauxqs names a host that no URL can have.
  queueUrl = created.replace(/^.*?(?=\/\d+\/[^/]+$)/, `http://127.0.0.1:${sqs.port}`);
});
afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end();
});

const relayWith = async (
  script: Script = {},
  tls = good,
  protection?: "starttls" | "implicit",
): Promise<ScriptedRelay> => {
  const relay = await scriptedRelay(tls, script, protection);
  toEnd.push(() => relay.close());
  return relay;
};
const start = async (changes: Record<string, string>, state?: string) => {
  worker = await startWorker({
    bundle: join(folder, "cloudflare", "cloudflare.js"),
    authorities,
    state,
    said: (line) => said.push(line),
    bindings: {
      HARDSTATE_TOKENS: `site=${token}`,
      HARDSTATE_FROM: "nagios@example.com",
      HARDSTATE_RECIPIENTS: "example.com",
      HARDSTATE_FLAP_HOLD: "off",
      HARDSTATE_QUEUE: `sqs:${queueUrl}`,
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      ...changes,
    },
  });
  const started = worker;
  toEnd.push(() => started.stop());
};
/** Runs the cron until the worker ends; what it does is seen meanwhile. */
const runCron = () => void worker.cron().catch((error: Error) => said.push(`cron: ${error.message}`));
/** SQS as one meets it who asks too often: what `refuses` is throttled. Tells how often each action was asked for. */
const throttlingSqs = async (refuses: (action: string) => boolean) => {
  const throttled = { __type: "com.amazonaws.sqs#RequestThrottled", message: "Rate exceeded" };
  const proxy = await countingProxy(`http://127.0.0.1:${sqs.port}`, async (operation, request, forward) =>
    refuses(operation) ? { operation, status: 400, request, answer: throttled } : forward(request),
  );
  toEnd.push(proxy.stop);
  const asked = (action: string) => proxy.exchanges.filter(({ operation }) => operation === action).length;
  return { asked, url: queueUrl.replace(/^http:\/\/[^/]+/, proxy.url) };
};
const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
const post = (change: Record<string, unknown> = {}) =>
  fetch(`${worker.url}/v1/alerts`, {
    method: "POST",
    headers,
    body: JSON.stringify({
      ...posted(change),
      id: "alert-0001",
      ...change,
      recipients: [{ name: "ops", email: "ops@example.com" }],
    }),
  });
type Story = {
  status: string;
  attempts: { result: string; step?: string; reply: string; lostAfterData?: boolean; queueId?: string }[];
};
const story = async (id = "alert-0001"): Promise<Story> =>
  (await (await fetch(`${worker.url}/v1/alerts/${id}`, { headers })).json()) as Story;
const within = { timeout: 20_000, interval: 100 };
const firstAttempt = async () => {
  await expect.poll(async () => (await story()).attempts?.length, within).toBeGreaterThan(0);
  return (await story()).attempts[0];
};
const messageIds = ({ contents }: ScriptedRelay) =>
  contents.map((content) => /^Message-ID: (.*)$/m.exec(content)?.[1]?.trim());
const routeTo = ({ port }: ScriptedRelay, scheme = "smtp", host = "localhost") => ({
  HARDSTATE_RELAYS: `${scheme}://user:password@${host}:${port}`,
});

describe("a bridge on Cloudflare", () => {
  it("takes an alert, mails it once, and tells its story", async () => {
    const relay = await relayWith();
    await start(routeTo(relay));
    expect((await fetch(`${worker.url}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${worker.url}/openapi.json`)).json()).toEqual(document);
    expect((await post()).status).toBe(202);
    runCron();
    await expect.poll(async () => (await story()).status, within).toBe("mailed");
    expect((await post({ id: "alert-0002", notification: { id: "102", number: 2 } })).status).toBe(202);
    await expect.poll(async () => (await story("alert-0002")).status, within).toBe("suppressed");
    expect(relay.contents).toHaveLength(1);
    expect(relay.verbs().join(" ")).toContain("EHLO STARTTLS EHLO AUTH MAIL RCPT DATA dot");
    expect(await firstAttempt()).toMatchObject({
      result: "accepted",
      queueId: "SCRIPTED1",
      tls: { version: "TLS", subject: "localhost" },
    });
    const journal = await (await fetch(`${worker.url}/v1/journal`, { headers })).json();
    expect(journal).toMatchObject({ totals: { accepted: 2, mailed: 1, suppressed: 1, pending: 0 } });
  });

  it("serves many who begin at once, though the first that came hung up", async () => {
    await start(routeTo(await relayWith()));
    const gone = new AbortController();
    const body = JSON.stringify({ ...posted(), recipients: [{ email: "ops@example.com" }] });
    const first = fetch(`${worker.url}/v1/alerts`, { method: "POST", headers, body, signal: gone.signal });
    const many = Array.from({ length: 50 }, (_, index) =>
      post({ id: `alert-1${index}`, object: { host: "web01", service: `S${index}` } }),
    );
    gone.abort();
    await expect(first).rejects.toThrow("aborted");
    expect((await Promise.all(many)).map(({ status }) => status)).toEqual(many.map(() => 202));
    expect((await post()).status).toBe(202);
  });

  it("mails through TLS from the start", async () => {
    const relay = await relayWith({}, good, "implicit");
    await start(routeTo(relay, "smtps"));
    await post();
    runCron();
    expect(await firstAttempt()).toMatchObject({ result: "accepted" });
  });

  it("fetches a token for XOAUTH2, and logs in with it", async () => {
    const endpoint = createServer({ key: good.key, cert: good.cert }, (_, response) =>
      response.end(JSON.stringify({ access_token: "the-token", expires_in: 3600 })),
    );
    await new Promise<void>((listening) => endpoint.listen(0, "127.0.0.1", listening));
    toEnd.push(async () => endpoint.close());
    const relay = await relayWith({ "TLS-EHLO": "250-relay.example\r\n250 AUTH XOAUTH2\r\n" });
    const { port } = endpoint.address() as AddressInfo;
    await start({
      HARDSTATE_RELAYS: `smtp://user@localhost:${relay.port}?auth=XOAUTH2`,
      HARDSTATE_OAUTH: `token_url=https://localhost:${port}/token client_id=id client_secret=secret scope=mail`,
    });
    await post();
    runCron();
    expect(await firstAttempt()).toMatchObject({ result: "accepted" });
    expect(relay.received()).toContain(`AUTH XOAUTH2 ${btoa("user=user\x01auth=Bearer the-token\x01\x01")}`);
  });

  it.each<[string, Script, object]>([
    [
      "is refused for its recipient",
      { RCPT: "550 5.1.1 no such user\r\n" },
      { result: "refused", step: "recipient" },
    ],
    [
      "is deferred",
      { MAIL: "451 4.3.0 later\r\n" },
      { result: "deferred", step: "sender", lostAfterData: false },
    ],
    ["is refused its login", { AUTH: "535 5.7.8 no\r\n" }, { result: "unauthorised", step: "auth" }],
    [
      "is cut off after its final dot",
      { dot: ["250"] as never },
      { result: "deferred", lostAfterData: true },
    ],
  ])("tells what a relay said when a mail %s", async (_, script, outcome) => {
    const relay = await relayWith(script.dot ? { dot: [] } : script);
    if (script.dot) relay.script = { dot: () => "" };
    await start(routeTo(relay));
    await post();
    runCron();
    if (script.dot) {
      await relay.reached("dot");
      await relay.close();
    }
    expect(await firstAttempt()).toMatchObject(outcome);
  });

  it.each<[string, () => Promise<ScriptedRelay>, string]>([
    [
      "offers no STARTTLS",
      () => relayWith({ EHLO: "250 relay.example\r\n", STARTTLS: "502 5.5.1 what?\r\n" }),
      "smtp",
    ],
    ["refuses STARTTLS", () => relayWith({ STARTTLS: "454 4.7.0 no\r\n" }), "smtp"],
    ["has another host's certificate", () => relayWith({}, ofAnother), "smtp"],
    ["has a certificate of its own making", () => relayWith({}, selfSigned), "smtp"],
    [
      "speaks in clear behind its reply to STARTTLS",
      () => relayWith({ STARTTLS: "220 2.0.0 Ready to start TLS\r\n250 INJECTED\r\n" }),
      "smtp",
    ],
  ])("gives no login to a relay that %s", async (_, make, scheme) => {
    const relay = await make();
    await start(routeTo(relay, scheme));
    await post();
    runCron();
    expect(await firstAttempt()).toMatchObject({ result: "unauthorised", step: "tls" });
    expect(relay.received()).not.toMatch(/AUTH|AHVzZXI/);
  });

  it("gives no login through TLS from the start to a relay with another host's certificate", async () => {
    const relay = await relayWith({}, ofAnother, "implicit");
    await start(routeTo(relay, "smtps"));
    await post();
    runCron();
    expect(await firstAttempt()).toMatchObject({
      result: "unauthorised",
      step: "tls",
      reply: "the TLS handshake failed: is the certificate good for localhost?",
    });
    expect(relay.received()).toBe("");
  });

  it("loses nothing when workerd is killed while a relay holds its reply to the final dot: a second copy, its own", async () => {
    const state = join(folder, `state-${count}`);
    mkdirSync(state);
    const relay = await relayWith({ dot: silence });
    await start(routeTo(relay), state);
    expect((await post()).status).toBe(202);
    const dotted = relay.reached("dot");
    runCron();
    await dotted;
    await killWorkerd();
    await worker.stop().catch(() => undefined);
    relay.script = {};
    await start(routeTo(relay), state);
    expect(await story()).toMatchObject({ status: "pending" });
    // SQS hands it out a second time when the dead worker's time is over: this one was handed out once, too.
    const queue = sqsQueue(client, queueUrl, Date.now);
    // The dead worker's receive may still wait at the queue: the first message is for it.
    for (const group of ["taken by the dead", "another"])
      await queue.send([{ ...toMessage(queuedAlert()), deduplicationId: group, group }]);
    const [again] = await queue.receive({ max: 1, waitSeconds: 0, visibilityTimeoutSeconds: 30 });
    if (!again) throw new Error("nothing was handed out");
    await queue.giveBack(again, 0);
    runCron();
    await expect.poll(() => relay.contents.length, within).toBe(2);
    const [first, second] = messageIds(relay);
    expect(first).toBeDefined();
    expect(second).toBe(first);
  });

  it("mails an alert in the same run in which an earlier one of another site hangs", async () => {
    const relay = await relayWith({
      RCPT: (line) => (line.includes("large@") ? silence : "250 2.1.5 Ok\r\n"),
    });
    const ofLarge = "a-token-of-the-large-site-of-two";
    await start({ ...routeTo(relay), HARDSTATE_TOKENS: `site=${token} large=${ofLarge}` });
    const taken = await fetch(`${worker.url}/v1/alerts`, {
      method: "POST",
      headers: { ...headers, Authorization: `Bearer ${ofLarge}` },
      body: JSON.stringify({ ...posted(), recipients: [{ email: "large@example.com" }] }),
    });
    expect(taken.status).toBe(202);
    const hung = relay.reached("RCPT");
    runCron();
    await hung;
    const postedAt = Date.now();
    await post();
    await expect.poll(async () => (await story()).status, within).toBe("mailed");
    expect(Date.now() - postedAt).toBeLessThan(5000);
  });

  it("asks a queue that throttles it again in the same run, and one that has nothing some times a minute", async () => {
    const relay = await relayWith();
    let throttled = 0;
    const { asked, url } = await throttlingSqs((action) => action === "ReceiveMessage" && ++throttled <= 6);
    await start({ ...routeTo(relay), HARDSTATE_QUEUE: `sqs:${url}` });
    await post();
    await worker.cron();
    expect(await story()).toMatchObject({ status: "mailed" });
    expect(said.join("\n")).toMatch(/"during":"working on the queue","error":"RequestThrottled/);
    expect(asked("ReceiveMessage")).toBeLessThan(20);
  });

  it("mails though the queue does not take what is due", async () => {
    const relay = await relayWith();
    const { url } = await throttlingSqs((action) => action === "SendMessageBatch");
    const ofSilence = { HARDSTATE_OPERATOR: "boss@example.com", HARDSTATE_HEARTBEAT_AFTER: "1s" };
    await start({ ...routeTo(relay), ...ofSilence, HARDSTATE_QUEUE: `sqs:${url}` });
    const beat = { method: "PUT", headers, body: '{"monitor":"monitor1"}' };
    expect((await fetch(`${worker.url}/v1/heartbeat`, beat)).status).toBe(200);
    const heard = Date.now();
    await sqsQueue(client, queueUrl, Date.now).send([toMessage(queuedAlert())]);
    await expect.poll(() => Date.now() - heard, within).toBeGreaterThan(1000);
    runCron();
    await expect.poll(async () => (await story()).status, within).toBe("mailed");
    const lines = () => said.join("\n");
    await expect.poll(lines, within).toContain('"during":"sweeping the ledger","error":"RequestThrottled');
  });

  it("answers 503 to everything while its settings are wrong, and its log names them all", async () => {
    await start({
      HARDSTATE_RELAYS: "smtp://user:the-secret@relay.example.com:25",
      HARDSTATE_FROM: "nobody",
      HARDSTATE_RELAY_CA: "x",
      AWS_SECRET_ACCESS_KEY: "",
    });
    const answer = await post();
    expect(answer.status).toBe(503);
    expect(answer.headers.get("Retry-After")).toBe("10");
    expect(await answer.text()).not.toMatch(/HARDSTATE|secret/);
    await expect(worker.cron()).rejects.toThrow();
    const log = said.join("\n");
    for (const name of ["HARDSTATE_FROM", "HARDSTATE_RELAYS", "HARDSTATE_RELAY_CA", "AWS_SECRET_ACCESS_KEY"])
      expect(log).toContain(`${name} needs`);
    expect(log).not.toContain("the-secret");
  });
});

describe("a mail by SES from workerd", () => {
  let ses: ScriptedSes;
  it("is accepted once, with its MessageId", async () => {
    ses = await scriptedSes();
    toEnd.push(() => ses.close());
    await start({ HARDSTATE_RELAYS: "ses://eu-west-1", AWS_ENDPOINT_URL_SES: ses.url });
    await post();
    runCron();
    expect(await firstAttempt()).toMatchObject({
      result: "accepted",
      reply: expect.stringMatching(/^MessageId /),
    });
    expect(ses.taken).toHaveLength(1);
  });
});

describe("npm run dev:worker", () => {
  const { "dev:worker": script } = JSON.parse(readFileSync("package.json", "utf8")).scripts;
  const startDev = async (settings: Record<string, string>) => {
    const child = spawn(process.execPath, script.split(" ").slice(1), {
      env: { PATH: process.env.PATH, ...settings },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    const ended = new Promise((end) => child.once("close", end));
    toEnd.push(async () => child.kill("SIGKILL"));
    await expect.poll(() => output, within).toContain("Ctrl-C ends it");
    const line = /^ {2}(curl .*)$/m.exec(output)?.[1] ?? "";
    const post = async () => (await promisify(execFile)("sh", ["-c", line])).stdout;
    return { said: () => output, post, end: () => child.kill("SIGINT") && ended };
  };

  it("mails the alert of the line that it prints, keeps the mail, and ends by SIGINT", async () => {
    const dev = await startDev({ HARDSTATE_STATE: join(folder, "dev"), HARDSTATE_PORT: "18799" });
    expect(await dev.post()).toContain('"status":"queued"');
    await expect.poll(dev.said, within).toMatch(/mail +\S+\.eml +"\[PROBLEM CRITICAL\] web01\/HTTP"/);
    await dev.end();
    await expect(fetch("http://127.0.0.1:18799/healthz")).rejects.toThrow();
  });

  it("has the settings of its environment, and mails what it had accepted before a restart", async () => {
    const place = { HARDSTATE_STATE: join(folder, "dev-again"), HARDSTATE_PORT: "0" };
    const away = { HARDSTATE_RELAYS: "smtp://user:password@localhost:9", HARDSTATE_FLAP_HOLD: "off" };
    const before = await startDev({ ...place, ...away });
    expect(await before.post()).toContain('"status":"queued"');
    await expect.poll(before.said, within).toContain('"event":"attempt-failed"');
    await before.end();
    const after = await startDev(place);
    await expect
      .poll(after.said, { ...within, timeout: 60_000 })
      .toMatch(/mail +\S+\.eml +"\[PROBLEM CRITICAL/);
    await after.end();
  });
});

/** Ends the runtime that this process has started as a power cut would. */
const killWorkerd = async () => {
  const { stdout } = await promisify(execFile)("pgrep", ["-P", String(process.pid), "workerd"]);
  for (const pid of stdout.split("\n").filter(Boolean)) process.kill(Number(pid), "SIGKILL");
};

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { startFauxqs } from "fauxqs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { sqsQueue } from "../../functions/queue/sqs.ts";
import { buildAll } from "../../scripts/build.ts";
import { certificate } from "../deliver/certificate.ts";
import { type ScriptedRelay, scriptedRelay, silence } from "../deliver/scripted-relay.ts";
import { createTable, clientOf as databaseOf } from "../ledger/table.ts";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { posted } from "../world/alerts.ts";
import { startDynalite } from "../world/judges.ts";
import { type LambdaBridge, mailedAtOnce, startLambdaBridge } from "../world/lambda/bridge.ts";
import { startEventSource } from "../world/lambda/event-source.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-sites-"));
const tokens = { large: "a-token-of-the-large-site-of-two", small: "a-token-of-the-small-site-of-two" };
beforeAll(() => buildAll(folder), 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

const ends: (() => unknown)[] = [];
let client: SQSClient;
let queueUrl: string;
let relay: ScriptedRelay;
let bridge: LambdaBridge;
/** A bridge for a large and a small site, with so many invocations at once. The relay answers no RCPT of the large one. */
const start = async (concurrency: number) => {
  const tls = await certificate({});
  const dynamodb = await startDynalite();
  ends.push(() => dynamodb.stop());
  await createTable(databaseOf(dynamodb.url), "hardstate");
  const sqs = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
  ends.push(() => sqs.stop());
  const url = `http://127.0.0.1:${sqs.port}`;
  client = clientOf(url);
  // fauxqs names a host that no URL can have.
  queueUrl = (await createAlertQueue(client, "sites")).replace(/^.*?(?=\/\d+\/[^/]+$)/, url);
  relay = await scriptedRelay(tls, {
    RCPT: (line) => (line.includes("large@") ? silence : "250 2.1.5 Ok\r\n"),
  });
  ends.push(() => relay.close());
  bridge = await startLambdaBridge({
    folder,
    concurrency,
    environment: {
      HARDSTATE_TOKENS: `large=${tokens.large} small=${tokens.small}`,
      HARDSTATE_RELAYS: `smtp://user:password@127.0.0.1:${relay.port}`,
      HARDSTATE_RELAY_CA: tls.cert,
      ...mailedAtOnce,
      HARDSTATE_QUEUE: `sqs:${queueUrl}`,
      HARDSTATE_LEDGER: "dynamodb:hardstate",
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
    },
  });
  ends.push(() => bridge.stop());
};
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
const post = async (site: keyof typeof tokens, ...changes: Record<string, unknown>[]) => {
  const alerts = changes.map((change) => ({
    ...posted(change),
    recipients: [{ email: `${site}@example.com` }],
  }));
  const headers = { Authorization: `Bearer ${tokens[site]}`, "Content-Type": "application/json" };
  const answer = await fetch(`${bridge.url}/v1/alerts`, {
    method: "POST",
    headers,
    body: JSON.stringify(alerts),
  });
  expect(answer.status).toBe(202);
};
/** Runs until the test ends, which kills the bridge with all mails that hang. */
const poll = async (concurrency: number) => {
  const source = await startEventSource({
    client,
    queueUrl,
    lambda: bridge.worker,
    concurrency,
    waitSeconds: 1,
  });
  ends.unshift(() => source.stop());
  return source;
};
const seconds = (since: number) => (Date.now() - since) / 1000;
const subjects = () => relay.contents.map((content) => /^Subject: (.*)$/m.exec(content)?.[1]?.trim());
/** How long an alert of the other site takes to its mail. */
const secondsToMail = async (): Promise<number> => {
  const postedAt = Date.now();
  await post("small", { object: { host: "db01", service: "MySQL" } });
  await expect
    .poll(subjects, { timeout: 20_000, interval: 50 })
    .toEqual([expect.stringContaining("db01/MySQL")]);
  return seconds(postedAt);
};

describe("with a relay that hangs for one of two sites on Lambda,", () => {
  it("an alert of the other in the same batch is mailed, and its recovery too", async () => {
    await start(2);
    await post("large", { object: { host: "web01", service: "HTTP" } });
    await post("small", { object: { host: "db01", service: "MySQL" } });
    const source = await poll(2);
    await expect.poll(subjects, { timeout: 10_000 }).toEqual([expect.stringContaining("db01/MySQL")]);
    await expect
      .poll(async () => sqsQueue(client, queueUrl, Date.now).depth(), { timeout: 5_000 })
      .toEqual({
        waiting: 0,
        handedOut: 1,
      });
    const postedAt = Date.now();
    const recovery = { type: "RECOVERY", state: "OK", notification: { id: "102" } };
    await post("small", { object: { host: "db01", service: "MySQL" }, ...recovery });
    await expect.poll(() => subjects().length, { timeout: 10_000, interval: 50 }).toBe(2);
    expect(seconds(postedAt)).toBeLessThan(5);
    expect(source.errors()).toEqual([]);
  });

  it("ten such alerts occupy one invocation of two, and an alert of the other site uses the second", async () => {
    await start(2);
    const hosts = Array.from({ length: 10 }, (_, index) => `web${index}`);
    await post("large", ...hosts.map((host) => ({ object: { host, service: "HTTP" } })));
    await poll(2);
    await expect.poll(() => relay.verbs().includes("RCPT"), { timeout: 10_000 }).toBe(true);
    expect(await secondsToMail()).toBeLessThan(5);
  });

  it("an alert of the other site is mailed although alerts that hang occupy every invocation", async () => {
    await start(1);
    await post("large", { object: { host: "web01", service: "HTTP" } });
    const source = await poll(1);
    await expect.poll(() => relay.verbs().includes("RCPT"), { timeout: 10_000 }).toBe(true);
    expect(await secondsToMail()).toBeLessThan(10);
    await expect
      .poll(async () => sqsQueue(client, queueUrl, Date.now).depth(), { timeout: 5_000 })
      .toEqual({
        waiting: 0,
        handedOut: 1,
      });
    await relay.close();
    // Resolves when the invocation has ended.
    await source.stop();
    expect(source.errors()).toEqual([]);
  });
});

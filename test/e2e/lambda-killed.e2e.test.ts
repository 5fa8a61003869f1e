import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildAll } from "../../scripts/build.ts";
import { certificate } from "../deliver/certificate.ts";
import { scriptedRelay } from "../deliver/scripted-relay.ts";
import { createTable, clientOf as databaseOf } from "../ledger/table.ts";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { posted } from "../world/alerts.ts";
import { type Judge, startDynalite, startElasticMq } from "../world/judges.ts";
import { until } from "../world/lab.ts";
import { mailedAtOnce, startLambdaBridge } from "../world/lambda/bridge.ts";
import { startEventSource } from "../world/lambda/event-source.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-killed-"));
let elasticMq: Judge;
let dynalite: Judge;
beforeAll(async () => {
  await buildAll(folder);
  [elasticMq, dynalite] = await Promise.all([startElasticMq(), startDynalite()]);
});
afterAll(async () => {
  await elasticMq?.stop();
  await dynalite?.stop();
  rmSync(folder, { recursive: true });
});

/** Whether it was there to be killed: one that has died by itself is not. */
const killed = (pid: number): boolean => {
  try {
    return process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
};

const alerts = 100;
const token = "a-token-of-twenty-four-characters";

it("workers that are killed again and again lose none of 100 alerts, and second copies are of the window of DATA", async () => {
  const tls = await certificate({ forName: "localhost" });
  const relay = await scriptedRelay(tls);
  const client = clientOf(elasticMq.url);
  const queueUrl = await createAlertQueue(client, "killed", { VisibilityTimeout: "45" });
  await createTable(databaseOf(dynalite.url), "hardstate");
  const bridge = await startLambdaBridge({
    folder,
    workerSeconds: 40,
    environment: {
      HARDSTATE_TOKENS: `site=${token}`,
      HARDSTATE_RELAYS: `smtp://user:password@localhost:${relay.port}`,
      HARDSTATE_RELAY_CA: tls.cert,
      ...mailedAtOnce,
      HARDSTATE_QUEUE: `sqs:${queueUrl}`,
      HARDSTATE_LEDGER: "dynamodb:hardstate",
      AWS_ENDPOINT_URL_DYNAMODB: dynalite.url,
    },
  });
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const response = await fetch(`${bridge.url}/v1/alerts`, {
    method: "POST",
    headers,
    body: JSON.stringify(
      Array.from({ length: alerts }, (_, index) => ({
        ...posted({ object: { host: `web${index}`, service: "HTTP" } }),
        id: `alert-${String(index).padStart(4, "0")}`,
        recipients: [{ email: "ops@example.com" }],
      })),
    ),
  });
  expect(response.status).toBe(202);
  const source = await startEventSource({ client, queueUrl, lambda: bridge.worker, waitSeconds: 1 });
  let kills = 0;
  for (let round = 0; round < 12; round++) {
    // Each a little later in a batch than the one before.
    await new Promise((done) => setTimeout(done, 400 + 70 * round));
    for (const pid of bridge.worker.pids()) if (killed(pid)) kills += 1;
  }
  const totals = async () => {
    const journal = await fetch(`${bridge.url}/v1/journal?limit=1`, { headers });
    return ((await journal.json()) as { totals: Record<string, number> }).totals;
  };
  await until("every alert's end", 240, async () => (await totals()).mailed === alerts);
  const ids = relay.contents.map((content) => /^Message-ID: (.*)$/m.exec(content)?.[1]?.trim());
  const copies = ids.length - new Set(ids).size;
  expect(kills).toBeGreaterThan(5);
  expect(new Set(ids).size).toBe(alerts);
  expect(await totals()).toMatchObject({ accepted: alerts, mailed: alerts, pending: 0, dead: 0 });
  // Killed was what had at most ten mails under way.
  expect(copies).toBeLessThanOrEqual(10 * kills);
  await source.stop();
  await bridge.stop();
  await relay.close();
});

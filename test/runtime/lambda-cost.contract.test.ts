import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startFauxqs } from "fauxqs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lambdaLinesKilobytes, mailedAlert, suppressedAlert, type Use } from "../../infra/cost.ts";
import { buildAll } from "../../scripts/build.ts";
import { type ScriptedSes, scriptedSes } from "../deliver/scripted-ses.ts";
import { createTable, clientOf as databaseOf } from "../ledger/table.ts";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { startDynalite } from "../world/judges.ts";
import { type LambdaBridge, startLambdaBridge } from "../world/lambda/bridge.ts";
import { type CountingProxy, countingProxy, type Exchange } from "../world/lambda/counting-proxy.ts";
import { startEventSource } from "../world/lambda/event-source.ts";
import { unitsOf, withUnits } from "../world/lambda/table-units.ts";

const token = "a-token-of-twenty-four-characters";
let bridge: LambdaBridge;
let table: CountingProxy;
let queue: CountingProxy;
let ses: ScriptedSes;
let workerCalls: number;
const ends: (() => unknown)[] = [];
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-cost-"));
  ends.push(() => rmSync(folder, { recursive: true }));
  await buildAll(folder);
  const dynamodb = await startDynalite();
  ends.push(() => dynamodb.stop());
  await createTable(databaseOf(dynamodb.url), "hardstate");
  table = await countingProxy(dynamodb.url, withUnits(dynamodb.url));
  ends.push(() => table.stop());
  const sqs = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
  ends.push(() => sqs.stop());
  queue = await countingProxy(`http://127.0.0.1:${sqs.port}`);
  ends.push(() => queue.stop());
  ses = await scriptedSes();
  ends.push(() => ses.close());
  const client = clientOf(queue.url);
  const queueUrl = (await createAlertQueue(client, "cost")).replace(/^.*?(?=\/\d+\/[^/]+$)/, queue.url);
  bridge = await startLambdaBridge({
    folder,
    environment: {
      HARDSTATE_TOKENS: `site=${token}`,
      HARDSTATE_RELAYS: "ses://us-east-1?configuration-set=hardstate",
      HARDSTATE_FROM: "Monitoring <nagios@example.com>",
      HARDSTATE_RECIPIENTS: "example.com",
      HARDSTATE_QUEUE: `sqs:${queueUrl}`,
      HARDSTATE_LEDGER: "dynamodb:hardstate",
      AWS_ENDPOINT_URL_DYNAMODB: table.url,
      AWS_ENDPOINT_URL_SES: ses.url,
    },
  });
  ends.push(() => bridge.stop());
  workerCalls = 0;
  const lambda = {
    timeoutSeconds: bridge.worker.timeoutSeconds,
    invoke: (event: unknown) => {
      workerCalls++;
      return bridge.worker.invoke(event);
    },
  };
  const source = await startEventSource({ client, queueUrl, lambda, waitSeconds: 1, concurrency: 1 });
  ends.push(() => source.stop());
}, 60_000);
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

const emptyReceive = ({ operation, answer }: Exchange) =>
  operation === "ReceiveMessage" && ((answer as { Messages?: unknown[] }).Messages ?? []).length === 0;
const counted = (exchanges: readonly Exchange[]): Record<string, number> =>
  Object.fromEntries(
    [...Map.groupBy(exchanges, ({ operation }) => operation)].map(([name, ones]) => [name, ones.length]),
  );
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** A PROBLEM of a service as Nagios 4 told it to one contact. */
const recording = Object.fromEntries(
  [
    ...readFileSync("test/corpus/nagios/01-service-critical.problem-1.oncall.env", "utf8").matchAll(
      /^(NAGIOS_\w+)=(.*)$/gm,
    ),
  ].map(([, name = "", value = ""]) => [name, value]),
);
/** The same problem told again ten minutes later, and so on. */
const repeated = (number: number) => ({
  NAGIOS_NOTIFICATIONNUMBER: String(number),
  NAGIOS_SERVICENOTIFICATIONNUMBER: String(number),
  NAGIOS_SERVICENOTIFICATIONID: String(Number(recording.NAGIOS_SERVICENOTIFICATIONID) + number - 1),
  NAGIOS_TIMET: String(Number(recording.NAGIOS_TIMET) + (number - 1) * 600),
});

/** The use of one alert that comes when no other is under way. A receive that brings nothing is of an idle month. */
const useOf = async (change: Record<string, string>) => {
  for (const list of [table.exchanges, queue.exchanges, ses.taken]) list.length = 0;
  const callsBefore = workerCalls;
  const outputs = [bridge.intake, bridge.worker].map(({ output }) => ({ output, from: output().length }));
  const lines = () => outputs.flatMap(({ output, from }) => output().slice(from));
  const events = () => lines().map((line) => (JSON.parse(line) as { event: string }).event);
  const answer = await fetch(`${bridge.url}/v1/alerts`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
    body: new URLSearchParams({ ...recording, ...change }),
  });
  expect(answer.status).toBe(202);
  await expect
    .poll(() => [counted(queue.exchanges).DeleteMessageBatch, events()], { timeout: 10_000 })
    .toEqual([1, ["accepted", "ended"]]);
  const requests = queue.exchanges.filter((one) => !emptyReceive(one));
  const units = unitsOf(table.exchanges);
  return {
    queue: counted(requests),
    table: counted(table.exchanges),
    units,
    largestRequestBytes: Math.max(
      ...requests.flatMap(({ request, answer }) =>
        [request, answer].map((one) => JSON.stringify(one).length),
      ),
    ),
    use: {
      sqsRequests: requests.length,
      lambdaCalls: 1 + workerCalls - callsBefore,
      tableWriteUnits: units.write + units.indexWrite,
      tableReadUnits: units.read,
      mails: ses.taken.length,
    },
    mailKilobytes:
      sum(ses.taken.map(({ form }) => Buffer.byteLength(form.get("RawMessage.Data") ?? "", "base64"))) / 1000,
    logKilobytes: sum(lines().map((line) => Buffer.byteLength(`${line}\n`))) / 1000,
  };
};

/** The part of a use in infra/cost.ts that `useOf` counts exactly. */
const exactlyIn = ({ sqsRequests, lambda, tableWriteUnits, tableReadUnits, mails }: Use) => ({
  sqsRequests,
  lambdaCalls: sum(lambda.map(({ calls }) => calls)),
  tableWriteUnits,
  tableReadUnits,
  mails,
});
/** Ids and times make lengths vary by some bytes: the cost may be above what was counted by a tenth. */
const expectLengths = (counts: Awaited<ReturnType<typeof useOf>>, use: Use) => {
  for (const [stated, real] of [
    [use.mailKilobytes, counts.mailKilobytes],
    [use.logKilobytes - lambdaLinesKilobytes, counts.logKilobytes],
  ] as const) {
    expect(stated).toBeGreaterThanOrEqual(real);
    expect(stated).toBeLessThanOrEqual(real * 1.1);
  }
};
const oneEach = { SendMessageBatch: 1, ReceiveMessage: 1, DeleteMessageBatch: 1 };

describe("an alert that comes alone to a bridge on AWS uses what infra/cost.ts says", () => {
  it("when it is mailed", async () => {
    // The first mail writes the route's state too.
    await useOf({ NAGIOS_HOSTNAME: "earlier", ...repeated(0) });
    const counts = await useOf({});
    expect(counts).toMatchObject({
      queue: oneEach,
      table: { GetItem: 4, BatchGetItem: 1, Query: 1, UpdateItem: 8 },
      use: exactlyIn(mailedAlert),
    });
    expectLengths(counts, mailedAlert);
    expect(counts.largestRequestBytes).toBeLessThan(64_000);
  });

  it("when it repeats what was mailed, the ninth time as the first", async () => {
    await useOf({ NAGIOS_HOSTNAME: "repeats" });
    for (let number = 2; number <= 10; number++) {
      const counts = await useOf({ NAGIOS_HOSTNAME: "repeats", ...repeated(number) });
      expect(counts).toMatchObject({
        queue: oneEach,
        table: { GetItem: 1, BatchGetItem: 1, Query: 1, UpdateItem: 4 },
        use: exactlyIn(suppressedAlert),
      });
      expectLengths(counts, suppressedAlert);
    }
  });
});

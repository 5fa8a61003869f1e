import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AttributeValue,
  BatchWriteItemCommand,
  type DynamoDBClient,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { dynamodbLedger } from "../../functions/ledger/dynamodb.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { clientOf, createTable } from "../ledger/table.ts";
import { startDynalite } from "../world/judges.ts";
import { countingProxy } from "../world/lambda/counting-proxy.ts";
import { unitsOf, withUnits } from "../world/lambda/table-units.ts";
import { askingOf, episodeOf, lastChange, messageOf, openService, pipelineOn, queuedOf } from "./episodes.ts";
import { type Bench, type Figure, progress, short } from "./rounds.ts";

/** A batch of DynamoDB has so many items at most. */
const batchItems = 25;

/** The item that an update makes if there was none. */
const itemOf = (command: UpdateItemCommand): Record<string, AttributeValue> => {
  const { Key, ExpressionAttributeValues: values = {} } = command.input;
  // The ledger calls a value as its attribute: `#at = :at`.
  return {
    ...Key,
    ...Object.fromEntries(Object.entries(values).map(([name, value]) => [name.slice(1), value])),
  };
};

/** Fills a table with episodes, each of another service: with the items that the ledger would make, many at once. */
const fillTable = async (client: DynamoDBClient, table: string, episodes: number): Promise<void> => {
  const [began, now] = [performance.now(), Date.now()];
  let items: Record<string, AttributeValue>[] = [];
  const collecting = {
    send: async (command: unknown) => {
      if (!(command instanceof UpdateItemCommand)) throw new Error("a fill writes new items alone");
      items.push(itemOf(command));
      return {};
    },
  };
  const ledger = dynamodbLedger(collecting as unknown as DynamoDBClient, table);
  const flush = async () => {
    const batches = Array.from({ length: Math.ceil(items.length / batchItems) }, (_, index) =>
      items.slice(index * batchItems, (index + 1) * batchItems),
    );
    items = [];
    await Promise.all(
      batches.map(async (batch) => {
        const requests = batch.map((Item) => ({ PutRequest: { Item } }));
        const { UnprocessedItems } = await client.send(
          new BatchWriteItemCommand({ RequestItems: { [table]: requests } }),
        );
        if (Object.keys(UnprocessedItems ?? {}).length > 0) throw new Error("some items were not written");
      }),
    );
  };
  for (let number = 0; number < episodes; number++) {
    await ledger.write(await lastChange(ledger, episodeOf(number, episodes, now)));
    if (items.length > 20 * batchItems) await flush();
    if (episodes > 20_000 && (number + 1) % 20_000 === 0)
      progress(`  ${number + 1} of ${episodes} episodes, ${short((performance.now() - began) / 1000)} s`);
  }
  await flush();
};

/** Requests and units of each step on a table with so many episodes. */
const stepsOn = async (episodes: number) => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-bench-"));
  const dynamodb = await startDynalite(folder);
  const direct = clientOf(dynamodb.url);
  await createTable(direct, "ledger");
  await fillTable(direct, "ledger", episodes);
  const proxy = await countingProxy(dynamodb.url, withUnits(dynamodb.url));
  const client = clientOf(proxy.url);
  const ledger = dynamodbLedger(client, "ledger");
  let ahead = 0;
  const clock = () => Date.now() + ahead;
  const queue = sqliteQueue(":memory:", clock);
  const handle = pipelineOn(ledger, queue, clock);
  const ask = askingOf(ledger, queue, clock);
  let notification = Date.now();
  const alert = async (service: number, degraded = false) => {
    const [queued] = queuedOf({ service, notification: notification++, at: clock(), degraded });
    if (queued) await handle(messageOf(queued, clock()));
  };
  const get = async (path: string) => (await (await ask(path)).json()) as { next?: string };
  const sweeping = () => sweep({ ledger, queue, operators: [], report: () => undefined }, clock());
  // The route's state is made with the first mail.
  await alert(episodes);
  const found = new Map<string, { requests: number; units: number }>();
  const count = async <T>(name: string, step: () => Promise<T>): Promise<T> => {
    proxy.exchanges.length = 0;
    const result = await step();
    const { read, write, indexWrite } = unitsOf(proxy.exchanges);
    found.set(name, { requests: proxy.exchanges.length, units: read + write + indexWrite });
    return result;
  };
  await count("a decision that suppresses", () => alert(openService(1, episodes)));
  await count("a decision that mails", () => alert(episodes + 1));
  await count("GET /v1/problems", () => get("/v1/problems"));
  const { next } = await count("GET /v1/journal, whose first page counts up to 50,000 of each outcome", () =>
    get("/v1/journal"),
  );
  await count("GET /v1/journal, any other page", () => get(`/v1/journal?before=${next}`));
  await count("a sweep with nothing due", sweeping);
  for (let turn = 2; turn < 12; turn++) await alert(openService(turn, episodes), true);
  ahead = 6000;
  await count("a sweep with 10 alerts due", sweeping);
  queue.close();
  client.destroy();
  direct.destroy();
  await proxy.stop();
  await dynamodb.stop();
  rmSync(folder, { recursive: true });
  return found;
};

/** The cost of a large ledger in DynamoDB. */
export const bench: Bench = {
  summary: "a DynamoDB ledger with 1,000,000 episodes beside one with 1,000: requests and units",
  about:
    `Fills two tables of dynalite with episodes, half of them open, and counts the requests and the units of reading and
writing that a call takes. On AWS time and cost go by these; the time of dynalite says nothing. Counts do not depend on
the machine, so there is one round. Takes some twenty minutes; --quick: 3,000 beside 300.`.replaceAll(
      "\n",
      " ",
    ),
  run: async ({ quick }) => {
    const sizes = quick ? [3000, 300] : [1_000_000, 1000];
    const found: Awaited<ReturnType<typeof stepsOn>>[] = [];
    for (const size of sizes) {
      progress(`  ${size} episodes`);
      found.push(await stepsOn(size));
    }
    const [large, small] = found;
    return [...(large ?? [])].flatMap(([what, { requests, units }]): Figure[] => {
      const name = `${sizes[1]?.toLocaleString("en-US")} episodes`;
      const before = small?.get(what);
      const bounded = what.includes("counts up to");
      const figure = (ours: number, value: number, unit: string): Figure => ({
        what: `DynamoDB, ${sizes[0]?.toLocaleString("en-US")} episodes: ${what}`,
        ours,
        unit,
        beside: { name, value },
        ...(!bounded && { target: { atMost: 1.3 } }),
      });
      return [
        figure(requests, before?.requests ?? Number.NaN, "requests"),
        figure(units, before?.units ?? Number.NaN, "units"),
      ];
    });
  },
};

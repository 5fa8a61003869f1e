import { dynamodbLedger } from "../../functions/ledger/dynamodb.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { drain } from "../../functions/pipeline/drain.ts";
import { toMessage } from "../../functions/queue/message.ts";
import type { Queue } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { clientOf, createTable } from "../ledger/table.ts";
import { startDynalite } from "../world/judges.ts";
import { pipelineOn, queuedOf } from "./episodes.ts";
import { type Bench, type Figure, progress } from "./rounds.ts";

type Counts = Map<string, number>;
const count = (counts: Counts, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);

/** A port that counts how often each of its functions is called. */
const counted = <Port extends Record<string, unknown>>(port: Port, counts: Counts): Port =>
  Object.fromEntries(
    Object.entries(port).map(([name, call]) => [
      name,
      (...values: unknown[]) => {
        count(counts, name);
        return (call as (...values: unknown[]) => unknown)(...values);
      },
    ]),
  ) as Port;

/** Works alerts off that come ten at a time: problems of ten new services, or the same told again. */
const stageOf = (ledger: Ledger, ledgerCounts: Counts, queueCounts: Counts) => {
  const all = sqliteQueue(":memory:", Date.now);
  const queue = counted(all as unknown as Record<string, unknown>, queueCounts) as unknown as Queue;
  const handle = pipelineOn(ledger, queue, Date.now, { burst: { most: 1000, milliseconds: 1000 } });
  let notification = 0;
  const perAlert = async (first: number) => {
    const alerts = Array.from({ length: 10 }, (_, index) =>
      queuedOf({ service: first + index, notification: ++notification, at: Date.now() }),
    ).flat();
    await all.send(alerts.map(toMessage));
    for (const counts of [ledgerCounts, queueCounts]) counts.clear();
    const messages = await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
    if (messages.length !== 10) throw new Error(`${messages.length} of 10 messages were received`);
    await drain(queue, messages, handle, (_, error) => {
      throw error;
    });
    const shares = (counts: Counts) =>
      Object.fromEntries([...counts].map(([name, times]) => [name, times / 10])) as Record<string, number>;
    return { ledger: shares(ledgerCounts), queue: shares(queueCounts) };
  };
  return { perAlert, close: () => all.close() };
};

const words = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .map(([name, times]) => `${name} ${times}`)
    .join(", ");
const sum = (counts: Record<string, number>, names: readonly string[]): number =>
  names.reduce((total, name) => total + (counts[name] ?? 0), 0);

const reads = ["read", "entry", "story", "route", "GetItem", "BatchGetItem", "Query"];
const writes = ["write", "writeRoute", "UpdateItem"];

/** How often queue and ledger are called. */
export const bench: Bench = {
  summary: "calls to queue and ledger for an alert, beside the least that the guarantee needs",
  about:
    `Counts calls through the pipeline as it is, of alerts that come ten at a time. The least: an alert is received
and removed, each in one call for ten. The bridge reads what its contact was told. It writes down the alert before the
queue forgets it: one read and one write. A mail has two writes more: "attempt n, mine until u" before it is sent, or two
workers would send it; and what the relay said after. One of these is the write that a suppressed alert has too; the
other counts the contact's mails, for the digest. Calls do not depend on the machine, so there is one round.`.replaceAll(
      "\n",
      " ",
    ),
  run: async () => {
    const figures: Figure[] = [];
    const measure = async (name: string, ledger: Ledger, ledgerCounts: Counts, perCall: number) => {
      const queueCounts: Counts = new Map();
      const { perAlert, close } = stageOf(ledger, ledgerCounts, queueCounts);
      // The route's state is made with the first mail.
      await perAlert(1000);
      const mailed = await perAlert(0);
      const suppressed = await perAlert(0);
      close();
      for (const [what, found, least] of [
        ["suppressed", suppressed, { reads: 1, writes: 1 }],
        ["mailed", mailed, { reads: 1, writes: 3 }],
      ] as const) {
        progress(`  ${name}, ${what}: ${words(found.ledger)}; queue: ${words(found.queue)}`);
        const beside = (value: number) => ({ name: "the least", value: value * perCall });
        for (const [kind, names] of [
          ["reads", reads],
          ["writes", writes],
        ] as const)
          figures.push({
            what: `${name}, a ${what} alert: ${kind}`,
            ours: sum(found.ledger, names),
            unit: "calls",
            beside: beside(least[kind]),
            ...(perCall === 1 && { target: { atMost: 1 } }),
          });
        if (perCall === 1)
          figures.push({
            what: `a ${what} alert: calls to the queue, of ten that come together`,
            ours: sum(found.queue, Object.keys(found.queue)),
            unit: "calls",
            beside: { name: "a tenth of receive and remove", value: 0.2 },
            target: { atMost: 1 },
          });
      }
    };
    const portCounts: Counts = new Map();
    const sqlite = sqliteLedger(":memory:");
    await measure("ledger of any kind", counted(sqlite, portCounts), portCounts, 1);
    sqlite.close();

    const dynamodb = await startDynalite();
    const client = clientOf(dynamodb.url);
    await createTable(client, "calls");
    const requests: Counts = new Map();
    client.middlewareStack.add(
      (next, context) => (args) => {
        count(requests, String(context.commandName).replace("Command", ""));
        return next(args);
      },
      { step: "initialize" },
    );
    // One read of ours is two requests, for the second's keys are in the first's answer; one write is four items.
    await measure("requests to DynamoDB", dynamodbLedger(client, "calls"), requests, 2);
    client.destroy();
    await dynamodb.stop();
    return figures;
  },
};

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { drain } from "../../functions/pipeline/drain.ts";
import { toMessage } from "../../functions/queue/message.ts";
import { type SqliteQueue, sqliteQueue } from "../../functions/queue/sqlite.ts";
import { queuedAlert } from "../world/alerts.ts";

let folder: string;
let queue: SqliteQueue;
let now: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hardstate-drain-"));
  now = 1_795_366_380_000;
  queue = sqliteQueue(join(folder, "queue.sqlite"), () => now);
});
afterEach(() => {
  queue.close();
  rmSync(folder, { recursive: true });
});

const received = async () => {
  await queue.send([toMessage(queuedAlert())]);
  return queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
};

it("a finished message leaves the queue as soon as no other process locks it", async () => {
  const messages = await received();
  const other = new DatabaseSync(join(folder, "queue.sqlite"));
  other.exec("BEGIN EXCLUSIVE");
  setTimeout(() => other.close(), 100);
  await drain(
    queue,
    messages,
    async () => ({ message: "remove" }),
    () => {},
  );
  expect(await queue.depth()).toEqual({ waiting: 0, handedOut: 0 });
});

it("a message whose work failed is handed out again after 30 s, and the next time after a minute", async () => {
  const failed: unknown[] = [];
  const fail = async () => {
    throw new Error("the ledger is locked");
  };
  await drain(queue, await received(), fail, (_, error) => failed.push(error));
  const again = () => queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
  now += 29_000;
  expect(await again()).toEqual([]);
  now += 1000;
  const messages = await again();
  expect(messages).toHaveLength(1);
  await drain(queue, messages, fail, (_, error) => failed.push(error));
  now += 59_000;
  expect(await again()).toEqual([]);
  now += 1000;
  expect(await again()).toHaveLength(1);
  expect(failed).toHaveLength(2);
});

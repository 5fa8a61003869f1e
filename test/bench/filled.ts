import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import type { ReceivedMessage } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { askingOf, fillSqlite, messageOf, openService, pipelineOn, queuedOf } from "./episodes.ts";
import { progress, short } from "./rounds.ts";

/** Where filled ledgers are: kept for the next run, or of this run alone and removed by `end`. */
export const openFolder = (keep: boolean) => {
  const path = keep
    ? join(tmpdir(), "hardstate-bench-kept")
    : mkdtempSync(join(tmpdir(), "hardstate-bench-"));
  mkdirSync(path, { recursive: true });
  const end = () => {
    if (!keep) rmSync(path, { recursive: true });
  };
  return { path, end };
};

/** The path of a SQLite ledger with so many episodes, filled now unless one was kept. */
const filled = async (folder: string, episodes: number): Promise<string> => {
  const path = join(folder, `${episodes}-ledger.sqlite`);
  // A small one that was kept would be large after some runs.
  if (!existsSync(path) || episodes < 10_000) {
    for (const end of ["", "-wal", "-shm"])
      for (const name of [path, `${path}-making`]) rmSync(name + end, { force: true });
    await fillSqlite(`${path}-making`, episodes, Date.now());
    renameSync(`${path}-making`, path);
  }
  progress(`  ${episodes} episodes: ${short(statSync(path).size / 1e6)} MB`);
  return path;
};

/** How many alerts of one site the worker on Node has in hand at most. */
export const inHand = 100;

/** How long each of these took on average, in milliseconds. */
export const millisecondsOf = async <T>(
  all: readonly T[],
  step: (one: T) => Promise<unknown>,
): Promise<number> => {
  const began = performance.now();
  for (const one of all) await step(one);
  return (performance.now() - began) / all.length;
};

/** A ledger with so many episodes, and the bridge's parts on it; what is timed is milliseconds of one. */
export const openFilled = async (folder: string, episodes: number) => {
  const ledger = sqliteLedger(await filled(folder, episodes));
  // Ahead of all that the fill sent, and of an earlier run on a file that was kept.
  let notification = Date.now();
  let turn = notification % 1_000_000;
  let ahead = 0;
  const clock = () => Date.now() + ahead;
  const queue = sqliteQueue(":memory:", clock);
  const handle = pipelineOn(ledger, queue, clock, { burst: { most: 1000, milliseconds: 1000 } });
  const work = async (message: ReceivedMessage) => {
    const done = await handle(message);
    if (done.message !== "remove") throw new Error(`an alert was not ended: ${done.message}`);
  };
  const get = askingOf(ledger, queue, clock);
  const coming = (service: number, degraded = false): ReceivedMessage => {
    const [queued] = queuedOf({ service, notification: notification++, at: clock(), degraded });
    if (!queued) throw new Error("no alert was made");
    return messageOf(queued, clock());
  };
  const sweeping = () => sweep({ ledger, queue, operators: [], report: () => undefined }, clock());
  return {
    ledger,
    /** A repeated problem, which is suppressed. */
    suppressed: (times: number) =>
      millisecondsOf(
        Array.from({ length: times }, () => coming(openService(turn++, episodes))),
        work,
      ),
    /** As many at once as a worker has in hand. */
    suppressedAtOnce: async (times: number) => {
      const messages = Array.from({ length: times }, () => coming(openService(turn++, episodes)));
      const began = performance.now();
      for (let first = 0; first < times; first += inHand)
        await Promise.all(messages.slice(first, first + inHand).map(work));
      return (performance.now() - began) / times;
    },
    /** A new problem, which is mailed. */
    mailed: (times: number) =>
      millisecondsOf(
        Array.from({ length: times }, () => coming(episodes + turn++)),
        work,
      ),
    get: (path: string) => (times: number) =>
      millisecondsOf(Array(times).fill(path), async () => {
        await (await get(path)).text();
      }),
    idleSweep: (times: number) => millisecondsOf(Array(times).fill(0), sweeping),
    /** A sweep that puts 100 held alerts on the queue. */
    busySweep: async () => {
      for (let count = 0; count < 100; count++) await work(coming(openService(turn++, episodes), true));
      ahead += 6000;
      const began = performance.now();
      const count = await sweeping();
      if (count !== 100) throw new Error(`${count} alerts were due, not 100`);
      const took = performance.now() - began;
      for (;;) {
        const messages = await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
        if (messages.length === 0) return took;
        for (const message of messages) await work(message);
        await queue.remove(messages);
      }
    },
    close: () => {
      queue.close();
      ledger.close();
    },
  };
};

import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { intake } from "../../functions/intake/http.ts";
import { type SqliteLedger, sqliteLedger } from "../../functions/ledger/sqlite.ts";
import type { ReceivedMessage } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { Secret } from "../../functions/secret.ts";
import { sweep } from "../../functions/sweep.ts";
import { fillSqlite, messageOf, openService, pipelineOn, queuedOf, site } from "./episodes.ts";
import { alternate, type Bench, type Figure, mediansOf, progress, short } from "./rounds.ts";

const token = "a-token-of-twenty-four-characters";
const folder = join(tmpdir(), "hardstate-bench-ledger");

/** A ledger with so many episodes, and the bridge's parts on it. */
const bridgeOn = (ledger: SqliteLedger, episodes: number) => {
  let turn = 0;
  // Ahead of all that the fill sent.
  let notification = 10 * episodes;
  let ahead = 0;
  const clock = () => Date.now() + ahead;
  const queue = sqliteQueue(":memory:", clock);
  const handle = pipelineOn(ledger, queue, clock, { burst: { mails: 1000, milliseconds: 1000 } });
  const work = async (message: ReceivedMessage) => {
    const done = await handle(message);
    if (done.message !== "remove") throw new Error(`an alert was not ended: ${done.message}`);
  };
  const app = intake({
    tokens: [{ site, token: new Secret(token) }],
    aliases: new Map(),
    allowed: () => true,
    queue,
    ledger,
    clock,
    report: () => undefined,
  });
  const coming = (service: number, degraded = false): ReceivedMessage => {
    const [queued] = queuedOf({ service, notification: notification++, at: clock(), degraded });
    if (!queued) throw new Error("no alert was made");
    return messageOf(queued, clock());
  };
  const timed = async <T>(all: readonly T[], step: (one: T) => Promise<unknown>): Promise<number> => {
    const began = performance.now();
    for (const one of all) await step(one);
    return (performance.now() - began) / all.length;
  };
  const times = (count: number) => Array.from({ length: count });
  const sweeping = () => sweep({ ledger, queue, operators: [], report: () => undefined }, clock());
  return {
    /** A repeated problem, which is suppressed: milliseconds of one. */
    suppressed: (times: number) => {
      const messages = Array.from({ length: times }, () => coming(openService(turn++, episodes)));
      return timed(messages, work);
    },
    /** A new problem, which is mailed. */
    mailed: (times: number) => {
      const messages = Array.from({ length: times }, () => coming(episodes + turn++));
      return timed(messages, work);
    },
    get: (path: string) => (count: number) =>
      timed(times(count), async () => {
        const answer = await app.request(path, { headers: { Authorization: `Bearer ${token}` } });
        if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}`);
        await answer.text();
      }),
    idleSweep: (count: number) => timed(times(count), sweeping),
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

/** What a large ledger costs. */
export const bench: Bench = {
  summary: "a ledger with 1,000,000 episodes beside one with 1,000: SQLite",
  about:
    `Fills two SQLite ledgers with episodes of as many services, half of them open, by what decisions, claims and
settlements write; some minutes and 4 GB in the folder for temporary files, kept there with --keep. Then measures,
in turns, through the pipeline, intake and the sweep. --quick: 20,000 episodes.`.replaceAll("\n", " "),
  run: async ({ rounds, quick, keep }) => {
    const sizes = { small: 1000, large: quick ? 20_000 : 1_000_000 };
    mkdirSync(folder, { recursive: true });
    const open = async (name: string, episodes: number) => {
      const path = join(folder, `${episodes}-${name}.sqlite`);
      if (!existsSync(path)) {
        for (const end of ["-making", "-making-wal", "-making-shm"]) rmSync(path + end, { force: true });
        await fillSqlite(`${path}-making`, episodes, Date.now());
        renameSync(`${path}-making`, path);
      }
      progress(`  ${episodes} episodes: ${short(statSync(path).size / 1e6)} MB`);
      return bridgeOn(sqliteLedger(path), episodes);
    };
    const bridges = { large: await open("large", sizes.large), small: await open("small", sizes.small) };
    const steps: [
      string,
      number,
      (bridge: (typeof bridges)["large"]) => (times: number) => Promise<number>,
    ][] = [
      ["a decision that suppresses", 200, (bridge) => bridge.suppressed],
      ["a decision that mails, its contact's count and the settlement", 200, (bridge) => bridge.mailed],
      ["GET /v1/problems", 20, (bridge) => bridge.get("/v1/problems")],
      ["GET /v1/journal", 20, (bridge) => bridge.get("/v1/journal")],
      ["GET /v1/status", 20, (bridge) => bridge.get("/v1/status")],
      ["a sweep with nothing due", 200, (bridge) => bridge.idleSweep],
      ["a sweep with 100 alerts due", 1, (bridge) => bridge.busySweep],
    ];
    const figures: Figure[] = [];
    for (const [what, times, step] of steps) {
      progress(`  ${what}`);
      const { large, small } = mediansOf(
        await alternate(rounds, {
          large: () => step(bridges.large)(times),
          small: () => step(bridges.small)(times),
        }),
      );
      figures.push({
        what: `SQLite, ${sizes.large.toLocaleString("en-US")} episodes: ${what}`,
        ours: large,
        beside: { name: `${sizes.small.toLocaleString("en-US")} episodes`, value: small },
        unit: "ms",
        target: { atMost: 1.3 },
      });
    }
    for (const bridge of Object.values(bridges)) bridge.close();
    if (!keep) rmSync(folder, { recursive: true });
    return figures;
  },
};

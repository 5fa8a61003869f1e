import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import { openDatabase } from "../../functions/sqlite.ts";
import { importFrom } from "./checkout.ts";
import { openService, queuedOf } from "./episodes.ts";
import { inHand, openFilled, openFolder } from "./filled.ts";
import { alternate, type Bench, mediansOf } from "./rounds.ts";

/** A table with the ledger's settings, and upserts of one row each on the revision that it has. */
const upsertsOn = (path: string, rows: number) => {
  const db = openDatabase(path, 5000);
  db.exec("DROP TABLE IF EXISTS entry");
  db.exec("CREATE TABLE entry (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, body TEXT NOT NULL) STRICT");
  // As long as an entry of an open episode.
  const body = "x".repeat(800);
  const fill = db.prepare("INSERT INTO entry VALUES (?, 1, ?)");
  db.transaction(() => {
    for (let row = 0; row < rows; row++) fill.run(`key ${row}`, body);
  });
  const upsert = db.prepare(
    `INSERT INTO entry VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE
     SET revision = revision + 1, body = excluded.body WHERE revision = ?`,
  );
  const revisions = new Map<number, number>();
  let turn = 0;
  return {
    perSecond: (times: number): number => {
      const began = performance.now();
      for (let time = 0; time < times; time++) {
        const row = (turn++ * 999_983) % rows;
        const revision = revisions.get(row) ?? 1;
        if (upsert.run(`key ${row}`, body, revision).changes !== 1) throw new Error("nothing was changed");
        revisions.set(row, revision + 1);
      }
      return (1000 * times) / (performance.now() - began);
    },
    close: () => db.close(),
  };
};

/** A filled ledger of another checkout, by that one's own code. */
const smallBefore = async (checkout: string, folder: string): ReturnType<typeof openFilled> => {
  const other = (await importFrom(
    checkout,
    "test/bench/filled.ts",
    "scripts/bench/filled.ts",
  )) as typeof import("./filled.ts");
  const path = join(folder, "before");
  mkdirSync(path, { recursive: true });
  return other.openFilled(path, 1000);
};

/** The cost of a decision, without and with the ledger. */
export const bench: Bench = {
  summary: "decisions per second: pure, and with the ledger beside SQLite's own conditional upserts",
  about:
    `Decides repeated problems of open episodes, which are suppressed: alone, and read from and written to a SQLite
ledger of 1,000 and of 1,000,000 episodes. It decides as many at once as the worker has in hand, and one after the
other. Bench ledger tells the cost of a large ledger; it fills the same, and --keep keeps it. Beside that node:sqlite
upserts one row of an entry's length on its revision, in a file with the same settings: each is on disk when it is done.
--quick: 20,000 episodes.`.replaceAll("\n", " "),
  run: async ({ rounds, quick, keep, before }) => {
    const large = quick ? 20_000 : 1_000_000;
    const folder = openFolder(keep);
    const bridges = {
      small: await openFilled(folder.path, 1000),
      large: await openFilled(folder.path, large),
    };
    const theirs = before === undefined ? undefined : await smallBefore(before, folder.path);
    const upserts = upsertsOn(join(folder.path, "upserts.sqlite"), 1000);
    const now = Date.now();
    const repeated = Array.from({ length: 100 }, (_, turn) =>
      queuedOf({ service: openService(turn, 1000), notification: 1_000_000 + turn, at: now }),
    ).flat();
    const known = await Promise.all(
      repeated.map(async (queued) => ({ queued, page: await bridges.small.ledger.read(queued) })),
    );
    const pure = () => {
      const times = 1000;
      const began = performance.now();
      for (let time = 0; time < times; time++)
        for (const { page, queued } of known)
          if (decide(page, queued, defaultPolicy, now).action === "send")
            throw new Error("it was told before");
      return (1000 * times * known.length) / (performance.now() - began);
    };
    const perSecond = async (milliseconds: Promise<number>) => 1000 / (await milliseconds);
    const medians = mediansOf(
      await alternate(rounds, {
        pure,
        small: () => perSecond(bridges.small.suppressedAtOnce(500)),
        upserts: () => upserts.perSecond(500),
        large: () => perSecond(bridges.large.suppressedAtOnce(500)),
        one: () => perSecond(bridges.small.suppressed(500)),
        before: theirs && (() => perSecond(theirs.suppressedAtOnce(500))),
      }),
    );
    for (const part of [upserts, theirs, ...Object.values(bridges)]) part?.close();
    folder.end();
    const unit = "per s";
    return [
      { what: "decide() alone, a repeated problem", ours: medians.pure, unit },
      ...(theirs
        ? [
            {
              what: "decisions in a ledger of 1,000 episodes",
              ours: medians.small,
              unit,
              beside: { name: "before", value: medians.before },
            },
          ]
        : []),
      {
        what: `decisions in a ledger of 1,000 episodes, ${inHand} in hand: read, decided, written`,
        ours: medians.small,
        unit,
        beside: { name: "conditional upserts of node:sqlite", value: medians.upserts },
        target: { atLeast: 0.4 },
      },
      {
        what: "decisions in a ledger of 1,000 episodes, one after the other",
        ours: medians.one,
        unit,
        beside: { name: "conditional upserts of node:sqlite", value: medians.upserts },
      },
      {
        what: `decisions in a ledger of ${large.toLocaleString("en-US")} episodes, ${inHand} in hand`,
        ours: medians.large,
        unit,
        beside: { name: "of 1,000 episodes", value: medians.small },
      },
    ];
  },
};

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, describe, expect, it } from "vitest";
import type { Verdict } from "../../functions/decide/case.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import type { Change, JournalQuery, Ledger } from "../../functions/ledger/ledger.ts";
import { settleUnsent } from "../../functions/ledger/page.ts";
import { textOf } from "../../functions/ledger/sql/engine.ts";
import { sqlLedger } from "../../functions/ledger/sql.ts";
import { ledgerIn, patient, type SqliteLedger, sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { openDatabase } from "../../functions/sqlite.ts";
import { fillSqlite } from "../bench/episodes.ts";
import { queuedAlert } from "../world/alerts.ts";
import { contract } from "./contract.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-ledger-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
contract("sqlite", async () => {
  const path = join(folder, `${count++}.sqlite`);
  const ledger = sqliteLedger(path);
  return { ledger, reopen: () => sqliteLedger(path), forget: (before) => ledger.prune(before, 10) };
});

describe("a SQLite file", () => {
  it("holds an episode, its mails and their indexes in 5 KB", async () => {
    const path = join(folder, "size.sqlite");
    await fillSqlite(path, 1000, 1_795_366_380_000);
    expect(statSync(path).size).toBeLessThan(5_000_000);
  });
});

it("keeps a long alert once for all contacts for whom it waits, and not after the last", async () => {
  const path = join(folder, "long.sqlite");
  const ledger = sqliteLedger(path);
  const file = new DatabaseSync(path);
  const texts = () => file.prepare("SELECT length(json) AS length FROM text").all();
  const ids = Array.from({ length: 20 }, (_, index) => `alert-${index}`);
  const write = async (id: string, waits: boolean) => {
    const long = queuedAlert({ id, contact: `${id}@example.com` }, { long_output: "x".repeat(60_000) });
    const { key, entry, record } = await ledger.read(long);
    const holds = [{ at: 1000, until: 2000, row: "R29" as const, reason: "no relay has taken it yet" }];
    const records = [{ ...record, holds, queued: waits ? long : undefined }];
    expect(await ledger.write({ key, entry, records })).toBe(true);
  };
  for (const id of ids) await write(id, true);
  expect(texts()).toHaveLength(1);
  for (const id of ids.slice(1)) await write(id, false);
  expect(texts()).toHaveLength(1);
  await write("alert-0", false);
  expect(texts()).toEqual([]);
  file.close();
  ledger.close();
});

describe("writes to a SQLite file that come at once", () => {
  const written = async (ledger: SqliteLedger, changes: readonly Change[]) =>
    (await Promise.allSettled(changes.map(ledger.write))).map((one) =>
      one.status === "fulfilled" ? one.value : "failed",
    );
  const changeOf = async (ledger: SqliteLedger, id: string, host: string): Promise<Change> => {
    const page = await ledger.read(queuedAlert({ id }, { object: { host, service: null }, state: "DOWN" }));
    return { key: page.key, entry: page.entry, records: [page.record] };
  };

  it("are each done as a whole or not at all, whatever becomes of the others", async () => {
    const path = join(folder, "at-once.sqlite");
    const ledger = sqliteLedger(path);
    const [first, rival, broken, last] = [
      await changeOf(ledger, "alert-first", "web01"),
      await changeOf(ledger, "alert-rival", "web01"),
      await changeOf(ledger, "alert-broken", "web02"),
      await changeOf(ledger, "alert-last", "web03"),
    ];
    const [record] = broken.records;
    if (!record) throw new Error("no record");
    const unwritable = { ...record, receivedAt: "never" as unknown as number };
    const all = [first, rival, { ...broken, records: [record, unwritable] }, last];
    expect(await written(ledger, all)).toEqual([true, false, "failed", true]);
    const later = sqliteLedger(path);
    const stories = ["alert-first", "alert-rival", "alert-broken", "alert-last"].map((id) =>
      later.story("site", id).then((story) => story !== undefined),
    );
    expect(await Promise.all(stories)).toEqual([true, false, false, true]);
    expect((await later.entry(broken.key)).revision).toBe(0);
    for (const one of [ledger, later]) one.close();
  });

  it("are all told if nothing can be committed", async () => {
    const ledger = sqliteLedger(join(folder, "closed.sqlite"));
    const changes = [
      await changeOf(ledger, "alert-0001", "web01"),
      await changeOf(ledger, "alert-0002", "web02"),
    ];
    const told = written(ledger, changes);
    ledger.close();
    expect(await told).toEqual(["failed", "failed"]);
  });
});

describe("a SQLite file of an earlier version", () => {
  it("opens, its journal is searched by outcome, and its alerts are counted", async () => {
    const path = join(folder, "earlier.sqlite");
    const ledger = sqliteLedger(path);
    const page = await ledger.read(queuedAlert());
    const verdict = decide(page, queuedAlert(), defaultPolicy, 1000);
    await settleUnsent(ledger, page, { ...verdict, action: "suppress", row: "R3" } as Verdict, 1000);
    ledger.close();
    const file = new DatabaseSync(path);
    file.exec("DROP INDEX journal_outcome; CREATE INDEX journal_ending ON journal (site, ending)");
    file.exec("DROP TRIGGER journal_begun; DROP TRIGGER journal_turned; DROP TRIGGER journal_forgotten");
    file.exec("DROP TABLE tally");
    const later = sqliteLedger(path);
    expect(await later.totals("site")).toMatchObject({ suppressed: 1, pending: 0 });
    const again = sqliteLedger(path);
    expect(await again.totals("site")).toMatchObject({ suppressed: 1, pending: 0 });
    again.close();
    expect((await later.journal({ site: "site", outcome: "suppressed", limit: 1 })).items).toHaveLength(1);
    expect(file.prepare("SELECT name FROM sqlite_schema WHERE name = 'journal_ending'").all()).toEqual([]);
    later.close();
    file.close();
  });
});

describe("a search of the journal in SQL", () => {
  it.each<[string, Omit<JournalQuery, "site" | "limit">]>([
    ["journal_of_object", { object: "web01/HTTP" }],
    ["journal_of_object", { object: "web01/HTTP", outcome: "mailed" }],
    ["journal_of_object", { object: "web01/HTTP", contact: "ops@example.com", outcome: "suppressed" }],
    ["journal_of_contact", { contact: "ops@example.com" }],
    ["journal_of_contact", { contact: "ops@example.com", outcome: "mailed" }],
    ["journal_time", {}],
    ["journal_outcome", { outcome: "mailed" }],
  ])("finds by %s alone what it reads: %j", async (index, search) => {
    const db = new DatabaseSync(":memory:");
    let plan: unknown[] = [];
    const ledger = sqlLedger({
      exec: (script) => db.exec(script),
      all: (statement, ...values) => {
        plan = db.prepare(`EXPLAIN QUERY PLAN ${textOf(statement)}`).all(...values);
        return [];
      },
      run: () => 0,
      transaction: (work) => work(),
    });
    await ledger.journal({ ...search, site: "site", limit: 16 });
    const details = plan.map((step) => String((step as { detail: unknown }).detail));
    expect(details).toContainEqual(expect.stringContaining(`USING COVERING INDEX ${index} `));
    expect(details.filter((detail) => detail.includes("SCAN journal"))).toEqual([]);
    db.close();
  });
});

describe("a ledger in a new SQLite file", () => {
  it("can be asked at once", async () => {
    const ledger = sqliteLedger(join(folder, "new.sqlite"));
    expect(await ledger.route("smtp://relay.example.com:587")).toMatchObject({ revision: 0 });
    ledger.close();
  });
});

describe("a write on a full disk", () => {
  const full = () => {
    const db = openDatabase(join(folder, `full-${count++}.sqlite`), 0);
    const ledger = ledgerIn(db);
    const pages = Number(db.prepare("PRAGMA page_count").get()?.page_count);
    db.exec(`PRAGMA max_page_count = ${pages}`);
    return { db, ledger };
  };
  const first = async (ledger: Ledger): Promise<Change> => {
    const { key, entry, record } = await ledger.read(queuedAlert());
    return { key, entry, records: [{ ...record, messageId: "x".repeat(90_000) }], offered: true };
  };

  it("is made when there is room again", async () => {
    const { db, ledger } = full();
    let waits = 0;
    const room = async () => {
      if (++waits === 3) db.exec("PRAGMA max_page_count = 1000");
    };
    expect(await patient(ledger, room).write(await first(ledger))).toBe(true);
    expect(waits).toBe(3);
    db.close();
  });

  it("fails after a minute, and at once if it notes nothing of a mail", async () => {
    const { db, ledger } = full();
    let waits = 0;
    const wait = async () => {
      waits += 1;
    };
    const { write } = patient(ledger, wait, () => waits * 1000);
    await expect(write(await first(ledger))).rejects.toThrow(/full/);
    expect(waits).toBe(60);
    await expect(write({ ...(await first(ledger)), offered: undefined })).rejects.toThrow(/full/);
    expect(waits).toBe(60);
    db.close();
  });
});

describe("two processes on one SQLite file", () => {
  const writer = (path: string, name: string, count: number) => {
    const child = spawn(process.execPath, ["test/ledger/writer.ts", path, name, String(count)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    return { child, ended, mailed: () => output.split("\n").filter(Boolean) };
  };
  const perProcess = 60;

  it("tell each of 120 contacts once, in one episode, and lose no change", async () => {
    const path = join(folder, "two-processes.sqlite");
    // SQLite waits for no lock while a new file is made a WAL file.
    sqliteLedger(path).close();
    const both = ["a", "b"].map((name) => writer(path, name, perProcess));
    expect(await Promise.all(both.map(({ ended }) => ended))).toEqual([0, 0]);
    const mailed = both.flatMap(({ mailed }) => mailed());
    expect(new Set(mailed).size).toBe(2 * perProcess);
    expect(mailed).toHaveLength(2 * perProcess);
    const ledger = sqliteLedger(path);
    const { entry } = await ledger.read(queuedAlert());
    expect(Object.keys(entry.contacts).sort()).toEqual(mailed.sort());
    const problems = Object.values(entry.monitors).flatMap(({ problems }) => problems);
    expect(problems).toHaveLength(1);
    expect(new Set(Object.values(entry.contacts).map(({ thread }) => thread))).toEqual(
      new Set([problems[0]?.key]),
    );
    // A claim and a settlement for each, not one of them written over another's.
    expect(entry.revision).toBe(4 * perProcess);
    expect(await ledger.totals("site")).toMatchObject({ mailed: 2 * perProcess, pending: 0 });
    ledger.close();
  });

  it("go on when one is killed, and what it had told or claimed is known", async () => {
    const path = join(folder, "killed-process.sqlite");
    // SQLite waits for no lock while a new file is made a WAL file.
    sqliteLedger(path).close();
    const [killed, other] = [writer(path, "a", 10_000), writer(path, "b", perProcess)];
    await expect.poll(() => killed.mailed().length, { timeout: 20_000 }).toBeGreaterThan(20);
    killed.child.kill("SIGKILL");
    await killed.ended;
    expect(await other.ended).toBe(0);
    const ledger = sqliteLedger(path);
    const { entry } = await ledger.read(queuedAlert());
    const { pending, mailed } = await ledger.totals("site");
    expect(pending).toBeLessThanOrEqual(1);
    expect(Object.keys(entry.contacts)).toHaveLength(mailed);
    // At most one mail was taken and not noted; its claim is there.
    expect(killed.mailed().length + perProcess - mailed).toBeLessThanOrEqual(pending);
    ledger.close();
  });
});

import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers/promises";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { copyTogether, openDatabase } from "../functions/sqlite.ts";

it("copies of two databases are of one instant, whatever is written while they are made", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-sqlite-"));
  const names = ["one", "other"];
  const databases = names.map((name) => openDatabase(join(folder, name), 5000));
  for (const db of databases) {
    db.exec("CREATE TABLE t (n INTEGER, filling TEXT)");
    db.exec(`INSERT INTO t SELECT 0, hex(randomblob(2000)) FROM (WITH RECURSIVE c(x) AS
      (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000) SELECT x FROM c)`);
  }
  // Both get a number before anything else can run: at each instant of a copy they know the same.
  const adds = databases.map((db) => db.prepare("INSERT INTO t (n) VALUES (?)"));
  let n = 0;
  let copying = true;
  const write = async () => {
    while (copying) {
      n += 1;
      for (const add of adds) add.run(n);
      await setImmediate();
    }
  };
  const writing = write();
  await copyTogether(names.map((name) => ({ from: join(folder, name), to: join(folder, `${name}.copy`) })));
  const during = n;
  copying = false;
  await writing;
  const [one = 0, other = 0] = names.map((name) => {
    const db = new DatabaseSync(join(folder, `${name}.copy`));
    const last = Number(db.prepare("SELECT max(n) AS n FROM t").get()?.n);
    db.close();
    return last;
  });
  for (const db of databases) db.close();
  rmSync(folder, { recursive: true });
  expect(during - one).toBeGreaterThan(1);
  expect(one - other).toBe(0);
});

describe.each(["000", "022", "077"])("with umask %s, the files of databases, copies and locks", (umask) => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-sqlite-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const modes = () =>
    Object.fromEntries(readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o777]));
  /** Another process writes, copies and locks, and is killed: the signal that ended it. */
  const write = (copy: string) =>
    spawnSync("sh", [
      "-c",
      'umask "$1"; exec "$2" --input-type=module -e "$3"',
      "sh",
      umask,
      process.execPath,
      `import { copyTogether, lockFile, openDatabase } from "./functions/sqlite.ts";
      process.chdir(${JSON.stringify(folder)});
      const db = openDatabase("db", 1000);
      db.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER)");
      db.transaction(() => db.exec("INSERT INTO t VALUES (1)"));
      if (!lockFile("lock")) throw new Error("the lock was not free");
      await copyTogether([{ from: "db", to: "${copy}" }]);
      process.kill(process.pid, "SIGKILL");`,
    ]).signal;

  it("can be read only by their user, also if others could read them before", () => {
    expect(write("copy")).toBe("SIGKILL");
    const names = ["copy", "db", "db-shm", "db-wal", "lock", "lock-journal"];
    expect(modes()).toEqual(Object.fromEntries(names.map((name) => [name, 0o600])));
    for (const name of names) chmodSync(join(folder, name), 0o664);
    expect(write("copy2")).toBe("SIGKILL");
    expect(modes()).toEqual({
      ...Object.fromEntries([...names, "copy2"].map((name) => [name, 0o600])),
      // It was made before, and nothing opens it.
      copy: 0o664,
    });
    const db = new DatabaseSync(join(folder, "db"));
    onTestFinished(() => db.close());
    expect(db.prepare("SELECT count(*) AS n FROM t").get()?.n).toBe(2);
  });
});

describe("works that are asked for at once", () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-sqlite-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const opened = (name: string) => {
    const path = join(folder, name);
    const [db, other] = [openDatabase(path, 0), openDatabase(path, 0)];
    onTestFinished(() => {
      db.close();
      other.close();
    });
    db.exec("CREATE TABLE t (n INTEGER UNIQUE)");
    const insert = db.prepare("INSERT INTO t VALUES (?)");
    const rows = () =>
      other
        .prepare("SELECT n FROM t ORDER BY n")
        .all()
        .map(({ n }) => Number(n));
    return { db, other, rows, add: (n: number) => db.together(() => insert.run(n).changes) };
  };

  it("are all on disk before the first is told so", async () => {
    const { rows, add } = opened("told");
    const seen = await Promise.all([1, 2, 3].map((n) => add(n).then(rows)));
    expect(seen).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  it("do not suffer from one that throws, whose own part is undone", async () => {
    const { db, rows, add } = opened("throws");
    const failing = db.together(() => {
      db.exec("INSERT INTO t VALUES (7)");
      throw new Error("half way");
    });
    const ended = await Promise.allSettled([add(1), failing, add(1), add(2)]);
    expect(ended.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
    expect(rows()).toEqual([1, 2]);
  });

  it("all fail where nothing can be written, and the next are taken again", async () => {
    const { other, rows, add } = opened("locked");
    other.exec("BEGIN IMMEDIATE");
    const ended = await Promise.allSettled([add(1), add(2)]);
    expect(ended.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    other.exec("ROLLBACK");
    await add(3);
    expect(rows()).toEqual([3]);
  });
});

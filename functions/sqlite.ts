import { chmodSync, statSync, writeFileSync } from "node:fs";
import { backup, DatabaseSync } from "node:sqlite";

/** An open database file. */
export type Database = DatabaseSync & {
  /** All of what `work` does, on disk when this returns, or none of it. */
  transaction<T>(work: () => T): T;
  /** The same, soon, in one commit with all others that are asked for until then; one that throws is undone alone. */
  together<T>(work: () => T): Promise<T>;
};

/** Something that waits for the next commit, and who waits for it. */
type Waiting = { work: () => unknown; done: (value: never) => void; failed: (error: unknown) => void };

/**
 * Makes sure that only the user can read a database's file, whether it exists or not. SQLite gives the same mode to the
 * files that it makes beside it. This does not open an existing file: that would end the process's locks on it.
 */
const keepPrivate = (path: string): void => {
  if (path === ":memory:") return;
  try {
    writeFileSync(path, "", { flag: "wx", mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  for (const file of [path, `${path}-wal`, `${path}-shm`, `${path}-journal`]) {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found && (found.mode & 0o077) !== 0) chmodSync(file, 0o600);
  }
};

/**
 * Opens a database that only the user can read. It survives a power cut (WAL, synchronous=FULL), and several processes may
 * share it. If another one holds the lock, a call blocks the process for at most `lockMilliseconds`, and then throws.
 */
export const openDatabase = (path: string, lockMilliseconds: number): Database => {
  keepPrivate(path);
  const db = new DatabaseSync(path, { timeout: lockMilliseconds });
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  // Room for all pages of a transaction of a hundred writes, and for what undoes one of them: else both go to files.
  db.exec("PRAGMA cache_size = -8000; PRAGMA temp_store = MEMORY;");
  const transaction = <T>(work: () => T): T => {
    db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      db.exec("COMMIT");
      return result;
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK");
      throw error;
    }
  };
  const [begin, keep, undo] = ["SAVEPOINT one", "RELEASE one", "ROLLBACK TO one"].map((part) =>
    db.prepare(part),
  );
  let waiting: Waiting[] = [];
  const commit = () => {
    const group = waiting;
    waiting = [];
    /** Tells how it ended, once all is on disk. */
    const alone = ({ work, done, failed }: Waiting): (() => void) => {
      begin?.run();
      try {
        const value = work();
        keep?.run();
        return () => done(value as never);
      } catch (error) {
        // A full disk may have undone all.
        if (!db.isTransaction) throw error;
        undo?.run();
        keep?.run();
        return () => failed(error);
      }
    };
    try {
      for (const tell of transaction(() => group.map(alone))) tell();
    } catch (error) {
      for (const { failed } of group) failed(error);
    }
  };
  const together = <T>(work: () => T) =>
    new Promise<T>((done, failed) => {
      waiting.push({ work, done, failed });
      if (waiting.length === 1) setImmediate(commit);
    });
  return Object.assign(db, { transaction, together });
};

/**
 * Takes a lock on a file that no other process gets while this one lives, however it ends; undefined if another
 * has it. The kernel lets go of it, so a crash leaves nothing to clean up.
 */
export const lockFile = (path: string): { close(): void } | undefined => {
  keepPrivate(path);
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    if (error instanceof Error && /locked/.test(error.message)) return undefined;
    throw error;
  }
};

/**
 * Copies databases in use, each `from` to a `to` that is not there yet, all as they are at one instant: as a power cut
 * then would have left them. Writers wait for some milliseconds; a lock held elsewhere is waited for 5 s. Rejects if a
 * copy is not sound.
 */
export const copyTogether = async (files: readonly { from: string; to: string }[]): Promise<void> => {
  const open: DatabaseSync[] = [];
  const opened = (path: string) => {
    const db = new DatabaseSync(path, { timeout: 5000 });
    open.push(db);
    return db;
  };
  try {
    // While all are locked for writing a reader of each begins: those see the same instant for as long as they read.
    const readers = files.map(({ from }) => opened(from));
    const writers = files.map(({ from }) => opened(from));
    for (const writer of writers) writer.exec("BEGIN IMMEDIATE");
    for (const reader of readers) {
      reader.exec("BEGIN");
      reader.prepare("SELECT count(*) FROM sqlite_schema").get();
    }
    for (const writer of writers) writer.exec("ROLLBACK");
    for (const [index, { to }] of files.entries()) {
      const reader = readers[index];
      keepPrivate(to);
      if (reader) await backup(reader, to, { rate: 1000 });
      const found = opened(to).prepare("PRAGMA integrity_check").get();
      if (found?.integrity_check !== "ok") throw new Error(`the copy ${to} is not sound`);
    }
  } finally {
    for (const db of open) db.close();
  }
};

import { DatabaseSync } from "node:sqlite";

/** An open database file. */
export type Database = DatabaseSync & {
  /** All of what `work` does, on disk when this returns, or none of it. */
  transaction<T>(work: () => T): T;
};

/**
 * Opens a database that survives a power cut (WAL, synchronous=FULL) and may be shared by several processes. A lock
 * held elsewhere is waited for at most so long, and the whole process with it; then the call throws.
 */
export const openDatabase = (path: string, lockMilliseconds: number): Database => {
  const db = new DatabaseSync(path, { timeout: lockMilliseconds });
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
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
  return Object.assign(db, { transaction });
};

/**
 * Takes a lock on a file that no other process gets while this one lives, however it ends; undefined if another
 * has it. The kernel lets go of it, so a crash leaves nothing to clean up.
 */
export const lockFile = (path: string): { close(): void } | undefined => {
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

import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Ledger } from "./ledger.ts";
import { type SqlEngine, sqlLedger } from "./sql.ts";

/** A ledger with `close`, for the process that opened the file. */
export type SqliteLedger = Ledger & { close(): void };

/**
 * The ledger in one SQLite file (WAL, synchronous=FULL: what resolved is on disk). Several processes may share the
 * file; a lock held elsewhere is waited for at most 250 ms, then the call rejects.
 */
export const sqliteLedger = (path: string): SqliteLedger => {
  const db = new DatabaseSync(path, { timeout: 250 });
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  const prepared = new Map<string, StatementSync>();
  const prepare = (statement: string): StatementSync => {
    const known = prepared.get(statement) ?? db.prepare(statement);
    prepared.set(statement, known);
    return known;
  };
  const engine: SqlEngine = {
    exec: (script) => db.exec(script),
    all: (statement, ...values) => prepare(statement).all(...values),
    run: (statement, ...values) => Number(prepare(statement).run(...values).changes),
    transaction: (work) => {
      db.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        db.exec("COMMIT");
        return result;
      } catch (error) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw error;
      }
    },
  };
  return { ...sqlLedger(engine), close: () => db.close() };
};

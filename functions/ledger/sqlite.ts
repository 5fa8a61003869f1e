import type { StatementSync } from "node:sqlite";
import { type Database, openDatabase } from "../sqlite.ts";
import type { Ledger } from "./ledger.ts";
import { sqlLedger } from "./sql.ts";

/** A ledger with `close`, for the process that opened the file. */
export type SqliteLedger = Ledger & { close(): void };

/** The ledger in an open database; by its `together` many writes are one commit. */
export const ledgerIn = (db: Database, together?: Database["together"]): Ledger => {
  const prepared = new Map<string, StatementSync>();
  const prepare = (statement: string): StatementSync => {
    const known = prepared.get(statement) ?? db.prepare(statement);
    prepared.set(statement, known);
    return known;
  };
  return sqlLedger({
    exec: (script) => db.exec(script),
    all: (statement, ...values) => prepare(statement).all(...values),
    run: (statement, ...values) => Number(prepare(statement).run(...values).changes),
    transaction: db.transaction,
    together,
  });
};

/** The ledger in one SQLite file, which several processes may share. */
export const sqliteLedger = (path: string): SqliteLedger => {
  // A mail that was sent and cannot be noted is sent again: worth some waiting.
  const db = openDatabase(path, 5000);
  return { ...ledgerIn(db, db.together), close: () => db.close() };
};

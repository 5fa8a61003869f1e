import type { StatementSync } from "node:sqlite";
import { setTimeout } from "node:timers/promises";
import { type Database, openDatabase } from "../sqlite.ts";
import type { Ledger } from "./ledger.ts";
import { retryingOutcomes } from "./retrying-outcomes.ts";
import { type Statement, textOf } from "./sql/engine.ts";
import { sqlLedger } from "./sql.ts";

/** A ledger with `close`, for the process that opened the file. */
export type SqliteLedger = Ledger & { close(): void };

/** The ledger in an open database; by its `together` many writes are one commit. */
export const ledgerIn = (db: Database, together?: Database["together"]): Ledger => {
  const prepared = new Map<Statement, StatementSync>();
  const prepare = (statement: Statement): StatementSync => {
    const known = prepared.get(statement) ?? db.prepare(textOf(statement));
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

/** SQLite's codes of what may pass: a lock held elsewhere, a disk that fails or is full. */
const passing = [5, 10, 13];
const second = (): Promise<unknown> => setTimeout(1000, undefined, { ref: false });

/** A ledger that notes what came of a mail once the disk is no more full, or its file no more locked. */
export const patient = (ledger: Ledger, wait = second, now = () => performance.now()): Ledger => {
  const mayPass = (error: unknown) => {
    const { errcode = 0 } = error as { errcode?: number };
    // The low byte; the rest says where it came from.
    return passing.includes(errcode & 0xff);
  };
  return { ...ledger, write: retryingOutcomes(ledger, mayPass, now, wait) };
};

/** The ledger in one SQLite file, which several processes may share. */
export const sqliteLedger = (path: string): SqliteLedger => {
  // The whole process waits.
  const db = openDatabase(path, 5000);
  return { ...patient(ledgerIn(db, db.together)), close: () => db.close() };
};

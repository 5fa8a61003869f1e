import { DurableObject } from "cloudflare:workers";
import type { Ledger } from "./ledger.ts";
import { sqlLedger } from "./sql.ts";

/**
 * The ledger in the SQLite of a Durable Object, by the SQL that Node's has. Its methods are called over RPC; what a
 * call has written is on several disks before its answer leaves
 * (https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/, output gates).
 */
export class LedgerObject extends DurableObject {
  readonly #ledger: Ledger;
  constructor(context: DurableObjectState, environment: unknown) {
    super(context, environment);
    const { sql } = context.storage;
    this.#ledger = sqlLedger({
      exec: (script) => void sql.exec(script),
      all: (statement, ...values) => sql.exec(statement, ...values).toArray(),
      run: (statement, ...values) => {
        sql.exec(statement, ...values).toArray();
        // The cursor's rowsWritten counts those of indexes too.
        return Number(sql.exec("SELECT changes() AS changed").one().changed);
      },
      transaction: (work) => context.storage.transactionSync(work),
    });
  }
  /** Calls one function of the ledger. */
  call<Name extends keyof Ledger>(name: Name, ...values: Parameters<Ledger[Name]>): ReturnType<Ledger[Name]> {
    const method = this.#ledger[name] as (...values: unknown[]) => ReturnType<Ledger[Name]>;
    return method(...values);
  }
}

/** The one Durable Object that holds a bridge's ledger, as whoever calls it sees it. */
export type LedgerStub = Pick<LedgerObject, "call">;

/** The ledger in a Durable Object; `stub` is asked for at each call, for one must not outlive its request. */
export const durableObjectLedger = (stub: () => LedgerStub): Ledger => ({
  route: (name) => stub().call("route", name),
  writeRoute: (state) => stub().call("writeRoute", state),
  routes: () => stub().call("routes"),
  read: (queued) => stub().call("read", queued),
  write: (change) => stub().call("write", change),
  due: (now, limit) => stub().call("due", now, limit),
  story: (site, id) => stub().call("story", site, id),
  noteReturned: (site, id, returned) => stub().call("noteReturned", site, id, returned),
  journal: (query) => stub().call("journal", query),
  problems: (query) => stub().call("problems", query),
  totals: (site) => stub().call("totals", site),
  prune: (before, limit) => stub().call("prune", before, limit),
  ready: () => stub().call("ready"),
});

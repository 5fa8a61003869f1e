import { DurableObject } from "cloudflare:workers";
import { setTimeout as after } from "node:timers/promises";
import type { Ledger } from "./ledger.ts";
import { retryingOutcomes } from "./retrying-outcomes.ts";
import { textOf } from "./sql/engine.ts";
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
      all: (statement, ...values) => sql.exec(textOf(statement), ...values).toArray(),
      run: (statement, ...values) => {
        sql.exec(textOf(statement), ...values).toArray();
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

const answerWithinMilliseconds = 30_000;

/** Whether an object was only away: each deployment starts it anew. It throws again the errors of its own code. */
const wasAway = (error: unknown): boolean => {
  const { remote = false, durableObjectReset = false } = error as Record<string, boolean | undefined>;
  return !remote || durableObjectReset;
};
const second = () => after(1000);

/**
 * The ledger in a Durable Object. `stub` is asked for at each call: one must not outlive its request, and fails for ever
 * once its object has failed. No answer is waited for longer than 30 s.
 */
export const durableObjectLedger = (
  stub: () => LedgerStub,
  wait: () => Promise<unknown> = second,
): Ledger => {
  const calling = <Name extends keyof Ledger>(name: Name) =>
    (async (...values: Parameters<Ledger[Name]>) => {
      const { promise: tooLate, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => reject(new Error("no answer of the ledger")), answerWithinMilliseconds);
      try {
        return await Promise.race([stub().call(name, ...values), tooLate]);
      } finally {
        clearTimeout(timer);
      }
    }) as Ledger[Name];
  const ledger: Ledger = {
    route: calling("route"),
    writeRoute: calling("writeRoute"),
    routes: calling("routes"),
    heartbeat: calling("heartbeat"),
    writeHeartbeat: calling("writeHeartbeat"),
    heartbeats: calling("heartbeats"),
    rejection: calling("rejection"),
    writeRejection: calling("writeRejection"),
    rejections: calling("rejections"),
    untoldRejections: calling("untoldRejections"),
    read: calling("read"),
    entry: calling("entry"),
    write: calling("write"),
    due: calling("due"),
    story: calling("story"),
    stories: calling("stories"),
    mailed: calling("mailed"),
    noteReturned: calling("noteReturned"),
    returned: calling("returned"),
    journal: calling("journal"),
    problems: calling("problems"),
    open: calling("open"),
    totals: calling("totals"),
    flow: calling("flow"),
    prune: calling("prune"),
    ready: calling("ready"),
  };
  return retryingOutcomes(ledger, wasAway, wait, () => performance.now());
};

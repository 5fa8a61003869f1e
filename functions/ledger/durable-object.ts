import { DurableObject } from "cloudflare:workers";
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

/**
 * The ledger in a Durable Object. `stub` is asked for at each call: one must not outlive its request, and fails for ever
 * once its object has failed. No answer is waited for longer than 30 s.
 */
export const durableObjectLedger = (stub: () => LedgerStub, wait?: () => Promise<unknown>): Ledger => {
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
  const plain = { write: calling("write"), story: calling("story") };
  const write = retryingOutcomes(plain, wasAway, () => performance.now(), wait);
  return new Proxy({} as Ledger, {
    get: (_, name: keyof Ledger | "then") => {
      // It is no promise: whoever awaits it gets it as it is.
      if (name === "then") return undefined;
      return name === "write" ? write : calling(name);
    },
  });
};

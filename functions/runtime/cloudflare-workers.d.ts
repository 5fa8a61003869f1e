/** The parts of the Workers runtime that are used here (https://developers.cloudflare.com/durable-objects/api/). */
declare module "cloudflare:workers" {
  /** Vars, secrets and bindings. */
  export const env: Record<string, unknown>;
  export class DurableObject {
    constructor(context: DurableObjectState, environment: unknown);
  }
}

type SqlValue = string | number | null;
type SqlCursor = { toArray(): Record<string, unknown>[]; one(): Record<string, unknown> };
type DurableObjectState = {
  storage: {
    sql: { exec(statement: string, ...values: SqlValue[]): SqlCursor };
    transactionSync<T>(work: () => T): T;
  };
};
type DurableObjectNamespace<Stub> = { getByName(name: string): Stub };

import { createRequire } from "node:module";
import { type AttributeValue, GetItemCommand } from "@aws-sdk/client-dynamodb";
import { clientOf } from "../../ledger/table.ts";
import { tableDefinition } from "../template.ts";
import type { Between, Exchange } from "./counting-proxy.ts";

type Item = Record<string, AttributeValue>;
type Consumed = { CapacityUnits: number };
type Units = { read: number; write: number; indexWrite: number };

const indexes = (tableDefinition().GlobalSecondaryIndexes ?? []).map(({ KeySchema = [] }) =>
  KeySchema.map(({ AttributeName = "" }) => AttributeName),
);
const itemSize: (item: Item) => number = createRequire(import.meta.url)("dynalite/db").itemSize;

/**
 * The writes to indexes of keys alone that come with a write to the table, a unit each ("Write capacity units for global
 * secondary indexes"): one to put an item into an index, one to take it out, both when its key there is another.
 */
const indexWrites = (before: Item | undefined, after: Item | undefined): number =>
  indexes
    .map((names) => {
      const [old, now] = [before, after].map((item) =>
        item && names.every((name) => item[name])
          ? JSON.stringify(names.map((name) => item[name]))
          : undefined,
      );
      return old === now ? 0 : (old ? 1 : 0) + (now ? 1 : 0);
    })
    .reduce((sum, one) => sum + one, 0);

/** The only one that a ledger writes by. */
const isWrite = (operation: string) => operation === "UpdateItem";

/**
 * Asks the table at `url` for the units of each request, and adds what dynalite leaves out: the indexes, and a write
 * whose condition fails, which is paid for by the size of what is there. One request at a time, so that nothing is
 * written between an item's two readings. dynalite takes characters for bytes, and so do these.
 */
export const withUnits = (url: string): Between => {
  let last: Promise<unknown> = Promise.resolve();
  const client = clientOf(url);
  const itemAt = async ({ TableName, Key }: Record<string, unknown>): Promise<Item | undefined> => {
    const key = { TableName: String(TableName), Key: Key as Item };
    return (await client.send(new GetItemCommand({ ...key, ConsistentRead: true }))).Item;
  };
  return (operation, request, forward) => {
    const exchange = async (): Promise<Exchange> => {
      const whole = { ...request, ReturnConsumedCapacity: "INDEXES" };
      if (!isWrite(operation)) return forward(whole);
      const before = await itemAt(request);
      const done = await forward(whole);
      const after = await itemAt(request);
      const refused = JSON.stringify(done.answer).includes("#ConditionalCheckFailedException");
      return {
        ...done,
        answer: {
          ...(done.answer as object),
          ...(refused && {
            ConsumedCapacity: { CapacityUnits: Math.max(1, Math.ceil(itemSize(before ?? {}) / 1024)) },
          }),
          indexWrites: indexWrites(before, after),
        },
      };
    };
    const mine = last.then(exchange);
    last = mine.catch(() => undefined);
    return mine;
  };
};

/** The units that were consumed by what went through a proxy between whose ends there is `withUnits`. */
export const unitsOf = (exchanges: readonly Exchange[]): Units => {
  const units: Units = { read: 0, write: 0, indexWrite: 0 };
  for (const { operation, answer } of exchanges) {
    const { ConsumedCapacity, indexWrites: ofIndexes = 0 } = answer as {
      ConsumedCapacity: Consumed | Consumed[];
      indexWrites?: number;
    };
    for (const { CapacityUnits } of [ConsumedCapacity].flat())
      units[isWrite(operation) ? "write" : "read"] += CapacityUnits;
    units.indexWrite += ofIndexes;
  }
  return units;
};

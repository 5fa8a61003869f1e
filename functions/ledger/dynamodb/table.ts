import { setTimeout } from "node:timers/promises";
import {
  BatchGetItemCommand,
  ConditionalCheckFailedException,
  type DynamoDBClient,
  GetItemCommand,
  QueryCommand,
  type QueryCommandInput,
  type QueryCommandOutput,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { readCursor } from "../ledger.ts";
import { attribute, type Item, type Key, keyIn, nameOf, sortable, text, type Value } from "./items.ts";

/** The table that holds the ledger, and the client that asks it. */
export type Table = { client: DynamoDBClient; name: string };

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
export const batchKeys = 100;
const mostRounds = 6;
/** A longer name is no key: DynamoDB refuses to look for it. */
const mostKeyBytes = 2048;

export const keyOf = ({ pk, sk }: Key) => ({ pk: { S: pk }, sk: { S: sk } });

export const find = async (table: Table, key: Key): Promise<Item | undefined> => {
  const { Item } = await table.client.send(
    new GetItemCommand({ TableName: table.name, Key: keyOf(key), ConsistentRead: true }),
  );
  return Item;
};

/**
 * The items of these keys, by name. DynamoDB leaves some of a batch for later when it is throttled, and whenever
 * they have more than 1 MB in one of its partitions: as long as some are read, others are asked for.
 */
export const findAll = async (table: Table, keys: readonly Key[]): Promise<Map<string, Item>> => {
  const found = new Map<string, Item>();
  let wanted = [...new Map(keys.map((key) => [nameOf(key), keyOf(key)])).values()];
  let vain = 0;
  while (wanted.length > 0) {
    if (vain > mostRounds) throw new Error("DynamoDB did not read all items: it is throttled");
    if (vain > 0) await setTimeout(50 * 2 ** vain);
    const [batch, rest] = [wanted.slice(0, batchKeys), wanted.slice(batchKeys)];
    const { Responses, UnprocessedKeys } = await table.client.send(
      new BatchGetItemCommand({ RequestItems: { [table.name]: { Keys: batch, ConsistentRead: true } } }),
    );
    for (const item of Responses?.[table.name] ?? []) found.set(nameOf(keyIn(item)), item);
    const unread = (UnprocessedKeys?.[table.name]?.Keys ?? []) as typeof batch;
    vain = unread.length < batch.length ? 0 : vain + 1;
    wanted = [...unread, ...rest];
  }
  return found;
};

/** The items of these keys, in their order. */
export const inOrder = (keys: readonly Key[], found: Map<string, Item>): Item[] =>
  keys.map((key) => found.get(nameOf(key))).filter((item) => item !== undefined);

/** Sets attributes, those of `kept` only where there is none, and removes undefined ones. False: the condition fails. */
export const update = async (
  table: Table,
  key: Key,
  attributes: Record<string, Value>,
  condition?: { expression: string; values?: Record<string, Value> },
  kept: readonly string[] = [],
): Promise<boolean> => {
  const names = Object.keys(attributes);
  const given = names.filter((name) => attributes[name] !== undefined);
  const missing = names.filter((name) => attributes[name] === undefined);
  const conditionNames = [...(condition?.expression ?? "").matchAll(/#(\w+)/g)].map(([, name = ""]) => name);
  const set = (name: string) =>
    `#${name} = ${kept.includes(name) ? `if_not_exists(#${name}, :${name})` : `:${name}`}`;
  const values = Object.entries({ ...condition?.values, ...attributes });
  try {
    await table.client.send(
      new UpdateItemCommand({
        TableName: table.name,
        Key: keyOf(key),
        UpdateExpression: [
          `SET ${given.map(set).join(", ")}`,
          ...(missing.length > 0 ? [`REMOVE ${missing.map((name) => `#${name}`).join(", ")}`] : []),
        ].join(" "),
        ConditionExpression: condition?.expression,
        ExpressionAttributeNames: Object.fromEntries(
          [...names, ...conditionNames].map((name) => [`#${name}`, name]),
        ),
        ExpressionAttributeValues: Object.fromEntries(
          values.flatMap(([name, value]) => (value === undefined ? [] : [[`:${name}`, attribute(value)]])),
        ),
      }),
    );
    return true;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return false;
    throw error;
  }
};

/** Marks one write among those of an item; short, for a write unit has 1 KB. */
export const newMark = (): string => crypto.randomUUID().slice(-12);

/**
 * The next revision of an item; false if it has another than this already. When an answer is lost the SDK writes
 * again and is refused by its own first write: that is known by `writtenBy`, there or where else it has left a trace.
 */
export const advance = async (
  table: Table,
  writtenBy: string,
  key: Key,
  revision: number,
  attributes: Record<string, Value>,
  traces: readonly Key[] = [],
): Promise<boolean> => {
  const written = await update(
    table,
    key,
    { ...attributes, revision: revision + 1, by: writtenBy },
    revision === 0
      ? { expression: "attribute_not_exists(#pk)" }
      : { expression: "#revision = :was", values: { was: revision } },
  );
  if (written) return true;
  for (const trace of [key, ...traces])
    if (text((await find(table, trace)) ?? {}, "by") === writtenBy) return true;
  return false;
};

/** One page of what has this key, in an index or, without its name, in the table. The indexes hold keys alone. */
export const search = (
  table: Table,
  index: string | undefined,
  [key, value]: readonly [name: string, value: string],
  more: Partial<QueryCommandInput> = {},
  [range, operator, end]: readonly [
    name?: string,
    operator?: "<" | "<=" | ">=" | "begins_with",
    end?: string | number,
  ] = [],
): Promise<QueryCommandOutput> => {
  if (Buffer.byteLength(value) > mostKeyBytes) return Promise.resolve({ $metadata: {} });
  const within = operator === "begins_with" ? "begins_with(#range, :end)" : `#range ${operator} :end`;
  return table.client.send(
    new QueryCommand({
      TableName: table.name,
      IndexName: index,
      KeyConditionExpression: `#key = :key${range ? ` AND ${within}` : ""}`,
      ExpressionAttributeNames: { "#key": key, ...(range && { "#range": range }) },
      ExpressionAttributeValues: {
        ":key": attribute(value),
        ...(end !== undefined && { ":end": attribute(end) }),
      },
      ...more,
    }),
  );
};

/** One page of an index: the newest items before the cursor, each with its own; `next` if there may be more. */
export const newest = async (
  table: Table,
  index: string,
  key: readonly [name: string, value: string],
  range: string,
  before: string | undefined,
  limit: number,
): Promise<{ page: { item: Item | undefined; cursor: string }[]; next?: string }> => {
  const end = sortable(...readCursor(before));
  const backwards = { ScanIndexForward: false, Limit: limit };
  const { Items = [] } = await search(table, index, key, backwards, [range, "<", end]);
  const found = await findAll(table, Items.map(keyIn));
  const page = Items.map((indexed) => ({
    item: found.get(nameOf(keyIn(indexed))),
    cursor: text(indexed, range).replace(/^0+(?=\d)/, ""),
  }));
  return { page, next: Items.length === limit ? page.at(-1)?.cursor : undefined };
};

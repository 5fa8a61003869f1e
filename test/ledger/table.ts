import {
  type AttributeDefinition,
  CreateTableCommand,
  DeleteItemCommand,
  type DynamoDBClient,
  ScanCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { keepMilliseconds } from "../../functions/ledger/ledger.ts";

const indexes: Record<string, [string, AttributeDefinition["AttributeType"]][]> = {
  time: [
    ["site", "S"],
    ["at", "S"],
  ],
  object: [
    ["site_object", "S"],
    ["at", "S"],
  ],
  contact: [
    ["site_contact", "S"],
    ["at", "S"],
  ],
  ending: [
    ["site_ending", "S"],
    ["at", "S"],
  ],
  open: [
    ["open_site", "S"],
    ["open_at", "S"],
  ],
  due: [
    ["due", "S"],
    ["due_at", "N"],
  ],
};
const keySchema = ([hash = "", range = ""]: readonly string[]) => [
  { AttributeName: hash, KeyType: "HASH" as const },
  { AttributeName: range, KeyType: "RANGE" as const },
];

/** Makes an empty table for a ledger, with the keys and indexes that infra/ gives it. */
export const createTable = async (client: DynamoDBClient, table: string): Promise<void> => {
  const attributes = new Map([["pk", "S"] as const, ["sk", "S"] as const, ...Object.values(indexes).flat()]);
  await client.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: keySchema(["pk", "sk"]),
      AttributeDefinitions: [...attributes].map(([AttributeName, AttributeType]) => ({
        AttributeName,
        AttributeType,
      })),
      GlobalSecondaryIndexes: Object.entries(indexes).map(([IndexName, keys]) => ({
        IndexName,
        KeySchema: keySchema(keys.map(([name]) => name)),
        Projection: { ProjectionType: "KEYS_ONLY" },
      })),
    }),
  );
  await waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { TableName: table });
};

/** Deletes what TTL would have deleted when so much was kept of what ended before a time; how many alerts and entries. */
export const expire = async (client: DynamoDBClient, table: string, before: number): Promise<number> => {
  const { Items = [] } = await client.send(new ScanCommand({ TableName: table }));
  const over = Items.filter(({ expires }) => Number(expires?.N) < (before + keepMilliseconds) / 1000);
  for (const { pk, sk } of over)
    if (pk && sk) await client.send(new DeleteItemCommand({ TableName: table, Key: { pk, sk } }));
  return over.filter(({ sk }) => sk?.S === "record" || sk?.S === "entry").length;
};

import {
  CreateTableCommand,
  DeleteItemCommand,
  DynamoDBClient,
  ScanCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { keepMilliseconds } from "../../functions/ledger/ledger.ts";
import { tableDefinition } from "../world/template.ts";

/** A client for a DynamoDB on loopback. */
export const clientOf = (endpoint: string): DynamoDBClient =>
  new DynamoDBClient({
    region: "us-east-1",
    endpoint,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });

/** Makes an empty table for a ledger, as AWS will have it. */
export const createTable = async (client: DynamoDBClient, table: string): Promise<void> => {
  await client.send(new CreateTableCommand({ TableName: table, ...tableDefinition() }));
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

import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll } from "vitest";
import { dynamodbLedger } from "../../functions/ledger/dynamodb.ts";
import { contract } from "../ledger/contract.ts";
import { clientOf, createTable, expire } from "../ledger/table.ts";
import { type Judge, startMotoOneThread } from "../world/judges.ts";

let moto: Judge;
let client: DynamoDBClient;
beforeAll(async () => {
  moto = await startMotoOneThread();
  client = clientOf(moto.url);
});
afterAll(() => moto.stop());

let count = 0;
contract("dynamodb by moto", async () => {
  const table = `ledger-${count++}`;
  await createTable(client, table);
  return {
    ledger: dynamodbLedger(client, table),
    reopen: () => dynamodbLedger(client, table),
    forget: (before) => expire(client, table, before),
  };
});

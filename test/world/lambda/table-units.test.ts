import {
  BatchGetItemCommand,
  ConditionalCheckFailedException,
  type DynamoDBClient,
  GetItemCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { clientOf, createTable } from "../../ledger/table.ts";
import { type Judge, startDynalite } from "../judges.ts";
import { type CountingProxy, countingProxy } from "./counting-proxy.ts";
import { unitsOf, withUnits } from "./table-units.ts";

let dynamodb: Judge;
let proxy: CountingProxy;
let client: DynamoDBClient;
beforeAll(async () => {
  dynamodb = await startDynalite();
  await createTable(clientOf(dynamodb.url), "ledger");
  proxy = await countingProxy(dynamodb.url, withUnits(dynamodb.url));
  client = clientOf(proxy.url);
});
afterAll(async () => {
  client?.destroy();
  await proxy?.stop();
  await dynamodb.stop();
});
beforeEach(() => {
  proxy.exchanges.length = 0;
});

const keyOf = (pk: string) => ({ pk: { S: pk }, sk: { S: "s" } });
/** Sets attributes to texts, and removes those that are undefined. */
const update = async (
  pk: string,
  attributes: Record<string, string | undefined>,
  ConditionExpression?: string,
) => {
  const names = Object.keys(attributes);
  const given = names.filter((name) => attributes[name] !== undefined);
  const missing = names.filter((name) => attributes[name] === undefined);
  await client.send(
    new UpdateItemCommand({
      TableName: "ledger",
      Key: keyOf(pk),
      ConditionExpression,
      UpdateExpression: [
        ...(given.length > 0 ? [`SET ${given.map((name) => `#${name} = :${name}`).join(", ")}`] : []),
        ...(missing.length > 0 ? [`REMOVE ${missing.map((name) => `#${name}`).join(", ")}`] : []),
      ].join(" "),
      ExpressionAttributeNames: Object.fromEntries(names.map((name) => [`#${name}`, name])),
      ExpressionAttributeValues:
        given.length > 0
          ? Object.fromEntries(given.map((name) => [`:${name}`, { S: attributes[name] ?? "" }]))
          : undefined,
    }),
  );
  return unitsOf(proxy.exchanges.splice(0));
};
/** So long that an item with a key of one letter has this size: names and values count. */
const bodyFor = (bytes: number) => "x".repeat(bytes - "pk".length - 1 - "sks".length - "body".length);

describe("the units of a table", () => {
  it("are one for each kilobyte begun that is written, of the larger of before and after", async () => {
    expect(await update("a", { body: bodyFor(1024) })).toEqual({ read: 0, write: 1, indexWrite: 0 });
    expect(await update("a", { body: bodyFor(1025) })).toEqual({ read: 0, write: 2, indexWrite: 0 });
    expect(await update("a", { body: "short" })).toEqual({ read: 0, write: 2, indexWrite: 0 });
  });

  it("are one for each four kilobytes begun of an item that is read consistently, and one if there is none", async () => {
    await update("b", { body: bodyFor(4096) });
    await update("c", { body: bodyFor(4097) });
    const keys = ["b", "c", "none"].map(keyOf);
    for (const Key of keys)
      await client.send(new GetItemCommand({ TableName: "ledger", Key, ConsistentRead: true }));
    expect(proxy.exchanges.map((one) => unitsOf([one]).read)).toEqual([1, 2, 1]);
    proxy.exchanges.length = 0;
    await client.send(
      new BatchGetItemCommand({ RequestItems: { ledger: { Keys: keys, ConsistentRead: true } } }),
    );
    expect(unitsOf(proxy.exchanges).read).toBe(4);
  });

  it("are for each index one to come, two to move, one to go, and none to stay", async () => {
    const written = async (attributes: Record<string, string | undefined>) =>
      (await update("d", attributes)).indexWrite;
    expect(await written({ open_site: "site" })).toBe(0);
    expect(await written({ open_at: "1" })).toBe(1);
    expect(await written({ body: "other" })).toBe(0);
    expect(await written({ open_at: "2" })).toBe(2);
    expect(await written({ at: "1", site: "s", site_object: "o", site_contact: "c", site_ending: "e" })).toBe(
      4,
    );
    expect(await written({ open_site: undefined, site_ending: "other" })).toBe(3);
  });

  it("are paid for a write whose condition fails too, by what is there", async () => {
    await update("e", { body: bodyFor(1025), open_site: "site", open_at: "1" });
    await expect(update("e", { open_at: "2" }, "attribute_not_exists(pk)")).rejects.toThrow(
      ConditionalCheckFailedException,
    );
    expect(unitsOf(proxy.exchanges)).toEqual({ read: 0, write: 2, indexWrite: 0 });
  });
});

import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { entriesIn } from "./dynamodb/entries.ts";
import { journalIn } from "./dynamodb/journal.ts";
import { notesIn, routeKey } from "./dynamodb/notes.ts";
import { find } from "./dynamodb/table.ts";
import type { Ledger } from "./ledger.ts";
import { retryingOutcomes } from "./retrying-outcomes.ts";

/** A client whose waits all have a limit, with the credentials that the AWS SDK finds in its surroundings. */
export const dynamodbClient = (region?: string): DynamoDBClient =>
  new DynamoDBClient({
    region,
    // The queue retries a call that is throttled for longer.
    maxAttempts: 2,
    requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
  });

/** Whether a request may be taken the next time: it was throttled, or had no answer, or that of a broken server. */
const mayPass = (error: unknown): boolean => {
  const { name, code = "", $metadata } = error as Fault;
  return (
    ($metadata?.httpStatusCode ?? 0) >= 500 ||
    /Throttl|Throughput|RequestLimit|Timeout/.test(name) ||
    /^E[A-Z]+$/.test(code)
  );
};
type Fault = { name: string; code?: string; $metadata?: { httpStatusCode?: number } };

/**
 * The ledger in one DynamoDB table (infra/ has its keys and indexes). Only the entry's item is written under a
 * condition, and it holds the records of that write too: so all are there or none, at half of what a transaction
 * costs and without its conflicts. The records' own items follow. If the writer dies before they do, the next reader of
 * the entry writes them first. The alert was not acknowledged, so there is a next reader.
 */
export const dynamodbLedger = (
  client: DynamoDBClient,
  name: string,
  wait?: () => Promise<unknown>,
): Ledger => {
  const table = { client, name };
  const ledger: Ledger = {
    ...entriesIn(table),
    ...journalIn(table),
    ...notesIn(table),
    ready: async () => {
      await find(table, routeKey("ready"));
    },
  };
  return { ...ledger, write: retryingOutcomes(ledger, mayPass, () => performance.now(), wait) };
};

import { UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { contactKey } from "../../address.ts";
import type { Numbered } from "../../decide/order.ts";
import { mailName } from "../../identity.ts";
import { type JournalRecord, objectOf } from "../journal.ts";
import {
  attribute,
  bodyOf,
  expiresAfter,
  type Item,
  type Key,
  nameOf,
  number,
  recordKey,
  sortable,
  text,
  unpacked,
} from "./items.ts";
import { keyOf, type Table, update } from "./table.ts";

export const eventAt = (pk: string): Key => ({ pk, sk: "event" });
export const runsOf = (site: string, monitor: string): string => `runs ${site} ${monitor}`;
export const mailKey = (name: string): Key => ({ pk: `mail ${name}`, sk: "mail" });

/** The records of an entry's last write. */
export const lastOf = (item: Item | undefined): JournalRecord[] =>
  item?.records?.B ? JSON.parse(unpacked(item.records.B)) : [];

/** Lets the event lead to its alert; a second run of the event never leads to itself (twinOf). */
const noteEvent = async (table: Table, record: JournalRecord) => {
  const { eventKey, receivedAt, made, verdict, attempts } = record;
  if (made || verdict?.row === "R0" || attempts.length > 0) return;
  await table.client.send(
    new UpdateItemCommand({
      TableName: table.name,
      Key: keyOf(eventAt(eventKey)),
      UpdateExpression: "ADD #ids :ids SET #expires = :expires",
      ExpressionAttributeNames: { "#ids": "ids", "#expires": "expires" },
      ExpressionAttributeValues: {
        ":ids": { SS: [recordKey(record).pk] },
        ":expires": attribute(expiresAfter(receivedAt)),
      },
    }),
  );
};

/** Lets what comes back of a mail lead to its alert. */
const noteMail = async (table: Table, { site, id, messageId, claim }: JournalRecord) => {
  if (messageId === undefined || claim?.attempt !== 1) return;
  const body = JSON.stringify({ site, id });
  await update(table, mailKey(mailName(messageId)), { body, expires: expiresAfter(claim.since) });
};

/** Lets the event and the mail of each record lead to it. */
export const noteAll = (table: Table, records: readonly JournalRecord[]): Promise<unknown> =>
  Promise.all(records.flatMap((record) => [noteEvent(table, record), noteMail(table, record)]));

/** Writes a record's own item, unless a later write of its entry was there before. */
export const keepRecord = (table: Table, record: JournalRecord, revision: number, writtenBy: string) => {
  const { site, id, receivedAt, ending, objectKey, contact } = record;
  return update(
    table,
    recordKey(record),
    {
      revision,
      by: writtenBy,
      object_key: objectKey,
      body: bodyOf(record),
      at: sortable(receivedAt, id),
      site,
      site_object: `${site} ${objectOf(record)}`,
      site_contact: `${site} ${contactKey(contact)}`,
      site_ending: `${site} ${ending?.as ?? "pending"}`,
      // A digest that is still to come has the alerts that waited for long.
      expires: ending && expiresAfter(Math.max(receivedAt, ending.at)),
    },
    { expression: "attribute_not_exists(#pk) OR #object_key <> :object_key OR #revision < :revision" },
  );
};

/** Notes a number of a run. Workers note them in any order. Nearly always they rise, and then one request does. */
export const keepNumber = async (
  table: Table,
  { site, monitor, receivedAt }: JournalRecord,
  { start, number }: Numbered,
) => {
  const key = { pk: runsOf(site, monitor), sk: String(start).padStart(16, "0") };
  const expires = expiresAfter(receivedAt);
  const higher = { expression: "attribute_not_exists(#pk) OR #highest < :highest" };
  const rose = await update(table, key, { highest: number, lowest: number, expires }, higher, ["lowest"]);
  if (!rose) await update(table, key, { lowest: number }, { expression: "#lowest > :lowest" });
};

/** These records of an entry's last write whose writer died before they had items of their own. */
export const unkept = (item: Item | undefined, found: Map<string, Item>): JournalRecord[] =>
  lastOf(item).filter((record) => {
    const kept = found.get(nameOf(recordKey(record)));
    if (!kept || text(kept, "object_key") !== record.objectKey) return !kept;
    return number(kept, "revision") < number(item, "revision");
  });

/** Writes the own items of these records, as their writer would have done. */
export const keepAll = async (table: Table, records: readonly JournalRecord[], item: Item | undefined) => {
  await noteAll(table, records);
  const [revision, writtenBy] = [number(item, "revision"), text(item ?? {}, "by")];
  await Promise.all(records.map((record) => keepRecord(table, record, revision, writtenBy)));
};

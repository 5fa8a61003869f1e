import { ScanCommand, type ScanCommandOutput } from "@aws-sdk/client-dynamodb";
import { contactKey } from "../../address.ts";
import type { Returned } from "../../deliver/returned.ts";
import { fingerprint } from "../../identity.ts";
import { type JournalRecord, objectOf } from "../journal.ts";
import { type Journal, type JournalQuery, type Listing, mostReturned, type OpenProblem } from "../ledger.ts";
import { flowOf, totalsOf } from "./counts.ts";
import {
  entryOf,
  expiresAfter,
  type Item,
  type Key,
  keyIn,
  parse,
  placeOf,
  recordKey,
  sortable,
  text,
} from "./items.ts";
import { mailKey } from "./records.ts";
import { batchKeys, find, findAll, inOrder, newest, search, type Table, update } from "./table.ts";

/** How many records one search of the journal passes over at most, for a page that may then be short. */
const mostPassedOver = 2000;

const storyOf = async (table: Table, site: string, id: string): Promise<JournalRecord | undefined> => {
  const { pk } = recordKey({ site, id });
  const strictly = { ConsistentRead: true };
  const [{ Items = [] }, { Items: later = [] }] = await Promise.all([
    search(table, undefined, ["pk", pk], strictly),
    search(table, undefined, ["pk", "returned"], strictly, ["sk", "begins_with", `${site} ${id} `]),
  ]);
  const item = Items.find(({ sk }) => sk?.S === "record");
  // Bridges of before wrote it beside the record.
  const earlier = Items.filter(({ sk }) => sk?.S?.startsWith("returned "));
  const returned = [...earlier, ...later].map(parse<Returned>);
  return item && { ...parse<JournalRecord>(item), ...(returned.length > 0 && { returned }) };
};

/** The index and key by which a search passes over the fewest records. */
const indexFor = ({ site, object, outcome }: JournalQuery, mailbox: string | undefined) => {
  // The other endings are few: by them little is passed over.
  const common = outcome === "mailed" || outcome === "suppressed";
  if (outcome !== undefined && !(common && (object ?? mailbox) !== undefined))
    return ["ending", ["site_ending", `${site} ${outcome}`]] as const;
  if (object !== undefined) return ["object", ["site_object", `${site} ${object}`]] as const;
  if (mailbox !== undefined) return ["contact", ["site_contact", `${site} ${mailbox}`]] as const;
  return ["time", ["site", site]] as const;
};

const journalOf = async (table: Table, query: JournalQuery): Promise<Listing<JournalRecord>> => {
  const { object, contact, outcome, before, limit } = query;
  const mailbox = contact === undefined ? undefined : contactKey(contact);
  const [index, key] = indexFor(query, mailbox);
  // An index may lag behind, so each record is looked at.
  const wanted = (record: JournalRecord): boolean =>
    (object === undefined || objectOf(record) === object) &&
    (mailbox === undefined || contactKey(record.contact) === mailbox) &&
    (outcome === undefined || (record.ending?.as ?? "pending") === outcome);
  // Other records are skipped by the hundred, even if few of them match.
  const several = [object, mailbox, outcome].filter((one) => one !== undefined).length > 1;
  const atOnce = several ? Math.max(limit, batchKeys) : limit;
  const items: JournalRecord[] = [];
  let next = before;
  for (let seen = 0; seen < mostPassedOver; seen += atOnce) {
    const found = await newest(table, index, key, "at", next, atOnce);
    for (const { item, cursor } of found.page) {
      const record = item && parse<JournalRecord>(item);
      if (record && wanted(record)) items.push({ ...record, queued: undefined });
      if (items.length === limit) return { items, next: cursor };
    }
    next = found.next;
    if (next === undefined) break;
  }
  return { items, next };
};

const openIn = async (table: Table, limit: number): Promise<(OpenProblem & { site: string })[]> => {
  const keys: Key[] = [];
  let ExclusiveStartKey: Item | undefined;
  // The index has open episodes alone, so to scan it reads no more than is wanted.
  do {
    const page: ScanCommandOutput = await table.client.send(
      new ScanCommand({
        TableName: table.name,
        IndexName: "open",
        Limit: limit - keys.length,
        ExclusiveStartKey,
      }),
    );
    keys.push(...(page.Items ?? []).map(keyIn));
    ExclusiveStartKey = page.LastEvaluatedKey;
  } while (ExclusiveStartKey && keys.length < limit);
  return inOrder(keys, await findAll(table, keys))
    .filter((item) => item.open_at)
    .map((item) => ({ site: text(item, "site"), ...placeOf(item), entry: entryOf(item) }));
};

export const journalIn = (table: Table): Journal => ({
  story: (site, id) => storyOf(table, site, id),
  stories: async (site, ids) => {
    const keys = ids.map((id) => recordKey({ site, id }));
    return inOrder(keys, await findAll(table, keys)).map(parse<JournalRecord>);
  },
  mailed: async (name) => {
    const found = await find(table, mailKey(name));
    const item = found && (await find(table, recordKey(parse(found))));
    return item && parse(item);
  },
  // Not beside the record: the process that takes reports then needs no right to write records.
  noteReturned: async (site, id, returned) => {
    const body = JSON.stringify(returned);
    const sk = `${site} ${id} ${sortable(returned.at, fingerprint("returned", body))}`;
    await update(table, { pk: "returned", sk }, { body, expires: expiresAfter(returned.at) });
  },
  returned: async (site) => {
    const range = ["sk", "begins_with", `${site} `] as const;
    const { Items = [] } = await search(table, undefined, ["pk", "returned"], {}, range);
    const idOf = (item: Item) => text(item, "sk").split(" ")[1] ?? "";
    const reports = Items.map((item) => ({ ...parse<Returned>(item), id: idOf(item) }));
    return reports.sort((a, b) => b.at - a.at).slice(0, mostReturned);
  },
  journal: (query) => journalOf(table, query),
  problems: async ({ site, before, limit }) => {
    const { page, next } = await newest(table, "open", ["open_site", site], "open_at", before, limit);
    // An index may lag behind.
    const open = page.flatMap(({ item }) => (item?.open_at ? [item] : []));
    return { items: open.map((item) => ({ ...placeOf(item), entry: entryOf(item) })), next };
  },
  open: (limit) => openIn(table, limit),
  totals: (site) => totalsOf(table, site),
  flow: (site, since) => flowOf(table, site, since),
});

import { dueAt, type Entry, emptyEntry, isTelling, openProblem } from "../../decide/entry.ts";
import { mostRuns, type Run } from "../../decide/order.ts";
import { hostKey } from "../../identity.ts";
import type { QueuedAlert } from "../../queue/message.ts";
import { type JournalRecord, newRecord, objectOf } from "../journal.ts";
import type { Change, Due, Entries, Page } from "../ledger.ts";
import { overdueIn, pageOf } from "../read-page.ts";
import {
  bodyOf,
  entryOf,
  expiresAfter,
  type Key,
  keyIn,
  nameOf,
  number,
  packed,
  parse,
  placeOf,
  recordAt,
  recordKey,
  sortable,
  text,
  type Value,
} from "./items.ts";
import { eventAt, keepAll, keepNumber, keepRecord, lastOf, noteAll, runsOf, unkept } from "./records.ts";
import { advance, batchKeys, find, findAll, inOrder, newMark, search, type Table } from "./table.ts";

const entryKey = (pk: string): Key => ({ pk, sk: "entry" });

/** A monitor's last runs. */
const runsIn = async (table: Table, site: string, monitor: string): Promise<Run[]> => {
  const newestFirst = { ConsistentRead: true, ScanIndexForward: false, Limit: mostRuns };
  const { Items = [] } = await search(table, undefined, ["pk", runsOf(site, monitor)], newestFirst);
  return Items.map((item) => ({
    start: Number(text(item, "sk")),
    lowest: number(item, "lowest"),
    highest: number(item, "highest"),
  }));
};

const read = async (table: Table, queued: QueuedAlert): Promise<Page> => {
  const { site, alert } = queued;
  const fresh = newRecord(queued);
  // Read first: if anything read after it is newer than the entry, the entry's revision has changed.
  const entry = await find(table, entryKey(fresh.objectKey));
  const [mine, event] = [recordKey(queued), eventAt(fresh.eventKey)];
  const host = entryKey(hostKey(site, alert));
  const ofService = alert.object.service !== null;
  const last = lastOf(entry);
  const [found, runs] = await Promise.all([
    findAll(table, [mine, event, ...(ofService ? [host] : []), ...last.map(recordKey)]),
    runsIn(table, site, alert.monitor.id),
  ]);
  const late = unkept(entry, found);
  if (late.length > 0) {
    await keepAll(table, late, entry);
    return read(table, queued);
  }
  // The last write may have noted its event just after we looked.
  const ofEvent = last.filter(({ eventKey }) => eventKey === fresh.eventKey).map((one) => recordKey(one).pk);
  const noted = new Set([...ofEvent, ...(found.get(nameOf(event))?.ids?.SS ?? [])]);
  noted.delete(mine.pk);
  const others = await findAll(table, [...noted].slice(0, batchKeys).map(recordAt));
  const known = found.get(nameOf(mine));
  const knownHost = found.get(nameOf(host));
  return pageOf(queued, fresh, {
    entry: entry && entryOf(entry),
    host: ofService && knownHost ? entryOf(knownHost) : undefined,
    runs,
    known: known && parse<JournalRecord>(known),
    others: [...others.values()].map(parse<JournalRecord>),
  });
};

const readEntry = async (table: Table, key: string): Promise<Entry> => {
  const item = await find(table, entryKey(key));
  const last = lastOf(item);
  if (last.length > 0) await keepAll(table, unkept(item, await findAll(table, last.map(recordKey))), item);
  return item ? entryOf(item) : emptyEntry;
};

/** The attributes of an entry's item after a change, with the records of that change. */
const attributesOf = ({ key, entry, records, of }: Change): Record<string, Value> => {
  const { revision: _, ...body } = entry;
  const [first] = records;
  const place = first ?? of;
  const [open, due] = [openProblem(entry), dueAt(entry)];
  return {
    body: bodyOf(body),
    records: first && packed(JSON.stringify(records)),
    ...(place && { site: place.site, host: place.host, service: place.service ?? undefined }),
    // Without a record nothing is opened: what is open has its site already.
    ...(open ? first && { open_site: first.site } : { open_site: undefined }),
    open_at: open && sortable(open.since, key),
    due: due === undefined ? undefined : "due",
    due_at: due,
    expires: due === undefined && !isTelling(entry) ? expiresAfter(entry.touchedAt) : undefined,
  };
};

const write = async (table: Table, change: Change, writtenBy: string): Promise<boolean> => {
  const { key, entry, records, of, numbered } = change;
  const { revision } = entry;
  const [first] = records;
  if (revision === 0 && !(first ?? of)) return false;
  // A later writer of the entry has first written our records.
  const traces = first ? [recordKey(first)] : [];
  const [written] = await Promise.all([
    advance(table, writtenBy, entryKey(key), revision, attributesOf(change), traces),
    first && numbered && keepNumber(table, first, numbered),
    noteAll(table, records),
  ]);
  if (!written) return false;
  await Promise.all(records.map((record) => keepRecord(table, record, revision + 1, writtenBy)));
  return true;
};

const dueIn = async (table: Table, now: number, limit: number): Promise<Due[]> => {
  const { Items = [] } = await search(table, "due", ["due", "due"], { Limit: limit }, ["due_at", "<=", now]);
  const keys = Items.map(keyIn);
  const found = inOrder(keys, await findAll(table, keys)).flatMap((item) => {
    const entry = entryOf(item);
    const site = text(item, "site");
    const overdue = overdueIn(entry, now).map(({ id, due }) => ({ key: recordKey({ site, id }), due }));
    // An index may lag behind.
    return (dueAt(entry) ?? Number.POSITIVE_INFINITY) > now ? [] : [{ item, entry, overdue }];
  });
  const records = await findAll(
    table,
    found.flatMap(({ item, overdue }) => [...overdue.map(({ key }) => key), ...lastOf(item).map(recordKey)]),
  );
  const result: Due[] = [];
  for (const { item, entry, overdue } of found) {
    const late = unkept(item, records);
    await keepAll(table, late, item);
    const alerts = overdue.flatMap(({ key, due }) => {
      const kept = records.get(nameOf(key));
      const record = late.find((one) => recordKey(one).pk === key.pk) ?? (kept && parse<JournalRecord>(kept));
      return record?.queued ? [{ queued: record.queued, due }] : [];
    });
    result.push({ key: text(item, "pk"), object: objectOf(placeOf(item)), entry, alerts });
  }
  return result;
};

export const entriesIn = (table: Table): Entries => {
  // A change that is tried again is known for what it was.
  const marks = new WeakMap<Change, string>();
  return {
    read: (queued) => read(table, queued),
    entry: (key) => readEntry(table, key),
    write: (change) => {
      const writtenBy = marks.get(change) ?? newMark();
      marks.set(change, writtenBy);
      return write(table, change, writtenBy);
    },
    due: (now, limit) => dueIn(table, now, limit),
    // DynamoDB deletes by itself what has expired.
    prune: async () => 0,
  };
};

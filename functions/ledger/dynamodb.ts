import { setTimeout } from "node:timers/promises";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import {
  type AttributeValue,
  BatchGetItemCommand,
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  QueryCommand,
  type QueryCommandInput,
  type QueryCommandOutput,
  ScanCommand,
  type ScanCommandOutput,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { contactKey } from "../address.ts";
import { dueAt, type Entry, emptyEntry, isTelling, openProblem } from "../decide/entry.ts";
import { mostRuns, type Numbered, numbering, type Run } from "../decide/order.ts";
import { newRoute, type RouteState, storedRoute } from "../deliver/breaker.ts";
import type { Returned } from "../deliver/returned.ts";
import { fingerprint, hostKey, mailName } from "../identity.ts";
import { hourMilliseconds, hoursOf, lastMailed, mailedAt } from "./flow.ts";
import { type Heartbeat, newHeartbeat } from "./heartbeat.ts";
import {
  type JournalRecord,
  newRecord,
  type Outcome,
  objectOf,
  outcomes,
  resumed,
  twinOf,
} from "./journal.ts";
import { type Change, type Due, keepMilliseconds, type Ledger, mostReturned, readCursor } from "./ledger.ts";
import { readEntry } from "./read-entry.ts";
import type { Rejection } from "./rejection.ts";
import { retryingOutcomes } from "./retrying-outcomes.ts";

type Item = Record<string, AttributeValue>;
type Value = string | number | Uint8Array | undefined;
type Key = { pk: string; sk: string };

/** A client whose waits all have a limit, with the credentials that the AWS SDK finds in its surroundings. */
export const dynamodbClient = (region?: string): DynamoDBClient =>
  new DynamoDBClient({
    region,
    // The queue retries a call that is throttled for longer.
    maxAttempts: 2,
    requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
  });

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
const batchKeys = 100;
const mostRounds = 6;
/** How many records one search of the journal passes over at most, for a page that may then be short. */
const mostPassedOver = 2000;
/** Flow and totals count 50,000 alerts of a kind at most: so many pages of so many keys. */
const countedPages = 20;
const countedAtOnce = 2500;
/** A longer name is no key: DynamoDB refuses to look for it. */
const mostKeyBytes = 2048;

const attribute = (value: string | number | Uint8Array): AttributeValue => {
  if (typeof value === "string") return { S: value };
  return typeof value === "number" ? { N: String(value) } : { B: value };
};
const text = (item: Item, name: string): string => item[name]?.S ?? "";
const number = (item: Item | undefined, name: string): number => Number(item?.[name]?.N ?? 0);
// An item ends at 400 KB: what is long repeats itself, be it the tries of a mail or one alert for many contacts.
const packed = (body: string): Uint8Array =>
  brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } });
const unpacked = (body: Uint8Array): string => brotliDecompressSync(body).toString();
const readableCharacters = 50_000;
const bodyOf = (value: object): string | Uint8Array => {
  const body = JSON.stringify(value);
  return body.length > readableCharacters ? packed(body) : body;
};
const parse = <T>(item: Item): T =>
  JSON.parse(item.body?.B ? unpacked(item.body.B) : text(item, "body")) as T;

const entryKey = (pk: string): Key => ({ pk, sk: "entry" });
const recordAt = (pk: string): Key => ({ pk, sk: "record" });
const recordKey = ({ site, id }: { site: string; id: string }): Key => recordAt(`alert ${site} ${id}`);
const eventAt = (pk: string): Key => ({ pk, sk: "event" });
const runsOf = (site: string, monitor: string): string => `runs ${site} ${monitor}`;
const routeKey = (sk: string): Key => ({ pk: "routes", sk });
const heartbeatKey = (site: string, monitor: string): Key => ({ pk: "heartbeats", sk: `${site} ${monitor}` });
const mailKey = (name: string): Key => ({ pk: `mail ${name}`, sk: "mail" });
const rejectionKey = (site: string, id: string): Key => ({ pk: "rejected", sk: `${site} ${id}` });
const nameOf = ({ pk, sk }: Key): string => `${pk}\n${sk}`;

/** Times and names as one string that sorts as they do. */
const sortable = (at: number, name: string): string => `${String(at).padStart(16, "0")}.${name}`;

const entryOf = (item: Item): Entry => readEntry(parse(item), number(item, "revision"));
const stateOf = (item: Item): RouteState => ({
  ...storedRoute(parse(item)),
  route: text(item, "sk"),
  revision: number(item, "revision"),
});
const heartbeatOf = (item: Item): Heartbeat => ({
  ...parse<Heartbeat>(item),
  revision: number(item, "revision"),
});
const rejectionOf = (item: Item): Rejection => ({
  ...parse<Rejection>(item),
  revision: number(item, "revision"),
});
const returnedOf = (item: Item): Returned & { id: string } => ({
  ...parse<Returned>(item),
  id: text(item, "sk").split(" ")[1] ?? "",
});
const runOf = (item: Item): Run => ({
  start: Number(text(item, "sk")),
  lowest: number(item, "lowest"),
  highest: number(item, "highest"),
});
const placeOf = (item: Item) => ({ host: text(item, "host"), service: item.service?.S ?? null });
const keyIn = (item: Item): Key => ({ pk: text(item, "pk"), sk: text(item, "sk") });

/** The items of these keys, in their order. */
const inOrder = (keys: readonly Key[], found: Map<string, Item>): Item[] =>
  keys.map((key) => found.get(nameOf(key))).filter((item) => item !== undefined);
/** The records of an entry's last write. */
const lastOf = (item: Item | undefined): JournalRecord[] =>
  item?.records?.B ? JSON.parse(unpacked(item.records.B)) : [];

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
const second = () => setTimeout(1000);

/** Marks one write among those of an item; short, for a write unit has 1 KB. */
const newMark = (): string => crypto.randomUUID().slice(-12);

/** TTL is in seconds, and deletes within some days after it. */
const expiresAfter = (at: number): number => Math.ceil((at + keepMilliseconds) / 1000);

/**
 * The ledger in one DynamoDB table (infra/ has its keys and indexes). Only the entry's item is written under a
 * condition, and it holds the records of that write too: so all are there or none, at half of what a transaction
 * costs and without its conflicts. The records' own items follow. If the writer dies before they do, whoever reads
 * the entry next writes them first; and since the alert was not acknowledged, somebody will.
 */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: an adapter: a method for each call of the port.
export const dynamodbLedger = (
  client: DynamoDBClient,
  TableName: string,
  wait: () => Promise<unknown> = second,
): Ledger => {
  const keyOf = ({ pk, sk }: Key) => ({ pk: { S: pk }, sk: { S: sk } });

  const find = async (key: Key): Promise<Item | undefined> => {
    const { Item } = await client.send(
      new GetItemCommand({ TableName, Key: keyOf(key), ConsistentRead: true }),
    );
    return Item;
  };
  /**
   * The items of these keys, by name. DynamoDB leaves some of a batch for later when it is throttled, and whenever
   * they have more than 1 MB in one of its partitions: as long as some are read, others are asked for.
   */
  const findAll = async (keys: readonly Key[]): Promise<Map<string, Item>> => {
    const found = new Map<string, Item>();
    let wanted = [...new Map(keys.map((key) => [nameOf(key), keyOf(key)])).values()];
    let vain = 0;
    while (wanted.length > 0) {
      if (vain > mostRounds) throw new Error("DynamoDB did not read all items: it is throttled");
      if (vain > 0) await setTimeout(50 * 2 ** vain);
      const [batch, rest] = [wanted.slice(0, batchKeys), wanted.slice(batchKeys)];
      const { Responses, UnprocessedKeys } = await client.send(
        new BatchGetItemCommand({ RequestItems: { [TableName]: { Keys: batch, ConsistentRead: true } } }),
      );
      for (const item of Responses?.[TableName] ?? []) found.set(nameOf(keyIn(item)), item);
      const unread = (UnprocessedKeys?.[TableName]?.Keys ?? []) as typeof batch;
      vain = unread.length < batch.length ? 0 : vain + 1;
      wanted = [...unread, ...rest];
    }
    return found;
  };

  /**
   * Sets attributes, but those of `kept` only where there is none, and removes those that are undefined; false if the
   * item is not as the condition needs it.
   */
  const update = async (
    key: Key,
    attributes: Record<string, Value>,
    condition?: { expression: string; values: Record<string, Value> },
    kept: readonly string[] = [],
  ): Promise<boolean> => {
    const names = Object.keys(attributes);
    const [given, missing] = [true, false].map((wanted) =>
      names.filter((name) => (attributes[name] !== undefined) === wanted),
    ) as [string[], string[]];
    const conditionNames = [...(condition?.expression ?? "").matchAll(/#(\w+)/g)].map(
      ([, name = ""]) => name,
    );
    const values = Object.entries({ ...condition?.values, ...attributes });
    try {
      await client.send(
        new UpdateItemCommand({
          TableName,
          Key: keyOf(key),
          UpdateExpression: [
            `SET ${given.map((name) => `#${name} = ${kept.includes(name) ? `if_not_exists(#${name}, :${name})` : `:${name}`}`).join(", ")}`,
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
  /**
   * The next revision of an item; false if it has another than this already. When an answer is lost the SDK writes
   * again and is refused by its own first write: that is known by `writtenBy`, there or where else it has left a trace.
   */
  const advance = async (
    writtenBy: string,
    key: Key,
    revision: number,
    attributes: Record<string, Value>,
    traces: readonly Key[] = [],
  ): Promise<boolean> => {
    const written = await update(
      key,
      { ...attributes, revision: revision + 1, by: writtenBy },
      revision === 0
        ? { expression: "attribute_not_exists(#pk)", values: {} }
        : { expression: "#revision = :was", values: { was: revision } },
    );
    if (written) return true;
    for (const trace of [key, ...traces])
      if (text((await find(trace)) ?? {}, "by") === writtenBy) return true;
    return false;
  };

  /** Lets the event lead to its alert; a second run of the event never leads to itself (twinOf). */
  const noteEvent = async (record: JournalRecord) => {
    const { eventKey, receivedAt, made, verdict, attempts } = record;
    if (made || verdict?.row === "R0" || attempts.length > 0) return;
    await client.send(
      new UpdateItemCommand({
        TableName,
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
  const noteMail = async ({ site, id, messageId, claim }: JournalRecord) => {
    if (messageId === undefined || claim?.attempt !== 1) return;
    const body = JSON.stringify({ site, id });
    await update(mailKey(mailName(messageId)), { body, expires: expiresAfter(claim.since) });
  };
  /** Writes a record's own item, unless a later write of its entry was there before. */
  const keepRecord = (record: JournalRecord, revision: number, writtenBy: string) => {
    const { site, id, receivedAt, ending, objectKey, contact } = record;
    return update(
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
      {
        expression: "attribute_not_exists(#pk) OR #object_key <> :object_key OR #revision < :revision",
        values: {},
      },
    );
  };
  // Workers note a run's numbers in any order. Nearly always they rise, and one request does.
  const keepNumber = async ({ site, monitor, receivedAt }: JournalRecord, { start, number }: Numbered) => {
    const key = { pk: runsOf(site, monitor), sk: String(start).padStart(16, "0") };
    const expires = expiresAfter(receivedAt);
    const higher = "attribute_not_exists(#pk) OR #highest < :highest";
    const rose = await update(
      key,
      { highest: number, lowest: number, expires },
      { expression: higher, values: {} },
      ["lowest"],
    );
    if (!rose) await update(key, { lowest: number }, { expression: "#lowest > :lowest", values: {} });
  };

  /** These records of an entry's last write whose writer died before they had items of their own. */
  const unkept = (item: Item | undefined, found: Map<string, Item>): JournalRecord[] =>
    lastOf(item).filter((record) => {
      const kept = found.get(nameOf(recordKey(record)));
      if (!kept || text(kept, "object_key") !== record.objectKey) return !kept;
      return number(kept, "revision") < number(item, "revision");
    });
  const keepAll = async (records: readonly JournalRecord[], item: Item | undefined) => {
    await Promise.all([...records.map(noteEvent), ...records.map(noteMail)]);
    const [revision, writtenBy] = [number(item, "revision"), text(item ?? {}, "by")];
    await Promise.all(records.map((record) => keepRecord(record, revision, writtenBy)));
  };

  const read: Ledger["read"] = async (queued) => {
    const { site, alert } = queued;
    const fresh = newRecord(queued);
    // Before all else that a write changes: who then reads something newer finds the revision gone.
    const entry = await find(entryKey(fresh.objectKey));
    const [mine, event] = [recordKey(queued), eventAt(fresh.eventKey)];
    const host = entryKey(hostKey(site, alert));
    const ofService = alert.object.service !== null;
    const last = lastOf(entry);
    const [found, { Items: runs = [] }] = await Promise.all([
      findAll([mine, event, ...(ofService ? [host] : []), ...last.map(recordKey)]),
      search(undefined, ["pk", runsOf(site, alert.monitor.id)], {
        ConsistentRead: true,
        ScanIndexForward: false,
        Limit: mostRuns,
      }),
    ]);
    const late = unkept(entry, found);
    if (late.length > 0) {
      await keepAll(late, entry);
      return read(queued);
    }
    // The last write may have noted its event just after we looked.
    const ofEvent = last
      .filter(({ eventKey }) => eventKey === fresh.eventKey)
      .map((one) => recordKey(one).pk);
    const noted = new Set([...ofEvent, ...(found.get(nameOf(event))?.ids?.SS ?? [])]);
    noted.delete(mine.pk);
    const others = await findAll([...noted].slice(0, batchKeys).map(recordAt));
    const known = found.get(nameOf(mine));
    const knownRecord = known && parse<JournalRecord>(known);
    const record = resumed(knownRecord ?? fresh, queued);
    const knownHost = found.get(nameOf(host));
    return {
      key: fresh.objectKey,
      entry: entry ? entryOf(entry) : emptyEntry,
      host: ofService && knownHost ? entryOf(knownHost) : undefined,
      ...numbering(runs.map(runOf), queued),
      record,
      twin: twinOf(knownRecord, alert, [...others.values()].map(parse<JournalRecord>)),
      inDoubt: record.inDoubt,
      putBack: record.putBackAt !== knownRecord?.putBackAt,
    };
  };

  const entry = async (key: string): Promise<Entry> => {
    const item = await find(entryKey(key));
    const last = lastOf(item);
    if (last.length > 0) await keepAll(unkept(item, await findAll(last.map(recordKey))), item);
    return item ? entryOf(item) : emptyEntry;
  };

  // A change that is tried again is known for what it was.
  const marks = new WeakMap<Change, string>();
  const write = async (change: Change): Promise<boolean> => {
    const { key, entry, records, of, numbered } = change;
    const { revision, ...body } = entry;
    const [first] = records;
    const place = first ?? of;
    if (revision === 0 && !place) return false;
    const [open, due] = [openProblem(entry), dueAt(entry)];
    const writtenBy = marks.get(change) ?? newMark();
    marks.set(change, writtenBy);
    // A later writer of the entry has first written our records.
    const traces = first ? [recordKey(first)] : [];
    const commit = advance(
      writtenBy,
      entryKey(key),
      revision,
      {
        body: bodyOf(body),
        records: first && packed(JSON.stringify(records)),
        ...(place && { site: place.site, host: place.host, service: place.service ?? undefined }),
        // Without a record nothing is opened: what is open has its site already.
        ...(open ? first && { open_site: first.site } : { open_site: undefined }),
        open_at: open && sortable(open.since, key),
        due: due === undefined ? undefined : "due",
        due_at: due,
        expires: due === undefined && !isTelling(entry) ? expiresAfter(entry.touchedAt) : undefined,
      },
      traces,
    );
    const [written] = await Promise.all([
      commit,
      first && numbered && keepNumber(first, numbered),
      ...records.map(noteEvent),
      ...records.map(noteMail),
    ]);
    if (!written) return false;
    await Promise.all(records.map((record) => keepRecord(record, revision + 1, writtenBy)));
    return true;
  };

  /** One page of what has this key, in an index or, without its name, in the table. The indexes hold keys alone. */
  const search = (
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
    return client.send(
      new QueryCommand({
        TableName,
        IndexName: index,
        KeyConditionExpression: `#key = :key${range ? ` AND ${operator === "begins_with" ? "begins_with(#range, :end)" : `#range ${operator} :end`}` : ""}`,
        ExpressionAttributeNames: { "#key": key, ...(range && { "#range": range }) },
        ExpressionAttributeValues: {
          ":key": attribute(value),
          ...(end !== undefined && { ":end": attribute(end) }),
        },
        ...more,
      }),
    );
  };
  /** One page of an index: the newest items before the cursor, each with its own; `full` if there may be more. */
  const newest = async (
    index: string,
    key: readonly [name: string, value: string],
    range: string,
    before: string | undefined,
    limit: number,
  ): Promise<{ page: { item: Item | undefined; cursor: string }[]; full: boolean }> => {
    const end = sortable(...readCursor(before));
    const backwards = { ScanIndexForward: false, Limit: limit };
    const { Items = [] } = await search(index, key, backwards, [range, "<", end]);
    const found = await findAll(Items.map(keyIn));
    const page = Items.map((indexed) => ({
      item: found.get(nameOf(keyIn(indexed))),
      cursor: text(indexed, range).replace(/^0+(?=\d)/, ""),
    }));
    return { page, full: Items.length === limit };
  };

  const ledger: Ledger = {
    read,
    entry,
    write,
    route: async (name) => {
      const item = await find(routeKey(name));
      return item ? stateOf(item) : newRoute(name);
    },
    writeRoute: ({ route, revision, ...body }) =>
      advance(newMark(), routeKey(route), revision, { body: bodyOf(body) }),
    routes: async () => {
      const { Items = [] } = await search(undefined, ["pk", "routes"], { ConsistentRead: true });
      return Items.map(stateOf);
    },
    heartbeat: async (site, monitor) => {
      const item = await find(heartbeatKey(site, monitor));
      return item ? heartbeatOf(item) : newHeartbeat(site, monitor);
    },
    writeHeartbeat: ({ revision, ...body }) =>
      advance(newMark(), heartbeatKey(body.site, body.monitor), revision, {
        body: bodyOf(body),
        expires: expiresAfter(body.at),
      }),
    heartbeats: async () => {
      const { Items = [] } = await search(undefined, ["pk", "heartbeats"], { ConsistentRead: true });
      return Items.map(heartbeatOf);
    },
    rejection: async (site, id) => {
      const item = await find(rejectionKey(site, id));
      return item && rejectionOf(item);
    },
    writeRejection: ({ revision, ...body }) => {
      const { site, id, first, last, told } = body;
      return advance(newMark(), rejectionKey(site, id), revision, {
        body: bodyOf(body),
        site_ending: `${site} rejected`,
        at: sortable(last, id),
        due: told ? undefined : "rejected",
        due_at: told ? undefined : first,
        expires: expiresAfter(last),
      });
    },
    rejections: async ({ site, before, limit }) => {
      const { page, full } = await newest("ending", ["site_ending", `${site} rejected`], "at", before, limit);
      const items = page.flatMap(({ item }) => (item ? [rejectionOf(item)] : []));
      return { items, next: full ? page.at(-1)?.cursor : undefined };
    },
    untoldRejections: async (limit) => {
      const { Items = [] } = await search("due", ["due", "rejected"], { Limit: limit });
      const keys = Items.map(keyIn);
      // An index may lag behind.
      return inOrder(keys, await findAll(keys))
        .map(rejectionOf)
        .filter(({ told }) => !told);
    },
    due: async (now, limit) => {
      const { Items = [] } = await search("due", ["due", "due"], { Limit: limit }, ["due_at", "<=", now]);
      const keys = Items.map(keyIn);
      const items = inOrder(keys, await findAll(keys));
      const heldIn = (item: Item) =>
        Object.entries(entryOf(item).held)
          .filter(([, { due, queued }]) => due <= now && !queued)
          .sort(([, a], [, b]) => a.due - b.due || a.receivedAt - b.receivedAt)
          .map(([id, { due }]) => ({ key: recordKey({ site: text(item, "site"), id }), due }));
      const records = await findAll(
        items.flatMap((item) => [...heldIn(item).map(({ key }) => key), ...lastOf(item).map(recordKey)]),
      );
      const result: Due[] = [];
      for (const item of items) {
        // An index may lag behind.
        if ((dueAt(entryOf(item)) ?? Number.POSITIVE_INFINITY) > now) continue;
        const late = unkept(item, records);
        await keepAll(late, item);
        const alerts = heldIn(item).flatMap(({ key, due }) => {
          const kept = records.get(nameOf(key));
          const record =
            late.find((one) => recordKey(one).pk === key.pk) ?? (kept && parse<JournalRecord>(kept));
          return record?.queued ? [{ queued: record.queued, due }] : [];
        });
        result.push({ key: text(item, "pk"), object: objectOf(placeOf(item)), entry: entryOf(item), alerts });
      }
      return result;
    },
    story: async (site, id) => {
      const { pk } = recordKey({ site, id });
      const strictly = { ConsistentRead: true };
      const [{ Items = [] }, { Items: later = [] }] = await Promise.all([
        search(undefined, ["pk", pk], strictly),
        search(undefined, ["pk", "returned"], strictly, ["sk", "begins_with", `${site} ${id} `]),
      ]);
      const item = Items.find(({ sk }) => sk?.S === "record");
      // Bridges of before wrote it beside the record.
      const earlier = Items.filter(({ sk }) => sk?.S?.startsWith("returned "));
      const returned = [...earlier, ...later].map(parse<Returned>);
      return item && { ...parse<JournalRecord>(item), ...(returned.length > 0 && { returned }) };
    },
    stories: async (site, ids) => {
      const keys = ids.map((id) => recordKey({ site, id }));
      return inOrder(keys, await findAll(keys)).map(parse<JournalRecord>);
    },
    mailed: async (name) => {
      const found = await find(mailKey(name));
      const item = found && (await find(recordKey(parse(found))));
      return item && parse(item);
    },
    // Not beside the record: whoever takes reports may then write none of the journal's records.
    noteReturned: async (site, id, returned) => {
      const body = JSON.stringify(returned);
      const sk = `${site} ${id} ${sortable(returned.at, fingerprint("returned", body))}`;
      await update({ pk: "returned", sk }, { body, expires: expiresAfter(returned.at) });
    },
    returned: async (site) => {
      const { Items = [] } = await search(undefined, ["pk", "returned"], {}, [
        "sk",
        "begins_with",
        `${site} `,
      ]);
      return Items.map(returnedOf)
        .toSorted((a, b) => b.at - a.at)
        .slice(0, mostReturned);
    },
    journal: async ({ site, object, contact, outcome, before, limit }) => {
      const mailbox = contact === undefined ? undefined : contactKey(contact);
      // The other endings are few: by them little is passed over.
      const common = outcome === "mailed" || outcome === "suppressed";
      const [index, key] =
        outcome !== undefined && !(common && (object ?? mailbox) !== undefined)
          ? (["ending", ["site_ending", `${site} ${outcome}`]] as const)
          : object !== undefined
            ? (["object", ["site_object", `${site} ${object}`]] as const)
            : mailbox !== undefined
              ? (["contact", ["site_contact", `${site} ${mailbox}`]] as const)
              : (["time", ["site", site]] as const);
      // An index may lag behind, so each record is looked at.
      const wanted = (record: JournalRecord): boolean =>
        (object === undefined || objectOf(record) === object) &&
        (mailbox === undefined || contactKey(record.contact) === mailbox) &&
        (outcome === undefined || (record.ending?.as ?? "pending") === outcome);
      // Other records are skipped by the hundred, even if few of them match.
      const several = [object, mailbox, outcome].filter((one) => one !== undefined).length > 1;
      const atOnce = several ? Math.max(limit, batchKeys) : limit;
      const items: JournalRecord[] = [];
      let [cursor, seen] = [before, 0];
      for (;;) {
        const { page, full } = await newest(index, key, "at", cursor, atOnce);
        for (const { item, cursor: next } of page) {
          const record = item && parse<JournalRecord>(item);
          if (record && wanted(record)) items.push({ ...record, queued: undefined });
          if (items.length === limit) return { items, next };
        }
        if (!full) return { items };
        cursor = page.at(-1)?.cursor;
        seen += page.length;
        if (seen >= mostPassedOver) return { items, next: cursor };
      }
    },
    problems: async ({ site, before, limit }) => {
      const { page, full } = await newest("open", ["open_site", site], "open_at", before, limit);
      // An index may lag behind.
      const open = page.flatMap(({ item }) => (item?.open_at ? [item] : []));
      const items = open.map((item) => ({ ...placeOf(item), entry: entryOf(item) }));
      return { items, next: full ? page.at(-1)?.cursor : undefined };
    },
    open: async (limit) => {
      const keys: Key[] = [];
      let ExclusiveStartKey: Item | undefined;
      // The index has open episodes alone, so to scan it reads no more than is wanted.
      do {
        const page: ScanCommandOutput = await client.send(
          new ScanCommand({ TableName, IndexName: "open", Limit: limit - keys.length, ExclusiveStartKey }),
        );
        keys.push(...(page.Items ?? []).map(keyIn));
        ExclusiveStartKey = page.LastEvaluatedKey;
      } while (ExclusiveStartKey && keys.length < limit);
      return inOrder(keys, await findAll(keys))
        .filter((item) => item.open_at)
        .map((item) => ({ site: text(item, "site"), ...placeOf(item), entry: entryOf(item) }));
    },
    totals: async (site) => {
      const count = async (outcome: Outcome) => {
        let [pages, sum, ExclusiveStartKey]: [number, number, Item | undefined] = [0, 0, undefined];
        do {
          const page: QueryCommandOutput = await search("ending", ["site_ending", `${site} ${outcome}`], {
            Select: "COUNT",
            Limit: countedAtOnce,
            ExclusiveStartKey,
          });
          sum += page.Count ?? 0;
          pages += 1;
          ExclusiveStartKey = page.LastEvaluatedKey;
        } while (ExclusiveStartKey && pages < countedPages);
        return [outcome, sum] as const;
      };
      return Object.fromEntries(await Promise.all(outcomes.map(count))) as Record<Outcome, number>;
    },
    /** Reads two keys of an index for each alert: some 16 alerts for each unit of reading. */
    flow: async (site, since) => {
      const count = async (index: string, key: readonly [name: string, value: string]) => {
        const counts = new Map<number, number>();
        let [pages, last, ExclusiveStartKey]: [number, number, Item | undefined] = [0, since, undefined];
        do {
          const page: QueryCommandOutput = await search(
            index,
            key,
            {
              ScanIndexForward: false,
              Limit: countedAtOnce,
              ProjectionExpression: "#range",
              ExclusiveStartKey,
            },
            ["at", ">=", sortable(since, "")],
          );
          for (const item of page.Items ?? []) {
            [last] = readCursor(text(item, "at"));
            const hour = Math.floor(last / hourMilliseconds);
            counts.set(hour, (counts.get(hour) ?? 0) + 1);
          }
          pages += 1;
          ExclusiveStartKey = page.LastEvaluatedKey;
        } while (ExclusiveStartKey && pages < countedPages);
        return { counts, from: ExclusiveStartKey ? last : since };
      };
      const ofEnding = (ending: string) => ["site_ending", `${site} ${ending}`] as const;
      const [accepted, mailed, suppressed, newestOne, mails] = await Promise.all([
        count("time", ["site", site]),
        count("ending", ofEnding("mailed")),
        count("ending", ofEnding("suppressed")),
        newest("time", ["site", site], "at", undefined, 1),
        newest("ending", ofEnding("mailed"), "at", undefined, lastMailed),
      ]);
      const cut = Math.max(accepted.from, mailed.from, suppressed.from);
      // The hour in which counting ended is not whole.
      const from = cut === since ? since : (Math.floor(cut / hourMilliseconds) + 1) * hourMilliseconds;
      const hours = hoursOf({
        accepted: accepted.counts,
        mailed: mailed.counts,
        suppressed: suppressed.counts,
      });
      const [first] = newestOne.page;
      return {
        since: from,
        hours: hours.filter(({ at }) => cut === since || at >= from),
        acceptedAt: first && readCursor(first.cursor)[0],
        mailedAt: mailedAt(mails.page.flatMap(({ item }) => (item ? [parse<JournalRecord>(item)] : []))),
      };
    },
    // DynamoDB deletes by itself what has expired.
    prune: async () => 0,
    ready: async () => {
      await find(routeKey("ready"));
    },
  };
  return retryingOutcomes(ledger, mayPass, wait, () => performance.now());
};

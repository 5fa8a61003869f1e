import { contactKey } from "../../address.ts";
import type { Returned } from "../../deliver/returned.ts";
import { type Flow, hourMilliseconds, hoursOf, lastMailed, mailedAt } from "../flow.ts";
import { type JournalRecord, type Outcome, outcomes, type Totals } from "../journal.ts";
import {
  cursorOf,
  type Journal,
  type JournalQuery,
  type Listing,
  mostReturned,
  type OpenProblem,
  readCursor,
} from "../ledger.ts";
import { entryOf, parse, placeOf, type SqlEngine } from "./engine.ts";
import { recordOf } from "./records.ts";

const fewEnd: readonly Outcome[] = ["pending", "refused", "dead"];
/**
 * The index by which a search passes over the fewest records. By outcome, as SQLite would have it, one object's mails
 * are found only after all others'; by time, few dead letters only after all that was mailed. Where another filter is
 * left the index has it: the records themselves are read for the page alone.
 */
const indexFor = ({ object, contact, outcome }: JournalQuery): string => {
  if (outcome && fewEnd.includes(outcome)) return "journal_outcome";
  if (object !== undefined) return "journal_of_object";
  if (contact !== undefined) return "journal_of_contact";
  return outcome ? "journal_outcome" : "journal_time";
};

const search = (engine: SqlEngine, query: JournalQuery): Listing<JournalRecord> => {
  const { site, object, contact, outcome, before, limit } = query;
  const ending = outcome === "pending" ? null : outcome;
  const items = engine
    .all(
      // Whole alerts, which only those that wait have, would be more than a Durable Object's answer holds.
      `SELECT CASE WHEN ending IS NULL THEN json_remove(body, '$.queued') ELSE body END AS body FROM (
       SELECT site, id FROM journal INDEXED BY ${indexFor(query)}
       WHERE site = ? AND (received_at, id) < (?, ?)
       ${object === undefined ? "" : "AND object = ?"} ${contact === undefined ? "" : "AND contact = ?"}
       ${ending === undefined ? "" : "AND ending IS ?"}
       ORDER BY received_at DESC, id DESC LIMIT ?)
       JOIN journal USING (site, id) ORDER BY received_at DESC, id DESC`,
      site,
      ...readCursor(before),
      ...[object, contact && contactKey(contact), ending].filter((value) => value !== undefined),
      limit,
    )
    .map(parse<JournalRecord>);
  const last = items.at(-1);
  return { items, next: last && items.length === limit ? cursorOf(last.receivedAt, last.id) : undefined };
};

const problemsOf = (
  engine: SqlEngine,
  { site, before, limit }: Parameters<Journal["problems"]>[0],
): Listing<OpenProblem> => {
  const [since, key] = readCursor(before);
  const rows = engine.all`SELECT object_key, host, service, revision, open_since, body FROM object
    WHERE site = ${site} AND open_since IS NOT NULL AND (open_since, object_key) < (${since}, ${key})
    ORDER BY open_since DESC, object_key DESC LIMIT ${limit}`;
  const last = rows.at(-1);
  return {
    items: rows.map((row) => ({ ...placeOf(row), entry: entryOf(row) })),
    next: last && rows.length === limit ? cursorOf(last.open_since, last.object_key) : undefined,
  };
};

const flowOf = (engine: SqlEngine, site: string, since: number): Flow => {
  const counts = (which: string) => {
    const statement = `SELECT received_at / ${hourMilliseconds} AS hour, count(*) AS count FROM journal
      WHERE site = ? ${which} AND received_at >= ? GROUP BY hour`;
    const rows = engine.all(statement, site, since);
    return new Map(rows.map(({ hour, count }) => [Number(hour), Number(count)]));
  };
  const [last] = engine.all`SELECT max(received_at) AS at FROM journal WHERE site = ${site}`;
  const mails = engine.all`SELECT body FROM journal WHERE site = ${site} AND ending = 'mailed'
    ORDER BY received_at DESC, id DESC LIMIT ${lastMailed}`;
  return {
    since,
    hours: hoursOf({
      accepted: counts(""),
      mailed: counts("AND ending = 'mailed'"),
      suppressed: counts("AND ending = 'suppressed'"),
    }),
    acceptedAt: last?.at === null ? undefined : Number(last?.at),
    mailedAt: mailedAt(mails.map(parse<JournalRecord>)),
  };
};

const storiesOf = (engine: SqlEngine, site: string, ids: readonly string[]): JournalRecord[] => {
  const rows = engine.all`SELECT id, body FROM journal
    WHERE site = ${site} AND id IN (SELECT value FROM json_each(${JSON.stringify(ids)}))`;
  const found = new Map(rows.map((row) => [row.id, parse<JournalRecord>(row)]));
  return ids.map((id) => found.get(id)).filter((record) => record !== undefined);
};

export const journalIn = (engine: SqlEngine): Journal => ({
  story: async (site, id) => {
    const record = recordOf(engine, site, id);
    const returned = engine.all`SELECT body FROM returned WHERE site = ${site} AND id = ${id} ORDER BY at`;
    return record && returned.length > 0 ? { ...record, returned: returned.map(parse<Returned>) } : record;
  },
  stories: async (site, ids) => storiesOf(engine, site, ids),
  mailed: async (name) => {
    const [row] = engine.all`SELECT body FROM journal INDEXED BY journal_mail
      WHERE body ->> '$.messageId' IS NOT NULL AND substr(body ->> '$.messageId', 2, 40) = ${name}`;
    return row && parse<JournalRecord>(row);
  },
  noteReturned: async (site, id, returned) => {
    engine.run`INSERT INTO returned (site, id, at, body)
      VALUES (${site}, ${id}, ${returned.at}, ${JSON.stringify(returned)}) ON CONFLICT DO NOTHING`;
  },
  returned: async (site) => {
    const rows = engine.all`SELECT id, body FROM returned INDEXED BY returned_at
      WHERE site = ${site} ORDER BY at DESC LIMIT ${mostReturned}`;
    return rows.map((row) => ({ ...parse<Returned>(row), id: String(row.id) }));
  },
  journal: async (query) => search(engine, query),
  problems: async (query) => problemsOf(engine, query),
  open: async (limit) => {
    const rows = engine.all`SELECT site, host, service, revision, body FROM object
      WHERE open_since IS NOT NULL ORDER BY site, open_since LIMIT ${limit}`;
    return rows.map((row) => ({ site: String(row.site), ...placeOf(row), entry: entryOf(row) }));
  },
  totals: async (site) => {
    const rows = engine.all`SELECT outcome, records FROM tally WHERE site = ${site}`;
    const count = (outcome: Outcome) => Number(rows.find((row) => row.outcome === outcome)?.records ?? 0);
    return Object.fromEntries(outcomes.map((outcome) => [outcome, count(outcome)])) as Totals;
  },
  flow: async (site, since) => flowOf(engine, site, since),
});

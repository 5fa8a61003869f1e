import { dueAt, type Entry, emptyEntry, openProblem } from "../../decide/entry.ts";
import { mostRuns, type Numbered, type Run } from "../../decide/order.ts";
import { hostKey } from "../../identity.ts";
import { type JournalRecord, newRecord, objectOf } from "../journal.ts";
import type { Change, Due, Entries } from "../ledger.ts";
import { overdueIn, pageOf } from "../read-page.ts";
import { entryOf, parse, placeOf, type SqlEngine } from "./engine.ts";
import { keepRecord, recordOf, rowOf, wholeOf } from "./records.ts";

/** About so much of alerts one answer of `due` has: a Durable Object's takes 32 MiB, and throws beyond. */
const mostDueCharacters = 4_000_000;

const entryAt = (engine: SqlEngine, key: string): Entry | undefined =>
  engine.all`SELECT revision, body FROM object WHERE object_key = ${key}`.map(entryOf)[0];

const runsOf = (engine: SqlEngine, site: string, monitor: string): Run[] =>
  engine.all`SELECT start, lowest, highest FROM run
    WHERE site = ${site} AND monitor = ${monitor} ORDER BY start DESC` as Run[];

const keepNumber = (engine: SqlEngine, { site, monitor }: JournalRecord, { start, number }: Numbered) => {
  engine.run`INSERT INTO run (site, monitor, start, lowest, highest)
    VALUES (${site}, ${monitor}, ${start}, ${number}, ${number})
    ON CONFLICT (site, monitor, start) DO UPDATE
    SET lowest = min(lowest, excluded.lowest), highest = max(highest, excluded.highest)`;
  engine.run`DELETE FROM run WHERE site = ${site} AND monitor = ${monitor} AND start <
    (SELECT start FROM run WHERE site = ${site} AND monitor = ${monitor}
     ORDER BY start DESC LIMIT 1 OFFSET ${mostRuns - 1})`;
};

/** Writes the entry on its revision: whether it had that one still. */
const advance = (engine: SqlEngine, { key, entry, records: [first], of }: Change): boolean => {
  const { revision, ...stored } = entry;
  const [open, due] = [openProblem(entry)?.since ?? null, dueAt(entry) ?? null];
  const body = JSON.stringify(stored);
  const place = first ?? of;
  const changed =
    revision === 0 && place
      ? engine.run`INSERT INTO object
          (object_key, site, host, service, revision, open_since, due_at, touched_at, body)
          VALUES (${key}, ${place.site}, ${place.host}, ${place.service}, 1,
           ${open}, ${due}, ${entry.touchedAt}, ${body}) ON CONFLICT DO NOTHING`
      : engine.run`UPDATE object
          SET revision = revision + 1, open_since = ${open}, due_at = ${due},
           touched_at = ${entry.touchedAt}, body = ${body}
          WHERE object_key = ${key} AND revision = ${revision}`;
  return changed > 0;
};

/** Forgets reports, documents, records and entries from before a time; the number of records and entries. */
const forget = (engine: SqlEngine, before: number, limit: number): number => {
  engine.run`DELETE FROM returned WHERE at < ${before}`;
  engine.run`DELETE FROM heartbeat WHERE at < ${before}`;
  engine.run`DELETE FROM rejection WHERE last < ${before}`;
  const records = engine.run`DELETE FROM journal WHERE (site, id) IN
    (SELECT site, id FROM journal AS old INDEXED BY journal_time
     WHERE site IN (SELECT site FROM tally) AND received_at < ${before} AND ending IS NOT NULL
     AND (ending <> 'digested' OR body ->> '$.ending.at' < ${before} AND NOT EXISTS
      (SELECT 1 FROM journal WHERE site = old.site AND id = old.body ->> '$.digest.id' AND ending IS NULL))
     LIMIT ${limit})`;
  const entries = engine.run`DELETE FROM object WHERE object_key IN
    (SELECT object_key FROM object WHERE due_at IS NULL AND touched_at < ${before}
     AND coalesce(body -> '$.storm.digests', '{}') = '{}' LIMIT ${limit})`;
  return records + entries;
};

const dueIn = (engine: SqlEngine, now: number, limit: number): Due[] => {
  const found: Due[] = [];
  let left = mostDueCharacters;
  for (const row of engine.all`SELECT * FROM object WHERE due_at <= ${now} ORDER BY due_at LIMIT ${limit}`) {
    const entry = entryOf(row);
    const alerts: Due["alerts"] = [];
    const one: Due = { key: String(row.object_key), object: objectOf(placeOf(row)), entry, alerts };
    found.push(one);
    for (const { id, due } of overdueIn(entry, now)) {
      if (left < 0) {
        one.partly = true;
        return found;
      }
      const record = rowOf(engine, String(row.site), id);
      const queued = record && wholeOf(engine, record).queued;
      if (!queued) continue;
      left -= String(record.body).length + (queued.alert.long_output?.length ?? 0);
      alerts.push({ queued, due });
    }
  }
  return found;
};

export const entriesIn = (engine: SqlEngine): Entries => ({
  read: async (queued) => {
    const { site, alert } = queued;
    const fresh = newRecord(queued);
    // Read first: if anything read after it is newer than the entry, the entry's revision has changed.
    const entry = entryAt(engine, fresh.objectKey);
    const others = engine.all`SELECT body FROM journal
      WHERE event_key = ${fresh.eventKey} AND NOT (site = ${site} AND id = ${queued.id})
      AND body ->> '$.verdict.row' <> 'R0' LIMIT 20`;
    return pageOf(queued, fresh, {
      entry,
      host: alert.object.service === null ? undefined : entryAt(engine, hostKey(site, alert)),
      runs: runsOf(engine, site, alert.monitor.id),
      known: recordOf(engine, site, queued.id),
      others: others.map(parse<JournalRecord>),
    });
  },
  entry: async (key) => entryAt(engine, key) ?? emptyEntry,
  write: async (change) =>
    (engine.together ?? engine.transaction)(() => {
      if (!advance(engine, change)) return false;
      const { records, numbered } = change;
      for (const record of records) keepRecord(engine, record);
      if (records[0] && numbered) keepNumber(engine, records[0], numbered);
      return true;
    }),
  due: async (now, limit) => dueIn(engine, now, limit),
  prune: async (before, limit) => engine.transaction(() => forget(engine, before, limit)),
});

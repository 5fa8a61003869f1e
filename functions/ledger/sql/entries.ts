import { dueAt, type Entry, emptyEntry, openProblem } from "../../decide/entry.ts";
import { mostRuns, type Numbered, type Run } from "../../decide/order.ts";
import { hostKey } from "../../identity.ts";
import { type JournalRecord, newRecord, objectOf } from "../journal.ts";
import type { Change, Due, Entries } from "../ledger.ts";
import { overdueIn, pageOf } from "../read-page.ts";
import { entryOf, parse, placeOf, type SqlEngine, type Value } from "./engine.ts";
import { keepRecord, recordOf, rowOf, wholeOf } from "./records.ts";

/** About so much of alerts one answer of `due` has: a Durable Object's takes 32 MiB, and throws beyond. */
const mostDueCharacters = 4_000_000;

const entryAt = (engine: SqlEngine, key: string): Entry | undefined =>
  engine.all("SELECT revision, body FROM object WHERE object_key = ?", key).map(entryOf)[0];

const runsOf = (engine: SqlEngine, site: string, monitor: string): Run[] =>
  engine
    .all("SELECT * FROM run WHERE site = ? AND monitor = ? ORDER BY start DESC", site, monitor)
    .map(({ start, lowest, highest }) => ({
      start: Number(start),
      lowest: Number(lowest),
      highest: Number(highest),
    }));

const keepNumber = (engine: SqlEngine, { site, monitor }: JournalRecord, { start, number }: Numbered) => {
  engine.run(
    `INSERT INTO run (site, monitor, start, lowest, highest) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (site, monitor, start) DO UPDATE
     SET lowest = min(lowest, excluded.lowest), highest = max(highest, excluded.highest)`,
    site,
    monitor,
    start,
    number,
    number,
  );
  engine.run(
    `DELETE FROM run WHERE site = ? AND monitor = ? AND start <
     (SELECT start FROM run WHERE site = ? AND monitor = ? ORDER BY start DESC LIMIT 1 OFFSET ?)`,
    site,
    monitor,
    site,
    monitor,
    mostRuns - 1,
  );
};

/** Writes the entry on its revision: whether it had that one still. */
const advance = (engine: SqlEngine, { key, entry, records: [first], of }: Change): boolean => {
  const { revision, ...body } = entry;
  const columns: Value[] = [
    openProblem(entry)?.since ?? null,
    dueAt(entry) ?? null,
    entry.touchedAt,
    JSON.stringify(body),
  ];
  const place = first ?? of;
  const changed =
    revision === 0 && place
      ? engine.run(
          `INSERT INTO object (object_key, site, host, service, revision, open_since, due_at, touched_at, body)
           VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
          key,
          place.site,
          place.host,
          place.service,
          ...columns,
        )
      : engine.run(
          `UPDATE object SET revision = revision + 1, open_since = ?, due_at = ?, touched_at = ?, body = ?
           WHERE object_key = ? AND revision = ?`,
          ...columns,
          key,
          revision,
        );
  return changed > 0;
};

/** Forgets reports, documents, records and entries from before a time; the number of records and entries. */
const forget = (engine: SqlEngine, before: number, limit: number): number => {
  engine.run("DELETE FROM returned WHERE at < ?", before);
  engine.run("DELETE FROM heartbeat WHERE at < ?", before);
  engine.run("DELETE FROM rejection WHERE last < ?", before);
  return (
    engine.run(
      `DELETE FROM journal WHERE (site, id) IN
       (SELECT site, id FROM journal AS old INDEXED BY journal_time
        WHERE site IN (SELECT site FROM tally) AND received_at < ? AND ending IS NOT NULL
        AND (ending <> 'digested' OR body ->> '$.ending.at' < ? AND NOT EXISTS
         (SELECT 1 FROM journal WHERE site = old.site AND id = old.body ->> '$.digest.id' AND ending IS NULL))
        LIMIT ?)`,
      before,
      before,
      limit,
    ) +
    engine.run(
      `DELETE FROM object WHERE object_key IN
       (SELECT object_key FROM object WHERE due_at IS NULL AND touched_at < ?
        AND coalesce(body -> '$.storm.digests', '{}') = '{}' LIMIT ?)`,
      before,
      limit,
    )
  );
};

const dueIn = (engine: SqlEngine, now: number, limit: number): Due[] => {
  const found: Due[] = [];
  let left = mostDueCharacters;
  for (const row of engine.all(
    "SELECT * FROM object WHERE due_at <= ? ORDER BY due_at LIMIT ?",
    now,
    limit,
  )) {
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
    const others = engine.all(
      `SELECT body FROM journal WHERE event_key = ? AND NOT (site = ? AND id = ?)
       AND body ->> '$.verdict.row' <> 'R0' LIMIT 20`,
      fresh.eventKey,
      site,
      queued.id,
    );
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

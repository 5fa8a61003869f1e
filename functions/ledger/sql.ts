import { contactKey } from "../address.ts";
import { dueAt, type Entry, emptyEntry, openProblem } from "../decide/entry.ts";
import { mostRuns, type Numbered, numbering, type Run } from "../decide/order.ts";
import { newRoute, type RouteState, storedRoute } from "../deliver/breaker.ts";
import type { Returned } from "../deliver/returned.ts";
import { fingerprint, hostKey } from "../identity.ts";
import { hourMilliseconds, hoursOf, lastMailed, mailedAt } from "./flow.ts";
import { type Heartbeat, newHeartbeat } from "./heartbeat.ts";
import {
  type Ending,
  type JournalRecord,
  newRecord,
  type Outcome,
  objectOf,
  outcomes,
  resumed,
  twinOf,
} from "./journal.ts";
import { cursorOf, type Due, type Ledger, mostReturned, readCursor } from "./ledger.ts";
import { readEntry } from "./read-entry.ts";
import type { Rejection } from "./rejection.ts";

type Value = string | number | null;

/**
 * The functions of both SQLite engines: node:sqlite and a Durable Object's storage. All calls but `together` are
 * synchronous.
 */
export type SqlEngine = {
  exec(script: string): void;
  all(statement: string, ...values: Value[]): Record<string, unknown>[];
  /** The number of rows changed. */
  run(statement: string, ...values: Value[]): number;
  /** All or nothing; resolves to what `work` returned. */
  transaction<T>(work: () => T): T;
  /** The same, soon and in one commit with others, where a commit takes long. */
  together?<T>(work: () => T): Promise<T>;
};

// In a table without a rowid what is longer than 1002 bytes has a page of its own, as most records would.
const schema = `
  CREATE TABLE IF NOT EXISTS object (
    object_key TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    host TEXT NOT NULL,
    service TEXT,
    revision INTEGER NOT NULL,
    open_since INTEGER,
    due_at INTEGER,
    touched_at INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS object_due ON object (due_at) WHERE due_at IS NOT NULL;
  CREATE INDEX IF NOT EXISTS object_open ON object (site, open_since, object_key) WHERE open_since IS NOT NULL;
  CREATE INDEX IF NOT EXISTS object_idle ON object (touched_at) WHERE due_at IS NULL;
  CREATE TABLE IF NOT EXISTS journal (
    site TEXT NOT NULL,
    id TEXT NOT NULL,
    event_key TEXT NOT NULL,
    object TEXT NOT NULL,
    contact TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    ending TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (site, id)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS journal_event ON journal (event_key);
  CREATE INDEX IF NOT EXISTS journal_time ON journal (site, received_at, id);
  DROP INDEX IF EXISTS journal_object;
  DROP INDEX IF EXISTS journal_contact;
  CREATE INDEX IF NOT EXISTS journal_of_object ON journal (site, object, received_at, id, contact, ending);
  CREATE INDEX IF NOT EXISTS journal_of_contact ON journal (site, contact, received_at, id, ending);
  DROP INDEX IF EXISTS journal_ending;
  CREATE INDEX IF NOT EXISTS journal_outcome ON journal (site, ending, received_at, id);
  DROP INDEX IF EXISTS journal_ended;
  CREATE INDEX IF NOT EXISTS journal_mail ON journal (substr(body ->> '$.messageId', 2, 40))
    WHERE body ->> '$.messageId' IS NOT NULL;
  CREATE TABLE IF NOT EXISTS tally (
    site TEXT NOT NULL,
    outcome TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (site, outcome)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO tally SELECT site, coalesce(ending, 'pending'), count(*) FROM journal
    WHERE NOT EXISTS (SELECT 1 FROM tally) GROUP BY 1, 2;
  CREATE TRIGGER IF NOT EXISTS journal_begun AFTER INSERT ON journal BEGIN
    INSERT INTO tally VALUES (NEW.site, coalesce(NEW.ending, 'pending'), 1)
      ON CONFLICT DO UPDATE SET records = records + 1;
  END;
  CREATE TRIGGER IF NOT EXISTS journal_turned AFTER UPDATE ON journal WHEN NEW.ending IS NOT OLD.ending BEGIN
    UPDATE tally SET records = records - 1 WHERE site = OLD.site AND outcome = coalesce(OLD.ending, 'pending');
    INSERT INTO tally VALUES (NEW.site, coalesce(NEW.ending, 'pending'), 1)
      ON CONFLICT DO UPDATE SET records = records + 1;
  END;
  CREATE TRIGGER IF NOT EXISTS journal_forgotten AFTER DELETE ON journal BEGIN
    UPDATE tally SET records = records - 1 WHERE site = OLD.site AND outcome = coalesce(OLD.ending, 'pending');
  END;
  CREATE TABLE IF NOT EXISTS text (hash TEXT PRIMARY KEY, json TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS held_text (
    site TEXT NOT NULL,
    id TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (site, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS held_text_hash ON held_text (hash);
  CREATE TRIGGER IF NOT EXISTS held_text_gone AFTER DELETE ON held_text BEGIN
    DELETE FROM text WHERE hash = OLD.hash AND NOT EXISTS (SELECT 1 FROM held_text WHERE hash = OLD.hash);
  END;
  CREATE TRIGGER IF NOT EXISTS journal_text_forgotten AFTER DELETE ON journal BEGIN
    DELETE FROM held_text WHERE site = OLD.site AND id = OLD.id;
  END;
  CREATE TABLE IF NOT EXISTS returned (
    site TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (site, id, at, body)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS returned_at ON returned (at);
  DROP TABLE IF EXISTS monitor;
  CREATE TABLE IF NOT EXISTS run (
    site TEXT NOT NULL,
    monitor TEXT NOT NULL,
    start INTEGER NOT NULL,
    lowest INTEGER NOT NULL,
    highest INTEGER NOT NULL,
    PRIMARY KEY (site, monitor, start)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS heartbeat (
    site TEXT NOT NULL,
    monitor TEXT NOT NULL,
    revision INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (site, monitor)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS rejection (
    site TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    last INTEGER NOT NULL,
    untold INTEGER,
    body TEXT NOT NULL,
    PRIMARY KEY (site, id)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS rejection_of_site ON rejection (site, last, id);
  CREATE INDEX IF NOT EXISTS rejection_last ON rejection (last);
  CREATE INDEX IF NOT EXISTS rejection_untold ON rejection (untold) WHERE untold IS NOT NULL;
  CREATE TABLE IF NOT EXISTS route (
    route TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

const parse = <T>(row: Record<string, unknown>): T => JSON.parse(String(row.body)) as T;
const entryOf = (row: Record<string, unknown>): Entry => readEntry(parse(row), Number(row.revision));

const endingOf = (outcome: Outcome): Ending | null => (outcome === "pending" ? null : outcome);

const fewEnd: readonly Outcome[] = ["pending", "refused", "dead"];
/**
 * The index by which a search passes over the fewest records. By outcome, as SQLite would have it, one object's mails
 * are found only after all others'; by time, few dead letters only after all that was mailed. Where another filter is
 * left the index has it: the records themselves are read for the page alone.
 */
const indexFor = ({ object, contact, outcome }: { object?: string; contact?: string; outcome?: Outcome }) => {
  if (outcome && fewEnd.includes(outcome)) return "journal_outcome";
  if (object !== undefined) return "journal_of_object";
  if (contact !== undefined) return "journal_of_contact";
  return outcome ? "journal_outcome" : "journal_time";
};

/** A held alert with so many characters or more is kept once for all contacts of its site, apart from their records. */
const longCharacters = 4096;
/** About so much of alerts one answer of `due` has: a Durable Object's takes 32 MiB, and throws beyond. */
const mostDueCharacters = 4_000_000;

const placeOf = ({ host, service }: Record<string, unknown>) => ({
  host: String(host),
  service: service === null ? null : String(service),
});

/** The ledger in SQL: an entry and its alerts' journal records change together, or not at all. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: an adapter: a method for each call of the port.
export const sqlLedger = (engine: SqlEngine): Ledger => {
  // At once, for another process may write meanwhile.
  engine.transaction(() => engine.exec(schema));
  const together = engine.together ?? engine.transaction;
  const rowOf = (site: string, id: string) =>
    engine.all("SELECT body FROM journal WHERE site = ? AND id = ?", site, id)[0];
  /** A record with the alert that it holds, which may be kept apart. */
  const wholeOf = (row: Record<string, unknown>): JournalRecord => {
    const record = parse<JournalRecord>(row);
    const { site, id, queued } = record;
    if (!queued || queued.alert) return record;
    const kept = "SELECT json FROM held_text JOIN text USING (hash) WHERE site = ? AND id = ?";
    const alert = JSON.parse(String(engine.all(kept, site, id)[0]?.json));
    return { ...record, queued: { ...queued, alert } };
  };
  const recordOf = (site: string, id: string): JournalRecord | undefined => {
    const row = rowOf(site, id);
    return row && wholeOf(row);
  };
  /** The record for its row. A long held alert goes into a table of its own. */
  const withoutText = (record: JournalRecord): object => {
    const { site, id, queued, holds } = record;
    // Most alerts never wait here.
    if (!queued && holds.length === 0) return record;
    const alert = queued && JSON.stringify(queued.alert);
    const hash = alert && alert.length >= longCharacters ? fingerprint("text", site, alert) : undefined;
    engine.run("DELETE FROM held_text WHERE site = ? AND id = ?", site, id);
    if (!hash) return record;
    engine.run("INSERT INTO text VALUES (?, ?) ON CONFLICT DO NOTHING", hash, alert as string);
    engine.run("INSERT INTO held_text VALUES (?, ?, ?)", site, id, hash);
    return { ...record, queued: { ...queued, alert: undefined } };
  };
  const entryAt = (key: string): Entry | undefined => {
    const [row] = engine.all("SELECT revision, body FROM object WHERE object_key = ?", key);
    return row && entryOf(row);
  };
  const stateOf = (row: Record<string, unknown>): RouteState => ({
    ...storedRoute(parse(row)),
    route: String(row.route),
    revision: Number(row.revision),
  });
  const heartbeatOf = (row: Record<string, unknown>): Heartbeat => ({
    ...parse<Heartbeat>(row),
    revision: Number(row.revision),
  });
  const rejectionOf = (row: Record<string, unknown>): Rejection => ({
    ...parse<Rejection>(row),
    revision: Number(row.revision),
  });
  const runsOf = (site: string, monitor: string): Run[] =>
    engine
      .all("SELECT * FROM run WHERE site = ? AND monitor = ? ORDER BY start DESC", site, monitor)
      .map(({ start, lowest, highest }) => ({
        start: Number(start),
        lowest: Number(lowest),
        highest: Number(highest),
      }));
  const keepRecord = (record: JournalRecord) =>
    engine.run(
      `INSERT INTO journal (site, id, event_key, object, contact, received_at, ending, body)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (site, id) DO UPDATE SET ending = excluded.ending, body = excluded.body`,
      record.site,
      record.id,
      record.eventKey,
      objectOf(record),
      contactKey(record.contact),
      record.receivedAt,
      record.ending?.as ?? null,
      JSON.stringify(withoutText(record)),
    );
  const keepNumber = ({ site, monitor }: JournalRecord, { start, number }: Numbered) => {
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
  return {
    route: async (name) => {
      const [row] = engine.all("SELECT * FROM route WHERE route = ?", name);
      return row ? stateOf(row) : newRoute(name);
    },
    writeRoute: async ({ route, revision, ...body }) =>
      (revision === 0
        ? engine.run(
            "INSERT INTO route (route, revision, body) VALUES (?, 1, ?) ON CONFLICT DO NOTHING",
            route,
            JSON.stringify(body),
          )
        : engine.run(
            "UPDATE route SET revision = revision + 1, body = ? WHERE route = ? AND revision = ?",
            JSON.stringify(body),
            route,
            revision,
          )) > 0,
    routes: async () => engine.all("SELECT * FROM route ORDER BY route").map(stateOf),
    heartbeat: async (site, monitor) => {
      const [row] = engine.all("SELECT * FROM heartbeat WHERE site = ? AND monitor = ?", site, monitor);
      return row ? heartbeatOf(row) : newHeartbeat(site, monitor);
    },
    writeHeartbeat: async ({ revision, ...body }) => {
      const { site, monitor, at } = body;
      return (
        (revision === 0
          ? engine.run(
              `INSERT INTO heartbeat (site, monitor, revision, at, body) VALUES (?, ?, 1, ?, ?)
               ON CONFLICT DO NOTHING`,
              site,
              monitor,
              at,
              JSON.stringify(body),
            )
          : engine.run(
              `UPDATE heartbeat SET revision = revision + 1, at = ?, body = ?
               WHERE site = ? AND monitor = ? AND revision = ?`,
              at,
              JSON.stringify(body),
              site,
              monitor,
              revision,
            )) > 0
      );
    },
    heartbeats: async () => engine.all("SELECT * FROM heartbeat ORDER BY site, monitor").map(heartbeatOf),
    rejection: async (site, id) =>
      engine.all("SELECT * FROM rejection WHERE site = ? AND id = ?", site, id).map(rejectionOf)[0],
    writeRejection: async ({ revision, ...body }) =>
      together(() => {
        const { site, id, last, told } = body;
        const columns = [last, told ? null : 1, JSON.stringify(body)];
        return (
          (revision === 0
            ? engine.run(
                `INSERT INTO rejection (site, id, revision, last, untold, body) VALUES (?, ?, 1, ?, ?, ?)
                 ON CONFLICT DO NOTHING`,
                site,
                id,
                ...columns,
              )
            : engine.run(
                `UPDATE rejection SET revision = revision + 1, last = ?, untold = ?, body = ?
                 WHERE site = ? AND id = ? AND revision = ?`,
                ...columns,
                site,
                id,
                revision,
              )) > 0
        );
      }),
    rejections: async ({ site, before, limit }) => {
      const items = engine
        .all(
          `SELECT revision, body FROM rejection WHERE site = ? AND (last, id) < (?, ?)
           ORDER BY last DESC, id DESC LIMIT ?`,
          site,
          ...readCursor(before),
          limit,
        )
        .map(rejectionOf);
      const end = items.at(-1);
      return { items, next: end && items.length === limit ? cursorOf(end.last, end.id) : undefined };
    },
    untoldRejections: async (limit) =>
      engine
        .all("SELECT revision, body FROM rejection WHERE untold IS NOT NULL ORDER BY site, id LIMIT ?", limit)
        .map(rejectionOf),
    read: async (queued) => {
      const { site, alert } = queued;
      const fresh = newRecord(queued);
      // Before all else that a write changes: who then reads something newer finds the revision gone.
      const entry = entryAt(fresh.objectKey) ?? emptyEntry;
      const known = recordOf(site, queued.id);
      const record = resumed(known ?? fresh, queued);
      const others = engine.all(
        `SELECT body FROM journal WHERE event_key = ? AND NOT (site = ? AND id = ?)
         AND body ->> '$.verdict.row' <> 'R0' LIMIT 20`,
        fresh.eventKey,
        site,
        queued.id,
      );
      return {
        key: fresh.objectKey,
        entry,
        host: alert.object.service === null ? undefined : entryAt(hostKey(site, alert)),
        ...numbering(runsOf(site, alert.monitor.id), queued),
        record,
        twin: twinOf(known, alert, others.map(parse<JournalRecord>)),
        inDoubt: record.inDoubt,
        putBack: record.putBackAt !== known?.putBackAt,
      };
    },
    entry: async (key) => entryAt(key) ?? emptyEntry,
    write: async ({ key, entry, records, of, numbered }) =>
      together(() => {
        const { revision, ...body } = entry;
        const columns = [
          openProblem(entry)?.since ?? null,
          dueAt(entry) ?? null,
          entry.touchedAt,
          JSON.stringify(body),
        ];
        const [first] = records;
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
        if (changed === 0) return false;
        for (const record of records) keepRecord(record);
        if (first && numbered) keepNumber(first, numbered);
        return true;
      }),
    due: async (now, limit) => {
      const found: Due[] = [];
      let left = mostDueCharacters;
      for (const row of engine.all(
        "SELECT * FROM object WHERE due_at <= ? ORDER BY due_at LIMIT ?",
        now,
        limit,
      )) {
        const entry = entryOf(row);
        const over = Object.entries(entry.held)
          .filter(([, { due, queued }]) => due <= now && !queued)
          .sort(([, a], [, b]) => a.due - b.due || a.receivedAt - b.receivedAt);
        const alerts: Due["alerts"] = [];
        const one: Due = { key: String(row.object_key), object: objectOf(placeOf(row)), entry, alerts };
        found.push(one);
        for (const [id, { due }] of over) {
          if (left < 0) {
            one.partly = true;
            return found;
          }
          const record = rowOf(String(row.site), id);
          const queued = record && wholeOf(record).queued;
          if (!queued) continue;
          left -= String(record.body).length + (queued.alert.long_output?.length ?? 0);
          alerts.push({ queued, due });
        }
      }
      return found;
    },
    story: async (site, id) => {
      const record = recordOf(site, id);
      const returned = engine.all(
        "SELECT body FROM returned WHERE site = ? AND id = ? ORDER BY at",
        site,
        id,
      );
      return record && returned.length > 0 ? { ...record, returned: returned.map(parse<Returned>) } : record;
    },
    stories: async (site, ids) => {
      const found = new Map(
        engine
          .all(
            "SELECT id, body FROM journal WHERE site = ? AND id IN (SELECT value FROM json_each(?))",
            site,
            JSON.stringify(ids),
          )
          .map((row) => [row.id, parse<JournalRecord>(row)]),
      );
      return ids.map((id) => found.get(id)).filter((record) => record !== undefined);
    },
    mailed: async (name) => {
      const [row] = engine.all(
        `SELECT body FROM journal INDEXED BY journal_mail
         WHERE body ->> '$.messageId' IS NOT NULL AND substr(body ->> '$.messageId', 2, 40) = ?`,
        name,
      );
      return row && parse(row);
    },
    noteReturned: async (site, id, returned) => {
      engine.run(
        "INSERT INTO returned (site, id, at, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        site,
        id,
        returned.at,
        JSON.stringify(returned),
      );
    },
    returned: async (site) =>
      engine
        .all(
          "SELECT id, body FROM returned INDEXED BY returned_at WHERE site = ? ORDER BY at DESC LIMIT ?",
          site,
          mostReturned,
        )
        .map((row) => ({ ...parse<Returned>(row), id: String(row.id) })),
    journal: async ({ site, object, contact, outcome, before, limit }) => {
      const [at, id] = readCursor(before);
      const ending = outcome && endingOf(outcome);
      const items = engine
        .all(
          // Whole alerts, which only those that wait have, would be more than a Durable Object's answer holds.
          `SELECT CASE WHEN ending IS NULL THEN json_remove(body, '$.queued') ELSE body END AS body FROM (
           SELECT site, id FROM journal INDEXED BY ${indexFor({ object, contact, outcome })}
           WHERE site = ? AND (received_at, id) < (?, ?)
           ${object === undefined ? "" : "AND object = ?"} ${contact === undefined ? "" : "AND contact = ?"}
           ${ending === undefined ? "" : "AND ending IS ?"}
           ORDER BY received_at DESC, id DESC LIMIT ?)
           JOIN journal USING (site, id) ORDER BY received_at DESC, id DESC`,
          site,
          at,
          id,
          ...[object, contact && contactKey(contact), ending].filter((value) => value !== undefined),
          limit,
        )
        .map(parse<JournalRecord>);
      const last = items.at(-1);
      return { items, next: last && items.length === limit ? cursorOf(last.receivedAt, last.id) : undefined };
    },
    problems: async ({ site, before, limit }) => {
      const rows = engine.all(
        `SELECT object_key, host, service, revision, open_since, body FROM object
         WHERE site = ? AND open_since IS NOT NULL AND (open_since, object_key) < (?, ?)
         ORDER BY open_since DESC, object_key DESC LIMIT ?`,
        site,
        ...readCursor(before),
        limit,
      );
      const last = rows.at(-1);
      return {
        items: rows.map((row) => ({
          ...placeOf(row),
          entry: entryOf(row),
        })),
        next: last && rows.length === limit ? cursorOf(last.open_since, last.object_key) : undefined,
      };
    },
    open: async (limit) =>
      engine
        .all(
          `SELECT site, host, service, revision, body FROM object WHERE open_since IS NOT NULL
           ORDER BY site, open_since LIMIT ?`,
          limit,
        )
        .map((row) => ({ site: String(row.site), ...placeOf(row), entry: entryOf(row) })),
    totals: async (site) => {
      const rows = engine.all("SELECT outcome, records FROM tally WHERE site = ?", site);
      const count = (outcome: Outcome) => Number(rows.find((row) => row.outcome === outcome)?.records ?? 0);
      return Object.fromEntries(outcomes.map((outcome) => [outcome, count(outcome)])) as Record<
        Outcome,
        number
      >;
    },
    flow: async (site, since) => {
      const counts = (which: string) =>
        new Map(
          engine
            .all(
              `SELECT received_at / ${hourMilliseconds} AS hour, count(*) AS count FROM journal
               WHERE site = ? ${which} AND received_at >= ? GROUP BY hour`,
              site,
              since,
            )
            .map(({ hour, count }) => [Number(hour), Number(count)]),
        );
      const [accepted, mailed, suppressed] = [
        counts(""),
        counts("AND ending = 'mailed'"),
        counts("AND ending = 'suppressed'"),
      ];
      const [last] = engine.all("SELECT max(received_at) AS at FROM journal WHERE site = ?", site);
      const mails = engine
        .all(
          `SELECT body FROM journal WHERE site = ? AND ending = 'mailed'
           ORDER BY received_at DESC, id DESC LIMIT ${lastMailed}`,
          site,
        )
        .map((row) => parse<JournalRecord>(row));
      return {
        since,
        hours: hoursOf({ accepted, mailed, suppressed }),
        acceptedAt: last?.at === null ? undefined : Number(last?.at),
        mailedAt: mailedAt(mails),
      };
    },
    prune: async (before, limit) =>
      engine.transaction(() => {
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
      }),
    ready: async () => {
      engine.transaction(() => {});
    },
  };
};

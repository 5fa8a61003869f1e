import { contactKey } from "../../address.ts";
import { fingerprint } from "../../identity.ts";
import { type JournalRecord, objectOf } from "../journal.ts";
import { parse, type Row, type SqlEngine } from "./engine.ts";

/** A held alert with so many characters or more is kept once for all contacts of its site, apart from their records. */
const longCharacters = 4096;

export const rowOf = (engine: SqlEngine, site: string, id: string): Row | undefined =>
  engine.all`SELECT body FROM journal WHERE site = ${site} AND id = ${id}`[0];

/** A record with the alert that it holds, which may be kept apart. */
export const wholeOf = (engine: SqlEngine, row: Row): JournalRecord => {
  const record = parse<JournalRecord>(row);
  const { site, id, queued } = record;
  if (!queued || queued.alert) return record;
  const [kept] = engine.all`SELECT json FROM held_text JOIN text USING (hash)
    WHERE site = ${site} AND id = ${id}`;
  return { ...record, queued: { ...queued, alert: JSON.parse(String(kept?.json)) } };
};

export const recordOf = (engine: SqlEngine, site: string, id: string): JournalRecord | undefined => {
  const row = rowOf(engine, site, id);
  return row && wholeOf(engine, row);
};

/** The record for its row. A long held alert goes into a table of its own. */
const withoutText = (engine: SqlEngine, record: JournalRecord): object => {
  const { site, id, queued, holds } = record;
  // Most alerts never wait here.
  if (!queued && holds.length === 0) return record;
  const alert = queued && JSON.stringify(queued.alert);
  const hash = alert && alert.length >= longCharacters ? fingerprint("text", site, alert) : undefined;
  engine.run`DELETE FROM held_text WHERE site = ${site} AND id = ${id}`;
  if (!hash) return record;
  engine.run`INSERT INTO text VALUES (${hash}, ${alert as string}) ON CONFLICT DO NOTHING`;
  engine.run`INSERT INTO held_text VALUES (${site}, ${id}, ${hash})`;
  return { ...record, queued: { ...queued, alert: undefined } };
};

/** Writes a record's row. */
export const keepRecord = (engine: SqlEngine, record: JournalRecord) => {
  const { site, id, eventKey, contact, receivedAt, ending } = record;
  const body = JSON.stringify(withoutText(engine, record));
  engine.run`INSERT INTO journal (site, id, event_key, object, contact, received_at, ending, body)
    VALUES (${site}, ${id}, ${eventKey}, ${objectOf(record)}, ${contactKey(contact)}, ${receivedAt},
     ${ending?.as ?? null}, ${body})
    ON CONFLICT (site, id) DO UPDATE SET ending = excluded.ending, body = excluded.body`;
};

import { type JournalRecord, type Ledger, newRecord } from "./ledger.ts";
import { type Entry, emptyEntry } from "./verdict.ts";

type Value = string | number | null;

/** What both SQLite engines offer: node:sqlite and a Durable Object's storage. All calls are synchronous. */
export type SqlEngine = {
  exec(script: string): void;
  all(statement: string, ...values: Value[]): Record<string, unknown>[];
  /** The number of rows changed. */
  run(statement: string, ...values: Value[]): number;
  /** All or nothing; resolves to what `work` returned. */
  transaction<T>(work: () => T): T;
};

const schema = `
  CREATE TABLE IF NOT EXISTS entry (
    object_key TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS record (
    site TEXT NOT NULL,
    id TEXT NOT NULL,
    event_key TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (site, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS record_of_event ON record (event_key);
`;

/** The ledger in SQL: an entry and its alert's journal record change together, or not at all. */
export const sqlLedger = (engine: SqlEngine): Ledger => {
  engine.exec(schema);
  const recordOf = (site: string, id: string): JournalRecord | undefined => {
    const [row] = engine.all("SELECT body FROM record WHERE site = ? AND id = ?", site, id);
    return row && (JSON.parse(String(row.body)) as JournalRecord);
  };
  return {
    read: async (queued) => {
      const fresh = newRecord(queued);
      const [row] = engine.all("SELECT revision, body FROM entry WHERE object_key = ?", fresh.objectKey);
      const entry = row
        ? { ...(JSON.parse(String(row.body)) as Entry), revision: Number(row.revision) }
        : emptyEntry;
      const record = recordOf(queued.site, queued.id);
      // The twin is whoever was first in the ledger: an alert that was looked at before is its own.
      const [other] = record
        ? []
        : engine.all("SELECT id FROM record WHERE event_key = ? LIMIT 1", fresh.eventKey);
      return {
        entry,
        record: record ?? fresh,
        twin: other ? String(other.id) : undefined,
      };
    },
    write: async ({ entry, record }) =>
      engine.transaction(() => {
        const { revision, ...body } = entry;
        const changed =
          revision === 0
            ? engine.run(
                "INSERT INTO entry (object_key, revision, body) VALUES (?, 1, ?) ON CONFLICT DO NOTHING",
                record.objectKey,
                JSON.stringify(body),
              )
            : engine.run(
                "UPDATE entry SET revision = revision + 1, body = ? WHERE object_key = ? AND revision = ?",
                JSON.stringify(body),
                record.objectKey,
                revision,
              );
        if (changed === 0) return false;
        engine.run(
          `INSERT INTO record (site, id, event_key, body) VALUES (?, ?, ?, ?)
           ON CONFLICT (site, id) DO UPDATE SET body = excluded.body`,
          record.site,
          record.id,
          record.eventKey,
          JSON.stringify(record),
        );
        return true;
      }),
    story: async (site, id) => recordOf(site, id),
    ready: async () => {
      engine.transaction(() => {});
    },
  };
};

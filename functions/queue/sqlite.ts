import { openDatabase } from "../sqlite.ts";
import {
  type DeadLetter,
  isChosen,
  putBack,
  type Queue,
  type ReceivedMessage,
  readQueuedAlert,
  toDeadLetter,
} from "./queue.ts";

/** The site of a dead letter; null if it is no JSON. Its index spares one site the reading of another's letters. */
const siteIn = "(CASE WHEN json_valid(body) THEN body ->> '$.site' END)";

// `ready_at` is set on the first message of each group alone: that makes a receive one walk along one index, however
// many messages wait behind a group's head, and a group with its head hidden is a group that is locked.
const schema = `
  CREATE TABLE IF NOT EXISTS message (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    message_group TEXT NOT NULL,
    deduplication_id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    receive_count INTEGER NOT NULL DEFAULT 0,
    handed_out INTEGER NOT NULL DEFAULT 0,
    ready_at INTEGER
  ) STRICT;
  CREATE INDEX IF NOT EXISTS message_in_group ON message (message_group, sequence);
  CREATE INDEX IF NOT EXISTS message_ready ON message (ready_at, sequence) WHERE ready_at IS NOT NULL;
  CREATE TABLE IF NOT EXISTS dead_letter (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    message_group TEXT NOT NULL,
    deduplication_id TEXT NOT NULL,
    body TEXT NOT NULL,
    reason TEXT NOT NULL,
    dead_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS dead_letter_site ON dead_letter (${siteIn}, sequence);
`;

/** Nothing is hidden for longer, not even what waits for tomorrow's share of a rate: it is asked about in between. */
const longestSeconds = 1800;
/** What seems to be hidden for longer was so before the clock was set back. */
const farMilliseconds = (longestSeconds + 60) * 1000;

type Row = { sequence: number; message_group: string; body: string; receive_count: number };

/** A queue for the process that owns the file. */
export type SqliteQueue = Queue & {
  /** Makes visible what the process before us was handed and neither removed nor gave back: it is dead. */
  recover(): number;
  close(): void;
};

/**
 * A queue in one SQLite file. A lock held elsewhere is waited for 250 ms, then a call rejects. Posts that arrive while a
 * commit runs share the next one.
 */
export const sqliteQueue = (path: string, clock: () => number): SqliteQueue => {
  const db = openDatabase(path, 250);
  db.exec(schema);
  const insert = db.prepare(`
    INSERT INTO message (message_group, deduplication_id, body, ready_at)
    SELECT :group, :deduplicationId, :body,
      CASE WHEN EXISTS (SELECT 1 FROM message WHERE message_group = :group) THEN NULL ELSE :now END
    WHERE true
    ON CONFLICT (deduplication_id) DO NOTHING`);
  const select = db.prepare(
    "SELECT sequence, message_group, body, receive_count FROM message WHERE ready_at <= ? ORDER BY ready_at, sequence LIMIT ?",
  );
  const handOut = db.prepare(
    "UPDATE message SET ready_at = ?, receive_count = receive_count + 1, handed_out = 1 WHERE sequence = ?",
  );
  const held = db.prepare("SELECT message_group FROM message WHERE sequence = ? AND receive_count = ?");
  const far = db.prepare("SELECT 1 FROM message WHERE ready_at > ?");
  const approach = db.prepare("UPDATE message SET ready_at = ? WHERE ready_at > ?");
  const erase = db.prepare("DELETE FROM message WHERE sequence = ?");
  const promote = db.prepare(`
    UPDATE message SET ready_at = ?
    WHERE sequence = (SELECT min(sequence) FROM message WHERE message_group = ?)`);
  const hide = db.prepare(
    "UPDATE message SET ready_at = ?, handed_out = 0 WHERE sequence = ? AND receive_count = ?",
  );
  const inter = db.prepare(`
    INSERT INTO dead_letter (message_group, deduplication_id, body, reason, dead_at)
    SELECT message_group, deduplication_id, body, ?, ? FROM message WHERE sequence = ?`);
  const dead = db.prepare("SELECT * FROM dead_letter ORDER BY sequence");
  const deadOf = db.prepare(`SELECT * FROM dead_letter WHERE ${siteIn} = ? ORDER BY sequence`);
  const deadOfOne = db.prepare(
    `SELECT * FROM dead_letter WHERE ${siteIn} = ? OR ${siteIn} IS NULL ORDER BY sequence`,
  );
  const exhume = db.prepare("DELETE FROM dead_letter WHERE sequence = ?");
  const letterOf = (row: Record<string, unknown>) =>
    toDeadLetter(String(row.body), String(row.reason), Number(row.dead_at));
  const counts = db.prepare(
    "SELECT coalesce(sum(handed_out = 0), 0) AS waiting, coalesce(sum(handed_out), 0) AS handed_out FROM message",
  );
  const deadCount = db.prepare("SELECT count(*) AS dead FROM dead_letter");
  const oldest = db.prepare("SELECT body FROM message ORDER BY sequence LIMIT 1");
  const find = db.prepare("SELECT 1 FROM message WHERE deduplication_id = ?");

  const sleepers = new Set<() => void>();
  const wake = () => {
    for (const sleeper of sleepers) sleeper();
  };

  const parts = ({ receipt }: ReceivedMessage) => receipt.split(".").map(Number) as [number, number];
  /** Ends a message that this receipt still holds; the next of its group becomes its head. */
  const end = (message: ReceivedMessage, before: (sequence: number) => void) => {
    const [sequence, count] = parts(message);
    const row = held.get(sequence, count);
    if (!row) return;
    before(sequence);
    erase.run(sequence);
    promote.run(clock(), String(row.message_group));
  };
  const takeReady = (max: number, visibilityTimeoutSeconds: number): ReceivedMessage[] => {
    const now = clock();
    if (select.get(now, 1) === undefined) {
      if (far.get(now + farMilliseconds) !== undefined) approach.run(now, now + farMilliseconds);
      return [];
    }
    return db.transaction(() =>
      (select.all(now, max) as Row[]).map((row) => {
        const visibleAgainAt = now + visibilityTimeoutSeconds * 1000;
        handOut.run(visibleAgainAt, row.sequence);
        const receiveCount = row.receive_count + 1;
        return {
          receipt: `${row.sequence}.${receiveCount}`,
          group: row.message_group,
          body: row.body,
          receiveCount,
          visibleAgainAt,
        };
      }),
    );
  };

  return {
    send: async (messages) => {
      const taken = await db.together(() => {
        const now = clock();
        return messages.map(({ group, deduplicationId, body }) =>
          insert.run({ group, deduplicationId, body, now }).changes > 0 ? true : "known",
        );
      });
      wake();
      return taken;
    },
    receive: async ({ max, waitSeconds, visibilityTimeoutSeconds, signal }) => {
      const until = clock() + waitSeconds * 1000;
      for (;;) {
        if (signal?.aborted) return [];
        const messages = takeReady(max, visibilityTimeoutSeconds);
        const left = until - clock();
        if (messages.length > 0 || left <= 0) return messages;
        await new Promise<void>((resolve) => {
          const rise = () => {
            clearTimeout(timer);
            sleepers.delete(rise);
            signal?.removeEventListener("abort", rise);
            resolve();
          };
          // A hidden message comes back by the clock alone, so nothing is slept through for more than a second.
          const timer = setTimeout(rise, Math.min(left, 1000));
          sleepers.add(rise);
          signal?.addEventListener("abort", rise);
        });
      }
    },
    remove: async (messages) => {
      if (messages.length === 0) return;
      db.transaction(() => {
        for (const message of messages) end(message, () => {});
      });
      wake();
    },
    giveBack: async (message, visibilityTimeoutSeconds) => {
      const seconds = Math.min(visibilityTimeoutSeconds, longestSeconds);
      hide.run(clock() + seconds * 1000, ...parts(message));
    },
    bury: async (message, reason) => {
      db.transaction(() => end(message, (sequence) => inter.run(reason, clock(), sequence)));
      wake();
    },
    redrive: async (which) => {
      const { site } = which;
      const wanted = isChosen(which);
      const count = db.transaction(() => {
        const rows = site === undefined ? dead.all() : deadOf.all(site);
        const letters = rows.filter((row) => wanted(letterOf(row)));
        for (const row of letters) {
          insert.run({
            group: row.message_group as string,
            deduplicationId: row.deduplication_id as string,
            body: putBack(row.body as string, clock()),
            now: clock(),
          });
          exhume.run(row.sequence as number);
        }
        return letters.length;
      });
      wake();
      return count;
    },
    deadLetters: async (limit, site) => {
      const letters: DeadLetter[] = [];
      for (const row of site === undefined ? dead.iterate() : deadOfOne.iterate(site)) {
        if (letters.length === limit) break;
        letters.push(letterOf(row));
      }
      return letters;
    },
    depth: async () => {
      const { waiting, handed_out: handedOut } = counts.get() as Record<string, number>;
      const first = oldest.get();
      const reading = first && readQueuedAlert(String(first.body));
      return {
        waiting: Number(waiting),
        handedOut: Number(handedOut),
        ...(reading?.ok && { oldestAt: reading.value.receivedAt }),
      };
    },
    deadLetterCount: async () => Number(deadCount.get()?.dead),
    holds: async (deduplicationId) => find.get(deduplicationId) !== undefined,
    ready: async () => {
      db.transaction(() => {});
    },
    recover: () =>
      Number(
        db.prepare("UPDATE message SET ready_at = ?, handed_out = 0 WHERE handed_out = 1").run(clock())
          .changes,
      ),
    close: () => db.close(),
  };
};

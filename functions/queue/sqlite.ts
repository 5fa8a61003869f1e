import { setImmediate } from "node:timers/promises";
import { fingerprint } from "../identity.ts";
import { type Database, openDatabase } from "../sqlite.ts";
import { type OutgoingMessage, putBack, readQueuedAlert } from "./message.ts";
import { isChosen, mostDeadLetters, type Queue, type ReceivedMessage, toDeadLetter } from "./queue.ts";

// Only the first message of a group can be handed out. Its `turn` orders it among its site's messages; while it is hidden
// or handed out, it has `ready_at` instead. So a receive reads two indexes, however many messages wait.
// The JSON of a long alert is in the table `text`, once for all contacts of its site; `body` then has the part before it.
const schema = `
  CREATE TABLE IF NOT EXISTS message (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    message_group TEXT NOT NULL,
    deduplication_id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    receive_count INTEGER NOT NULL DEFAULT 0,
    handed_out INTEGER NOT NULL DEFAULT 0,
    ready_at INTEGER,
    site TEXT NOT NULL DEFAULT '',
    contact TEXT NOT NULL DEFAULT '',
    text_hash TEXT,
    turn INTEGER
  ) STRICT;
  CREATE INDEX IF NOT EXISTS message_in_group ON message (message_group, sequence);
  CREATE INDEX IF NOT EXISTS message_turn ON message (site, turn, sequence) WHERE turn IS NOT NULL;
  CREATE INDEX IF NOT EXISTS message_hidden ON message (ready_at, sequence) WHERE ready_at IS NOT NULL;
  CREATE INDEX IF NOT EXISTS message_text ON message (text_hash) WHERE text_hash IS NOT NULL;
  CREATE TABLE IF NOT EXISTS dead_letter (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    message_group TEXT NOT NULL,
    deduplication_id TEXT NOT NULL,
    body TEXT NOT NULL,
    reason TEXT NOT NULL,
    dead_at INTEGER NOT NULL,
    site TEXT NOT NULL DEFAULT '',
    text_hash TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS dead_letter_of_site ON dead_letter (site, sequence);
  CREATE INDEX IF NOT EXISTS dead_letter_text ON dead_letter (text_hash) WHERE text_hash IS NOT NULL;
  CREATE TABLE IF NOT EXISTS text (hash TEXT PRIMARY KEY, json TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS waiting (
    site TEXT PRIMARY KEY,
    messages INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO waiting SELECT site, count(*), sum(octet_length(body)) FROM message
    WHERE NOT EXISTS (SELECT 1 FROM waiting) GROUP BY site;
  CREATE TRIGGER IF NOT EXISTS message_taken AFTER INSERT ON message BEGIN
    INSERT INTO waiting VALUES (NEW.site, 1, octet_length(NEW.body))
      ON CONFLICT DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
  END;
  CREATE TRIGGER IF NOT EXISTS message_text_taken AFTER INSERT ON message WHEN NEW.text_hash IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM message WHERE text_hash = NEW.text_hash AND sequence <> NEW.sequence) BEGIN
    INSERT INTO waiting SELECT NEW.site, 0, octet_length(json) FROM text WHERE hash = NEW.text_hash
      ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
  END;
  CREATE TRIGGER IF NOT EXISTS message_ended AFTER DELETE ON message BEGIN
    UPDATE waiting SET messages = messages - 1, bytes = bytes - octet_length(OLD.body) WHERE site = OLD.site;
  END;
  CREATE TRIGGER IF NOT EXISTS message_text_ended AFTER DELETE ON message WHEN OLD.text_hash IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM message WHERE text_hash = OLD.text_hash) BEGIN
    UPDATE waiting SET bytes = bytes - (SELECT octet_length(json) FROM text WHERE hash = OLD.text_hash)
      WHERE site = OLD.site;
    DELETE FROM text WHERE hash = OLD.text_hash AND NOT EXISTS (SELECT 1 FROM dead_letter WHERE text_hash = OLD.text_hash);
  END;
  CREATE TRIGGER IF NOT EXISTS dead_letter_text_gone AFTER DELETE ON dead_letter WHEN OLD.text_hash IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM dead_letter WHERE text_hash = OLD.text_hash) BEGIN
    DELETE FROM text WHERE hash = OLD.text_hash AND NOT EXISTS (SELECT 1 FROM message WHERE text_hash = OLD.text_hash);
  END;
`;

/** Changes the file of an older version, which handed out messages in the order of arrival. */
const olderSchema = `
  ALTER TABLE message ADD COLUMN site TEXT NOT NULL DEFAULT '';
  ALTER TABLE message ADD COLUMN contact TEXT NOT NULL DEFAULT '';
  ALTER TABLE message ADD COLUMN text_hash TEXT;
  ALTER TABLE message ADD COLUMN turn INTEGER;
  UPDATE message SET site = coalesce(body ->> '$.site', ''), contact = lower(coalesce(body ->> '$.contact', ''))
    WHERE json_valid(body);
  DROP INDEX message_ready;
  ALTER TABLE dead_letter ADD COLUMN site TEXT NOT NULL DEFAULT '';
  ALTER TABLE dead_letter ADD COLUMN text_hash TEXT;
  DROP INDEX IF EXISTS dead_letter_site;
  UPDATE dead_letter SET site = coalesce(body ->> '$.site', '') WHERE json_valid(body);
`;

const prepareSchema = (db: Database) => {
  const columns = db.prepare("SELECT name FROM pragma_table_info('message')").all();
  db.transaction(() => {
    if (columns.length > 0 && !columns.some(({ name }) => name === "turn")) db.exec(olderSchema);
    db.exec(schema);
  });
};

/** A shorter alert is kept with each of its messages: writing it again costs no more than looking it up. */
const longCharacters = 4096;

/** Nothing is hidden for longer, not even what waits for tomorrow's share of a rate: it is asked about in between. */
const longestSeconds = 1800;
/** A message that seems to be hidden for longer was hidden before the clock was set back. */
const farMilliseconds = (longestSeconds + 60) * 1000;
/** If many messages become visible at one moment, one receive gives so many of them their turns. */
const mostReturning = 1000;
/** So many dead letters are put back in one commit. */
const mostPutBack = 100;
/** With so many contacts or more, those are forgotten whose turns are over. */
const mostContacts = 1000;

type Row = {
  sequence: number;
  message_group: string;
  body: string;
  receive_count: number;
  site: string;
  contact: string;
};
type Letter = { sequence: number; body: string; reason: string; dead_at: number };

type WholeLetter = Pick<OutgoingMessage, "group" | "deduplicationId" | "body">;

/** A site's contacts take turns (start-time fair queueing). The clock is the highest turn that was handed out. */
const siteTurns = () => {
  let clock = 0;
  const next = new Map<string, number>();
  let most = mostContacts;
  return {
    /** The turn of one more message of a contact. */
    take: (contact: string): number => {
      const turn = Math.max(clock, next.get(contact) ?? 0);
      if (next.size >= most) {
        for (const [other, its] of next) if (its <= clock) next.delete(other);
        // In a flood all may still wait. Looking at each of them again for each message would take minutes.
        most = Math.max(mostContacts, 2 * next.size);
      }
      next.set(contact, turn + 1);
      return turn;
    },
    reached: (turn: number): void => {
      clock = Math.max(clock, turn);
    },
    /** Continues from the turns that an earlier process gave to a contact's messages. */
    restore: (contact: string, first: number, last: number): void => {
      clock = next.size === 0 ? first : Math.min(clock, first);
      next.set(contact, last + 1);
    },
  };
};

/** A queue for the process that owns the file. */
export type SqliteQueue = Queue & {
  /** Makes visible the messages that a dead process had in hand. */
  recover(): number;
  close(): void;
};

/**
 * A queue in one SQLite file. Sites take turns, and so do the contacts of a site. At most `mostInHand` messages are in hand;
 * a site gets no more while it has as many of them as are free. If another process holds the lock for 250 ms, a call
 * rejects. Posts that arrive while a commit runs share the next one.
 */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: an adapter: a method for each call of the port.
export const sqliteQueue = (
  path: string,
  clock: () => number,
  mostInHand = Number.POSITIVE_INFINITY,
): SqliteQueue => {
  const db = openDatabase(path, 250);
  prepareSchema(db);
  const whole = (table: string) =>
    `${table}.body || coalesce((SELECT json || '}' FROM text WHERE hash = ${table}.text_hash), '') AS body`;
  const heads = `SELECT sequence, message_group, receive_count, site, contact, turn, ${whole("message")} FROM message`;
  const grouped = db.prepare("SELECT 1 FROM message WHERE message_group = ? LIMIT 1");
  const insert = db.prepare(`
    INSERT INTO message (message_group, deduplication_id, site, contact, body, text_hash, turn)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (deduplication_id) DO NOTHING`);
  const keepText = db.prepare("INSERT INTO text VALUES (?, ?) ON CONFLICT DO NOTHING");
  const ready = db.prepare(`${heads} WHERE site = ? AND turn IS NOT NULL ORDER BY turn, sequence LIMIT 1`);
  const returning = db.prepare(
    "SELECT sequence, site, contact FROM message WHERE ready_at <= ? ORDER BY ready_at, sequence LIMIT ?",
  );
  const giveTurn = db.prepare(
    "UPDATE message SET turn = ?, ready_at = NULL, handed_out = 0 WHERE sequence = ?",
  );
  const handOut = db.prepare(
    "UPDATE message SET turn = NULL, ready_at = ?, receive_count = receive_count + 1, handed_out = 1 WHERE sequence = ?",
  );
  const groupOf = db.prepare("SELECT message_group FROM message WHERE sequence = ? AND receive_count = ?");
  const far = db.prepare("SELECT 1 FROM message WHERE ready_at > ?");
  const approach = db.prepare("UPDATE message SET ready_at = ? WHERE ready_at > ?");
  const erase = db.prepare("DELETE FROM message WHERE sequence = ?");
  const head = db.prepare(
    "SELECT sequence, site, contact FROM message WHERE message_group = ? ORDER BY sequence LIMIT 1",
  );
  const hide = db.prepare(
    "UPDATE message SET turn = NULL, ready_at = ?, handed_out = 0 WHERE sequence = ? AND receive_count = ?",
  );
  const bury = db.prepare(`
    INSERT INTO dead_letter (message_group, deduplication_id, body, reason, dead_at, site, text_hash)
    SELECT message_group, deduplication_id, body, ?, ?, site, text_hash FROM message WHERE sequence = ?`);
  // A list shows no long output and no performance data, and they take long to read.
  const letters = `SELECT sequence, reason, dead_at, body || coalesce((SELECT
    json_remove(json, '$.long_output', '$.perfdata') || '}' FROM text WHERE hash = dead_letter.text_hash), '') AS body
    FROM dead_letter`;
  const wholeLetter = db.prepare(
    `SELECT message_group AS "group", deduplication_id AS deduplicationId, ${whole("dead_letter")}
    FROM dead_letter WHERE sequence = ?`,
  );
  const dead = db.prepare(`${letters} WHERE sequence > ? ORDER BY sequence LIMIT ?`);
  const deadOf = db.prepare(`${letters} WHERE sequence IN (
    SELECT sequence FROM dead_letter WHERE site IN (?, '') AND sequence > ? ORDER BY sequence LIMIT ?) ORDER BY sequence`);
  /** At most `limit` dead letters after this one. With `site`: those of the site, and unreadable ones. */
  const lettersAfter = (sequence: number, limit: number, site?: string) =>
    (site === undefined ? dead.all(sequence, limit) : deadOf.all(site, sequence, limit)) as Letter[];
  const lastLetter = db.prepare("SELECT max(sequence) AS sequence FROM dead_letter");
  const unbury = db.prepare("DELETE FROM dead_letter WHERE sequence = ?");
  const letterOf = ({ body, reason, dead_at }: Letter) => toDeadLetter(body, reason, dead_at);
  const counts = db.prepare("SELECT coalesce(sum(messages), 0) AS messages FROM waiting");
  const bytesOf = db.prepare("SELECT bytes FROM waiting WHERE site = ?");
  const deadCount = db.prepare("SELECT count(*) AS dead FROM dead_letter");
  const deadCountOf = db.prepare(
    "SELECT count(*) AS dead FROM (SELECT 1 FROM dead_letter WHERE site IN (?, '') LIMIT ?)",
  );
  const oldest = db.prepare(`SELECT ${whole("message")} FROM message ORDER BY sequence LIMIT 1`);
  const find = db.prepare("SELECT 1 FROM message WHERE deduplication_id = ?");

  const waiters = new Set<(value?: unknown) => void>();
  const notify = () => {
    for (const goOn of waiters) goOn();
  };

  /** The sites that may have a message ready. A site that was handed a message goes to the end. */
  const sites = new Map<string, ReturnType<typeof siteTurns>>();
  const turnsOf = (site: string) => {
    const turns = sites.get(site) ?? siteTurns();
    sites.set(site, turns);
    return turns;
  };
  const turnOf = ({ site, contact }: { site: string; contact: string }) => turnsOf(site).take(contact);
  const given = db.prepare(`
    SELECT site, contact, min(turn) AS first, max(turn) AS last FROM message WHERE turn IS NOT NULL GROUP BY site, contact`);
  for (const { site, contact, first, last } of given.iterate())
    turnsOf(String(site)).restore(String(contact), Number(first), Number(last));
  /** The site of each message in hand, by its sequence. */
  const inHand = new Map<number, string>();
  /** The text that was kept last: the messages of one alert's contacts follow each other. */
  let kept: { site: string; text: string; hash: string } | undefined;
  const keep = (site: string, text: string): string => {
    if (kept?.site !== site || kept.text !== text)
      kept = { site, text, hash: fingerprint("text", site, text) };
    keepText.run(kept.hash, text);
    return kept.hash;
  };
  /** Takes a message unless the queue has it already. */
  const take = ({ group, deduplicationId, site, contact, body, alert }: OutgoingMessage): boolean => {
    const long = alert !== undefined && alert.length >= longCharacters ? alert : undefined;
    // A text that no message carries would stay for ever.
    if (long && find.get(deduplicationId) !== undefined) return false;
    const hash = long ? keep(site, long) : null;
    const before = long ? body.slice(0, -long.length - 1) : body;
    const turn = grouped.get(group) === undefined ? turnOf({ site, contact }) : null;
    return insert.run(group, deduplicationId, site, contact, before, hash, turn).changes > 0;
  };

  const parts = ({ receipt }: ReceivedMessage) => receipt.split(".").map(Number) as [number, number];
  /** Ends a message that this receipt still holds; the next of its group becomes its head. */
  const end = (message: ReceivedMessage, before?: (sequence: number) => void) => {
    const [sequence, count] = parts(message);
    const row = groupOf.get(sequence, count);
    if (!row) return;
    before?.(sequence);
    erase.run(sequence);
    inHand.delete(sequence);
    const next = head.get(String(row.message_group)) as Row | undefined;
    if (next) giveTurn.run(turnOf(next), next.sequence);
  };
  /** Gives turns to the messages that are hidden no longer. */
  const giveTurns = (now: number) => {
    for (const row of returning.all(now, mostReturning) as Row[]) {
      inHand.delete(row.sequence);
      giveTurn.run(turnOf(row), row.sequence);
    }
  };
  /** Whether a site has as many messages in hand as are free. */
  const isFull = (name: string): boolean =>
    [...inHand.values()].filter((site) => site === name).length >= mostInHand - inHand.size;
  /** The message whose turn it is. Undefined if no site has one ready and may have one more in hand. */
  const nextRow = (): Row | undefined => {
    for (const [name, turns] of sites) {
      if (isFull(name)) continue;
      const row = ready.get(name) as (Row & { turn: number }) | undefined;
      sites.delete(name);
      if (!row) continue;
      turns.reached(row.turn);
      sites.set(name, turns);
      return row;
    }
    return undefined;
  };
  const takeReady = (max: number, visibilityTimeoutSeconds: number): ReceivedMessage[] => {
    const now = clock();
    if (far.get(now + farMilliseconds) !== undefined) approach.run(now, now + farMilliseconds);
    if ([...sites.keys()].every(isFull) && returning.get(now, 1) === undefined) return [];
    const messages: ReceivedMessage[] = [];
    const known = new Map(sites);
    try {
      db.transaction(() => {
        giveTurns(now);
        for (let row = nextRow(); row; row = messages.length < max ? nextRow() : undefined) {
          const visibleAgainAt = now + visibilityTimeoutSeconds * 1000;
          handOut.run(visibleAgainAt, row.sequence);
          inHand.set(row.sequence, row.site);
          const receiveCount = row.receive_count + 1;
          const receipt = `${row.sequence}.${receiveCount}`;
          messages.push({ receipt, group: row.message_group, body: row.body, receiveCount, visibleAgainAt });
        }
      });
    } catch (error) {
      // A full disk: nothing was handed out, and the sites that had no more have these messages again.
      for (const message of messages) inHand.delete(parts(message)[0]);
      for (const [site, turns] of known) if (!sites.has(site)) sites.set(site, turns);
      throw error;
    }
    return messages;
  };

  return {
    send: async (messages) => {
      const taken = await db.together(() => messages.map((message) => take(message) || ("known" as const)));
      notify();
      return taken;
    },
    receive: async ({ max, waitSeconds, visibilityTimeoutSeconds, signal }) => {
      const until = clock() + waitSeconds * 1000;
      for (;;) {
        if (signal?.aborted) return [];
        const messages = takeReady(max, visibilityTimeoutSeconds);
        const left = until - clock();
        if (messages.length > 0 || left <= 0) return messages;
        const { promise, resolve: goOn } = Promise.withResolvers<unknown>();
        // No event tells that a hidden message is visible again: look each second.
        const timer = setTimeout(goOn, Math.min(left, 1000));
        waiters.add(goOn);
        signal?.addEventListener("abort", goOn);
        await promise;
        clearTimeout(timer);
        waiters.delete(goOn);
        signal?.removeEventListener("abort", goOn);
        // Many are taken in one commit: look once for all.
        await setImmediate();
      }
    },
    remove: async (messages) => {
      if (messages.length === 0) return;
      db.transaction(() => {
        for (const message of messages) end(message);
      });
      notify();
    },
    giveBack: async (message, visibilityTimeoutSeconds) => {
      const seconds = Math.min(visibilityTimeoutSeconds, longestSeconds);
      const [sequence, count] = parts(message);
      if (hide.run(clock() + seconds * 1000, sequence, count).changes === 0) return;
      inHand.delete(sequence);
      notify();
    },
    bury: async (message, reason) => {
      db.transaction(() => end(message, (sequence) => bury.run(reason, clock(), sequence)));
      notify();
    },
    redrive: async (which) => {
      const wanted = isChosen(which);
      // A letter that is buried again meanwhile is not put back twice.
      const newest = Number(lastLetter.get()?.sequence ?? 0);
      let count = 0;
      for (let after = 0; ; await setImmediate()) {
        const page = lettersAfter(after, mostPutBack, which.site);
        const some = page.filter(({ sequence }) => sequence <= newest);
        const last = some.at(-1);
        if (!last) break;
        after = last.sequence;
        const chosen = some.filter((row) => wanted(letterOf(row)));
        db.transaction(() => {
          for (const { sequence } of chosen) {
            const { body, ...names } = wholeLetter.get(sequence) as WholeLetter;
            take({ ...putBack(body, clock()), ...names });
            unbury.run(sequence);
          }
        });
        count += chosen.length;
      }
      notify();
      return count;
    },
    deadLetters: async (limit, site) => lettersAfter(0, limit, site).map(letterOf),
    depth: async () => {
      const waiting = Number(counts.get()?.messages) - inHand.size;
      const first = oldest.get();
      const reading = first && readQueuedAlert(String(first.body));
      return { waiting, handedOut: inHand.size, ...(reading?.ok && { oldestAt: reading.value.receivedAt }) };
    },
    deadLetterCount: async (site) =>
      Number((site === undefined ? deadCount.get() : deadCountOf.get(site, mostDeadLetters))?.dead),
    holds: async (deduplicationId) => find.get(deduplicationId) !== undefined,
    waitingBytes: async (site) => Number(bytesOf.get(site)?.bytes ?? 0),
    ready: async () => {
      db.transaction(() => {});
    },
    recover: () => {
      const inDeadHands = db.prepare("UPDATE message SET ready_at = ?, handed_out = 0 WHERE handed_out = 1");
      return Number(inDeadHands.run(clock()).changes);
    },
    close: () => db.close(),
  };
};

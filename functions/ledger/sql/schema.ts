/**
 * All tables of the ledger. It runs at each start, and drops what earlier versions left. Tables of records have a rowid:
 * without one, each row longer than 1002 bytes would have a page of its own, as most records would.
 */
export const schema = `
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

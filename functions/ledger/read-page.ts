import { type Entry, emptyEntry } from "../decide/entry.ts";
import { numbering, type Run } from "../decide/order.ts";
import type { QueuedAlert } from "../queue/message.ts";
import { type JournalRecord, resumed, twinOf } from "./journal.ts";
import type { Page } from "./ledger.ts";

/**
 * The page of an alert, from what a ledger has stored: the entries of object and host, the monitor's runs, its own record,
 * and the records of the same event. `fresh` is the record of an alert that the ledger does not know.
 */
export const pageOf = (
  queued: QueuedAlert,
  fresh: JournalRecord,
  stored: {
    entry?: Entry;
    host?: Entry;
    runs: readonly Run[];
    known?: JournalRecord;
    others: readonly JournalRecord[];
  },
): Page => {
  const { entry = emptyEntry, host, runs, known, others } = stored;
  const record = resumed(known ?? fresh, queued);
  return {
    key: fresh.objectKey,
    entry,
    host,
    ...numbering(runs, queued),
    record,
    twin: twinOf(known, queued.alert, others),
    inDoubt: record.inDoubt,
    putBack: record.putBackAt !== known?.putBackAt,
  };
};

/** The ids of the alerts in an entry that the sweep is to hand over by then, the first due first. */
export const overdueIn = ({ held }: Entry, now: number): { id: string; due: number }[] =>
  Object.entries(held)
    .filter(([, { due, queued }]) => due <= now && !queued)
    .sort(([, a], [, b]) => a.due - b.due || a.receivedAt - b.receivedAt)
    .map(([id, { due }]) => ({ id, due }));

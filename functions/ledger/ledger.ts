import { contactKey } from "../address.ts";
import type { NotificationType, State } from "../alert.ts";
import type { DeliveryOutcome } from "../deliver/delivery.ts";
import { eventKey, objectKey } from "../identity.ts";
import type { QueuedAlert } from "../queue/queue.ts";
import type { Entry, Kind, Row, Verdict } from "./verdict.ts";

/** One try to hand a mail to a relay. */
export type Attempt = { at: number; route: string; outcome: DeliveryOutcome };

/** How an alert's story ends; everything else is pending. */
export type Ending = "mailed" | "suppressed" | "refused" | "dead";

/** The journal's page of one accepted alert: the whole story, kept beside the entry and written with it. */
export type JournalRecord = {
  id: string;
  site: string;
  objectKey: string;
  eventKey: string;
  host: string;
  service: string | null;
  contact: string;
  type: NotificationType;
  state: State;
  receivedAt: number;
  /** The verdict of the latest decision, with the row of nagios.md §5.2 behind it. */
  verdict?: { at: number; action: Verdict["action"]; row: Row; reason: string; kind?: Kind };
  /** Set while a worker may be sending: before `until` nobody sends who was not handed the message after it. */
  claim?: { attempt: number; since: number; until: number; receiveCount: number };
  attempts: Attempt[];
  messageId?: string;
  ending?: { at: number; as: Ending; reason: string };
};

/** What the ledger knows when an alert is looked at. */
export type Page = {
  entry: Entry;
  record: JournalRecord;
  /** The id of another alert that reported the very same event before. */
  twin?: string;
};

/**
 * Entries and journal. A write is one conditional step on the entry's revision: both are on disk when it resolves
 * true, nothing has changed when it resolves false (read and decide again).
 */
export type Ledger = {
  read(queued: QueuedAlert): Promise<Page>;
  write(page: Page): Promise<boolean>;
  /** The journal's record of one alert of a site. */
  story(site: string, id: string): Promise<JournalRecord | undefined>;
  /** Rejects with the reason if the ledger cannot be written now. */
  ready(): Promise<void>;
};

/** The record of an alert that the ledger has not met before. */
export const newRecord = ({ id, site, contact, receivedAt, alert }: QueuedAlert): JournalRecord => ({
  id,
  site,
  objectKey: objectKey(site, alert),
  eventKey: eventKey(site, alert, contactKey(contact)),
  host: alert.object.host,
  service: alert.object.service,
  contact,
  type: alert.type,
  state: alert.state,
  receivedAt,
  attempts: [],
});

/** Notes "attempt n, since t, mine until u" before anything is sent. The page with the new revision, or a conflict. */
export const claim = async (
  ledger: Ledger,
  page: Page,
  verdict: Verdict & { action: "send" },
  messageId: string,
  now: number,
  { visibleAgainAt, receiveCount }: { visibleAgainAt: number; receiveCount: number },
): Promise<Page | undefined> => {
  const { action, row, reason, kind, entry } = verdict;
  const claimed: Page = {
    entry,
    record: {
      ...page.record,
      verdict: { at: now, action, row, reason, kind },
      claim: { attempt: page.record.attempts.length + 1, since: now, until: visibleAgainAt, receiveCount },
      messageId,
      ending: undefined,
    },
  };
  if (!(await ledger.write(claimed))) return undefined;
  return { ...claimed, entry: { ...entry, revision: entry.revision + 1 } };
};

/** Ends the story of an alert that makes no mail. False: a conflict, decide again. */
export const settleUnsent = (ledger: Ledger, page: Page, verdict: Verdict, now: number): Promise<boolean> => {
  const { action, row, reason, entry } = verdict;
  return ledger.write({
    entry,
    record: {
      ...page.record,
      verdict: { at: now, action, row, reason },
      claim: undefined,
      ending: { at: now, as: "suppressed", reason },
    },
  });
};

const mostConflicts = 1000;

/**
 * Writes what happened to a claimed alert, whatever others wrote to the entry meanwhile: `change` is applied to the
 * page at hand and, after a conflict, to a fresh one.
 */
const amend = async (
  ledger: Ledger,
  queued: QueuedAlert,
  page: Page,
  change: (page: Page) => Page,
): Promise<void> => {
  let current = page;
  for (let conflicts = 0; conflicts < mostConflicts; conflicts++) {
    if (await ledger.write(change(current))) return;
    current = await ledger.read(queued);
  }
  throw new Error(`the ledger's entry changed ${mostConflicts} times while one outcome was written`);
};

/** Ends the story of an alert that was sent: `told` says what the entry learns from it. */
export const settle = (
  ledger: Ledger,
  queued: QueuedAlert,
  page: Page,
  attempt: Attempt,
  ending: JournalRecord["ending"],
  told: (entry: Entry) => Entry,
): Promise<void> =>
  amend(ledger, queued, page, ({ entry, record }) => ({
    entry: told(entry),
    record: { ...record, claim: undefined, attempts: [...record.attempts, attempt], ending },
  }));

/** Gives a claim back after an attempt that did not end the story. */
export const release = (ledger: Ledger, queued: QueuedAlert, page: Page, attempt: Attempt): Promise<void> =>
  amend(ledger, queued, page, ({ entry, record }) => ({
    entry,
    record: { ...record, claim: undefined, attempts: [...record.attempts, attempt] },
  }));

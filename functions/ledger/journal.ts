import { contactKey } from "../address.ts";
import { type Alert, type NotificationType, objectName, type State } from "../alert.ts";
import type { Verdict } from "../decide/case.ts";
import type { Episode, Kind, Told } from "../decide/entry.ts";
import type { Row } from "../decide/rows.ts";
import type { Attempt } from "../deliver/outcome.ts";
import type { Returned } from "../deliver/returned.ts";
import { entryKey, eventKey, textKey } from "../identity.ts";
import type { QueuedAlert } from "../queue/message.ts";

/** How an alert's story ends; everything else is pending. */
export const endings = ["mailed", "suppressed", "digested", "refused", "dead"] as const;
export type Ending = (typeof endings)[number];

/** How it stands with an alert. */
export const outcomes = ["pending", ...endings] as const;
export type Outcome = (typeof outcomes)[number];
export type Totals = Record<Outcome, number>;

/** The journal's page of one accepted alert: the whole story, kept beside the entry and written with it. */
export type JournalRecord = {
  id: string;
  site: string;
  objectKey: string;
  eventKey: string;
  /** Alerts with the same event key are the same event unless both have a text key, and these differ. */
  textKey?: string;
  host: string;
  service: string | null;
  contact: string;
  monitor: string;
  type: NotificationType;
  state: State;
  receivedAt: number;
  /** The ledger made this alert itself, by this row. */
  made?: Row;
  /** The verdict of the latest decision, with the row of docs/decision-table.md behind it. */
  verdict?: {
    at: number;
    action: Verdict["action"];
    row: Row;
    reason: string;
    kind?: Kind;
    episode?: Episode;
  };
  /** Each time it was made to wait in the ledger; one that was prolonged is one. */
  holds: { at: number; until: number; row: Row; reason: string }[];
  /** While it waits: what the queue will be given when its time is over. */
  queued?: QueuedAlert;
  /** Set while a worker may be sending: before `until` nobody sends who was not handed the message after it. */
  claim?: { attempt: number; since: number; until: number; receiveCount: number };
  /** The first and the last; `leftOut` tells how many are not kept of those between (`withAttempts`). */
  attempts: Attempt[];
  leftOut?: number;
  /** It was decided on, but no route could be tried. */
  waiting?: { since: number; until: number; reason: string };
  /** A relay may have the mail, though it never said so. */
  inDoubt?: true;
  /** When the last attempt was begun of which no end was noted: its worker died, or could not write. */
  unnoted?: number;
  messageId?: string;
  /** When it was put back by hand, after it had ended as a dead letter. */
  putBackAt?: number;
  /** The digest that tells this alert, by its id, and what it says of it beside the rest. */
  digest?: { id: string; line: string };
  /** For a digest: the ids of the alerts in it. */
  members?: string[];
  /** For a digest that was put back: how it stands with what its contact was told of in other mails meanwhile. */
  meanwhile?: Record<string, Pick<Told, "state" | "recovered">>;
  ending?: { at: number; as: Ending; reason: string };
  /** The reports that came back after a relay accepted the mail; kept apart, for they come from elsewhere. */
  returned?: Returned[];
};

/** The record of an alert that the ledger has not met before. */
export const newRecord = (queued: QueuedAlert): JournalRecord => {
  const { id, site, contact, receivedAt, made, alert } = queued;
  return {
    id,
    site,
    objectKey: entryKey(queued),
    eventKey: eventKey(site, alert, contactKey(contact)),
    textKey: textKey(alert),
    host: alert.object.host,
    service: alert.object.service,
    contact,
    monitor: alert.monitor.id,
    type: alert.type,
    state: alert.state,
    receivedAt,
    ...(made && { made: made.row }),
    holds: [],
    attempts: [],
  };
};

/** The attempts that are always kept. */
export const firstAttempts = 20;
const mostAttempts = 200;

/** The record after more attempts. It keeps 200 at most: a relay may say "too fast" for days, and DynamoDB has 400 KB. */
export const withAttempts = (record: JournalRecord, more: readonly Attempt[]): JournalRecord => {
  const all = [...record.attempts, ...more];
  const over = all.length - mostAttempts;
  if (over <= 0) return { ...record, attempts: all };
  const leftOut = (record.leftOut ?? 0) + over;
  return { ...record, attempts: all.toSpliced(firstAttempts, over), leftOut };
};

/** The record as an alert meets it: it goes on if that is a dead letter which was put back by hand since. */
export const resumed = (record: JournalRecord, { putBackAt }: QueuedAlert): JournalRecord => {
  const { ending, ...unended } = record;
  const dead = !ending || ending.as === "refused" || ending.as === "dead";
  return dead && putBackAt !== undefined && putBackAt !== record.putBackAt
    ? { ...unended, putBackAt }
    : record;
};

/**
 * The other alert that was taken in place of this one, if any: it reports the same event for the same contact. One
 * without texts gives way to one with them while it waits for that (R39).
 */
export const twinOf = (
  mine: JournalRecord | undefined,
  alert: Alert,
  others: readonly JournalRecord[],
): string | undefined => {
  const waits = (record: JournalRecord) => record.verdict?.row === "R39";
  if (mine && !waits(mine)) return undefined;
  const texts = textKey(alert);
  const differs = (other: JournalRecord) =>
    texts !== undefined && other.textKey !== undefined && texts !== other.textKey;
  return others.find(
    (other) =>
      !other.made &&
      !differs(other) &&
      other.verdict?.row !== "R0" &&
      (!waits(other) || (!mine && alert.degraded)),
  )?.id;
};

/** The object as people read it. */
export const objectOf = ({ host, service }: Pick<JournalRecord, "host" | "service">): string =>
  objectName({ object: { host, service } });

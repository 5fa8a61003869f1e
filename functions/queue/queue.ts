import * as v from "valibot";
import { contactKey, parseAddress } from "../address.ts";
import { type Alert, type Reading, read, readAlert } from "../alert.ts";
import { fingerprint, messageGroup } from "../identity.ts";

const madeRows = ["R27", "R37", "R46"] as const;
export type MadeRow = (typeof madeRows)[number];

/** An alert on its way to one mailbox. */
export type QueuedAlert = {
  v: 1;
  /** As the client or, without one, the event's identity gave it; unique within the site. */
  id: string;
  site: string;
  /** Other sites use the bridge too, so the subjects of mails name the site. */
  severalSites?: boolean;
  /** The mailbox that goes to RCPT; `contactName` is what the monitor calls its owner. */
  contact: string;
  contactName?: string;
  /** When the bridge took it, Unix milliseconds of the bridge's clock. */
  receivedAt: number;
  /** By how many milliseconds the monitor's clock was behind the bridge's when it posted this, if it said. */
  clockBehind?: number;
  /** When it was last taken from the dead letters again. */
  putBackAt?: number;
  /**
   * The ledger made it itself, by this row (docs/decision-table.md) and for whoever was told of this episode; R46 is a digest,
   * and an episode of its own.
   */
  made?: { row: MadeRow; episode: string };
  alert: Alert;
};

/** A message for the queue. Messages of one group are handed out in order, one batch of a group at a time. */
export type OutgoingMessage = {
  group: string;
  deduplicationId: string;
  body: string;
  /** Sites take turns in a queue that can do this, and so do the contacts of a site. */
  site: string;
  contact: string;
  /** The JSON of the alert alone; the body ends with it and one brace. A queue may keep it once for all contacts. */
  alert?: string;
};

/** A message handed to a worker until `visibleAgainAt` (Unix milliseconds). */
export type ReceivedMessage = {
  /** Opaque; names this hand-out, not the message, so that a late worker cannot remove what another one holds. */
  receipt: string;
  group: string;
  body: string;
  /** 1 at the first hand-out and again after a redrive. */
  receiveCount: number;
  visibleAgainAt: number;
};

/** The dead letters: of which alert, unless it is none, and why. */
export type DeadLetter = { alert?: QueuedAlert; reason: string; body: string; deadAt: number };

/** Which dead letters are to be put back: those of a site, or one of them; without both all that there are. */
export type Chosen = { site?: string; id?: string };
/** Whether a dead letter is one of those; unreadable messages belong to no site. */
export const isChosen =
  ({ site, id }: Chosen) =>
  ({ alert }: DeadLetter): boolean =>
    (site === undefined || alert?.site === site) && (id === undefined || alert?.id === id);

/** So many dead letters of a site are listed and counted at most. */
export const mostDeadLetters = 500;

/** How much a queue holds; `oldestAt` is when its oldest alert was taken, where the queue can tell. */
export type Depth = { waiting: number; handedOut: number; oldestAt?: number };

/**
 * A FIFO queue with the promises of SQS FIFO and no more: at least once, in order within a group, a group locked
 * while one of its messages is out or waiting to become visible again.
 */
export type Queue = {
  /**
   * Resolves when the messages are on disk: true for each one taken, or "known" for one that it has already, where it
   * can tell (SQS cannot). Rejects if none was taken.
   */
  send(messages: readonly OutgoingMessage[]): Promise<(boolean | "known")[]>;
  /** At most `max` (1-10) messages; waits up to `waitSeconds` for the first one. */
  receive(options: {
    max: number;
    waitSeconds: number;
    visibilityTimeoutSeconds: number;
    signal?: AbortSignal;
  }): Promise<ReceivedMessage[]>;
  /** Deletes what was dealt with; a receipt that has lapsed is passed over. */
  remove(messages: readonly ReceivedMessage[]): Promise<void>;
  /** Gives a message back; it and its group stay hidden for so long. */
  giveBack(message: ReceivedMessage, visibilityTimeoutSeconds: number): Promise<void>;
  /** Puts a message aside for people, with the reason. */
  bury(message: ReceivedMessage, reason: string): Promise<void>;
  /** Puts dead letters back; tells how many. A death meanwhile may put a message back twice. */
  redrive(which: Chosen): Promise<number>;
  /** Oldest first. With `site`: its dead letters, and unreadable ones. Long outputs may be left out. */
  deadLetters(limit: number, site?: string): Promise<DeadLetter[]>;
  depth(): Promise<Depth>;
  /** How many dead letters there are. With `site`: those that `deadLetters` returns, up to `mostDeadLetters`. */
  deadLetterCount(site?: string): Promise<number>;
  /** Whether an alert still waits here; undefined where the queue cannot look into itself (SQS). */
  holds(deduplicationId: string): Promise<boolean | undefined>;
  /** How many bytes of a site wait here, without dead letters; undefined if the queue cannot tell (SQS). */
  waitingBytes(site: string): Promise<number | undefined>;
  /** Rejects with the reason if messages cannot be taken or handed out now. */
  ready(): Promise<void>;
};

/** Names an alert in a queue; SQS allows 128 characters and forgets it after five minutes. */
export const deduplicationId = (site: string, id: string): string => fingerprint("alert", site, id);

// SQS refuses a whole message for one of these characters (SendMessage, "message body"): escape them as JSON may.
const forbiddenInSqs = /[\ud800-\udfff\ufffe\uffff]/g;
const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The messages of one alert's contacts follow each other: its JSON is made once for all. */
let last: { alert: Alert; json: string } | undefined;
const jsonOf = (alert: Alert): string => {
  if (last?.alert !== alert) last = { alert, json: JSON.stringify(alert).replace(forbiddenInSqs, escaped) };
  return last.json;
};

/** The message of one alert. Its group is hash(site, object, contact); it is readable by `readQueuedAlert`. */
export const toMessage = ({ alert, ...queued }: QueuedAlert): OutgoingMessage => {
  const { site, id } = queued;
  const contact = contactKey(queued.contact);
  const json = jsonOf(alert);
  const head = JSON.stringify(queued).replace(forbiddenInSqs, escaped).slice(0, -1);
  return {
    group: messageGroup(site, alert, contact),
    deduplicationId: deduplicationId(site, id),
    body: `${head},"alert":${json}}`,
    site,
    contact,
    alert: json,
  };
};

/** The message of an alert that was held until `due`: with its first id SQS would drop it for five minutes. */
export const toDueMessage = (queued: QueuedAlert, due: number): OutgoingMessage => ({
  ...toMessage(queued),
  deduplicationId: fingerprint("held alert", queued.site, queued.id, String(due)),
});

const milliseconds = v.pipe(v.number("Unix milliseconds"), v.safeInteger("Unix milliseconds"));

const envelope = v.object(
  {
    v: v.literal(1, "1, the only version known here"),
    id: v.pipe(v.string("text"), v.nonEmpty("an id")),
    site: v.pipe(v.string("text"), v.nonEmpty("a site")),
    severalSites: v.optional(v.boolean("true or false")),
    // It goes to RCPT: whoever else writes here must not choose what that says.
    contact: v.pipe(
      v.string("text"),
      v.check((text) => parseAddress(text).ok, "an address"),
    ),
    contactName: v.optional(v.string("text")),
    receivedAt: milliseconds,
    clockBehind: v.optional(milliseconds),
    putBackAt: v.optional(milliseconds),
    made: v.optional(
      v.object({ row: v.picklist(madeRows, "R27, R37 or R46"), episode: v.string("text") }, "an object"),
    ),
    alert: v.unknown(),
  },
  "an object",
);

/** Reads a message body that `toMessage` wrote, perhaps by another version of this program. */
export const readQueuedAlert = (body: string): Reading<QueuedAlert> => {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { ok: false, faults: [{ field: "body", expected: "JSON" }] };
  }
  const queued = read(envelope, json);
  if (!queued.ok) return queued;
  const alert = readAlert(queued.value.alert);
  if (!alert.ok) return alert;
  return { ok: true, value: { ...queued.value, alert: alert.value } };
};

/** The id of the alert in a message, if it holds one: for those who tell what went wrong with it. */
export const idIn = ({ body }: Pick<ReceivedMessage, "body">): string | undefined => {
  const queued = readQueuedAlert(body);
  return queued.ok ? queued.value.id : undefined;
};

/** A dead letter by what its queue keeps of it. */
export const toDeadLetter = (body: string, reason: string, deadAt: number): DeadLetter => {
  const queued = readQueuedAlert(body);
  return { ...(queued.ok && { alert: queued.value }), reason, body, deadAt };
};

/**
 * The message of a dead letter that is put back. Only `putBackAt` tells the ledger to try it again. AWS's own redrive does
 * not write it, so a message that AWS moves is buried again.
 */
export const putBack = (body: string, now: number): Omit<OutgoingMessage, "group" | "deduplicationId"> => {
  const queued = readQueuedAlert(body);
  return queued.ok ? toMessage({ ...queued.value, putBackAt: now }) : { body, site: "", contact: "" };
};

/** The disposition of a message. Nothing but `remove` and `bury` ends it. */
export type Disposition =
  | { message: "remove" }
  | { message: "give-back"; afterSeconds: number }
  | { message: "bury"; reason: string };

/**
 * Handles one batch: groups side by side, one group's messages in order. After the first message of a group that is
 * not removed or buried, the later ones are not handled but given back with it. An error of `handle` leaves the
 * message alone: it is visible again when its time is over. The result has a disposition for every message that may
 * be touched, so a branch that is forgotten redelivers and never loses.
 */
export const drainInOrder = async (
  messages: readonly ReceivedMessage[],
  handle: (message: ReceivedMessage) => Promise<Disposition>,
  failed: (message: ReceivedMessage, error: unknown) => void,
): Promise<Map<ReceivedMessage, Disposition>> => {
  const dispositions = new Map<ReceivedMessage, Disposition>();
  const inGroup = async (group: readonly ReceivedMessage[]) => {
    for (const [index, message] of group.entries()) {
      let disposition: Disposition;
      try {
        disposition = await handle(message);
      } catch (error) {
        failed(message, error);
        return;
      }
      dispositions.set(message, disposition);
      if (disposition.message === "give-back") {
        for (const later of group.slice(index + 1)) dispositions.set(later, disposition);
        return;
      }
    }
  };
  await Promise.all([...Map.groupBy(messages, ({ group }) => group).values()].map(inGroup));
  return dispositions;
};

/** Does with each message what its disposition says, removals first and in one call. */
export const dispose = async (
  queue: Queue,
  dispositions: ReadonlyMap<ReceivedMessage, Disposition>,
): Promise<void> => {
  const done = [...dispositions].filter(([, { message }]) => message === "remove");
  await queue.remove(done.map(([message]) => message));
  for (const [message, disposition] of dispositions) {
    if (disposition.message === "give-back") await queue.giveBack(message, disposition.afterSeconds);
    if (disposition.message === "bury") await queue.bury(message, disposition.reason);
  }
};

const retryScheduleSeconds = [30, 60, 120, 300, 600, 900, 1800];

/** How long a message waits after its nth deferral in a row: 30 s, 1, 2, 5, 10, 15, then every 30 minutes. */
export const retryDelaySeconds = (attempts: number): number =>
  retryScheduleSeconds[Math.min(Math.max(attempts, 1), retryScheduleSeconds.length) - 1] ?? 1800;

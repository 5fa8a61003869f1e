import { type OutgoingMessage, type QueuedAlert, readQueuedAlert } from "./message.ts";

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
export const dispose = async (queue: Queue, dispositions: ReadonlyMap<ReceivedMessage, Disposition>) => {
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

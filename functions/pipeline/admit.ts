import { leastAttemptMilliseconds } from "../deliver/routes.ts";
import type { JournalRecord } from "../ledger/journal.ts";
import type { Page } from "../ledger/ledger.ts";
import type { Disposition, ReceivedMessage } from "../queue/queue.ts";

/** Kept back from an attempt's time, to write its outcome. */
export const settleMilliseconds = 5_000;
/** So far apart the clocks of two machines may be. */
const skewMilliseconds = 5_000;

/** Whether an alert may be decided now: its story has ended, it must wait, or it is free. */
export type Standing =
  | { is: "ended"; ending: NonNullable<JournalRecord["ending"]> }
  | { is: "waiting"; disposition: Disposition }
  | { is: "free" };

const giveBack = (milliseconds: number): Standing => ({
  is: "waiting",
  disposition: { message: "give-back", afterSeconds: Math.ceil(milliseconds / 1000) },
});

/** The part of an alert in its object's entry while it waits there. */
export const heldOf = ({ entry, record }: Page) =>
  Object.hasOwn(entry.held, record.id) ? entry.held[record.id] : undefined;

/** The standing of an alert, by its page and the message that brought it. */
export const admit = (page: Page, message: ReceivedMessage, now: number): Standing => {
  const { ending, claim: claimed } = page.record;
  if (ending) return { is: "ended", ending };
  const waiting = heldOf(page);
  if (waiting && now < waiting.due) {
    const early = waiting.due - now;
    // The sweep's message, and its clock is before ours. If it was held once more until then, the queue would take the
    // sweep's next message for this one, and drop it.
    if (waiting.queued || early <= skewMilliseconds) return giveBack(early);
    // The worker died between holding it and removing its message: the sweep has it now.
    return { is: "waiting", disposition: { message: "remove" } };
  }
  // A later hand-out of the same message says that the worker before us is out of time or dead.
  if (claimed && now < claimed.until && message.receiveCount <= claimed.receiveCount)
    return giveBack(claimed.until - now);
  if (message.visibleAgainAt - now < leastAttemptMilliseconds + settleMilliseconds) return giveBack(0);
  return { is: "free" };
};

import { isLost } from "../deliver/outcome.ts";
import { entryKey } from "../identity.ts";
import { digests } from "../ledger/storm.ts";
import { readQueuedAlert } from "../queue/message.ts";
import type { Disposition, ReceivedMessage } from "../queue/queue.ts";
import { untilWritten } from "../until-written.ts";
import { settleMilliseconds } from "./admit.ts";
import { begin } from "./begin.ts";
import { finish } from "./finish.ts";
import { deliver } from "./hand-over.ts";
import type { PipelineParts } from "./parts.ts";
import { saying } from "./said.ts";
import { turns } from "./turns.ts";

/**
 * Takes one message from the queue to its end: read, decide, claim, compose, deliver, settle. Resolves to the disposition
 * of the message. Rejects if the ledger could not be read or written, and then the message must stay.
 */
export const pipeline = (given: PipelineParts) => {
  const say = saying(given);
  const inTurn = turns();
  const parts = { ...given, say, digests: digests(given.ledger, given.policy, inTurn) };

  return async (message: ReceivedMessage): Promise<Disposition> => {
    const reading = readQueuedAlert(message.body);
    if (!reading.ok) {
      const faults = reading.faults.map(({ field, expected }) => `${field}, expected ${expected}`).join("; ");
      const reason = `unreadable: ${faults}`;
      await say.unreadable(reason);
      return { message: "bury", reason };
    }
    const queued = reading.value;
    await say.wrongClock(queued);
    // Counted once, however often others change the object's entry first.
    const counted = { alone: false };
    const begun = await inTurn(entryKey(queued), () =>
      untilWritten("the ledger's entry of an object", () => begin(parts, queued, message, counted)),
    );
    if ("message" in begun) return begun;
    const last = begun.mine.record.attempts.at(-1);
    const lostBy = last && isLost(last) ? last.route : undefined;
    const until = message.visibleAgainAt - settleMilliseconds;
    const handover = await deliver(parts, queued, begun, until, lostBy);
    return finish(parts, queued, begun, handover);
  };
};

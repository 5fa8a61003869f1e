import { setTimeout } from "node:timers/promises";
import {
  type Disposition,
  dispose,
  drainInOrder,
  idIn,
  type Queue,
  type ReceivedMessage,
  retryDelaySeconds,
} from "../queue/queue.ts";

/** How long a message that is dealt with may wait for others of its batch, to be removed with them. */
const disposeMilliseconds = 1000;
/** So often a queue that takes no disposition is asked again; then its messages come back when their time is over. */
const mostRefusals = 60;

const pause = (milliseconds: number): Promise<unknown> => setTimeout(milliseconds, undefined, { ref: false });

/**
 * Works on one batch. A message that is done waits a moment for the rest, not for a mail at a slow relay; `freed` hears how
 * many are over. A message that made an error is given back with the later ones of its group: by itself it would come only
 * when its time is over.
 */
export const drain = async (
  queue: Queue,
  messages: readonly ReceivedMessage[],
  handle: (message: ReceivedMessage) => Promise<Disposition>,
  failed: (message: ReceivedMessage, error: unknown) => void,
  freed: (count: number) => void = () => {},
  wait = pause,
): Promise<void> => {
  const done = new Map<ReceivedMessage, Disposition>();
  let busy = true;
  let left = messages.length;
  const drained = [...Map.groupBy(messages, ({ group }) => group).values()].map(async (group) => {
    const dispositions = await drainInOrder(group, handle, failed);
    for (const message of group) {
      const afterSeconds = retryDelaySeconds(message.receiveCount);
      done.set(message, dispositions.get(message) ?? { message: "give-back", afterSeconds });
    }
  });
  const all = Promise.all(drained).then(() => {
    busy = false;
  });
  for (let refusals = 0; busy || done.size > 0; ) {
    await Promise.race([all, wait(disposeMilliseconds)]);
    const batch = new Map(done);
    done.clear();
    try {
      await dispose(queue, batch);
      refusals = 0;
      freed(batch.size);
      left -= batch.size;
    } catch (error) {
      if (++refusals === mostRefusals) {
        freed(left);
        throw error;
      }
      for (const [message, disposition] of batch) done.set(message, disposition);
      await wait(disposeMilliseconds);
    }
  }
};

/**
 * Works on batches side by side, with at most `places` messages in hand: a slow mail keeps its own place, and no other
 * alert waits for it. `room` resolves to how many more may be received, at most ten, when there is a place. `over`
 * resolves when all that was begun is over.
 */
export const batchesOf = (
  queue: Queue,
  places: number,
  handle: (message: ReceivedMessage) => Promise<Disposition>,
  failed: (during: string, error: unknown, id?: string) => void,
) => {
  const underWay = new Set<Promise<void>>();
  let inHand = 0;
  let freed = Promise.withResolvers<void>();
  const free = (count: number) => {
    inHand -= count;
    freed.resolve();
    freed = Promise.withResolvers();
  };
  const failedOne = (message: ReceivedMessage, error: unknown) =>
    failed("handling an alert", error, idIn(message));
  return {
    room: async (): Promise<number> => {
      while (inHand >= places) await freed.promise;
      return Math.min(10, places - inHand);
    },
    begin: (messages: readonly ReceivedMessage[]): void => {
      inHand += messages.length;
      const batch = drain(queue, messages, handle, failedOne, free)
        // What was received and not disposed of comes back when its time is over.
        .catch((error) => failed("working on the queue", error))
        .finally(() => underWay.delete(batch));
      underWay.add(batch);
    },
    over: async (): Promise<void> => {
      await Promise.all(underWay);
    },
  };
};

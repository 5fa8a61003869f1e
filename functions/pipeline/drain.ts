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

/** A message whose work has ended waits so long for others of its batch, to leave the queue with them. */
const disposeMilliseconds = 1000;
/** The queue is asked so often to take a disposition. Then the messages come again when their visibility timeout is over. */
const mostRefusals = 60;

/** So long a receive waits for more room while much is in hand. */
const gatherMilliseconds = 20;

const pause = (milliseconds: number): Promise<unknown> => setTimeout(milliseconds, undefined, { ref: false });

/**
 * Works on the groups of a batch side by side. `ended` gets each message of a group whose work has ended. After an error a
 * message is given back with the later ones of its group. Otherwise it would come again only when its visibility timeout
 * is over.
 */
export const workOn = async (
  messages: readonly ReceivedMessage[],
  handle: (message: ReceivedMessage) => Promise<Disposition>,
  failed: (message: ReceivedMessage, error: unknown) => void,
  ended: (message: ReceivedMessage, disposition: Disposition) => unknown,
): Promise<void> => {
  const groups = [...Map.groupBy(messages, ({ group }) => group).values()].map(async (group) => {
    const dispositions = await drainInOrder(group, handle, failed);
    const endings = group.map((message) => {
      const afterSeconds = retryDelaySeconds(message.receiveCount);
      return ended(message, dispositions.get(message) ?? { message: "give-back", afterSeconds });
    });
    await Promise.all(endings);
  });
  await Promise.all(groups);
};

/**
 * Works on one batch. Messages whose work has ended leave the queue together, each within about a second; `freed` gets
 * their number.
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
  const all = workOn(messages, handle, failed, (message, end) => done.set(message, end)).then(() => {
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
 * Works on batches side by side, with at most `mostInHand` messages in hand: no other alert waits for a slow mail. `room`
 * waits until more messages may be received, and resolves to how many, at most ten. `over` resolves when the work on all
 * batches has ended.
 */
export const batchesOf = (
  queue: Queue,
  mostInHand: number,
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
      // A receive costs the embedded queue a commit: under load it is worth more than one message.
      if (inHand >= mostInHand / 4) await pause(gatherMilliseconds);
      while (inHand >= mostInHand) await freed.promise;
      return Math.min(10, mostInHand - inHand);
    },
    /** Receives messages, and begins to work on them. Resolves to how many; after an error to none, a second later. */
    receive: async (options: Parameters<Queue["receive"]>[0]): Promise<number> => {
      try {
        const messages = await queue.receive(options);
        inHand += messages.length;
        const batch = drain(queue, messages, handle, failedOne, free)
          // Messages without a disposition come again when their visibility timeout is over.
          .catch((error) => failed("working on the queue", error))
          .finally(() => underWay.delete(batch));
        underWay.add(batch);
        return messages.length;
      } catch (error) {
        failed("working on the queue", error);
        await setTimeout(1000);
        return 0;
      }
    },
    over: async (): Promise<void> => {
      await Promise.all(underWay);
    },
  };
};

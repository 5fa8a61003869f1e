import { setTimeout } from "node:timers/promises";
import { type Disposition, dispose, drainInOrder, type Queue, type ReceivedMessage } from "../queue/queue.ts";

/** How long a message that is dealt with may wait for others of its batch, to be removed with them. */
const disposeMilliseconds = 1000;

const pause = (milliseconds: number): Promise<unknown> => setTimeout(milliseconds, undefined, { ref: false });

/** Works on one batch. What is done waits a moment for the rest, not for a mail at a slow relay. */
export const drain = async (
  queue: Queue,
  messages: readonly ReceivedMessage[],
  handle: (message: ReceivedMessage) => Promise<Disposition>,
  failed: (message: ReceivedMessage, error: unknown) => void,
  wait = pause,
): Promise<void> => {
  const done = new Map<ReceivedMessage, Disposition>();
  let busy = true;
  const drained = [...Map.groupBy(messages, ({ group }) => group).values()].map(async (group) => {
    for (const [message, disposition] of await drainInOrder(group, handle, failed))
      done.set(message, disposition);
  });
  const all = Promise.all(drained).then(() => {
    busy = false;
  });
  while (busy) {
    await Promise.race([all, wait(disposeMilliseconds)]);
    const batch = new Map(done);
    done.clear();
    await dispose(queue, batch);
  }
};

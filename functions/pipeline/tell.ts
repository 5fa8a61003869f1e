import { type Notice, noticeAlerts } from "../operator/notices.ts";
import { toMessage } from "../queue/message.ts";
import type { Queue } from "../queue/queue.ts";

/** Puts a notice for operators on the queue. Rejects unless the queue has all of it. */
export const tell = async (
  { queue, operators }: { queue: Pick<Queue, "send">; operators: readonly string[] },
  notice: Notice,
  now: number,
): Promise<void> => {
  const notices = noticeAlerts(notice, operators, now);
  const taken = notices.length > 0 ? await queue.send(notices.map(toMessage)) : [];
  if (!taken.every(Boolean)) throw new Error("the queue took only some of the notices for the operators");
};

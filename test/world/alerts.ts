import { type Alert, readAlert } from "../../functions/alert.ts";
import { type QueuedAlert, readQueuedAlert } from "../../functions/queue/message.ts";
import type { Queue } from "../../functions/queue/queue.ts";

/** The wire form of a service's HARD problem, with whatever a test needs otherwise. */
export const posted = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
  v: 1,
  source: "nagios",
  monitor: { id: "monitor1", start: 1000 },
  type: "PROBLEM",
  object: { host: "web01", service: "HTTP" },
  state: "CRITICAL",
  state_type: "HARD",
  problem: { id: "5", epoch: 99_990 },
  notification: { id: "101", number: 1 },
  output: "CRITICAL - Socket timeout after 10 seconds",
  time: 100_000,
  ...change,
});

/** An alert as intake would have read it. */
export const alertOf = (change: Record<string, unknown> = {}): Alert => {
  const reading = readAlert(posted(change));
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading.value;
};

/** A queued alert for ops@example.com. */
export const queuedAlert = (
  change: Partial<QueuedAlert> = {},
  alert: Record<string, unknown> = {},
): QueuedAlert => ({
  v: 1,
  id: "alert-0001",
  site: "site",
  contact: "ops@example.com",
  receivedAt: 100_000_000,
  alert: alertOf(alert),
  ...change,
});

/** Takes and removes all that a queue holds. */
export const takenFrom = async (queue: Queue): Promise<QueuedAlert[]> => {
  const alerts: QueuedAlert[] = [];
  for (;;) {
    const messages = await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 30 });
    if (messages.length === 0) return alerts;
    for (const { body } of messages) {
      const reading = readQueuedAlert(body);
      if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
      alerts.push(reading.value);
    }
    await queue.remove(messages);
  }
};

/** The body of a request whose sender breaks off after this beginning. */
export const cutOff = (beginning: string): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (body) => body.enqueue(Buffer.from(beginning)),
    pull: (body) => body.error(new Error("aborted")),
  });

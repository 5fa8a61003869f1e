import { type JournalRecord, objectOf, type Returned } from "./ledger/journal.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { noticeAlerts, operatorSite } from "./operator.ts";
import { type Queue, toMessage } from "./queue/queue.ts";
import type { Report } from "./telemetry.ts";

export type ReturnParts = {
  ledger: Ledger;
  queue: Pick<Queue, "send">;
  operators: readonly string[];
  clock: () => number;
  report: Report;
};

/**
 * Notes what came back of an alert's mail, and tells operators once a day for each contact; not of a delay, nor of
 * their own mails. The queue has the notice before the ledger says so: who is told of the same again tells it again.
 */
export const noteReturned = async (
  { ledger, queue, operators, clock, report }: ReturnParts,
  record: JournalRecord,
  returned: Returned,
): Promise<void> => {
  const { site, id } = record;
  const { kind, contact, reply } = returned;
  if (kind !== "delay" && site !== operatorSite && operators.length > 0) {
    const notice = { about: "returned", id, object: objectOf(record), returned } as const;
    const taken = await queue.send(noticeAlerts(notice, operators, clock()).map(toMessage));
    if (!taken.every(Boolean)) throw new Error("the queue took only some of the notices for the operators");
  }
  await ledger.noteReturned(site, id, returned);
  report({ event: "returned", id, site, contact, kind, reply });
};

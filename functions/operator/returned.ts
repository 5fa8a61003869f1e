import type { Returned } from "../deliver/returned.ts";
import { operatorSite } from "../identity.ts";
import type { JournalRecord } from "../ledger/journal.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Queue } from "../queue/queue.ts";
import type { Report } from "../report/event.ts";
import { tell } from "./notices.ts";

export type ReturnParts = {
  ledger: Ledger;
  queue: Pick<Queue, "send">;
  operators: readonly string[];
  clock: () => number;
  report: Report;
};

/**
 * Notes in an alert's story what came back of its mail. Operators are told once a day for each contact, except about
 * delays and about their own mails. The notice is queued before the story is written, so a retry repeats both.
 */
export const noteReturned = async (
  parts: ReturnParts,
  record: JournalRecord,
  returned: Returned,
): Promise<void> => {
  const { ledger, clock, report } = parts;
  const { site, id } = record;
  const { kind, contact, reply } = returned;
  if (kind !== "delay" && site !== operatorSite)
    await tell(parts, { about: "returned", alert: record, returned }, clock());
  await ledger.noteReturned(site, id, returned);
  report({ event: "returned", id, site, contact, kind, reply });
};

import { contactKey } from "../address.ts";
import type { Returned } from "../deliver/returned.ts";
import { operatorSite } from "../identity.ts";
import { type JournalRecord, objectOf } from "../ledger/journal.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Queue } from "../queue/queue.ts";
import type { Report } from "../report/event.ts";
import { tellInWords, type Words } from "./notices.ts";

export type ReturnParts = {
  ledger: Ledger;
  queue: Pick<Queue, "send">;
  operators: readonly string[];
  clock: () => number;
  report: Report;
};

const whatCameBack: Record<Returned["kind"], string> = {
  bounce: "did not arrive",
  delay: "is late",
  complaint: "was reported as spam",
  reject: "was discarded by SES, which found a virus in it",
};
const dayMilliseconds = 86_400_000;

/** The words of the notice about a contact's mail that came back, once a day for each contact. */
export const returnedWords = (
  alert: Pick<JournalRecord, "id" | "host" | "service">,
  { kind, contact, reply, permanent }: Returned,
  now: number,
): Words => {
  const remedy = permanent
    ? "The next mails will bounce too. Correct the contact's address in the monitor, or have the mailbox repaired."
    : "The relay had accepted this mail, so the bridge does not send it again.";
  return {
    service: `returned mail: ${contact}`,
    key: `returned ${contactKey(contact)} ${Math.floor(now / dayMilliseconds)}`,
    output: `A mail to ${contact} ${whatCameBack[kind]}: ${reply}`,
    todo: `${remedy}\nThe mail was about ${objectOf(alert)}. What became of it: hardstate explain ${alert.id}\nNo more mail about returned mail of ${contact} today (UTC).`,
  };
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
  const now = clock();
  // With all notices in it, the intake's bundle would have the advice about relays.
  if (kind !== "delay" && site !== operatorSite)
    await tellInWords(parts, returnedWords(record, returned, now), now);
  await ledger.noteReturned(site, id, returned);
  report({ event: "returned", id, site, contact, kind, reply });
};

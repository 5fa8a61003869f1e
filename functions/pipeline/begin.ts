import { messageIdOf } from "../compose/mail.ts";
import type { Verdict } from "../decide/case.ts";
import type { Page } from "../ledger/ledger.ts";
import { claim, drop, hold, settleDigested, settleUnsent } from "../ledger/page.ts";
import { lineOf } from "../ledger/storm.ts";
import type { QueuedAlert } from "../queue/message.ts";
import type { Disposition, ReceivedMessage } from "../queue/queue.ts";
import { admit, heldOf } from "./admit.ts";
import { isDigest, membersOf, verdictFor } from "./decided.ts";
import type { Claimed } from "./hand-over.ts";
import type { WorkParts } from "./parts.ts";

type Send = Verdict & { action: "send" };
const removed: Disposition = { message: "remove" };

/** An alert whose story has ended, as after a worker that died behind its last write. Undefined: a conflict. */
const again = async (
  { ledger, say, digests, clock }: WorkParts,
  page: Page,
  queued: QueuedAlert,
): Promise<Disposition | undefined> => {
  const { ending, digest, attempts } = page.record;
  if (!ending || (heldOf(page) && !(await drop(ledger, page)))) return undefined;
  if (ending.as === "refused" || ending.as === "dead") {
    await say.burial(queued, ending.as, ending.reason, attempts.at(-1));
    return { message: "bury", reason: ending.reason };
  }
  if (ending.as === "digested" && digest) await digests.joinDigest(queued, digest.id, clock());
  say.repeated(queued, ending.as);
  return removed;
};

/** Claims the mail of an alert. With a digest, its page has the alerts in it. Undefined: a conflict. */
const claimed = async (
  { ledger, sender, digests }: WorkParts,
  page: Page,
  queued: QueuedAlert,
  verdict: Send,
  message: ReceivedMessage,
  now: number,
): Promise<Claimed | undefined> => {
  const members = membersOf(page, queued);
  const meanwhile =
    isDigest(queued) && page.putBack ? await digests.toldMeanwhile(queued, members) : page.record.meanwhile;
  const asClaimed = isDigest(queued) ? { ...page, record: { ...page.record, members, meanwhile } } : page;
  const mine = await claim(ledger, asClaimed, verdict, messageIdOf(queued, sender), now, message);
  return mine && { mine, verdict };
};

/**
 * Decides about an alert once, and writes that. The disposition of its message, or the mail that is to be sent now;
 * undefined after a conflict: read and decide again. `counted` says that its mail was counted in an earlier round.
 */
export const begin = async (
  parts: WorkParts,
  queued: QueuedAlert,
  message: ReceivedMessage,
  counted: { alone: boolean },
): Promise<Disposition | Claimed | undefined> => {
  const { ledger, policy, say, digests, clock } = parts;
  const now = clock();
  const page = await ledger.read(queued);
  const standing = admit(page, message, now);
  if (standing.is === "ended") return again(parts, page, queued);
  if (standing.is === "waiting") return standing.disposition;
  const verdict = await verdictFor(ledger, page, queued, policy, now);
  if (verdict.action === "hold") {
    if (!(await hold(ledger, page, queued, verdict, now))) return undefined;
    say.held(queued, verdict);
    return removed;
  }
  if (verdict.action !== "send") {
    if (!(await settleUnsent(ledger, page, verdict, now))) return undefined;
    say.ended(queued, "suppressed", verdict);
    return removed;
  }
  const digest = counted.alone ? undefined : await digests.digestFor(queued, page, verdict, now);
  counted.alone = digest === undefined;
  if (digest === undefined) return claimed(parts, page, queued, verdict, message, now);
  const line = { ...digest, line: lineOf(queued) };
  if (!(await settleDigested(ledger, page, queued, verdict, line, now))) return undefined;
  await digests.joinDigest(queued, digest.id, now);
  say.ended(queued, "digested", verdict);
  return removed;
};

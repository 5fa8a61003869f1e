import { told } from "../decide/entry.ts";
import { isLost } from "../deliver/outcome.ts";
import type { Handover } from "../deliver/routes.ts";
import { holdUnsent, release, settle } from "../ledger/page.ts";
import type { QueuedAlert } from "../queue/message.ts";
import type { Disposition } from "../queue/queue.ts";
import type { Claimed } from "./hand-over.ts";
import { endingOf, retryOf } from "./outcome.ts";
import type { WorkParts } from "./parts.ts";

/** Lets the alert of a mail wait that no route accepted: in the ledger (R29) or in the queue. */
const postpone = async (
  { ledger, say, clock, giveUpAfterSeconds, policy }: WorkParts,
  queued: QueuedAlert,
  { mine, verdict }: Claimed,
  handover: Handover,
): Promise<Disposition> => {
  const limits = { giveUpAfterSeconds, flapHoldSeconds: policy.flapHoldSeconds };
  const retry = retryOf(queued, mine.record, verdict, handover, limits, clock());
  if (retry.from === "ledger") await holdUnsent(ledger, queued, mine, handover, retry.at, clock());
  else await release(ledger, queued, mine, handover, clock());
  say.failed(queued, verdict, handover.attempts, retry.at);
  if (retry.from === "ledger") return { message: "remove" };
  return { message: "give-back", afterSeconds: Math.max(1, Math.ceil((retry.at - clock()) / 1000)) };
};

/** Settles the result of a mail, or lets its alert wait. */
export const finish = async (
  parts: WorkParts,
  queued: QueuedAlert,
  claimed: Claimed,
  handover: Handover,
): Promise<Disposition> => {
  const { ledger, say, clock, giveUpAfterSeconds } = parts;
  const { mine, verdict } = claimed;
  const end = endingOf(queued, mine.record, handover, giveUpAfterSeconds, clock());
  if (!end) return postpone(parts, queued, claimed, handover);
  const last = handover.attempts.at(-1);
  // R43: a contact who may have the mail is treated as told.
  const heard = end.as === "mailed" || mine.record.inDoubt || (last && isLost(last));
  const ending = await settle(ledger, queued, mine, handover, { ...end, at: clock() }, (entry) =>
    heard ? told(entry, verdict.kind, queued, verdict.episode?.id, clock()) : entry,
  );
  say.failed(queued, verdict, handover.attempts);
  // Another worker was handed it meanwhile: it has mailed it, or is still at it.
  if (!ending) return { message: "give-back", afterSeconds: 1 };
  if (ending.as !== end.as) return { message: "remove" };
  say.ended(queued, end.as, { ...verdict, reason: `${verdict.reason}: ${end.reason}` }, last);
  if (end.as === "mailed") return { message: "remove" };
  await say.burial(queued, end.as, end.reason, last);
  return { message: "bury", reason: end.reason };
};

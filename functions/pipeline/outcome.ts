import type { Verdict } from "../decide/case.ts";
import { isLost } from "../deliver/outcome.ts";
import type { Handover } from "../deliver/routes.ts";
import type { Ending } from "../ledger/journal.ts";
import type { Page } from "../ledger/ledger.ts";
import type { QueuedAlert } from "../queue/message.ts";
import { retryDelaySeconds } from "../queue/queue.ts";

/** SQS buries a message after 1000 receives at most: an alert that waits long for a route must be received less often. */
const quickReceives = 100;
const laterReceives = 500;
/** A mail that only waits for the pace of a route that works is not held in the ledger for less than this. */
const soonMilliseconds = 10_000;

type Record = Page["record"];

/** The ending of an alert after a handover; undefined while it is retried. Only a mail of its age is given up. */
export const endingOf = (
  { receivedAt }: QueuedAlert,
  { holds, putBackAt }: Record,
  { attempts, wait, refused }: Handover,
  giveUpAfterSeconds: number,
  now: number,
): { as: Exclude<Ending, "suppressed" | "digested">; reason: string } | undefined => {
  const outcome = attempts.at(-1)?.outcome;
  if (outcome?.result === "accepted") return { as: "mailed", reason: outcome.reply };
  if (refused && outcome) return { as: "refused", reason: outcome.reply };
  // An alert that waited for something else, or was put back, has tried the relay since then alone.
  const age = now - Math.max(receivedAt, holds.at(-1)?.until ?? 0, putBackAt ?? 0);
  if (age < giveUpAfterSeconds * 1000) return undefined;
  const last = outcome?.reply ?? wait?.reason;
  return { as: "dead", reason: `given up after ${giveUpAfterSeconds / 3600} h: ${last}` };
};

/** When an alert is retried, in Unix milliseconds: from the ledger (R29), where its recovery may spare both, or from the queue. */
export const retryOf = (
  queued: QueuedAlert,
  record: Record,
  verdict: Verdict & { action: "send" },
  handover: Handover,
  { giveUpAfterSeconds, flapHoldSeconds }: { giveUpAfterSeconds: number; flapHoldSeconds: number },
  now: number,
): { from: "ledger" | "queue"; at: number } => {
  const { attempts, wait, paced, sooner = Number.POSITIVE_INFINITY } = handover;
  const last = attempts.at(-1);
  const inDoubt = record.inDoubt || (last && isLost(last));
  const tries = [...record.attempts, ...attempts].filter(({ route }) => route === last?.route).length;
  const next = wait?.until ?? Math.min(now + retryDelaySeconds(tries) * 1000, sooner);
  const flapEnds = queued.receivedAt + flapHoldSeconds * 1000;
  const unheard = (verdict.kind === "PROBLEM" && verdict.row !== "R11") || verdict.kind === "ESCALATION";
  // Once: the queue drops a message with the key of the same hold.
  const wasHeld = record.holds.some(({ row }) => row === "R29");
  const goesSoon = paced && next < now + soonMilliseconds;
  if (unheard && !inDoubt && !wasHeld && !goesSoon && now < flapEnds) return { from: "ledger", at: flapEnds };
  const receives = record.claim?.receiveCount ?? 0;
  const least = receives > quickReceives ? giveUpAfterSeconds / laterReceives : 1;
  return { from: "queue", at: now + Math.ceil(Math.max((next - now) / 1000, least)) * 1000 };
};

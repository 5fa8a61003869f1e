import { composeDigest } from "../compose/digest.ts";
import { compose, reduced, withoutLongOutput } from "../compose/mail.ts";
import { render } from "../compose/mime.ts";
import type { Verdict } from "../decide/case.ts";
import type { Mail } from "../deliver/mail.ts";
import type { Attempt } from "../deliver/outcome.ts";
import type { Handover } from "../deliver/routes.ts";
import type { Page } from "../ledger/ledger.ts";
import type { QueuedAlert } from "../queue/message.ts";
import type { PipelineParts } from "./parts.ts";

/** A mail that no other worker sends now, and the page on which that is written. */
export type Claimed = { mine: Page; verdict: Verdict & { action: "send" } };

/** The mail of a verdict; with a relay's refusal of it, in its reduced form. */
const mailOf = async (
  { ledger, sender, clock }: PipelineParts,
  queued: QueuedAlert,
  { mine, verdict }: Claimed,
  refusal?: string,
): Promise<Mail> => {
  const now = clock();
  const { members, meanwhile } = mine.record;
  const mail = members
    ? composeDigest(queued, await ledger.stories(queued.site, members), now, sender, meanwhile)
    : compose(refusal ? withoutLongOutput(queued) : queued, verdict, now, sender);
  return render(refusal ? reduced(mail, refusal, members !== undefined) : mail);
};

const isNo = ({ outcome: { result } }: Attempt) => result === "refused" || result === "unauthorised";

/**
 * Offers the mail to the routes. It is offered once more in its reduced form if one refuses it for the message and no
 * other puts it off. A route that is down or refuses us may stay so: the one that answers may take that form.
 */
export const deliver = async (
  parts: PipelineParts,
  queued: QueuedAlert,
  claimed: Claimed,
  until: number,
  first?: string,
): Promise<Handover> => {
  const whole = await parts.handOver(await mailOf(parts, queued, claimed), until, first);
  const refusal = whole.attempts.find(
    ({ outcome }) => outcome.result === "refused" && outcome.about === "message",
  );
  if (!refusal || !whole.attempts.every(isNo)) return whole;
  const mail = await mailOf(parts, queued, claimed, refusal.outcome.reply);
  const again = await parts.handOver(mail, until, first);
  const attempts = again.attempts.map((attempt): Attempt => ({ ...attempt, reduced: true }));
  return { ...again, attempts: [...whole.attempts, ...attempts] };
};

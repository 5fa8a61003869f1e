import { contactKey } from "../address.ts";
import { unmailed, type Verdict } from "../decide/case.ts";
import type { Policy } from "../decide/policy.ts";
import { decide } from "../decide/verdict.ts";
import type { Ledger, Page } from "../ledger/ledger.ts";
import { madeOnce } from "../ledger/page.ts";
import type { QueuedAlert } from "../queue/message.ts";

/**
 * The decision about an alert. A mail that was decided stays decided: only its delivery is retried, so that problem and
 * recovery both go out, in order, however long the relay was away (R30).
 */
const verdictOf = (page: Page, queued: QueuedAlert, policy: Policy, now: number): Verdict => {
  const { verdict, claim, attempts, waiting } = page.record;
  const known = page.entry.contacts[contactKey(queued.contact)];
  // An alert that was put back by hand is decided anew: much may have happened since.
  if (
    page.putBack ||
    verdict?.action !== "send" ||
    // So is one after which another alert of this contact was mailed.
    (known !== undefined && known.at > verdict.at) ||
    !verdict.kind ||
    (!claim && !waiting && attempts.length === 0)
  )
    return decide(page, queued, policy, now);
  const { kind, row, reason, episode, at } = verdict;
  const entry = { ...page.entry, touchedAt: now };
  return { action: "send", kind, row, reason, episode, decidedAt: at, entry };
};

/**
 * The verdict of an alert. If no relay accepted the digest that has a problem, the next notification mails the problem, as
 * after any dead letter. The entry keeps the digest's news, for the digest may be put back.
 */
const heardVerdict = async (
  ledger: Ledger,
  page: Page,
  queued: QueuedAlert,
  policy: Policy,
  now: number,
): Promise<Verdict> => {
  const key = contactKey(queued.contact);
  const { [key]: known, ...others } = page.entry.contacts;
  const digest =
    known?.digest !== undefined && queued.alert.type === "PROBLEM"
      ? await ledger.story(queued.site, known.digest)
      : undefined;
  const dead = digest?.ending?.as === "refused" || digest?.ending?.as === "dead";
  if (!known || !dead || digest?.inDoubt) return verdictOf(page, queued, policy, now);
  const unheard = { ...page, entry: { ...page.entry, contacts: others } };
  const verdict = verdictOf(unheard, queued, policy, now);
  return { ...verdict, entry: { ...verdict.entry, contacts: { [key]: known, ...verdict.entry.contacts } } };
};

export const isDigest = ({ made }: QueuedAlert): boolean => made?.row === "R46";

/** The ids of the alerts in a digest, or none. */
export const membersOf = ({ entry, record }: Page, queued: QueuedAlert): string[] =>
  record.members ?? (isDigest(queued) ? entry.storm?.digests[queued.id] : undefined) ?? [];

/** The verdict of an alert, with the alerts that the ledger makes by it and has not made yet. */
export const verdictFor = async (
  ledger: Ledger,
  page: Page,
  queued: QueuedAlert,
  policy: Policy,
  now: number,
): Promise<Verdict> =>
  isDigest(queued) && membersOf(page, queued).length === 0
    ? unmailed("suppress", "R46", "the ledger knows no alert of this digest", page.entry)
    : madeOnce(ledger, page, await heardVerdict(ledger, page, queued, policy, now));

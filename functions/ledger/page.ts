import type { Hold, Send, Verdict } from "../decide/case.ts";
import { type Entry, told, withHeld, withoutHeld } from "../decide/entry.ts";
import { withEach } from "../decide/monitor-view.ts";
import { isLost } from "../deliver/outcome.ts";
import type { Handover } from "../deliver/routes.ts";
import type { QueuedAlert } from "../queue/message.ts";
import { untilWritten } from "../until-written.ts";
import { type JournalRecord, newRecord, withAttempts } from "./journal.ts";
import type { Ledger, Page } from "./ledger.ts";

/** The record of an alert that waits. A wait that is prolonged for the same row is one. */
export const heldRecord = (
  record: JournalRecord,
  queued: QueuedAlert,
  hold: JournalRecord["holds"][number],
): JournalRecord => {
  const { at, row, reason } = hold;
  const last = record.holds.at(-1);
  const holds =
    last?.row === row ? [...record.holds.slice(0, -1), { ...hold, at: last.at }] : [...record.holds, hold];
  return { ...record, queued, claim: undefined, holds, verdict: { at, action: "hold", row, reason } };
};

/** The verdict without what another contact's alert made already: that waits as it was decided since, or has ended. */
export const madeOnce = async (ledger: Ledger, page: Page, verdict: Verdict): Promise<Verdict> => {
  const made: QueuedAlert[] = [];
  let { entry } = verdict;
  for (const one of verdict.made ?? []) {
    const { [one.id]: held } = page.entry.held;
    if (!held && (await ledger.story(one.site, one.id)) === undefined) made.push(one);
    else {
      entry = withoutHeld(entry, one.id);
      if (held) entry = { ...entry, held: { ...entry.held, [one.id]: held } };
    }
  }
  return { ...verdict, entry, made };
};

/** The first records of what a verdict makes. */
const madeBy = ({ made = [], entry }: Verdict, now: number): JournalRecord[] =>
  made.map((queued) =>
    heldRecord(newRecord(queued), queued, {
      at: now,
      row: queued.made?.row ?? "R27",
      reason: "the monitor may not send this contact a recovery",
      until: entry.held[queued.id]?.due ?? now,
    }),
  );

const writeVerdict = (ledger: Ledger, page: Page, verdict: Verdict, record: JournalRecord, now: number) =>
  ledger.write({
    key: page.key,
    entry: verdict.entry,
    records: [record, ...madeBy(verdict, now)],
    numbered: page.numbered,
  });

/** The record with what its last claim leaves: a worker that nobody saw settle it may have sent the mail. */
const doubted = (record: JournalRecord): JournalRecord =>
  record.claim ? { ...record, inDoubt: true, unnoted: record.claim.since } : record;

/** Notes "attempt n, since t, mine until u" before anything is sent. The page with the new revision, or a conflict. */
export const claim = async (
  ledger: Ledger,
  page: Page,
  verdict: Send,
  messageId: string,
  now: number,
  { visibleAgainAt, receiveCount }: { visibleAgainAt: number; receiveCount: number },
): Promise<Page | undefined> => {
  const { action, row, reason, kind, episode, entry, decidedAt } = verdict;
  const record: JournalRecord = {
    ...doubted(page.record),
    verdict: { at: decidedAt ?? now, action, row, reason, kind, episode },
    claim: {
      attempt: page.record.attempts.length + (page.record.leftOut ?? 0) + 1,
      since: now,
      until: visibleAgainAt,
      receiveCount,
    },
    messageId,
    queued: undefined,
  };
  if (!(await writeVerdict(ledger, page, verdict, record, now))) return undefined;
  return { ...page, entry: { ...entry, revision: entry.revision + 1 }, record };
};

/** Ends the story of an alert that makes no mail. False: a conflict, decide again. */
export const settleUnsent = (ledger: Ledger, page: Page, verdict: Verdict, now: number): Promise<boolean> => {
  const { action, row, reason, entry } = verdict;
  const record: JournalRecord = {
    ...doubted(page.record),
    verdict: { at: now, action, row, reason },
    queued: undefined,
    claim: undefined,
    ending: { at: now, as: "suppressed", reason },
  };
  return writeVerdict(ledger, page, { ...verdict, entry: withoutHeld(entry, record.id) }, record, now);
};

/** Ends the story of an alert that a digest tells. False: a conflict, decide again. */
export const settleDigested = (
  ledger: Ledger,
  page: Page,
  queued: QueuedAlert,
  verdict: Send,
  { why, ...digest }: { id: string; why: string; line: string },
  now: number,
): Promise<boolean> => {
  const { action, row, reason, kind, episode } = verdict;
  const record: JournalRecord = {
    ...page.record,
    verdict: { at: now, action, row, reason, kind, episode },
    queued: undefined,
    digest,
    ending: { at: now, as: "digested", reason: `${why}: told by the digest ${digest.id}` },
  };
  const entry = told(withoutHeld(verdict.entry, record.id), kind, queued, episode?.id, now, digest.id);
  return writeVerdict(ledger, page, { ...verdict, entry }, record, now);
};

/** Notes that the digest `to` has an alert in place of `from`. Resolves to the one that its record names now. */
export const noteDigest = (ledger: Ledger, queued: QueuedAlert, from: string, to: string): Promise<string> =>
  untilWritten("the ledger's entry of an object", async () => {
    const { key, entry, record } = await ledger.read(queued);
    const { digest, ending } = record;
    // Another worker has it too, and was first.
    if (!digest || !ending || digest.id !== from) return digest?.id ?? to;
    const contacts = withEach(entry.contacts, (known) =>
      known.digest === from ? { ...known, digest: to } : known,
    );
    const moved = {
      ...record,
      digest: { ...digest, id: to },
      ending: { ...ending, reason: ending.reason.replace(from, to) },
    };
    return (await ledger.write({ key, entry: { ...entry, contacts }, records: [moved] })) ? to : undefined;
  });

/** Keeps an alert in the ledger until it is due: the queue may forget it. False: a conflict, decide again. */
export const hold = (
  ledger: Ledger,
  page: Page,
  queued: QueuedAlert,
  verdict: Hold,
  now: number,
): Promise<boolean> => {
  const { row, reason, due } = verdict;
  const record = heldRecord(doubted(page.record), queued, { at: now, row, reason, until: due });
  return writeVerdict(ledger, page, verdict, record, now);
};

/**
 * Writes what happened to a claimed alert, whatever others wrote to the entry meanwhile: `change` is applied to the
 * page at hand and, after a conflict, to a fresh one.
 */
const amend = (
  ledger: Ledger,
  queued: QueuedAlert,
  page: Page,
  change: (page: Page) => { entry: Entry; record: JournalRecord },
): Promise<JournalRecord> => {
  let current: Page | undefined = page;
  return untilWritten("the ledger's entry of an object", async () => {
    const { entry, record } = change(current ?? (await ledger.read(queued)));
    current = undefined;
    const written = await ledger.write({ key: page.key, entry, records: [record], offered: true });
    return written ? record : undefined;
  });
};

/** `mine` is the claim under which it was tried: what another worker has claimed since stays that one's. */
const tried = (
  record: JournalRecord,
  mine: JournalRecord["claim"],
  { attempts, wait }: Handover,
  now: number,
): JournalRecord => ({
  ...withAttempts(record, attempts),
  claim:
    record.claim?.since === mine?.since && record.claim?.receiveCount === mine?.receiveCount
      ? undefined
      : record.claim,
  waiting: wait && { since: (attempts.length === 0 && record.waiting?.since) || now, ...wait },
  ...(attempts.some(isLost) && { inDoubt: true }),
});

/**
 * Ends the story of an alert that was sent: `told` says what the entry learns from it. Resolves to its ending. That is
 * another one if who was handed it after us has mailed it, and its contact may know its end by now; and none if that
 * one is still at it, and we could not mail it.
 */
export const settle = async (
  ledger: Ledger,
  queued: QueuedAlert,
  page: Page,
  handover: Handover,
  ending: NonNullable<JournalRecord["ending"]>,
  told: (entry: Entry) => Entry,
): Promise<JournalRecord["ending"]> => {
  const mine = page.record.claim;
  const settled = await amend(ledger, queued, page, ({ entry, record }) => {
    const next = tried(record, mine, handover, ending.at);
    const mailed = record.ending?.as === "mailed" ? record.ending : undefined;
    if (!mailed && next.claim && ending.as !== "mailed")
      return { entry, record: { ...next, waiting: record.waiting } };
    return {
      entry: withoutHeld(mailed ? entry : told(entry), queued.id),
      record: { ...next, waiting: undefined, queued: undefined, ending: mailed ?? ending },
    };
  });
  return settled.ending;
};

/** Gives a claim back after attempts that did not end the story. */
export const release = (
  ledger: Ledger,
  queued: QueuedAlert,
  page: Page,
  handover: Handover,
  now: number,
): Promise<unknown> =>
  amend(ledger, queued, page, ({ entry, record }) => ({
    entry,
    record: tried(record, page.record.claim, handover, now),
  }));

/** R29: gives a claim back after a first attempt, and keeps the alert until it is due: its recovery may come. */
export const holdUnsent = (
  ledger: Ledger,
  queued: QueuedAlert,
  page: Page,
  handover: Handover,
  due: number,
  now: number,
): Promise<unknown> =>
  amend(ledger, queued, page, ({ entry, record }) => ({
    entry: withHeld(entry, queued, "R29", due),
    record: heldRecord(tried(record, page.record.claim, handover, now), queued, {
      at: now,
      row: "R29",
      reason: "no relay has taken it yet; if it recovers before then, no mail is sent",
      until: due,
    }),
  }));

/** Drops what still waits of an alert whose story has ended. False: a conflict. */
export const drop = (ledger: Ledger, { key, entry, record }: Page): Promise<boolean> =>
  ledger.write({ key, entry: withoutHeld(entry, record.id), records: [] });

import type { JournalRecord } from "./journal.ts";

/** Flow is counted by hours of UTC. */
export const hourMilliseconds = 3_600_000;

/** How many of an hour's alerts, by when they were received, were mailed or suppressed since; `at` is its begin. */
export type Hour = { at: number; accepted: number; mailed: number; suppressed: number };

/** The results of a site's alerts since a time. Times are Unix milliseconds. */
export type Flow = {
  /** From when on every alert is counted: later than asked for where there are too many to count. */
  since: number;
  /** The hours that had any alert, oldest first. */
  hours: Hour[];
  /** When the last alert was received, however long ago. */
  acceptedAt?: number;
  /** When a relay last took a mail, by those of the ten mailed alerts that were received last. */
  mailedAt?: number;
};

/** How many of the mailed alerts, those received last, tell when a relay last took a mail. */
export const lastMailed = 10;

/** When the latest of these mails was taken. */
export const mailedAt = (records: readonly JournalRecord[]): number | undefined =>
  records
    .map(({ ending }) => ending?.at)
    .reduce((a, b) => (a === undefined || (b ?? 0) > a ? b : a), undefined);

/** The hours of three counts, each by the number of the hour since 1970. */
export const hoursOf = (
  counts: Record<"accepted" | "mailed" | "suppressed", ReadonlyMap<number, number>>,
): Hour[] =>
  [...counts.accepted.keys()]
    .sort((a, b) => a - b)
    .map((hour) => ({
      at: hour * hourMilliseconds,
      accepted: counts.accepted.get(hour) ?? 0,
      mailed: counts.mailed.get(hour) ?? 0,
      suppressed: counts.suppressed.get(hour) ?? 0,
    }));

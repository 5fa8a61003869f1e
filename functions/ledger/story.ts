import type { Row } from "../decide/rows.ts";
import type { Attempt } from "../deliver/outcome.ts";
import type { Returned } from "../deliver/returned.ts";
import { firstAttempts, type JournalRecord, objectOf } from "./journal.ts";

// Made at each use: the first one that is made costs 20 ms, too much of a cold start.
const seconds = () =>
  new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: "UTC" });
/** A time of UTC to the second: `2026-11-25 22:30:00`. */
export const stamp = (at: number): string => seconds().format(at);
const time = (at: number): string => `${stamp(at)} UTC`;

const because = ({ row, reason }: { row: Row; reason: string }): string => `${reason} (${row})`;

const howItCameBack: Record<Returned["kind"], string> = {
  bounce: "bounced",
  delay: "was late",
  complaint: "was reported as spam",
  reject: "was discarded by SES",
};
const spans: [milliseconds: number, unit: string][] = [
  [172_800_000, "d"],
  [7_200_000, "h"],
  [120_000, "min"],
];
/** A report about a mail, and how long after its end it came: `bounced 14 s later: 550 5.1.1 no such user`. */
const returnedLine = ({ at, kind, reply }: Returned, endedAt: number): string => {
  const after = Math.max(0, at - endedAt);
  const [least, unit] = spans.find(([least]) => after >= least) ?? [2000, "s"];
  return `${howItCameBack[kind]} ${Math.round(after / (least / 2))} ${unit} later: ${reply}`;
};

/** How it stands with an alert, in one sentence: its ending, or what it waits for. */
export const outcomeOf = (record: JournalRecord): string => {
  const { verdict, claim, attempts, waiting, queued, holds, ending, returned = [] } = record;
  const why = verdict ? because(verdict) : "nothing was decided yet";
  if (ending?.as === "digested") return `digested: ${verdict?.kind}, ${why}; ${ending.reason}`;
  if (ending?.as === "suppressed") return `suppressed: ${why}`;
  if (ending)
    return [
      `${ending.as}: ${verdict?.kind} mail, ${why}`,
      ending.reason,
      ...returned.map((one) => returnedLine(one, ending.at)),
    ].join("; ");
  const hold = holds.at(-1);
  if (queued && hold) return `held until ${time(hold.until)}: ${because(hold)}`;
  const last = attempts.at(-1);
  if (waiting && !claim)
    return `pending: no route may be tried before ${time(waiting.until)}: ${waiting.reason}; ${why}`;
  if (claim) return `pending: attempt ${claim.attempt} began ${time(claim.since)}; ${why}`;
  return last
    ? `pending: waits for its next try, the last said: ${last.outcome.reply}; ${why}`
    : `pending: ${why}`;
};

const attemptLine = ({ route, outcome, reduced }: Attempt): string => {
  const { result, tls, reply, durationMilliseconds } = outcome;
  const over = tls
    ? ` over ${tls.version} ${tls.cipher} to ${tls.subject || "a certificate without a name"}`
    : "";
  const form = reduced ? " the reduced form" : "";
  return `${route} ${result}${form}${over} in ${(durationMilliseconds / 1000).toFixed(1)} s: ${reply}`;
};

/** The events of an alert, in order. */
export const eventsOf = (record: JournalRecord): { at: number; line: string }[] => {
  const { made, monitor, type, state, contact, attempts, leftOut, holds, waiting, returned = [] } = record;
  const from = made ? `made here (${made})` : `received from ${monitor}`;
  const event = (at: number | undefined, line: string) => (at === undefined ? [] : [{ at, line }]);
  const kept = attempts.map((attempt) => ({ at: attempt.at, line: attemptLine(attempt) }));
  const next = leftOut === undefined ? undefined : attempts[firstAttempts]?.at;
  return [
    ...event(record.receivedAt, `${from}: ${type} ${state} of ${objectOf(record)} for ${contact}`),
    ...kept.slice(0, firstAttempts),
    ...event(next, `before this, ${leftOut} more attempts failed, which are not kept`),
    ...kept.slice(firstAttempts),
    ...holds.map((hold) => ({ at: hold.at, line: `held until ${time(hold.until)}: ${because(hold)}` })),
    ...event(waiting?.since, `waits, for no route may be tried: ${waiting?.reason}`),
    ...event(
      record.unnoted,
      "an attempt was begun, and its end was not noted: the relay may have the mail, and is offered it again with the same Message-ID",
    ),
    ...returned.map((one) => ({
      at: one.at,
      line: `the mail to ${one.contact} ${howItCameBack[one.kind]}: ${one.reply}`,
    })),
    ...event(record.putBackAt, "put back by hand"),
  ].sort((a, b) => a.at - b.at);
};

/** An alert's story, a line for each thing that happened to it, in order; the last says how it stands. */
export const storyOf = (record: JournalRecord): string[] => [
  ...eventsOf(record).map(({ at, line }) => `${time(at)}  ${line}`),
  outcomeOf(record),
];

import type { JournalRecord } from "../../functions/ledger/journal.ts";
import { judge, type Kind, type Violation } from "../oracle/judge.ts";
import { type PlayedMail, playedMail } from "../scenarios/scenarios.ts";
import { type Played, secondsOf } from "./play.ts";

type Told = PlayedMail & { id: string };
type Records = ReadonlyMap<string, JournalRecord>;

const mailboxOf = ({ contact }: JournalRecord): string => contact.split("@")[0] ?? "";
const objectOf = ({ host, service }: JournalRecord): string =>
  service === null ? host : `${host}/${service}`;

/** Whether it is an alert without texts, of which the whole notification came or comes as well. */
const isPoor = (id: string): boolean => id.startsWith("poor-");
/** Whether it tells a note, which the oracle's cores do not send. */
const isNote = ({ kind }: Told): boolean => ["CUSTOM", "DOWNTIME", "FLAPPING"].includes(kind);

/** The mails of each contact, in order: by the first copy of a mail, or by the alerts that a digest tells. */
const toldIn = ({ arrived, copies, outputs }: Played, records: Records): Told[] => {
  const seen = new Set<string>();
  const outputOf = (id: string): string | null => outputs.get(id) || null;
  /** R27: a recovery that is made of a problem has no texts; it tells the last end that came. */
  const madeOf = ({ t, kind, object, row }: Pick<Told, "t" | "kind" | "object" | "row">): string | null => {
    const isEnd = (post: Played["arrived"][0]) =>
      post.t <= t && post.notice.object === object && post.notice.type === "RECOVERY";
    return kind === "RECOVERY" && row === "R27" ? outputOf(arrived.findLast(isEnd)?.id ?? "") : null;
  };
  return copies
    .filter(({ mail }) => mail.alert.site === "site" && !seen.has(mail.messageId) && seen.add(mail.messageId))
    .flatMap(({ mail, at }): Told[] => {
      const { id } = mail.alert;
      const played = { ...playedMail(mail, secondsOf(at)), id };
      const { members } = records.get(id) ?? {};
      if (!members)
        return [{ ...played, output: isPoor(id) ? outputOf(id) : (played.output ?? madeOf(played)) }];
      return members.flatMap((member) => {
        const told = records.get(member);
        const { kind, row, episode } = told?.verdict ?? {};
        if (!told || !kind || !row) return [];
        const of = { t: played.t, to: mailboxOf(told), kind, state: told.state, object: objectOf(told), row };
        return [{ ...of, id: member, thread: episode?.id ?? "", output: outputOf(member) ?? madeOf(of) }];
      });
    });
};

/** An alert of one mailbox about one object, or its digest, and the history. */
type Fault = { record: JournalRecord; played: Played };

/** The deviations that a fault of the simulation excuses for a mailbox and an object: a line for each. */
const excuses: Record<string, { kinds: readonly Kind[]; if: (fault: Fault) => boolean }> = {
  "a mail that was refused, given up or put back is told late or never, and what follows counts on neither": {
    kinds: [
      ...(["swallowed", "step lost", "no end", "acknowledgement lost"] as const),
      ...(["twice", "end twice", "false end", "early end", "unasked", "torn thread"] as const),
    ],
    if: ({ record: { ending, putBackAt } }) =>
      ending?.as === "dead" || ending?.as === "refused" || putBackAt !== undefined,
  },
  "R30: what came before the last end that is known goes out, though an older end came before it": {
    kinds: ["stale"],
    if: ({ record: { verdict } }) => verdict?.row === "R30",
  },
  "R2: an old post that nothing dates is news, if a newer end has taken the place of its own in the ledger": {
    kinds: ["stale"],
    if: ({ record: { id }, played: { arrived } }) => {
      const post = arrived.find((one) => one.id === id);
      if (!post || post.sent !== undefined || typeof post.notice.macros.nid === "number") return false;
      const ends = arrived.filter(({ t, notice }) => t <= post.t && notice.type === "RECOVERY");
      return ends.some(({ notice }) => notice.real > post.notice.real);
    },
  },
  "a relay took an end, and its worker died before it noted that: another one told it again": {
    kinds: ["end twice"],
    if: ({ record: { id, type, ending }, played: { copies } }) =>
      type === "RECOVERY" && ending?.as !== "mailed" && copies.some(({ mail }) => mail.alert.id === id),
  },
  "R24: a clock that is off by seconds waits for seconds less": {
    kinds: ["early end"],
    if: ({ record: { verdict }, played: { history } }) =>
      verdict?.row === "R24" && history.skewMilliseconds > 0,
  },
  "FLAPPINGSTOP ends no problem, so one that is decided after it is told, and nothing tells its end": {
    kinds: ["stale", "no end"],
    if: ({ record: { id, type, verdict }, played: { arrived, claimed, decided, history } }) => {
      const decidedAt = secondsOf(claimed.get(id) ?? decided.get(id) ?? 0);
      const isLater = arrived.some(
        ({ t, notice }) => history.flapEnds.includes(notice.serial) && t <= decidedAt,
      );
      return isLater && (type === "PROBLEM" || verdict?.row === "R28");
    },
  },
  "R9, R10: a monitor forgot the problem, and gave it a new name while an older post waited because of a fault":
    {
      kinds: ["twice"],
      if: ({ record: { id, verdict }, played: { arrived, decided } }) => {
        const post = arrived.find((one) => one.id === id);
        const decidedAt = secondsOf(decided.get(id) ?? 0);
        const isLate = post !== undefined && decidedAt > post.t + 5;
        const renamed = arrived.some(({ t, notice }) => notice.restored && t <= decidedAt);
        return isLate && renamed && (verdict?.row === "R9" || verdict?.row === "R30");
      },
    },
};

/** Whether its mail waited for a relay: one whose route is known to be away is held without an attempt. */
const waitedForRelay = ({ attempts, holds, inDoubt }: JournalRecord): boolean =>
  inDoubt === true ||
  attempts.some(({ outcome }) => outcome.result !== "accepted") ||
  holds.some(({ row }) => row === "R29" || row === "R30");

/**
 * The oracle's findings about the mails, without those that a fault excuses. Faults make posts and mails wait, so a
 * violation is one only if the judge finds it whenever these count as come; while a mail waits, its relay is away.
 */
export const judged = (played: Played): Violation[] => {
  const { history, decided, claimed } = played;
  const arrived = played.arrived.toSorted((a, b) => a.t - b.t);
  const ofSite = played.records.filter(({ site }) => site === "site");
  const records = new Map(ofSite.map((record) => [record.id, record]));
  // A reminder tells again what is known, if the bridge is to.
  const isReminder = ({ kind }: Told) => kind === "REMINDER" && history.renotifyAfterSeconds !== undefined;
  const mails = toldIn(played, records).filter((mail) => !isNote(mail) && !isReminder(mail));
  const asCome = judge({ ...history.monitored, posts: arrived, relayAway: [] }, mails);
  if (asCome.length === 0) return [];

  const came = new Map(arrived.map(({ id, t }) => [id, t]));
  const inSeconds = (times: ReadonlyMap<string, number>) =>
    new Map([...times].map(([id, at]) => [id, secondsOf(at)]));
  const [first, mailed] = [inSeconds(decided), inSeconds(claimed)];
  const last = new Map(first);
  for (const record of ofSite)
    if (record.verdict && record.type === "PROBLEM" && waitedForRelay(record))
      last.set(record.id, secondsOf(record.verdict.at));
  /** When posts and mails count as come. */
  const times: Record<string, [posts: ReadonlyMap<string, number>, mails: ReadonlyMap<string, number>]> = {
    "as if nothing waited": [came, came],
    "when the ledger first decided on them": [first, mailed],
    "a problem that waited for a relay, when the ledger last decided on it": [last, last],
  };
  const at = <T extends { id: string; t: number }>(all: readonly T[], of: ReadonlyMap<string, number>): T[] =>
    all.map((one) => ({ ...one, t: of.get(one.id) ?? one.t }));

  return asCome.filter(({ kind, mailbox, object }) => {
    const about = (...objects: string[]) =>
      ofSite.filter((one) => mailboxOf(one) === mailbox && objects.includes(objectOf(one)));
    const mine = about(object);
    const faults = [...mine, ...mine.flatMap(({ digest }) => records.get(digest?.id ?? "") ?? [])];
    if (
      Object.values(excuses).some(
        (excuse) => excuse.kinds.includes(kind) && faults.some((record) => excuse.if({ record, played })),
      )
    )
      return false;
    const relayAway = about(object, object.split("/")[0] ?? "")
      .filter(waitedForRelay)
      .map(({ id, ending }) => ({ from: first.get(id) ?? 0, to: secondsOf(ending?.at ?? Infinity) }));
    return Object.values(times).every(([ofPosts, ofMails]) => {
      const posts = at(arrived, ofPosts).sort((a, b) => a.t - b.t);
      return judge({ ...history.monitored, posts, relayAway }, at(mails, ofMails)).some(
        (one) => one.kind === kind && one.mailbox === mailbox && one.object === object,
      );
    });
  });
};

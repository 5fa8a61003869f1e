import { type State, severity } from "../../functions/alert.ts";
import type { Mail } from "../../functions/compose/mail.ts";
import type { JournalRecord, Outcome } from "../../functions/ledger/journal.ts";
import { type Contact, contacts, objects, type Said } from "./monitors.ts";

/** What a contact was told of an object: by a mail of its own, or by a digest. */
export type Got = {
  contact: Contact;
  object: string;
  kind: string;
  state: State;
  episode: string;
  row: string;
  messageId: string;
};

/** What a mail tells its reader. */
export const gotOf = ({ to, subject, headers, messageId }: Mail): Got => {
  const [, kind = "", state = "", object = ""] = /^(\S+) (\S+): (.*)$/.exec(subject) ?? [];
  return {
    contact: to.split("@")[0] as Contact,
    object,
    kind,
    state: state as State,
    episode: headers["X-Hardstate-Episode"] ?? "",
    row: headers["X-Hardstate-Reason"]?.split(" ")[0] ?? "",
    messageId,
  };
};

/** What came of a history, in the order in which it did. */
export type Outcomes = {
  got: Got[];
  said: Said[];
  /** What was posted, by the alert's id. */
  posts: Map<string, Record<string, unknown>>;
  items: JournalRecord[];
  totals: Record<Outcome, number>;
  /** The rows by which alerts still wait. */
  held: string[];
  /** The ids of those that are still in the queue. */
  queue: string[];
  relayWasAway: boolean;
};

const stateKinds = ["PROBLEM", "ESCALATION", "UPDATE", "REMINDER", "RECOVERY"];
const isFirst = ({ kind }: Got) => kind === "PROBLEM" || kind === "ESCALATION";

/** Each contact's mails about each object's state, in order. */
const threads = (got: readonly Got[]) => [
  ...Map.groupBy(
    got.filter(({ kind }) => stateKinds.includes(kind)),
    (mail) => `${mail.contact} ${mail.object}`,
  ),
];
/** The last thing that each monitor said of an object, by the monitor's own order. */
const lastSaid = (said: readonly Said[]) =>
  [...Map.groupBy(said, ({ monitor }) => monitor).values()].map(
    (all) => all.toSorted((a, b) => a.start - b.start || a.number - b.number).at(-1) as Said,
  );

const recordOf = ({ items }: Outcomes, got: Got) =>
  items.find(({ messageId }) => messageId === got.messageId);

/** The problem that a mail is about, as it was in truth, whatever its monitor called it. */
const problemOf = (result: Outcomes, got: Got) =>
  (result.posts.get(recordOf(result, got)?.id ?? "")?.custom as { truth: string } | undefined)?.truth;

/** What the bridge may know of an alert's place among all that its monitor numbered, and since when. */
type Numbered = { monitor: string; start: number; number: number; decidedAt: number };
const numberedBy = ({ posts }: Outcomes, { id, holds, verdict }: JournalRecord): Numbered | undefined => {
  const { monitor, notification } = (posts.get(id) ?? {}) as {
    monitor?: { id: string; start?: number };
    notification?: { id?: string };
  };
  if (monitor?.start === undefined || notification?.id === undefined) return undefined;
  const decidedAt = holds[0]?.at ?? verdict?.at ?? Number.POSITIVE_INFINITY;
  return { monitor: monitor.id, start: monitor.start, number: Number(notification.id), decidedAt };
};
/**
 * Whether it could be known when the later of two mails was decided that their monitor forgot in between: by a number of
 * the later run that the run before it had given. Two restarts in a second may leave a run of which nothing is known.
 */
const couldBeKnown = (result: Outcomes, mails: readonly [Got, Got]): boolean => {
  const [first, second] = mails.map((mail) => {
    const record = recordOf(result, mail);
    return record && numberedBy(result, record);
  });
  if (!first || !second || first.monitor !== second.monitor || first.start === second.start) return true;
  const known = result.items
    .map((one) => numberedBy(result, one))
    .filter((one) => one !== undefined)
    .filter(({ monitor, decidedAt }) => monitor === second.monitor && decidedAt <= second.decidedAt);
  const run = Math.max(first.start, second.start);
  const runBefore = Math.max(...known.map(({ start }) => start).filter((start) => start < run));
  const numbersOf = (one: number) => known.filter(({ start }) => start === one).map(({ number }) => number);
  return Math.min(...numbersOf(run)) <= Math.max(...numbersOf(runBefore));
};

/** Whether the last word of a monitor on an object was said to this contact too. */
const saidTo = (said: readonly Said[], { monitor, object, start, number }: Said, contact: Contact): boolean =>
  said.some(
    (one) =>
      one.monitor === monitor &&
      one.object === object &&
      one.contact === contact &&
      one.start === start &&
      one.number === number,
  );

/** What must hold of every history: a sentence, and who breaks it. */
export const promises: [string, (result: Outcomes) => unknown[]][] = [
  [
    "an episode makes one first mail and one recovery for a contact, and updates that are each worse",
    ({ got }) =>
      threads(got).filter(([, mails]) =>
        [...Map.groupBy(mails, ({ episode }) => episode).values()].some((ofIt) => {
          const worse = ofIt.filter(({ kind }) => kind !== "RECOVERY").map(({ state }) => severity[state]);
          return (
            ofIt.filter(isFirst).length > 1 ||
            ofIt.filter(({ kind }) => kind === "RECOVERY").length > 1 ||
            String(worse) !== String([...new Set(worse)].sort())
          );
        }),
      ),
  ],
  [
    "a recovery goes only to who was told of the problem, and once",
    ({ got }) =>
      threads(got).filter(([, mails]) =>
        mails.some(
          ({ kind }, index) =>
            kind === "RECOVERY" && [undefined, "RECOVERY"].includes(mails[index - 1]?.kind),
        ),
      ),
  ],
  [
    "who was told of a problem is not told of it again before its recovery, though its monitor lost its memory",
    (result) =>
      threads(result.got).filter(([, mails]) =>
        mails.some((mail, index) => {
          const before = mails.slice(0, index).findLast(isFirst);
          if (!isFirst(mail) || !before || mails[index - 1]?.kind === "RECOVERY") return false;
          const problem = problemOf(result, mail);
          const isSame = problem !== undefined && problemOf(result, before) === problem;
          return isSame && couldBeKnown(result, [before, mail]);
        }),
      ),
  ],
  [
    "nobody who was told of a host that stays down is told of its services, if the relay takes all at once",
    ({ got, said, relayWasAway }) =>
      relayWasAway || said.some(({ object, good }) => object === "web1" && good)
        ? []
        : got.filter((mail, index) => {
            if (mail.object === "web1" || !isFirst(mail) || mail.row === "R18") return false;
            const host = threads(got.slice(0, index)).find(([thread]) => thread === `${mail.contact} web1`);
            return host !== undefined && host[1].at(-1)?.kind !== "RECOVERY";
          }),
  ],
  [
    // A recovery that was lost on its way shows in the state that flapping ended in (R37).
    "a contact who was sent a problem that lasts has been told of it, or of its host, or who still reports it",
    ({ got, said }) =>
      contacts.flatMap((contact) =>
        objects.filter((object) => {
          const last = (name: string) =>
            threads(got)
              .find(([thread]) => thread === `${contact} ${name}`)?.[1]
              .at(-1);
          const bad = lastSaid(said.filter((one) => one.object === object)).some(
            (one) => !one.good && saidTo(said, one, contact),
          );
          const covered = object !== "web1" && ![undefined, "RECOVERY"].includes(last("web1")?.kind);
          const mail = last(object);
          return (
            bad &&
            !covered &&
            !["R24", "R37"].includes(mail?.row ?? "") &&
            [undefined, "RECOVERY"].includes(mail?.kind)
          );
        }),
      ),
  ],
  [
    "a contact who was sent every recovery has been told of the last",
    ({ got, said }) =>
      threads(got).filter(([thread, mails]) => {
        const last = lastSaid(said.filter(({ object }) => thread.endsWith(` ${object}`)));
        const over = last.every((one) => one.good && saidTo(said, one, mails[0]?.contact ?? "alice"));
        return over && mails.at(-1)?.kind !== "RECOVERY";
      }),
  ],
  [
    "every alert is accounted for: accepted = pending + mailed + suppressed + digested + refused + dead",
    ({ posts, items, totals, queue, held }) => {
      const made = items.filter((record) => record.made).length;
      const sum = Object.values(totals).reduce((all, count) => all + count, 0);
      const covered = held.filter((row) => row === "R16").length;
      const wrong =
        sum !== posts.size + made || totals.pending !== covered || totals.dead + totals.refused > 0;
      return [...queue, ...(wrong ? [totals] : [])];
    },
  ],
];

import type { Posted } from "./tape.ts";

/** A mail in a mailbox. */
export type Received = { mailbox: string; subject: string; text: string };

/** The posts for a mailbox, and the mails that it got. */
export type Count = {
  /** Outages. */
  posted: number;
  told: number;
  /** Mails. */
  problem: number;
  update: number;
  /** Outages that it was told of, and whose RECOVERY was posted to it. */
  ends: number;
  /** Mails; of these, those that were not posted to it (R27). */
  recovery: number;
  r27: number;
  /** Outages that it was not told of, for they were taken for one that it knew (R10). */
  r10: number;
  /** Faults. */
  swallowed: number;
  tooMany: number;
  unasked: number;
};
/** News that was not told, was told too often, or was told to the wrong mailbox. */
export type Fault = "swallowed" | "tooMany" | "unasked";
export type Judgement = { faults: Record<Fault, string[]>; counts: Map<string, Count> };

const severity: Record<string, number> = { WARNING: 1, UNREACHABLE: 1, UNKNOWN: 2, DOWN: 2, CRITICAL: 3 };
const rank = (state: string) => severity[state] ?? 0;
const worst = (posts: readonly Posted[]) => Math.max(...posts.map(({ state }) => rank(state)));

/** The states of these posts that are worse than all before them. */
const steps = (posts: readonly Posted[]): string[] => {
  const worse: string[] = [];
  for (const { state } of posts) if (worse.every((before) => rank(before) < rank(state))) worse.push(state);
  return worse;
};

/** Whether `some` come in `all`, in this order. */
const within = (some: readonly string[], all: readonly string[]): boolean => {
  let found = 0;
  for (const one of all) if (one === some[found]) found += 1;
  return found === some.length;
};

/** The number of the outage that a text tells of; undefined unless it is exactly one. */
const outageIn = (text: string): string | undefined => {
  const numbers = new Set([...text.matchAll(/\boutage (\d+)\b/g)].map(([, number]) => number));
  return numbers.size === 1 ? [...numbers][0] : undefined;
};

const isProblem = ({ type }: Posted) => type === "PROBLEM";
const isRecovery = ({ type }: Posted) => type === "RECOVERY";
const tellsEnd = ({ subject }: Received) => subject.startsWith("[RECOVERY ");
const stateOf = ({ subject }: Received) => / ([A-Z]+)\] /.exec(subject)?.[1] ?? "";

export type Outage = { object: string; posts: Posted[] };

/** The posts of each outage, by its number. */
export const outagesOn = (tape: readonly Posted[]): Map<string, Outage> => {
  const outages = new Map<string, Outage>();
  for (const post of tape) {
    const number = outageIn(post.output);
    if (number === undefined) throw new Error(`a post of no outage: ${post.object}: ${post.output}`);
    const outage = outages.get(number) ?? { object: post.object, posts: [] };
    outages.set(number, { ...outage, posts: [...outage.posts, post] });
  }
  return outages;
};

/** The starts of the core at which it had forgotten its last notifications: it gives their ids again. */
const forgetfulStarts = (tape: readonly Posted[]): Set<number> => {
  const lastId = new Map<number, number>();
  const forgetful = new Set<number>();
  for (const { start, id } of tape) {
    const before = [...lastId].filter(([other]) => other < start).map(([, last]) => last);
    if (before.some((last) => id <= last)) forgetful.add(start);
    lastId.set(start, Math.max(id, lastId.get(start) ?? 0));
  }
  return forgetful;
};

/** R10: how long after its start a core may find again what it forgot. */
const graceSeconds = 900;

/**
 * Judges what real mailboxes got by what a real core posted: one outage and mailbox at a time. Each outage has a number
 * in its outputs, and each check result an output of its own. It knows nothing of the bridge.
 *
 * - An outage that was posted to a mailbox is mailed to it once, and once more for each step to a worse state.
 * - An event of a volatile service is mailed once.
 * - Its end is mailed once to a mailbox that was told of it, if its RECOVERY was posted to that mailbox.
 * - A mail has the text of a post of the same outage, object and state to that mailbox.
 * - Nothing else is mailed.
 *
 * Exceptions:
 * - A core that forgot an outage reports it again under a new name: it may be mailed once more (principle 1).
 * - A core that forgot an outage never posts its end. A report of the same object within 15 minutes of its start
 *   may be taken for that outage, if it is no worse (R10).
 * - A core that restored an older state names an older problem in the RECOVERY: it may be mailed or not (R21).
 * - An escalation passes contacts by: if they were told of the outage, they may be told of its end (R27).
 */
export const judge = (tape: readonly Posted[], mails: readonly Received[]): Judgement => {
  const outages = outagesOn(tape);
  const forgetful = forgetfulStarts(tape);
  const faults: Judgement["faults"] = { swallowed: [], tooMany: [], unasked: [] };
  const counts: Judgement["counts"] = new Map();
  const mailboxes = new Set([
    ...tape.flatMap((post) => post.mailboxes),
    ...mails.map(({ mailbox }) => mailbox),
  ]);

  for (const mailbox of [...mailboxes].sort()) {
    const count: Count = {
      ...{ posted: 0, told: 0, problem: 0, update: 0, ends: 0, recovery: 0, r27: 0, r10: 0 },
      ...{ swallowed: 0, tooMany: 0, unasked: 0 },
    };
    counts.set(mailbox, count);
    const fault = (kind: Fault, words: string) => {
      count[kind] += 1;
      faults[kind].push(`${mailbox} ${words}`);
    };
    const mine = mails.filter((mail) => mail.mailbox === mailbox);
    const posted = (posts: readonly Posted[]) => posts.filter((post) => post.mailboxes.includes(mailbox));
    for (const { subject, text } of mine)
      if (!outages.has(outageIn(text) ?? "")) fault("unasked", `has "${subject}", of no outage`);

    /** The last outage of each object, and whether this mailbox was told of it. */
    const previous = new Map<string, Outage & { told: boolean }>();
    for (const [number, outage] of outages) {
      const { object, posts } = outage;
      const what = `outage ${number} of ${object}`;
      const problems = posted(posts.filter(isProblem));
      const ends = posted(posts.filter(isRecovery));
      const about = mine.filter(({ text }) => outageIn(text) === number);
      const told = about.filter((mail) => !tellsEnd(mail));
      const over = about.filter(tellsEnd);
      const updates = told.filter(({ subject }) => subject.startsWith("[UPDATE ")).length;
      count.posted += problems.length > 0 ? 1 : 0;
      count.told += told.length > 0 ? 1 : 0;
      count.problem += told.length - updates;
      count.update += updates;
      count.ends += told.length > 0 && ends.length > 0 ? 1 : 0;
      count.recovery += over.length;
      count.r27 += ends.length === 0 ? over.length : 0;

      const byName = [...Map.groupBy(problems, ({ problem }) => problem).values()];
      const volatile = problems.some((post) => post.volatile);
      const least = volatile ? problems.map(({ state }) => state) : steps(problems);
      const most = volatile ? least : byName.flatMap(steps);
      const states = told.map(stateOf);
      const said = `${what}: posted ${problems.map(({ state }) => state)}, mailed ${states}`;

      const before = previous.get(object);
      const [first] = problems;
      const takenForBefore =
        told.length === 0 &&
        before?.told === true &&
        first !== undefined &&
        forgetful.has(first.start) &&
        !before.posts.some(isRecovery) &&
        before.posts.every(({ start }) => start < first.start) &&
        problems.every(
          ({ problem }) => Number(problem?.replace("since ", "")) - first.start < graceSeconds,
        ) &&
        worst(problems) <= worst(posted(before.posts));
      if (takenForBefore) count.r10 += 1;
      else if (problems.length > 0 && told.length === 0) fault("swallowed", `was not told of ${said}`);
      else if (!within(least, states)) fault("swallowed", `was not told of each step of ${said}`);
      if (posts.some(isProblem)) previous.set(object, { ...outage, told: told.length > 0 });

      if (problems.length === 0 && told.length > 0) fault("unasked", `was told of ${said}`);
      else if (!within(states, most)) fault("tooMany", `was told too often of ${said}`);
      if (about[0]?.subject.startsWith("[UPDATE ")) fault("tooMany", `first heard of ${what} by an UPDATE`);
      const results = new Set(told.map(({ text }) => problems.find(({ output }) => text.includes(output))));
      if (results.size < told.length) fault("tooMany", `was told of one check result of ${what} twice`);
      for (const mail of told)
        if (!problems.some(({ state, output }) => state === stateOf(mail) && mail.text.includes(output)))
          fault("unasked", `has "${mail.subject}" without the text of a post of ${what}`);
      for (const { subject } of about)
        if (!subject.endsWith(`] ${object}`)) fault("unasked", `has "${subject}" about ${what}`);

      const names = new Set(posts.filter(isProblem).map(({ problem }) => problem));
      const named = ends.some(({ problem }) => problem === undefined || names.has(problem));
      const passedBy = posts.some(({ escalated }) => escalated) && posts.some(isRecovery);
      if (told.length > 0 && named && over.length === 0)
        fault("swallowed", `was not told of the end of ${what}`);
      if (over.length > 0 && told.length === 0 && !takenForBefore)
        fault("unasked", `was told of the end of ${what}, and not of its beginning`);
      if (over.length > 0 && ends.length === 0 && !passedBy)
        fault("unasked", `was told of the end of ${what}, which was not posted to it`);
      if (over.length > 1) fault("tooMany", `was told ${over.length} times of the end of ${what}`);
      if (over.length > 0 && about.findIndex(tellsEnd) < told.length)
        fault("tooMany", `was told of ${what} after its end`);
    }
  }
  return { faults, counts };
};

/** A table of counts: a line for each mailbox, with a note on it. */
export const table = (counts: Judgement["counts"], notes: Readonly<Record<string, string>>): string => {
  const columns = [
    ...(["posted", "told", "problem", "update", "ends", "recovery"] as const),
    ...(["r27", "r10", "swallowed", "tooMany", "unasked"] as const),
  ];
  const lines = [
    ["mailbox", "told of", ...columns],
    ...[...counts].map(([mailbox, count]) => [
      mailbox.replace(/@.*/, ""),
      notes[mailbox] ?? "",
      ...columns.map((column) => String(count[column])),
    ]),
  ];
  const width = (at: number) => Math.max(...lines.map((line) => line[at]?.length ?? 0));
  return lines
    .map((line) =>
      line.map((word, at) => (at < 2 ? word.padEnd(width(at)) : word.padStart(width(at)))).join("  "),
    )
    .join("\n");
};

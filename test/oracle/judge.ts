import type { PlayedMail } from "../scenarios/scenarios.ts";
import {
  type Case,
  isEnd,
  isOfOneMonitor,
  isOverBefore,
  isProblem,
  isReport,
  type Posted,
  relayIsBack,
  settings,
  severity,
  type Told,
} from "./case.ts";
import {
  isJoined,
  isWaitedFor,
  mayBeSilent,
  mayBeStale,
  mayBeTwice,
  mayHaveNoEnd,
  mayLoseStep,
} from "./exceptions.ts";
import type { History } from "./history.ts";
import { outagesOf } from "./outages.ts";
import { readOutput } from "./scenario.ts";

/** A fault in the mails of a history. */
export type Kind =
  | "swallowed"
  | "late"
  | "step lost"
  | "twice"
  | "no end"
  | "end twice"
  | "false end"
  | "early end"
  | "unasked"
  | "acknowledgement lost"
  | "stale"
  | "wrong text"
  | "torn thread";
export type Violation = { kind: Kind; mailbox: string; object: string; says: string };
type Tell = (kind: Kind, says: string) => void;

/** The mails that arrived for each mailbox: the first copy of each post. */
const postedOf = (history: History): Posted[] => {
  const { truly, taken } = outagesOf(history);
  const reals = new Map(history.reals.map((real) => [real.id, real]));
  const copies = new Set<string>();
  return history.posts.flatMap((post) =>
    post.to.flatMap((mailbox): Posted[] => {
      const copy = `${post.notice.serial} ${mailbox}`;
      const real = reals.get(post.notice.real);
      if (copies.has(copy) || !real) return [];
      copies.add(copy);
      const [outage = real.id, one = real.id] = [truly.get(real.id), taken.get(real.id)];
      return [{ ...post, to: [mailbox], real, outage, taken: one }];
    }),
  );
};

/** The post that a mail tells, if its words are of that, and if it was for this mailbox. */
const toldBy = (mail: PlayedMail, posted: readonly Posted[], tell: Tell): Posted | undefined => {
  const serial = readOutput(mail.output)?.serial;
  const copies = posted.filter(({ notice }) => notice.serial === serial);
  const post = copies.find(({ to }) => to.includes(mail.to)) ?? copies[0];
  if (!post) {
    tell("wrong text", `the text "${mail.output}" is of no post`);
    return undefined;
  }
  const { object, state, type } = post.notice;
  const isItsKind = type === "PROBLEM" ? isProblem(mail) : type.startsWith(mail.kind);
  if (!isItsKind || object !== mail.object || state !== mail.state) {
    tell("wrong text", `${mail.kind} ${mail.state} has the text of ${type} n${serial}`);
    return undefined;
  }
  if (post.to.includes(mail.to)) return post;
  // R27: an escalated problem's end is told to all that were told of the problem: of the last one that was posted.
  const last = posted.findLast(
    (one) => one.t <= post.t && isReport(one) && one.notice.object === object && isOfOneMonitor(one, post),
  );
  const isEscalated = posted.some(
    ({ real, notice }) => [post.real.id, last?.real.id].includes(real.id) && notice.escalated,
  );
  if (mail.kind === "RECOVERY" && isEscalated) return post;
  tell("unasked", `n${serial} was not addressed to ${mail.to}`);
  return undefined;
};

/** Once for each step, its end once: the mails in their order. */
const inOrder = (c: Case, tell: Tell): void => {
  let live: { post: Posted; worst: number; thread: string; opened: number } | undefined;
  const ended = new Set<number>();
  const events = new Set<number>();
  const firstPost = (post: Posted) => c.all.find(({ real }) => real.id === post.real.id)?.t ?? 0;

  const end = ({ t, thread, post }: Told) => {
    const name = `p${post.real.id}`;
    if (!live && ended.size > 0) tell("end twice", `${name} is told as over again (mail at ${t} s)`);
    else if (!live) tell("unasked", `the end of ${name}, of which it was not told (mail at ${t} s)`);
    if (!live) return;
    const { post: known, opened } = live;
    const isOlder = post.t < firstPost(known) || post.notice.issued < known.real.begin;
    if (known.outage !== post.outage) {
      if (isOlder)
        tell("false end", `${name} is told as over, while it knows of a newer one (mail at ${t} s)`);
      return;
    }
    if (live.thread !== thread) tell("torn thread", `the end of ${name} (mail at ${t} s)`);
    const another = c.mine.find(
      (other) =>
        isReport(other) &&
        !isOfOneMonitor(other, post) &&
        other.outage === known.outage &&
        other.t >= opened &&
        isWaitedFor(c, other, post, t),
    );
    if (another && t < post.t + settings.pairRecoverySeconds - 1)
      tell(
        "early end",
        `${another.notice.monitor} still reports it, as p${another.real.id} (mail at ${t} s)`,
      );
  };

  const problem = ({ t, thread, post }: Told) => {
    const { notice, outage, real } = post;
    const name = `p${real.id} n${notice.serial}`;
    const isSame = live?.post.outage === outage;
    const mayRepeat = mayBeTwice(c, isSame ? live?.post : undefined, post);
    if (isOverBefore(c, post) && !mayBeStale(c, post))
      tell("stale", `${name} was over when its post came (mail at ${t} s)`);
    else if (notice.volatile) {
      if (events.has(notice.serial)) tell("twice", `${name} is told again (mail at ${t} s)`);
    } else if (live && isSame && !mayRepeat) {
      if (severity(post) <= live.worst) tell("twice", `${name} is told again (mail at ${t} s)`);
      else if (live.thread !== thread) tell("torn thread", `${name} (mail at ${t} s)`);
    } else if (!isSame && ended.has(real.id) && !mayRepeat)
      tell("twice", `${name} is told again, after its end (mail at ${t} s)`);
    events.add(notice.serial);
    const worst = live && isSame && !mayRepeat ? Math.max(live.worst, severity(post)) : severity(post);
    live = { post, worst, thread, opened: live?.thread === thread ? live.opened : post.t };
  };

  for (const mail of c.mails)
    if (isEnd(mail.post)) {
      end(mail);
      live = undefined;
      ended.add(mail.post.real.id);
    } else if (isReport(mail.post)) problem(mail);
};

/** Every real problem that was posted is told in time. */
const isTold = (c: Case, tell: Tell): void => {
  const reports = c.mine.filter(isReport).filter((p) => !mayBeSilent(c, p));
  const nameOf = ({ notice, real }: Posted) => (notice.volatile ? `event n${notice.serial}` : `p${real.id}`);
  for (const [name, [first]] of Map.groupBy(reports, nameOf)) {
    if (!first) continue;
    const mail = c.mails.find((one) => isProblem(one) && nameOf(one.post) === name);
    const { t } = first;
    if (!mail)
      tell("swallowed", `${name} was posted at ${t} s (n${first.notice.serial}), and no mail told it`);
    else if (mail.t > relayIsBack(c, t) + settings.longestCoverSeconds + settings.hostCoverSeconds)
      tell("late", `${name} was posted at ${t} s, and told at ${mail.t} s`);
  }
};

/** An outage that the contact knows is told up to its worst. */
const isToldWorst = (c: Case, tell: Tell): void => {
  for (const p of c.mine.filter(isReport)) {
    const known = c.mails.filter((mail) => isProblem(mail) && mail.post.taken === p.taken);
    if (known.length === 0 || known.some(({ post }) => severity(post) >= severity(p)) || mayLoseStep(c, p))
      continue;
    const { serial, state } = p.notice;
    tell("step lost", `p${p.real.id} became ${state} (n${serial} at ${p.t} s), and no mail told it`);
  }
};

/** An acknowledgement of what the contact knows is told once. */
const isToldAcknowledged = (c: Case, tell: Tell): void => {
  for (const p of c.mine.filter(({ notice }) => notice.type === "ACKNOWLEDGEMENT")) {
    const known = c.mails.findLast(({ t, kind }) => t <= p.t && kind !== "ACK");
    const count = c.mails.filter(({ post }) => post.notice.serial === p.notice.serial).length;
    const name = `the acknowledgement n${p.notice.serial}`;
    if (count > 1) tell("twice", `${name} is told ${count} times`);
    const isKnown = known !== undefined && isProblem(known) && known.post.real.id === p.real.id;
    if (count === 0 && isKnown && !isOverBefore(c, p))
      tell("acknowledgement lost", `${name} came at ${p.t} s, and no mail told it`);
  }
};

/** The end of what the contact knows is told, if a recovery was posted to it, or by R27 to another. */
const isToldOver = (c: Case, tell: Tell): void => {
  for (const r of c.all.filter(isEnd)) {
    const isMine = r.to.includes(c.mailbox);
    const isEscalated = c.all.some(({ real, notice }) => real.id === r.real.id && notice.escalated);
    const known = c.mails.filter((mail) => isProblem(mail) && mail.post.taken === r.taken);
    const [first] = known;
    const isNamed = known.some(({ post }) => post.real.id === r.real.id);
    if (!first || !(isMine || (isEscalated && isNamed)) || mayHaveNoEnd(c, r)) continue;
    const isOver = c.mails.some(
      ({ t, post }) =>
        isEnd(post) && t >= first.t && (post.taken === r.taken || post.notice.issued >= r.notice.issued),
    );
    if (isOver) continue;
    tell(
      "no end",
      `the end of p${r.real.id} was posted at ${r.t} s (n${r.notice.serial}), and no mail told it`,
    );
  }
};

/** The faults in the mails that a history made; nothing of what the bridge believes is asked. */
export const judge = (history: History, played: readonly PlayedMail[]): Violation[] => {
  const found: Violation[] = [];
  const posted = postedOf(history);
  const keyOf = (mailbox: string | undefined, object: string) => `${mailbox} ${object}`;
  const told = Map.groupBy(
    played.flatMap((mail): Told[] => {
      const { t, to: mailbox, object } = mail;
      const post = toldBy(mail, posted, (kind, says) =>
        found.push({ kind, mailbox, object, says: `${says} (mail at ${t} s)` }),
      );
      return post ? [{ ...mail, post }] : [];
    }),
    ({ to, object }) => keyOf(to, object),
  );
  const isPair = new Set(history.reals.map(({ monitor }) => monitor)).size > 1;
  for (const key of new Set([
    ...told.keys(),
    ...posted.map(({ to, notice }) => keyOf(to[0], notice.object)),
  ])) {
    const [mailbox = "", object = ""] = key.split(" ");
    const host = object.includes("/") ? object.split("/")[0] : undefined;
    const all = posted.filter(({ notice }) => notice.object === object);
    const c: Case = {
      history,
      mailbox,
      object,
      isPair,
      all,
      hostPosts: posted.filter(({ notice }) => notice.object === host),
      mine: all.filter(({ to }) => to.includes(mailbox)),
      mails: told.get(key) ?? [],
      hostMails: host === undefined ? [] : (told.get(keyOf(mailbox, host)) ?? []),
      joined: new Set(),
    };
    for (const p of c.mine.filter(isReport)) if (isJoined(c, p)) c.joined.add(p.taken);
    for (const statement of [inOrder, isTold, isToldWorst, isToldAcknowledged, isToldOver])
      statement(c, (kind, says) => found.push({ kind, mailbox, object, says }));
  }
  return found;
};

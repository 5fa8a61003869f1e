import type { PlayedMail } from "../../scripts/scenarios.ts";
import { type Notice, type Real, severityOf } from "./cores.ts";
import type { History, Post } from "./history.ts";
import { readOutput } from "./story.ts";

/** What is wrong with the mails of a history. */
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

/** A post as one mailbox has it. */
type Posted = Post & {
  to: string[];
  real: Real;
  /** What really is one outage, and what may be taken for one, since nothing that was posted tells the difference. */
  outage: number;
  taken: number;
};

/** All that is known of one mailbox and one object when a question is asked about them. */
type Case = {
  history: History;
  mailbox: string;
  /** Of all mailboxes, in the order of arrival. */
  all: Posted[];
  hostPosts: Posted[];
  /** The mails to this mailbox about this object, and about its host, that are of a post. */
  mails: Told[];
  hostMails: Told[];
  /** Outages (as `taken`) that may have been taken for one that the contact knows. */
  joined: Set<number>;
};
type Told = PlayedMail & { post: Posted };

const isProblem = ({ kind }: PlayedMail) => ["PROBLEM", "UPDATE", "ESCALATION", "REMINDER"].includes(kind);
const severity = (posted: Posted): number => severityOf[posted.notice.state];

const settings = {
  flapHoldSeconds: 30,
  pairLateSeconds: 120,
  hostCoverSeconds: 300,
  longestCoverSeconds: 3600,
  pairRecoverySeconds: 600,
  restartGraceSeconds: 900,
  fanoutSeconds: 60,
  longestLateSeconds: 300,
};

/** Whether something of the same monitor that says that `p` is over came before `p`: its end, or a newer problem. */
const isOverBefore = ({ all }: Case, p: Posted): boolean =>
  all.some(
    (other) =>
      other.t < p.t &&
      other !== p &&
      other.notice.monitor === p.notice.monitor &&
      other.notice.issued > p.notice.issued &&
      other.notice.type !== "ACKNOWLEDGEMENT" &&
      (other.real.id !== p.real.id || other.notice.type === "RECOVERY"),
  );

const endOf = ({ all }: Case, p: Posted): Posted | undefined =>
  all.find(({ notice, real }) => notice.type === "RECOVERY" && real.id === p.real.id);

/** Whether its monitor said by then that it is over: its end or a newer problem came. */
const isPostedEnd = ({ all }: Case, p: Posted, by: number): boolean =>
  all.some(
    ({ t, notice, real }) =>
      t <= by &&
      notice.monitor === p.notice.monitor &&
      (real.id === p.real.id ? notice.type === "RECOVERY" : real.begin > p.real.begin),
  );

/**
 * A post with neither a number nor the time of posting, 5 minutes behind, may be late or of a wrong clock; unless the
 * last end that came was its own, by its epoch.
 */
const mayBeWrongClock = ({ all }: Case, { t, notice, real, sent }: Posted): boolean => {
  if (sent !== undefined || typeof notice.macros.nid === "number") return false;
  const end = all.findLast(
    (one) => one.notice.type === "RECOVERY" && one.notice.monitor === notice.monitor && one.t <= t,
  );
  const isItsOwn = end?.real.id === real.id && notice.macros.ep !== undefined;
  return t > notice.issued + settings.longestLateSeconds && !isItsOwn;
};

/** When the relay took no mail. */
const relayIsAway = ({ history }: Case, from: number, to = from): boolean =>
  history.relayAway.some((away) => away.from <= to && from <= away.to);

const joins =
  "R8, R12: the contact knows of it by another monitor whose end has not come, and no 10 minutes lie between";

/**
 * When a post of a problem need make no mail: a line for each. Everything else that is posted must be told.
 */
export const excuses: Record<string, (c: Case, p: Posted) => boolean> = {
  "R8, R12: the contact knows of this outage by another report and was not told of its end": (
    { mails },
    p,
  ) => {
    if (p.notice.volatile) return false;
    const known = mails.filter(({ t, post }) => t <= p.t && post.taken === p.taken).at(-1);
    return known !== undefined && isProblem(known);
  },
  "R8: another report of this outage is mailed while this one waits": ({ mails }, p) =>
    !p.notice.volatile &&
    mails.some(
      (mail) => isProblem(mail) && mail.post.taken === p.taken && mail.t >= p.t && mail.t <= p.real.end,
    ),
  [joins]: (c, p) => {
    // What waits for the relay is decided when that is back.
    const back = c.history.relayAway.find(({ from, to }) => from <= p.t && p.t <= to)?.to ?? p.t;
    const mails = c.mails.filter(({ t, post }) => t <= p.t || (t <= back + 60 && post.t <= p.t));
    const known = mails.at(-1);
    if (!known || !isProblem(known) || p.notice.volatile) return false;
    if (c.joined.has(p.taken)) return true;
    const told = new Set(mails.map(({ post }) => post.taken));
    const others = c.all.filter(
      (other) =>
        other.t <= p.t &&
        other.notice.type === "PROBLEM" &&
        other.notice.monitor !== p.notice.monitor &&
        other.to.includes(c.mailbox) &&
        (told.has(other.taken) || c.joined.has(other.taken)) &&
        !isPostedEnd(c, other, p.t),
    );
    const before = c.all.findLast(
      ({ t, notice }) => t <= p.t && notice.monitor === p.notice.monitor && notice.type === "RECOVERY",
    );
    const { pairRecoverySeconds } = settings;
    return others.some(
      (other) =>
        p.real.begin <= other.real.begin + pairRecoverySeconds ||
        (before !== undefined && p.t - before.t <= pairRecoverySeconds),
    );
  },
  "R13: it came after its own end, or after a newer problem of the same monitor": (c, p) =>
    isOverBefore(c, p),
  "R14: another monitor's end came up to 120 s before, and its own within the next 120 s": (c, p) => {
    const end = endOf(c, p);
    const { pairLateSeconds } = settings;
    return (
      end !== undefined &&
      end.t <= p.t + pairLateSeconds &&
      c.all.some(
        ({ t, notice }) =>
          notice.type === "RECOVERY" &&
          notice.monitor !== p.notice.monitor &&
          t <= p.t &&
          t >= p.t - pairLateSeconds,
      )
    );
  },
  "R16: the contact knows that the host is down, and it was over within the hour that this covers": (
    c,
    p,
  ) => {
    const end = c.all.find(
      (later) =>
        later.notice.monitor === p.notice.monitor &&
        (later.real.id === p.real.id ? later.notice.type === "RECOVERY" : later.real.begin > p.real.begin),
    );
    const told = c.hostMails.findLast(({ t }) => t <= (end && relayIsAway(c, p.t) ? end.t : p.t));
    if (!told || !end || end.t > p.t + settings.longestCoverSeconds) return false;
    const hostUp = c.hostPosts.find(
      ({ notice, real }) => notice.type === "RECOVERY" && real.id === told.post.real.id,
    );
    if (hostUp && p.t > hostUp.t + settings.hostCoverSeconds) return false;
    const down = Math.min(
      ...c.hostPosts.filter(({ real }) => real.id === told.post.real.id).map(({ notice }) => notice.issued),
    );
    const byOther = c.hostPosts.some(
      (other) =>
        other.notice.type === "PROBLEM" &&
        other.notice.monitor !== p.notice.monitor &&
        other.to.includes(c.mailbox) &&
        other.taken === told.post.taken &&
        other.t <= p.t &&
        p.t <= other.t + settings.hostCoverSeconds,
    );
    return byOther || (p.notice.monitor === told.post.notice.monitor && p.notice.issued <= down);
  },
  "R29: the relay was away, and it was over within 30 s": (c, p) => {
    const end = endOf(c, p);
    return (
      end !== undefined &&
      !p.notice.volatile &&
      end.t <= p.t + settings.flapHoldSeconds + 1 &&
      relayIsAway(c, p.t, p.t + settings.flapHoldSeconds)
    );
  },
};

/** Whether a later report of the same problem went out in place of one that waited: for the relay, or under its host. */
const isReplaced = (c: Case, p: Posted): boolean =>
  (relayIsAway(c, p.t) || c.hostMails.some(({ t }) => t <= p.t)) &&
  c.mails.some(
    (mail) =>
      isProblem(mail) &&
      mail.post.real.id === p.real.id &&
      mail.t >= p.t &&
      mail.post.notice.issued >= p.notice.issued,
  );

/**
 * When a second mail of an outage that the contact knows is right, by "in doubt, mail": a line for each. `known` is
 * the report that it was told of, unless it was told of the end as well.
 */
export const doubts: Record<string, (c: Case, known: Posted | undefined, p: Posted) => boolean> = {
  "a post without a number and the time of posting, 5 minutes behind, may be late, or of a wrong clock": (
    c,
    _,
    p,
  ) => mayBeWrongClock(c, p),
  "a crash brought back an older memory": ({ history }, _, p) => history.crashes && p.notice.restored,
  "R10: notifications without numbers do not show that the monitor lost its memory": (_, __, p) =>
    p.notice.restored && typeof p.notice.macros.nid !== "number",
  "R10: a monitor that lost its memory does not know when it last saw the object well": (_, known, p) =>
    p.notice.restored && known?.notice.monitor !== p.notice.monitor,
  "R9: it is a new problem of a monitor by which the contact knew another, unless that ended within 10 minutes before and another monitor saw it on":
    (c, _, p) => {
      const old = c.mails.findLast(
        ({ t, post }) =>
          t <= p.t &&
          post.notice.monitor === p.notice.monitor &&
          post.real.begin < p.real.begin &&
          post.notice.type === "PROBLEM",
      );
      if (!old) return false;
      const end = c.all.findLast(
        ({ t, notice }) => t <= p.t && notice.monitor === p.notice.monitor && notice.type === "RECOVERY",
      );
      const isSeenOn = c.all.some(
        (other) =>
          other.t <= p.t &&
          other.notice.type === "PROBLEM" &&
          other.notice.monitor !== p.notice.monitor &&
          other.outage === p.outage &&
          other.to.includes(c.mailbox) &&
          !isPostedEnd(c, other, p.t),
      );
      return !end || end.t < p.t - settings.pairRecoverySeconds || !isSeenOn;
    },
  "R15: the end of what the contact knows was posted, whomever it was sent, and then another monitor reports it":
    (c, known, p) =>
      known !== undefined && known.notice.monitor !== p.notice.monitor && isPostedEnd(c, known, p.t),
  "R8: nothing shows that the other monitor saw the object well within 10 minutes after the known problem began":
    ({ all }, known, p) => {
      if (!known || known.notice.monitor === p.notice.monitor) return false;
      const delays = all.filter(({ t, notice }) => t <= p.t && notice.monitor === p.notice.monitor);
      const delay = Math.min(...delays.map(({ t, notice }) => t - notice.issued));
      const lastWell = p.notice.macros.ep === undefined ? p.t : p.real.begin + delay;
      const same = all.filter(
        (one) => one.taken === known.taken && one.notice.monitor === known.notice.monitor,
      );
      const began = Math.min(
        ...same.map(({ t, notice, real }) => (notice.macros.ep === undefined ? t : real.begin)),
      );
      return lastWell > began + settings.pairRecoverySeconds;
    },
};
const mayBeTwice = (...all: Parameters<(typeof doubts)[string]>): boolean =>
  Object.values(doubts).some((doubt) => doubt(...all));

/**
 * The outages behind the bad times, `truly`: those of one object that overlap are one, whichever monitor saw them. And
 * what may be `taken` for one: what a core itself calls by one epoch, for a crash brought it back; without epochs, problems with the same id or none, if no end came between; and what a
 * monitor reports within 900 s after it lost its memory, if no end came (R10).
 */
const outagesOf = ({ posts, reals }: History): { truly: Map<number, number>; taken: Map<number, number> } => {
  let outage = new Map(reals.map(({ id }) => [id, id]));
  const join = (a: number, b: number) => {
    const [one, other] = [outage.get(a), outage.get(b)];
    for (const [id, of] of outage) if (of === other) outage.set(id, one ?? id);
  };
  for (const a of reals)
    for (const b of reals)
      if (a.id < b.id && a.object === b.object && a.begin <= b.end && b.begin <= a.end) join(a.id, b.id);
  const truly = outage;
  outage = new Map(truly);
  const last = new Map<string, { notice: Notice; over: boolean }>();
  const highest = new Map<string, number>();
  const byEpoch = new Map<string, number>();
  for (const { notice } of posts) {
    const epoch = `${notice.monitor} ${notice.object} ${notice.macros.ep}`;
    const called = byEpoch.get(epoch);
    if (called !== undefined && notice.macros.ep !== undefined) join(called, notice.real);
    byEpoch.set(epoch, notice.real);
    if (notice.type === "ACKNOWLEDGEMENT") continue;
    const name = `${notice.monitor} ${notice.object}`;
    const before = last.get(name);
    const { pid, ep, nid } = notice.macros;
    const isRolledBack = typeof nid === "number" && nid <= (highest.get(notice.monitor) ?? 0);
    if (typeof nid === "number") highest.set(notice.monitor, Math.max(nid, highest.get(notice.monitor) ?? 0));
    if (notice.type === "RECOVERY") {
      if (before) before.over = true;
      continue;
    }
    if (before && !before.over) {
      const isForgotten =
        ep !== undefined &&
        ep >= notice.ps &&
        ep <= notice.ps + settings.restartGraceSeconds &&
        before.notice.ps < notice.ps &&
        isRolledBack;
      if (ep === undefined ? before.notice.macros.pid === pid : isForgotten)
        join(before.notice.real, notice.real);
    }
    last.set(name, { notice, over: false });
  }
  return { truly, taken: outage };
};

/** What is wrong with the mails that a history made; nothing of what the bridge believes is asked. */
export const judge = (history: History, played: readonly PlayedMail[]): Violation[] => {
  const found: Violation[] = [];
  const { truly, taken } = outagesOf(history);
  const realOf = new Map(history.reals.map((real) => [real.id, real]));
  const bySerial = new Map<number, Posted[]>();
  const posted: Posted[] = [];
  const copies = new Set<string>();
  for (const post of history.posts)
    for (const mailbox of post.to) {
      const copy = `${post.notice.serial} ${mailbox}`;
      const real = realOf.get(post.notice.real);
      if (copies.has(copy) || !real) continue;
      copies.add(copy);
      const one = {
        ...post,
        to: [mailbox],
        real,
        outage: truly.get(real.id) ?? real.id,
        taken: taken.get(real.id) ?? real.id,
      };
      posted.push(one);
      bySerial.set(post.notice.serial, [...(bySerial.get(post.notice.serial) ?? []), one]);
    }

  const told = new Map<string, Told[]>();
  for (const mail of played) {
    const violates = (kind: Kind, says: string) =>
      found.push({ kind, mailbox: mail.to, object: mail.object, says: `${says} (mail at ${mail.t} s)` });
    const text = readOutput(mail.output);
    const posts = text && bySerial.get(text.serial);
    const post = posts?.find(({ to }) => to.includes(mail.to)) ?? posts?.[0];
    if (!post) {
      violates("wrong text", `the text "${mail.output}" is of no post`);
      continue;
    }
    const { notice } = post;
    const fits =
      notice.object === mail.object &&
      notice.state === mail.state &&
      (notice.type === "PROBLEM" ? isProblem(mail) : notice.type.startsWith(mail.kind));
    if (!fits) {
      violates("wrong text", `${mail.kind} ${mail.state} has the text of ${notice.type} n${notice.serial}`);
      continue;
    }
    const mine = post.to.includes(mail.to);
    // R27: an escalated problem's end is told to all that were told of the problem: of the last one that was posted.
    const last = posted.findLast(
      (one) =>
        one.t <= post.t &&
        one.notice.type === "PROBLEM" &&
        one.notice.object === notice.object &&
        one.notice.monitor === notice.monitor,
    );
    const escalated = posted.some(
      (one) => [post.real.id, last?.real.id].includes(one.real.id) && one.notice.escalated,
    );
    if (!mine && !(mail.kind === "RECOVERY" && escalated)) {
      violates("unasked", `n${notice.serial} was not addressed to ${mail.to}`);
      continue;
    }
    const key = `${mail.to} ${mail.object}`;
    told.set(key, [...(told.get(key) ?? []), { ...mail, post }]);
  }

  const monitors = new Set(history.reals.map(({ monitor }) => monitor));
  const pairs = new Set([...told.keys(), ...posted.map(({ to, notice }) => `${to[0]} ${notice.object}`)]);
  for (const pair of pairs) {
    const [mailbox = "", object = ""] = pair.split(" ");
    const host = object.split("/")[0] ?? "";
    const c: Case = {
      history,
      mailbox,
      all: posted.filter(({ notice }) => notice.object === object),
      hostPosts: object === host ? [] : posted.filter(({ notice }) => notice.object === host),
      mails: told.get(pair) ?? [],
      hostMails: object === host ? [] : (told.get(`${mailbox} ${host}`) ?? []),
      joined: new Set(),
    };
    const violates = (kind: Kind, says: string) => found.push({ kind, mailbox, object, says });
    const mine = c.all.filter(({ to }) => to.includes(mailbox));

    // Once for each step, its end once: the mails in their order.
    let live: { post: Posted; worst: number; thread: string; opened: number } | undefined;
    const firstPost = (real: Real) => c.all.find((one) => one.real.id === real.id)?.t ?? 0;
    const ended = new Set<number>();
    const events = new Set<number>();
    for (const { kind, t, thread, post } of c.mails) {
      const { notice, outage, real } = post;
      const at = `(mail at ${t} s)`;
      if (kind === "RECOVERY") {
        if (!live && ended.size > 0) violates("end twice", `p${real.id} is told as over again ${at}`);
        else if (!live) violates("unasked", `the end of p${real.id}, of which it was not told ${at}`);
        else if (
          live.post.outage !== outage &&
          (post.t < firstPost(live.post.real) || notice.issued < live.post.real.begin)
        )
          violates("false end", `p${real.id} is told as over, while it knows of a newer one ${at}`);
        else if (live.post.outage === outage && live.thread !== thread)
          violates("torn thread", `the end of p${real.id} ${at}`);
        // Another monitor by which it knows this outage is waited for.
        const seenOn = mine.find(
          (other) =>
            other.notice.type === "PROBLEM" &&
            other.notice.monitor !== notice.monitor &&
            other.outage === live?.post.outage &&
            other.t >= (live?.opened ?? 0) &&
            other.t <= t &&
            t < post.t + settings.pairRecoverySeconds - 1 &&
            !isPostedEnd(c, other, t) &&
            // R10: without numbers a new name after a lost memory ends the old one.
            !c.all.some(
              (again) =>
                again.real.id === other.real.id &&
                again.notice.restored &&
                again.t > other.t &&
                typeof again.notice.macros.nid !== "number",
            ),
        );
        if (seenOn && live?.post.outage === outage)
          violates("early end", `${seenOn.notice.monitor} still reports it, as p${seenOn.real.id} ${at}`);
        live = undefined;
        ended.add(real.id);
      } else if (notice.type === "PROBLEM") {
        const over = isOverBefore(c, post);
        if (over && !mayBeWrongClock(c, post) && !relayIsAway(c, post.t))
          violates("stale", `p${real.id} n${notice.serial} was over when its post came ${at}`);
        else if (notice.volatile) {
          if (events.has(notice.serial)) violates("twice", `n${notice.serial} is told again ${at}`);
        } else if (live?.post.outage === outage) {
          const again = mayBeTwice(c, live.post, post);
          if (severity(post) <= live.worst && !again)
            violates("twice", `p${real.id} is told again by n${notice.serial} ${at}`);
          else if (live.thread !== thread && !again)
            violates("torn thread", `p${real.id} n${notice.serial} ${at}`);
        } else if (ended.has(real.id) && !mayBeTwice(c, undefined, post))
          violates("twice", `p${real.id} is told again by n${notice.serial}, after its end ${at}`);
        events.add(notice.serial);
        const lasts = live?.post.outage === outage && !mayBeTwice(c, live.post, post);
        const worst: number = live && lasts ? Math.max(live.worst, severity(post)) : severity(post);
        live = { post, worst, thread, opened: live?.thread === thread ? live.opened : post.t };
      }
    }

    // Every real problem that was posted is told, up to its worst.
    const problems = mine.filter(({ notice }) => notice.type === "PROBLEM");
    for (const p of problems) if (excuses[joins]?.(c, p)) c.joined.add(p.taken);
    const silent = problems.filter((p) => !Object.values(excuses).some((excuse) => excuse(c, p)));
    for (const [id, reports] of Map.groupBy(silent, (p) =>
      p.notice.volatile ? -p.notice.serial : p.real.id,
    )) {
      const [first] = reports;
      if (!first) continue;
      const heard = c.mails.filter(
        (mail) =>
          isProblem(mail) && (id < 0 ? mail.post.notice.serial === -id : mail.post.real.id === first.real.id),
      );
      const back = history.relayAway.find(({ from, to }) => from <= first.t && first.t <= to)?.to ?? first.t;
      const [told] = heard;
      if (!told)
        violates(
          "swallowed",
          `p${first.real.id} was posted at ${first.t} s (n${first.notice.serial}), and no mail told it`,
        );
      else if (told.t > back + settings.longestCoverSeconds + settings.hostCoverSeconds)
        violates("late", `p${first.real.id} was posted at ${first.t} s, and told at ${told.t} s`);
    }
    for (const p of problems) {
      const outageMails = c.mails.filter((mail) => isProblem(mail) && mail.post.taken === p.taken);
      if (p.notice.volatile || outageMails.length === 0 || isOverBefore(c, p) || isReplaced(c, p)) continue;
      const others = Object.entries(excuses).filter(([name]) => !name.startsWith("R8") || name === joins);
      if (others.some(([, excuse]) => excuse(c, p))) continue;
      // A later notification of the same problem came first.
      if (c.all.some((o) => o.real.id === p.real.id && o.t <= p.t && o.notice.issued > p.notice.issued))
        continue;
      if (outageMails.every(({ post }) => severity(post) < severity(p)))
        violates(
          "step lost",
          `p${p.real.id} became ${p.notice.state} (n${p.notice.serial} at ${p.t} s), and no mail told it`,
        );
    }

    // An acknowledgement of what it knows is told once.
    for (const p of mine.filter(({ notice }) => notice.type === "ACKNOWLEDGEMENT")) {
      const known = c.mails.findLast(({ t, kind }) => t <= p.t && kind !== "ACK");
      const count = c.mails.filter(({ post }) => post.notice.serial === p.notice.serial).length;
      if (count > 1) violates("twice", `the acknowledgement n${p.notice.serial} is told ${count} times`);
      const isKnown = known !== undefined && isProblem(known) && known.post.real.id === p.real.id;
      if (count === 0 && isKnown && !isOverBefore(c, p))
        violates(
          "acknowledgement lost",
          `n${p.notice.serial} at ${p.t} s acknowledges what it knows, and no mail told it`,
        );
    }

    // Its end, if it was told and a recovery was posted to it, or by R27 to another.
    for (const r of c.all.filter(({ notice }) => notice.type === "RECOVERY")) {
      const escalated = c.all.some(({ real, notice }) => real.id === r.real.id && notice.escalated);
      if (!r.to.includes(mailbox) && !escalated) continue;
      const known = c.mails.filter((mail) => isProblem(mail) && mail.post.taken === r.taken);
      const [first] = known;
      if (!first || (!r.to.includes(mailbox) && known.every(({ post }) => post.real.id !== r.real.id)))
        continue;
      // A newer report of it came: another outage, or this one goes on. While another monitor is believed to see it
      // as bad, a recovery is held, and a new problem goes on with it (R12, R22).
      // So it is while the relay is away, and for a minute if others are told (R27).
      const back = history.relayAway.find(({ from, to }) => from <= r.t && r.t <= to)?.to ?? r.t;
      const wait = r.to.includes(mailbox) ? 0 : settings.fanoutSeconds + 1;
      const heldUntil = back + (monitors.size > 1 ? settings.pairRecoverySeconds : wait);
      const newer = c.all.some(
        (other) =>
          other.notice.type === "PROBLEM" &&
          other.real.id !== r.real.id &&
          (other.notice.monitor === r.notice.monitor
            ? other.notice.issued > r.notice.issued && (other.taken === r.taken || other.t <= heldUntil)
            : other.taken === r.taken && other.t > r.t),
      );
      const ends = c.mails.filter(
        ({ kind, post }) =>
          kind === "RECOVERY" && (post.taken === r.taken || post.notice.issued >= r.notice.issued),
      );
      const problem = known.findLast(({ post }) => post.t <= r.t);
      // R21: the end of a report of another monitor of which no problem came.
      const isUnheard =
        known.every(({ post }) => post.notice.monitor !== r.notice.monitor || post.t > r.t) &&
        !c.all.some(
          (p) => p.notice.type === "PROBLEM" && p.real.id === r.real.id && p.t <= (endOf(c, r)?.t ?? r.t),
        );
      // While it was held the contact was told of another one: "over" would be no longer true.
      const isToldNewer = c.mails.some(
        (mail) =>
          isProblem(mail) && mail.post.t > r.t && mail.post.t <= heldUntil && mail.post.real.id !== r.real.id,
      );
      if (newer || !problem || isUnheard || isToldNewer) continue;
      if (!ends.some(({ t }) => t >= first.t))
        violates(
          "no end",
          `p${r.real.id} was told, its end was posted at ${r.t} s (n${r.notice.serial}), and no mail told it`,
        );
    }
  }
  return found;
};

import {
  type Case,
  endOf,
  isEnd,
  isNumbered,
  isOfOneMonitor,
  isOverBefore,
  isPostedEnd,
  isProblem,
  isReport,
  overBy,
  type Posted,
  relayIsAway,
  relayIsBack,
  settings,
} from "./case.ts";

// All exceptions to the statements of the judge: a line for each.

const { pairRecoverySeconds } = settings;

/** By another report of this outage, however it is called. */
const knowing: Record<string, (c: Case, p: Posted) => boolean> = {
  "R3, R8, R12: the contact knows of this outage and was not told of its end": ({ mails }, p) => {
    const known = mails.findLast(({ t, post }) => t <= p.t && post.taken === p.taken);
    return known !== undefined && isProblem(known) && !p.notice.volatile;
  },
  "R8: another report of this outage is mailed while this one waits": ({ mails }, p) =>
    !p.notice.volatile &&
    mails.some(
      (mail) => isProblem(mail) && mail.post.taken === p.taken && mail.t >= p.t && mail.t <= p.real.end,
    ),
};

/** How late the posts of a monitor seem until then: without the time of posting its clock may be as far behind. */
const delayOf = ({ all }: Case, of: Posted, by: number): number => {
  const posts = all.filter((one) => one.t <= by && isOfOneMonitor(one, of));
  return Math.min(...posts.map(({ t, notice, sent }) => (sent === undefined ? t - notice.issued : 0)));
};

/** R8, R12: the contact knows of it by another monitor whose end has not come, and no 10 minutes lie between. */
export const isJoined = (c: Case, p: Posted): boolean => {
  // An alert that waits for the relay is decided when that is back.
  const mails = c.mails.filter(({ t, post }) => t <= p.t || (t <= relayIsBack(c, p.t) + 60 && post.t <= p.t));
  const known = mails.at(-1);
  if (!known || !isProblem(known) || p.notice.volatile) return false;
  if (c.joined.has(p.taken)) return true;
  const told = new Set([...c.joined, ...mails.map(({ post }) => post.taken)]);
  const before = c.all.findLast((one) => one.t <= p.t && isOfOneMonitor(one, p) && isEnd(one));
  return c.mine.some(
    (other) =>
      other.t <= p.t &&
      isReport(other) &&
      !isOfOneMonitor(other, p) &&
      told.has(other.taken) &&
      !isPostedEnd(c, other, p.t) &&
      (p.real.begin <= other.real.begin + delayOf(c, other, p.t) + pairRecoverySeconds ||
        (before !== undefined && p.t - before.t <= pairRecoverySeconds)),
  );
};

/** When a post of a problem need make no mail, whatever the contact knows of the outage. */
export const silences: Record<string, (c: Case, p: Posted) => boolean> = {
  "R8, R12: the contact knows of it by another monitor whose end has not come, and no 10 minutes lie between":
    isJoined,
  "R13: it came after its own end, or after a newer problem of the same monitor": isOverBefore,
  "R14: another monitor's end came up to 120 s before, and its own within the next 120 s": (c, p) => {
    const end = endOf(c, p);
    const { pairLateSeconds } = settings;
    const isLately = ({ t }: Posted) => t <= p.t && t >= p.t - pairLateSeconds;
    return (
      end !== undefined &&
      end.t <= p.t + pairLateSeconds &&
      c.all.some((other) => isEnd(other) && !isOfOneMonitor(other, p) && isLately(other))
    );
  },
  "R16: the contact knows that the host is down, and it was over within the hour that this covers": (
    c,
    p,
  ) => {
    const end = overBy(c, p);
    const told = c.hostMails.findLast(({ t }) => t <= (end && relayIsAway(c, p.t) ? end.t : p.t))?.post;
    if (!told || !end || end.t > p.t + settings.longestCoverSeconds) return false;
    const down = c.hostPosts.filter(({ real }) => real.id === told.real.id);
    const up = down.find(isEnd);
    if (up && p.t > up.t + settings.hostCoverSeconds) return false;
    const byOther = c.hostPosts.some(
      (other) =>
        isReport(other) &&
        !isOfOneMonitor(other, p) &&
        other.to.includes(c.mailbox) &&
        other.taken === told.taken &&
        other.t <= p.t &&
        p.t <= other.t + settings.hostCoverSeconds,
    );
    // A core sends nothing of a service after it has sent the DOWN of its host.
    const isBeforeDown = p.notice.issued <= Math.min(...down.map(({ notice }) => notice.issued));
    return byOther || (isOfOneMonitor(p, told) && isBeforeDown);
  },
  "R29: the relay was away, and it was over within 30 s": (c, p) => {
    const end = endOf(c, p);
    const { flapHoldSeconds } = settings;
    return (
      end !== undefined &&
      !p.notice.volatile &&
      end.t <= p.t + flapHoldSeconds + 1 &&
      relayIsAway(c, p.t, p.t + flapHoldSeconds)
    );
  },
};

/** Whether a post of a problem need make no mail. */
export const mayBeSilent = (c: Case, p: Posted): boolean =>
  Object.values({ ...knowing, ...silences }).some((may) => may(c, p));

/** When a worse state need make no mail, though the contact knows of the outage. */
const unworsened: Record<string, (c: Case, p: Posted) => boolean> = {
  ...silences,
  "R11: a volatile service tells events, and no steps": (_, p) => p.notice.volatile,
  "a later notification of the same problem came first": ({ all }, p) =>
    all.some((one) => one.real.id === p.real.id && one.t <= p.t && one.notice.issued > p.notice.issued),
  "R3: a later report of the same problem went out in its place, while it waited for the relay or under its host":
    (c, p) =>
      (relayIsAway(c, p.t) || c.hostMails.some(({ t }) => t <= p.t)) &&
      c.mails.some(
        (mail) =>
          isProblem(mail) &&
          mail.post.real.id === p.real.id &&
          mail.t >= p.t &&
          mail.post.notice.issued >= p.notice.issued,
      ),
};
export const mayLoseStep = (c: Case, p: Posted): boolean =>
  Object.values(unworsened).some((may) => may(c, p));

/** A post with neither a number nor the time of posting, 5 minutes behind, may be late or of a wrong clock. */
const mayBeWrongClock = ({ all }: Case, p: Posted): boolean => {
  if (p.sent !== undefined || isNumbered(p)) return false;
  const end = all.findLast((one) => isEnd(one) && isOfOneMonitor(one, p) && one.t <= p.t);
  // Unless the last end that came was its own, by its epoch.
  const isItsOwn = end?.real.id === p.real.id && p.notice.macros.ep !== undefined;
  return p.t > p.notice.issued + settings.longestLateSeconds && !isItsOwn;
};

/** When a mail of a problem that is over is right. */
const overdue: Record<string, (c: Case, p: Posted) => boolean> = {
  "without a number and the time of posting, 5 minutes behind, it may be of a wrong clock": mayBeWrongClock,
  "while the relay is away its end may wait behind another contact's problem": (c, p) => relayIsAway(c, p.t),
};
export const mayBeStale = (c: Case, p: Posted): boolean => Object.values(overdue).some((may) => may(c, p));

/**
 * When a second mail of an outage that the contact knows is right, by "in doubt, mail". `known` is the report that it
 * was told of, unless it was told of the end as well.
 */
const doubts: Record<string, (c: Case, known: Posted | undefined, p: Posted) => boolean> = {
  "without a number and the time of posting, 5 minutes behind, it may be of a wrong clock": (c, _, p) =>
    mayBeWrongClock(c, p),
  "a crash brought back an older memory": ({ history }, _, p) => history.crashes && p.notice.restored,
  "R10: notifications without numbers do not show that the monitor lost its memory": (_, __, p) =>
    p.notice.restored && !isNumbered(p),
  "R10: a monitor that lost its memory does not know when it last saw the object well": (_, known, p) =>
    p.notice.restored && known?.notice.monitor !== p.notice.monitor,
  "R9: the contact knew another problem of this monitor, unless that ended up to 10 minutes before and another monitor saw it on":
    (c, _, p) => {
      const old = c.mine.find(
        (one) => one.t <= p.t && isOfOneMonitor(one, p) && isReport(one) && one.real.begin < p.real.begin,
      );
      const end = c.all.findLast((one) => one.t <= p.t && isOfOneMonitor(one, p) && isEnd(one));
      const isSeenOn = c.mine.some(
        (other) =>
          other.t <= p.t &&
          isReport(other) &&
          !isOfOneMonitor(other, p) &&
          other.outage === p.outage &&
          !isPostedEnd(c, other, p.t),
      );
      return old !== undefined && (!end || end.t < p.t - pairRecoverySeconds || !isSeenOn);
    },
  "R15: the end of what the contact knows was posted, whomever it was sent, and then another monitor reports it":
    (c, known, p) => known !== undefined && !isOfOneMonitor(known, p) && isPostedEnd(c, known, p.t),
  "R8: nothing shows that this monitor saw the object well up to 10 minutes after the known problem began": (
    c,
    known,
    p,
  ) => {
    if (!known || isOfOneMonitor(known, p)) return false;
    const hasEpoch = p.notice.macros.ep !== undefined;
    const lastWell = hasEpoch ? p.real.begin + delayOf(c, p, p.t) : p.t;
    const same = c.all.filter((one) => one.taken === known.taken && isOfOneMonitor(one, known));
    const began = Math.min(
      ...same.map(({ t, notice, real }) => (notice.macros.ep === undefined ? t : real.begin)),
    );
    return lastWell > began + pairRecoverySeconds;
  },
};
export const mayBeTwice = (...all: Parameters<(typeof doubts)[string]>): boolean =>
  Object.values(doubts).some((may) => may(...all));

/** So long a recovery is held: for the relay, for another monitor (R22), and for a minute if others are told (R27). */
const heldUntil = (c: Case, r: Posted): number => {
  const own = r.to.includes(c.mailbox) ? 0 : settings.fanoutSeconds + 1;
  return relayIsBack(c, r.t) + (c.isPair ? pairRecoverySeconds : own);
};

/** When the end of a problem that the contact knows need not be told by this recovery. */
const unended: Record<string, (c: Case, r: Posted) => boolean> = {
  "R12, R28: the same monitor reported a newer problem before, or while the recovery was held": (c, r) =>
    c.all.some(
      (p) =>
        isReport(p) &&
        isOfOneMonitor(p, r) &&
        p.real.id !== r.real.id &&
        p.notice.issued > r.notice.issued &&
        (p.taken === r.taken || p.t <= heldUntil(c, r)),
    ),
  "R22: another monitor reported the outage after it": (c, r) =>
    c.all.some((p) => isReport(p) && !isOfOneMonitor(p, r) && p.taken === r.taken && p.t > r.t),
  "R28: while it was held the contact was told of another problem": (c, r) =>
    c.mails.some(
      (mail) =>
        isProblem(mail) &&
        mail.post.t > r.t &&
        mail.post.t <= heldUntil(c, r) &&
        mail.post.real.id !== r.real.id,
    ),
  "R13: its problem came after it": (c, r) =>
    c.mails.every((mail) => !isProblem(mail) || mail.post.taken !== r.taken || mail.post.t > r.t),
  "R21: of the monitor that reports the end no problem came, and the contact knows the outage by another": (
    c,
    r,
  ) => {
    const known = c.mails.some(
      (mail) =>
        isProblem(mail) && mail.post.taken === r.taken && isOfOneMonitor(mail.post, r) && mail.post.t <= r.t,
    );
    const first = endOf(c, r)?.t ?? r.t;
    return !known && !c.all.some((p) => isReport(p) && p.real.id === r.real.id && p.t <= first);
  },
};
export const mayHaveNoEnd = (c: Case, r: Posted): boolean => Object.values(unended).some((may) => may(c, r));

/**
 * Whether an end waits for this report of another monitor: not if that monitor gave it a new name after a lost memory
 * (R10), and not if the report came later and waits behind the end for the relay.
 */
export const isWaitedFor = (c: Case, p: Posted, end: Posted, at: number): boolean =>
  p.t <= at &&
  !isPostedEnd(c, p, at) &&
  !(p.t > end.t && relayIsAway(c, p.t)) &&
  !c.all.some(
    (again) => again.real.id === p.real.id && again.notice.restored && again.t > p.t && !isNumbered(again),
  );

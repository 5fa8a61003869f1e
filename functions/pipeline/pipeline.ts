import { contactKey } from "../address.ts";
import { objectName } from "../alert.ts";
import { composeDigest } from "../compose/digest.ts";
import { compose, messageIdOf, reduced, type Sender, withoutLongOutput } from "../compose/mail.ts";
import { render } from "../compose/mime.ts";
import { unmailed, type Verdict } from "../decide/case.ts";
import { told } from "../decide/entry.ts";
import { oddClock } from "../decide/order.ts";
import type { Policy } from "../decide/policy.ts";
import { decide } from "../decide/verdict.ts";
import type { Mail } from "../deliver/mail.ts";
import { type Attempt, isLost } from "../deliver/outcome.ts";
import { type Handover, leastAttemptMilliseconds, type relays } from "../deliver/routes.ts";
import { entryKey, operatorSite } from "../identity.ts";
import type { Ending } from "../ledger/journal.ts";
import {
  claim,
  drop,
  hold,
  holdUnsent,
  type Ledger,
  madeOnce,
  type Page,
  release,
  settle,
  settleDigested,
  settleUnsent,
} from "../ledger/ledger.ts";
import { digests, lineOf, type Telling } from "../ledger/storm.ts";
import { type Notice, noticeAlerts } from "../operator/notices.ts";
import {
  type Disposition,
  type Queue,
  type QueuedAlert,
  type ReceivedMessage,
  readQueuedAlert,
  retryDelaySeconds,
  toMessage,
} from "../queue/queue.ts";
import type { Report } from "../report/log.ts";

export type PipelineParts = {
  ledger: Ledger;
  queue: Pick<Queue, "send">;
  handOver: ReturnType<typeof relays>;
  sender: Sender;
  operators: readonly string[];
  policy: Policy;
  giveUpAfterSeconds: number;
  clock: () => number;
  report: Report;
};

// Each round exactly one competing worker commits, so this bound is never reached.
const mostDecisions = 1000;
/** SQS buries a message after 1000 receives at most: what waits long for a route is to be received less often. */
const quickReceives = 100;
const laterReceives = 500;
/** A mail that only waits for the pace of a route that works is not held in the ledger for less than this. */
const soonMilliseconds = 10_000;
/** Kept back from an attempt's time, to write its outcome. */
const settleMilliseconds = 5_000;
/** So often a worker asks at most whether operators have heard of a monitor's wrong clock. */
const clockMilliseconds = 3_600_000;
/** So far apart the clocks of two machines may be. */
const skewMilliseconds = 5_000;

/**
 * The decision about an alert. A mail that was decided stays decided: only its delivery is tried again, so that
 * problem and recovery both go out, in order, however long the relay was away (R30).
 */
const verdictOf = (page: Page, queued: QueuedAlert, policy: Policy, now: number): Verdict => {
  const { verdict, claim, attempts, waiting } = page.record;
  const about = page.entry.contacts[contactKey(queued.contact)];
  // An alert that was put back by hand is decided anew: much may have happened since.
  if (
    page.putBack ||
    verdict?.action !== "send" ||
    // So is what another alert of this contact may have told since.
    (about !== undefined && about.at > verdict.at) ||
    !verdict.kind ||
    (!claim && !waiting && attempts.length === 0)
  )
    return decide(page, queued, policy, now);
  const { kind, row, reason, episode, at } = verdict;
  return {
    action: "send",
    kind,
    row,
    reason,
    episode,
    decidedAt: at,
    entry: { ...page.entry, touchedAt: now },
  };
};

/** A mail that nobody else sends now, and the page on which that is written. */
type Claimed = { mine: Page; verdict: Verdict & { action: "send" } };

/**
 * Takes one message from the queue to its end: read, decide, claim, compose, deliver, settle. Resolves to what may be
 * done with the message; rejects if the ledger could not be read or written, and then the message must stay.
 */
export const pipeline = (parts: PipelineParts) => {
  const { ledger, queue, handOver, sender, policy, clock, report } = parts;
  const turns = new Map<string, Promise<unknown>>();
  /** One decision about an object at a time: of a hundred at once one would win each round, and all read again. */
  const inTurn = <T>(object: string, decision: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(object) ?? Promise.resolve()).then(decision, decision);
    const over = () => {
      if (turns.get(object) === turn) turns.delete(object);
    };
    turns.set(object, turn);
    turn.then(over, over);
    return turn;
  };

  const { digestFor, joinDigest, toldMeanwhile } = digests(ledger, policy, inTurn);

  /**
   * The verdict of an alert. A problem that a digest told which nobody took is told by the next notification, as after
   * any dead letter; but the entry keeps that it was told, for the digest may be put back.
   */
  const heardVerdict = async (page: Page, queued: QueuedAlert, now: number): Promise<Verdict> => {
    const key = contactKey(queued.contact);
    const { [key]: about, ...others } = page.entry.contacts;
    const digest =
      about?.digest !== undefined && queued.alert.type === "PROBLEM"
        ? await ledger.story(queued.site, about.digest)
        : undefined;
    const dead = digest?.ending?.as === "refused" || digest?.ending?.as === "dead";
    if (!about || !dead || digest?.inDoubt) return verdictOf(page, queued, policy, now);
    const unheard = { ...page, entry: { ...page.entry, contacts: others } };
    const verdict = verdictOf(unheard, queued, policy, now);
    const contacts = { [key]: about, ...verdict.entry.contacts };
    return { ...verdict, entry: { ...verdict.entry, contacts } };
  };

  const about = ({ id, alert, contact }: QueuedAlert) => ({ id, object: objectName(alert), contact });
  const ended = (queued: QueuedAlert, ending: Ending, { row, reason }: Verdict, last?: Attempt) =>
    report({
      event: "ended",
      ...about(queued),
      ending,
      row,
      reason,
      route: last?.route,
      code: last?.outcome.code,
      queueId: last?.outcome.result === "accepted" ? last.outcome.queueId : undefined,
      seconds: (clock() - queued.receivedAt) / 1000,
    });

  /** Puts a notice for the operators on the queue. Never about mail to them: that would go on for ever. */
  const tell = async (notice: Notice, site?: string) => {
    const notices = site === operatorSite ? [] : noticeAlerts(notice, parts.operators, clock());
    if (notices.length === 0) return;
    const taken = await queue.send(notices.map(toMessage));
    if (!taken.every(Boolean)) throw new Error("the queue took only some of the notices for the operators");
  };
  const tellOfBurial = (queued: QueuedAlert, as: "refused" | "dead", reason: string, last?: Attempt) =>
    tell({ about: as, ...about(queued), reason, last }, queued.site);

  /** Told here already; a worker that does not know that tells it again, and the ledger makes one mail a day of it. */
  const toldClocks = new Map<string, number>();
  const tellOfClock = async (queued: QueuedAlert) => {
    const reason = queued.made ? undefined : oddClock(queued);
    const { site, alert } = queued;
    const monitor = alert.monitor.id;
    const key = `${site} ${monitor}`;
    if (reason === undefined || clock() - (toldClocks.get(key) ?? 0) < clockMilliseconds) return;
    await tell({ about: "clock", site, monitor, reason }, site);
    // The names are the monitors' own: as many as they like.
    if (toldClocks.size >= 1000) toldClocks.clear();
    toldClocks.set(key, clock());
  };

  /** How what became of a mail ends the alert's story; undefined: it does not. */
  const endingOf = (
    { receivedAt }: QueuedAlert,
    { holds, putBackAt }: Page["record"],
    { attempts, wait, refused }: Handover,
  ): { as: Exclude<Ending, "suppressed" | "digested">; reason: string } | undefined => {
    const outcome = attempts.at(-1)?.outcome;
    if (outcome?.result === "accepted") return { as: "mailed", reason: outcome.reply };
    if (refused && outcome) return { as: "refused", reason: outcome.reply };
    // An alert that waited for something else, or was put back, has tried the relay since then alone.
    const age = clock() - Math.max(receivedAt, holds.at(-1)?.until ?? 0, putBackAt ?? 0);
    if (age < parts.giveUpAfterSeconds * 1000) return undefined;
    const last = outcome?.reply ?? wait?.reason;
    return { as: "dead", reason: `given up after ${parts.giveUpAfterSeconds / 3600} h: ${last}` };
  };

  /** Decides and claims. The disposition of the message, or the mail that is to be sent now. */
  const begin = async (queued: QueuedAlert, message: ReceivedMessage): Promise<Disposition | Claimed> => {
    // Counted once, however often others change the object's entry first.
    let admitted = false;
    for (let decisions = 0; decisions < mostDecisions; decisions++) {
      const now = clock();
      const page = await ledger.read(queued);
      const { ending, claim: claimed } = page.record;
      const waiting = Object.hasOwn(page.entry.held, queued.id) ? page.entry.held[queued.id] : undefined;
      const dead = ending?.as === "refused" || ending?.as === "dead" ? ending.as : undefined;
      // We died between settling and burying.
      if (ending && dead) {
        if (waiting && !(await drop(ledger, page))) continue;
        await tellOfBurial(queued, dead, ending.reason, page.record.attempts.at(-1));
        return { message: "bury", reason: ending.reason };
      }
      // We died between ending its story and putting it into its digest.
      if (ending?.as === "digested" && page.record.digest)
        await joinDigest(queued, page.record.digest.id, now);
      if (ending) {
        if (waiting && !(await drop(ledger, page))) continue;
        report({ event: "repeated", ...about(queued), reason: `this alert is ${ending.as} already` });
        return { message: "remove" };
      }
      if (waiting && now < waiting.due) {
        const early = waiting.due - now;
        // The sweep's message, and its clock is before ours. If it was held once more until then, the queue would take
        // what the sweep hands over then for this message, and drop it.
        if (waiting.queued || early <= skewMilliseconds)
          return { message: "give-back", afterSeconds: Math.ceil(early / 1000) };
        // We died between holding it and removing its message: the sweep has it now.
        return { message: "remove" };
      }
      // A later hand-out of the same message says that the worker before us is out of time or dead.
      if (claimed && now < claimed.until && message.receiveCount <= claimed.receiveCount)
        return { message: "give-back", afterSeconds: Math.ceil((claimed.until - now) / 1000) };
      if (message.visibleAgainAt - now < leastAttemptMilliseconds + settleMilliseconds)
        return { message: "give-back", afterSeconds: 0 };

      const isDigest = queued.made?.row === "R46";
      const collected = isDigest ? page.entry.storm?.digests[queued.id] : undefined;
      const members = page.record.members ?? collected ?? [];
      const verdict =
        isDigest && members.length === 0
          ? unmailed("suppress", "R46", "the ledger knows of nothing that it would tell", page.entry)
          : await madeOnce(ledger, page, await heardVerdict(page, queued, now));
      if (verdict.action === "hold") {
        if (!(await hold(ledger, page, queued, verdict, now))) continue;
        const { row, reason, due } = verdict;
        report({ event: "held", ...about(queued), row, reason, until: due });
        return { message: "remove" };
      }
      if (verdict.action !== "send") {
        if (!(await settleUnsent(ledger, page, verdict, now))) continue;
        ended(queued, "suppressed", verdict);
        return { message: "remove" };
      }
      const digest: Telling | undefined = admitted ? undefined : await digestFor(queued, page, verdict, now);
      admitted = digest === undefined;
      if (digest !== undefined) {
        const told = { ...digest, line: lineOf(queued) };
        if (!(await settleDigested(ledger, page, queued, verdict, told, now))) continue;
        await joinDigest(queued, digest.id, now);
        ended(queued, "digested", verdict);
        return { message: "remove" };
      }
      const meanwhile =
        isDigest && page.putBack ? await toldMeanwhile(queued, members) : page.record.meanwhile;
      const asClaimed = isDigest ? { ...page, record: { ...page.record, members, meanwhile } } : page;
      const mine = await claim(ledger, asClaimed, verdict, messageIdOf(queued, sender), now, message);
      if (mine) return { mine, verdict };
    }
    throw new Error(`the ledger's entry changed ${mostDecisions} times while one alert was decided`);
  };

  /** The mail of a verdict; with a relay's refusal of it, in its reduced form. */
  const mailOf = async (queued: QueuedAlert, { mine, verdict }: Claimed, refusal?: string): Promise<Mail> => {
    const decidedAt = mine.record.verdict?.at ?? clock();
    const { members, meanwhile } = mine.record;
    const mail = members
      ? composeDigest(queued, await ledger.stories(queued.site, members), decidedAt, sender, meanwhile)
      : compose(refusal ? withoutLongOutput(queued) : queued, verdict, decidedAt, sender);
    return render(refusal ? reduced(mail, refusal, members !== undefined) : mail);
  };

  /**
   * Offers the mail to the routes; once more in its reduced form if one refuses it for the message and none that could
   * be tried puts it off. A route that is open or refuses us may stay so: the one that answers may take that form.
   */
  const deliver = async (
    queued: QueuedAlert,
    claimed: Claimed,
    until: number,
    first?: string,
  ): Promise<Handover> => {
    const whole = await handOver(await mailOf(queued, claimed), until, first);
    const refusal = whole.attempts.find(
      ({ outcome }) => outcome.result === "refused" && outcome.about === "message",
    );
    const isNo = ({ outcome: { result } }: Attempt) => result === "refused" || result === "unauthorised";
    if (!refusal || !whole.attempts.every(isNo)) return whole;
    const again = await handOver(await mailOf(queued, claimed, refusal.outcome.reply), until, first);
    const attempts = again.attempts.map((attempt): Attempt => ({ ...attempt, reduced: true }));
    return { ...again, attempts: [...whole.attempts, ...attempts] };
  };

  const failed = (
    queued: QueuedAlert,
    { row }: Verdict,
    attempts: Handover["attempts"],
    retryAt?: number,
  ) => {
    for (const { route, outcome } of attempts) {
      if (outcome.result === "accepted") continue;
      const { result, step, code, reply } = outcome;
      report({ event: "attempt-failed", ...about(queued), row, route, result, step, code, reply, retryAt });
    }
  };

  /** Lets the alert of a mail wait that nobody took: in the ledger (R29) or in the queue. */
  const postpone = async (
    queued: QueuedAlert,
    { mine, verdict }: Claimed,
    handover: Handover,
  ): Promise<Disposition> => {
    const { attempts, wait, sooner = Number.POSITIVE_INFINITY } = handover;
    const last = attempts.at(-1);
    const inDoubt = mine.record.inDoubt || (last && isLost(last));
    const tries = [...mine.record.attempts, ...attempts].filter(({ route }) => route === last?.route).length;
    const next = wait?.until ?? Math.min(clock() + retryDelaySeconds(tries) * 1000, sooner);
    // R29: until then its recovery may come and spare both; the queue would keep that behind it.
    const flapEnds = queued.receivedAt + policy.flapHoldSeconds * 1000;
    const unheard = (verdict.kind === "PROBLEM" && verdict.row !== "R11") || verdict.kind === "ESCALATION";
    // Once: the queue drops what comes with the key of the same hold again.
    const wasHeld = mine.record.holds.some(({ row }) => row === "R29");
    const goesSoon = handover.paced && next < clock() + soonMilliseconds;
    if (unheard && !inDoubt && !wasHeld && !goesSoon && clock() < flapEnds) {
      await holdUnsent(ledger, queued, mine, handover, flapEnds, clock());
      failed(queued, verdict, attempts, flapEnds);
      return { message: "remove" };
    }
    await release(ledger, queued, mine, handover, clock());
    const receives = mine.record.claim?.receiveCount ?? 0;
    const least = receives > quickReceives ? parts.giveUpAfterSeconds / laterReceives : 1;
    const wanted = (next - clock()) / 1000;
    const afterSeconds = Math.ceil(Math.max(wanted, least));
    failed(queued, verdict, attempts, clock() + afterSeconds * 1000);
    return { message: "give-back", afterSeconds };
  };

  /** Settles what became of a mail, or lets its alert wait. */
  const finish = async (queued: QueuedAlert, claimed: Claimed, handover: Handover): Promise<Disposition> => {
    const { mine, verdict } = claimed;
    const end = endingOf(queued, mine.record, handover);
    if (!end) return postpone(queued, claimed, handover);
    const last = handover.attempts.at(-1);
    // R43: who may have the mail is treated as told.
    const heard = end.as === "mailed" || mine.record.inDoubt || (last && isLost(last));
    const ending = await settle(ledger, queued, mine, handover, { ...end, at: clock() }, (entry) =>
      heard ? told(entry, verdict.kind, queued, verdict.episode?.id, clock()) : entry,
    );
    failed(queued, verdict, handover.attempts);
    // Another worker was handed it meanwhile: it has mailed it, or is still at it.
    if (!ending) return { message: "give-back", afterSeconds: 1 };
    if (ending.as !== end.as) return { message: "remove" };
    ended(queued, end.as, { ...verdict, reason: `${verdict.reason}: ${end.reason}` }, last);
    if (end.as === "mailed") return { message: "remove" };
    await tellOfBurial(queued, end.as, end.reason, last);
    return { message: "bury", reason: end.reason };
  };

  return async (message: ReceivedMessage): Promise<Disposition> => {
    const reading = readQueuedAlert(message.body);
    if (!reading.ok) {
      const reason = `unreadable: ${reading.faults.map(({ field, expected }) => `${field}, expected ${expected}`).join("; ")}`;
      report({ event: "unreadable", reason });
      await tell({ about: "unreadable", reason });
      return { message: "bury", reason };
    }
    const queued = reading.value;
    await tellOfClock(queued);
    const begun = await inTurn(entryKey(queued), () => begin(queued, message));
    if ("message" in begun) return begun;
    const last = begun.mine.record.attempts.at(-1);
    const lostBy = last && isLost(last) ? last.route : undefined;
    const handover = await deliver(queued, begun, message.visibleAgainAt - settleMilliseconds, lostBy);
    return finish(queued, begun, handover);
  };
};

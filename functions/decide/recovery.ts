import { type Case, holding, knowing, mailing, unmailed, type Verdict, withRecoveries } from "./case.ts";
import {
  type Entry,
  goesBefore,
  type Held,
  isWaitingProblem,
  namedBy,
  othersLive,
  released,
  waitingIn,
  withView,
} from "./entry.ts";
import { afterEnd, isNamed, latestOf, type Problem, withProblem } from "./monitor-view.ts";
import { before, isOddClock, receiptOf } from "./order.ts";
import type { Row } from "./rows.ts";

/** For so long a recovery waits behind a problem that the queue was given again. */
const unsentMilliseconds = 3_600_000;

/** The problem that this ends: the latest of its monitor. */
const endedBy = ({ order, view }: Case): Problem | undefined => {
  const latest = latestOf(view);
  return latest && !before(order, latest.last) ? latest : undefined;
};

/** Whether the recovery ends what this contact was told of, and not the end of that. */
const counts = (given: Case): boolean => {
  const { told, alert, entry, order, queued, view } = given;
  if (!told || told.recovered) return false;
  const named = namedBy(entry, told, alert.monitor.id);
  if (queued.made?.row === "R27")
    return [named?.key, told.thread].includes(queued.made.episode) && !isReportedSince(given, named);
  if (!named) {
    // An end before another monitor saw the outage begin is not that outage's end.
    const at = order.isDated ? Math.min(order.time * 1000 + 999, queued.receivedAt) : queued.receivedAt;
    const known = Object.keys(told.names).map((id) => namedBy(entry, told, id));
    const isAfter = known.some((problem) => problem !== undefined && problem.began <= at);
    return endedBy(given) !== undefined && isAfter && queued.receivedAt >= told.since;
  }
  // Object and order decide (R25), but an end by a wrong clock is believed of the problem that it names alone.
  if (view && isNamed(view, named, alert, order)) return !isReportedSince(given, named);
  return !isOddClock(order) && before(named.last, order);
};

/** Whether the problem was reported again after this recovery: a clock that was set back is not believed alone. */
const isReportedSince = ({ order, queued }: Case, named: Problem | undefined): boolean =>
  named !== undefined &&
  before(order, named.last) &&
  (order.number !== undefined ||
    (order.time < named.last.time &&
      (queued.made !== undefined || queued.receivedAt < receiptOf(named.last))));

/** The mails that go out before this recovery: the latest problem that no relay took yet, else those behind one. */
const unsentOf = ({ alert, entry, key, now, order, queued, view }: Case): [string, Held] | undefined => {
  const waiting = waitingIn(entry).filter(
    ([, one]) =>
      goesBefore(one, queued) &&
      one.contact === key &&
      one.monitor === alert.monitor.id &&
      // The queue may have lost it: then it is not waited for.
      now - one.due < unsentMilliseconds,
  );
  const problem = view?.problems.find((one) => one.key === entry.begun[key]);
  if (queued.made || (problem && before(order, problem.first))) return undefined;
  return waiting.findLast(([, { row }]) => row === "R29") ?? waiting.at(-1);
};

/** R29: when that problem is looked at, another contact's recovery may have told a later end. */
const withSpared = (entry: Entry, [id, waiting]: [string, Held]): Entry => ({
  ...entry,
  held: { ...entry.held, [id]: { ...(entry.held[id] ?? waiting), spared: true } },
});

/** The facts after this end, what it lets go, and the recoveries that it makes for others (R27). */
const afterFacts = (given: Case): Verdict => {
  const { alert, entry, held, key, now, order, policy, queued } = given;
  const { monitor, notification } = alert;
  const facts = (next: Entry): Verdict => unmailed("record", "R21", "", next);
  // Alerts that wait for others were noted when they came. Else those that wait (R22) would let each other go for
  // ever.
  if (queued.made?.row === "R27" || held?.row === "R22" || held?.row === "R30") return facts(entry);
  const { view, isNew } = afterEnd(given.view, queued);
  const seen = withView(entry, monitor.id, view);
  const next = isNew
    ? released(seen, now, (one) => one.row === "R22" || (isWaitingProblem(one) && one.monitor === monitor.id))
    : seen;
  const ended = endedBy(given);
  if (!ended) return facts(next);
  const escalates = !ended.escalated && notification.escalated === true && isNamed(view, ended, alert, order);
  if (!escalates && !(isNew && ended.escalated)) return facts(next);
  const marked = escalates
    ? withView(next, monitor.id, withProblem(view, { ...ended, escalated: true }))
    : next;
  const contacts = knowing(given, ended.key).filter((contact) => contact !== key);
  const due = queued.receivedAt + policy.fanoutSeconds * 1000;
  return withRecoveries(given, facts(marked), "R27", contacts, ended.key, due);
};

/** The verdict on the mail of a recovery; `seen` is the entry with its facts. */
const mailOf = (given: Case, seen: Entry): Verdict => {
  const { told, alert, entry, key, now, object, order, policy, queued, view } = given;
  const { monitor } = alert;
  const unsent = unsentOf(given);
  const age = queued.receivedAt - (unsent?.[1].receivedAt ?? 0);
  const isShort = unsent?.[1].row === "R29" && !unsent[1].volatile && age <= policy.flapHoldSeconds * 1000;
  const next = isShort ? withSpared(seen, unsent) : seen;
  const quiet = (action: "suppress" | "record", row: Row, reason: string) =>
    unmailed(action, row, reason, next);
  const send = (row: Row, reason: string) => mailing(given, "RECOVERY", row, reason, { next });
  const hold = (row: Row, due: number, reason: string) => holding(given, row, due, reason, next);

  if (unsent && !isShort) {
    const due = Math.max(unsent[1].due, now) + 1;
    return hold("R30", due, "its problem still waits for the relay, and goes first");
  }
  // A contact who still knows of an earlier problem is told that all is well now.
  if (unsent && !counts(given)) {
    const seconds = Math.round(age / 1000);
    const soon = `${object} recovered ${seconds} s after its problem, which was not mailed yet`;
    return quiet("suppress", "R29", soon);
  }
  if (!told && Object.values(entry.held).some((one) => one.contact === key && one.row === "R16")) {
    const covered = `the problem of ${object} was covered by its host's, and ${queued.contact} not told of it`;
    return quiet("record", "R31", covered);
  }
  if (!told && !view?.problems.length && Object.keys(entry.contacts).length === 0)
    return policy.orphanRecovery
      ? send("R26", `no problem of ${object} is known here, and such recoveries are to be mailed`)
      : quiet("record", "R26", `no problem of ${object} is known here`);
  if (!told) return quiet("record", "R21", `${queued.contact} was not told of the problem`);
  if (told.recovered) return quiet("record", "R21", `${queued.contact} was already told that it is over`);
  if (!counts(given)) {
    const named = namedBy(entry, told, monitor.id);
    return named && before(order, named.last)
      ? quiet("suppress", "R28", `${object} has a newer problem than the one this recovery ends`)
      : quiet("record", "R21", `${queued.contact} was told of another problem than the one that ended`);
  }
  const others = othersLive(entry, told, monitor.id);
  const report = `${others.join(", ")} still reports the problem`;
  const waitsUntil = queued.receivedAt + policy.pairRecoverySeconds * 1000;
  if (others.length > 0 && now < waitsUntil)
    return hold("R22", waitsUntil, `over at ${monitor.id}, while ${report}`);
  if (others.length > 0 && policy.pairRecoverySeconds > 0)
    return send("R24", `over at ${monitor.id} alone: ${report} ${policy.pairRecoverySeconds} s later`);
  if (queued.made?.row === "R27")
    return send("R27", "it is over, and the monitor did not say so to this contact");
  if (queued.made?.row === "R37") return send("R37", "flapping ended well, and the monitor sent no recovery");
  if (Object.keys(told.names).length > 1 && others.length === 0)
    return send("R23", "every monitor that reported the problem has reported its end");
  const named = namedBy(entry, told, monitor.id);
  const isOther = named && view && !isNamed(view, named, alert, order);
  return send(isOther ? "R25" : "R20", "the problem that this contact was told of is over");
};

/** R20-R31: a recovery. */
export const recovery = (given: Case): Verdict => {
  const { entry, made } = afterFacts(given);
  return { ...mailOf(given, entry), made };
};

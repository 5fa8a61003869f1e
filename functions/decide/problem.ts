import { type State, severity } from "../alert.ts";
import { fingerprint } from "../identity.ts";
import {
  type Case,
  clockOf,
  holding,
  knowing,
  mailing,
  type Send,
  unmailed,
  type Verdict,
  withRecoveries,
} from "./case.ts";
import {
  type Episode,
  goesBefore,
  type Kind,
  namedBy,
  othersLive,
  released,
  waitingIn,
  withReport,
  withView,
} from "./entry.ts";
import {
  endedAt,
  endOf,
  isEnded,
  latestOf,
  liveProblem,
  type MonitorView,
  namesIn,
  own,
  type Problem,
  withProblem,
} from "./monitor-view.ts";
import { before, isRolledBack } from "./order.ts";
import type { Row } from "./rows.ts";

/** A case with the facts as they are after its report, and the problem that the report is of. */
type Reported = Case & {
  view: MonitorView;
  problem: Problem;
  /** The problem's state before; undefined: this is the first report of it. */
  was: State | undefined;
  /** R10: the monitor gave it a new name. */
  isRenamed: boolean;
};

/** R10: the monitor lost its memory, and reports a running problem again under a new name soon after its start. */
const isFoundAgain =
  ({ alert, runs = [], view, policy }: Case) =>
  (latest: Problem): boolean => {
    const { start } = alert.monitor;
    if (start === undefined || !view || isEnded(view, latest)) return false;
    // A run has not forgotten a problem that it reported by its old name.
    if (latest.start === undefined || Math.max(latest.start, latest.last.start ?? 0) >= start) return false;
    if (!isRolledBack(runs, start)) return false;
    const sinceStart = (alert.problem.epoch ?? alert.time) - start;
    return sinceStart >= 0 && sinceStart <= policy.restartGraceSeconds;
  };

const reported = (given: Case): Reported => {
  const { entry, view, problem } = withReport(given.entry, given.queued, isFoundAgain(given));
  const known = given.view?.problems.find(({ key }) => key === problem.key);
  const isRenamed = known?.former?.length !== problem.former?.length;
  return { ...given, entry, view, problem, was: known?.state, isRenamed };
};

const isVolatile = ({ alert }: Case): boolean => alert.notification.volatile === true;

const sinceOf = ({ told, object, queued }: Case): string =>
  told
    ? `${object} was already reported ${told.state} to ${queued.contact} at ${clockOf(told.at)}`
    : "nothing was reported";

/** The alert makes no mail, and its problem counts it. */
const quiet = (
  { entry, view, problem, alert }: Reported,
  action: "suppress" | "record",
  row: Row,
  reason: string,
): Verdict => {
  const counted = withProblem(view, { ...problem, suppressed: (problem.suppressed ?? 0) + 1 });
  return unmailed(action, row, reason, withView(entry, alert.monitor.id, counted));
};

/** The contact knows this outage, and from now on also by the name that this monitor gives it. */
const joined = (given: Reported, row: Row, reason: string): Verdict => {
  const { told, alert, key, problem } = given;
  const verdict = quiet(given, "suppress", row, reason);
  if (!told) return verdict;
  const names = { ...told.names, [alert.monitor.id]: problem.key };
  const echoes = [...new Set([...(told.echoes ?? []), alert.monitor.id])];
  const contacts = { ...verdict.entry.contacts, [key]: { ...told, names, echoes } };
  return { ...verdict, entry: { ...verdict.entry, contacts } };
};

/** The conversation of news: that of the problem, unless this contact was told an end in it. */
const threadOf = ({ told, problem, queued }: Reported): Episode => ({
  id:
    told?.thread === problem.key ? fingerprint("problem", problem.key, queued.id).slice(0, 16) : problem.key,
  since: problem.receivedAt,
});

/** When the bridge first heard that this is over: by an end, or by a newer problem of the same monitor. */
const overSince = ({ alert, view, problem, order }: Reported): number | undefined => {
  const latest = latestOf(view);
  const newer =
    latest && latest.key !== problem.key && before(order, latest.first) ? latest.receivedAt : undefined;
  const end = endOf(view, alert, order)?.receivedAt;
  return end === undefined || newer === undefined ? (end ?? newer) : Math.min(end, newer);
};

/** R13, R29-R31: the monitor has already said that this problem is over. `entry` is as before this report. */
const alreadyOver = (given: Reported, over: number, { entry, view: seen }: Case): Verdict => {
  const { told, alert, held, key, now, object, order, policy, problem, queued, view } = given;
  const end = endOf(view, alert, order);
  if (held?.row === "R16" && end)
    return unmailed("record", "R31", `${object} recovered while its host's problem covered it`, entry);
  const named = namedBy(entry, told, alert.monitor.id);
  const isEvent = isVolatile(given);
  const knows = !isEvent && named !== undefined && (named.key === problem.key || before(order, named.first));
  // By both clocks: what was in a spool was all received at once.
  const lasted = end && Math.max(end.receivedAt - queued.receivedAt, (end.order.time - order.time) * 1000);
  const isEnd = end !== undefined && end.receivedAt >= queued.receivedAt;
  const isShort = held?.spared || (isEnd && Number(lasted) <= policy.flapHoldSeconds * 1000);
  if (isShort && !knows && !given.inDoubt && !isEvent) {
    const flap = `${object} recovered within ${policy.flapHoldSeconds} s, before this could be mailed`;
    return unmailed("suppress", "R29", flap, entry);
  }
  const due = now + policy.fanoutSeconds * 1000;
  if (queued.receivedAt > over || knows || held?.row === "R14" || given.putBack) {
    const late = unmailed("suppress", "R13", `${object} had recovered before this could be told`, entry);
    const isKnown = seen?.problems.find((one) => one.key === problem.key);
    if (!end || !problem.escalated || !isKnown || isKnown.escalated) return late;
    // R27: when the end came, nothing said that it was escalated.
    const marked = { ...late, entry: given.entry };
    return withRecoveries(given, marked, "R27", knowing(given, problem.key), problem.key, due);
  }
  const other = isEvent ? undefined : sameOutage(given);
  if (other !== undefined)
    return joined(given, "R8", `${other} reported the same outage, which is over: ${sinceOf(given)}`);
  const reason = "it waited for the relay, and is over by now";
  const verdict = mailing(given, "PROBLEM", "R30", reason, { episode: threadOf(given) });
  // R27: when the end came, nothing said that this contact would be told.
  return problem.escalated && end ? withRecoveries(given, verdict, "R27", [key], problem.key, due) : verdict;
};

/** R14: the other monitor has just reported the end of an outage that this one had begun to see before. */
const justEndedAt = ({ told, entry, alert, problem, queued, policy }: Reported): string | undefined =>
  namesIn(told?.recovered ? told.names : {}).find((id) => {
    const other = own(entry.monitors, id);
    const end = other && endedAt(other);
    if (id === alert.monitor.id || end === undefined) return false;
    return queued.receivedAt - end <= policy.pairLateSeconds * 1000 && problem.began <= end;
  });

/** R1, R2, R7-R9, R14, R15, R19, R30: this contact has not been told of this problem. */
const news = (given: Reported): Verdict => {
  const { told, alert, entry, held, key, now, order, policy, problem, queued, was } = given;
  const { monitor, notification } = alert;
  const slower = justEndedAt(given);
  const due = queued.receivedAt + policy.pairLateSeconds * 1000;
  if (slower !== undefined && now < due) {
    const reason = `${slower} has just reported its end: ${monitor.id} may be the slower of the two`;
    return holding(given, "R14", due, reason, entry);
  }
  // A new problem also says that the host of one before it, which that covered, is up.
  const isAnother = was === undefined || own(entry.begun, key) !== problem.key;
  const earlier = waitingIn(entry).find(
    ([id, one]) =>
      (goesBefore(one, queued) || (one.row === "R16" && was === undefined && !one.queued)) &&
      id !== queued.id &&
      one.contact === key &&
      one.monitor === monitor.id,
  );
  if (earlier && isAnother && held?.row !== "R30") {
    const [id, { row, due }] = earlier;
    const next = row === "R16" ? released(entry, now, (one) => one === entry.held[id]) : entry;
    const until = row === "R16" ? now + 1 : Math.max(due, now) + 1;
    return holding(given, "R30", until, "an earlier problem waits to be mailed, and goes first", next);
  }
  const send = (row: Row, reason: string, kind: Kind = "PROBLEM") =>
    mailing(given, kind, row, reason, { episode: threadOf(given) });
  if (held?.row === "R14")
    return send("R15", `${monitor.id} still reports it after ${policy.pairLateSeconds} s`);
  if (notification.escalated && before(problem.first, order)) {
    const reason = `open since ${clockOf(problem.receivedAt)}, now escalated to this contact`;
    return send("R7", reason, "ESCALATION");
  }
  const untold = "this contact had not been told of this problem";
  if (before(order, problem.last)) return send("R19", untold);
  if (told && !told.recovered)
    return send("R9", "another problem than the one that this contact was told of");
  const isWatched = Object.entries(entry.monitors).some(([id, one]) => id !== monitor.id && liveProblem(one));
  if (was === undefined && isWatched) return send("R8", untold);
  if ((notification.number ?? 1) > 1) return send("R2", untold);
  return send("R1", "first news of this problem");
};

/** Whether another monitor reports the event that the last mail told; each may report it once. */
const isEcho = ({ told, alert, queued, policy }: Case): boolean =>
  told !== undefined &&
  told.by !== alert.monitor.id &&
  !told.echoes?.includes(alert.monitor.id) &&
  queued.receivedAt - told.at <= policy.announcementWindowSeconds * 1000;

/** R5, R8, R11: what is mailed of an outage that this contact knows, whatever this monitor calls it. */
const louder = (given: Reported): Verdict | undefined => {
  const { told, alert, policy } = given;
  if (!told) return undefined;
  if (isVolatile(given))
    return isEcho(given)
      ? joined(given, "R8", `${told.by} reported the same: ${sinceOf(given)}`)
      : mailing(given, "PROBLEM", "R11", "the service is volatile: each event is news");
  if (severity[alert.state] <= told.worst) return undefined;
  return policy.worsening
    ? mailing(given, "UPDATE", "R5", `worse than the ${told.state} that this contact was told`)
    : quiet(given, "record", "R5", `it got worse, and that is not to be mailed: ${sinceOf(given)}`);
};

/** R3-R6, R8, R10, R11: this contact was told of this very problem, and not of its end. */
const repeated = (given: Reported, { names, thread, at, by }: NonNullable<Case["told"]>): Verdict => {
  const { alert, now, policy, problem, was } = given;
  const { monitor, state } = alert;
  const mailed = louder(given);
  if (mailed) return mailed;
  const since = sinceOf(given);
  if (given.isRenamed) {
    const found = `${monitor.id} has lost what it knew and found this again: ${since}`;
    return quiet(given, "record", "R10", found);
  }
  const isDue = policy.renotifyAfterSeconds !== undefined && now - at >= policy.renotifyAfterSeconds * 1000;
  // The monitor that opened the conversation reminds; any, if that one calls the problem by another name now.
  const opener = Object.keys(names).find((id) => names[id] === thread) ?? monitor.id;
  if (isDue && problem.acknowledgedAt === undefined && opener === monitor.id)
    return mailing(given, "REMINDER", "R4", `still open, and a reminder is due since ${since}`);
  if (state !== was) return quiet(given, "record", "R6", `still a problem, and no worse: ${since}`);
  return quiet(given, "suppress", by === monitor.id ? "R3" : "R8", since);
};

/** For so long after an outage began at one monitor another may see it begin. */
const togetherMilliseconds = 600_000;

/**
 * R8: the other monitor by which this contact knows the outage that this one reports: it saw it at the same time, and
 * still reported it when this report was received. The relay may have been away since.
 */
const sameOutage = ({ told, alert, entry, problem, queued }: Reported): string | undefined =>
  namesIn(told?.names ?? {}).find((id) => {
    const view = own(entry.monitors, id);
    const latest = latestOf(view);
    if (!view || !latest || id === alert.monitor.id || latest.key !== told?.names[id]) return false;
    const wasLive = !isEnded(view, latest) || queued.receivedAt <= Number(view.end?.receivedAt);
    return wasLive && problem.began <= latest.began + togetherMilliseconds;
  });

/** R12: this monitor saw the outage end and begin again, while another by which this contact knows it saw it on. */
const seenOn = ({ told, alert, entry, policy, problem, queued, view }: Reported): string | undefined => {
  const named = namedBy(entry, told, alert.monitor.id);
  if (!told || !named || !view.end || !isEnded(view, named)) return undefined;
  // The end may be of a problem in between, of which somebody else was told.
  const since = view.problems.slice(view.problems.indexOf(named) + 1);
  if (since.some(({ key }) => key !== problem.key)) return undefined;
  const age = queued.receivedAt - view.end.receivedAt;
  const isRecent = age <= (policy.pairRecoverySeconds || 600) * 1000;
  const isWorse = severity[alert.state] > told.worst;
  return isRecent && !isWorse ? othersLive(entry, told, alert.monitor.id)[0] : undefined;
};

/** R1-R15, R19, R29-R31: a HARD problem, whatever its host says. */
const ownProblem = (untouched: Case, given: Reported): Verdict => {
  const { told, alert, object, order, problem, queued, view } = given;
  const { id } = alert.monitor;
  const over = overSince(given);
  if (over !== undefined) return alreadyOver(given, over, untouched);
  const key = told && own(told.names, id);
  if (!told || told.recovered) {
    const isToldOver = key === problem.key && !(view.end && before(problem.first, view.end.order));
    return told && isToldOver && queued.receivedAt <= told.at && !isVolatile(given)
      ? unmailed("suppress", "R13", `${queued.contact} was told since that it is over`, untouched.entry)
      : news(given);
  }
  if (key === problem.key) return repeated(given, told);
  const named = namedBy(given.entry, told, id);
  if (named && before(order, named.first)) {
    const later = `${object} has a newer problem, of which ${queued.contact} was told`;
    return unmailed("suppress", "R13", later, untouched.entry);
  }
  if (key === undefined) {
    const other = sameOutage(given);
    if (other === undefined) return news(given);
    return louder(given) ?? joined(given, "R8", `${other} reported the same outage: ${sinceOf(given)}`);
  }
  const other = seenOn(given);
  if (other === undefined || isVolatile(given)) return news(given);
  return joined(given, "R12", `its end at ${id} was not told, for ${other} saw it on: ${sinceOf(given)}`);
};

/** In no case does a host cover its services for longer: its end may never be posted. */
const mostCoverMilliseconds = 3_600_000;

/** How long the DOWN of a host keeps this alert back, and since when the host is up again. */
type Cover = { until: number; isTold: boolean; up?: number };

/**
 * The monitors' reports about the host that explain this alert. A core sends nothing of a service while its host is
 * down (docs/nagios.md §1.2): what it sends after the first word of a DOWN proves that the host is up.
 */
const covers = ({ alert, host, key, order, policy, queued }: Case): Cover[] => {
  if (!host) return [];
  const { receivedAt } = queued;
  const cover = Math.max(policy.hostCoverSeconds ?? 0, 1) * 1000;
  const most = receivedAt + mostCoverMilliseconds;
  const mine = own(host.monitors, alert.monitor.id);
  const [seen, toldOfHost] = [latestOf(mine), own(host.contacts, key)];
  const upSince = mine && seen && !before(order, seen.first) ? seen : undefined;
  return Object.entries(host.monitors).flatMap(([id, view]): Cover[] => {
    const down = latestOf(view);
    // An earlier report was not in a race with it.
    if (!down || receivedAt < down.receivedAt) return [];
    const isProven = upSince && (liveProblem(mine) || down.began <= upSince.began + togetherMilliseconds);
    const up = isEnded(view, down) ? view.end?.receivedAt : undefined;
    const isTold = toldOfHost !== undefined && own(toldOfHost.names, id) === down.key;
    const knowsEnd = isTold && toldOfHost.recovered && up === undefined;
    const until = view === mine ? (up === undefined ? most : up + cover) : down.receivedAt + cover;
    const isOver = receivedAt >= until || (view !== mine && up !== undefined && receivedAt >= up);
    return isProven || isOver || knowsEnd ? [] : [{ until: Math.min(until, most), isTold, up }];
  });
};

/** R16-R18: news of a service, if this contact was told that its host is down. */
const underHost = (given: Reported, verdict: Send): Verdict => {
  const { alert, held, now, policy, queued } = given;
  const { host } = alert.object;
  const isNews = verdict.kind === "PROBLEM" || verdict.kind === "ESCALATION";
  if (policy.hostCoverSeconds === undefined || !isNews || isVolatile(given)) return verdict;
  const known = covers(given);
  const [cover] = known.filter(({ isTold }) => isTold).sort((a, b) => b.until - a.until);
  if (cover && now < cover.until) {
    const reason = `covered: ${queued.contact} was told that ${host} is down${cover.up === undefined ? "" : ", and it has just come back"}`;
    // Its end may come at any time: it is looked for as often as that is waited for.
    const due = Math.min(cover.until, now + Math.max(policy.hostCoverSeconds, 10) * 1000);
    return holding(given, "R16", due, reason, given.entry);
  }
  if (held?.row === "R16") {
    const reason =
      cover?.up === undefined
        ? `${host} is still down, and covers this no longer`
        : `${host} is up since ${clockOf(cover.up)}, and no recovery of this has come`;
    return { ...verdict, row: "R18", reason };
  }
  if (known.some(({ up, isTold }) => up === undefined && !isTold))
    return { ...verdict, row: "R17", reason: "the host is down, and this contact was not told of that" };
  return verdict;
};

/** R1-R19, and R29-R31 of a problem that is over: a HARD problem. */
export const problem = (given: Case): Verdict => {
  const facts = reported(given);
  const mine = ownProblem(given, facts);
  const verdict = mine.action === "send" && mine.row !== "R30" ? underHost(facts, mine) : mine;
  if (verdict.action !== "send") return verdict;
  const { entry } = verdict;
  return { ...verdict, entry: { ...entry, begun: { ...entry.begun, [given.key]: facts.problem.key } } };
};

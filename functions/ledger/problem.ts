import { type Alert, severity } from "../alert.ts";
import { digest } from "../identity.ts";
import { type Case, clockOf, madeRecovery, unmailed, type Verdict } from "./case.ts";
import {
  before,
  type Entry,
  type Episode,
  isRolledBack,
  isWaitingProblem,
  type Kind,
  type MonitorView,
  openEpisode,
  othersOpen,
  type Told,
  withHeld,
  withView,
} from "./entry.ts";
import type { Row } from "./rows.ts";

/** nagios.md §5.1, "same problem": equal epochs; else same process and id; without an epoch the ids, if both speak. */
const sameProblem = (view: MonitorView, { monitor, problem }: Alert): boolean => {
  const sameId = view.problemId !== undefined && view.problemId === problem.id;
  if (view.epoch !== undefined && problem.epoch !== undefined)
    return view.epoch === problem.epoch || (sameId && view.start === monitor.start);
  return sameId || view.problemId === undefined || problem.id === undefined;
};

/** Whether the contact, never told of its end, was told of this very problem, in whatever episode. */
const stillTheSame = ({ by, recovered }: Told, { monitor, problem }: Alert): boolean => {
  if (recovered || by.monitor !== monitor.id) return false;
  if (by.epoch !== undefined && problem.epoch !== undefined) return by.epoch === problem.epoch;
  return by.problemId !== undefined && by.problemId === problem.id && by.start === monitor.start;
};

const newEpisode = ({ queued, object, alert, entry, now }: Case): Episode => ({
  // The alert that opened the last one may be decided again, after R24 closed it: then this is another.
  id: digest("episode", queued.site, object, queued.id, ...(entry.episode ? [entry.episode.id] : [])),
  since: now,
  state: alert.state,
  opener: alert.monitor.id,
  addressed: [],
  suppressed: 0,
});

/** For so long a monitor that was outvoted (R24) is still believed to see the problem: it may be switched off. */
const outvotedMilliseconds = 86_400_000;

/** For so long it is known that a contact was told of an earlier problem and its end: notifications may be late. */
const toldMilliseconds = 7 * 86_400_000;

/**
 * The entry in which a new episode may begin. Who was told of an earlier one and not of its end is kept: his recovery
 * may still be on its way. A monitor that has not reported the end of an earlier one takes part in this one, and who
 * knows of what it still reports, knows of this one.
 */
const begun = ({ entry, alert, now }: Case, { id }: Episode): Entry => {
  const believed = (view: MonitorView): boolean =>
    view.open && !(view.outvotedAt && now - view.outvotedAt > outvotedMilliseconds);
  const last = entry.episode?.id;
  const goesOn = Object.entries(entry.monitors).some(
    ([monitor, view]) =>
      believed(view) && view.episode === last && (monitor !== alert.monitor.id || sameProblem(view, alert)),
  );
  const known = Object.entries(entry.contacts)
    .filter(([, about]) => !about.recovered || now - about.at < toldMilliseconds)
    .map(([contact, about]): [string, Told] => {
      const knows = goesOn && about.episode === last && !about.recovered;
      return [contact, knows ? { ...about, episode: id } : about];
    });
  return {
    ...entry,
    contacts: Object.fromEntries(known),
    monitors: Object.fromEntries(
      Object.entries(entry.monitors).map(([monitor, view]) => [
        monitor,
        believed(view) ? { ...view, episode: id } : { ...view, open: false },
      ]),
    ),
  };
};

/** R10: the monitor lost its retention and found a running problem again, as a new one, soon after its start. */
const foundAgain = ({ alert, runs = [], view, policy }: Case): boolean => {
  const { start } = alert.monitor;
  if (start === undefined || view?.start === start || !isRolledBack(runs, start)) return false;
  return (alert.problem.epoch ?? alert.time) - start <= policy.restartGraceSeconds;
};

/**
 * The entry in which this contact was told of the open episode, if he was told of this very problem in one that was
 * closed without his knowledge (R24): then it goes on, and is no news to him.
 */
const continued = (c: Case): Entry => {
  const { entry, open, key, alert, view, order } = c;
  const about = entry.contacts[key];
  if (!about || about.episode === open?.id) return entry;
  // What a monitor said before its last word is of that problem, or of one before it.
  const older = view?.problem !== undefined && before(order, view.problem);
  // Told by this monitor, or by another while this one reported the same.
  const byThis = about.by.monitor === alert.monitor.id || view?.episode === about.episode;
  const lasts =
    !about.recovered && byThis && view?.open && (older || sameProblem(view, alert) || foundAgain(c));
  if (!lasts && !stillTheSame(about, alert)) return entry;
  const episode = open ?? { ...newEpisode(c), addressed: [key] };
  const base = open ? entry : begun(c, episode);
  return { ...base, episode, contacts: { ...base.contacts, [key]: { ...about, episode: episode.id } } };
};

/** R13, R29-R31: the monitor has already said that this problem is over. */
const alreadyOver = (c: Case): Verdict => {
  const { entry, key, held, object, queued, policy, alert } = c;
  const { episode } = entry;
  if (held?.row === "R16")
    return unmailed("record", "R31", `${object} recovered while its host's problem covered it`, entry);
  const flap = `${object} recovered within ${policy.flapHoldSeconds} s, before this could be mailed`;
  if (held?.spared && !c.inDoubt) return unmailed("suppress", "R29", flap, entry);
  const about = entry.contacts[key];
  const toldSince = about !== undefined && about.at >= queued.receivedAt;
  const { end } = about ?? {};
  const toldOfEnd = end !== undefined && end.monitor === alert.monitor.id && before(c.order, end.order);
  const toldOfIt =
    toldSince ||
    toldOfEnd ||
    (about !== undefined && (about.episode === episode?.id || stillTheSame(about, alert)));
  if (
    episode?.closedAt === undefined ||
    queued.receivedAt > episode.closedAt ||
    toldOfIt ||
    held?.row === "R14" ||
    c.putBack
  )
    return unmailed("suppress", "R13", `${object} had recovered before this could be told`, entry);
  if (!c.inDoubt && episode.closedAt - queued.receivedAt <= policy.flapHoldSeconds * 1000)
    return unmailed("suppress", "R29", flap, entry);
  // R27: at the closure nobody knew that this contact would be told.
  const fanout = policy.recoveryFanout === "all" || episode.escalated || alert.notification.escalated;
  const made = fanout && policy.recoveryFanout !== "none" ? [madeRecovery(c, "R27", key, episode.id)] : [];
  const due = c.now + policy.fanoutSeconds * 1000;
  return {
    action: "send",
    kind: "PROBLEM",
    row: "R30",
    reason: "it waited for the relay; its recovery follows",
    episode,
    entry: made.reduce((base, alert) => withHeld(base, alert, "R27", due), entry),
    made,
  };
};

/** R1-R15, R19: a HARD problem, whatever its host says. */
const ownProblem = (c: Case): Verdict => {
  const { alert, order, view, object, queued, key, policy } = c;
  const { monitor, state, notification } = alert;
  const entry = continued(c);
  const open = openEpisode(entry);
  const about = entry.contacts[key];
  const told = about?.episode === open?.id ? about : undefined;
  const newest = view?.problem && before(order, view.problem) ? view.problem : order;
  const reported: Partial<MonitorView> = {
    open: true,
    outvotedAt: undefined,
    problem: newest,
    ...(newest === order && {
      start: monitor.start,
      epoch: alert.problem.epoch,
      problemId: alert.problem.id,
    }),
  };
  const seen = (base: Entry, episode: Episode): Entry =>
    withView({ ...base, episode }, monitor.id, { ...reported, episode: episode.id });
  const send = (kind: Kind, row: Row, reason: string, at: Episode, base = entry): Verdict => {
    const addressed = [...new Set([...at.addressed, key])];
    const escalated = at.escalated || notification.escalated ? { escalated: true as const } : {};
    return {
      action: "send",
      kind,
      row,
      reason,
      episode: at,
      entry: seen(base, { ...at, addressed, ...escalated }),
    };
  };
  const opening = (kind: Kind, row: Row, reason: string): Verdict => {
    const episode = newEpisode(c);
    const base = begun(c, episode);
    const addressed = Object.keys(base.contacts).filter((one) => base.contacts[one]?.episode === episode.id);
    return send(kind, row, reason, { ...episode, addressed }, base);
  };

  if (view?.recovery && before(order, view.recovery)) return alreadyOver(c);

  // R1, R2, R14, R15: nothing is open.
  if (!open) {
    const last = entry.episode;
    const due = queued.receivedAt + policy.pairLateSeconds * 1000;
    if (
      last?.closedAt !== undefined &&
      last.closedBy !== undefined &&
      last.closedBy !== monitor.id &&
      view?.episode !== last.id &&
      queued.receivedAt - last.closedAt <= policy.pairLateSeconds * 1000 &&
      c.now < due
    )
      return {
        action: "hold",
        row: "R14",
        reason: `${last.closedBy} has just reported its end: ${monitor.id} may be the slower of the two`,
        due,
        entry: withView(entry, monitor.id, reported),
      };
    if (c.held?.row === "R14")
      return opening("PROBLEM", "R15", `${monitor.id} still reports it after ${policy.pairLateSeconds} s`);
    if ((notification.number ?? 1) <= 1) return opening("PROBLEM", "R1", "first news of this problem");
    return opening("PROBLEM", "R2", "first news of this problem here, whatever its number says");
  }

  // R9: the core swallowed a recovery.
  const forgot = foundAgain(c);
  const others = othersOpen(entry, monitor.id);
  const another = view?.open && newest === order && !forgot && !sameProblem(view, alert);
  if (another && others.length === 0)
    return opening("PROBLEM", "R9", "a new problem: the recovery of the one before never came");

  const current: Episode = { ...open, state: newest === order ? state : open.state };
  const quiet = (action: "suppress" | "record", row: Row, reason: string): Verdict =>
    unmailed(action, row, reason, seen(entry, { ...current, suppressed: open.suppressed + 1 }));

  // R2, R7, R8, R19: this contact was not told of it.
  if (!told) {
    const newer =
      newest !== order &&
      Object.entries(entry.held).some(
        ([id, held]) =>
          id !== queued.id &&
          held.contact === key &&
          // Another monitor's may be dropped by that one's recovery, and then nobody would tell of this.
          held.monitor === monitor.id &&
          isWaitingProblem(held),
      );
    if (c.held && newer)
      return quiet("suppress", "R3", "a later notification of the same problem waits in its place");
    // R19 is for who knows nothing: this one was told by the same monitor, and never of the end.
    if (newest !== order && about && !about.recovered && about.by.monitor === monitor.id)
      return quiet("suppress", "R3", `${queued.contact} still knows of an earlier problem of ${object}`);
    if (notification.escalated)
      return send(
        "ESCALATION",
        "R7",
        `open since ${clockOf(open.since)}, now escalated to this contact`,
        current,
      );
    const byNumber = (notification.number ?? 1) > 1 ? "R2" : "R1";
    const row = newest !== order ? "R19" : view?.open ? byNumber : "R8";
    const reason =
      row === "R1" ? "first news of this problem" : "this contact had not been told of this problem";
    return send("PROBLEM", row, reason, current);
  }

  // R3-R6, R10-R12: he was.
  const since = `${object} was already reported ${told.state} to ${queued.contact} at ${clockOf(told.at)}`;
  const sinceTold = queued.receivedAt - told.at;
  const otherToldIt = told.by.monitor !== monitor.id;
  if (
    notification.volatile &&
    policy.volatile &&
    otherToldIt &&
    sinceTold <= policy.auxiliaryWindowSeconds * 1000
  )
    return quiet("suppress", "R8", `${told.by.monitor} reported the same: ${since}`);
  if (notification.volatile && policy.volatile)
    return send("PROBLEM", "R11", "the service is volatile: each event is news", current);
  const betterSince = newest !== order && severity[open.state] <= told.worst;
  if (severity[state] > told.worst && !betterSince)
    return policy.worsening
      ? send("UPDATE", "R5", `worse than the ${told.state} that this contact was told`, current)
      : quiet("record", "R5", `it got worse, and that is not to be mailed: ${since}`);
  if (forgot)
    return quiet("record", "R10", `${monitor.id} has lost what it knew and found this again: ${since}`);
  const due =
    policy.renotifyAfterSeconds !== undefined && c.now - told.at >= policy.renotifyAfterSeconds * 1000;
  if (due && open.acknowledgedAt === undefined && open.opener === monitor.id)
    return send("REMINDER", "R4", `still open, and a reminder is due since ${since}`, current);
  if (view && !view.open && others.length > 0)
    return quiet(
      "suppress",
      "R12",
      `its end at ${monitor.id} was not told, for ${others.join(", ")} saw it on: ${since}`,
    );
  if (state !== open.state) return quiet("record", "R6", `still a problem, and no worse: ${since}`);
  return quiet("suppress", otherToldIt ? "R8" : "R3", since);
};

/** R16-R18: a service's problem that would be mailed, if this contact was told that its host is down. */
const underHost = (c: Case, verdict: Verdict & { action: "send" }): Verdict => {
  const { alert, host, policy, queued, key, now } = c;
  const { hostCoverSeconds } = policy;
  const episode = host?.episode;
  if (hostCoverSeconds === undefined || !host || !episode || alert.notification.volatile) return verdict;
  const { host: name } = alert.object;
  const about = host.contacts[key];
  // Who was told of an earlier problem of the host, and not of its end, knows it as down.
  const toldOfHost = about && (about.episode === episode.id || !about.recovered) ? about : undefined;
  const up = episode.closedAt;
  const first = verdict.kind === "PROBLEM" || verdict.kind === "ESCALATION";
  if (up === undefined && !toldOfHost && first)
    return { ...verdict, row: "R17", reason: "the host is down, and this contact was not told of that" };
  const covered = c.held?.row === "R16";
  const due = (up ?? now) + Math.max(hostCoverSeconds, 1) * 1000;
  if (toldOfHost && (up === undefined || (covered && now < due))) {
    const down = `${name} was reported ${toldOfHost.state} to ${queued.contact} at ${clockOf(toldOfHost.at)}`;
    const reason = `covered: ${down}${up === undefined ? "" : ", and has just come back"}`;
    return { action: "hold", row: "R16", reason, due, entry: verdict.entry };
  }
  if (up === undefined || !covered) return verdict;
  if (episode.closedBy === undefined)
    return unmailed("record", "R44", `nothing was heard of ${name} for 30 days`, verdict.entry);
  const reason = `${name} is up since ${clockOf(up)}, and no recovery of this has come`;
  return { ...verdict, row: "R18", reason };
};

/** R1-R19, and R29-R31 of a problem that is over: a HARD problem. */
export const problem = (c: Case): Verdict => {
  const own = ownProblem(c);
  const verdict = own.action === "send" && own.row !== "R30" ? underHost(c, own) : own;
  return verdict.action === "hold"
    ? { ...verdict, entry: withHeld(verdict.entry, c.queued, verdict.row, verdict.due) }
    : verdict;
};

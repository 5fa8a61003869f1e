import { contactKey } from "../address.ts";
import { type Alert, objectName, type State, severity } from "../alert.ts";
import { digest } from "../identity.ts";
import type { QueuedAlert } from "../queue/queue.ts";

/** Where an event stands among those of one monitor process; never compared across monitors (nagios.md §5.1). */
export type Order = { start?: number; number?: number; time: number };

/** What one monitor last said of an object. */
export type MonitorView = {
  open: boolean;
  start?: number;
  epoch?: number;
  problemId?: string;
  problem?: Order;
  recovery?: Order;
};

/** What one contact was told in the current episode. */
export type Told = { worst: number; state: State; at: number; recovered: boolean };

/** From the first HARD problem to its recovery. Times are Unix milliseconds of the bridge. */
export type Episode = {
  id: string;
  since: number;
  state: State;
  opener: string;
  /** When the bridge took the recovery that ended it. */
  closedAt?: number;
  acknowledgedAt?: number;
};

/** All that contacts and monitors share about one object. Written only on the revision it was read at. */
export type Entry = {
  /** 0: nothing was written yet. */
  revision: number;
  episode?: Episode;
  monitors: Record<string, MonitorView>;
  contacts: Record<string, Told>;
};

export const emptyEntry: Entry = { revision: 0, monitors: {}, contacts: {} };

/** A row of the decision table in nagios.md §5.2. */
export type Row = `R${number}`;

/** What a mail announces; UPDATE is a problem that got worse, REMINDER one that lasts. */
export type Kind =
  | "PROBLEM"
  | "UPDATE"
  | "ESCALATION"
  | "REMINDER"
  | "RECOVERY"
  | "ACKNOWLEDGEMENT"
  | "CUSTOM"
  | "DOWNTIME"
  | "FLAPPING";

/**
 * What is to be done with one alert for one contact, the row behind it and the reason in words. `entry` is what the
 * ledger is to hold from now on: with a mail, before it is sent. What the contact was told is added by `told`.
 */
export type Verdict =
  | { action: "send"; kind: Kind; row: Row; reason: string; entry: Entry }
  | { action: "suppress" | "record"; row: Row; reason: string; entry: Entry };

/** What the operator chose. Seconds. */
export type Policy = { renotifyAfterSeconds?: number };

const orderOf = ({ monitor, notification, time }: Alert): Order => ({
  start: monitor.start,
  number: /^\d+$/.test(notification.id ?? "") ? Number(notification.id) : undefined,
  time,
});

/** Whether `a` came before `b` in the same monitor: by process and notification id, else by the monitor's clock. */
const before = (a: Order, b: Order): boolean => {
  if (a.start === undefined || a.number === undefined || b.start === undefined || b.number === undefined)
    return a.time < b.time;
  if (a.start === b.start) return a.number < b.number;
  // A standby that takes over under the same name may have started earlier: then its clock must agree.
  return a.start < b.start && a.time <= b.time;
};

/** nagios.md §5.1, "same problem": equal epochs; else same process and id; without an epoch the ids, if both speak. */
const sameProblem = (view: MonitorView, { monitor, problem }: Alert): boolean => {
  const sameId = view.problemId !== undefined && view.problemId === problem.id;
  if (view.epoch !== undefined && problem.epoch !== undefined)
    return view.epoch === problem.epoch || (sameId && view.start === monitor.start);
  return sameId || view.problemId === undefined || problem.id === undefined;
};

const clockOf = (at: number): string =>
  new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" }).format(at);

/** The entry with one monitor's view changed. */
const withView = (entry: Entry, monitor: string, change: Partial<MonitorView>): Entry => ({
  ...entry,
  monitors: {
    ...entry.monitors,
    [monitor]: { open: false, ...entry.monitors[monitor], ...change },
  },
});

/** What every block of the table looks at. */
type Case = {
  entry: Entry;
  queued: QueuedAlert;
  alert: Alert;
  order: Order;
  view: MonitorView | undefined;
  /** The episode, if it is open. */
  open: Episode | undefined;
  told: Told | undefined;
  policy: Policy;
  now: number;
  object: string;
};

/** R1-R13, R19, R30: a HARD problem. */
const problem = (c: Case): Verdict => {
  const { alert, order, view, open, told, object, queued } = c;
  const { monitor, state, notification } = alert;
  const newest = view?.problem && before(order, view.problem) ? view.problem : order;
  const seen = (entry: Entry): Entry =>
    withView(entry, monitor.id, {
      open: true,
      problem: newest,
      ...(newest === order && {
        start: monitor.start,
        epoch: alert.problem.epoch,
        problemId: alert.problem.id,
      }),
    });
  const opened = (): Entry => {
    const id = digest("episode", queued.site, object, queued.id);
    const episode: Episode = { id, since: c.now, state, opener: monitor.id };
    return seen({ revision: c.entry.revision, monitors: c.entry.monitors, contacts: {}, episode });
  };
  const touched = (): Entry =>
    seen({ ...c.entry, ...(open && { episode: { ...open, state: newest === order ? state : open.state } }) });

  const { episode } = c.entry;
  if (view?.recovery && before(order, view.recovery)) {
    if (!told && episode?.closedAt !== undefined && queued.receivedAt <= episode.closedAt)
      return {
        action: "send",
        kind: "PROBLEM",
        row: "R30",
        reason: "it waited for the relay; its recovery follows",
        entry: c.entry,
      };
    return {
      action: "suppress",
      row: "R13",
      reason: `${object} had recovered before this could be told`,
      entry: c.entry,
    };
  }
  if (!open) {
    const first = (notification.number ?? 1) <= 1;
    const reason = first
      ? "first news of this problem"
      : "first news of this problem here, whatever its number says";
    return { action: "send", kind: "PROBLEM", row: first ? "R1" : "R2", reason, entry: opened() };
  }
  const others = Object.entries(c.entry.monitors).some(([id, other]) => id !== monitor.id && other.open);
  if (view?.open && !others && newest === order && !sameProblem(view, alert))
    return {
      action: "send",
      kind: "PROBLEM",
      row: "R9",
      reason: "a new problem: the recovery of the one before never came",
      entry: opened(),
    };
  if (!told) {
    if (notification.escalated)
      return {
        action: "send",
        kind: "ESCALATION",
        row: "R7",
        reason: `open since ${clockOf(open.since)} UTC, now escalated to this contact`,
        entry: touched(),
      };
    const byNumber = (notification.number ?? 1) > 1 ? "R2" : "R1";
    const row = newest !== order ? "R19" : view?.open ? byNumber : "R8";
    return {
      action: "send",
      kind: "PROBLEM",
      row,
      reason: "this contact had not been told of it",
      entry: touched(),
    };
  }
  if (notification.volatile)
    return {
      action: "send",
      kind: "PROBLEM",
      row: "R11",
      reason: "the service is volatile: each event is news",
      entry: touched(),
    };
  if (severity[state] > told.worst)
    return {
      action: "send",
      kind: "UPDATE",
      row: "R5",
      reason: `worse than the ${told.state} that this contact was told`,
      entry: touched(),
    };
  const since = `${object} was already reported ${told.state} to ${queued.contact} at ${clockOf(told.at)} UTC`;
  const { renotifyAfterSeconds } = c.policy;
  const due = renotifyAfterSeconds !== undefined && c.now - told.at >= renotifyAfterSeconds * 1000;
  if (due && open.acknowledgedAt === undefined && open.opener === monitor.id)
    return {
      action: "send",
      kind: "REMINDER",
      row: "R4",
      reason: `still open, and a reminder is due since ${since}`,
      entry: touched(),
    };
  if (state !== open.state)
    return {
      action: "record",
      row: "R6",
      reason: `still a problem, and no worse: ${since}`,
      entry: touched(),
    };
  return { action: "suppress", row: "R3", reason: since, entry: touched() };
};

/** R20-R31: a recovery. Object and order decide: the ids that a recovery carries are unreliable (R25). */
const recovery = (c: Case): Verdict => {
  const { alert, order, view, open, told, object, queued } = c;
  if (view?.problem && before(order, view.problem))
    return {
      action: "suppress",
      row: "R28",
      reason: `${object} has a newer problem than the one this recovery ends`,
      entry: c.entry,
    };
  const closed = withView(
    { ...c.entry, ...(open && { episode: { ...open, state: alert.state, closedAt: queued.receivedAt } }) },
    alert.monitor.id,
    { open: false, recovery: view?.recovery && before(order, view.recovery) ? view.recovery : order },
  );
  if (!c.entry.episode)
    return { action: "record", row: "R26", reason: `no problem of ${object} is known here`, entry: closed };
  if (!told)
    return {
      action: "record",
      row: "R21",
      reason: `${queued.contact} was not told of the problem`,
      entry: closed,
    };
  if (told.recovered)
    return {
      action: "record",
      row: "R21",
      reason: `${queued.contact} was already told that it is over`,
      entry: closed,
    };
  const named = alert.problem.id ?? alert.problem.last_id;
  const mismatch = named !== undefined && view?.problemId !== undefined && named !== view.problemId;
  return {
    action: "send",
    kind: "RECOVERY",
    row: mismatch ? "R25" : "R20",
    reason: "the problem that this contact was told of is over",
    entry: closed,
  };
};

/** R32-R38: everything that is not about a state. */
const auxiliary = (c: Case): Verdict => {
  const { alert, open, told, entry, object, queued } = c;
  const send = (kind: Kind, row: Row, reason: string, next: Entry = entry): Verdict => ({
    action: "send",
    kind,
    row,
    reason,
    entry: next,
  });
  switch (alert.type) {
    case "CUSTOM":
      return send("CUSTOM", "R32", "somebody sent this by hand");
    case "ACKNOWLEDGEMENT": {
      const late = c.view?.problem !== undefined && before(c.order, c.view.problem);
      if (!open) return send("ACKNOWLEDGEMENT", "R34", "somebody has taken it on");
      const acknowledged = late
        ? entry
        : { ...entry, episode: { ...open, acknowledgedAt: open.acknowledgedAt ?? c.now } };
      if (told) return send("ACKNOWLEDGEMENT", "R33", "somebody has taken it on", acknowledged);
      const reason = `${queued.contact} was not told of the problem of ${object}`;
      return { action: "record", row: "R34", reason, entry: acknowledged };
    }
    case "FLAPPINGSTART":
    case "FLAPPINGSTOP":
    case "FLAPPINGDISABLED":
      return send("FLAPPING", "R36", "flapping is news whatever the state");
    default:
      return send("DOWNTIME", "R35", "the contact asked for downtimes");
  }
};

/**
 * The state machine of the ledger: what one alert means for one contact, given what its object's entry holds.
 * `twin` is the id of another alert that reported the same event before. Rows as in nagios.md §5.2; the first that
 * matches in a block wins.
 */
export const decide = (
  entry: Entry,
  queued: QueuedAlert,
  twin: string | undefined,
  policy: Policy,
  now: number,
): Verdict => {
  const { alert } = queued;
  if (twin !== undefined)
    return {
      action: "suppress",
      row: "R0",
      reason: `the same notification was taken before, as ${twin}`,
      entry,
    };
  const stateful = alert.type === "PROBLEM" || alert.type === "RECOVERY";
  if (stateful && alert.state_type === "SOFT")
    return { action: "record", row: "R45", reason: "the state is SOFT: not confirmed yet", entry };
  const c: Case = {
    entry,
    queued,
    alert,
    order: orderOf(alert),
    view: entry.monitors[alert.monitor.id],
    open: entry.episode?.closedAt === undefined ? entry.episode : undefined,
    told: entry.contacts[contactKey(queued.contact)],
    policy,
    now,
    object: objectName(alert),
  };
  if (alert.type === "PROBLEM") return problem(c);
  if (alert.type === "RECOVERY") return recovery(c);
  return auxiliary(c);
};

/** The entry after a contact got a mail: only now does the ledger hold that he was told. */
export const told = (
  entry: Entry,
  kind: Kind,
  queued: QueuedAlert,
  episodeId: string | undefined,
  now: number,
): Entry => {
  const key = contactKey(queued.contact);
  const { state } = queued.alert;
  const before = entry.contacts[key];
  // Another contact's alert may have opened a new episode meanwhile: of that one this contact was told nothing.
  if (entry.episode === undefined || entry.episode.id !== episodeId) return entry;
  const learned = (): Told | undefined => {
    switch (kind) {
      case "PROBLEM":
      case "UPDATE":
      case "ESCALATION":
      case "REMINDER":
        return { worst: Math.max(before?.worst ?? 0, severity[state]), state, at: now, recovered: false };
      case "RECOVERY":
        return before && { ...before, recovered: true };
      default:
        return before;
    }
  };
  const known = learned();
  return known === undefined ? entry : { ...entry, contacts: { ...entry.contacts, [key]: known } };
};

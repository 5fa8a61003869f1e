import { type Alert, type State, severity } from "../alert.ts";
import { fingerprint } from "../identity.ts";
import type { QueuedAlert } from "../queue/message.ts";
import { before, isOddClock, type Order, orderOf } from "./order.ts";

/** How a monitor calls a problem. */
type Name = { start?: number; epoch?: number; id?: string };

/** One problem as one monitor reported it. Times are Unix milliseconds of the bridge. */
export type Problem = Name & {
  /** Names it among all problems of its site. */
  key: string;
  /** Names that a monitor gave it before it lost its memory (R10). */
  former?: Name[];
  /** The orders of its first and its latest report. */
  first: Order;
  last: Order;
  /** When its first report was received. */
  receivedAt: number;
  /** When its monitor had last seen the object well. */
  began: number;
  state: State;
  escalated?: true;
  acknowledgedAt?: number;
  /** How many alerts about it made no mail. */
  suppressed?: number;
};

/** An end, the problem that it names, and when the first report of it was received. */
type End = { order: Order; receivedAt: number; epoch?: number; id?: string };

/** The reports of one monitor about an object: facts only, whomever it told. */
export type MonitorView = {
  /** Those that somebody was told of, and the latest, which is the last. */
  problems: readonly Problem[];
  /** The latest end that it reported. */
  end?: End;
  /** The latest by a wrong clock that names another problem than the latest: of that problem alone it is believed. */
  doubtedEnd?: End;
  /** By how many milliseconds its clock is behind the bridge's, as nearly as its posts show. */
  delay?: number;
};

/** The value under a key that a client chose: `constructor` and its like are in every object. */
export const own = <T>(values: Record<string, T>, key: string): T | undefined =>
  Object.hasOwn(values, key) ? values[key] : undefined;

/** The names in `values`, sorted. A JavaScript object would list names that are numbers first. */
export const namesIn = (values: Record<string, unknown>): string[] => Object.keys(values).sort();

/** Each value changed, under the name that it has. */
export const withEach = <T>(values: Record<string, T>, change: (value: T) => T): Record<string, T> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));

/** The problem that a monitor reported last. */
export const latestOf = (view: MonitorView | undefined): Problem | undefined => view?.problems.at(-1);

/** The end by which the problem of an alert was over. */
export const endOf = (
  { end, doubtedEnd }: MonitorView,
  { problem }: Alert,
  order: Order,
): End | undefined => {
  if (end && before(order, end.order)) return end;
  const { epoch, id } = problem;
  // For one and the same problem, the monitor's own times decide, even if its clock is wrong.
  return [end, doubtedEnd].find((one) => {
    if (!one || order.time >= one.order.time || (id !== undefined && one.id !== undefined && id !== one.id))
      return false;
    return epoch === undefined ? id !== undefined && id === one.id : epoch === one.epoch;
  });
};

/** Whether a monitor has reported an end after this problem. */
export const isEnded = ({ end }: MonitorView, { last }: Problem): boolean =>
  end !== undefined && before(last, end.order);

/** The problem that a monitor still reports. */
export const liveProblem = (view: MonitorView | undefined): Problem | undefined => {
  const latest = latestOf(view);
  return view && latest && !isEnded(view, latest) ? latest : undefined;
};

/** When a monitor's latest end was, as nearly as is known. */
export const endedAt = ({ end, delay }: MonitorView): number | undefined =>
  end && Math.min(end.receivedAt, end.order.time * 1000 + (end.order.isDated ? 0 : (delay ?? 0)));

/** A clock that jumps back by more than this, or ahead by more than that, tells nothing of how late a post is. */
const [jumpBackMilliseconds, jumpAheadMilliseconds] = [86_400_000, 300_000];
const delayOf = (known: number | undefined, { alert, receivedAt, clockBehind }: QueuedAlert): number => {
  if (clockBehind !== undefined) return clockBehind;
  const seen = receivedAt - alert.time * 1000;
  if (known === undefined || seen - known > jumpBackMilliseconds) return seen;
  return known - seen > jumpAheadMilliseconds ? known : Math.min(known, seen);
};

/** When the alert's monitor had last seen the object well, on the bridge's clock. */
const lastWell = (view: MonitorView, queued: QueuedAlert): number => {
  const { epoch } = queued.alert.problem;
  return epoch === undefined ? queued.receivedAt : epoch * 1000 + delayOf(view.delay, queued);
};

const nameOf = ({ monitor, problem }: Alert): Name => ({
  start: monitor.start,
  epoch: problem.epoch,
  id: problem.id,
});

/** docs/nagios.md §5.1: equal epochs, or the same process and id; without epochs the ids, unless the object was well between. */
const isSameName = (a: Name, b: Name, wellBetween: () => boolean): boolean => {
  const sameId = a.id !== undefined && a.id === b.id;
  const sameStart = a.start !== undefined && a.start === b.start;
  // One run gives each problem an id of its own, and a clock that is set back may give an epoch twice.
  if (sameStart && a.id !== undefined && b.id !== undefined && !sameId) return false;
  if (a.epoch !== undefined && b.epoch !== undefined) return a.epoch === b.epoch || (sameId && sameStart);
  // A crash issues ids again.
  if (a.id !== undefined && b.id !== undefined) return sameId && (sameStart || !wellBetween());
  return !wellBetween();
};

/** Whether an alert is of this problem. */
export const isOf = (view: MonitorView, problem: Problem, alert: Alert, order: Order): boolean => {
  const { end } = view;
  const name = nameOf(alert);
  // On the clock of the orders. A problem is never reported before its epoch.
  const lastWell = name.epoch === undefined ? undefined : name.epoch + order.time - alert.time;
  const wellBetween = () =>
    (lastWell !== undefined && lastWell > problem.first.time) ||
    (end !== undefined &&
      ((before(problem.last, end.order) && before(end.order, order)) ||
        (before(order, end.order) && before(end.order, problem.first))));
  if (isSameName(problem, name, wellBetween)) return true;
  return problem.former?.some((known) => isSameName(known, name, wellBetween)) ?? false;
};

/** Whether a recovery names this problem, as far as it names one. */
export const isNamed = (view: MonitorView, problem: Problem, alert: Alert, order: Order): boolean => {
  const { last_id } = alert.problem;
  const isLastId = last_id !== undefined && last_id === problem.id && alert.monitor.start === problem.start;
  return isLastId || isOf(view, problem, alert, order);
};

/** The problem that an alert is of, if its monitor is known to have reported it. */
export const problemOf = (view: MonitorView, alert: Alert, order: Order): Problem | undefined =>
  view.problems.findLast((problem) => isOf(view, problem, alert, order));

const emptyView: MonitorView = { problems: [] };

/** The view with a problem changed, or with it as the latest if it is new. */
export const withProblem = (view: MonitorView, problem: Problem): MonitorView => ({
  ...view,
  problems: view.problems.some(({ key }) => key === problem.key)
    ? view.problems.map((one) => (one.key === problem.key ? problem : one))
    : [...view.problems, problem],
});

/**
 * A monitor's view after it reported a problem, and that problem. `isFoundAgain` says that the monitor lost its memory
 * and reports its latest problem under a new name (R10); `isKept` says which earlier problems somebody still knows.
 */
export const afterReport = (
  known: MonitorView = emptyView,
  queued: QueuedAlert,
  isFoundAgain: (latest: Problem) => boolean,
  isKept: (key: string) => boolean,
): { view: MonitorView; problem: Problem } => {
  const { alert, receivedAt } = queued;
  const order = orderOf(queued);
  const view = { ...known, delay: delayOf(known.delay, queued) };
  const escalated = alert.notification.escalated ? { escalated: true as const } : {};
  const latest = latestOf(view);
  const same = problemOf(view, alert, order);
  if (same) {
    const isNewest = !before(order, same.last);
    const problem = {
      ...same,
      ...escalated,
      ...(isNewest && { last: order, state: alert.state }),
      ...(before(order, same.first) && { first: order }),
      receivedAt: Math.min(same.receivedAt, receivedAt),
      // A later report may come with less delay, and tell more exactly.
      began: Math.min(same.began, lastWell(view, queued)),
    };
    return { view: withProblem(view, problem), problem };
  }
  if (latest && !before(order, latest.last) && isFoundAgain(latest)) {
    const { start, epoch, id, former = [] } = latest;
    const name = { ...nameOf(alert), former: [...former, { start, epoch, id }] };
    const problem = { ...latest, ...escalated, ...name, last: order, state: alert.state };
    return { view: withProblem(view, problem), problem };
  }
  const problem: Problem = {
    ...nameOf(alert),
    key: fingerprint("problem", queued.site, alert.monitor.id, queued.id).slice(0, 16),
    first: order,
    last: order,
    receivedAt,
    began: Math.min(receivedAt, lastWell(view, queued)),
    state: alert.state,
    ...escalated,
  };
  const kept = view.problems.filter(({ key }) => isKept(key));
  // An earlier problem that came late is known only while a contact is told of it.
  const problems =
    latest && before(order, latest.first)
      ? [problem, ...kept.filter(({ key }) => key !== latest.key), latest]
      : [...kept, problem];
  return { view: { ...view, problems }, problem };
};

/** A monitor's view after it reported an end, and whether that is news: the first copy of a later end. */
export const afterEnd = (
  known: MonitorView = emptyView,
  queued: QueuedAlert,
): { view: MonitorView; isNew: boolean } => {
  const order = orderOf(queued);
  const { receivedAt, alert } = queued;
  const view = { ...known, delay: delayOf(known.delay, queued) };
  const { end } = view;
  const latest = latestOf(view);
  // An end that is made (R37) names no problem: its epoch is that of the object when it was well.
  const { epoch, last_id, id = last_id } = queued.made ? {} : alert.problem;
  if (latest && isOddClock(order) && !isNamed(view, latest, alert, order))
    return { view: { ...view, doubtedEnd: { order, receivedAt, epoch, id } }, isNew: false };
  if (!end || before(end.order, order))
    return { view: { ...view, end: { order, receivedAt, epoch, id } }, isNew: true };
  if (before(order, end.order)) return { view, isNew: false };
  const first = Math.min(end.receivedAt, receivedAt);
  return { view: { ...view, end: { ...end, receivedAt: first } }, isNew: false };
};

/** The worst of some states. */
export const worstOf = (states: readonly State[]): State | undefined =>
  states.toSorted((a, b) => severity[b] - severity[a])[0];

import type { QueuedAlert } from "../queue/message.ts";

/**
 * Where an event stands among those of one monitor; never compared across monitors (docs/nagios.md §5.1). `start` is Unix
 * seconds of the monitor's clock, and so is `time`, unless it `isDated`: then it is of the bridge's clock. `receivedAt`
 * is Unix milliseconds of the bridge's clock.
 */
export type Order = { start?: number; number?: number; time: number; isDated?: true; receivedAt?: number };

export const orderOf = ({ alert, receivedAt, clockBehind }: QueuedAlert): Order => ({
  start: alert.monitor.start,
  number: /^\d{1,15}$/.test(alert.notification.id ?? "") ? Number(alert.notification.id) : undefined,
  time: alert.time + Math.round((clockBehind ?? 0) / 1000),
  ...(clockBehind !== undefined && { isDated: true as const }),
  receivedAt,
});

/** When the bridge received it, in milliseconds of its clock; what was stored without that was received in time. */
export const receiptOf = ({ receivedAt, time }: Order): number => receivedAt ?? time * 1000;

/** So far apart a monitor's clock and the bridge's may be without a doubt, in milliseconds. */
const skewMilliseconds = 300_000;
/** No post waits longer in a spool: one that seems older had a clock that was behind. */
const lateMilliseconds = 7 * 86_400_000;
/** No monitor sends so many notifications between two that are compared. */
const mostNumbers = 1_000_000;

/** By how many milliseconds the time of an order is ahead of its receipt; negative: the post was late. */
const aheadOf = (order: Order): number => order.time * 1000 - receiptOf(order);

/** Whether the clock or the process that gave this order is in the future. */
const isAhead = (order: Order): boolean =>
  Math.max(aheadOf(order), order.isDated ? 0 : (order.start ?? 0) * 1000 - receiptOf(order)) >
  skewMilliseconds;

/** Whether the clock was behind: what does not say when it was sent comes from no shim, and waited in no spool. */
const isBehind = (order: Order): boolean =>
  aheadOf(order) < -(order.isDated ? lateMilliseconds : skewMilliseconds);

/** Whether the clock that gave this order cannot be right. */
export const isOddClock = (order: Order): boolean =>
  isAhead(order) || (order.number === undefined && isBehind(order));

/** The fault of the clock of an alert's monitor, in words. A post without a Date header may seem old and only be late. */
export const oddClock = ({ alert, receivedAt, clockBehind }: QueuedAlert): string | undefined => {
  const latest = Math.max(alert.time, alert.monitor.start ?? 0) * 1000;
  const behind = clockBehind ?? Math.min(receivedAt - latest, 0);
  if (Math.abs(behind) <= skewMilliseconds) return undefined;
  const hours = Math.abs(behind / 3_600_000).toFixed(1);
  return `the clock of ${alert.monitor.id} is ${hours} h ${behind < 0 ? "ahead" : "behind"}`;
};

const agrees = (order: Order): boolean => Math.abs(aheadOf(order)) <= skewMilliseconds;

/**
 * Whether `a` came before `b` in the same monitor: by process and notification id, else by the monitor's clock. One
 * wrong clock or number against a right one decides nothing: then the order of receipt does.
 */
export const before = (a: Order, b: Order): boolean => {
  const isNumbered =
    a.start !== undefined && b.start !== undefined && a.number !== undefined && b.number !== undefined;
  const numbers = isNumbered ? Number(a.number) - Number(b.number) : Number.NaN;
  if (a.start === b.start && Math.abs(numbers) <= mostNumbers) {
    const isContradicted = Math.abs(a.time - b.time) * 1000 > skewMilliseconds && agrees(a) && agrees(b);
    return isContradicted ? a.time < b.time : numbers < 0;
  }
  const received = receiptOf(a) - receiptOf(b);
  if (isAhead(a) !== isAhead(b)) return received < 0;
  if (isNumbered && a.start !== b.start) {
    // A standby that takes over under the same name may have started earlier: then its clock must agree.
    if (Number(a.start) > Number(b.start)) return a.time < b.time && received < 0;
    const isEarlier = a.time <= b.time;
    // A clock that was behind at the start gives an earlier start, but higher numbers and a later receipt.
    return isEarlier && (numbers < 0 || received < 0 || a.isDated === true || agrees(a));
  }
  return a.time === b.time || isBehind(a) !== isBehind(b) ? received < 0 : a.time < b.time;
};

/** The numbers of one monitor process, for all objects: by this a lost retention is known. */
export type Run = { start: number; lowest: number; highest: number };

/** The number that an alert got in a run of its monitor. */
export type Numbered = { start: number; number: number };

/** So many runs of a monitor are known: an alert may be decided after some of later runs. */
export const mostRuns = 4;

/**
 * A monitor's last runs after this alert, the latest first: in whatever order alerts come, they end the same. `numbered`
 * is what the alert adds to what was known; undefined: nothing, as where a monitor does not number.
 */
export const numbering = (
  known: readonly Run[],
  queued: QueuedAlert,
): { runs: readonly Run[]; numbered?: Numbered } => {
  const { start, number } = orderOf(queued);
  if (start === undefined || number === undefined) return { runs: known };
  const { lowest, highest } = known.find((run) => run.start === start) ?? {
    lowest: Number.POSITIVE_INFINITY,
    highest: Number.NEGATIVE_INFINITY,
  };
  if (lowest <= number && number <= highest) return { runs: known };
  const run = { start, lowest: Math.min(lowest, number), highest: Math.max(highest, number) };
  const runs = [run, ...known.filter((other) => other.start !== start)];
  runs.sort((a, b) => b.start - a.start);
  return { runs: runs.slice(0, mostRuns), numbered: { start, number } };
};

/**
 * Whether a run gave a number that the run before it had given: the monitor has lost its memory (docs/nagios.md §5.1).
 * Any number of the run may show that, because its first event may be decided after others.
 */
export const isRolledBack = (runs: readonly Run[], start: number): boolean => {
  const at = runs.findIndex((run) => run.start === start);
  const [run, before] = [runs[at], runs[at + 1]];
  if (run === undefined || before === undefined) return false;
  return run.lowest <= before.highest && before.highest - run.lowest <= mostNumbers;
};

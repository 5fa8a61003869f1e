import type { QueuedAlert } from "../queue/queue.ts";

/**
 * Where an event stands among those of one monitor; never compared across monitors (nagios.md §5.1). `start` and
 * `time` are Unix seconds of the monitor's clock, `receivedAt` is Unix milliseconds of the bridge's.
 */
export type Order = { start?: number; number?: number; time: number; receivedAt?: number };

export const orderOf = ({ alert, receivedAt }: QueuedAlert): Order => ({
  start: alert.monitor.start,
  number: /^\d{1,15}$/.test(alert.notification.id ?? "") ? Number(alert.notification.id) : undefined,
  time: alert.time,
  receivedAt,
});

/** When the bridge received it, in milliseconds of its clock; what was stored without that was received in time. */
export const receiptOf = ({ receivedAt, time }: Order): number => receivedAt ?? time * 1000;

/** So far apart a monitor's clock and the bridge's may be without a doubt, in milliseconds. */
const skewMilliseconds = 300_000;
/** A post that is older has waited in no spool: its clock is behind. */
const lateMilliseconds = 86_400_000;
/** No monitor sends so many notifications between two that are compared. */
const mostNumbers = 1_000_000;

/** By how many milliseconds the monitor's clock is ahead of the bridge's; negative: behind, or the post was late. */
export const clockAhead = (order: Order): number =>
  Math.max(order.time, order.start ?? 0) * 1000 - receiptOf(order);

/** Whether the clock that gave this order cannot be right. */
export const isOddClock = (order: Order): boolean => {
  const ahead = clockAhead(order);
  return ahead > skewMilliseconds || ahead < -lateMilliseconds;
};

const agrees = (order: Order): boolean => Math.abs(order.time * 1000 - receiptOf(order)) <= skewMilliseconds;

/**
 * Whether `a` came before `b` in the same monitor: by process and notification id, else by the monitor's clock. One
 * wrong clock or number against a right one decides nothing: then the order of receipt does.
 */
export const before = (a: Order, b: Order): boolean => {
  const numbers =
    a.start !== undefined && b.start !== undefined && a.number !== undefined && b.number !== undefined
      ? { a: a.number, b: b.number }
      : undefined;
  const sameRun = a.start === b.start;
  if (numbers && sameRun && Math.abs(numbers.a - numbers.b) <= mostNumbers) {
    const contradicted = Math.abs(a.time - b.time) * 1000 > skewMilliseconds && agrees(a) && agrees(b);
    return contradicted ? a.time < b.time : numbers.a < numbers.b;
  }
  const received = receiptOf(a) - receiptOf(b);
  if (isOddClock(a) !== isOddClock(b)) return received < 0;
  if (numbers && !sameRun) {
    // A standby that takes over under the same name may have started earlier: then its clock must agree.
    const earlier = Number(a.start) < Number(b.start) && a.time <= b.time;
    // A clock that was behind at the start gives an earlier start, but higher numbers and a later receipt.
    return earlier && (numbers.a < numbers.b || received < 0);
  }
  return a.time === b.time ? received < 0 : a.time < b.time;
};

/** What one monitor process has numbered in all, whatever the object: by this a lost retention is known. */
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
  return {
    runs: runs.sort((a, b) => b.start - a.start).slice(0, mostRuns),
    numbered: { start, number },
  };
};

/**
 * Whether a run gave a number that the run before it had given: the monitor has lost what it knew (nagios.md §5.1,
 * "rollback", which speaks of the run's first event; that may be decided after others). A number that is out of all
 * proportion proves nothing.
 */
export const isRolledBack = (runs: readonly Run[], start: number): boolean => {
  const at = runs.findIndex((run) => run.start === start);
  const [run, before] = [runs[at], runs[at + 1]];
  if (run === undefined || before === undefined) return false;
  return run.lowest <= before.highest && before.highest - run.lowest <= mostNumbers;
};

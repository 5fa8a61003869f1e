import { cpus, release, totalmem } from "node:os";
import { paragraph } from "../../scripts/hardstate/command.ts";

/** How a bench is to be run. */
export type Run = {
  /** How often each of two sides is measured. */
  rounds: number;
  /** Smaller sizes, to see that it works. */
  quick: boolean;
  /** Keeps what took long to make, for the next run. */
  keep: boolean;
  /** The folder of another checkout of Hardstate, to measure beside this one. */
  before?: string;
};

/** The findings of a bench about one thing: ours, beside what it is compared with. */
export type Figure = {
  what: string;
  ours: number;
  unit: string;
  /** Another program of the same run, another size, or a limit; without one the number stands alone. */
  beside?: { name: string; value: number };
  /** The limit of ours divided by that; without a target it is only told. */
  target?: { atMost: number } | { atLeast: number };
};

/** One bench: a file of this folder with its name. */
export type Bench = {
  summary: string;
  /** A paragraph on what it does, needs and compares. */
  about: string;
  run(run: Run): Promise<Figure[]>;
};

/** The middle one of some numbers, or the mean of the two in the middle. */
export const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
};

/** The number below which such a part of the numbers is: 0.99 for p99. */
export const quantile = (numbers: readonly number[], part: number): number =>
  numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * part))] ??
  Number.NaN;

/** Tells on standard error how far it is. */
export const progress = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** A number with three digits that say something. */
export const short = (value: number): string => {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return String(value);
  if (size >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4);
};

/**
 * Measures each side once in every round, one after the other, and the other way about in every second round: what
 * else the machine does meanwhile meets all of them. Resolves to all that was measured of each, which is nothing of one
 * that is undefined.
 */
export const alternate = async <Side extends string>(
  rounds: number,
  sides: { [S in Side]: ((round: number) => Promise<number> | number) | undefined },
): Promise<Record<Side, number[]>> => {
  const names = Object.keys(sides) as Side[];
  const measured = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Side, number[]>;
  for (let round = 0; round < rounds; round++) {
    const told: string[] = [];
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const value = await sides[name]?.(round);
      if (value === undefined) continue;
      measured[name].push(value);
      told.push(`${name} ${short(value)}`);
    }
    progress(`  round ${round + 1} of ${rounds}: ${told.join(", ")}`);
  }
  return measured;
};

/** The median of each side of `alternate`. */
export const mediansOf = <Side extends string>(measured: Record<Side, number[]>): Record<Side, number> =>
  Object.fromEntries(
    Object.entries<number[]>(measured).map(([name, numbers]) => [name, median(numbers)]),
  ) as Record<Side, number>;

/** Whether a figure is as its target needs it; one without a target is. */
export const isReached = ({ ours, beside, target }: Figure): boolean => {
  if (!target || !beside) return true;
  // Without a division: of nothing beside nothing there is no ratio.
  return "atMost" in target ? ours <= target.atMost * beside.value : ours >= target.atLeast * beside.value;
};

/** A figure for a terminal of 80 columns. */
export const figureLines = (figure: Figure): string => {
  const { what, ours, beside, unit, target } = figure;
  const words = [`${short(ours)} ${unit}`];
  if (beside) {
    words.push(`beside ${short(beside.value)} ${unit} (${beside.name})`);
    words.push(`ratio ${ours === beside.value ? "1.00" : short(ours / beside.value)}`);
  }
  if (target) {
    words.push("atMost" in target ? `target <= ${target.atMost}` : `target >= ${target.atLeast}`);
    words.push(isReached(figure) ? "REACHED" : "NOT REACHED");
  }
  return `${paragraph("", what)}\n${paragraph("    ", words.join("; "))}`;
};

/** The machine that measured, in one line. */
export const machine = (): string => {
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores of ${cpus()[0]?.model}, ${gib} GiB, Linux ${release()}, Node ${process.version}`;
};

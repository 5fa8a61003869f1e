import { setImmediate } from "node:timers/promises";
import { draws } from "./draws.ts";

/**
 * The faults of a process's call to something outside. `before` and `after` are of its effect: a call that
 * `fails after` was done and its caller is told that it failed; one that `straggles` is done long after that.
 */
export type Fault =
  | "dies before"
  | "dies after"
  | "fails before"
  | "fails after"
  | "straggles"
  | "slow"
  | "conflict before"
  | "conflict after"
  | "some only";

/** The error of a call that failed by a fault. */
export const simulated = "simulated fault";

/** A worker, a sweep or an intake: it dies alone, and then none of its calls is ever answered. */
export type Process = { name: string; alive: boolean; skewMilliseconds: number; whenDead: (() => void)[] };

/** How likely a call goes wrong, and what is left out of that: by the names of calls. */
export type Weather = {
  seed: number;
  rate: number;
  /** Until then faults happen. */
  calmAt: number;
  /** Calls that go well. */
  spared: ReadonlySet<string>;
  /** All calls take equally long. */
  even: boolean;
};

export type Stage = ReturnType<typeof stage>;

type Happening = { at: number; order: number; background: boolean; happen: () => void };

/** Virtual time, and processes whose calls are answered in the order that the seed needs. */
export const stage = (begin: number, weather: Weather, tell?: (line: string) => void) => {
  let now = begin;
  let order = 0;
  let pressing = 0;
  const heap: Happening[] = [];
  const less = (a: Happening, b: Happening) => a.at < b.at || (a.at === b.at && a.order < b.order);
  const push = (one: Happening) => {
    let at = heap.push(one) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!less(one, heap[above] as Happening)) break;
      heap[at] = heap[above] as Happening;
      at = above;
    }
    heap[at] = one;
  };
  const pop = (): Happening | undefined => {
    const [first] = heap;
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && less(heap[below + 1] as Happening, heap[below] as Happening)) below += 1;
      if (!less(heap[below] as Happening, last)) break;
      heap[at] = heap[below] as Happening;
      at = below;
    }
    heap[at] = last;
    return first;
  };
  /** Lets something happen; what is in the background does not keep a history going. */
  const at = (time: number, happen: () => void, background = false) => {
    if (!background) pressing += 1;
    push({ at: Math.max(time, now), order: order++, background, happen });
  };

  /** The faults, by the name of the call. */
  const faults = new Map<string, { kind: string; at: number; by: Process }>();
  const counts = new Map<string, number>();
  const nth = (name: string): string => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return `${name} #${count}`;
  };
  const say = (who: string, what: string) =>
    tell?.(`${((now - begin) / 1000).toFixed(3).padStart(10)} ${who.padEnd(8)} ${what}`);
  const die = (process: Process, why: string) => {
    if (!process.alive) return;
    process.alive = false;
    say(process.name, `DIES: ${why}`);
    for (const told of process.whenDead) told();
  };
  /** How a call of this name goes: what it takes there and back, and what goes wrong. */
  const fateOf = <T extends string>(name: string, kinds: readonly T[]) => {
    const call = nth(name);
    const draw = draws(weather.seed, call);
    const [there, back] = [draw.between(1, 40), draw.between(1, 40)];
    const goesWrong = draw.chance(weather.rate) && now < weather.calmAt && !weather.spared.has(call);
    const fault = goesWrong ? draw.of(kinds) : undefined;
    return { call, draw, there: weather.even ? 1 : there, back: weather.even ? 1 : back, fault };
  };
  /** Calls something outside: `effect` is what the call does there. */
  const call = <T>(
    process: Process,
    name: string,
    kinds: readonly Fault[],
    effect: (fault?: Fault) => T | Promise<T>,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      if (!process.alive) return;
      const { call, draw, there, back, fault } = fateOf(name, kinds);
      if (fault) {
        faults.set(call, { kind: fault, at: now, by: process });
        say(process.name, `${fault.toUpperCase()}: ${call}`);
      } else say(process.name, call);
      const answer = (wait: number, heard: () => void) =>
        at(now + wait, () => {
          if (process.alive) heard();
        });
      const failure = new Error(`${simulated}: ${call}`);
      const perform = async () => {
        let done: T;
        try {
          done = await effect(fault);
        } catch (error) {
          faults.set(call, { kind: "fails", at: now, by: process });
          return answer(back, () => reject(error));
        }
        if (fault === "dies after") return die(process, call);
        if (fault === "straggles") return;
        if (fault === "fails after") return answer(back, () => reject(failure));
        answer(fault === "slow" ? draw.between(1_000, 450_000) : back, () => resolve(done));
      };
      if (fault === "dies before") return die(process, call);
      if (fault === "fails before") return answer(there + back, () => reject(failure));
      if (fault === "straggles") answer(30_000, () => reject(failure));
      // A request that is under way arrives, though its sender is dead by then.
      at(now + (fault === "straggles" ? draw.between(30_001, 500_000) : there), perform);
    });

  return {
    now: () => now,
    at,
    say,
    die,
    call,
    fateOf,
    faults,
    /** A process that lives until a fault ends it. */
    born: (name: string, skewMilliseconds: number): Process => ({
      name,
      alive: true,
      skewMilliseconds,
      whenDead: [],
    }),
    clockOf: (process: Process) => () => now + process.skewMilliseconds,
    waitOf: (process: Process) => (milliseconds: number) =>
      new Promise<void>((resolve) => {
        at(now + milliseconds, () => {
          if (process.alive) resolve();
        });
      }),
    timeoutOf: (process: Process) => (milliseconds: number) => {
      const controller = new AbortController();
      at(now + milliseconds, () => process.alive && controller.abort(), true);
      return controller.signal;
    },
    /**
     * Lets all happen that does, until nothing more will. `settled` is asked whether all processes wait for something
     * of ours. False: it does not come to rest by then.
     */
    run: async (until: number, settled: () => boolean): Promise<boolean> => {
      for (;;) {
        // By then all that follows at once from what happened last has been done.
        await new Promise<void>((resolve) => process.nextTick(resolve));
        while (!settled()) await setImmediate();
        if (pressing === 0) return true;
        const next = pop();
        if (!next) return true;
        if (!next.background) pressing -= 1;
        now = next.at;
        if (now > until) return false;
        next.happen();
      }
    },
  };
};

import type { History } from "./history.ts";
import type { brokenIn } from "./oracle.ts";
import type { simulator } from "./play.ts";

type Play = ReturnType<typeof simulator>;
const mostTries = 600;

/**
 * A smaller history that breaks the same promise: without the actions and faults that it does not need, calls that all
 * take equally long if that will do, and no more workers than it needs.
 */
export const shrink = async (
  history: History,
  promise: string,
  play: Play,
  broken: typeof brokenIn,
): Promise<History> => {
  let smallest = history;
  let tries = 0;
  const fails = async (smaller: History): Promise<boolean> => {
    if (tries++ >= mostTries) return false;
    if (!broken(await play(smaller)).some((one) => one.promise === promise)) return false;
    smallest = smaller;
    return true;
  };
  /** Leaves out half of them, then a quarter, and so on down to single ones. */
  const without = async <T>(all: readonly T[], apply: (rest: T[], left: T[]) => History) => {
    let rest = [...all];
    const left: T[] = [];
    for (let size = Math.ceil(rest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
      for (let start = 0; start < rest.length; ) {
        const out = rest.slice(start, start + size);
        const others = rest.filter((one) => !out.includes(one));
        if (await fails(apply(others, [...left, ...out]))) {
          rest = others;
          left.push(...out);
        } else start += size;
      }
  };
  for (let before = ""; before !== JSON.stringify(smallest) && tries < mostTries; ) {
    before = JSON.stringify(smallest);
    await fails({ ...smallest, even: true });
    for (const change of [{ workers: 1 }, { loops: 1 }, { routes: 1 }, { skewMilliseconds: 0 }])
      await fails({ ...smallest, ...change });
    await without(smallest.actions, (actions) => ({ ...smallest, actions }));
    const { monitored } = smallest;
    await without(monitored.posts, (posts) => ({ ...smallest, monitored: { ...monitored, posts } }));
    const { faults } = await play(smallest);
    const { spared } = smallest;
    await without([...faults.keys()], (_, left) => ({ ...smallest, spared: [...spared, ...left] }));
  }
  return smallest;
};

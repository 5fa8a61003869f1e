import type { History } from "./history.ts";
import type { Kind, Violation } from "./judge.ts";

/**
 * A smaller history with the same kind of violation for the same mailbox: without posts that it does not need. A post
 * that is left out is one that never came, which the truth allows.
 */
export const shrink = async (
  history: History,
  { kind, mailbox, object }: Violation,
  violationsOf: (history: History) => Promise<Violation[]>,
): Promise<History> => {
  const fails = async (smaller: History): Promise<boolean> => {
    const has = (one: Violation): boolean =>
      one.kind === (kind satisfies Kind) && one.mailbox === mailbox && one.object === object;
    return (await violationsOf(smaller)).some(has);
  };
  let smallest = history;
  const tried = async (smaller: History) => {
    if (!(await fails(smaller))) return false;
    smallest = smaller;
    return true;
  };
  await tried({ ...smallest, relayAway: [] });
  await tried({ ...smallest, posts: smallest.posts.map((post) => ({ ...post, odd: undefined })) });
  for (let before = -1; before !== smallest.posts.length; ) {
    before = smallest.posts.length;
    for (let size = Math.ceil(before / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
      for (let start = 0; start < smallest.posts.length; ) {
        const posts = smallest.posts.toSpliced(start, size);
        if (!(await tried({ ...smallest, posts }))) start += size;
      }
  }
  return smallest;
};

import { type Case, type Played, play, type Stage } from "./play.ts";

/** The same case with as few draws that stray as still violate it in the same way. */
export const shrink = async (one: Case, stage: Stage): Promise<Played> => {
  const kindOf = ({ violations }: Played) => violations[0]?.replaceAll(/\d+/g, "0");
  let smallest = await play(one, stage);
  let without = new Set(one.without);
  for (let before = -1; before !== without.size; ) {
    before = without.size;
    for (const draw of smallest.odd.toReversed()) {
      const fewer = new Set(without).add(draw);
      const smaller = await play({ ...one, without: fewer }, stage);
      if (kindOf(smaller) !== kindOf(smallest)) continue;
      [smallest, without] = [smaller, fewer];
    }
  }
  return smallest;
};

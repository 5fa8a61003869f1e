/**
 * Numbers from 0 to 1 that depend on a seed and a name alone: what one part of a history draws does not change when
 * another part is left out.
 */
export type Draw = {
  (): number;
  /** One of these. */
  of<T>(choices: readonly T[]): T;
  between(least: number, most: number): number;
  /** True in so large a share of cases. */
  chance(share: number): boolean;
};

// FNV-1a over the name, then mulberry32: both are public domain, and good enough to choose faults.
export const draws = (seed: number, name: string): Draw => {
  let state = (seed ^ 0x811c9dc5) >>> 0;
  for (let index = 0; index < name.length; index++)
    state = Math.imul(state ^ name.charCodeAt(index), 0x01000193) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return Object.assign(next, {
    of: <T>(choices: readonly T[]): T => choices[Math.floor(next() * choices.length)] as T,
    between: (least: number, most: number) => Math.floor(least + next() * (most - least)),
    chance: (share: number) => next() < share,
  });
};

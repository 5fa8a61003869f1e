import { registerHooks } from "node:module";
import * as timersOfNode from "node:timers";

/** The client's `node:timers` in the fuzz: time passes when the fuzz lets it. */
type Timer = { at: number; run: () => void; ref(): Timer; unref(): Timer };
const timers = new Set<Timer>();
let now = 0;

export const setTimeout = (run: () => void, milliseconds: number): Timer => {
  const timer = { at: now + milliseconds, run, ref: () => timer, unref: () => timer };
  timers.add(timer);
  return timer;
};
export const clearTimeout = (timer: Timer | undefined) => {
  if (timer) timers.delete(timer);
};

export const setImmediate = timersOfNode.setImmediate;

/** Lets time pass until the next timer of the client, if it is due within so long. */
export const passTime = (milliseconds: number): boolean => {
  const [next] = [...timers].sort((one, other) => one.at - other.at);
  if (!next || next.at > now + milliseconds) return false;
  now = Math.max(now, next.at);
  timers.delete(next);
  next.run();
  return true;
};

/** For how long the last of the client's timers is set. */
export const longestTimer = () => Math.max(0, ...[...timers].map(({ at }) => at - now));
export const forgetTimers = () => timers.clear();

/** From now on the client's modules have these timers. */
export const plantTimers = () =>
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "node:timers" && context.parentURL?.includes("/functions/deliver/smtp")
        ? { url: import.meta.url, shortCircuit: true }
        : next(specifier, context),
  });

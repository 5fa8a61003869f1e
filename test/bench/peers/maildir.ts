import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

/** When each mail of a maildir was delivered, Unix milliseconds, the first first. */
export const arrivals = (maildir: string): number[] =>
  readdirSync(maildir)
    .map((name) => statSync(join(maildir, name)).ctimeMs)
    .sort((one, other) => one - other);

/** Waits until a maildir holds so many mails, looking each `milliseconds`; rejects if none comes for so many seconds. */
export const arrived = async (
  maildir: string,
  count: number,
  seconds: number,
  milliseconds = 100,
): Promise<number[]> => {
  let [last, since] = [-1, performance.now()];
  for (;;) {
    const now = readdirSync(maildir).length;
    if (now >= count) return arrivals(maildir);
    if (now !== last) [last, since] = [now, performance.now()];
    if (performance.now() - since > seconds * 1000)
      throw new Error(`${now} of ${count} mails came, and for ${seconds} s none`);
    await setTimeout(milliseconds);
  }
};

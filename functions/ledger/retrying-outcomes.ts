import { setTimeout } from "node:timers/promises";
import type { Change, Ledger } from "./ledger.ts";

type Writing = Pick<Ledger, "write" | "story">;

const retryMilliseconds = 60_000;
/** Whether a write was made of which no answer came: entry and record change together. */
const isMade = async (ledger: Writing, { records: [record] }: Change): Promise<boolean> =>
  record !== undefined &&
  JSON.stringify(await ledger.story(record.site, record.id)) === JSON.stringify(record);

/**
 * A write that tries again for a minute to note what came of a mail, after errors that may pass: many may be on their
 * way then, and what was sent and cannot be noted is sent again.
 */
export const retryingOutcomes =
  (
    ledger: Writing,
    mayPass: (error: unknown) => boolean,
    now: () => number,
    wait: () => Promise<unknown> = () => setTimeout(1000),
  ): Ledger["write"] =>
  async (change) => {
    const until = now() + retryMilliseconds;
    for (let again = false; ; again = true) {
      try {
        return (await ledger.write(change)) || (again && (await isMade(ledger, change)));
      } catch (error) {
        if (!change.offered || now() >= until || !mayPass(error)) throw error;
      }
      await wait();
    }
  };

import { type Entry, forgotten } from "./ledger/entry.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { type Queue, toDueMessage } from "./queue/queue.ts";
import type { Report } from "./telemetry.ts";

const keepMilliseconds = 30 * 86_400_000;
const mostEntries = 100;

/** The entry after the queue was given those of its alerts whose time has come. */
const handedOver = (entry: Entry, now: number): Entry => ({
  ...entry,
  held: Object.fromEntries(
    Object.entries(entry.held).map(([id, held]) => [id, held.due <= now ? { ...held, queued: true } : held]),
  ),
});

/**
 * Puts every held alert whose time has come on the queue, where it is decided like any other; closes episodes of
 * which nothing was heard for 30 days (R44), and forgets what ended longer ago. The queue has an alert before the
 * ledger says so: who dies in between puts it there twice, and the second is found to be dealt with. A conflict
 * leaves an entry to the next sweep. Resolves to the number of alerts put there.
 */
export const sweep = async (
  { ledger, queue, report }: { ledger: Ledger; queue: Pick<Queue, "send">; report: Report },
  now: number,
): Promise<number> => {
  let count = 0;
  let written = mostEntries;
  while (written === mostEntries) {
    const due = await ledger.due(now, mostEntries);
    const alerts = due.flatMap(({ alerts }) => alerts);
    if (alerts.length > 0) {
      const taken = await queue.send(alerts.map(({ queued, due }) => toDueMessage(queued, due)));
      if (!taken.every(Boolean)) throw new Error("the queue took only some of the alerts that are due");
      count += alerts.length;
    }
    written = 0;
    for (const { key, object, entry } of due) {
      const abandoned = forgotten(entry, now);
      if (!(await ledger.write({ key, entry: handedOver(abandoned ?? entry, now), records: [] }))) continue;
      written += 1;
      if (abandoned) report({ event: "forgotten", object, since: entry.episode?.since ?? now });
    }
  }
  await ledger.prune(now - keepMilliseconds, 1000);
  return count;
};

import { afterTelling } from "./deliver/breaker.ts";
import { type Entry, forgotten } from "./ledger/entry.ts";
import { keepMilliseconds, type Ledger } from "./ledger/ledger.ts";
import { noticeAlerts } from "./operator.ts";
import { type Queue, toDueMessage, toMessage } from "./queue/queue.ts";
import type { Report } from "./telemetry.ts";

const mostEntries = 100;

/** The entry after the queue was given those of its alerts whose time has come. */
const handedOver = (entry: Entry, now: number): Entry => ({
  ...entry,
  held: Object.fromEntries(
    Object.entries(entry.held).map(([id, held]) => [id, held.due <= now ? { ...held, queued: true } : held]),
  ),
});

type SweepParts = {
  ledger: Ledger;
  queue: Pick<Queue, "send">;
  operators: readonly string[];
  report: Report;
};

/** Tells operators of routes that were opened or closed. As below, the queue has it before the ledger says so. */
const tellOfRoutes = async ({ ledger, queue, operators, report }: SweepParts, now: number) => {
  for (const state of await ledger.routes()) {
    const told = afterTelling(state, now);
    if (!told) continue;
    const notices = noticeAlerts({ about: "route", state }, operators, now);
    const taken = notices.length > 0 ? await queue.send(notices.map(toMessage)) : [];
    if (!taken.every(Boolean)) throw new Error("the queue took only some of the notices for the operators");
    if (!(await ledger.writeRoute(told))) continue;
    const { route, open } = state;
    report({ event: "route", route, open: open !== undefined, reason: open?.reason, probeAt: open?.probeAt });
  }
};

/**
 * Puts every held alert whose time has come on the queue, where it is decided like any other; closes episodes of
 * which nothing was heard for 30 days (R44), and forgets what ended longer ago. The queue has an alert before the
 * ledger says so: who dies in between puts it there twice, and the second is found to be dealt with. A conflict
 * leaves an entry to the next sweep. Resolves to the number of alerts put there.
 */
export const sweep = async (parts: SweepParts, now: number): Promise<number> => {
  const { ledger, queue, report } = parts;
  await tellOfRoutes(parts, now);
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

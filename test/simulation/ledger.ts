import type { Change, Ledger } from "../../functions/ledger/ledger.ts";
import type { QueuedAlert } from "../../functions/queue/message.ts";
import type { Fault, Process, Stage } from "./stage.ts";

const reads: Fault[] = ["dies before", "fails before", "slow"];
const steps: Fault[] = [
  ...reads,
  "dies after",
  "fails after",
  "straggles",
  "conflict before",
  "conflict after",
];

/**
 * The ledger as one process has it: each call takes its time and may go wrong. A conflict is told though nobody else
 * wrote, or though it was written: more than a ledger may do, and what the bridge survives as well.
 */
export const ledgerOf = (
  base: Ledger,
  on: Stage,
  process: Process,
  written: (change: Change, known: boolean) => void,
  routeWritten: () => void,
): Ledger => {
  const step = (name: string, write: () => Promise<boolean>) =>
    on.call(process, name, steps, async (fault) => {
      if (fault === "conflict before") return false;
      const done = await write();
      if (!done) on.say(process.name, `meets a conflict: ${name}`);
      return done && fault !== "conflict after";
    });
  const nameOf = ({ key, records, entry }: Change) =>
    `write ${records[0]?.id ?? `entry ${key.slice(0, 6)}`} ${wordOf(records[0]) ?? ""}`.trim() +
    (entry.storm ? " storm" : "");
  const wordOf = (record: Change["records"][0] | undefined) =>
    record && (record.ending?.as ?? (record.claim ? "claim" : record.queued ? "hold" : "release"));
  return {
    ...base,
    read: (queued: QueuedAlert) => on.call(process, `read ${queued.id}`, reads, () => base.read(queued)),
    entry: (key) => on.call(process, `entry ${key.slice(0, 6)}`, reads, () => base.entry(key)),
    story: (site, id) => on.call(process, `story ${id}`, reads, () => base.story(site, id)),
    write: (change) =>
      step(nameOf(change), async () => {
        let known = false;
        try {
          known = await base.write(change);
          return known;
        } finally {
          // A write that failed, or seems to conflict with itself, may have happened all the same.
          written(change, known);
        }
      }),
    due: (now, limit) => on.call(process, "due", reads, () => base.due(now, limit)),
    prune: (before, limit) => on.call(process, "prune", reads, () => base.prune(before, limit)),
    routes: () => on.call(process, "routes", reads, () => base.routes()),
    route: (name) => on.call(process, `route ${name}`, reads, () => base.route(name)),
    writeRoute: (state) =>
      step(`write ${state.route}`, async () => {
        const done = await base.writeRoute(state);
        if (done) routeWritten();
        return done;
      }),
  };
};

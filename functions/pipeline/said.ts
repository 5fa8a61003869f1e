import { objectName } from "../alert.ts";
import type { Verdict } from "../decide/case.ts";
import { oddClock } from "../decide/order.ts";
import type { Attempt } from "../deliver/outcome.ts";
import { operatorSite } from "../identity.ts";
import type { Ending } from "../ledger/journal.ts";
import { type Notice, tell } from "../operator/notices.ts";
import type { QueuedAlert } from "../queue/message.ts";
import type { PipelineParts } from "./parts.ts";

/** A worker asks at most so often whether operators have heard of a monitor's wrong clock. */
const clockMilliseconds = 3_600_000;
/** The names are the monitors' own: there may be any number of them. */
const mostClocks = 1000;

const named = ({ id, alert, contact }: QueuedAlert) => ({ id, object: objectName(alert), contact });

/** The worker's words about an alert: for the log, and for operators. */
export const saying = ({ queue, operators, clock, report }: PipelineParts) => {
  /** Never about mail to operators: that would go on for ever. */
  const tellOperators = async (notice: Notice, site?: string): Promise<void> => {
    if (site !== operatorSite) await tell({ queue, operators }, notice, clock());
  };
  /** Another worker tells it again, and the ledger makes one mail a day of it. */
  const toldClocks = new Map<string, number>();
  return {
    ended: (queued: QueuedAlert, ending: Ending, { row, reason }: Verdict, last?: Attempt): void =>
      report({
        event: "ended",
        ...named(queued),
        ending,
        row,
        reason,
        route: last?.route,
        code: last?.outcome.code,
        queueId: last?.outcome.result === "accepted" ? last.outcome.queueId : undefined,
        seconds: (clock() - queued.receivedAt) / 1000,
      }),
    held: (queued: QueuedAlert, { row, reason, due }: Verdict & { action: "hold" }): void =>
      report({ event: "held", ...named(queued), row, reason, until: due }),
    repeated: (queued: QueuedAlert, ending: Ending): void =>
      report({ event: "repeated", ...named(queued), reason: `this alert is ${ending} already` }),
    failed: (queued: QueuedAlert, { row }: Verdict, attempts: readonly Attempt[], retryAt?: number): void => {
      for (const { route, outcome } of attempts) {
        if (outcome.result === "accepted") continue;
        const { result, step, code, reply } = outcome;
        const tried = { row, route, result, step, code, reply, retryAt };
        report({ event: "attempt-failed", ...named(queued), ...tried });
      }
    },
    unreadable: async (reason: string): Promise<void> => {
      report({ event: "unreadable", reason });
      await tellOperators({ about: "unreadable", reason });
    },
    burial: (queued: QueuedAlert, as: "refused" | "dead", reason: string, last?: Attempt): Promise<void> =>
      tellOperators({ about: as, ...named(queued), reason, last }, queued.site),
    wrongClock: async (queued: QueuedAlert): Promise<void> => {
      const reason = queued.made ? undefined : oddClock(queued);
      const { site, alert } = queued;
      const monitor = alert.monitor.id;
      const key = `${site} ${monitor}`;
      if (reason === undefined || clock() - (toldClocks.get(key) ?? 0) < clockMilliseconds) return;
      await tellOperators({ about: "clock", site, monitor, reason }, site);
      if (toldClocks.size >= mostClocks) toldClocks.clear();
      toldClocks.set(key, clock());
    },
  };
};

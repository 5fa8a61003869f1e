import type { Settings } from "../config.ts";
import { probeUnused, relays, useRoutes } from "../deliver/routes.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { pipeline } from "../pipeline/pipeline.ts";
import { sweep } from "../pipeline/sweep.ts";
import type { Queue } from "../queue/queue.ts";
import type { Report } from "../report/event.ts";
import { type Surroundings, transportOf } from "./transports.ts";

type BridgeParts = {
  settings: Settings;
  queue: Queue;
  ledger: Ledger;
  clock: () => number;
  report: Report;
  stopping?: AbortSignal;
  surroundings?: Surroundings;
};

/** The work of a bridge that mails, for the runtimes: each says when what is done. No connection is open yet. */
export const bridge = ({ settings, queue, ledger, clock, report, stopping, surroundings }: BridgeParts) => {
  const routes = settings.relays.map((relay) => ({
    relay,
    transport: transportOf(relay, settings.sender, clock, undefined, surroundings),
  }));
  const routing = { routes, states: ledger, clock, stopping };
  const names = routes.map(({ relay }) => relay.route);
  return {
    /** Works on one message of the queue. */
    handle: pipeline({ ...settings, queue, ledger, handOver: relays(routing), clock, report }),
    useRoutes: (started: boolean) => useRoutes(ledger, names, clock(), started),
    sweep: (awakeSince?: number) => sweep({ ...settings, queue, ledger, report, awakeSince }, clock()),
    probe: (signal: AbortSignal) => probeUnused(routing, signal),
    close: () => {
      for (const { transport } of routes) transport.close();
    },
  };
};

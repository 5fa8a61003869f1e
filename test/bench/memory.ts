import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { NotFoundOut } from "../../scripts/hardstate/command.ts";
import { bridgeSettings, openLab, startRelay } from "../world/lab.ts";
import { inputOf } from "./episodes.ts";
import { alternate, type Bench, mediansOf, progress, short } from "./rounds.ts";
import { processorSecondsOf, residentOf, startRunning } from "./running.ts";

const objects = 1000;
/** As many wait in the queue at most: it is the bridge that is measured, not a backlog. */
const mostWaiting = 5000;
const drainWithinMilliseconds = 120_000;

/** The memory that the bridge needs, at rest and after many alerts. */
export const bench: Bench = {
  summary: "memory at rest and after 1,000,000 alerts, and processor at rest, beside Alertmanager",
  about: `Starts the bridge and the lab's Prometheus Alertmanager (test/lab, as root) with the same relay, and
looks at both in turns: at rest, and when each got 1,000,000 alerts about 1,000 services, a hundred to a post, nearly
all of which repeat what was told. Takes ten to twenty minutes; --quick: 100,000.`.replaceAll("\n", " "),
  run: async ({ rounds, quick }) => {
    const total = quick ? 100_000 : 1_000_000;
    const lab = openLab();
    try {
      const relay = await startRelay(lab);
      const settings = bridgeSettings(lab, relay, 24_080);
      const { HARDSTATE_BURST: _, ...environment } = settings.environment;
      const start = () => startRunning(environment, settings.port, settings.token);
      // The first start compiles, and keeps the memory that takes.
      await (await start()).stop();
      const bridge = await start();
      lab.onStop(bridge.stop);
      await lab.script("alertmanager", "start", "-p", "24090");
      lab.onStop(() => lab.script("alertmanager", "stop"));
      const folder = join(lab.folder, "alertmanager");
      const managerUrl = /AM_URL=(.*)/.exec(readFileSync(join(folder, "am.env"), "utf8"))?.[1];
      const managerPid = Number(readFileSync(join(folder, "am.pid"), "utf8"));
      if (!managerUrl) throw new NotFoundOut("Alertmanager does not say where it listens");

      const resident = async () => {
        await setTimeout(10_000);
        const look = (pid: number) => async () => {
          await setTimeout(500);
          return residentOf(pid);
        };
        return mediansOf(await alternate(rounds, { ours: look(bridge.pid), beside: look(managerPid) }));
      };
      progress("  memory at rest, MiB");
      const rest = await resident();
      const seconds = quick ? 10 : 30;
      progress(`  processor at rest, ${seconds} s`);
      const before = [bridge.pid, managerPid].map(processorSecondsOf);
      await setTimeout(seconds * 1000);
      const [ours = 0, theirs = 0] = [bridge.pid, managerPid].map(
        (pid, index) => (100 * (processorSecondsOf(pid) - (before[index] ?? 0))) / seconds,
      );

      const waiting = async () => {
        const { queue } = await bridge.get<{ queue: { waiting: number; in_flight: number } }>("/v1/status");
        return queue.waiting + queue.in_flight;
      };
      const drainTo = async (most: number) => {
        const until = Date.now() + drainWithinMilliseconds;
        while ((await waiting()) > most) {
          if (Date.now() > until) throw new Error(`the queue did not drain to ${most}`);
          await setTimeout(100);
        }
      };
      const began = performance.now();
      for (let first = 0; first < total; first += 100) {
        const at = Date.now();
        const hundred = Array.from({ length: 100 }, (__, index) => first + index);
        await bridge.post(hundred.map((n) => inputOf({ service: n % objects, notification: n + 1, at })));
        const labels = (n: number) => ({
          alertname: `S${n % objects}`,
          instance: "web01",
          severity: "critical",
        });
        const alerts = hundred.map((n) => ({
          labels: labels(n),
          annotations: { summary: "CRITICAL - Socket timeout after 10 seconds" },
        }));
        const answer = await fetch(`${managerUrl}/api/v2/alerts`, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(alerts),
          signal: AbortSignal.timeout(30_000),
        });
        if (!answer.ok) throw new Error(`Alertmanager answered ${answer.status}`);
        if (first % mostWaiting === 0) await drainTo(mostWaiting);
        if ((first + 100) % (total / 10) === 0)
          progress(
            `  ${first + 100} alerts, ${short((performance.now() - began) / 1000)} s, ${short(residentOf(bridge.pid))} MiB beside ${short(residentOf(managerPid))}`,
          );
      }
      await drainTo(0);
      progress("  memory after them, MiB");
      const after = await resident();
      const alertmanager = { name: "Alertmanager" };
      const wanted = (value: number) => ({ name: "at most wanted", value });
      const [unit, many] = ["MiB", `after ${total.toLocaleString("en-US")} alerts`];
      return [
        { what: "memory at rest", ours: rest.ours, unit, beside: { ...alertmanager, value: rest.beside } },
        { what: "memory at rest", ours: rest.ours, unit, beside: wanted(120), target: { atMost: 1 } },
        { what: `memory ${many}`, ours: after.ours, unit, beside: { ...alertmanager, value: after.beside } },
        {
          what: `memory ${many}`,
          ours: after.ours,
          unit,
          beside: { name: "at rest before", value: rest.ours },
          target: { atMost: 1.1 },
        },
        {
          what: "processor at rest",
          ours,
          unit: "% of a core",
          beside: wanted(0.5),
          target: { atMost: 1 },
        },
        { what: "processor at rest", ours, unit: "% of a core", beside: { ...alertmanager, value: theirs } },
      ];
    } finally {
      await lab.stop();
    }
  },
};

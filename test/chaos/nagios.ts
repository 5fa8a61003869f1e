import { execFile } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { commandLines, installShim, until } from "../world/lab.ts";
import { begin, type Fault, sleep, start } from "./bench.ts";

const services = 500;
type Nagios = (...words: string[]) => Promise<string>;
type Parts = {
  nagios: Nagios;
  /** All services turn critical, until each was told of once, and Nagios has no more to tell for 10 s. */
  storm(): Promise<void>;
  /** The same while the bridge is away; it is back when all is in the shim's spool. */
  unheardStorm(): Promise<void>;
};

/** Storms of a real Nagios that tells the bridge by the shim; `course` breaks it in between. */
const storms =
  (course: (parts: Parts) => Promise<void>): Fault["run"] =>
  async (bench) => {
    const { lab, settings } = bench;
    const client = begin(bench);
    let bridge = await start(bench);
    // Alerts that an earlier run left in its spool are not of this one.
    rmSync(join(lab.folder, "shim"), { recursive: true, force: true });
    const shim = await installShim(lab, bridge.url, settings.token, "nagios");
    const { host, service } = commandLines("scripts/monitors/nagios.cfg", shim);
    const nagios: Nagios = (...words) => lab.script("nagios", ...words);
    const told = () => bridge.events().filter(({ event }) => event === "accepted");
    const notified = async () => (await nagios("log")).split(" SERVICE NOTIFICATION: ").length - 1;
    const spooled = () => readdirSync(shim.spool).filter((name) => name.endsWith(".json")).length;
    // As cron does.
    const drain = () =>
      promisify(execFile)("runuser", ["-u", "nagios", "--", shim.command, "--drain"], {
        env: { ...process.env, ...shim.environment },
        timeout: 30_000,
      });
    const storm = async () => {
      await nagios("storm", "CRITICAL");
      let [count, since] = [await notified(), Date.now()];
      await until("the end of the storm", 150, async () => {
        const now = await notified();
        if (now !== count) [count, since] = [now, Date.now()];
        if (Date.now() - since > 3000 && spooled() > 0) await drain();
        const objects = new Set(told().map(({ object }) => object)).size;
        if (objects < services) throw new Error(`${objects} services, ${now} notifications`);
        return Date.now() - since > 10_000 && spooled() === 0;
      });
    };
    const unheardStorm = async () => {
      await bridge.kill("SIGKILL");
      await nagios("storm", "CRITICAL");
      await until("all in the spool", 100, () => spooled() === services);
      bridge = await start(bench);
    };
    await nagios("start", "-S", service, "-H", host, "-n", String(services));
    try {
      await course({ nagios, storm, unheardStorm });
      for (const { id } of told()) client.accepted.add(String(id));
      await client.quiet(bridge, 120);
      return await client.figures(services, 0);
    } finally {
      await nagios("stop");
      await bridge.kill("SIGTERM");
    }
  };

export const nagiosFaults: readonly Fault[] = [
  {
    name: "nagios-restart",
    title: "Nagios restarted, the same again",
    runs: 1,
    classic: "... orderly restart, same results",
    run: storms(async ({ nagios, storm }) => {
      await storm();
      await nagios("restart");
      await storm();
    }),
  },
  {
    name: "nagios-killed",
    title: "Nagios kill -9, the same again",
    runs: 1,
    classic: "... kill -9, restart, same results",
    run: storms(async ({ nagios, storm }) => {
      await storm();
      await nagios("kill");
      await nagios("restart");
      await storm();
    }),
  },
  {
    name: "nagios-crash",
    title: "Nagios kill -9 in its storm, again",
    runs: 1,
    classic: "... and the same results again",
    run: storms(async ({ nagios, storm }) => {
      await nagios("storm", "CRITICAL");
      await sleep(0.5);
      await nagios("kill");
      await sleep(1);
      await nagios("restart");
      await storm();
    }),
  },
  {
    name: "nagios-spool",
    title: "Nagios kill -9, bridge away, again",
    runs: 1,
    run: storms(async ({ nagios, storm, unheardStorm }) => {
      await unheardStorm();
      await nagios("kill");
      await nagios("restart");
      await storm();
    }),
  },
];

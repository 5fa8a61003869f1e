import { execFile } from "node:child_process";
import { setTimeout } from "node:timers/promises";
import { bridgeSettings, commandLines, installShim, openLab, startBridge, startRelay } from "../world/lab.ts";
import { startAlertmanager } from "./peers/alertmanager.ts";
import { startClassic } from "./peers/classic.ts";
import { runOnce } from "./peers/command.ts";
import { arrived } from "./peers/maildir.ts";
import { alternate, type Bench, median, mediansOf, progress, short } from "./rounds.ts";

const port = 25_120;

/** Everything fails at once. */
export const bench: Bench = {
  summary: "500 services of a real Nagios that fail at once: until the last mail",
  about:
    "A real Nagios runs the shipped notification command for the shim, with HARDSTATE_BURST=off for a mail of each, or " +
    "its own default command for mail(1) and Sendmail, or curl for Alertmanager, which also gets as many in one post. Measured is the time " +
    "from the storm's command to the last mail in the relay's maildir. The classic chain takes more " +
    "than a minute: --rounds 3 is enough. Needs test/lab/setup and root.",
  run: async ({ rounds, quick }) => {
    const services = quick ? 50 : 500;
    const lab = openLab();
    try {
      const relay = await startRelay(lab);
      const settings = bridgeSettings(lab, relay, port);
      const bridge = await startBridge(lab, settings);
      const shim = await installShim(lab, bridge.url, settings.token, "nagios");
      const alertmanager = await startAlertmanager(lab);
      const { host, service } = commandLines("scripts/monitors/nagios.cfg", shim);
      const nagios = (...words: string[]) => lab.script("nagios", ...words);

      const first: Record<string, number[]> = {};
      const measure = async (name: string, begin: () => Promise<unknown>): Promise<number> => {
        await lab.script("relay", "clear");
        const began = performance.timeOrigin + performance.now();
        await begin();
        // Sendmail may leave some to its queue's next run, a minute later.
        const times = await arrived(relay.maildir, services, 130);
        first[name] = [...(first[name] ?? []), ((times[0] ?? 0) - began) / 1000];
        const last = ((times.at(-1) ?? 0) - began) / 1000;
        progress(`    ${name} ${short(last)} s`);
        return last;
      };
      // Else the next round's problems are these again, found by a Nagios that forgot them: no mail (R10).
      const allRecover = async () => {
        await lab.script("relay", "clear");
        await nagios("storm", "OK", String(services));
        await arrived(relay.maildir, services, 130);
      };
      const stormOf = async (name: string, ...words: string[]) => {
        await nagios("start", "-n", String(services), ...words);
        // As the crontab of docs/monitors.md has it: on a busy machine the shim that sends for all may run out of its time.
        const drain = ["-u", "nagios", "--", shim.command, "--drain"];
        const env = { PATH: process.env.PATH, ...shim.environment };
        const cron = setInterval(() => execFile("runuser", drain, { env, timeout: 30_000 }), 60_000);
        try {
          await setTimeout(3000);
          const seconds = await measure(name, () => nagios("storm", "CRITICAL", String(services)));
          if (name === "ours") await allRecover();
          return seconds;
        } finally {
          clearInterval(cron);
          await nagios("stop");
        }
      };
      const seconds = mediansOf(
        await alternate(rounds, {
          ours: () => stormOf("ours", "-S", service, "-H", host),
          classic: async () => {
            const classic = await startClassic(lab);
            // Nagios hands it on to its commands.
            process.env.MAILRC = classic.environment.MAILRC;
            try {
              return await stormOf("classic");
            } finally {
              delete process.env.MAILRC;
              await classic.stop();
            }
          },
          hooked: (round) => stormOf("hooked", "-S", alertmanager.hook(round)),
          posted: (round) =>
            measure("posted", () => {
              const names = Array.from({ length: services }, (_, index) => `S${round}-${index}`);
              return runOnce(alertmanager.post(names), {});
            }),
        }),
      );
      const besides = [
        { name: "classic chain", side: "classic", target: { atMost: 0.1 } },
        { name: "Alertmanager, by curl from Nagios", side: "hooked", target: { atMost: 0.8 } },
        { name: "Alertmanager, all in one post", side: "posted", target: { atMost: 0.8 } },
      ] as const;
      const firstOf = (side: string) => median(first[side] ?? []);
      const unit = "s";
      return besides.flatMap(({ name, side, target }) => [
        {
          what: `the last of ${services} mails`,
          ours: seconds.ours,
          unit,
          beside: { name, value: seconds[side] },
          target,
        },
        { what: "the first of them", ours: firstOf("ours"), unit, beside: { name, value: firstOf(side) } },
      ]);
    } finally {
      await lab.stop();
    }
  },
};

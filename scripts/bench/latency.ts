import { setTimeout } from "node:timers/promises";
import { bridgeSettings, installShim, openLab, startBridge, startRelay } from "../../test/lab.ts";
import { startAlertmanager } from "./peers/alertmanager.ts";
import { startClassic } from "./peers/classic.ts";
import { notification, runOnce, shimWords } from "./peers/command.ts";
import { arrived } from "./peers/maildir.ts";
import { alternate, type Bench, median, quantile } from "./rounds.ts";

const port = 25_110;
/** Longer than a session with the relay is kept for the next mail. */
const quietMilliseconds = 31_000;

/** From a notification command's start to the mail. */
export const bench: Bench = {
  summary: "one alert on an idle machine: from the command's start to the mail",
  about:
    "Twenty alerts a round, each when the one before is in the relay's maildir: by the shim and a bridge on loopback, by " +
    "mail(1) and Sendmail, and by curl and Alertmanager with a group_wait of 0. Each round begins with an alert after " +
    "31 s of quiet, for which the bridge opens a new session with the relay; it keeps that for the others, where " +
    "Sendmail and Alertmanager open one for each. Needs the lab (LAB) and root.",
  run: async ({ rounds, quick }) => {
    const alerts = quick ? 3 : 20;
    const lab = openLab();
    try {
      const relay = await startRelay(lab);
      const settings = bridgeSettings(lab, relay, port);
      const bridge = await startBridge(lab, settings);
      const shim = await installShim(lab, bridge.url, settings.token);
      const shimEnvironment = { ...notification(), ...shim.environment };
      const classic = await startClassic(lab);
      lab.onStop(classic.stop);
      const alertmanager = await startAlertmanager(lab);

      let mails = 0;
      const commands = {
        shim: (service: string) => runOnce(shimWords(shim.command, service, mails + 1), shimEnvironment),
        mail: (service: string) => runOnce(classic.command(service), classic.environment),
        alertmanager: (service: string) => runOnce(alertmanager.post([service]), {}),
      };
      /** In milliseconds. */
      const once = async (run: (service: string) => Promise<void>): Promise<number> => {
        const service = `S${String(mails).padStart(5, "0")}`;
        const began = performance.timeOrigin + performance.now();
        await run(service);
        mails += 1;
        const last = (await arrived(relay.maildir, mails, 30, 5)).at(-1) ?? 0;
        // The relay, Sendmail and Alertmanager have something to put away.
        await setTimeout(100);
        return last - began;
      };
      const all = {
        first: [] as number[],
        shim: [] as number[],
        mail: [] as number[],
        alertmanager: [] as number[],
      };
      let shimEnded = performance.now();
      const series = (name: keyof typeof commands) => async () => {
        if (name === "shim") {
          const quiet = performance.now() - shimEnded;
          if (!quick) await setTimeout(Math.max(0, quietMilliseconds - quiet));
          all.first.push(await once(commands.shim));
        }
        const times: number[] = [];
        for (let alert = 0; alert < alerts; alert++) times.push(await once(commands[name]));
        all[name].push(...times);
        if (name === "shim") shimEnded = performance.now();
        return median(times);
      };
      await once(commands.mail);
      await once(commands.alertmanager);
      await alternate(rounds, {
        shim: series("shim"),
        mail: series("mail"),
        alertmanager: series("alertmanager"),
      });

      const better =
        median(all.mail) <= median(all.alertmanager) ? ("mail" as const) : ("alertmanager" as const);
      const beside = (name: keyof typeof commands, of: (times: number[]) => number) => ({
        name: name === "mail" ? "mail and Sendmail" : "Alertmanager",
        value: of(all[name]),
      });
      const p99 = (times: number[]) => quantile(times, 0.99);
      const unit = "ms";
      const other = better === "mail" ? "alertmanager" : "mail";
      return [
        {
          what: "one alert to its mail, p50",
          ours: median(all.shim),
          unit,
          beside: beside(better, median),
          target: { atMost: 0.5 },
        },
        { what: "one alert to its mail, p50", ours: median(all.shim), unit, beside: beside(other, median) },
        {
          what: quick ? "the first of a round, median" : "the first after 31 s of quiet, median",
          ours: median(all.first),
          unit,
          beside: beside(better, median),
          target: { atMost: 0.5 },
        },
        { what: "one alert to its mail, p99", ours: p99(all.shim), unit, beside: beside(better, p99) },
        { what: "one alert to its mail, p99", ours: p99(all.shim), unit, beside: beside(other, p99) },
      ];
    } finally {
      await lab.stop();
    }
  },
};

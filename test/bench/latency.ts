import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import {
  bridgeSettings,
  installShim,
  type Lab,
  openLab,
  type Relay,
  startBridge,
  startRelay,
} from "../world/lab.ts";
import { startAlertmanager } from "./peers/alertmanager.ts";
import { startClassic } from "./peers/classic.ts";
import { notification, runOnce, shimWords } from "./peers/command.ts";
import { arrived } from "./peers/maildir.ts";
import { alternate, type Bench, type Figure, median, mediansOf, quantile } from "./rounds.ts";

const [port, portBefore] = [25_110, 25_111];
/** Longer than a session with the relay is kept for the next mail. */
const quietMilliseconds = 31_000;

/** A bridge that mails by the relay, of this checkout or of another one, and its shim as a command. */
const startShim = async (lab: Lab, relay: Relay, port: number, checkout?: string) => {
  const own = { ...lab, folder: join(lab.folder, `bridge-${port}`) };
  mkdirSync(own.folder);
  const settings = { ...bridgeSettings(own, relay, port), checkout };
  const bridge = await startBridge(own, settings);
  const shim = await installShim(own, bridge.url, settings.token);
  const environment = { ...notification(), ...shim.environment };
  let id = 0;
  return (service: string) => runOnce(shimWords(shim.command, service, ++id), environment);
};

/** From a notification command's start to the mail. */
export const bench: Bench = {
  summary: "one alert on an idle machine: from the command's start to the mail",
  about:
    "Twenty alerts a round, each when the one before is in the relay's maildir: by the shim and a bridge on loopback, by " +
    "mail(1) and Sendmail, and by curl and Alertmanager with a group_wait of 0. Before these rounds, as many with one alert " +
    "of each after 31 s of quiet, for which the bridge opens a new session with the relay; it keeps that for the next " +
    "ones, where Sendmail and Alertmanager open one for each. Needs test/lab/setup and root.",
  run: async ({ rounds, quick, before }) => {
    const alerts = quick ? 3 : 20;
    const lab = openLab();
    try {
      const relay = await startRelay(lab);
      const classic = await startClassic(lab);
      lab.onStop(classic.stop);
      const alertmanager = await startAlertmanager(lab);
      const commands = {
        shim: await startShim(lab, relay, port),
        mail: (service: string) => runOnce(classic.command(service), classic.environment),
        alertmanager: (service: string) => runOnce(alertmanager.post([service]), {}),
        shimBefore: before === undefined ? undefined : await startShim(lab, relay, portBefore, before),
      };
      type Name = keyof typeof commands;

      let mails = 0;
      const ended: { [N in Name]?: number } = {};
      /** In milliseconds. */
      const once = async (name: Name): Promise<number> => {
        const service = `S${String(mails).padStart(5, "0")}`;
        const began = performance.timeOrigin + performance.now();
        await commands[name]?.(service);
        mails += 1;
        const last = (await arrived(relay.maildir, mails, 30, 5)).at(-1) ?? 0;
        // The relay, Sendmail and Alertmanager have something to put away.
        await setTimeout(100);
        ended[name] = performance.now();
        return last - began;
      };
      const afterQuiet = async (name: Name): Promise<number> => {
        const quiet = performance.now() - (ended[name] ?? 0);
        if (!quick) await setTimeout(Math.max(0, quietMilliseconds - quiet));
        return once(name);
      };
      const all: Record<Name, number[]> = { shim: [], mail: [], alertmanager: [], shimBefore: [] };
      const series = async (name: Name): Promise<number> => {
        const times: number[] = [];
        for (let alert = 0; alert < alerts; alert++) times.push(await once(name));
        all[name].push(...times);
        return median(times);
      };
      /** Each command, as `measure` does it. */
      const each = (measure: (name: Name) => Promise<number>) => ({
        shim: () => measure("shim"),
        mail: () => measure("mail"),
        alertmanager: () => measure("alertmanager"),
        shimBefore: commands.shimBefore && (() => measure("shimBefore")),
      });
      for (const name of ["shim", "mail", "alertmanager"] as const) await once(name);
      if (commands.shimBefore) await once("shimBefore");
      const first = mediansOf(await alternate(rounds, each(afterQuiet)));
      await alternate(rounds, each(series));

      const better =
        median(all.mail) <= median(all.alertmanager) ? ("mail" as const) : ("alertmanager" as const);
      const other = better === "mail" ? "alertmanager" : "mail";
      const titles = { mail: "mail and Sendmail", alertmanager: "Alertmanager", shimBefore: "before" };
      const beside = (name: keyof typeof titles, of: (times: number[]) => number) => ({
        name: titles[name],
        value: of(all[name]),
      });
      const p99 = (times: number[]) => quantile(times, 0.99);
      const unit = "ms";
      const figures: Figure[] = [
        {
          what: "one alert to its mail, p50",
          ours: median(all.shim),
          unit,
          beside: beside(better, median),
          target: { atMost: 0.5 },
        },
        { what: "one alert to its mail, p50", ours: median(all.shim), unit, beside: beside(other, median) },
        { what: "one alert to its mail, p99", ours: p99(all.shim), unit, beside: beside(better, p99) },
        { what: "one alert to its mail, p99", ours: p99(all.shim), unit, beside: beside(other, p99) },
      ];
      const what = quick ? "the first mails, median" : "the first after 31 s of quiet, median";
      const target = { atMost: 1 };
      const firstBeside = (name: keyof typeof titles) => ({ name: titles[name], value: first[name] });
      figures.push({ what, ours: first.shim, unit, beside: firstBeside("alertmanager"), target });
      figures.push({ what, ours: first.shim, unit, beside: firstBeside("mail") });
      if (before !== undefined)
        figures.push(
          { what, ours: first.shim, unit, beside: firstBeside("shimBefore") },
          {
            what: "one alert to its mail, p50",
            ours: median(all.shim),
            unit,
            beside: beside("shimBefore", median),
          },
        );
      return figures;
    } finally {
      await lab.stop();
    }
  },
};

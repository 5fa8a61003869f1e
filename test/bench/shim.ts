import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { bridgeSettings, installShim, openLab, startBridge, startRelay } from "../world/lab.ts";
import { sendmailMilliseconds, startClassic } from "./peers/classic.ts";
import { type Cost, costOf, notification, runOnce, shimWords } from "./peers/command.ts";
import { arrived } from "./peers/maildir.ts";
import { alternate, type Bench, median } from "./rounds.ts";

const port = 25_100;

/** The cost of one notification on a monitoring host. */
export const bench: Bench = {
  summary: "one notification by the shim, beside printf | mail and a bare curl",
  about:
    "Runs each command 40 times a round, one after the other, with the environment of a notification that a real " +
    "Nagios sent. The shim posts to a bridge on loopback, curl posts what the shim posts to the same bridge, mail hands " +
    "over to Sendmail, whose daemon does the rest after the command is over. CPU is user and system time of all " +
    "processes of a command. Needs test/lab/setup and root.",
  run: async ({ rounds, quick }) => {
    const times = quick ? 5 : 40;
    const lab = openLab();
    try {
      const relay = await startRelay(lab);
      const settings = bridgeSettings(lab, relay, port);
      const shim = await installShim(lab, `http://127.0.0.1:${port}`, settings.token);
      const shimEnvironment = { ...notification(), ...shim.environment };
      // Without a bridge the shim keeps what it would post.
      await runOnce(shimWords(shim.command, "HTTP", 1), shimEnvironment);
      const [kept = ""] = readdirSync(shim.spool);
      const body = join(lab.folder, "body.json");
      writeFileSync(body, readFileSync(join(shim.spool, kept)));
      rmSync(join(shim.spool, kept));
      const bridge = await startBridge(lab, settings);
      const classic = await startClassic(lab);
      lab.onStop(classic.stop);

      const post = ["curl", "-q", "-K", shim.config, "--silent", "--show-error", "--data-binary", `@${body}`];
      const costs = { shim: [] as Cost[], mail: [] as Cost[], curl: [] as Cost[] };
      const sides = {
        // The same notification each time: one mail, and the bridge suppresses the others.
        shim: () => costOf(times, shimWords(shim.command, "HTTP", 1), shimEnvironment),
        mail: () => costOf(times, classic.command("HTTP"), { ...notification(), ...classic.environment }),
        curl: () => costOf(times, [...post, "--header", "Content-Type: application/x-ndjson"], {}),
      };
      const daemonBefore = sendmailMilliseconds();
      let mails = 1;
      const measured = (name: keyof typeof sides) => async () => {
        const cost = await sides[name]();
        costs[name].push(cost);
        if (name === "mail") mails += times;
        await arrived(relay.maildir, mails, 30);
        await setTimeout(500);
        return cost.wall;
      };
      await measured("shim")();
      await measured("curl")();
      costs.shim.pop();
      costs.curl.pop();
      await alternate(rounds, { shim: measured("shim"), mail: measured("mail"), curl: measured("curl") });
      const daemon = (sendmailMilliseconds() - daemonBefore) / (rounds * times);
      const waiting = readdirSync(shim.spool).length;
      const failed = bridge.events().filter(({ event }) => event === "failed" || event === "unavailable");
      if (waiting + failed.length > 0)
        throw new Error(`${waiting} wait in the spool; ${failed.length} failed`);

      const of = (name: keyof typeof sides, part: keyof Cost) =>
        median(costs[name].map((cost) => cost[part]));
      const beside = (name: keyof typeof sides, part: keyof Cost, more = "") => ({
        name: `${name}${more}`,
        value: of(name, part),
      });
      const [wall, cpu] = [of("shim", "wall"), of("shim", "cpu")];
      const unit = "ms";
      return [
        {
          what: "one notification, wall",
          ours: wall,
          unit,
          beside: beside("mail", "wall"),
          target: { atMost: 0.5 },
        },
        {
          what: "one notification, CPU of the command",
          ours: cpu,
          unit,
          beside: beside("mail", "cpu"),
          target: { atMost: 1 },
        },
        {
          what: "one notification, CPU on the monitoring host",
          ours: cpu,
          unit,
          beside: { name: "mail, and Sendmail's daemon", value: of("mail", "cpu") + daemon },
          target: { atMost: 1 },
        },
        {
          what: "one notification, wall",
          ours: wall,
          unit,
          beside: beside("curl", "wall", " alone"),
          target: { atMost: 1.3 },
        },
        {
          what: "one notification, CPU",
          ours: cpu,
          unit,
          beside: beside("curl", "cpu", " alone"),
          target: { atMost: 1.3 },
        },
      ];
    } finally {
      await lab.stop();
    }
  },
};

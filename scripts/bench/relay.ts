import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { compose, type Mail } from "../../functions/compose/mail.ts";
import { readSettings } from "../../functions/config.ts";
import { emptyEntry } from "../../functions/ledger/entry.ts";
import { type QueuedAlert, toMessage } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { transportOf } from "../../functions/runtime/routes.ts";
import { queuedAlert } from "../../test/alerts.ts";
import { bridgeSettings, labScript, openLab, startBridge, startRelay, until } from "../../test/lab.ts";
import { arrived } from "./peers/maildir.ts";
import { alternate, type Bench, type Figure, mediansOf } from "./rounds.ts";

const run = promisify(execFile);
const clock = () => Date.now();
const port = 25_130;

/** So many alerts about different objects, of this round and side alone. */
const backlog = (count: number, series: string): QueuedAlert[] =>
  Array.from({ length: count }, (_, index) =>
    queuedAlert(
      { id: `${series}-${index}`.padStart(8, "0"), contact: "oncall@example.com", receivedAt: clock() },
      {
        object: { host: "farm01", service: `${series}-${index}` },
        notification: { id: `${index}`, number: 1 },
      },
    ),
  );

/** Mails through an authenticated relay. */
export const bench: Bench = {
  summary: "mails/s through Postfix with AUTH and STARTTLS, on 1, 5 and 20 connections",
  about:
    "A bridge that is started with 400 alerts in its queue, from its start to the last reply: decided, noted on disk before " +
    "and after each mail, sent. Its SMTP client alone sends as many in this process. The ceiling is smtp-load (in the lab), " +
    "a client that does nothing but send: AUTH and STARTTLS too, connections reused; beside it smtp-source of Postfix, " +
    "without either. All take turns on the same two cores as Postfix. Needs the lab (LAB) and root.",
  run: async ({ rounds, quick }) => {
    const mails = quick ? 50 : 400;
    const lab = openLab();
    try {
      const relay = await startRelay(lab);
      const [, plainPort = ""] =
        /^RELAY_PLAIN_PORT=(.*)$/m.exec(readFileSync(join(lab.folder, "relay/relay.env"), "utf8")) ?? [];
      const settings = bridgeSettings(lab, relay, port);
      const { HARDSTATE_RELAYS_FILE: _, ...environment } = settings.environment;
      const login = `${relay.user}:${relay.password}`;
      const relayUrl = (connections: number) =>
        `smtp://${login}@localhost:${relay.port}?connections=${connections}`;
      let sent = 0;
      /** Until Postfix has put away what it took: it does that beside the next one else. */
      const settled = async () => {
        sent += mails;
        await arrived(relay.maildir, sent, 30);
        return undefined;
      };

      const pipeline = async (connections: number, series: string): Promise<number> => {
        const state = join(lab.folder, "state");
        rmSync(state, { recursive: true, force: true });
        mkdirSync(state, { mode: 0o700 });
        const queue = sqliteQueue(join(state, "queue.sqlite"), clock);
        await queue.send(backlog(mails, series).map(toMessage));
        queue.close();
        const bridge = await startBridge(lab, {
          ...settings,
          environment: { ...environment, HARDSTATE_RELAYS: relayUrl(connections) },
        });
        const ended = () => bridge.events().filter(({ event }) => event === "ended");
        await until("all are mailed", 60, () => ended().length === mails);
        const started = bridge.events().find(({ event }) => event === "started");
        await bridge.kill("SIGTERM");
        if (!ended().every(({ ending }) => ending === "mailed")) throw new Error("not all were mailed");
        await settled();
        return mails / ((Date.parse(String(ended().at(-1)?.at)) - Date.parse(String(started?.at))) / 1000);
      };

      const transport = async (connections: number, series: string): Promise<number> => {
        const reading = readSettings({
          HARDSTATE_TOKENS: `site=${settings.token}`,
          HARDSTATE_RELAYS: relayUrl(connections),
          HARDSTATE_RELAY_CA: readFileSync(relay.ca, "utf8"),
          HARDSTATE_FROM: "Monitoring <nagios@example.com>",
          HARDSTATE_RECIPIENTS: "example.com",
        });
        if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
        const [route] = reading.value.relays;
        if (!route) throw new Error("no route");
        const client = transportOf(route, reading.value.sender, clock);
        const waiting: Mail[] = backlog(mails, series).map((queued) =>
          compose(
            queued,
            { action: "send", kind: "PROBLEM", row: "R1", reason: "first news", entry: emptyEntry },
            clock(),
            reading.value.sender,
          ),
        );
        const began = performance.now();
        const work = async () => {
          for (let mail = waiting.pop(); mail; mail = waiting.pop()) {
            const { result, reply } = await client.send(mail, AbortSignal.timeout(60_000));
            if (result !== "accepted") throw new Error(reply);
          }
        };
        await Promise.all(Array.from({ length: connections }, work));
        const seconds = (performance.now() - began) / 1000;
        client.close();
        await settled();
        return mails / seconds;
      };

      const load = async (connections: number): Promise<number> => {
        const words = [
          `${relay.port}`,
          `${mails}`,
          `${connections}`,
          "--auth",
          login,
          "--starttls",
          relay.ca,
        ];
        const { stdout } = await run(process.execPath, [labScript("smtp-load.mjs"), ...words], {
          timeout: 120_000,
        });
        const [, rate, failures] = /, ([\d.]+) mails\/s, (\d+) failures/.exec(stdout) ?? [];
        if (failures !== "0") throw new Error(stdout);
        await settled();
        return Number(rate);
      };

      const source = async (connections: number): Promise<number> => {
        const began = performance.now();
        const words = [
          "-d",
          "-s",
          `${connections}`,
          "-m",
          `${mails}`,
          "-l",
          "4000",
          "-f",
          "nagios@example.com",
        ];
        await run("smtp-source", [...words, "-t", "oncall@example.com", `127.0.0.1:${plainPort}`], {
          timeout: 120_000,
        });
        const seconds = (performance.now() - began) / 1000;
        await settled();
        return mails / seconds;
      };

      const figures: Figure[] = [];
      for (const connections of quick ? [5] : [1, 5, 20]) {
        await lab.script("relay", "clear");
        sent = 0;
        const rates = mediansOf(
          await alternate(rounds, {
            pipeline: (round) => pipeline(connections, `p${connections}-${round}`),
            transport: (round) => transport(connections, `t${connections}-${round}`),
            load: () => load(connections),
            source: async () => {
              await lab.script("relay", "mode", "open");
              const rate = await source(connections);
              await lab.script("relay", "mode", "auth");
              return rate;
            },
          }),
        );
        const on = `on ${connections} connection${connections > 1 ? "s" : ""}`;
        const beside = { name: "smtp-load", value: rates.load };
        const [unit, target] = ["mails/s", { atLeast: 0.8 }];
        figures.push(
          { what: `a backlog through the whole bridge, ${on}`, ours: rates.pipeline, unit, beside, target },
          { what: `our SMTP client alone, ${on}`, ours: rates.transport, unit, beside, target },
          {
            what: `our SMTP client alone, ${on}`,
            ours: rates.transport,
            unit,
            beside: { name: "smtp-source, no TLS, no AUTH", value: rates.source },
          },
        );
      }
      return figures;
    } finally {
      await lab.stop();
    }
  },
};

import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { createTransport } from "nodemailer";
import type { ComposedMail } from "../../functions/compose/mail.ts";
import { emptyEntry } from "../../functions/decide/entry.ts";
import type { QueuedAlert } from "../../functions/queue/message.ts";
import { queuedAlert } from "../world/alerts.ts";
import { bridgeSettings, labScript, openLab, startBridge, startRelay, until } from "../world/lab.ts";
import { importFrom } from "./checkout.ts";
import { arrived } from "./peers/maildir.ts";
import { startProgram } from "./peers/process.ts";
import { alternate, type Bench, type Figure, mediansOf } from "./rounds.ts";

const run = promisify(execFile);
const clock = () => Date.now();
const [port, farPort] = [25_130, 25_131];
/** The round trip to a relay that is far away; half of it each way. */
const roundTripMilliseconds = 20;

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

/** Transports of older checkouts write the bytes of a mail themselves. */
const unchanged = (mail: ComposedMail) => ({ ...mail, bytes: Buffer.alloc(0) });

/** The functions of a checkout that queue alerts, and that make and send mails. */
const clientOf = async (checkout: string) => {
  const part = (...names: string[]) => importFrom(checkout, ...names.map((name) => join("functions", name)));
  const [
    { compose },
    { render = unchanged },
    { readSettings },
    { transportOf },
    { toMessage },
    { sqliteQueue },
  ] = (await Promise.all([
    part("compose/mail.ts"),
    part("compose/mime.ts"),
    part("config.ts"),
    part("runtime/transports.ts", "runtime/routes.ts"),
    part("queue/message.ts", "queue/queue.ts"),
    part("queue/sqlite.ts"),
  ])) as [
    typeof import("../../functions/compose/mail.ts"),
    Partial<typeof import("../../functions/compose/mime.ts")>,
    typeof import("../../functions/config.ts"),
    typeof import("../../functions/runtime/transports.ts"),
    typeof import("../../functions/queue/message.ts"),
    typeof import("../../functions/queue/sqlite.ts"),
  ];
  return { compose, render, readSettings, transportOf, toMessage, sqliteQueue };
};
type Client = Awaited<ReturnType<typeof clientOf>>;

/** Mails through an authenticated relay. */
export const bench: Bench = {
  summary: "mails/s through Postfix with AUTH and STARTTLS, on 1, 5 and 20 connections",
  about:
    "A bridge that is started with 1,600 alerts in its queue, from its start to the last reply: decided, noted on disk before " +
    "and after each mail, sent. Its SMTP client alone sends as many in this process. The ceiling is smtp-load (in the lab), " +
    "a client that does nothing but send: AUTH and STARTTLS too, connections reused; beside it smtp-source of Postfix, " +
    "without either. Then the client and nodemailer, with a pool and without, send the same mails, 20 on each connection, " +
    "through a proxy that adds a round trip of 20 ms. All take turns on the same two cores as Postfix. Needs test/lab/setup and root.",
  run: async ({ rounds, quick, before }) => {
    const mails = quick ? 50 : 400;
    // A second is too short for what varies by itself.
    const backlogMails = 4 * mails;
    const lab = openLab();
    try {
      const relay = await startRelay(lab);
      const [, plainPort = ""] =
        /^RELAY_PLAIN_PORT=(.*)$/m.exec(readFileSync(join(lab.folder, "relay/relay.env"), "utf8")) ?? [];
      const proxy = await startProgram([
        join(import.meta.dirname, "peers/far-relay.ts"),
        `${farPort}`,
        `${relay.port}`,
        `${roundTripMilliseconds / 2}`,
      ]);
      lab.onStop(proxy.stop);
      const settings = bridgeSettings(lab, relay, port);
      const { HARDSTATE_RELAYS_FILE: _, ...environment } = settings.environment;
      const login = `${relay.user}:${relay.password}`;
      const ours = await clientOf(resolve("."));
      const theirs = before === undefined ? undefined : await clientOf(before);
      const relayUrl = (connections: number, at = relay.port) =>
        `smtp://${login}@localhost:${at}?connections=${connections}`;
      let sent = 0;
      /** Until Postfix has put away what it took: it does that beside the next one else. */
      const settled = async (count: number) => {
        sent += count;
        await arrived(relay.maildir, sent, 30);
        return undefined;
      };

      const pipeline = async (connections: number, series: string, checkout?: string): Promise<number> => {
        const state = join(lab.folder, "state");
        rmSync(state, { recursive: true, force: true });
        mkdirSync(state, { mode: 0o700 });
        // An older version does not know how a newer one queues.
        const { sqliteQueue, toMessage } = checkout !== undefined && theirs ? theirs : ours;
        const queue = sqliteQueue(join(state, "queue.sqlite"), clock);
        await queue.send(backlog(backlogMails, series).map(toMessage));
        queue.close();
        const bridge = await startBridge(lab, {
          ...settings,
          environment: { ...environment, HARDSTATE_RELAYS: relayUrl(connections) },
          checkout,
        });
        const ended = () => bridge.events().filter(({ event }) => event === "ended");
        await until("all are mailed", 60, () => ended().length === backlogMails);
        const started = bridge.events().find(({ event }) => event === "started");
        await bridge.kill("SIGTERM");
        if (!ended().every(({ ending }) => ending === "mailed")) throw new Error("not all were mailed");
        await settled(backlogMails);
        return (
          backlogMails / ((Date.parse(String(ended().at(-1)?.at)) - Date.parse(String(started?.at))) / 1000)
        );
      };

      const settingsOf = ({ readSettings }: Client, connections: number, at?: number) => {
        const reading = readSettings({
          HARDSTATE_TOKENS: `site=${settings.token}`,
          HARDSTATE_RELAYS: relayUrl(connections, at),
          HARDSTATE_RELAY_CA: readFileSync(relay.ca, "utf8"),
          HARDSTATE_FROM: "Monitoring <nagios@example.com>",
          HARDSTATE_RECIPIENTS: "example.com",
        });
        if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
        return reading.value;
      };
      const mailsOf = (client: Client, count: number, series: string): ComposedMail[] =>
        backlog(count, series).map((queued) =>
          client.compose(
            queued,
            { action: "send", kind: "PROBLEM", row: "R1", reason: "first news", entry: emptyEntry },
            clock(),
            settingsOf(client, 1).sender,
          ),
        );
      /** Mails per second of so many senders, each of which sends one mail after the other. */
      const rateOf = async (
        waiting: ComposedMail[],
        connections: number,
        send: (mail: ComposedMail) => Promise<void>,
      ) => {
        const count = waiting.length;
        const began = performance.now();
        const work = async () => {
          for (let mail = waiting.pop(); mail; mail = waiting.pop()) await send(mail);
        };
        await Promise.all(Array.from({ length: connections }, work));
        return count / ((performance.now() - began) / 1000);
      };

      const transport = async (
        client: Client,
        connections: number,
        series: string,
        count = mails,
        at = relay.port,
      ): Promise<number> => {
        const { relays, sender } = settingsOf(client, connections, at);
        const [route] = relays;
        if (!route) throw new Error("no route");
        const open = client.transportOf(route, sender, clock);
        const rate = await rateOf(mailsOf(client, count, series), connections, async (mail) => {
          const { result, reply } = await open.send(client.render(mail), AbortSignal.timeout(60_000));
          if (result !== "accepted") throw new Error(reply);
        });
        open.close();
        await settled(count);
        return rate;
      };

      /** By nodemailer: a session for each mail, or a pool that keeps its sessions as we do. */
      const nodemailer = async (
        connections: number,
        series: string,
        count: number,
        pooled: boolean,
      ): Promise<number> => {
        const common = {
          host: "localhost",
          port: farPort,
          requireTLS: true,
          auth: { user: relay.user, pass: relay.password },
          tls: { ca: readFileSync(relay.ca, "utf8") },
        };
        const limits = { maxConnections: connections, maxMessages: Number.POSITIVE_INFINITY };
        const transporter = pooled
          ? createTransport({ ...common, ...limits, pool: true })
          : createTransport(common);
        const rate = await rateOf(mailsOf(ours, count, series), connections, async (mail) => {
          await transporter.sendMail({ envelope: mail.envelope, raw: ours.render(mail).bytes });
        });
        transporter.close();
        await settled(count);
        return rate;
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
        await settled(mails);
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
        await settled(mails);
        return mails / seconds;
      };

      const unit = "mails/s";
      const figures: Figure[] = [];
      /** Tells of one thing beside the other version, if there is one. */
      const since = (what: string, now: number, value: number) => {
        if (theirs) figures.push({ what, ours: now, unit, beside: { name: "before", value } });
      };
      for (const connections of quick ? [5] : [1, 5, 20]) {
        await lab.script("relay", "clear");
        sent = 0;
        const name = (side: string, round: number) => `${side}${connections}-${round}`;
        const rates = mediansOf(
          await alternate(rounds, {
            pipeline: (round) => pipeline(connections, name("p", round)),
            pipelineBefore: theirs && ((round) => pipeline(connections, name("q", round), before)),
            client: (round) => transport(ours, connections, name("t", round)),
            clientBefore: theirs && ((round) => transport(theirs, connections, name("u", round))),
            load: () => load(connections),
            source: async () => {
              await lab.script("relay", "mode", "open");
              const rate = await source(connections);
              await lab.script("relay", "mode", "auth");
              return rate;
            },
          }),
        );
        await lab.script("relay", "clear");
        sent = 0;
        const count = 20 * connections;
        const far = mediansOf(
          await alternate(rounds, {
            client: (round) => transport(ours, connections, name("f", round), count, farPort),
            clientBefore:
              theirs && ((round) => transport(theirs, connections, name("g", round), count, farPort)),
            single: (round) => nodemailer(connections, name("n", round), count, false),
            pool: (round) => nodemailer(connections, name("o", round), count, true),
          }),
        );
        const on = `on ${connections} connection${connections > 1 ? "s" : ""}`;
        const beside = { name: "smtp-load", value: rates.load };
        const backlogged = `a backlog through the whole bridge, ${on}`;
        const alone = `our SMTP client alone, ${on}`;
        const away = `our SMTP client alone, ${on}, ${roundTripMilliseconds} ms of round trip`;
        figures.push({ what: backlogged, ours: rates.pipeline, unit, beside, target: { atLeast: 0.8 } });
        since(backlogged, rates.pipeline, rates.pipelineBefore);
        figures.push({ what: alone, ours: rates.client, unit, beside, target: { atLeast: 0.9 } });
        since(alone, rates.client, rates.clientBefore);
        figures.push(
          {
            what: alone,
            ours: rates.client,
            unit,
            beside: { name: "smtp-source, no TLS, no AUTH", value: rates.source },
          },
          {
            what: away,
            ours: far.client,
            unit,
            beside: { name: "nodemailer, a session for each mail", value: far.single },
            target: { atLeast: 1.5 },
          },
          {
            what: away,
            ours: far.client,
            unit,
            beside: { name: "nodemailer's pool, which pipelines too", value: far.pool },
            target: { atLeast: 1.5 },
          },
        );
        since(away, far.client, far.clientBefore);
      }
      return figures;
    } finally {
      await lab.stop();
    }
  },
};

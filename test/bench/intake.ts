import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { bridgeWords } from "../world/lab.ts";
import { startProgram } from "./peers/process.ts";
import { alternate, type Bench, median } from "./rounds.ts";

const run = promisify(execFile);
const [bridgePort, barePort, sinkPort] = [25_140, 25_141, 25_142];
const connections = 50;
const token = randomBytes(24).toString("hex");

type Load = { count: number; perSecond: number; p99: number };

const load = async (port: number, seconds: number, series: string): Promise<Load> => {
  const words = [port, connections, seconds, token, series].map(String);
  const client = join(import.meta.dirname, "peers/http-load.ts");
  const { stdout } = await run(process.execPath, [client, ...words], { timeout: 120_000 });
  return JSON.parse(stdout);
};

/** Alerts that are taken, for good. */
export const bench: Bench = {
  summary: "accepted alerts/s on disk, on 50 connections, and their p99",
  about:
    "A client in its own process posts one alert after the other on each of 50 connections. The bridge answers 202 when " +
    "its queue has an alert on disk, and mails meanwhile as fast as it can, through a relay that is a sink (smtp-sink of " +
    "Postfix); what it mailed is told. Beside it the same Hono on the same Node that reads the body and answers 202, " +
    "and one that appends it to a file first, one sync for all that wait. Each side starts afresh in every round, and its first second is not counted.",
  run: async ({ rounds, quick, before }) => {
    const seconds = quick ? 1 : 5;
    const folder = mkdtempSync(join(tmpdir(), "hardstate-bench-"));
    const sink = execFile("smtp-sink", ["-u", "nobody", `127.0.0.1:${sinkPort}`, "1000"]);
    try {
      const all = {
        bridge: [] as Load[],
        bridgeBefore: [] as Load[],
        hono: [] as Load[],
        append: [] as Load[],
      };
      const mailed: number[] = [];
      const measure = async (name: keyof typeof all, port: number, round: number) => {
        const result = await load(port, seconds, `${name}-${round}`);
        all[name].push(result);
        return result.perSecond;
      };
      const bare = async (name: "hono" | "append", round: number) => {
        const file = name === "append" ? [join(folder, `append-${round}`)] : [];
        const server = join(import.meta.dirname, "peers/http-server.ts");
        const running = await startProgram([server, `${barePort}`, ...file]);
        try {
          return await measure(name, barePort, round);
        } finally {
          await running.stop();
        }
      };
      const bridge = async (name: "bridge" | "bridgeBefore", round: number, checkout?: string) => {
        const running = await startProgram(
          bridgeWords,
          {
            HARDSTATE_STATE: join(folder, `state-${name}-${round}`),
            HARDSTATE_PORT: String(bridgePort),
            HARDSTATE_TOKENS: `site=${token}`,
            HARDSTATE_RELAYS: `smtp://127.0.0.1:${sinkPort}?tls=none`,
            HARDSTATE_FROM: "nagios@example.com",
            HARDSTATE_RECIPIENTS: "example.com",
            HARDSTATE_BURST: "off",
            HARDSTATE_RATE: "off",
          },
          checkout,
        );
        try {
          const rate = await measure(name, bridgePort, round);
          if (name === "bridge")
            mailed.push((running.said().match(/"ending":"mailed"/g)?.length ?? 0) / (seconds + 1));
          return rate;
        } finally {
          await running.stop();
        }
      };
      await alternate(rounds, {
        bridge: (round) => bridge("bridge", round),
        bridgeBefore: before === undefined ? undefined : (round) => bridge("bridgeBefore", round, before),
        hono: (round) => bare("hono", round),
        append: (round) => bare("append", round),
      });
      const of = (name: keyof typeof all, part: keyof Load) => median(all[name].map((one) => one[part]));
      const ours = of("bridge", "perSecond");
      const unit = "alerts/s";
      const older = { name: "before", value: of("bridgeBefore", "perSecond") };
      return [
        ...(before === undefined ? [] : [{ what: "accepted, and on disk", ours, unit, beside: older }]),
        {
          what: "accepted, and on disk",
          ours,
          unit,
          beside: { name: "Hono that answers 202", value: of("hono", "perSecond") },
          target: { atLeast: 0.3 },
        },
        {
          what: "accepted, and on disk",
          ours,
          unit,
          beside: { name: "Hono and a synced append", value: of("append", "perSecond") },
        },
        {
          what: "p99 of these answers",
          ours: of("bridge", "p99"),
          unit: "ms",
          beside: { name: "the limit", value: 50 },
          target: { atMost: 1 },
        },
        { what: "mailed meanwhile", ours: median(mailed), unit: "mails/s" },
      ];
    } finally {
      sink.kill();
      rmSync(folder, { recursive: true });
    }
  },
};

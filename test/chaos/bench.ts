import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type Bridge, type BridgeSettings, type Lab, type Relay, startBridge, until } from "../world/lab.ts";
import { alertFor, type Client, clientOf, type Figures } from "./account.ts";

/** Where experiments are made: one relay for all, and for each run a bridge with a new state folder. */
export type Bench = { lab: Lab; relay: Relay; settings: BridgeSettings };

/** One way to break things. */
export type Fault = {
  name: string;
  title: string;
  /** How often it is done if nobody says otherwise. */
  runs: number;
  /** The name of the like fault of the classic chain in the lab's `faults`. */
  classic?: string;
  run(bench: Bench, index: number): Promise<Figures>;
};

export const stateOf = ({ lab }: Bench): string => join(lab.folder, "state");
export const sleep = (seconds: number): Promise<void> => setTimeout(seconds * 1000);

/** An empty state folder and maildir, and who posts to the bridge that will run there. */
export const begin = (bench: Bench): Client => {
  const state = stateOf(bench);
  mkdirSync(state, { recursive: true, mode: 0o700 });
  // Its contents: the folder may be a disk of its own.
  for (const name of readdirSync(state)) rmSync(join(state, name), { recursive: true });
  const { lab, relay, settings } = bench;
  return clientOf(lab, relay, `http://127.0.0.1:${settings.port}`, settings.token);
};

/** A bridge with more settings; what it compiled is kept for the next start. */
export const start = ({ lab, settings }: Bench, more: Record<string, string> = {}): Promise<Bridge> =>
  startBridge(lab, {
    ...settings,
    environment: { ...settings.environment, NODE_COMPILE_CACHE: join(lab.folder, "compiled"), ...more },
  });

const atOnce = 10;
/** Posts problems of so many objects, ten at a time. */
export const flow = async (
  client: Client,
  count: number,
  pauseSeconds: number,
  more: Record<string, unknown> = {},
): Promise<void> => {
  for (let first = 0; first < count; first += atOnce) {
    const alerts = Array.from({ length: atOnce }, (_, n) => ({
      ...alertFor(`host${first + n}`, "PROBLEM", ["ops"]),
      ...more,
    }));
    await client.post(alerts);
    await sleep(pauseSeconds);
  }
};

/** Waits for so many mails. */
export const mails = ({ relay }: Bench, count: number): Promise<void> =>
  until(`${count} mails`, 60, () => readdirSync(relay.maildir).length >= count);

/** How many mails are on their way at once, by the default of `connections`: a relay's death may double so many. */
export const connections = 3;
/** Ours as many again: those that were taken just now, and of which the ledger is being told. */
export const doubledByKill = 2 * connections;

type Flow = { count: number; pauseSeconds?: number; mostTwice?: number; more?: Record<string, unknown> };

/** Mail flows, something breaks after the first of it and is mended: how long after that is all well? */
export const whileMailFlows =
  (
    { count, pauseSeconds = 0.05, mostTwice = 0, more }: Flow,
    harm: (bench: Bench, client: Client) => Promise<void>,
  ): Fault["run"] =>
  async (bench) => {
    const client = begin(bench);
    const bridge = await start(bench);
    const harmed = (async () => {
      await mails(bench, count / 10);
      await harm(bench, client);
      return Date.now();
    })();
    const [mendedAt] = await Promise.all([harmed, flow(client, count, pauseSeconds, more)]);
    await client.quiet(bridge, 500);
    const seconds = Math.round((Date.now() - mendedAt) / 1000);
    const figures = await client.figures(count, mostTwice);
    await bridge.kill("SIGTERM");
    return { ...figures, seconds };
  };

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { until } from "../world/lab.ts";
import {
  begin,
  doubledByKill,
  type Fault,
  flow,
  mails,
  sleep,
  start,
  stateOf,
  whileMailFlows,
} from "./bench.ts";
import { fill, withDisk } from "./disk.ts";

const large = { long_output: "x".repeat(10_000) };
/** A mail whose end could not be written is sent again: how much that is, luck decides. */
const mostUnwritten = 3;

const diskFull: Fault["run"] = (bench, index) =>
  withDisk(stateOf(bench), 48, () =>
    whileMailFlows({ count: 200, mostTwice: mostUnwritten, more: large }, async (_, client) => {
      const filler = fill(stateOf(bench), 48);
      await until("a 503", 60, () => client.refused() > 0);
      await sleep(5);
      rmSync(filler);
    })(bench, index),
  );

/** Another process has one of our databases for itself. */
const locked = (name: string, seconds: number): Fault["run"] =>
  whileMailFlows({ count: 200 }, async (bench) => {
    const other = new DatabaseSync(join(stateOf(bench), name), { timeout: 5000 });
    other.exec("BEGIN EXCLUSIVE");
    await sleep(seconds);
    other.close();
  });

const faketime = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const hour = 3600;
/** At so many mails the clock is so far ahead of the relay's; and the bridge dies before or goes on. */
const steps = [
  { at: 30, ahead: hour, restart: false },
  { at: 80, ahead: 0, restart: false },
  { at: 130, ahead: hour, restart: true },
  { at: 180, ahead: 0, restart: true },
];
const clockStepped: Fault["run"] = async (bench) => {
  const client = begin(bench);
  const offset = join(bench.lab.folder, "clock");
  const more = {
    // Alerts that wait in the ledger wait by the clock: set back by an hour, it would wait an hour longer.
    HARDSTATE_FLAP_HOLD: "off",
    LD_PRELOAD: faketime,
    FAKETIME_TIMESTAMP_FILE: offset,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
  writeFileSync(offset, "+0");
  const first = await start(bench, more);
  let bridge = first;
  const stepping = (async () => {
    for (const { at, ahead, restart } of steps) {
      await mails(bench, at);
      if (restart) await bridge.kill("SIGKILL");
      writeFileSync(offset, `+${ahead}`);
      if (restart) bridge = await start(bench, more);
    }
    return Date.now();
  })();
  const [steppedAt] = await Promise.all([stepping, flow(client, 300, 0.2)]);
  const farthest = Math.max(...first.events().map(({ at }) => Date.parse(String(at))));
  if (farthest < Date.now() + (hour * 1000) / 2)
    throw new Error("its clock did not step: is faketime there?");
  await client.quiet(bridge, 500);
  const seconds = Math.round((Date.now() - steppedAt) / 1000);
  const figures = await client.figures(300, 2 * doubledByKill);
  await bridge.kill("SIGTERM");
  return { ...figures, seconds };
};

export const machineFaults: readonly Fault[] = [
  { name: "disk-full", title: "our disk full for 5 s", runs: 3, run: diskFull },
  { name: "queue-locked", title: "queue locked for 3 s", runs: 3, run: locked("queue.sqlite", 3) },
  { name: "ledger-locked", title: "ledger locked for 3 s", runs: 3, run: locked("ledger.sqlite", 3) },
  { name: "ledger-kept", title: "ledger locked for 8 s", runs: 1, run: locked("ledger.sqlite", 8) },
  { name: "clock", title: "clock an hour on and back, twice", runs: 3, run: clockStepped },
];

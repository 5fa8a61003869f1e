import { rmSync } from "node:fs";
import { join } from "node:path";
import { killRelay, signalRelay } from "../world/lab.ts";
import { connections, type Fault, sleep, whileMailFlows } from "./bench.ts";
import { fill, withDisk } from "./disk.ts";

const awaySeconds = 15;

const killed: Fault["run"] = whileMailFlows({ count: 300, mostTwice: connections }, async ({ lab }) => {
  await killRelay(lab);
  await sleep(awaySeconds);
  await lab.script("relay", "start");
});

const stopped: Fault["run"] = whileMailFlows({ count: 300 }, async ({ lab }) => {
  if (signalRelay(lab, "SIGSTOP") === 0) throw new Error("no relay was there to be stopped");
  await sleep(awaySeconds);
  signalRelay(lab, "SIGCONT");
});

const slow: Fault["run"] = async (bench, index) => {
  await bench.lab.script("relay", "mode", "slow");
  try {
    return await whileMailFlows({ count: 30 }, async () => undefined)(bench, index);
  } finally {
    await bench.lab.script("relay", "mode", "auth");
  }
};

/** Postfix needs room for one and a half of its largest messages, 15 MB, and says 452 without. */
const full: Fault["run"] = async (bench, index) => {
  const { lab } = bench;
  const queue = join(lab.folder, "relay/queue");
  await lab.script("relay", "stop");
  try {
    return await withDisk(queue, 64, async () => {
      await lab.script("relay", "start");
      try {
        return await whileMailFlows({ count: 300 }, async () => {
          const filler = fill(queue, 56);
          await sleep(awaySeconds);
          rmSync(filler);
        })(bench, index);
      } finally {
        await lab.script("relay", "stop");
      }
    });
  } finally {
    await lab.script("relay", "start");
  }
};

export const relayFaults: readonly Fault[] = [
  {
    name: "relay-killed",
    title: `relay killed, back after ${awaySeconds} s`,
    runs: 3,
    classic: "relay killed, afterwards",
    run: killed,
  },
  {
    name: "relay-stopped",
    title: `relay stopped for ${awaySeconds} s`,
    runs: 3,
    classic: "relay down for 20 s",
    run: stopped,
  },
  { name: "relay-slow", title: "relay thinks 5 s about each", runs: 1, run: slow },
  {
    name: "relay-full",
    title: `relay's disk full for ${awaySeconds} s`,
    runs: 3,
    classic: "relay says 450 for 30 s, afterwards",
    run: full,
  },
];

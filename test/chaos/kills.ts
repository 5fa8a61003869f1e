import { execFile } from "node:child_process";
import { randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { alertFor } from "./account.ts";
import { begin, doubledByKill, type Fault, flow, sleep, start, whileMailFlows } from "./bench.ts";
import { type Point, points } from "./points.ts";

/** How often each point is passed at least, by the alerts below. */
const passages: Record<Point, number> = {
  commit: 3,
  answer: 3,
  receive: 3,
  claim: 5,
  data: 5,
  reply: 5,
  settle: 5,
  sweep: 1,
};
/** While one mail is claimed or settled, another may be in the window between DATA and the note of its reply. */
const mayDouble: readonly Point[] = ["claim", "data", "reply", "settle"];

const atPoint = (point: Point): Fault => ({
  name: point,
  title: `kill -9 ${points[point]}`,
  runs: 50,
  classic: "Sendmail killed, afterwards",
  run: async (bench, index) => {
    const { lab, relay } = bench;
    const client = begin(bench);
    // One mail at a time: so at most one is in the window in which a death doubles it.
    const routes = join(lab.folder, "one-connection");
    writeFileSync(routes, `smtp://${relay.user}:${relay.password}@localhost:${relay.port}?connections=1`);
    const settings = { HARDSTATE_PAIR_RECOVERY: "1s", HARDSTATE_RELAYS_FILE: routes };
    const doomed = await start(bench, {
      ...settings,
      NODE_OPTIONS: "--import ./test/chaos/fail-point.ts",
      FAIL_POINT: point,
      FAIL_PASSAGE: String(1 + (index % passages[point])),
    });
    // While a second monitor sees the problem, the recovery waits for the sweep.
    const paired = point === "sweep" ? [alertFor("web", "PROBLEM", ["ops", "dba"], "monitor2")] : [];
    const posts = [
      [alertFor("web", "PROBLEM", ["ops", "dba"])],
      [alertFor("db", "PROBLEM", ["ops"]), ...paired],
      [alertFor("web", "RECOVERY", ["ops", "dba"])],
    ];
    const posting = (async () => {
      for (const alerts of posts) await client.post(alerts);
    })();
    const dying = (async () => {
      const end = await Promise.race([doomed.ended, sleep(30)]);
      const said = doomed.events().some(({ event }) => event === "fail-point");
      if (end !== "SIGKILL" || !said) throw new Error(`it did not die ${points[point]}, but with ${end}`);
      return start(bench, settings);
    })();
    const [bridge] = await Promise.all([dying, posting]);
    await client.quiet(bridge, 60);
    const figures = await client.figures(5, mayDouble.includes(point) ? 1 : 0);
    await bridge.kill("SIGKILL");
    return figures;
  },
});

const kills = 10;
/** Under load, and again before it has done with what it found. */
const atRandom: Fault["run"] = async (bench) => {
  const client = begin(bench);
  let bridge = await start(bench);
  const killing = (async () => {
    for (let kill = 0; kill < kills; kill++) {
      await sleep(randomInt(50, 900) / 1000);
      await bridge.kill("SIGKILL");
      bridge = await start(bench);
    }
  })();
  await Promise.all([flow(client, 300, 0.3), killing]);
  await client.quiet(bridge, 120);
  const figures = await client.figures(300, kills * doubledByKill);
  await bridge.kill("SIGKILL");
  return figures;
};

/** A second bridge on the state folder of the first, which has work. */
const secondBridge: Fault["run"] = whileMailFlows({ count: 100 }, async ({ settings }) => {
  const { code, stderr } = await promisify(execFile)(process.execPath, ["functions/runtime/node.ts"], {
    env: { PATH: process.env.PATH, ...settings.environment, HARDSTATE_PORT: String(settings.port + 1) },
    timeout: 20_000,
  }).then(
    () => ({ code: 0, stderr: "" }),
    (error: { code: number; stderr: string }) => error,
  );
  if (code !== 3 || !stderr.includes("Another bridge is running on the state folder"))
    throw new Error(`the second bridge ended with ${code}: ${stderr}`);
});

export const kill9: readonly Fault[] = [
  ...(Object.keys(points) as Point[]).map(atPoint),
  {
    name: "random",
    title: `kill -9 at random, ${kills} times`,
    runs: 10,
    classic: "Sendmail killed, afterwards",
    run: atRandom,
  },
  { name: "second-bridge", title: "a second bridge on its folder", runs: 3, run: secondBridge },
];

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bench } from "../chaos/bench.ts";
import { faults } from "../chaos/faults.ts";
import { points } from "../chaos/points.ts";
import { bridgeSettings, openLab, startRelay } from "../world/lab.ts";

let bench: Bench;
beforeAll(async () => {
  const lab = openLab();
  const relay = await startRelay(lab);
  bench = { lab, relay, settings: bridgeSettings(lab, relay, 22_000) };
});
afterAll(() => bench?.lab.stop());

/** Faults that take little time; `npm run chaos` does all, and often. */
const cheap = [...Object.keys(points), "random", "second-bridge", "queue-locked"];

describe("mail flows, and", () => {
  it.each(faults.filter(({ name }) => cheap.includes(name)))(
    "$title: nothing is lost, and nothing mailed twice but in the window of DATA",
    async ({ run }) => {
      const { lost, wrong, accepted } = await run(bench, 0);
      expect({ lost, wrong }).toEqual({ lost: 0, wrong: [] });
      expect(accepted).toBeGreaterThanOrEqual(5);
    },
  );

  it.each(["data", "reply"])(
    "a death at the point %s makes the second copy that it may make",
    async (name) => {
      expect((await faults.find((fault) => fault.name === name)?.run(bench, 1))?.twice).toBe(1);
    },
  );
});

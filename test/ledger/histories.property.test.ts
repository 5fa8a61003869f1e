import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brokenBy, history } from "./histories.ts";

// Always the same ones, so that a change is to blame for what fails; PROPERTY_RUNS=9000 makes as many others.
const given = process.env.PROPERTY_RUNS;
const runs = Number(given ?? 60);
const seed = Number(process.env.PROPERTY_SEED ?? (given ? Date.now() : 4242));

describe(`${runs} random histories of two monitors, three contacts, restarts and relay outages`, () => {
  it("keep every promise", { timeout: 3_600_000 }, async () => {
    let mails = 0;
    await fc.assert(
      fc.asyncProperty(history, async (one) => {
        const { broken, mails: made, log } = await brokenBy(one);
        mails += made;
        expect(broken, log).toEqual([]);
      }),
      { numRuns: runs, seed },
    );
    expect(mails).toBeGreaterThan(runs);
  });
});

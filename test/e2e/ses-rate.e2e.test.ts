import { describe, expect, it } from "vitest";
import { mailAll } from "../bench/ses.ts";

// How long it takes is a bench: npm run bench -- ses.
describe("an account of SES with a rate", () => {
  it.concurrent.each([
    ["five workers on Lambda", undefined],
    ["five workers on Lambda", { most: 14, milliseconds: 1000 }],
    ["a bridge on Node", undefined],
  ] as const)(
    "takes each alert of %s once, and stays in use (rate %o)",
    async (runtime, rate) => {
      const { taken, open } = await mailAll(60, 14, runtime, rate);
      expect({ taken, open }).toEqual({ taken: 60, open: undefined });
    },
    120_000,
  );
});

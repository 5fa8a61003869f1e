import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rateLimiter } from "../../functions/intake/limit.ts";

const rate = { most: 10, milliseconds: 1000 };

describe("a rate limiter", () => {
  it("never lets more through than the rate and one bucket, whatever the clock and the batches do", () => {
    const steps = fc.array(
      fc.record({ pass: fc.integer({ min: -500, max: 500 }), batch: fc.integer({ min: 1, max: 30 }) }),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const limiter = rateLimiter();
        let [now, forward, through, last] = [0, 0, 0, 0];
        for (const { pass, batch } of all) {
          now += pass;
          forward += Math.max(0, pass);
          if (limiter.take("site", rate, now)) continue;
          limiter.charge("site", rate, batch - 1, now);
          through += batch;
          last = batch;
        }
        // The last batch may have made a debt.
        expect(through - last).toBeLessThanOrEqual(rate.most + (forward * rate.most) / rate.milliseconds);
      }),
    );
  });

  it("has room again after the seconds that it told, and not a second sooner", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (debt) => {
        const limiter = rateLimiter();
        limiter.charge("site", rate, debt + rate.most, 0);
        const { afterSeconds = 0 } = limiter.take("site", rate, 0) ?? {};
        expect(limiter.take("site", rate, (afterSeconds - 1) * 1000)).toBeDefined();
        expect(limiter.take("site", rate, afterSeconds * 1000)).toBeUndefined();
      }),
    );
  });

  it("fills on after the clock was set back", () => {
    const limiter = rateLimiter();
    limiter.charge("site", rate, 10, 3_600_000);
    expect(limiter.take("site", rate, 0)).toEqual({ afterSeconds: 1, first: true });
    expect(limiter.take("site", rate, 100)).toBeUndefined();
  });
});

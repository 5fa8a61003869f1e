import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { idleMonth, perMonth } from "../infra/cost.ts";
import { readOptions } from "../infra/options.ts";

const path = "docs/scale.md";
const text = readFileSync(path, "utf8");

describe("docs/scale.md", () => {
  it("says what a cell costs, and what the stack has", () => {
    const dollars = Object.values(perMonth(idleMonth)).reduce((sum, one) => sum + one, 0);
    expect(text).toContain(`costs ${dollars.toFixed(2)} dollars`);
    const options = readOptions({
      HARDSTATE_FROM: "nagios@example.com",
      HARDSTATE_RECIPIENTS: "example.com",
    });
    expect(options).toMatchObject({ ok: true, value: { workerConcurrency: 5 } });
    expect(text).toContain("run at once (5 by default)");
  });
});

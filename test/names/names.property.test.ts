import { describe, expect, it } from "vitest";
import { emptyEntry, type Held } from "../../functions/decide/entry.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import { queuedAlert } from "../world/alerts.ts";
import { bothWays } from "./differential.ts";

// More of them: NAMES_FROM=1 NAMES_COUNT=1000 npx vitest run --project property test/names
const { NAMES_FROM = "1", NAMES_COUNT = "3" } = process.env;
const seeds = Array.from({ length: Number(NAMES_COUNT) }, (_, index) => Number(NAMES_FROM) + index);
/** Seeds that once found a difference: by host cover, and by the monitor that a reason names. */
const found = [2001, 2026];

describe("sites, monitors, hosts, services, contacts and ids", () => {
  it.each([...found, ...seeds])("make no difference, whatever their names are (history %i)", async (seed) => {
    const { expected, got } = await bothWays(seed);
    expect(got).toEqual(expected);
  });
});

describe("a recovery behind two problems that wait", () => {
  const held = (receivedAt: number, due: number): Held => ({
    ...{ row: "R30", contact: "ops@example.com", monitor: "monitor1" },
    ...{ receivedAt, due },
  });
  it.each([
    ["plain", "alert-0002", "alert-0001"],
    ["numbers", "20000002", "20000001"],
  ])("follows the one that was received last, if their ids are %s", (_, first, second) => {
    const entry = {
      ...emptyEntry,
      held: { [first]: held(1000, 200_000_000), [second]: held(2000, 200_000_500) },
    };
    const recovery = queuedAlert({ id: "alert-0003" }, { type: "RECOVERY", state: "OK" });
    const verdict = decide({ entry }, recovery, defaultPolicy, 199_999_000);
    expect(verdict).toMatchObject({ action: "hold", row: "R30", due: 200_000_501 });
  });
});

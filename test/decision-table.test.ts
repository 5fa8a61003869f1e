import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { decisionTable } from "../scripts/decision-table.ts";

it("docs/decision-table.md is what npm run docs makes", async () => {
  // Biome aligns the columns of tables.
  const plain = (text: string) => text.replace(/ +\|/g, " |").replace(/\| +/g, "| ").replace(/-{3,}/g, "---");
  expect(plain(readFileSync("docs/decision-table.md", "utf8"))).toBe(plain(await decisionTable()));
});

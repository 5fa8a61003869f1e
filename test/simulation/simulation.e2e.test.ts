import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { plants } from "./plants.ts";

const simulate = async (...words: string[]) => {
  const all = ["test/simulation/simulate.ts", ...words];
  const { stdout } = await promisify(execFile)(process.execPath, all, { timeout: 280_000 });
  return stdout;
};

it("2000 histories keep every promise", async () => {
  expect(await simulate("--histories", "2000", "--from", "1000")).toMatch(/every promise was kept$/m);
});

it("every fault that is planted in the bridge is found", async () => {
  const told = await simulate("--histories", "3000", "--plants", "all");
  for (const name of Object.keys(plants)) expect(told).toMatch(new RegExp(`^${name} +history \\d+: `, "m"));
});

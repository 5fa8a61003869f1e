import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { coverage } from "./coverage.ts";
import { draws } from "./draws.ts";
import { historyOf } from "./history.ts";
import { brokenIn } from "./oracle.ts";
import { simulator } from "./play.ts";

const play = simulator();

it("histories in which anything fails keep every promise", { timeout: 60_000 }, async () => {
  const { add, total } = coverage();
  for (let seed = 1; seed <= 80; seed++) {
    const played = await play(historyOf(seed));
    expect(brokenIn(played), `npm run simulate -- --seed ${seed}`).toEqual([]);
    add(played);
  }
  expect(total("mails taken by a relay")).toBeGreaterThan(200);
  expect(total("second copies")).toBeGreaterThan(0);
  expect(total("workers that died")).toBeGreaterThan(0);
});

it("the same seed makes the same history, to the last call", async () => {
  const told = async () => {
    const lines: string[] = [];
    await play(historyOf(7), (line) => lines.push(line));
    return lines;
  };
  const lines = await told();
  expect(lines.length).toBeGreaterThan(50);
  expect(await told()).toEqual(lines);
});

it("a number drawn for a name does not depend on other draws", () => {
  const numbers = (name: string) => Array.from({ length: 5 }, draws(3, name));
  expect(numbers("read 1")).toEqual(numbers("read 1"));
  expect(numbers("read 1")).not.toEqual(numbers("read 2"));
});

it("faults that are planted in the bridge are found", { timeout: 60_000 }, async () => {
  const planted = ["acknowledges-in-a-catch", "recovery-overtakes"];
  const words = ["test/simulation/simulate.ts", "--histories", "100", "--plants", planted.join(",")];
  const { stdout } = await promisify(execFile)(process.execPath, words, { timeout: 50_000 });
  for (const name of planted) expect(stdout).toMatch(new RegExp(`^${name} +history \\d+: `, "m"));
});

it("each test that could prove a promise wrong is there", () => {
  const promises = readFileSync("test/simulation/README.md", "utf8").matchAll(/^\| ([^|]*\.) +\|(.*)\|$/gm);
  const table = [...promises].map(([, promise, cells = ""]) => ({
    promise,
    tests: [...cells.matchAll(/`(test\/[^`]+)`/g)].map(([, path = ""]) => path),
  }));
  expect(table.length).toBeGreaterThan(15);
  for (const { promise, tests } of table) {
    expect(tests, promise).not.toEqual([]);
    for (const path of tests) expect(existsSync(path), path).toBe(true);
  }
});

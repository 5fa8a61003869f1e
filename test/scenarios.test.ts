import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { differences, playScenario, readScenarios } from "../scripts/scenarios.ts";

const file = readScenarios("test/scenarios.yaml");

describe("the scenarios", () => {
  it.each(file.scenarios)("$id makes exactly its mails: $title", async (scenario) => {
    expect(differences(scenario.mails, await playScenario(scenario, file))).toEqual([]);
  });
});

describe("npm run scenarios", () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-scenarios-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (...words: string[]): Promise<{ status: number; text: string }> =>
    new Promise((done) =>
      execFile(process.execPath, ["scripts/scenarios.ts", ...words], (error, stdout, stderr) =>
        done({ status: Number(error?.code ?? 0), text: stdout + stderr }),
      ),
    );
  const write = (name: string, change: (text: string) => string) => {
    const head = readFileSync("test/scenarios.yaml", "utf8").replace(/\n *- id: S02[\s\S]*/, "\n");
    const path = join(folder, name);
    writeFileSync(path, change(head));
    return path;
  };

  it("passes what is as expected", async () => {
    expect(await run(write("good.yaml", (text) => text))).toMatchObject({
      status: 0,
      text: expect.stringContaining("1 passed, 0 failed"),
    });
  });

  it("fails when an expectation is altered, and shows the difference", async () => {
    const altered = write("altered.yaml", (text) => text.replace("RECOVERY/OK@900.1", "RECOVERY/OK@901"));
    const { status, text } = await run(altered);
    expect(status).toBe(1);
    expect(text).toContain("alice: expected PROBLEM/CRITICAL@0, RECOVERY/OK@901");
    expect(text).toContain("got PROBLEM/CRITICAL@0, RECOVERY/OK@900.1");
  });

  it("says how it is used, and what it cannot read", async () => {
    expect(await run()).toMatchObject({
      status: 2,
      text: expect.stringContaining("usage: npm run scenarios"),
    });
    expect(await run(join(folder, "none.yaml"))).toMatchObject({
      status: 3,
      text: expect.stringContaining("ENOENT"),
    });
  });
});

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { differences, mailsOf, player, readScenarios } from "./scenarios.ts";

const play = player();

describe.each(["scenarios", "swallowed", "rows"].map((name) => `test/scenarios/${name}.yaml`))(
  "the scenarios of %s",
  (path) => {
    const file = readScenarios(path);
    it.each(file.scenarios)("$id makes exactly its mails: $title", async (scenario) => {
      const mails = mailsOf(await play(scenario, file), scenario, file);
      expect(differences(scenario.mails, mails)).toEqual([]);
    });
  },
);

describe("npm run scenarios", () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-scenarios-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (...words: string[]): Promise<{ status: number; text: string }> =>
    new Promise((done) =>
      execFile(process.execPath, ["test/scenarios/scenarios.ts", ...words], (error, stdout, stderr) =>
        done({ status: Number(error?.code ?? 0), text: stdout + stderr }),
      ),
    );
  const write = (name: string, change: (text: string) => string) => {
    const head = readFileSync("test/scenarios/scenarios.yaml", "utf8").replace(/\n *- id: S02[\s\S]*/, "\n");
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

  it.each(["constructor", "__proto__", "0"])("takes a recipient named %s as any other", async (name) => {
    const file = readScenarios(write("named.yaml", (text) => text.replaceAll("alice", name)));
    const [scenario] = file.scenarios;
    if (!scenario) throw new Error("the file has no scenario");
    const mails = mailsOf(await play(scenario, file), scenario, file);
    expect(Object.keys(mails)).toContain(name);
    expect(differences(scenario.mails, mails)).toEqual([]);
  });

  it("fails when an expectation is altered, and shows the difference", async () => {
    const altered = write("altered.yaml", (text) => text.replace("RECOVERY/OK@900.1", "RECOVERY/OK@901"));
    const { status, text } = await run(altered);
    expect(status).toBe(1);
    expect(text).toContain("alice: expected PROBLEM/CRITICAL@0, RECOVERY/OK@901");
    expect(text).toContain("got PROBLEM/CRITICAL@0, RECOVERY/OK@900.1");
  });

  it("prints the mails of each scenario as JSON, with the text that their readers have", async () => {
    const scenario = write("json.yaml", (text) =>
      text.replace("{t: 0, to: alice", "{t: 0, out: it burns, to: alice"),
    );
    const { status, text } = await run("--json", scenario);
    expect(status).toBe(0);
    const [{ id, pass, mails }] = JSON.parse(text);
    expect({ id, pass }).toEqual({ id: "S01", pass: true });
    expect(mails[0]).toEqual({
      t: 0,
      to: "alice",
      kind: "PROBLEM",
      state: "CRITICAL",
      object: "web1/http",
      row: "R1",
      thread: expect.any(String),
      output: "it burns",
    });
    expect(mails.map(({ to }: { to: string }) => to)).toEqual(["alice", "bob", "bob", "alice"]);
    expect(new Set(mails.map(({ thread }: { thread: string }) => thread)).size).toBe(1);
  });

  it("says how it is used, and what it cannot read", async () => {
    expect(await run()).toMatchObject({
      status: 2,
      text: expect.stringContaining("usage: npm run scenarios"),
    });
    expect(await run("--yaml", "test/scenarios/scenarios.yaml")).toMatchObject({
      status: 2,
      text: expect.stringContaining("There is no option --yaml."),
    });
    expect(await run(join(folder, "none.yaml"))).toMatchObject({
      status: 3,
      text: expect.stringContaining("ENOENT"),
    });
  });
});

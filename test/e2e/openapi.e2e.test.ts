import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { installed } from "../world/judges.ts";

const state = mkdtempSync(join(tmpdir(), "hardstate-openapi-"));
let bridge: ChildProcess;
let output = "";
let url = "";
let token = "";
beforeAll(async () => {
  // A trial takes mail for anybody, so that what is generated comes to the relay.
  bridge = spawn(process.execPath, ["functions/runtime/node.ts"], {
    env: { PATH: process.env.PATH, HARDSTATE_STATE: state, HARDSTATE_PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise<void>((listening, failed) => {
    bridge.once("close", (code) => failed(new Error(`the bridge ended with ${code}`)));
    bridge.stdout?.on("data", (chunk) => {
      output += chunk;
      if (output.includes('"started"')) listening();
    });
  });
  url = /"url":"([^"]+)"/.exec(output)?.[1] ?? "";
  token = readFileSync(join(state, "token"), "utf8").trim();
});
afterAll(async () => {
  const ended = new Promise((end) => bridge.once("close", end));
  bridge.kill("SIGKILL");
  await ended;
  rmSync(state, { recursive: true });
});

/** The output of Schemathesis about the bridge, and its exit status. */
const fuzz = (): Promise<[number, string]> =>
  new Promise((done) => {
    const words = ["--config-file", ".ci/schemathesis.toml", "run", `${url}/openapi.json`];
    words.push("--header", `Authorization: Bearer ${token}`, "--checks", "all", "--max-examples", "40");
    words.push("--seed", "1", "--continue-on-failure", "--generation-database", "none");
    execFile(installed("SCHEMATHESIS", "Schemathesis"), words, { maxBuffer: 1e8 }, (error, stdout, stderr) =>
      done([error ? Number(error.code) || 1 : 0, stdout + stderr]),
    );
  });

it("a running bridge gives no 5xx and no answer that openapi.json does not tell, whatever it is sent", async () => {
  const [status, said] = await fuzz();
  expect(said).toContain("No issues found");
  expect(status).toBe(0);
  expect(Number(/Operations: +(\d+) selected/.exec(said)?.[1])).toBeGreaterThan(10);
  expect(output).toContain('"event":"accepted"');
  expect(output).not.toMatch(/"event":"(failed|unavailable)"/);
});

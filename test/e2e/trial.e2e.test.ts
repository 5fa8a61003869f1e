import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { until } from "../world/lab.ts";

const run = promisify(execFile);
const page = readFileSync("docs/install/trial.md", "utf8");

/** The parts that differ from run to run. */
const constant = (text: string): string =>
  text
    .replace(/\d\d:\d\d:\d\d /g, "TIME ")
    .replace(/\d{4}-\d\d-\d\d TIME/g, "DATE TIME")
    .replace(/at \d{1,2} \w+ \d{4}, \d\d:\d\d UTC/g, "at DATE UTC")
    .replace(/\d{8}T\d{6}-\d{3}Z/g, "DATE")
    .replace(/\b[0-9a-f]{32}\b/g, "ID")
    .replace(/(localhost|127\.0\.0\.1):\d+/g, "$1:PORT")
    .replace(/in \d+\.\d s/g, "in SECONDS s");
/** The text that the page shows after one command line. */
const shown = (command: string): string[] => {
  const [, ...lines] = page.slice(page.indexOf(`    $ ${command}`)).split("\n");
  const end = lines.findIndex((line) => !line.startsWith("    "));
  return lines.slice(0, end).map((line) => constant(line.trim()));
};

it("the trial is as docs/install/trial.md records it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-trial-"));
  const environment = { PATH: process.env.PATH, HARDSTATE_PORT: "0" };
  const program = `stty cols 250; exec ${process.execPath} ${resolve("functions/runtime/node.ts")}`;
  // A terminal, for there it speaks to people.
  const bridge = spawn("script", ["-qfec", program, "/dev/null"], {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  bridge.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const lines = () =>
    output
      .split("\r\n")
      .filter((line) => /^\d\d:\d\d:\d\d /.test(line))
      .map(constant);
  try {
    await until("it listens", 60, async () => lines().length > 0);
    const [, command = ""] = /^ {2}(curl .*)$/m.exec(output.replaceAll("\r", "")) ?? [];
    expect(page).toContain(command.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:8787"));
    let answer = "";
    const post = async (type: string, state: string, count: number) => {
      const changed = command.replace("PROBLEM", type).replace("CRITICAL", state);
      ({ stdout: answer } = await run("sh", ["-c", changed], { cwd: folder, env: environment }));
      await until(`${count} lines`, 60, async () => lines().length >= count);
    };
    await post("PROBLEM", "CRITICAL", 4);
    await run("sleep", ["1.1"]);
    await post("PROBLEM", "CRITICAL", 6);
    await post("RECOVERY", "OK", 9);
    expect(lines()).toEqual(shown("npm start"));
    const [, id = ""] = /"id":"(\w+)"/.exec(answer) ?? [];
    const [, url = ""] = /(http:\/\/127\.0\.0\.1:\d+)/.exec(command) ?? [];
    const words = [resolve("scripts/hardstate/hardstate.ts"), "explain", id, "--url", url];
    const { stdout } = await run(process.execPath, words, { cwd: folder, env: environment });
    expect(stdout.trim().split("\n").map(constant)).toEqual(shown("npm run -s hardstate -- explain"));
  } finally {
    const ended = new Promise((done) => bridge.once("close", done));
    bridge.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
});

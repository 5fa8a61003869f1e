import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

const own = "node_modules/.bin/node";
/** The machine's PATH, without the folders that `npm run` puts before it. */
const machinePath = (process.env.PATH ?? "")
  .split(delimiter)
  .filter((folder) => !/node_modules|node-gyp-bin/.test(folder));

let work: string;
let folder: string;
let bridge: ChildProcess | undefined;
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "hardstate-install-"));
});
afterAll(() => rmSync(work, { recursive: true }));
beforeEach(() => {
  folder = mkdtempSync(join(work, "copy-"));
  const archive = execFileSync("git", ["archive", "HEAD"], { maxBuffer: 256 * 1024 * 1024 });
  execFileSync("tar", ["-x", "-C", folder], { input: archive });
});
afterEach(async () => {
  if (!bridge?.pid || bridge.exitCode !== null) return;
  const ended = new Promise((resolve) => bridge?.once("close", resolve));
  process.kill(-bridge.pid, "SIGTERM");
  await ended;
  bridge = undefined;
});

const environment = (path: string[]) => ({
  PATH: path.join(delimiter),
  HOME: process.env.HOME,
  HARDSTATE_STATE: join(folder, "state"),
  HARDSTATE_PORT: "0",
});
const npm = (path: string[], ...words: string[]) =>
  spawnSync("npm", words, { cwd: folder, env: environment(path), encoding: "utf8" });

/** A folder for PATH whose `node` is this test's Node, which says that it is of another version if one is given. */
const nodeOf = (version?: string): string => {
  const bin = mkdtempSync(join(work, "bin-"));
  if (!version) symlinkSync(process.execPath, join(bin, "node"));
  else {
    const preload = join(bin, "version.cjs");
    writeFileSync(
      preload,
      `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } });`,
    );
    const program = `#!/bin/sh\nexec "${process.execPath}" --require "${preload}" "$@"\n`;
    writeFileSync(join(bin, "node"), program, { mode: 0o755 });
  }
  return bin;
};

/** An installation as it is on a platform for which the lock file has no Node. */
const installWithoutNode = () => {
  expect(npm(machinePath, "ci", "--omit=dev", "--no-audit")).toMatchObject({ status: 0, stderr: "" });
  const installed = readdirSync(join(folder, "node_modules")).filter((name) =>
    name.startsWith("node-linux-"),
  );
  expect(installed).toHaveLength(1);
  for (const name of installed) rmSync(join(folder, "node_modules", name), { recursive: true });
};

/** Starts the bridge by `npm start` and returns the status of its health check. */
const startedHealth = async (path: string[]): Promise<number> => {
  mkdirSync(join(folder, "state"));
  const child = spawn("npm", ["start"], {
    cwd: folder,
    env: environment(path),
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  bridge = child;
  const url = await new Promise<string>((resolve, reject) => {
    let output = "";
    const read = (chunk: Buffer) => {
      output += chunk;
      const [, listening] = /"started","url":"([^"]+)"/.exec(output) ?? [];
      if (listening) resolve(listening);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("close", () => reject(new Error(`npm start ended: ${output}`)));
  });
  return (await fetch(`${url}/healthz`)).status;
};

describe("a copy of the repository", () => {
  it("installed without development packages has no test tool, and starts without a warning from npm", async () => {
    const installed = npm(machinePath, "ci", "--omit=dev", "--no-audit");
    expect(installed).toMatchObject({ status: 0, stderr: "" });
    const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
    const development = Object.keys(packages).filter((path) => packages[path].dev);
    expect(development).toContain("node_modules/vitest");
    expect(development.filter((path) => existsSync(join(folder, path)))).toEqual([]);
    expect(existsSync(join(folder, own))).toBe(true);
    expect(await startedHealth(machinePath)).toBe(200);
  });

  it("starts with the machine's Node 24 where npm installs no Node", async () => {
    const path = [nodeOf(), ...machinePath];
    installWithoutNode();
    expect(await startedHealth(path)).toBe(200);
  });

  it("says what to do where npm installs no Node and the machine's is old", () => {
    const path = [nodeOf("20.20.2"), ...machinePath];
    installWithoutNode();
    const started = npm(path, "start");
    expect(started.stderr).toMatch(
      /^Hardstate needs Node 24 or later, but this is Node 20\.20\.2\. .*--omit=optional.*\n$/,
    );
    expect(started.status).toBe(1);
  });
});

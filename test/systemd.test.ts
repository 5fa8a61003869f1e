import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { settings } from "../functions/config.ts";
import { bridgeWords } from "./world/lab.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-systemd-"));
afterAll(() => rmSync(folder, { recursive: true }));
const unit = readFileSync("scripts/systemd/hardstate.service", "utf8");
const example = readFileSync("scripts/systemd/hardstate.env", "utf8");
const valuesOf = (name: string) =>
  [...unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, value = ""]) => value);
/** The settings of the unit itself, as systemd would give them with these credentials. */
const environmentOf = (credentials: string): Record<string, string> =>
  Object.fromEntries(
    valuesOf("Environment")
      .flatMap((line) => line.split(" "))
      .map((pair) => /^(\w+)=(.*)$/.exec(pair.replace("%d", credentials))?.slice(1) as [string, string]),
  );
/** The example's lines; a `#` right before a name is a setting that is not made. */
const lines = [...example.matchAll(/^(#?)(HARDSTATE_\w+)="(.*)"$/gm)].map(
  ([, mark, name = "", value = ""]) => ({ made: mark === "", name, value }),
);

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;

describe("hardstate.service", () => {
  it("starts what npm start does, with the same options", () => {
    const [start = ""] = valuesOf("ExecStart");
    const words = start.split(" ").map((word) => word.replace("/opt/hardstate", resolve(".")));
    expect(existsSync(words[0] ?? ""), words[0]).toBe(true);
    expect(words.slice(1)).toEqual(bridgeWords.with(-1, resolve(bridgeWords.at(-1) ?? "")));
  });

  it.skipIf(!hasSystemd)("is a unit that systemd finds nothing wrong with", () => {
    const path = join(folder, "hardstate.service");
    const verify = (text: string) => {
      writeFileSync(path, text.replaceAll("/opt/hardstate", resolve(".")));
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", path], { encoding: "utf8" });
      return { status, said: stderr.split("\n").filter((line) => line.includes("hardstate.service")) };
    };
    expect(verify(unit)).toEqual({ status: 0, said: [] });
    expect(verify(unit.replace("ProtectSystem=strict", "ProtectSystm=strict")).said).not.toEqual([]);
  });

  it("waits longer for its end than the bridge takes", () => {
    const node = readFileSync("functions/runtime/node.ts", "utf8");
    const seconds = Number(/stopWithinMilliseconds = ([\d_]+)/.exec(node)?.[1]?.replaceAll("_", "")) / 1000;
    expect(seconds).toBeGreaterThan(0);
    expect(Number(valuesOf("TimeoutStopSec")[0])).toBeGreaterThan(seconds);
  });

  it("keeps its state and its cache where systemd lets it write", () => {
    const { HARDSTATE_STATE, NODE_COMPILE_CACHE } = environmentOf("/c");
    expect(HARDSTATE_STATE).toBe(`/var/lib/${valuesOf("StateDirectory")[0]}`);
    expect(NODE_COMPILE_CACHE).toBe(`/var/cache/${valuesOf("CacheDirectory")[0]}`);
  });

  it("starts with the example's settings and two secrets", () => {
    const secrets = {
      tokens: `site1=${"t".repeat(48)}\n`,
      relays: "smtp://user:password@relay.example.com:587\n",
    };
    for (const [name, value] of Object.entries(secrets)) writeFileSync(join(folder, name), value);
    for (const credential of valuesOf("LoadCredential"))
      expect(Object.keys(secrets)).toContain(credential.split(":")[0]);
    const check = (more: Record<string, string> = {}) =>
      spawnSync(process.execPath, ["scripts/hardstate/hardstate.ts", "check"], {
        encoding: "utf8",
        env: {
          ...environmentOf(folder),
          NODE_COMPILE_CACHE: join(folder, "cache"),
          ...Object.fromEntries(lines.filter(({ made }) => made).map(({ name, value }) => [name, value])),
          ...more,
        },
      });
    expect(check()).toMatchObject({ status: 0, stderr: "" });
    // Those that are not made are right as well, were they made.
    const ca = join(folder, "ca.pem");
    writeFileSync(ca, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    const all = Object.fromEntries(
      lines.map(({ name, value }) => [name, name.endsWith("CA_FILE") ? ca : value]),
    );
    expect(check(all)).toMatchObject({ status: 0 });
    expect(check({ HARDSTATE_RECIPENTS: "example.com" })).toMatchObject({ status: 1 });
  });
});

describe("hardstate.env", () => {
  it("names only settings that there are, and no secret", () => {
    expect(lines.length).toBeGreaterThan(5);
    for (const { name } of lines) {
      const setting = settings.find((known) => known.name === name.replace(/_FILE$/, ""));
      expect(setting, name).toMatchObject({ secret: false });
    }
  });

  it("is whole: every required setting is in it, or a credential of the unit", () => {
    const given = [
      ...lines.filter(({ made }) => made).map(({ name }) => name),
      ...Object.keys(environmentOf("/c")).map((name) => name.replace(/_FILE$/, "")),
    ];
    for (const { name } of settings.filter(({ required }) => required)) expect(given).toContain(name);
  });

  it("says the same to a shell as to systemd", () => {
    const env = join(folder, "hardstate.env");
    writeFileSync(env, example);
    const out = execFileSync("sh", ["-c", `set -a; . ${env}; env`], { encoding: "utf8", env: {} });
    for (const { name, value } of lines.filter(({ made }) => made))
      expect(out).toContain(`${name}=${value}\n`);
  });
});

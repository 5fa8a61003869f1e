import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { describe, expect, it } from "vitest";
import { readSettings, settings } from "../functions/config.ts";
import { prometheus } from "../functions/report/prometheus.ts";

const readme = readFileSync("README.md", "utf8");

describe("README", () => {
  it("lists the settings that there are, as they are", () => {
    const rows = readme
      .split("\n")
      .filter((line) => line.startsWith("| `HARDSTATE_"))
      .map((line) => {
        const [, setting = "", , fallback = ""] = line.split("|").map((cell) => cell.trim());
        const [, name = "", marks = ""] = /^`(\w+)`(?: \((.*)\))?$/.exec(setting) ?? [];
        return {
          name,
          secret: marks.includes("secret"),
          required: marks.includes("required"),
          fallback: /^`(.*)`$/.exec(fallback)?.[1],
        };
      });
    expect(rows).toEqual(settings.map((setting) => ({ fallback: undefined, ...setting })));
  });

  it("lists the numbers that there are for Prometheus, and no other", async () => {
    const { scrape } = prometheus({
      queue: { depth: async () => ({ waiting: 0, handedOut: 0 }), deadLetterCount: async () => 0 },
      ledger: { routes: async () => [], heartbeats: async () => [] },
      routes: [],
      clock: () => 0,
    });
    const names = [...(await scrape("site")).text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    const listed = readme.split("\n").filter((line) => line.startsWith("| `hardstate_"));
    const told = listed.flatMap((line) => line.split("|")[1]?.match(/hardstate_\w+/g) ?? []);
    expect(told.toSorted()).toEqual(names.toSorted());
  });

  it("has a heading for each link into itself", () => {
    const headings = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_ -]/gu, "")
        .replaceAll(" ", "-"),
    );
    for (const [, anchor] of readme.matchAll(/\]\(#([^)]*)\)/g)) expect(headings).toContain(anchor);
  });

  it("makes settings of its own lines that are valid, as a file for Node", () => {
    const [, lines = ""] = /cat > hardstate\.env <<END\n(.*?)\n {4}END\n/s.exec(readme) ?? [];
    const file = lines.replace(/^ {4}/gm, "").replace("$(openssl rand -hex 24)", "0".repeat(48));
    expect(readSettings(parseEnv(file))).toMatchObject({ ok: true });
  });

  it("names only npm scripts and files that exist", () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
    for (const [, name = ""] of readme.matchAll(/npm run ([a-z0-9:][a-z0-9:-]*)/g))
      expect(Object.keys(scripts)).toContain(name);
    for (const [path = ""] of readme.matchAll(/(scripts|functions)\/[\w./-]*\w/g))
      expect(() => readFileSync(path)).not.toThrow("ENOENT");
  });
});

describe("SECURITY", () => {
  it("names a test for each thing that holds, and settings and files that there are", () => {
    const security = readFileSync("SECURITY.md", "utf8");
    const [, holds = ""] = /## What holds, and the test of it\n\n([^#]*)/.exec(security) ?? [];
    const rows = holds
      .split("\n")
      .filter((line) => line.startsWith("| "))
      .slice(2);
    expect(rows.length).toBeGreaterThan(5);
    for (const row of rows) expect(row).toMatch(/`test\/\S+\.test\.ts`/);
    for (const [path = ""] of security.matchAll(/(test|scripts|functions)\/[\w./-]*\w/g))
      expect(() => readFileSync(path)).not.toThrow("ENOENT");
    const names = settings.map(({ name }) => name);
    for (const [, name = ""] of security.matchAll(/`(HARDSTATE_\w+?)(_FILE)?`/g))
      expect(names).toContain(name);
  });
});

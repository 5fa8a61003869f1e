import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { settings } from "../functions/config.ts";

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

  it("names only npm scripts and files that exist", () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
    for (const [, name = ""] of readme.matchAll(/npm run ([a-z0-9:]+)/g))
      expect(Object.keys(scripts)).toContain(name);
    for (const [path = ""] of readme.matchAll(/(scripts|functions)\/[\w./-]*\w/g))
      expect(() => readFileSync(path)).not.toThrow("ENOENT");
  });
});

import { execFile, execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { plants as fuzz } from "./deliver/smtp-fuzz/plants.ts";
import { plants as oracle } from "./oracle/plants.ts";
import { type Plant, plants as simulation } from "./simulation/plants.ts";

const house = mkdtempSync(join(tmpdir(), "hardstate-house-"));
for (const name of ["biome.json", ".biome", ".gitignore"])
  cpSync(name, join(house, name), { recursive: true });
afterAll(() => rmSync(house, { recursive: true }));

/** The findings of Biome in a file with this text at this place in the house. */
const lint = (path: string, text: string): Promise<string> => {
  mkdirSync(dirname(join(house, path)), { recursive: true });
  writeFileSync(join(house, path), text);
  return new Promise((done) =>
    execFile(resolve("node_modules/.bin/biome"), ["lint", path], { cwd: house }, (_, stdout, stderr) =>
      done(stdout + stderr),
    ),
  );
};

describe("a pure file", () => {
  it.each([
    ["a clock", "export const x = Date.now();", "takes the time as an argument"],
    ["randomness", "export const x = Math.random();", "takes its randomness as an argument"],
    ["crypto", "export const x = crypto.randomUUID();", "takes its randomness as an argument"],
    ["the environment", "export const x = process.env.HOME;", "Only runtime/ knows the environment"],
    ["the network", 'export const x = fetch("/");', "Only a file named for an outside system"],
    ["the console", 'console.log("x");', "Only report/log.ts writes"],
    [
      "an adapter",
      'import { sqliteQueue } from "../queue/sqlite.ts"; export const x = sqliteQueue;',
      "imports no adapter",
    ],
    ["61 lines", `export const x = () => {\n${"  f();\n".repeat(61)}};`, "too many lines"],
    ["Node", 'import { readFileSync } from "node:fs"; export const x = readFileSync;', "imports no adapter"],
    [
      "random bytes",
      'import { randomBytes } from "node:crypto"; export const x = randomBytes(8);',
      "takes its randomness as an argument",
    ],
  ])("that has %s is a lint error", async (_, text, words) => {
    expect(await lint("functions/decide/verdict.ts", `${text}\n`)).toContain(words);
  });

  it("that has none of it is not", async () => {
    expect(
      await lint("functions/decide/verdict.ts", "export const x = (now: number) => Math.max(now, 0);\n"),
    ).not.toContain("×");
  });
});

/** The rooms of functions/, from the ground up. The first is the vocabulary: files beside the rooms. */
const rooms = [
  "",
  "queue",
  "deliver",
  "decide",
  "ledger",
  "compose",
  "report",
  "operator",
  "pipeline",
  "config.ts",
  "api",
  "intake",
  "console",
  "runtime",
];
const roomOf = (path: string): string => {
  const [, room = "", inside] = relative(".", path).split("/");
  return inside === undefined && room !== "config.ts" ? "" : room;
};

/** The imports of a file that point to a room further down the list, or out of functions/. */
const wrongImports = (path: string, text: string): string[] =>
  [...text.matchAll(/(?:\bfrom|\bimport)[\s(]*"(\.[^"]+)"/g)]
    .map(([, name = ""]) => join(dirname(path), name))
    .filter((target) => {
      const [from, to] = [path, target].map((file) => rooms.indexOf(roomOf(file)));
      return (
        !target.startsWith("functions/") || to === undefined || from === undefined || to < 0 || to > from
      );
    });

describe("a room of functions/", () => {
  const files = readdirSync("functions", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => join("functions", file));

  it("imports only from rooms above it, types too", () => {
    const wrong = files.flatMap((file) =>
      wrongImports(file, readFileSync(file, "utf8")).map((target) => `${file} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it.each([
    ["a room below it", 'import { sweep } from "../pipeline/sweep.ts";', ["functions/pipeline/sweep.ts"]],
    [
      "a type of a room below it",
      'import type { Page } from "../ledger/ledger.ts";',
      ["functions/ledger/ledger.ts"],
    ],
    ["a module at run time", 'await import("../runtime/node.ts")', ["functions/runtime/node.ts"]],
    ["something outside", 'import "../../scripts/build.ts";', ["scripts/build.ts"]],
    ["its own room and the vocabulary", 'import "./smtp.ts"; import "../alert.ts";', []],
  ])("that imports %s is found, or not", (_, text, found) => {
    expect(wrongImports("functions/deliver/ses.ts", text)).toEqual(found);
  });
});

describe("the repository", () => {
  it("has the rooms of the house and their settings at its top, and nothing that a tool left there", () => {
    const files = execFileSync("git", ["ls-files", "-z"], { encoding: "utf8" }).split("\0").filter(Boolean);
    const top = [...new Set(files.map((file) => file.split("/")[0]))].sort();
    const rooms = ["docs", "functions", "infra", "scripts", "test"];
    const words = ["CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"];
    const settings = [
      "biome.json",
      "package-lock.json",
      "package.json",
      "tsconfig.json",
      "vitest.config.ts",
      "wrangler.toml",
    ];
    const hidden = [
      ".biome",
      ".ci",
      ".editorconfig",
      ".gitattributes",
      ".github",
      ".gitignore",
      ".npmrc",
      ".nvmrc",
    ];
    expect(top).toEqual([...rooms, ...words, ...settings, ...hidden].sort());
  });
});

describe("a path that a file cites", () => {
  const files = execFileSync("git", ["ls-files", "*.ts", "*.md", "*.yaml", "scripts", ".ci"], {
    encoding: "utf8",
  })
    .split("\n")
    .filter((file) => file !== "" && !file.startsWith("test/corpus"));

  it("is in the repository: documents, and their sections", () => {
    const missing = files.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/(?<![\w./-])(docs\/[\w/-]+\.md)(?: §([\d.]*\d))?/g)]
        .filter(([, path = "", section]) => {
          if (!existsSync(path)) return true;
          return section !== undefined && !readFileSync(path, "utf8").includes(`# ${section} `);
        })
        .map(([citation]) => `${file}: ${citation}`),
    );
    expect(missing).toEqual([]);
  });

  it("is named with its folder", () => {
    const bare = files.filter((file) =>
      / (nagios|design|ledger|threats|house)\.md|\bdesign §/.test(readFileSync(file, "utf8")),
    );
    expect(bare.filter((file) => file !== "test/house.test.ts")).toEqual([]);
  });
});

describe("a planted fault", () => {
  it.each(
    Object.entries({ simulation, oracle, fuzz }).flatMap(([judge, plants]) =>
      Object.entries(plants).map(([name, plant]): [string, string, Plant] => [judge, name, plant]),
    ),
  )("of the %s, %s, changes one place of the code", (_, __, { file, text }) => {
    expect(readFileSync(file, "utf8").split(text)).toHaveLength(2);
  });
});

it("no function of functions/ has more than 60 lines, but for at most ten that say why", () => {
  const why = /\/\/ biome-ignore lint\/complexity\/noExcessiveLinesPerFunction: (.{15,})/g;
  const files = readdirSync("functions", { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  const exceptions = files.flatMap((file) => [
    ...readFileSync(join("functions", file), "utf8").matchAll(why),
  ]);
  expect(exceptions.length).toBeLessThanOrEqual(10);
});

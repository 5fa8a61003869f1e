import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseEnv } from "node:util";
import { describe, expect, it } from "vitest";
import { readSettings, settings } from "../functions/config.ts";
import { prometheus } from "../functions/report/prometheus.ts";

const read = (path: string) => readFileSync(path, "utf8");
const docs = readdirSync("docs", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".md"))
  .map((name) => join("docs", name));
const rooms = ["lab", "oracle", "simulation"].map((room) => `test/${room}/README.md`);
const pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "infra/README.md", ...rooms, ...docs];

/** The anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (path: string): string[] =>
  [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-"),
  );

it("README has at most 200 lines, none of more than 120 characters", () => {
  const lines = read("README.md").split("\n");
  expect(lines.length).toBeLessThanOrEqual(200);
  expect(lines.filter((line) => line.length > 120)).toEqual([]);
});

describe.each(pages)("%s", (path) => {
  const text = read(path);

  it("links to pages, headings and pictures that exist", () => {
    const broken = [...text.matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)].flatMap(
      ([link, file, anchor]) => {
        const target = file ? join(dirname(path), file) : path;
        if (!existsSync(target)) return [link];
        return anchor && !anchorsOf(target).includes(anchor) ? [link] : [];
      },
    );
    expect(broken).toEqual([]);
    for (const [, file = ""] of text.matchAll(/ (?:src|srcset)="([^"]*)"/g))
      expect([file, existsSync(join(dirname(path), file))]).toEqual([file, true]);
  });

  it("names only npm scripts and files that exist", () => {
    const { scripts } = JSON.parse(read("package.json"));
    for (const [, name = ""] of text.matchAll(/npm run (?:-s )?([a-z0-9:][a-z0-9:-]*)/g))
      expect(Object.keys(scripts)).toContain(name);
    for (const [name = ""] of text.matchAll(/(?<![\w./-])(scripts|functions|test|infra)\/[\w./-]*\w/g))
      if (!name.startsWith("infra/cdk") && !name.startsWith("infra/node_modules"))
        expect([name, existsSync(name)]).toEqual([name, true]);
  });

  it("has no paragraph in the cell of a table", () => {
    const cells = text.split("\n").flatMap((line) => (line.startsWith("|") ? line.split("|") : []));
    expect(cells.map((cell) => cell.trim()).filter((cell) => cell.length > 120)).toEqual([]);
  });
});

describe("docs/settings.md", () => {
  it("has a heading for each setting, in their order, with what is required, secret, and the default", () => {
    const sections = read("docs/settings.md").split(/^## /m).slice(1);
    expect(
      sections.map((section) => {
        const [name = "", , text = ""] = section.split("\n");
        return {
          name,
          secret: /^(Required, secret|Secret)\./.test(text),
          required: text.startsWith("Required"),
          fallback: /Default: `([^`]*)`/.exec(text)?.[1],
        };
      }),
    ).toEqual(settings.map((setting) => ({ fallback: undefined, ...setting })));
  });
});

it("docs/architecture.md names files that there are, and functions that are in them", () => {
  const page = read("docs/architecture.md");
  const pathOf = (name: string) => (name.startsWith("scripts/") ? name : join("functions", name));
  for (const [, name = ""] of page.matchAll(/`([a-z-]+\/[a-z-]+\.ts)`/g))
    expect(existsSync(pathOf(name))).toBe(true);
  const named = [...page.matchAll(/`(\w+)`\s+in\s+`([\w/.-]+)`/g)];
  expect(named.length).toBeGreaterThan(20);
  const missing = named.filter(
    ([, what, file = ""]) => !new RegExp(`\\b${what}(\\(| = )`).test(read(pathOf(file))),
  );
  expect(missing.map(([words]) => words)).toEqual([]);
});

it.each(["README.md", "docs/install/one-machine.md"])(
  "%s shows settings that are valid, as a file for Node",
  (path) => {
    const [, lines = ""] = /cat > hardstate\.env <<END\n(.*?)\nEND\n/s.exec(read(path)) ?? [];
    expect(readSettings(parseEnv(lines.replace("$(openssl rand -hex 24)", "0".repeat(48))))).toMatchObject({
      ok: true,
    });
  },
);

it("docs/metrics.md lists the numbers that there are for Prometheus, and no other", async () => {
  const { scrape } = prometheus({
    queue: { depth: async () => ({ waiting: 0, handedOut: 0 }), deadLetterCount: async () => 0 },
    ledger: { routes: async () => [], heartbeats: async () => [] },
    routes: [],
    clock: () => 0,
  });
  const names = [...(await scrape("site")).text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  const listed = read("docs/metrics.md")
    .split("\n")
    .filter((line) => line.startsWith("| `hardstate_"));
  const told = listed.flatMap((line) => line.split("|")[1]?.match(/hardstate_\w+/g) ?? []);
  expect(told.toSorted()).toEqual(names.toSorted());
});

it("docs/commands.md lists the commands that there are", () => {
  const files = read("scripts/hardstate/hardstate.ts").matchAll(/^ {2}\["(\w+)", /gm);
  const listed = read("docs/commands.md").matchAll(/^\| `(\w+)/gm);
  expect([...listed].map(([, name]) => name).toSorted()).toEqual(
    [...files].map(([, name]) => name).toSorted(),
  );
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

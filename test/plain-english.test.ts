import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  faultsOf,
  findingsIn,
  sentencesOf,
  textsOfCode,
  textsOfMarkdown,
  textsOfTests,
} from "./plain-english.ts";

const filesOf = (...patterns: string[]): string[] =>
  execFileSync("git", ["ls-files", ...patterns], { encoding: "utf8" })
    .split("\n")
    .filter(Boolean);
const read = (path: string): string => readFileSync(path, "utf8");

describe("a sentence", () => {
  it.each([
    "Of a site its own, and those that are no alert.",
    "Who was told that a host is down is not told of its services.",
    "What is required elsewhere has its own file.",
    "That a route is open is told once an hour at most.",
    "It wants the plan Workers Paid.",
    "route X is of no use",
    "If it recovers meanwhile, nobody need know.",
    `${"word ".repeat(31)}end.`,
  ])("is found: %s", (sentence) => {
    expect(faultsOf(sentence)).toHaveLength(1);
  });

  it.each([
    "Oldest first. With `site`: that site's dead letters, and unreadable ones, which belong to no site.",
    "What becomes a mail?",
    "That route is down.",
    "Operators hear at most once an hour that a route is down.",
    `It holds \`${"many words ".repeat(40)}\`.`,
  ])("is good: %s", (text) => {
    expect(sentencesOf(text).flatMap(faultsOf)).toEqual([]);
  });

  it("is read from comments, texts in quotes, paragraphs, items and cells, and not from code", () => {
    const code =
      'const x = 1;\n/** Of no one.\n * It is good. */\nsay("Who cares is not said.");\n// What a comment.\n';
    expect(findingsIn(textsOfCode(code)).map(({ line }) => line)).toEqual([2, 5, 4]);
    const page =
      "# Who\n\nA good one.\nWhat a\nline.\n\n- Of an item.\n\n| a | Who cell. |\n\n```\nWhat code.\n```\n";
    expect(findingsIn(textsOfMarkdown(page)).map(({ line }) => line)).toEqual([3, 7, 9]);
  });
});

it("the names of tests are read with those around them", () => {
  const code = [
    'describe("a queue", () => {',
    '  it("of a site keeps its order", () => {',
    '  ])("wants %s", (one) => {',
    "});",
    'describe("what is no alert", () => {',
    '  it.each([1])("of %s is refused", () => {',
  ].join("\n");
  expect(textsOfTests(code).map(({ text }) => text)).toEqual([
    "A queue.",
    "A queue of a site keeps its order.",
    "A queue wants %s.",
    "What is no alert.",
    "What is no alert of %s is refused.",
  ]);
  expect(findingsIn(textsOfTests(code)).map(({ line }) => line)).toEqual([3, 5, 6]);
});

const pages = filesOf("*.md").filter((path) => !/^test\/(corpus|lab)/.test(path));
/** All code but this judge's own examples. */
const code = filesOf("functions/*.ts", "scripts/*.ts", "infra/*.ts", "test/*.ts").filter(
  (path) => !path.startsWith("test/plain-english"),
);

it.each(pages)("%s is plain English", (path) => {
  expect(findingsIn(textsOfMarkdown(read(path)))).toEqual([]);
});

it.each(code)("comments and messages of %s are plain English", (path) => {
  expect(findingsIn(textsOfCode(read(path)))).toEqual([]);
});

it.each(code.filter((path) => path.startsWith("test/")))("names of tests in %s are plain English", (path) => {
  expect(findingsIn(textsOfTests(read(path)))).toEqual([]);
});

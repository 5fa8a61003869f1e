import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OpenEpisode, StatusPage } from "../../functions/api/shapes.ts";
import { alertOf, deadLetterOf, rejectedOf, rejectedStoryOf } from "../../functions/api/views.ts";
import { deadLettersPage } from "../../functions/console/dead-letters.ts";
import { mostOnPage } from "../../functions/console/frame.ts";
import { journalPage, rejectionsPage } from "../../functions/console/journal.ts";
import { nowPage } from "../../functions/console/now.ts";
import { problemsPage } from "../../functions/console/problems.ts";
import { script } from "../../functions/console/script.ts";
import { rejectionPage, storyPage } from "../../functions/console/story.ts";
import { style } from "../../functions/console/style.ts";
import { type JournalRecord, newRecord } from "../../functions/ledger/journal.ts";
import type { Rejection } from "../../functions/ledger/rejection.ts";
import type { DeadLetter } from "../../functions/queue/queue.ts";
import { queuedAlert } from "../world/alerts.ts";

const now = Date.UTC(2026, 10, 25, 12, 30);
const reader = {
  session: { site: "s".repeat(64), endsAt: now + 1000, formToken: "f".repeat(64) },
  now,
};
const totals = { pending: 1, mailed: 2, suppressed: 3, digested: 4, refused: 5, dead: 6 };

/** Every page, full of items in which each foreign text is `text`. */
const pagesWith = (text: string): Record<string, () => string> => {
  const queued = queuedAlert({ id: "a".repeat(64), receivedAt: now - 5000, contact: text });
  const record: JournalRecord = {
    ...newRecord(queued),
    host: text,
    service: text,
    monitor: text,
    messageId: text,
    verdict: { at: now, action: "send", row: "R1", reason: text, kind: "PROBLEM" },
    ending: { at: now, as: "refused", reason: text },
    attempts: Array.from({ length: 60 }, () => ({
      at: now,
      route: "smtp://relay.example.com",
      outcome: {
        result: "refused",
        about: "recipient",
        step: "recipient",
        reply: text.slice(0, 500),
        durationMilliseconds: 1,
      },
    })),
  };
  const problem: OpenEpisode = {
    object: `${text}/${text}`,
    state: "CRITICAL",
    since: now,
    acknowledged: now,
    monitors: Array(9).fill(text),
    told: Array(9).fill({ contact: text, state: "CRITICAL", at: now }),
    waiting: Array(9).fill({ contact: text, row: "R16", due: now }),
    suppressed: 3,
  };
  const { alert } = queued;
  const letter: DeadLetter = {
    alert: { ...queued, alert: { ...alert, object: { host: text, service: text } } as typeof alert },
    reason: text,
    body: "",
    deadAt: now,
  };
  const status: StatusPage = {
    now,
    queue: { waiting: 1, in_flight: 1, oldest: now },
    dead_letters: 2,
    routes: [{ route: text, down: true, refused: true, since: now, reason: text, probe_at: now }],
    heartbeats: [{ monitor: text, last: now, silent: true }],
    last: { accepted: now, mailed: now },
    rejected: 2,
    wrong_tokens: { count: 3, last: now, monitor: text },
    bouncing: [{ contact: text, days: 3, last: now, reply: text }],
  };
  const rejection: Rejection = {
    id: "a".repeat(32),
    site: "site",
    revision: 1,
    object: text,
    contact: text,
    monitor: text,
    faults: [{ field: text, expected: text }],
    ids: ["a".repeat(64), "b".repeat(64)],
    first: now - 1000,
    last: now,
    hours: { 1: 2 },
    told: true,
  };
  const flow = { since: now, hours: [{ at: now - 1_800_000, accepted: 3, mailed: 2, suppressed: 1 }] };
  const full = <T>(item: T): T[] => Array(mostOnPage).fill(item);
  const search = { object: text.slice(0, 255), contact: text.slice(0, 254) };
  return {
    now: () => String(nowPage(reader, { status, totals, flow })),
    problems: () => String(problemsPage(reader, { problems: full(problem), next: "1.x" })),
    journal: () => String(journalPage(reader, search, { items: full(alertOf(record)), next: "1.x" })),
    rejections: () =>
      String(rejectionsPage(reader, search, { items: full(rejectedOf(rejection)), next: "1.x" })),
    rejection: () => String(rejectionPage(reader, rejectedStoryOf(rejection))),
    story: () => String(storyPage(reader, record)),
    "dead letters": () => String(deadLettersPage(reader, full(deadLetterOf(letter)), 0, 3)),
  };
};
const names = Object.keys(pagesWith("x"));
const pageWith = (name: string, text: string): string => pagesWith(text)[name]?.() ?? "";
const tagsOf = (html: string): string[] =>
  [...html.matchAll(/<(\/?[a-z][a-z0-9]*)/gi)].map(([, tag = ""]) => tag);

describe.each(names)("the page %s", (name) => {
  it.each([
    ["quotes", '"'.repeat(500)],
    ["emoji", "💥".repeat(500)],
    ["letters", "x".repeat(500)],
    ["words", "Füße über Österreich ".repeat(25)],
  ])("is under 40 KiB with its style and script when full of %s", (_, text) => {
    const bytes = [pageWith(name, text), style, script].map((part) => Buffer.byteLength(part));
    expect(bytes.reduce((a, b) => a + b)).toBeLessThan(40 * 1024);
  });

  it("shows marks that turn or break a line as marks", () => {
    const page = pageWith(name, "a\u202eb\u2066c\u200fd\ne\u0000f\u2028g");
    expect(page).toContain("a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg");
    expect(page.replace(/(href|value)="[^"]*"/g, "")).not.toMatch(/[\p{Bidi_C}\u2028]/u);
  });

  it("has the same elements whatever text is in it", () => {
    const few = (text: string) => tagsOf(pageWith(name, text)).filter((tag) => tag !== "a" && tag !== "/a");
    const expected = few("x");
    const pieces = fc.constantFrom(
      "<",
      ">",
      '"',
      "'",
      "&",
      "</",
      "<script>",
      "<!--",
      "]]>",
      "${",
      "\u0000",
      " on=",
      "é",
      "&lt;",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ minLength: 1 }),
          fc.array(pieces, { minLength: 1 }).map((all) => all.join("")),
        ),
        (text) => {
          expect(few(text)).toEqual(expected);
        },
      ),
      { numRuns: 50 },
    );
  });
});

it("names a contact whose mails come back, with the last reason", () => {
  const status: StatusPage = {
    now,
    queue: { waiting: 0, in_flight: 0, oldest: undefined },
    dead_letters: 0,
    routes: [],
    heartbeats: [],
    last: { accepted: now, mailed: now },
    rejected: 0,
    wrong_tokens: { count: 0 },
    bouncing: [
      { contact: "ops@example.net", days: 3, last: now, reply: "550 5.1.1 <gone>" },
      {
        contact: "dba@example.net",
        days: 1,
        last: now,
        reply: "550 5.1.1 <unknown>",
        refused: true as const,
      },
    ],
  };
  const text = String(nowPage(reader, { status, totals, flow: { since: now, hours: [] } }));
  expect(text).toContain("Mail is flowing, but …");
  expect(text).toContain(
    "Mail to ops@example.net came back on 3 days, the last time with: 550 5.1.1 &lt;gone&gt;.",
  );
  expect(text).toContain(
    "No relay accepts mail to dba@example.net. The last reply was: 550 5.1.1 &lt;unknown&gt;.",
  );
});

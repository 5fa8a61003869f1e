import { describe, expect, it } from "vitest";
import { asEmf } from "../../functions/report/emf.ts";
import type { Event } from "../../functions/report/event.ts";
import { asText } from "../../functions/report/log.ts";
import { type Sample, samplesOf } from "../../functions/report/metrics.ts";

const about = { id: "alert-0001", object: "web01/HTTP", contact: "ops@example.com" };
const reply = { route: "smtp://relay:587", code: 250 };
const ended = { ...about, event: "ended", row: "R1", reason: "250", seconds: 1.5 } as const;
const attempt = { ...about, event: "attempt-failed", row: "R1", route: "smtp://relay:587" } as const;
const deferred = { ...attempt, result: "deferred", step: "data", code: 451, reply: "451 later" } as const;

/** Each event that counts, and what it adds to which metric. */
const counted: [string, Event, Sample[]][] = [
  [
    "an alert that was taken",
    { ...about, event: "accepted", site: "s", type: "PROBLEM", state: "CRITICAL" },
    [{ name: "hardstate_accepted_total", value: 1, labels: { type: "PROBLEM" } }],
  ],
  [
    "a mail that was taken",
    { ...ended, ...reply, ending: "mailed" },
    [
      {
        name: "hardstate_mailed_total",
        value: 1,
        labels: { row: "R1", route: "smtp://relay:587", code: "250" },
      },
      { name: "hardstate_delivery_seconds", value: 1.5 },
    ],
  ],
  [
    "an alert that makes no mail",
    { ...ended, row: "R3", ending: "suppressed" },
    [{ name: "hardstate_suppressed_total", value: 1, labels: { row: "R3" } }],
  ],
  [
    "a recovery without a problem",
    { ...ended, row: "R26", ending: "suppressed" },
    [
      { name: "hardstate_suppressed_total", value: 1, labels: { row: "R26" } },
      { name: "hardstate_recoveries_without_problem_total", value: 1 },
    ],
  ],
  [
    "an alert that a digest tells of",
    { ...ended, ending: "digested" },
    [{ name: "hardstate_digested_total", value: 1, labels: { row: "R1" } }],
  ],
  [
    "a dead letter",
    { ...ended, ...reply, ending: "dead" },
    [{ name: "hardstate_dead_total", value: 1, labels: { row: "R1" } }],
  ],
  [
    "a mail that was refused, where it ended",
    { ...ended, ...reply, code: 550, ending: "refused" },
    [
      {
        name: "hardstate_refused_total",
        value: 1,
        labels: { row: "R1", route: "smtp://relay:587", code: "550" },
      },
    ],
  ],
  ["a refusal as an attempt", { ...deferred, result: "refused", code: 550 }, []],
  [
    "a mail that was deferred",
    deferred,
    [{ name: "hardstate_deferred_total", value: 1, labels: { route: "smtp://relay:587", code: "451" } }],
  ],
  [
    "an attempt without a reply",
    { ...deferred, code: undefined },
    [{ name: "hardstate_deferred_total", value: 1, labels: { route: "smtp://relay:587", code: "none" } }],
  ],
  [
    "a code that is none",
    { ...deferred, code: 70451 },
    [{ name: "hardstate_deferred_total", value: 1, labels: { route: "smtp://relay:587", code: "none" } }],
  ],
  [
    "refused credentials",
    { ...deferred, result: "unauthorised", step: "auth", code: 535 },
    [{ name: "hardstate_unauthorised_total", value: 1, labels: { route: "smtp://relay:587", code: "535" } }],
  ],
  ["a sweep", { event: "swept", due: 3 }, [{ name: "hardstate_sweeps_total", value: 1 }]],
  [
    "a sweep that found monitors silent",
    { event: "swept", due: 0, silent: 2, down: 0 },
    [
      { name: "hardstate_sweeps_total", value: 1 },
      { name: "hardstate_silent_monitors", value: 2 },
    ],
  ],
  [
    "a sweep that found a route open",
    { event: "swept", due: 0, silent: 0, down: 1 },
    [
      { name: "hardstate_sweeps_total", value: 1 },
      { name: "hardstate_route_down", value: 1 },
    ],
  ],
  [
    "a sweep that found none silent",
    { event: "swept", due: 0, silent: 0 },
    [{ name: "hardstate_sweeps_total", value: 1 }],
  ],
  ["an error", { event: "failed", during: "x", error: "y" }, [{ name: "hardstate_failed_total", value: 1 }]],
  ["what is no alert", { event: "unreadable", reason: "x" }, [{ name: "hardstate_failed_total", value: 1 }]],
  [
    "a 503",
    { event: "unavailable", what: "queue", error: "x" },
    [{ name: "hardstate_unavailable_total", value: 1, labels: { what: "queue" } }],
  ],
  [
    "a bounce",
    { event: "returned", id: "a", site: "s", contact: "ops@example.com", kind: "bounce", reply: "550" },
    [{ name: "hardstate_returned_total", value: 1, labels: { kind: "bounce" } }],
  ],
  [
    "a mail that is late, and may still arrive",
    { event: "returned", id: "a", site: "s", contact: "ops@example.com", kind: "delay", reply: "4.2.2" },
    [],
  ],
  [
    "alerts that were rejected",
    { event: "request-refused", status: 202, reason: "x", faults: [], site: "s", rejected: 3 },
    [{ name: "hardstate_rejected_total", value: 3 }],
  ],
  [
    "posts with a wrong token",
    { event: "request-refused", status: 401, reason: "x", faults: [], wrongTokens: 2 },
    [{ name: "hardstate_wrong_tokens_total", value: 2 }],
  ],
  [
    "a request that was refused and had no alert",
    { event: "request-refused", status: 400, reason: "x", faults: [], site: "s" },
    [],
  ],
  ["a probe", { event: "probed", status: 422, site: "s" }, []],
  ["anything else", { event: "stopped" }, []],
];

describe("an event", () => {
  it.each(counted)("counts %s", (_, event, samples) => {
    expect(samplesOf(event)).toEqual(samples);
  });

  it.each(counted)("has the same names in CloudWatch, without labels: %s", (_, event, samples) => {
    const line = JSON.parse(asEmf(event, 1_800_000_000_000));
    const directives = line._aws?.CloudWatchMetrics ?? [];
    expect(directives).toEqual(
      samples.length === 0
        ? []
        : [
            {
              Namespace: "Hardstate",
              Dimensions: [[]],
              Metrics: samples.map(({ name }) => ({
                Name: name,
                Unit: name.endsWith("_seconds") ? "Seconds" : "Count",
              })),
            },
          ],
    );
    for (const { name, value } of samples) expect(line[name]).toBe(value);
  });

  it("keeps its fields beside its metrics", () => {
    expect(JSON.parse(asEmf({ ...ended, ending: "mailed" }, 0))).toMatchObject({
      ...ended,
      at: "1970-01-01T00:00:00.000Z",
      ending: "mailed",
      _aws: { Timestamp: 0 },
    });
  });
});

describe("a line for a terminal", () => {
  it("is one, whatever a request says", () => {
    const field = "x\n23:54:24 mailed     web01\u2028web02\x1b[2J\u202emoc.live\r";
    const faults = [{ field, expected: "one of limit, before" }];
    const line = asText({ event: "request-refused", status: 400, reason: "No.", faults }, 0);
    expect(line).toBe(
      "00:00:00 refused    400 No. (x 23:54:24 mailed     web01 web02 [2J moc.live : one of limit, before)",
    );
  });

  it("says how many faults and ids it leaves out", () => {
    const refused = { event: "request-refused", status: 422, reason: "No.", site: "s" } as const;
    const faults = [{ field: "state", expected: "one of UP DOWN" }];
    expect(asText({ ...refused, faults, more: 12_199, ids: ["alert-0001"], moreIds: 99 }, 0)).toBe(
      "00:00:00 refused    422 No. (state: one of UP DOWN; 12199 more): alert-0001 and 99 more",
    );
    const unavailable = { event: "unavailable", what: "queue", error: "full" } as const;
    expect(asText({ ...unavailable, ids: ["a", "b"], moreIds: 1 }, 0)).toMatch(
      /queue: full: a b and 1 more$/,
    );
  });

  it("has more lines for an error's stack alone", () => {
    const error = "Error: x\x1b[2J\n    at work";
    const text = asText({ event: "failed", during: "a test", error }, 0);
    expect(text).toBe("00:00:00 error      a test: Error: x [2J\n    at work");
  });
});

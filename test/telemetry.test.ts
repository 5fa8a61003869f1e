import { describe, expect, it } from "vitest";
import { asEmf, type Event } from "../functions/telemetry.ts";

const about = { id: "alert-0001", object: "web01/HTTP", contact: "ops@example.com" };
const ended = { ...about, event: "ended", row: "R1", reason: "250", seconds: 1.5 } as const;
const attempt = { ...about, event: "attempt-failed", route: "smtp://relay", reply: "450" } as const;

/** The metrics that CloudWatch makes of a line, with their values and units. */
const metricsIn = (event: Event) => {
  const line = JSON.parse(asEmf(event, 1_800_000_000_000));
  const [directive] = line._aws?.CloudWatchMetrics ?? [];
  if (directive) expect(directive).toMatchObject({ Namespace: "Hardstate", Dimensions: [[]] });
  return Object.fromEntries(
    (directive?.Metrics ?? []).map(({ Name, Unit }: { Name: string; Unit: string }) => [
      Name,
      [line[Name], Unit],
    ]),
  );
};

describe("an event", () => {
  it.each<[string, Event, Record<string, unknown>]>([
    [
      "an alert that was taken",
      { ...about, event: "accepted", site: "s", type: "PROBLEM", state: "CRITICAL" },
      { accepted: [1, "Count"] },
    ],
    [
      "a mail that was taken",
      { ...ended, ending: "mailed" },
      { mailed: [1, "Count"], delivery_seconds: [1.5, "Seconds"] },
    ],
    ["an alert that makes no mail", { ...ended, ending: "suppressed" }, { suppressed: [1, "Count"] }],
    ["a dead letter", { ...ended, ending: "dead" }, { dead: [1, "Count"] }],
    ["a mail that was refused, by its ending alone", { ...attempt, result: "refused" }, {}],
    ["a mail that was deferred", { ...attempt, result: "deferred" }, { deferred: [1, "Count"] }],
    ["refused credentials", { ...attempt, result: "unauthorised" }, { unauthorised: [1, "Count"] }],
    ["a sweep", { event: "swept", due: 3 }, { sweeps: [1, "Count"] }],
    ["an error", { event: "failed", during: "x", error: "y" }, { failed: [1, "Count"] }],
    ["what is no alert", { event: "unreadable", reason: "x" }, { failed: [1, "Count"] }],
    ["a 503", { event: "unavailable", what: "queue", error: "x" }, { unavailable: [1, "Count"] }],
    [
      "a bounce",
      { event: "returned", id: "a", site: "s", contact: "ops@example.com", kind: "bounce", reply: "550" },
      { returned: [1, "Count"] },
    ],
    ["anything else", { event: "stopped" }, {}],
  ])("counts %s", (_, event, metrics) => {
    expect(metricsIn(event)).toEqual(metrics);
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

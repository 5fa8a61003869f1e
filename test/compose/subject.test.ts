import { describe, expect, it } from "vitest";
import { isSubjectPattern, subjectBy } from "../../functions/compose/subject.ts";
import { queuedAlert } from "../world/alerts.ts";

const patterns = [
  "[{type} {state}] {object}",
  "** {type} alert: {object} is {state} **",
  "{site}: {host} {service} {output}",
];

describe("a pattern", () => {
  it.each(patterns)("may be %s", (pattern) => {
    expect(isSubjectPattern(pattern)).toBe(true);
  });

  it.each([
    "",
    "{type}",
    "{object} is {state}",
    "{output} {object}",
    " {type} {object}",
    "{type} {Object}",
    "{type} {object",
    "{type} }{object}",
    "{type} {object} {}",
    "{type} {object}\r\nBcc: evil@example.com",
    "[Operator] {object}",
    `{type} {object} ${"x".repeat(190)}`,
  ])("may not be %j", (pattern) => {
    expect(isSubjectPattern(pattern)).toBe(false);
  });

  it.each(patterns)("%s leaves no brace and no line end for an alert of any kind", (pattern) => {
    for (const type of ["PROBLEM", "RECOVERY", "ACKNOWLEDGEMENT", "CUSTOM", "DOWNTIMESTART", "FLAPPINGSTOP"])
      for (const [object, state] of [
        [{ host: "web01" }, type === "RECOVERY" ? "UP" : "DOWN"],
        [{ host: "web01", service: "HTTP" }, type === "RECOVERY" ? "OK" : "CRITICAL"],
      ] as const) {
        const subject = subjectBy(pattern, queuedAlert({}, { type, object, state, output: "a\nb" }), type);
        expect(subject).toMatch(/^[^{}\r\n]*web01[^{}\r\n]*$/);
      }
  });
});

it("a field's own braces are text", () => {
  const hostile = queuedAlert({}, { object: { host: "{output}", service: "{site}" }, output: "{type}" });
  expect(subjectBy("{type} {object} {output}", hostile, "PROBLEM")).toBe("PROBLEM {output}/{site} {type}");
});

it("a subject is cut at 600 bytes", () => {
  const long = queuedAlert({}, { output: "ü".repeat(4000) });
  const subject = subjectBy("{type} {object} {output}", long, "PROBLEM");
  expect(Buffer.byteLength(subject)).toBeLessThanOrEqual(600);
  expect(subject).toMatch(/^PROBLEM web01\/HTTP ü+$/);
});

import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readReport } from "../../functions/intake/delivery-report.ts";

const folder = "test/intake/reports";
const samples = readdirSync(folder).map((file) => readFileSync(`${folder}/${file}`, "latin1"));

/** Whatever a report says, it is a line that can be shown, and names are names. */
const isSound = (mail: string) => {
  const report = readReport(mail, "nagios@example.com");
  for (const name of [...(report?.returned ?? []), ...(report?.sentTo ?? [])])
    expect(name).toMatch(/^[0-9a-f]{40}$/);
  for (const said of [report?.about("ops@example.net"), report?.about()]) {
    if (said) expect(said.reply).toMatch(/^\P{Cc}{0,500}$/u);
  }
};

describe("a report", () => {
  it("of any bytes is read without a fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
        isSound(Buffer.from(bytes).toString("latin1"));
        isSound(Buffer.from(bytes).toString());
      }),
      { numRuns: 3000 },
    );
  });

  it("of which bytes were changed, cut out or repeated is read without a fault", () => {
    const change = fc.record({
      mail: fc.constantFrom(...samples),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      cut: fc.nat(200),
      bytes: fc.oneof(
        fc.string({ maxLength: 50 }),
        fc.constantFrom("\n\n", "\r", "--", "\u0000", "Action: failed\n", "=", "=3D", ";", "<", '"'),
      ),
    });
    fc.assert(
      fc.property(change, ({ mail, at, cut, bytes }) => {
        const place = Math.floor(at * mail.length);
        isSound(mail.slice(0, place) + bytes + mail.slice(place + cut));
        isSound(mail.slice(0, place));
      }),
      { numRuns: 5000 },
    );
  });
});

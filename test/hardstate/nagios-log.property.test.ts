import fc from "fast-check";
import { expect, it } from "vitest";
import { parseAddress } from "../../functions/address.ts";
import { readPost } from "../../functions/intake/post.ts";
import { stampReader } from "../../scripts/hardstate/log-files.ts";
import { contactAddress, contactOf, readLogLine, toPost } from "../../scripts/hardstate/nagios-log.ts";

const name = fc.string({ unit: "binary", minLength: 1, maxLength: 40 });
const state = fc.constantFrom(
  "OK",
  "UP",
  "CRITICAL",
  "DOWN",
  "CUSTOM (OK)",
  "PROBLEM (UP)",
  "RECOVERY",
  "DOWN (DOWN)",
);
const text = fc.string({ unit: fc.constantFrom(";", "a", " ", "(", ")", "\r", "\n", "\0", "é") });
const line = fc
  .tuple(
    fc.constantFrom(
      "[1795385508] HOST NOTIFICATION: ",
      "[1795385508] SERVICE NOTIFICATION: ",
      "[1795385508] SERVICE ALERT: ",
      "[1795385508] CURRENT HOST STATE: ",
      "[1] ",
      "",
    ),
    fc.array(fc.oneof(text, state, fc.constantFrom("oncall", "web01", "mail")), { maxLength: 9 }),
  )
  .map(([start, fields]) => start + fields.join(";"));

it("every line is a notification, a state, something else or broken", () => {
  fc.assert(
    fc.property(fc.oneof(line, fc.string({ unit: "binary" })), (given) => {
      const reading = readLogLine(given);
      if (reading === "other") return;
      if ("broken" in reading) expect(reading.broken.length).toBeLessThan(100);
      else expect(given).toContain("output" in reading ? reading.output : reading.state);
    }),
  );
});

it("a time is read or not, whatever the line and whenever its file was written", () => {
  const digits = fc.string({ unit: fc.constantFrom(..."0123456789-:T [].+ZNovJanFeb"), maxLength: 60 });
  const stamps = fc
    .tuple(fc.constantFrom("", "[", "Feb 29 ", "[2025-", "[Mon Jan  1 "), digits)
    .map((all) => all.join(""));
  fc.assert(
    fc.property(
      fc.oneof(stamps, fc.string({ unit: "binary" })),
      fc.integer({ min: 0, max: 4e12 }),
      (given, written) => {
        const stamped = stampReader(written, () => undefined)(given);
        if (stamped)
          expect(stamped.at).toSatisfy((at: number) => Number.isInteger(at) && at >= 0 && at < 1e12);
      },
    ),
  );
});

it("a notification that was read is an alert for one mailbox that names its contact", () => {
  fc.assert(
    fc.property(line, (given) => {
      const reading = readLogLine(given);
      if (reading === "other" || !("contact" in reading)) return fc.pre(false);
      const circumstances = { site: "site", now: 0, aliases: new Map(), allowed: () => true };
      const post = readPost(toPost(reading, "monitor1"), circumstances);
      expect(post).toMatchObject({ ok: true, value: [{}] });
      expect(post.ok && contactOf(post.value[0]?.contact ?? "")).toBe(reading.contact);
    }),
  );
});

it("a contact's address is a mailbox that leads back to its name, in any case", () => {
  fc.assert(
    fc.property(name, (given) => {
      fc.pre(given.isWellFormed());
      const address = contactAddress(given);
      expect(contactOf(address)).toBe(given);
      expect(contactOf(address.toUpperCase())).toBe(given);
      if (address.length <= 254) expect(parseAddress(address)).toEqual({ ok: true, value: address });
    }),
  );
});

it("an address is that of a contact, or of none", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("x", "6", "1", "a", ".", "@") }), (given) => {
      const address = `${given}@contact.invalid`;
      const contact = contactOf(address);
      if (contact !== undefined) expect(contactAddress(contact)).toBe(address);
    }),
  );
});

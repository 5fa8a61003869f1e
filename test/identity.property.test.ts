import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Alert, readAlert } from "../functions/alert.ts";
import { eventKey, fingerprint, messageGroup, objectKey } from "../functions/identity.ts";
import { readPost } from "../functions/intake/post.ts";

const text = fc.string({
  unit: fc.oneof(fc.constantFrom("a", "1", ":", "\0", "é", "😀"), fc.string({ maxLength: 1 })),
});
const parts = fc.array(text, { maxLength: 4 });
const hostOrService = fc.record({
  host: fc.constantFrom("a", "ab"),
  service: fc.constantFrom(null, "b", "host", "bc"),
});

const alertOf = (changes: Record<string, unknown> = {}): Alert => {
  const reading = readAlert({
    v: 1,
    source: "nagios",
    monitor: { id: "monitor1", start: 1_795_366_377 },
    type: "CUSTOM",
    object: { host: "web01", service: "HTTP" },
    state: "CRITICAL",
    problem: { id: "5", epoch: 1_795_366_379 },
    notification: { id: "7", number: 1 },
    time: 1_795_366_380,
    ...changes,
  });
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading.value;
};
const alertAbout = (object: { host: string; service: string | null }) =>
  alertOf({ object, state: object.service === null ? "DOWN" : "CRITICAL" });
const keyOf = (changes?: Record<string, unknown>) => eventKey("site", alertOf(changes), "ops@example.com");

describe("a fingerprint", () => {
  it("is equal for equal lists of parts alone", () => {
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        expect(fingerprint(...one) === fingerprint(...other)).toBe(
          JSON.stringify(one) === JSON.stringify(other),
        );
      }),
    );
  });

  it("tells apart two ways to cut the same text", () => {
    fc.assert(
      fc.property(text, fc.nat(), fc.nat(), (whole, first, second) => {
        const [i, j] = [first % (whole.length + 1), second % (whole.length + 1)];
        fc.pre(i !== j);
        const [one, other] = [i, j].map((at) => [whole.slice(0, at), whole.slice(at)]) as [
          string[],
          string[],
        ];
        fc.pre([...one, ...other].every((part) => part.isWellFormed()));
        expect(fingerprint(...one)).not.toBe(fingerprint(...other));
      }),
    );
  });

  it("is not fooled by a part that looks like a length", () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        const length = new TextEncoder().encode(other).length;
        expect(fingerprint(`${one}${length}:${other}`)).not.toBe(fingerprint(one, other));
      }),
    );
  });

  it("is SHA-256 in hex", () => {
    expect(fingerprint()).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(fingerprint("a")).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe("object key and message group", () => {
  it("are equal for the same object of the same site and, the group, the same contact alone", () => {
    const address = fc.constantFrom("ops@example.com", "dba@example.com");
    const one = fc.tuple(fc.constantFrom("s1", "s2"), hostOrService, address);
    fc.assert(
      fc.property(one, one, ([site, object, contact], [otherSite, otherObject, otherContact]) => {
        const [alert, other] = [alertAbout(object), alertAbout(otherObject)];
        const same = site === otherSite && JSON.stringify(object) === JSON.stringify(otherObject);
        expect(objectKey(site, alert) === objectKey(otherSite, other)).toBe(same);
        expect(messageGroup(site, alert, contact) === messageGroup(otherSite, other, otherContact)).toBe(
          same && contact === otherContact,
        );
      }),
    );
  });

  it("do not depend on the monitor, the state or the type", () => {
    const other = alertOf({ monitor: { id: "monitor2" }, type: "RECOVERY", state: "OK" });
    expect(objectKey("site", other)).toBe(objectKey("site", alertOf()));
    expect(messageGroup("site", other, "c")).toBe(messageGroup("site", alertOf(), "c"));
  });
});

const problem = { type: "PROBLEM", state: "CRITICAL" };

describe("event key", () => {
  it.each<[string, Record<string, unknown>]>([
    ["its time", { time: 1_795_366_999 }],
    ["its output", { output: "other", long_output: "other", perfdata: "t=1" }],
    ["its author and comment", { author: "other", comment: "other" }],
    ["its attempt", { attempt: 3, max_attempts: 4 }],
    ["the other recipients", { notification: { id: "7", number: 1, recipients: ["dba"] } }],
    ["being degraded", { degraded: true }],
  ])("stays when the notification runs again and differs in %s", (_, changes) => {
    expect(keyOf(changes)).toBe(keyOf());
  });

  it("without a notification id stays when the time differs and the epoch is known", () => {
    const again = { ...problem, notification: { number: 2 } };
    expect(keyOf({ ...again, time: 1_795_366_999 })).toBe(keyOf(again));
  });

  it.each<[string, Record<string, unknown>]>([
    ["notification id", { notification: { id: "8", number: 1 } }],
    ["monitor", { monitor: { id: "monitor2", start: 1_795_366_377 } }],
    ["start of the monitor", { monitor: { id: "monitor1", start: 1_795_400_000 } }],
    ["host", { object: { host: "web02", service: "HTTP" } }],
    ["service", { object: { host: "web01", service: "Disk" } }],
    ["type", { type: "ACKNOWLEDGEMENT" }],
  ])("differs with another %s", (_, changes) => {
    expect(keyOf(changes)).not.toBe(keyOf());
  });

  it.each<[string, Record<string, unknown>]>([
    ["number", { notification: { number: 3 } }],
    ["state", { notification: { number: 2 }, state: "WARNING" }],
    ["epoch", { notification: { number: 2 }, problem: { epoch: 1_795_400_000 } }],
  ])("without a notification id differs with another %s", (_, changes) => {
    expect(keyOf({ ...problem, ...changes })).not.toBe(keyOf({ ...problem, notification: { number: 2 } }));
  });

  it.each(["CUSTOM", "ACKNOWLEDGEMENT"])(
    "of a %s without a notification id differs with the time: the number stays",
    (type) => {
      const one = { type, notification: { number: 1 } };
      expect(keyOf({ ...one, time: 1 })).not.toBe(keyOf({ ...one, time: 2 }));
    },
  );

  it("with an id but no start of the monitor differs with the epoch: the counter may have begun again", () => {
    const one = { ...problem, monitor: { id: "monitor1" }, notification: { id: "7" } };
    expect(keyOf({ ...one, problem: { epoch: 1 } })).not.toBe(keyOf({ ...one, problem: { epoch: 2 } }));
  });

  it("with neither id nor number differs with the time", () => {
    expect(keyOf({ notification: {}, time: 1 })).not.toBe(keyOf({ notification: {}, time: 2 }));
  });

  it("a notification id is not taken for a number", () => {
    expect(keyOf({ notification: { id: "1" } })).not.toBe(keyOf({ notification: { number: 1 } }));
  });

  it("is equal for the same site, monitor, object, notification and contact alone", () => {
    const one = fc.record({
      site: fc.constantFrom("s1", "s2"),
      monitor: fc.constantFrom("m1", "m2"),
      object: hostOrService,
      id: fc.constantFrom("1", "11", undefined),
      number: fc.constantFrom(1, 11),
      contact: fc.constantFrom("ops@example.com", "dba@example.com"),
    });
    type Case = typeof one extends fc.Arbitrary<infer C> ? C : never;
    const key = ({ site, monitor, object, id, number, contact }: Case) =>
      eventKey(
        site,
        { ...alertAbout(object), type: "PROBLEM", monitor: { id: monitor }, notification: { id, number } },
        contact,
      );
    const identity = (given: Case) => JSON.stringify(given.id ? { ...given, number: 0 } : given);
    fc.assert(
      fc.property(one, one, (given, other) => {
        expect(key(given) === key(other)).toBe(identity(given) === identity(other));
      }),
      { numRuns: 2000 },
    );
  });

  it("is the same for two names of one mailbox, in any case and at any time of sending", () => {
    const idOf = (name: string, email: string, now: number) => {
      const input = { ...alertOf(), recipients: [{ name, email }] };
      const reading = readPost(input, { site: "site", now, aliases: new Map(), allowed: () => true });
      return reading.ok ? reading.value.map(({ id }) => id) : reading.faults;
    };
    fc.assert(
      fc.property(text, text, fc.nat(), fc.nat(), (name, otherName, now, later) => {
        expect(idOf(name, "ops@example.com", now)).toEqual(idOf(otherName, "OPS@Example.com", later));
      }),
    );
  });
});

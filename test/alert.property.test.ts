import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alertEntries, hostStates, notificationTypes, readAlert, serviceStates } from "../functions/alert.ts";
import { fromMacros } from "../functions/intake/monitors.ts";
import { type Circumstances, readPost } from "../functions/intake/post.ts";

const hostileCharacter = fc.constantFrom(
  ..."\r\n\0\t\u001b\u0085\u2028\u2029\u202e\u2066\ud83d\ude00\udfff\u00ad\u200b\ufeff\ufffeé€\\$\"'<",
  "😀",
  "\r\n",
);
const text = fc
  .tuple(
    fc.string({
      unit: fc.oneof(hostileCharacter, fc.string({ unit: "binary", minLength: 1, maxLength: 1 })),
    }),
    fc.constantFrom(1, 1, 1, 100, 9000),
  )
  .map(([part, times]) => part.repeat(times));
const json = fc.oneof(text, fc.jsonValue({ stringUnit: "binary" }));
const seconds = fc.integer({ min: 0, max: 4_000_000_000 });
const id = fc.stringMatching(/^[0-9A-Za-z-]{0,64}$/);
const url = fc.oneof(
  text,
  fc.webUrl(),
  text.map((path) => `https://example.com/${path}`),
  fc.nat(2100).map((length) => `https://example.com/${"ü".repeat(length)}`),
);
const customKey = fc.oneof(fc.constantFrom("__proto__", "constructor", "_HOSTRACK", "0"), fc.string());

/** Alerts that are read whenever their texts allow it. */
const plausible = fc
  .constantFrom(
    ...hostStates.map((state) => ({ service: null, state })),
    ...serviceStates.map((state) => ({ service: "HTTP", state })),
  )
  .chain(({ service, state }) =>
    fc.record(
      {
        v: fc.constant(1),
        source: fc.constantFrom("nagios", "other"),
        monitor: fc.record({ id: fc.constant("m1"), start: seconds }, { requiredKeys: ["id"] }),
        type: fc.constantFrom(...notificationTypes, "FLAPPINGEND"),
        object: fc.record(
          {
            host: fc.oneof(fc.constant("web01"), text),
            service: fc.constant(service),
            alias: text,
            address: text,
            display: text,
            groups: fc.array(text, { maxLength: 5 }),
            urls: fc.dictionary(fc.constantFrom("action", "notes", "info", "other"), url),
          },
          { requiredKeys: ["host", "service"] },
        ),
        state: fc.constant(state),
        state_type: fc.constantFrom("HARD", "SOFT"),
        prev_state: fc.constant(state),
        attempt: fc.integer({ min: 0, max: 1000 }),
        problem: fc.record({ id, last_id: id, epoch: seconds }, { requiredKeys: [] }),
        notification: fc.record(
          {
            id,
            number: fc.nat(1_000_000),
            escalated: fc.boolean(),
            recipients: fc.array(text, { maxLength: 5 }),
          },
          { requiredKeys: [] },
        ),
        author: text,
        comment: text,
        output: text,
        long_output: text,
        perfdata: text,
        truncated: fc.boolean(),
        time: seconds,
        custom: fc.dictionary(customKey, text),
        degraded: fc.boolean(),
      },
      { requiredKeys: ["v", "source", "monitor", "type", "object", "state", "time"] },
    ),
  );

/** `value` with some of its fields, at any depth, replaced by values of the stream. */
const replaceSome = (value: object, dice: fc.Stream<number>, values: fc.Stream<unknown>): object =>
  Object.fromEntries(
    Object.entries(value).map(([key, field]) => {
      if (dice.next().value === 0) return [key, values.next().value];
      const deeper = field && typeof field === "object" && !Array.isArray(field);
      return [key, deeper ? replaceSome(field, dice, values) : field];
    }),
  );
const damaged = fc
  .tuple(plausible, fc.infiniteStream(fc.nat(9)), fc.infiniteStream(json))
  .map(([alert, dice, values]) => replaceSome(alert, dice, values));
const anything = fc.oneof(plausible, damaged, json);

const bytes = (value: string) => new TextEncoder().encode(value).length;
const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** Every text in a value with the path to it; a list's items have its path. */
const texts = (value: unknown, path = ""): [string, string][] => {
  if (typeof value === "string") return [[path, value]];
  if (Array.isArray(value)) return value.flatMap((item) => texts(item, path));
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, item]) => texts(item, path ? `${path}.${key}` : key));
};

const multiLine: Record<string, number> = { long_output: 65_536, perfdata: 16_384, comment: 4096 };
const oneLine: Record<string, number> = {
  "monitor.id": 64,
  "object.host": 255,
  "object.service": 255,
  "object.alias": 255,
  "object.address": 255,
  "object.display": 255,
  "object.groups": 64,
  "object.urls.action": 2048,
  "object.urls.notes": 2048,
  "object.urls.info": 2048,
  "problem.id": 64,
  "problem.last_id": 64,
  "notification.id": 64,
  "notification.recipients": 255,
  author: 255,
  output: 4096,
};
const enumerated = new Set(["source", "type", "state", "state_type", "prev_state"]);

/** The fields that say which object of which monitor is how, and when. */
const telling = ["v", "monitor", "type", "object", "state", "time"];
const informing = Object.keys(alertEntries).filter((field) => !telling.includes(field));
/** The fields that only inform, each with any JSON in it, or with values that are nearly right. */
const anyInformation = fc.record({
  fields: fc.dictionary(fc.constantFrom(...informing), json),
  monitor: fc.dictionary(fc.constantFrom("start", "x"), json),
  object: fc.dictionary(fc.constantFrom("alias", "address", "display", "groups", "urls"), json),
  problem: fc.option(fc.dictionary(fc.constantFrom("id", "last_id", "epoch"), json)),
  notification: fc.option(
    fc.dictionary(fc.constantFrom("id", "number", "escalated", "volatile", "recipients"), json),
  ),
  nested: fc.dictionary(
    fc.constantFrom("urls", "groups"),
    fc.oneof(fc.array(json), fc.dictionary(text, json)),
  ),
});

const form = {
  NOTIFICATIONTYPE: "PROBLEM",
  HOSTNAME: "web01",
  SERVICEDESC: "HTTP",
  SERVICESTATE: "CRITICAL",
  CONTACTEMAIL: "ops@example.com",
};
const informingMacros = [
  ...["ID", "SOURCE", "TIMET", "PROCESSSTARTTIME", "DEGRADED", "CONTACTNAME", "_HOSTRACK"],
  ...["HOSTALIAS", "HOSTADDRESS", "SERVICEDISPLAYNAME", "SERVICEGROUPNAMES", "HOSTGROUPNAMES"],
  ...["SERVICEACTIONURL", "SERVICENOTESURL", "SERVICEINFOURL", "SERVICESTATETYPE", "LASTSERVICESTATE"],
  ...["SERVICEATTEMPT", "MAXSERVICEATTEMPTS", "SERVICEPROBLEMID", "LASTSERVICEPROBLEMID", "LASTSERVICEOK"],
  ...["SERVICENOTIFICATIONID", "SERVICENOTIFICATIONNUMBER", "NOTIFICATIONISESCALATED", "SERVICEISVOLATILE"],
  ...["NOTIFICATIONRECIPIENTS", "NOTIFICATIONAUTHOR", "NOTIFICATIONCOMMENT", "SERVICEOUTPUT"],
  ...["LONGSERVICEOUTPUT", "SERVICEPERFDATA", "HOSTSTATE", "LASTHOSTUP", "MAXHOSTATTEMPTS"],
];
const circumstances: Circumstances = {
  site: "site",
  now: 1_800_000_000_000,
  aliases: new Map(),
  allowed: (address) => address.endsWith("@example.com"),
};

describe("reading an alert", () => {
  it("takes an alert whatever stands in the fields that only inform, and keeps its identity, type and state", () => {
    fc.assert(
      fc.property(anyInformation, ({ fields, monitor, object, problem, notification, nested }) => {
        const identity = { host: "web01", service: "HTTP" };
        const reading = readAlert({
          ...fields,
          ...(problem && { problem }),
          ...(notification && { notification }),
          v: 1,
          monitor: { ...monitor, id: "monitor1" },
          type: "PROBLEM",
          object: { ...object, ...nested, ...identity },
          state: "CRITICAL",
          time: 1_795_366_380,
        });
        expect(reading).toMatchObject({
          ok: true,
          value: { monitor: { id: "monitor1" }, type: "PROBLEM", object: identity, state: "CRITICAL" },
        });
      }),
      { numRuns: 2000 },
    );
  });

  it("takes a form post whatever stands in the macros that only inform", () => {
    const macros = fc.dictionary(
      fc.constantFrom(...informingMacros),
      fc.oneof(text, fc.string(), fc.integer().map(String)),
    );
    fc.assert(
      fc.property(macros, (given) => {
        const reading = readPost(fromMacros({ ...given, ...form }), circumstances);
        expect(reading).toMatchObject({
          ok: true,
          rejected: [],
          value: [
            {
              contact: "ops@example.com",
              alert: { type: "PROBLEM", state: "CRITICAL", time: expect.any(Number) },
            },
          ],
        });
      }),
      { numRuns: 1000 },
    );
  });

  it("takes an alert for its good mailbox whatever the other recipients are", () => {
    const others = fc.array(fc.oneof(json, fc.record({ name: json, email: json }, { requiredKeys: [] })), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(others, others, (before, after) => {
        const recipients = [...before, { email: "ops@example.com" }, ...after];
        const reading = readPost({ ...fromMacros(form), recipients }, circumstances);
        expect(reading.ok && reading.value.map(({ contact }) => contact)).toContain("ops@example.com");
        expect(reading.rejected.every(({ faults }) => faults.length > 0)).toBe(true);
        const ids = [...(reading.ok ? reading.value : []), ...reading.rejected.map(({ queued }) => queued)];
        expect(new Set(ids.map(({ id }) => id)).size).toBe(ids.length);
      }),
    );
  });

  it("never throws, whatever JSON it is given", () => {
    fc.assert(
      fc.property(anything, (input) => {
        const reading = readAlert(input);
        expect(reading.ok || reading.faults.length > 0).toBe(true);
      }),
    );
  });

  it("changes nothing in what was read before, here or after a journey as JSON", () => {
    fc.assert(
      fc.property(anything, (input) => {
        const first = readAlert(input);
        fc.pre(first.ok);
        expect(readAlert(first.value)).toEqual(first);
        expect(throughJson(readAlert(throughJson(first.value)))).toEqual(throughJson(first));
      }),
    );
  });

  it("bounds every text in bytes and leaves no line end where one line is meant", () => {
    fc.assert(
      fc.property(anything, (input) => {
        const reading = readAlert(input);
        fc.pre(reading.ok);
        for (const [path, value] of texts(reading.value)) {
          const limit = oneLine[path] ?? multiLine[path] ?? (path.startsWith("custom.") ? 1024 : 0);
          if (!enumerated.has(path)) expect([path, bytes(value) <= limit]).toEqual([path, true]);
          expect([path, value]).toEqual([
            path,
            expect.not.stringMatching(path in oneLine ? /[\r\n\0]/ : /[\r\0]/),
          ]);
        }
      }),
    );
  });

  it("leaves no half surrogate pair", () => {
    fc.assert(
      fc.property(anything, (input) => {
        const reading = readAlert(input);
        fc.pre(reading.ok);
        for (const [path, value] of texts(reading.value))
          expect([path, value.isWellFormed()]).toEqual([path, true]);
      }),
    );
  });

  it("tells faults as names and expectations alone, without the value", () => {
    const canary = "canary-5f3a";
    const planted = fc.constantFrom<unknown>(canary, [canary], { x: canary }, [[canary]], {
      x: { y: canary },
    });
    const answered = fc
      .tuple(plausible, fc.infiniteStream(fc.nat(4)), fc.infiniteStream(planted))
      .map(([alert, dice, values]) => readAlert(replaceSome(alert, dice, values)));
    fc.assert(
      fc.property(answered, (reading) => {
        fc.pre(!reading.ok);
        expect(JSON.stringify(reading)).not.toContain(canary);
      }),
    );
  });
});

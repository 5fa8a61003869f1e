import { describe, expect, it } from "vitest";
import { type Alert, alertEntries, objectName, readAlert, severity } from "../functions/alert.ts";

const host = { host: "web01" };
const service = { host: "web01", service: "HTTP" };
const sent = (changes: Record<string, unknown> = {}): Record<string, unknown> => ({
  v: 1,
  source: "nagios",
  monitor: { id: "monitor1" },
  type: "PROBLEM",
  object: service,
  state: "CRITICAL",
  time: 1_795_366_380,
  ...changes,
});
const alertOf = (changes: Record<string, unknown> = {}): Alert => {
  const reading = readAlert(sent(changes));
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading.value;
};
const faultsOf = (input: unknown) => {
  const reading = readAlert(input);
  return reading.ok ? [] : reading.faults;
};
const faultyFields = (input: unknown) => faultsOf(input).map(({ field }) => field);
const bytes = (text: string) => new TextEncoder().encode(text).length;

describe("an alert", () => {
  it("needs six fields", () => {
    expect(alertOf({ source: undefined })).toEqual({
      ...sent(),
      source: "other",
      state_type: "HARD",
      problem: {},
      notification: {},
      output: "",
      long_output: "",
      perfdata: "",
      comment: "",
      truncated: false,
    });
  });

  it.each(["v", "monitor", "type", "object", "state", "time"])("is refused without %s", (field) => {
    const { [field]: _, ...rest } = sent();
    expect(faultsOf(rest)).toEqual([{ field, expected: expect.stringContaining("required") }]);
  });

  it("names a field that is missing inside an object by its path", () => {
    expect(faultyFields(sent({ monitor: {}, object: {} }))).toEqual(["monitor.id", "object.host"]);
  });

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["a text", "PROBLEM"],
    ["a number", 1],
    ["a list", [sent()]],
  ])("cannot be %s", (_, input) => {
    expect(faultsOf(input)).not.toEqual([]);
  });

  it("gets all its faults at once", () => {
    const input = sent({ v: 2, type: "ALERT", state: "BAD", time: "now" });
    expect(new Set(faultyFields(input))).toEqual(new Set(["v", "type", "state", "time"]));
  });

  it("loses unknown fields", () => {
    const alert = alertOf({
      to: ["anyone@example.org"],
      html: { href: "http://169.254.169.254/" },
      raw: "x",
    });
    expect(alert).toEqual(alertOf());
  });
});

describe("a wrong alert", () => {
  it.each<[string, Record<string, unknown>, string]>([
    ["a version to come", { v: 2 }, "v"],
    ["a monitor's name with a slash", { monitor: { id: "a/b" } }, "monitor.id"],
    ["a monitor's name of 65 letters", { monitor: { id: "m".repeat(65) } }, "monitor.id"],
    ["a monitor without a name", { monitor: { id: "" } }, "monitor.id"],
    ["a type that nobody knows", { type: "ESCALATION" }, "type"],
    ["a type in lower case", { type: "problem" }, "type"],
    ["a host without a name", { object: { host: "" } }, "object.host"],
    ["a host's name of 256 bytes", { object: { host: "h".repeat(256) } }, "object.host"],
    ["a host's name of 128 two-byte letters", { object: { host: "é".repeat(128) } }, "object.host"],
    ["a host's name that nobody can see", { object: { host: "\u202e\u200f" } }, "object.host"],
    ["a service's name of 256 bytes", { object: { ...host, service: "s".repeat(256) } }, "object.service"],
    ["a service without a name", { object: { ...host, service: "" } }, "object.service"],
    ["a time in words", { time: "2026-11-22" }, "time"],
    ["a time before 1970", { time: -1 }, "time"],
    ["a time without end", { time: Number.POSITIVE_INFINITY }, "time"],
  ])("%s", (_, changes, field) => {
    expect(faultyFields(sent(changes))).toContain(field);
  });

  it.each(Object.keys(alertEntries))("does not have its wrong %s repeated in the faults", (field) => {
    const canary = "canary-5f3a";
    for (const value of [
      canary,
      [canary],
      [{ x: canary }],
      { id: { x: canary } },
      { host: [canary] },
      4711.25,
    ])
      expect(JSON.stringify(faultsOf(sent({ [field]: value })))).not.toMatch(/canary|4711/);
  });
});

describe("a field that is dropped from an accepted alert", () => {
  const read = (alert: Alert, path: string) =>
    path
      .split(".")
      .reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], alert);

  it.each<[string, Record<string, unknown>, string]>([
    ["a state before that nobody knows", { prev_state: "PENDING" }, "prev_state"],
    ["a service's state before that is a host's", { prev_state: "UP" }, "prev_state"],
    ["an attempt below 0", { attempt: -1 }, "attempt"],
    ["an attempt above 1000", { attempt: 1001 }, "attempt"],
    ["half an attempt", { max_attempts: 0.5 }, "max_attempts"],
    ["7200 attempts at most", { max_attempts: 7200 }, "max_attempts"],
    ["a process start in words", { monitor: { id: "monitor1", start: "today" } }, "monitor.start"],
    ["a problem id with a line end", { problem: { id: "1\r\nBcc: x" } }, "problem.id"],
    ["a problem id of 65 digits", { problem: { id: "1".repeat(65) } }, "problem.id"],
    ["a last problem id with odd characters", { problem: { last_id: "web01!HTTP" } }, "problem.last_id"],
    ["an epoch in milliseconds", { problem: { epoch: 1_795_366_380_000 } }, "problem.epoch"],
    ["a problem that is a text", { problem: "5" }, "problem.id"],
    ["a notification id with a blank", { notification: { id: "1 2" } }, "notification.id"],
    ["a notification number above a million", { notification: { number: 1_000_001 } }, "notification.number"],
    ["yes in place of true", { notification: { escalated: "yes" } }, "notification.escalated"],
    ["a list in place of true", { notification: { volatile: [] } }, "notification.volatile"],
    ["recipients that are one text", { notification: { recipients: "ops" } }, "notification.recipients"],
    ["a notification that is a list", { notification: [7] }, "notification.number"],
    ["an alias that is a number", { object: { ...service, alias: 5 } }, "object.alias"],
    ["groups that are one text", { object: { ...service, groups: "production" } }, "object.groups"],
    ["URLs that are a list", { object: { ...service, urls: ["https://example.com/"] } }, "object.urls.0"],
    ["an author who is nobody", { author: null }, "author"],
    ["custom variables that are a text", { custom: "_HOSTRACK=4" }, "custom"],
    ["a custom variable that is no text", { custom: { _HOSTRACK: 4, _HOSTROOM: "2" } }, "custom._HOSTRACK"],
    ["a degraded of 1", { degraded: 1 }, "degraded"],
  ])("%s", (_, changes, path) => {
    expect(read(alertOf(changes), path)).toBeUndefined();
  });

  it.each<[string, Record<string, unknown>, string, unknown]>([
    ["a source that nobody knows is another one", { source: "zabbix" }, "source", "other"],
    ["a state type that nobody knows is HARD", { state_type: "FIRM" }, "state_type", "HARD"],
    ["an output that names a file is empty", { output: { path: "/etc/passwd" } }, "output", ""],
    ["a comment that names a page is empty", { comment: { href: "http://169.254.169.254/" } }, "comment", ""],
    ["a truncated of 1 is none", { truncated: 1 }, "truncated", false],
    [
      "a group that is no text is left out alone",
      { object: { ...service, groups: ["a", 5, "b"] } },
      "object.groups",
      ["a", "b"],
    ],
    [
      "a URL that is no text is left out alone",
      { object: { ...service, urls: { action: 5, notes: "http://a.example/" } } },
      "object.urls",
      { notes: "http://a.example/" },
    ],
    [
      "a variable that is no text is left out alone",
      { custom: { _HOSTRACK: 4, _HOSTROOM: "2" } },
      "custom",
      { _HOSTROOM: "2" },
    ],
  ])("%s", (_, changes, path, value) => {
    expect(read(alertOf(changes), path)).toEqual(value);
  });

  it.each<[string, Record<string, unknown>, string, unknown]>([
    ["an id that is a number", { problem: { id: 5 } }, "problem.id", "5"],
    ["a notification's, too", { notification: { id: 7 } }, "notification.id", "7"],
    ["a time with a fraction", { time: 1_795_366_380.9 }, "time", 1_795_366_380],
  ])("keeps its readable part: %s", (_, changes, path, value) => {
    expect(read(alertOf(changes), path)).toBe(value);
  });
});

describe("states and types", () => {
  it.each<[string, Record<string, unknown>, string]>([
    ["a host is not CRITICAL", { object: host, state: "CRITICAL" }, "state"],
    ["a service is not DOWN", { object: service, state: "DOWN" }, "state"],
    ["a service of null is a host's alert", { object: { ...host, service: null }, state: "OK" }, "state"],
    ["a PROBLEM is not OK", { state: "OK" }, "state"],
    ["a PROBLEM is not UP", { object: host, state: "UP" }, "state"],
    ["a RECOVERY is not CRITICAL", { type: "RECOVERY" }, "state"],
    ["a RECOVERY is not DOWN", { type: "RECOVERY", object: host, state: "DOWN" }, "state"],
  ])("%s", (_, changes, field) => {
    expect(faultyFields(sent(changes))).toEqual([field]);
  });

  it.each<[string, Record<string, unknown>]>([
    ["an ACKNOWLEDGEMENT may be SOFT", { type: "ACKNOWLEDGEMENT", state_type: "SOFT" }],
    ["a CUSTOM may be OK", { type: "CUSTOM", state: "OK" }],
    ["a FLAPPINGSTART may be OK", { type: "FLAPPINGSTART", state: "OK" }],
    ["a PROBLEM may be SOFT", { state_type: "SOFT" }],
    ["a host may be UNREACHABLE", { object: host, state: "UNREACHABLE", prev_state: "DOWN" }],
    ["a RECOVERY may have been OK before", { type: "RECOVERY", state: "OK", prev_state: "OK" }],
  ])("%s", (_, changes) => {
    expect(alertOf(changes)).toMatchObject(changes);
  });

  it("Icinga's FLAPPINGEND is a FLAPPINGSTOP", () => {
    expect(alertOf({ type: "FLAPPINGEND" }).type).toBe("FLAPPINGSTOP");
  });

  it("severity rises from OK over WARNING and UNKNOWN to CRITICAL, UNREACHABLE with WARNING and DOWN with UNKNOWN", () => {
    expect(severity.OK).toBeLessThan(severity.WARNING);
    expect(severity.WARNING).toBeLessThan(severity.UNKNOWN);
    expect(severity.UNKNOWN).toBeLessThan(severity.CRITICAL);
    expect([severity.UP, severity.UNREACHABLE, severity.DOWN]).toEqual([
      severity.OK,
      severity.WARNING,
      severity.UNKNOWN,
    ]);
  });
});

describe("a value without a meaning", () => {
  it.each(["0", ""])("counts as absent: a problem id of '%s'", (id) => {
    expect(alertOf({ problem: { id, last_id: id } }).problem).toEqual({});
  });

  it("counts as absent: an epoch of 0", () => {
    expect(alertOf({ problem: { epoch: 0 } }).problem.epoch).toBeUndefined();
  });

  it("counts as absent: a process start of 0", () => {
    expect(alertOf({ monitor: { id: "monitor1", start: 0 } }).monitor.start).toBeUndefined();
  });
});

describe("one-line fields", () => {
  const hostile: [string, string][] = [
    ["CR LF", "\r\n"],
    ["LF", "\n"],
    ["CR", "\r"],
    ["NUL", "\0"],
    ["ESC", "\u001b"],
    ["NEL", "\u0085"],
    ["the line separator", "\u2028"],
    ["the paragraph separator", "\u2029"],
  ];
  it.each(hostile)("%s becomes a blank in every one of them", (_, ending) => {
    const text = `CPU${ending}Bcc: evil@example.org`;
    const alert = alertOf({
      object: { host: text, service: text, alias: text, address: text, display: text, groups: [text] },
      notification: { recipients: [text] },
      author: text,
    });
    const { object, notification, author } = alert;
    const lines = [object.host, object.service, object.alias, object.address, object.display, author];
    for (const line of [...lines, ...(object.groups ?? []), ...(notification.recipients ?? [])])
      expect(line).toBe("CPU Bcc: evil@example.org");
  });

  it("direction overrides are taken out", () => {
    expect(alertOf({ object: { host: "web\u202e10\u202c\u2066\u2069" }, state: "DOWN" }).object.host).toBe(
      "web10",
    );
  });

  it("an encoded word stays the text it is", () => {
    const author = "=?utf-8?Q?x=0D=0ABcc:_evil@example.org?=";
    expect(alertOf({ author }).author).toBe(author);
  });

  it("half a surrogate pair becomes U+FFFD", () => {
    expect(alertOf({ author: "a\ud800b" }).author).toBe("a\ufffdb");
  });

  it("a name of 255 bytes is taken", () => {
    const longest = `a${"é".repeat(127)}`;
    expect(alertOf({ object: { host: longest, service: longest } }).object).toMatchObject({
      host: longest,
      service: longest,
    });
  });

  it.each(["alias", "address", "display"])(
    "an object's %s is cut at 255 bytes, between two characters",
    (field) => {
      const object = alertOf({ object: { ...service, [field]: "é".repeat(200) } }).object;
      expect(object).toHaveProperty(field, "é".repeat(127));
    },
  );
});

describe("texts", () => {
  it("the first line of the output is the output, the others begin the long output", () => {
    const alert = alertOf({ output: "first\nsecond\r\nthird", long_output: "fourth" });
    expect([alert.output, alert.long_output]).toEqual(["first", "second\nthird\nfourth"]);
  });

  it("line ends and tabs stay in the long output, other control characters become blanks", () => {
    expect(alertOf({ long_output: "a\tb\r\nc\rd\u001b[31m\0" }).long_output).toBe("a\tb\nc d [31m ");
  });

  it("dollars, percents, backslashes and markup stay as they are", () => {
    const output = `$5 $HOSTNAME$ 100% %s C:\\new\\table \\c <b>&amp;</b> "'\``;
    expect(alertOf({ output }).output).toBe(output);
  });

  it("a blank line and a header in a comment stay in the comment", () => {
    const comment = "line1\n\nContent-Type: text/html\n\n<b>";
    expect(alertOf({ comment }).comment).toBe(comment);
  });

  const limits: [keyof Alert & ("output" | "long_output" | "perfdata" | "comment"), number][] = [
    ["output", 4096],
    ["long_output", 65_536],
    ["perfdata", 16_384],
    ["comment", 4096],
  ];
  it.each(limits)("%s of just %i bytes is whole", (field, limit) => {
    const alert = alertOf({ [field]: "x".repeat(limit) });
    expect([bytes(alert[field] ?? ""), alert.truncated]).toEqual([limit, false]);
  });
  it.each(limits)("%s of more than %i bytes is cut and marked", (field, limit) => {
    const alert = alertOf({ [field]: `x${"😀".repeat(limit / 4)}` });
    expect([alert[field], alert.truncated]).toEqual([`x${"😀".repeat(limit / 4 - 1)}`, true]);
  });

  it("a text that was cut before stays marked", () => {
    expect(alertOf({ truncated: true, output: "short" }).truncated).toBe(true);
  });
});

describe("lists and maps", () => {
  it("groups are told once each, without empty ones, at most 64", () => {
    const groups = ["a", "", "a", ...Array.from({ length: 100 }, (_, n) => `g${n}`)];
    const read = alertOf({ object: { ...service, groups } }).object.groups;
    expect(read?.slice(0, 2)).toEqual(["a", "g0"]);
    expect(read).toHaveLength(64);
  });

  it("at most 200 recipients' names are kept", () => {
    const recipients = ["", ...Array.from({ length: 300 }, (_, n) => `contact${n}`)];
    expect(alertOf({ notification: { recipients } }).notification.recipients).toHaveLength(200);
  });

  it.each<[string, string]>([
    ["a script", "javascript:alert(1)"],
    ["a file", "file:///etc/passwd"],
    ["a page inside another text", "x https://example.com/"],
    ["what Nagios writes without website_url", "website_url not set/cgi-bin/extinfo.cgi?type=1&host=web01"],
    ["half an address", "https://"],
    ["a URL of 2049 characters", `https://example.com/${"x".repeat(2029)}`],
    ["a URL of more than 2048 bytes when written in ASCII", `https://example.com/${"é".repeat(1000)}`],
  ])("%s is no URL of an object", (_, url) => {
    const { urls } = alertOf({ object: { ...service, urls: { action: url } } }).object;
    expect(urls).toEqual({});
  });

  it("action, notes and info are the only URLs, written in ASCII", () => {
    const urls = {
      action: "HTTPS://Example.com/ü",
      notes: "http://a.example/",
      info: "http://b.example/",
      x: "http://c/",
    };
    expect(alertOf({ object: { ...service, urls } }).object.urls).toEqual({
      action: "https://example.com/%C3%BC",
      notes: "http://a.example/",
      info: "http://b.example/",
    });
  });

  it("custom variables have plain names and values of at most 1024 bytes, at most 64 of them", () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`_HOSTV${n}`, "v"]));
    const custom = alertOf({
      custom: { "_HOST\r\nX": "x", ["k".repeat(65)]: "x", _HOSTRACK: "r".repeat(2000), ...many },
    }).custom;
    expect(Object.keys(custom ?? {})).toHaveLength(64);
    expect(custom).toHaveProperty("_HOSTRACK", "r".repeat(1024));
    expect(custom).not.toHaveProperty("_HOST\r\nX");
  });

  it("a key of __proto__ or constructor changes no prototype", () => {
    const input = JSON.parse(
      `{"__proto__":{"prepared":true},"custom":{"__proto__":"x","constructor":"y","_HOSTA":"a"},"object":{"__proto__":{"service":"S"},"host":"h"}}`,
    );
    const alert = alertOf({ ...input, state: "DOWN" });
    expect(alert.object.service).toBeNull();
    expect(Object.keys(alert.custom ?? {})).not.toContain("__proto__");
    expect(Object.getPrototypeOf(alert.custom)).toBe(Object.prototype);
    expect({}).not.toHaveProperty("prepared");
  });
});

describe("an object's name", () => {
  it("is host/service", () => {
    expect(objectName(alertOf())).toBe("web01/HTTP");
  });
  it("is the host alone without a service", () => {
    expect(objectName(alertOf({ object: host, state: "DOWN" }))).toBe("web01");
  });
});

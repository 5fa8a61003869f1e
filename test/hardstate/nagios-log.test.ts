import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseAddress } from "../../functions/address.ts";
import { notificationTypes } from "../../functions/alert.ts";
import { readPost } from "../../functions/intake/post.ts";
import {
  contactAddress,
  contactOf,
  type LoggedNotification,
  readLogLine,
  toPost,
} from "../../scripts/hardstate/nagios-log.ts";

const lines = readFileSync(join(import.meta.dirname, "../corpus/nagios.log"), "utf8")
  .trimEnd()
  .split("\n");

const read = (line: string): LoggedNotification => {
  const reading = readLogLine(line);
  if (reading === "other" || !("contact" in reading)) throw new Error(`${JSON.stringify(reading)}: ${line}`);
  return reading;
};
const service = (rest: string) => `[1795385508] SERVICE NOTIFICATION: oncall;web01;HTTP;${rest}`;
const host = (rest: string) => `[1795385508] HOST NOTIFICATION: oncall;web01;${rest}`;

describe("a log that Nagios really wrote", () => {
  const logged = lines.filter((line) => line.includes(" NOTIFICATION: "));
  const states = lines.filter((line) =>
    / ((SERVICE|HOST) ALERT|(CURRENT|INITIAL) (SERVICE|HOST) STATE): /.test(line),
  );
  const others = lines.filter((line) => !/ NOTIFICATION: /.test(line) && !states.includes(line));

  it("has every type of notification and much else", () => {
    expect(new Set(logged.map((line) => read(line).type))).toEqual(new Set(notificationTypes));
    expect(new Set(logged.map((line) => read(line).state))).toEqual(
      new Set(["OK", "WARNING", "CRITICAL", "UNKNOWN", "UP", "DOWN", "UNREACHABLE"]),
    );
    expect(others.length).toBeGreaterThan(20);
    expect(states.length).toBeGreaterThan(5);
  });

  it.each(states)("has the line of a state: %s", (line) => {
    const [, at, object] = /^\[(\d+)\] [A-Z ]+: (.*?);(?:SOFT|HARD);/.exec(line) ?? [];
    const reading = readLogLine(line);
    if (reading === "other" || !("state" in reading)) throw new Error(line);
    const { host, service, state } = reading;
    expect(reading.at).toBe(Number(at));
    expect([host, service, state].filter((field) => field !== null).join(";")).toBe(object);
  });

  it.each(others)("has another line: %s", (line) => {
    expect(readLogLine(line)).toBe("other");
  });

  it.each(logged)("becomes one alert for its contact: %s", (line) => {
    const circumstances = { site: "site", now: 0, aliases: new Map(), allowed: () => true };
    const notification = read(line);
    const reading = readPost(toPost(notification, "monitor1"), circumstances);
    expect(reading).toMatchObject({
      ok: true,
      value: [
        {
          contactName: notification.contact,
          alert: {
            monitor: { id: "monitor1" },
            type: notification.type,
            object: { host: notification.host, service: notification.service },
            state: notification.state,
            time: notification.at,
          },
        },
      ],
    });
    expect(reading.ok && contactOf(reading.value[0]?.contact ?? "")).toBe(notification.contact);
  });

  it.each<[string, Partial<LoggedNotification>]>([
    [
      "1795385508] SERVICE NOTIFICATION: dba",
      {
        at: 1_795_385_508,
        contact: "dba",
        command: "notify-service",
        type: "PROBLEM",
        host: "web01",
        service: "HTTP",
        state: "WARNING",
        output: "HTTP WARNING: slow: 4.2 s",
      },
    ],
    [
      "web01;HTTP;ACKNOWLEDGEMENT",
      {
        output: "HTTP CRITICAL - Socket timeout after 10 seconds",
        author: "oncall",
        comment: "Looking into it; see https://wiki.example.com/?a=1&b=2 | ticket 17",
      },
    ],
    ["web01;HTTP;CUSTOM", { type: "CUSTOM", state: "OK", author: "ops", comment: "all well again" }],
    // Nagios itself cuts the comment of a custom notification at its first semicolon.
    ["web01;CUSTOM", { type: "CUSTOM", service: null, state: "UP", author: "ops", comment: "custom" }],
    [
      "/ CRITICAL;ACKNOWLEDGEMENT (CRITICAL);page-service",
      {
        contact: "Jürgen Groß/Ops",
        command: "page-service",
        host: "shop: café",
        service: "OK / CRITICAL",
        output: 'C:x $SERVICEDESC$ `id` "q" <b> \\n end',
        author: "Jürgen Groß/Ops",
        comment: "two\\nlines",
      },
    ],
    ["gw01;Ping;WARNING", { output: "ütf-8 naïve — ☃ 🔥" }],
    ["gw01;Ping;UNKNOWN", { output: "tab\there, CR\r in the middle" }],
    ["gw01;Ping;CRITICAL", { output: "latin1 \ufffd\ufffd end" }],
    ["db01;UNREACHABLE", { type: "PROBLEM", service: null, state: "UNREACHABLE" }],
    ["web01;UP", { type: "RECOVERY", state: "UP" }],
    ["web01;HTTP;OK", { type: "RECOVERY", state: "OK" }],
  ])("%s", (part, expected) => {
    expect(read(logged.find((line) => line.includes(part)) ?? "")).toMatchObject(expected);
  });

  it("no author or comment but of acknowledgements and custom notifications", () => {
    for (const notification of logged.map(read)) {
      const told = ["ACKNOWLEDGEMENT", "CUSTOM"].includes(notification.type);
      expect(["author" in notification, "comment" in notification]).toEqual([told, told]);
    }
  });

  it("reminders of a contact are events of their own, its two commands are not", () => {
    const idsOf = (part: string) =>
      logged
        .filter((line) => line.includes(part))
        .map((line) =>
          readPost(toPost(read(line), "monitor1"), {
            site: "site",
            now: 0,
            aliases: new Map(),
            allowed: () => true,
          }),
        )
        .map((reading) => reading.ok && reading.value[0]?.id);
    expect(idsOf("oncall;web01;HTTP;WARNING")).toHaveLength(2);
    expect(new Set(idsOf("oncall;web01;HTTP;WARNING")).size).toBe(2);
    expect(idsOf("OK / CRITICAL;CRITICAL")).toHaveLength(2);
    expect(new Set(idsOf("OK / CRITICAL;CRITICAL")).size).toBe(1);
  });
});

describe("line ends", () => {
  it.each(["\n", "\r\n", "\r"])("%j is none of the line", (end) => {
    for (const line of lines) expect(readLogLine(line + end)).toEqual(readLogLine(line));
  });
});

describe("a log of another core", () => {
  it("Naemon: author and comment of a downtime", () => {
    expect(read(service("DOWNTIMESTART (OK);mail;fine;ann;swap; carefully"))).toMatchObject({
      type: "DOWNTIMESTART",
      output: "fine",
      author: "ann",
      comment: "swap; carefully",
    });
  });

  it("Naemon: empty author and comment are none", () => {
    expect(read(service("FLAPPINGSTART (OK);mail;fine;;"))).toEqual(
      read(service("FLAPPINGSTART (OK);mail;fine")),
    );
  });

  it.each<[string, Partial<LoggedNotification>]>([
    [service("CRITICAL;mail;a;b;"), { type: "PROBLEM", state: "CRITICAL", output: "a;b" }],
    [service("RECOVERY;mail;fine;"), { type: "RECOVERY", state: "OK", output: "fine" }],
    [host("DOWN (DOWN);mail;gone;"), { type: "PROBLEM", state: "DOWN", output: "gone" }],
    [host("RECOVERY (UP);mail;back;"), { type: "RECOVERY", state: "UP", output: "back" }],
    [host("FLAPPINGEND (UP);mail;back;"), { type: "FLAPPINGSTOP", state: "UP", output: "back" }],
  ])("Icinga 2: %s", (line, expected) => {
    expect(read(line)).toMatchObject(expected);
  });

  it.each([
    "[1795385508] SERVICE NOTIFICATION SUPPRESSED: web01;HTTP;Notifications are disabled",
    "[1795385508] HOST NOTIFICATION RESULT: oncall;web01;OK;mail;sent",
    "[1795385508] Warning: Contact 'oncall' service notification command 'mail' timed out after 30 seconds",
    "[1795385508] ",
  ])("something else: %s", (line) => {
    expect(readLogLine(line)).toBe("other");
  });
});

describe("a line that cannot be read says why", () => {
  const state = /^no state of a (host|service)/;
  it.each<[string, RegExp]>([
    ["", /^no time that can be read/],
    ["SERVICE NOTIFICATION: oncall;web01;HTTP;OK;mail;fine", /^no time that can be read/],
    [
      "Nov 22 22:11:48 mon nagios: SERVICE NOTIFICATION: oncall;web01;HTTP;OK;mail;fine",
      /^no time that can be read/,
    ],
    ["[] x", /^no time that can be read/],
    ["[-1] x", /^no time that can be read/],
    ["[179538550800] x", /^no time that can be read/],
    ["\0\0\0[1795385508] x", /^no time that can be read/],
    ["[1795385508] HOST ALERT: web01;BURNING;HARD;1;x", /^expected host;state in/],
    ["[1795385508] SERVICE ALERT: web01;HTTP", /^expected host;service;state in/],
    ["[1795385508] CURRENT SERVICE STATE: ;HTTP;OK;HARD;1;x", /^expected host;service;state in/],
    ["[1795385508] INITIAL HOST STATE: constructor", /^expected host;state in/],
    ["[1795385508] HOST NOTIFICATION: ", /^no contact/],
    ["[1795385508] HOST NOTIFICATION: ;web01;DOWN;mail;gone", /^no contact/],
    [`[1795385508] HOST NOTIFICATION: ${"É".repeat(99)};web01;DOWN;mail;gone`, /^too long a contact name/],
    ["[1795385508] HOST NOTIFICATION: oncall", /^no host/],
    ["[1795385508] SERVICE NOTIFICATION: oncall;web01", /^no service/],
    [host("CRITICAL;mail;gone"), state],
    [service("DOWN;mail;gone"), state],
    [service("CRIT"), state],
    [service("critical;mail;gone"), state],
    [service("CUSTOM;mail;gone;ann;why"), state],
    [service("CUSTOM (UP);mail;gone;ann;why"), state],
    [service("PROBLEM (OK);mail;gone"), state],
    [service("RECOVERY (CRITICAL);mail;gone"), state],
    [service("RENAMED (OK);mail;gone"), state],
    [service("constructor (OK);mail;gone"), state],
    [host("check-mk-notify;DOWNTIMESTOPPED (UP);mk"), state],
    [service("CRITICAL"), /^no command/],
    [service("CRITICAL;notify-serv"), /^no output/],
  ])("%s", (line, reason) => {
    expect(readLogLine(line)).toEqual({ broken: expect.stringMatching(reason) });
  });

  it("an empty output is one", () => {
    expect(read(service("CRITICAL;mail;"))).toMatchObject({ output: "" });
  });
});

describe("a line of a megabyte is read in time that grows no faster than it", () => {
  const long = (text: string) => text.repeat(Math.ceil(1_000_000 / text.length));
  it.each([
    ["digits", `[${long("1")}] x`],
    ["contact", `[1795385508] HOST NOTIFICATION: ${long("x")}`],
    ["state", service(long("A"))],
    ["state in brackets", service(`CUSTOM (${long("A ")}`)],
    ["fields", service(long(";"))],
    ["comment", service(`CUSTOM (OK);mail;fine;ann;${long("; ")}`)],
    ["output", service(`CRITICAL;mail;${long(";\r\n")}`)],
  ])("%s", (_, line) => {
    const start = performance.now();
    readLogLine(line);
    // Were it quadratic, it would be minutes; a busy machine takes a second or two.
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

describe("the address of a contact", () => {
  it.each([
    ["oncall", "oncall@contact.invalid"],
    ["db2", "db2@contact.invalid"],
    ["Ops-Max", "x4fpsx2dx4dax78@contact.invalid"],
    ["contact.invalid", "contactx2einvalid@contact.invalid"],
    [`${"a".repeat(63)}contact`, `${"a".repeat(63)}@contact.contact.invalid`],
    ["Jürgen Groß/Ops", "x4ax c3x bcrgenx20x47rox c3x9fx2fx4fps@contact.invalid".replaceAll(" ", "")],
  ])("of %s leads back to it", (name, address) => {
    expect(contactAddress(name)).toBe(address);
    expect(parseAddress(address)).toEqual({ ok: true, value: address });
    expect(contactOf(address)).toBe(name);
    expect(contactOf(address.toUpperCase())).toBe(name);
  });

  it.each([
    "oncall@example.com",
    "oncall@contact.invalid.example.com",
    "on.call@contact.invalid",
    "on-call@contact.invalid",
    "xff@contact.invalid",
    "x61@contact.invalid",
    "x@contact.invalid",
    "oncall@dba.contact.invalid",
    "oncall",
    "",
  ])("'%s' is none", (address) => {
    expect(contactOf(address)).toBeUndefined();
  });

  it("the longest name that fits is read, one letter more is not", () => {
    const line = (length: number) => `[1] HOST NOTIFICATION: ${"a".repeat(length)};web01;DOWN;mail;gone`;
    const address = contactAddress(read(line(235)).contact);
    expect(parseAddress(address)).toEqual({ ok: true, value: address });
    expect(readLogLine(line(236))).toEqual({ broken: expect.stringContaining("contact name") });
  });
});

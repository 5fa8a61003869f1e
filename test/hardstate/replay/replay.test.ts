import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { type Replay, replay, replayWords } from "../../../scripts/hardstate/replay.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-replay-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const write = (text: string | Uint8Array): string => {
  files += 1;
  const path = join(folder, `nagios-${files}.log`);
  writeFileSync(path, text);
  return path;
};
const replayed = (...paths: string[]): Promise<Replay> => replay(paths, {}, () => undefined);
const replayedLines = (lines: readonly string[]) => replayed(write(lines.join("\n")));
/** The result of each notification, in the log's order. */
const became = ({ all }: Replay) =>
  all
    .toSorted((a, b) => a.at - b.at)
    .map(({ contact, type, mailed }) => `${contact} ${type}: ${mailed ?? "not mailed"}`);

const t = 1_764_410_400;
const alert = (at: number, state: string, object = "SERVICE ALERT: web01;HTTP") =>
  `[${t + at}] ${object};${state};2;x`;
const mail = (at: number, state: string, contact = "ops") =>
  `[${t + at}] SERVICE NOTIFICATION: ${contact};web01;HTTP;${state};by-mail;x`;
const hostMail = (at: number, state: string) => `[${t + at}] HOST NOTIFICATION: ops;web01;${state};by-mail;x`;

/** An hour for each outage: SOFT, HARD with a notification and a reminder, and an end of which no contact is notified. */
const outagesWithoutRecovery = (count: number, contact = "ops") =>
  Array.from({ length: count }, (_, n) => n * 3600).flatMap((at) => [
    alert(at, "CRITICAL;SOFT"),
    mail(at + 60, "CRITICAL", contact),
    alert(at + 60, "CRITICAL;HARD"),
    mail(at + 660, "CRITICAL", contact),
    alert(at + 900, "OK;HARD"),
  ]);

describe("a problem ends where the log says that the object is OK", () => {
  it("and the next one is mailed to a contact who takes no recoveries", async () => {
    const result = await replayedLines(outagesWithoutRecovery(5));
    expect(result.contacts).toEqual({ ops: { nagios: 10, hardstate: 5 } });
    expect(result.mailed).toEqual({ PROBLEM: 5 });
    expect(became(result).slice(0, 3)).toEqual([
      "ops PROBLEM: PROBLEM",
      "ops PROBLEM: not mailed",
      "ops PROBLEM: PROBLEM",
    ]);
  });

  it("also of a host", async () => {
    const host = "HOST ALERT: web01";
    const { mailed } = await replayedLines([
      hostMail(0, "DOWN"),
      alert(0, "DOWN;HARD", host),
      alert(600, "UNREACHABLE;HARD", host),
      hostMail(900, "DOWN"),
      alert(1200, "UP;HARD", host),
      hostMail(3600, "DOWN"),
    ]);
    expect(mailed).toEqual({ PROBLEM: 2 });
  });

  it.each([
    ["a SOFT recovery", `[${t + 900}] SERVICE ALERT: web01;HTTP;OK;SOFT;2;x`],
    ["the state at a rotation", `[${t + 900}] CURRENT SERVICE STATE: web01;HTTP;OK;HARD;1;x`],
    ["the state at a start", `[${t + 900}] INITIAL SERVICE STATE: web01;HTTP;OK;HARD;1;x`],
    ["a recovery of another contact", mail(900, "OK", "dba")],
    ["the state of another notification", mail(900, "CUSTOM (OK)", "dba")],
  ])("as %s says", async (_, line) => {
    const result = await replayedLines([
      mail(0, "CRITICAL"),
      alert(0, "CRITICAL;HARD"),
      line,
      mail(1800, "CRITICAL"),
    ]);
    expect(result.contacts.ops).toEqual({ nagios: 2, hardstate: 2 });
  });

  it("and goes on, however often the log repeats that it is not", async () => {
    const result = await replayedLines([
      mail(0, "WARNING"),
      alert(0, "WARNING;HARD"),
      `[${t + 600}] CURRENT SERVICE STATE: web01;HTTP;WARNING;HARD;2;x`,
      alert(700, "CRITICAL;HARD", "SERVICE ALERT: web01;SMTP"),
      alert(800, "OK;HARD", "SERVICE ALERT: web01;SMTP"),
      mail(1200, "WARNING"),
    ]);
    expect(result.contacts.ops).toEqual({ nagios: 2, hardstate: 1 });
  });

  it("though --command leaves out the notification that says so", async () => {
    const path = write(
      [mail(0, "CRITICAL"), mail(900, "OK").replace("by-mail", "by-pager"), mail(1800, "CRITICAL")].join(
        "\n",
      ),
    );
    const { contacts } = await replay([path], { command: "by-mail" }, () => undefined);
    expect(contacts.ops).toEqual({ nagios: 2, hardstate: 2 });
  });

  it("says so when no line tells the states", async () => {
    const words = async (lines: string[]) => replayWords(await replayedLines(lines), false).join(" ");
    const remark = /There is no SERVICE ALERT or HOST ALERT line/;
    expect(await words([mail(0, "CRITICAL")])).toMatch(remark);
    expect(await words([mail(0, "CRITICAL"), alert(0, "CRITICAL;HARD")])).not.toMatch(remark);
  });
});

describe("the time of a line", () => {
  const path = (name: string) => join(import.meta.dirname, name);

  it.each(["human.log", "syslog.log", "centreon.log"])("is read in %s", async (name) => {
    const result = await replayed(path(name));
    expect(result.broken).toEqual([]);
    expect(result.mailed).toEqual({ PROBLEM: 1, RECOVERY: 1 });
    expect((result.last ?? 0) - (result.first ?? 0)).toBe(600);
  });

  const entry = "SERVICE NOTIFICATION: ops;web01;HTTP;CRITICAL;by-mail;x";
  it.each([
    ["[Sat Nov 29 10:00:00 2025]", Date.parse("2025-11-29T10:00:00")],
    ["[Mon Nov  3 10:00:00 2025]", Date.parse("2025-11-03T10:00:00")],
    ["[2025-11-29T10:00:00.123+01:00] [notifications] [info] [812]", Date.parse("2025-11-29T09:00:00Z")],
    ["[2025-11-29 10:00:00]", Date.parse("2025-11-29T10:00:00")],
    ["2025-11-29T10:00:00.123456+01:00 mon1 nagios[812]:", Date.parse("2025-11-29T09:00:00Z")],
    ["2025-11-29T10:00:00Z mon1 naemon:", Date.parse("2025-11-29T10:00:00Z")],
    ["Nov 29 10:00:00 mon1 nagios4[812]: [1764410400]", 1_764_410_400_000],
    ["[1764410400] [812]", 1_764_410_400_000],
  ])("%s", async (stamp, at) => {
    const { first, broken } = await replayedLines([`${stamp} ${entry}`]);
    expect([first, broken]).toEqual([at / 1000, []]);
  });

  it.each([
    ["2026-02-01", "Nov 29", 2025],
    ["2025-11-30", "Nov 29", 2025],
    ["2025-12-31", "Jan  1", 2025],
    ["2026-01-01", "Jan  1", 2026],
  ])("without a year, in a file last written on %s: %s is of %i", async (written, day, year) => {
    const file = write(`${day} 10:00:00 mon1 nagios: ${entry}`);
    utimesSync(file, new Date(`${written}T23:00:00`), new Date(`${written}T23:00:00`));
    const { first } = await replayed(file);
    expect(new Date((first ?? 0) * 1000).getFullYear()).toBe(year);
  });

  it("without a year goes on over New Year", async () => {
    const file = write(
      `Dec 31 23:50:00 mon1 nagios: ${entry}\nJan  1 00:10:00 mon1 nagios: ${entry}\nOther 1 x`,
    );
    const { first, last } = await replayed(file);
    expect((last ?? 0) - (first ?? 0)).toBe(1200);
  });

  it("in the form of the web pages cannot be read: the day and the month look the same", async () => {
    const { broken } = await replayedLines([mail(0, "CRITICAL"), `[11-08-2023 17:21:53] ${entry}`]);
    expect(broken).toEqual([
      { file: expect.any(String), line: 2, reason: expect.stringMatching(/^no time/) },
    ]);
  });

  it("without a zone is told, with the zone that is taken", async () => {
    const [human, centreon] = [await replayed(path("human.log")), await replayed(path("centreon.log"))];
    expect(human.remarks.join()).toMatch(/human\.log: times without a time zone are read as \S+\./);
    expect(centreon.remarks.join()).not.toMatch(/time zone/);
  });
});

describe("files", () => {
  const shellOrder = (name: string) =>
    readdirSync(join(import.meta.dirname, name))
      .sort()
      .map((file) => join(import.meta.dirname, name, file));

  it.each<[string, Record<string, number>]>([
    ["archives", { PROBLEM: 4, RECOVERY: 4 }],
    ["year", { PROBLEM: 1, UPDATE: 1, RECOVERY: 1 }],
  ])("are read by their times, not in the shell's order: %s", async (name, mailed) => {
    expect((await replayed(...shellOrder(name))).mailed).toEqual(mailed);
  });

  it("that overlap are told, and one that is given twice is read once", async () => {
    const [one, two] = [write(mail(0, "CRITICAL")), write(mail(0, "CRITICAL"))];
    expect((await replayed(one, one)).notifications).toBe(1);
    const later = write(`${mail(-60, "CRITICAL")}\n${mail(60, "CRITICAL")}`);
    expect((await replayed(one, later)).remarks.join()).toMatch(/begins before .* ends\./);
    expect((await replayed(two)).remarks.join()).not.toMatch(/begins before/);
  });

  it("packed by gzip are read, and damaged ones are named", async () => {
    const packed = gzipSync(outagesWithoutRecovery(5).join("\n"));
    expect((await replayed(write(packed))).mailed).toEqual({ PROBLEM: 5 });
    await expect(replayed(write(packed.subarray(0, 40)))).rejects.toThrow(/is not a whole gzip file/);
    await expect(replayed(write(Buffer.from("fd377a585a0000", "hex")))).rejects.toThrow(/with xz -d/);
  });

  it("with a line of many megabytes are read in little memory", async () => {
    const text = `${mail(0, "CRITICAL")}\n${"x".repeat(3_000_000)}\n${mail(60, "CRITICAL")}`;
    const { lines, notifications } = await replayedLines([text]);
    expect([lines, notifications]).toEqual([3, 2]);
  });
});

it("a name that every object has is counted like any other", async () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
  const result = await replayedLines(
    names.flatMap((name) => [
      `[${t}] SERVICE ALERT: ${name};${name};CRITICAL;HARD;1;x`,
      `[${t}] SERVICE NOTIFICATION: ${name};${name};${name};CRITICAL;${name};x`,
      `[${t}] HOST NOTIFICATION: ${name};${name};DOWN;${name};x`,
    ]),
  );
  const counted = JSON.parse(JSON.stringify(result)) as Replay;
  for (const name of names) {
    expect(Object.getOwnPropertyDescriptor(counted.contacts, name)?.value).toEqual({
      nagios: 2,
      hardstate: 2,
    });
    expect(Object.getOwnPropertyDescriptor(counted.commands, name)?.value).toBe(2);
    expect(replayWords(result, true).join("\n")).toMatch(new RegExp(`^${name} +2 +2$`, "m"));
  }
  expect(Object.keys(Object.prototype)).toEqual([]);
});

it.each([
  ["a host that no alert can name", `[${t}] HOST NOTIFICATION: ops;${"h".repeat(256)};DOWN;by-mail;x`],
  ["a host of nothing that can be seen", `[${t}] HOST NOTIFICATION: ops;\u202e;DOWN;by-mail;x`],
  ["a time before 1970", "[1066-10-14 09:00:00] HOST NOTIFICATION: ops;web01;DOWN;by-mail;x"],
  ["a time after 9999", "[99999999999999] HOST NOTIFICATION: ops;web01;DOWN;by-mail;x"],
  ["no day of any month", "[2025-13-45 09:00:00] HOST NOTIFICATION: ops;web01;DOWN;by-mail;x"],
])("a line with %s is broken, and the others are read", async (_, line) => {
  const { broken, mailed } = await replayedLines([line, mail(0, "CRITICAL")]);
  expect(broken).toMatchObject([{ line: 1 }]);
  expect(mailed).toEqual({ PROBLEM: 1 });
});

it("a pipe is named, since files are read twice", async () => {
  await expect(replayed("/dev/null")).rejects.toThrow(/\/dev\/null is no regular file/);
});

it("no address that stands for a contact is shown", async () => {
  const result = await replayedLines([
    hostMail(0, "DOWN"),
    mail(0, "CRITICAL"),
    mail(60, "CRITICAL"),
    mail(120, "ACKNOWLEDGEMENT (CRITICAL)"),
  ]);
  expect(replayWords(result, true).join("\n")).not.toContain("@contact.invalid");
});

it("a replay reads like this", async () => {
  const words = replayWords(await replayed(join(import.meta.dirname, "centreon.log")), false);
  expect(words.join("\n")).not.toContain("not mailed");
  expect(words.flatMap((line) => line.split("\n")).filter((line) => line.length > 80)).toEqual([]);
  expect(readFileSync("README.md", "utf8")).toContain("hardstate -- replay");
});

describe("four outages with contacts that have options, as Nagios 4.4.6 logs them,", () => {
  const contacts = ["with-recovery", "critical-alone", "two-addresses"];
  const lines = [0, 13, 27, 40].flatMap((at) => [
    ...contacts.map((contact) => mail(at, "CRITICAL", contact)),
    alert(at, "CRITICAL;HARD"),
    mail(at + 6, "OK", "with-recovery"),
    alert(at + 6, "OK;HARD"),
  ]);

  it("make four PROBLEM mails for each, and an end for the contact who takes it", async () => {
    const { contacts: counts } = await replayedLines(lines);
    expect(counts).toEqual({
      "with-recovery": { nagios: 8, hardstate: 8 },
      "critical-alone": { nagios: 4, hardstate: 4 },
      "two-addresses": { nagios: 4, hardstate: 4 },
    });
  });

  it("make no recovery that a contact does not take, whoever is told of the next problem", async () => {
    const result = await replayedLines([
      ...outagesWithoutRecovery(1, "dba"),
      alert(3600, "CRITICAL;HARD"),
      mail(3600, "CRITICAL", "ops"),
      mail(4200, "OK", "ops"),
      alert(4200, "OK;HARD"),
    ]);
    expect(became(result)).toEqual([
      "dba PROBLEM: PROBLEM",
      "dba PROBLEM: not mailed",
      "ops PROBLEM: PROBLEM",
      "ops RECOVERY: RECOVERY",
    ]);
  });
});

import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Icinga, shippedConf, startIcinga } from "../world/icinga2.ts";
import {
  bridgeSettings,
  installShim,
  type Lab,
  openLab,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";
import { outages, type Posted, receivedIn, startTape, type Tape } from "../world/tape.ts";
import { type Judgement, judge, outagesOn, type Received, table } from "../world/tape-judge.ts";

const services = "Pay Solo Both Repeat Ladder";
/** The contacts, and of what each is notified. */
const users = {
  alice: "types = [ Problem, Recovery ]",
  bob: "types = [ Problem ]",
  carol: "states = [ OK, Up, Critical, Down ]",
  dave: "states = [ Critical, Down ], types = [ Problem ]",
  chief: "types = [ Problem, Recovery ]",
  clerk: "types = [ Problem ]",
  pager: "types = [ Problem ]",
};
const addresses = (name: string) =>
  (name === "pager" ? ["pager1", "pager2"] : [name]).map((local) => `${local}@example.com`);
const notes = Object.fromEntries(
  Object.entries(users).flatMap(([name, more]) => addresses(name).map((mailbox) => [mailbox, more])),
);
const passive = 'check_command = "passive", enable_active_checks = false, max_check_attempts = 1';
const host = (name: string, who: string) => `
object Host "${name}" { ${passive} }
object Notification "mail" { host_name = "${name}", command = "hardstate-notify-host", users = [ ${who} ], interval = 0 }
`;
const service = (at: string, name: string, notifications: Record<string, string>) => `
object Service "${name}" { host_name = "${at}", ${passive} }
${Object.entries(notifications)
  .map(
    ([id, more]) =>
      `object Notification "${id}" { host_name = "${at}", service_name = "${name}", command = "hardstate-notify-service", ${more} }\n`,
  )
  .join("")}`;
const definitions = [
  ...Object.entries(users).map(
    ([name, more]) => `object User "${name}" { email = "${addresses(name)}", ${more} }\n`,
  ),
  host("app01", '"alice", "bob"'),
  host("box01", '"alice", "bob", "carol", "dave"'),
  service("app01", "Pay", { mail: 'users = [ "alice", "bob" ], interval = 0' }),
  service("app01", "Solo", { mail: 'users = [ "bob" ], interval = 0' }),
  // One user in two notifications, which both run the command.
  service("app01", "Both", {
    one: 'users = [ "alice", "bob", "pager" ], interval = 0',
    two: 'users = [ "alice", "carol", "dave" ], interval = 0',
  }),
  service("app01", "Repeat", { mail: 'users = [ "alice", "bob", "carol", "dave", "pager" ], interval = 1s' }),
  service("app01", "Ladder", {
    first: 'users = [ "alice", "bob" ], interval = 0, times = { end = 2s }',
    second: 'users = [ "chief", "clerk" ], interval = 0, times = { begin = 2s }',
  }),
  service("box01", "Web", { mail: 'users = [ "alice", "bob", "carol", "dave" ], interval = 0' }),
].join("");

let lab: Lab;
let conf: string;
let icinga: Icinga;
let tape: Tape;
/** Notifications that Icinga logged, and was killed before it ran their commands. */
let neverRun = 0;
const sent = () =>
  (icinga.log().match(/Sending (reminder )?'\w+' notification '.*' for user /g)?.length ?? 0) - neverRun;
const codes = { OK: 0, WARNING: 1, CRITICAL: 2, UNKNOWN: 3, UP: 0, DOWN: 1 };
const { output, count } = outages();

/** A check result for each object. Waits until Icinga has it, and all that it posted is decided. */
const set = async (states: Record<string, keyof typeof codes>) => {
  const results = Object.entries(states).map(([object, state]) => {
    const [at, name] = object.split("/");
    const text = output(object, state);
    const result = `${codes[state]};${text}`;
    return {
      text,
      command:
        name === undefined
          ? `PROCESS_HOST_CHECK_RESULT;${at};${result}`
          : `PROCESS_SERVICE_CHECK_RESULT;${at};${name};${result}`,
    };
  });
  icinga.tell(...results.map(({ command }) => command));
  await until(`Icinga has ${JSON.stringify(states)}`, 90, () => {
    const log = icinga.log();
    return results.every(({ text }) => log.includes(text));
  });
  // Icinga names a problem by whole seconds, and sends a notification a moment after its check result.
  await setTimeout(1100);
  await tape.settled(sent);
};
/** The same state for objects; without a host they are services of app01. */
const on = (names: string, state: keyof typeof codes) =>
  Object.fromEntries(names.split(" ").map((name) => [/^[A-Z]/.test(name) ? `app01/${name}` : name, state]));

/** Waits for Icinga's timer, which runs every five seconds: it escalates and repeats what was posted after `before`. */
const timer = async (before: number) => {
  await until("Icinga has escalated and repeated", 90, () => {
    const contacts = tape
      .posted()
      .slice(before)
      .map(({ contact, object }) => `${contact} ${object}`);
    const repeats = contacts.filter((post) => post === "bob app01/Repeat");
    return (
      contacts.includes("chief app01/Ladder") && contacts.includes("clerk app01/Ladder") && repeats.length > 1
    );
  });
  await tape.settled(sent);
};

/** Ends Icinga and starts it again. It saves its state when it is told to stop, and not when it is killed. */
const restart = async (signal: "SIGTERM" | "SIGKILL") => {
  const at = (path: string) => join(lab.folder, "icinga2/run", path);
  const pid = readFileSync(at("icinga2.pid"), "utf8").trim();
  const { stdout } = await promisify(execFile)("ps", ["-o", "pid=", "--ppid", pid]);
  const pids = [pid, ...stdout.split("\n").filter(Boolean)].map(Number);
  for (const one of signal === "SIGKILL" ? pids : pids.slice(0, 1)) process.kill(one, signal);
  await until("Icinga has ended", 90, () => pids.every((one) => !existsSync(`/proc/${one}`)));
  await setTimeout(1000);
  neverRun += sent() - tape.posted().length;
  rmSync(at("icinga2.cmd"), { force: true });
  icinga = await startIcinga(lab, conf);
};

const rounds = 4;
let posted: Posted[];
let mailsBeforeRestarts: Received[];
let judgement: Judgement;

beforeAll(async () => {
  lab = openLab();
  const relay = await startRelay(lab);
  const settings = bridgeSettings(lab, relay, 18_797);
  const { url } = await startBridge(lab, settings);
  tape = startTape(lab, await installShim(lab, url, settings.token, "nagios"), url, settings.token);
  conf = shippedConf("scripts/monitors/icinga2.conf", tape.shim) + definitions;
  icinga = await startIcinga(lab, conf);
  // Solo has never been OK when it fails first: Icinga has no time for its last OK then.
  await set({ ...on("app01 box01", "UP"), ...on("Pay Both Repeat Ladder box01/Web", "OK") });
  for (let round = 1; round <= rounds; round += 1) {
    const before = tape.posted().length;
    await set({ ...on(services, round % 2 ? "CRITICAL" : "WARNING"), ...on("box01", "DOWN") });
    await timer(before);
    await set({ ...on(services, "CRITICAL"), ...on("box01", "UP") });
    // An end that is never posted to anyone.
    icinga.tell(`${round === 2 ? "DIS" : "EN"}ABLE_NOTIFICATIONS`);
    await set(on(services, "OK"));
    icinga.tell("ENABLE_NOTIFICATIONS");
    await set(on("box01/Web", "CRITICAL"));
    await set(on("box01/Web", "OK"));
  }
  mailsBeforeRestarts = await receivedIn(relay.maildir);
  // It remembers that they are CRITICAL.
  await set(on(services, "CRITICAL"));
  await restart("SIGTERM");
  await set(on(services, "CRITICAL"));
  await set(on(services, "OK"));
  // It remembers the outage before.
  await set(on(services, "CRITICAL"));
  await restart("SIGKILL");
  await set(on(services, "CRITICAL"));
  await set(on(services, "OK"));
  // It remembers that they were OK: it reports one outage again, and never the end of another.
  await restart("SIGTERM");
  await set(on(services, "OK"));
  await set(on(services, "CRITICAL"));
  await restart("SIGKILL");
  await set(on(services, "CRITICAL"));
  await restart("SIGKILL");
  await set(on(services, "OK"));
  await set(on(services, "CRITICAL"));
  await set(on(services, "OK"));
  posted = tape.posted();
  const mails = await receivedIn(relay.maildir);
  judgement = judge(posted, mails);
  process.stdout.write(
    `\n${count()} outages, ${posted.length} notifications, ${mails.length} mails\n${table(judgement.counts, notes)}\n\n`,
  );
});
afterAll(() => lab?.stop());

describe("a real Icinga 2 whose users hear of different states", () => {
  it("posted two notifications to one user, escalated, repeated, forgot outages and lost ends", () => {
    const of = (object: string, contact: string, type: string) =>
      posted.filter((post) => post.object === object && post.contact === contact && post.type === type)
        .length;
    expect(of("app01/Both", "alice", "PROBLEM")).toBeGreaterThanOrEqual(
      2 * of("app01/Both", "bob", "PROBLEM"),
    );
    expect(of("app01/Ladder", "chief", "PROBLEM")).toBeGreaterThanOrEqual(rounds);
    expect(of("app01/Repeat", "bob", "PROBLEM")).toBeGreaterThan(of("app01/Pay", "bob", "PROBLEM"));
    expect(of("app01/Pay", "alice", "PROBLEM") - of("app01/Pay", "alice", "RECOVERY")).toBeGreaterThanOrEqual(
      2,
    );
    expect(posted.filter(({ contact, type }) => contact === "bob" && type === "RECOVERY")).toEqual([]);
    const names = [...outagesOn(posted).values()].map(
      ({ posts }) => new Set(posts.filter(({ type }) => type === "PROBLEM").map(({ problem }) => problem)),
    );
    expect(names.filter(({ size }) => size > 1).length).toBeGreaterThanOrEqual(3);
    expect(posted.map(({ exit }) => exit)).toEqual(posted.map(() => 0));
  });

  it("has every problem, each of its steps and its end told to each mailbox that it posted them to", () => {
    expect(judgement.faults.swallowed).toEqual([]);
    // One of the four outages of Pay ends and nobody is told.
    const problems = (name: string, object: string) =>
      mailsBeforeRestarts.filter(
        ({ mailbox, subject }) =>
          mailbox === `${name}@example.com` &&
          subject.startsWith("[PROBLEM ") &&
          subject.endsWith(`] ${object}`),
      ).length;
    expect(problems("alice", "app01/Pay")).toBe(rounds);
    expect(problems("bob", "app01/Pay")).toBe(rounds);
    expect(problems("bob", "app01/Solo")).toBe(rounds);
  });

  it("has none of them told twice", () => {
    expect(judgement.faults.tooMany).toEqual([]);
  });

  it("has nothing told that it did not post, and nothing of another problem", () => {
    expect(judgement.faults.unasked).toEqual([]);
  });
});

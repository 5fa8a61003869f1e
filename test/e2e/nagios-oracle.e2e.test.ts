import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  bridgeSettings,
  commandLines,
  installShim,
  type Lab,
  openLab,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";
import { outages, type Posted, receivedIn, startTape, type Tape } from "../world/tape.ts";
import { type Judgement, judge, outagesOn, table } from "../world/tape-judge.ts";

type Contact = { name: string; service: string; host: string; email?: string };
/** The contacts who are notified, by their options for services and hosts. */
const contacts: Contact[] = [
  { name: "all", service: "w,u,c,r", host: "d,u,r" },
  { name: "critical", service: "c,r", host: "d,r" },
  { name: "critical-no-end", service: "c", host: "d" },
  { name: "no-end", service: "w,u,c", host: "d,u" },
  { name: "unknown", service: "u,r", host: "u,r" },
  { name: "ends-only", service: "r", host: "r" },
  { name: "nothing", service: "n", host: "n" },
  { name: "pager", service: "c", host: "d", email: "pager1@example.com,pager2@example.com" },
  { name: "shift", service: "w,u,c,r", host: "d,u,r" },
];
/** The contacts who are notified from the second notification of Ladder and of Stairs on. */
const escalated: Contact[] = [
  { name: "chief", service: "w,u,c,r", host: "d,u,r" },
  { name: "chief-no-end", service: "c", host: "d" },
];
/** By object, what is its own. */
const services: Record<string, Record<string, string>> = {
  "app01/Pay": {},
  "app01/Quiet": { notification_options: "w,u,c" },
  "app01/Repeat": { notification_interval: "1" },
  "app01/Ladder": { notification_interval: "1" },
  "app01/Stairs": { notification_interval: "1" },
  "app01/Trap": { is_volatile: "1" },
  "box01/Web": {},
  "box02/Web": {},
};
const hosts = { app01: {}, box01: {}, box02: { notification_options: "d,u" } };

const definition = (kind: string, lines: Record<string, string>) =>
  `define ${kind} {\n${Object.entries(lines)
    .map(([name, value]) => `  ${name} ${value}\n`)
    .join("")}}\n`;
const passive = {
  active_checks_enabled: "0",
  max_check_attempts: "1",
  check_period: "always",
  notification_interval: "0",
  notification_period: "always",
  contacts: contacts.map(({ name }) => name).join(","),
};
const definitions = [
  definition("timeperiod", { timeperiod_name: "never", alias: "Never" }),
  ...[...contacts, ...escalated].map(({ name, service, host, email }) =>
    definition("contact", {
      contact_name: name,
      email: email ?? `${name}@example.com`,
      host_notification_period: "always",
      service_notification_period: "always",
      host_notification_options: host,
      service_notification_options: service,
      host_notification_commands: "notify-host",
      service_notification_commands: "notify-service",
    }),
  ),
  ...Object.entries(hosts).map(([name, own]) =>
    definition("host", { host_name: name, notification_options: "d,u,r", ...passive, ...own }),
  ),
  ...Object.entries(services).map(([object, own]) => {
    const [host = "", service = ""] = object.split("/");
    return definition("service", {
      host_name: host,
      service_description: service,
      check_command: "read_state!none",
      notification_options: "w,u,c,r",
      ...passive,
      ...own,
    });
  }),
  definition("serviceescalation", {
    host_name: "app01",
    service_description: "Ladder,Stairs",
    first_notification: "2",
    last_notification: "0",
    notification_interval: "1",
    contacts: escalated.map(({ name }) => name).join(","),
  }),
].join("");

let lab: Lab;
let tape: Tape;
const nagios = (...words: string[]) => lab.script("nagios", ...words);
const file = (path: string) => readFileSync(join(lab.folder, "nagios", path), "utf8");
const settled = () =>
  tape.settled(() => file("nagios.log").match(/^\[\d+\] (HOST|SERVICE) NOTIFICATION: /gm)?.length ?? 0);

/** Writes external commands, without their time. */
const tell = (...commands: string[]) =>
  appendFileSync(
    join(lab.folder, "nagios/rw/nagios.cmd"),
    commands.map((command) => `[${Math.floor(Date.now() / 1000)}] ${command}\n`).join(""),
  );
const codes = { OK: 0, WARNING: 1, CRITICAL: 2, UNKNOWN: 3, UP: 0, DOWN: 1, UNREACHABLE: 2 };
const { output, count } = outages();

/** A check result for each object. Waits until the core has it, and all that it posted is decided. */
const set = async (states: Record<string, keyof typeof codes>) => {
  const results = Object.entries(states).map(([object, state]) => ({
    object: object.split("/"),
    state,
    text: output(object, state),
  }));
  const commands = results.map(({ object: [host, service], state, text }) =>
    service === undefined
      ? `PROCESS_HOST_CHECK_RESULT;${host};${codes[state]};${text}`
      : `PROCESS_SERVICE_CHECK_RESULT;${host};${service};${codes[state]};${text}`,
  );
  tell(...commands);
  await until(`the core has ${JSON.stringify(states)}`, 90, () => {
    const status = file("var/status.dat");
    return results.every(({ text }) => status.includes(text));
  });
  await settled();
};
/** The same state for objects; without a host they are services of app01. */
const on = (names: string, state: keyof typeof codes) =>
  Object.fromEntries(names.split(" ").map((name) => [/^[A-Z]/.test(name) ? `app01/${name}` : name, state]));
const logged = (text: string, times = 1) =>
  until(`${times} times in the log: ${text}`, 90, () => file("nagios.log").split(text).length > times);
/** The period of a contact: `always` or `never`. */
const work = (contact: string, period: string) =>
  tell(
    `CHANGE_CONTACT_SVC_NOTIFICATION_TIMEPERIOD;${contact};${period}`,
    `CHANGE_CONTACT_HOST_NOTIFICATION_TIMEPERIOD;${contact};${period}`,
  );

const onApp = "Pay Quiet Repeat Ladder Trap";
const onAll = `${onApp} box01/Web box02/Web`;

/** Problems and ends as on any day: repeats, steps, escalations, events, hosts and their services. */
const anyDay = async () => {
  await set({ ...on("Pay Quiet Repeat Ladder Stairs Trap", "CRITICAL"), ...on("box01 box02", "DOWN") });
  await set({
    ...on("Pay Quiet", "OK"),
    ...on("Repeat Ladder Stairs Trap", "CRITICAL"),
    ...on("box01 box02", "UP"),
  });
  await set({
    ...on("Pay Quiet Repeat box02/Web", "CRITICAL"),
    ...on("Ladder Stairs", "OK"),
    ...on("Trap", "WARNING"),
    ...on("box01", "UNREACHABLE"),
  });
  await set({ ...on("Pay Quiet Repeat Trap box02/Web", "OK"), ...on("box01 box02", "DOWN") });
  await set({
    ...on("Pay Repeat", "WARNING"),
    ...on("Quiet", "UNKNOWN"),
    ...on("Ladder Trap", "CRITICAL"),
    ...on("box01 box02", "UP"),
  });
  await set({
    ...on("Pay Quiet Repeat Ladder", "CRITICAL"),
    ...on("Trap", "OK"),
    ...on("box01/Web", "UNKNOWN"),
    ...on("box02/Web", "WARNING"),
  });
  await set({ ...on("Pay Quiet Repeat Ladder box01/Web", "OK"), ...on("box02/Web", "CRITICAL") });
  await set({ ...on("Pay", "UNKNOWN"), ...on("Quiet Ladder", "WARNING"), ...on("Repeat Trap", "CRITICAL") });
};

/** Ends that the core never posts, to one contact or to all, and the problems after them. */
const lostEnds = async () => {
  work("shift", "never");
  await set(on(`${onApp} box02/Web`, "OK"));
  work("shift", "always");
  await set(on(onAll, "CRITICAL"));
  tell("DISABLE_NOTIFICATIONS");
  await set(on(onAll, "OK"));
  tell("ENABLE_NOTIFICATIONS");
  await set(on(onAll, "CRITICAL"));
  const now = Math.floor(Date.now() / 1000);
  tell(
    ...["app01;Pay", "app01;Repeat", "box01;Web"].map(
      (service) => `SCHEDULE_SVC_DOWNTIME;${service};${now};${now + 600};1;0;600;all;a new disk`,
    ),
  );
  await logged("SERVICE DOWNTIME ALERT: ", 3);
  await set(on(onAll, "OK"));
  tell("DEL_DOWNTIME_BY_HOST_NAME;app01", "DEL_DOWNTIME_BY_HOST_NAME;box01");
  await logged("SERVICE DOWNTIME ALERT: ", 6);
  // This contact hears of a problem from its second notification on.
  work("shift", "never");
  await set(on("Pay Repeat box01/Web", "WARNING"));
  work("shift", "always");
  await set(on("Pay Repeat box01/Web", "CRITICAL"));
};

/** Restarts: one that remembers, one that remembers an older state, one that remembers nothing. */
const restarts = async () => {
  await nagios("restart");
  await set(on("Pay Repeat", "CRITICAL"));
  await set(on("Pay Repeat box01/Web Ladder Trap", "OK"));
  await set({ ...on(onApp, "CRITICAL"), ...on("box01", "DOWN") });

  await nagios("kill");
  await nagios("restart");
  await set({ ...on(onApp, "CRITICAL"), ...on("box01", "DOWN") });
  await set({ ...on(onApp, "OK"), ...on("box01", "UP") });
  await set(on(onAll, "CRITICAL"));

  await nagios("stop");
  rmSync(join(lab.folder, "nagios/var/retention.dat"));
  await nagios("restart");
  await set(on("Pay Quiet Repeat Ladder", "CRITICAL"));
  await set(on(onAll, "OK"));
  await set(on(onAll, "CRITICAL"));
  await set(on(onAll, "OK"));
};

let posted: Posted[];
let judgement: Judgement;
const mailboxesOf = ({ name, email }: Contact) => (email ?? `${name}@example.com`).split(",");

beforeAll(async () => {
  lab = openLab();
  const relay = await startRelay(lab);
  const settings = bridgeSettings(lab, relay, 18_796);
  const { url } = await startBridge(lab, settings);
  tape = startTape(lab, await installShim(lab, url, settings.token, "nagios"), url, settings.token);
  lab.onStop(() => nagios("stop"));
  const extra = join(lab.folder, "contacts.cfg");
  writeFileSync(extra, definitions);
  const { host, service } = commandLines("scripts/monitors/nagios.cfg", tape.shim);
  await nagios("start", "-S", service, "-H", host, "-x", extra);
  // Quiet has never been OK when it fails first.
  const once = Object.keys(services).filter((service) => service !== "app01/Quiet");
  await set({ ...on(once.join(" "), "OK"), ...on(Object.keys(hosts).join(" "), "UP") });
  await anyDay();
  await lostEnds();
  await restarts();
  const received = () => receivedIn(relay.maildir);
  await until("whom the escalation of Stairs passed by is told of its end", 90, async () =>
    (await received()).some(
      ({ mailbox, subject }) => mailbox === "all@example.com" && subject === "[RECOVERY OK] app01/Stairs",
    ),
  );
  posted = tape.posted();
  const mails = await received();
  judgement = judge(posted, mails);
  const notes = [...contacts, ...escalated].flatMap((contact) =>
    mailboxesOf(contact).map((mailbox) => [mailbox, `${contact.service} / ${contact.host}`]),
  );
  process.stdout.write(
    `\n${count()} outages, ${posted.length} notifications, ${mails.length} mails\n${table(judgement.counts, Object.fromEntries(notes))}\n\n`,
  );
});
afterAll(() => lab?.stop());

describe("a real Nagios whose contacts hear of different states", () => {
  it("lost ends, forgot outages, restored an older state, escalated and repeated", () => {
    const all = [...outagesOn(posted).values()];
    const problems = all.map(({ posts }) => posts.filter(({ type }) => type === "PROBLEM"));
    const names = problems.map((posts) => new Set(posts.map(({ problem }) => problem)));
    const ends = all.map(({ posts }) => posts.filter(({ type }) => type === "RECOVERY"));
    expect(all.length).toBeGreaterThanOrEqual(60);
    expect(ends.filter((posts) => posts.length === 0).length).toBeGreaterThanOrEqual(15);
    expect(names.filter(({ size }) => size > 1).length).toBeGreaterThanOrEqual(8);
    const otherwiseNamed = ends.filter((posts, at) => posts.some(({ problem }) => !names[at]?.has(problem)));
    expect(otherwiseNamed.length).toBeGreaterThanOrEqual(1);
    expect(posted.filter(({ type, escalated }) => type === "PROBLEM" && escalated).length).toBeGreaterThan(4);
    expect(new Set(posted.map(({ start }) => start)).size).toBe(4);
    expect(posted.map(({ exit }) => exit)).toEqual(posted.map(() => 0));
  });

  it("has every problem, each of its steps and its end told to each mailbox that it posted them to", () => {
    expect(judgement.faults.swallowed).toEqual([]);
  });

  it("has none of them told twice", () => {
    expect(judgement.faults.tooMany).toEqual([]);
  });

  it("has nothing told that it did not post, and nothing of another problem", () => {
    expect(judgement.faults.unasked).toEqual([]);
    expect([...judgement.counts.keys()]).not.toContain("nothing@example.com");
  });
});

import { execFile } from "node:child_process";
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Bridge,
  type BridgeSettings,
  bridgeSettings,
  commandLines,
  installShim,
  type Lab,
  mailsIn,
  openLab,
  type Relay,
  type Shim,
  startBridge,
  startRelay,
  until,
  watchCommandLines,
} from "../world/lab.ts";

const run = promisify(execFile);
let lab: Lab;
let relay: Relay;
let settings: BridgeSettings;
let bridge: Bridge;
let shim: Shim;

const nagios = (...words: string[]) => lab.script("nagios", ...words);
/** Lines of nagios.log: one for each notification that Nagios handed to a command. */
const notifications = async () =>
  (await nagios("log")).split("\n").filter((line) => / (SERVICE|HOST) NOTIFICATION: /.test(line));
const notified = async (pattern: RegExp) =>
  (await notifications()).filter((line) => pattern.test(line)).length;
const startNagios = (definitions: string, ...options: string[]) => {
  const { host, service } = commandLines(definitions, shim);
  return nagios("start", "-S", service, "-H", host, ...options);
};
const accepted = () => bridge.events().filter(({ event }) => event === "accepted");
const endings = () => bridge.events().filter(({ event }) => event === "ended");
const spooled = () => readdirSync(shim.spool).filter((name) => name.endsWith(".json"));
/** Each mail with its contact, in the order of arrival. */
const received = async () => {
  const mails = await mailsIn(relay.maildir);
  return Map.groupBy(mails, ({ to }) => to?.[0]?.address ?? "");
};
const subjects = async (contact: string) =>
  ((await received()).get(contact) ?? []).map(({ subject }) => subject);
/** Every alert that was accepted has its ending. */
const settled = () => until("every alert has an ending", 60, () => endings().length === accepted().length);

beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
  settings = bridgeSettings(lab, relay, 18_787);
  bridge = await startBridge(lab, settings);
  shim = await installShim(lab, bridge.url, settings.token, "nagios");
  lab.onStop(() => nagios("stop"));
});
afterAll(() => lab?.stop());

describe("a real Nagios, the shim, the bridge and a real Postfix with AUTH and STARTTLS", () => {
  it("mail two contacts PROBLEM, ACKNOWLEDGEMENT and RECOVERY, and nothing for SOFT or for ten renotifications", async () => {
    const comment = "Restarting Apache; it's INC-4711 $(id)";
    const watched = watchCommandLines([settings.token, relay.password, "INC-4711"]);
    await startNagios("scripts/monitors/nagios.cfg", "-i", "1");
    await nagios("set", "web01/HTTP", "CRITICAL", "CRITICAL - Socket timeout after 10 seconds");
    await nagios("wait", "SERVICE ALERT: web01;HTTP;CRITICAL;SOFT;1", "30");
    await until(
      "eleven notifications for each",
      90,
      async () => (await notified(/;web01;HTTP;CRITICAL;/)) >= 22,
    );
    // Written to Nagios's command file by hand: the lab's own script would show the comment on its command line.
    const external = `ACKNOWLEDGE_SVC_PROBLEM;web01;HTTP;1;1;0;oncall;${comment}`;
    appendFileSync(
      join(lab.folder, "nagios/rw/nagios.cmd"),
      `[${Math.floor(Date.now() / 1000)}] ${external}\n`,
    );
    await until("acknowledged", 90, async () => (await notified(/ACKNOWLEDGEMENT/)) === 2);
    await nagios("set", "web01/HTTP", "OK", "HTTP OK");
    await until("recovered", 90, async () => (await notified(/;web01;HTTP;OK;/)) === 2);
    await until("all posted", 90, async () => accepted().length === (await notifications()).length);
    await settled();
    const { seen, looks } = watched();
    await nagios("stop");

    const expected = [
      "[PROBLEM CRITICAL] web01/HTTP",
      "[ACKNOWLEDGEMENT CRITICAL] web01/HTTP",
      "[RECOVERY OK] web01/HTTP",
    ];
    expect(await subjects("oncall@example.com")).toEqual(expected);
    expect(await subjects("dba@example.com")).toEqual(expected);
    expect(endings().filter(({ ending }) => ending === "suppressed").length).toBeGreaterThanOrEqual(20);
    expect(spooled()).toEqual([]);

    const mails = (await received()).get("oncall@example.com") ?? [];
    const hop = mails[0]?.headers.find(({ key }) => key === "received")?.value ?? "";
    expect(hop).toMatch(/TLSv1\.3/);
    expect(hop).toMatch(/Authenticated sender: nagios@example\.com/);
    expect(mails[1]?.text).toContain(comment);
    expect(new Set(mails.map(({ references }) => references)).size).toBe(1);

    expect(looks).toBeGreaterThan(100);
    expect(seen).toEqual([]);
  });

  it("mail the same without environment macros", async () => {
    const before = accepted().length;
    await startNagios("scripts/monitors/nagios-without-environment.cfg", "-E", "-i", "0");
    await nagios("set", "db01/Disk", "CRITICAL", "DISK CRITICAL - /var is at 99% of `50` GB");
    await until("notified", 90, async () => (await notified(/;db01;Disk;CRITICAL;/)) === 2);
    await nagios("set", "db01", "DOWN", "PING CRITICAL - Packet loss = 100%");
    await until("host notified", 90, async () => (await notified(/HOST NOTIFICATION: \w+;db01;DOWN;/)) === 2);
    await until("all posted", 90, async () => accepted().length - before === (await notifications()).length);
    await settled();
    await nagios("stop");
    const [disk, host] = ((await received()).get("dba@example.com") ?? []).slice(-2);
    expect([disk?.subject, host?.subject]).toEqual(["[PROBLEM CRITICAL] db01/Disk", "[PROBLEM DOWN] db01"]);
    expect(disk?.text).toContain("DISK CRITICAL - /var is at 99% of 50 GB");
    expect(disk?.text).toMatch(/db01 \(192\.0\.2\.20\)/);
  });
});

describe("a bridge that is down while Nagios fires 50 notifications", () => {
  it("has all 50 after one drain, in order, none twice", async () => {
    await bridge.kill("SIGTERM");
    const mailsBefore = (await mailsIn(relay.maildir)).length;
    await startNagios("scripts/monitors/nagios.cfg", "-n", "50");
    await nagios("storm", "CRITICAL");
    await until("50 alerts in the spool", 60, () => spooled().length === 50);
    const sent = (await notifications()).map((line) => /;(farm01;S\d+);/.exec(line)?.[1]?.replace(";", "/"));
    expect(sent).toHaveLength(50);
    await nagios("stop");

    bridge = await startBridge(lab, settings);
    await run("runuser", ["-u", "nagios", "--", shim.command, "--drain"], {
      env: { ...process.env, ...shim.environment },
    });
    expect(spooled()).toEqual([]);
    expect(accepted().map(({ object }) => object)).toEqual(sent);
    await settled();
    const mails = (await mailsIn(relay.maildir)).slice(mailsBefore);
    expect(mails).toHaveLength(50);
    expect(new Set(mails.map(({ messageId }) => messageId)).size).toBe(50);
  });
});

describe("a bridge that is killed with 200 alerts queued", () => {
  it("mails them all after its restart, and none twice but those in flight", async () => {
    const mailsBefore = (await mailsIn(relay.maildir)).length;
    const mine = async () => (await mailsIn(relay.maildir)).slice(mailsBefore);
    const alerts = Array.from({ length: 200 }, (_, index) => ({
      v: 1,
      id: `killed-alert-${index}`,
      source: "nagios",
      monitor: { id: "monitor2" },
      type: "PROBLEM",
      object: { host: "farm02", service: `S${index}` },
      state: "CRITICAL",
      time: 1_795_366_380,
      recipients: [{ email: "oncall@example.com" }],
    }));
    for (const part of [alerts.slice(0, 100), alerts.slice(100)]) {
      const response = await fetch(`${bridge.url}/v1/alerts`, {
        method: "POST",
        body: JSON.stringify(part),
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${settings.token}` },
      });
      expect(response.status).toBe(202);
    }
    await bridge.kill("SIGKILL");
    const before = (await mine()).length;
    expect(before).toBeLessThan(200);
    bridge = await startBridge(lab, settings);
    await until(
      "200 different mails",
      60,
      async () => new Set((await mine()).map((mail) => mail.messageId)).size === 200,
    );
    await until("all have endings", 90, async () => {
      const story = await fetch(`${bridge.url}/v1/alerts/killed-alert-199`, {
        headers: { Authorization: `Bearer ${settings.token}` },
      });
      return ((await story.json()) as { status: string }).status === "mailed";
    });
    expect((await mine()).length).toBeLessThanOrEqual(203);
  });
});

describe("the files that the run left behind", () => {
  it("has the password nowhere, and the token only in the files of its owners", () => {
    const log = JSON.stringify(bridge.events());
    expect(log).not.toContain(settings.token);
    expect(log).not.toContain(relay.password);
    for (const name of ["ledger.sqlite", "queue.sqlite"]) {
      const bytes = readFileSync(join(settings.environment.HARDSTATE_STATE ?? "", name), "latin1");
      for (const secret of [settings.token, relay.password]) expect(bytes).not.toContain(secret);
    }
  });
});

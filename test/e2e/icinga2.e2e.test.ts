import { readdirSync, readFileSync } from "node:fs";
import type { Email } from "postal-mime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkIcinga, type Icinga, shippedConf, startIcinga } from "../world/icinga2.ts";
import {
  type Bridge,
  bridgeSettings,
  installShim,
  joined,
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

let lab: Lab;
let relay: Relay;
let bridge: Bridge;
let shim: Shim;
let token: string;
let icinga: Icinga;

const passive = 'check_command = "passive", enable_active_checks = false, max_check_attempts = 2';
const definitions = `
object User "oncall" { email = "oncall@example.com" }
object User "dba" { email = "dba@example.com" }
object HostGroup "production" {}
object HostGroup "web" {}
object Host "web01" { ${passive}, address = "192.0.2.10", display_name = "Web \\"server\\" 1", groups = [ "production", "web" ] }
object Host "db01" { ${passive}, address = "192.0.2.20" }
object Service "HTTP" { ${passive}, host_name = "web01", notes_url = "https://wiki.example.com/HTTP" }
object Service "Disk" { ${passive}, host_name = "db01" }
object Service "Bridge" { host_name = "db01", check_command = "hardstate", check_interval = 2s, retry_interval = 1s, max_check_attempts = 1, vars.hardstate_critical = "@0:0" }
object Service "Heartbeat" { host_name = "db01", check_command = "hardstate-heartbeat", check_interval = 2s }
object Service "Link" { ${passive}, host_name = "db01", enable_flapping = true, flapping_threshold_low = 5, flapping_threshold_high = 20 }
apply Notification "hardstate" to Host {
  command = "hardstate-notify-host", users = [ "oncall", "dba" ], interval = 0
  assign where true
}
apply Notification "hardstate" to Service {
  command = "hardstate-notify-service", users = [ "oncall", "dba" ], interval = 1
  assign where true
}
`;

const codes = { OK: 0, WARNING: 1, CRITICAL: 2, UP: 0, DOWN: 1 };
/** A passive result, as often as makes it HARD. */
const set = (object: string, state: keyof typeof codes, output: string) => {
  const [host, service] = object.split("/");
  const result =
    service === undefined
      ? `PROCESS_HOST_CHECK_RESULT;${host};${codes[state]};${output}`
      : `PROCESS_SERVICE_CHECK_RESULT;${host};${service};${codes[state]};${output}`;
  icinga.tell(...Array.from({ length: codes[state] === 0 ? 1 : 2 }, () => result));
};

type Accepted = { object: string; type: string; state: string };
const events = (name: string) => bridge.events().filter(({ event }) => event === name);
const accepted = (object: string, type: string) =>
  (events("accepted") as unknown as Accepted[]).filter(
    (alert) => alert.object === object && alert.type === type,
  ).length;
/** Waits until so many notifications of both contacts are with the bridge. */
const notified = (object: string, type: string, times = 1) =>
  until(`${times} ${type} of ${object} for each contact\n`, 40, () => accepted(object, type) >= 2 * times);
const settled = () =>
  until("every alert has an ending", 60, () => events("ended").length === events("accepted").length);
const mailsOf = async (contact: string, object: string): Promise<Email[]> =>
  (await mailsIn(relay.maildir)).filter(
    ({ to, subject }) => to?.[0]?.address === `${contact}@example.com` && subject?.endsWith(object),
  );
const subjects = async (contact: string, object: string) =>
  (await mailsOf(contact, object)).map(({ subject }) => subject?.slice(1, -object.length - 2));

beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
  const settings = bridgeSettings(lab, relay, 18_788);
  token = settings.token;
  bridge = await startBridge(lab, settings);
  shim = await installShim(lab, bridge.url, token, "nagios");
  icinga = await startIcinga(lab, shippedConf("scripts/monitors/icinga2.conf", shim) + definitions);
  for (const object of ["web01", "db01"]) set(object, "UP", "PING OK");
  for (const object of ["web01/HTTP", "db01/Disk", "db01/Link"]) set(object, "OK", "fine");
});
afterAll(() => lab?.stop());

describe("a real Icinga 2, the shim, the bridge and a real Postfix", () => {
  const hostile = `HTTP CRITICAL: "no" 'answer' <b>&</b> $5 \${HOME} \`id\` $(id) C:\\temp; Köln INC-4712`;
  const comment = `It's "being" fixed; $HOME \`id\` $(id) & soon INC-4713`;

  it("mail both users one PROBLEM, however often it is repeated, ACKNOWLEDGEMENT, CUSTOM and RECOVERY", async () => {
    const watched = watchCommandLines([token, relay.password, "INC-4712", "INC-4713"]);
    set("web01/HTTP", "CRITICAL", `${hostile}\\nline 2: "übrig" D:\\\\temp|time=10s;1;2`);
    await notified("web01/HTTP", "PROBLEM", 2);
    icinga.tell(`ACKNOWLEDGE_SVC_PROBLEM;web01;HTTP;1;1;0;oncall;${comment}`);
    await notified("web01/HTTP", "ACKNOWLEDGEMENT");
    icinga.tell(`SEND_CUSTOM_SVC_NOTIFICATION;web01;HTTP;0;dba;${comment}`);
    await notified("web01/HTTP", "CUSTOM");
    set("web01/HTTP", "OK", "HTTP OK");
    await notified("web01/HTTP", "RECOVERY");
    await settled();
    const { seen, looks } = watched();

    const expected = ["PROBLEM CRITICAL", "ACKNOWLEDGEMENT CRITICAL", "CUSTOM CRITICAL", "RECOVERY OK"];
    for (const contact of ["oncall", "dba"]) {
      const mails = await mailsOf(contact, "web01/HTTP");
      expect(await subjects(contact, "web01/HTTP")).toEqual(expected);
      const [problem, acknowledgement] = mails;
      for (const text of [hostile, 'line 2: "übrig" D:\\\\temp', "time  10 s (warn 1, crit 2)"])
        expect(joined(problem?.text)).toContain(text);
      expect(problem?.text).toContain("192.0.2.10");
      expect(problem?.text).toContain("https://wiki.example.com/HTTP");
      expect(joined(acknowledgement?.text)).toContain(comment);
      expect(acknowledgement?.text).toContain("oncall");
      expect(new Set(mails.map(({ references }) => references)).size).toBe(1);
    }
    expect(looks).toBeGreaterThan(100);
    expect(seen).toEqual([]);
  });

  it("mail a host's DOWN and UP", async () => {
    set("web01", "DOWN", "PING CRITICAL - Packet loss = 100%");
    await notified("web01", "PROBLEM");
    set("web01", "UP", "PING OK");
    await notified("web01", "RECOVERY");
    await settled();
    for (const contact of ["oncall", "dba"])
      expect(await subjects(contact, "web01")).toEqual(["PROBLEM DOWN", "RECOVERY UP"]);
  });

  it("mail a problem that gets worse once more, and not that it gets better", async () => {
    set("db01/Disk", "WARNING", "DISK WARNING - 91%");
    await notified("db01/Disk", "PROBLEM");
    await settled();
    set("db01/Disk", "CRITICAL", "DISK CRITICAL - 99%");
    await until(
      "worse",
      30,
      () => events("accepted").filter(({ state }) => state === "CRITICAL").length >= 2,
    );
    await notified("db01/Disk", "PROBLEM", 2);
    await settled();
    set("db01/Disk", "WARNING", "DISK WARNING - 91%");
    await notified("db01/Disk", "PROBLEM", 3);
    set("db01/Disk", "OK", "DISK OK");
    await notified("db01/Disk", "RECOVERY");
    await settled();
    for (const contact of ["oncall", "dba"])
      expect(await subjects(contact, "db01/Disk")).toEqual([
        "PROBLEM WARNING",
        "UPDATE CRITICAL",
        "RECOVERY OK",
      ]);
  });

  it("mail a downtime's start and end, and flapping", async () => {
    const now = Math.floor(Date.now() / 1000);
    icinga.tell(`SCHEDULE_HOST_DOWNTIME;web01;${now};${now + 600};1;0;600;oncall;${comment}`);
    await notified("web01", "DOWNTIMESTART");
    icinga.tell("DEL_DOWNTIME_BY_HOST_NAME;web01");
    await notified("web01", "DOWNTIMEEND");
    // Never OK: Icinga reads the state when it runs the command, and that may be after the next result.
    for (let round = 0; round < 8; round += 1) set("db01/Link", round % 2 ? "WARNING" : "CRITICAL", "loss");
    await notified("db01/Link", "FLAPPINGSTART");
    for (let round = 0; round < 22; round += 1) set("db01/Link", "OK", "link up");
    await notified("db01/Link", "FLAPPINGSTOP");
    await settled();
    for (const contact of ["oncall", "dba"]) {
      expect((await subjects(contact, "web01")).slice(2)).toEqual(["DOWNTIMESTART UP", "DOWNTIMEEND UP"]);
      expect((await mailsOf(contact, "web01"))[2]?.text).toContain(comment);
      const types = (await subjects(contact, "db01/Link")).map((subject) => subject?.split(" ")[0]);
      expect(types.filter((type) => type?.startsWith("FLAPPING"))).toEqual(["FLAPPINGSTART", "FLAPPINGSTOP"]);
    }
  });

  it("are watched by Icinga, and watch it, by the commands of the same file", async () => {
    await until("the heartbeat", 60, async () => {
      const headers = { Authorization: `Bearer ${token}` };
      const { heartbeats } = (await (await fetch(`${bridge.url}/v1/status`, { headers })).json()) as {
        heartbeats: { monitor: string }[];
      };
      return heartbeats[0]?.monitor === "monitor1";
    });
    // An empty queue is bad here, to see the plugin's words in a mail.
    await notified("db01/Bridge", "PROBLEM");
    await settled();
    const [mail] = await mailsOf("oncall", "db01/Bridge");
    expect(mail?.subject).toContain("PROBLEM CRITICAL");
    expect(mail?.text).toContain("HARDSTATE CRITICAL - an alert waits for 0 s");
    expect(mail?.text).toMatch(/^oldest +0 s \(warn 300, crit @0:0\)$/m);
  });

  it("the shipped file's example is valid", async () => {
    const shipped = readFileSync("scripts/monitors/icinga2.conf", "utf8");
    const example = shipped.replace(/\/\* An example: [\s\S]*? too\.\n/, "").replace(/\*\/\n$/, "");
    expect(example).not.toBe(shipped);
    await checkIcinga(lab, `${example}\nobject Host NodeName { check_command = "passive" }`);
    await expect(checkIcinga(lab, "object Host NodeName {}")).rejects.toThrow("check_command");
  });

  it("leave nothing in the spool", async () => {
    const left = () => readdirSync(shim.spool, { recursive: true });
    await expect.poll(left, { timeout: 10_000 }).toEqual([]);
  });
});

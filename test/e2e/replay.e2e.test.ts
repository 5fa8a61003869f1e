import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { replay } from "../../scripts/hardstate/replay.ts";
import {
  type Bridge,
  bridgeSettings,
  commandLines,
  installShim,
  type Lab,
  mailsIn,
  openLab,
  type Relay,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";

let lab: Lab;
let relay: Relay;
let bridge: Bridge;
beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
});
afterAll(() => lab?.stop());

const contact = (name: string, options: string) => `define contact {
  contact_name ${name}
  email ${name}@example.com
  host_notification_period always
  service_notification_period always
  host_notification_commands notify-host
  service_notification_commands notify-service
  host_notification_options d,r
  service_notification_options ${options}
}
`;
const names = ["all", "critical", "unrecovered"];
const objects = `${contact("all", "w,u,c,r")}${contact("critical", "c,r")}${contact("unrecovered", "w,u,c")}
define service {
  host_name web01
  service_description Pay
  check_command read_state!web01_Pay
  check_interval 1
  retry_interval 1
  max_check_attempts 2
  check_period always
  notification_period always
  notification_interval 2
  notification_options w,u,c,r
  contacts ${names}
}
`;

it("the log of a real Nagios, replayed, gives the mails that the bridge sent meanwhile", async () => {
  const settings = bridgeSettings(lab, relay, 18_791);
  bridge = await startBridge(lab, settings);
  const shim = await installShim(lab, bridge.url, settings.token, "nagios");
  const nagios = (...words: string[]) => lab.script("nagios", ...words);
  lab.onStop(() => nagios("stop"));
  const extra = join(lab.folder, "pay.cfg");
  writeFileSync(extra, objects);
  const { host, service } = commandLines("scripts/monitors/nagios.cfg", shim);
  await nagios("start", "-S", service, "-H", host, "-i", "2", "-x", extra);
  const lines = async (pattern: RegExp) =>
    (await nagios("log")).split("\n").filter((line) => pattern.test(line)).length;
  const turnsTo = async (state: string, pattern: RegExp, more = 1) => {
    const before = await lines(pattern);
    await nagios("set", "web01/Pay", state, `${state} now`);
    await until(`${pattern}`, 40, async () => (await lines(pattern)) >= before + more);
  };
  const recovers = () => turnsTo("OK", /SERVICE ALERT: web01;Pay;OK/);
  for (let outage = 0; outage < 3; outage += 1) {
    await turnsTo("CRITICAL", /NOTIFICATION: unrecovered;web01;Pay;CRITICAL/, 2);
    await recovers();
  }
  await turnsTo("WARNING", /NOTIFICATION: unrecovered;web01;Pay;WARNING/);
  await turnsTo("CRITICAL", /NOTIFICATION: unrecovered;web01;Pay;CRITICAL/);
  await nagios("restart");
  await recovers();
  await turnsTo("CRITICAL", /SERVICE ALERT: web01;Pay;CRITICAL;SOFT/);
  await recovers();
  await turnsTo("CRITICAL", /NOTIFICATION: unrecovered;web01;Pay;CRITICAL/);
  await nagios("stop");

  const events = (name: string) => bridge.events().filter(({ event }) => event === name).length;
  const posted = await lines(/SERVICE NOTIFICATION: /);
  await until("all are decided", 60, async () => events("accepted") === posted && events("ended") === posted);
  const mails = Map.groupBy(await mailsIn(relay.maildir), ({ to }) => to?.[0]?.address?.split("@")[0] ?? "");
  const { contacts } = await replay([join(lab.folder, "nagios/nagios.log")], {}, () => undefined);
  expect(Object.keys(contacts).sort()).toEqual(names);
  expect(names.map((name) => [name, contacts[name]?.hardstate])).toEqual(
    names.map((name) => [name, mails.get(name)?.length]),
  );
  expect(contacts.all?.hardstate).toBeGreaterThan(6);
});

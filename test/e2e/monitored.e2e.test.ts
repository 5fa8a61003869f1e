import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Bridge,
  type BridgeSettings,
  bridgeSettings,
  commandLines,
  installShim,
  type Lab,
  openLab,
  type Relay,
  type Shim,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";

let lab: Lab;
let relay: Relay;
let settings: BridgeSettings;
let bridge: Bridge;
let shim: Shim;

const nagios = (...words: string[]) => lab.script("nagios", ...words);
const setPassword = (password: string) =>
  writeFileSync(
    settings.environment.HARDSTATE_RELAYS_FILE ?? "",
    `smtp://${relay.user}:${password}@localhost:${relay.port}`,
  );
/** The shipped file, with this lab's paths and host, and the template that Nagios ships. */
const definitions = () => {
  const folder = join(shim.command, "..");
  const set = Object.entries(shim.environment).map(([name, value]) => `${name}=${value}`);
  const shipped = readFileSync("scripts/monitors/check_hardstate.cfg", "utf8")
    .replaceAll(/command_line +\/usr\/local\/bin/g, `command_line ${set.join(" ")} ${folder}`)
    .replaceAll(/host_name +localhost/g, "host_name web01");
  const path = join(lab.folder, "check_hardstate.cfg");
  writeFileSync(
    path,
    `define service {
  name generic-service
  register 0
  check_period always
  notification_period always
  notification_interval 0
  contacts dba
}
${shipped}`,
  );
  return path;
};
/** Waits until a check of the bridge has printed this. */
const says = (words: string) =>
  until(words, 120, () =>
    readFileSync(join(lab.folder, "nagios/var/status.dat"), "utf8").includes(
      `plugin_output=HARDSTATE ${words}`,
    ),
  );
const state = (service: string) => nagios("state", `web01/${service}`);

beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
  settings = bridgeSettings(lab, relay, 18_769);
  bridge = await startBridge(lab, settings);
  shim = await installShim(lab, bridge.url, settings.token, "nagios");
  lab.onStop(() => nagios("stop"));
  const { host, service } = commandLines("scripts/monitors/nagios.cfg", shim);
  await nagios("start", "-S", service, "-H", host, "-x", definitions());
});
afterAll(() => lab?.stop());

describe("a real Nagios with the shipped check_hardstate.cfg", () => {
  it("finds the bridge OK and says that it lives", async () => {
    // Before its first check a service is OK too.
    await says("OK - nothing waits");
    const status = async () => {
      const response = await fetch(`${bridge.url}/v1/status`, {
        headers: { Authorization: `Bearer ${settings.token}`, Accept: "text/plain" },
      });
      return response.text();
    };
    await expect.poll(status, { timeout: 30_000 }).toMatch(/^heartbeats 1\n.*^heartbeat_seconds [0-9]$/ms);
    expect(await state("Hardstate heartbeat")).toBe("0/HARD/1");
  });

  it("is told that the relay refuses our login, and that it takes it again", async () => {
    await bridge.kill("SIGTERM");
    setPassword("wrong");
    bridge = await startBridge(lab, settings);
    await nagios("set", "web01/HTTP", "CRITICAL", "it broke");
    await says("CRITICAL - 1 of its relays refuses us: run hardstate doctor");
    await until("CRITICAL", 60, async () => (await state("Hardstate")).startsWith("2/HARD"));
    await bridge.kill("SIGTERM");
    setPassword(relay.password);
    bridge = await startBridge(lab, settings);
    await says("OK");
    await until("OK", 60, async () => (await state("Hardstate")) === "0/HARD/1");
  });

  it("is told that the bridge is gone, and its own heartbeats fail", async () => {
    await bridge.kill("SIGTERM");
    await says("CRITICAL - the bridge cannot be reached");
    await until("no heartbeat", 60, async () => (await state("Hardstate heartbeat")).startsWith("2/HARD"));
  });
});

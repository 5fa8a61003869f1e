import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { say } from "../../functions/report/log.ts";
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
} from "../world/lab.ts";

const services = 1000;
let lab: Lab;
let relay: Relay;
let settings: BridgeSettings;
let bridge: Bridge;
let shim: Shim;
const run = promisify(execFile);

const nagios = (...words: string[]) => lab.script("nagios", ...words);
const mails = () => mailsIn(relay.maildir);
const totals = async () => {
  const headers = { Authorization: `Bearer ${settings.token}` };
  const answer = await fetch(`${bridge.url}/v1/journal?limit=1`, { headers });
  return ((await answer.json()) as { totals: Record<string, number> }).totals;
};
/** Waits until so many alerts of Nagios were accepted, and all is told; what waits in the spool is sent, as by cron. */
const allTold = (count: number) =>
  until(`${count} alerts are told`, 150, async () => {
    const accepted = bridge.events().filter(({ event }) => event === "accepted");
    // On a busy machine an answer comes too late for the shim, and it sends the same again.
    const taken = new Set(accepted.map(({ id }) => id)).size;
    if (taken < count) {
      const environment = { ...process.env, ...shim.environment };
      await run("runuser", ["-u", "nagios", "--", shim.command, "--drain"], { env: environment }).catch(
        () => {},
      );
      return false;
    }
    return (await totals()).pending === 0;
  });
/** How many seconds after the first a mail was written. */
const secondsIn = async (from: number) => {
  const dates = (await mails()).slice(from).map(({ date }) => Date.parse(date ?? ""));
  return Math.round((Math.max(...dates) - Math.min(...dates)) / 1000);
};
const linesOf = (text: string | undefined, pattern: RegExp) => text?.match(pattern)?.length ?? 0;

beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
  settings = bridgeSettings(lab, relay, 18_794);
  const { HARDSTATE_BURST: _, ...environment } = settings.environment;
  settings = { ...settings, environment };
  bridge = await startBridge(lab, settings);
  shim = await installShim(lab, bridge.url, settings.token, "nagios");
  lab.onStop(() => nagios("stop"));
  const { host, service } = commandLines("scripts/monitors/nagios.cfg", shim);
  await nagios("start", "-S", service, "-H", host, "-n", String(services));
});
afterAll(() => lab?.stop());

it("a thousand services of a real Nagios that fail at once are twenty mails at once and one digest", async () => {
  await nagios("storm", "CRITICAL", String(services), "Connection refused");
  await allTold(services);
  const all = await mails();
  const digests = all.filter(({ subject }) => subject?.startsWith("[DIGEST]"));
  const alone = all.filter(({ subject }) => subject?.startsWith("[PROBLEM CRITICAL] farm01/"));
  const told = digests.reduce((sum, { text }) => sum + linesOf(text, /^ {2}CRITICAL +S\d{4}/gm), 0);
  // Notifications that trickle in for longer than a minute are the next minute's.
  expect(digests.length).toBeLessThanOrEqual(3);
  expect(alone.length).toBeLessThanOrEqual(20 * (digests.length + 1));
  expect(alone.length + told).toBe(services);
  const { accepted, mailed, digested } = await totals();
  expect({ mailed, digested }).toEqual({ mailed: all.length, digested: told });
  expect(accepted).toBe(services + digests.length);
  say(
    `${services} problems: ${alone.length} mails and ${digests.length} digests, the last ${await secondsIn(0)} s after the first\n` +
      `${digests[0]?.subject}\n${digests[0]?.text?.split("\n").slice(0, 8).join("\n")}`,
  );
});

it("their recoveries are as many mails as there were, and one digest", async () => {
  const before = (await mails()).length;
  await nagios("storm", "OK", String(services), "HTTP OK");
  await allTold(2 * services);
  const all = (await mails()).slice(before);
  const digests = all.filter(({ subject }) => subject?.startsWith("[DIGEST]"));
  const told = digests.reduce((sum, { text }) => sum + linesOf(text, /^ {2}recovered +S\d{4}/gm), 0);
  expect(all.length - digests.length + told).toBe(services);
  expect(digests.length).toBeLessThanOrEqual(3);
  say(
    `${services} recoveries: ${all.length - digests.length} mails and ${digests.length} digests, the last ${await secondsIn(before)} s after the first\n${digests[0]?.subject}`,
  );
});

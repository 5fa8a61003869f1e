import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { posted } from "../world/alerts.ts";
import { installed } from "../world/judges.ts";
import {
  type Bridge,
  type BridgeSettings,
  bridgeSettings,
  installShim,
  type Lab,
  openLab,
  type Shim,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";

const folder = "scripts/monitoring";
let lab: Lab;
let settings: BridgeSettings;
let bridge: Bridge;
beforeAll(async () => {
  lab = openLab();
  const relay = await startRelay(lab);
  const { environment, ...others } = bridgeSettings(lab, relay, 18_795);
  const { HARDSTATE_RELAYS_FILE: _, ...rest } = environment;
  // Nothing listens at the first route.
  const relays = `smtp://localhost:9 smtp://${relay.user}:${relay.password}@localhost:${relay.port}`;
  settings = { ...others, environment: { ...rest, HARDSTATE_RELAYS: relays } };
  bridge = await startBridge(lab, settings);
});
afterAll(() => lab?.stop());

/** The output of promtool, and its exit status. */
const promtool = (words: readonly string[], input = ""): Promise<[number, string]> =>
  new Promise((done) => {
    const child = execFile(installed("PROMTOOL", "promtool"), words, (error, stdout, stderr) =>
      done([error ? 1 : 0, stdout + stderr]),
    );
    child.stdin?.end(input);
  });
const scrape = async (): Promise<string> => {
  const headers = { Authorization: `Bearer ${settings.token}` };
  const response = await fetch(`${bridge.url}/metrics`, { headers });
  expect(response.status).toBe(200);
  return response.text();
};
const post = async (change: Record<string, unknown>) => {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${settings.token}` };
  const body = JSON.stringify(posted({ recipients: [{ email: "ops@example.com" }], ...change }));
  expect((await fetch(`${bridge.url}/v1/alerts`, { method: "POST", headers, body })).status).toBe(202);
};
const ended = () => bridge.events().filter(({ event }) => event === "ended").length;

type Rule = { alert: string; expr: string; annotations: Record<string, string> };
const rules: Rule[] = parse(readFileSync(`${folder}/hardstate.rules.yml`, "utf8")).groups.flatMap(
  ({ rules: each }: { rules: Rule[] }) => each,
);
const seriesIn = (text: string) => new Set(text.match(/\bhardstate_[a-z_]+/g));

describe("the numbers of a real bridge", () => {
  let text: string;
  beforeAll(async () => {
    for (const [id, type, state] of [
      ["alert-first", "PROBLEM", "CRITICAL"],
      ["alert-again", "PROBLEM", "CRITICAL"],
    ])
      await post({ id, type, state, object: { host: "canary-host", service: "HTTP" } });
    await until("two endings", 20, () => ended() === 2);
    await post({ id: "alert-orphan", type: "RECOVERY", state: "UP", object: { host: "canary-orphan" } });
    await until("three endings", 20, () => ended() === 3);
    const heartbeat = await fetch(`${bridge.url}/v1/heartbeat`, {
      method: "PUT",
      headers: { Authorization: `Bearer ${settings.token}` },
      body: "monitor=mon1",
    });
    expect(heartbeat.status).toBe(200);
    text = await scrape();
  });

  it("are what Prometheus reads, by its own check", async () => {
    expect(await promtool(["check", "metrics"], text)).toEqual([0, ""]);
    const names = text.split("\n").filter((line) => line && !line.startsWith("#"));
    for (const line of names) expect(line).toMatch(/^hardstate_/);
  });

  it("tell of what was mailed, deferred and suppressed, by row, route and code, and of no object or contact", () => {
    const [, route] = /hardstate_mailed_total\{row="R1",route="([^"]+)",code="250"\} 1\n/.exec(text) ?? [];
    expect(route).toMatch(/^smtp:\/\/localhost:\d+$/);
    for (const line of [
      'hardstate_accepted_total{type="PROBLEM"} 2',
      'hardstate_suppressed_total{row="R26"} 1',
      "hardstate_recoveries_without_problem_total 1",
      'hardstate_deferred_total{route="smtp://localhost:9",code="none"} 1',
      "hardstate_delivery_seconds_count 1",
      "hardstate_queue_oldest_age_seconds 0",
      `hardstate_route_down{route="${route}"} 0`,
      'hardstate_readable{part="ledger"} 1',
    ])
      expect(text).toContain(`${line}\n`);
    expect(text).not.toMatch(/canary|ops@|alert-/);
  });

  it.each([["hardstate.rules.yml"], ["grafana.json"]])("have every series that %s names", (file) => {
    const shown = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    for (const name of seriesIn(readFileSync(`${folder}/${file}`, "utf8"))) {
      const family = shown.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "");
      expect(shown, name).toContain(family);
    }
  });

  it("are all in the dashboard", () => {
    const drawn = [...seriesIn(readFileSync(`${folder}/grafana.json`, "utf8"))].map((name) =>
      name.replace(/_(bucket|sum|count)$/, ""),
    );
    for (const [, name] of text.matchAll(/^# TYPE (\S+)/gm)) expect(drawn).toContain(name);
  });
});

describe("an alert's id", () => {
  /** Runs the shim as Nagios does; what it printed, line by line. */
  const notify = (shim: Shim, host: string): Promise<string[]> =>
    new Promise((done) => {
      const words = `-m mon1 -t PROBLEM -s CRITICAL -H ${host} -S HTTP -c ops -T 1795366380`.split(" ");
      const macros = { NAGIOS_CONTACTEMAIL: "ops@example.com", NAGIOS_SERVICEOUTPUT: "down" };
      const env = { PATH: process.env.PATH, ...shim.environment, ...macros };
      execFile(shim.command, words, { env }, (_, stdout, stderr) =>
        done((stdout + stderr).split("\n").filter(Boolean)),
      );
    });
  const told = (lines: readonly string[]) => lines.map((line) => JSON.parse(line));

  it("is in the shim's line, in every line of the bridge about it, and in the relay's last words", async () => {
    const shim = await installShim(lab, bridge.url, settings.token);
    const before = bridge.lines().length;
    const [sent, ...more] = told(await notify(shim, "traced"));
    expect([sent, more]).toEqual([
      {
        at: expect.stringMatching(/^\d{4}-.*Z$/),
        event: "sent",
        id: expect.any(String),
        object: "traced/HTTP",
        contact: "ops",
      },
      [],
    ]);
    const mine = () => told(bridge.lines().slice(before)).filter(({ id }) => id === sent.id);
    await until("the mail", 20, () => mine().some(({ event }) => event === "ended"));
    const lines = told(bridge.lines().slice(before)).filter((line) =>
      JSON.stringify(line).includes("traced"),
    );
    expect(lines.every(({ id }) => id === sent.id)).toBe(true);
    // Whether the first route is tried depends on what it answered before.
    const [accepted, ...attempts] = mine();
    const { event, code, queueId, reason, route } = attempts.pop();
    expect([accepted.event, event]).toEqual(["accepted", "ended"]);
    for (const attempt of attempts) expect(attempt).toMatchObject({ event: "attempt-failed", row: "R1" });
    expect([code, route]).toEqual([250, expect.stringMatching(/^smtp:\/\/localhost:/)]);
    expect(reason).toContain(`queued as ${queueId}`);
    const log = readFileSync(join(lab.folder, "relay", "maillog"), "utf8");
    expect(log).toContain(`${queueId}:`);
  });

  it("is in the shim's lines while the bridge is away, and when it has the alert", async () => {
    const shim = await installShim(lab, "http://127.0.0.1:9", settings.token);
    const lines = told(await notify(shim, "kept"));
    expect(lines).toMatchObject([
      { event: "trouble", error: expect.stringContaining("the bridge cannot be reached") },
      { event: "kept", id: expect.any(String) },
    ]);
  });
});

describe("the alert rules", () => {
  it("are taken by Prometheus, and so is the example of its settings", async () => {
    const [status, said] = await promtool(["check", "rules", `${folder}/hardstate.rules.yml`]);
    expect([status, said]).toEqual([0, expect.stringContaining(`${rules.length} rules found`)]);
    const checked = await promtool(["check", "config", "--syntax-only", `${folder}/prometheus.yml`]);
    expect(checked).toEqual([0, expect.stringContaining("valid prometheus config")]);
  });

  it("ring when they should and not when they should not, by their own tests", async () => {
    expect(await promtool(["test", "rules", `${folder}/hardstate.rules.test.yml`])).toEqual([
      0,
      expect.stringContaining("SUCCESS"),
    ]);
  });

  it.each(rules.map(({ alert, annotations }) => [alert, annotations]))(
    "%s is tested, and says what to do",
    (alert, { summary = "", description = "" }) => {
      const tested = readFileSync(`${folder}/hardstate.rules.test.yml`, "utf8");
      expect(tested).toMatch(new RegExp(`alertname="${alert}".*value: 1`));
      expect(summary).toMatch(/\.$/);
      expect(description.split(" ").length).toBeGreaterThan(15);
    },
  );
});

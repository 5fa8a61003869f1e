import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { startFauxqs } from "fauxqs";
import PostalMime from "postal-mime";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Event } from "../../functions/report/event.ts";
import { capturingRelay } from "../../functions/runtime/trial.ts";
import { authority, certificate } from "../deliver/certificate.ts";
import { scriptedRelay, silence } from "../deliver/scripted-relay.ts";
import { posted } from "../world/alerts.ts";
import { compiled } from "../world/compiled.ts";

type Bridge = { process: ChildProcess; url: string; log: () => string; ended: Promise<number | null> };

let state: string;
let bridges: Bridge[];
beforeEach(() => {
  state = join(mkdtempSync(join(tmpdir(), "hardstate-node-")), "state");
  bridges = [];
});
afterEach(async () => {
  for (const { process, ended } of bridges) {
    process.kill("SIGKILL");
    await ended;
  }
  rmSync(join(state, ".."), { recursive: true, force: true });
});

/** Starts the program as `npm start` does; resolves when it listens or has ended. */
const start = async (environment: Record<string, string> = {}): Promise<Bridge> => {
  const child = spawn(process.execPath, ["functions/runtime/node.ts"], {
    env: { PATH: process.env.PATH, ...compiled, HARDSTATE_STATE: state, HARDSTATE_PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const listening = new Promise<void>((resolve) => {
    const read = (chunk: Buffer) => {
      output += chunk;
      if (output.includes('"started"')) resolve();
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
  });
  await Promise.race([listening, ended]);
  const url = /"url":"([^"]+)"/.exec(output)?.[1] ?? "";
  const bridge = { process: child, url, log: () => output, ended };
  bridges.push(bridge);
  return bridge;
};

const token = () => readFileSync(join(state, "token"), "utf8").trim();
const post = (bridge: Bridge, alerts: unknown, bearer = token()) =>
  fetch(`${bridge.url}/v1/alerts`, {
    method: "POST",
    body: JSON.stringify(alerts),
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${bearer}` },
  });
const mailFiles = () =>
  (existsSync(join(state, "mail")) ? readdirSync(join(state, "mail")) : []).filter((f) => f.endsWith(".eml"));
const mails = () =>
  Promise.all(mailFiles().map((file) => PostalMime.parse(readFileSync(join(state, "mail", file)))));
/** Problems of different objects, for one contact. */
const problems = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) =>
    posted({
      id: `alert-number-${from + index}`,
      object: { host: "farm01", service: `S${from + index}` },
      notification: { id: String(from + index + 1), number: 1 },
      // No contact has more than are mailed one by one.
      recipients: [{ email: `ops${Math.floor((from + index) / 20)}@example.com` }],
    }),
  );

vi.setConfig({ testTimeout: 60_000 });

describe("npm start without settings", () => {
  it("keeps the mail of an alert as a file, and prints its path and the one line to try", async () => {
    const bridge = await start();
    expect((await post(bridge, problems(1))).status).toBe(202);
    await expect.poll(mailFiles, { timeout: 5000 }).toHaveLength(1);
    expect((await mails())[0]).toMatchObject({
      subject: "[PROBLEM CRITICAL] farm01/S0",
      to: [{ address: "ops0@example.com" }],
    });
    await expect.poll(bridge.log).toContain(join(state, "mail", mailFiles()[0] ?? ""));
    expect(bridge.log()).toContain(
      `curl -H "Authorization: Bearer $(cat ${state}/token)" ${bridge.url}/v1/alerts`,
    );
  });

  it("names the alert in the line of its mail, and in that of what keeps it from being mailed", async () => {
    const bridge = await start();
    await post(bridge, problems(1));
    await expect.poll(bridge.log, { timeout: 5000 }).toContain('"event":"captured","id":"alert-number-0"');
    const other = new DatabaseSync(join(state, "ledger.sqlite"));
    other.exec("PRAGMA busy_timeout = 5000");
    other.exec("BEGIN EXCLUSIVE");
    await post(bridge, problems(1, 7));
    await expect.poll(bridge.log, { timeout: 12_000 }).toContain('"event":"failed","id":"alert-number-7"');
    other.close();
  });

  it("keeps folder, token and mails from other users", async () => {
    const bridge = await start();
    await post(bridge, problems(1));
    await expect.poll(mailFiles, { timeout: 5000 }).toHaveLength(1);
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect([
      mode(state),
      mode(join(state, "token")),
      mode(join(state, "mail", mailFiles()[0] ?? "")),
    ]).toEqual([0o700, 0o600, 0o600]);
  });

  it("prints where its console is, which takes its token", async () => {
    const bridge = await start();
    await expect
      .poll(bridge.log)
      .toContain(`${bridge.url}/ : log in with the token that is in ${state}/token`);
    const response = await fetch(`${bridge.url}/login`, {
      method: "POST",
      body: new URLSearchParams({ token: token() }),
      redirect: "manual",
    });
    expect([response.status, response.headers.get("Location")]).toEqual([303, "/"]);
    const [cookie = ""] = (response.headers.get("Set-Cookie") ?? "").split(";");
    const page = await fetch(`${bridge.url}/`, { headers: { Cookie: cookie } });
    expect(await page.text()).toContain("Nothing has arrived yet");
  });

  it("never prints its token", async () => {
    const bridge = await start();
    await post(bridge, problems(1));
    expect(bridge.log()).not.toContain(token());
  });

  it("refuses a second bridge on the same state folder", async () => {
    await start();
    const second = await start();
    expect(await second.ended).toBe(3);
    expect(second.log()).toContain("Another bridge is running on the state folder");
  });
});

describe("a mail at a slow relay", () => {
  it("keeps no other object's next alert waiting", async () => {
    const ca = await authority();
    const relay = await scriptedRelay(await certificate({ ca }), {});
    let mailsBegun = 0;
    relay.script = { dot: () => (mailsBegun++ === 0 ? silence : "250 2.0.0 Ok\r\n") };
    try {
      const bearer = "t".repeat(32);
      const bridge = await start({
        HARDSTATE_TOKENS: `site=${bearer}`,
        HARDSTATE_RELAYS: `smtp://u:p@127.0.0.1:${relay.port}`,
        HARDSTATE_RELAY_CA: ca.cert,
        HARDSTATE_FROM: "nagios@example.com",
        HARDSTATE_RECIPIENTS: "example.com",
      });
      const [slow, ...others] = problems(5);
      const recoveries = others.map((alert, n) => ({
        ...alert,
        id: `recovery-${n}`,
        type: "RECOVERY",
        state: "OK",
        problem: { last_id: "5", epoch: 99_990 },
        notification: { id: String(900 + n) },
      }));
      await post(bridge, [slow, ...others, ...recoveries], bearer);
      // Whichever problem hangs, all others and their recoveries go.
      await expect.poll(() => relay.contents.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(5 + 3);
    } finally {
      await relay.close();
    }
  });
});

describe("a bridge that ends", () => {
  it("by SIGTERM finishes what it holds, exits with 0 and loses nothing", async () => {
    const first = await start();
    await post(first, problems(60));
    first.process.kill("SIGTERM");
    expect(await first.ended).toBe(0);
    expect(first.log()).toContain('"stopped"');
    await start();
    await expect.poll(mailFiles, { timeout: 10_000 }).toHaveLength(60);
  }, 20_000);

  it("by SIGKILL with 200 alerts queued mails them all after the next start, and none twice but those in flight", async () => {
    const first = await start();
    for (const from of [0, 100]) expect((await post(first, problems(100, from))).status).toBe(202);
    await expect.poll(() => mailFiles().length, { timeout: 10_000 }).toBeGreaterThan(3);
    first.process.kill("SIGKILL");
    await first.ended;
    const before = mailFiles().length;
    expect(before).toBeLessThan(200);
    await start();
    await expect
      .poll(async () => new Set((await mails()).map(({ subject }) => subject)).size, { timeout: 15_000 })
      .toBe(200);
    const all = await mails();
    expect(new Set(all.map(({ messageId }) => messageId)).size).toBe(200);
    // Three connections: at most three mails were between the relay's 250 and the ledger.
    expect(all.length).toBeLessThanOrEqual(203);
  }, 40_000);

  it("by SIGKILL holding an alert mails it after the start, though its time fell due while nothing ran", async () => {
    const first = await start();
    const [alert] = problems(1);
    expect((await post(first, { ...alert, degraded: true })).status).toBe(202);
    await expect.poll(first.log, { timeout: 5000 }).toContain('"held"');
    const [, until] = /"event":"held".*"until":(\d+)/.exec(first.log()) ?? [];
    first.process.kill("SIGKILL");
    await first.ended;
    await expect.poll(() => Date.now(), { timeout: 10_000 }).toBeGreaterThan(Number(until));
    expect(mailFiles()).toHaveLength(0);
    await start();
    await expect.poll(mailFiles, { timeout: 5000 }).toHaveLength(1);
  }, 25_000);
});

describe("settings that are right", () => {
  it("put SQS in place of the embedded queue, and a relay in place of the trial's", async () => {
    const server = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
    const captured: Event[] = [];
    const relay = await capturingRelay(
      dirname(state),
      () => Date.now(),
      (event) => captured.push(event),
    );
    try {
      const { queueArn } = server.createQueue("dead.fifo", { attributes: { FifoQueue: "true" } });
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: queueArn, maxReceiveCount: 1000 });
      server.createQueue("alerts.fifo", {
        attributes: { FifoQueue: "true", RedrivePolicy },
      });
      const url = `http://127.0.0.1:${server.port}/000000000000/alerts.fifo`;
      const token = "a-token-of-twenty-four-letters";
      const bridge = await start({
        AWS_ACCESS_KEY_ID: "test",
        AWS_SECRET_ACCESS_KEY: "test",
        HARDSTATE_QUEUE: `sqs:${url}`,
        HARDSTATE_TOKENS: `site=${token}`,
        HARDSTATE_RELAYS: `smtp://${relay.user}:${relay.password}@localhost:${relay.port}`,
        HARDSTATE_RELAY_CA: relay.certificate,
        HARDSTATE_FROM: "nagios@example.com",
        HARDSTATE_RECIPIENTS: "example.com",
      });
      expect((await fetch(`${bridge.url}/readyz`)).status).toBe(200);
      expect((await post(bridge, problems(3), token)).status).toBe(202);
      await expect.poll(() => captured.length, { timeout: 10_000 }).toBe(3);
      bridge.process.kill("SIGTERM");
      expect(await bridge.ended).toBe(0);
      expect(server.inspectQueue("alerts.fifo")?.messages).toEqual({ ready: [], delayed: [], inflight: [] });
    } finally {
      await relay.close();
      await server.stop();
    }
  });
});

describe("settings that are wrong", () => {
  it("stop the start with all faults by name, and no value", async () => {
    const bridge = await start({
      HARDSTATE_TOKENS: "site=short-secret",
      HARDSTATE_RELAYS: "smtp://user:hidden-password@relay.example.com?tls=none",
      HARDSTATE_RELAY: "x",
    });
    expect(await bridge.ended).toBe(2);
    for (const name of [
      "HARDSTATE_TOKENS",
      "HARDSTATE_RELAYS",
      "HARDSTATE_RELAY needs",
      "HARDSTATE_FROM",
      "HARDSTATE_RECIPIENTS",
    ])
      expect(bridge.log()).toContain(name);
    expect(bridge.log()).not.toMatch(/short-secret|hidden-password/);
  });

  it("may stand in files", async () => {
    const bridge = await start({ HARDSTATE_TOKENS_FILE: join(state, "no-such-file") });
    expect(await bridge.ended).toBe(2);
    expect(bridge.log()).toContain("HARDSTATE_TOKENS_FILE needs a readable file (ENOENT)");
  });
});

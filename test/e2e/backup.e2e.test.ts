import { type ChildProcess, execFile, spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { posted } from "../world/alerts.ts";

vi.setConfig({ testTimeout: 60_000 });

type Bridge = { url: string; state: string; kill(): Promise<void> };

let folder: string;
let bridges: { child: ChildProcess; ended: Promise<unknown> }[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hardstate-backup-"));
  bridges = [];
});
afterEach(async () => {
  for (const { child, ended } of bridges) {
    child.kill("SIGKILL");
    await ended;
  }
  rmSync(folder, { recursive: true });
});

/** A bridge as a trial: its own relay keeps each mail as a file in the state folder. */
const start = async (state: string): Promise<Bridge> => {
  const child = spawn(process.execPath, ["functions/runtime/node.ts"], {
    env: { PATH: process.env.PATH, HARDSTATE_STATE: state, HARDSTATE_PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  bridges.push({ child, ended });
  const url = await new Promise<string>((resolve, reject) => {
    let output = "";
    child.once("close", () => reject(new Error(`the bridge ended: ${output}`)));
    child.stdout.on("data", (chunk) => {
      output += chunk;
      const [, listening] = /"started","url":"([^"]+)"/.exec(output) ?? [];
      if (listening) resolve(listening);
    });
  });
  return {
    url,
    state,
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
};
const ask = async (bridge: Bridge, path: string, body?: unknown) => {
  const response = await fetch(bridge.url + path, {
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
    headers: {
      "Content-Type": "application/json",
      Authorization: `Bearer ${readFileSync(join(bridge.state, "token"), "utf8").trim()}`,
    },
  });
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
};
const backup = (words: string[], environment: Record<string, string>) =>
  new Promise<{ status: number; out: string; err: string }>((done) =>
    execFile(
      process.execPath,
      ["scripts/hardstate/hardstate.ts", "backup", ...words],
      { env: { PATH: process.env.PATH, ...environment } },
      (error, out, err) => done({ status: Number(error?.code ?? 0), out, err }),
    ),
  );
const alertOn = (n: number, change: Record<string, unknown> = {}) =>
  posted({
    id: `alert-number-${n}`,
    object: { host: "farm01", service: `S${n}` },
    notification: { id: String(n + 1), number: 1 },
    // No contact has more mails in a minute than are sent one by one.
    recipients: [{ email: `ops${Math.floor(n / 8)}@example.com` }],
    ...change,
  });
/** The mails of this bridge: type, service and Message-ID of each mail. */
const mails = ({ state }: Bridge): { what: string; messageId: string }[] => {
  const mail = join(state, "mail");
  if (!existsSync(mail)) return [];
  return readdirSync(mail)
    .filter((name) => name.endsWith(".eml"))
    .map((name) => {
      const text = readFileSync(join(mail, name), "utf8");
      const [, type, service] = /^Subject: \[(\w+) \w+\] farm01\/(S\d+)/m.exec(text) ?? [];
      return { what: `${type} ${service}`, messageId: /^Message-ID: +(\S+)/im.exec(text)?.[1] ?? "" };
    });
};
const mailed = (bridge: Bridge): string[] => mails(bridge).map(({ what }) => what);
const restore = (from: string, state: string) => {
  mkdirSync(state, { mode: 0o700 });
  for (const name of ["queue.sqlite", "ledger.sqlite"]) copyFileSync(join(from, name), join(state, name));
};

describe("a backup made under load", () => {
  it("loses nothing that was accepted before it, and mails nothing again that was settled before it", async () => {
    const first = await start(join(folder, "state"));
    const accepted = new Set<number>();
    let stop = false;
    let next = 0;
    const load = async () => {
      while (!stop) {
        const from = next;
        next += 5;
        const numbers = Array.from({ length: 5 }, (_, n) => from + n);
        if (
          (
            await ask(
              first,
              "/v1/alerts",
              numbers.map((n) => alertOn(n)),
            )
          ).status === 202
        )
          for (const n of numbers) accepted.add(n);
      }
    };
    const loads = [load(), load(), load()];
    await expect.poll(() => mailed(first).length, { timeout: 20_000 }).toBeGreaterThan(30);

    // An alert that the journal calls mailed now is settled; then the copy begins.
    const { answer } = await ask(first, "/v1/journal?limit=500");
    const settled = (answer.alerts as { id: string; status: string }[])
      .filter(({ status }) => status === "mailed")
      .map(({ id }) => Number(id.split("-")[2]));
    const before = [...accepted];
    const made = await backup([join(folder, "copy"), "--json"], { HARDSTATE_STATE: first.state });
    const after = accepted.size;
    stop = true;
    await Promise.all(loads);
    await first.kill();
    expect(made).toMatchObject({ status: 0, err: "" });
    expect(settled.length).toBeGreaterThan(10);
    expect(before.length).toBeGreaterThanOrEqual(settled.length);
    expect(after).toBeGreaterThan(before.length);

    restore(join(folder, "copy"), join(folder, "restored"));
    const second = await start(join(folder, "restored"));
    const inHand = async () => {
      const { waiting, in_flight } = (await ask(second, "/v1/status")).answer.queue as Record<string, number>;
      return (waiting ?? 0) + (in_flight ?? 0);
    };
    await expect.poll(inHand, { timeout: 30_000 }).toBe(0);
    const again = new Set(mailed(second));
    const known = new Set([...mailed(first), ...again]);
    expect(before.filter((n) => !known.has(`PROBLEM S${n}`))).toEqual([]);
    expect(settled.filter((n) => again.has(`PROBLEM S${n}`))).toEqual([]);
    for (const n of before)
      expect((await ask(second, `/v1/alerts/alert-number-${n}`)).answer.status).toBe("mailed");
    // An alert that waited in the copy is mailed again as the same mail.
    const idOf = new Map(mails(first).map(({ what, messageId }) => [what, messageId]));
    const twice = mails(second).filter(({ what }) => idOf.has(what));
    expect(twice.length).toBeGreaterThan(0);
    for (const { what, messageId } of twice) expect(messageId).toBe(idOf.get(what));

    // A contact who was told of a problem before hears of its end after.
    const recoveries = before.slice(0, 20).map((n) =>
      alertOn(n, {
        id: `recovery-number-${n}`,
        type: "RECOVERY",
        state: "OK",
        notification: { id: String(100_000 + n), number: 2 },
        time: 100_060,
      }),
    );
    expect((await ask(second, "/v1/alerts", recoveries)).status).toBe(202);
    await expect
      .poll(() => mailed(second).filter((mail) => mail.startsWith("RECOVERY")).length, { timeout: 20_000 })
      .toBe(recoveries.length);
  });
});

describe("hardstate backup", () => {
  it("copies a bridge that is not running, for this user alone, and says what it made", async () => {
    const bridge = await start(join(folder, "state"));
    await ask(bridge, "/v1/alerts", alertOn(1));
    await expect.poll(() => mailed(bridge), { timeout: 10_000 }).toHaveLength(1);
    await bridge.kill();
    const copy = join(folder, "copy");
    const { status, out } = await backup([copy, "--json"], { HARDSTATE_STATE: bridge.state });
    expect(status).toBe(0);
    const { files } = JSON.parse(out) as { files: { name: string; bytes: number }[] };
    expect(files.map(({ name }) => name)).toEqual(["queue.sqlite", "ledger.sqlite"]);
    expect(readdirSync(copy).sort()).toEqual(["ledger.sqlite", "queue.sqlite"]);
    for (const { name, bytes } of files) expect(statSync(join(copy, name)).size).toBe(bytes);
    expect(statSync(copy).mode & 0o777).toBe(0o700);
    expect(statSync(join(copy, "ledger.sqlite")).mode & 0o777).toBe(0o600);
  });

  it("leaves nothing behind when a copy cannot be made", async () => {
    const state = join(folder, "state");
    mkdirSync(state);
    for (const name of ["queue.sqlite", "ledger.sqlite"])
      writeFileSync(join(state, name), "this is no database, however long it is");
    const made = await backup([join(folder, "copy")], { HARDSTATE_STATE: state });
    expect(made.status).toBe(3);
    expect(made.err).toMatch(/No backup was made: file is not a database/);
    expect(readdirSync(folder)).toEqual(["state"]);
  });

  it.each<[string, string[], Record<string, string>, number, RegExp]>([
    ["no folder", [], {}, 2, /backup needs one FOLDER/],
    ["a folder that is there", ["/tmp"], {}, 2, /\/tmp is there already/],
    [
      "a state folder without a queue",
      ["/tmp/none/copy"],
      { HARDSTATE_STATE: "/none" },
      3,
      /There is no queue/,
    ],
    [
      "a queue that is elsewhere",
      ["/tmp/none/copy"],
      { HARDSTATE_QUEUE: "sqs:https://sqs.example.com/1/q.fifo" },
      3,
      /HARDSTATE_QUEUE is not on this machine/,
    ],
  ])("with %s says what is wrong", async (_, words, environment, status, text) => {
    const result = await backup(words, environment);
    expect([result.status, result.out]).toEqual([status, ""]);
    expect(result.err).toMatch(text);
  });
});

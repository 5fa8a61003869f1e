import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { posted } from "../world/alerts.ts";
import { type Bridge, type Lab, openLab, startBridge, until } from "../world/lab.ts";

const port = 23_001;
const token = "t".repeat(32);
const url = `http://127.0.0.1:${port}`;
const authorization = `Authorization: Bearer ${token}\r\n`;
let lab: Lab;
let bridge: Bridge;

/** In MiB: an empty bridge has 140, two thousand connections, opened again thousands of times a second, 550. */
const mostMemory = 700;
/** Resident memory of the bridge in MiB, now and at its highest. */
const memory = (): { now: number; peak: number } => {
  const status = readFileSync(`/proc/${bridge.pid}/status`, "utf8");
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / 1024;
  return { now: of("VmRSS"), peak: of("VmHWM") };
};
const openFiles = () => readdirSync(`/proc/${bridge.pid}/fd`).length;

beforeAll(async () => {
  lab = openLab();
  bridge = await startBridge(lab, {
    port,
    token,
    environment: {
      HARDSTATE_STATE: join(lab.folder, "state"),
      HARDSTATE_PORT: String(port),
      HARDSTATE_TOKENS: `site=${token}`,
      HARDSTATE_RELAYS: "smtp://127.0.0.1:1?tls=none",
      HARDSTATE_FROM: "nagios@example.com",
      HARDSTATE_RECIPIENTS: "example.com",
      // A digest is an alert more.
      HARDSTATE_BURST: "off",
    },
  });
});
afterAll(() => lab?.stop());

let sent = 0;
/** An honest client's alert, by a connection of its own for each try, as the shim has; how long until it was taken. */
const honest = async (): Promise<number> => {
  const began = performance.now();
  const body = JSON.stringify(
    posted({ object: { host: "web01", service: `S${sent++}` }, recipients: [{ email: "ops@example.com" }] }),
  );
  const headers = {
    "Content-Type": "application/json",
    Authorization: `Bearer ${token}`,
    Connection: "close",
  };
  for (;;) {
    const signal = AbortSignal.timeout(8000);
    const status = await fetch(`${url}/v1/alerts`, { method: "POST", body, headers, signal }).then(
      (response) => response.status,
      () => undefined,
    );
    const took = performance.now() - began;
    if (status === 202 || took > 8000) return took;
    expect(status).toBeUndefined();
  }
};
/** The longest that any of them waits, for so many seconds. */
const honestFor = async (seconds: number): Promise<number> => {
  const end = performance.now() + seconds * 1000;
  const waits: number[] = [];
  while (performance.now() < end) waits.push(await honest());
  return Math.max(...waits);
};

type Attacker = { begin: string; again?: string };
/** Keeps so many connections open, each saying `begin` and then `again` twice a second; those that end come again. */
const flood = (count: number, { begin, again }: Attacker) => {
  const sockets = new Set<Socket>();
  let stopped = false;
  const open = () => {
    if (stopped) return;
    const socket = connect(port, "127.0.0.1", () => socket.write(begin));
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      setTimeout(open, 200);
    });
  };
  for (let n = 0; n < count; n++) open();
  const timer = setInterval(() => {
    if (again) for (const socket of sockets) if (socket.writable) socket.write(again);
  }, 500);
  return () => {
    stopped = true;
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  };
};

const post = "POST /v1/alerts HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n";
const slow = "Content-Length: 200000\r\n\r\n[";
describe("a flood of 4000 connections, each opened again when it is closed,", () => {
  it.each<[string, Attacker]>([
    ["whose headers never end", { begin: `${post}X-Slow: `, again: "x" }],
    ["that say nothing", { begin: "" }],
    ["whose bodies come byte by byte, with a token", { begin: post + authorization + slow, again: " " }],
    ["whose bodies come byte by byte, without one", { begin: post + slow, again: " " }],
    ["that stay open after a request", { begin: "GET /healthz HTTP/1.1\r\nHost: bridge\r\n\r\n" }],
  ])("%s leaves room for honest clients", async (_, attacker) => {
    const stop = flood(4000, attacker);
    const longest = await honestFor(3);
    stop();
    expect(longest).toBeLessThan(8000);
  });

  it("costs no more memory than it may, and no alert that was taken", async () => {
    await until("all are gone", 5, () => openFiles() < 200);
    expect(memory().peak).toBeLessThan(mostMemory);
    const accepted = async () => {
      const journal = await fetch(`${url}/v1/journal`, { headers: { Authorization: `Bearer ${token}` } });
      return ((await journal.json()) as { totals: { accepted: number } }).totals.accepted;
    };
    await until("the ledger has all that was taken", 10, async () => (await accepted()) === sent);
  });
});

describe("a connection that asks nothing", () => {
  it("in whole is closed after ten seconds, with or without a beginning", async () => {
    const began = performance.now();
    const closed = ["", `${post}X-Slow: `].map((begin) => {
      const socket = connect(port, "127.0.0.1", () => socket.write(begin));
      socket.on("data", () => {}).on("error", () => {});
      return new Promise((resolve) => socket.once("close", resolve));
    });
    await Promise.all(closed);
    expect(performance.now() - began).toBeLessThan(13_000);
  });
});

/** Sends as much as is taken, at most `bytes`; what was answered, and how long until the connection was closed. */
const pour = async (head: string, bytes: number) => {
  const socket = connect(port, "127.0.0.1");
  const chunk = Buffer.concat([Buffer.from("10000\r\n"), Buffer.alloc(0x10000, "["), Buffer.from("\r\n")]);
  const began = performance.now();
  let [answer, written, closed] = ["", 0, false];
  socket.on("data", (data) => {
    answer += data;
  });
  socket.on("error", () => {});
  const end = new Promise<void>((resolve) =>
    socket.once("close", () => {
      closed = true;
      resolve();
    }),
  );
  socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
  while (!closed && written < bytes) {
    written += chunk.length;
    if (!socket.write(chunk)) await Promise.race([end, once(socket, "drain").catch(() => undefined)]);
  }
  if (!closed) socket.destroy();
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]), took: performance.now() - began };
};
const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024, "["));
const deep = (open: string, close: string) => {
  const levels = Math.floor(250_000 / (open.length + close.length));
  return open.repeat(levels) + close.repeat(levels);
};
const withField = (field: string, json: string) =>
  `${JSON.stringify(posted({ recipients: [{ email: "ops@example.com" }], [field]: undefined })).slice(0, -1)},"${field}":${json}}`;

describe("a bomb", () => {
  it.each([
    ["with a token", post + authorization, 413],
    ["without one", post, 401],
  ])(
    "of a gigabyte in chunks %s is refused, and no more than half a second of it is read",
    async (_, head, status) => {
      const before = memory().now;
      const poured = await pour(head, 1024 ** 3);
      expect(poured.status).toBe(status);
      expect(poured.took).toBeLessThan(2000);
      expect(memory().now - before).toBeLessThan(100);
    },
  );

  it.each<[string, string | Buffer, Record<string, string>, number]>([
    ["gzip that holds 200 MB", bomb, { "Content-Encoding": "gzip" }, 415],
    ["gzip that does not say so", bomb, {}, 400],
    ["brackets to the limit", "[".repeat(262_144), {}, 400],
    ["closed brackets to the limit", deep("[", "]"), {}, 422],
    ["objects in objects", `${deep('{"a":', "}").replace(/:}/, ":1}")}`, {}, 422],
    ["brackets as an output", withField("output", deep("[", "]")), {}, 202],
    ["objects as custom variables", withField("custom", deep('{"a":', "}").replace(/:}/, ":1}")), {}, 202],
    [
      "fifteen thousand custom variables",
      withField("custom", `{${Array.from({ length: 15_000 }, (_, n) => `"v${n}":""`).join()}}`),
      {},
      202,
    ],
    ["the same key again and again", withField("output", `"x"${',"output":"y"'.repeat(18_000)}`), {}, 422],
    ["a number without bounds", withField("time", "1e999"), {}, 202],
    [
      "fields without end in a form",
      `${"a=&".repeat(65_000)}`,
      { "Content-Type": "application/x-www-form-urlencoded" },
      422,
    ],
  ])("of %s is answered at once, in little memory", async (_, body, more, status) => {
    const before = memory().now;
    const began = performance.now();
    const headers = {
      "Content-Type": "application/json",
      Authorization: `Bearer ${token}`,
      Connection: "close",
      ...more,
    };
    const response = await fetch(`${url}/v1/alerts`, {
      method: "POST",
      body: new Uint8Array(Buffer.from(body)),
      headers,
    });
    expect(response.status, await response.text()).toBe(status);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(memory().now - before).toBeLessThan(100);
  });
});

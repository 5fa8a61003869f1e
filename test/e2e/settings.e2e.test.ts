import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import PostalMime, { type Email } from "postal-mime";
import { SMTPServer } from "smtp-server";
import { afterAll, describe, expect, it } from "vitest";
import { settings } from "../../functions/config.ts";
import { authority, type Certificate, certificate } from "../deliver/certificate.ts";
import { posted } from "../world/alerts.ts";
import { compiled } from "../world/compiled.ts";
import { bridgeWords, until } from "../world/lab.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-settings-"));
afterAll(() => rmSync(folder, { recursive: true }));

const ca: Promise<Certificate> = authority();
const token = "t".repeat(24);

type Mail = { user: string; from: string; to: string[]; email: Email };

/** A relay on loopback. It refuses refused@ for good, and defers deferred@ as long as `defers` is true. */
const openRelay = async () => {
  const mails: Mail[] = [];
  const relay = { mails, defers: true };
  const { key, cert } = await certificate({ ca: await ca });
  const server = new SMTPServer({
    key,
    cert,
    authMethods: ["PLAIN", "XOAUTH2"],
    authOptional: true,
    disableReverseLookup: true,
    onAuth: ({ username, accessToken }, _, done) =>
      done(null, { user: accessToken ? `${username} by ${accessToken}` : username }),
    onRcptTo: ({ address }, _, done) => {
      const code = address.startsWith("refused@") ? 550 : 450;
      const deferred = address.startsWith("deferred@") && relay.defers;
      if (code === 550 || deferred)
        done(Object.assign(new Error("not now, or never"), { responseCode: code }));
      else done();
    },
    onData: (stream, { user, envelope }, done) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", async () => {
        const from = envelope.mailFrom ? envelope.mailFrom.address : "";
        const to = envelope.rcptTo.map(({ address }) => address);
        const email = await PostalMime.parse(Buffer.concat(chunks));
        mails.push({ user: String(user), from, to, email });
        done();
      });
    },
  });
  server.on("error", () => undefined);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening()));
  const { port } = server.server.address() as AddressInfo;
  return { relay, port, close: () => new Promise<void>((closed) => server.close(() => closed())) };
};

type Environment = Record<string, string | undefined>;

/** One site: its relay, its state, and a bridge that can be started again, by a clock that is ahead if need be. */
const openSite = async (change: (site: { state: string; port: number }) => Environment) => {
  const { relay, port, close: closeRelay } = await openRelay();
  const stops: (() => Promise<void>)[] = [];
  const state = join(mkdtempSync(join(folder, "site-")), "state");
  const environment: Environment = {
    PATH: process.env.PATH,
    ...compiled,
    HARDSTATE_STATE: state,
    HARDSTATE_PORT: "0",
    HARDSTATE_TOKENS: `site=${token}`,
    HARDSTATE_RELAYS: `smtp://nagios:secret@127.0.0.1:${port}`,
    HARDSTATE_RELAY_CA: (await ca).cert,
    HARDSTATE_FROM: "nagios@example.com",
    HARDSTATE_RECIPIENTS: "example.com",
    ...change({ state, port }),
  };
  /** Starts the bridge; rejects with what it said if it does not start. */
  const start = async (aheadMinutes = 0) => {
    const ahead = aheadMinutes * 60_000;
    const clock = `const { now } = Date; Date.now = () => now() + ${ahead};`;
    const words = ["--import", `data:text/javascript,${encodeURIComponent(clock)}`, ...bridgeWords];
    const child = spawn(process.execPath, words, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    let [said, complained] = ["", ""];
    child.stderr.on("data", (chunk) => {
      complained += chunk;
    });
    const ended = new Promise<number | null>((end) => child.once("close", end));
    const stop = async () => {
      child.kill("SIGTERM");
      await ended;
    };
    stops.push(stop);
    const url = await new Promise<string>((started, refused) => {
      ended.then((status) => refused(new Error(`exit status ${status}: ${complained}`)));
      child.stdout.on("data", (chunk) => {
        said += chunk;
        const [, at] = /(?:"event":"started","url":"|listening {2})(http[^",]+)/.exec(said) ?? [];
        if (at) started(at);
      });
    });
    const ask = (path: string, method = "GET", body?: unknown) =>
      fetch(`${url}${path}`, {
        method,
        body: body === undefined ? undefined : JSON.stringify(body),
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      });
    const begun = Math.floor((Date.now() + ahead) / 1000);
    let count = 0;
    /** Posts an alert for ops@example.com; its HTTP status, and its id. */
    const post = async (alert: Record<string, unknown> = {}) => {
      count += 1;
      const id = `alert-${aheadMinutes}-${count}`;
      const { status } = await ask("/v1/alerts", "POST", {
        ...posted({ id, time: begun + count, recipients: [{ email: "ops@example.com" }] }),
        monitor: { id: "monitor1", start: begun - 3600 },
        problem: { id: "5", epoch: begun - 600 },
        notification: { id: String(100 + count), number: 1 },
        ...alert,
      });
      return { status, id };
    };
    const statusOf = async (id: string): Promise<string> => {
      const { status, holds, ending } = (await (await ask(`/v1/alerts/${id}`)).json()) as {
        status: string;
        holds?: unknown[];
        ending?: unknown;
      };
      return status === "pending" && holds?.length && !ending ? "held" : status;
    };
    /** The result of an alert: how it ends, or that it is held. */
    const outcomeOf = async (id: string): Promise<string> => {
      await until(`what becomes of ${id}`, 20, async () => (await statusOf(id)) !== "pending");
      return statusOf(id);
    };
    return {
      url,
      stop,
      ask,
      post,
      statusOf,
      outcomeOf,
      /** Posts an alert; what it comes to. */
      told: async (alert?: Record<string, unknown>) => outcomeOf((await post(alert)).id),
      said: () => said,
    };
  };
  /** The first mail to an address. */
  const mailTo = async (address: string): Promise<Mail> => {
    const found = () => relay.mails.find(({ to }) => to.includes(address));
    await until(`a mail to ${address}`, 20, () => found() !== undefined);
    return found() as Mail;
  };
  const countTo = (address: string) => relay.mails.filter(({ to }) => to.includes(address)).length;
  /** Whether a mail to an address comes within eight seconds; the bridge looks each second for what is due. */
  const hears = async (address: string): Promise<boolean> => {
    for (let looks = 0; looks < 80 && countTo(address) === 0; looks += 1) await pause(100);
    return countTo(address) > 0;
  };
  const close = async () => {
    for (const stop of stops) await stop();
    await closeRelay();
  };
  return { relay, state, start, mailTo, countTo, hears, close };
};
type Site = Awaited<ReturnType<typeof openSite>>;

const recovery = { type: "RECOVERY", state: "OK", problem: { last_id: "5" } };
const deferred = { recipients: [{ email: "deferred@example.com" }] };
const pause = (milliseconds: number) => new Promise((over) => setTimeout(over, milliseconds));

/** A port of loopback that nobody listens on. */
const freePort = async (): Promise<number> => {
  const server = createTcpServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening()));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
};

/** An endpoint that gives the token `fetched`. */
const tokenEndpoint = async (): Promise<string> => {
  const server = createServer((_, response) =>
    response
      .writeHead(200, { "Content-Type": "application/json" })
      .end(JSON.stringify({ access_token: "fetched", expires_in: 3600 })),
  );
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening()));
  server.unref();
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
};
const tokenUrl = await tokenEndpoint();
const port = await freePort();

const nowAsTime = () => new Date().toISOString().slice(11, 16);
const operator = { HARDSTATE_OPERATOR: "admin@example.com" };
const sees = (text: string) => async (site: Site) => {
  const bridge = await site.start();
  await bridge.post();
  const { email } = await site.mailTo("ops@example.com");
  return `${email.text}${email.html}`.includes(text);
};
const statusOfPost = (alert?: Record<string, unknown>) => async (site: Site) =>
  (await (await site.start()).post(alert)).status;
const outcomesOf =
  (...alerts: Record<string, unknown>[]) =>
  async (site: Site) => {
    const bridge = await site.start();
    const outcomes: string[] = [];
    for (const alert of alerts) outcomes.push(await bridge.told(alert));
    return outcomes.at(-1);
  };

type Given = Environment | ((site: { state: string; port: number }) => Environment);

/** For each setting two values, what a user looks at, and what they see with the one and with the other. */
const effects: Record<string, [Given, Given, (site: Site) => Promise<unknown>, unknown, unknown]> = {
  HARDSTATE_TOKENS: [{}, { HARDSTATE_TOKENS: `site=${"x".repeat(24)}` }, statusOfPost(), 202, 401],
  HARDSTATE_RELAYS: [
    {},
    ({ port }) => ({ HARDSTATE_RELAYS: `smtp://second:secret@127.0.0.1:${port}` }),
    async (site) => {
      await (await site.start()).post();
      return (await site.mailTo("ops@example.com")).user;
    },
    "nagios",
    "second",
  ],
  HARDSTATE_OAUTH: [
    ({ port }) => ({
      HARDSTATE_RELAYS: `smtp://nagios@127.0.0.1:${port}?auth=XOAUTH2`,
      HARDSTATE_OAUTH: `token_url=${encodeURIComponent(tokenUrl)} client_id=x client_secret=x`,
    }),
    ({ port }) => ({ HARDSTATE_RELAYS: `smtp://nagios@127.0.0.1:${port}?auth=XOAUTH2` }),
    async (site) => {
      const bridge = await site.start().catch((error: Error) => error.message);
      if (typeof bridge === "string") return bridge;
      await bridge.post();
      return (await site.mailTo("ops@example.com")).user;
    },
    "nagios by fetched",
    expect.stringMatching(/^exit status 2: .*HARDSTATE_OAUTH/s),
  ],
  HARDSTATE_RELAY_CA: [
    {},
    { HARDSTATE_RELAY_CA: undefined },
    async (site) => {
      const bridge = await site.start();
      await bridge.post();
      await until("a mail, or why there is none", 20, () =>
        /"ending":"mailed"|"attempt-failed"/.test(bridge.said()),
      );
      return /"step":"tls","reply":"[^"]*/.exec(bridge.said())?.[0] ?? "mailed";
    },
    "mailed",
    expect.stringMatching(/certificate/),
  ],
  HARDSTATE_FROM: [
    {},
    { HARDSTATE_FROM: "Watch <watch@example.com>" },
    async (site) => {
      await (await site.start()).post();
      const { from } = (await site.mailTo("ops@example.com")).email;
      return [from?.name, from?.address];
    },
    ["", "nagios@example.com"],
    ["Watch", "watch@example.com"],
  ],
  HARDSTATE_ENVELOPE_FROM: [
    {},
    { HARDSTATE_ENVELOPE_FROM: "bounces@example.com" },
    async (site) => {
      await (await site.start()).post();
      return (await site.mailTo("ops@example.com")).from;
    },
    "nagios@example.com",
    "bounces@example.com",
  ],
  HARDSTATE_SUBJECT: [
    {},
    { HARDSTATE_SUBJECT: "** {type} alert: {object} is {state} **" },
    async (site) => {
      await (await site.start()).post();
      return (await site.mailTo("ops@example.com")).email.subject;
    },
    "[PROBLEM CRITICAL] web01/HTTP",
    "** PROBLEM alert: web01/HTTP is CRITICAL **",
  ],
  HARDSTATE_REPLY_TO: [
    {},
    { HARDSTATE_REPLY_TO: "Operations <ops-team@example.com>" },
    async (site) => {
      await (await site.start()).post();
      return (await site.mailTo("ops@example.com")).email.replyTo;
    },
    undefined,
    [{ name: "Operations", address: "ops-team@example.com" }],
  ],
  HARDSTATE_FOOTER: [
    {},
    { HARDSTATE_FOOTER: "Runbooks: https://wiki.example.com/runbooks\nCall 112 & wait" },
    async (site) => {
      await (await site.start()).post();
      const { text = "", html = "" } = (await site.mailTo("ops@example.com")).email;
      return [
        /by Hardstate\n([\s\S]+)$/.exec(text)?.[1]?.trim(),
        /by Hardstate<br>(.*?)<\/p>/s.exec(html)?.[1],
      ];
    },
    ["", undefined],
    [
      "Runbooks: https://wiki.example.com/runbooks\nCall 112 & wait",
      'Runbooks: <a href="https://wiki.example.com/runbooks" style="color:inherit">https://wiki.example.com/runbooks</a><br>Call 112 &amp; wait',
    ],
  ],
  HARDSTATE_RECIPIENTS: [
    {},
    { HARDSTATE_RECIPIENTS: "example.com example.org" },
    statusOfPost({ recipients: [{ email: "ops@example.org" }] }),
    422,
    202,
  ],
  HARDSTATE_ALIASES: [
    {},
    { HARDSTATE_ALIASES: "root=ops@example.com" },
    statusOfPost({ recipients: [{ name: "root" }] }),
    422,
    202,
  ],
  HARDSTATE_OPERATOR: [
    {},
    operator,
    async (site) => {
      const bridge = await site.start();
      await bridge.told({ recipients: [{ email: "refused@example.com" }] });
      return site.hears("admin@example.com");
    },
    false,
    true,
  ],
  HARDSTATE_QUEUE: [
    {},
    ({ state }) => ({ HARDSTATE_QUEUE: `sqlite:${state}/../other.sqlite` }),
    async (site) => {
      await site.start();
      return [existsSync(join(site.state, "queue.sqlite")), existsSync(join(site.state, "../other.sqlite"))];
    },
    [true, false],
    [false, true],
  ],
  HARDSTATE_LEDGER: [
    {},
    ({ state }) => ({ HARDSTATE_LEDGER: `sqlite:${state}/../other.sqlite` }),
    async (site) => {
      await site.start();
      return [existsSync(join(site.state, "ledger.sqlite")), existsSync(join(site.state, "../other.sqlite"))];
    },
    [true, false],
    [false, true],
  ],
  HARDSTATE_LINK: [
    {},
    { HARDSTATE_LINK: "https://nagios.example.com/{host}/{service}" },
    sees("https://nagios.example.com/web01/HTTP"),
    false,
    true,
  ],
  HARDSTATE_RENOTIFY_AFTER: [
    {},
    { HARDSTATE_RENOTIFY_AFTER: "1s" },
    async (site) => {
      const bridge = await site.start();
      await bridge.told();
      await pause(1500);
      return bridge.told();
    },
    "suppressed",
    "mailed",
  ],
  HARDSTATE_WORSENING: [
    {},
    { HARDSTATE_WORSENING: "suppress" },
    outcomesOf({ state: "WARNING" }, { state: "CRITICAL" }),
    "mailed",
    "suppressed",
  ],
  HARDSTATE_PAIR_RECOVERY: [
    {},
    { HARDSTATE_PAIR_RECOVERY: "any" },
    outcomesOf({}, { monitor: { id: "monitor2" } }, recovery),
    "held",
    "mailed",
  ],
  HARDSTATE_FLAP_HOLD: [
    {},
    { HARDSTATE_FLAP_HOLD: "off" },
    async (site) => {
      const bridge = await site.start();
      await bridge.post(deferred);
      await until("the first attempt", 20, () => bridge.said().includes('"attempt-failed"'));
      const { id } = await bridge.post({ ...deferred, ...recovery });
      await bridge.stop();
      site.relay.defers = false;
      const later = await site.start(10);
      await later.outcomeOf(id);
      return site.countTo("deferred@example.com");
    },
    0,
    2,
  ],
  HARDSTATE_HOST_COVER: [
    {},
    { HARDSTATE_HOST_COVER: "off" },
    outcomesOf(
      { object: { host: "web01" }, state: "DOWN", notification: { id: "201", number: 1 } },
      // It is older than the notification of the host, and comes after it.
      { notification: { id: "200", number: 1 } },
    ),
    "held",
    "mailed",
  ],
  HARDSTATE_ORPHAN_RECOVERY: [
    {},
    { HARDSTATE_ORPHAN_RECOVERY: "send" },
    outcomesOf(recovery),
    "suppressed",
    "mailed",
  ],
  HARDSTATE_BURST: [
    {},
    { HARDSTATE_BURST: "1/h" },
    outcomesOf({}, { object: { host: "web02", service: "HTTP" } }),
    "mailed",
    "digested",
  ],
  HARDSTATE_RATE: [
    {},
    { HARDSTATE_RATE: "1/h" },
    async (site) => {
      const bridge = await site.start();
      return [(await bridge.post()).status, (await bridge.post()).status];
    },
    [202, 202],
    [202, 429],
  ],
  HARDSTATE_HEARTBEAT_AFTER: [
    operator,
    { ...operator, HARDSTATE_HEARTBEAT_AFTER: "1s" },
    async (site) => {
      const bridge = await site.start();
      await bridge.ask("/v1/heartbeat", "PUT", { monitor: "monitor1" });
      return site.hears("admin@example.com");
    },
    false,
    true,
  ],
  HARDSTATE_STILL_OPEN_AT: [
    operator,
    () => ({ ...operator, HARDSTATE_STILL_OPEN_AT: nowAsTime() }),
    async (site) => {
      const before = await site.start(-60);
      await before.told();
      await before.stop();
      await site.start();
      return site.hears("admin@example.com");
    },
    false,
    true,
  ],
  HARDSTATE_TIMEZONE: [
    {},
    { HARDSTATE_TIMEZONE: "Asia/Kolkata" },
    async (site) => {
      await (await site.start()).post();
      const { text = "" } = (await site.mailTo("ops@example.com")).email;
      return /^Time +\S+ \S+ (.*)$/m.exec(text)?.[1];
    },
    "UTC",
    "IST (+0530)",
  ],
  HARDSTATE_GIVE_UP_AFTER: [
    { HARDSTATE_FLAP_HOLD: "off" },
    { HARDSTATE_FLAP_HOLD: "off", HARDSTATE_GIVE_UP_AFTER: "1min" },
    async (site) => {
      const bridge = await site.start();
      const { id } = await bridge.post(deferred);
      await until("the first attempt", 20, () => bridge.said().includes('"attempt-failed"'));
      await bridge.stop();
      const later = await site.start(10);
      await until("the second attempt", 20, () => later.said().includes('"attempt-failed"'));
      await pause(500);
      return later.statusOf(id);
    },
    "pending",
    "dead",
  ],
  HARDSTATE_STATE: [
    {},
    ({ state }) => ({ HARDSTATE_STATE: `${state}-2` }),
    async (site) => {
      await site.start();
      return [existsSync(join(site.state, "lock")), existsSync(join(`${site.state}-2`, "lock"))];
    },
    [true, false],
    [false, true],
  ],
  HARDSTATE_HOST: [
    {},
    { HARDSTATE_HOST: "127.0.0.2" },
    async (site) => new URL((await site.start()).url).hostname,
    "127.0.0.1",
    "127.0.0.2",
  ],
  HARDSTATE_PORT: [
    {},
    { HARDSTATE_PORT: String(port) },
    async (site) => {
      const bridge = await site.start();
      expect((await bridge.ask("/healthz")).status).toBe(200);
      return new URL(bridge.url).port === String(port);
    },
    false,
    true,
  ],
  HARDSTATE_LOG: [
    {},
    { HARDSTATE_LOG: "text" },
    async (site) => {
      const bridge = await site.start();
      await bridge.told();
      const line = bridge
        .said()
        .split("\n")
        .find((one) => one.includes("accepted"));
      return line?.replace(/^[\d:]+/, "TIME");
    },
    expect.stringMatching(/^\{"at":".*"event":"accepted",.*\}$/),
    "TIME accepted   PROBLEM CRITICAL web01/HTTP for ops@example.com (alert-0-1)",
  ],
};

describe.concurrent("a setting changes what a user sees", () => {
  it.each(Object.entries(effects))("%s", async (_, [one, other, see, ofOne, ofOther]) => {
    const seen = async (given: Given) => {
      const site = await openSite((parts) => (typeof given === "function" ? given(parts) : given));
      return see(site).finally(site.close);
    };
    expect(await Promise.all([seen(one), seen(other)])).toEqual([ofOne, ofOther]);
  });
});

it("every setting has such an effect", () => {
  expect(Object.keys(effects)).toEqual(settings.map(({ name }) => name));
});

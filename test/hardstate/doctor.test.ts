import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { render } from "../../functions/compose/mime.ts";
import type { Mail } from "../../functions/deliver/mail.ts";
import { tokenSource } from "../../functions/deliver/oauth.ts";
import type { OAuth, SesRelay, SmtpRelay } from "../../functions/deliver/relay-url.ts";
import type { Line } from "../../functions/deliver/session.ts";
import { smtpTransport } from "../../functions/deliver/smtp.ts";
import { openSession } from "../../functions/deliver/smtp-session.ts";
import { Secret } from "../../functions/secret.ts";
import {
  type DoctorParts,
  type Examination,
  examine,
  type Finding,
  type Question,
  stages,
} from "../../scripts/hardstate/stages.ts";
import { authority, type Certificate, certificate } from "../deliver/certificate.ts";
import { startNameServer } from "../deliver/name-server.ts";
import {
  hangUp,
  type Script,
  type ScriptedRelay,
  scriptedRelay,
  silence,
} from "../deliver/scripted-relay.ts";
import { compiled } from "../world/compiled.ts";

const user = "bridge";
const password = "Pa55/phrase;not for@all";
const base64 = (text: string) => Buffer.from(text).toString("base64");
/** Every shape in which the password, or a token made of it, may come to light. */
const shapes = (secret: string) => [
  secret,
  encodeURIComponent(secret),
  base64(secret),
  base64(`\0${user}\0${secret}`),
  base64(`user=${user}\x01auth=Bearer ${secret}\x01\x01`),
];
const secretsIn = (text: string, secret = password) =>
  shapes(secret).filter((shape) => text.includes(shape) || text.includes(JSON.stringify(shape).slice(1, -1)));

let ca: Certificate;
let trusted: Certificate;
beforeAll(async () => {
  ca = await authority();
  trusted = await certificate({ ca, days: 90 });
});

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

type Options = { cert?: Certificate; protection?: "starttls" | "implicit" };

const start = async (script: Script = {}, { cert, protection }: Options = {}): Promise<ScriptedRelay> => {
  const relay = await scriptedRelay(cert ?? trusted, script, protection);
  ending.push(() => relay.close());
  return relay;
};

/** The replies of a relay that keeps to the rules, to a client that has not logged in. */
const closed: Script = { stranger: "554 5.7.1 <nobody@example.net>: Relay access denied\r\n" };

const mail: Mail = render({
  alert: { site: "site", id: "alert-0001" },
  envelope: { from: "nagios@example.com", to: "ops@example.org" },
  messageId: "<1@example.com>",
  date: 1_800_000_000_000,
  from: { address: "nagios@example.com" },
  to: "ops@example.org",
  subject: "[CUSTOM UP] monitor",
  threadId: "<0@example.com>",
  headers: {},
  text: "A test mail\n",
  html: "<p>A test mail</p>",
});

const clock = () => Date.now();

/** Examines a relay on loopback as the command does, with less patience. */
const examination = async (
  port: number,
  change: Partial<SmtpRelay> = {},
  question: Partial<Question> = {},
  parts: Partial<DoctorParts> = {},
) => {
  const relay: SmtpRelay = {
    kind: "smtp",
    mx: false,
    route: `smtp://127.0.0.1:${port}`,
    host: "127.0.0.1",
    port,
    protection: "starttls",
    credentials: { user, password: new Secret(password) },
    auth: ["PLAIN", "LOGIN"],
    name: "bridge.example.com",
    connections: 3,
    ca: ca.cert,
    ...change,
  };
  const { credentials } = relay;
  const tokens = credentials && "oauth" in credentials ? tokenSource(credentials.oauth, clock) : undefined;
  const session = { resolveMx: async () => [], tokens };
  const transcript: Line[] = [];
  const told: Finding[] = [];
  const found = await examine(
    relay,
    { from: "nagios@example.com", to: "admin@example.org", ...question },
    {
      open: (smtp, signal, observer) => openSession(smtp, session, signal, observer),
      transport: (_, observer) => smtpTransport(relay, session, clock, observer),
      clock,
      timeOf: Date.parse,
      tell: (finding) => told.push(finding),
      heard: (line) => transcript.push(line),
      limits: { stageMilliseconds: 2_000, mailMilliseconds: 2_000, farewellMilliseconds: 200 },
      ...parts,
    },
  );
  expect(told).toEqual(found.stages);
  expect(found.stages.map(({ stage }) => stage).sort()).toEqual([...stages].sort());
  expect(secretsIn(JSON.stringify([found, transcript]))).toEqual([]);
  return { ...found, transcript };
};

const findingOf = ({ stages: found }: Examination, stage: string): Finding => {
  const finding = found.find((one) => one.stage === stage);
  if (!finding) throw new Error(`no stage ${stage}`);
  return finding;
};
const resultsOf = ({ stages: found }: Examination) =>
  Object.fromEntries(found.map(({ stage, result }) => [stage, result]));

describe("a healthy relay", () => {
  it.each(["starttls", "implicit"] as const)("with %s passes, and gets no DATA", async (protection) => {
    const relay = await start(closed, { protection });
    relay.script = {
      ...closed,
      "TLS-EHLO": "250-relay.example\r\n250-SIZE 1000\r\n250 AUTH PLAIN LOGIN\r\n",
    };
    const found = await examination(relay.port, { protection });
    expect(found.failed).toBeNull();
    expect(found.stages.filter(({ warnings, advice }) => warnings || advice)).toEqual([]);
    expect(resultsOf(found)).toMatchObject({
      connect: "pass",
      tls: "pass",
      "auth-offered": "pass",
      "open-relay": "pass",
      token: "skipped",
      auth: "pass",
      sender: "pass",
      recipient: "pass",
      accepted: "skipped",
    });
    expect(findingOf(found, "tls").detail).toMatch(/^TLSv1\.3 TLS_\w+, certificate of 127\.0\.0\.1 until /);
    expect(findingOf(found, "auth").detail).toBe("bridge by PLAIN: 235 2.7.0 welcome");
    expect(relay.verbs()).not.toContain("DATA");
    expect(relay.received()).toContain(`AUTH PLAIN ${base64(`\0${user}\0${password}`)}`);
    expect(found.transcript.map(({ text }) => text)).toContain("AUTH PLAIN [redacted]");
    expect(relay.connections).toBe(2);
  });

  it("asked to, takes one mail, and its queue id is told", async () => {
    const relay = await start();
    const found = await examination(relay.port, { credentials: undefined }, { mail });
    expect(found.failed).toBeNull();
    expect(findingOf(found, "accepted")).toMatchObject({
      result: "pass",
      detail: "queue id SCRIPTED1: 250 2.0.0 Ok: queued as SCRIPTED1",
    });
    expect(relay.contents).toHaveLength(1);
    expect(found.transcript).toContainEqual({ from: "client", text: "DATA" });
  });

  it("that trusts our address passes without a login, with a warning", async () => {
    const relay = await start();
    const found = await examination(relay.port, { credentials: undefined });
    expect(found.failed).toBeNull();
    expect(findingOf(found, "open-relay").warnings).toEqual([
      expect.stringMatching(/relays for this machine without a login, from nobody@example\.org too\./),
    ]);
    expect(relay.verbs()).not.toContain("DATA");
  });
});

type Broken = {
  script?: Script;
  options?: () => Promise<Options>;
  change?: () => Partial<SmtpRelay>;
  question?: Partial<Question>;
};
const table: [string, Broken, stage: string, detail: RegExp, advice: RegExp][] = [
  [
    "says nothing",
    { script: { greeting: silence } },
    "banner",
    /no answer/,
    /says nothing\. A port for TLS from the start \(465\) needs smtps/,
  ],
  [
    "turns us away",
    { script: { greeting: "554 5.7.1 not you\r\n" } },
    "banner",
    /^554/,
    /refuses the connection of this machine/,
  ],
  [
    "is another service",
    { script: { greeting: "SSH-2.0-OpenSSH\r\n" } },
    "banner",
    /^SSH/,
    /Another service/,
  ],
  ["hangs up", { script: { greeting: hangUp } }, "banner", /closed/, /broke off/],
  ["knows no EHLO", { script: { EHLO: "502 5.5.1 what\r\n" } }, "ehlo", /^502/, /does not know EHLO/],
  [
    "does not like our name",
    { script: { EHLO: "550 5.7.1 Helo command rejected: Host not found\r\n" } },
    "ehlo",
    /^550/,
    /name= in HARDSTATE_RELAYS/,
  ],
  [
    "offers no STARTTLS",
    { script: { EHLO: "250-relay.example\r\n250 SIZE\r\n", STARTTLS: "502 5.5.1 what\r\n" } },
    "tls",
    /^STARTTLS is not offered \(502/,
    /no TLS here/,
  ],
  [
    "cannot begin TLS",
    { script: { STARTTLS: "454 4.7.0 not now\r\n" } },
    "tls",
    /^454/,
    /certificate, its key/,
  ],
  ["hangs up in the handshake", { script: { TLS: hangUp } }, "tls", /disconnected/, /broke off/],
  ["never answers the handshake", { script: { TLS: silence } }, "tls", /no answer/, /never ended/],
  [
    "speaks no TLS after all",
    { script: { TLS: "250 hi\r\n" } },
    "tls",
    /wrong version number$/,
    /speaks no TLS/,
  ],
  [
    "has an expired certificate",
    { options: async () => ({ cert: await certificate({ ca, expired: true }) }) },
    "tls",
    /^certificate has expired$/,
    /renew it/,
  ],
  [
    "has a certificate for another name",
    { options: async () => ({ cert: await certificate({ ca, forName: "other.example" }) }) },
    "tls",
    /does not match/,
    /another name/,
  ],
  [
    "has a certificate of an authority that nobody knows",
    { change: () => ({ ca: undefined }) },
    "tls",
    /^unable to verify the first certificate$/,
    /HARDSTATE_RELAY_CA/,
  ],
  [
    "has a certificate of an authority that is not ours",
    { options: async () => ({ cert: await certificate({ ca: await authority() }) }) },
    "tls",
    /^certificate signature failure$/,
    /HARDSTATE_RELAY_CA/,
  ],
  [
    "has a self-signed certificate",
    { options: async () => ({ cert: await certificate({}) }) },
    "tls",
    /^self-signed certificate$/,
    /HARDSTATE_RELAY_CA/,
  ],
  [
    "speaks in clear where TLS from the start is configured",
    { change: () => ({ protection: "implicit" }) },
    "tls",
    /wrong version number$/,
    /use smtp:\/\/ for STARTTLS/,
  ],
  ["offers no AUTH", { script: { "TLS-EHLO": "250 relay\r\n" } }, "auth-offered", /offers no AUTH$/, /auth=/],
  [
    "offers only what is not configured",
    { script: { "TLS-EHLO": "250-relay.example\r\n250 AUTH CRAM-MD5 GSSAPI\r\n" } },
    "auth-offered",
    /^wanted PLAIN or LOGIN, but it offers CRAM-MD5 GSSAPI$/,
    /auth=/,
  ],
  [
    "takes no such password",
    { script: { ...closed, AUTH: "535 5.7.8 authentication failed\r\n" } },
    "auth",
    /^535/,
    /User or password is wrong/,
  ],
  [
    "takes no password with the blanks of an app password",
    {
      script: { ...closed, AUTH: "535 5.7.3 Authentication unsuccessful\r\n" },
      change: () => ({ credentials: { user, password: new Secret("abcd efgh ijkl mnop") } }),
    },
    "auth",
    /^535 5\.7\.3/,
    /^The password contains a blank\. Google and others .* User or password is wrong/,
  ],
  [
    "takes no passwords at all",
    {
      script: {
        ...closed,
        AUTH: "550 5.7.30 Basic authentication is not supported for Client Submission\r\n",
      },
    },
    "auth",
    /^550 5\.7\.30/,
    /Microsoft 365 refuses passwords .* use auth=XOAUTH2/,
  ],
  [
    "repeats the password",
    { script: { ...closed, AUTH: `535 5.7.8 ${password} ${base64(`\0${user}\0${password}`)}\r\n` } },
    "auth",
    /^535 5\.7\.8 \[redacted\] \w+\[redacted\].{0,3}$/,
    /User or password/,
  ],
  ["is open to all", {}, "open-relay", /^OPEN RELAY: .*nobody@example\.net: 250/, /spam/],
  [
    "refuses our sender",
    { script: { MAIL: "550 5.7.1 not your address\r\n" } },
    "sender",
    /^550/,
    /HARDSTATE_FROM/,
  ],
  [
    "refuses our sender at RCPT, as Postfix does by default",
    {
      script: {
        ...closed,
        RCPT: "553 5.7.1 <nagios@example.com>: Sender address rejected: not owned by user bridge\r\n",
      },
    },
    "sender",
    /^553 5\.7\.1 .*not owned/,
    /HARDSTATE_FROM/,
  ],
  [
    "does not know our sender's domain",
    {
      script: {
        ...closed,
        RCPT: "550 5.1.8 <nagios@example.com>: Sender address rejected: Domain not found\r\n",
      },
    },
    "sender",
    /^550 5\.1\.8/,
    /HARDSTATE_FROM/,
  ],
  [
    "requires a full domain of our sender",
    {
      script: {
        ...closed,
        RCPT: "504 5.5.2 <nagios@mon1>: Sender address rejected: need fully-qualified address\r\n",
      },
    },
    "sender",
    /^504 5\.5\.2/,
    /HARDSTATE_FROM/,
  ],
  [
    "does not let the login send as our sender",
    {
      script: {
        ...closed,
        MAIL: "550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n",
      },
    },
    "sender",
    /^550 5\.7\.60/,
    /HARDSTATE_FROM/,
  ],
  [
    "does not know the operator",
    {
      script: {
        ...closed,
        RCPT: "550 5.1.1 <admin@example.org>: Recipient address rejected: User unknown\r\n",
      },
    },
    "recipient",
    /^550 5\.1\.1/,
    /does not know this recipient/,
  ],
  [
    "relays for nobody",
    {
      script: { RCPT: "550 5.7.64 TenantAttribution; Relay Access Denied SMTP\r\n" },
      change: () => ({ credentials: undefined }),
    },
    "recipient",
    /^550 5\.7\.64/,
    /does not relay for us/,
  ],
  [
    "greylists",
    {
      script: {
        ...closed,
        RCPT: "450 4.2.0 <admin@example.org>: Recipient address rejected: Greylisted\r\n",
      },
    },
    "recipient",
    /^450/,
    /is retried/,
  ],
  [
    "requires a login at RCPT",
    {
      script: { RCPT: "530 5.7.0 Authentication required\r\n" },
      change: () => ({ credentials: undefined }),
    },
    "recipient",
    /^530/,
    /requires a login/,
  ],
  [
    "requires a login at MAIL",
    {
      script: { MAIL: "530 5.7.57 Client not authenticated to send mail\r\n" },
      change: () => ({ credentials: undefined }),
    },
    "sender",
    /^530/,
    /requires a login/,
  ],
  [
    "asks for an app password",
    { script: { ...closed, AUTH: "534 5.7.9 Application-specific password required. g-smtp\r\n" } },
    "auth",
    /^534 5\.7\.9/,
    /app password/,
  ],
  [
    "has seen too many logins",
    { script: { ...closed, AUTH: "454 4.7.0 Too many login attempts, please try again later. g-smtp\r\n" } },
    "auth",
    /^454 4\.7\.0/,
    /tries again/,
  ],
  [
    "has authenticated SMTP switched off",
    {
      script: {
        ...closed,
        AUTH: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant\r\n",
      },
    },
    "auth",
    /^535 5\.7\.139/,
    /switched off/,
  ],
  [
    "closes at once",
    { script: { greeting: "421 4.7.0 Too many connections from your address\r\n" } },
    "banner",
    /^421/,
    /too many connections/,
  ],
  [
    "closes at MAIL",
    { script: { ...closed, MAIL: "421 4.7.0 Try again later, closing connection\r\n" } },
    "sender",
    /^421/,
    /defers/,
  ],
  [
    "has a daily limit that is used up, and says so at MAIL",
    { script: { ...closed, MAIL: "550 5.4.5 Daily user sending limit exceeded. g-smtp\r\n" } },
    "sender",
    /^550 5\.4\.5/,
    /limit|quota/i,
  ],
  [
    "has our address on a blocklist",
    {
      script: {
        ...closed,
        RCPT: "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.9\r\n",
      },
    },
    "recipient",
    /zen\.spamhaus\.org/,
    /block/,
  ],
  [
    "takes no mechanism that it offers",
    { script: { ...closed, AUTH: "504 5.7.4 Unrecognized authentication type\r\n" } },
    "auth",
    /^504 5\.7\.4/,
    /^(?!.*password is wrong).*auth=/,
  ],
  [
    "has banned our address, and speaks of sending too",
    {
      script: {
        ...closed,
        RCPT: "550 5.7.606 Access denied, banned sending IP [192.0.2.9]. To request removal, the sender may visit https://sender.office.com/\r\n",
      },
    },
    "recipient",
    /^550 5\.7\.606/,
    /blocklist/,
  ],
  [
    "refuses the recipient",
    { script: { ...closed, RCPT: "550 5.1.1 no such user\r\n" }, question: { mail } },
    "recipient",
    /^550/,
    /does not know this recipient/,
  ],
  [
    "is full",
    { script: { ...closed, DATA: "452 4.3.1 disk\r\n" }, question: { mail } },
    "data",
    /^452/,
    /defers/,
  ],
  [
    "takes no DATA",
    { script: { ...closed, DATA: "554 no\r\n" }, question: { mail } },
    "data",
    /^554/,
    /read its reply/,
  ],
];

describe("a relay that", () => {
  it.each(table)("%s is named, and what to do about it", async (_, broken, stage, detail, advice) => {
    const relay = await start(broken.script, await broken.options?.());
    const found = await examination(relay.port, broken.change?.(), broken.question);
    expect(found.failed).toBe(stage);
    const finding = findingOf(found, stage);
    expect(finding).toMatchObject({ result: "fail" });
    expect(finding.detail).toMatch(detail);
    expect(finding.advice).toMatch(advice);
    const before = found.stages.findIndex((one) => one.stage === stage);
    expect(found.stages.slice(0, before).filter(({ result }) => result === "fail")).toEqual([]);
    // No login leaves before TLS, and none after a stage that failed.
    const clear = relay.received().split("STARTTLS\r\n")[0] ?? "";
    expect(clear).not.toMatch(/AUTH/);
    if (stages.indexOf(finding.stage) < stages.indexOf("open-relay"))
      expect(secretsIn(relay.received())).toEqual([]);
    expect(relay.contents).toEqual([]);
  });
});

describe("a test mail", () => {
  it.each<[string, Script["dot"], RegExp, RegExp]>([
    ["full", "452 4.3.1 disk full\r\n", /^452/, /defers the mail/],
    ["against what it holds", "554 5.7.1 spam\r\n", /^554/, /filter refuses the content/],
    [
      "against our From",
      "554 5.2.252 SendAsDenied; not allowed to send as\r\n",
      /^554/,
      /refuses this sender/,
    ],
    ["silent", silence, /no answer/, /answer is lost/],
  ])("of a relay that after the dot is %s", async (_, dot, detail, advice) => {
    const relay = await start({ ...closed, dot });
    const found = await examination(relay.port, {}, { mail });
    expect(found.failed).toBe("accepted");
    expect(resultsOf(found)).toMatchObject({ sender: "pass", recipient: "pass", data: "pass" });
    expect(findingOf(found, "accepted").detail).toMatch(detail);
    expect(findingOf(found, "accepted").advice).toMatch(advice);
  });

  it("is not asked of a relay that has refused the login", async () => {
    const relay = await start({ ...closed, AUTH: "535 5.7.8 no\r\n" });
    const found = await examination(relay.port, {}, { mail });
    expect(found.failed).toBe("auth");
    expect(relay.verbs()).not.toContain("DATA");
    expect(relay.verbs().filter((verb) => verb === "AUTH")).toHaveLength(1);
  });
});

describe("a relay out of reach", () => {
  it("refuses the connection", async () => {
    const relay = await start();
    await relay.close();
    const found = await examination(relay.port);
    expect(found.failed).toBe("connect");
    expect(findingOf(found, "connect").advice).toMatch(/Nothing listens there/);
    expect(resultsOf(found)).toMatchObject({ dns: "pass", banner: "skipped", auth: "skipped" });
  });

  it("has a name that leads nowhere", async () => {
    const limits = { stageMilliseconds: 20_000 };
    const found = await examination(587, { host: "relay.invalid" }, {}, { limits });
    expect(found.failed).toBe("dns");
    expect(findingOf(found, "dns").advice).toMatch(/name cannot be looked up/);
  });

  it.each<[string, () => Promise<{ exchange: string; priority: number }[]>, RegExp]>([
    [
      "cannot be looked up",
      () => Promise.reject(Object.assign(new Error("x"), { code: "ESERVFAIL" })),
      /looked up/,
    ],
    ["say that it takes no mail", async () => [{ exchange: "", priority: 0 }], /has no relay/],
  ])("is a domain whose MX records %s", async (_, resolveMx, advice) => {
    const open: DoctorParts["open"] = (smtp, signal, observer) =>
      openSession(smtp, { resolveMx }, signal, observer);
    const found = await examination(587, { host: "example.org", mx: true }, {}, { open });
    expect(found.failed).toBe("dns");
    expect(findingOf(found, "dns").advice).toMatch(advice);
  });

  it("gives way to the domain's next host, and is told of", async () => {
    const relay = await start(closed);
    const turned = await start({ greeting: "554 5.3.2 not today\r\n" });
    const found = await examination(
      relay.port,
      { host: "relays.example", mx: true },
      {},
      {
        // One port for both: the first host's is put in its place.
        open: async (smtp, signal, observer) => {
          await openSession(
            { ...smtp, mx: false, host: "127.0.0.1", port: turned.port },
            { resolveMx: async () => [] },
            signal,
            observer,
          ).catch(() => undefined);
          return openSession(
            { ...smtp, mx: false, host: "127.0.0.1" },
            { resolveMx: async () => [] },
            signal,
            observer,
          );
        },
      },
    );
    expect(found.failed).toBeNull();
    expect(findingOf(found, "tls").warnings).toEqual([
      "1 of the domain's hosts did not do; this is 127.0.0.1.",
    ]);
  });
});

describe("TLS", () => {
  it("older than 1.2 is named", async () => {
    const { key, cert } = trusted;
    const server = createTlsServer(
      { key, cert, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
      (socket) => socket.end(),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    ending.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const found = await examination(port, { protection: "implicit" });
    expect(found.failed).toBe("tls");
    expect(findingOf(found, "tls")).toMatchObject({
      detail: expect.stringMatching(/protocol version/),
      advice: expect.stringMatching(/has no TLS 1\.2 or newer/),
    });
  });

  it("from the start that is well is not blamed for a relay that says nothing after it", async () => {
    const relay = await start({ greeting: silence }, { protection: "implicit" });
    const found = await examination(relay.port, { protection: "implicit" });
    expect(found.failed).toBe("banner");
    expect(resultsOf(found)).toMatchObject({ tls: "pass", banner: "fail", ehlo: "skipped" });
  });

  it("with a certificate near its end is warned of", async () => {
    const relay = await start(closed, { cert: await certificate({ ca, days: 29 }) });
    const found = await examination(relay.port);
    expect(found.failed).toBeNull();
    expect(findingOf(found, "tls").warnings).toEqual([
      expect.stringMatching(/^The relay's certificate ends on \d{4}-\d\d-\d\d: have it renewed\.$/),
    ]);
  });

  it("that a relay has lost since the last time is warned of, until it is back", async () => {
    const relay = await start(closed);
    const { seen: first } = await examination(relay.port);
    expect(first?.starttlsAt).toBe(first?.at);
    relay.script = { EHLO: "250-relay.example\r\n250 SIZE\r\n", STARTTLS: "502 5.5.1 what\r\n" };
    const { seen: second } = await examination(relay.port, {}, { before: first });
    const lost = await examination(relay.port, {}, { before: second });
    expect(lost.failed).toBe("tls");
    expect(findingOf(lost, "tls").warnings).toEqual([
      expect.stringMatching(/still offered STARTTLS.*in between/),
    ]);
    const without: Partial<SmtpRelay> = { protection: "none", credentials: undefined };
    const clear = await examination(relay.port, without, { before: first });
    expect(findingOf(clear, "tls")).toMatchObject({
      result: "skipped",
      warnings: [expect.stringMatching(/STARTTLS/)],
    });
    relay.script = closed;
    const back = await examination(relay.port, {}, { before: lost.seen });
    expect(findingOf(back, "tls").warnings).toBeUndefined();
  });
});

describe("the envelope", () => {
  it("is asked about after the login, without DATA", async () => {
    const relay = await start(closed);
    const found = await examination(relay.port);
    expect(findingOf(found, "recipient").detail).toBe("admin@example.org: 250 2.1.5 Ok");
    const [, second = ""] = relay.received().split("QUIT\r\n");
    expect(second).toContain("MAIL FROM:<nagios@example.com>\r\nRCPT TO:<admin@example.org>\r\nRSET\r\n");
    expect(relay.verbs()).not.toContain("DATA");
  });

  it("without somebody to name says that RCPT was not asked", async () => {
    const relay = await start({ ...closed, RCPT: "553 5.7.1 Sender address rejected\r\n" });
    const found = await examination(relay.port, {}, { to: undefined });
    expect(findingOf(found, "recipient")).toMatchObject({
      result: "skipped",
      detail: expect.stringMatching(/^HARDSTATE_OPERATOR or --to ADDRESS tests it/),
    });
  });

  it("that is refused only after the content is no all-clear without a mail", async () => {
    const relay = await start({ ...closed, dot: "554 5.2.252 SendAsDenied; not allowed to send as\r\n" });
    const found = await examination(relay.port);
    expect(found.failed).toBeNull();
    expect(findingOf(found, "accepted")).toMatchObject({
      result: "skipped",
      detail: expect.stringMatching(/refuse a sender only after the content/),
    });
  });

  it("is taken behind a login in the old form of the offer", async () => {
    const relay = await start({
      ...closed,
      "TLS-EHLO": "250-relay.example\r\n250-SIZE\r\n250 AUTH=LOGIN\r\n",
    });
    const found = await examination(relay.port);
    expect(found.failed).toBeNull();
    expect(findingOf(found, "auth-offered").detail).toBe("it offers LOGIN; LOGIN is used");
  });
});

describe("the open-relay test", () => {
  it.each<[string, Script, Partial<Question>, RegExp]>([
    ["is greylisted", { stranger: "450 4.7.1 greylisted\r\n" }, {}, /says later: 450/],
    [
      "looks at the domain",
      { stranger: "556 5.1.10 null MX\r\n" },
      {},
      /domain first: 556 .* --outside ADDRESS/,
    ],
    ["hears nothing", { stranger: silence }, {}, /no answer/],
    ["is cut off", { stranger: hangUp }, {}, /closed/],
    [
      "looks at the sender",
      { stranger: "550 5.1.8 <nagios@example.com>: Sender address rejected: Domain not found\r\n" },
      {},
      /refuses the sender first: 550/,
    ],
  ])("cannot tell where it %s, and the rest goes on", async (_, script, question, detail) => {
    const relay = await start(script);
    const found = await examination(relay.port, {}, question);
    expect(findingOf(found, "open-relay")).toMatchObject({
      result: "skipped",
      detail: expect.stringMatching(detail),
    });
    expect(resultsOf(found)).toMatchObject({ auth: "pass", sender: "pass" });
    expect(relay.verbs()).not.toContain("DATA");
  });

  it("names the sender that the bridge has, and an address outside, or that which was asked for", async () => {
    const relay = await start(closed);
    await examination(relay.port, {}, { to: undefined });
    await examination(relay.port, {}, { to: undefined, outside: "me@provider.example" });
    await examination(relay.port, {}, { to: undefined, from: "nagios@example.net" });
    expect(relay.received().match(/RCPT TO:<.*>/g)).toEqual([
      "RCPT TO:<nobody@example.net>",
      "RCPT TO:<me@provider.example>",
      "RCPT TO:<nobody@example.org>",
    ]);
    const [first = ""] = relay.received().split("QUIT");
    expect(first).toContain("MAIL FROM:<nagios@example.com>\r\nRCPT TO:<nobody@example.net>\r\nRSET\r\n");
    expect(first).not.toContain("AUTH");
  });

  it("that shows an open relay does not send a mail where the login is refused", async () => {
    const relay = await start({ AUTH: "535 5.7.8 no\r\n" });
    const found = await examination(relay.port, {}, { mail });
    expect([found.failed, findingOf(found, "auth").result]).toEqual(["open-relay", "fail"]);
    expect(findingOf(found, "accepted").detail).toBe("not reached: auth failed");
    expect(relay.verbs().filter((verb) => verb === "AUTH")).toHaveLength(1);
  });

  it("that shows an open relay does not keep the login from being tested", async () => {
    const relay = await start();
    const found = await examination(relay.port);
    expect(found.failed).toBe("open-relay");
    expect(resultsOf(found)).toMatchObject({ auth: "pass", sender: "pass" });
  });
});

describe("XOAUTH2", () => {
  const secret = "client+secret/with=signs";
  const token = "ya29.a-token-of-some-length";
  const endpoint = async (status: number, answer: object): Promise<string> => {
    const server: Server = createServer((_, response) => {
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    ending.push(() => new Promise((resolve) => server.close(resolve)));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  };
  const byToken = (tokenUrl: string): Partial<SmtpRelay> => {
    const oauth: OAuth = { tokenUrl, clientId: "bridge", clientSecret: new Secret(secret) };
    return { auth: ["XOAUTH2"], credentials: { user, oauth } };
  };
  const offered = { ...closed, "TLS-EHLO": "250-relay.example\r\n250 AUTH XOAUTH2\r\n" };

  it("with a token that the relay takes passes", async () => {
    const relay = await start(offered);
    const tokenUrl = await endpoint(200, { access_token: token, expires_in: 3600 });
    const found = await examination(relay.port, byToken(tokenUrl));
    expect(found.failed).toBeNull();
    expect(findingOf(found, "token")).toMatchObject({
      result: "pass",
      detail: `by ${new URL(tokenUrl).host}`,
    });
    expect(findingOf(found, "auth").detail).toMatch(/^bridge by XOAUTH2: 235/);
    expect(secretsIn(JSON.stringify(found), token)).toEqual([]);
  });

  it("that the endpoint refuses fails at token", async () => {
    const relay = await start(offered);
    const echo = {
      error: "invalid_client",
      error_description: `AADSTS7000215: ${encodeURIComponent(secret)}`,
    };
    const found = await examination(relay.port, byToken(await endpoint(401, echo)));
    expect(found.failed).toBe("token");
    expect(findingOf(found, "token")).toMatchObject({
      detail: expect.stringMatching(/HTTP 401 .*invalid_client.*AADSTS7000215/),
      advice: expect.stringMatching(/client_secret \(expired\?\)/),
    });
    expect(secretsIn(JSON.stringify(found), secret)).toEqual([]);
    expect(relay.verbs()).not.toContain("AUTH");
  });

  it("whose token the relay refuses shows its challenge", async () => {
    const challenge = { status: "400", schemes: "bearer", scope: "https://mail.example/" };
    const relay = await start({
      ...offered,
      AUTH: `334 ${base64(JSON.stringify(challenge))}\r\n`,
      password: "535 5.7.3 Authentication unsuccessful\r\n",
    });
    const found = await examination(relay.port, byToken(await endpoint(200, { access_token: token })));
    expect(found.failed).toBe("auth");
    expect(findingOf(found, "auth").detail).toBe(
      `535 5.7.3 Authentication unsuccessful (its challenge: ${JSON.stringify(challenge)})`,
    );
    expect(findingOf(found, "auth").advice).toMatch(/refuses the token/);
    expect(secretsIn(JSON.stringify(found), token)).toEqual([]);
  });
});

it.each([
  ["waited for", 2_000, null],
  ["given up after the limit of a stage", 150, "banner"],
])("a greeting after 500 ms is %s", async (_, stageMilliseconds, failed) => {
  const relay = await start(closed);
  const slow = createTcpServer((socket) => {
    const timer = setTimeout(() => socket.pipe(connect(relay.port, "127.0.0.1")).pipe(socket), 500);
    socket.on("close", () => clearTimeout(timer)).on("error", () => undefined);
  });
  await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", () => resolve()));
  ending.push(() => slow.close());
  const limits = { stageMilliseconds, farewellMilliseconds: 200 };
  const { port } = slow.address() as AddressInfo;
  expect((await examination(port, {}, {}, { limits })).failed).toBe(failed);
});

describe("Amazon SES", () => {
  const ses: SesRelay = { kind: "ses", route: "ses://eu-west-1", region: "eu-west-1", connections: 3 };
  const parts = (outcome: object): DoctorParts => ({
    open: () => Promise.reject(new Error("there is no SMTP")),
    transport: () => ({
      route: ses.route,
      send: async () => ({ durationMilliseconds: 1, ...outcome }) as never,
      close: () => undefined,
    }),
    clock,
    timeOf: Date.parse,
    tell: () => undefined,
    heard: () => undefined,
  });

  it("is asked by a mail alone", async () => {
    const found = await examine(ses, { from: "nagios@example.com" }, parts({}));
    expect(found.failed).toBeNull();
    expect(new Set(Object.values(resultsOf(found)))).toEqual(new Set(["pass", "skipped"]));
    expect(findingOf(found, "accepted").detail).toMatch(
      /^--to ADDRESS tests it: some relays refuse a sender/,
    );
  });

  it("that takes it passes, and else the step is named", async () => {
    const taken = await examine(
      ses,
      { mail },
      parts({ result: "accepted", reply: "0100-x", queueId: "0100-x" }),
    );
    expect(resultsOf(taken)).toMatchObject({
      connect: "pass",
      tls: "skipped",
      auth: "pass",
      accepted: "pass",
    });
    const refused = await examine(
      ses,
      { mail },
      parts({ result: "unauthorised", step: "auth", reply: "AccessDenied" }),
    );
    expect(refused.failed).toBe("auth");
    expect(resultsOf(refused)).toMatchObject({ connect: "pass", sender: "skipped", accepted: "skipped" });
  });
});

describe("hardstate doctor", () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-doctor-"));
  afterAll(() => {
    rmSync(folder, { recursive: true });
    names.close();
  });
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const zones = {
    "example.com": ["MX 10 mx.example.com", "TXT v=spf1 ip4:192.0.2.0/24 -all"],
    "mx.example.com": ["A 192.0.2.1"],
    "_dmarc.example.com": ["TXT v=DMARC1; p=none"],
    "example.net": ["MX 0 ."],
  };
  let names: Awaited<ReturnType<typeof startNameServer>>;
  beforeAll(async () => {
    names = await startNameServer(zones);
  });
  const run = (words: string[], environment: Record<string, string> = {}) =>
    new Promise<{ status: number; out: string; err: string }>((done) =>
      execFile(
        process.execPath,
        ["scripts/hardstate/hardstate.ts", "doctor", "--dns", `127.0.0.1:${names.port}`, ...words],
        {
          env: {
            PATH: process.env.PATH,
            HARDSTATE_STATE: join(folder, "state"),
            ...compiled,
            ...environment,
          },
        },
        (error, out, err) => {
          expect(secretsIn(out + err)).toEqual([]);
          done({ status: Number(error?.code ?? 0), out, err });
        },
      ),
    );
  const urlOf = (relay: ScriptedRelay, change = "") =>
    `smtp://${user}:${encodeURIComponent(password)}@127.0.0.1:${relay.port}${change}`;
  const settingsOf = (relays: string): Record<string, string> => ({
    HARDSTATE_TOKENS: `site=${"t".repeat(24)}`,
    HARDSTATE_RELAYS_FILE: file("relays", relays),
    HARDSTATE_RELAY_CA_FILE: file("ca", ca.cert),
    HARDSTATE_FROM: "Monitoring <nagios@example.com>",
    HARDSTATE_RECIPIENTS: "example.org",
  });
  const narrow = (text: string) => expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);

  it("tells of each route, and keeps what it saw for the next time", async () => {
    const [good, bad] = [
      await start(closed),
      await start({ EHLO: "250 relay.example\r\n", STARTTLS: "502 what\r\n" }),
    ];
    const environment = settingsOf(`${urlOf(good)} ${urlOf(bad)}`);
    const { status, out } = await run([], environment);
    expect(status).toBe(1);
    expect(out).toMatch(
      /^smtp:\/\/127\.0\.0\.1:\d+\n {2}pass {5}config {7}login bridge by PLAIN, LOGIN; STARTTLS;/,
    );
    expect(out).toMatch(
      /\n\nGood, .*\n[\s\S]*FAIL {5}tls {10}STARTTLS is not offered[\s\S]*Bad: tls failed\.\n\nA received mail shows/,
    );
    narrow(out);
    const memory = join(folder, "state", "doctor.json");
    expect(statSync(memory).mode & 0o777).toBe(0o600);
    good.script = bad.script;
    const json = JSON.parse((await run(["--json", "--transcript"], environment)).out);
    expect(json).toMatchObject({
      verdict: "fail",
      failed: "tls",
      routes: [{ failed: "tls" }, { failed: "tls" }],
    });
    expect(JSON.stringify(json.routes[0].stages)).toMatch(/still offered STARTTLS/);
    expect(JSON.stringify(json.routes[1].stages)).not.toMatch(/still offered STARTTLS/);
    expect(json.routes[0].transcript).toContainEqual({ from: "client", text: "STARTTLS" });
  });

  it("takes a URL from a file, sends one mail and tells its queue id", async () => {
    const relay = await start(closed);
    const environment = { HARDSTATE_RELAY_CA: ca.cert, HARDSTATE_FROM: "nagios@example.com" };
    const words = ["--url-file", file("url", `${urlOf(relay)}\n`), "--to", "ops@example.org"];
    const { status, out, err } = await run([...words, "--transcript"], environment);
    expect([status, err]).toEqual([0, ""]);
    expect(out).toMatch(/accepted {5}queue id SCRIPTED1: 250/);
    expect(out).toMatch(/\n {2}S: 220 relay\.example ESMTP\n {2}C: EHLO /);
    expect(out).toContain("C: AUTH PLAIN [redacted]");
    narrow(out);
    expect(relay.contents).toHaveLength(1);
    expect(relay.contents[0]).toMatch(/^Subject: \[CUSTOM UP\] /m);
    const one = JSON.parse((await run([...words.slice(0, 2), "--json"], environment)).out);
    expect(Object.keys(one)).toEqual(["verdict", "failed", "stages", "route"]);
    expect(one).toMatchObject({ verdict: "pass", failed: null });
  });

  it("tells what DNS says of the sender's domain, and how to see what it does not say", async () => {
    const relay = await start(closed);
    const environment = { HARDSTATE_RELAY_CA: ca.cert, HARDSTATE_FROM: "nagios@example.com" };
    const words = ["--url-file", file("url", urlOf(relay))];
    const { status, out } = await run(words, environment);
    expect(status).toBe(0);
    expect(out).toMatch(
      / {2}pass {5}domain {7}good: mx, spf, alignment, dmarc; cannot be told: relay,\s+dkim\n/,
    );
    expect(out).toMatch(/ {2}pass {7}spf {8}v=spf1 ip4:192\.0\.2\.0\/24 -all \(0 of 10 look-ups\)\n/);
    expect(out).toMatch(/A received mail shows what is unknown here\. [\s\S]*doctor\s+--results\s+FILE\.\n$/);
    narrow(out);
    const elsewhere = { ...environment, HARDSTATE_ENVELOPE_FROM: "nagios@example.net" };
    const json = JSON.parse((await run([...words, "--selector", "s1,s2", "--json"], elsewhere)).out);
    expect([json.verdict, json.failed]).toEqual(["fail", "domain"]);
    const { checks } = json.stages.at(-1);
    expect(checks).toContainEqual(expect.objectContaining({ check: "mx", result: "fail" }));
    expect(checks.filter(({ check }: { check: string }) => check === "dkim")).toHaveLength(2);
  });

  it.each<[string, string, number, RegExp]>([
    ["passed", "spf=pass smtp.mailfrom=example.com; dkim=none; dmarc=pass", 0, /Good: receivers can tell/],
    ["failed", "spf=fail smtp.mailfrom=example.com; dkim=none; dmarc=fail", 1, /FAIL {5}dmarc[\s\S]*Bad: /],
    ["is open", "spf=pass smtp.mailfrom=example.com; dkim=none", 0, /Not every receiver may accept/],
  ])("reads in a received mail what %s", async (_, results, expected, words) => {
    const source = `Authentication-Results: mx\u001b[31m.example.org; ${results}\r\nFrom: a@example.com\r\n\r\nx`;
    const { status, out, err } = await run(["--results", file("mail.eml", source)]);
    expect([status, err]).toEqual([expected, ""]);
    expect(out).toMatch(words);
    expect(out).not.toContain("\u001b");
    narrow(out);
    const json = JSON.parse((await run(["--results", file("mail.eml", source), "--json"])).out);
    expect([json.verdict, json.checks.length]).toEqual([expected === 0 ? "pass" : "fail", 3]);
  });

  it("says where to find results that a mail's source does not have", async () => {
    const { status, err } = await run(["--results", file("mail.eml", "Subject: x\n\nx")]);
    expect(status).toBe(3);
    expect(err).toMatch(/no header Authentication-Results/);
  });

  it("asks DNS about no domain where there is no sender", async () => {
    const relay = await start(closed);
    const json = JSON.parse((await run([urlOf(relay), "--json"], { HARDSTATE_RELAY_CA: ca.cert })).out);
    expect(json.stages.at(-1)).toEqual({
      stage: "domain",
      result: "skipped",
      detail: "HARDSTATE_FROM tests it",
    });
  });

  it("warns of a password on the command line", async () => {
    const relay = await start(closed);
    const { status, err } = await run([urlOf(relay)], { HARDSTATE_RELAY_CA: ca.cert });
    expect(status).toBe(0);
    expect(err).toMatch(/--url-file FILE/);
  });

  it.each<[string, string[], Record<string, string>, number, string | null]>([
    ["a relay that nobody runs", ["smtp://127.0.0.1:1"], {}, 3, "connect"],
    ["no settings", [], {}, 2, "config"],
    ["a URL that is none", ["relay.example.com"], {}, 2, "config"],
    ["a URL with a wrong parameter", ["smtp://127.0.0.1:1?tsl=none"], {}, 2, "config"],
  ])("ends with a status of its own for %s", async (_, words, environment, status, failed) => {
    const result = await run([...words, "--json"], environment);
    const { stages: found, ...rest } = JSON.parse(result.out);
    expect([result.status, rest.verdict, rest.failed]).toEqual([status, "fail", failed]);
    expect(found).toHaveLength(stages.length);
    expect(found.every(({ detail }: Finding) => detail.length > 0)).toBe(true);
  });

  it.each<[string, string[], RegExp]>([
    ["two URLs", ["smtp://a.example", "smtp://b.example"], /at most one URL/],
    ["results of a relay", ["smtp://127.0.0.1:1", "--results", "x"], /--results reads a received mail/],
    ["a name server that is none", ["smtp://127.0.0.1:1", "--dns", "ns.example"], /--dns needs the address/],
    ["a selector that is none", ["smtp://127.0.0.1:1", "--selector", "a b"], /--selector needs names/],
    ["an address that is none", ["smtp://127.0.0.1:1", "--to", "ops"], /--to needs an address/],
    ["a recipient that is not allowed", ["smtp://127.0.0.1:1", "--to", "x@evil.example"], /does not allow/],
  ])("says what is wrong with %s", async (_, words, text) => {
    const { status, out, err } = await run(words, { HARDSTATE_RECIPIENTS: "example.org" });
    expect([status, out]).toEqual([2, ""]);
    expect(err).toMatch(text);
  });
});

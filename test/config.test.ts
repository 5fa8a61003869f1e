import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { type Runtime, readSettings, type Settings, settings } from "../functions/config.ts";
import { defaultPolicy } from "../functions/decide/policy.ts";
import type { SmtpRelay } from "../functions/deliver/relay-url.ts";
import { Secret } from "../functions/secret.ts";
import { durationSeconds } from "../functions/time.ts";

type Environment = Record<string, string | undefined>;

const token = "canary-token-0123456789abcdef";
const password = "canary/pass:word@1%";
const encoded = encodeURIComponent(password);
const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
const base: Environment = {
  HARDSTATE_TOKENS: `site1=${token}`,
  HARDSTATE_RELAYS: `smtp://user:${encoded}@relay.example.com`,
  HARDSTATE_FROM: "nagios@example.com",
  HARDSTATE_RECIPIENTS: "example.com",
};
const settingsOf = (changes: Environment = {}): Settings => {
  const reading = readSettings({ ...base, ...changes });
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading.value;
};
const faultsOf = (changes: Environment) => {
  const reading = readSettings({ ...base, ...changes });
  return reading.ok ? [] : reading.faults;
};
const faultyNames = (changes: Environment) => new Set(faultsOf(changes).map(({ field }) => field));
const passwordOf = (credentials: SmtpRelay["credentials"]) =>
  credentials && "password" in credentials ? credentials.password.reveal() : undefined;
const relayOf = (url: string, changes: Environment = {}) =>
  settingsOf({ HARDSTATE_RELAYS: url, ...changes }).relays[0] as SmtpRelay;

/** Everything that someone could print of a value, in the forms in which a log could hold a secret. */
const printed = (value: unknown) =>
  [
    JSON.stringify(value),
    inspect(value, { depth: null, showHidden: true }),
    inspect(value, { depth: null, customInspect: false }),
    String(value),
  ].join("\n");
const formsOf = (secret: string) => [
  secret,
  encodeURIComponent(secret),
  ...["", "user\0", "\0user\0"].map((before) => btoa(before + secret).replace(/=+$/, "")),
  Buffer.from(secret).toString("hex"),
];

describe("good settings", () => {
  it("the four required ones are enough", () => {
    expect(settingsOf()).toMatchObject({
      relays: [
        {
          kind: "smtp",
          host: "relay.example.com",
          port: 587,
          mx: false,
          protection: "starttls",
          auth: ["PLAIN", "LOGIN"],
          connections: 3,
        },
      ],
      sender: { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" },
      policy: defaultPolicy,
      giveUpAfterSeconds: 48 * 3600,
      queue: { kind: "sqlite", path: ".hardstate/queue.sqlite" },
      ledger: { kind: "sqlite", path: ".hardstate/ledger.sqlite" },
      state: ".hardstate",
      host: "127.0.0.1",
      port: 8787,
    });
  });

  it.each<[string, Environment, object]>([
    [
      "a name before the sender",
      { HARDSTATE_FROM: "Monitoring <nagios@example.com>" },
      { sender: { from: { name: "Monitoring", address: "nagios@example.com" } } },
    ],
    [
      "a quoted name before the sender",
      { HARDSTATE_FROM: '"Monitoring, Ulm" <nagios@example.com>' },
      { sender: { from: { name: "Monitoring, Ulm" } } },
    ],
    [
      "a sender in angle brackets alone",
      { HARDSTATE_FROM: "<nagios@example.com>" },
      { sender: { from: { address: "nagios@example.com" } } },
    ],
    [
      "a reverse-path of its own",
      { HARDSTATE_ENVELOPE_FROM: "bounces@example.com" },
      { sender: { envelopeFrom: "bounces@example.com" } },
    ],
    [
      "a reverse-path for each mail",
      { HARDSTATE_ENVELOPE_FROM: "bounces+*@EXAMPLE.com" },
      { sender: { envelopeFrom: "bounces+*@example.com" } },
    ],
    [
      "a link for services and one for hosts",
      { HARDSTATE_LINK: "https://n.example/?type=2&h={host}&s={service} https://n.example/?type=1&h={host}" },
      {
        sender: {
          link: {
            service: "https://n.example/?type=2&h={host}&s={service}",
            host: "https://n.example/?type=1&h={host}",
          },
        },
      },
    ],
    [
      "a name without the characters that turn text around",
      { HARDSTATE_FROM: "a\u202eb <nagios@example.com>" },
      { sender: { from: { name: "ab" } } },
    ],
    ["a private authority", { HARDSTATE_RELAY_CA: pem }, { relays: [{ ca: pem }] }],
    [
      "a link",
      { HARDSTATE_LINK: "https://nagios.example.com/?h={host}&s={service}" },
      {
        sender: {
          link: {
            service: "https://nagios.example.com/?h={host}&s={service}",
            host: "https://nagios.example.com/?h={host}&s={service}",
          },
        },
      },
    ],
    [
      "repeated mail",
      { HARDSTATE_RENOTIFY_AFTER: "4h" },
      { policy: { ...defaultPolicy, renotifyAfterSeconds: 14_400 } },
    ],
    ["never repeated mail", { HARDSTATE_RENOTIFY_AFTER: "never" }, { policy: defaultPolicy }],
    [
      "every policy the other way",
      {
        HARDSTATE_WORSENING: "suppress",
        HARDSTATE_PAIR_RECOVERY: "any",
        HARDSTATE_FLAP_HOLD: "off",
        HARDSTATE_HOST_COVER: "off",
        HARDSTATE_ORPHAN_RECOVERY: "send",
      },
      {
        policy: {
          ...defaultPolicy,
          worsening: false,
          pairRecoverySeconds: 0,
          flapHoldSeconds: 0,
          hostCoverSeconds: undefined,
          orphanRecovery: true,
        },
      },
    ],
    [
      "every policy's time",
      { HARDSTATE_PAIR_RECOVERY: "20min", HARDSTATE_FLAP_HOLD: "45s", HARDSTATE_HOST_COVER: "1h" },
      {
        policy: { ...defaultPolicy, pairRecoverySeconds: 1200, flapHoldSeconds: 45, hostCoverSeconds: 3600 },
      },
    ],
    ["when to give up", { HARDSTATE_GIVE_UP_AFTER: "7d" }, { giveUpAfterSeconds: 604_800 }],
    [
      "a queue in a file",
      { HARDSTATE_QUEUE: "sqlite:/var/q.sqlite" },
      { queue: { kind: "sqlite", path: "/var/q.sqlite" } },
    ],
    [
      "a queue in SQS",
      { HARDSTATE_QUEUE: "sqs:https://sqs.eu-central-1.amazonaws.com/1/q.fifo" },
      { queue: { kind: "sqs", url: "https://sqs.eu-central-1.amazonaws.com/1/q.fifo" } },
    ],
    [
      "a ledger in a file",
      { HARDSTATE_LEDGER: "sqlite:/var/l.sqlite" },
      { ledger: { kind: "sqlite", path: "/var/l.sqlite" } },
    ],
    [
      "a state folder, which queue and ledger follow",
      { HARDSTATE_STATE: "/var/h" },
      { state: "/var/h", queue: { path: "/var/h/queue.sqlite" }, ledger: { path: "/var/h/ledger.sqlite" } },
    ],
    ["a host to listen on", { HARDSTATE_HOST: "0.0.0.0" }, { host: "0.0.0.0" }],
    ["a port", { HARDSTATE_PORT: "0" }, { port: 0 }],
    ["line ends around a value, as files have them", { HARDSTATE_PORT: "\n8080\n" }, { port: 8080 }],
    ["an empty value counts as none", { HARDSTATE_PORT: "", HARDSTATE_ALIASES: " " }, { port: 8787 }],
    ["the shim's own settings", { HARDSTATE_SHIM_CONFIG: "/etc/x", HARDSTATE_SHIM_SPOOL: "/var/x" }, {}],
    ["settings of other programs", { HARD: "x", PATH: "/bin", NAGIOS_HOSTNAME: "x" }, {}],
  ])("%s", (_, changes, expected) => {
    expect(settingsOf(changes)).toMatchObject(expected);
  });

  it("two tokens of one site and one of another", () => {
    const [first, second, other] = ["1", "2", "3"].map((digit) => digit.repeat(24));
    const { tokens } = settingsOf({ HARDSTATE_TOKENS: `a=${first} a=${second}\nb=${other}==` });
    expect(tokens.map(({ site, token }) => [site, token.reveal()])).toEqual([
      ["a", first],
      ["a", second],
      ["b", `${other}==`],
    ]);
  });

  it("recipients and aliases", () => {
    const { allowed, aliases } = settingsOf({
      HARDSTATE_RECIPIENTS: "example.com\n ops@example.org",
      HARDSTATE_ALIASES: "root=ops@example.org nagiosadmin=root,dba@example.com",
    });
    expect(aliases.get("nagiosadmin")).toEqual(["ops@example.org", "dba@example.com"]);
    expect(["a@example.com", "ops@example.org", "a@example.org"].map(allowed)).toEqual([true, true, false]);
  });
});

describe("bad settings", () => {
  const canary = "canary9f";
  it.each<[string, string, string]>([
    ["a token without a site", "HARDSTATE_TOKENS", "canary9f-0123456789abcdef"],
    ["a token in base64 without a site", "HARDSTATE_TOKENS", "canary9fMDEyMzQ1Njc4OWFiY2RlZg=="],
    ["a token of 23 characters", "HARDSTATE_TOKENS", "site=canary9f-0123456789abc"],
    ["a token of 257 characters", "HARDSTATE_TOKENS", `site=canary9f${"x".repeat(249)}`],
    ["a token with an umlaut", "HARDSTATE_TOKENS", "site=canary9f-0123456789abcdéf"],
    ["a site with a slash", "HARDSTATE_TOKENS", "canary9f/site=0123456789abcdef01234567"],
    [
      "one token for two sites",
      "HARDSTATE_TOKENS",
      "a=canary9f-0123456789abcdef b=canary9f-0123456789abcdef",
    ],
    [
      "three tokens for one site",
      "HARDSTATE_TOKENS",
      ["a", "b", "c"].map((end) => `site=canary9f-0123456789abcde${end}`).join(" "),
    ],
    ["three tokens without a site", "HARDSTATE_TOKENS", "canary9f=1 canary9f=2 canary9f=3"],
    ["no URL", "HARDSTATE_RELAYS", "canary9f"],
    ["a web page", "HARDSTATE_RELAYS", "https://user:canary9f@relay.example.com"],
    ["a relay without a host", "HARDSTATE_RELAYS", "smtp:///canary9f"],
    ["six relays", "HARDSTATE_RELAYS", Array(6).fill("smtp://user:canary9f@a.example").join(" ")],
    ["a password with a blank", "HARDSTATE_RELAYS", "smtp://user:canary9f x@relay.example.com"],
    ["a password with a slash", "HARDSTATE_RELAYS", "smtp://user:1/canary9f@relay.example.com"],
    ["a password with a question mark", "HARDSTATE_RELAYS", "smtp://user:1?canary9f@relay.example.com"],
    ["a password with a hash sign", "HARDSTATE_RELAYS", "smtp://user:1#canary9f@relay.example.com"],
    ["a password with a percent sign", "HARDSTATE_RELAYS", "smtp://user:canary9f%@relay.example.com"],
    ["a user without a password", "HARDSTATE_RELAYS", "smtp://canary9f@relay.example.com"],
    ["a password without a user", "HARDSTATE_RELAYS", "smtp://:canary9f@relay.example.com"],
    ["a path", "HARDSTATE_RELAYS", "smtp://relay.example.com/canary9f"],
    ["a fragment", "HARDSTATE_RELAYS", "smtp://relay.example.com#canary9f"],
    ["a port that is none", "HARDSTATE_RELAYS", "smtp://relay.example.com:99999?canary9f"],
    ["an unknown parameter", "HARDSTATE_RELAYS", "smtp://relay.example.com?canary9f=1"],
    [
      "a parameter twice",
      "HARDSTATE_RELAYS",
      "smtp://relay.example.com?name=canary9f.example&name=b.example",
    ],
    [
      "a mechanism that is not known here",
      "HARDSTATE_RELAYS",
      "smtp://relay.example.com?auth=PLAIN,canary9f",
    ],
    ["no mechanism", "HARDSTATE_RELAYS", "smtp://relay.example.com?auth="],
    ["tls with another value", "HARDSTATE_RELAYS", "smtp://relay.example.com?tls=canary9f"],
    ["smtps with tls=none", "HARDSTATE_RELAYS", "smtps://canary9f.example.com?tls=none"],
    ["a password with tls=none", "HARDSTATE_RELAYS", "smtp://user:canary9f@relay.example.com?tls=none"],
    [
      "a password with tls=none to a name that begins as loopback",
      "HARDSTATE_RELAYS",
      "smtp://user:canary9f@127.0.0.1.example.com?tls=none",
    ],
    [
      "a password with tls=none to a name that ends as loopback",
      "HARDSTATE_RELAYS",
      "smtp://user:canary9f@not-localhost?tls=none",
    ],
    [
      "a password with tls=none to a name that holds loopback",
      "HARDSTATE_RELAYS",
      "smtp://user:canary9f@x127.0.0.1?tls=none",
    ],
    ["a rate without a unit", "HARDSTATE_RELAYS", "smtp://user:canary9f@relay.example.com?rate=30"],
    ["a rate of nothing", "HARDSTATE_RELAYS", "smtp://user:canary9f@relay.example.com?rate=0/min"],
    [
      "a rate of more than can be kept",
      "HARDSTATE_RELAYS",
      "smtp://user:canary9f@relay.example.com?rate=1001/h",
    ],
    ["mx with a value", "HARDSTATE_RELAYS", "smtp://relay.example.com?mx=canary9f"],
    ["mx of an address", "HARDSTATE_RELAYS", "smtp://user:canary9f@192.0.2.1?mx"],
    ["mx of an IPv6 address", "HARDSTATE_RELAYS", "smtp://user:canary9f@[::1]?mx"],
    [
      "mx of localhost with a password and no TLS",
      "HARDSTATE_RELAYS",
      "smtp://user:canary9f@localhost?mx&tls=none",
    ],
    ["a mechanism twice", "HARDSTATE_RELAYS", "smtp://user:canary9f@relay.example.com?auth=PLAIN,PLAIN"],
    [
      "localhost as a name",
      "HARDSTATE_RELAYS",
      "smtp://user:canary9f@relay.example.com?name=localhost.localdomain",
    ],
    ["a line end in a user", "HARDSTATE_RELAYS", "smtp://us%0Aer:canary9f@relay.example.com"],
    ["NUL in a password", "HARDSTATE_RELAYS", "smtp://user:canary9f%00@relay.example.com"],
    ["no region of SES", "HARDSTATE_RELAYS", "ses://canary9f"],
    ["a login for SES", "HARDSTATE_RELAYS", "ses://AKIA:canary9f@eu-west-1"],
    ["a wrong configuration set", "HARDSTATE_RELAYS", "ses://eu-west-1?configuration-set=a%20canary9f"],
    ["a name that is not full", "HARDSTATE_RELAYS", "smtp://relay.example.com?name=canary9f"],
    [
      "a name with a second command",
      "HARDSTATE_RELAYS",
      "smtp://relay.example.com?name=a.canary9f%0D%0AMAIL",
    ],
    ["no connection", "HARDSTATE_RELAYS", "smtp://canary9f.example.com?connections=0"],
    ["51 connections", "HARDSTATE_RELAYS", "smtp://canary9f.example.com?connections=51"],
    ["half a connection", "HARDSTATE_RELAYS", "smtp://canary9f.example.com?connections=0.5"],
    ["a CA that is a file's name", "HARDSTATE_RELAY_CA", "/etc/canary9f.pem"],
    [
      "a key in place of a CA",
      "HARDSTATE_RELAY_CA",
      "-----BEGIN PRIVATE KEY-----\ncanary9f\n-----END PRIVATE KEY-----",
    ],
    ["a sender that is a name", "HARDSTATE_FROM", "canary9f"],
    ["two senders", "HARDSTATE_FROM", "canary9f@example.com, b@example.com"],
    [
      "a sender with a second header",
      "HARDSTATE_FROM",
      "Monitoring\r\nBcc: canary9f@example.com <nagios@example.com>",
    ],
    ["a sender of this machine", "HARDSTATE_FROM", "canary9f@localhost"],
    ["a sender of a host without a domain", "HARDSTATE_FROM", "Monitoring <canary9f@mon1>"],
    ["a sender of Nagios's default domain", "HARDSTATE_FROM", "canary9f@localhost.localdomain"],
    ["a sender of a domain that never is one", "HARDSTATE_FROM", "nagios@canary9f.invalid"],
    ["a reverse-path of this machine", "HARDSTATE_ENVELOPE_FROM", "canary9f@LocalHost"],
    ["a reverse-path with a name", "HARDSTATE_ENVELOPE_FROM", "canary9f <nagios@example.com>"],
    ["a reverse-path with two stars", "HARDSTATE_ENVELOPE_FROM", "canary9f+*-*@example.com"],
    ["a reverse-path with a star for its domain", "HARDSTATE_ENVELOPE_FROM", "canary9f@*"],
    [
      "a reverse-path that is too long with a mail's name in it",
      "HARDSTATE_ENVELOPE_FROM",
      "canary9f-canary9f-canary9f*@example.com",
    ],
    ["a recipient that is a wildcard", "HARDSTATE_RECIPIENTS", "*.canary9f.example"],
    ["recipients with a comma", "HARDSTATE_RECIPIENTS", "canary9f.example,example.com"],
    ["an alias without a target", "HARDSTATE_ALIASES", "canary9f"],
    ["an alias whose target leads nowhere", "HARDSTATE_ALIASES", "root=canary9f"],
    ["a queue of an unknown kind", "HARDSTATE_QUEUE", "redis:canary9f"],
    ["a queue without a path", "HARDSTATE_QUEUE", "sqlite:"],
    [
      "an SQS queue that is not FIFO",
      "HARDSTATE_QUEUE",
      "sqs:https://sqs.eu-central-1.amazonaws.com/1/canary9f",
    ],
    ["a ledger of an unknown kind", "HARDSTATE_LEDGER", "sqs:https://sqs.example/canary9f.fifo"],
    ["a link that is a script", "HARDSTATE_LINK", "javascript:canary9f"],
    ["three links", "HARDSTATE_LINK", Array(3).fill("https://canary9f.example/{host}").join(" ")],
    ["a link that is no URL", "HARDSTATE_LINK", "https://canary9f:x/{host}"],
    ["a link with a login", "HARDSTATE_LINK", "https://user:canary9f@nagios.example.com/{host}"],
    ["a queue with a login", "HARDSTATE_QUEUE", "sqs:https://user:canary9f@sqs.example.com/1/a.fifo"],
    ["a queue that is no URL", "HARDSTATE_QUEUE", "sqs:https://canary9f:x/a.fifo"],
    ["a duration without a unit", "HARDSTATE_RENOTIFY_AFTER", "90"],
    ["a policy that there is not", "HARDSTATE_WORSENING", "canary9f"],
    ["another word than any", "HARDSTATE_PAIR_RECOVERY", "off"],
    ["a duration in words", "HARDSTATE_RENOTIFY_AFTER", "canary9f"],
    ["no duration", "HARDSTATE_GIVE_UP_AFTER", "0h"],
    ["never giving up", "HARDSTATE_GIVE_UP_AFTER", "never"],
    ["a port above 65535", "HARDSTATE_PORT", "65536"],
    ["a port with letters", "HARDSTATE_PORT", "canary9f"],
    ["a subject with an unknown field", "HARDSTATE_SUBJECT", "canary9f {object} {hostname}"],
    ["a subject with an open brace", "HARDSTATE_SUBJECT", "canary9f {object} {state"],
    ["a subject without an object", "HARDSTATE_SUBJECT", "canary9f {type} {state}"],
    ["a subject that begins with a monitor's text", "HARDSTATE_SUBJECT", "{output} canary9f {object}"],
    ["a subject that looks like the bridge's own", "HARDSTATE_SUBJECT", "[operator] canary9f {object}"],
    ["a subject of 201 characters", "HARDSTATE_SUBJECT", `{type} {object} canary9f${"x".repeat(178)}`],
    ["an address for answers without a domain", "HARDSTATE_REPLY_TO", "canary9f"],
    ["two addresses for answers", "HARDSTATE_REPLY_TO", "canary9f@example.com, b@example.com"],
    ["a footer of three lines", "HARDSTATE_FOOTER", "canary9f\nb\nc"],
    ["a footer of 201 characters", "HARDSTATE_FOOTER", `canary9f${"x".repeat(193)}`],
    ["a footer that is the mark of a signature", "HARDSTATE_FOOTER", "canary9f\n-- "],
    ["a form of the log that there is not", "HARDSTATE_LOG", "canary9f"],
  ])("%s is told as a fault of its setting, without the value", (_, name, value) => {
    expect(faultyNames({ [name]: value })).toEqual(new Set([name]));
    expect(printed(faultsOf({ [name]: value }))).not.toContain(canary);
  });

  it.each(["HARDSTATE_TOKENS", "HARDSTATE_RELAYS", "HARDSTATE_FROM", "HARDSTATE_RECIPIENTS"])(
    "%s is required, and blanks are not enough",
    (name) => {
      for (const value of [undefined, "", " \n"])
        expect(faultsOf({ [name]: value })).toEqual([{ field: name, expected: "a value: it is required" }]);
    },
  );

  it.each(["HARDSTATE_TOKEN", "HARDSTATE_RELAY", "HARDSTATE_", "HARDSTATE_PORT2", "HARDSTATE_from"])(
    "%s is no setting",
    (name) => {
      expect(faultyNames({ [name]: canary })).toEqual(new Set([name]));
      expect(printed(faultsOf({ [name]: canary }))).not.toContain(canary);
    },
  );

  it("an empty environment lacks just what is required", () => {
    const reading = readSettings({});
    const required = settings.filter((setting) => setting.required).map(({ name }) => name);
    expect(reading.ok ? [] : reading.faults.map(({ field }) => field)).toEqual(required);
  });

  it("all faults are told at once", () => {
    const changes = {
      HARDSTATE_TOKENS: "x",
      HARDSTATE_RELAYS: "ftp://user@relay.example.com/x?a=b&tls=x&connections=0",
      HARDSTATE_RELAY_CA: "x",
      HARDSTATE_OAUTH: "x",
      HARDSTATE_OPERATOR: "x",
      HARDSTATE_FROM: "x",
      HARDSTATE_ENVELOPE_FROM: "x",
      HARDSTATE_RECIPIENTS: "*",
      HARDSTATE_ALIASES: "x",
      HARDSTATE_QUEUE: "x",
      HARDSTATE_LEDGER: "x",
      HARDSTATE_LINK: "x",
      HARDSTATE_RENOTIFY_AFTER: "x",
      HARDSTATE_GIVE_UP_AFTER: "x",
      HARDSTATE_PORT: "x",
      HARDSTATE_TYPO: "x",
    };
    expect(faultyNames(changes)).toEqual(new Set(Object.keys(changes)));
    expect(faultsOf(changes).filter(({ field }) => field === "HARDSTATE_RELAYS").length).toBeGreaterThan(3);
  });
});

describe("relays", () => {
  it.each<[string, string, object]>([
    [
      "smtp is STARTTLS on 587",
      "smtp://relay.example.com",
      { port: 587, protection: "starttls", route: "smtp://relay.example.com:587" },
    ],
    [
      "smtps is TLS from the start on 465",
      "smtps://relay.example.com",
      { port: 465, protection: "implicit", route: "smtps://relay.example.com:465" },
    ],
    ["the port may be another", "smtp://relay.example.com:25", { port: 25, protection: "starttls" }],
    [
      "tls=none is allowed without a password",
      "smtp://relay.example.com:25?tls=none",
      { protection: "none", credentials: undefined },
    ],
    [
      "tls=none is allowed with a password to localhost",
      "smtp://u:p@localhost?tls=none",
      { protection: "none", host: "localhost" },
    ],
    [
      "tls=none is allowed with a password to 127.0.0.1",
      "smtp://u:p@127.0.0.1:1025?tls=none",
      { protection: "none" },
    ],
    [
      "tls=none is allowed with a password to ::1",
      "smtp://u:p@[::1]:1025?tls=none",
      { protection: "none", host: "::1" },
    ],
    ["loopback without tls=none is STARTTLS too", "smtp://u:p@127.0.0.1", { protection: "starttls" }],
    ["a slash after the host means nothing", "smtp://relay.example.com/", { host: "relay.example.com" }],
    [
      "mechanisms keep their order",
      "smtp://relay.example.com?auth=login,plain",
      { auth: ["LOGIN", "PLAIN"] },
    ],
    ["one mechanism may be the only one", "smtp://relay.example.com?auth=PLAIN", { auth: ["PLAIN"] }],
    ["a name for EHLO", "smtp://relay.example.com?name=mon.example.com", { name: "mon.example.com" }],
    [
      "mechanisms may be CRAM-MD5",
      "smtp://u:p@relay.example.com?auth=CRAM-MD5,PLAIN",
      { auth: ["CRAM-MD5", "PLAIN"] },
    ],
    ["mx makes the host a domain", "smtp://example.com?mx", { host: "example.com", mx: true }],
    ["a rate", "smtp://relay.example.com?rate=30/min", { rate: { most: 30, milliseconds: 60_000 } }],
    [
      "a rate by the day",
      "smtp://relay.example.com?rate=1000/d",
      { rate: { most: 1000, milliseconds: 86_400_000 } },
    ],
    ["no rate", "smtp://relay.example.com", { rate: undefined }],
    [
      "SES in a region",
      "ses://eu-west-1",
      { kind: "ses", route: "ses://eu-west-1", region: "eu-west-1", connections: 3 },
    ],
    [
      "SES with all its parameters",
      "ses://us-gov-west-1/?configuration-set=alerts_1&rate=14/s&connections=10",
      { configurationSet: "alerts_1", rate: { most: 14, milliseconds: 1000 }, connections: 10 },
    ],
    ["one connection", "smtp://relay.example.com?connections=1", { connections: 1 }],
    [
      "several parameters",
      "smtps://r.example?connections=50&name=a.example&auth=LOGIN",
      { connections: 50, name: "a.example", auth: ["LOGIN"] },
    ],
  ])("%s", (_, url, expected) => {
    expect(relayOf(url)).toMatchObject(expected);
  });

  it.each(["p/a:s?s@w#o%r d", "päss", "a+b", "=&;,", "%2F", '"<>\\^`{|}'])(
    "a password may be '%s' when percent-encoded",
    (secret) => {
      const { credentials } = relayOf(`smtp://us%40er:${encodeURIComponent(secret)}@relay.example.com`);
      expect([credentials?.user, passwordOf(credentials)]).toEqual(["us@er", secret]);
    },
  );

  it.each([
    ["pa#ss", "# in the user or password written as %23"],
    ["12#ss", "# in the user or password written as %23"],
    ["pa/ss", "/ in the user or password written as %2F"],
    ["1?s#s", "? in the user or password written as %3F"],
    ["100%", "% in the user or password written as %25"],
  ])("the password %s is told how to write its sign", (password, expected) => {
    expect(faultsOf({ HARDSTATE_RELAYS: `smtp://user:${password}@relay.example.com` })).toContainEqual({
      field: "HARDSTATE_RELAYS",
      expected,
    });
  });

  it("keep their order, and two on one host and port are told apart", () => {
    const urls =
      "smtp://a:p@relay.example.com ses://eu-west-1 smtp://b:p@relay.example.com smtps://relay.example.com";
    expect(settingsOf({ HARDSTATE_RELAYS: urls }).relays.map(({ route }) => route)).toEqual([
      "smtp://relay.example.com:587",
      "ses://eu-west-1",
      "smtp://relay.example.com:587#2",
      "smtps://relay.example.com:465",
    ]);
  });

  it("name the route that a fault is in, if there are several", () => {
    const urls = "smtp://a:p@relay.example.com smtp://b:p@relay.example.com?rate=x";
    expect(faultsOf({ HARDSTATE_RELAYS: urls })).toEqual([
      { field: "HARDSTATE_RELAYS", expected: expect.stringMatching(/^in route 2, rate= /) },
    ]);
  });

  it("the route has no credentials", () => {
    expect(settingsOf().relays[0]?.route).toBe("smtp://relay.example.com:587");
  });
});

describe("secrets", () => {
  it.each<[string, unknown]>([
    ["the settings", settingsOf()],
    ["a secret alone", new Secret(token)],
    ["a secret in a text", `${new Secret(password)} ${new Secret(token)}`],
    ["the faults beside good secrets", readSettings({ ...base, HARDSTATE_PORT: "x", HARDSTATE_TYPO: "x" })],
    ["the faults of a relay", readSettings({ ...base, HARDSTATE_RELAYS: `ftp://user:${encoded}@h/x?y=z` })],
    ["the faults of tokens", readSettings({ ...base, HARDSTATE_TOKENS: `site=${token} other=${token}` })],
  ])("%s can be printed without showing any", (_, value) => {
    for (const secret of [token, password])
      for (const form of formsOf(secret)) expect(printed(value)).not.toContain(form);
  });

  it("are printed as [redacted]", () => {
    const secret = new Secret(token);
    expect([String(secret), JSON.stringify({ secret }), inspect({ secret })]).toEqual([
      "[redacted]",
      '{"secret":"[redacted]"}',
      "{ secret: [redacted] }",
    ]);
  });

  it("are what the table says is secret", () => {
    expect(settings.filter(({ secret }) => secret).map(({ name }) => name)).toEqual([
      "HARDSTATE_TOKENS",
      "HARDSTATE_RELAYS",
      "HARDSTATE_OAUTH",
    ]);
  });

  it("reveal themselves when asked", () => {
    expect(settingsOf().tokens.map(({ token }) => token.reveal())).toEqual([token]);
    expect(passwordOf(relayOf(base.HARDSTATE_RELAYS ?? "").credentials)).toBe(password);
  });
});

describe("tokens", () => {
  it.each([
    ["operator=OPERATOR", ["HARDSTATE_TOKENS"]],
    ["operator=OPERATOR operator=SECOND", ["HARDSTATE_TOKENS"]],
    ["site1=SITE operator=OPERATOR", []],
  ])("%s: a bridge to which no monitor can post does not start", (tokens, faulty) => {
    const HARDSTATE_TOKENS = tokens.replaceAll(/[A-Z]+/g, (word) => word.padEnd(24, "x"));
    expect([...faultyNames({ HARDSTATE_TOKENS })]).toEqual(faulty);
  });
});

describe("XOAUTH2", () => {
  const url = "smtp://nagios%40example.com@smtp.example.com?auth=XOAUTH2";
  const oauth = "token_url=https://login.example.com/token client_id=id client_secret=se%20cret~%25";

  it("takes a user from the URL and the rest from HARDSTATE_OAUTH, percent-encoded", () => {
    const { credentials, auth } = relayOf(url, { HARDSTATE_OAUTH: `${oauth} scope=a%20b refresh_token=r` });
    expect(auth).toEqual(["XOAUTH2"]);
    if (!credentials || !("oauth" in credentials)) throw new Error("no tokens");
    expect(credentials).toMatchObject({
      user: "nagios@example.com",
      oauth: { tokenUrl: "https://login.example.com/token", clientId: "id", scope: "a b" },
    });
    expect(credentials.oauth.clientSecret?.reveal()).toBe("se cret~%");
    expect(credentials.oauth.refreshToken?.reveal()).toBe("r");
  });

  it.each<[string, Environment]>([
    ["without HARDSTATE_OAUTH", { HARDSTATE_RELAYS: url }],
    ["without a user", { HARDSTATE_RELAYS: "smtp://smtp.example.com?auth=XOAUTH2", HARDSTATE_OAUTH: oauth }],
    [
      "with a password",
      { HARDSTATE_RELAYS: "smtp://u:canary9f@smtp.example.com?auth=XOAUTH2", HARDSTATE_OAUTH: oauth },
    ],
    ["beside a password's mechanism", { HARDSTATE_RELAYS: `${url},PLAIN`, HARDSTATE_OAUTH: oauth }],
    ["without TLS", { HARDSTATE_RELAYS: `${url}&tls=none`, HARDSTATE_OAUTH: oauth }],
  ])("is refused %s", (_, changes) => {
    expect(faultyNames(changes)).toContain("HARDSTATE_RELAYS");
    expect(printed(faultsOf(changes))).not.toContain("canary9f");
  });

  it.each([
    "canary9f",
    "token_url=http://login.example.com/token client_id=id client_secret=canary9f",
    "token_url=canary9f client_id=id client_secret=s",
    "token_url=https://id:canary9f@login.example.com/token client_id=id client_secret=s",
    "token_url=https://canary9f@login.example.com/token client_id=id client_secret=s",
    "token_url=https://login.example.com/token client_secret=canary9f",
    "token_url=https://login.example.com/token client_id=canary9f",
    "token_url=https://login.example.com/token client_id=id client_secret=canary9f client_secret=b",
    "token_url=https://login.example.com/token client_id=id client_secret=%canary9f",
    "token_url=https://login.example.com/token client_id=id client_secret= refresh_token=",
    "token_url=https://login.example.com/token client_id=id password=canary9f",
  ])("needs words that it knows: %s", (words) => {
    expect(faultyNames({ HARDSTATE_OAUTH: words })).toEqual(new Set(["HARDSTATE_OAUTH"]));
    expect(printed(faultsOf({ HARDSTATE_OAUTH: words }))).not.toContain("canary9f");
  });
});

describe("storms, silence and what is open", () => {
  it.each([
    ["HARDSTATE_BURST", "5/h", { policy: { burst: { most: 5, milliseconds: 3_600_000 } } }],
    ["HARDSTATE_BURST", "off", { policy: { burst: undefined } }],
    ["HARDSTATE_RATE", "", { rate: { most: 200_000, milliseconds: 3_600_000 } }],
    ["HARDSTATE_RATE", "1000000/h", { rate: { most: 1_000_000, milliseconds: 3_600_000 } }],
    ["HARDSTATE_RATE", "off", { rate: undefined }],
    ["HARDSTATE_HEARTBEAT_AFTER", "5min", { heartbeatAfterSeconds: 300 }],
    ["HARDSTATE_STILL_OPEN_AT", "00:00", { stillOpenAtMinute: 0 }],
    ["HARDSTATE_STILL_OPEN_AT", "23:59", { stillOpenAtMinute: 1439 }],
  ])("%s=%s", (name, text, expected) => {
    expect(settingsOf({ [name]: text })).toMatchObject(expected);
  });

  it.each([
    ["HARDSTATE_BURST", "20"],
    ["HARDSTATE_BURST", "0/min"],
    ["HARDSTATE_BURST", "1001/min"],
    ["HARDSTATE_RATE", "1000"],
    ["HARDSTATE_RATE", "1000001/h"],
    ["HARDSTATE_HEARTBEAT_AFTER", "never"],
    ["HARDSTATE_STILL_OPEN_AT", "24:00"],
    ["HARDSTATE_STILL_OPEN_AT", "7:30"],
    ["HARDSTATE_STILL_OPEN_AT", "07:30 CET"],
  ])("is not %s=%s", (name, text) => {
    expect(faultyNames({ [name]: text })).toEqual(new Set([name]));
  });
});

describe("operators", () => {
  it("are addresses, and what aliases stand for, each once", () => {
    const { operators } = settingsOf({
      HARDSTATE_OPERATOR: "admin@example.org Root",
      HARDSTATE_ALIASES: "root=ops@example.com,admin@example.org",
    });
    expect(operators).toEqual(["admin@example.org", "ops@example.com"]);
  });

  it.each(["nobody", "a@example.com,b@example.com", "Admin <a@example.com>"])("are not '%s'", (word) => {
    expect(faultyNames({ HARDSTATE_OPERATOR: word })).toEqual(new Set(["HARDSTATE_OPERATOR"]));
  });
});

describe("durations", () => {
  it.each<[string, number | undefined]>([
    ["90s", 90],
    ["10min", 600],
    ["48h", 172_800],
    ["7d", 604_800],
    ["0s", undefined],
    ["-1h", undefined],
    ["1.5h", undefined],
    ["1 h", undefined],
    ["1H", undefined],
    ["10m", undefined],
    ["1h30min", undefined],
    ["48", undefined],
    ["", undefined],
    ["1000000s", undefined],
  ])("'%s' is %s seconds", (text, expected) => {
    expect(durationSeconds(text)).toBe(expected);
  });
});

describe("a name that is no setting", () => {
  it.each([
    ["HARDSTATE_FORM", "; did you mean HARDSTATE_FROM?"],
    ["HARDSTATE_RECIPIENT", "; did you mean HARDSTATE_RECIPIENTS?"],
    ["HARDSTATE_OPERATORS", "; did you mean HARDSTATE_OPERATOR?"],
    ["HARDSTATE_TOKNE", "; did you mean HARDSTATE_TOKENS?"],
    ["HARDSTATE_ANYTHING", ""],
    [`HARDSTATE_${"A".repeat(5000)}`, ""],
  ])("%.30s is a fault, with the name that was perhaps meant", (name, hint) => {
    expect(faultsOf({ [name]: "x" })).toEqual([
      { field: name, expected: `to be left out: there is no such setting${hint}` },
    ]);
  });
});

describe("each runtime", () => {
  const fifo = "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/hardstate.fifo";
  const cloud = { ...base, HARDSTATE_QUEUE: fifo };
  const read = (environment: Environment, runtime: Runtime) => readSettings(environment, runtime);

  it.each<[Runtime, Environment, object]>([
    ["node", base, { queue: { kind: "sqlite" }, ledger: { kind: "sqlite" } }],
    ["node", { ...cloud, HARDSTATE_LEDGER: "dynamodb:hardstate" }, { ledger: { table: "hardstate" } }],
    ["lambda-intake", { ...cloud, HARDSTATE_LEDGER: "dynamodb:hardstate" }, { queue: { kind: "sqs" } }],
    ["lambda-worker", { ...cloud, HARDSTATE_LEDGER: "dynamodb:hardstate" }, { ledger: { kind: "dynamodb" } }],
    ["cloudflare", cloud, { queue: { kind: "sqs" }, ledger: { kind: "durable-object" } }],
  ])("%s has a queue and a ledger that it can reach", (runtime, environment, value) => {
    expect(read(environment, runtime)).toMatchObject({ ok: true, value });
  });

  it.each<[Runtime, Environment, string, string]>([
    ["node", { HARDSTATE_LEDGER: "durable-object" }, "HARDSTATE_LEDGER", "sqlite:PATH, or dynamodb:TABLE"],
    ["node", { HARDSTATE_LEDGER: "dynamodb:" }, "HARDSTATE_LEDGER", "sqlite:PATH, or dynamodb:TABLE"],
    ["node", { HARDSTATE_QUEUE: "sqlite:" }, "HARDSTATE_QUEUE", "sqlite:PATH, or sqs:URL of a FIFO queue"],
    ["lambda-worker", { HARDSTATE_QUEUE: "sqlite:/q" }, "HARDSTATE_QUEUE", "sqs:URL of a FIFO queue"],
    ["lambda-worker", {}, "HARDSTATE_QUEUE", "sqs:URL of a FIFO queue"],
    ["lambda-intake", {}, "HARDSTATE_LEDGER", "dynamodb:TABLE"],
    ["cloudflare", { HARDSTATE_LEDGER: "sqlite:/l" }, "HARDSTATE_LEDGER", "durable-object"],
    ["cloudflare", { HARDSTATE_LEDGER: "durable-object:x" }, "HARDSTATE_LEDGER", "durable-object"],
    [
      "cloudflare",
      { HARDSTATE_RELAYS: "smtp://user:password@relay.example.com:25" },
      "HARDSTATE_RELAYS",
      "no port 25: Cloudflare connects to none",
    ],
    [
      "cloudflare",
      { HARDSTATE_PORT: "80" },
      "HARDSTATE_PORT",
      "to be left out: it has no use on this runtime",
    ],
    [
      "cloudflare",
      { HARDSTATE_RELAY_CA: pem },
      "HARDSTATE_RELAY_CA",
      "to be left out: it has no use on this runtime",
    ],
    [
      "lambda-intake",
      { HARDSTATE_STATE: "/tmp" },
      "HARDSTATE_STATE",
      "to be left out: it has no use on this runtime",
    ],
  ])("%s names what it cannot use", (runtime, changes, field, expected) => {
    const reading = read({ ...base, ...changes }, runtime);
    expect(reading.ok ? [] : reading.faults).toContainEqual({ field, expected });
  });

  it("does without the secrets of the other half of Lambda, and nobody else does", () => {
    const lambda = { ...cloud, HARDSTATE_LEDGER: "dynamodb:hardstate" };
    const without = (name: string, runtime: Runtime) => read({ ...lambda, [name]: undefined }, runtime).ok;
    expect(without("HARDSTATE_RELAYS", "lambda-intake")).toBe(true);
    expect(without("HARDSTATE_TOKENS", "lambda-worker")).toBe(true);
    expect(without("HARDSTATE_TOKENS", "lambda-intake")).toBe(false);
    expect(without("HARDSTATE_RELAYS", "lambda-worker")).toBe(false);
    expect(without("HARDSTATE_RELAYS", "node")).toBe(false);
  });
});

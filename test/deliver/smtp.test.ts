import PostalMime from "postal-mime";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { describe, expect, onTestFinished, test } from "vitest";
import type { SmtpRelay } from "../../functions/deliver/relay-url.ts";
import { Secret } from "../../functions/secret.ts";
import { authority, type Certificate, certificate } from "./certificate.ts";
import { type Answer, hangUp, type Place, type Script, silence } from "./scripted-relay.ts";
import {
  base64,
  brief,
  ca,
  mail,
  password,
  patient,
  secretsIn,
  startScripted,
  transportTo,
  trusted,
  user,
} from "./sending.ts";

type Taken = { mailFrom: string; rcptTo: string[]; bytes: Buffer; session: string; mechanism?: string };

/** A relay as it should be: AUTH required and offered under TLS alone. `hold` delays the answer to a mail. */
const goodRelay = async (options: SMTPServerOptions = {}, hold: () => Promise<void> = async () => {}) => {
  const taken: Taken[] = [];
  const open = { now: 0, most: 0 };
  const mechanisms = new Map<string, string>();
  const server = new SMTPServer({
    key: trusted.key,
    cert: trusted.cert,
    authMethods: ["PLAIN", "LOGIN"],
    disableReverseLookup: true,
    closeTimeout: 100,
    onConnect: (_session, done) => {
      open.now += 1;
      open.most = Math.max(open.most, open.now);
      done();
    },
    onClose: () => {
      open.now -= 1;
    },
    onAuth: (auth, session, done) => {
      mechanisms.set(session.id, auth.method);
      if (auth.username === user && auth.password === password) done(null, { user });
      else done(new Error("wrong password"));
    },
    onData: async (stream, session, done) => {
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      const { mailFrom, rcptTo } = session.envelope;
      taken.push({
        mailFrom: mailFrom ? mailFrom.address : "",
        rcptTo: rcptTo.map(({ address }) => address),
        bytes: Buffer.concat(chunks),
        session: session.id,
        mechanism: mechanisms.get(session.id),
      });
      await hold();
      done(null, "Ok: queued as GOOD1");
    },
    ...options,
  });
  server.on("error", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const address = server.server.address();
  if (address === null || typeof address === "string") throw new Error("the relay has no port");
  return { port: address.port, taken, open };
};

describe("a good relay", () => {
  test.for<[string, "starttls" | "implicit"]>([
    ["STARTTLS", "starttls"],
    ["implicit TLS", "implicit"],
  ])("takes a mail over %s and says its queue id", async ([, protection]) => {
    const relay = await goodRelay({ secure: protection === "implicit" });
    const outcome = await transportTo(relay.port, { protection }).send(mail(), patient());
    expect(outcome).toMatchObject({
      result: "accepted",
      code: 250,
      reply: "250 Ok: queued as GOOD1",
      queueId: "GOOD1",
      tls: { version: "TLSv1.3", subject: "127.0.0.1" },
    });
    expect(relay.taken).toMatchObject([{ mailFrom: "nagios@example.com", rcptTo: ["ops@example.org"] }]);
    expect(relay.taken[0]?.bytes).toEqual(mail().bytes);
  });

  test("may have any common name in its certificate, and the journal gets it printable", async () => {
    const commonName = "relay\u061c\u202e.example\u001b[2J";
    const outcome = await transportTo((await goodRelay(await certificate({ ca, commonName }))).port).send(
      mail(),
      patient(),
    );
    expect(outcome).toMatchObject({ result: "accepted", tls: { subject: "relay.example [2J" } });
  });

  test.for<[SmtpRelay["auth"], offered: string[], used: string]>([
    [["PLAIN", "LOGIN"], ["LOGIN", "PLAIN"], "PLAIN"],
    [["LOGIN", "PLAIN"], ["PLAIN", "LOGIN"], "LOGIN"],
    [["LOGIN"], ["PLAIN", "LOGIN"], "LOGIN"],
    [["PLAIN", "LOGIN"], ["LOGIN"], "LOGIN"],
  ])("configured for %s and offering %s gets AUTH %s", async ([auth, authMethods, used]) => {
    const relay = await goodRelay({ authMethods });
    const { result } = await transportTo(relay.port, { auth }).send(mail(), patient());
    expect(result).toBe("accepted");
    expect(relay.taken[0]?.mechanism).toBe(used);
  });

  test("is refused without the private authority that signed its certificate", async () => {
    const relay = await goodRelay();
    const outcome = await transportTo(relay.port, { ca: undefined }).send(mail(), patient());
    expect(outcome.result).toBe("unauthorised");
    expect(relay.taken).toEqual([]);
  });

  test("that refuses the password makes the attempt unauthorised", async () => {
    const relay = await goodRelay();
    const credentials = { user, password: new Secret("wrong") };
    const outcome = await transportTo(relay.port, { credentials }).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "unauthorised", code: 535 });
  });

  test("gets several mails through one connection", async () => {
    const relay = await goodRelay();
    const transport = transportTo(relay.port);
    for (const n of [1, 2, 3]) await transport.send(mail({ messageId: `<${n}@example.com>` }), patient());
    expect(relay.taken).toHaveLength(3);
    expect(new Set(relay.taken.map(({ session }) => session)).size).toBe(1);
  });

  /** A text as its lines, whatever ends them. */
  const lines = (text = "") => text.replaceAll(/\r\n?|\n/g, "\n").trimEnd();
  const smuggled =
    "MAIL FROM:<admin@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n";
  test.for(
    [
      "\n.\n",
      "\n.\r\n",
      "\r\n.\n",
      "\r.\r",
      "\r\n.\r",
      "\r.\r\n",
      "\r\n\0.\r\n",
      "\r\n.\r\r\n",
      "\r\n.\r\n",
      "\r\n..\r\n",
    ].map((end): [string, string] => [JSON.stringify(end), end]),
  )("takes a body with %s as one transaction and one body", async ([, end]) => {
    const relay = await goodRelay();
    const hostile = mail({ text: `first${end}${smuggled}last\n` });
    const { result } = await transportTo(relay.port).send(hostile, patient());
    expect(result).toBe("accepted");
    expect(relay.taken).toMatchObject([{ mailFrom: "nagios@example.com", rcptTo: ["ops@example.org"] }]);
    const { text, headers } = await PostalMime.parse(relay.taken[0]?.bytes ?? "");
    expect(lines(text)).toBe(lines(hostile.text));
    expect(headers.filter(({ key }) => key === "subject")).toHaveLength(1);
  });

  test("takes a body of lone dots longer than any buffer unchanged", async () => {
    const relay = await goodRelay();
    const text = ".\n".repeat(100_000);
    await transportTo(relay.port).send(mail({ text }), patient());
    const parsed = await PostalMime.parse(relay.taken[0]?.bytes ?? "");
    expect(lines(parsed.text)).toBe(lines(text));
  });
});

describe("a relay whose protection is wanting", () => {
  const offersAll = "250-relay.example\r\n250-AUTH PLAIN LOGIN\r\n250 PIPELINING\r\n";
  test.for<[string, Script, reply: RegExp]>([
    [
      "does not offer STARTTLS",
      { EHLO: offersAll, STARTTLS: "502 5.5.1 unknown command\r\n" },
      /^502 5\.5\.1 unknown command$/,
    ],
    ["offers something like STARTTLS", { EHLO: "250 STARTTLSX\r\n", STARTTLS: "500 what\r\n" }, /^500 what$/],
    ["has no TLS for the moment", { STARTTLS: "454 4.7.0 TLS not available\r\n" }, /^454 4\.7\.0/],
    ["knows no EHLO", { EHLO: "500 5.5.1 what\r\n" }, /^500 5\.5\.1 what$/],
    ["speaks no TLS after STARTTLS", { TLS: "250 relay.example\r\n" }, /wrong version number/],
  ])("that %s gets no credentials and no mail", async ([, script, reply]) => {
    const relay = await startScripted(script);
    const outcome = await transportTo(relay.port).send(mail(), patient());
    expect(relay.received()).not.toMatch(/AUTH|MAIL|\nHELO /);
    expect(secretsIn(relay.received())).toEqual([]);
    expect(outcome.reply).toMatch(reply);
    expect(outcome.result).toBe("unauthorised");
    await relay.allClosed();
  });

  test.for<[string, () => Promise<Certificate>]>([
    ["self-signed", () => certificate({})],
    ["for another name", () => certificate({ ca, forName: "other.example" })],
    ["expired", () => certificate({ ca, expired: true })],
    ["by an authority that is not ours", async () => certificate({ ca: await authority() })],
  ])("a certificate that is %s ends the session before AUTH", async ([, make]) => {
    for (const protection of ["starttls", "implicit"] as const) {
      const relay = await startScripted({}, { certificate: await make(), protection });
      const { result } = await transportTo(relay.port, { protection }).send(mail(), patient());
      expect(result).toBe("unauthorised");
      expect(relay.received()).not.toMatch(/AUTH|MAIL/);
      expect(secretsIn(relay.received())).toEqual([]);
      await relay.allClosed();
    }
  });

  test("a relay without TLS where implicit TLS is configured gets nothing readable", async () => {
    const relay = await startScripted();
    const { result } = await transportTo(relay.port, { protection: "implicit" }).send(mail(), patient());
    expect(result).toBe("unauthorised");
    expect(relay.received()).not.toMatch(/EHLO|AUTH|MAIL/);
    expect(secretsIn(relay.received())).toEqual([]);
  });

  const injections: [string, string][] = [
    ["whole replies", "220 2.0.0 ready\r\n250-relay.example\r\n250 AUTH PLAIN\r\n"],
    ["the beginning of a reply", "220 2.0.0 ready\r\n250-AUTH PLAIN LOGIN INJECTED "],
  ];
  test.for(injections)("%s in clear behind the 220 of STARTTLS offer no AUTH", async ([, STARTTLS]) => {
    const relay = await startScripted({ STARTTLS, "TLS-EHLO": "250 relay.example\r\n" });
    const { result } = await transportTo(relay.port).send(mail(), patient());
    expect(result).toBe("unauthorised");
    expect(relay.received()).not.toMatch(/AUTH|MAIL/);
  });

  test.for(injections)("%s in clear behind the 220 of STARTTLS end the session", async ([, STARTTLS]) => {
    const relay = await startScripted({ STARTTLS });
    const { result } = await transportTo(relay.port).send(mail(), patient());
    expect(result).toBe("unauthorised");
    expect(relay.received()).not.toMatch(/AUTH|MAIL/);
  });

  test.for<[string, Script, SmtpRelay["auth"]]>([
    [
      "offers AUTH only in clear",
      { EHLO: `250-STARTTLS\r\n${offersAll}`, "TLS-EHLO": "250 relay.example\r\n" },
      ["PLAIN"],
    ],
    ["offers LOGIN alone", { "TLS-EHLO": "250 AUTH LOGIN\r\n" }, ["PLAIN"]],
    ["offers CRAM-MD5 alone", { "TLS-EHLO": "250 AUTH CRAM-MD5\r\n" }, ["PLAIN", "LOGIN"]],
    ["forgets EHLO under TLS", { "TLS-EHLO": "500 what\r\n" }, ["PLAIN", "LOGIN"]],
  ])("a relay that %s, with other mechanisms configured, gets no AUTH", async ([, script, auth]) => {
    const relay = await startScripted(script);
    const { result } = await transportTo(relay.port, { auth }).send(mail(), patient());
    expect(result).toBe("unauthorised");
    expect(relay.verbs().filter((verb) => verb === "AUTH" || verb === "MAIL")).toEqual([]);
    expect(secretsIn(relay.received())).toEqual([]);
    await relay.allClosed();
  });

  test("gets mail in clear where the relay is configured without TLS and without credentials", async () => {
    const relay = await startScripted({ EHLO: "500 what\r\n" });
    const transport = transportTo(relay.port, { protection: "none", credentials: undefined });
    expect((await transport.send(mail(), patient())).result).toBe("accepted");
    expect(relay.verbs()).toEqual(["EHLO", "HELO", "MAIL", "RCPT", "DATA", "dot"]);
  });
});

describe("a reply", () => {
  const pipelining = "250-relay.example\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n";
  const deferred = { result: "deferred", lostAfterData: false };
  const refused = { result: "refused" };
  const unauthorised = { result: "unauthorised" };
  /** How a relay answers the commands that were sent along with a refused one. */
  const outOfOrder: Partial<Record<Place, Script>> = {
    MAIL: { RCPT: "503 5.5.1 MAIL first\r\n", DATA: "503 5.5.1 MAIL first\r\n" },
    RCPT: { DATA: "503 5.5.1 RCPT first\r\n" },
  };
  const replies: [Place, string, { result: string }][] = [
    ["greeting", "421 4.3.2 closing", deferred],
    ["greeting", "554 5.7.1 not today", deferred],
    ["EHLO", "421 4.3.2 closing", deferred],
    ["STARTTLS", "421 4.3.2 closing", deferred],
    ["TLS-EHLO", "421 4.3.2 closing", deferred],
    ["AUTH", "535 5.7.8 no", unauthorised],
    ["AUTH", "550 5.7.30 basic authentication is off", unauthorised],
    ["AUTH", "454 4.7.0 later", deferred],
    ["AUTH", "421 4.3.2 closing", deferred],
    ["MAIL", "451 4.3.0 later", deferred],
    ["MAIL", "530 5.7.0 authenticate first", unauthorised],
    ["MAIL", "550 5.7.1 not this sender", unauthorised],
    ["MAIL", "421 4.3.2 closing", deferred],
    ["RCPT", "450 4.2.0 greylisted", deferred],
    ["RCPT", "550 5.1.1 no such user", refused],
    ["RCPT", "421 4.3.2 closing", deferred],
    ["DATA", "451 4.3.0 later", deferred],
    ["DATA", "554 5.6.0 no", refused],
    ["dot", "452 4.3.1 disk full", deferred],
    ["dot", "554 5.6.0 spam", refused],
    ["dot", "421 4.3.2 closing", deferred],
  ];
  test.for(replies)("to %s, %s, decides the outcome", async ([place, reply, outcome]) => {
    for (const ehlo of [undefined, { "TLS-EHLO": pipelining }]) {
      const relay = await startScripted({ ...ehlo, ...(ehlo && outOfOrder[place]), [place]: `${reply}\r\n` });
      const got = await transportTo(relay.port).send(mail(), patient());
      expect(got).toMatchObject({ ...outcome, reply, code: Number(reply.slice(0, 3)) });
      if (place !== "dot") expect(relay.contents).toEqual([]);
    }
  });

  test.for<[Place, { result: string }]>([
    ["MAIL", unauthorised],
    ["RCPT", refused],
  ])("that refuses %s decides the outcome though DATA is accepted", async ([place, outcome]) => {
    const relay = await startScripted({ "TLS-EHLO": pipelining, [place]: "550 5.1.1 no\r\n" });
    const got = await transportTo(relay.port).send(mail(), patient());
    expect(got).toMatchObject({ ...outcome, reply: "550 5.1.1 no", code: 550 });
    expect(relay.contents.join("").trim()).toBe("");
  });

  test("with control characters is kept without them", async () => {
    const relay = await startScripted({
      RCPT: "550-5.1.1 \x1b[2J\x07no\r\n550 5.1.1 \x1b]0;x\x07user\0\r\n",
    });
    const { reply } = await transportTo(relay.port).send(mail(), patient());
    expect(reply).toBe("550-5.1.1  [2J no 550 5.1.1  ]0;x user");
  });

  test("of several lines and many bytes is read as one", async () => {
    const relay = await startScripted({
      dot: `250-2.0.0 ${"x".repeat(40_000)}\r\n250 Ok: queued as SLOW\r\n`,
    });
    const outcome = await transportTo(relay.port).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "accepted", queueId: "SLOW" });
  });

  test.for<[string, string]>([
    ["AUTH", `500 5.5.1 Command unrecognized: "AUTH PLAIN ${base64(`\0${user}\0${password}`)}"`],
    ["AUTH", `535 5.7.8 not ${password}`],
    ["password", `500 5.5.1 Command unrecognized: "${base64(password)}"`],
  ])("to %s is kept without the password that it repeats: %s", async ([place, reply]) => {
    const relay = await startScripted({ [place]: `${reply}\r\n` });
    const auth = place === "AUTH" ? (["PLAIN"] as const) : (["LOGIN"] as const);
    const outcome = await transportTo(relay.port, { auth }).send(mail(), patient());
    expect(outcome.result).toBe("unauthorised");
    expect(secretsIn(outcome.reply)).toEqual([]);
  });

  test.for<[string, string]>([
    ["a line without an end", "220 ".padEnd(200_000, "x")],
    ["lines without a last one", "220-relay.example\r\n".repeat(20_000)],
  ])("of %s ends the session", async ([, greeting]) => {
    const relay = await startScripted({ greeting });
    const outcome = await transportTo(relay.port).send(mail(), patient());
    expect(outcome).toMatchObject(deferred);
    expect(relay.received()).toBe("");
    await relay.allClosed();
  });

  test("nobody asked for does not become the answer to the next mail", async () => {
    const relay = await startScripted({ dot: "250 Ok: queued as ONE\r\n250 Ok: queued as TWO\r\n" });
    const transport = transportTo(relay.port, { connections: 1 });
    const outcomes = await Promise.all([
      transport.send(mail({ messageId: "<1@a.b>" }), patient()),
      transport.send(mail({ messageId: "<2@a.b>" }), patient()),
    ]);
    expect(outcomes).toMatchObject([
      { result: "accepted", queueId: "ONE" },
      { result: "accepted", queueId: "ONE" },
    ]);
    expect(relay.connections).toBe(2);
  });
});

describe("a relay that stops", () => {
  const places: Place[] = [
    "greeting",
    "EHLO",
    "STARTTLS",
    "TLS",
    "TLS-EHLO",
    "AUTH",
    "MAIL",
    "RCPT",
    "DATA",
    "dot",
  ];
  const steps = places.map((place): [Place, boolean] => [place, place === "dot"]);

  test.for(steps)(
    "answering at %s defers the mail, and the next one has a connection (lost after data: %s)",
    async ([place, lostAfterData]) => {
      const relay = await startScripted({ [place]: silence });
      const transport = transportTo(relay.port, { connections: 1 });
      const outcome = await transport.send(mail(), brief());
      expect(outcome).toMatchObject({ result: "deferred", lostAfterData });
      await relay.allClosed();
      relay.script = {};
      expect((await transport.send(mail(), patient())).result).toBe("accepted");
      expect(relay.connections).toBe(2);
    },
  );

  test.for(steps)(
    "the connection at %s defers the mail, and the next one has a connection (lost after data: %s)",
    async ([place, lostAfterData]) => {
      const relay = await startScripted({ [place]: hangUp });
      const transport = transportTo(relay.port, { connections: 1 });
      const outcome = await transport.send(mail(), patient());
      expect(outcome).toMatchObject({ result: "deferred", lostAfterData });
      relay.script = {};
      expect((await transport.send(mail(), patient())).result).toBe("accepted");
      expect(relay.connections).toBe(2);
    },
  );

  test("answering to AUTH LOGIN when it has the user name gets no password", async () => {
    const relay = await startScripted({ user: silence });
    const outcome = await transportTo(relay.port, { auth: ["LOGIN"] }).send(mail(), brief());
    expect(outcome).toMatchObject({ result: "deferred", lostAfterData: false });
    expect(secretsIn(relay.received())).toEqual([]);
  });

  test("listening at all defers the mail", async () => {
    const relay = await startScripted();
    await relay.close();
    const outcome = await transportTo(relay.port).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "deferred", lostAfterData: false });
  });
});

describe("a session", () => {
  test("says each command once and in order, AUTH only under TLS", async () => {
    const relay = await startScripted();
    await transportTo(relay.port).send(mail(), patient());
    const session = ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"];
    expect(relay.verbs()).toEqual(session);
    expect(relay.received()).toContain(`AUTH PLAIN ${base64(`\0${user}\0${password}`)}\r\n`);
    expect(relay.received()).toContain("EHLO bridge.example.com\r\n");
  });

  test("doubles every dot that begins a line, and ends lines with CRLF alone", async () => {
    const relay = await startScripted();
    await transportTo(relay.port).send(mail({ text: ".\n..\n.x\n\n.\n" }), patient());
    expect(relay.contents).toHaveLength(1);
    const wire = relay.contents[0] ?? "";
    expect(wire).not.toMatch(/(?<!\r)\n|\r(?!\n)/);
    expect(wire).toContain("\r\n..\r\n...\r\n..x\r\n\r\n..\r\n");
    expect(wire.replaceAll(/^\./gm, "")).toBe(mail({ text: ".\n..\n.x\n\n.\n" }).bytes.toString("latin1"));
  });

  test("begins the next mail with RSET after a refused one, or a second after one that was taken", async () => {
    const relay = await startScripted({ RCPT: "550 5.1.1 no such user\r\n" });
    let now = 0;
    const transport = transportTo(relay.port, {}, {}, () => now);
    await transport.send(mail(), patient());
    relay.script = {};
    for (const after of [0, 999, 1000]) {
      now += after;
      await transport.send(mail(), patient());
    }
    expect(relay.verbs().slice(4)).toEqual(
      ["MAIL RCPT", "RSET MAIL RCPT DATA dot", "MAIL RCPT DATA dot", "RSET MAIL RCPT DATA dot"]
        .join(" ")
        .split(" "),
    );
    expect(relay.connections).toBe(1);
  });

  test.for<[string, Script]>([
    ["hangs up", { RSET: hangUp }],
    ["says 421", { RSET: "421 4.4.2 idle for too long\r\n" }],
    ["does not know RSET", { RSET: "502 5.5.1 what\r\n" }],
  ])("is replaced if the relay %s while it is idle", async ([, script]) => {
    const relay = await startScripted(script);
    let now = 0;
    const transport = transportTo(relay.port, { connections: 1 }, {}, () => now);
    await transport.send(mail(), patient());
    now = 1000;
    const second = await transport.send(mail(), patient());
    expect(second.result).toBe("accepted");
    expect(relay.connections).toBe(2);
  });

  const enough: [string, Answer][] = [
    ["the end of the connection", hangUp],
    ["421", "421 4.7.0 too many mails on one connection\r\n"],
    ["421 and the end of the connection", ["421 4.7.0 too many mails on one connection\r\n", hangUp]],
    ["452", "452 4.4.5 too many mails in this session\r\n"],
    ["450", "450 4.2.0 greylisted\r\n"],
  ];
  const atPlaces = (["MAIL", "RCPT", "DATA"] as const).flatMap((place) =>
    enough.map(([words, said]): [Place, string, Answer] => [place, words, said]),
  );
  test.for(atPlaces)(
    "that has carried a mail is replaced once if the next one's %s is answered by %s",
    async ([place, , said]) => {
      for (const [offer, later] of [
        ["", 0],
        ["250-PIPELINING\r\n", 0],
        ["", 1000],
      ] as const) {
        const relay = await startScripted({ "TLS-EHLO": `250-relay.example\r\n${offer}250 AUTH PLAIN\r\n` });
        let now = 0;
        const transport = transportTo(relay.port, {}, {}, () => now);
        await transport.send(mail(), patient());
        now += later;
        const friendly = place === "DATA" ? "354 go ahead\r\n" : "250 2.1.0 Ok\r\n";
        relay.script = { ...relay.script, [place]: () => (relay.connections === 1 ? said : friendly) };
        expect(await transport.send(mail(), patient())).toMatchObject({ result: "accepted" });
        expect(relay.connections).toBe(2);
        expect(relay.contents.filter((content) => content.trim() !== "")).toHaveLength(2);
      }
    },
  );

  test("that took its place says what counts", async () => {
    const relay = await startScripted();
    const transport = transportTo(relay.port);
    await transport.send(mail(), patient());
    relay.script = { MAIL: () => `451 4.3.0 in session ${relay.connections}\r\n` };
    expect(await transport.send(mail(), patient())).toMatchObject({
      result: "deferred",
      step: "sender",
      reply: "451 4.3.0 in session 2",
    });
    expect(relay.connections).toBe(2);
  });

  test.for<[string, Script, object]>([
    ["refuses the sender", { MAIL: "550 5.7.1 not you\r\n" }, { result: "unauthorised", step: "sender" }],
    ["refuses the recipient", { RCPT: "550 5.1.1 no\r\n" }, { result: "refused", step: "recipient" }],
    [
      "says goodbye to the final dot",
      { dot: "421 4.3.2 closing\r\n" },
      { result: "deferred", step: "after-data" },
    ],
    ["hangs up at the final dot", { dot: hangUp }, { result: "deferred", lostAfterData: true }],
  ])("is not replaced if the relay %s", async ([, script, outcome]) => {
    const relay = await startScripted();
    const transport = transportTo(relay.port);
    await transport.send(mail(), patient());
    relay.script = script;
    expect(await transport.send(mail(), patient())).toMatchObject(outcome);
    expect(relay.connections).toBe(1);
  });

  test.for<[Place, string, connections: number]>([
    ["RCPT", "550 5.1.1 no such user\r\n", 1],
    ["RCPT", "450 4.2.0 greylisted\r\n", 2],
    ["MAIL", "550 5.7.1 not you\r\n", 2],
    ["DATA", "451 4.3.0 later\r\n", 2],
    ["dot", "554 5.6.0 spam\r\n", 2],
    ["dot", "451 4.3.0 later\r\n", 2],
  ])(
    "that answered %s with %j carries the next mail only if the recipient was refused",
    async ([place, said, connections]) => {
      const relay = await startScripted({ [place]: said });
      const transport = transportTo(relay.port);
      const quit = connections === 2 ? relay.reached("QUIT") : undefined;
      await transport.send(mail(), patient());
      await quit;
      relay.script = {};
      expect((await transport.send(mail(), patient())).result).toBe("accepted");
      expect(relay.connections).toBe(connections);
    },
  );

  test("carries as many mails as LIMITS MAILMAX allows, refused recipients too", async () => {
    const relay = await startScripted({
      "TLS-EHLO": "250-relay.example\r\n250-LIMITS RCPTMAX=1 MAILMAX=3\r\n250 AUTH PLAIN\r\n",
    });
    const transport = transportTo(relay.port);
    for (const refused of [false, true, false, false, false, false]) {
      relay.script = { ...relay.script, RCPT: refused ? "550 5.1.1 no such user\r\n" : "250 Ok\r\n" };
      await transport.send(mail(), patient());
    }
    expect(relay.connections).toBe(2);
    expect(relay.contents).toHaveLength(5);
    await relay.allClosed();
    expect(relay.verbs().filter((verb) => verb === "QUIT")).toHaveLength(2);
  });

  test("ends after two refused mails in a row, before the relay slows it down for the next mail", async () => {
    const relay = await startScripted({});
    const transport = transportTo(relay.port);
    /** The number of connections after each mail. */
    const connections: number[] = [];
    for (const refused of [true, false, true, false, true, true, true, false]) {
      relay.script = { RCPT: refused ? "550 5.1.1 no such user\r\n" : "250 Ok\r\n" };
      await transport.send(mail(), patient());
      connections.push(relay.connections);
    }
    expect(connections).toEqual([1, 1, 1, 1, 1, 1, 2, 2]);
    expect(relay.contents).toHaveLength(3);
  });

  test("that is new is not replaced if the relay hangs up at MAIL", async () => {
    const relay = await startScripted({ MAIL: hangUp });
    expect(await transportTo(relay.port).send(mail(), patient())).toMatchObject({ result: "deferred" });
    expect(relay.connections).toBe(1);
  });

  test("without a mail shows that login works, and says no more than that", async () => {
    const relay = await startScripted({});
    const quit = relay.reached("QUIT");
    expect(await transportTo(relay.port).probe?.(patient())).toBeUndefined();
    await quit;
    expect(relay.verbs()).toEqual(["EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT"]);
  });

  test("without a mail shows what is in the way", async () => {
    const relay = await startScripted({ AUTH: "535 5.7.8 no\r\n" });
    expect(await transportTo(relay.port).probe?.(patient())).toMatchObject({
      result: "unauthorised",
      step: "auth",
    });
  });

  test("that is given up closes its connection", async () => {
    const relay = await startScripted({ dot: silence });
    const transport = transportTo(relay.port, { connections: 1 });
    const giveUp = new AbortController();
    const atDot = relay.reached("dot");
    const first = transport.send(mail(), giveUp.signal);
    await atDot;
    giveUp.abort();
    expect(await first).toMatchObject({ result: "deferred", lostAfterData: true });
    await relay.allClosed();
  });

  test.for([
    "ops@example.org>\r\nRCPT TO:<evil@evil.com",
    "ops@example.org> NOTIFY=NEVER",
    "ops@example.org\nRCPT TO:<evil@evil.com>",
  ])("never says the recipient %j", async (to) => {
    const relay = await startScripted();
    const envelope = { from: "nagios@example.com", to };
    const { result } = await transportTo(relay.port).send(mail({ envelope }), patient());
    expect(result).toBe("deferred");
    expect(relay.received()).not.toMatch(/MAIL|RCPT|evil/);
  });

  test("leaves the mail as it was", async () => {
    const relay = await startScripted();
    const sent = mail();
    await transportTo(relay.port).send(sent, patient());
    expect(sent).toEqual(mail());
  });

  test("that is idle ends with QUIT when the transport is closed", async () => {
    const relay = await startScripted();
    const transport = transportTo(relay.port);
    await transport.send(mail(), patient());
    transport.close();
    await relay.allClosed();
    expect(relay.verbs().at(-1)).toBe("QUIT");
  });
});

import { createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Mail } from "../../functions/deliver/mail.ts";
import type { Mechanism, SmtpRelay } from "../../functions/deliver/relay-url.ts";
import { openSession } from "../../functions/deliver/smtp-session.ts";
import { certificate } from "./certificate.ts";
import { type Place, type Script, silence } from "./scripted-relay.ts";
import {
  brief,
  ca,
  mail,
  password,
  patient,
  relayAt,
  secretsIn,
  socketsTo,
  startScripted,
  transportTo,
} from "./sending.ts";

const deferred = { result: "deferred", lostAfterData: false };
const lost = { result: "deferred", lostAfterData: true };
const pipelining = { "TLS-EHLO": "250-relay.example\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n" };
const commands = (received: string) => received.split("\r\n").map((line) => line.split(/[ :]/, 1)[0]);

describe("command injection", () => {
  const attack = "MAIL FROM:<attacker@evil.com>\r\nRCPT TO:<victim@target.com>\r\nDATA\r\n";

  test.for<[string, string]>([
    ["CRLF", "legit.host\r\n"],
    ["LF", "legit.host\n"],
    ["CR", "legit.host\r"],
  ])("by a name for EHLO with %s stays within one EHLO", async ([, name]) => {
    const relay = await startScripted();
    await transportTo(relay.port, { name: `${name}${attack}` }).send(mail(), patient());
    expect(relay.received()).not.toMatch(/^(MAIL FROM:<attacker|RCPT TO:<victim)/m);
    expect(relay.verbs()).toEqual(["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"]);
  });

  test.for<[string, object]>([
    ["size", { size: "100\r\nRCPT TO:<attacker@evil.com>" }],
    ["DSN", { dsn: { envid: "x\r\nRCPT TO:<attacker@evil.com>", notify: "NEVER", ret: "FULL" } }],
    ["REQUIRETLS", { requireTLSExtensionEnabled: true }],
    ["8BITMIME", { use8BitMime: true }],
  ])("by an envelope's %s adds nothing to MAIL and RCPT", async ([, more]) => {
    const relay = await startScripted({
      "TLS-EHLO":
        "250-relay.example\r\n250-SIZE 1000000\r\n250-DSN\r\n250-REQUIRETLS\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
    });
    const envelope = { ...mail().envelope, ...more } as Mail["envelope"];
    await transportTo(relay.port).send(mail({ envelope }), patient());
    const [, said] = /\r\n(MAIL [\s\S]*?\r\n)DATA\r\n/.exec(relay.received()) ?? [];
    expect(said?.replace(/SIZE=\d+/, "SIZE=n")).toBe(
      "MAIL FROM:<nagios@example.com> SIZE=n RET=HDRS ENVID=1\r\nRCPT TO:<ops@example.org> NOTIFY=FAILURE ORCPT=rfc822;ops@example.org\r\n",
    );
  });

  const hostile = [..."<> \t\0\x01\x1b\x7f\x85\u2028\r\n"].map((byte): [string] => [byte]);
  test.for(hostile)("by an address with %j is never said, as sender or as recipient", async ([byte]) => {
    for (const pipelined of [{}, pipelining]) {
      const relay = await startScripted(pipelined);
      const transport = transportTo(relay.port);
      for (const envelope of [
        { from: "nagios@example.com", to: `ops@example.org${byte}NOTIFY=NEVER` },
        { from: `nagios@example.com${byte}BODY=8BITMIME`, to: "ops@example.org" },
      ])
        expect(await transport.send(mail({ envelope }), patient())).toMatchObject(deferred);
      expect(relay.received()).not.toMatch(/MAIL|RCPT|NOTIFY|BODY/);
    }
  });

  test.for([..."\r\n\0\x1b\x7f"])("by a command with %j is not sent", async (byte) => {
    const relay = await startScripted();
    const session = await openSession(relayAt(relay.port), { resolveMx: async () => [] }, patient());
    await expect(session.command(`NOOP${byte}QUIT`, patient())).rejects.toThrow("a command of one line");
    session.close();
    expect(relay.received()).not.toContain("NOOP");
  });
});

describe("smuggling", () => {
  const attack =
    "MAIL FROM:<admin@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled";
  const ends = [
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r\n.\r",
    "\r.\r\n",
    "\r\n\0.\r\n",
    "\r\n.\r\r\n",
    "\r\n.\r\n",
    "\n\n.\r\n.\n",
  ].map((end): [string, string] => [JSON.stringify(end), end]);
  /** A text as its lines, whatever ends them. */
  const lines = (text: string) => text.replaceAll(/\r\n?|\n/g, "\n").trimEnd();
  /** Whether a mail's bytes on the wire hold an end of data that any receiver has been known to take for one. */
  const looseEnd = /(?:^|[\r\n]|\r\n\0)\.[\r\n]/;

  test.for(ends)("with %s, the wire has CRLF alone, no lone dot and one transaction", async ([, end]) => {
    const relay = await startScripted();
    const hostile = mail({
      subject: `web1${end}${attack}`,
      text: `first${end}${attack}${end}last\n`,
      html: `<p>first${end}${attack}${end}</p>`,
    });
    const { result } = await transportTo(relay.port).send(hostile, patient());
    expect(result).toBe("accepted");
    expect(relay.contents).toHaveLength(1);
    expect(relay.contents[0]).not.toMatch(/(?<!\r)\n|\r(?!\n)/);
    expect(relay.contents[0]).not.toMatch(looseEnd);
    expect(relay.verbs()).toEqual(["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"]);
  });

  test.for(ends)("with raw %s about every 16 and 64 KB boundary is one transaction", async ([, end]) => {
    const relay = await startScripted(pipelining);
    const session = await openSession(relayAt(relay.port), { resolveMx: async () => [] }, patient());
    onTestFinished(() => session.close());
    let sent = 0;
    for (const boundary of [16_384, 65_536])
      for (let before = 1; before <= end.length + 1; before++) {
        const start = `Subject: x\r\n\r\n${`${"x".repeat(62)}\r\n`.repeat(boundary / 64)}`.slice(
          0,
          boundary - before,
        );
        const bytes = Buffer.from(`${start}${end}${attack}${end}`, "latin1");
        await session.submit(mail().envelope, bytes, patient());
        expect(relay.contents).toHaveLength(++sent);
        const wire = relay.contents.at(-1) ?? "";
        expect(wire).not.toMatch(/(?<!\r)\n|\r(?!\n)/);
        expect(wire).not.toMatch(/(^|\n)\.(?!\.)/);
        expect(lines(wire.replaceAll(/(?<=^|\n)\./g, ""))).toBe(lines(bytes.toString("latin1")));
      }
    expect(relay.verbs().filter((verb) => verb === "MAIL")).toHaveLength(sent);
  });
});

describe("reply parsing", () => {
  const bytes = (reply: string) => [...reply];

  test("reads replies that come byte by byte", async () => {
    const relay = await startScripted({
      greeting: bytes("220-relay.example\r\n220 ESMTP\r\n"),
      EHLO: bytes("250-relay.example\r\n250 STARTTLS\r\n"),
      "TLS-EHLO": bytes("250-relay.example\r\n250 AUTH PLAIN\r\n"),
      AUTH: bytes("235-2.7.0 wel\r\n235 2.7.0 come\r\n"),
      MAIL: bytes("250 2.1.0 Ok\r\n"),
      RCPT: bytes("250-2.1.5 Ok\r\n250 2.1.5 Ok\r\n"),
      DATA: bytes("354 go ahead\r\n"),
      dot: bytes("250-2.0.0 Ok\r\n250 2.0.0 queued as BYTES\r\n"),
    });
    const outcome = await transportTo(relay.port).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "accepted", queueId: "BYTES" });
  });

  const endless: [string, (code: number) => string][] = [
    ["10 MB without a line end", (code) => `${code}-${"x".repeat(10_000_000)}`],
    ["10 MB of lines without a last one", (code) => `${code}-x\r\n`.repeat(1_500_000)],
  ];
  test.for<[string, string, Place, object]>(
    endless.flatMap(([words, reply]): [string, string, Place, object][] => [
      [words, reply(220), "greeting", deferred],
      [words, reply(250), "TLS-EHLO", deferred],
      [words, reply(235), "AUTH", deferred],
      [words, reply(250), "RCPT", deferred],
      [words, reply(250), "dot", lost],
    ]),
  )("is given up after 64 KB: %s (%#)", async ([, reply, place, outcome]) => {
    const relay = await startScripted({ [place]: reply });
    const before = process.memoryUsage().arrayBuffers;
    expect(await transportTo(relay.port).send(mail(), patient())).toMatchObject({
      ...outcome,
      reply: "the relay's reply is longer than 64 KB",
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40_000_000);
  });

  test("is given up in time where 250- never ends, a line now and then", async () => {
    const relay = await startScripted({ MAIL: "250-wait\r\n" });
    expect(await transportTo(relay.port).send(mail(), brief())).toMatchObject(deferred);
    await relay.allClosed();
  });

  test.for<[string, Script]>([
    ["the final 250 comes with 354", { DATA: "354 go\r\n250 2.0.0 Ok: queued as EARLY\r\n" }],
    ["a second 354 comes with 354", { DATA: "354 go\r\n354 go\r\n" }],
    ["two more 250 come with MAIL's", { MAIL: "250 Ok\r\n250 Ok\r\n250 Ok\r\n" }],
    ["one more 250 comes with MAIL's", { MAIL: "250 Ok\r\n250 Ok\r\n" }],
    ["one more 250 comes with RCPT's", { RCPT: "250 Ok\r\n250 Ok\r\n" }],
    ["one more 250 comes with AUTH's", { AUTH: "235 Ok\r\n250 Ok\r\n" }],
    ["DATA is answered with 250", { DATA: "250 Ok\r\n" }],
  ])("out of step, where %s, sends no content and accepts nothing", async ([, script]) => {
    for (const more of [{}, pipelining]) {
      const relay = await startScripted({ ...more, ...script });
      const outcome = await transportTo(relay.port).send(mail(), patient());
      expect(outcome).toMatchObject({ result: "deferred", code: undefined });
      expect(relay.contents).toEqual([]);
      expect(relay.received()).not.toContain("Subject:");
      await relay.allClosed();
    }
  });

  test.for<[string, object]>([
    ["552 5.3.4 too big", { result: "refused", code: 552 }],
    ["451 4.3.0 not now", { ...deferred, code: 451 }],
  ])("takes a refusal that comes with 354, %s, for what it is", async ([reply, outcome]) => {
    const relay = await startScripted({ DATA: `354 go\r\n${reply}\r\n`, dot: silence });
    expect(await transportTo(relay.port).send(mail(), patient())).toMatchObject({ ...outcome, reply });
  });

  test("accepts nothing that a relay says before it can have the content", async () => {
    const sockets: Socket[] = [];
    const relay = createServer((socket) => {
      sockets.push(socket.on("error", () => undefined));
      socket.write("220 relay.example\r\n");
      socket.on("data", (chunk) => {
        const said = chunk.toString("latin1");
        if (/^(EHLO|MAIL|RCPT)/.test(said)) socket.write("250 Ok\r\n");
        else if (said.startsWith("DATA")) socket.write("354 go\r\n");
        else socket.pause().write("250 2.0.0 Ok: queued as EARLY\r\n");
      });
    });
    await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", () => resolve()));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      relay.close();
    });
    const { port } = relay.address() as { port: number };
    const session = await openSession(
      relayAt(port, { protection: "none", credentials: undefined }),
      { resolveMx: async () => [] },
      patient(),
    );
    onTestFinished(() => session.close());
    await expect(
      session.submit(mail().envelope, Buffer.alloc(8_000_000, "x\r\n"), patient()),
    ).rejects.toMatchObject({ step: "after-data", code: undefined });
  });

  const junk = ["199 hm", "600 hm", "99", "5500 no", "abc", "5", "5x0 no", "\u0665\u0665\u0660 no"];
  test.for(junk.map((reply): [string] => [reply]))("takes %j for no answer at all", async ([reply]) => {
    for (const place of ["greeting", "EHLO", "TLS-EHLO", "AUTH", "MAIL", "RCPT", "DATA"] as const) {
      const relay = await startScripted({ [place]: Buffer.from(`${reply}\r\n`).toString("latin1") });
      const outcome = await transportTo(relay.port).send(mail(), patient());
      expect([place, outcome]).toMatchObject([place, { ...deferred, code: undefined }]);
    }
  });

  test.for<[string]>([
    ...junk.map((reply): [string] => [reply]),
    ["2"],
    ["2500 queued"],
    ["250ok"],
    ["250-ok\r\n550 no"],
    ["550-no\r\n250 ok"],
    ["250-ok\r\nqueued as X\r\n250 ok"],
    ["250-ok\r\n251 ok"],
    ["354 go"],
  ])("after the final dot takes %j for no answer: nobody knows who has the mail", async ([reply]) => {
    const relay = await startScripted({ dot: Buffer.from(`${reply}\r\n`).toString("latin1") });
    expect(await transportTo(relay.port).send(mail(), patient())).toMatchObject(lost);
    expect(relay.contents).toHaveLength(1);
  });

  test.for(["550-no such user\r\n250 Ok\r\n", "550-no such user\r\n450 later\r\n"])(
    "to RCPT of several codes, %j, refuses nothing for good",
    async (RCPT) => {
      const relay = await startScripted({ RCPT });
      expect(await transportTo(relay.port).send(mail(), patient())).toMatchObject({
        ...deferred,
        step: "recipient",
      });
    },
  );

  test("shows whoever looks on no control character", async () => {
    const obeyed = "\x1b]0;owned\x07\x1b[2J\x9b31m\0";
    const relay = await startScripted({
      greeting: `220 relay${obeyed}\r\n`,
      "TLS-EHLO": `250-relay${obeyed}\r\n250-X${obeyed}\r\n250 AUTH PLAIN\r\n`,
      AUTH: `535 5.7.8 no${obeyed}\r\n`,
    });
    const seen: string[] = [];
    const session = await openSession(relayAt(relay.port), { resolveMx: async () => [] }, patient(), {
      heard: ({ text }) => seen.push(text),
    });
    seen.push(...session.extensions());
    await session.authenticate(patient()).catch(() => undefined);
    session.close();
    expect(seen).toContain("X ]0;owned [2J 31m");
    expect(seen.join("")).not.toMatch(/\p{Cc}/u);
    expect(secretsIn(seen.join(""))).toEqual([]);
  });
});

describe("credential theft", () => {
  test.for<[string, Partial<SmtpRelay>, Script]>([
    ["in clear on loopback, after EHLO is refused", { protection: "none" }, { EHLO: "500 5.5.1 what\r\n" }],
    ["in clear on loopback, without AUTH", { protection: "none" }, { EHLO: "250 relay.example\r\n" }],
    ["under implicit TLS, after EHLO is refused", { protection: "implicit" }, { "TLS-EHLO": "502 no\r\n" }],
  ])("by HELO, which lists no AUTH: %s no AUTH is sent", async ([, change, script]) => {
    const protection = change.protection === "implicit" ? "implicit" : "starttls";
    const relay = await startScripted(script, { protection });
    const outcome = await transportTo(relay.port, change).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "unauthorised", step: "auth-offered" });
    expect(commands(relay.received())).not.toContain("AUTH");
    expect(relay.received()).not.toContain("MAIL");
    expect(secretsIn(relay.received())).toEqual([]);
  });

  test.for<[string, string[]]>([
    ["in one write", ["220 ready\r\n250-relay.example\r\n250-AUTH PLAIN\r\n250 OK\r\n"]],
    ["without a line end", ["220 2.0.0 Ready to start TLS\r\n250-SMTPUTF8 INJECTED-MARKER "]],
    ["in writes of their own", ["220 ready\r\n", "250-relay.example\r\n", "250 AUTH PLAIN\r\n"]],
    ["byte by byte", [..."220 ready\r\n250 AUTH PLAIN\r\n"]],
  ])("by replies in clear behind the 220 of STARTTLS, %s, ends before AUTH", async ([, STARTTLS]) => {
    const relay = await startScripted({ STARTTLS, "TLS-EHLO": "250 relay.example\r\n" });
    const outcome = await transportTo(relay.port).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "unauthorised", step: "tls" });
    expect(relay.received()).not.toMatch(/AUTH|MAIL/);
    expect(secretsIn(relay.received())).toEqual([]);
  });

  test("by extensions from before TLS: none of them counts after it", async () => {
    const relay = await startScripted({
      EHLO: "250-relay.example\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 AUTH PLAIN\r\n",
      "TLS-EHLO": "250-relay.example\r\n250 AUTH LOGIN\r\n",
    });
    const session = await openSession(relayAt(relay.port), { resolveMx: async () => [] }, patient());
    expect(session.extensions()).toEqual(["AUTH LOGIN"]);
    session.close();
  });

  const name = "relay.example.net";
  test.for<[string, Parameters<typeof certificate>[0], result: string]>([
    ["its name as a subject alternative name", { forName: name }, "accepted"],
    ["its name as common name alone", { forName: name, altNames: [] }, "unauthorised"],
    [
      "its name as common name, and another",
      { forName: name, altNames: [{ type: 2, value: "other.example" }] },
      "unauthorised",
    ],
    [
      "its name as common name, and an address",
      { forName: name, altNames: [{ type: 7, ip: "127.0.0.9" }] },
      "unauthorised",
    ],
    [
      "its name as common name, and a mail address",
      { forName: name, altNames: [{ type: 1, value: `ops@${name}` }] },
      "unauthorised",
    ],
    [
      "its address, where it is known by name",
      { forName: name, altNames: [{ type: 7, ip: "127.0.0.1" }] },
      "unauthorised",
    ],
    ["a name that ends as its own", { forName: `x${name}` }, "unauthorised"],
    [
      "its name before NUL",
      { forName: name, altNames: [{ type: 2, value: `${name}\0.evil.com` }] },
      "unauthorised",
    ],
    ["a wildcard for its whole domain", { forName: "*.net" }, "unauthorised"],
    ["a wildcard for its label", { forName: "*.example.net" }, "accepted"],
  ])("by a relay whose certificate, by our authority, has %s", async ([, options, result]) => {
    const sockets = socketsTo({ [name]: "127.0.0.1" });
    for (const protection of ["starttls", "implicit"] as const) {
      const relay = await startScripted(
        {},
        { certificate: await certificate({ ca, ...options }), protection },
      );
      const outcome = await transportTo(relay.port, { protection, host: name }, { sockets }).send(
        mail(),
        patient(),
      );
      expect(outcome.result).toBe(result);
      if (result === "accepted") continue;
      expect(outcome).toMatchObject({ step: "tls" });
      expect(relay.received()).not.toMatch(/AUTH|MAIL/);
    }
  });

  test.for<[Mechanism]>([["PLAIN"], ["LOGIN"], ["CRAM-MD5"]])(
    "by whoever looks on: of AUTH %s he sees the mechanism",
    async ([mechanism]) => {
      const repeated = (line: string) => `334 ${line} ${password}\r\n`;
      const relay = await startScripted({
        "TLS-EHLO": `250-relay.example\r\n250 AUTH ${mechanism}\r\n`,
        AUTH: repeated,
        SASL: repeated,
      });
      const seen: string[] = [];
      const session = await openSession(
        relayAt(relay.port, { auth: [mechanism] }),
        { resolveMx: async () => [] },
        patient(),
        {
          heard: ({ text }) => seen.push(text),
        },
      );
      await session.authenticate(brief()).catch((error: Error) => seen.push(error.message));
      session.close();
      expect(seen).toContain(mechanism === "PLAIN" ? "AUTH PLAIN [redacted]" : `AUTH ${mechanism}`);
      expect(seen.slice(seen.findIndex((line) => line.startsWith("AUTH")) + 1).join()).toContain(
        "[redacted]",
      );
      expect(secretsIn(seen.join("\n"))).toEqual([]);
    },
  );

  test.for<[configured: Mechanism[], offers: string[], used: (string | undefined)[]]>([
    [["PLAIN"], ["LOGIN", "PLAIN"], [undefined, "PLAIN"]],
    [["CRAM-MD5"], ["LOGIN", "PLAIN"], [undefined, undefined]],
    [
      ["LOGIN", "PLAIN"],
      ["LOGIN", "PLAIN"],
      ["LOGIN", "PLAIN"],
    ],
    [["XOAUTH2"], ["PLAIN LOGIN", "PLAIN"], [undefined, undefined]],
  ])("by a downgrade: %j, offered %j one after the other, uses %j", async ([auth, offers, used]) => {
    const relay = await startScripted();
    let now = 0;
    const transport = transportTo(relay.port, { auth }, {}, () => now);
    for (const [index, offered] of offers.entries()) {
      now += 1000;
      relay.script = { "TLS-EHLO": `250-relay.example\r\n250 AUTH ${offered}\r\n`, RSET: "421 closing\r\n" };
      const before = relay.received().length;
      await transport.send(mail(), patient());
      const said = relay.received().slice(before);
      expect(/^AUTH (\S+)/m.exec(said)?.[1]).toBe(used[index]);
      if (!used[index]) expect(secretsIn(said)).toEqual([]);
    }
  });
});

import { createServer, type Socket } from "node:net";
import { duplexPair } from "node:stream";
import type { TLSSocket } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { openSession } from "../../functions/deliver/smtp-session.ts";
import { nodeSockets } from "../../functions/deliver/smtp-socket.ts";
import { contentOf, replyReader, type Sockets } from "../../functions/deliver/smtp-wire.ts";
import { silence } from "./scripted-relay.ts";
import { brief, ca, mail, patient, relayAt, startScripted, transportTo } from "./sending.ts";

const offering = (...extensions: string[]) => ({
  "TLS-EHLO": ["250-relay.example", ...extensions.map((each) => `250-${each}`), "250 AUTH PLAIN\r\n"].join(
    "\r\n",
  ),
});
/** The last mail's envelope, command by command. */
const envelopeIn = (received: string) => /^MAIL [\s\S]*?(?=^DATA)/m.exec(received)?.[0].trim().split("\r\n");

describe("a reply", () => {
  const read = (...chunks: string[]) => {
    const reader = replyReader();
    return chunks.flatMap((chunk) => [...reader.read(Buffer.from(chunk, "latin1"))]);
  };

  test("is the same however its bytes are cut", () => {
    const bytes = "220 a\r\n250-b\r\n250-\r\n250 c\n354\r\n";
    const whole = [
      { code: 220, text: "220 a" },
      { code: 250, text: "250-b\n250-\n250 c" },
      { code: 354, text: "354" },
    ];
    for (let one = 0; one <= bytes.length; one++)
      for (let two = one; two <= bytes.length; two++)
        expect(read(bytes.slice(0, one), bytes.slice(one, two), bytes.slice(two))).toEqual(whole);
    expect(read(...bytes)).toEqual(whole);
  });

  test("is read as UTF-8, and byte by byte if it is none", () => {
    const text = Buffer.from("250 größer\r\n").toString("latin1");
    expect(read(...text)[0]?.text).toBe("250 größer");
    expect(read("250 gr\xf6\xdfer\r\n")[0]?.text).toBe("250 größer");
  });

  test("counts though what comes behind it is none", () => {
    const reader = replyReader();
    const replies = reader.read(Buffer.from("250 taken\r\nnonsense\r\n"));
    expect(replies.next().value).toEqual({ code: 250, text: "250 taken" });
    expect(() => replies.next()).toThrow("nonsense");
  });

  test.for(["x".repeat(65_537), `250-${"x".repeat(65_531)}\r\n`, "250-x\r\n".repeat(9_363)])(
    "of more than 64 KB is none (%#)",
    (bytes) => {
      expect(() => read(bytes)).toThrow("longer than 64 KB");
      expect(() => read(...(bytes.match(/[\s\S]{1,1000}/g) ?? []))).toThrow("longer than 64 KB");
    },
  );
});

describe("content", () => {
  test.for<[string, string]>([
    ["", ".\r\n"],
    ["a", "a\r\n.\r\n"],
    ["a\r\n", "a\r\n.\r\n"],
    [".", "..\r\n.\r\n"],
    ["a\n.b\r.c\r\n..", "a\r\n..b\r\n..c\r\n...\r\n.\r\n"],
    ["a\r\r\n\n", "a\r\n\r\n\r\n.\r\n"],
    ["\xff.\x85.\x00.", "\xff.\x85.\x00.\r\n.\r\n"],
  ])("%j goes as %j", ([bytes, wire]) => {
    expect(contentOf(Buffer.from(bytes, "latin1")).toString("latin1")).toBe(wire);
  });
});

describe("MAIL and RCPT", () => {
  test("say the size where SIZE is offered, with a limit or without", async () => {
    for (const offered of ["SIZE", "SIZE 0", "SIZE 10240000", "size 9999"]) {
      const relay = await startScripted(offering(offered));
      expect((await transportTo(relay.port).send(mail(), patient())).result).toBe("accepted");
      const bytes = (relay.contents[0] ?? "").replaceAll(/^\./gm, "").length;
      expect(envelopeIn(relay.received())).toEqual([
        `MAIL FROM:<nagios@example.com> SIZE=${bytes}`,
        "RCPT TO:<ops@example.org>",
      ]);
    }
  });

  test("are not said for a mail that is larger than the relay takes: that is the mail's fault", async () => {
    const relay = await startScripted(offering("SIZE 500"));
    const outcome = await transportTo(relay.port).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "refused", about: "message", code: 552 });
    expect(outcome.reply).toMatch(/^552 5\.3\.4 \d+ bytes are more than the 500 that the relay takes$/);
    expect(relay.received()).not.toMatch(/MAIL|Subject/);
  });

  test("ask for a report of a failure where DSN is offered, by the mail's own id", async () => {
    const relay = await startScripted(offering("DSN"));
    const envelope = { from: "nagios@example.com", to: "ops+a=b@example.org" };
    await transportTo(relay.port).send(mail({ envelope, messageId: "<0123abcd@example.com>" }), patient());
    expect(envelopeIn(relay.received())).toEqual([
      "MAIL FROM:<nagios@example.com> RET=HDRS ENVID=0123abcd",
      "RCPT TO:<ops+a=b@example.org> NOTIFY=FAILURE ORCPT=rfc822;ops+2Ba+3Db@example.org",
    ]);
  });

  test("name eight-bit content where that is offered and needed", async () => {
    const relay = await startScripted(offering("8BITMIME", "SMTPUTF8"));
    const session = await openSession(relayAt(relay.port), { resolveMx: async () => [] }, patient());
    onTestFinished(() => session.close());
    const from = "nagios@example.com";
    await session.submit({ from, to: "ops@example.org" }, Buffer.from("a"), patient());
    await session.submit({ from, to: "ops@example.org" }, Buffer.from("ä"), patient());
    expect(relay.received().match(/^MAIL .*/gm)).toEqual([
      "MAIL FROM:<nagios@example.com>",
      "MAIL FROM:<nagios@example.com> BODY=8BITMIME",
    ]);
  });

  test("say nothing of what is not offered", async () => {
    const relay = await startScripted();
    await transportTo(relay.port).send(mail(), patient());
    expect(envelopeIn(relay.received())).toEqual([
      "MAIL FROM:<nagios@example.com>",
      "RCPT TO:<ops@example.org>",
    ]);
  });
});

describe("PIPELINING", () => {
  /** The commands that we write after EHLO. */
  const writesTo = async (offered: boolean) => {
    const [ours, theirs] = duplexPair();
    const writes: string[] = [];
    theirs.on("data", (chunk: Buffer) => {
      const text = String(chunk);
      writes.push(text);
      for (const line of text.split("\r\n").filter(Boolean))
        if (line.startsWith("EHLO")) theirs.write(`250-r\r\n250 ${offered ? "PIPELINING" : "HELP"}\r\n`);
        else if (line === "DATA") theirs.write("354 go\r\n");
        else if (/^(MAIL|RCPT)|^\.$/.test(line)) theirs.write("250 Ok\r\n");
    });
    theirs.write("220 relay.example\r\n");
    const sockets: Sockets = {
      connect: async () => ours,
      secure: () => Promise.reject(new Error("in clear")),
    };
    const relay = relayAt(25, { protection: "none", credentials: undefined });
    const session = await openSession(relay, { resolveMx: async () => [], sockets }, patient());
    await session.submit(mail().envelope, Buffer.from("a"), patient());
    session.close();
    return writes.slice(1);
  };

  test("sends MAIL, RCPT and DATA in one write, but only where it is offered", async () => {
    const [from, to] = ["MAIL FROM:<nagios@example.com>\r\n", "RCPT TO:<ops@example.org>\r\n"];
    expect(await writesTo(true)).toEqual([`${from}${to}DATA\r\n`, "a\r\n.\r\n"]);
    expect(await writesTo(false)).toEqual([from, to, "DATA\r\n", "a\r\n.\r\n"]);
  });

  const codes = ["250 Ok", "450 later", "550 no"];
  const data = ["354 go", "451 later", "554 no valid recipients"];
  const all = codes.flatMap((MAIL) => codes.flatMap((RCPT) => data.map((DATA) => ({ MAIL, RCPT, DATA }))));
  test.for(all)(
    "with MAIL, RCPT and DATA answered by %j: the first refusal counts, no empty mail arises",
    async (said) => {
      const relay = await startScripted({
        ...offering("PIPELINING"),
        MAIL: `${said.MAIL}\r\n`,
        RCPT: `${said.RCPT}\r\n`,
        DATA: `${said.DATA}\r\n`,
      });
      const transport = transportTo(relay.port);
      const outcome = await transport.send(mail(), patient());
      const first = Object.values(said).find((reply) => /^[45]/.test(reply));
      if (!first) return expect(outcome.result).toBe("accepted");
      expect(outcome.reply).toBe(first);
      expect(relay.contents.join("")).not.toContain("Subject");
      // An empty content behind a recipient that was taken would be a mail.
      if (said.RCPT.startsWith("250")) expect(relay.contents).toEqual([]);
      relay.script = offering("PIPELINING");
      expect(await transport.send(mail(), patient())).toMatchObject({
        result: "accepted",
        queueId: "SCRIPTED1",
      });
      expect(relay.contents.filter((content) => content.includes("Subject"))).toHaveLength(1);
    },
  );

  test("waits for no more than five seconds when a relay answers MAIL alone, and refuses it", async () => {
    const relay = await startScripted({
      ...offering("PIPELINING"),
      MAIL: "550 5.7.1 no\r\n",
      RCPT: silence,
      DATA: silence,
    });
    const begun = performance.now();
    const outcome = await transportTo(relay.port).send(mail(), AbortSignal.timeout(15_000));
    expect(outcome).toMatchObject({ result: "unauthorised", reply: "550 5.7.1 no" });
    expect(performance.now() - begun).toBeLessThan(7_000);
    await relay.allClosed();
  });
});

describe("EHLO", () => {
  test.for([undefined, "", "localhost", "localhost.localdomain", "monitor", "a b.example"])(
    "with %j for a name says an address",
    async (name) => {
      const relay = await startScripted();
      await transportTo(relay.port, { name }).send(mail(), patient());
      expect(relay.received().match(/^EHLO .*/gm)).toEqual(["EHLO [127.0.0.1]", "EHLO [127.0.0.1]"]);
    },
  );

  test("waits for the relay's TLS ticket, as far as a busy machine lets it", async () => {
    let tickets = 0;
    for (let count = 0; count < 10; count++) {
      const relay = await startScripted({}, { protection: "implicit" });
      const socket = await nodeSockets.connect("127.0.0.1", relay.port, patient());
      const secured = await nodeSockets.secure(socket, "127.0.0.1", ca.cert, patient());
      if ((secured.socket as TLSSocket).getTLSTicket()?.length) tickets += 1;
      secured.socket.destroy();
    }
    expect(tickets).toBeGreaterThan(3);
  });
});

describe("a relay's name", () => {
  const listening = async (host: string) => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket.on("error", () => undefined));
      socket.write("220 relay.example\r\n");
      socket.on("data", (chunk) =>
        socket.write(/^[EH]..O/.test(String(chunk)) ? "250 relay.example\r\n" : "221 bye\r\n"),
      );
    });
    await new Promise<void>((resolve) => server.listen({ port: 0, host, ipv6Only: true }, () => resolve()));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return (server.address() as { port: number }).port;
  };

  test.for(["127.0.0.1", "::1"])("localhost is found though it listens on %s alone", async (host) => {
    const port = await listening(host);
    const passed: string[][] = [];
    const session = await openSession(
      relayAt(port, { host: "localhost", protection: "none", credentials: undefined }),
      { resolveMx: async () => [] },
      patient(),
      { passed: (...point) => passed.push(point) },
    );
    session.close();
    expect(passed.map(([point]) => point)).toEqual(["dns", "connect"]);
    expect(passed[1]).toEqual(["connect", host]);
  });

  test("that is none defers the mail, and says so", async () => {
    const change = { host: "no-such-host.invalid", protection: "none", credentials: undefined } as const;
    expect(await transportTo(1, change).send(mail(), patient())).toMatchObject({
      result: "deferred",
      step: "connect",
      reply: expect.stringMatching(/^getaddrinfo E\w+ no-such-host\.invalid$/),
    });
  });

  test("whose host does not answer is given up in time", async () => {
    const sockets: Sockets = {
      ...nodeSockets,
      connect: (_host, port, signal) => nodeSockets.connect("192.0.2.1", port, signal),
    };
    const begun = performance.now();
    expect(await transportTo(25, {}, { sockets }).send(mail(), brief())).toMatchObject({
      result: "deferred",
      step: "connect",
    });
    expect(performance.now() - begun).toBeLessThan(2_000);
  });
});

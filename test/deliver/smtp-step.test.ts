import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { Duplex } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Sockets } from "../../functions/deliver/smtp-wire.ts";
import { silence } from "./scripted-relay.ts";
import { base64, mail, password, patient, relayAt, startScripted, transportTo, trusted } from "./sending.ts";

const ehlo = (...extensions: string[]) =>
  ["250-relay.example", ...extensions.map((one) => `250-${one}`), "250 AUTH PLAIN"]
    .join("\r\n")
    .concat("\r\n");
const pipelining = { "TLS-EHLO": ehlo("PIPELINING") };

describe("SIZE", () => {
  test.for(["1e2", "0x10", " 12 ", "10 20", "-1", "0", "ten", ""])("as %j is no limit", async (size) => {
    const relay = await startScripted({ "TLS-EHLO": ehlo(`SIZE ${size}`) });
    expect(await transportTo(relay.port).send(mail(), patient())).toMatchObject({ result: "accepted" });
  });

  test("that is smaller than the mail refuses it before it leaves", async () => {
    const relay = await startScripted({ "TLS-EHLO": ehlo("SIZE 100") });
    const outcome = await transportTo(relay.port).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "refused", about: "message", code: 552 });
    expect(relay.verbs()).not.toContain("MAIL");
  });
});

describe("the replies to commands that went out together", () => {
  test("a silence does not say at which step: the next mail goes one by one, and its silence says so", async () => {
    const relay = await startScripted({ ...pipelining, MAIL: silence });
    const transport = transportTo(relay.port);
    const steps: (string | undefined)[] = [];
    for (let n = 0; n < 2; n++) {
      const outcome = await transport.send(mail(), AbortSignal.timeout(700));
      steps.push(outcome.result === "deferred" ? outcome.step : outcome.result);
    }
    expect(steps).toEqual(["recipient", "sender"]);
    expect(relay.verbs().filter((verb) => verb === "RCPT")).toHaveLength(1);
  });

  test.for([
    [{}, 1],
    [{ RCPT: "550 5.1.1 unknown user\r\n" }, 0],
    [{ DATA: silence }, 0],
  ] as const)(
    "contentBegins is called when the content leaves, and only then: %j",
    async ([script, times]) => {
      const relay = await startScripted({ ...pipelining, ...script });
      let calls = 0;
      await transportTo(relay.port).send(mail(), AbortSignal.timeout(700), undefined, () => {
        calls += 1;
        expect(relay.contents).toEqual([]);
      });
      expect(calls).toBe(times);
    },
  );

  test.for(["221 bye\r\n", "250 Ok\r\n", "421 closing\r\n"])(
    "DATA that is answered by %j behind a refused RCPT ends the session",
    async (DATA) => {
      const relay = await startScripted({ ...pipelining, RCPT: "550 5.1.1 unknown user\r\n", DATA });
      const transport = transportTo(relay.port);
      expect(await transport.send(mail(), patient())).toMatchObject({
        result: "refused",
        about: "recipient",
      });
      relay.script = pipelining;
      expect(await transport.send(mail(), patient())).toMatchObject({ result: "accepted" });
      expect(relay.connections).toBe(2);
    },
  );

  test("DATA that is taken behind a refused RCPT is ended by a lone dot, and the session goes on", async () => {
    const relay = await startScripted({
      ...pipelining,
      RCPT: "550 5.1.1 unknown user\r\n",
      dot: "554 5.5.1 no valid recipients\r\n",
    });
    const transport = transportTo(relay.port);
    expect(await transport.send(mail(), patient())).toMatchObject({ result: "refused", code: 550 });
    relay.script = pipelining;
    expect(await transport.send(mail(), patient())).toMatchObject({ result: "accepted" });
    expect(relay.connections).toBe(1);
    expect(relay.contents[0]).toBe("\r\n");
  });

  test("a refused MAIL leaves no empty mail for a recipient that the relay takes", async () => {
    const relay = await startScripted({ ...pipelining, MAIL: "553 5.7.1 not you\r\n" });
    expect(await transportTo(relay.port).send(mail(), patient())).toMatchObject({
      result: "unauthorised",
      code: 553,
    });
    await relay.allClosed();
    expect(relay.contents).toEqual([]);
  });
});

/** A transport over what `sockets` makes of connections. */
const over = (sockets: Sockets, protection: "none" | "starttls" | "implicit") =>
  transportTo(25, { ...relayAt(25), protection, credentials: undefined }, { sockets });
const tls = { version: "TLSv1.3", cipher: "x", subject: "relay.example", validTo: "" };
/** One end of a connection; the other says each of `replies` in answer to a write, and keeps what is written. */
const end = (replies: string[], written: string[] = []): Duplex => {
  const duplex: Duplex = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _, done) => {
      written.push(chunk.toString());
      const reply = replies.shift();
      if (reply !== undefined) setImmediate(() => duplex.destroyed || duplex.push(reply));
      done();
    },
  });
  return duplex;
};

describe("before the client listens", () => {
  const gone = (): Duplex => end([]).destroy();
  test.for<["none" | "implicit", Sockets]>([
    ["none", { connect: async () => gone(), secure: async () => ({ socket: gone(), tls }) }],
    ["implicit", { connect: async () => end([]), secure: async () => ({ socket: gone(), tls }) }],
  ])("a connection that is over (%s) is not waited for", async ([protection, sockets]) => {
    // Its "close" has been told by then.
    const later: Sockets = {
      connect: async (...all) => {
        const socket = await sockets.connect(...all);
        await new Promise(setImmediate);
        return socket;
      },
      secure: async (...all) => {
        const secured = await sockets.secure(...all);
        await new Promise(setImmediate);
        return secured;
      },
    };
    expect(await over(later, protection).send(mail(), patient())).toMatchObject({
      result: "deferred",
      step: "connect",
      reply: "the relay closed the connection",
    });
  });

  test("a reply under TLS is not the answer to EHLO", async () => {
    const clear = end(["250-x\r\n250 STARTTLS\r\n", "220 ready\r\n"]);
    clear.push("220 hello\r\n");
    const written: string[] = [];
    const socket = end(["250 relay.example\r\n"], written);
    socket.push("220 hello again\r\n");
    const outcome = await over(
      { connect: async () => clear, secure: async () => ({ socket, tls }) },
      "starttls",
    ).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "deferred", step: "connect" });
    expect(written).toEqual([]);
  });
});

test("content that is refused before it has left does not come to its end", async () => {
  const clear = end(["250 x\r\n", "250 Ok\r\n", "250 Ok\r\n", "354 go\r\n"]);
  clear.push("220 hello\r\n");
  const write = clear._write.bind(clear);
  clear._write = (chunk: Buffer, encoding, done) => {
    if (!chunk.toString().endsWith("\r\n.\r\n")) return write(chunk, encoding, done);
    // A network that takes no more for now.
    clear.push("550 5.7.1 spam\r\n");
  };
  const sockets: Sockets = { connect: async () => clear, secure: async () => ({ socket: clear, tls }) };
  expect(await over(sockets, "none").send(mail(), patient())).toMatchObject({
    step: "after-data",
    code: 550,
  });
  expect(clear.destroyed).toBe(true);
});

test.for([
  base64(password).slice(0, -6),
  password.slice(0, -3),
  base64(`\0bridge\0${password}`).slice(0, -8),
  encodeURIComponent(password).slice(0, -4),
])("a refusal that repeats %j, cut off before its end, tells nobody", async (said) => {
  const relay = await startScripted({
    "TLS-EHLO": "250-relay.example\r\n250 AUTH LOGIN\r\n",
    password: `535 5.7.8 cannot read ${said}, nor ${said}\r\n`,
  });
  const outcome = await transportTo(relay.port, { auth: ["LOGIN"] }).send(mail(), patient());
  expect(outcome.reply).toMatch(/^535 5\.7\.8 cannot read .*\[redacted\], nor .*\[redacted\]$/);
  expect(outcome.reply).not.toContain(said.slice(-12));
});

describe("while the relay's TLS tickets are waited for", () => {
  const listening = async <S extends Server>(server: S): Promise<number> => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    onTestFinished(() => void server.close());
    return (server.address() as AddressInfo).port;
  };
  const tlsRelay = (hangUp: boolean) =>
    createTlsServer(trusted, (socket) => {
      socket.on("error", () => undefined);
      if (hangUp) socket.destroy();
    });

  test("a relay that hangs up is told as that", async () => {
    const port = await listening(tlsRelay(true));
    expect(await transportTo(port, { protection: "implicit" }).send(mail(), patient())).toMatchObject({
      result: "deferred",
      step: "connect",
      reply: "the relay closed the connection",
    });
  });

  test("an attempt ends when its time is over, however long the handshake took", async () => {
    const target = await listening(tlsRelay(false));
    // The first flight comes late, and the tickets never.
    const slow = createServer((socket) => {
      const onward = connect(target, "127.0.0.1");
      for (const end of [socket, onward]) end.on("error", () => undefined);
      socket.pipe(onward);
      onward.once("data", (chunk) => setTimeout(() => socket.write(chunk), 500));
      onTestFinished(() => void onward.destroy());
    });
    const port = await listening(slow);
    const begun = performance.now();
    const outcome = await transportTo(port, { protection: "implicit" }).send(
      mail(),
      AbortSignal.timeout(600),
    );
    expect(outcome).toMatchObject({ result: "deferred", step: "connect" });
    expect(performance.now() - begun).toBeLessThan(3_000);
  });
});

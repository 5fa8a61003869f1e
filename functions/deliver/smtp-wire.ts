import type { Duplex } from "node:stream";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { tooLate } from "./in-time.ts";
import type { Tls } from "./outcome.ts";
import type { SessionObserver } from "./session.ts";

/** How a runtime reaches relays. A connection is a stream of bytes both ways. */
export type Sockets = {
  /** A connection in clear to a host by its name. `passed` is told the address found and that it is connected. */
  connect(
    host: string,
    port: number,
    signal: AbortSignal,
    passed?: SessionObserver["passed"],
  ): Promise<Duplex>;
  /** The same connection under TLS. Rejects unless its certificate is valid for `host`; with `ca`, by that authority only. */
  secure(socket: Duplex, host: string, ca: string | undefined, signal: AbortSignal): Promise<Secured>;
};
type Secured = { socket: Duplex; tls: Tls };

/** One reply (RFC 5321 §4.2): its code, and its lines as they came, joined by line feeds. */
export type Reply = { code: number; text: string };

const mostReplyBytes = 65_536;

const outOfStep = () => new Error("the relay's replies are out of step with our commands");

/** Text as UTF-8 if it is valid. Else each byte becomes a character, so that nothing is lost. */
const decoded = (bytes: string): string => {
  const text = Buffer.from(bytes, "latin1").toString("utf8");
  return text.includes("\ufffd") ? bytes : text;
};

/**
 * Reads replies from bytes, however they are cut. Keeps at most 64 KB and throws at a longer reply. If the bytes are no
 * reply (a line without a code from 200 to 599, or lines with different codes), it throws what it read.
 */
export const replyReader = () => {
  let lines: string[] = [];
  let rest = "";
  let bytes = 0;
  const count = (more: number) => {
    bytes += more;
    if (bytes > mostReplyBytes) throw new Error("the relay's reply is longer than 64 KB");
  };
  return {
    *read(chunk: Buffer): Generator<Reply> {
      const pieces = chunk.toString("latin1").split("\n");
      const last = pieces.pop() ?? "";
      for (const piece of pieces) {
        count(piece.length + 1);
        const line = (rest + piece).replace(/\r$/, "");
        rest = "";
        const [, code, mark] = /^([2-5]\d\d)([ -]|$)/.exec(line) ?? [];
        if (code === undefined || (lines[0] ?? code).slice(0, 3) !== code)
          throw new Error(line || "an empty line instead of a reply");
        lines.push(line);
        if (mark === "-") continue;
        const text = decoded(lines.join("\n"));
        [lines, bytes] = [[], 0];
        yield { code: Number(code), text };
      }
      count(last.length);
      rest += last;
    },
    /** Whether a reply has begun and not ended. */
    midway: () => bytes > 0,
  };
};

/**
 * Speaks over a connection on which some replies are `owed` already (the greeting is one). A reply that no command asked
 * for ends the connection, and never answers a later command. It is read as a refusal in two cases: 421 at any time
 * (RFC 5321 §3.8), and any refusal right behind 354.
 */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: one socket, and the events that change what is owed.
export const wireOver = (socket: Duplex, owed: number, heard: (reply: string) => void) => {
  const reader = replyReader();
  const arrived: Reply[] = [];
  let fault: Error | undefined;
  let handOver: (() => void) | undefined;
  let last = 0;
  let waiting: PromiseWithResolvers<Reply> | undefined;
  const end = (error: Error) => {
    fault ??= error;
    waiting?.reject(fault);
    waiting = undefined;
    socket.destroy();
  };
  const closed = () => end(new Error("the relay closed the connection"));
  const take = (reply: Reply) => {
    heard(reply.text);
    const asked = owed > 0;
    if (!asked && reply.code !== 421 && !(last === 354 && reply.code >= 400)) throw outOfStep();
    last = reply.code;
    if (asked) owed -= 1;
    if (waiting) waiting.resolve(reply);
    else arrived.push(reply);
    waiting = undefined;
    if (!asked) closed();
  };
  const receive = (chunk: Buffer) => {
    if (fault) return;
    try {
      for (const reply of reader.read(chunk)) {
        take(reply);
        if (fault) return;
      }
      if (owed === 0 && reader.midway()) throw outOfStep();
      if (last === 220 && owed === 0) handOver?.();
    } catch (error) {
      end(error as Error);
    }
  };
  socket.on("data", receive).on("end", closed).on("error", end).on("close", closed);
  // The connection may have ended, or a reply may have come, before anyone listened.
  if (socket.destroyed) closed();
  else if (owed === 0 && socket.readableLength > 0) end(outOfStep());
  // The socket may be paused, so that nothing is lost.
  socket.resume();
  /** The next reply that is due. If `signal` or the time limit ends the wait, the connection is over. */
  const reply = async (signal: AbortSignal, milliseconds: number): Promise<Reply> => {
    const first = arrived.shift();
    if (first) return first;
    if (signal.aborted) end(tooLate());
    if (fault) throw fault;
    const giveUp = () => end(tooLate());
    const timer = setTimeout(giveUp, milliseconds);
    signal.addEventListener("abort", giveUp);
    waiting = Promise.withResolvers<Reply>();
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
    }
  };
  return {
    /** Writes commands or content, which that many replies answer. Throws if the connection is over. */
    say: (bytes: string | Buffer, replies: number) => {
      if (fault && arrived.length === 0) throw fault;
      owed += replies;
      if (!fault) socket.write(bytes);
    },
    reply,
    /**
     * The next reply, and if it is 220, the result of `secure`, which owns the connection from then on. `secure` is called
     * while the reply is read, because workerd must not read on. It is not called if bytes came behind the reply.
     */
    startTls: async (
      secure: (socket: Duplex) => Promise<Duplex>,
      signal: AbortSignal,
      milliseconds: number,
    ) => {
      let secured: Promise<Duplex> | undefined;
      handOver = () => {
        socket.off("data", receive).off("end", closed).off("close", closed);
        secured = secure(socket);
        // The caller that waits for a reply gets the error.
        secured.catch(() => undefined);
      };
      return { reply: await reply(signal, milliseconds), secured };
    },
    /** Whether some bytes have not left this process. The news that bytes have left may come later than a reply. */
    unsent: async () => {
      if (socket.writableLength > 0) await new Promise<void>((resolve) => setImmediate(resolve));
      return socket.writableLength > 0;
    },
    over: () => fault !== undefined,
    whenOver: (tell: () => void) => socket.once("close", tell),
    close: () => end(new Error("the session is closed")),
  };
};

/** Content as DATA requires it: CRLF alone ends lines, dots that begin one are doubled, and a lone dot ends it (§4.5.2). */
export const contentOf = (bytes: Buffer): Buffer => {
  const text = bytes.toString("latin1").replace(/\r\n?|\n/g, "\r\n");
  const whole = text === "" || text.endsWith("\r\n") ? text : `${text}\r\n`;
  return Buffer.from(`${whole.replace(/^\./gm, "..")}.\r\n`, "latin1");
};

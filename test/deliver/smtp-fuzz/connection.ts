import { Duplex } from "node:stream";
import { type SecureContext, TLSSocket } from "node:tls";
import type { ConnectionJudge } from "./judge.ts";

/** Counts what clients and relays do, so that it shows when all are at rest. */
export const activity = { count: 0 };

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Resolves when nothing has happened for so many turns of the event loop. */
export const rest = async (turns: number) => {
  for (let calm = 0; calm < turns; ) {
    const before = activity.count;
    await turn();
    calm = activity.count === before ? calm + 1 : 0;
  }
};

type Ear = {
  judge: ConnectionJudge;
  note(who: "C" | "R" | "-", text: string): void;
  /** How much of what the client has just written goes on its way at once; undefined for all. */
  holds(bytes: number): number | undefined;
};

/** One end of a connection in memory for the client, the other for a relay that says what it is told to say. */
export const connectionInMemory = ({ judge, note, holds }: Ear, context: () => SecureContext) => {
  let held: (() => void) | undefined;
  let server: { raw: Duplex; socket: TLSSocket } | undefined;
  let [ended, delivered] = [false, 0];

  const end = (secure: boolean): Duplex => {
    const duplex = new Duplex({
      allowHalfOpen: false,
      read: () => {
        activity.count += 1;
      },
      write: (chunk: Buffer, _, done) => {
        activity.count += 1;
        // A TLS handshake (RFC 8446 §5.1) where the client makes TLS itself.
        if (!secure && !server && chunk[0] === 0x16) startServer(duplex);
        if (server) server.raw.push(chunk);
        else {
          const text = chunk.toString("latin1");
          const pass = (part: string) => {
            if (part === "") return;
            note("C", part);
            judge.client(part, secure);
          };
          const first = holds(text.length);
          pass(text.slice(0, first));
          if (first !== undefined) {
            held = () => {
              if (!duplex.destroyed) pass(text.slice(first));
              done();
            };
            return;
          }
        }
        done();
      },
      final: (done) => {
        activity.count += 1;
        note("-", "the client ends the connection");
        done();
      },
      destroy: (error, done) => {
        activity.count += 1;
        if (current === duplex) note("-", "the client closes the connection");
        server?.socket.destroy();
        done(error);
      },
    });
    return Object.assign(duplex, {
      setKeepAlive: () => duplex,
      setNoDelay: () => duplex,
      setTimeout: () => duplex,
      remoteAddress: "192.0.2.1",
    });
  };
  const startServer = (duplex: Duplex) => {
    const raw: Duplex = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _, done) => {
        activity.count += 1;
        if (!duplex.destroyed) duplex.push(chunk);
        done();
      },
    });
    const socket = new TLSSocket(raw, { isServer: true, secureContext: context() });
    server = { raw, socket };
    judge.secure(false);
    socket.on("secure", () => {
      activity.count += 1;
      note("-", "TLS");
      judge.secure(true);
    });
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      activity.count += 1;
      note("C", chunk.toString("latin1"));
      judge.client(chunk.toString("latin1"), true);
    });
  };
  const clear = end(false);
  let current = clear;

  return {
    clear,
    /** The same connection under TLS, without its bytes. */
    secured: (): Duplex => {
      current = end(true);
      note("-", "TLS");
      judge.secure(true);
      clear.on("close", () => current.destroy());
      current.on("close", () => clear.destroy());
      return current;
    },
    say(text: string) {
      if (current.destroyed || ended) return;
      activity.count += 1;
      delivered += text.length;
      note("R", text);
      judge.relay(text);
      const bytes = Buffer.from(text, "latin1");
      if (server) server.socket.write(bytes);
      else current.push(bytes);
    },
    end() {
      if (current.destroyed || ended) return;
      activity.count += 1;
      ended = true;
      note("-", "the relay ends the connection");
      judge.closed();
      if (server) {
        server.socket.end();
        clear.push(null);
      } else current.push(null);
    },
    reset() {
      if (current.destroyed) return;
      activity.count += 1;
      ended = true;
      note("-", "the relay resets the connection");
      judge.closed();
      clear.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
      if (current !== clear)
        current.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
    },
    /** Lets go what was held on its way. */
    release() {
      const done = held;
      held = undefined;
      if (done) activity.count += 1;
      done?.();
      return done !== undefined;
    },
    isHeld: () => held !== undefined,
    /** The relay's bytes that the client did not read yet. */
    unread: () => current.readableLength + (server?.socket.writableLength ?? 0),
    delivered: () => delivered,
    /** Whether the client has left it. */
    left: () => current.destroyed || current.writableEnded || clear.destroyed,
  };
};

export type ConnectionInMemory = ReturnType<typeof connectionInMemory>;

import { createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Certificate } from "./certificate.ts";

/**
 * Where in a session a relay may misbehave. `TLS` is the handshake, `TLS-EHLO` the EHLO after it, `SASL` the line
 * after a scripted AUTH that was answered with 334, `stranger` RCPT without a login.
 */
export type Place =
  | "greeting"
  | "EHLO"
  | "HELO"
  | "STARTTLS"
  | "TLS"
  | "TLS-EHLO"
  | "AUTH"
  | "user"
  | "password"
  | "SASL"
  | "MAIL"
  | "RCPT"
  | "stranger"
  | "DATA"
  | "dot"
  | "RSET"
  | "QUIT";

export const silence = Symbol("silence");
export const hangUp = Symbol("hang up");

/** The answers of a relay: bytes, nothing, or the end of the connection; a list is written part by part. */
export type Answer = string | typeof silence | typeof hangUp | readonly (string | typeof hangUp)[];
/** The answers at each place, to each line there. */
export type Script = Partial<Record<Place, Answer | ((line: string) => Answer)>>;

/** The answers of a friendly relay, which offers AUTH under TLS alone. */
const friendly: Record<Exclude<Place, "TLS" | "stranger">, string> = {
  greeting: "220 relay.example ESMTP\r\n",
  EHLO: "250-relay.example\r\n250 STARTTLS\r\n",
  HELO: "250 relay.example\r\n",
  STARTTLS: "220 2.0.0 Ready to start TLS\r\n",
  "TLS-EHLO": "250-relay.example\r\n250 AUTH PLAIN LOGIN\r\n",
  AUTH: "235 2.7.0 welcome\r\n",
  user: "334 UGFzc3dvcmQ6\r\n",
  password: "235 2.7.0 welcome\r\n",
  SASL: "235 2.7.0 welcome\r\n",
  MAIL: "250 2.1.0 Ok\r\n",
  RCPT: "250 2.1.5 Ok\r\n",
  DATA: "354 go ahead\r\n",
  dot: "250 2.0.0 Ok: queued as SCRIPTED1\r\n",
  RSET: "250 2.0.0 Ok\r\n",
  QUIT: "221 2.0.0 Bye\r\n",
};

export type ScriptedRelay = {
  port: number;
  /** All bytes of all connections, those under TLS decrypted. */
  received(): string;
  /** The verbs in the order they came, of all connections; `dot` for the end of a mail's content. */
  verbs(): string[];
  /** The content of each mail as it was on the wire, before its final dot. */
  contents: string[];
  /** The answers from now on. */
  script: Script;
  connections: number;
  /** Resolves when no connection is open any more. */
  allClosed(): Promise<void>;
  /** Resolves when the relay has come to this place once more. */
  reached(place: Place): Promise<void>;
  close(): Promise<void>;
};

/** A relay on loopback that keeps every byte it gets and answers by `script`, friendly where it says nothing. */
export const scriptedRelay = async (
  certificate: Certificate,
  script: Script = {},
  protection: "starttls" | "implicit" = "starttls",
): Promise<ScriptedRelay> => {
  const open = new Set<Socket>();
  const received: string[] = [];
  const verbs: string[] = [];
  const emptied = new Set<() => void>();
  const awaited = new Map<Place, () => void>();

  const converse = (raw: Socket) => {
    let socket: Socket = raw;
    let secure = false;
    let loggedIn = false;
    let expecting: "command" | "user" | "password" | "SASL" | "content" = "command";
    let pending = "";

    const answer = (place: keyof typeof friendly, line = "") => {
      awaited.get(place)?.();
      const scripted =
        (place === "RCPT" && !loggedIn ? relay.script.stranger : undefined) ??
        relay.script[place] ??
        friendly[place];
      const said = typeof scripted === "function" ? scripted(line) : scripted;
      if (said === silence) return "";
      if (said === hangUp) socket.destroy();
      const parts = typeof said === "symbol" ? [] : [said].flat();
      for (const part of parts)
        if (typeof part === "string") socket.write(part, "latin1");
        else socket.destroySoon();
      const text = parts.filter((part) => typeof part === "string").join("");
      loggedIn ||= ["AUTH", "password", "SASL"].includes(place) && text.startsWith("235");
      return text;
    };
    const startTls = () => {
      awaited.get("TLS")?.();
      socket.removeAllListeners("data");
      const { TLS } = relay.script;
      if (TLS === silence) return void socket.resume();
      if (TLS === hangUp) return void socket.destroy();
      if (typeof TLS === "string") return void socket.once("data", () => socket.write(TLS));
      secure = true;
      pending = "";
      socket = new TLSSocket(raw, { isServer: true, key: certificate.key, cert: certificate.cert });
      for (const end of ["error", "end"]) socket.on(end, () => raw.destroy());
      socket.on("data", hear);
    };
    const obey = (line: string) => {
      if (expecting === "user" || expecting === "password") {
        const place = expecting;
        expecting = answer(place, line).startsWith("334") ? "password" : "command";
        return;
      }
      if (expecting === "SASL") {
        expecting = answer("SASL", line).startsWith("334") ? "SASL" : "command";
        return;
      }
      const verb = line.split(" ", 1)[0]?.toUpperCase() ?? "";
      verbs.push(verb);
      if (verb === "EHLO") answer(secure ? "TLS-EHLO" : "EHLO", line);
      else if (verb === "STARTTLS") {
        if (answer("STARTTLS").startsWith("220")) startTls();
      } else if (verb === "AUTH") {
        if (line === "AUTH LOGIN" && relay.script.AUTH === undefined) {
          socket.write("334 VXNlcm5hbWU6\r\n");
          expecting = "user";
        } else if (answer("AUTH", line).startsWith("334"))
          expecting = relay.script.SASL === undefined ? "password" : "SASL";
      } else if (verb === "DATA") {
        if (answer("DATA").startsWith("354")) {
          expecting = "content";
          pending = `\r\n${pending}`;
        }
      } else if (verb in friendly) answer(verb as keyof typeof friendly, line);
      else socket.write("500 5.5.1 unknown command\r\n");
    };
    const hear = (chunk: Buffer) => {
      received.push(chunk.toString("latin1"));
      pending += chunk.toString("latin1");
      for (;;) {
        const mark = expecting === "content" ? "\r\n.\r\n" : "\r\n";
        const end = pending.indexOf(mark);
        if (end < 0) return;
        const heard = pending.slice(0, end);
        pending = pending.slice(end + mark.length);
        if (expecting === "content") {
          expecting = "command";
          verbs.push("dot");
          relay.contents.push(`${heard.slice(2)}\r\n`);
          answer("dot");
        } else obey(heard);
      }
    };

    open.add(raw);
    raw.on("close", () => {
      open.delete(raw);
      if (open.size === 0) for (const tell of emptied) tell();
    });
    raw.on("error", () => undefined);
    raw.on("data", hear);
    if (protection === "implicit") startTls();
    answer("greeting");
  };

  const server = createServer((socket) => {
    relay.connections += 1;
    converse(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the relay has no port");
  const relay: ScriptedRelay = {
    port: address.port,
    received: () => received.join(""),
    verbs: () => [...verbs],
    contents: [],
    script,
    connections: 0,
    allClosed: () =>
      new Promise((resolve) => {
        if (open.size === 0) return resolve();
        emptied.add(resolve);
      }),
    reached: (place) => new Promise((resolve) => awaited.set(place, resolve)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
  return relay;
};

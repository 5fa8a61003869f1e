import { Readable } from "node:stream";
import { type CipherNameAndProtocol, type PeerCertificate, TLSSocket } from "node:tls";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { Step, Tls } from "./delivery.ts";
import type { TokenSource } from "./oauth.ts";
import type { SmtpRelay } from "./relay.ts";
import { type Onlooker, SessionError, type SmtpSession } from "./session.ts";

const timeouts = {
  dnsTimeout: 5_000,
  connectionTimeout: 15_000,
  greetingTimeout: 10_000,
  socketTimeout: 60_000,
  socketCloseTimeout: 1_000,
};
/** For the reply to the final dot. RFC 5321 §4.5.3.2.6 asks for ten minutes: giving up early makes second copies. */
const dotTimeout = 300_000;
/** Of a domain's MX hosts so many are tried: each may take its connection timeout. */
const mostHosts = 4;

/** Looks up who takes mail for a domain; rejects like node:dns. */
export type ResolveMx = (domain: string) => Promise<{ exchange: string; priority: number }[]>;

/** What sessions with one relay share. */
export type SessionParts = { resolveMx: ResolveMx; tokens?: TokenSource };

type ClientError = Error & {
  code?: string;
  originalCode?: string;
  command?: string;
  response?: string;
  responseCode?: number;
};

/** What nodemailer keeps for itself and we must see or use; its version is pinned. */
type Inside = {
  _supportedAuth: string[];
  _ehloLines?: string[];
  _responseQueue: string[];
  _responseActions: ((reply: string) => void)[];
  _sendCommand(line: string): void;
};

const certificateRefused =
  /^(CERT_|UNSPECIFIED|ERR_TLS|ERR_SSL|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/;

/** The step in which a session failed that had come as far as `reached`. */
const stepOf = (reached: Step, { code, originalCode, command, message, responseCode }: ClientError): Step => {
  if (command === "RCPT TO") return "recipient";
  if (command === "DATA" && responseCode !== undefined && reached === "sender") return "data";
  if (reached !== "connect") return reached;
  // RFC 5321 §3.8: it may close so at any command, which says nothing of the command.
  if (responseCode === 421) return "connect";
  if (command === "EHLO" && responseCode !== undefined && responseCode < 500) return "connect";
  if (code === "ETLS" || command === "STARTTLS" || command === "EHLO") return "tls";
  return certificateRefused.test(originalCode ?? "") || /wrong version number/.test(message)
    ? "tls"
    : "connect";
};

/** What an error without a reply says, without the parts that are about Node and OpenSSL. */
const wordsOf = (error: Error): string => {
  // Where a name has several addresses there is one error for each, and the whole says nothing.
  const text = error.message || (error as AggregateError).errors?.map(({ message }) => message).join(", ");
  return text
    .replace(/; if the root CA is installed locally.*/s, "")
    .replace(/^[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):.*/s, "TLS: $1");
};

/** Runs one step of a session: ends with its callback, the session's error or `signal`, whichever comes first. */
const during = <T>(
  connection: SMTPConnection,
  signal: AbortSignal,
  run: (done: (error?: Error | null, value?: T) => void) => void,
): Promise<T | undefined> =>
  new Promise((resolve, reject) => {
    const finish = (error?: Error | null, value?: T) => {
      connection.off("error", finish);
      connection.off("end", ended);
      signal.removeEventListener("abort", aborted);
      if (error) reject(error);
      else resolve(value);
    };
    const aborted = () => finish(new Error("no answer within the time for this attempt"));
    // nodemailer closes first and tells the reply afterwards: the reply is to win.
    const ended = () => queueMicrotask(() => finish(new Error("the relay closed the connection")));
    if (signal.aborted) return aborted();
    connection.on("error", finish);
    connection.on("end", ended);
    signal.addEventListener("abort", aborted);
    run(finish);
  });

const tlsOf = (connection: SMTPConnection): Tls | undefined => {
  const socket = connection._socket;
  if (!(socket instanceof TLSSocket)) return undefined;
  // A closed socket has forgotten all of this: then these are null, whatever their types say.
  const cipher = socket.getCipher() as CipherNameAndProtocol | null;
  const certificate = socket.getPeerCertificate() as PeerCertificate | null;
  if (!cipher) return undefined;
  return {
    version: socket.getProtocol() ?? "",
    cipher: cipher.name,
    subject: String(certificate?.subject?.CN ?? certificate?.subjectaltname ?? ""),
    validTo: certificate?.valid_to ?? "",
  };
};

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** What must not be shown of a session: some relays repeat it with the command they refuse. */
const secretsOf = ({ credentials }: SmtpRelay): string[] => {
  if (!credentials || !("password" in credentials)) return [];
  const [user, password] = [credentials.user, credentials.password.reveal()];
  return [password, base64(password), base64(`\0${user}\0${password}`)];
};

/** What an onlooker may see of a line that the client sent: of AUTH, the mechanism. */
const shown = (line: string, inLogin: boolean): string => {
  const [, command] = /^(AUTH \S+) /i.exec(line) ?? [];
  if (command) return `${command} [redacted]`;
  return inLogin && line !== "" && !/^AUTH /i.test(line) ? "[redacted]" : line;
};

const dnsCode = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

/**
 * The hosts to try: the relay's own, or those that its MX records name, by preference. A domain without any is its
 * own host (RFC 5321 §5.1); "." takes no mail at all (RFC 7505).
 */
const hostsOf = async ({ mx, host }: SmtpRelay, resolveMx: ResolveMx): Promise<string[]> => {
  if (!mx) return [host];
  try {
    const records = (await resolveMx(host)).toSorted((a, b) => a.priority - b.priority);
    if (records.length === 1 && ["", "."].includes(records[0]?.exchange ?? ""))
      throw new SessionError("connect", `${host} takes no mail (its MX record is ".")`);
    return records.length === 0 ? [host] : records.slice(0, mostHosts).map(({ exchange }) => exchange);
  } catch (error) {
    if (error instanceof SessionError) throw error;
    if (["ENODATA", "ENOTFOUND"].includes(dnsCode(error))) return [host];
    throw new SessionError("connect", `the MX records of ${host} cannot be looked up (${dnsCode(error)})`);
  }
};

const openAt = async (
  host: string,
  relay: SmtpRelay,
  { tokens }: SessionParts,
  signal: AbortSignal,
  onlooker: Onlooker,
): Promise<SmtpSession> => {
  let step: Step = "connect";
  let inLogin = false;
  let refusal: { reply: string; code?: number } | undefined;
  const secrets = secretsOf(relay);
  const withoutSecrets = (text: string) =>
    secrets.reduce((safe, secret) => safe.replaceAll(secret, "[redacted]"), text);
  // nodemailer throws such bytes away and goes on; they show that somebody sits in between (CVE-2011-0411).
  let injected = false;
  const unheard = () => undefined;
  const reached = (next: Step) => {
    step = next;
    onlooker.reached?.(next);
  };
  const hear = ({ tnx, resolved }: { tnx?: string; resolved?: string }, text: unknown) => {
    if (tnx === "dns") {
      onlooker.passed?.("dns", resolved ?? "");
      // The socket is made right after this line; of the connection before implicit TLS no line tells.
      queueMicrotask(() => {
        const socket = connection._socket;
        if (socket) socket.once("connect", () => onlooker.passed?.("connect", socket.remoteAddress ?? ""));
      });
    }
    if (tnx !== "client" && tnx !== "server") return;
    const from = tnx === "client" ? "client" : "relay";
    for (const line of withoutSecrets(String(text)).split("\n"))
      onlooker.heard?.({ from, text: from === "client" ? shown(line, inLogin) : line });
  };
  const failed = (thrown: unknown): SessionError => {
    if (thrown instanceof SessionError) return thrown;
    const error = thrown as ClientError;
    const reply = withoutSecrets(error.response ?? wordsOf(error));
    return new SessionError(stepOf(step, error), reply, error.responseCode);
  };
  const connection = new SMTPConnection({
    logger: {
      level: unheard,
      trace: unheard,
      debug: hear,
      info: ({ tnx, remoteAddress }: { tnx?: string; remoteAddress?: string }) => {
        const secured = relay.protection === "implicit" && tnx === "network";
        if (secured && remoteAddress) onlooker.passed?.("tls", remoteAddress);
      },
      warn: (entry: object) => {
        injected ||= "discarded" in entry;
      },
      error: unheard,
      fatal: unheard,
    },
    transactionLog: onlooker.heard !== undefined,
    ...timeouts,
    host,
    port: relay.port,
    secure: relay.protection === "implicit",
    requireTLS: relay.protection === "starttls",
    ignoreTLS: relay.protection === "none",
    name: relay.name,
    tls: { ca: relay.ca, minVersion: "TLSv1.2" },
    maxResponseSize: 65_536,
    customAuth: {
      XOAUTH2: async ({ auth, sendCommand }) => {
        let refused: string | undefined;
        // A token may have been revoked before its time: then once more with a new one.
        for (const again of [true, false]) {
          const token = (await tokens?.token(refused)) ?? "";
          const response = base64(`user=${auth.user}\x01auth=Bearer ${token}\x01\x01`);
          secrets.push(token, response);
          let answer = await sendCommand(`AUTH XOAUTH2 ${response}`);
          let challenge = "";
          if (answer.status === 334) {
            // The error is in a challenge, and has to be answered before the relay says no (RFC 7628 §3.2.3).
            challenge = ` (its challenge: ${Buffer.from(answer.response.slice(4), "base64")})`;
            answer = await sendCommand("");
          }
          if (answer.status === 235) return;
          refused = token;
          refusal = { reply: withoutSecrets(answer.response + challenge), code: answer.status };
          if (!again || answer.status !== 535) throw new Error(answer.response);
        }
      },
    },
  });
  const inside = connection as unknown as Inside;
  // An idle session's error has nobody waiting for it; "end" follows.
  connection.on("error", unheard);

  // Read after TLS (RFC 3207 §4.2); nodemailer would take the first that it knows, we the first configured.
  const offered = () => relay.auth.find((mechanism) => inside._supportedAuth.includes(mechanism));

  const authenticate = async (signal: AbortSignal) => {
    const { credentials } = relay;
    if (!credentials) return;
    reached("auth-offered");
    const method = offered();
    if (!method) throw new SessionError(step, `the relay offers no AUTH ${relay.auth.join(" or ")}`);
    if (method === "XOAUTH2") {
      reached("token");
      await tokens?.token();
    }
    reached("auth");
    inLogin = true;
    const pass = "password" in credentials ? credentials.password.reveal() : undefined;
    try {
      await during(connection, signal, (done) =>
        connection.login({ method, user: credentials.user, pass }, done),
      );
    } catch (error) {
      // nodemailer rewrites what a handler of ours throws.
      throw refusal ? new SessionError("auth", refusal.reply, refusal.code) : error;
    } finally {
      inLogin = false;
    }
  };
  /** Runs a step, and tells of its failure by the step it was. */
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw failed(error);
    }
  };

  try {
    reached("connect");
    await guarded(() => during(connection, signal, (done) => connection.connect(done)));
    if (injected) throw new SessionError("tls", "bytes in clear came behind the reply to STARTTLS");
  } catch (error) {
    connection.close();
    throw error;
  }
  return {
    host,
    tls: () => tlsOf(connection),
    extensions: () => inside._ehloLines ?? [],
    mechanism: offered,
    authenticate: (signal) => guarded(() => authenticate(signal)),
    command: async (line, signal) =>
      guarded(async () => {
        if (/\p{Cc}/u.test(line)) throw new Error("a command of one line is wanted");
        const reply = await during<string>(connection, signal, (done) => {
          inside._responseActions.push((text) => done(null, text));
          inside._sendCommand(line);
        });
        return withoutSecrets(reply ?? "");
      }),
    submit: (envelope, bytes, signal) =>
      guarded(async () => {
        reached("sender");
        // nodemailer reads the content only after 354: from then on the final dot may be on its way.
        const content = new Readable({
          read() {
            reached("after-data");
            if (connection._socket) connection._socket.setTimeout(dotTimeout);
            this.push(bytes);
            this.push(null);
          },
        });
        const info = await during<{ response: string }>(connection, signal, (done) =>
          connection.send({ ...envelope }, content, done),
        );
        return info?.response ?? "";
      }),
    reset: async (signal) => {
      reached("connect");
      await guarded(() => during(connection, signal, (done) => connection.reset(done)));
    },
    usable: () => {
      // A reply that nobody asked for would be taken for the answer to the next command.
      if (inside._responseQueue.length > 0) return false;
      if (!connection.destroyed && connection._socket) connection._socket.setTimeout(timeouts.socketTimeout);
      return !connection.destroyed;
    },
    whenOver: (tell) => connection.on("end", tell),
    quit: () => connection.quit(),
    close: () => connection.close(),
  };
};

/**
 * Opens a session as the relay is configured: by MX or by name, STARTTLS or implicit TLS unless it is configured
 * without. Rejects with a SessionError. Where MX records name several hosts, one that cannot be reached gives way to
 * the next. No wait is longer than the timeouts above, nor than `signal`.
 */
export const openSession = async (
  relay: SmtpRelay,
  parts: SessionParts,
  signal: AbortSignal,
  onlooker: Onlooker = {},
): Promise<SmtpSession> => {
  onlooker.reached?.("connect");
  const hosts = await hostsOf(relay, parts.resolveMx);
  let last: unknown;
  for (const host of hosts) {
    try {
      return await openAt(host, relay, parts, signal, onlooker);
    } catch (error) {
      last = error;
      if (!(error instanceof SessionError) || error.step !== "connect" || signal.aborted) throw error;
    }
  }
  throw last;
};

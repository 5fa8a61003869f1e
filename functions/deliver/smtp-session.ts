import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { type CipherNameAndProtocol, checkServerIdentity, type PeerCertificate, TLSSocket } from "node:tls";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import { printable, type Step, type Tls, withoutSecrets } from "./delivery.ts";
import type { TokenSource } from "./oauth.ts";
import { isFullName, type SmtpRelay } from "./relay.ts";
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

/** Opens a connection, in clear, to a host by its name. */
export type Connect = (host: string, port: number, signal: AbortSignal) => Promise<Socket>;

/**
 * What sessions with one relay share. `connect` is for workerd, which checks a certificate for the name that was
 * connected to, where nodemailer would connect to an address.
 */
export type SessionParts = { resolveMx: ResolveMx; tokens?: TokenSource; connect?: Connect };

type ClientError = Error & {
  code?: string;
  originalCode?: string;
  command?: string;
  response?: string;
};

/** What nodemailer keeps for itself and we must see or use; its version is pinned. */
type Inside = {
  _supportedAuth: string[];
  _ehloLines?: string[];
  _responseQueue: string[];
  /** What is not written yet of a mail's content. */
  _currentDataStream: unknown;
  lastServerResponse: string | false;
  _responseActions: ((reply: string) => void)[];
  /** Between the reply to STARTTLS and the end of the handshake. */
  upgrading?: boolean;
  _sendCommand(line: string): void;
};

const certificateRefused =
  /^(CERT_|UNSPECIFIED|ERR_TLS|ERR_SSL|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/;

/** A reply's code; undefined if it is none of RFC 5321's, or its lines do not agree on one (§4.2). */
const codeOf = (reply: string): number | undefined => {
  const codes = new Set(reply.split("\n").map((line) => /^[2-5]\d\d(?![^ -])/.exec(line)?.[0]));
  return codes.size === 1 ? Number([...codes][0]) || undefined : undefined;
};

/** The step in which a session failed that had come as far as `reached`. */
const stepOf = (
  reached: Step,
  { code, originalCode, command, message, response }: ClientError,
  replyCode: number | undefined,
): Step => {
  if (command === "RCPT TO") return "recipient";
  if (command === "DATA" && response !== undefined && reached === "sender") return "data";
  if (reached !== "connect") return reached;
  // RFC 5321 §3.8: it may close so at any command, which says nothing of the command.
  if (replyCode === 421) return "connect";
  if (command === "EHLO" && (replyCode === undefined || replyCode < 500)) return "connect";
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
    const aborted = () => finish(tooLate());
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

/** All that workerd tells of a session's protection: it has one, and the certificate is the host's. */
const protectedBy = (host: string): Tls => ({
  version: "TLS",
  cipher: "of Cloudflare's choice",
  subject: host,
  validTo: "",
});

const tooLate = () => new Error("no answer within the time for this attempt");

/** What `work` comes to, unless `signal` aborts first. */
const within = async <T>(signal: AbortSignal, work: Promise<T>): Promise<T> => {
  const { promise: end, reject } = Promise.withResolvers<never>();
  const aborted = () => reject(tooLate());
  if (signal.aborted) aborted();
  signal.addEventListener("abort", aborted);
  return Promise.race([work, end]).finally(() => signal.removeEventListener("abort", aborted));
};

/** RFC 9525 §2: a certificate's common name is not a host's. Node takes it where there is no other name. */
const identityFault = (host: string, certificate: PeerCertificate): Error | undefined =>
  checkServerIdentity(host, { ...certificate, subject: { ...certificate.subject, CN: "" } });

/** What an onlooker may see of a line that the client sent: of AUTH, the mechanism. */
const shown = (line: string, inLogin: boolean): string => {
  const [, command] = /^(AUTH \S+) /i.exec(line) ?? [];
  if (command) return `${command} [redacted]`;
  return inLogin && line !== "" && !/^AUTH /i.test(line) ? "[redacted]" : line;
};

const dnsCode = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? (error as Error).message;

/** RFC 5321 §5.1: an MX record names a host, and never by what a resolver would read as an address. */
const isHostName = (name: string): boolean => isFullName(name) && /\.[a-z][^.]*$/i.test(name);

/**
 * The hosts to try: the relay's own, or those that its MX records name, by preference. A domain without any is its
 * own host (RFC 5321 §5.1); "." takes no mail at all (RFC 7505).
 */
const hostsOf = async (
  { mx, host }: SmtpRelay,
  resolveMx: ResolveMx,
  signal: AbortSignal,
): Promise<string[]> => {
  if (!mx) return [host];
  let records: Awaited<ReturnType<ResolveMx>>;
  try {
    records = await within(signal, resolveMx(host));
  } catch (error) {
    if (["ENODATA", "ENOTFOUND"].includes(dnsCode(error))) return [host];
    throw new SessionError("connect", `the MX records of ${host} cannot be looked up (${dnsCode(error)})`);
  }
  if (records.length === 0) return [host];
  const hosts = records
    .toSorted((a, b) => a.priority - b.priority)
    .map(({ exchange }) => exchange)
    .filter(isHostName);
  if (hosts.length > 0) return hosts.slice(0, mostHosts);
  if (records.every(({ exchange }) => ["", "."].includes(exchange)))
    throw new SessionError("connect", `${host} takes no mail (its MX record is ".")`);
  throw new SessionError("connect", `no MX record of ${host} names a host`);
};

const openAt = async (
  host: string,
  relay: SmtpRelay,
  { tokens, connect }: SessionParts,
  signal: AbortSignal,
  onlooker: Onlooker,
): Promise<SmtpSession> => {
  const inTime = () => AbortSignal.any([signal, AbortSignal.timeout(timeouts.connectionTimeout)]);
  const socket = await connect?.(host, relay.port, inTime()).catch((error: Error) => {
    throw new SessionError("connect", wordsOf(error));
  });
  let step: Step = "connect";
  let inLogin = false;
  let protection: Tls | undefined;
  let refusal: SessionError | undefined;
  const { credentials } = relay;
  const secrets = credentials && "password" in credentials ? [credentials.password.reveal()] : [];
  /** Some relays repeat the command that they refuse, and some of these not to its end. */
  const safe = (text: string) =>
    withoutSecrets(text.replaceAll(/(\bAUTH +[\w-]+ +)[\w+/=]{16,}/gi, "$1[redacted]"), secrets);
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
    for (const line of safe(String(text)).split("\n"))
      onlooker.heard?.({ from, text: printable(from === "client" ? shown(line, inLogin) : line) });
  };
  const failed = (thrown: unknown): SessionError => {
    if (thrown instanceof SessionError) return thrown;
    const error = thrown as ClientError;
    const { response } = error;
    const code = response === undefined ? undefined : codeOf(response);
    // workerd says "internal error" alone: a certificate that is not good, or no TLS that it knows.
    if (socket && inside.upgrading && step === "connect")
      return new SessionError("tls", `the TLS handshake failed: is the certificate good for ${host}?`);
    return new SessionError(stepOf(step, error, code), safe(response ?? wordsOf(error)), code);
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
    connection: socket,
    requireTLS: relay.protection === "starttls",
    ignoreTLS: relay.protection === "none",
    name: relay.name,
    // workerd has its own authorities and checks, and takes no others.
    tls: socket ? {} : { ca: relay.ca, minVersion: "TLSv1.2", checkServerIdentity: identityFault },
    maxResponseSize: 65_536,
    customAuth: {
      XOAUTH2: async ({ auth, sendCommand }) => {
        let refused: string | undefined;
        // A token may have been revoked before its time: then once more with a new one.
        for (const again of [true, false]) {
          const token = (await tokens?.token(refused)) ?? "";
          secrets.push(token);
          const response = Buffer.from(`user=${auth.user}\x01auth=Bearer ${token}\x01\x01`).toString(
            "base64",
          );
          let { response: reply } = await sendCommand(`AUTH XOAUTH2 ${response}`);
          let challenge = "";
          if (codeOf(reply) === 334) {
            // The error is in a challenge, and has to be answered before the relay says no (RFC 7628 §3.2.3).
            challenge = ` (its challenge: ${Buffer.from(reply.slice(4), "base64")})`;
            reply = (await sendCommand("")).response;
          }
          const code = codeOf(reply);
          if (code === 235) return;
          refused = token;
          refusal = new SessionError("auth", safe(reply + challenge), code);
          // nodemailer writes its own code and the whole reply into whatever is thrown here.
          if (!again || code !== 535) throw new Error("refused");
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
    if (!credentials) return;
    reached("auth-offered");
    const method = offered();
    if (!method) throw new SessionError(step, `the relay offers no AUTH ${relay.auth.join(" or ")}`);
    // For XOAUTH2 nodemailer takes the first mechanism that it knows of all that are offered.
    inside._supportedAuth = [method];
    if (method === "XOAUTH2" && tokens) {
      reached("token");
      await within(signal, tokens.token());
    }
    reached("auth");
    inLogin = true;
    const pass = "password" in credentials ? credentials.password.reveal() : undefined;
    try {
      await during(connection, signal, (done) =>
        connection.login({ method, user: credentials.user, pass }, done),
      );
    } catch (error) {
      throw refusal ?? error;
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
    // Read once: Node parses the certificate each time, which takes a twentieth of what a mail does.
    tls: () => {
      protection ??= socket && connection.secure ? protectedBy(host) : tlsOf(connection);
      return protection;
    },
    extensions: () => (inside._ehloLines ?? []).map(printable),
    mechanism: offered,
    authenticate: (signal) => guarded(() => authenticate(signal)),
    command: async (line, signal) =>
      guarded(async () => {
        if (/\p{Cc}/u.test(line)) throw new Error("a command of one line is wanted");
        const reply = await during<string>(connection, signal, (done) => {
          inside._responseActions.push((text) => done(null, text));
          inside._sendCommand(line);
        });
        return safe(reply ?? "");
      }),
    submit: (envelope, bytes, signal) =>
      guarded(async () => {
        reached("sender");
        if (/[\p{Cc}\s<>]/u.test(envelope.from + envelope.to)) throw new Error("no address for a command");
        // nodemailer reads the content only after its reply to DATA: then the final dot may be on its way.
        const content = new Readable({
          read() {
            reached("data");
            // It takes 250 for 354, and what came too early for the reply to the final dot: a refusal may be that.
            const early = inside._responseQueue.some((reply) => !/^[45]/.test(reply));
            if (early || codeOf(inside.lastServerResponse || "") !== 354)
              return void this.destroy(new Error("the relay's replies are out of step with our commands"));
            reached("after-data");
            if (connection._socket) connection._socket.setTimeout(dotTimeout);
            this.push(bytes);
            this.push(null);
          },
        });
        const info = await during<{ response: string }>(connection, signal, (done) =>
          connection.send({ from: envelope.from, to: envelope.to }, content, done),
        );
        const reply = info?.response ?? "";
        if (inside._currentDataStream || codeOf(reply) === undefined)
          throw new SessionError(step, safe(reply) || "no reply to the final dot");
        return reply;
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
  const hosts = await hostsOf(relay, parts.resolveMx, signal);
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

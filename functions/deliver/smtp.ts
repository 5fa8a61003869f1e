import { Readable } from "node:stream";
import { type CipherNameAndProtocol, type PeerCertificate, TLSSocket } from "node:tls";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { Mail } from "../compose/mail.ts";
import { mimeBytes } from "../compose/mime.ts";
import type { Relay } from "../config.ts";
import {
  type DeliveryOutcome,
  failure,
  printable,
  queueIdOf,
  type Step,
  type Tls,
  type Transport,
} from "./delivery.ts";

const timeouts = {
  dnsTimeout: 5_000,
  connectionTimeout: 15_000,
  greetingTimeout: 10_000,
  socketTimeout: 60_000,
  socketCloseTimeout: 1_000,
};
/** For the reply to the final dot. RFC 5321 §4.5.3.2.6 asks for ten minutes: giving up early makes second copies. */
const dotTimeout = 300_000;
const idleMilliseconds = 30_000;

type SessionError = Error & {
  code?: string;
  originalCode?: string;
  command?: string;
  response?: string;
  responseCode?: number;
};

const certificateRefused =
  /^(CERT_|ERR_TLS|ERR_SSL|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/;

/** Runs one step of a session: ends with its callback, the session's error or `signal`, whichever comes first. */
const during = <T>(
  session: SMTPConnection,
  signal: AbortSignal,
  run: (done: (error?: Error | null, value?: T) => void) => void,
): Promise<T | undefined> =>
  new Promise((resolve, reject) => {
    const finish = (error?: Error | null, value?: T) => {
      session.off("error", finish);
      session.off("end", ended);
      signal.removeEventListener("abort", aborted);
      if (error) reject(error);
      else resolve(value);
    };
    const aborted = () => finish(new Error("no answer within the time for this attempt"));
    // nodemailer closes first and tells the reply afterwards: the reply is to win.
    const ended = () => queueMicrotask(() => finish(new Error("the relay closed the connection")));
    if (signal.aborted) return aborted();
    session.on("error", finish);
    session.on("end", ended);
    signal.addEventListener("abort", aborted);
    run(finish);
  });

const tlsOf = (session: SMTPConnection): Tls | undefined => {
  const socket = session._socket;
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

/** The reply without the password, which some relays repeat with the command they refuse. */
const withoutSecrets = (reply: string, credentials: Relay["credentials"]): string => {
  if (!credentials) return reply;
  const { user, password } = credentials;
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return [password.reveal(), base64(password.reveal()), base64(`\0${user}\0${password.reveal()}`)].reduce(
    (text, secret) => text.replaceAll(secret, String(password)),
    reply,
  );
};

/** The step in which connecting failed. */
const connectStep = ({ code, originalCode, command, message, responseCode }: SessionError): Step => {
  // RFC 5321 §3.8: it may close so at any command, which says nothing of the command.
  if (responseCode === 421) return "connect";
  if (command === "EHLO" && responseCode !== undefined && responseCode < 500) return "connect";
  if (code === "ETLS" || command === "STARTTLS" || command === "EHLO") return "tls";
  return certificateRefused.test(originalCode ?? "") || /wrong version number/.test(message)
    ? "tls"
    : "connect";
};

/**
 * Sends through one relay: STARTTLS or implicit TLS unless the relay is configured without, AUTH by the first
 * configured mechanism that is offered, at most `relay.connections` sessions, each kept open for 30 s after a mail.
 * No AUTH byte leaves before TLS.
 */
export const smtpTransport = (relay: Relay, clock: () => number): Transport & { close(): void } => {
  const idle = new Map<SMTPConnection, NodeJS.Timeout>();
  const queue: (() => void)[] = [];
  let sessions = 0;

  const slot = (signal: AbortSignal): Promise<void> => {
    if (sessions < relay.connections) {
      sessions += 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(new Error("all connections to the relay were busy"));
      const turn = () => {
        signal.removeEventListener("abort", gone);
        resolve();
      };
      const gone = () => {
        queue.splice(queue.indexOf(turn), 1);
        reject(new Error("all connections to the relay were busy"));
      };
      queue.push(turn);
      signal.addEventListener("abort", gone, { once: true });
    });
  };
  const freeSlot = () => {
    const next = queue.shift();
    if (next) next();
    else sessions -= 1;
  };

  const open = async (signal: AbortSignal, reached: (step: Step) => void): Promise<SMTPConnection> => {
    // nodemailer throws such bytes away and goes on; they show that somebody sits in between (CVE-2011-0411).
    let injected = false;
    const unheard = () => undefined;
    const session = new SMTPConnection({
      logger: {
        level: unheard,
        trace: unheard,
        debug: unheard,
        info: unheard,
        warn: (entry: object) => {
          injected ||= "discarded" in entry;
        },
        error: unheard,
        fatal: unheard,
      },
      ...timeouts,
      host: relay.host,
      port: relay.port,
      secure: relay.protection === "implicit",
      requireTLS: relay.protection === "starttls",
      ignoreTLS: relay.protection === "none",
      name: relay.name,
      tls: { ca: relay.ca, minVersion: "TLSv1.2" },
      maxResponseSize: 65_536,
    });
    // An idle session's error has nobody waiting for it; "end" follows and takes the session out.
    session.on("error", () => undefined);
    session.on("end", () => forget(session));
    try {
      reached("connect");
      await during(session, signal, (done) => session.connect(done));
      if (injected)
        throw Object.assign(new Error("bytes in clear came behind the reply to STARTTLS"), { code: "ETLS" });
      if (relay.credentials) {
        reached("auth-offered");
        // Read after TLS (RFC 3207 §4.2); nodemailer would take the first that it knows, we the first configured.
        const offered = (session as unknown as { _supportedAuth: string[] })._supportedAuth;
        const method = relay.auth.find((mechanism) => offered.includes(mechanism));
        if (!method) throw new Error(`the relay offers no AUTH ${relay.auth.join(" or ")}`);
        reached("auth");
        const { user, password } = relay.credentials;
        await during(session, signal, (done) =>
          session.login({ method, user, pass: password.reveal() }, done),
        );
      }
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  };
  const forget = (session: SMTPConnection) => {
    clearTimeout(idle.get(session));
    idle.delete(session);
  };
  const park = (session: SMTPConnection) => {
    // A reply that nobody asked for would be taken for the answer to the next command.
    if ((session as unknown as { _responseQueue: string[] })._responseQueue.length > 0) session.close();
    if (session.destroyed) return;
    if (session._socket) session._socket.setTimeout(timeouts.socketTimeout);
    const timer = setTimeout(() => {
      forget(session);
      session.quit();
    }, idleMilliseconds);
    timer.unref();
    idle.set(session, timer);
  };
  /** An open session, checked by RSET, or a new one: a relay may have closed an idle one without our noticing. */
  const acquire = async (signal: AbortSignal, reached: (step: Step) => void): Promise<SMTPConnection> => {
    reached("connect");
    for (const session of idle.keys()) {
      forget(session);
      try {
        await during(session, signal, (done) => session.reset(done));
        return session;
      } catch (error) {
        session.close();
        if (signal.aborted) throw error;
      }
    }
    return open(signal, reached);
  };

  const submit = async (
    session: SMTPConnection,
    mail: Mail,
    signal: AbortSignal,
    reached: (step: Step) => void,
  ) => {
    const bytes = await mimeBytes(mail);
    reached("sender");
    // nodemailer reads the content only after 354: from then on the final dot may be on its way.
    const content = new Readable({
      read() {
        reached("after-data");
        if (session._socket) session._socket.setTimeout(dotTimeout);
        this.push(bytes);
        this.push(null);
      },
    });
    const info = await during<{ response: string }>(session, signal, (done) =>
      session.send({ ...mail.envelope }, content, done),
    );
    return info?.response ?? "";
  };

  return {
    route: relay.route,
    send: async (mail, signal) => {
      const startedAt = clock();
      let step: Step = "connect";
      let session: SMTPConnection | undefined;
      let holdsSlot = false;
      const circumstances = () => ({
        durationMilliseconds: clock() - startedAt,
        tls: session && tlsOf(session),
      });
      try {
        await slot(signal);
        holdsSlot = true;
        session = await acquire(signal, (reached) => {
          step = reached;
        });
        const reply = await submit(session, mail, signal, (reached) => {
          step = reached;
        });
        const outcome: DeliveryOutcome = {
          result: "accepted",
          reply: printable(reply),
          code: Number(reply.slice(0, 3)),
          queueId: queueIdOf(reply),
          ...circumstances(),
        };
        park(session);
        return outcome;
      } catch (thrown) {
        const error = thrown as SessionError;
        if (step === "connect" && !session) step = connectStep(error);
        if (error.command === "RCPT TO") step = "recipient";
        if (error.command === "DATA" && error.responseCode !== undefined && step === "sender") step = "data";
        const outcome: DeliveryOutcome = {
          ...failure(step, error.responseCode),
          reply: printable(withoutSecrets(error.response ?? error.message, relay.credentials)),
          code: error.responseCode,
          ...circumstances(),
        };
        // Only a session that answered in full is known to be in step with us.
        if (session && (error.responseCode ?? 0) >= 400) park(session);
        else session?.close();
        return outcome;
      } finally {
        if (holdsSlot) freeSlot();
      }
    },
    close: () => {
      for (const session of idle.keys()) {
        forget(session);
        session.quit();
      }
    },
  };
};

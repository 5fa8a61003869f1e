import { createHmac } from "node:crypto";
import type { Duplex } from "node:stream";
import { within } from "./in-time.ts";
import type { TokenSource } from "./oauth.ts";
import type { Step, Tls } from "./outcome.ts";
import { printable, withoutSecrets } from "./printable.ts";
import { isFullName, type Mechanism, type SmtpRelay } from "./relay-url.ts";
import { SessionError, type SessionObserver } from "./session.ts";
import { nodeSockets } from "./smtp-socket.ts";
import { contentOf, type Reply, type Sockets, wireOver } from "./smtp-wire.ts";
import { isTlsRefused } from "./tls-refused.ts";

const connectMilliseconds = 15_000;
/** Tarpits and slow look-ups take up to a minute. RFC 5321 §4.5.3.2 has five: another host or route may be better. */
const greetingMilliseconds = 70_000;
/** Look-ups of senders and recipients take their time; again RFC 5321 has five minutes. */
const replyMilliseconds = 120_000;
/** For the reply to the final dot RFC 5321 asks for ten minutes: giving up early makes second copies. */
const dotMilliseconds = 300_000;
/** For what is owed when the outcome is known. */
const leavingMilliseconds = 5_000;
/** So many of a domain's MX hosts are tried: each may take its connection timeout. */
const mostHosts = 4;
/**
 * A session ends after so many refused mails in a row. Each may count as two errors. Postfix answers slowly after ten errors
 * (smtpd_soft_error_limit), and Exchange closes the session after five. The next mail may belong to another site.
 */
const mostRefusedInRow = 2;
/** RFC 3461 §4.4. */
const longestEnvelopeId = 100;

/** Looks up who takes mail for a domain; rejects like node:dns. */
type ResolveMx = (domain: string) => Promise<{ exchange: string; priority: number }[]>;

/** Sender and recipient of a mail. Where DSN is offered, a report about the mail repeats `id` (ENVID). */
type SentEnvelope = { from: string; to: string; id?: string };

/** The parts that sessions with one relay share. Without `sockets` they use Node's. */
export type SessionParts = { resolveMx: ResolveMx; tokens?: TokenSource; sockets?: Sockets };

/** The words of an error without a reply, without the parts about Node and OpenSSL. */
const wordsOf = (error: Error): string => {
  // Where a name has several addresses there is one error for each, and the whole says nothing.
  const text = error.message || (error as AggregateError).errors?.map(({ message }) => message).join(", ");
  return text
    .replace(/; if the root CA is installed locally.*/s, "")
    .replace(/^[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):.*/s, "TLS: $1");
};

/** The part of a client's line that an observer may see: of AUTH, the mechanism. */
const shown = (line: string, inLogin: boolean): string => {
  const isAnswer = inLogin && line !== "" && !/^AUTH /i.test(line);
  return isAnswer ? "[redacted]" : line.replace(/^(AUTH \S+) .*/is, "$1 [redacted]");
};

/** RFC 3461 §4: text as a parameter may contain it. */
const xtext = (text: string): string => {
  const hex = (byte: string) => byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
  return text.replace(/[^!-~]|[+=]/g, (byte) => `+${hex(byte)}`);
};

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** The lines of a login: the one with AUTH, and then an answer to each challenge. */
const loginLines: Record<
  Mechanism,
  (user: string, secret: string) => [string, ...((challenge: Buffer) => string)[]]
> = {
  PLAIN: (user, password) => [`AUTH PLAIN ${base64(`\0${user}\0${password}`)}`],
  LOGIN: (user, password) => ["AUTH LOGIN", () => base64(user), () => base64(password)],
  "CRAM-MD5": (user, password) => [
    "AUTH CRAM-MD5",
    (challenge) => {
      if (challenge.length === 0) throw new Error("the relay's challenge is empty");
      return base64(`${user} ${createHmac("md5", password).update(challenge).digest("hex")}`);
    },
  ],
  // The reasons of a refusal come as a challenge. The relay refuses only after we answer it (RFC 7628 §3.2.3).
  XOAUTH2: (user, token) => [
    `AUTH XOAUTH2 ${base64(`user=${user}\x01auth=Bearer ${token}\x01\x01`)}`,
    () => "",
  ],
};

/** RFC 5321 §5.1: an MX record names a host, and never by what a resolver would read as an address. */
const isHostName = (name: string): boolean => isFullName(name) && /\.[a-z][^.]*$/i.test(name);

/** The relay's own host, or those of its MX records by preference, if there are any (RFC 5321 §5.1). */
const hostsOf = async ({ mx, host }: SmtpRelay, resolveMx: ResolveMx, signal: AbortSignal) => {
  if (!mx) return [host];
  const records = await within(signal, () => resolveMx(host)).catch((error: NodeJS.ErrnoException) => {
    const code = error.code ?? error.message;
    if (["ENODATA", "ENOTFOUND"].includes(code)) return [];
    throw new SessionError("connect", `the MX records of ${host} cannot be looked up (${code})`);
  });
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

// biome-ignore lint/complexity/noExcessiveLinesPerFunction: one conversation, whose steps share what the relay said.
const openAt = async (
  host: string,
  relay: SmtpRelay,
  { tokens, sockets = nodeSockets }: SessionParts,
  signal: AbortSignal,
  observer: SessionObserver,
) => {
  const { credentials, protection } = relay;
  // RFC 5321 §4.1.3: a host without a full name gives its address.
  const name = relay.name && isFullName(relay.name) ? relay.name : "[127.0.0.1]";
  let step: Step = "connect";
  let inLogin = false;
  let tls: Tls | undefined;
  let extensions: string[] = [];
  let [mails, mostMails] = [0, Number.POSITIVE_INFINITY];
  let refusedInRow = 0;

  const secrets = credentials && "password" in credentials ? [credentials.password.reveal()] : [];
  /** Some relays repeat the command that they refuse, and some of these not to its end. */
  const safe = (text: string) =>
    withoutSecrets(text.replaceAll(/(\bAUTH +[\w-]+ +)[\w+/=]{16,}/gi, "$1[redacted]"), secrets);
  const reached = (next: Step) => {
    step = next;
    observer.reached?.(next);
  };
  const heard = (from: "client" | "relay", text: string) => {
    if (!observer.heard) return;
    for (const line of safe(text).split("\n")) observer.heard({ from, text: printable(line) });
  };
  /** Does a part of the session. A failure names the step that was reached. */
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SessionError) throw error;
      const byTls = step === "connect" && isTlsRefused(error as NodeJS.ErrnoException);
      throw new SessionError(byTls ? "tls" : step, safe(wordsOf(error as Error)));
    }
  };
  const inTime = (milliseconds: number) => AbortSignal.any([signal, AbortSignal.timeout(milliseconds)]);

  const protect = async (socket: Duplex): Promise<Duplex> => {
    const secured = await sockets.secure(socket, host, relay.ca, inTime(greetingMilliseconds));
    tls = secured.tls;
    return secured.socket;
  };
  const wireOn = (socket: Duplex, owed: number) => wireOver(socket, owed, (text) => heard("relay", text));
  reached("connect");
  let wire = await guarded(async () => {
    const socket = await sockets.connect(host, relay.port, inTime(connectMilliseconds), observer.passed);
    if (protection !== "implicit") return wireOn(socket, 1);
    const secured = await protect(socket);
    observer.passed?.("tls", host);
    return wireOn(secured, 1);
  });

  const say = (...lines: string[]) => {
    for (const line of lines) heard("client", shown(line, inLogin));
    wire.say(lines.map((line) => `${line}\r\n`).join(""), lines.length);
  };
  const command = (line: string, signal: AbortSignal, milliseconds = replyMilliseconds): Promise<Reply> => {
    say(line);
    return wire.reply(signal, milliseconds);
  };
  /** The reply, if its code begins with these digits. Else throws it as the session's error. */
  const expected = (reply: Reply, code: string, at = step): Reply => {
    if (String(reply.code).startsWith(code)) return reply;
    // After 421 the relay closes (RFC 5321 §3.8). A reply that is no refusal may belong to another command.
    if (reply.code < 400 || reply.code === 421) wire.close();
    if (reply.code >= 400) throw new SessionError(at, safe(reply.text), reply.code);
    throw new SessionError(at, `the relay's reply is out of step with our commands: ${safe(reply.text)}`);
  };
  /** The parameters of an extension that the relay offers; undefined if it does not offer it. */
  const offered = (extension: string): string | undefined =>
    extensions
      .find((line) => line.split(" ", 1)[0]?.toUpperCase() === extension)
      ?.slice(extension.length + 1);
  /** The first of the configured mechanisms that the relay offers. */
  const mechanism = (): Mechanism | undefined => {
    // Before RFC 2554 it was written "AUTH=".
    const lines = extensions.filter((line) => /^AUTH[ =]/i.test(line));
    const names = lines.flatMap((line) => line.toUpperCase().split(/[ =]+/).slice(1));
    return relay.auth.find((each) => names.includes(each));
  };
  const greet = async () => {
    const reply = await command(`EHLO ${name}`, signal);
    // Extensions from before TLS do not count (RFC 3207 §4.2).
    extensions = reply.text
      .split("\n")
      .slice(1)
      .map((line) => printable(line.slice(4)));
    // RFC 9422 §4.
    mostMails = Number(/\bMAILMAX=(\d+)/i.exec(offered("LIMITS") ?? "")?.[1] ?? Number.POSITIVE_INFINITY);
    if (reply.code < 400 || reply.code === 421) return expected(reply, "2");
    extensions = [];
    // HELO knows no STARTTLS, and no AUTH.
    if (protection === "starttls" && !tls) return expected(reply, "2", reply.code < 500 ? step : "tls");
    return expected(await command(`HELO ${name}`, signal), "2");
  };
  const startTls = async () => {
    say("STARTTLS");
    const { reply, secured } = await wire.startTls(protect, signal, replyMilliseconds);
    expected(reply, "220", reply.code === 421 ? "connect" : "tls");
    // Such bytes show that somebody sits in between (CVE-2011-0411).
    if (!secured) throw new SessionError("tls", "bytes in clear came behind the reply to STARTTLS");
    wire = wireOn(await secured, 0);
  };
  try {
    await guarded(async () => {
      expected(await wire.reply(signal, greetingMilliseconds), "220");
      await greet();
      if (protection !== "starttls") return;
      await startTls();
      await greet();
    });
  } catch (error) {
    wire.close();
    throw error;
  }

  const logIn = async (used: Mechanism, user: string, secret: string, signal: AbortSignal) => {
    const [first, ...answers] = loginLines[used](user, secret);
    let reply = await command(first, signal);
    let reasons = "";
    for (const answer of answers) {
      if (reply.code !== 334) break;
      const challenge = Buffer.from(reply.text.slice(4), "base64");
      if (used === "XOAUTH2") reasons = ` (its challenge: ${challenge})`;
      reply = await command(answer(challenge), signal);
    }
    expected({ ...reply, text: reply.text + reasons }, "235");
  };
  const authenticate = async (signal: AbortSignal) => {
    if (!credentials) return;
    reached("auth-offered");
    const used = mechanism();
    if (!used) throw new SessionError(step, `the relay offers no AUTH ${relay.auth.join(" or ")}`);
    const tokenInPlaceOf = async (refused?: string) => {
      const token = (await within(signal, async () => tokens?.token(refused))) ?? "";
      secrets.push(token);
      return token;
    };
    const byToken = "oauth" in credentials;
    if (byToken) reached("token");
    const secret = byToken ? await tokenInPlaceOf() : credentials.password.reveal();
    reached("auth");
    inLogin = true;
    try {
      await logIn(used, credentials.user, secret, signal);
    } catch (error) {
      if (!byToken || !(error instanceof SessionError) || error.code !== 535) throw error;
      // A token may have been revoked early: tries once more with a new one, if there is one.
      try {
        await logIn(used, credentials.user, await tokenInPlaceOf(secret), signal);
      } catch (again) {
        throw again instanceof SessionError && again.step === step ? again : error;
      }
    } finally {
      inLogin = false;
    }
  };

  /** MAIL and RCPT, with the parameters that this mail has and the relay offers to read. */
  const envelopeLines = ({ from, to, id = "" }: SentEnvelope, bytes: Buffer): [string, string] => {
    if (/[\p{Cc}\s<>]/u.test(from + to)) throw new Error("no address for a command");
    const size = offered("SIZE");
    const tooLarge = `552 5.3.4 ${bytes.length} bytes are more than the ${size} that the relay takes`;
    // RFC 1870 §4. Another form is no limit: in doubt, mail.
    if (/^[1-9]\d{0,19}$/.test(size ?? "") && bytes.length > Number(size))
      throw new SessionError("data", tooLarge, 552);
    const parameters = size === undefined ? [] : [`SIZE=${bytes.length}`];
    if (offered("8BITMIME") !== undefined && bytes.some((byte) => byte > 127))
      parameters.push("BODY=8BITMIME");
    const envelopeId = xtext(id);
    const reported = offered("DSN") !== undefined && id !== "" && envelopeId.length <= longestEnvelopeId;
    if (reported) parameters.push("RET=HDRS", `ENVID=${envelopeId}`);
    const notify = reported ? [`NOTIFY=FAILURE`, `ORCPT=rfc822;${xtext(to)}`] : [];
    return [[`MAIL FROM:<${from}>`, ...parameters].join(" "), [`RCPT TO:<${to}>`, ...notify].join(" ")];
  };
  /**
   * Reads the replies still due to commands that were sent together with a refused one. A lone dot ends a DATA without
   * an accepted recipient (RFC 2920 §3.1). If a reply is not a refusal, the relay is out of step with us.
   */
  const catchUp = async (refused: Step, owed: number, signal: AbortSignal) => {
    let last: Reply | undefined;
    for (let left = owed; left > 0; left--) last = await wire.reply(signal, leavingMilliseconds);
    if (last?.code === 354 && refused === "recipient") {
      wire.say(contentOf(Buffer.alloc(0)), 1);
      last = await wire.reply(signal, leavingMilliseconds);
      if (last.code < 300) return;
    }
    if (last && (last.code < 400 || last.code === 421)) wire.close();
  };
  const submit = async (
    envelope: SentEnvelope,
    bytes: Buffer,
    signal: AbortSignal,
    { oneByOne, contentBegins }: { oneByOne?: boolean; contentBegins?: () => void } = {},
  ): Promise<string> => {
    reached("sender");
    const [mail, rcpt] = envelopeLines(envelope, bytes);
    const steps: [Step, string, wanted: string][] = [
      ["sender", mail, "2"],
      ["recipient", rcpt, "2"],
      ["data", "DATA", "354"],
    ];
    mails += 1;
    refusedInRow += 1;
    const pipelined = !oneByOne && offered("PIPELINING") !== undefined;
    if (pipelined) say(mail, rcpt, "DATA");
    // While the relay works on these.
    const content = contentOf(bytes);
    for (const [index, [at, line, wanted]] of steps.entries()) {
      // Postfix sends no reply to a group before it knows all of them: it may think about the recipient.
      reached(pipelined && at === "sender" ? "recipient" : at);
      if (!pipelined) say(line);
      const reply = await wire.reply(signal, replyMilliseconds);
      reached(at);
      try {
        expected(reply, wanted);
      } catch (error) {
        if (pipelined) await catchUp(at, steps.length - 1 - index, signal).catch(wire.close);
        throw error;
      }
    }
    contentBegins?.();
    wire.say(content, 1);
    reached("after-data");
    const reply = await wire.reply(signal, dotMilliseconds);
    const early = await wire.unsent();
    // Otherwise the relay would get the final dot all the same, and might accept what it has refused.
    if (early) wire.close();
    expected(reply, "2");
    if (early) throw new SessionError(step, "the relay answered before it had the whole content");
    refusedInRow = 0;
    return reply.text;
  };

  return {
    host,
    /** Undefined without TLS. */
    tls: () => tls,
    /** The last announcement of EHLO, without the greeting line. */
    extensions: () => extensions,
    mechanism,
    /** Does nothing if the relay is configured without credentials. */
    authenticate: (signal: AbortSignal) => guarded(() => authenticate(signal)),
    /** One command as it is; resolves to the whole reply. Refuses control characters. */
    command: (line: string, signal: AbortSignal) =>
      guarded(async () => {
        if (/\p{Cc}/u.test(line)) throw new Error("a command of one line is wanted");
        return safe((await command(line, signal)).text);
      }),
    /**
     * Resolves to the reply to the final dot. With `oneByOne` each command waits for the reply to the one before it, so that
     * a silence tells its step. `contentBegins` is called when the content is about to leave.
     */
    submit: (...mail: Parameters<typeof submit>) => guarded(() => submit(...mail)),
    reset: async (signal: AbortSignal) => {
      reached("connect");
      await guarded(async () => expected(await command("RSET", signal, leavingMilliseconds), "2"));
    },
    /** Whether it is open and every command has its reply. */
    inStep: () => !wire.over(),
    /** Whether another mail may follow: in step, within the relay's LIMITS, and fewer than two mails in a row refused. */
    usable: () => !wire.over() && mails < mostMails && refusedInRow < mostRefusedInRow,
    whenOver: wire.whenOver,
    quit: () => {
      const leave = guarded(() => command("QUIT", new AbortController().signal, leavingMilliseconds));
      leave.catch(() => undefined).finally(wire.close);
    },
    close: wire.close,
  };
};

/** A session after EHLO, and after STARTTLS if the relay is configured with it. */
export type SmtpSession = Awaited<ReturnType<typeof openAt>>;

/**
 * Opens a session as the relay is configured. Rejects with a SessionError. A host of several MX records that cannot be
 * reached gives way to the next. No wait is longer than the limits above, nor than `signal`.
 */
export const openSession = async (
  relay: SmtpRelay,
  parts: SessionParts,
  signal: AbortSignal,
  observer: SessionObserver = {},
): Promise<SmtpSession> => {
  observer.reached?.("connect");
  const hosts = await hostsOf(relay, parts.resolveMx, signal);
  let last: unknown;
  for (const host of hosts) {
    try {
      return await openAt(host, relay, parts, signal, observer);
    } catch (error) {
      last = error;
      if (!(error instanceof SessionError) || error.step !== "connect" || signal.aborted) throw error;
    }
  }
  throw last;
};

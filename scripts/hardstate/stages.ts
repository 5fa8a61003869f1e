import type { Mail } from "../../functions/deliver/mail.ts";
import type { DeliveryOutcome, Step, Tls } from "../../functions/deliver/outcome.ts";
import { printable } from "../../functions/deliver/printable.ts";
import { passwordDoubt, type Relay, relayWords, type SmtpRelay } from "../../functions/deliver/relay-url.ts";
import { type Line, SessionError, type SessionObserver } from "../../functions/deliver/session.ts";
import type { SmtpSession } from "../../functions/deliver/smtp-session.ts";
import type { Transport } from "../../functions/deliver/transport.ts";
import { adviceFor } from "../../functions/operator/advice.ts";

/** The stages of an examination, in order; with TLS from the start, `tls` comes before `banner`. */
export const stages = [
  ...["config", "dns", "connect", "banner", "ehlo", "tls", "auth-offered", "open-relay", "token", "auth"],
  ...["sender", "recipient", "data", "accepted", "domain"],
] as Stage[];

export type Stage =
  | Exclude<Step, "after-data">
  | "config"
  | "dns"
  | "banner"
  | "ehlo"
  | "open-relay"
  | "accepted"
  | "domain";

/** One thing that DNS says of our sender's domain. `unknown`: DNS alone cannot tell, or did not answer. */
export type DomainCheck = {
  check: string;
  result: "pass" | "warning" | "fail" | "unknown";
  detail: string;
  advice?: string;
};

/** The result of one stage, and what to do about it. */
export type Finding = {
  stage: Stage;
  result: "pass" | "fail" | "skipped";
  detail: string;
  advice?: string;
  warnings?: string[];
  /** The stage `domain` alone has them. */
  checks?: DomainCheck[];
};

/** The facts about a relay, to be compared the next time; Unix milliseconds. */
export type Seen = { at: number; starttlsAt?: number };

/** All that an examination of one route found. `failed` is the first stage that did. */
export type Examination = { failed: Stage | null; stages: Finding[]; seen?: Seen };

/** The questions about a route. */
export type Question = {
  /** The reverse-path; without it, whether the relay takes ours is not asked. */
  from?: string;
  /** Named in RCPT behind it, without DATA: many relays refuse a sender only there. */
  to?: string;
  /** An address that the relay has no business with, for the open-relay test. */
  outside?: string;
  /** Sent if all goes well up to there. */
  mail?: Mail;
  before?: Seen;
};

export type DoctorParts = {
  /** A session as the bridge opens it. */
  open(relay: SmtpRelay, signal: AbortSignal, observer: SessionObserver): Promise<SmtpSession>;
  transport(relay: Relay, observer: SessionObserver): Transport & { close(): void };
  /** The checks by DNS of our sender's domain and this relay; absent if the sender is not known. */
  domain?(relay: Relay): Promise<DomainCheck[]>;
  clock(): number;
  /** Unix milliseconds of a certificate's date. */
  timeOf(date: string): number;
  /** Hears each finding as soon as it and all before it are known. */
  tell(finding: Finding): void;
  heard(line: Line): void;
  /** How long one stage may take, all of them but the test mail, and the test mail. */
  limits?: Partial<typeof usualLimits>;
};

// Longer than the session's own limits, whose words say more: a relay may greet only after a minute.
const usualLimits = {
  stageMilliseconds: 80_000,
  routeMilliseconds: 400_000,
  mailMilliseconds: 340_000,
  farewellMilliseconds: 2_000,
};
const mostHosts = 4;
const soonMilliseconds = 30 * 86_400_000;
const day = new Intl.DateTimeFormat("sv-SE", { timeZone: "UTC", dateStyle: "short" });

const chartOf = (order: readonly Stage[], tell: (finding: Finding) => void) => {
  const found = new Map<Stage, Finding>();
  const untold = [...order];
  return {
    /** Decides a stage, if it is not decided yet. */
    put: (stage: Stage, result: Finding["result"], detail: string, more: Partial<Finding> = {}) => {
      if (found.has(stage)) return;
      found.set(stage, { stage, result, detail: printable(detail), ...more });
      for (let next = untold[0]; next; next = untold[0]) {
        const finding = found.get(next);
        if (!finding) return;
        untold.shift();
        tell(finding);
      }
    },
    /** The stages that the relay shows; DNS is asked at the end, whatever happened. */
    undecided: () => order.filter((stage) => stage !== "domain" && !found.has(stage)),
    failed: () => order.find((stage) => found.get(stage)?.result === "fail") ?? null,
    /** The stages that stop a test mail: an open relay still takes ours. */
    obstacle: () => order.find((stage) => stage !== "open-relay" && found.get(stage)?.result === "fail"),
    findings: () => order.flatMap((stage) => found.get(stage) ?? []),
  };
};
type Chart = ReturnType<typeof chartOf>;

/** Puts a failed session down to a stage, or to the first that is not decided yet. */
const putFailure = (
  chart: Chart,
  error: unknown,
  at?: Stage,
  { doubt, warnings }: { doubt?: string; warnings?: string[] } = {},
) => {
  if (!(error instanceof SessionError)) throw error;
  const open = chart.undecided();
  const stage = at && open.includes(at) ? at : (open[0] ?? "accepted");
  const later =
    ["token", "auth", "sender", "recipient"].includes(stage) && ["connect", "tls"].includes(error.step);
  const place = stage === "dns" || stage === "banner" || stage === "ehlo" ? stage : error.step;
  const advice = adviceFor(stage === "tls" ? "tls" : place, printable(error.message));
  chart.put(stage, "fail", `${later ? "in another session, " : ""}${error.message}`, {
    advice: doubt ? `${doubt} ${advice}` : advice,
    ...(warnings && warnings.length > 0 && { warnings }),
  });
};

const tlsWords = ({ version, cipher, subject, validTo }: Tls): string =>
  `${version} ${cipher}, certificate of ${subject} until ${validTo}`;

const lostStarttls = ({ starttlsAt }: Seen): string[] =>
  starttlsAt === undefined
    ? []
    : [
        `On ${day.format(starttlsAt)} this relay still offered STARTTLS: ask its administrator; if nothing was changed there, somebody in between takes it away.`,
      ];

/**
 * Opens a session without a login and decides the stages up to auth-offered. Undefined if there is no session.
 */
const greet = async (
  relay: SmtpRelay,
  { before = { at: 0 } }: Question,
  { open, clock, timeOf, heard }: DoctorParts,
  chart: Chart,
  signal: AbortSignal,
): Promise<{ session?: SmtpSession; seen?: Seen }> => {
  const { protection, credentials } = relay;
  let command = "";
  let extensions: string[] = [];
  let starttls: boolean | undefined;
  let hosts = 0;
  let secured = false;
  const passed: SessionObserver["passed"] = (point, address) => {
    if (point === "dns") [hosts, command] = [hosts + 1, ""];
    if (point === "tls") {
      secured = true;
      return;
    }
    const name = `${relay.mx ? "the relay of " : ""}${relay.host} is ${address}`;
    const found = address === relay.host ? "an address needs no look-up" : name;
    chart.put(point, "pass", point === "dns" ? found : `to ${address} port ${relay.port}`);
  };
  const observe = ({ from, text }: Line) => {
    heard({ from, text });
    if (from === "client") {
      [command, extensions] = [text, []];
      return;
    }
    const last = /^\d{3}(?!-)/.test(text);
    if (command === "" && text.startsWith("220") && last) chart.put("banner", "pass", text);
    if (!/^(EHLO|HELO) /.test(command) || !text.startsWith("250")) return;
    extensions.push(text.slice(4).trim());
    if (!last) return;
    // The first word of each but the first line (RFC 5321 §4.1.1.1).
    const words = extensions.slice(1).map((line) => line.split(" ", 1)[0]?.toUpperCase());
    starttls ??= words.includes("STARTTLS");
    const offers = words.length > 0 ? `; it offers ${words.join(", ")}` : "";
    chart.put("ehlo", "pass", `${command}${offers}`);
  };
  const lost = () => (starttls === false && protection !== "implicit" ? lostStarttls(before) : []);
  const seen = (): Seen | undefined => {
    if (starttls === undefined) return undefined;
    const at = clock();
    return { at, starttlsAt: starttls ? at : before.starttlsAt };
  };
  let session: SmtpSession;
  try {
    session = await open(relay, signal, { passed, heard: observe });
  } catch (error) {
    if (secured) chart.put("tls", "pass", "the handshake was done");
    const [stage] = chart.undecided();
    if (stage === "tls" && starttls === false && error instanceof SessionError)
      putFailure(chart, new SessionError("tls", `STARTTLS is not offered (${error.message})`), "tls", {
        warnings: lost(),
      });
    else putFailure(chart, error);
    return { seen: seen() };
  }
  const tls = session.tls();
  const warnings = lost();
  if (hosts > 1) warnings.push(`${hosts - 1} of the domain's hosts did not do; this is ${session.host}.`);
  const ends = tls && timeOf(tls.validTo);
  if (ends && ends - clock() < soonMilliseconds)
    warnings.push(`The relay's certificate ends on ${day.format(ends)}: have it renewed.`);
  const more = warnings.length > 0 ? { warnings } : {};
  if (tls) chart.put("tls", "pass", tlsWords(tls), more);
  else chart.put("tls", "skipped", "configured with tls=none: everything goes in clear", more);
  for (const stage of ["banner", "ehlo"] as const) chart.put(stage, "pass", "as it should be");
  const mechanism = session.mechanism();
  const offered = session
    .extensions()
    .filter((line) => /^AUTH[ =]/i.test(line))
    .flatMap((line) => line.slice("AUTH ".length).split(" "));
  const offer = offered.length > 0 ? `it offers ${[...new Set(offered)].join(" ")}` : "it offers no AUTH";
  if (!credentials) chart.put("auth-offered", "skipped", `no login is configured; ${offer}`);
  else if (mechanism) chart.put("auth-offered", "pass", `${offer}; ${mechanism} is used`);
  else putFailure(chart, new SessionError("auth-offered", `wanted ${relay.auth.join(" or ")}, but ${offer}`));
  return { session, seen: seen() };
};

const senderWords = /sender|send.?as|mail from|\bfrom address|not owned|\b5\.1\.[78]\b|\b5\.7\.60\b/i;

/** Whether a reply to RCPT is about the sender: postponed from MAIL, as Postfix does by default. */
const isAboutSender = (reply: string, from: string, to: string): boolean => {
  const names = (address: string) => reply.toLowerCase().includes(address.toLowerCase());
  if (names(from) !== names(to)) return names(from);
  return senderWords.test(reply) && !/recipient|\bIP\b|relay/i.test(reply);
};

/** Replies that are about the domain of the recipient, not about who asks. */
const aboutDomain = /^556|\b5\.1\.(2|10)\b|null ?MX|Recipient address rejected: Domain|Unrouteable/i;

/** Asks in a session without a login whether the relay would take mail for outside. There is no DATA. */
const testOpenRelay = async (
  session: SmtpSession,
  { credentials }: SmtpRelay,
  question: Question,
  chart: Chart,
  soon: () => AbortSignal,
) => {
  const from = question.from ?? "nobody@example.org";
  // Reserved names (RFC 2606): whatever a relay does with them, nobody is mailed.
  const to =
    question.outside ?? (from.endsWith("@example.net") ? "nobody@example.org" : "nobody@example.net");
  const replyTo = async (sender: string): Promise<string> => {
    const taken = await session.command(`MAIL FROM:<${sender}>`, soon());
    if (!taken.startsWith("2")) return taken;
    const reply = await session.command(`RCPT TO:<${to}>`, soon());
    // The result of RCPT must not be lost if the relay breaks off now.
    await session.command("RSET", soon()).catch(() => undefined);
    return reply;
  };
  try {
    const reply = await replyTo(from);
    if (reply.startsWith("5") && aboutDomain.test(reply))
      chart.put(
        "open-relay",
        "skipped",
        `cannot be told, for it looks at the domain first: ${reply}; ask with --outside ADDRESS, one of yours at another provider`,
      );
    else if (
      reply.startsWith("5") &&
      isAboutSender(reply, from, to) &&
      !/^530|log(ged)?.?in|authenticat/i.test(reply)
    )
      chart.put("open-relay", "skipped", `cannot be told, for it refuses the sender first: ${reply}`);
    else if (reply.startsWith("5"))
      chart.put("open-relay", "pass", `without a login no mail for outside: ${reply}`);
    else if (!reply.startsWith("2"))
      chart.put("open-relay", "skipped", `cannot be told, for it says later: ${reply}`);
    else if (credentials)
      chart.put("open-relay", "fail", `OPEN RELAY: without a login it takes mail for ${to}: ${reply}`, {
        advice:
          "Have its administrator close it: anybody may send spam through it, and then nobody takes its mail. If it trusts this machine's address on purpose, leave user and password out of HARDSTATE_RELAYS.",
      });
    else {
      const foreign = from.endsWith("@example.org") ? "nobody@example.com" : "nobody@example.org";
      const any = (await replyTo(foreign)).startsWith("2") ? `, from ${foreign} too` : "";
      chart.put("open-relay", "pass", `it takes mail for ${to} without a login: ${reply}`, {
        warnings: [
          `It relays for this machine without a login${any}. That is right if it trusts this machine's address; whether it is an OPEN RELAY can be told only from an address that it does not trust.`,
        ],
      });
    }
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    chart.put("open-relay", "skipped", `cannot be told: ${error.message}`);
  }
};

const refusal = (step: Step, reply: string) => new SessionError(step, reply, Number(reply.slice(0, 3)));

/** Says MAIL, RCPT if there is somebody to name, and RSET; decides `sender`, and `recipient` unless a mail will. */
const askEnvelope = async (
  session: SmtpSession,
  { from, to, mail }: Question,
  chart: Chart,
  soon: () => AbortSignal,
) => {
  if (from === undefined) return chart.put("sender", "skipped", "HARDSTATE_FROM tests it");
  const taken = await session.command(`MAIL FROM:<${from}>`, soon());
  if (!taken.startsWith("2")) throw refusal("sender", taken);
  const reply = to === undefined ? "" : await session.command(`RCPT TO:<${to}>`, soon());
  if (to !== undefined && !reply.startsWith("2"))
    throw refusal(isAboutSender(reply, from, to) ? "sender" : "recipient", reply);
  chart.put("sender", "pass", `${from}: ${taken}`);
  if (to === undefined && !mail)
    chart.put(
      "recipient",
      "skipped",
      "HARDSTATE_OPERATOR or --to ADDRESS tests it: many relays refuse a sender only here",
    );
  else if (!mail) chart.put("recipient", "pass", `${to}: ${reply}`);
  await session.command("RSET", soon());
};

/** Logs in and asks whether the relay takes our envelope; decides `token`, `auth` and what `askEnvelope` does. */
const logIn = async (
  relay: SmtpRelay,
  question: Question,
  { open, heard }: DoctorParts,
  chart: Chart,
  soon: (factor?: number) => AbortSignal,
  leave: (session: SmtpSession) => Promise<void>,
) => {
  const { credentials, auth, mx } = relay;
  const byToken = credentials && "oauth" in credentials;
  let reply = "";
  if (!byToken) chart.put("token", "skipped", "only with auth=XOAUTH2");
  if (!credentials) chart.put("auth", "skipped", "no login is configured");
  let session: SmtpSession | undefined;
  try {
    session = await open(relay, soon(mx ? mostHosts : 1), {
      heard: (line) => {
        heard(line);
        if (line.from === "relay") reply = line.text;
      },
      reached: (step) => {
        if (byToken && step === "auth")
          chart.put("token", "pass", `by ${new URL(credentials.oauth.tokenUrl).host}`);
      },
    });
    await session.authenticate(soon(2));
    if (credentials)
      chart.put("auth", "pass", `${credentials.user} by ${session.mechanism() ?? auth[0]}: ${reply}`);
    await askEnvelope(session, question, chart, soon);
  } catch (error) {
    const step = error instanceof SessionError ? error.step : undefined;
    const refused = error instanceof SessionError && step === "auth" && error.message.startsWith("53");
    const doubt = refused ? passwordDoubt(relay) : undefined;
    const decided = ["token", "auth", "sender", "recipient"] as const;
    const at = decided.find((one) => one === step);
    if (at === "recipient") chart.put("sender", "pass", `${question.from}: not refused`);
    putFailure(chart, error, at, { doubt });
  }
  if (session) await leave(session);
};

/** Decides the stages that are left by what became of the test mail. */
const putOutcome = (chart: Chart, outcome: DeliveryOutcome) => {
  if (outcome.result !== "accepted") {
    const at = outcome.step === "after-data" ? "accepted" : outcome.step;
    for (const stage of chart.undecided()) {
      if (stage === at || !chart.undecided().includes(at)) break;
      chart.put(stage, "pass", "taken");
    }
    return putFailure(chart, new SessionError(outcome.step, outcome.reply, outcome.code), at);
  }
  for (const stage of chart.undecided()) if (stage !== "accepted") chart.put(stage, "pass", "taken");
  const id = outcome.queueId ? `queue id ${outcome.queueId}` : "without a queue id";
  chart.put("accepted", "pass", `${id}: ${outcome.reply}`);
};

const putDomain = (chart: Chart, checks: DomainCheck[]) => {
  const of = (...results: DomainCheck["result"][]) =>
    checks.filter(({ result }) => results.includes(result)).map(({ check }) => check);
  const [failed, warned, passed, unknown] = [of("fail"), of("warning"), of("pass"), of("unknown")];
  const words = [
    ...(failed.length > 0 ? [`wrong: ${failed.join(", ")}`] : []),
    ...(warned.length > 0 ? [`with a warning: ${warned.join(", ")}`] : []),
    ...(passed.length > 0 ? [`good: ${passed.join(", ")}`] : []),
    ...(unknown.length > 0 ? [`cannot be told: ${unknown.join(", ")}`] : []),
  ];
  const told = passed.length + warned.length > 0;
  chart.put("domain", failed.length > 0 ? "fail" : told ? "pass" : "skipped", words.join("; "), { checks });
};

const examineSmtp = async (relay: SmtpRelay, question: Question, parts: DoctorParts, chart: Chart) => {
  const { stageMilliseconds, routeMilliseconds, farewellMilliseconds } = { ...usualLimits, ...parts.limits };
  const whole = AbortSignal.timeout(routeMilliseconds);
  const soon = (factor = 1) => AbortSignal.any([whole, AbortSignal.timeout(stageMilliseconds * factor)]);
  // Some relays allow one connection from an address: the next session waits until this one is over.
  const leave = (session: SmtpSession): Promise<void> =>
    new Promise((resolve) => {
      const close = () => {
        session.close();
        resolve();
      };
      if (!session.usable()) return close();
      session.whenOver(resolve);
      AbortSignal.timeout(farewellMilliseconds).addEventListener("abort", close);
      session.quit();
    });
  const { session, seen } = await greet(relay, question, parts, chart, soon(relay.mx ? mostHosts : 1));
  if (!session) return seen;
  await testOpenRelay(session, relay, question, chart, soon);
  await leave(session);
  if (!chart.obstacle()) await logIn(relay, question, parts, chart, soon, leave);
  return seen;
};

/**
 * Examines one route as the bridge would use it: one session without a login looks at the relay, and finds out
 * whether it is an open relay. A second one logs in and names our sender and a recipient; both end without DATA. The
 * mail of the question, if there is one, goes by the route's own transport. At the end DNS is asked about the
 * sender's domain.
 */
export const examine = async (relay: Relay, question: Question, parts: DoctorParts): Promise<Examination> => {
  const tlsFirst = relay.kind === "smtp" && relay.protection === "implicit";
  const order = tlsFirst
    ? stages.toSpliced(stages.indexOf("tls"), 1).toSpliced(stages.indexOf("banner"), 0, "tls")
    : stages;
  const chart = chartOf(order, parts.tell);
  chart.put("config", "pass", relayWords(relay));
  let seen: Seen | undefined;
  if (relay.kind === "smtp") seen = await examineSmtp(relay, question, parts, chart);
  else
    for (const stage of [
      "dns",
      "banner",
      "ehlo",
      "tls",
      "auth-offered",
      "open-relay",
      "token",
      "data",
    ] as const)
      chart.put(stage, "skipped", "Amazon SES is no SMTP relay");
  if (question.mail && !chart.obstacle()) {
    const transport = parts.transport(relay, { heard: parts.heard });
    const { mailMilliseconds } = { ...usualLimits, ...parts.limits };
    putOutcome(chart, await transport.send(question.mail, AbortSignal.timeout(mailMilliseconds)));
    transport.close();
  }
  const obstacle = chart.obstacle();
  const untold = obstacle
    ? `not reached: ${obstacle} failed`
    : "--to ADDRESS tests it: some relays refuse a sender only after the content";
  for (const stage of chart.undecided()) chart.put(stage, "skipped", untold);
  if (parts.domain) putDomain(chart, await parts.domain(relay));
  else chart.put("domain", "skipped", "HARDSTATE_FROM tests it");
  return { failed: chart.failed(), stages: chart.findings(), seen };
};

import type { DeliveryOutcome } from "../../../functions/deliver/outcome.ts";
import { parametersOf, type Reply, replyReader } from "./replies.ts";

/** The facts of a case that the judge must know beforehand. */
export type Terms = {
  protection: "starttls" | "implicit" | "none";
  auth: readonly string[];
  credentials: boolean;
  user: string;
  /** The password or token, in no form to be seen outside TLS where TLS is required, nor in any outcome. */
  secret: string;
  mails: { from: string; to: string; content: string }[];
};

export type Verb =
  | "greeting"
  | "EHLO"
  | "HELO"
  | "STARTTLS"
  | "AUTH"
  | "SASL"
  | "MAIL"
  | "RCPT"
  | "DATA"
  | "dot"
  | "RSET"
  | "NOOP"
  | "QUIT";

/** One of a client's words that a reply is due for. */
export type Due = { verb: Verb; line: string; transaction?: Transaction };

/** A reply that came in step, with what it was to. */
type Said = { due: Due; reply: Reply };

type Transaction = {
  mail: number;
  replies: Partial<Record<Verb, Reply>>;
  content: string;
  complete: boolean;
  /** Whether the relay refused it before it had it to its end. */
  refused?: boolean;
  /** Why no reply to its dot can count: something was wrong with the session before. */
  outOfStep?: string;
};

/** Replies under which a client may go on. */
const goesOn: Record<Verb, (code: number) => boolean> = {
  greeting: (code) => code >= 200 && code < 300,
  EHLO: (code) => code >= 200 && code < 300,
  HELO: (code) => code >= 200 && code < 300,
  STARTTLS: (code) => code === 220,
  AUTH: (code) => code === 235 || code === 334,
  SASL: (code) => code === 235 || code === 334,
  MAIL: (code) => code >= 200 && code < 300,
  RCPT: (code) => code >= 200 && code < 300,
  DATA: (code) => code === 354,
  dot: (code) => code >= 200 && code < 300,
  RSET: (code) => code >= 200 && code < 300,
  NOOP: (code) => code >= 200 && code < 300,
  QUIT: () => true,
};

/** The one code of RFC 5321 §4.3.2, RFC 3207 and RFC 4954 upon which a client must go on. */
const expected: Partial<Record<Verb, number[]>> = {
  greeting: [220],
  EHLO: [250],
  STARTTLS: [220],
  AUTH: [235, 334],
  SASL: [235, 334],
  MAIL: [250],
  RCPT: [250, 251],
  DATA: [354],
  dot: [250],
  RSET: [250],
};

const steps: Record<Verb, string[]> = {
  greeting: ["connect"],
  EHLO: ["connect", "tls"],
  HELO: ["connect", "tls"],
  STARTTLS: ["tls", "connect"],
  AUTH: ["auth", "connect"],
  SASL: ["auth", "connect"],
  MAIL: ["sender"],
  RCPT: ["recipient"],
  DATA: ["data"],
  dot: ["after-data"],
  RSET: ["connect", "sender"],
  NOOP: ["connect"],
  QUIT: [],
};

/** Forms of a secret on the wire: as it is, and in base64 wherever it begins in a group of three bytes. */
const formsOf = (secret: string): string[] => [
  secret,
  ...[0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]).toString("base64");
    const last = Math.floor(((before + secret.length) * 8) / 6);
    return text.slice(Math.ceil((before * 8) / 6), last);
  }),
];

/** Whether a text tells a secret in any form, or more than the first half of it. */
export const tells = (text: string, secret: string): boolean =>
  formsOf(secret).some((form) => text.includes(form.slice(0, Math.ceil(form.length * 0.6))));

const stuffed = (content: string) => content.replace(/^\./gm, "..");

/** A connection as somebody sees it who stands in between and knows SMTP. */
export const connectionJudge = (terms: Terms, number: number, wrong: (says: string) => void) => {
  const due: Due[] = [];
  const transactions: Transaction[] = [];
  /** All replies that came in step, with what each was to. */
  const heard: Said[] = [];
  /** Refusals that no command can have asked for: 421 at any time, any behind 354 and before its content's reply. */
  const unasked: Reply[] = [];
  let dues = 0;
  let [clear, line] = ["", ""];
  let secured = false;
  /** Why nothing that the relay says can be trusted any more. */
  let outOfStep: string | undefined;
  let injected = false;
  /** Why the session may carry no further mail. */
  let spent: string | undefined;
  let greeted = false;
  let ehlo: Reply | undefined;
  let helo = false;
  let loggedIn = false;
  let [authTries, saslLines] = [0, 0];
  let mode: "command" | "SASL" | "content" = "command";
  let transaction: Transaction | undefined;
  /** Whose content follows 354. */
  let receiving: Transaction | undefined;
  let begun = 0;
  let over = false;

  const offers = (keyword: string) => ehlo !== undefined && parametersOf(ehlo, keyword).length > 0;
  const lose = (reason: string) => {
    outOfStep ??= reason;
  };

  const await_ = (verb: Verb, text = "", of = transaction) => {
    const one: Due = { verb, line: text, transaction: of };
    due.push(one);
    dues += 1;
    return one;
  };
  await_("greeting");

  const take = (one: Due, reply: Reply) => {
    const { verb, transaction: mine } = one;
    heard.push({ due: one, reply });
    if (mine) {
      mine.replies[verb] = reply;
      if (verb === "dot") mine.outOfStep = outOfStep;
    }
    if (reply.quality === "bad") return lose(`a reply to ${verb} that is none`);
    const { code } = reply;
    const good = goesOn[verb](code);
    if (code === 421) spent ??= `421 to ${verb}`;
    if (verb === "greeting") greeted = good;
    if (verb === "EHLO") {
      ehlo = good ? reply : undefined;
      if (secured === false || terms.protection === "implicit") loggedIn = false;
    }
    if (verb === "HELO") helo = good;
    if (verb === "AUTH" || verb === "SASL") {
      if (code === 235) loggedIn = true;
      mode = code === 334 ? "SASL" : "command";
    }
    if (verb === "DATA" && code === 354) [mode, receiving] = ["content", mine];
    if (verb === "RSET" && good && transaction) transaction = undefined;
    if (mine && ["MAIL", "RCPT", "DATA", "dot"].includes(verb)) {
      const { RCPT: rcpt } = mine.replies;
      // Commands that came along with a refused RCPT are refused with it.
      const withRcpt = rcpt !== undefined && !goesOn.RCPT(rcpt.code);
      // Some relays know their recipients only when they have the content.
      const named = code >= 500 && verb !== "MAIL" && /\b5\.1\.1\b|unknown user/.test(reply.lines.join(""));
      const ofRecipient = verb === "RCPT" ? code >= 500 : withRcpt || named;
      if (!good && !(ofRecipient && code >= 400)) spent ??= `${code} to ${verb}`;
      if (verb === "dot" || (verb === "MAIL" && !good)) if (transaction === mine) transaction = undefined;
    }
  };
  /** Whether a reply has begun before the final dot was sent. */
  let astride = false;
  const hear = replyReader(
    () => {
      if (due.length > 0) return;
      // While content is on its way nobody can tell what of it the relay had when its reply began.
      astride = mode === "content" && receiving?.content !== "";
      if (astride) return;
      const last = heard.at(-1);
      if (!secured && last?.due.verb === "STARTTLS" && last.reply.code === 220) injected = true;
      lose("a reply that nobody asked for");
    },
    (reply) => {
      const one = due.shift();
      if (astride && one && reply.quality === "good") reply.quality = "odd";
      if (astride && !one) lose("a reply that nobody asked for");
      astride = false;
      if (one && !outOfStep) return take(one, reply);
      const behind354 = heard.at(-1)?.due.verb === "DATA" && reply.code >= 400;
      if (reply.quality !== "bad" && (reply.code === 421 || behind354)) {
        unasked.push(reply);
        if (mode === "content" && receiving) receiving.refused = true;
      }
    },
  );

  const login = (words: string[]) => {
    const [, mechanism = "", response] = words;
    authTries += 1;
    saslLines = 0;
    if (!terms.credentials) wrong("AUTH without credentials");
    if (authTries > 2) wrong("a third AUTH in one session");
    if (loggedIn) wrong("AUTH in a session that is logged in");
    if (!ehlo) return wrong("AUTH without an EHLO that was answered");
    const offered = parametersOf(ehlo, "AUTH").flat();
    const right = terms.auth.find((one) => offered.includes(one));
    if (mechanism !== right) wrong(`AUTH ${mechanism} where ${right ?? "none"} is the first that is offered`);
    if (response === undefined) return;
    const text = Buffer.from(response, "base64").toString();
    if (mechanism === "PLAIN" && text !== `\0${terms.user}\0${terms.secret}`)
      wrong("AUTH PLAIN with something else than user and password");
    if (mechanism === "CRAM-MD5") wrong("AUTH CRAM-MD5 with an initial response");
  };

  const begin = (words: string[]) => {
    const from = /^MAIL FROM:<([^<>]*)>(.*)$/.exec(words.join(" "));
    if (!from) return wrong("a MAIL command of another form");
    const mail = terms.mails.findIndex((one) => one.from === from[1]);
    if (mail < 0) wrong(`MAIL from ${from[1]}, who is the sender of no mail`);
    if (transaction) wrong("MAIL within a transaction");
    if (spent) wrong(`MAIL in a session that said ${spent}`);
    if (terms.credentials && !loggedIn) wrong("MAIL without a login");
    if (!ehlo && !helo) wrong("MAIL without EHLO");
    begun += 1;
    const limits = ehlo?.quality === "good" ? parametersOf(ehlo, "LIMITS") : [];
    const most = limits.length === 1 ? (limits[0]?.indexOf("MAILMAX") ?? -1) : -1;
    const value = most < 0 ? "" : (limits[0]?.[most + 1] ?? "");
    if (/^[1-9]\d{0,5}$/.test(value) && begun > Number(value))
      wrong(`mail ${begun} where MAILMAX is ${value}`);
    for (const parameter of from[2]?.trim().split(" ").filter(Boolean) ?? []) {
      const [keyword = "", text = ""] = parameter.split("=");
      const extension = { SIZE: "SIZE", BODY: "8BITMIME", RET: "DSN", ENVID: "DSN", SMTPUTF8: "SMTPUTF8" }[
        keyword
      ];
      if (!extension || !offers(extension)) wrong(`MAIL with ${parameter}, which is not offered`);
      if (keyword === "SIZE" && Number(text) !== terms.mails[mail]?.content.length)
        wrong(`MAIL with ${parameter} for ${terms.mails[mail]?.content.length} bytes`);
    }
    transaction = { mail, replies: {}, content: "", complete: false };
    transactions.push(transaction);
  };

  const command = (text: string, secure: boolean) => {
    if (!/^[\x20-\x7e]*$/.test(text)) wrong("a command with control or 8-bit bytes");
    const words = text.split(" ");
    const verb = (words[0] ?? "").toUpperCase() as Verb;
    if (text.length > (verb === "AUTH" ? 12_286 : 510)) wrong(`a command of ${text.length} octets`);
    if (!["EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"].includes(verb))
      return wrong(`${JSON.stringify(text.slice(0, 60))}, which is no command of ours`);
    if (verb === "QUIT") return void await_(verb, text);
    if (outOfStep && !(injected && verb === "EHLO")) wrong(`${verb} after ${outOfStep}`);
    if (over) wrong(`${verb} after the relay has closed`);
    const last = due.at(-1)?.verb;
    const together =
      ["MAIL", "RCPT", "RSET"].includes(last ?? "") && ["RCPT", "DATA", "RSET", "MAIL"].includes(verb);
    if (last && !(together && offers("PIPELINING"))) wrong(`${verb} before the reply to ${last}`);
    if (!greeted) wrong(`${verb} without a greeting`);
    if (terms.protection !== "none" && !secure && !["EHLO", "HELO", "STARTTLS"].includes(verb))
      wrong(`${verb} in clear`);
    if (verb === "STARTTLS" && (terms.protection !== "starttls" || secure))
      wrong("STARTTLS where it is not due");
    if (!secure && heard.some(({ due: { verb }, reply }) => verb === "STARTTLS" && reply.code === 220))
      wrong(`${verb} in clear behind STARTTLS`);
    if (verb === "AUTH") login(words);
    if (verb === "MAIL") begin(words);
    if (verb === "RCPT" || verb === "DATA") {
      if (!transaction) return wrong(`${verb} without MAIL`);
      const mail = terms.mails[transaction.mail];
      const [, to, rest] = /^RCPT TO:<([^<>]*)>(.*)$/.exec(text) ?? [];
      if (verb === "RCPT" && to !== mail?.to) wrong(`RCPT to ${to} for the mail to ${mail?.to}`);
      if (rest && !offers("DSN")) wrong(`RCPT with ${rest}, which is not offered`);
      for (const before of ["MAIL", "RCPT"] as const) {
        const reply = transaction.replies[before];
        if (reply && !goesOn[before](reply.code)) wrong(`${verb} after ${reply.code} to ${before}`);
      }
    }
    await_(verb, text);
  };

  const answer = (text: string) => {
    saslLines += 1;
    mode = "command";
    if (outOfStep) wrong(`an answer to a challenge after ${outOfStep}`);
    if (saslLines > 4) wrong("a fifth answer in one AUTH");
    if (!/^([\w+/]*=*|\*)$/.test(text) || text.length > 12_286) wrong("an answer that is no base64");
    await_("SASL", text);
  };

  const content = (bytes: string): string => {
    if (!receiving) {
      wrong("content in no transaction");
      return "";
    }
    const mine = receiving;
    // A mail that was refused meanwhile must not come to its end, or the relay might take it all the same.
    if (mine.refused && bytes.includes(".\r\n")) wrong("it goes on with content that was refused");
    if (outOfStep && mine.content === "") wrong(`content after ${outOfStep}`);
    const before = mine.content.length;
    mine.content += bytes;
    const end = mine.content.startsWith(".\r\n")
      ? 0
      : mine.content.indexOf("\r\n.\r\n", Math.max(0, before - 5));
    const text = mine.content.startsWith(".\r\n") ? "" : mine.content.slice(0, end < 0 ? undefined : end + 2);
    const taken = (["MAIL", "RCPT"] as const).every((verb) => goesOn[verb](mine.replies[verb]?.code ?? 0));
    if (!taken && !["", ".", ".\r"].includes(text)) wrong("content though MAIL or RCPT was refused");
    const whole = stuffed(terms.mails[mine.mail]?.content ?? "");
    if (taken && (end < 0 ? !`${whole}.\r\n`.startsWith(text) : text !== whole)) {
      wrong(
        end < 0
          ? "other content than the mail's"
          : `content of ${text.length} bytes where the mail has ${whole.length}`,
      );
    }
    const rcpt = mine.replies.RCPT?.code ?? 0;
    if (end >= 0 && !taken && goesOn.RCPT(rcpt)) wrong("an empty mail to a recipient that the relay knows");
    if (end < 0) return "";
    const length = text === "" ? 3 : end + 5;
    const rest = mine.content.slice(length);
    mine.content = text;
    mine.complete = true;
    mode = "command";
    await_("dot", "", mine);
    return rest;
  };

  return {
    number,
    due,
    transactions,
    heard,
    unasked,
    /** How many bytes the relay takes, if it says so in the form of RFC 1870 §4. */
    mostBytes: () =>
      (ehlo ? parametersOf(ehlo, "SIZE") : [])
        .map((words) => words.join(" "))
        .filter((size) => /^[1-9]\d{0,19}$/.test(size))
        .reduce((most, size) => Math.min(most, Number(size)), Number.POSITIVE_INFINITY),
    ended: () => over,
    isSpent: () => spent,
    outOfStep: () => outOfStep,
    injected: () => injected,
    secured: () => secured,
    isLoggedIn: () => loggedIn,
    offered: () => (ehlo?.quality === "good" ? parametersOf(ehlo, "AUTH").flat() : []),
    expectsContent: () => mode === "content",
    said: () => dues > 1,
    /** The relay's bytes, as the client has them before it says anything more. */
    relay: hear,
    client(bytes: string, secure: boolean) {
      if (!secure && terms.protection !== "none") {
        if (terms.protection === "implicit") wrong("bytes in clear where TLS is from the start");
        clear += bytes;
        if (tells(clear, terms.secret)) wrong("the secret in clear");
      }
      let rest = bytes;
      while (rest !== "") {
        if (mode === "content") {
          rest = content(rest);
          continue;
        }
        const end = rest.indexOf("\n");
        line += rest.slice(0, end < 0 ? undefined : end + 1);
        rest = end < 0 ? "" : rest.slice(end + 1);
        if (end < 0) break;
        const whole = line;
        line = "";
        if (!whole.endsWith("\r\n")) wrong("a line that ends with LF alone");
        if (mode === "SASL" && due.length === 0) answer(whole.trimEnd());
        else command(whole.replace(/\r?\n$/, ""), secure);
      }
    },
    /** The client asks for TLS, or begins it. */
    secure(done: boolean) {
      const last = heard.at(-1);
      const asked = last?.due.verb === "STARTTLS" && last.reply.code === 220;
      if (terms.protection === "starttls" && !asked)
        wrong("TLS though the relay did not say 220 to STARTTLS");
      if (terms.protection === "none") wrong("TLS where none is configured");
      if (!done) return;
      secured = true;
      [ehlo, helo] = [undefined, false];
    },
    closed() {
      over = true;
    },
  };
};

export type ConnectionJudge = ReturnType<typeof connectionJudge>;

/** One attempt to send a mail: the connections that it used, the last of which decides. */
export type Attempt = {
  mail: number;
  aborted: boolean;
  used: { judge: ConnectionJudge; heardBefore: number }[];
  /** The error of a connection that did not come about, or of its handshake. */
  unreached?: "connect" | "tls";
};

/** The outcome that follows from the bytes on the wire. */
export const judgeOutcome = (
  terms: Terms,
  { mail, aborted, used, unreached }: Attempt,
  outcome: DeliveryOutcome,
  wrong: (says: string) => void,
) => {
  const shown = JSON.stringify(outcome);
  if (tells(shown, terms.secret)) wrong("the secret in an outcome");
  if (/\p{Cc}/u.test(outcome.reply) || outcome.reply.length > 500) wrong("an outcome that cannot be printed");

  const mine = used.flatMap(({ judge }) => judge.transactions.filter((one) => one.mail === mail));
  const withContent = mine.filter(({ complete, content }) => complete && content.length > 1);
  const dots = withContent.map(({ replies }) => replies.dot);
  if (dots.slice(0, -1).some((reply) => !reply || reply.quality === "bad" || reply.code < 400))
    wrong("content sent again though the relay may have taken it");
  const last = withContent.at(-1);
  const dot = last?.outOfStep ? undefined : last?.replies.dot;
  const deciding = used.at(-1);
  const heard = deciding?.judge.heard.slice(deciding.heardBefore) ?? [];
  const allGood = heard.every(
    ({ reply, due: { verb } }) => reply.quality === "good" && goesOn[verb](reply.code),
  );

  if (outcome.result === "accepted") {
    if (!last) return wrong("accepted, but no final dot was sent");
    if (!dot || dot.quality === "bad") return wrong("accepted, but its final dot had no reply");
    if (dot.code >= 300) return wrong(`accepted, but its final dot was answered with ${dot.code}`);
    if (mine.at(-1) !== last) return wrong("accepted, but a later transaction was begun");
    if (outcome.code !== dot.code) wrong(`accepted with ${outcome.code}, but the relay said ${dot.code}`);
    if (terms.protection !== "none" && !outcome.tls) wrong("accepted under TLS, but it tells of none");
    return;
  }
  if (dot?.code === 250 && allGood) wrong(`${outcome.result}, but the relay took the mail`);

  const relay = deciding?.judge;
  const friendly = heard.every(
    ({ reply, due: { verb } }) => reply.quality === "good" && expected[verb]?.includes(reply.code),
  );
  const loggedIn = !terms.credentials || (relay?.isLoggedIn() ?? false);
  const unhurt =
    relay &&
    !relay.ended() &&
    !relay.outOfStep() &&
    relay.due.length === 0 &&
    !relay.expectsContent() &&
    !unreached &&
    !aborted;
  if (friendly && unhurt && loggedIn && (terms.mails[mail]?.content.length ?? 0) <= relay.mostBytes())
    wrong(`${outcome.result} at step ${outcome.step}, but the relay refused nothing`);

  const lost = outcome.result === "deferred" && outcome.lostAfterData;
  // A relay may refuse content that it does not have to its end.
  const refusedMeanwhile = (deciding?.judge.unasked.length ?? 0) > 0;
  const answered = dot && dot.quality !== "bad" && dot.code >= 400;
  const unanswered = last !== undefined && !answered && !refusedMeanwhile;
  const refusedDot = dot !== undefined && dot.quality === "good" && dot.code >= 400;
  if (unanswered && !lost)
    wrong(`${outcome.result}, but the final dot was sent and the relay may have taken it`);
  if (lost && refusedDot) wrong(`lost after data, but the relay said ${dot.code}`);
  if (lost && mine.every(({ content }) => content === "")) wrong("lost after data, but no content was sent");

  const { code, step } = outcome;
  const replies = heard.filter(({ reply }) => reply.quality !== "bad");
  const failed = replies.find(({ due: { verb }, reply }) => !goesOn[verb](reply.code) && verb !== "QUIT");
  if (code !== undefined && code >= 400 && step !== "token") {
    const judge = deciding?.judge;
    const said = replies.some(
      ({ due: { verb }, reply }) => reply.code === code && steps[verb].includes(step),
    );
    const unasked = judge?.unasked.some((reply) => reply.code === code) ?? false;
    const tooBig = code === 552 && (terms.mails[mail]?.content.length ?? 0) > (judge?.mostBytes() ?? 0);
    if (!said && !unasked && !tooBig)
      return wrong(`${outcome.result} by ${code} at step ${step}, which the relay did not say there`);
    if (failed?.due.transaction && failed.reply.code !== code && failed.reply.quality === "good")
      wrong(`${outcome.result} by ${code} at step ${step}, but first there was ${failed.reply.code}`);
  }
  // Before it there is nothing at which a client may break off.
  const inForm = replies
    .slice(0, replies.indexOf(failed as Said))
    .every(({ reply }) => reply.quality === "good");
  const clearly =
    failed && inForm && failed.reply.quality === "good" && failed.reply.code >= 400 && failed.due.transaction;
  if (clearly && !aborted && code !== failed.reply.code)
    wrong(
      `${outcome.result} without a code at ${step}, but ${failed.due.verb} was answered with ${failed.reply.code}`,
    );

  if (outcome.result === "refused") {
    if (code === undefined || code < 500) wrong(`refused by ${code}`);
    if (!["sender", "recipient", "data", "after-data"].includes(step)) wrong(`refused at step ${step}`);
  }
  if (outcome.result === "unauthorised" && (code ?? 0) < 500) {
    const judge = deciding?.judge;
    const noTls =
      terms.protection !== "none" && (!judge?.secured() || judge.injected() || unreached === "tls");
    const offered = judge?.offered() ?? [];
    const noAuth = !terms.auth.some((one) => offered.includes(one));
    if (!(step === "tls" && noTls) && !(step === "auth-offered" && noAuth))
      wrong(`unauthorised at step ${step} by ${code ?? "no reply"}`);
  }
};

import type { SecureContext } from "node:tls";
import type { Mail } from "../../../functions/deliver/mail.ts";
import type { DeliveryOutcome } from "../../../functions/deliver/outcome.ts";
import type { Mechanism, SmtpRelay } from "../../../functions/deliver/relay-url.ts";
import { SessionError } from "../../../functions/deliver/session.ts";
import type { smtpTransport } from "../../../functions/deliver/smtp.ts";
import { Secret } from "../../../functions/secret.ts";
import { type Draw, draws } from "../../simulation/draws.ts";
import { activity, type ConnectionInMemory, connectionInMemory, rest } from "./connection.ts";
import { type Act, deviations, unasked } from "./deviations.ts";
import {
  type Attempt,
  type ConnectionJudge,
  connectionJudge,
  type Due,
  judgeOutcome,
  type Terms,
  tells,
  type Verb,
} from "./judge.ts";
import { kinds } from "./kinds.ts";
import { forgetTimers, longestTimer, passTime } from "./timers.ts";

export type Place = Exclude<Verb, "HELO" | "NOOP">;

/** A case by the name of its kind and its seed. `without` are draws that go the friendly way, to make it smaller. */
export type Case = { kind: string; seed: number; without?: ReadonlySet<string> };

export type Played = {
  violations: string[];
  transcript: string[];
  /** The draws that did not go the friendly way. */
  odd: string[];
  outcomes: DeliveryOutcome["result"][];
  connections: number;
  milliseconds: number;
};

/** The stage of a case: the client, its mails with their bytes, and TLS as a runtime makes it. */
export type Stage = {
  transport: typeof smtpTransport;
  mails: { mail: Mail; content: string }[];
  context: () => SecureContext;
  ca: string;
  /** Node's own TLS; without it TLS is made believe. */
  secure?: (...parts: never[]) => Promise<unknown>;
};

const user = "bridge";
const secret = "Pa55-phrase;not-for-all";
const turnsAtRest = 4;
const mostUnbroken = 1_048_576;
const patienceMilliseconds = 500;
/** RFC 5321 §4.5.3.2.6: the longest wait is that for the reply to the final dot. */
const mostWaitMilliseconds = 600_000;
const mostIdleMilliseconds = 30_000;
const aMomentMilliseconds = 1_000;

const honest = (due: Due, secure: boolean, terms: Terms, draw: Draw): string => {
  const { verb, line } = due;
  const one = {
    greeting: "220 relay.example ESMTP\r\n",
    HELO: "250 relay.example\r\n",
    STARTTLS: "220 2.0.0 Ready to start TLS\r\n",
    MAIL: "250 2.1.0 Ok\r\n",
    RCPT: "250 2.1.5 Ok\r\n",
    DATA: "354 go ahead\r\n",
    dot: "250 2.0.0 Ok: queued as 4FUZZ1\r\n",
    RSET: "250 2.0.0 Ok\r\n",
    NOOP: "250 2.0.0 Ok\r\n",
    QUIT: "221 2.0.0 Bye\r\n",
    SASL: "235 2.7.0 welcome\r\n",
    AUTH: "235 2.7.0 welcome\r\n",
    EHLO: "",
  }[verb];
  const asked = line === Buffer.from(user).toString("base64");
  if (verb === "SASL" && asked) return "334 UGFzc3dvcmQ6\r\n";
  if (verb === "AUTH" && line === "AUTH LOGIN") return "334 VXNlcm5hbWU6\r\n";
  if (verb === "AUTH" && line.startsWith("AUTH LOGIN ")) return "334 UGFzc3dvcmQ6\r\n";
  if (verb === "AUTH" && line === "AUTH CRAM-MD5") return "334 PDEyMy40NTZAcmVsYXk+\r\n";
  if (verb !== "EHLO") return one;
  const extensions = ["relay.example"];
  if (draw.chance(0.6)) extensions.push("PIPELINING");
  if (draw.chance(0.5)) extensions.push(`SIZE ${draw.of(["0", "10240000", "52428800"])}`);
  if (draw.chance(0.3)) extensions.push("8BITMIME");
  if (draw.chance(0.3)) extensions.push("ENHANCEDSTATUSCODES");
  if (draw.chance(0.3)) extensions.push("DSN");
  if (draw.chance(0.2)) extensions.push(`LIMITS MAILMAX=${draw.between(1, 4)}`);
  if (terms.protection === "starttls" && !secure) extensions.push("STARTTLS");
  else if (terms.credentials)
    extensions.push(
      draw.chance(0.1) ? "AUTH PLAIN LOGIN" : `AUTH DIGEST-MD5 ${terms.auth.toReversed().join(" ")}`,
    );
  return extensions
    .map((text, index) => `250${index === extensions.length - 1 ? " " : "-"}${text}\r\n`)
    .join("");
};

const shown = (text: string) => {
  const plain = JSON.stringify(text.length > 300 ? `${text.slice(0, 200)}[… ${text.length} bytes]` : text);
  return plain.replaceAll(/[\x7f-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
};

/** Errors that nobody caught while a case was played; undefined while none is. */
let uncaught: unknown[] | undefined;
/** Takes what nobody catches for a finding of the case that is played. Throws it if there is none. */
export const noteUncaught = (error: unknown) => {
  if (!uncaught) throw error;
  uncaught.push(error);
};

/** Plays one case: a few mails by one transport over connections in memory to a relay that misbehaves by its draws. */
export const play = async (
  { kind: name, seed, without = new Set() }: Case,
  stage: Stage,
): Promise<Played> => {
  const kind = kinds[name];
  if (!kind) throw new Error(`there is no kind ${name}`);
  const began = performance.now();
  const violations: string[] = [];
  const transcript: string[] = [];
  const odd = new Set<string>();
  const wrong = (says: string) => {
    if (violations.length === 0) transcript.push(`!! ${says}`);
    violations.push(says);
  };
  const drawn = (what: string) => draws(seed, `${name} ${what}`);
  /** Whether the draw of this name goes another than the friendly way. */
  const strays = (what: string, share: number): Draw | undefined => {
    const draw = drawn(what);
    if (without.has(what) || !draw.chance(share)) return undefined;
    odd.add(what);
    return draw;
  };

  const setup = drawn("setup");
  const protection =
    name === "starttls" ? "starttls" : setup.of(["none", "none", "starttls", "implicit"] as const);
  const login = kind.login || setup.chance(0.5);
  const auth = setup.of<readonly Mechanism[]>([
    ["PLAIN", "LOGIN"],
    ["LOGIN"],
    ["CRAM-MD5", "PLAIN"],
    ["XOAUTH2"],
    ["PLAIN"],
  ]);
  const oauth = login && auth[0] === "XOAUTH2";
  const count = setup.between(kind.mails[0], kind.mails[1] + 1);
  const terms: Terms = {
    protection,
    auth,
    credentials: login,
    user,
    secret,
    mails: stage.mails.map(({ mail, content }) => ({ ...mail.envelope, content })),
  };
  const relay: SmtpRelay = {
    kind: "smtp",
    mx: false,
    route: "smtp://relay.example:25",
    host: "127.0.0.1",
    port: 25,
    protection,
    credentials: login
      ? oauth
        ? { user, oauth: { tokenUrl: "https://login.example/token", clientId: "x" } }
        : { user, password: new Secret(secret) }
      : undefined,
    auth,
    name: "bridge.example.com",
    connections: 1,
    ca: stage.ca,
  };

  type Line = {
    number: number;
    wire: ConnectionInMemory;
    judge: ConnectionJudge;
    outbox: Act[];
    answered: WeakSet<Due>;
    counts: Map<string, number>;
    /** Whether the relay owes the client something that will not come. */
    owes: boolean;
    endless?: { text: string; bytes: number };
  };
  const lines: Line[] = [];
  let attempt: (Attempt & { abort: AbortController }) | undefined;

  const use = (line: Line) => {
    if (attempt && attempt.used.at(-1)?.judge !== line.judge)
      attempt.used.push({ judge: line.judge, heardBefore: line.judge.heard.length });
  };
  const countOf = (line: Line, place: string): string => {
    const count = (line.counts.get(place) ?? 0) + 1;
    line.counts.set(place, count);
    return `${line.number}.${place}.${count}`;
  };
  const open = (): Line => {
    const number = lines.length + 1;
    const label = (who: string, text: string) => {
      if (transcript.length < 400) transcript.push(`${number} ${who} ${who === "-" ? text : shown(text)}`);
    };
    const judge = connectionJudge(terms, number, wrong);
    const heard = {
      ...judge,
      client: (bytes: string, secure: boolean) => {
        use(line);
        judge.client(bytes, secure);
      },
    };
    const holds = (bytes: number) =>
      judge.expectsContent()
        ? strays(countOf(line, "content"), kind.unasked ?? 0)?.between(1, bytes)
        : undefined;
    const wire = connectionInMemory({ judge: heard, note: label, holds }, stage.context);
    const line: Line = {
      number,
      wire,
      judge,
      outbox: [],
      answered: new WeakSet(),
      counts: new Map(),
      owes: false,
    };
    lines.push(line);
    transcript.push(`${number} - the client connects`);
    if (attempt) attempt.used.push({ judge, heardBefore: 0 });
    return line;
  };

  /** Waits as long as the client does. */
  const never = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      owing += 1;
      const aborted = () => reject(new Error("aborted"));
      if (signal.aborted) aborted();
      signal.addEventListener("abort", aborted, { once: true });
    });
  let owing = 0;
  /** The acts of the relay while a connection is not yet the client's, as Node's sockets may wait for TLS tickets. */
  const betweenTimes = async (line: Line, what: string) => {
    const draw = strays(`${line.number}.${what}`, (kind.unasked ?? 0) / 2 + kind.rate / 20);
    if (!draw) return;
    transcript.push(`${line.number} ~ before the client has it`);
    line.owes = true;
    line.outbox.push(...unasked(draw).filter((act) => act !== "END"));
    step(line);
    await rest(1);
  };
  const connect = async (_host: string, _port: number, signal: AbortSignal) => {
    activity.count += 1;
    if (signal.aborted) throw new Error("aborted");
    const line = open();
    const draw = strays(`${line.number}.connect`, kind.rate / 5);
    if (draw) {
      transcript.push(`${line.number} - no connection comes about`);
      if (attempt) attempt.unreached = "connect";
      line.wire.clear.destroy();
      if (draw.chance(0.5)) return never(signal);
      throw Object.assign(new Error("connect ECONNREFUSED 192.0.2.1:25"), { code: "ECONNREFUSED" });
    }
    // As the sockets of Node and workerd do.
    line.wire.clear.on("error", () => undefined);
    // For TLS from the start Node goes on at once, and has no ear for a connection that is over by then.
    if (!stage.secure) await betweenTimes(line, "connected");
    return line.wire.clear;
  };
  const secure = async (
    socket: unknown,
    ...rest: [host: string, ca: string | undefined, signal: AbortSignal]
  ) => {
    activity.count += 1;
    if (stage.secure) return stage.secure(...([socket, ...rest] as never[]));
    const line = lines.find(({ wire }) => wire.clear === socket);
    if (!line) throw new Error("TLS over what is no connection in clear");
    line.judge.secure(false);
    const draw = strays(`${line.number}.TLS`, kind.rate / 5);
    // Bytes that came in clear are no TLS record.
    if (draw || line.wire.unread() > 0 || line.wire.left()) {
      if (attempt) attempt.unreached = "tls";
      transcript.push(`${line.number} - no TLS comes about`);
      if (draw?.chance(0.4)) return never(rest[2]).finally(() => line.wire.clear.destroy());
      line.wire.clear.destroy();
      throw new SessionError("tls", "the certificate has expired");
    }
    const under = line.wire.secured();
    under.on("error", () => undefined);
    await betweenTimes(line, "secured");
    return {
      socket: under,
      tls: { version: "TLSv1.3", cipher: "x", subject: "relay", validTo: "" },
    };
  };

  /** The relay's act on one of the client's words. */
  const acts = (line: Line, due: Due): Act[] => {
    const place = due.verb === "HELO" || due.verb === "NOOP" ? "EHLO" : due.verb;
    const what = countOf(line, place);
    const friendly = honest(due, line.judge.secured(), terms, drawn(`${what}.honest`));
    const here = !kind.places || kind.places.includes(place);
    const draw = here ? strays(what, kind.rate) : undefined;
    if (!draw) return [friendly];
    const way = draw.of(kind.ways);
    transcript.push(`${line.number} ~ ${what}: ${way}`);
    line.owes = true;
    return deviations[way]?.(draw, friendly, due) ?? [];
  };
  const inParts = (line: Line, list: Act[]): Act[] =>
    list.flatMap((act) => {
      if (typeof act !== "string" || act.length < 2 || /^[A-Z]+$/.test(act)) return [act];
      const draw = strays(countOf(line, "split"), kind.splits ?? 0);
      if (!draw) return [act];
      if (draw.chance(0.5) && act.length < 300) return [...act];
      const at = draw.between(1, act.length);
      return [act.slice(0, at), act.slice(at)];
    });

  const abort = () => {
    if (!attempt || attempt.aborted) return;
    activity.count += 1;
    attempt.aborted = true;
    transcript.push("  - the attempt's time is over");
    attempt.abort.abort();
  };
  /** One thing that the relay does on this connection; false if it has nothing to do. */
  const step = (line: Line): boolean => {
    const { wire, outbox, judge } = line;
    if (wire.left() || judge.ended()) return false;
    if (line.endless) {
      // A client that reads no more is as good as one that leaves.
      if (wire.unread() > 131_072) return false;
      const text = line.endless.text.repeat(Math.ceil(16_384 / line.endless.text.length));
      line.endless.bytes += text.length;
      if (line.endless.bytes > mostUnbroken) {
        wrong(`it reads ${mostUnbroken} bytes of a reply that does not end`);
        return false;
      }
      wire.say(text);
      return true;
    }
    const act = outbox.shift();
    if (act !== undefined) {
      if (typeof act !== "string") line.endless = { text: act.endless, bytes: 0 };
      else if (act === "END") wire.end();
      else if (act === "RESET") wire.reset();
      else if (act === "ABORT") abort();
      else if (act === "RELEASE") wire.release();
      else if (act === "QUIET") line.owes = true;
      else if (act !== "") wire.say(act);
      return true;
    }
    if (wire.isHeld()) {
      const draw = drawn(`${countOf(line, "meanwhile")}.meanwhile`);
      if (draw.chance(0.7)) {
        transcript.push(`${line.number} ~ while content is on its way`);
        line.owes = true;
        outbox.push(...unasked(draw));
      }
      outbox.push("RELEASE");
      return true;
    }
    // Replies to commands that came together may come together.
    const open = judge.due.filter((due) => !line.answered.has(due));
    if (open.length === 0) return false;
    const together = open.length > 1 && strays(countOf(line, "together"), 0.5) !== undefined;
    const list: Act[] = [];
    for (const due of together ? open : open.slice(0, 1)) {
      line.answered.add(due);
      const [first, ...more] = acts(line, due);
      const last = list.at(-1);
      const both = [last, first].every((one) => typeof one === "string" && !/^[A-Z]+$/.test(one));
      if (both) list[list.length - 1] = `${last}${first}`;
      else if (first !== undefined) list.push(first);
      list.push(...more);
      if (due.verb === "QUIT") list.push("END");
    }
    outbox.push(...inParts(line, list));
    return outbox.length > 0;
  };

  /** Lets client and relay talk until `done`, or until nothing more happens. */
  const converse = async (done: () => boolean) => {
    let waitedFrom = 0;
    for (let steps = 0; ; steps++) {
      await rest(turnsAtRest);
      if (done() || violations.length > 0) return;
      if (steps > 20_000) return wrong("it talks without an end");
      if (lines.length > 12) return wrong("it connects again and again");
      if (lines.map(step).some(Boolean)) {
        waitedFrom = 0;
        continue;
      }
      if (!attempt) return;
      waitedFrom ||= performance.now();
      const waited = performance.now() - waitedFrom;
      const used = lines.filter(({ judge }) => attempt?.used.some((one) => one.judge === judge));
      const owes = owing > 0 || used.some(({ owes, judge, endless }) => (owes || endless) && !judge.ended());
      if (owes && !attempt.aborted) {
        waitedFrom = 0;
        // Its own limits end it too, if nobody does before; that for a connection is no timer of this kind.
        if (owing > 0 || !strays(`patience.${attempt.mail}`, 0.3)) abort();
        else if (!passTime(mostWaitMilliseconds)) return wrong("it waits without a limit");
        else transcript.push("  - time passes");
        continue;
      }
      if (passTime(aMomentMilliseconds)) continue;
      if (waited > patienceMilliseconds)
        return wrong(
          attempt.aborted
            ? "it goes on though its time is over"
            : "it waits though all is answered, or the relay has closed",
        );
      // The acts of a client by itself take some turns; only then it may have set a timer.
      await (waited < 20 ? rest(20) : new Promise((resolve) => setTimeout(resolve, 2)));
    }
  };

  let now = 1_800_000_000_000;
  const thrown: unknown[] = [];
  uncaught = thrown;
  const transport = stage.transport(
    relay,
    {
      resolveMx: async () => [],
      tokens: oauth ? { token: async () => secret } : undefined,
      connect,
      sockets: { connect, secure },
    } as unknown as Parameters<typeof smtpTransport>[1],
    () => now,
    {
      heard: ({ from, text }) => {
        if (tells(text, secret)) wrong(`an observer sees the secret from the ${from}`);
        if (/\p{Cc}/u.test(text)) wrong("an observer sees control bytes");
      },
    },
  );
  const outcomes: DeliveryOutcome["result"][] = [];
  for (let index = 0; index < count && violations.length === 0; index++) {
    const { mail } = stage.mails[index % stage.mails.length] as Stage["mails"][number];
    const mine = { mail: index, aborted: false, used: [], abort: new AbortController() };
    attempt = mine;
    owing = 0;
    let outcome: DeliveryOutcome | undefined;
    let rejected = false;
    transcript.push(`  - mail ${index + 1}`);
    transport.send(mail, mine.abort.signal).then(
      (value) => {
        activity.count += 1;
        outcome = value;
      },
      (error: unknown) => {
        activity.count += 1;
        rejected = true;
        wrong(`send rejects: ${(error as Error)?.stack ?? error}`);
      },
    );
    await converse(() => outcome !== undefined || rejected);
    if (outcome) {
      const { durationMilliseconds: _, tls: __, ...told } = outcome;
      transcript.push(`  - outcome ${JSON.stringify(told)}`);
      outcomes.push(outcome.result);
      if (violations.length === 0) judgeOutcome(terms, mine, outcome, wrong);
    }
    attempt = undefined;
    if (violations.length === 0 && longestTimer() > mostIdleMilliseconds)
      wrong(`a limit of ${longestTimer()} ms is left of a wait that is over`);
    if (violations.length > 0) break;
    // The relay's words of its own accord while the session is idle.
    for (const line of lines) {
      const draw = line.wire.left() ? undefined : strays(`${line.number}.idle.${index}`, kind.unasked ?? 0);
      if (!draw) continue;
      transcript.push(`${line.number} ~ while it is idle`);
      line.outbox.push(...unasked(draw));
    }
    await converse(() => false);
    const pause = setup.of([10, 10, 2_000, 20_000, 40_000]);
    now += pause;
    while (passTime(pause)) await converse(() => false);
  }
  if (violations.length === 0) {
    transcript.push("  - the transport is closed");
    transport.close();
    await converse(() => false);
    while (passTime(mostWaitMilliseconds)) await converse(() => false);
    for (const { wire, judge, number } of lines)
      if (!wire.left() && !judge.ended() && violations.length === 0)
        wrong(`connection ${number} is left open`);
  } else transport.close();
  for (const { wire } of lines) wire.reset();
  await rest(2);
  for (const error of thrown) wrong(`nobody catches ${(error as Error)?.stack ?? error}`);
  uncaught = undefined;
  forgetTimers();
  return {
    violations,
    transcript,
    odd: [...odd],
    outcomes,
    connections: lines.length,
    milliseconds: performance.now() - began,
  };
};

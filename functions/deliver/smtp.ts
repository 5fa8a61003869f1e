import { clearTimeout, setTimeout } from "node:timers";
import type { Mail } from "./mail.ts";
import { type Circumstances, queueIdOf } from "./outcome.ts";
import { printable } from "./printable.ts";
import { failure } from "./refusal.ts";
import type { SmtpRelay } from "./relay-url.ts";
import { SessionError, type SessionObserver } from "./session.ts";
import { openSession, type SessionParts, type SmtpSession } from "./smtp-session.ts";
import type { Transport } from "./transport.ts";

const idleMilliseconds = 30_000;
/** For so long after a mail a session needs no RSET before the next: its MAIL shows as well whether it is over. */
const freshMilliseconds = 1000;

/** The outcome of a failed session. Any other error is thrown again. */
const outcomeOf = (error: unknown, circumstances: Circumstances, envelope?: Mail["envelope"]) => {
  if (!(error instanceof SessionError)) throw error;
  const { step, code, message } = error;
  const meaning = failure(step, code, message, envelope);
  return { ...meaning, step, reply: printable(message), code, ...circumstances };
};

/**
 * Whether a session that has carried a mail is used up: it ended, or the relay defers the next mail before its content
 * left. Some relays allow a number of mails in a session (RFC 9422), and end it in any of these ways.
 */
const isUsedUp = (error: unknown): boolean =>
  error instanceof SessionError &&
  ["sender", "recipient", "data"].includes(error.step) &&
  (error.code ?? 421) < 500;

/** Ends a session, with QUIT if the relay still answers. */
const leave = (session: SmtpSession) => (session.inStep() ? session.quit() : session.close());

/** Sends through one relay. A session stays open for 30 s after a mail. No AUTH leaves before the TLS that is set. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: one set of idle sessions.
export const smtpTransport = (
  relay: SmtpRelay,
  parts: SessionParts,
  clock: () => number,
  observer?: SessionObserver,
): Transport & { close(): void } => {
  /** The relay was silent after a group of commands: the next mail finds out to which of them. */
  let oneByOne = false;
  const idle = new Map<SmtpSession, { timer: NodeJS.Timeout; freshUntil: number }>();
  const forget = (session: SmtpSession) => {
    clearTimeout(idle.get(session)?.timer);
    idle.delete(session);
  };
  const end = (session: SmtpSession) => {
    forget(session);
    session.quit();
  };
  const park = (session: SmtpSession, freshUntil: number) => {
    if (!session.usable()) return leave(session);
    const timer = setTimeout(end, idleMilliseconds, session).unref();
    idle.set(session, { timer, freshUntil });
  };
  /** An idle session, checked by RSET unless it is fresh: a relay may have closed it without our noticing. */
  const idleSession = async (signal: AbortSignal): Promise<SmtpSession | undefined> => {
    for (const [session, { freshUntil }] of idle) {
      forget(session);
      try {
        if (clock() >= freshUntil) await session.reset(signal);
        return session;
      } catch (error) {
        session.close();
        if (signal.aborted) throw error;
      }
    }
    return undefined;
  };
  const newSession = async (signal: AbortSignal): Promise<SmtpSession> => {
    const session = await openSession(relay, parts, signal, observer);
    session.whenOver(() => forget(session));
    return session;
  };

  return {
    route: relay.route,
    send: async (mail, signal, loggedIn, contentBegins) => {
      const startedAt = clock();
      let session: SmtpSession | undefined;
      let ready = false;
      const circumstances = () => ({ durationMilliseconds: clock() - startedAt, tls: session?.tls() });
      try {
        const envelope = { ...mail.envelope, id: mail.messageId.slice(1, mail.messageId.indexOf("@")) };
        const submitBy = async (found?: SmtpSession): Promise<string> => {
          session = found ?? (await newSession(signal));
          if (!found) await session.authenticate(signal);
          ready = true;
          loggedIn?.();
          try {
            return await session.submit(envelope, mail.bytes, signal, { oneByOne, contentBegins });
          } catch (error) {
            if (!found || !isUsedUp(error) || signal.aborted) throw error;
            leave(session);
            [session, ready] = [undefined, false];
            return submitBy();
          }
        };
        const reply = await submitBy(await idleSession(signal));
        oneByOne = false;
        if (session) park(session, clock() + freshMilliseconds);
        return {
          result: "accepted",
          reply: printable(reply),
          code: Number(reply.slice(0, 3)),
          queueId: queueIdOf(reply),
          ...circumstances(),
        };
      } catch (error) {
        const outcome = outcomeOf(error, circumstances(), mail.envelope);
        oneByOne ||=
          outcome.result === "deferred" && outcome.step === "recipient" && outcome.code === undefined;
        // A session that refused anything else may refuse the next mail too.
        const forNext = outcome.result === "refused" && outcome.about === "recipient";
        if (session && ready && forNext) park(session, 0);
        else if (session && ready) leave(session);
        else session?.close();
        return outcome;
      }
    },
    probe: async (signal) => {
      const startedAt = clock();
      let session: SmtpSession | undefined;
      try {
        session = await openSession(relay, parts, signal, observer);
        await session.authenticate(signal);
        session.quit();
        return undefined;
      } catch (error) {
        session?.close();
        return outcomeOf(error, { durationMilliseconds: clock() - startedAt });
      }
    },
    close: () => {
      for (const session of idle.keys()) end(session);
    },
  };
};

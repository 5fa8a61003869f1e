import { clearTimeout, setTimeout } from "node:timers";
import { mimeBytes } from "../compose/mime.ts";
import {
  type Circumstances,
  type DeliveryOutcome,
  failure,
  printable,
  queueIdOf,
  type Transport,
} from "./delivery.ts";
import type { SmtpRelay } from "./relay.ts";
import { type Onlooker, SessionError, type SmtpSession } from "./session.ts";
import { openSession, type SessionParts } from "./smtp-session.ts";

const idleMilliseconds = 30_000;

/** How a session failed; what is no failure of a session is thrown on. */
const outcomeOf = (error: unknown, circumstances: Circumstances): DeliveryOutcome => {
  if (!(error instanceof SessionError)) throw error;
  const { step, code, message } = error;
  return { ...failure(step, code), step, reply: printable(message), code, ...circumstances };
};

/**
 * Sends through one relay: STARTTLS or implicit TLS unless the relay is configured without, AUTH by the first
 * configured mechanism that is offered; a session is kept open for 30 s after a mail. No AUTH byte leaves before TLS.
 */
export const smtpTransport = (
  relay: SmtpRelay,
  parts: SessionParts,
  clock: () => number,
  onlooker?: Onlooker,
): Transport & { close(): void } => {
  const idle = new Map<SmtpSession, NodeJS.Timeout>();
  const forget = (session: SmtpSession) => {
    clearTimeout(idle.get(session));
    idle.delete(session);
  };
  const park = (session: SmtpSession) => {
    if (!session.usable()) return session.close();
    const timer = setTimeout(() => {
      forget(session);
      session.quit();
    }, idleMilliseconds);
    timer.unref();
    idle.set(session, timer);
  };
  /** An idle session, checked by RSET: a relay may have closed it without our noticing. */
  const idleSession = async (signal: AbortSignal): Promise<SmtpSession | undefined> => {
    for (const session of idle.keys()) {
      forget(session);
      try {
        await session.reset(signal);
        return session;
      } catch (error) {
        session.close();
        if (signal.aborted) throw error;
      }
    }
    return undefined;
  };

  return {
    route: relay.route,
    send: async (mail, signal, loggedIn) => {
      const startedAt = clock();
      let session: SmtpSession | undefined;
      let ready = false;
      const circumstances = () => ({ durationMilliseconds: clock() - startedAt, tls: session?.tls() });
      try {
        const bytes = await mimeBytes(mail);
        session = await idleSession(signal);
        if (!session) {
          const opened = await openSession(relay, parts, signal, onlooker);
          session = opened;
          opened.whenOver(() => forget(opened));
          await opened.authenticate(signal);
        }
        ready = true;
        loggedIn?.();
        const reply = await session.submit(mail.envelope, bytes, signal);
        const outcome: DeliveryOutcome = {
          result: "accepted",
          reply: printable(reply),
          code: Number(reply.slice(0, 3)),
          queueId: queueIdOf(reply),
          ...circumstances(),
        };
        park(session);
        return outcome;
      } catch (error) {
        const outcome = outcomeOf(error, circumstances());
        // Only a session that answered in full is known to be in step with us.
        if (session && ready && (outcome.code ?? 0) >= 400) park(session);
        else session?.close();
        return outcome;
      }
    },
    probe: async (signal) => {
      const startedAt = clock();
      let session: SmtpSession | undefined;
      try {
        session = await openSession(relay, parts, signal, onlooker);
        await session.authenticate(signal);
        session.quit();
        return undefined;
      } catch (error) {
        session?.close();
        return outcomeOf(error, { durationMilliseconds: clock() - startedAt });
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

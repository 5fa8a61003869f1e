import { Resolver } from "node:dns/promises";
import { hostname } from "node:os";
import type { Sender } from "../compose/mail.ts";
import { tokenSource } from "../deliver/oauth.ts";
import { isFullName, type Relay, type SmtpRelay } from "../deliver/relay-url.ts";
import { sesClient, sesTransport } from "../deliver/ses.ts";
import type { SessionObserver } from "../deliver/session.ts";
import { smtpTransport } from "../deliver/smtp.ts";
import type { SessionParts } from "../deliver/smtp-session.ts";
import type { Transport } from "../deliver/transport.ts";

/** The name for EHLO (RFC 5321 §4.1.1.1): this machine's, if it is a full one, else the domain that mails. */
const ehloName = ({ from }: Sender): string =>
  isFullName(hostname()) ? hostname() : from.address.slice(from.address.lastIndexOf("@") + 1);

/**
 * The parts that a runtime must bring if they differ from Node's: how to connect, and what the AWS SDK does not find.
 */
export type Surroundings = Pick<SessionParts, "sockets"> & { ses?: Parameters<typeof sesClient>[1] };

/** A relay with its name for EHLO, and what sessions with it need. */
export const sessionsOf = (
  relay: SmtpRelay,
  sender: Sender,
  clock: () => number,
  sockets?: SessionParts["sockets"],
): [SmtpRelay, SessionParts] => {
  const { credentials } = relay;
  const tokens = credentials && "oauth" in credentials ? tokenSource(credentials.oauth, clock) : undefined;
  const resolveMx = (domain: string) => new Resolver({ timeout: 5_000, tries: 2 }).resolveMx(domain);
  return [
    { ...relay, name: relay.name ?? ehloName(sender) },
    { resolveMx, tokens, sockets },
  ];
};

/** Sends by one route. */
export const transportOf = (
  relay: Relay,
  sender: Sender,
  clock: () => number,
  observer?: SessionObserver,
  { sockets, ses }: Surroundings = {},
): Transport & { close(): void } => {
  if (relay.kind === "ses") {
    const client = sesClient(relay.region, ses);
    return { ...sesTransport(client, relay, clock), close: () => undefined };
  }
  return smtpTransport(...sessionsOf(relay, sender, clock, sockets), clock, observer);
};

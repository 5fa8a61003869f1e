import { Resolver } from "node:dns/promises";
import { hostname } from "node:os";
import type { SESClientConfig } from "@aws-sdk/client-ses";
import type { Sender } from "../compose/mail.ts";
import type { Transport } from "../deliver/delivery.ts";
import { tokenSource } from "../deliver/oauth.ts";
import { isFullName, type Relay, type SmtpRelay } from "../deliver/relay.ts";
import { sesClient, sesTransport } from "../deliver/ses.ts";
import type { Onlooker } from "../deliver/session.ts";
import { smtpTransport } from "../deliver/smtp.ts";
import type { Connect, SessionParts } from "../deliver/smtp-session.ts";

/** The name for EHLO (RFC 5321 §4.1.1.1): this machine's, if it is a full one, else the domain that mails. */
const ehloName = ({ from }: Sender): string =>
  isFullName(hostname()) ? hostname() : from.address.slice(from.address.lastIndexOf("@") + 1);

/** What a runtime has that others lack: its own way to connect, credentials for AWS that stand nowhere else. */
type Surroundings = Pick<SessionParts, "connect"> & { credentials?: SESClientConfig["credentials"] };

/** A relay with its name for EHLO, and what sessions with it need. */
export const sessionsOf = (
  relay: SmtpRelay,
  sender: Sender,
  clock: () => number,
  connect?: Connect,
): [SmtpRelay, SessionParts] => {
  const { credentials } = relay;
  const tokens = credentials && "oauth" in credentials ? tokenSource(credentials.oauth, clock) : undefined;
  const resolveMx = (domain: string) => new Resolver({ timeout: 5_000, tries: 2 }).resolveMx(domain);
  return [
    { ...relay, name: relay.name ?? ehloName(sender) },
    { resolveMx, tokens, connect },
  ];
};

/** Sends by one route. */
export const transportOf = (
  relay: Relay,
  sender: Sender,
  clock: () => number,
  onlooker?: Onlooker,
  { connect, credentials }: Surroundings = {},
): Transport & { close(): void } => {
  if (relay.kind === "ses") {
    const client = sesClient(relay.region, credentials);
    return { ...sesTransport(client, relay, clock), close: () => undefined };
  }
  return smtpTransport(...sessionsOf(relay, sender, clock, connect), clock, onlooker);
};

import { onTestFinished } from "vitest";
import type { ComposedMail } from "../../functions/compose/mail.ts";
import { type RenderedMail, render } from "../../functions/compose/mime.ts";
import type { SmtpRelay } from "../../functions/deliver/relay-url.ts";
import { smtpTransport } from "../../functions/deliver/smtp.ts";
import type { SessionParts } from "../../functions/deliver/smtp-session.ts";
import { nodeSockets } from "../../functions/deliver/smtp-socket.ts";
import type { Sockets } from "../../functions/deliver/smtp-wire.ts";
import { Secret } from "../../functions/secret.ts";
import { authority, type Certificate, certificate } from "./certificate.ts";
import { type Script, scriptedRelay } from "./scripted-relay.ts";

export const user = "bridge";
export const password = "Pa55-phrase;not-for-all";
export const base64 = (text: string) => Buffer.from(text).toString("base64");

export const ca = await authority();
/** For 127.0.0.1, by `ca`. */
export const trusted = await certificate({ ca });

export const mail = (change: Partial<ComposedMail> = {}): RenderedMail =>
  render({
    alert: { site: "site", id: "alert-0001" },
    envelope: { from: "nagios@example.com", to: "ops@example.org" },
    messageId: "<1@example.com>",
    date: 1_800_000_000_000,
    from: { address: "nagios@example.com" },
    to: "ops@example.org",
    subject: "[PROBLEM CRITICAL] web1/HTTP",
    threadId: "<0@example.com>",
    headers: {},
    text: "web1/HTTP is CRITICAL\n",
    html: "<p>web1/HTTP is CRITICAL</p>",
    ...change,
  });

/** A relay on loopback as settings would give it, with STARTTLS and a password. */
export const relayAt = (port: number, change: Partial<SmtpRelay> = {}): SmtpRelay => ({
  kind: "smtp",
  mx: false,
  route: `smtp://127.0.0.1:${port}`,
  host: "127.0.0.1",
  port,
  protection: "starttls",
  credentials: { user, password: new Secret(password) },
  auth: ["PLAIN", "LOGIN"],
  name: "bridge.example.com",
  connections: 3,
  ca: ca.cert,
  ...change,
});

/** Node's sockets, for hosts whose addresses are these. */
export const socketsTo = (addresses: Record<string, string>): Sockets => ({
  ...nodeSockets,
  connect: (host, ...more) => nodeSockets.connect(addresses[host] ?? host, ...more),
});

/** A transport to it, closed when the test is over; no domain has MX records unless `parts` says so. */
export const transportTo = (
  port: number,
  change: Partial<SmtpRelay> = {},
  parts: Partial<SessionParts> = {},
  clock = () => 0,
) => {
  const transport = smtpTransport(relayAt(port, change), { resolveMx: async () => [], ...parts }, clock);
  onTestFinished(() => transport.close());
  return transport;
};

/** A scripted relay that ends when the test is over. */
export const startScripted = async (
  script: Script = {},
  options: { certificate?: Certificate; protection?: "starttls" | "implicit" } = {},
) => {
  const relay = await scriptedRelay(options.certificate ?? trusted, script, options.protection);
  onTestFinished(() => relay.close());
  return relay;
};

/** The shapes of the password that were received. */
export const secretsIn = (received: string) =>
  [password, base64(password), base64(`\0${user}\0${password}`)].filter((shape) => received.includes(shape));

export const patient = () => AbortSignal.timeout(4_000);
export const brief = () => AbortSignal.timeout(150);

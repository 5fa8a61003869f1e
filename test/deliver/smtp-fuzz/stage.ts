import { createSecureContext, type SecureContext } from "node:tls";
import { render } from "../../../functions/compose/mime.ts";
import type { Mail } from "../../../functions/deliver/mail.ts";
import type { smtpTransport } from "../../../functions/deliver/smtp.ts";
import { authority, certificate } from "../certificate.ts";
import type { Stage } from "./play.ts";
import { plantTimers } from "./timers.ts";

const mailTo = (number: number): Mail =>
  render({
    alert: { site: "site", id: `alert-000${number}` },
    envelope: { from: `nagios+${number}@example.com`, to: `ops+${number}@example.org` },
    messageId: `<${number}@example.com>`,
    date: 1_800_000_000_000,
    from: { address: "nagios@example.com" },
    to: `ops+${number}@example.org`,
    subject: `[PROBLEM CRITICAL] web${number}/HTTP`,
    threadId: "<0@example.com>",
    headers: {},
    // Dots are SMTP's business: alone on a line, two of them, and before what looks like a command.
    text: [".", "..", ".QUIT", `web${number}/HTTP is CRITICAL`, ".", "MAIL FROM:<x@example.net>", "."]
      .concat(number === 3 ? Array.from({ length: 900 }, (_, line) => `.${line} ${"x".repeat(60)}`) : [])
      .join("\n"),
    html: `<p>web${number}/HTTP is CRITICAL</p>`,
  });

let hasTimers = false;

/** The client as it is or with a planted fault, and TLS by Node itself or made believe. */
export const stageOf = async (options: { plant?: string; realTls?: boolean } = {}): Promise<Stage> => {
  if (!hasTimers) plantTimers();
  hasTimers = true;
  const query = options.plant === undefined ? "" : `?plant=${options.plant}`;
  const smtp = (await import(`../../../functions/deliver/smtp.ts${query}`)) as {
    smtpTransport: typeof smtpTransport;
  };
  const socketsPath = "../../../functions/deliver/smtp-socket.ts";
  const real = options.realTls ? ((await import(socketsPath)) as { nodeSockets: Stage }) : undefined;
  const ca = await authority();
  let made: SecureContext | undefined;
  const { key, cert } = await certificate({ ca });
  const mails = await Promise.all(
    [1, 2, 3, 4].map(async (number) => {
      const mail = mailTo(number);
      return { mail, content: mail.bytes.toString("latin1") };
    }),
  );
  return {
    transport: smtp.smtpTransport,
    mails,
    context: () => {
      made ??= createSecureContext({ key, cert });
      return made;
    },
    ca: ca.cert,
    secure: real?.nodeSockets.secure,
  };
};

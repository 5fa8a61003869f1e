import MailComposer from "nodemailer/lib/mail-composer";
import { digest } from "../identity.ts";
import type { Mail } from "./mail.ts";

/**
 * The mail as RFC 5322 bytes with CRLF line ends and lines of at most 76 characters: the same bytes for every route
 * and every try. Dots are not doubled here, that is SMTP's (RFC 5321 §4.5.2).
 */
export const mimeBytes = (mail: Mail): Promise<Buffer> =>
  new MailComposer({
    from: { name: mail.from.name ?? "", address: mail.from.address },
    to: { name: "", address: mail.to },
    subject: mail.subject,
    messageId: mail.messageId,
    inReplyTo: mail.threadId,
    references: [mail.threadId],
    date: new Date(mail.date),
    headers: mail.headers,
    text: mail.text,
    html: mail.html,
    textEncoding: "quoted-printable",
    newline: "\r\n",
    // nodemailer's own boundary is random; this one cannot occur in quoted-printable text, where "=_" is no code.
    baseBoundary: `=_${digest("boundary", mail.messageId).slice(0, 24)}`,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
    .compile()
    .build();

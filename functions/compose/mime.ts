import MailComposer from "nodemailer/lib/mail-composer";
import { encodeWord } from "nodemailer/lib/mime-funcs";
import type MimeNode from "nodemailer/lib/mime-node";
import { encode, wrap } from "nodemailer/lib/qp";
import type { Mail } from "../deliver/mail.ts";
import { fingerprint } from "../identity.ts";
import type { ComposedMail } from "./mail.ts";

/**
 * A header's text as mail programs will show it. nodemailer sends as they are what looks like an encoded-word
 * (RFC 2047), which a reader's program would decode into other text, and words that are too long to fold.
 */
const headerText = (text: string): string => (/=\?|[^ ]{76}/.test(text) ? encodeWord(text, "B", 52) : text);

/**
 * One part as bytes in ASCII. nodemailer's own `build` makes the same by way of eight streams, which takes more of a
 * processor than all of the sending does.
 */
const partOf = (node: MimeNode): string => {
  const text = String(node.content);
  const encoded = node.getTransferEncoding() === "quoted-printable" ? wrap(encode(text)) : text;
  return `${node.buildHeaders()}\r\n\r\n${encoded.replace(/\r?\n/g, "\r\n")}`;
};

const bytesOf = (mail: ComposedMail): Buffer => {
  const root = new MailComposer({
    from: { name: mail.from.name ?? "", address: mail.from.address },
    to: { name: "", address: mail.to },
    replyTo: mail.replyTo && { name: mail.replyTo.name ?? "", address: mail.replyTo.address },
    subject: headerText(mail.subject),
    messageId: mail.messageId,
    inReplyTo: mail.threadId,
    references: [mail.threadId],
    date: new Date(mail.date),
    headers: Object.fromEntries(Object.entries(mail.headers).map(([name, text]) => [name, headerText(text)])),
    text: mail.text,
    html: mail.html,
    textEncoding: "quoted-printable",
    newline: "\r\n",
    // nodemailer's own boundary is random; this one cannot occur in quoted-printable text, where "=_" is no code.
    baseBoundary: `=_${fingerprint("boundary", mail.messageId).slice(0, 24)}`,
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  if (root.childNodes.length === 0) return Buffer.from(partOf(root));
  const headers = root.buildHeaders();
  const parts = root.childNodes.map((part) => `--${root.boundary}\r\n${partOf(part)}\r\n`);
  return Buffer.from(`${headers}\r\n\r\n${parts.join("")}--${root.boundary}--\r\n`);
};

/** A mail with its bytes: the same for every route and every try. No line is longer than 76 characters. */
export type RenderedMail = ComposedMail & Mail;
export const render = (mail: ComposedMail): RenderedMail => ({ ...mail, bytes: bytesOf(mail) });

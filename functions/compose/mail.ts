import { contactKey } from "../address.ts";
import { cleanLine, objectName, type State } from "../alert.ts";
import type { Verdict } from "../decide/case.ts";
import type { Kind } from "../decide/entry.ts";
import type { Mail } from "../deliver/mail.ts";
import { fingerprint, mailName, operatorSite } from "../identity.ts";
import type { QueuedAlert } from "../queue/message.ts";
import { htmlBody, textBody } from "./body.ts";
import { outlookHeaders } from "./conversation.ts";
import { siteMark, subjectBy, subjectOf } from "./subject.ts";

/** The sender of the mails, and the address of an object in the monitor's web pages. */
export type Sender = {
  from: Mail["from"];
  /** The reverse-path (RFC 5321 §4.1.1.2); a * stands for the mail's name (identity.ts), so that each has its own. */
  envelopeFrom: string;
  /** URL templates with `{host}` and `{service}`. */
  link?: { service: string; host: string };
  /** HARDSTATE_SUBJECT, for mails about single alerts of sites. */
  subject?: string;
  replyTo?: Mail["from"];
  /** By its IANA name; UTC if absent. */
  timeZone?: string;
  /** At most two lines that stand at the end of each mail. */
  footer?: readonly string[];
};

/** A mail before it is written as bytes (mime.ts). The To header is for the reader: the recipient is in the envelope. */
export type ComposedMail = Omit<Mail, "bytes"> & {
  replyTo?: Mail["from"];
  /** Unix milliseconds: when it is handed over. Spam filters suspect a Date that is hours old. */
  date: number;
  to: string;
  subject: string;
  /** The episode's root, on its first mail too: SES replaces Message-ID, and threads by it would break. */
  threadId: string;
  headers: Record<string, string>;
  text: string;
  /** Absent in the reduced form. */
  html?: string;
};

const domainOf = (address: string) => address.slice(address.lastIndexOf("@") + 1);

/**
 * The Message-ID (RFC 5322 §3.6.4) of the mail that one alert makes. It depends on nothing that the ledger may
 * decide otherwise at a second try, so a second copy of a mail can be told from a second mail.
 */
export const messageIdOf = ({ site, id, contact }: QueuedAlert, { from }: Sender): string =>
  `<${fingerprint("mail", site, id, contactKey(contact)).slice(0, 40)}@${domainOf(from.address)}>`;

/** Stands in for the name of a mail where there is none. */
export const anyName = "0".repeat(40);
/** The reverse-path of the mail with this name; without a name, one to test with. */
export const reversePath = (envelopeFrom: string, name = anyName): string => envelopeFrom.replace("*", name);

/** The site as the body shows it. */
export const siteName = ({ site }: QueuedAlert): string =>
  site === operatorSite ? `${site} (the bridge itself)` : cleanLine(site);

/** Where the monitor shows an object, if the settings say. No monitor has the bridge's own objects. */
export const linkTo = (
  { link }: Sender,
  site: string,
  { host, service }: { host: string; service: string | null },
): string | undefined =>
  site === operatorSite
    ? undefined
    : (service === null ? link?.host : link?.service)
        ?.replaceAll("{host}", encodeURIComponent(host))
        .replaceAll("{service}", encodeURIComponent(service ?? ""));

/** States whose mails are marked as important. */
export const urgentStates: readonly State[] = ["CRITICAL", "DOWN"];

type Content = { subject: string; text: string; html: string; reason: string; urgent: boolean };

/** A mail to an alert's contact. Its headers say that no person wrote it (RFC 3834), its site, and the reason for it. */
export const mailAbout = (
  queued: QueuedAlert,
  date: number,
  sender: Sender,
  { subject, text, html, reason, urgent }: Content,
  episode?: string,
): ComposedMail => {
  const { site, id, contact, alert } = queued;
  const messageId = messageIdOf(queued, sender);
  const thread = fingerprint("thread", site, episode ?? id).slice(0, 40);
  const domain = domainOf(sender.from.address);
  return {
    alert: { site, id },
    envelope: { from: reversePath(sender.envelopeFrom, mailName(messageId)), to: contact },
    messageId,
    date,
    from: sender.from,
    replyTo: sender.replyTo,
    to: contact,
    subject,
    threadId: `<${thread}@${domain}>`,
    headers: {
      "Auto-Submitted": "auto-generated",
      "List-Id": `<${site.replaceAll(/[^\w-]+/g, "-")}.hardstate.${domain}>`,
      ...(urgent && { Importance: "high" }),
      // Not All: Exchange then sends no non-delivery report either.
      "X-Auto-Response-Suppress": "DR, RN, NRN, OOF, AutoReply",
      "X-Hardstate-Site": cleanLine(site),
      "X-Hardstate-Object": objectName(alert),
      "X-Hardstate-Episode": episode ?? "none",
      "X-Hardstate-Reason": reason,
    },
    text,
    html,
  };
};

/** The kinds of news of which a bad state is urgent. */
const urgentKinds: readonly Kind[] = ["PROBLEM", "UPDATE", "ESCALATION", "REMINDER"];

/**
 * The mail that a verdict asks for: one recipient, text and HTML, automatic (RFC 3834) and one conversation for each
 * episode. The subject's first 40 characters hold kind, state and the beginning of the object's name. With a site's name
 * this is true of problems, recoveries and acknowledgements; the longest other kinds have kind and state there.
 */
export const compose = (
  queued: QueuedAlert,
  { kind, episode, row, reason }: Verdict & { action: "send" },
  date: number,
  sender: Sender,
): ComposedMail => {
  const { alert, site, id } = queued;
  const object = objectName(alert);
  // Nagios's own type, or what the ledger made of a PROBLEM.
  const title = kind === "DOWNTIME" || kind === "FLAPPING" ? alert.type : kind;
  const facts = {
    mark: siteMark(queued),
    subject:
      sender.subject && site !== operatorSite
        ? subjectBy(sender.subject, queued, title)
        : subjectOf(queued, `${title} ${alert.state}`, object),
    site: siteName(queued),
    title,
    object,
    alert,
    contact: queued.contactName ?? queued.contact,
    since: episode?.since,
    link: linkTo(sender, site, alert.object),
    why: reason,
    zone: sender.timeZone ?? "UTC",
    id,
    footer: sender.footer,
  };
  const content = {
    subject: facts.subject,
    text: textBody(facts),
    html: htmlBody(facts),
    reason: `${row} ${reason}`,
    urgent: urgentKinds.includes(kind) && urgentStates.includes(alert.state),
  };
  const mail = mailAbout(queued, date, sender, content, episode?.id);
  const begun = episode?.since ?? queued.receivedAt;
  const outlook = outlookHeaders(mail.threadId, object, begun, kind === "PROBLEM" ? undefined : date);
  return { ...mail, headers: { ...mail.headers, ...outlook } };
};

const mostReducedCharacters = 4000;

/** An alert without its long output and performance data. */
export const withoutLongOutput = (queued: QueuedAlert): QueuedAlert => ({
  ...queued,
  alert: { ...queued.alert, long_output: undefined, perfdata: undefined },
});

/**
 * The reduced form of a mail, offered after a relay refused the whole one for its size or content: plain text of at
 * most 4,000 characters, which says so and repeats the relay's reply. A digest keeps every line, for no other mail
 * tells what it tells.
 */
export const reduced = (
  { html: _, ...mail }: ComposedMail,
  reply: string,
  isDigest = false,
): ComposedMail => {
  const end = mail.text.lastIndexOf("\n-- \n");
  const [body, footer] = [mail.text.slice(0, end), mail.text.slice(end)];
  const mark = `This mail is reduced: it has no HTML, long output or performance data. The relay refused the whole mail:\n${reply}`;
  const kept = isDigest ? body : body.slice(0, mostReducedCharacters);
  return { ...mail, text: `${kept}\n${mark}\n${footer}` };
};

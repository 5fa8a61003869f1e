import { withoutBidi } from "../alert.ts";

/** The last reply of the relay or API, or the event in its place; printable, at most 500 characters. */
type Words = { reply: string; code?: number };

/** The protection of a session. */
export type Tls = { version: string; cipher: string; subject: string; validTo: string };

/** Facts of one attempt for the journal. */
export type Circumstances = { durationMilliseconds: number; tls?: Tls };

/**
 * How one attempt to hand over a mail ended. `accepted` alone means that somebody else is now
 * responsible for the mail (RFC 5321 §6.1).
 */
export type DeliveryOutcome = Words &
  Circumstances &
  ({ result: "accepted"; queueId?: string } | ({ step: Step } & Failure));

/** One try to hand a mail to a relay; `reduced`: in the short form that follows a refusal of the message. */
export type Attempt = { at: number; route: string; outcome: DeliveryOutcome; reduced?: true };

/** Whether the relay may have taken the mail without our hearing of it. */
export const isLost = ({ outcome }: Attempt): boolean =>
  outcome.result === "deferred" && outcome.lostAfterData;

/** Whether an attempt failed because of its recipient, not because the route refuses us or asks for a slower pace. */
export const failedForRecipient = (outcome: DeliveryOutcome): boolean => {
  if (outcome.result === "accepted") return false;
  if (outcome.result === "refused") return outcome.about === "recipient";
  if (outcome.step !== "recipient") return false;
  return outcome.result === "deferred" ? !outcome.tooFast && !outcome.quota : outcome.unclear === true;
};

/** The step of an SMTP session in which something went wrong; `after-data` begins when the final dot may be out. */
export type Step =
  | "connect"
  | "tls"
  | "auth-offered"
  | "token"
  | "auth"
  | "sender"
  | "recipient"
  | "data"
  | "after-data";

/** A reply for people: at most 500 characters, none of which a terminal obeys or changes the direction of text. */
export const printable = (text: string): string =>
  withoutBidi(text)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, " ")
    .trim()
    .slice(0, 500);

/** The forms in which servers repeat what they were sent: as it is, percent-encoded, or within base64. */
const formsOf = (secret: string): string[] => {
  const within = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]);
    // The first and the last character of base64 depend on what stands around the secret.
    const [first, last] = [Math.ceil((before * 8) / 6), Math.floor((text.length * 8) / 6)];
    return text.toString("base64").slice(first, last);
  });
  // A lone surrogate, which JSON may bring, is no URI's.
  const encoded = [
    encodeURIComponent(secret.toWellFormed()),
    new URLSearchParams({ "": secret }).toString().slice(1),
  ];
  return [secret, ...[...encoded, ...within].filter(({ length }) => length > 3)];
};

/** A text with `[redacted]` for each occurrence of a form, also where it is cut off behind its first half. */
const withoutForm = (text: string, form: string): string => {
  const half = form.slice(0, Math.min(form.length, Math.max(8, Math.ceil(form.length / 2))));
  const [before = "", ...parts] = text.split(half);
  return [
    before,
    ...parts.map((part) => {
      let cut = 0;
      while (cut < form.length - half.length && part[cut] === form[half.length + cut]) cut += 1;
      return part.slice(cut);
    }),
  ].join("[redacted]");
};

/** A text with `[redacted]` for each of these secrets, whatever form it has, whole or cut off. */
export const withoutSecrets = (text: string, secrets: readonly string[]): string =>
  secrets
    .filter(Boolean)
    .flatMap(formsOf)
    .sort((one, other) => other.length - one.length)
    .reduce(withoutForm, text);

/**
 * The meaning of a failed attempt. Deferred `tooFast`: the route works and asks for a slower pace; `quota`: it accepts no
 * more mail today. A refusal is `about` the recipient or the message. Unauthorised is about us, and never makes a dead
 * letter; `unclear`: perhaps it is about this recipient alone.
 */
export type Failure =
  | { result: "deferred"; lostAfterData: boolean; tooFast?: true; quota?: true }
  | { result: "refused"; about: "recipient" | "message" }
  | { result: "unauthorised"; unclear?: true };

/** How relays name the id under which they queued a mail, in the reply to the final dot. */
const queueIds: readonly RegExp[] = [
  // Postfix, SendGrid, Mailjet; Yandex says on which host
  /\bqueued (?:on \S+ )?as ([\w.-]+)/i,
  // Exim, Exchange (InternalId), KumoMTA (ids)
  /\b(?:Internal ?)?ids?=([\w.-]+)/i,
  // Sendmail, OpenSMTPD
  /\b2\.0\.0 ([!-~]+) Message accepted for delivery/,
  // Gmail
  /\bOK +\d+ ([!-~]+) - gsmtp/,
  // qmail
  /\bok \d+ qp (\d+)/,
  // Haraka
  /\bQueued \(([\w.-]+)\)/,
  // Amazon SES and others that say the id alone
  /\bok(?:: queued)? ([\w-]{20,})\s*$/i,
];

/** The id under which a relay queued a mail, from the reply to the final dot; undefined if it names none. */
export const queueIdOf = (reply: string): string | undefined =>
  queueIds.map((form) => form.exec(reply)?.[1]).find((id) => id !== undefined);

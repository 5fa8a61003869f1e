/** The protection of a session. */
export type Tls = { version: string; cipher: string; subject: string; validTo: string };

/** Facts of one attempt for the journal. */
export type Circumstances = { durationMilliseconds: number; tls?: Tls };

/**
 * How one attempt to hand over a mail ended. `accepted` alone means that somebody else is now responsible for the mail
 * (RFC 5321 §6.1). `reply` is the last one, or the event in its place; printable, at most 500 characters.
 */
export type DeliveryOutcome = { reply: string; code?: number } & Circumstances &
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
export const steps = [
  "connect",
  "tls",
  "auth-offered",
  "token",
  "auth",
  "sender",
  "recipient",
  "data",
  "after-data",
] as const;
export type Step = (typeof steps)[number];

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
  /\bqueued (?:on \S+ )?as ([\w.-]+)/i, // Postfix, SendGrid, Mailjet; Yandex says on which host
  /\b(?:Internal ?)?ids?=([\w.-]+)/i, // Exim, Exchange (InternalId), KumoMTA (ids)
  /\b2\.0\.0 ([!-~]+) Message accepted for delivery/, // Sendmail, OpenSMTPD
  /\bOK +\d+ ([!-~]+) - gsmtp/, // Gmail
  /\bok \d+ qp (\d+)/, // qmail
  /\bQueued \(([\w.-]+)\)/, // Haraka
  /\bok(?:: queued)? ([\w-]{20,})\s*$/i, // Amazon SES and others that say the id alone
];

/** The id under which a relay queued a mail, from the reply to the final dot; undefined if it names none. */
export const queueIdOf = (reply: string): string | undefined =>
  queueIds.map((form) => form.exec(reply)?.[1]).find((id) => id !== undefined);

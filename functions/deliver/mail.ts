/** A mail as a transport carries it. Its recipient is in the envelope alone. */
export type Mail = {
  /** The alert that it tells, for what comes back about it. */
  alert: { site: string; id: string };
  /** The addresses of RFC 5321, of which a reply may speak. */
  envelope: { from: string; to: string };
  messageId: string;
  from: { name?: string; address: string };
  /** Header and body (RFC 5322) with CRLF line ends. Dots are not doubled here: that is SMTP's (RFC 5321 §4.5.2). */
  bytes: Buffer;
};

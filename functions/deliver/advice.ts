import type { Step } from "./delivery.ts";

/** What can be done about a failure: the first line whose step and words fit is the advice. */
const advice: [steps: readonly Step[], words: RegExp, todo: string][] = [
  [
    ["auth"],
    /5\.7\.30\b/,
    "Microsoft 365 takes no passwords for sending mail any more: use auth=XOAUTH2 with HARDSTATE_OAUTH (README: XOAUTH2).",
  ],
  [
    ["auth"],
    /5\.7\.139\b|SmtpClientAuthentication is disabled/i,
    "Authenticated SMTP is switched off for this mailbox or tenant: have its administrator switch it on (Set-CASMailbox -SmtpClientAuthenticationDisabled $false).",
  ],
  [
    ["auth"],
    /5\.7\.9\b|application-specific password/i,
    "The provider wants an app password, or XOAUTH2, instead of the account's own password.",
  ],
  [
    ["auth"],
    /^535\b.*challenge/,
    "The relay does not take the token: check user, scope and the application's right to send as this mailbox.",
  ],
  [["auth"], /^4/, "The relay cannot check logins at the moment; it is tried again."],
  [
    ["auth"],
    /^(53[045]|5)/,
    "User or password is wrong, or the account is locked or not allowed to send: check them at the relay's side, and the percent-encoding in HARDSTATE_RELAYS.",
  ],
  [["auth"], /./, "The relay broke the login off: check auth= in HARDSTATE_RELAYS and the relay's log."],
  [
    ["token"],
    /HTTP 4/,
    "The token endpoint refuses the application: check tenant, client_id, client_secret (expired?), refresh_token and scope in HARDSTATE_OAUTH.",
  ],
  [
    ["token"],
    /./,
    "The token endpoint does not answer as it should: check token_url in HARDSTATE_OAUTH and the way to it.",
  ],
  [
    ["auth-offered"],
    /./,
    "Check auth= in HARDSTATE_RELAYS, the port (587 and 465 are for logins, 25 often is not), and the relay's configuration.",
  ],
  [
    ["tls"],
    /CERT_HAS_EXPIRED|certificate has expired/i,
    "The relay's certificate has expired: renew it there.",
  ],
  [
    ["tls"],
    /ALTNAME|altnames|Hostname\/IP does not match/i,
    "The certificate is for another name: use the name that is in it as the host in HARDSTATE_RELAYS.",
  ],
  [
    ["tls"],
    /self.signed|unable to (get|verify)|issuer/i,
    "The certificate's authority is not known here: give its certificate in HARDSTATE_RELAY_CA.",
  ],
  [
    ["tls"],
    /wrong version number|packet length too long/i,
    "The relay speaks no TLS on this port: use smtp:// for STARTTLS (587), smtps:// for TLS from the start (465).",
  ],
  [
    ["tls"],
    /protocol version|unsupported protocol|version too low|handshake failure|no shared cipher/i,
    "The relay has no TLS 1.2 or newer: bring it up to date.",
  ],
  [
    ["tls"],
    /./,
    "The relay offers no TLS here, or somebody in between takes it away; no password was sent. Check the port (587 STARTTLS, 465 TLS from the start) and ask the relay's administrator.",
  ],
  [
    ["connect"],
    /EDNS|ENOTFOUND|EAI_AGAIN|getaddrinfo|MX record|no addresses/i,
    "The name cannot be looked up: check the host in HARDSTATE_RELAYS and this machine's DNS.",
  ],
  [["connect"], /ECONNREFUSED/, "Nothing listens there: check host and port, and whether the relay runs."],
  [
    ["connect"],
    /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|timeout|timed out|no answer/i,
    "No answer: check host and port, and whether a firewall is in between (port 25 is often closed; 587 is for submission).",
  ],
  [
    ["connect"],
    /^421/,
    "The relay has too many connections or closes for a while: lower connections= or set rate=.",
  ],
  [
    ["connect"],
    /^5/,
    "The relay turns this machine away before anything was said: ask its administrator whether its address is blocked.",
  ],
  [
    ["connect"],
    /./,
    "The connection broke off before the session began: is this port SMTP, and is the relay healthy?",
  ],
  [["sender"], /^530/, "The relay wants a login: give user and password in HARDSTATE_RELAYS."],
  [
    ["sender"],
    /^5/,
    "The relay refuses this sender for this login: set HARDSTATE_FROM or HARDSTATE_ENVELOPE_FROM to an address that it may send as.",
  ],
  [
    ["recipient", "data"],
    /^5\d\d.*(relay|not permitted|denied|authenticat)/i,
    "The relay does not relay for us: give user and password in HARDSTATE_RELAYS, or have it allow this machine.",
  ],
  [["recipient"], /^5/, "The relay refuses this recipient: check the contact's address."],
  [
    ["data", "after-data"],
    /^5\d\d.*(SendAs|5\.7\.60)/i,
    "This login may not send as this From: set HARDSTATE_FROM to its own address, or have the right given.",
  ],
  [
    ["data", "after-data"],
    /^5/,
    "The relay refuses what the mail holds: read its reply, and the relay's log.",
  ],
  [
    ["sender", "recipient", "data", "after-data"],
    /^4/,
    "The relay says later (greylisting, a limit, a full disk): it is tried again by itself; if it lasts, read the relay's log.",
  ],
  [
    ["after-data"],
    /./,
    "The relay took the mail and never said so: it is sent again with the same Message-ID. Read the relay's log.",
  ],
];

const otherwise = "The relay stopped answering: read its log, and try again.";

/** What the operator can do about a failure at a step, by the relay's words; one or two sentences. */
export const adviceFor = (step: Step, reply: string): string =>
  advice.find(([steps, words]) => steps.includes(step) && words.test(reply))?.[2] ?? otherwise;

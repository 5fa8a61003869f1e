import type { Step } from "../deliver/outcome.ts";
import { todoAfter } from "../deliver/refusal.ts";

/** Where a failure may be; `dns`, `banner` and `ehlo` are parts of the step `connect`, which only hardstate doctor tells apart. */
type Place = Step | "dns" | "banner" | "ehlo";

/** The advice about a failure: that of the first row whose place and words match. */
const advice: [places: readonly Place[], words: RegExp, todo: string][] = [
  [
    ["auth"],
    /^(AccessDenied|InvalidClientToken|SignatureDoesNotMatch|Unrecognized|IncompleteSignature|ExpiredToken|OptIn|\w*Credentials)/,
    "AWS refuses our credentials: give the bridge a role or keys that may ses:SendRawEmail in this region.",
  ],
  [
    ["auth"],
    /^Request(Expired|InTheFuture|TimeTooSkewed)/,
    "AWS says that this machine's clock is wrong: set it by NTP.",
  ],
  [
    ["sender"],
    /^(MessageRejected|MailFromDomainNotVerified)/,
    "SES does not know our sender: verify the address or domain of HARDSTATE_FROM as an identity in this region.",
  ],
  [
    ["recipient"],
    /^MessageRejected.*not verified/,
    "The SES account is in its sandbox, where only verified addresses are mailed: ask AWS for production access.",
  ],
  [
    ["recipient"],
    /^MessageRejected.*(blacklisted|suppression list)/,
    "SES no longer mails this address, because mail to it bounced. Check the address, and remove it from the account's suppression list.",
  ],
  [
    ["recipient"],
    /^(InvalidParameter|Validation)/,
    "SES cannot read this address: check the contact's address.",
  ],
  [
    ["connect"],
    /^\w+: .*\bquota exceeded/i,
    "The SES account's quota for 24 hours is used up: ask AWS for more, or add a second relay to HARDSTATE_RELAYS.",
  ],
  [
    ["connect"],
    /^(Throttling|TooManyRequests)|rate exceeded/i,
    "The account's sending rate at SES is reached, and the bridge slows down by itself. To avoid this, set rate= in HARDSTATE_RELAYS to the account's rate, or ask AWS for a higher one.",
  ],
  [
    ["connect"],
    /^(Account|SendingPaused|ConfigurationSet)|paused|suspended|configuration ?set/i,
    "SES does not send with this configuration: check the account's status and the configuration set in AWS.",
  ],
  [
    ["data"],
    /^(MessageRejected|InvalidParameter|Validation|BadRequest|RequestEntity)/,
    "SES refuses the content of this mail: read its reply.",
  ],
  [
    ["ehlo", "tls", "connect"],
    /\b(helo|ehlo)\b.*reject|fully.qualified host ?name/i,
    "The relay does not accept the name that the bridge gives in EHLO: set one that it knows with name= in HARDSTATE_RELAYS.",
  ],
  [
    ["auth"],
    /5\.7\.30\b/,
    "Microsoft 365 refuses passwords for sending mail: use auth=XOAUTH2 with HARDSTATE_OAUTH (docs/relays.md).",
  ],
  [
    ["auth"],
    /5\.7\.139\b|SmtpClientAuthentication is disabled/i,
    "Authenticated SMTP is switched off for this mailbox or tenant: have its administrator switch it on (Set-CASMailbox -SmtpClientAuthenticationDisabled $false).",
  ],
  [
    ["auth"],
    /5\.7\.9\b|application-specific password/i,
    "The provider requires an app password, or XOAUTH2, instead of the account's own password.",
  ],
  [
    ["auth"],
    /^535\b.*challenge/,
    "The relay refuses the token: check user, scope and the application's right to send as this mailbox.",
  ],
  [
    ["auth"],
    /^50[0-4]|(unrecogni[sz]ed|unsupported|unknown|invalid) (authentication|auth) (type|mechanism|method)/i,
    "The relay does not support this way to log in: set another with auth= in HARDSTATE_RELAYS (LOGIN, PLAIN, CRAM-MD5 or XOAUTH2).",
  ],
  [["auth"], /^4/, "The relay cannot check logins at the moment. The bridge tries again."],
  [
    ["auth"],
    /^(53[045]|5)/,
    "User or password is wrong, or the account is locked or not allowed to send: check them at the relay's side, and the percent-encoding in HARDSTATE_RELAYS.",
  ],
  [
    ["auth"],
    /./,
    "The relay ended the connection during the login: check auth= in HARDSTATE_RELAYS and the relay's log.",
  ],
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
    /does not contain a DNS name/i,
    "The certificate names its host only as common name: replace it by one with a subjectAltName.",
  ],
  [
    ["tls"],
    /ALTNAME|altnames|Hostname\/IP does not match/i,
    "The certificate is for another name: use the name that is in it as the host in HARDSTATE_RELAYS.",
  ],
  [
    ["tls"],
    /self.signed|unable to (get|verify)|issuer|certificate signature failure/i,
    "The certificate's authority is not known here: give its certificate in HARDSTATE_RELAY_CA. If that is set, it has another authority's certificate.",
  ],
  [
    ["tls"],
    /certificate is not yet valid/i,
    "The certificate is not valid yet: check the clocks of this machine and of the relay.",
  ],
  [
    ["tls"],
    /wrong version number|packet length too long|record layer failure/i,
    "The relay speaks no TLS on this port: use smtp:// for STARTTLS (587), smtps:// for TLS from the start (465).",
  ],
  [
    ["tls"],
    /protocol version|unsupported protocol|version too low|handshake failure|no shared cipher|too (small|weak)/i,
    "The relay has no TLS 1.2 or newer, or none with strong keys: bring it up to date.",
  ],
  [["tls"], /^454/, "The relay cannot begin TLS: check its certificate, its key and its log."],
  [
    ["tls"],
    /timed out|timeout|no answer|disconnected before secure|ECONNRESET|closed/i,
    "The relay broke off or never ended the TLS handshake: check port and scheme (smtp:// for 587, smtps:// for 465), its log, and firewalls that look into mail.",
  ],
  [
    ["tls"],
    /./,
    "The relay offers no TLS here, or somebody in between takes it away; no password was sent. Check the port (587 STARTTLS, 465 TLS from the start) and ask the relay's administrator.",
  ],
  [
    ["connect", "dns"],
    /takes no mail/,
    "That domain has no relay: give the host's own name in HARDSTATE_RELAYS, without mx.",
  ],
  [
    ["connect", "dns"],
    /ENOTFOUND|EAI_AGAIN|getaddrinfo|query\w+ E|MX record|DNS/,
    "The name cannot be looked up: check the host in HARDSTATE_RELAYS and this machine's DNS.",
  ],
  [["dns"], /./, "The name cannot be looked up in time: check this machine's DNS (/etc/resolv.conf)."],
  [["connect"], /ECONNREFUSED/, "Nothing listens there: check host and port, and whether the relay runs."],
  [
    ["banner", "connect"],
    /^(SSH-|HTTP|\+OK|\* OK)/,
    "Another service listens on this port: check the port in HARDSTATE_RELAYS (587 STARTTLS, 465 TLS from the start).",
  ],
  [
    ["banner"],
    /never received|no answer|timed? ?out/i,
    "The relay accepts the connection and says nothing. A port for TLS from the start (465) needs smtps://. Otherwise the relay is overloaded, or a firewall is in between.",
  ],
  [
    ["connect"],
    /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|timeout|timed out|no answer|never received/i,
    "No answer: check host and port, and whether a firewall is in between (port 25 is often closed; 587 is for submission).",
  ],
  [
    ["connect", "banner", "ehlo"],
    /^4/,
    "The relay has too many connections, or takes none for a while: lower connections= or set rate=.",
  ],
  [
    ["connect", "banner"],
    /^5/,
    "The relay refuses the connection of this machine: ask its administrator whether this machine's address is blocked.",
  ],
  [
    ["ehlo"],
    /^5/,
    "The relay does not know EHLO, or refuses the name in it, so there is no TLS and no login: check name= in HARDSTATE_RELAYS and what listens on this port.",
  ],
  [
    ["connect", "banner", "ehlo"],
    /./,
    "The connection broke off before the session began: is this port SMTP, and is the relay healthy?",
  ],
  [
    ["after-data"],
    /^(?![45]\d\d)/,
    "The relay may have taken the mail, but its answer is lost. The mail is sent again with the same Message-ID. Read the relay's log.",
  ],
];

const otherwise = "The relay stopped answering: read its log, and try again.";

/** The advice to operators about a failure at a place, by the relay's words; one or two sentences. */
export const adviceFor = (place: Place, reply: string): string =>
  advice.find(([places, words]) => places.includes(place) && words.test(reply))?.[2] ??
  (place === "dns" || place === "banner" || place === "ehlo" ? undefined : todoAfter(place, reply)) ??
  otherwise;

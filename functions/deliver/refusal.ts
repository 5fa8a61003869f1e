import type { Mail } from "./mail.ts";
import type { Failure, Step } from "./outcome.ts";

/**
 * The subject of a relay's refusal. `us`: sender, account, quota, address or policy, so it will refuse every mail.
 * `unclear`: perhaps us, perhaps this recipient alone. Only `recipient` and `message` make dead letters.
 */
type Fault = "recipient" | "message" | "us" | "unclear" | "too-fast" | "quota" | "later";

/** A kind of refusal after the login: how systems word it, what an operator can do, and at which steps of a mail. */
type Refusal = readonly [fault: Fault, reply: RegExp, todo: string, steps?: readonly Step[]];

const mailSteps: readonly Step[] = ["sender", "recipient", "data", "after-data"];
const everyStep: readonly Step[] = ["connect", ...mailSteps];
const content: readonly Step[] = ["data", "after-data"];
const notSender: readonly Step[] = ["recipient", "data", "after-data"];

const accountStanding =
  "The account at the relay may not send at the moment: check its status in the provider's web pages.";

/** The first row that matches counts. Words about us come first, because refusals of recipients share some of them. */
const refusals: readonly Refusal[] = [
  [
    "quota",
    /^4\d\d (?!4\.2\.).*(\b(daily|hourly|per (day|hour)|24 ?h(ou)?rs?)\b.*(quota|limit|exceed)|(quota|limit).*\b(daily|hourly|per (day|hour))\b)/i,
    "The account's quota of mails for the day or hour is used up: ask the provider for more, or add a second relay to HARDSTATE_RELAYS.",
  ],
  [
    "too-fast",
    /^(432\b|4\d\d (?!4\.(2\.|5\.3|7\.6|7\.28)|.*\b(connections|in this (connection|session))\b).*\b(rate|throttl\w*|too (fast|quickly|many|much)|per (second|minute)|concurren\w*|thread limit|slow down)\b|4.*\bpeak\b)/i,
    "The relay asks for a slower pace, and the bridge slows down by itself. To avoid this, set rate= and a lower connections= in HARDSTATE_RELAYS.",
    everyStep,
  ],
  [
    "later",
    /^4/,
    "The relay defers the mail (greylisting, a limit, a full disk). The mail is retried. If this lasts, read the relay's log.",
  ],
  [
    "unclear",
    /^53[0458]\b|authenticat\w+ (is )?required|(must|please) authenticate|authenticate first|unauthenticated senders|invalid credentials|STARTTLS( command)? first/i,
    "The relay requires a login or TLS for this mail: give user and password, and no tls=none, in HARDSTATE_RELAYS.",
  ],
  [
    "unclear",
    /^5\d\d (5\.7\.(124|13[3-6])\b|.*(allowed[- ]senders?|only accepts? (mail|messages)|not authenticated for group|restricted (group|list|recipient)))/i,
    "This recipient accepts mail only from chosen senders: ask its owner to add the sender, or give the contact another address.",
  ],
  [
    "message",
    /^5\d\d (5\.3\.4\b|5\.2\.3\b|5\.6\.\d|.*(\bsize (limit|exceed)|exceed\w*.{0,30}\bsize\b|(message|mail|content|data|body)\b.{0,30}\btoo (large|big|long)))/i,
    "The mail is larger than the relay allows, or has a form that it does not accept: raise the limit there (message_size_limit of Postfix), or have the check print less.",
  ],
  [
    "us",
    /^5\d\d (5\.7\.([57]\d\d|60[6-9])\b|.*(\breputation\b|(host|\bIP\b|address \[|network|\[[\d.]+\]).{0,80}\b(block|black|list|bann|denied)|blocked using|spamhaus|\blisted (by|in|on|at)\b|spammer|sending spam|\bspam (source|complaints?|ips?|from)\b|listed as .{0,20}\bspam\b|geoip|\b(dns)?[rb]bl\b|dnsbl|blacklist|blocklist))/i,
    "The relay's address, or this machine's, is on a blocklist: look it up at the address in the reply, have it removed there, and add a second relay to HARDSTATE_RELAYS.",
    everyStep,
  ],
  [
    "us",
    /^5\d\d (5\.7\.2\d\b|.*(\b(SPF|DKIM|DMARC)\b|unauthenticated|reverse (dns|lookup)|\b(PTR|rDNS)\b))/i,
    "The receiving server has no proof that this relay may send for our domain: publish SPF, DKIM and DMARC records that cover the relay (hardstate doctor looks at them).",
  ],
  [
    "us",
    /^5\d\d (5\.1\.[78]\b|5\.7\.60\b|.*(send ?as\b|SendAs|\bsender\b(?!'?s? (submission|sending)? ?(quota|limit))|not owned by|mail from\b|from:? address|\bfrom header|envelope.?from|return.?path|not verified|not a verified|unverified (address|identity|domain)|not authori[sz]ed to (send|use)))/i,
    "The relay refuses this sender for this login: set HARDSTATE_FROM and HARDSTATE_ENVELOPE_FROM to an address that the login may send as, or have this address allowed or verified at the relay.",
  ],
  [
    "us",
    /^5\d\d.*(\b(helo|ehlo)\b.*reject|fully.qualified host ?name)/i,
    "The relay does not accept the name that the bridge gives in EHLO: set one that it knows with name= in HARDSTATE_RELAYS.",
  ],
  [
    "us",
    /^5\d\d (5\.4\.5\b|.*(SubmissionQuota|(submission|sender|sending|day|daily|hour|hourly|outgoing|outbound|relay|message)\b.{0,25}\b(quota|limit)|(quota|limit)\b.{0,25}\b(sending|messages|mails|per (day|hour))|too many (\w+ )?(messages|mails|emails|recipients)|rate limit))/i,
    "The account has reached its quota of mails: wait, ask the provider for more, or add a second relay to HARDSTATE_RELAYS. The contact's address is not the cause.",
  ],
  [
    "unclear",
    /^5\d\d.*(relay(ing)?( access| mail)?( is)? (denied|prohibited|not (allowed|permitted))|(unable|not permitted|not allowed|refuse[sd]?|cannot|do(es)? not) (to )?relay|5\.7\.64\b|TenantAttribution|rcpthosts|no relay)/i,
    "The relay does not relay for us to this recipient: give user and password in HARDSTATE_RELAYS, or have its administrator allow this machine.",
  ],
  ["us", /^5\d\d.*(\byour (e?-?mail )?(account|mailbox|domain)\b|wrong password)/i, accountStanding],
  [
    "recipient",
    /^5\d\d (5\.2\.2\b|.*(mailbox (is |has )?(full|exceed|over)|over ?quota|(mailbox|user|recipient|account)\b.{0,30}quota (is |was )?(exceeded|full)|exhausted.{0,20}storage|(exceed|out of|insufficient).{0,20}(storage|disk space|mailbox)|\bfull\b.{0,20}mailbox))/i,
    "The recipient's mailbox is full: ask the recipient to empty it.",
    notSender,
  ],
  [
    "message",
    /^5\d\d.*(virus|malware|infected|spam\b|unsolicited|\bcontents?\b|attachment|phish|suspicious|banned|(headers?|line)\b.{0,30}\b(missing|invalid|malformed|duplicate|too long)|line length|RFC ?[258]\d\d)/i,
    "A filter refuses the content of the mail: read its reply and the relay's log, and have mail of this sender exempted.",
    content,
  ],
  [
    "recipient",
    /^5\d\d (5\.1\.(1|2|3|6|10)\b|5\.2\.1\b|5\.4\.1\b.*recipient|.*\(#5\.1\.1\))/i,
    "The relay does not know this recipient: check the contact's address.",
    notSender,
  ],
  [
    "recipient",
    /^5\d\d.*((recipient|mailbox|alias|inbox)\b.{0,60}(\bunknown|not (found|exist|known|local|active|valid|available|listed)|(?<!action not taken: mailbox )unavailable|disabled|inactive|suspended|deactivated|is ?blocked|\binvalid|n[o']t exist|undeliverable)|(unknown|invalid|no such|unrouteable|undeliverable|bad destination) (local )?(user|recipient|mailbox|address|account|alias|person|local.part)|\buser\b.{0,40}(unknown|not (found|exist|known|local)|n[o']t (exist|have)|unbekannt)|no mailbox here|characters in address|not a valid (recipient|user|mailbox)|unbekannter? empf|n'existe)/i,
    "The relay does not know this recipient: check the contact's address.",
    notSender,
  ],
  [
    "recipient",
    /^5\d\d.*((user|address|account)\b.{0,60}(\bunknown|not (found|exist|known|local|active|valid|available|listed)|unavailable|disabled|inactive|suspended|deactivated|\binvalid|n[o']t exist|undeliverable)|\bno (user|mailbox|mail box|recipient|one|account by that name)\b|not (our|a) (known |local |active )?(customer|user|address)|not an active address|bad address|> not found|address\b.{0,30}(could not be found|no longer valid)|mailbox not present|non-?existent|unknown e-?mail|(benutzer|empf.{0,3}nger|utente|utilisateur|destinata\w+|usuario|persona)\b.{0,20}(unbekannt|inconnu|sconosciut|desconocid|no existe)|no existe (dicha|ese)|onbekende)/i,
    "The relay does not know this recipient: check the contact's address.",
    ["recipient"],
  ],
  [
    "us",
    /^5\d\d.*(account|service|sending|subscription|tenant|domain)\b.{0,60}(suspend|disabled|blocked|locked|paused|not (enabled|active|activated)|compromised|deactivated|exceeded)/i,
    accountStanding,
  ],
  [
    "message",
    /^552\b/,
    "The mail is larger than the relay allows, or the recipient's mailbox is full: read its reply.",
  ],
  [
    "us",
    /^5/,
    "The relay refuses this sender for this login: set HARDSTATE_FROM and HARDSTATE_ENVELOPE_FROM to an address that the login may send as.",
    ["sender"],
  ],
  [
    "unclear",
    /^5/,
    "The relay refuses this mail for a reason that the bridge does not know: read its reply and its log. Nothing is lost. The mail takes the next route, or is retried.",
  ],
];

/** The reply on one line, its code and enhanced code once. */
const onOneLine = (reply: string): string => {
  const code = reply.slice(0, 3);
  return reply
    .replace(/^(\d{3})-/, "$1 ")
    .replace(new RegExp(`\\s+${/^\d{3}$/.test(code) ? code : "-"}[ -]([245]\\.\\d+\\.\\d+\\s+)?`, "g"), " ")
    .replace(/\s+/g, " ");
};

const refusalOf = (step: Step, reply: string, envelope?: Mail["envelope"]) => {
  const text = onOneLine(reply);
  const names = (address: string) => text.toLowerCase().includes(address.toLowerCase());
  const namesUsAlone = envelope !== undefined && names(envelope.from) && !names(envelope.to);
  // 5.7 is about security and policy (RFC 3463 §3.8): a user or mailbox without an address may be our own.
  const namesRecipient = envelope ? names(envelope.to) : /@|\[recipient\]/.test(text);
  const isPolicy = /^5\d\d 5\.7\./.test(text) && !namesRecipient;
  const [fault, , todo] =
    refusals.find(
      ([fault, words, , steps = mailSteps]) =>
        steps.includes(step) &&
        words.test(text) &&
        // Relays look up senders as they look up recipients, and use the same words for both.
        !(fault === "recipient" && (namesUsAlone || isPolicy)),
    ) ?? [];
  return { fault, todo };
};

/** The advice about a relay's refusal of a mail; undefined if the step or the reply is none. */
export const todoAfter = (step: Step, reply: string): string | undefined => refusalOf(step, reply).todo;

const deferred: Failure = { result: "deferred", lostAfterData: false };

const failures: Record<Fault, Failure> = {
  recipient: { result: "refused", about: "recipient" },
  message: { result: "refused", about: "message" },
  us: { result: "unauthorised" },
  unclear: { result: "unauthorised", unclear: true },
  "too-fast": { ...deferred, tooFast: true },
  quota: { ...deferred, quota: true },
  later: deferred,
};

/**
 * Classifies a failed attempt by the step it failed in and the relay's reply, if there was one; at step `token` by the
 * HTTP status. Only a fault of the recipient or of the message is refused for good. Missing protection, refused
 * credentials and any other refusal are about our settings or account. Everything else passes with time.
 */
export const failure = (
  step: Step,
  code: number | undefined,
  reply: string,
  envelope?: Mail["envelope"],
): Failure => {
  if (step === "token") {
    const passes = code === undefined || code < 400 || code >= 500 || code === 408 || code === 429;
    return passes ? deferred : failures.us;
  }
  if (step === "tls" || step === "auth-offered") return failures.us;
  if (code === undefined || code < 400) return { ...deferred, lostAfterData: step === "after-data" };
  const { fault } = refusalOf(step, reply, envelope);
  if (fault) return failures[fault];
  // RFC 4954 §6: these codes say at any step that authentication or encryption is missing.
  if ([530, 534, 535, 538].includes(code) || (step === "auth" && code >= 500)) return failures.us;
  return deferred;
};

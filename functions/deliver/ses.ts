import { SESClient, type SESClientConfig, SendRawEmailCommand } from "@aws-sdk/client-ses";
import { within } from "./in-time.ts";
import type { Mail } from "./mail.ts";
import type { DeliveryOutcome, Failure, Step } from "./outcome.ts";
import { printable } from "./printable.ts";
import type { SesRelay } from "./relay-url.ts";
import { tagOf } from "./ses-events.ts";
import { isTlsRefused } from "./tls-refused.ts";
import type { Transport } from "./transport.ts";

/** A kept connection that the other end (or a frozen Lambda) has closed would look like a mail that was lost. */
const oneRequest = { keepAlive: false, maxSockets: Number.POSITIVE_INFINITY };

/** `found` are credentials, and an endpoint that is not AWS's, where the AWS SDK looks for none itself: in workerd. */
export const sesClient = (region: string, found: Pick<SESClientConfig, "credentials" | "endpoint"> = {}) =>
  new SESClient({
    region,
    ...found,
    // The queue is the only retry: an SDK that repeats a request whose answer was lost doubles the mail.
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: 5_000,
      // SES answers within a second; giving up early makes second copies.
      requestTimeout: 60_000,
      throwOnRequestTimeout: true,
      socketTimeout: 60_000,
      httpAgent: oneRequest,
      httpsAgent: oneRequest,
      // The SDK's handler in workerd takes requestTimeout for the head of an answer alone.
      requestInit: () => ({ signal: AbortSignal.timeout(60_000) }),
    },
  });

/** An error of SES. */
export type SesError = { code: string; message: string; status?: number; clockCorrected?: boolean };

/** How an attempt ended that was not accepted, and where; `after-data` means that SES may have the mail. */
export type SesFailure = { step: Step } & Failure;

const theRouteIsDown: SesFailure = { result: "deferred", step: "connect", lostAfterData: false };
const tooFast: SesFailure = { ...theRouteIsDown, tooFast: true };
const quotaIsUsedUp: SesFailure = { ...theRouteIsDown, quota: true };
const theRouteIsWrong: SesFailure = { result: "unauthorised", step: "connect" };
const theSenderIsWrong: SesFailure = { result: "unauthorised", step: "sender" };
const theRecipientIsWrong: SesFailure = { result: "refused", about: "recipient", step: "recipient" };
const theMessageIsWrong: SesFailure = { result: "refused", about: "message", step: "data" };
const unclear = { result: "unauthorised", unclear: true } as const;

const throttled = /^(Throttl|TooManyRequests|RequestThrottled|RequestLimitExceeded|LimitExceeded|SlowDown)/;
const overRate = /\b(send|sending) rate exceeded/i;
const overQuota = /\b(message|sending) quota exceeded/i;
const credentialsRefused =
  /^(AccessDenied|AuthFailure|CredentialsProvider|ExpiredToken|IncompleteSignature|Invalid(AccessKeyId|ClientTokenId|Signature)|MissingAuthenticationToken|NotAuthorized|OptInRequired|Request(Expired|InTheFuture|TimeTooSkewed)|SignatureDoesNotMatch|TokenRefreshRequired|UnrecognizedClient)/;
const ourClock = /RequestExpired|RequestInTheFuture|TimeTooSkewed|signature (expired|not yet current)/i;

const routeCodes = /^(AccountSendingPaused|AccountSuspended|SendingPaused|ConfigurationSet)/;
const routeWords = /\b(account|sending)\b.*\b(paused|suspended|disabled)\b|configuration ?set/i;
/** With these codes SES says in words alone what it is about. */
const refusals =
  /^(MessageRejected|InvalidParameter(Value|Combination)|Validation(Error|Exception)|BadRequestException)$/;
/** No address is named: its syntax is refused, or it is on a list of SES's of addresses that bounced. */
const addressWords =
  /\b(address|domain)\b.*\b(contains|(starts|ends) with|illegal|too long|blacklisted|suppression list)|\b(missing (final '@)?domain|illegal address|no recipients)\b|'destinations'/i;
const messageWords =
  /\b(headers?|disposition|virus|malware|MIME|content[- ]type|message length)\b|'rawMessage/i;

/**
 * The subject of a refusal by SES. A sender that is not verified is our setting, as a refused MAIL FROM is. A
 * recipient alone is refused (a sandbox knows no others), for the verified ones still get their mail. An error that
 * no word explains is about us, or about this mail alone: nothing is buried for it.
 */
const refused = (message: string, { envelope, from }: Mail): SesFailure => {
  const words = new Set(message.toLowerCase().split(/[\s,;:"<>()]+|\.+(?=[\s,]|$)/));
  const names = (address: string) => words.has(address.toLowerCase());
  const domain = (address: string) => address.slice(address.lastIndexOf("@") + 1);
  const senders = [envelope.from, from.address];
  if (senders.some((address) => names(address) || names(domain(address)))) return theSenderIsWrong;
  const named = names(envelope.to) || names(domain(envelope.to));
  // SES ends with an ellipsis what it has not room to name.
  if (/not verified/i.test(message) && (!named || /(\.{3}|…)\s*$/.test(message))) return theSenderIsWrong;
  if (named) return theRecipientIsWrong;
  // SES takes ASCII alone: a sender with more would be refused in every mail.
  if (addressWords.test(message))
    return senders.every((address) => /^[\x21-\x7e]+$/.test(address))
      ? theRecipientIsWrong
      : theSenderIsWrong;
  return messageWords.test(message) ? theMessageIsWrong : { ...unclear, step: "data" };
};

/**
 * Classifies what SES said by its codes and words. A refusal that is not plainly the recipient's or the message's is
 * about our account or settings; all else passes with time.
 */
export const sesFailure = ({ code, message, status, clockCorrected }: SesError, mail: Mail): SesFailure => {
  // The day's quota, like an outage, leaves nothing to do but probe; a rate that was exceeded is free again at once.
  if (overQuota.test(message)) return quotaIsUsedUp;
  if (throttled.test(code) || overRate.test(message)) return tooFast;
  if (credentialsRefused.test(code) || status === 401 || status === 403)
    // With SES's time, which the SDK has just learnt, the next signature is good.
    return clockCorrected && ourClock.test(`${code} ${message}`)
      ? { ...theRouteIsDown, step: "auth" }
      : { result: "unauthorised", step: "auth" };
  if (routeCodes.test(code) || routeWords.test(message)) return theRouteIsWrong;
  if (/^MailFromDomainNotVerified/.test(code)) return theSenderIsWrong;
  if (status === 413) return theMessageIsWrong;
  return refusals.test(code) ? refused(message, mail) : theRouteIsDown;
};

type SdkError = Error & {
  /** The code in SES's answer. */
  Code?: string;
  /** Node's. */
  code?: string;
  syscall?: string;
  $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean };
};

/** Cloudflare's own answers for who could not be reached: nothing listens, no way there, no TLS, no such name. */
const unreachable = [521, 523, 525, 526, 530];

/** The step that failed when nothing came that SES says. In doubt SES has the mail. */
const silentStep = (error: SdkError, sent: boolean): Step => {
  const status = error.$metadata?.httpStatusCode;
  if (!sent) return "connect";
  // A proxy's page. One that has no service, or rejects the request, has not passed it on.
  if (status !== undefined)
    return (status >= 300 && status < 500) || status === 503 || unreachable.includes(status)
      ? "connect"
      : "after-data";
  if (isTlsRefused(error)) return "tls";
  const neverConnected =
    ["connect", "getaddrinfo"].includes(error.syscall ?? "") ||
    // All addresses of the name were tried.
    error instanceof AggregateError ||
    /did not establish a connection|before secure TLS connection/.test(error.message);
  return neverConnected ? "connect" : "after-data";
};

const classify = (error: SdkError, sent: boolean, mail: Mail): SesFailure => {
  const code = error.Code ?? (error.name === "CredentialsProviderError" ? error.name : undefined);
  if (code === undefined) {
    const step = silentStep(error, sent);
    if (step === "tls") return { result: "unauthorised", step };
    return { result: "deferred", step, lostAfterData: step === "after-data" };
  }
  const { httpStatusCode: status, clockSkewCorrected: clockCorrected } = error.$metadata ?? {};
  const failure = sesFailure({ code, message: error.message, status, clockCorrected }, mail);
  // Before our request only the service that gives credentials speaks: it knows nothing of this mail.
  return sent || failure.result === "deferred" ? failure : { result: "unauthorised", step: "auth" };
};

/** The first line, without what SES repeats of a request that it refuses: key ids, signatures, session tokens. */
const withoutSecrets = (text: string): string =>
  (text.trimStart().split("\n", 1)[0] ?? "").replace(
    /\bA(KIA|SIA|3T[A-Z0-9])[A-Z0-9]{12,}\b|[A-Za-z0-9+/=]{40,}/g,
    "[redacted]",
  );

const words = ({ Code, message, $metadata }: SdkError): string => {
  const said = withoutSecrets(message);
  if (Code !== undefined) return `${Code}: ${said}`;
  const status = $metadata?.httpStatusCode;
  return status === undefined ? said : `HTTP ${status} without an answer of SES: ${said}`;
};

/** An alert's story says so too: without a configuration set SES reports nothing about the mail. */
const nobodyTells = " (without configuration-set= SES tells of no bounce: its delivery is unknown)";

/** Sends by SendRawEmail of Amazon SES, each mail in one request; `client` must not retry (see `sesClient`). */
export const sesTransport = (client: SESClient, relay: SesRelay, clock: () => number): Transport => ({
  route: relay.route,
  send: async (mail, signal): Promise<DeliveryOutcome> => {
    const startedAt = clock();
    let sent = false;
    try {
      const command = new SendRawEmailCommand({
        Source: mail.envelope.from,
        Destinations: [mail.envelope.to],
        RawMessage: { Data: mail.bytes },
        ConfigurationSetName: relay.configurationSet,
        // The reports of a configuration set have these tags.
        Tags: relay.configurationSet ? [tagOf(mail.alert)] : undefined,
      });
      // The last step before the request leaves: until then credentials were looked for and a signature was made.
      command.middlewareStack.add(
        (next) => (request) => {
          sent = true;
          return next(request);
        },
        { step: "deserialize", priority: "low" },
      );
      const request = () => client.send(command, { abortSignal: signal });
      const { MessageId, $metadata } = await within(signal, request);
      // Somebody's 200: without its id SES has promised nothing.
      if (!MessageId) throw Object.assign(new Error("no MessageId"), { $metadata });
      return {
        result: "accepted",
        reply: printable(`MessageId ${MessageId}${relay.configurationSet ? "" : nobodyTells}`),
        code: $metadata.httpStatusCode,
        queueId: MessageId,
        durationMilliseconds: clock() - startedAt,
      };
    } catch (thrown) {
      const error = thrown as SdkError;
      return {
        ...classify(error, sent, mail),
        reply: printable(words(error)),
        code: error.$metadata?.httpStatusCode,
        durationMilliseconds: clock() - startedAt,
      };
    }
  },
});

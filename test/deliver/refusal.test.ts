import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import type { Step } from "../../functions/deliver/outcome.ts";
import { failure } from "../../functions/deliver/refusal.ts";
import { adviceFor } from "../../functions/operator/advice.ts";

const envelope = { from: "monitoring@example.com", to: "ops@example.org" };
const codeOf = (reply: string) => Number(/^\d{3}/.exec(reply)?.[0]) || undefined;
const classified = (step: Step, reply: string) => failure(step, codeOf(reply), reply, envelope);

/** A failure in the words of the recorded replies' labels. */
const labelOf = (step: Step, reply: string): string => {
  const said = classified(step, reply);
  if (said.result === "refused") return `refused/${said.about}`;
  return said.result === "deferred" && said.tooFast ? "too-fast" : said.result;
};

type Recorded = { system: string; step: Step; reply: string; source: string; expected: string };
const { replies } = parse(readFileSync(new URL("replies.yaml", import.meta.url), "utf8")) as {
  replies: Recorded[];
};

describe("a reply of a real system is read as a person reads it:", () => {
  test.for(
    replies.map((one): [string, Recorded] => [
      `${one.system} at ${one.step}: ${one.reply.slice(0, 70)}`,
      one,
    ]),
  )("%s", ([, { step, reply, expected }]) => {
    expect(labelOf(step, reply)).toBe(expected);
  });

  test("there are at least sixty, of at least fifteen systems, each with its source", () => {
    expect(replies.length).toBeGreaterThanOrEqual(60);
    expect(new Set(replies.map(({ system }) => system)).size).toBeGreaterThanOrEqual(15);
    for (const { source } of replies) expect(source).toMatch(/^https?:\/\//);
  });
});

describe("a failed attempt", () => {
  const deferred = { result: "deferred", lostAfterData: false } as const;
  const lost = { result: "deferred", lostAfterData: true } as const;
  const unauthorised = { result: "unauthorised" } as const;
  test.for<[because: string, Step, code: number | undefined, ReturnType<typeof failure>]>([
    ["nobody answers at the relay's address", "connect", undefined, deferred],
    ["the relay is closing for the moment", "connect", 421, deferred],
    ["the relay has no service today, which says nothing of this mail", "connect", 554, deferred],
    ["required TLS is missing", "tls", 502, unauthorised],
    ["TLS is not available for the moment, and in clear we do not send", "tls", 454, unauthorised],
    ["the certificate is refused", "tls", undefined, unauthorised],
    ["no configured AUTH mechanism is offered", "auth-offered", undefined, unauthorised],
    ["the password is wrong", "auth", 535, unauthorised],
    ["the mechanism is too weak for the relay", "auth", 534, unauthorised],
    ["the relay does not know AUTH after all", "auth", 502, unauthorised],
    ["the relay cannot check passwords for the moment", "auth", 454, deferred],
    ["the relay is silent when it should say yes or no to AUTH", "auth", undefined, deferred],
    ["the session ends at the sender", "sender", undefined, deferred],
    ["the session ends at DATA", "data", undefined, deferred],
    ["nobody knows whether the relay has the mail", "after-data", undefined, lost],
    ["a reply cannot follow the final dot", "after-data", 354, lost],
  ])("because %s: at %s with %s", ([, step, code, outcome]) => {
    expect(failure(step, code, `${code ?? "no reply"}`)).toEqual(outcome);
  });

  test.for<[step: Step, reply: string]>([
    ["recipient", "550"],
    ["recipient", "550 no"],
    ["recipient", "571 5.7.1 computer says no"],
    ["recipient", "530 5.7.0 Must issue a STARTTLS command first"],
    ["recipient", "535 5.7.8 not this mailbox"],
    ["data", "554 5.5.1 Error: no valid recipients"],
    ["after-data", "554 Transaction failed"],
  ])("is never refused for good at %s by %s: that may be about us", ([step, reply]) => {
    expect(classified(step, reply)).toEqual({ result: "unauthorised", unclear: true });
  });

  test.for([
    "Your account has been suspended",
    "Your mailbox is disabled",
    "Your mailbox has been blocked for sending spam",
    "Your domain example.com is listed as spam",
    "Unknown user or wrong password",
    "Currently Sending Spam See: http://spam.example/?192.0.2.9",
    "You are sending spam",
    "too many spam complaints",
    "Dynamic/zombied/spam IPs blocked",
    "Spam source blocked",
    "sorry, your remotehost looks suspiciously like spammer",
    "Message rejected under suspicion of SPAM from this network",
  ])("is about us where its words speak of us, at RCPT and at the dot, whatever the code: %s", (words) => {
    const codes = ["550", "552", "554", "550 5.7.1", "554 5.2.0", "550 5.1.0 <ops@example.org>:"];
    for (const code of codes)
      for (const step of ["recipient", "after-data"] as const)
        expect(labelOf(step, `${code} ${words}`), `${step}: ${code}`).toBe("unauthorised");
  });

  test.for([
    "#5.1.1 bad address",
    "<ops@example.org> not found",
    "email address could not be found",
    "is not a known user",
    "is not an active address at this host",
    "mailbox not present",
    "no account by that name here",
    "no mail box available for this user",
    "non-existent user",
    "not a local address",
    "There is no one at this address",
    "this email address is wrong or no longer valid",
    "unknown email address",
    "Empfänger unbekannt",
    "Benutzer unbekannt",
    "no existe dicha persona",
    "El usuario no existe",
    "Destinatario desconocido",
    "utilisateur inconnu",
    "Utente sconosciuto",
    "Onbekende gebruiker",
  ])("is the recipient's in whatever words a system says it: %s", (words) => {
    for (const code of ["550", "554", "550 5.5.0"])
      expect(labelOf("recipient", `${code} ${words}`), code).toBe("refused/recipient");
  });

  test("is not the recipient's where the reply names our sender alone as unknown", () => {
    expect(labelOf("recipient", "550 5.1.1 <Monitoring@example.com>: user unknown")).toBe("unauthorised");
    expect(labelOf("recipient", "550 5.1.1 <ops@example.org>: user unknown")).toBe("refused/recipient");
  });

  test.for<[Step, reply: string, label: string]>([
    ["data", "550-5.4.5 Daily user sending\n550-5.4.5 limit exceeded\n550 5.4.5 x - gsmtp", "unauthorised"],
    ["data", "550-5.4.5 Daily user sending 550-5.4.5 limit exceeded 550 5.4.5 x - gsmtp", "unauthorised"],
    ["recipient", "550-no\n550 such user", "refused/recipient"],
  ])("is read over the lines of its reply: %s, %s", ([step, reply, label]) => {
    expect(labelOf(step, reply)).toBe(label);
  });

  test("by a daily quota is deferred and counts against the route, whatever its code", () => {
    const reply = "454 Throttling failure: Daily message quota exceeded.";
    expect(classified("after-data", reply)).toEqual({ ...deferred, quota: true });
  });

  test("is classified though the reply is as long as any can be", { timeout: 5000 }, () => {
    for (const word of ["message ", "address ", "limit", "a", "550-", "user "])
      expect(labelOf("recipient", `550 ${word.repeat(65_000 / word.length)}`)).toBeDefined();
  });
});

test.for<[Step, string]>([
  ["recipient", "550 5.7.1 User nagios is disabled"],
  ["recipient", "550 5.7.1 no such user nagios in authentication database"],
  ["after-data", "554 5.7.1 Mailbox nagios is disabled for outgoing mail"],
  ["after-data", "550 5.7.1 Message rejected: mailbox suspended due to unusual sending activity"],
])(
  "a refusal by policy (5.7) that does not name the recipient is not the recipient's: %s %s",
  ([step, reply]) => {
    expect(classified(step, reply).result).toBe("unauthorised");
    expect(adviceFor(step, reply)).not.toContain("contact's address");
  },
);

describe("the advice to a refusal follows its words", () => {
  test.for<[Step, reply: string, advice: RegExp]>([
    [
      "recipient",
      "553 5.7.1 <monitoring@example.com>: Sender address rejected: not owned by user nagios",
      /HARDSTATE_FROM/,
    ],
    ["after-data", "554 5.2.252 SendAsDenied; a@x not allowed to send as b@x", /HARDSTATE_FROM/],
    ["data", "550 5.4.5 Daily user sending limit exceeded.", /quota.*address is not the cause/],
    ["recipient", "550 5.7.64 TenantAttribution; Relay Access Denied SMTP", /does not relay for us/],
    ["recipient", "554 5.7.1 Client host [192.0.2.9] blocked using zen.spamhaus.org", /blocklist/],
    ["recipient", "550 5.1.1 <ops@example.org>: User unknown", /check the contact's address/],
    ["recipient", "552 5.2.2 over quota", /mailbox is full/],
    ["after-data", "552 5.3.4 Message size exceeds fixed limit", /larger/],
    [
      "after-data",
      "550 5.7.26 Unauthenticated email is not accepted due to domain's DMARC policy",
      /SPF, DKIM and DMARC/,
    ],
    ["after-data", "432 4.3.2 Concurrent connections limit exceeded", /connections=/],
    ["after-data", "no reply to the final dot", /same Message-ID/],
    ["recipient", "530 5.7.0 Authentication required", /login/],
    ["recipient", "550 5.7.606 Access denied, banned sending IP [192.0.2.9]", /blocklist/],
    ["recipient", "550 [SPF] 192.0.2.9 is not allowed to send mail from example.com", /SPF, DKIM and DMARC/],
    ["sender", "502 5.7.0 Please authenticate first", /requires a login/],
    [
      "recipient",
      "550-Callback setup failed while verifying <a@example.com>\n550-or a HELO or MAIL FROM:<> command was rejected.\n550 Sender verify failed",
      /refuses this sender/,
    ],
    ["after-data", "554 Transaction failed", /nothing is lost/i],
    ["auth", "504 5.7.4 Unrecognized authentication type", /auth= in HARDSTATE_RELAYS/],
    ["auth", "535 5.7.8 Error: authentication failed", /User or password is wrong/],
  ])("at %s: %s", ([step, reply, advice]) => {
    expect(adviceFor(step, reply)).toMatch(advice);
  });
});

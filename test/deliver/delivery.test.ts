import { describe, expect, test } from "vitest";
import { failure, printable, queueIdOf, type Step } from "../../functions/deliver/delivery.ts";

const deferred = { result: "deferred", lostAfterData: false } as const;
const lost = { result: "deferred", lostAfterData: true } as const;
const recipient = { result: "refused", about: "recipient" } as const;
const message = { result: "refused", about: "message" } as const;
const unauthorised = { result: "unauthorised" } as const;

describe("a failed attempt", () => {
  test.for<[because: string, Step, number | undefined, ReturnType<typeof failure>]>([
    ["nobody answers at the relay's address", "connect", undefined, deferred],
    ["the relay is closing for the moment", "connect", 421, deferred],
    ["the relay has no service today, which says nothing of this mail", "connect", 554, deferred],
    ["required TLS is missing", "tls", 502, unauthorised],
    ["TLS is not available for the moment, and in clear we do not send", "tls", 454, unauthorised],
    ["the certificate is refused", "tls", undefined, unauthorised],
    ["no configured AUTH mechanism is offered", "auth-offered", undefined, unauthorised],
    ["the password is wrong", "auth", 535, unauthorised],
    ["the mechanism is too weak for the relay", "auth", 534, unauthorised],
    ["Microsoft 365 says 550 5.7.30 where basic authentication is off", "auth", 550, unauthorised],
    ["the relay does not know AUTH after all", "auth", 502, unauthorised],
    ["the relay cannot check passwords for the moment", "auth", 454, deferred],
    ["the relay is silent when it should say yes or no to AUTH", "auth", undefined, deferred],
    ["the relay wants authentication first", "sender", 530, unauthorised],
    ["the relay wants encryption for this mechanism", "sender", 538, unauthorised],
    ["the sender is refused, for every mail", "sender", 550, unauthorised],
    ["the sender is deferred", "sender", 451, deferred],
    ["the session ends at the sender", "sender", undefined, deferred],
    ["the recipient is refused", "recipient", 550, recipient],
    ["the recipient is greylisted", "recipient", 450, deferred],
    ["the relay wants authentication for this recipient", "recipient", 530, unauthorised],
    ["DATA is refused", "data", 554, message],
    ["DATA is deferred", "data", 451, deferred],
    ["the session ends at DATA", "data", undefined, deferred],
    ["the content is refused", "after-data", 554, message],
    ["the relay's disk is full", "after-data", 452, deferred],
    ["nobody knows whether the relay has the mail", "after-data", undefined, lost],
    ["the relay wants authentication when all is said", "after-data", 535, unauthorised],
  ])("%s: at %s with %s", ([, step, code, outcome]) => {
    expect(failure(step, code)).toEqual(outcome);
  });

  test("a reply that cannot follow the final dot leaves open whether the relay has the mail", () => {
    expect(failure("after-data", 354)).toEqual(lost);
  });
});

describe("a relay's queue id", () => {
  test.for<[relay: string, reply: string, id: string | undefined]>([
    ["Postfix", "250 2.0.0 Ok: queued as 4XyZ1k2m3nz9sT", "4XyZ1k2m3nz9sT"],
    ["Exim", "250 OK id=1rXyZa-0000Ab-2c", "1rXyZa-0000Ab-2c"],
    [
      "Exchange",
      "250 2.6.0 <a@example.com> [InternalId=42953, Hostname=AM0.example.com] 8339 bytes Queued mail for delivery",
      "42953",
    ],
    ["a relay that names none", "250 2.0.0 OK", undefined],
    ["a relay that says nothing", "", undefined],
  ])("of %s is read as it is said", ([, reply, id]) => {
    expect(queueIdOf(reply)).toBe(id);
  });
});

describe("a printable reply", () => {
  test("is one line", () => {
    expect(printable("550-no\n550 never\r\n")).toBe("550-no 550 never");
  });

  test("has no control character that a terminal obeys", () => {
    expect(printable("550 \x1b[2Jno\x07\x9b31m\0\x7f\u2028\u2029!")).toBe("550  [2Jno 31m !");
  });

  test("keeps what people wrote in their own letters", () => {
    expect(printable("550 Empfänger gibt es nicht")).toBe("550 Empfänger gibt es nicht");
  });

  test("has at most 500 characters", () => {
    expect(printable("x".repeat(10_000))).toHaveLength(500);
  });
});

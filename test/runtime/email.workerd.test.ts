import { env } from "cloudflare:workers";
import { beforeAll, expect, it } from "vitest";
import type { Verdict } from "../../functions/decide/case.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import { durableObjectLedger, type LedgerStub } from "../../functions/ledger/durable-object.ts";
import { claim } from "../../functions/ledger/page.ts";
import worker from "../../functions/runtime/cloudflare.ts";
import { queuedAlert } from "../world/alerts.ts";

const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<LedgerStub> };
const bindings = {
  HARDSTATE_TOKENS: `site=${"a".repeat(24)}`,
  HARDSTATE_RELAYS: "smtp://user:password@relay.example.com:587",
  HARDSTATE_FROM: "nagios@example.com",
  HARDSTATE_ENVELOPE_FROM: "bounces+*@example.com",
  HARDSTATE_RECIPIENTS: "example.com",
  HARDSTATE_QUEUE: "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/hardstate.fifo",
  AWS_ACCESS_KEY_ID: "key",
  AWS_SECRET_ACCESS_KEY: "secret",
  LEDGER,
} as unknown as Parameters<typeof worker.email>[1];
const name = "0d".repeat(20);
const ledger = durableObjectLedger(() => LEDGER.getByName("ledger"));

const reportOf = (messageId: string, more = "") => `From: MAILER-DAEMON@mx.example.com
To: bounces@example.com
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; ops@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b
Content-Type: text/rfc822-headers

Message-ID: <${messageId}@example.com>
--b--
${more}`;

/** A mail as Cloudflare gives it: an object whose methods need it. */
class ArrivedMail {
  readonly raw: ReadableStream<Uint8Array>;
  readonly to: string;
  #rejected: string | undefined;
  constructor(text: string, to = "bounces@example.com") {
    this.to = to;
    this.raw = new Blob([text]).stream();
  }
  setReject(reason: string) {
    this.#rejected = reason;
  }
  get rejected() {
    return this.#rejected;
  }
}
/** The result of a mail: why it is rejected, if it is. */
const arrive = async (text: string, to?: string) => {
  const mail = new ArrivedMail(text, to);
  await worker.email(mail, bindings);
  return mail.rejected;
};
const returned = async () => (await ledger.story("site", "alert-0001"))?.returned ?? [];

beforeAll(async () => {
  const queued = queuedAlert();
  const page = await ledger.read(queued);
  const verdict = decide(page, queued, defaultPolicy, 1000) as Verdict & { action: "send" };
  const handOut = { visibleAgainAt: 60_000, receiveCount: 1 };
  expect(await claim(ledger, page, verdict, `<${name}@example.com>`, 1000, handOut)).toBeDefined();
});

it("rejects a mail by Email Routing that is no report of ours, with the reason", async () => {
  expect(await arrive("From: eve@example.com\n\nHello")).toBe(
    "Only reports of undelivered mail are read here: it is not a non-delivery report",
  );
  expect(await arrive(reportOf("0e".repeat(20)))).toContain("it returns no mail that the bridge sent");
  expect(await returned()).toEqual([]);
});

it("notes a report that Email Routing brings, however long it is", async () => {
  expect(await arrive(reportOf(name, "x".repeat(5_000_000)))).toBeUndefined();
  expect(await returned()).toMatchObject([
    { kind: "bounce", contact: "ops@example.com", reply: "550 5.1.1 no such user", permanent: true },
  ]);
});

it("knows a mail by the address that its report was sent to", async () => {
  const unknown = reportOf("0e".repeat(20))
    .replace("no such user", "mailbox is gone")
    .replace("ops@", "other@");
  expect(await arrive(unknown, `bounces+${name}@example.com`)).toBeUndefined();
  expect(await returned()).toHaveLength(2);
});

it("throws, for the sender to try again, while the settings are wrong", async () => {
  const wrong = Object.assign({}, bindings, { HARDSTATE_FROM: "" });
  await expect(worker.email(new ArrivedMail(reportOf(name)), wrong)).rejects.toThrow("HARDSTATE_FROM");
});

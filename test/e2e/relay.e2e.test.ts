import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compose } from "../../functions/compose/mail.ts";
import { render } from "../../functions/compose/mime.ts";
import { emptyEntry } from "../../functions/decide/entry.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import type { SmtpRelay } from "../../functions/deliver/relay-url.ts";
import { smtpTransport } from "../../functions/deliver/smtp.ts";
import { Secret } from "../../functions/secret.ts";
import { queuedAlert } from "../world/alerts.ts";
import { type Lab, mailsIn, openLab, type Relay, startRelay, until } from "../world/lab.ts";

let lab: Lab;
let relay: Relay;
beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
});
afterAll(() => lab?.stop());

let count = 0;
/** Hands one mail of its own to the relay. */
const send = async (change: Partial<SmtpRelay> = {}) => {
  const transport = smtpTransport(
    {
      kind: "smtp",
      mx: false,
      route: "smtp://localhost",
      host: "localhost",
      port: relay.port,
      protection: "starttls",
      credentials: { user: relay.user, password: new Secret(relay.password) },
      auth: ["PLAIN", "LOGIN"],
      name: "monitor.example.com",
      connections: 1,
      ca: readFileSync(relay.ca, "utf8"),
      ...change,
    },
    { resolveMx: async () => [] },
    () => Date.now(),
  );
  const queued = queuedAlert({ id: `relay-alert-${count++}` });
  const verdict = decide({ entry: emptyEntry }, queued, defaultPolicy, 0);
  if (verdict.action !== "send") throw new Error("the first news of a problem is sent");
  const composed = compose(queued, verdict, queued.receivedAt, {
    from: { address: "nagios@example.com" },
    envelopeFrom: "nagios@example.com",
  });
  const mail = render(composed);
  const outcome = await transport.send(mail, AbortSignal.timeout(20_000));
  transport.close();
  return { mail, outcome };
};

describe("a real Postfix", () => {
  it.each<[string, () => Partial<SmtpRelay>]>([
    ["STARTTLS and AUTH PLAIN", () => ({ auth: ["PLAIN"] })],
    ["STARTTLS and AUTH LOGIN", () => ({ auth: ["LOGIN"] })],
    ["implicit TLS", () => ({ protection: "implicit", port: relay.tlsPort })],
  ])("takes a mail by %s, and the outcome has its queue id and the session's TLS", async (_, change) => {
    const { mail, outcome } = await send(change());
    expect(outcome).toMatchObject({
      result: "accepted",
      code: 250,
      queueId: expect.stringMatching(/^[0-9A-Z]+$/i),
      tls: { version: "TLSv1.3", subject: "localhost" },
    });
    await until("the mail in the maildir", 30, async () =>
      (await mailsIn(relay.maildir)).some(({ messageId }) => messageId === mail.messageId),
    );
  });

  it.each<[string, string, () => Partial<SmtpRelay>, string]>([
    [
      "refuses our password",
      "auth",
      () => ({ credentials: { user: relay.user, password: new Secret("wrong") } }),
      "unauthorised",
    ],
    ["has a certificate of an authority that is not ours", "auth", () => ({ ca: undefined }), "unauthorised"],
    ["offers no AUTH", "no-auth", () => ({}), "unauthorised"],
    ["has lost STARTTLS", "no-tls", () => ({}), "unauthorised"],
    ["says later", "tempfail", () => ({}), "deferred"],
    ["knows no such recipient", "reject", () => ({}), "refused"],
  ])("that %s gets no mail, and the outcome says whose fault it is", async (_, mode, change, result) => {
    await lab.script("relay", "mode", mode);
    const before = (await mailsIn(relay.maildir)).length;
    const { outcome } = await send(change());
    expect(outcome.result).toBe(result);
    expect(await mailsIn(relay.maildir)).toHaveLength(before);
  });
});

import { SESClient } from "@aws-sdk/client-ses";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { render } from "../../functions/compose/mime.ts";
import type { Mail } from "../../functions/deliver/mail.ts";
import { sesTransport } from "../../functions/deliver/ses.ts";
import { smtpTransport } from "../../functions/deliver/smtp.ts";
import type { Transport } from "../../functions/deliver/transport.ts";
import { Secret } from "../../functions/secret.ts";
import { authority, type Certificate, certificate } from "./certificate.ts";
import { hangUp, type Script, scriptedRelay, silence } from "./scripted-relay.ts";
import * as ses from "./scripted-ses.ts";

/** The act of the other side on a mail. */
type Conduct =
  | "accepts"
  | "defers"
  | "refuses the recipient"
  | "refuses the sender"
  | "refuses our credentials"
  | "hangs up when it has the mail"
  | "is silent when it has the mail"
  | "repeats control characters";

/** A transport and the other side of it. */
type Route = {
  transport: Transport;
  conduct(now: Conduct): void;
  /** The mails that the other side has got, whether it said so or not. */
  got(): { from: string; to: string; content: string }[];
  /** Resolves when the other side has got one more mail. */
  reached(): Promise<void>;
  /** Stops listening. */
  shut(): Promise<void>;
  end(): Promise<unknown>;
};

let ca: Certificate;
let trusted: Certificate;
beforeAll(async () => {
  ca = await authority();
  trusted = await certificate({ ca });
});

const scripts: Record<Conduct, Script> = {
  accepts: {},
  defers: { RCPT: "451 4.7.1 later\r\n" },
  "refuses the recipient": { RCPT: "550 5.1.1 no such user\r\n" },
  "refuses the sender": { MAIL: "550 5.7.1 not your sender\r\n" },
  "refuses our credentials": { AUTH: "535 5.7.8 wrong password\r\n" },
  "hangs up when it has the mail": { dot: hangUp },
  "is silent when it has the mail": { dot: silence },
  "repeats control characters": { RCPT: "550 \x1b[2Jno\x07\r\n" },
};
const smtp = async (): Promise<Route> => {
  const relay = await scriptedRelay(trusted);
  const transport = smtpTransport(
    {
      kind: "smtp",
      mx: false,
      route: `smtp://127.0.0.1:${relay.port}`,
      host: "127.0.0.1",
      port: relay.port,
      protection: "starttls",
      credentials: { user: "bridge", password: new Secret("a-password-of-ours") },
      auth: ["PLAIN"],
      name: "bridge.example.com",
      connections: 3,
      ca: ca.cert,
    },
    { resolveMx: async () => [] },
    () => 0,
  );
  return {
    transport,
    conduct: (now) => {
      relay.script = scripts[now];
    },
    got: () => {
      const envelopes = [...relay.received().matchAll(/MAIL FROM:<(.*?)>[\s\S]*?RCPT TO:<(.*?)>/g)];
      return relay.contents.map((content, index) => ({
        from: envelopes[index]?.[1] ?? "",
        to: envelopes[index]?.[2] ?? "",
        // Dots are SMTP's (RFC 5321 §4.5.2).
        content: content.replace(/^\.\./gm, "."),
      }));
    },
    reached: () => relay.reached("dot"),
    shut: () => relay.close(),
    end: async () => {
      transport.close();
      await relay.close();
    },
  };
};

const unverified = (address: string) =>
  ses.error(
    "MessageRejected",
    `Email address is not verified. The following identities failed the check in region EU-WEST-1: ${address}`,
  );
const answers: Record<Conduct, ses.Answer> = {
  accepts: ses.accepted,
  defers: ses.error("Throttling", "Maximum sending rate exceeded."),
  "refuses the recipient": unverified("ops@example.org"),
  "refuses the sender": unverified("nagios@example.com"),
  "refuses our credentials": ses.error("InvalidClientTokenId", "The security token is invalid.", 403),
  "hangs up when it has the mail": ses.hangUp,
  "is silent when it has the mail": ses.silence,
  "repeats control characters": ses.error("MessageRejected", "\u009b2Jno\u007f"),
};
const amazonSes = async (): Promise<Route> => {
  const endpoint = await ses.scriptedSes();
  const client = new SESClient({
    region: "eu-west-1",
    endpoint: endpoint.url,
    maxAttempts: 1,
    credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "a-password-of-ours" },
  });
  return {
    transport: sesTransport(
      client,
      { kind: "ses", route: "ses://eu-west-1", region: "eu-west-1", connections: 3 },
      () => 0,
    ),
    conduct: (now) => {
      endpoint.answer = answers[now];
    },
    got: () =>
      endpoint.taken.map(({ form }) => ({
        from: form.get("Source") ?? "",
        to: form.get("Destinations.member.1") ?? "",
        content: Buffer.from(form.get("RawMessage.Data") ?? "", "base64").toString("latin1"),
      })),
    reached: () => endpoint.reached(),
    shut: () => endpoint.close(),
    end: async () => {
      client.destroy();
      await endpoint.close();
    },
  };
};

const mail: Mail = render({
  alert: { site: "site", id: "alert-0001" },
  envelope: { from: "nagios@example.com", to: "ops@example.org" },
  messageId: "<1@example.com>",
  date: 1_800_000_000_000,
  from: { name: "Überwachung", address: "nagios@example.com" },
  to: "ops@example.org",
  subject: "[PROBLEM CRITICAL] web1/größer",
  threadId: "<0@example.com>",
  headers: { "X-Hardstate-Object": "web1/größer" },
  text: "web1/größer is CRITICAL\n.\n..\nUsage 100 % + 1 & more = too much\n",
  html: "<p>web1/größer is CRITICAL</p>",
});
const patient = () => AbortSignal.timeout(10_000);

/** The promises of every transport, whatever it speaks. */
const contract = (name: string, make: () => Promise<Route>) =>
  describe(name, () => {
    let route: Route;
    beforeEach(async () => {
      route = await make();
    });
    afterEach(() => route.end());

    it("hands over the same bytes to one recipient, and tells the id they are queued under", async () => {
      const outcome = await route.transport.send(mail, patient());
      expect(outcome).toMatchObject({ result: "accepted", queueId: expect.stringMatching(/^[\w-]{5,}$/) });
      if (outcome.result === "accepted") expect(outcome.reply).toContain(outcome.queueId);
      const bytes = mail.bytes;
      expect(route.got()).toEqual([{ ...mail.envelope, content: bytes.toString("latin1") }]);
    });

    it.each<[Conduct, object]>([
      ["defers", { result: "deferred", lostAfterData: false }],
      ["refuses the recipient", { result: "refused", step: "recipient" }],
      ["refuses the sender", { result: "unauthorised", step: "sender" }],
      ["refuses our credentials", { result: "unauthorised", step: "auth" }],
      ["hangs up when it has the mail", { result: "deferred", step: "after-data", lostAfterData: true }],
    ])(
      "tells by its outcome that the other side %s, and goes on with the next mail",
      async (conduct, outcome) => {
        route.conduct(conduct);
        expect(await route.transport.send(mail, patient())).toMatchObject(outcome);
        route.conduct("accepts");
        expect((await route.transport.send(mail, patient())).result).toBe("accepted");
      },
    );

    it("defers when nobody listens", async () => {
      await route.shut();
      const outcome = await route.transport.send(mail, patient());
      expect(outcome).toMatchObject({ result: "deferred", step: "connect", lostAfterData: false });
    });

    it("hands over nothing when the time is over before it begins", async () => {
      const outcome = await route.transport.send(mail, AbortSignal.abort());
      expect(outcome).toMatchObject({ result: "deferred", lostAfterData: false });
      expect(route.got()).toEqual([]);
    });

    it("ends when the time is over, and says that the other side may have the mail", async () => {
      route.conduct("is silent when it has the mail");
      const attempt = new AbortController();
      const reached = route.reached();
      const outcome = route.transport.send(mail, attempt.signal);
      await reached;
      attempt.abort();
      expect(await outcome).toMatchObject({ result: "deferred", lostAfterData: true });
      expect(route.got()).toHaveLength(1);
    });

    it("repeats what was said without control characters and without our password", async () => {
      for (const conduct of ["repeats control characters", "refuses our credentials"] as const) {
        route.conduct(conduct);
        const { reply } = await route.transport.send(mail, patient());
        expect(reply).toMatch(/^\P{Cc}+$/u);
        expect(reply).not.toContain("a-password-of-ours");
      }
    });

    it("names its route without credentials", () => {
      expect(route.transport.route).toMatch(/^\w+:\/\/[\w.:-]+$/);
    });
  });

contract("SMTP", smtp);
contract("SES", amazonSes);

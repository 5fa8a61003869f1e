import { readFileSync } from "node:fs";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { SESClient, type SESClientConfig } from "@aws-sdk/client-ses";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { render } from "../../functions/compose/mime.ts";
import {
  type SesError,
  type SesFailure,
  sesClient,
  sesFailure,
  sesTransport,
} from "../../functions/deliver/ses.ts";
import { tagOf } from "../../functions/deliver/ses-events.ts";
import { adviceFor } from "../../functions/operator/advice.ts";
import { authority, certificate, weakCertificate } from "./certificate.ts";
import {
  type Answer,
  error,
  hangUp,
  messageId,
  page,
  reset,
  type ScriptedSes,
  scriptedSes,
  silence,
} from "./scripted-ses.ts";

const keyId = "AKIAIOSFODNN7EXAMPLE";
const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const sessionToken = `IQoJb3JpZ2luX2VjEJr//${"Ab1/".repeat(60)}==`;

const mail = (change: Partial<Parameters<typeof render>[0]> = {}) =>
  render({
    alert: { site: "site", id: "alert-0001" },
    envelope: { from: "bounces@example.com", to: "ops@example.org" },
    messageId: "<1@example.com>",
    date: 1_800_000_000_000,
    from: { name: "Überwachung", address: "nagios@example.com" },
    to: "ops@example.org",
    subject: "[PROBLEM CRITICAL] web1/HTTP +&=% größer",
    threadId: "<0@example.com>",
    headers: { "X-Hardstate-Object": "web1/HTTP" },
    text: "web1/HTTP is CRITICAL\n.\nÜbergröße & more = 100 %+\n",
    html: "<p>web1/HTTP is CRITICAL</p>",
    ...change,
  });
const relay = { kind: "ses", route: "ses://eu-west-1", region: "eu-west-1", connections: 3 } as const;
const patient = () => AbortSignal.timeout(4_000);

let ses: ScriptedSes;
const ending: (() => unknown)[] = [];
beforeEach(async () => {
  ses = await scriptedSes();
  ending.push(() => ses.close());
  for (const [name, value] of Object.entries({
    AWS_ENDPOINT_URL_SES: ses.url,
    AWS_ACCESS_KEY_ID: keyId,
    AWS_SECRET_ACCESS_KEY: secret,
    AWS_SESSION_TOKEN: sessionToken,
    AWS_MAX_ATTEMPTS: "5",
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_PROFILE: undefined,
  }))
    vi.stubEnv(name, value);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const end of ending.splice(0).reverse()) await end();
});

/** The client that the bridge uses, on the scripted endpoint; or one like it with another setting. */
const transportOf = (change?: SESClientConfig, configurationSet?: string) => {
  const client = change
    ? new SESClient({ region: relay.region, maxAttempts: 1, ...change })
    : sesClient(relay.region);
  ending.push(() => client.destroy());
  return sesTransport(client, { ...relay, configurationSet }, () => 0);
};
const send = (answer: Answer, change: Parameters<typeof mail>[0] = {}, signal = patient()) => {
  ses.answer = answer;
  return transportOf().send(mail(change), signal);
};

/** A server on loopback that does this with each connection. */
const listening = async (converse: (socket: Socket) => unknown) => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    converse(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  ending.push(() => server.close());
  return (server.address() as AddressInfo).port;
};

describe("a mail that SES takes", () => {
  test("comes there byte for byte as SMTP would get it, with its envelope", async () => {
    const outcome = await transportOf().send(mail(), patient());
    const [{ form, headers } = { form: new URLSearchParams(), headers: {} }] = ses.taken;
    expect(Buffer.from(form.get("RawMessage.Data") ?? "", "base64")).toEqual(mail().bytes);
    expect(Object.fromEntries(form)).toEqual({
      Action: "SendRawEmail",
      Version: "2010-12-01",
      Source: "bounces@example.com",
      "Destinations.member.1": "ops@example.org",
      "RawMessage.Data": expect.any(String),
    });
    expect(headers.authorization).toContain(`Credential=${keyId}/`);
    expect(headers.authorization).toContain("/eu-west-1/ses/aws4_request");
    expect(outcome).toEqual({
      result: "accepted",
      reply: `MessageId ${messageId} (without configuration-set= SES tells of no bounce: its delivery is unknown)`,
      code: 200,
      queueId: messageId,
      durationMilliseconds: 0,
    });
  });

  test("goes by the configuration set, if one is given, with its alert as a tag", async () => {
    const { reply } = await transportOf(undefined, "alerts").send(mail(), patient());
    expect(reply).toBe(`MessageId ${messageId}`);
    const { Name, Value } = tagOf(mail().alert);
    expect(Object.fromEntries(ses.taken[0]?.form ?? [])).toMatchObject({
      ConfigurationSetName: "alerts",
      "Tags.member.1.Name": Name,
      "Tags.member.1.Value": Value,
    });
  });

  test("may be as long as a plugin's longest output", async () => {
    const long = mail({ text: "ä".repeat(200_000) });
    expect((await transportOf().send(long, patient())).result).toBe("accepted");
    const bytes = Buffer.from(ses.taken[0]?.form.get("RawMessage.Data") ?? "", "base64");
    expect(bytes.equals(long.bytes)).toBe(true);
  });

  test("has a connection of its own: a kept one that went stale would look like a lost mail", async () => {
    const transport = transportOf();
    for (let round = 0; round < 2; round++) await transport.send(mail(), patient());
    expect(ses.taken.map(({ headers }) => headers.connection)).toEqual(["close", "close"]);
  });
});

const deferred: SesFailure = { result: "deferred", step: "connect", lostAfterData: false };
const sender: SesFailure = { result: "unauthorised", step: "sender" };
const recipient: SesFailure = { result: "refused", about: "recipient", step: "recipient" };
const meanings: Record<string, SesFailure> = {
  "too fast": { ...deferred, tooFast: true },
  quota: { ...deferred, quota: true },
  deferred,
  recipient,
  message: { result: "refused", about: "message", step: "data" },
  sender,
  settings: { result: "unauthorised", step: "connect" },
  unclear: { result: "unauthorised", unclear: true, step: "data" },
  login: { result: "unauthorised", step: "auth" },
};
const advice: Record<string, RegExp> = {
  "too fast": /rate=/,
  quota: /quota for 24 hours/,
  recipient: /sandbox|suppression list|check the contact's address/,
  message: /content of this mail/,
  sender: /HARDSTATE_FROM/,
  settings: /account's status/,
  unclear: /read its reply/,
  login: /ses:SendRawEmail|clock/,
};
type Said = [code: string, status: number, message: string, source: string];
const replies: Record<string, Said[]> = parse(
  readFileSync(new URL("ses-replies.yaml", import.meta.url), "utf8"),
);
const said = Object.entries(replies).flatMap(([about, rows]) => rows.map((row) => [about, ...row] as const));
const failed = (identities: string) =>
  `Email address is not verified. The following identities failed the check in region EU-WEST-1: ${identities}`;

describe("an answer of SES", () => {
  test.each(said)("is about: %s (%s %i %s)", (about, code, status, message) => {
    expect(sesFailure({ code, message, status }, mail())).toEqual(meanings[about]);
  });

  test.each(said.filter(([about, code]) => about !== "deferred" && code !== "SomethingNew"))(
    "has advice: %s (%s %i %s)",
    (about, code, status, message) => {
      const { step } = sesFailure({ code, message, status }, mail());
      expect(adviceFor(step, `${code}: ${message}`)).toMatch(advice[about] ?? "no advice");
    },
  );

  test("of an address that it cannot read is about the sender, if that is not ASCII", () => {
    const words: SesError = {
      code: "InvalidParameterValue",
      message: "Local address contains control or whitespace",
    };
    const ours = mail({ from: { address: "überwachung@example.com" } });
    expect(sesFailure(words, ours)).toEqual(sender);
    const theirs = mail({ envelope: { from: "bounces@example.com", to: "öps@example.org" } });
    expect(sesFailure(words, theirs)).toEqual(recipient);
  });

  test("of a mail to its own sender is about the sender", () => {
    const toItself = mail({ envelope: { from: "ops@example.org", to: "ops@example.org" } });
    const words: SesError = { code: "MessageRejected", message: failed("ops@example.org") };
    expect(sesFailure(words, toItself)).toEqual(sender);
  });

  test("of a recipient whose name has all that an address may have is about the recipient", () => {
    const strange = mail({ envelope: { from: "bounces@example.com", to: "o'brien+`a.b`@example.org" } });
    const words: SesError = { code: "MessageRejected", message: failed("o'brien+`a.b`@example.org.") };
    expect(sesFailure(words, strange)).toEqual(recipient);
  });

  test("of a recipient in the sender's domain is about the recipient", () => {
    const inside = mail({ envelope: { from: "bounces@example.com", to: "ops@example.com" } });
    const words: SesError = { code: "MessageRejected", message: failed("ops@example.com") };
    expect(sesFailure(words, inside)).toEqual(recipient);
    expect(sesFailure({ ...words, message: failed("example.com") }, inside)).toEqual(sender);
  });

  test.each(said)(
    "comes out of one request as that outcome: %s (%s %i %s)",
    async (about, code, status, message) => {
      const outcome = await send(error(code, message, status));
      expect(outcome).toMatchObject({ ...meanings[about], code: status });
      expect(outcome.reply).toMatch(/^\w+: \w/);
      expect(ses.taken).toHaveLength(1);
    },
  );

  test("of our clock defers the mail once, for the SDK then knows the time", async () => {
    const theirs = new Date(Date.now() + 3_600_000);
    const transport = transportOf();
    ses.answer = error("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z", 403, theirs);
    const outcome = await transport.send(mail(), patient());
    expect(outcome).toMatchObject({ result: "deferred", lostAfterData: false });
    ses.answer = error("SignatureDoesNotMatch", "The signature does not match", 403, theirs);
    expect(await transport.send(mail(), patient())).toMatchObject({ result: "unauthorised", step: "auth" });
    const [first = "", second = ""] = ses.taken.map(({ headers }) => String(headers["x-amz-date"]));
    expect(second.slice(0, 11) > first.slice(0, 11)).toBe(true);
  });

  test("is repeated without key ids, signatures and session tokens", async () => {
    const canonical = `'POST\n/\n\nx-amz-security-token:${sessionToken}\n'`;
    for (const words of [
      `The request signature we calculated does not match.\n\nThe Canonical String should have been\n${canonical}`,
      `The request signature we calculated does not match. The Canonical String should have been ${canonical}`,
      `Authorization=AWS4-HMAC-SHA256 Credential=${keyId}/20260101/eu-west-1/ses/aws4_request, Signature=${"0f".repeat(32)}`,
      `No such key ${keyId}, secret ${secret}, token ${sessionToken}`,
    ]) {
      const { reply } = await send(error("SignatureDoesNotMatch", words, 403));
      for (const hidden of [keyId, secret, sessionToken.slice(-50), "0f0f0f0f"])
        expect(reply).not.toContain(hidden);
    }
  });

  test("is printable", async () => {
    const { reply } = await send(error("MessageRejected", `\u2028no\u009b31m ${"no ".repeat(1000)}`));
    expect(reply).toMatch(/^MessageRejected: [\x20-\x7e]+$/);
    expect(reply.length).toBeLessThanOrEqual(500);
  });
});

describe("a request that nobody has answered as SES does", () => {
  test.each<[string, Answer]>([
    ["the connection is reset", reset],
    ["the connection is closed", hangUp],
    [
      "the answer breaks off",
      (response) =>
        response.writeHead(200, { "Content-Length": 999 }).write("<Send", () => response.destroy()),
    ],
    ["a 200 is no XML", page(200, "welcome")],
    ["a 200 is a web page", page(200, "<html><body>welcome</body></html>")],
    ["a 200 is empty", page(200, "")],
    ["a gateway lost its backend", page(502, "<html><body>Bad Gateway</body></html>")],
    ["a gateway waited in vain", page(504, "Gateway Timeout")],
    ["a 500 says nothing", page(500, "")],
    ["Cloudflare, for a Worker, waited in vain", page(522, "error code: 522")],
  ])("may be a mail that SES has, when %s", async (_, answer) => {
    expect(await send(answer)).toMatchObject({ result: "deferred", step: "after-data", lostAfterData: true });
    expect(ses.taken).toHaveLength(1);
  });

  test.each<[string, Answer]>([
    ["a proxy needs a login", page(302, "<html><body>Login</body></html>")],
    ["a proxy forbids it", page(403, "<html><body>Forbidden</body></html>")],
    ["nobody knows the place", page(404, "Not found")],
    ["a proxy finds it too long, which is not for a proxy to say", page(413, "Too Large")],
    ["Cloudflare, for a Worker, finds nobody listening", page(521, "error code: 521")],
    ["Cloudflare, for a Worker, finds no such name", page(530, "error code: 1016")],
    ["a balancer has no backend", page(503, "<html><body>no server is available</body></html>")],
  ])("is a mail that SES has not, when %s", async (_, answer) => {
    expect(await send(answer)).toMatchObject({ result: "deferred", step: "connect", lostAfterData: false });
    expect(ses.taken).toHaveLength(1);
  });

  test("ends with the attempt's time, and SES may have the mail", async () => {
    const gone = Promise.withResolvers<void>();
    ses.answer = (_, { socket }) => socket.once("close", () => gone.resolve());
    const attempt = new AbortController();
    const reached = ses.reached();
    const outcome = transportOf().send(mail(), attempt.signal);
    await reached;
    attempt.abort();
    expect(await outcome).toMatchObject({
      result: "deferred",
      lostAfterData: true,
      reply: "no answer within the time for this attempt",
    });
    await gone.promise;
    expect(ses.taken).toHaveLength(1);
  });

  test("ends after a minute without anybody's signal", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    ending.push(() => vi.useRealTimers());
    ses.answer = silence;
    const reached = ses.reached();
    const outcome = transportOf().send(mail(), new AbortController().signal);
    await reached;
    vi.advanceTimersByTime(60_000);
    expect(await outcome).toMatchObject({ result: "deferred", lostAfterData: true });
  });
});

describe("a request that never left", () => {
  const deferredHere = { result: "deferred", step: "connect", lostAfterData: false };

  test("because the time was over is deferred", async () => {
    expect(await transportOf().send(mail(), AbortSignal.abort())).toMatchObject(deferredHere);
    expect(ses.taken).toHaveLength(0);
  });

  test("because nobody listens is deferred", async () => {
    await ses.close();
    expect(await transportOf().send(mail(), patient())).toMatchObject({
      ...deferredHere,
      reply: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("because no address of the name answers is deferred", async () => {
    await ses.close();
    const lookup = (_: string, _options: unknown, done: (error: null, addresses: object[]) => void) =>
      done(
        null,
        ["127.0.0.1", "127.0.0.2"].map((address) => ({ address, family: 4 })),
      );
    vi.stubEnv("AWS_ENDPOINT_URL_SES", ses.url.replace("127.0.0.1", "ses.example"));
    const transport = transportOf({ requestHandler: { httpAgent: { lookup } } });
    expect(await transport.send(mail(), patient())).toMatchObject(deferredHere);
  });

  test("because the name is unknown is deferred", async () => {
    const unknown = { code: "ENOTFOUND", syscall: "getaddrinfo" };
    const lookup = (_: string, _options: unknown, done: (error: Error) => void) =>
      done(Object.assign(new Error("getaddrinfo ENOTFOUND"), unknown));
    vi.stubEnv("AWS_ENDPOINT_URL_SES", "http://ses.example");
    const transport = transportOf({ requestHandler: { httpAgent: { lookup } } });
    expect(await transport.send(mail(), patient())).toMatchObject(deferredHere);
  });

  test("because no connection came about in time is deferred", async () => {
    vi.stubEnv("AWS_ENDPOINT_URL_SES", "http://ses.example");
    const transport = transportOf({
      requestHandler: { connectionTimeout: 50, httpAgent: { lookup: () => undefined } },
    });
    expect(await transport.send(mail(), patient())).toMatchObject(deferredHere);
  });

  test("because the connection closed before TLS is deferred", async () => {
    const port = await listening((socket) => socket.once("data", () => socket.end()));
    vi.stubEnv("AWS_ENDPOINT_URL_SES", `https://127.0.0.1:${port}`);
    expect(await transportOf().send(mail(), patient())).toMatchObject(deferredHere);
  });

  test.each([
    ["is not SES's", async () => certificate({ ca: await authority() })],
    // Node's code for this is UNSPECIFIED.
    ["has a key that is too weak", weakCertificate],
  ])("because the certificate %s is unauthorised: somebody sits in between", async (_, made) => {
    const { key, cert } = await made();
    let requests = 0;
    const server = createTlsServer({ key, cert, ciphers: "DEFAULT@SECLEVEL=0" }, () => {
      requests += 1;
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    ending.push(() => server.close());
    vi.stubEnv("AWS_ENDPOINT_URL_SES", `https://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(await transportOf().send(mail(), patient())).toMatchObject({
      result: "unauthorised",
      step: "tls",
    });
    expect(requests).toBe(0);
  });

  test("because there are no credentials is unauthorised", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", undefined);
    expect(await transportOf().send(mail(), patient())).toMatchObject({
      result: "unauthorised",
      reply: expect.stringContaining("credentials"),
    });
    expect(ses.taken).toHaveLength(0);
  });

  test.each<[string, string, number, string]>([
    ["AccessDenied", "not authorized to perform sts:AssumeRole", 403, "unauthorised"],
    ["ValidationError", "the role's name is malformed", 400, "unauthorised"],
    ["Throttling", "Rate exceeded", 400, "deferred"],
  ])(
    "because the service that gives credentials says %s is no fault of the mail",
    async (Code, words, status, result) => {
      const transport = transportOf({
        credentials: () =>
          Promise.reject(Object.assign(new Error(words), { Code, $metadata: { httpStatusCode: status } })),
      });
      expect((await transport.send(mail(), patient())).result).toBe(result);
      expect(ses.taken).toHaveLength(0);
    },
  );

  test("because credentials took too long never leaves afterwards", async () => {
    const found = Promise.withResolvers<{ accessKeyId: string; secretAccessKey: string }>();
    const client = new SESClient({ region: relay.region, maxAttempts: 1, credentials: () => found.promise });
    ending.push(() => client.destroy());
    let work: Promise<unknown> | undefined;
    client.middlewareStack.add(
      (next) => (request) => {
        const result = next(request);
        work = result;
        return result;
      },
      { step: "initialize" },
    );
    const attempt = new AbortController();
    const outcome = sesTransport(client, relay, () => 0).send(mail(), attempt.signal);
    await vi.waitUntil(() => work !== undefined);
    attempt.abort();
    expect(await outcome).toMatchObject(deferredHere);
    found.resolve({ accessKeyId: keyId, secretAccessKey: secret });
    await expect(work).rejects.toThrow();
    expect(ses.taken).toHaveLength(0);
  });
});

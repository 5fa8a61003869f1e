import { describe, expect, test } from "vitest";
import type { TokenSource } from "../../functions/deliver/oauth.ts";
import { SessionError } from "../../functions/deliver/session.ts";
import { openSession } from "../../functions/deliver/smtp-session.ts";
import { hangUp, type Script, silence } from "./scripted-relay.ts";
import { base64, brief, mail, patient, relayAt, startScripted, transportTo } from "./sending.ts";

const user = "alerts@example.com";
const oauth = { tokenUrl: "https://login.example/token", clientId: "client-1" };
const byToken = { auth: ["XOAUTH2"], credentials: { user, oauth } } as const;
const sasl = (token: string) => base64(`user=${user}\x01auth=Bearer ${token}\x01\x01`);
const challenge = `334 ${base64('{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}')}\r\n`;

/** Offers what Gmail and Microsoft 365 offer: passwords too. */
const offered = "250-relay.example\r\n250 AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH\r\n";
const authLines = (received: string) => received.split("\r\n").filter((line) => line.startsWith("AUTH"));

/** A source of the tokens token-1/+, token-2/+ …, which keeps each until it is refused. */
const tokens = () => {
  const refused: string[] = [];
  const source: TokenSource = {
    token: async (no) => {
      if (no !== undefined) refused.push(no);
      return `token-${refused.length + 1}/+`;
    },
  };
  return { source, refused };
};

const sendTo = async (script: Script, source: TokenSource = tokens().source, signal = patient()) => {
  const relay = await startScripted({ "TLS-EHLO": offered, ...script });
  const outcome = await transportTo(relay.port, byToken, { tokens: source }).send(mail(), signal);
  return { relay, outcome };
};

describe("a relay that offers XOAUTH2", () => {
  test.for<[string, string]>([
    ["one line", "235 2.7.0 Accepted\r\n"],
    ["several lines", "235-2.7.0 Hello\r\n235 2.7.0 Accepted\r\n"],
    ["its code alone", "235\r\n"],
  ])("gets user and token in one line after AUTH, and may welcome us in %s", async ([, AUTH]) => {
    const { relay, outcome } = await sendTo({ AUTH });
    expect(outcome).toMatchObject({ result: "accepted", queueId: "SCRIPTED1" });
    expect(authLines(relay.received())).toEqual([`AUTH XOAUTH2 ${sasl("token-1/+")}`]);
  });

  test("may tell why it refuses in a challenge, which is answered by an empty line and told", async () => {
    const answers: string[] = [];
    const { relay, outcome } = await sendTo({
      AUTH: challenge,
      SASL: (line) => {
        answers.push(line);
        return "535 5.7.3 Authentication unsuccessful\r\n";
      },
    });
    expect(answers).toEqual(["", ""]);
    expect(relay.verbs().filter((verb) => verb === "AUTH")).toHaveLength(2);
    expect(outcome).toMatchObject({ result: "unauthorised", step: "auth", code: 535 });
    expect(outcome.reply).toBe(
      '535 5.7.3 Authentication unsuccessful (its challenge: {"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"})',
    );
  });

  test.for<[string, string]>([
    ["one line", "535 5.7.8 Username and Password not accepted\r\n"],
    ["several lines, as Gmail does", "535-5.7.8 Not accepted.\r\n535 5.7.8 https://support.google.com/\r\n"],
    ["its code alone", "535\r\n"],
  ])("and refuses a token in %s gets another one, once", async ([, refusal]) => {
    const { source, refused } = tokens();
    const { relay, outcome } = await sendTo(
      { AUTH: (line) => (line.endsWith(sasl("token-1/+")) ? refusal : "235 2.7.0 Accepted\r\n") },
      source,
    );
    expect(outcome.result).toBe("accepted");
    expect(refused).toEqual(["token-1/+"]);
    expect(authLines(relay.received())).toEqual(
      ["token-1/+", "token-2/+"].map((token) => `AUTH XOAUTH2 ${sasl(token)}`),
    );
  });

  test("and refuses both tokens makes the attempt unauthorised after two AUTH", async () => {
    const { relay, outcome } = await sendTo({ AUTH: "535-5.7.8 no\r\n535 5.7.8 never\r\n" });
    expect(outcome).toMatchObject({
      result: "unauthorised",
      step: "auth",
      code: 535,
      reply: "535-5.7.8 no 535 5.7.8 never",
    });
    expect(relay.verbs()).toEqual(["EHLO", "STARTTLS", "EHLO", "AUTH", "AUTH"]);
  });

  test("but has it switched off for us makes the attempt unauthorised after one AUTH", async () => {
    const { relay, outcome } = await sendTo({ AUTH: "550 5.7.30 authentication is disabled\r\n" });
    expect(outcome).toMatchObject({ result: "unauthorised", step: "auth", code: 550 });
    expect(relay.verbs().filter((verb) => verb === "AUTH")).toHaveLength(1);
  });

  test.for<[string, string, code: number]>([
    ["cannot check tokens", "454 4.7.0 Temporary authentication failure\r\n", 454],
    ["closes", "421 4.7.0 Too many connections\r\n", 421],
  ])("but %s for the moment defers the mail", async ([, AUTH, code]) => {
    const { outcome } = await sendTo({ AUTH });
    expect(outcome).toMatchObject({ result: "deferred", lostAfterData: false, code });
  });

  test("and hangs up after it refused a token makes the attempt unauthorised", async () => {
    const { outcome } = await sendTo({ AUTH: ["535 5.7.8 no\r\n", hangUp] });
    expect(outcome).toMatchObject({ result: "unauthorised", code: 535, reply: "535 5.7.8 no" });
  });

  test("and is silent after its challenge defers the mail", async () => {
    const { relay, outcome } = await sendTo({ AUTH: challenge, SASL: silence }, undefined, brief());
    expect(outcome).toMatchObject({ result: "deferred", lostAfterData: false, step: "auth" });
    await relay.allClosed();
  });
});

describe("no token leaves", () => {
  test.for<[string, Script]>([
    ["passwords alone", { "TLS-EHLO": "250 AUTH PLAIN LOGIN CRAM-MD5\r\n" }],
    ["XOAUTH2 in clear alone", { EHLO: `250-STARTTLS\r\n${offered}`, "TLS-EHLO": "250 AUTH PLAIN\r\n" }],
    ["no TLS", { EHLO: offered, STARTTLS: "454 4.7.0 TLS not available\r\n" }],
  ])("to a relay that offers %s, nor is one asked for", async ([, script]) => {
    let asked = 0;
    const source = { token: async () => `token-${++asked}` };
    const { relay, outcome } = await sendTo(script, source);
    expect(outcome.result).toBe("unauthorised");
    expect(relay.received()).not.toMatch(/AUTH|MAIL/);
    expect(asked).toBe(0);
  });

  test("when the endpoint refuses us: its words are the outcome", async () => {
    const { relay, outcome } = await sendTo(
      {},
      {
        token: () => Promise.reject(new SessionError("token", "login.example: HTTP 401 invalid_client", 401)),
      },
    );
    expect(outcome).toMatchObject({
      result: "unauthorised",
      step: "token",
      code: 401,
      reply: "login.example: HTTP 401 invalid_client",
    });
    expect(authLines(relay.received())).toEqual([]);
    await relay.allClosed();
  });

  test("later than the attempt may last: a slow endpoint defers the mail in time", async () => {
    const { relay, outcome } = await sendTo({}, { token: () => new Promise(() => {}) }, brief());
    expect(outcome).toMatchObject({ result: "deferred", step: "token" });
    await relay.allClosed();
  });

  test("in words: not if the endpoint fails after a refused token", async () => {
    const { outcome } = await sendTo(
      { AUTH: "535 5.7.8 no\r\n" },
      {
        token: async (refused) => {
          if (refused) throw new SessionError("token", "login.example: HTTP 503", 503);
          return "token-1/+";
        },
      },
    );
    expect(outcome).toMatchObject({ result: "unauthorised", step: "auth", code: 535, reply: "535 5.7.8 no" });
  });

  const forms = [1, 2].flatMap((n) => [`token-${n}/+`, sasl(`token-${n}/+`), `token-${n}%2F%2B`]);
  test.for<[string, (line: string) => string]>([
    ["the line", (line) => line],
    ["the first 60 bytes of the line", (line) => line.slice(0, 60)],
    ["the token", (line) => `"${Buffer.from(line.slice(13), "base64").toString("latin1")}"`],
  ])("to whoever looks on or reads the outcome, if the relay repeats %s", async ([, repeated]) => {
    const relay = await startScripted({
      "TLS-EHLO": offered,
      AUTH: (line) => `535-5.7.8 refused:\r\n535 5.7.8 ${repeated(line)}\r\n`,
    });
    const seen: string[] = [];
    const session = await openSession(
      relayAt(relay.port, byToken),
      { resolveMx: async () => [], tokens: tokens().source },
      patient(),
      { heard: ({ text }) => seen.push(text) },
    );
    const error = await session.authenticate(patient()).catch((thrown: Error) => thrown);
    session.close();
    expect(error).toMatchObject({ step: "auth", code: 535 });
    seen.push(String(error?.message), String(error?.stack));
    expect(seen.join("\n")).toContain("AUTH XOAUTH2 [redacted]");
    for (const form of [...forms, sasl("token-1/+").slice(0, 40)])
      expect(seen.join("\n")).not.toContain(form);
  });
});

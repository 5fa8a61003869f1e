import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Mechanism } from "../../functions/deliver/relay-url.ts";
import type { Script } from "./scripted-relay.ts";
import {
  base64,
  brief,
  mail,
  password,
  patient,
  secretsIn,
  startScripted,
  transportTo,
  user,
} from "./sending.ts";

const nonce = "<1896.697170952@postoffice.example.net>";
const wanted = base64(`${user} ${createHmac("md5", password).update(nonce).digest("hex")}`);

const sendTo = async (
  auth: readonly Mechanism[],
  offered: string,
  script: Script = {},
  signal = patient(),
) => {
  const relay = await startScripted({
    "TLS-EHLO": `250-relay.example\r\n250 AUTH ${offered}\r\n`,
    ...script,
  });
  const outcome = await transportTo(relay.port, { auth }).send(mail(), signal);
  const commands = relay.received().split("\r\n");
  return { relay, outcome, auths: commands.filter((line) => line.startsWith("AUTH")) };
};

/** A relay that checks the answer to its challenge. */
const checking: Script = {
  AUTH: `334 ${base64(nonce)}\r\n`,
  SASL: (line) => (line === wanted ? "235 2.7.0 welcome\r\n" : "535 5.7.8 wrong\r\n"),
};
/** A relay that takes any credentials by any mechanism. */
const byMechanism: Script = {
  AUTH: (line) => (line.startsWith("AUTH PLAIN ") ? "235 2.7.0 welcome\r\n" : `334 ${base64(nonce)}\r\n`),
  SASL: (line) => (line === base64(user) ? "334 UGFzc3dvcmQ6\r\n" : "235 2.7.0 welcome\r\n"),
};

describe("CRAM-MD5", () => {
  test("answers the challenge with the user and the keyed hash of it, and never with the password", async () => {
    const { relay, outcome } = await sendTo(["CRAM-MD5"], "CRAM-MD5", checking);
    expect(outcome.result).toBe("accepted");
    expect(relay.received()).toContain(`AUTH CRAM-MD5\r\n${wanted}\r\n`);
    expect(secretsIn(relay.received())).toEqual([]);
  });

  test.for<[auth: Mechanism[], offered: string, used: string]>([
    [["CRAM-MD5", "PLAIN"], "PLAIN LOGIN CRAM-MD5", "AUTH CRAM-MD5"],
    [["CRAM-MD5", "PLAIN"], "PLAIN LOGIN", "AUTH PLAIN"],
    [["LOGIN", "CRAM-MD5"], "CRAM-MD5 PLAIN LOGIN", "AUTH LOGIN"],
    [["PLAIN", "LOGIN"], "CRAM-MD5 LOGIN PLAIN", "AUTH PLAIN"],
    [["PLAIN", "LOGIN"], "CRAM-MD5 LOGIN", "AUTH LOGIN"],
  ])("configured as %j to a relay that offers %s: %s is used", async ([auth, offered, used]) => {
    const { outcome, auths } = await sendTo(auth, offered, byMechanism);
    expect(outcome.result).toBe("accepted");
    expect(auths.map((line) => line.split(" ", 2).join(" "))).toEqual([used]);
  });

  test("is not given up for PLAIN when its answer is refused", async () => {
    const { relay, outcome, auths } = await sendTo(["CRAM-MD5", "PLAIN"], "PLAIN CRAM-MD5", {
      ...checking,
      SASL: "535 5.7.8 wrong\r\n",
    });
    expect(outcome).toMatchObject({ result: "unauthorised", code: 535 });
    expect(auths).toEqual(["AUTH CRAM-MD5"]);
    expect(secretsIn(relay.received())).toEqual([]);
  });

  test.for<[string, string]>([
    ["no challenge", "334\r\n"],
    ["an empty challenge", "334 \r\n"],
    ["another reply than a challenge", "250 2.0.0 Ok\r\n"],
  ])("with %s gets no answer: the mail is deferred", async ([, AUTH]) => {
    const { relay, outcome } = await sendTo(["CRAM-MD5"], "CRAM-MD5", { AUTH });
    expect(outcome).toMatchObject({ result: "deferred", step: "auth", lostAfterData: false });
    expect(relay.verbs().at(-1)).toBe("AUTH");
    expect(relay.received()).not.toContain(base64(user).slice(0, -2));
  });

  test.for<[string, string]>([
    ["is not base64", "334 !!!@@@ not base64 ***\r\n"],
    ["holds control characters", `334 ${base64("\r\nMAIL FROM:<x@y>\r\n\0")}\r\n`],
    ["is long", `334 ${base64("x".repeat(40_000))}\r\n`],
  ])("with a challenge that %s gets one line of base64, and the relay decides", async ([, AUTH]) => {
    const answers: string[] = [];
    const { outcome } = await sendTo(["CRAM-MD5"], "CRAM-MD5", {
      AUTH,
      SASL: (line) => {
        answers.push(line);
        return "501 5.5.2 cannot decode\r\n";
      },
    });
    expect(outcome).toMatchObject({ result: "unauthorised", code: 501 });
    expect(answers).toHaveLength(1);
    expect(Buffer.from(answers[0] ?? "", "base64").toString()).toMatch(/^bridge [0-9a-f]{32}$/);
  });

  test("with a challenge that never ends is given up in time", async () => {
    const { relay, outcome } = await sendTo(["CRAM-MD5"], "CRAM-MD5", { AUTH: "334 PDE4" }, brief());
    expect(outcome).toMatchObject({ result: "deferred", step: "auth" });
    await relay.allClosed();
  });
});

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { SESClient, VerifyEmailIdentityCommand } from "@aws-sdk/client-ses";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { render } from "../../functions/compose/mime.ts";
import type { Mail } from "../../functions/deliver/mail.ts";
import { sesTransport } from "../../functions/deliver/ses.ts";
import { startNameServer } from "../deliver/name-server.ts";
import { posted } from "../world/alerts.ts";
import { type Judge, startMoto } from "../world/judges.ts";
import { openLab, startBridge, until } from "../world/lab.ts";

const region = "eu-west-1";
const root = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "of-moto-itself" };

let moto: Judge;
let url = "";
beforeAll(async () => {
  moto = await startMoto();
  url = moto.url;
});
afterAll(() => moto?.stop());

const post = async (path: string, body: string, headers: Record<string, string> = {}) => {
  const response = await fetch(url + path, { method: "POST", body, headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`moto says ${response.status} to ${path}: ${text}`);
  return text;
};
/** From now on moto checks signatures and policies, or does not. */
const checkAuth = (yes: boolean) => post("/moto-api/reset-auth", yes ? "0" : "inf");
beforeEach(async () => {
  await checkAuth(false);
  await post("/moto-api/reset", "");
});

const clientOf = (credentials: { accessKeyId: string; secretAccessKey: string }) =>
  new SESClient({ region, endpoint: url, maxAttempts: 1, credentials });
const verify = (address: string) =>
  clientOf(root).send(new VerifyEmailIdentityCommand({ EmailAddress: address }));

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
  text: "web1/größer is CRITICAL\n.\nUsage 100 % + 1 & more = too much\n",
  html: "<p>web1/größer is CRITICAL</p>",
});
const send = (credentials = root) =>
  sesTransport(
    clientOf(credentials),
    { kind: "ses", route: `ses://${region}`, region, connections: 3, configurationSet: "alerts" },
    () => 0,
  ).send(mail, AbortSignal.timeout(20_000));

/** The mails that moto's SES has taken to send on. */
const taken = async (): Promise<
  { id: string; source: string; destinations: string[]; raw_data: string }[]
> => {
  const response = await fetch(`${url}/moto-api/data.json`);
  const data = (await response.json()) as { ses?: { RawMessage?: never[] } };
  return data.ses?.RawMessage ?? [];
};

/** A user of moto's IAM who may do this alone. */
const userWho = async (action: string) => {
  const iam = (form: Record<string, string>) =>
    post("/", new URLSearchParams({ Version: "2010-05-08", ...form }).toString(), {
      "Content-Type": "application/x-www-form-urlencoded",
      Authorization: "AWS4-HMAC-SHA256 Credential=root/20260101/us-east-1/iam/aws4_request",
    });
  await iam({ Action: "CreateUser", UserName: "bridge" });
  const PolicyDocument = JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: action, Resource: "*" }],
  });
  await iam({ Action: "PutUserPolicy", UserName: "bridge", PolicyName: "bridge", PolicyDocument });
  const key = await iam({ Action: "CreateAccessKey", UserName: "bridge" });
  const value = (name: string) => new RegExp(`<${name}>(.*?)</${name}>`).exec(key)?.[1] ?? "";
  return { accessKeyId: value("AccessKeyId"), secretAccessKey: value("SecretAccessKey") };
};

describe("moto's SES", () => {
  it("takes the bytes that SMTP would get, for the envelope's recipient", async () => {
    await verify("nagios@example.com");
    const outcome = await send();
    const [message, ...more] = await taken();
    expect(outcome).toMatchObject({ result: "accepted", code: 200, queueId: message?.id });
    expect(message).toMatchObject({
      source: "nagios@example.com",
      destinations: expect.arrayContaining(["ops@example.org"]),
    });
    expect(Buffer.from(message?.raw_data ?? "").equals(mail.bytes)).toBe(true);
    expect(more).toEqual([]);
  });

  it("does not know our sender, and the alert is kept", async () => {
    expect(await send()).toMatchObject({
      result: "unauthorised",
      step: "sender",
      code: 400,
      reply: expect.stringMatching(/^MessageRejected: .*nagios@example\.com/),
    });
    expect(await taken()).toEqual([]);
  });

  it("checks our signature and policy, and takes the mail of a user who may ses:SendRawEmail", async () => {
    await verify("nagios@example.com");
    const user = await userWho("ses:SendRawEmail");
    await checkAuth(true);
    expect(await send(user)).toMatchObject({ result: "accepted" });
  });

  it.each<[string, string, (user: typeof root) => typeof root]>([
    ["a wrong secret", "SignatureDoesNotMatch", (user) => ({ ...user, secretAccessKey: "wrong" })],
    [
      "an unknown key id",
      "InvalidClientTokenId",
      (user) => ({ ...user, accessKeyId: "AKIAUNKNOWNUNKNOWN00" }),
    ],
    ["a user who may only read", "AccessDenied", (user) => user],
  ])("refuses %s with %s, and the reply shows neither key id nor secret", async (_, code, change) => {
    await verify("nagios@example.com");
    const user = change(await userWho("ses:GetSendQuota"));
    await checkAuth(true);
    const outcome = await send(user);
    expect(outcome).toMatchObject({ result: "unauthorised", reply: expect.stringMatching(`^${code}`) });
    expect(outcome.reply).not.toContain(user.accessKeyId);
    await checkAuth(false);
    expect(await taken()).toEqual([]);
  });
});

describe("hardstate doctor ses://", () => {
  const doctor = async () => {
    const on = openLab();
    const names = await startNameServer({ "example.com": ["A 192.0.2.7", "TXT v=spf1 a -all"] });
    try {
      const words = [
        "scripts/hardstate/hardstate.ts",
        "doctor",
        `ses://${region}`,
        "--to",
        "ops@example.com",
        "--dns",
        `127.0.0.1:${names.port}`,
        "--json",
      ];
      const env = {
        PATH: process.env.PATH,
        HARDSTATE_STATE: join(on.folder, "state"),
        HARDSTATE_FROM: "nagios@example.com",
        AWS_ENDPOINT_URL_SES: url,
        AWS_ACCESS_KEY_ID: root.accessKeyId,
        AWS_SECRET_ACCESS_KEY: root.secretAccessKey,
      };
      const { stdout } = await promisify(execFile)(process.execPath, words, { env }).catch((error) => error);
      return JSON.parse(stdout);
    } finally {
      names.close();
      await on.stop();
    }
  };

  it("sends a test mail and reports SES's id", async () => {
    await verify("nagios@example.com");
    const report = await doctor();
    const [message] = await taken();
    expect(report).toMatchObject({ verdict: "pass", failed: null });
    expect(JSON.stringify(report.stages)).toContain(`queue id ${message?.id}`);
  });

  it("names a sender that is not verified, and what to do", async () => {
    expect(await doctor()).toMatchObject({
      failed: "sender",
      stages: expect.arrayContaining([
        expect.objectContaining({
          stage: "sender",
          advice: expect.stringMatching(/^SES does not know our sender/),
        }),
      ]),
    });
  });
});

describe("a bridge with ses:// as its route", () => {
  it.each([
    ["?configuration-set=alerts", ""],
    ["", " (without configuration-set= SES tells of no bounce: its delivery is unknown)"],
  ])("mails an alert by SES, and the story has SES's id (ses://…%s)", async (parameters, more) => {
    await verify("nagios@example.com");
    const on = openLab();
    try {
      const token = "t".repeat(32);
      const environment = {
        HARDSTATE_STATE: join(on.folder, "state"),
        HARDSTATE_PORT: "18907",
        HARDSTATE_TOKENS: `site=${token}`,
        HARDSTATE_RELAYS: `ses://${region}${parameters}`,
        HARDSTATE_FROM: "nagios@example.com",
        HARDSTATE_RECIPIENTS: "example.com",
        AWS_ENDPOINT_URL_SES: url,
        AWS_ACCESS_KEY_ID: root.accessKeyId,
        AWS_SECRET_ACCESS_KEY: root.secretAccessKey,
      };
      const bridge = await startBridge(on, { port: 18907, token, environment });
      const authorization = { Authorization: `Bearer ${token}` };
      await fetch(`${bridge.url}/v1/alerts`, {
        method: "POST",
        body: JSON.stringify(posted({ id: "alert-by-ses", recipients: [{ email: "ops@example.com" }] })),
        headers: { "Content-Type": "application/json", ...authorization },
      });
      await until("the mail", 20, () => bridge.events().some(({ event }) => event === "ended"));
      const story = await (
        await fetch(`${bridge.url}/v1/alerts/alert-by-ses`, { headers: authorization })
      ).json();
      const [message] = await taken();
      expect(story).toMatchObject({
        status: "mailed",
        attempts: [{ route: `ses://${region}`, result: "accepted", queueId: message?.id }],
      });
      expect(story.story.at(-1)).toBe(
        `mailed: PROBLEM mail, first news of this problem (R1); MessageId ${message?.id}${more}`,
      );
      expect(message?.destinations).toContain("ops@example.com");
      expect(message?.raw_data).toContain("Subject: [PROBLEM CRITICAL] web01/HTTP");
    } finally {
      await on.stop();
    }
  });
});

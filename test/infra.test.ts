import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  idleMonth,
  mailedAlert,
  metricsOfAlerts,
  perMillionAlerts,
  perMonth,
  prices,
  suppressedAlert,
} from "../infra/cost.ts";
import { readOptions } from "../infra/options.ts";

const least = { HARDSTATE_FROM: "Monitoring <nagios@example.com>", HARDSTATE_RECIPIENTS: "example.com" };

const chosen = (context: Record<string, string>) => {
  const reading = readOptions(context);
  return reading.ok ? reading.value : undefined;
};
const told = (context: Record<string, string>): string => {
  const reading = readOptions(context);
  return reading.ok
    ? ""
    : reading.faults.map(({ field, expected }) => `${field} needs ${expected}`).join("\n");
};

describe("a deployment's options", () => {
  it("make, with a sender and recipients alone, a bridge with secrets in /hardstate", () => {
    expect(chosen(least)).toEqual({
      plain: least,
      parameters: { HARDSTATE_TOKENS: "/hardstate/tokens", HARDSTATE_RELAYS: "/hardstate/relays" },
      senders: ["nagios@example.com"],
      sesIdentities: ["example.com"],
      secretsKeyArn: undefined,
      alarmEmail: undefined,
      logRetentionDays: 30,
      workerConcurrency: 5,
      intakeConcurrency: undefined,
    });
  });

  it("take a secret from Secrets Manager by the parameter that stands for it", () => {
    const parameter = "/aws/reference/secretsmanager/hardstate-oauth";
    expect(chosen({ ...least, HARDSTATE_OAUTH_PARAMETER: parameter })?.parameters).toMatchObject({
      HARDSTATE_OAUTH: parameter,
    });
  });

  it("take any setting but the sender from a parameter", () => {
    const { HARDSTATE_FROM } = least;
    expect(chosen({ HARDSTATE_FROM, HARDSTATE_RECIPIENTS_PARAMETER: "/hardstate/recipients" })).toMatchObject(
      {
        plain: { HARDSTATE_FROM },
        parameters: { HARDSTATE_RECIPIENTS: "/hardstate/recipients" },
      },
    );
    expect(
      told({ HARDSTATE_RECIPIENTS: "example.com", HARDSTATE_FROM_PARAMETER: "/hardstate/from" }),
    ).toContain("HARDSTATE_FROM needs a value");
  });

  it("let the worker mail also as the address that bounces go to, where that is another", () => {
    expect(chosen({ ...least, HARDSTATE_ENVELOPE_FROM: "bounces@mail.example.net" })).toMatchObject({
      senders: ["nagios@example.com", "bounces@mail.example.net"],
      sesIdentities: ["example.com", "mail.example.net"],
    });
  });

  it.each([
    ["a secret, which a template cannot keep", { HARDSTATE_TOKENS: "site1=secret" }, "SecureString"],
    ["a typing error", { HARDSTATE_RECIPIENT: "example.com" }, "there is no such setting"],
    ["what only a process can be told", { HARDSTATE_PORT: "8787" }, "it has no use on this runtime"],
    ["what the stack makes itself", { HARDSTATE_QUEUE: "sqs:https://sqs/q.fifo" }, "the stack makes it"],
    ["a parameter for what the stack makes", { HARDSTATE_QUEUE_PARAMETER: "/queue" }, "the stack makes it"],
    [
      "a parameter for what a process is told",
      { HARDSTATE_PORT_PARAMETER: "/port" },
      "no use on this runtime",
    ],
    [
      "a value and a parameter",
      { HARDSTATE_RECIPIENTS_PARAMETER: "/to" },
      "to be left out, or HARDSTATE_RECIPIENTS",
    ],
    ["a parameter without a path", { HARDSTATE_OAUTH_PARAMETER: "oauth" }, "/hardstate/name"],
    ["a parameter of no setting", { HARDSTATE_OAUHT_PARAMETER: "/oauth" }, "a setting's name"],
    ["days that CloudWatch does not know", { logRetentionDays: "31" }, "one of 1 3 5 7 14 30"],
    ["one worker, for SQS starts two", { workerConcurrency: "1" }, "from 2 to 1000"],
    ["no number", { intakeConcurrency: "many" }, "from 1 to 1000"],
  ])("do not include %s", (_, wrong, words) => {
    expect(told({ ...least, ...wrong })).toContain(words);
  });

  it("are refused with all faults at once, and without a secret in the words", () => {
    const wrong = {
      HARDSTATE_TOKENS: "site1=secret",
      HARDSTATE_GIVE_UP_AFTER: "soon",
      workerConcurrency: "0",
    };
    const all = [...Object.keys(wrong), "HARDSTATE_FROM", "HARDSTATE_RECIPIENTS"];
    for (const name of all) expect(told(wrong)).toContain(`${name} needs`);
    expect(told(wrong)).not.toContain("site1=secret");
  });
});

describe("the cost", () => {
  const nothing = {
    sqsRequests: 0,
    lambda: [],
    tableWriteUnits: 0,
    tableReadUnits: 0,
    mails: 0,
    mailKilobytes: 0,
    logKilobytes: 0,
  };

  it.each([
    ["a request to SQS", { sqsRequests: 1 }, 0.5],
    ["a write unit", { tableWriteUnits: 1 }, 0.625],
    ["a read unit", { tableReadUnits: 1 }, 0.125],
    ["a mail of 10 KB", { mails: 1, mailKilobytes: 10 }, 101.2],
    ["a kilobyte of log", { logKilobytes: 1 }, 0.5],
    ["a second of a gigabyte", { lambda: [{ calls: 1, megabytes: 1024, milliseconds: 1000 }] }, 13.5334],
  ])("of a million alerts is, for %s each, by hand", (_, use, dollars) => {
    const each = Object.values(perMillionAlerts({ ...nothing, ...use }));
    expect(each.reduce((sum, one) => sum + one, 0)).toBeCloseTo(dollars, 6);
  });

  it("of a mailed alert is SES's first of all", () => {
    const { SES = 0, ...others } = perMillionAlerts(mailedAlert);
    expect(SES).toBeGreaterThan(Object.values(others).reduce((sum, one) => sum + one, 0));
  });

  it("of a site whose alerts are nine of ten repeats is what infra/README.md says", () => {
    const total = (use: typeof mailedAlert) =>
      Object.values(perMillionAlerts(use)).reduce((sum, one) => sum + one, 0);
    const dollars = 0.1 * total(mailedAlert) + 0.9 * total(suppressedAlert);
    expect(readFileSync("infra/README.md", "utf8")).toContain(`a million cost ${dollars.toFixed(2)}.`);
  });

  it("of a month without alerts is below ten dollars", () => {
    expect(Object.values(perMonth(idleMonth)).reduce((sum, one) => sum + one, 0)).toBeLessThan(10);
    const more = `${metricsOfAlerts} metrics more, ${(metricsOfAlerts * prices.metricMonth).toFixed(2)} a month`;
    expect(readFileSync("infra/README.md", "utf8")).toContain(more);
  });
});

import type { Fault, Reading } from "../functions/alert.ts";
import { nodeAlone, readSettings, settings } from "../functions/config.ts";

/** The choices of a deployment: the bridge's settings, and how AWS runs it. */
export type Options = {
  /** Settings that are no secrets, by their names, checked as the bridge itself would. */
  plain: Record<string, string>;
  /** SSM parameters that hold the others, by the names of the settings. */
  parameters: Record<string, string>;
  /** The addresses in HARDSTATE_FROM and HARDSTATE_ENVELOPE_FROM. */
  senders: readonly string[];
  /** The verified identities at SES: domains or addresses. */
  sesIdentities: readonly string[];
  /** The KMS key of the parameters, unless it is AWS's own for them. */
  secretsKeyArn?: string;
  alarmEmail?: string;
  logRetentionDays: number;
  workerConcurrency: number;
  intakeConcurrency?: number;
};

/** These are checked where they are read; here they only have to be there. */
const standIns = {
  HARDSTATE_TOKENS: `site=${"x".repeat(24)}`,
  HARDSTATE_RELAYS: "ses://us-east-1",
  HARDSTATE_QUEUE: "sqs:https://sqs.us-east-1.amazonaws.com/1/alerts.fifo",
  HARDSTATE_LEDGER: "dynamodb:ledger",
};
/** One of the periods that CloudWatch knows. */
const retentionDays = [1, 3, 5, 7, 14, 30, 60, 90, 180, 365, 731];
const named = /^(HARDSTATE_\w+?)(_PARAMETER)?$/;
const parameterForm = /^\/[\w./-]+$/;

/** Reads the context values of the CDK app (docs/install/aws.md); all that is wrong is told at once. */
export const readOptions = (context: Record<string, unknown>): Reading<Options> => {
  const faults: Fault[] = [];
  const expect = (field: string, expected: string) => faults.push({ field, expected });
  const text = (name: string): string | undefined => {
    const value = context[name];
    return value === undefined || value === "" ? undefined : String(value);
  };
  const whole = (name: string, least: number, most: number): number | undefined => {
    const value = text(name);
    if (value === undefined) return undefined;
    if (!/^\d+$/.test(value) || Number(value) < least || Number(value) > most)
      expect(name, `a whole number from ${least} to ${most}`);
    return Number(value);
  };
  const plain: Record<string, string> = {};
  const parameters: Record<string, string> = {
    HARDSTATE_TOKENS: "/hardstate/tokens",
    HARDSTATE_RELAYS: "/hardstate/relays",
  };
  for (const key of Object.keys(context)) {
    const [, name = "", parameter] = named.exec(key) ?? [];
    const value = text(key);
    if (!name || value === undefined) continue;
    const setting = settings.find((one) => one.name === name);
    if (name === "HARDSTATE_QUEUE" || name === "HARDSTATE_LEDGER")
      expect(key, "to be left out: the stack makes it");
    else if (parameter && nodeAlone.includes(name))
      expect(key, "to be left out: it has no use on this runtime");
    else if (parameter && text(name) !== undefined) expect(key, `to be left out, or ${name}`);
    else if (parameter && setting && parameterForm.test(value)) parameters[name] = value;
    else if (parameter)
      expect(key, "a setting's name before _PARAMETER, and a value such as /hardstate/name");
    else if (setting?.secret)
      expect(key, `to be a SecureString in SSM, whose name is in ${key}_PARAMETER: a template is no secret`);
    else plain[name] = value;
  }
  const unread = parameters.HARDSTATE_RECIPIENTS ? { HARDSTATE_RECIPIENTS: "example.com" } : {};
  const reading = readSettings({ ...standIns, ...unread, ...plain }, "lambda-worker");
  if (!reading.ok) faults.push(...reading.faults);
  const logRetentionDays = Number(text("logRetentionDays") ?? 30);
  if (!retentionDays.includes(logRetentionDays))
    expect("logRetentionDays", `one of ${retentionDays.join(" ")}`);
  const workerConcurrency = whole("workerConcurrency", 2, 1000) ?? 5;
  const intakeConcurrency = whole("intakeConcurrency", 1, 1000);
  if (faults.length > 0 || !reading.ok) return { ok: false, faults };
  const { from, envelopeFrom } = reading.value.sender;
  const senders = [...new Set([from.address, envelopeFrom])];
  const domains = [...new Set(senders.map((sender) => sender.slice(sender.lastIndexOf("@") + 1)))];
  return {
    ok: true,
    value: {
      plain,
      parameters,
      senders,
      sesIdentities: text("sesIdentities")?.split(/\s+/) ?? domains,
      secretsKeyArn: text("secretsKeyArn"),
      alarmEmail: text("alarmEmail"),
      logRetentionDays,
      workerConcurrency,
      intakeConcurrency,
    },
  };
};

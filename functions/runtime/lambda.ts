import { type Runtime, readSettings, type Settings, wrongSettings } from "../config.ts";
import { dynamodbClient, dynamodbLedger } from "../ledger/dynamodb.ts";
import { sqsClient, sqsQueue } from "../queue/sqs.ts";
import { asEmf } from "../report/emf.ts";
import type { Report } from "../report/event.ts";
import type { Environment } from "./settings.ts";
import { type Parameters, withParameters } from "./ssm.ts";

/** The settings of a function, which may change while it lives. */
export type OnLambda = Settings & {
  queue: { kind: "sqs"; url: string };
  ledger: { kind: "dynamodb"; table: string };
};

/** Lines as they are: to those of console.log Lambda adds a time and a request id, and then they are no JSON. */
export const toLog =
  (clock: () => number): Report =>
  (event) =>
    void process.stdout.write(`${asEmf(event, clock())}\n`);

const keptMilliseconds = 300_000;
/** However much in doubt, they are not read more often. */
const leastMilliseconds = 5_000;

/** Reads the settings, and the text that they were made of; rejects with all faults, by name and never by value. */
const readAll = async (environment: Environment, runtime: Runtime, parameters: Parameters) => {
  const { environment: whole, faults } = await withParameters(environment, parameters);
  const reading = readSettings(whole, runtime);
  // A parameter that cannot be fetched is named without its value.
  const unread = new Set(faults.map(({ field }) => field.replace(/_PARAMETER$/, "")));
  const all = [...faults, ...(reading.ok ? [] : reading.faults.filter(({ field }) => !unread.has(field)))];
  if (!reading.ok || all.length > 0) throw wrongSettings(all);
  return { settings: reading.value as OnLambda, text: JSON.stringify(whole) };
};

/**
 * Reads a function's settings at its cold start, which ends if they are wrong. Later those that were good stay in use
 * when Parameter Store cannot be reached or holds something wrong; that is reported.
 */
export const lambdaSettings = async (
  environment: Environment,
  runtime: Runtime,
  parameters: Parameters,
  clock: () => number,
  report: Report,
) => {
  const changeable = Object.keys(environment).some((name) => /^HARDSTATE_\w+_PARAMETER$/.test(name));
  let { settings, text } = await readAll(environment, runtime, parameters);
  let [readAt, doubtful] = [clock(), false];
  return {
    /** The same object while they are the same; read again if they are five minutes old, or in doubt. */
    current: async (): Promise<OnLambda> => {
      const age = clock() - readAt;
      if (changeable && age >= (doubtful ? leastMilliseconds : keptMilliseconds)) {
        [readAt, doubtful] = [clock(), false];
        try {
          const fresh = await readAll(environment, runtime, parameters);
          if (fresh.text !== text) ({ settings, text } = fresh);
        } catch (error) {
          report({ event: "failed", during: "reading the settings again", error: String(error) });
        }
      }
      return settings;
    },
    /** A relay refuses our login: the secrets may have been changed. */
    doubt: (): void => {
      doubtful = true;
    },
  };
};

const database = dynamodbClient();
/** Queue and ledger of a function; the client of the database is made once. */
export const storesOf = ({ queue: { url }, ledger }: OnLambda, clock: () => number) => ({
  queue: sqsQueue(sqsClient(url, process.env.AWS_REGION ?? ""), url, clock),
  ledger: dynamodbLedger(database, ledger.table),
});

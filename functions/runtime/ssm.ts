import { AwsClient } from "aws4fetch";
import type { Fault } from "../alert.ts";
import { settings as known } from "../config.ts";
import type { Environment } from "./settings.ts";

/** GetParameters takes no more names. */
const mostNames = 10;
/** Twice this is well within the ten seconds that Lambda gives a cold start. */
const answerWithin = 3_000;

/** Parameters by name, decrypted; those that are not there, or may not be read, are missing. */
export type Parameters = (names: readonly string[]) => Promise<Map<string, string>>;

type Answer = { Parameters?: { Name: string; Value: string }[]; __type?: string; message?: string };

/**
 * Reads SSM's Parameter Store, and Secrets Manager behind names that begin with `/aws/reference/secretsmanager/`
 * (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html). Rejects if it does not
 * answer within 3 s, twice. AWS's own client would be a fifth of a bundle, for the errors of calls that are not made.
 */
export const parameterStore = (environment: Environment): Parameters => {
  const region = environment.AWS_REGION ?? "";
  const client = new AwsClient({
    accessKeyId: environment.AWS_ACCESS_KEY_ID ?? "",
    secretAccessKey: environment.AWS_SECRET_ACCESS_KEY ?? "",
    sessionToken: environment.AWS_SESSION_TOKEN,
    service: "ssm",
    region,
    retries: 0,
  });
  const url = environment.AWS_ENDPOINT_URL_SSM ?? `https://ssm.${region}.amazonaws.com/`;
  const ask = async (body: string): Promise<Answer> => {
    const response = await client.fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM.GetParameters" },
      body,
      signal: AbortSignal.timeout(answerWithin),
    });
    const answer = (await response.json()) as Answer;
    if (!response.ok) throw new Error(`Parameter Store says ${answer.__type}: ${answer.message}`);
    return answer;
  };
  return async (names) => {
    const values = new Map<string, string>();
    for (let start = 0; start < names.length; start += mostNames) {
      const body = JSON.stringify({ Names: names.slice(start, start + mostNames), WithDecryption: true });
      const { Parameters = [] } = await ask(body).catch(() => ask(body));
      for (const { Name, Value } of Parameters) values.set(Name, Value);
    }
    return values;
  };
};

/** The environment with each HARDSTATE_NAME_PARAMETER replaced by what Parameter Store holds under that name. */
export const withParameters = async (environment: Environment, parameters: Parameters) => {
  const result: Environment = { ...environment };
  const faults: Fault[] = [];
  const wanted = known.flatMap(({ name }) => {
    const parameter = environment[`${name}_PARAMETER`];
    delete result[`${name}_PARAMETER`];
    if (parameter && environment[name] !== undefined)
      faults.push({ field: name, expected: `${name} or ${name}_PARAMETER, not both` });
    return parameter ? [{ name, parameter }] : [];
  });
  const values = await parameters([...new Set(wanted.map(({ parameter }) => parameter))]);
  for (const { name, parameter } of wanted) {
    result[name] = values.get(parameter);
    if (!values.has(parameter))
      faults.push({
        field: `${name}_PARAMETER`,
        expected: "the name of a parameter that exists and that this function may read",
      });
  }
  return { environment: result, faults };
};

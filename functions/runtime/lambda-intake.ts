import { readFileSync } from "node:fs";
import { handle, type LambdaContext, type LambdaEvent } from "hono/aws-lambda";
import { webConsole } from "../console/http.ts";
import { intake } from "../intake/app.ts";
import { lambdaSettings, type OnLambda, storesOf, toLog } from "./lambda.ts";
import { madeOf } from "./made-of.ts";
import { parameterStore } from "./ssm.ts";

const clock = () => Date.now();
/** Lies beside the bundle: in it, each cold start would read it. */
const openapi = () => JSON.parse(readFileSync(new URL("openapi.json", import.meta.url), "utf8"));
const report = toLog(clock);
const settings = await lambdaSettings(
  process.env,
  "lambda-intake",
  parameterStore(process.env),
  clock,
  report,
);

const appOf = madeOf((known: OnLambda) => {
  const front = { ...known, ...storesOf(known, clock), clock, report, openapi };
  return handle(intake(front).route("/", webConsole(front)));
});

/** Without the body of a GET or HEAD, which nobody reads: Hono answers it in its own words, and logs a stack for each. */
const readable = (event: LambdaEvent): LambdaEvent => {
  const asks = "rawPath" in event && ["GET", "HEAD"].includes(event.requestContext.http.method);
  return asks ? { ...event, body: null } : event;
};

/** Serves a Function URL, or an HTTP API with payload 2.0. */
export const handler = async (event: LambdaEvent, context: LambdaContext) =>
  appOf(await settings.current())(readable(event), context);

// The function's side of "Using the Lambda runtime API for custom runtimes" (AWS Lambda Developer Guide), behaving as
// "Building Lambda functions with Node.js" there says of nodejs24.x. Runs in the process of one execution environment.
import { request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

const runtime = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;
let requestId;

const ask = (method, path, body) =>
  new Promise((resolve, reject) => {
    const asked = request(`${runtime}/${path}`, { method, agent: false }, async (response) =>
      resolve({ headers: response.headers, body: await text(response) }),
    );
    asked.once("error", reject);
    asked.end(body);
  });
const named = (name, message) => Object.assign(new Error(message), { name });
const wordsOf = (error) =>
  JSON.stringify(
    error instanceof Error
      ? { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? "").split("\n") }
      : { errorType: typeof error, errorMessage: String(error), trace: [] },
  );
const fail = (error) =>
  ask("POST", requestId ? `invocation/${requestId}/error` : "init/error", wordsOf(error));

// Lambda's console, in its text format: what is to be JSON for CloudWatch must go to process.stdout itself.
for (const [method, level] of Object.entries({
  debug: "DEBUG",
  log: "INFO",
  info: "INFO",
  warn: "WARN",
  error: "ERROR",
}))
  console[method] = (...words) =>
    process.stdout.write(`${new Date().toISOString()}\t${requestId}\t${level}\t${format(...words)}\n`);

process.on("uncaughtException", async (error) => {
  await fail(error);
  process.exit(129);
});
process.on("unhandledRejection", async (reason) => {
  await fail(named("Runtime.UnhandledPromiseRejection", String(reason)));
  process.exit(128);
});

const load = async () => {
  const [file, name] = process.env._HANDLER.split(".");
  const module = await import(pathToFileURL(join(process.env.LAMBDA_TASK_ROOT, `${file}.mjs`)).href);
  if (typeof module[name] === "function") return module[name];
  throw named("Runtime.HandlerNotFound", `${process.env._HANDLER} is undefined or not exported`);
};
const contextOf = (headers) => ({
  callbackWaitsForEmptyEventLoop: true,
  functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
  functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
  memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
  logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
  invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
  awsRequestId: requestId,
  getRemainingTimeInMillis: () => Number(headers["lambda-runtime-deadline-ms"]) - Date.now(),
});
/** Rejects when nothing is left that could settle the handler's promise. */
const nothingLeft = (signal) =>
  new Promise((_, reject) => {
    const left = () =>
      reject(named("Runtime.NodeJsExit", "The runtime exited before the handler's promise settled"));
    process.once("beforeExit", left);
    signal.addEventListener("abort", () => process.off("beforeExit", left));
  });

const handler = await load().catch(async (error) => {
  await fail(error);
  process.exit(1);
});
for (;;) {
  const { headers, body } = await ask("GET", "invocation/next");
  requestId = headers["lambda-runtime-aws-request-id"];
  const done = new AbortController();
  try {
    const value = await Promise.race([
      handler(JSON.parse(body), contextOf(headers)),
      nothingLeft(done.signal),
    ]);
    await ask("POST", `invocation/${requestId}/response`, JSON.stringify(value) ?? "null");
  } catch (error) {
    await fail(error);
  }
  done.abort();
}

import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { resolve } from "node:path";
import {
  type Answer,
  type ExecutionEnvironment,
  type FunctionError,
  requestBytes,
  startEnvironment,
} from "./environment.ts";

export type FunctionSettings = {
  /** The bundle as it was built: a folder with index.mjs. */
  folder: string;
  /** `index.` and the name of what it exports. */
  handler: string;
  name?: string;
  timeoutSeconds: number;
  /** How many invocations there may be at once, each in an environment of its own. */
  concurrency: number;
  /** The variables beside those that Lambda sets itself; it may replace the credentials. */
  environment?: Record<string, string>;
};

/** The handler's value, or why there is none. */
export type InvocationResult = { ok: true; value: unknown } | { ok: false; error: FunctionError };

/** A Lambda function on this machine. */
export type LambdaFunction = {
  timeoutSeconds: number;
  /** Invokes it and waits. Never rejects: 429 is TooManyRequestsException, 413 RequestTooLargeException. */
  invoke(event: unknown): Promise<InvocationResult>;
  /** The processes of its execution environments, for tests that kill one. */
  pids(): number[];
  /** The output of all of them, line by line. */
  output(): readonly string[];
  /** The first line that matches, as soon as there is one; rejects with an AbortError if there is none in time. */
  line(pattern: RegExp, withinMilliseconds: number): Promise<string>;
  /** Ends every process. A call that is under way ends with Runtime.ExitError. */
  stop(): Promise<void>;
};

const region = "us-east-1";
const account = "123456789012";
const failed = (errorType: string, errorMessage: string): Answer => ({
  ok: false,
  error: { errorType, errorMessage },
});
/** The time of the init phase by "Understanding the Lambda execution environment lifecycle". */
const initMilliseconds = 10_000;

/**
 * All of "Defined runtime environment variables" but tracing's, NODE_PATH and LD_LIBRARY_PATH: Lambda's own copy
 * of the AWS SDK must not hide that a bundle lacks something.
 */
const definedVariables = (name: string, folder: string, handler: string): Record<string, string> => ({
  _HANDLER: handler,
  AWS_REGION: region,
  AWS_DEFAULT_REGION: region,
  AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x",
  AWS_LAMBDA_FUNCTION_NAME: name,
  AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "256",
  AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
  AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
  AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
  AWS_LAMBDA_LOG_STREAM_NAME: `2026/01/01/[$LATEST]${randomUUID().replaceAll("-", "")}`,
  AWS_ACCESS_KEY_ID: "ASIAIOSFODNN7EXAMPLE",
  AWS_SECRET_ACCESS_KEY: "of-the-emulator",
  AWS_SESSION_TOKEN: "of-the-emulator",
  LAMBDA_TASK_ROOT: folder,
  LAMBDA_RUNTIME_DIR: "/var/runtime",
  LANG: "en_US.UTF-8",
  PATH: "/usr/local/bin:/usr/bin:/bin:/opt/bin",
  TZ: ":UTC",
});

/**
 * Runs a bundle as Lambda does: an idle execution environment is used again, a new one is started when there is none,
 * and above `concurrency` an invocation is throttled. An init that fails, or takes more than 10 s, is done a second time
 * inside the invocation and within its timeout ("Understanding the Lambda execution environment lifecycle").
 */
export const lambdaFunction = (settings: FunctionSettings): LambdaFunction => {
  const { handler, timeoutSeconds, concurrency, name = "function", environment = {} } = settings;
  const folder = resolve(settings.folder);
  const functionArn = `arn:aws:lambda:${region}:${account}:function:${name}`;
  const environments = new Set<ExecutionEnvironment>();
  /** Those of them that nobody uses. */
  const free: ExecutionEnvironment[] = [];
  let stopped = false;
  const lines: string[] = [];
  const spoke = new EventEmitter();
  const start = () => {
    const variables = { ...definedVariables(name, folder, handler), ...environment };
    const started = startEnvironment(folder, variables, functionArn, (line) => {
      lines.push(line);
      spoke.emit("line");
    });
    environments.add(started);
    return started;
  };
  const initialise = async (one: ExecutionEnvironment, withinMilliseconds: number) => {
    const error = await one.initialised(withinMilliseconds);
    if (error) environments.delete(one);
    return error;
  };
  const run = async (one: ExecutionEnvironment, event: string, deadline: number) => {
    const answer = await one.run({ id: randomUUID(), event, deadline, timeoutSeconds });
    if (one.waits()) free.push(one);
    else environments.delete(one);
    return answer;
  };
  const answer = async (event: string): Promise<Answer> => {
    const deadline = () => Date.now() + timeoutSeconds * 1000;
    if (Buffer.byteLength(event) > requestBytes)
      return failed("RequestTooLargeException", `Request must be smaller than ${requestBytes} bytes`);
    for (let one = free.pop(); one; one = free.pop()) {
      if (one.waits()) return run(one, event, deadline());
      environments.delete(one);
    }
    if (environments.size >= concurrency) return failed("TooManyRequestsException", "Rate Exceeded.");
    const first = start();
    if (!(await initialise(first, initMilliseconds))) return run(first, event, deadline());
    if (stopped) return failed("Runtime.ExitError", "The function was stopped");
    const [second, end] = [start(), deadline()];
    const error = await initialise(second, timeoutSeconds * 1000);
    return error ? { ok: false, error } : run(second, event, end);
  };

  return {
    timeoutSeconds,
    invoke: async (event) => {
      const given = await answer(JSON.stringify(event));
      return given.ok ? { ok: true, value: JSON.parse(given.payload) } : given;
    },
    pids: () => [...environments].flatMap((one) => one.pid() ?? []),
    output: () => lines,
    line: async (pattern, withinMilliseconds) => {
      const signal = AbortSignal.timeout(withinMilliseconds);
      for (;;) {
        const found = lines.find((line) => pattern.test(line));
        if (found !== undefined) return found;
        await once(spoke, "line", { signal });
      }
    },
    stop: async () => {
      stopped = true;
      await Promise.all([...environments].map((one) => one.stop()));
      environments.clear();
    },
  };
};

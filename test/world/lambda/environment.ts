import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** An error as Lambda tells it to who invoked. */
export type FunctionError = { errorType: string; errorMessage: string; trace?: readonly string[] };

/** The handler's answer as JSON text, or an error. */
export type Answer = { ok: true; payload: string } | { ok: false; error: FunctionError };

export type Invocation = { id: string; event: string; deadline: number; timeoutSeconds: number };

/** One execution environment: a process of its own that does one invocation at a time. */
export type ExecutionEnvironment = {
  pid(): number | undefined;
  /** Whether it lives, and is frozen until there is an invocation. */
  waits(): boolean;
  /** Resolves when the handler is loaded, or to why it is not, and then the process has ended. */
  initialised(withinMilliseconds: number): Promise<FunctionError | undefined>;
  run(invocation: Invocation): Promise<Answer>;
  stop(): Promise<void>;
};

/** "Lambda quotas": 6 MB for a synchronous request, and a hundred bytes more for a response. */
export const requestBytes = 6_291_456;
const responseBytes = requestBytes + 100;

const sizeError: FunctionError = {
  errorType: "Function.ResponseSizeTooLarge",
  errorMessage: `Response payload size exceeded maximum allowed payload size (${responseBytes} bytes).`,
};
const timeoutWords = (seconds: number) => `Task timed out after ${seconds.toFixed(2)} seconds`;

const bootstrap = fileURLToPath(new URL("bootstrap.mjs", import.meta.url));
const exitWords = (code: number | null, signal: NodeJS.Signals | null): string =>
  code === 0
    ? "Runtime exited without providing a reason"
    : `Runtime exited with error: ${signal ? `signal: ${signal === "SIGKILL" ? "killed" : signal}` : `exit status ${code}`}`;

/**
 * Starts a process with `environment` alone in `folder` and serves it the Runtime API ("Using the Lambda runtime API for
 * custom runtimes"). It is frozen (SIGSTOP) from the moment that it asks for the next invocation until there is one
 * ("Understanding the Lambda execution environment lifecycle"); one that is late is killed.
 */
export const startEnvironment = (
  folder: string,
  environment: Record<string, string>,
  functionArn: string,
  said: (line: string) => void,
): ExecutionEnvironment => {
  let child: ChildProcess | undefined;
  let waiting: ServerResponse | undefined;
  let current: { id: string; answer?: Answer; settle(answer: Answer): void } | undefined;
  let lateWords: string | undefined;
  const initialised = Promise.withResolvers<FunctionError | undefined>();
  const ended = Promise.withResolvers<FunctionError>();

  const freeze = (response: ServerResponse) => {
    waiting = response;
    child?.kill("SIGSTOP");
    initialised.resolve(undefined);
    if (current?.answer) current.settle(current.answer);
    current = undefined;
  };
  /** The content of a POST to the Runtime API; the status that it is answered with. */
  const take = (path: string, body: string): number => {
    if (path === "init/error") {
      initialised.resolve(JSON.parse(body));
      return 202;
    }
    const [, id, kind] = /^invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    if (!current || id !== current.id || current.answer) return 400;
    const tooLarge = kind === "response" && Buffer.byteLength(body) > responseBytes;
    if (kind === "response" && !tooLarge) current.answer = { ok: true, payload: body };
    else current.answer = { ok: false, error: tooLarge ? sizeError : JSON.parse(body) };
    return tooLarge ? 413 : 202;
  };
  const server = createServer(async (request, response) => {
    const path = (request.url ?? "").replace("/2018-06-01/runtime/", "");
    const body = await text(request);
    if (request.method === "GET" && path === "invocation/next") freeze(response);
    else response.writeHead(request.method === "POST" ? take(path, body) : 404).end();
  });
  const started = new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening())).then(
    () => {
      child = spawn(process.execPath, [bootstrap], {
        cwd: folder,
        env: {
          ...environment,
          AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${(server.address() as AddressInfo).port}`,
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      for (const input of [child.stdout, child.stderr])
        if (input) createInterface({ input }).on("line", said);
      child.once("close", (code, signal) => {
        waiting = undefined;
        const error = {
          errorType: lateWords ? "Sandbox.Timedout" : "Runtime.ExitError",
          errorMessage: `RequestId: ${current?.id ?? "none"} Error: ${lateWords ?? exitWords(code, signal)}`,
        };
        initialised.resolve(error);
        current?.settle(current.answer ?? { ok: false, error });
        current = undefined;
        server.close();
        server.closeAllConnections();
        ended.resolve(error);
      });
    },
  );
  const kill = (words: string) => {
    lateWords = words;
    child?.kill("SIGKILL");
  };

  return {
    pid: () => child?.pid,
    waits: () => waiting !== undefined,
    initialised: async (withinMilliseconds) => {
      const timer = setTimeout(kill, withinMilliseconds, timeoutWords(withinMilliseconds / 1000));
      const error = await initialised.promise;
      clearTimeout(timer);
      if (error) await ended.promise;
      return error;
    },
    run: async ({ id, event, deadline, timeoutSeconds }) => {
      const next = waiting;
      if (!next) return { ok: false, error: await ended.promise };
      waiting = undefined;
      child?.kill("SIGCONT");
      next
        .writeHead(200, {
          "Content-Type": "application/json",
          "Lambda-Runtime-Aws-Request-Id": id,
          "Lambda-Runtime-Deadline-Ms": deadline,
          "Lambda-Runtime-Invoked-Function-Arn": functionArn,
        })
        .end(event);
      const answered = Promise.withResolvers<Answer>();
      current = { id, settle: answered.resolve };
      const timer = setTimeout(kill, deadline - Date.now(), timeoutWords(timeoutSeconds));
      const answer = await answered.promise;
      clearTimeout(timer);
      return answer;
    },
    stop: async () => {
      await started;
      child?.kill("SIGKILL");
      await ended.promise;
    },
  };
};

import { describe, expect, it } from "vitest";
import { functionOf } from "../world/lambda/bundle.ts";

const pidHandler = "export const handler = async () => process.pid;";
const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const error = (errorType: string, errorMessage: string) => ({
  ok: false,
  error: {
    errorType: expect.stringContaining(errorType),
    errorMessage: expect.stringContaining(errorMessage),
  },
});

describe("an invocation", () => {
  it("gets the event and gives the handler's value", async () => {
    const lambda = functionOf("export const worker = async (event) => ({ got: event });", {
      handler: "index.worker",
    });
    expect(await lambda.invoke({ text: "größer" })).toEqual({ ok: true, value: { got: { text: "größer" } } });
  });

  it("is told what a context tells", async () => {
    const lambda = functionOf(
      "export const handler = async (_, context) => ({ ...context, left: context.getRemainingTimeInMillis() });",
      { name: "worker" },
    );
    const { value } = (await lambda.invoke({})) as { value: Record<string, unknown> };
    expect(value).toMatchObject({
      functionName: "worker",
      functionVersion: "$LATEST",
      memoryLimitInMB: "256",
      invokedFunctionArn: "arn:aws:lambda:us-east-1:123456789012:function:worker",
      awsRequestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(value.left).toBeGreaterThan(3000);
    expect(value.left).toBeLessThanOrEqual(5000);
  });

  it("sees Lambda's environment and what was given, and nothing of ours", async () => {
    const lambda = functionOf("export const handler = async () => process.env;", {
      environment: { HARDSTATE_FROM: "a@example.com" },
    });
    const { value } = (await lambda.invoke({})) as { value: Record<string, string> };
    expect(value).toMatchObject({ AWS_REGION: "us-east-1", HARDSTATE_FROM: "a@example.com" });
    expect(
      Object.keys(value).filter((name) => !/^(_HANDLER|AWS_|LAMBDA_|LANG$|PATH$|TZ$)/.test(name)),
    ).toEqual(["HARDSTATE_FROM"]);
  });

  it("tells of an error that was thrown, with its trace, and goes on in the same process", async () => {
    const lambda = functionOf(
      "export const handler = async (event) => { if (event.fail) throw new RangeError('too far'); return process.pid; };",
    );
    const before = await lambda.invoke({});
    expect(await lambda.invoke({ fail: true })).toMatchObject({
      ok: false,
      error: {
        errorType: "RangeError",
        errorMessage: "too far",
        trace: expect.arrayContaining(["RangeError: too far"]),
      },
    });
    expect(await lambda.invoke({})).toEqual(before);
  });

  it("is written about in lines that start as Lambda's console writes them", async () => {
    const lambda = functionOf(
      "export const handler = async () => { console.warn('slow %d', 3); process.stdout.write('{\"raw\":1}\\n'); };",
    );
    expect(await lambda.invoke({})).toEqual({ ok: true, value: null });
    expect(await lambda.line(/slow/, 5000)).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z\t[0-9a-f-]{36}\tWARN\tslow 3$/,
    );
    expect(await lambda.line(/raw/, 5000)).toBe('{"raw":1}');
  });

  it("may not answer with more than 6 MB", async () => {
    const lambda = functionOf("export const handler = async ({ length }) => 'x'.repeat(length);");
    expect(await lambda.invoke({ length: 6_291_556 - 2 })).toMatchObject({ ok: true });
    expect(await lambda.invoke({ length: 6_291_556 - 1 })).toMatchObject(
      error("Function.ResponseSizeTooLarge", "6291556 bytes"),
    );
    expect(lambda.pids()).toHaveLength(1);
  });

  it("may not be asked with more than 6 MB", async () => {
    const lambda = functionOf(pidHandler);
    expect(await lambda.invoke("x".repeat(6_291_456))).toMatchObject(
      error("RequestTooLargeException", "6291456"),
    );
  });

  it("whose promise nothing can settle any more is an error", async () => {
    const lambda = functionOf(
      "export const handler = (event) => event.hang ? new Promise(() => {}) : 'well';",
    );
    expect(await lambda.invoke({ hang: true })).toMatchObject(error("Runtime.NodeJsExit", "before"));
    expect(await lambda.invoke({})).toEqual({ ok: true, value: "well" });
  });
});

describe("an execution environment", () => {
  it("is used again when it is idle", async () => {
    const lambda = functionOf(pidHandler);
    const first = await lambda.invoke({});
    expect(await lambda.invoke({})).toEqual(first);
    expect(first).toEqual({ ok: true, value: lambda.pids()[0] });
  });

  it("does one invocation at a time; above the concurrency invocations are throttled", async () => {
    const lambda = functionOf(
      "export const handler = async () => { await new Promise((done) => setTimeout(done, 500)); return process.pid; };",
    );
    const [one, two, three] = await Promise.all([1, 2, 3].map((event) => lambda.invoke(event)));
    expect([one?.ok, two?.ok]).toEqual([true, true]);
    expect(one).not.toEqual(two);
    expect(three).toMatchObject(error("TooManyRequestsException", "Rate"));
    expect(lambda.pids()).toHaveLength(2);
  });

  it.each([
    ["that waits", "await new Promise((done) => setTimeout(done, 60_000))"],
    ["that never leaves a loop", "for (;;);"],
  ])("%s too long is killed, and the next invocation has a new one", async (_, code) => {
    const lambda = functionOf(
      `export const handler = async (event) => { if (event.hang) { ${code} } return process.pid; };`,
      { timeoutSeconds: 1 },
    );
    const { value: pid } = (await lambda.invoke({})) as { value: number };
    expect(await lambda.invoke({ hang: true })).toMatchObject(
      error("Sandbox.Timedout", "Error: Task timed out after 1.00 seconds"),
    );
    expect(alive(pid)).toBe(false);
    expect(await lambda.invoke({})).not.toEqual({ ok: true, value: pid });
  });

  it.each([
    ["exits", "process.exit(3)", "exit status 3"],
    ["exits as if all were well", "process.exit(0)", "without providing a reason"],
    ["is killed", "process.kill(process.pid, 'SIGKILL'); for (;;);", "signal: killed"],
  ])("that %s inside an invocation ends it with an error", async (_, code, words) => {
    const lambda = functionOf(
      `export const handler = async (event) => { if (event.end) { ${code} } return "well"; };`,
    );
    expect(await lambda.invoke({ end: true })).toMatchObject(error("Runtime.ExitError", words));
    expect(await lambda.invoke({})).toEqual({ ok: true, value: "well" });
  });

  it("can be killed from outside, busy or idle", async () => {
    const lambda = functionOf(
      "export const handler = async (event) => { if (event.wait) { console.log('waiting'); await new Promise((done) => setTimeout(done, 60_000)); } return process.pid; };",
    );
    const busy = lambda.invoke({ wait: true });
    await lambda.line(/waiting/, 5000);
    process.kill(lambda.pids()[0] ?? 0, "SIGKILL");
    expect(await busy).toMatchObject(error("Runtime.ExitError", "signal: killed"));
    const { value: pid } = (await lambda.invoke({})) as { value: number };
    process.kill(pid, "SIGKILL");
    await expect.poll(() => alive(pid)).toBe(false);
    expect(await lambda.invoke({})).toMatchObject({ ok: true });
  });

  it("ends when a rejection is not handled", async () => {
    const lambda = functionOf(
      "export const handler = async () => { Promise.reject(new Error('forgotten')); await new Promise((done) => setTimeout(done, 60_000)); };",
    );
    expect(await lambda.invoke({})).toMatchObject(error("Runtime.UnhandledPromiseRejection", "forgotten"));
    await expect.poll(() => lambda.pids()).toEqual([]);
  });

  it("is frozen between invocations", async () => {
    const lambda = functionOf(
      `import { createServer } from "node:http";
      const server = createServer((_, response) => response.end("answer"));
      await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
      export const handler = async ({ path }) => {
        if (path) await new Promise((done) => server.on("request", ({ url }) => url === path && done()));
        return server.address().port;
      };`,
    );
    const { value: port } = (await lambda.invoke({})) as { value: number };
    const ask = (path: string, milliseconds: number) =>
      fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(milliseconds) });
    await expect(ask("/frozen", 300)).rejects.toThrow("timeout");
    const thawed = lambda.invoke({ path: "/thawed" });
    expect(await (await ask("/thawed", 5000)).text()).toBe("answer");
    expect(await thawed).toEqual({ ok: true, value: port });
    await expect(ask("/frozen", 300)).rejects.toThrow("timeout");
  });

  it("is gone when the function is stopped", async () => {
    const lambda = functionOf(pidHandler);
    const { value: pid } = (await lambda.invoke({})) as { value: number };
    await lambda.stop();
    expect(alive(pid)).toBe(false);
  });
});

describe("an init", () => {
  it.each([
    ["throws", "throw new TypeError('no setting');", "TypeError", "no setting"],
    ["rejects", "await Promise.reject(new TypeError('no setting'));", "TypeError", "no setting"],
    ["exits", "process.exit(2);", "Runtime.ExitError", "exit status 2"],
    ["exports no handler", "", "Runtime.HandlerNotFound", "index.handler"],
    ["is no JavaScript", "const = 1;", "SyntaxError", "Unexpected token"],
  ])(
    "that %s is tried once more and is the answer then, and no process is left",
    async (_, code, type, words) => {
      const lambda = functionOf(`process.stdout.write("loading\\n");${code}`);
      expect(await lambda.invoke({})).toMatchObject(error(type, words));
      if (type !== "SyntaxError") await expect.poll(() => lambda.output()).toEqual(["loading", "loading"]);
      expect(lambda.pids()).toEqual([]);
    },
  );

  it("may await, and is done once for all invocations of an environment", async () => {
    const lambda = functionOf(
      "let count = await new Promise((done) => setTimeout(done, 50, 0)); export const handler = async () => ++count;",
    );
    await lambda.invoke({});
    expect(await lambda.invoke({})).toEqual({ ok: true, value: 2 });
  });

  it("that succeeds the second time is invoked", async () => {
    const lambda = functionOf(
      `import { existsSync, writeFileSync } from "node:fs";
      if (!existsSync("once")) { writeFileSync("once", ""); throw new Error("the first time"); }
      export const handler = async () => "well";`,
    );
    expect(await lambda.invoke({})).toEqual({ ok: true, value: "well" });
  });
});

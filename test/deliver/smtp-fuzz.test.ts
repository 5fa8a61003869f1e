import { execFile } from "node:child_process";
import { describe, expect, it } from "vitest";
import { kinds } from "./smtp-fuzz/kinds.ts";

const run = (...words: string[]): Promise<{ status: number; text: string }> =>
  new Promise((done) =>
    execFile(
      "node_modules/.bin/node",
      ["test/deliver/smtp-fuzz/fuzz.ts", ...words],
      (error, stdout, stderr) =>
        done({ status: error ? Number((error as { code?: number }).code) : 0, text: stdout + stderr }),
    ),
  );

describe("the fuzz of relays' replies", () => {
  it.concurrent("finds nothing in 270 cases", async () => {
    const { status, text } = await run("--cases", "270");
    expect(status, text).toBe(0);
  });

  it.concurrent("finds nothing by Node's own TLS", async () => {
    const { status, text } = await run("--cases", "54", "--tls");
    expect(status, text).toBe(0);
  });

  it.concurrent("finds faults that are planted in the client", async () => {
    const planted = ["takes-surplus", "login-in-clear", "forgets-lost-after-data", "leaves-open"];
    const { status, text } = await run("--plants", planted.join(","));
    expect(status, text).toBe(0);
    for (const name of planted) expect(text).toMatch(new RegExp(`^${name} +\\S+, seed \\d+: `, "m"));
  });

  it.concurrent("says how it is used, and what it does not know", async () => {
    const usage = expect.stringContaining("npm run fuzz-smtp -- --cases N");
    const [none, many, strange, moon, list] = await Promise.all([
      run(),
      run("--cases", "many"),
      run("--strange"),
      run("--kind", "moon", "--cases", "1"),
      run("--list"),
    ]);
    for (const wrong of [none, many, strange]) expect(wrong).toMatchObject({ status: 2, text: usage });
    expect(moon).toMatchObject({ status: 2, text: expect.stringContaining("There is no kind moon.") });
    expect(list.status).toBe(0);
    for (const name of Object.keys(kinds)) expect(list.text).toMatch(new RegExp(`^${name} `, "m"));
    for (const line of `${none.text}\n${list.text}`.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });
});

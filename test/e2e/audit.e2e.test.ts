import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";

/** Runs .ci/audit with a registry that answers the question for advisories so. */
const audit = async (status: number, advisories: object) => {
  const asked: string[] = [];
  const registry = createServer(async (request, response) => {
    if (request.method !== "POST") return response.writeHead(404).end("{}");
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    asked.push(...Object.keys(JSON.parse(gunzipSync(Buffer.concat(chunks)).toString())));
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(advisories));
  });
  await new Promise<void>((done) => registry.listen(0, "127.0.0.1", done));
  const cache = mkdtempSync("/tmp/hardstate-audit-");
  onTestFinished(() => {
    registry.close();
    rmSync(cache, { recursive: true });
  });
  const { port } = registry.address() as AddressInfo;
  const child = spawn(".ci/audit", [".", "--omit=dev"], {
    env: {
      PATH: process.env.PATH,
      HOME: cache,
      npm_config_cache: cache,
      npm_config_registry: `http://127.0.0.1:${port}/`,
    },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, "close")]);
  return { code, said, asked };
};
const advisory = (severity: string) => ({
  hono: [
    {
      id: 1,
      url: "https://github.com/advisories/GHSA-xxxx-xxxx-xxxx",
      title: "A test",
      severity,
      vulnerable_versions: "*",
    },
  ],
});

describe(".ci/audit", () => {
  it("is good when the registry has no advisory, and asks for what is used alone", async () => {
    const { code, said, asked } = await audit(200, {});
    expect([code, said]).toEqual([0, expect.stringContaining("no advisory")]);
    expect(asked).toEqual(expect.arrayContaining(["hono", "nodemailer"]));
    expect(asked).not.toContain("vitest");
  });

  it("fails on an advisory that is high, and names it; not on a low one", async () => {
    const { code, said } = await audit(200, advisory("high"));
    expect([code, said]).toEqual([1, expect.stringMatching(/hono[\s\S]*GHSA-xxxx-xxxx-xxxx/)]);
    expect((await audit(200, advisory("low"))).code).toBe(0);
  });

  it("does not call good what it could not ask", async () => {
    const { code, said } = await audit(405, {});
    expect([code, said]).toEqual([3, expect.stringContaining("NOT AUDITED")]);
  });
});

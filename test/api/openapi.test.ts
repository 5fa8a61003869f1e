import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readAllowList } from "../../functions/address.ts";
import { intake } from "../../functions/intake/app.ts";
import { mostReportBytes } from "../../functions/intake/returns.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import type { Queue } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { Secret } from "../../functions/secret.ts";
import { asFile, openapi, openapiPath } from "../../scripts/openapi.ts";
import { cutOff, posted } from "../world/alerts.ts";
import { described, document, templateOf, undescribed } from "./described.ts";

const [token, operatorToken] = ["a".repeat(24), "o".repeat(24)];
const allowed = readAllowList(["example.com"]);
if (!allowed.ok) throw new Error("the tests' own settings are wrong");
const seen = new Set<string>();
const noLedger = () => Promise.reject(new Error("disk I/O error"));
const broken = new Proxy({}, { get: () => noLedger });

const queue: Queue = sqliteQueue(":memory:", () => 100_000_000);
const appOf = (on: Queue = queue, ledger = sqliteLedger(":memory:")) =>
  described(
    intake({
      tokens: [
        { site: "site", token: new Secret(token) },
        { site: "operator", token: new Secret(operatorToken) },
      ],
      aliases: new Map(),
      allowed: allowed.value,
      operators: [],
      queue: on,
      ledger,
      clock: () => 100_000_000,
      report: () => {},
      openapi,
      scrape: async () => ({ text: "hardstate_x 1\n", contentType: "text/plain; version=0.0.4" }),
    }),
    (method, template, status) => seen.add(`${method} ${template} ${status}`),
  );
const app = appOf();
const brokenApp = appOf(broken as Queue, broken as ReturnType<typeof sqliteLedger>);

type Asked = {
  body?: string | ReadableStream;
  type?: string;
  headers?: Record<string, string>;
  bearer?: string;
};
const ask = (
  method: string,
  path: string,
  { body, type = "application/json", headers, bearer = token }: Asked = {},
  on = app,
) =>
  on.request(path, {
    method,
    body,
    ...(body instanceof ReadableStream && { duplex: "half" }),
    headers: { ...(bearer && { Authorization: `Bearer ${bearer}` }), "Content-Type": type, ...headers },
  });
const alert = JSON.stringify(posted({ id: "alert-0001", recipients: [{ email: "ops@example.com" }] }));
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);

describe("openapi.json", () => {
  it("is what its schemas say: npm run openapi makes it", () => {
    const kept = readFileSync(openapiPath, "utf8");
    expect(JSON.parse(kept)).toEqual(document);
    expect(kept === asFile(openapi())).toBe(true);
  });

  it("has every route of the API and no other", () => {
    const routes = appOf()
      .routes.filter(({ method, path }) => method !== "ALL" && !path.includes("*"))
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/, "{$1}")}`);
    const told = operations.map(({ method, path }) => `${method} ${path}`);
    expect(told.toSorted()).toEqual([...new Set(routes)].toSorted());
  });

  it("says what an answer must not be otherwise", async () => {
    const json = (value: unknown, status = 200, headers = {}) =>
      new Response(JSON.stringify(value), {
        status,
        headers: { "Content-Type": "application/json", ...headers },
      });
    const at = (response: Response) => undescribed("GET", "/healthz", response);
    expect(await at(json({ status: "alive" }))).toEqual([]);
    expect(await at(json({ status: "alive", more: 1 }))).not.toEqual([]);
    expect(await at(json({ status: "dead" }))).not.toEqual([]);
    expect(await at(json({}, 418))).toEqual(["418 is not described"]);
    expect(await at(new Response("alive"))).toEqual(["text/plain is not described"]);
    const problem = { "Content-Type": "application/problem+json" };
    expect(await undescribed("GET", "/v1/queue", json({}, 401, problem))).toContain("no WWW-Authenticate");
  });
});

describe("every answer that openapi.json tells of", () => {
  beforeAll(async () => {
    expect((await ask("POST", "/v1/alerts", { body: alert })).status).toBe(202);
  });

  it.each(operations)(
    "$method $path: is that of a wrong token, another method, or a store that is away",
    async ({ path, method, operation }) => {
      const real = path.replace("{id}", "alert-0001");
      const free = operation.security?.length === 0;
      expect((await ask(method, real, { bearer: "" })).status).toBe(
        free ? (await ask(method, real)).status : 401,
      );
      const other = await ask("PATCH", real);
      expect([other.status, other.headers.get("Allow")]).toEqual([405, method]);
      await ask(method, real, { body: method === "GET" ? undefined : alert }, brokenApp);
    },
  );

  it.each<[number, string, string, Asked]>([
    [200, "GET", "/healthz", {}],
    [200, "GET", "/readyz", {}],
    [200, "GET", "/openapi.json", {}],
    [200, "GET", "/metrics", {}],
    [200, "GET", "/v1/alerts/alert-0001", {}],
    [404, "GET", "/v1/alerts/alert-0002", {}],
    [200, "GET", "/v1/problems", {}],
    [400, "GET", "/v1/problems?limit=0", {}],
    [200, "GET", "/v1/journal?object=web01", {}],
    [400, "GET", "/v1/journal?page=2", {}],
    [200, "GET", "/v1/queue", {}],
    [200, "GET", "/v1/status", {}],
    [200, "GET", "/v1/status", { headers: { Accept: "text/plain" } }],
    [400, "POST", "/v1/alerts", { body: "{" }],
    [403, "POST", "/v1/alerts", { body: alert, bearer: operatorToken }],
    [413, "POST", "/v1/alerts", { body: " ".repeat(256 * 1024 + 1) }],
    [415, "POST", "/v1/alerts", { body: "x", type: "text/plain" }],
    [422, "POST", "/v1/alerts", { body: "[{}]" }],
    [200, "POST", "/v1/returns", { body: "", type: "message/rfc822" }],
    [400, "POST", "/v1/returns", { body: cutOff("From: MAILER-DAEMON"), type: "message/rfc822" }],
    [413, "POST", "/v1/returns", { body: " ".repeat(mostReportBytes + 1), type: "message/rfc822" }],
    [415, "POST", "/v1/returns", { body: "x", type: "text/plain" }],
    [200, "PUT", "/v1/heartbeat", { body: '{"monitor":"mon1"}' }],
    [400, "PUT", "/v1/heartbeat", { body: cutOff("monitor=m") }],
    [403, "PUT", "/v1/heartbeat", { body: '{"monitor":"mon1"}', bearer: operatorToken }],
    [413, "PUT", "/v1/heartbeat", { body: " ".repeat(1025) }],
    [422, "PUT", "/v1/heartbeat", { body: "{}" }],
    [200, "POST", "/v1/dead-letters/redrive", { body: "{}" }],
    [400, "POST", "/v1/dead-letters/redrive", { body: "[]" }],
    [404, "POST", "/v1/dead-letters/redrive", { body: '{"id":"alert-0009"}' }],
    [413, "POST", "/v1/dead-letters/redrive", { body: " ".repeat(1025) }],
    [404, "GET", "/nothing", {}],
    [401, "GET", "/v1/nothing", { bearer: "" }],
    [404, "GET", "/v1/nothing", {}],
  ])("is %i to %s %s", async (status, method, path, asked) => {
    expect((await ask(method, path, asked)).status).toBe(status);
  });

  it("is 503 where nothing can be read or taken", async () => {
    for (const [method, path, body] of [
      ["POST", "/v1/alerts", alert],
      ["PUT", "/v1/heartbeat", '{"monitor":"mon1"}'],
      ["POST", "/v1/dead-letters/redrive", "{}"],
    ] as const)
      expect((await ask(method, path, { body }, brokenApp)).status).toBe(503);
    const body = readFileSync("test/intake/reports/postfix.eml", "utf8");
    const report = await ask("POST", "/v1/returns", { body, type: "message/rfc822" }, brokenApp);
    expect(report.status).toBe(503);
  });

  it("is 429 to wrong tokens once there were sixty in a minute", async () => {
    const full = appOf();
    const asTo = async (path: string, method: string) =>
      (await ask(method, path.replace("{id}", "alert-0001"), { bearer: "wrong" }, full)).status;
    for (let turn = 0; turn < 60; turn++) expect(await asTo("/v1/queue", "GET")).toBe(401);
    const guarded = operations.filter(({ operation }) => operation.security?.length !== 0);
    for (const { path, method } of guarded) expect(await asTo(path, method)).toBe(429);
    expect((await ask("GET", "/v1/queue", {}, full)).status).toBe(200);
  });

  it("is 404 to /metrics where there are none, and 503 where they fail", async () => {
    const parts = { tokens: [{ site: "site", token: new Secret(token) }], aliases: new Map() };
    const others = {
      allowed: allowed.value,
      operators: [],
      queue,
      ledger: sqliteLedger(":memory:"),
      clock: () => 1,
    };
    const bare = described(intake({ ...parts, ...others, report: () => {} }), (method, template, status) =>
      seen.add(`${method} ${template} ${status}`),
    );
    expect((await ask("GET", "/metrics", {}, bare)).status).toBe(404);
    const failing = described(
      intake({ ...parts, ...others, report: () => {}, scrape: noLedger }),
      (method, template, status) => seen.add(`${method} ${template} ${status}`),
    );
    expect((await ask("GET", "/metrics", {}, failing)).status).toBe(503);
  });

  afterAll(() => {
    const told = operations.flatMap(({ path, method, operation }) =>
      Object.keys(operation.responses)
        .filter((status) => status !== "405")
        .map((status) => `${method.toLowerCase()} ${path} ${status}`),
    );
    expect(told.filter((one) => !seen.has(one))).toEqual([]);
    expect(templateOf("/v1/alerts/x")).toBe("/v1/alerts/{id}");
  });
});

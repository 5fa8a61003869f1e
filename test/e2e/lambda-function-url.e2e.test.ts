import { request } from "node:http";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { functionOf } from "../world/lambda/bundle.ts";
import type { LambdaFunction } from "../world/lambda/function.ts";
import { startFunctionUrl } from "../world/lambda/function-url.ts";

const urlOf = async (lambda: Pick<LambdaFunction, "invoke">): Promise<string> => {
  const { url, stop } = await startFunctionUrl(lambda);
  onTestFinished(stop);
  return url;
};
/** The URL of a function that answers with the event that it got. */
const echo = () => urlOf(functionOf("export const handler = async (event) => event;"));
/** The answer to a function that gives this value. */
const answerTo = async (value: unknown) => fetch(await urlOf({ invoke: async () => ({ ok: true, value }) }));

it("tells the function what was asked", async () => {
  const url = await echo();
  const asked = request(`${url}/v1/a%20b?x=1&y=%20&x=2`, { method: "PUT", headers: { "User-Agent": "me" } });
  asked.setHeader("X-Twice", ["one", "two"]);
  asked.setHeader("Cookie", ["session=1; theme=dark"]);
  const body = await new Promise<string>((done) =>
    asked.once("response", (answer) => done(text(answer))).end(),
  );
  expect(JSON.parse(body)).toMatchObject({
    version: "2.0",
    routeKey: "$default",
    rawPath: "/v1/a%20b",
    rawQueryString: "x=1&y=%20&x=2",
    queryStringParameters: { x: "1,2", y: " " },
    cookies: ["session=1", "theme=dark"],
    headers: { host: new URL(url).host, "x-twice": "one,two", "x-forwarded-for": "127.0.0.1" },
    requestContext: {
      domainName: new URL(url).host,
      http: {
        method: "PUT",
        path: "/v1/a%20b",
        protocol: "HTTP/1.1",
        sourceIp: "127.0.0.1",
        userAgent: "me",
      },
      time: expect.stringMatching(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/),
      timeEpoch: expect.any(Number),
    },
    isBase64Encoded: false,
  });
  expect(JSON.parse(body)).not.toHaveProperty("body");
  expect(JSON.parse(body)).not.toHaveProperty("headers.cookie");
});

it.each([
  ["application/json; charset=utf-8", false],
  ["text/plain", false],
  ["application/x-www-form-urlencoded", true],
  ["application/x-ndjson", true],
  ["application/octet-stream", true],
])("hands a body of %s over in base64: %s", async (type, isBase64Encoded) => {
  const answer = await fetch(await echo(), {
    method: "POST",
    headers: { "Content-Type": type },
    body: "größer",
  });
  expect(await answer.json()).toMatchObject({
    body: isBase64Encoded ? Buffer.from("größer").toString("base64") : "größer",
    isBase64Encoded,
  });
});

it("answers with what the function says", async () => {
  const answer = await answerTo({
    statusCode: 201,
    headers: { "Content-Type": "image/png", "X-Number": 3 },
    cookies: ["a=1; Max-Age=5", "b=2"],
    body: Buffer.from([0, 255]).toString("base64"),
    isBase64Encoded: true,
  });
  expect([answer.status, answer.headers.get("content-type"), answer.headers.get("x-number")]).toEqual([
    201,
    "image/png",
    "3",
  ]);
  expect(answer.headers.getSetCookie()).toEqual(["a=1; Max-Age=5", "b=2"]);
  expect([...(await answer.bytes())]).toEqual([0, 255]);
});

it.each([
  ["a text", "well", '"well"'],
  ["an object without a status", { message: "well" }, '{"message":"well"}'],
  ["nothing", null, "null"],
])("takes %s for the body of a 200", async (_, value, body) => {
  const answer = await answerTo(value);
  expect([answer.status, answer.headers.get("content-type"), await answer.text()]).toEqual([
    200,
    "application/json",
    body,
  ]);
});

it.each([
  ["a status that is none", { statusCode: "well" }],
  ["a body that is no text", { statusCode: 200, body: { message: "well" } }],
  ["headers that are a list", { statusCode: 200, headers: ["X-Number: 3"] }],
  ["cookies that are no list", { statusCode: 200, cookies: "a=1" }],
])("answers 502 to %s", async (_, value) => {
  expect((await answerTo(value)).status).toBe(502);
});

it.each([
  ["throws", "throw new Error('secret')"],
  ["exits", "process.exit(1)"],
  ["takes too long", "await new Promise((done) => setTimeout(done, 60_000))"],
])("answers 502, and no word of why, when the function %s", async (_, code) => {
  const answer = await fetch(
    await urlOf(functionOf(`export const handler = async () => { ${code}; };`, { timeoutSeconds: 1 })),
  );
  expect([answer.status, await answer.text()]).toEqual([502, '{"message":"Internal Server Error"}']);
});

it("answers 429 when the function is throttled", async () => {
  expect((await fetch(await urlOf(functionOf("", { concurrency: 0 })))).status).toBe(429);
});

it("answers 413 to more than 6 MB, in bytes of the body or of its event", async () => {
  const url = await echo();
  const post = (body: string, type: string) =>
    fetch(url, { method: "POST", headers: { "Content-Type": type }, body });
  expect((await post("x".repeat(6_291_457), "text/plain")).status).toBe(413);
  expect((await post("x".repeat(5_000_000), "application/octet-stream")).status).toBe(413);
});

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { LambdaFunctionURLEvent } from "aws-lambda";
import { requestBytes } from "./environment.ts";
import type { InvocationResult, LambdaFunction } from "./function.ts";

export type FunctionUrl = { url: string; stop(): Promise<void> };

type Reply = { status: number; headers: [string, string][]; body: Buffer | string };

const hopByHop = ["connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
/** "Working with AWS Lambda proxy integrations for HTTP APIs": all other bodies, forms too, come in base64. */
const textType = /^(text\/|application\/(json|javascript|xml)\b)/i;

/** The request as "Invoking Lambda function URLs" (Request payload format 2.0) has it; no IAM, and no TLS behind it. */
const eventOf = (request: IncomingMessage, body: Buffer): LambdaFunctionURLEvent => {
  const { method = "GET", socket } = request;
  const [rawPath = "/", rawQueryString = ""] = (request.url ?? "/").split(/\?(.*)/s);
  const headers = Object.fromEntries(
    Object.entries(request.headersDistinct)
      .filter(([name]) => name !== "cookie" && !hopByHop.includes(name))
      .map(([name, values = []]) => [name, values.join(",")]),
  );
  const cookies = (request.headers.cookie ?? "").split("; ").filter(Boolean);
  const query = [...Map.groupBy(new URLSearchParams(rawQueryString), ([name]) => name)].map(
    ([name, pairs]) => [name, pairs.map(([, value]) => value).join(",")] as const,
  );
  const domainName = headers.host ?? "";
  const sourceIp = socket.remoteAddress ?? "";
  const isText = textType.test(headers["content-type"] ?? "");
  const now = new Date();
  const [, weekdayLess = ""] = now.toUTCString().split(", ");
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath,
    rawQueryString,
    ...(cookies.length > 0 && { cookies }),
    headers: {
      ...headers,
      "x-forwarded-for": sourceIp,
      "x-forwarded-port": "443",
      "x-forwarded-proto": "https",
    },
    ...(query.length > 0 && { queryStringParameters: Object.fromEntries(query) }),
    requestContext: {
      accountId: "anonymous",
      apiId: "emulated",
      domainName,
      domainPrefix: domainName.split(".")[0] ?? "",
      http: {
        method,
        path: rawPath,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp,
        userAgent: headers["user-agent"] ?? "",
      },
      requestId: randomUUID(),
      routeKey: "$default",
      stage: "$default",
      // 12/Mar/2020:19:03:58 +0000
      time: weekdayLess.replace(/^(\d+) (\w+) (\d+) ([\d:]+) GMT$/, "$1/$2/$3:$4 +0000"),
      timeEpoch: now.getTime(),
    },
    ...(body.length > 0 && { body: body.toString(isText ? "utf8" : "base64") }),
    isBase64Encoded: body.length > 0 && !isText,
  };
};

const plain = (status: number, message: string): Reply => ({
  status,
  headers: [["content-type", "application/json"]],
  body: JSON.stringify({ message }),
});

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The function's answer, by "Response payload format" of the same page; what cannot be an HTTP answer is 502. */
const replyOf = (result: InvocationResult): Reply => {
  const badGateway = plain(502, "Internal Server Error");
  if (!result.ok) {
    if (result.error.errorType === "TooManyRequestsException") return plain(429, "Rate Exceeded.");
    return result.error.errorType === "RequestTooLargeException" ? plain(413, "Too large") : badGateway;
  }
  const { value } = result;
  const json: [string, string] = ["content-type", "application/json"];
  if (!isRecord(value) || value.statusCode === undefined)
    return { status: 200, headers: [json], body: JSON.stringify(value) };
  const { statusCode, headers = {}, cookies = [], body = "", isBase64Encoded = false } = value;
  const status = Number(statusCode);
  const wellFormed =
    Number.isInteger(status) &&
    status >= 200 &&
    status < 600 &&
    typeof body === "string" &&
    Array.isArray(cookies);
  if (!wellFormed || !isRecord(headers) || typeof isBase64Encoded !== "boolean") return badGateway;
  const named = Object.entries(headers).map(([name, text]): [string, string] => [
    name.toLowerCase(),
    `${text}`,
  ]);
  return {
    status,
    headers: [
      ...(named.some(([name]) => name === "content-type") ? [] : [json]),
      ...named,
      ...cookies.map((cookie): [string, string] => ["set-cookie", `${cookie}`]),
    ],
    body: isBase64Encoded ? Buffer.from(body, "base64") : body,
  };
};

/** A Function URL without IAM (auth type NONE) and without streaming, on loopback and in plain HTTP. */
export const startFunctionUrl = async (lambda: Pick<LambdaFunction, "invoke">): Promise<FunctionUrl> => {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    let length = 0;
    // A body that is too long is read to its end and not kept: a client that still writes would not read the answer.
    for await (const chunk of request) {
      length += chunk.length;
      if (length <= requestBytes) chunks.push(chunk);
    }
    const reply =
      length > requestBytes
        ? plain(413, "Too large")
        : replyOf(await lambda.invoke(eventOf(request, Buffer.concat(chunks))));
    response.writeHead(reply.status, reply.headers.flat()).end(reply.body);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening()));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((stopped) => {
        server.close(() => stopped());
        server.closeAllConnections();
      }),
  };
};

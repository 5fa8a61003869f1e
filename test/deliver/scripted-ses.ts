import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request of the AWS query protocol, as it was on the wire. */
export type Taken = { form: URLSearchParams; headers: IncomingMessage["headers"] };

/** The act of the endpoint once it has all of a request. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => unknown;

export type ScriptedSes = {
  url: string;
  taken: Taken[];
  /** The answers from now on; "accepted" at first. */
  answer: Answer;
  /** Resolves when it has taken one more request in full. */
  reached(): Promise<void>;
  close(): Promise<void>;
};

export const messageId = "0102018f0a1b2c3d-11111111-2222-3333-4444-555555555555-000000";

const xml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

export const accepted: Answer = (response) =>
  response
    .writeHead(200, { "Content-Type": "text/xml" })
    .end(
      `<SendRawEmailResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><SendRawEmailResult><MessageId>${messageId}</MessageId></SendRawEmailResult><ResponseMetadata><RequestId>fd3ae762-2563-11df-8cd4-6d4e828a9ae8</RequestId></ResponseMetadata></SendRawEmailResponse>`,
    );

/** An error as SES writes it; `date` for an endpoint whose clock is not ours. */
export const error =
  (code: string, message: string, status = 400, date = new Date()): Answer =>
  (response) =>
    response
      .writeHead(status, { "Content-Type": "text/xml", Date: date.toUTCString() })
      .end(
        `<ErrorResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${xml(message)}</Message></Error><RequestId>42d59b56-7407-4c4a-be0f-4c88daeea257</RequestId></ErrorResponse>`,
      );

/** The answer of something between us and SES. */
export const page =
  (status: number, body: string): Answer =>
  (response) =>
    response.writeHead(status, { "Content-Type": "text/html" }).end(body);

export const silence: Answer = () => undefined;
export const reset: Answer = (_, { socket }) => socket.resetAndDestroy();
export const hangUp: Answer = (_, { socket }) => socket.destroy();

/** Amazon SES's endpoint on loopback: it keeps every request and answers by script. */
export const scriptedSes = async (): Promise<ScriptedSes> => {
  let reached = () => {};
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    ses.taken.push({
      form: new URLSearchParams(Buffer.concat(chunks).toString("utf8")),
      headers: request.headers,
    });
    ses.answer(response, request);
    reached();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const ses: ScriptedSes = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken: [],
    answer: accepted,
    reached: () =>
      new Promise((resolve) => {
        reached = resolve;
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return ses;
};

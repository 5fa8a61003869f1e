import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** A request to an AWS service, by the operation's name, and the answer. */
export type Exchange = { operation: string; status: number; request: unknown; answer: unknown };

/** A service's proxy on loopback; `exchanges` has all that went through it since it was emptied. */
export type CountingProxy = { url: string; exchanges: Exchange[]; stop(): Promise<void> };

/** The act in place of one exchange: `forward` has it with another body, or the same; `by` is who signed it. */
export type Between = (
  operation: string,
  request: Record<string, unknown>,
  forward: (changed: Record<string, unknown>) => Promise<Exchange>,
  by: string,
) => Promise<Exchange>;

/** The key id of a request's signature. */
export const signedBy = (authorization = ""): string => /Credential=([^/]+)\//.exec(authorization)?.[1] ?? "";

/** Counts what goes to a service that speaks AWS's JSON protocol at `target`. */
export const countingProxy = async (
  target: string,
  between: Between = (_, request, forward) => forward(request),
): Promise<CountingProxy> => {
  const exchanges: Exchange[] = [];
  const server = createServer(async (incoming, response) => {
    const headers = Object.entries(incoming.headers).filter(
      ([name]) => !["host", "connection", "content-length"].includes(name),
    ) as [string, string][];
    const operation = String(incoming.headers["x-amz-target"]).replace(/^.*\./, "");
    const forward = async (request: Record<string, unknown>): Promise<Exchange> => {
      const answer = await fetch(new URL(incoming.url ?? "/", target), {
        method: "POST",
        headers,
        body: JSON.stringify(request),
      });
      // ElasticMQ answers some with nothing.
      const text = (await answer.text()) || "{}";
      return { operation, status: answer.status, request, answer: JSON.parse(text) };
    };
    const exchange = await between(
      operation,
      JSON.parse(String(await buffer(incoming))),
      forward,
      signedBy(incoming.headers.authorization),
    ).catch(() => undefined);
    // The service has hung up: so does its proxy.
    if (!exchange) return void response.destroy();
    exchanges.push(exchange);
    response
      .writeHead(exchange.status, { "Content-Type": incoming.headers["content-type"] })
      .end(JSON.stringify(exchange.answer));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening()));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    stop: () =>
      new Promise((stopped) => {
        server.close(() => stopped());
        server.closeAllConnections();
      }),
  };
};

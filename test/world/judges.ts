import { spawn } from "node:child_process";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as rest } from "node:timers/promises";

/** A program on loopback that plays an AWS service, and is not ours. */
export type Judge = { url: string; stop(): Promise<void> };

const startWithinMilliseconds = 60_000;

/** The programs that .ci/run installs and names in the environment. */
export const installed = (setting: string, what: string): string => {
  const value = process.env[setting];
  if (!value) throw new Error(`no ${what}: .ci/run installs it and sets ${setting}`);
  return value;
};

/** Starts a program and waits until it says where it listens; `address` finds that in what it says. */
const start = (command: string, words: readonly string[], address: RegExp): Promise<Judge> => {
  const child = spawn(command, words, {
    env: { PATH: process.env.PATH, PYTHONUNBUFFERED: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((end) => child.once("close", () => end()));
  const stop = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  return new Promise((listening, failed) => {
    let said = "";
    const late = setTimeout(() => {
      child.kill("SIGKILL");
      failed(new Error(`${command} did not start: ${said}`));
    }, startWithinMilliseconds);
    child.once("error", failed);
    child.once("close", (code) => failed(new Error(`${command} ended with ${code}: ${said}`)));
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => {
        said += chunk;
        const url = address.exec(said)?.[1];
        if (!url) return;
        clearTimeout(late);
        said = "";
        listening({ url, stop });
      });
  });
};

/**
 * ElasticMQ: an SQS in memory, whose queues CreateQueue makes. ELASTICMQ is its Java class path. Like SQS it hands out
 * several messages of a group at once and in order, locks the group, redrives after maxReceiveCount, remembers
 * deduplication ids. Unlike SQS it names errors of a message's content InvalidAttributeValue, and takes visibility
 * timeouts over 12 hours. It hands a message that was given back to the next receive while later ones of its group are
 * out. It drops DeduplicationScope, FifoThroughputLimit, retention and encryption from a queue's attributes.
 */
export const startElasticMq = (): Promise<Judge> =>
  start(
    "java",
    [
      "-Xmx256m",
      "-Drest-sqs.bind-hostname=127.0.0.1",
      "-Drest-sqs.bind-port=0",
      "-Drest-stats.enabled=false",
      "-Dgenerate-node-address=true",
      "-Daws.region=us-east-1",
      "-Daws.accountId=123456789012",
      "-cp",
      installed("ELASTICMQ", "ElasticMQ"),
      "org.elasticmq.server.Main",
    ],
    /visible server address (http:\S+)/,
  );

const motoAddress = /Running on (http:\/\/[\d.]+:\d+)/;

/**
 * moto: SQS, SSM, SES, IAM and more. MOTO is the path of its moto_server. No judge of an SQS group's order: of a batch
 * that comes back it may hand out a later message first. It forgets a deduplication id when the message is deleted,
 * deletes by a receipt that has lapsed, and takes control characters and empty attributes.
 */
export const startMoto = (): Promise<Judge> =>
  start(installed("MOTO", "moto"), ["-H", "127.0.0.1", "-p", "0"], motoAddress);

/**
 * moto that takes one request at a time, for DynamoDB: nothing in it keeps two requests from writing between each
 * other's condition and write. Unlike DynamoDB it writes batches of more than 25 items, and removes none by TTL.
 */
export const startMotoOneThread = (): Promise<Judge> =>
  start(
    join(dirname(installed("MOTO", "moto")), "python"),
    [
      "-c",
      `from werkzeug.serving import run_simple
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
run_simple("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)`,
    ],
    motoAddress,
  );

/**
 * dynalite: a DynamoDB in this process, without transactions, TTL, point-in-time recovery and the item of a failed
 * condition. Unlike DynamoDB it takes an empty text as the key of an index. It keeps its tables in a folder, if given one.
 */
export const startDynalite = async (path?: string): Promise<Judge> => {
  const dynalite: (options: object) => Server = createRequire(import.meta.url)("dynalite");
  const server = dynalite({ path, createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
  const inHand = new Set<ServerResponse>();
  server.prependListener("request", (request: IncomingMessage, response: ServerResponse) => {
    inHand.add(response);
    const end = response.end.bind(response);
    response.end = (...parts: unknown[]) => {
      inHand.delete(response);
      return end(...(parts as []));
    };
    response.once("close", () => request.complete || inHand.delete(response));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening()));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    // A request goes on in here when its client is killed. It would throw at a database that is closed.
    stop: async () => {
      const until = Date.now() + 5000;
      while (inHand.size > 0 && Date.now() < until) await rest(10);
      await new Promise<void>((stopped) => {
        server.close(() => stopped());
        server.closeAllConnections();
      });
    },
  };
};

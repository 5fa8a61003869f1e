import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import openapi from "../api/openapi.json" with { type: "json" };
import { refusal } from "../api/refusals.ts";
import { readSettings, wrongSettings } from "../config.ts";
import { webConsole } from "../console/http.ts";
import { SessionError } from "../deliver/session.ts";
import { whenReady } from "../deliver/smtp-socket.ts";
import type { Sockets } from "../deliver/smtp-wire.ts";
import { operatorSite } from "../identity.ts";
import { intake } from "../intake/app.ts";
import { mostReportBytes, takeReport } from "../intake/returns.ts";
import { durableObjectLedger, type LedgerStub } from "../ledger/durable-object.ts";
import { batchesOf } from "../pipeline/drain.ts";
import type { Queue } from "../queue/queue.ts";
import { sqsClient, sqsQueue } from "../queue/sqs.ts";
import { failing } from "../report/event.ts";
import { complain, toConsole } from "../report/log.ts";
import { bridge } from "./bridge.ts";
import { madeOf } from "./made-of.ts";
import type { Environment } from "./settings.ts";

export { LedgerObject } from "../ledger/durable-object.ts";

/** Vars and secrets of the Worker, and the ledger's binding. */
type Bindings = Environment & { LEDGER: DurableObjectNamespace<LedgerStub> };

const clock = () => Date.now();
const report = toConsole("json", clock);
const failed = failing(report);

/** The next cron is a minute away; a batch that was begun by then may end later. */
const drainMilliseconds = 50_000;
/** Longer than one attempt may take, and with the above within the 15 minutes of a cron's run. */
const visibilityTimeoutSeconds = 400;
// https://developers.cloudflare.com/workers/platform/limits/ has 10,000 requests for a run, unless wrangler.toml asks for
// more: an alert makes some fifteen, to the ledger most; and six connections at once, two of them for the queue.
const mostMessages = 500;
const mailConnections = 4;
/** So many alerts may be in hand at once, so that no other alert waits for a slow mail. */
const mostInHand = 50;

/**
 * workerd checks a certificate for the name that was connected to, by its own authorities. In clear also for TLS from
 * the start: else a certificate that is not good would look like a dead host.
 */
const workerSockets: Sockets = {
  connect: async (host, port, signal) => {
    const socket = connect({ host, port });
    // Bytes that were read already cannot be given to TLS.
    socket.pause();
    await whenReady(socket, "connect", signal);
    return socket;
  },
  secure: async (clear, host, _ca, signal) => {
    try {
      const socket = connectTls({ socket: clear, host });
      clear.resume();
      await whenReady(socket, "secureConnect", signal);
      // workerd tells nothing more.
      return {
        socket,
        tls: { version: "TLS", cipher: "of Cloudflare's choice", subject: host, validTo: "" },
      };
    } catch (error) {
      if (signal.aborted) throw error;
      // workerd says "internal error" alone: a certificate that is not good, or no TLS that it knows.
      const words = `the TLS handshake failed: is the certificate good for ${host}?`;
      throw new SessionError("tls", words);
    }
  },
};

/** The parts for requests or a cron: no connection is in it. Throws with all faults of the settings. */
const partsOf = ({ LEDGER, ...environment }: Bindings) => {
  const reading = readSettings(environment, "cloudflare");
  const credentials = {
    accessKeyId: environment.AWS_ACCESS_KEY_ID ?? "",
    secretAccessKey: environment.AWS_SECRET_ACCESS_KEY ?? "",
  };
  const faults = reading.ok ? [] : [...reading.faults];
  for (const field of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    if (!environment[field]) faults.push({ field, expected: "a key of AWS that may use the queue" });
  if (!LEDGER)
    faults.push({ field: "LEDGER", expected: "the Durable Object's binding, as in wrangler.toml" });
  if (!reading.ok || faults.length > 0) throw wrongSettings(faults);
  const settings = reading.value;
  const url = "url" in settings.queue ? settings.queue.url : "";
  const queue = sqsQueue(sqsClient(url, environment.AWS_REGION ?? "us-east-1", credentials), url, clock);
  const ledger = durableObjectLedger(() => LEDGER.getByName("ledger"));
  // Elsewhere the AWS SDK reads this name by itself.
  const ses = { credentials, endpoint: environment.AWS_ENDPOINT_URL_SES };
  return { settings, queue, ledger, ses };
};

type Bridge = ReturnType<typeof bridge>;

/** Made once for an isolate: its routes cost more than a request. No connection is in it, each call makes its own. */
const appOf = madeOf((bindings: Bindings) => {
  const { settings, queue, ledger } = partsOf(bindings);
  const front = { ...settings, queue, ledger, clock, report, openapi: () => openapi };
  return intake(front).route("/", webConsole(front));
});

/** An alert that was due and could not be handed over stays due. It is no reason to mail nothing else. */
const sweepLedger = async (sweep: Bridge["sweep"]) => {
  try {
    report({ event: "swept", due: await sweep() });
  } catch (error) {
    failed("sweeping the ledger", error);
  }
};

const work = async (queue: Queue, { handle, useRoutes, probe }: Bridge) => {
  const until = clock() + drainMilliseconds;
  await useRoutes(false);
  const batches = batchesOf(queue, mostInHand, handle, failed);
  for (let taken = 0; taken < mostMessages; ) {
    const max = await batches.room();
    const waitSeconds = Math.min(20, Math.floor((until - clock()) / 1000));
    // SQS waits whole seconds: it would be asked fifty times in the last one, and each costs.
    if (waitSeconds < 1) break;
    taken += await batches.receive({ max, waitSeconds, visibilityTimeoutSeconds });
  }
  await batches.over();
  await probe(AbortSignal.timeout(visibilityTimeoutSeconds * 1000));
};

/** The part of a mail that is used here. */
const beginningOf = async (mail: ReadableStream<Uint8Array>): Promise<string> => {
  const chunks: Uint8Array[] = [];
  let left = mostReportBytes;
  for await (const chunk of mail) {
    chunks.push(chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0) break;
  }
  return Buffer.concat(chunks).toString();
};

/** A mail from Email Routing (https://developers.cloudflare.com/email-routing/email-workers/runtime-api/). */
type ArrivedMail = {
  to: string;
  raw: ReadableStream<Uint8Array>;
  setReject(reason: string): void;
};

/** The bridge as a Worker: it takes alerts at any time, and mails by a cron of each minute. */
export default {
  fetch: (request: Request, bindings: Bindings): Response | Promise<Response> => {
    try {
      return appOf(bindings).fetch(request);
    } catch (error) {
      complain((error as Error).message);
      return refusal("unavailable", "The settings are wrong; the Worker's log names them.");
    }
  },
  /** Takes the mail to the bounce address. If this throws, the sending server tries again. */
  email: async (message: ArrivedMail, bindings: Bindings): Promise<void> => {
    const { settings, queue, ledger } = partsOf(bindings);
    const parts = { ...settings, queue, ledger, clock, report };
    const answer = await takeReport(parts, operatorSite, await beginningOf(message.raw), message.to);
    if (answer.status === "ignored")
      message.setReject(`Only reports of undelivered mail are read here: ${answer.reason}`);
  },
  scheduled: async (_: unknown, bindings: Bindings): Promise<void> => {
    const { settings, queue, ledger, ses } = partsOf(bindings);
    const share = Math.max(1, Math.floor(mailConnections / settings.relays.length));
    const relays = settings.relays.map((relay) => ({
      ...relay,
      connections: Math.min(relay.connections, share),
    }));
    const surroundings = { sockets: workerSockets, ses };
    const made = bridge({ settings: { ...settings, relays }, queue, ledger, clock, report, surroundings });
    const swept = sweepLedger(made.sweep);
    try {
      await work(queue, made);
    } finally {
      made.close();
      await swept;
    }
  },
};

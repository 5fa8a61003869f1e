import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Fault } from "../alert.ts";
import { readSettings, type Settings } from "../config.ts";
import { probeUnused, relays } from "../deliver/relays.ts";
import type { Connect } from "../deliver/smtp-session.ts";
import { intake, problem } from "../intake/http.ts";
import { durableObjectLedger, type LedgerStub } from "../ledger/durable-object.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { pipeline } from "../pipeline.ts";
import type { Queue } from "../queue/queue.ts";
import { sqsClient, sqsQueue } from "../queue/sqs.ts";
import { sweep } from "../sweep.ts";
import { complain, toConsole } from "../telemetry.ts";
import { drain } from "./drain.ts";
import type { Environment } from "./environment.ts";
import { transportOf } from "./routes.ts";

export { LedgerObject } from "../ledger/durable-object.ts";

/** Vars and secrets of the Worker, and the ledger's binding. */
type Bindings = Environment & { LEDGER: DurableObjectNamespace<LedgerStub> };

const clock = () => Date.now();
const report = toConsole("json", clock);

/** The next cron is a minute away; a batch that was begun by then may end later. */
const drainMilliseconds = 50_000;
/** Longer than one attempt may take, and with the above within the 15 minutes of a cron's run. */
const visibilityTimeoutSeconds = 400;
/** Each takes some ten subrequests, of which Cloudflare allows 10,000. */
const mostMessages = 500;

/** Names are looked up by the runtime, which checks certificates for them: nodemailer would give it addresses. */
const connectByName: Connect = (host, port, secure, signal) =>
  new Promise((resolve, reject) => {
    const socket = secure ? connectTls({ host, port, servername: host }) : connectTcp({ host, port });
    const abandon = () => socket.destroy(new Error("no connection in time"));
    signal.addEventListener("abort", abandon);
    socket.once("error", reject);
    socket.once(secure ? "secureConnect" : "connect", () => {
      signal.removeEventListener("abort", abandon);
      socket.off("error", reject);
      resolve(socket);
    });
  });

type Bridge = {
  settings: Settings;
  queue: Queue;
  ledger: Ledger;
  ses: { credentials: { accessKeyId: string; secretAccessKey: string }; endpoint?: string };
};

const wordsOf = (faults: readonly Fault[]): string =>
  `these settings are wrong: ${faults.map(({ field, expected }) => `${field} wants ${expected}`).join("; ")}`;

/** What a request or a cron works with; nothing of it may outlive that. Throws with all faults of the settings. */
const bridgeOf = ({ LEDGER, ...environment }: Bindings): Bridge => {
  const reading = readSettings(environment, "cloudflare");
  const credentials = {
    accessKeyId: environment.AWS_ACCESS_KEY_ID ?? "",
    secretAccessKey: environment.AWS_SECRET_ACCESS_KEY ?? "",
  };
  const faults = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    .filter((name) => !environment[name])
    .map((field) => ({ field, expected: "a key of AWS that may use the queue" }));
  if (!reading.ok || faults.length > 0)
    throw new Error(wordsOf([...(reading.ok ? [] : reading.faults), ...faults]));
  const settings = reading.value;
  const url = "url" in settings.queue ? settings.queue.url : "";
  const queue = sqsQueue(sqsClient(url, environment.AWS_REGION ?? "us-east-1", credentials), url, clock);
  const ledger = durableObjectLedger(() => LEDGER.getByName("ledger"));
  // Elsewhere the AWS SDK reads this name by itself.
  const ses = { credentials, endpoint: environment.AWS_ENDPOINT_URL_SES };
  return { settings, queue, ledger, ses };
};

const failed = (during: string) => (error: unknown) =>
  report({
    event: "failed",
    during,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });

const work = async ({ settings, queue, ledger, ses }: Bridge) => {
  const until = clock() + drainMilliseconds;
  const surroundings = { connect: connectByName, ses };
  const routes = settings.relays.map((relay) => ({
    relay,
    transport: transportOf(relay, settings.sender, clock, undefined, surroundings),
  }));
  const handOver = relays({ routes, states: ledger, clock });
  const handle = pipeline({ ...settings, ledger, queue, handOver, clock, report });
  try {
    for (let taken = 0; taken < mostMessages && clock() < until; ) {
      const waitSeconds = Math.max(0, Math.min(20, Math.floor((until - clock()) / 1000)));
      const messages = await queue.receive({ max: 10, waitSeconds, visibilityTimeoutSeconds });
      await drain(queue, messages, handle, failed("handling an alert"));
      taken += messages.length;
    }
    await probeUnused(
      { routes, states: ledger, clock },
      AbortSignal.timeout(visibilityTimeoutSeconds * 1000),
    );
  } finally {
    for (const { transport } of routes) transport.close();
  }
};

/** The bridge as a Worker: it takes alerts at any time, and mails by a cron of each minute. */
export default {
  fetch: (request: Request, bindings: Bindings): Response | Promise<Response> => {
    let bridge: Bridge;
    try {
      bridge = bridgeOf(bindings);
    } catch (error) {
      complain((error as Error).message);
      return problem("unavailable", "The settings are wrong; the Worker's log names them.");
    }
    const { settings, queue, ledger } = bridge;
    return intake({ ...settings, queue, ledger, clock, report }).fetch(request);
  },
  scheduled: async (_: unknown, bindings: Bindings): Promise<void> => {
    const bridge = bridgeOf(bindings);
    const { settings, queue, ledger } = bridge;
    const due = await sweep({ ...settings, ledger, queue, report }, clock());
    report({ event: "swept", due });
    await work(bridge);
  },
};

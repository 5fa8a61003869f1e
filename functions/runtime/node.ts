import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import { createAdaptorServer } from "@hono/node-server";
import type { Fault } from "../alert.ts";
import { nodeAlone, readSettings, type Settings } from "../config.ts";
import { webConsole } from "../console/http.ts";
import { intake } from "../intake/app.ts";
import { type SqliteLedger, sqliteLedger } from "../ledger/sqlite.ts";
import { batchesOf } from "../pipeline/drain.ts";
import type { Queue } from "../queue/queue.ts";
import { type SqliteQueue, sqliteQueue } from "../queue/sqlite.ts";
import { failing, type Report } from "../report/event.ts";
import { complain, say, toConsole } from "../report/log.ts";
import { prometheus } from "../report/prometheus.ts";
import { lockFile } from "../sqlite.ts";
import { bridge } from "./bridge.ts";
import { keepRoom } from "./connections.ts";
import { type Environment, withFiles } from "./settings.ts";

const clock = () => Date.now();
const openapi = () => JSON.parse(readFileSync(new URL("../api/openapi.json", import.meta.url), "utf8"));

/** Longer than one attempt may take (deliver/smtp.ts); after a crash `recover` does not wait for it. */
const visibilityTimeoutSeconds = 400;
const stopWithinMilliseconds = 60_000;
/** Far more than monitors need at once, far fewer than a process may have files open. */
const mostConnections = 2000;
/** How late a held alert may be, and how often the ledger is asked for one. */
const sweepMilliseconds = 1000;
const probeMilliseconds = 5000;
/**
 * So many alerts may be in hand at once; most of them wait for a slow relay. The embedded queue hands a site no more
 * while the site has as many in hand as are free, so that other sites always get some.
 */
const mostInHand = 200;
/** SQS needs some milliseconds for each request, and returns at most ten messages: one receiver would be too slow. */
const sqsReceivers = 10;

const wrongSettings = (faults: readonly Fault[]): never => {
  complain("Hardstate cannot start. These settings are wrong:\n");
  for (const { field, expected } of faults) complain(`  ${field} needs ${expected}`);
  complain("\nWithout any HARDSTATE_ setting it starts as a trial. docs/settings.md lists them all.");
  process.exit(2);
};

/** Makes the state folder ours alone, and keeps a second bridge out of it until this process ends, however it ends. */
const takeState = (state: string): { close(): void } => {
  try {
    if (!existsSync(state)) mkdirSync(state, { mode: 0o700 });
    chmodSync(state, 0o700);
    const lock = lockFile(join(state, "lock"));
    if (lock) return lock;
  } catch (error) {
    complain(`HARDSTATE_STATE must be a folder that this user may write (${(error as Error).message}).`);
    process.exit(3);
  }
  complain(`Another bridge is running on the state folder ${state}. Stop it first, or set HARDSTATE_STATE.`);
  process.exit(3);
};

// Parts that few settings need are loaded for these alone: it has some 20 MiB.
const sqsOf = async (url: string): Promise<Queue> => {
  const { sqsClient, sqsQueue } = await import("../queue/sqs.ts");
  return sqsQueue(sqsClient(url, process.env.AWS_REGION ?? "us-east-1"), url, clock);
};

const ledgerOf = async (ledger: Settings["ledger"]): Promise<SqliteLedger> => {
  if (ledger.kind === "sqlite") return sqliteLedger(ledger.path);
  if (ledger.kind !== "dynamodb") throw new Error(`a ${ledger.kind} is no ledger for Node`);
  const { dynamodbClient, dynamodbLedger } = await import("../ledger/dynamodb.ts");
  const client = dynamodbClient();
  return { ...dynamodbLedger(client, ledger.table), close: () => client.destroy() };
};

const startTrial = async (environment: Environment, report: Report) => {
  const { capturingRelay, trialToken } = await import("./trial.ts");
  const state = environment.HARDSTATE_STATE || ".hardstate";
  const [token, relay] = [await trialToken(state), await capturingRelay(state, clock, report)];
  const reading = readSettings({
    ...environment,
    HARDSTATE_TOKENS: `trial=${token}`,
    HARDSTATE_RELAYS: `smtp://${relay.user}:${relay.password}@localhost:${relay.port}`,
    HARDSTATE_RELAY_CA: relay.certificate,
    HARDSTATE_FROM: "Hardstate <hardstate@example.com>",
    HARDSTATE_RECIPIENTS: "example.com",
  });
  if (!reading.ok) return wrongSettings(reading.faults);
  // The trial's relay sends nothing on, so any address may be used to try it.
  return { settings: { ...reading.value, allowed: () => true }, trial: relay };
};

const trialWords = (url: string, { state }: Settings): string => `
This is a trial: nothing is configured, so every mail stays in ${state}/mail.
Try it from another terminal:

  curl -H "Authorization: Bearer $(cat ${state}/token)" ${url}/v1/alerts --data-urlencode NOTIFICATIONTYPE=PROBLEM --data-urlencode HOSTNAME=web01 --data-urlencode SERVICEDESC=HTTP --data-urlencode SERVICESTATE=CRITICAL --data-urlencode "SERVICEOUTPUT=Socket timeout" --data-urlencode CONTACTEMAIL=you@example.com --data-urlencode "TIMET=$(date +%s)"

Once more, and it is suppressed; with RECOVERY and OK in it, the recovery is mailed.
See it all in the console, ${url}/ : log in with the token that is in ${state}/token.
`;

/** Takes messages and works on them until `signal` aborts; ends when what it holds is dealt with. */
const work = async (
  queue: Queue,
  receivers: number,
  handle: ReturnType<typeof bridge>["handle"],
  failed: ReturnType<typeof failing>,
  signal: AbortSignal,
) => {
  const batches = batchesOf(queue, mostInHand, handle, failed);
  const receive = async () => {
    while (!signal.aborted) {
      // The embedded queue and ledger answer at once: a backlog would leave HTTP no turn.
      await setImmediate();
      const max = await batches.room();
      await batches.receive({ max, waitSeconds: 20, visibilityTimeoutSeconds, signal });
    }
  };
  await Promise.all(Array.from({ length: receivers }, receive));
  await batches.over();
};

/** Does a work again and again until `signal` aborts, one at a time. */
const repeat = async (
  during: string,
  pause: number,
  work: () => Promise<unknown>,
  failed: ReturnType<typeof failing>,
  signal: AbortSignal,
) => {
  while (!signal.aborted) {
    try {
      await work();
    } catch (error) {
      // Alerts that were due stay due, on disk.
      failed(during, error);
    }
    await setTimeout(pause, undefined, { signal }).catch(() => undefined);
  }
};

const listen = (server: Server, host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });

/** Settings and lock of this bridge; without any setting, those of a trial. Ends the process if they are wrong. */
const configure = async (log: Report) => {
  const { environment, faults } = withFiles(process.env);
  const configured = Object.keys(process.env).some(
    (name) =>
      name.startsWith("HARDSTATE_") && !name.startsWith("HARDSTATE_SHIM_") && !nodeAlone.includes(name),
  );
  const reading = configured ? readSettings(environment) : undefined;
  if (reading && (!reading.ok || faults.length > 0))
    wrongSettings([...faults, ...(reading.ok ? [] : reading.faults)]);
  const lock = takeState(reading?.ok ? reading.value.state : environment.HARDSTATE_STATE || ".hardstate");
  const started = reading?.ok ? { settings: reading.value } : await startTrial(environment, log);
  return { lock, trial: undefined, ...started };
};

/** Queue and ledger of the settings. */
const openStores = async (settings: Settings) => {
  const embedded: SqliteQueue | undefined =
    settings.queue.kind === "sqlite" ? sqliteQueue(settings.queue.path, clock, mostInHand) : undefined;
  const queue = embedded ?? (await sqsOf((settings.queue as { url: string }).url));
  embedded?.recover();
  return { embedded, queue, ledger: await ledgerOf(settings.ledger) };
};

/** The HTTP server of this app, listening. Ends the process if it cannot. */
const serve = async (fetch: Parameters<typeof createAdaptorServer>[0]["fetch"], { host, port }: Settings) => {
  const server = createAdaptorServer({
    fetch,
    // Node looks every 30 s by itself, and would let headers take 40.
    serverOptions: { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 1000 },
  }) as Server;
  keepRoom(server, mostConnections);
  const bound = await listen(server, host, port).catch((error: NodeJS.ErrnoException) => {
    complain(`Cannot listen on ${host}:${port} (${error.code}). Set HARDSTATE_HOST or HARDSTATE_PORT.`);
    process.exit(3);
  });
  return { server, url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}` };
};

const main = async () => {
  const { HARDSTATE_LOG: form } = process.env;
  const isText = form === "text" || (form !== "json" && process.stdout.isTTY);
  const log = toConsole(isText ? "text" : "json", clock);
  const { lock, settings, trial } = await configure(log);
  const { embedded, queue, ledger } = await openStores(settings);
  const routes = settings.relays.map(({ route }) => route);
  const { observe, scrape } = prometheus({ queue, ledger, routes, clock });
  const report: Report = (event) => {
    observe(event);
    log(event);
  };
  const failed = failing(report);
  const stopping = new AbortController();
  const { signal } = stopping;
  const made = bridge({ settings, queue, ledger, clock, report, stopping: signal });
  await made.useRoutes(true);
  const front = { ...settings, queue, ledger, clock, report, scrape, openapi };
  const { server, url } = await serve(intake(front).route("/", webConsole(front)).fetch, settings);

  const awakeSince = clock();
  // Once a second: counted, but no line in the log.
  const sweep = async () => observe({ event: "swept", due: await made.sweep(awakeSince) });
  const running = [
    work(queue, embedded ? 1 : sqsReceivers, made.handle, failed, signal),
    repeat("sweeping the ledger", sweepMilliseconds, sweep, failed, signal),
    repeat("probing a route", probeMilliseconds, () => made.probe(signal), failed, signal),
  ];
  report({ event: "started", url, routes, state: settings.state });
  if (trial) say(trialWords(url, settings));

  const stop = async (name: string) => {
    report({ event: "stopping", signal: name });
    const closed = new Promise((resolve) => server.close(resolve));
    stopping.abort();
    // Mail that is still under way then is on disk, and the next start goes on with it.
    setTimeout(stopWithinMilliseconds, undefined, { ref: false }).then(() => process.exit(1));
    await Promise.all([closed, ...running]);
    made.close();
    await trial?.close();
    embedded?.close();
    ledger.close();
    lock.close();
    report({ event: "stopped" });
  };
  for (const name of ["SIGTERM", "SIGINT"]) process.once(name, stop);
};

try {
  await main();
} catch (error) {
  complain(`Hardstate cannot start: ${error instanceof Error ? error.message : error}`);
  process.exit(3);
}

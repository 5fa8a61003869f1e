import { setTimeout } from "node:timers/promises";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { relays } from "../../functions/deliver/routes.ts";
import { sesClient, sesTransport } from "../../functions/deliver/ses.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { pipeline } from "../../functions/pipeline/pipeline.ts";
import { toMessage } from "../../functions/queue/message.ts";
import { dispose, drainInOrder } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import type { Rate } from "../../functions/time.ts";
import { type Answer, accepted, error, scriptedSes } from "../deliver/scripted-ses.ts";
import { queuedAlert } from "../world/alerts.ts";
import { type Bench, type Figure, progress } from "./rounds.ts";

const clock = () => Date.now();
/** How long SES and a table of DynamoDB take for an answer. */
const sesMilliseconds = 50;
const tableMilliseconds = 4;
const region = "eu-west-1";
const route = `ses://${region}`;

/** SES's bucket: it takes so many mails per second, as many at once, and throttles the rest in SES's own words. */
const tokenBucket = (perSecond: number) => {
  const seen = { taken: 0, thrownAway: 0 };
  let [tokens, at] = [perSecond, clock()];
  const answer: Answer = async (response, request) => {
    tokens = Math.min(perSecond, tokens + ((clock() - at) / 1000) * perSecond);
    at = clock();
    const takes = tokens >= 1;
    if (takes) tokens -= 1;
    seen[takes ? "taken" : "thrownAway"] += 1;
    await setTimeout(sesMilliseconds);
    return (takes ? accepted : error("Throttling", "Maximum sending rate exceeded."))(response, request);
  };
  return { answer, seen };
};

/** A ledger that takes its time as a table of DynamoDB does, and what was written to it. */
const countedLedger = () => {
  const store = sqliteLedger(":memory:");
  const written = { routeWrites: 0, alertWrites: 0 };
  const ledger: typeof store = {
    ...store,
    route: async (name) => {
      await setTimeout(tableMilliseconds);
      return store.route(name);
    },
    writeRoute: async (state) => {
      written.routeWrites += 1;
      await setTimeout(tableMilliseconds);
      return store.writeRoute(state);
    },
    write: async (change) => {
      written.alertWrites += 1;
      await setTimeout(tableMilliseconds);
      return store.write(change);
    },
  };
  return { ledger, written };
};

/** So many processes with three connections each, and what takes batches of ten in each of them. */
const runtimes = {
  "five workers on Lambda": { processes: 5, loops: 1 },
  "a bridge on Node": { processes: 1, loops: 10 },
};

/**
 * Mails alerts by a SES of this rate, and gives back for whole seconds as SQS does. Resolves to how long it took, and
 * what it cost.
 */
export const mailAll = async (
  mails: number,
  perSecond: number,
  runtime: keyof typeof runtimes,
  rate?: Rate,
) => {
  const ses = await scriptedSes();
  const { answer, seen } = tokenBucket(perSecond);
  ses.answer = answer;
  const { ledger, written } = countedLedger();
  const queue = sqliteQueue(":memory:", clock);
  const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" };
  const client = sesClient(region, { endpoint: ses.url, credentials });
  const done = new AbortController();
  let ended = 0;
  const newProcess = () => {
    const relay = { kind: "ses", route, region, connections: 3, rate } as const;
    return pipeline({
      ledger,
      queue,
      handOver: relays({
        routes: [{ relay, transport: sesTransport(client, relay, clock) }],
        states: ledger,
        clock,
      }),
      operators: [],
      sender: { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" },
      policy: { ...defaultPolicy, burst: undefined },
      giveUpAfterSeconds: 48 * 3600,
      clock,
      report: ({ event }) => {
        if (event === "ended" && ++ended === mails) done.abort();
      },
    });
  };
  const work = async (handle: ReturnType<typeof pipeline>) => {
    while (!done.signal.aborted) {
      const messages = await queue.receive({
        max: 10,
        waitSeconds: 20,
        visibilityTimeoutSeconds: 400,
        signal: done.signal,
      });
      const failed = (_: unknown, thrown: unknown) => {
        throw thrown;
      };
      const dispositions = await drainInOrder(messages, handle, failed);
      for (const given of dispositions.values())
        if (given.message === "give-back") given.afterSeconds = Math.ceil(given.afterSeconds);
      await dispose(queue, dispositions);
    }
  };
  const problems = Array.from({ length: mails }, (_, number) => {
    const object = { host: `web${number}`, service: null };
    const alert = { object, state: "DOWN", time: Math.floor(clock() / 1000) };
    return toMessage(queuedAlert({ id: `alert-${number}`, receivedAt: clock() }, alert));
  });
  await queue.send(problems);
  const begun = clock();
  const { processes, loops } = runtimes[runtime];
  const handles = Array.from({ length: processes }, newProcess);
  await Promise.all(handles.flatMap((handle) => Array.from({ length: loops }, () => work(handle))));
  const seconds = (clock() - begun) / 1000;
  const { down } = await ledger.route(route);
  await ses.close();
  client.destroy();
  return { seconds, ...seen, ...written, open: down };
};

const cases: [mails: number, perSecond: number, runtime: keyof typeof runtimes, rated: boolean][] = [
  [100, 14, "five workers on Lambda", false],
  [300, 14, "five workers on Lambda", false],
  [60, 1, "five workers on Lambda", false],
  [100, 14, "five workers on Lambda", true],
  [300, 14, "five workers on Lambda", true],
  [60, 1, "five workers on Lambda", true],
  [300, 14, "a bridge on Node", false],
  [60, 1, "a bridge on Node", false],
];

/** Alerts by an SES that throttles. */
export const bench: Bench = {
  summary: "alerts by an SES that takes so many in a second and throttles the rest, beside the ideal time",
  about:
    "A scripted SES with the bucket of the real one, 50 ms for each answer, and a ledger that takes 4 ms as DynamoDB does. Five " +
    "workers as Lambda has them, or one bridge on Node with ten loops, each with three connections; with rate= and without. " +
    "All cases run at once, for they wait more than they work; each is measured once, whatever --rounds says.",
  run: async ({ quick }) => {
    const run = quick ? cases.filter(([mails, perSecond]) => mails / perSecond < 10) : cases;
    const figures = await Promise.all(
      run.map(async ([mails, perSecond, runtime, rated]): Promise<Figure> => {
        const rate = rated ? { most: perSecond, milliseconds: 1000 } : undefined;
        const { seconds, thrownAway, routeWrites, alertWrites } = await mailAll(
          mails,
          perSecond,
          runtime,
          rate,
        );
        const what = `${mails} at ${perSecond}/s by ${runtime}${rated ? ` with rate=${perSecond}/s` : ""}`;
        progress(
          `${what}: ${thrownAway} requests thrown away, ${routeWrites} writes of the route, ${alertWrites} of alerts`,
        );
        const beside = { name: "the ideal", value: mails / perSecond };
        return { what, ours: seconds, unit: "s", beside, target: { atMost: 1.5 } };
      }),
    );
    return figures;
  },
};

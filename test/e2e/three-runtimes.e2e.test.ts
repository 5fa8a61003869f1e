import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import PostalMime from "postal-mime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromMacros } from "../../functions/intake/monitors.ts";
import { buildAll } from "../../scripts/build.ts";
import { startWorker } from "../../scripts/workerd.ts";
import { authority, type Certificate, certificate } from "../deliver/certificate.ts";
import { type ScriptedRelay, scriptedRelay } from "../deliver/scripted-relay.ts";
import { createTable, clientOf as databaseOf } from "../ledger/table.ts";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { posted } from "../world/alerts.ts";
import { type Judge, startDynalite, startElasticMq } from "../world/judges.ts";
import { type Lab, openLab, startBridge, until } from "../world/lab.ts";
import { startLambdaBridge } from "../world/lambda/bridge.ts";
import { startEventSource } from "../world/lambda/event-source.ts";

const alerts = 1000;
const token = "a-token-of-twenty-four-characters";

type Macros = [string, string][];
const macrosOf = (name: string): Macros =>
  readFileSync(join("test/corpus/nagios", name), "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, key, value] = /^(NAGIOS_\w+)=(.*)$/.exec(line) ?? [];
      return key && value !== undefined ? [[key, value]] : [];
    });
const numberIn = (macros: Macros, name: string): number => Number(macros.find(([key]) => key === name)?.[1]);
/** In the order in which Nagios sent them. */
const recordings = readdirSync("test/corpus/nagios")
  .filter((name) => name.endsWith(".env"))
  .map((name) => ({ name, macros: macrosOf(name) }))
  .sort(
    ({ macros: a }, { macros: b }) =>
      numberIn(a, "NAGIOS_TIMET") - numberIn(b, "NAGIOS_TIMET") ||
      numberIn(a, "NAGIOS_NOTIFICATIONNUMBER") - numberIn(b, "NAGIOS_NOTIFICATIONNUMBER"),
  );
/** The recording as another site of the same make would have it: with hosts of its own. */
const ofVariant = (macros: Macros, variant: number): unknown =>
  fromMacros(
    Object.fromEntries(
      macros.map(([key, value]) => [key, key === "NAGIOS_HOSTNAME" ? `${value}-${variant}` : value]),
    ),
  );
/** The posts, moment by moment: one notification for all its contacts, which have no order, from many hosts. */
const moments = [...Map.groupBy(recordings, ({ name }) => name.replace(/\.\w+\.env$/, "")).values()].map(
  (recorded) =>
    recorded.flatMap((recording) => {
      const variants = Math.ceil((alerts - recordings.indexOf(recording)) / recordings.length);
      return Array.from({ length: variants }, (_, variant) => ofVariant(recording.macros, variant));
    }),
);

type Running = { url: string; stop(): Promise<void> };
/** Starts a bridge with nothing in its queue and its ledger. */
type Start = (relay: ScriptedRelay, burst: string) => Promise<Running>;
const newName = (place: string) => `${place}-${randomBytes(4).toString("hex")}`;

let lab: Lab;
let tls: Certificate;
let authorities: string;
let elasticMq: Judge;
let dynalite: Judge;
beforeAll(async () => {
  lab = openLab();
  const ca = await authority();
  authorities = join(lab.folder, "authorities.pem");
  writeFileSync(authorities, ca.cert);
  tls = await certificate({ ca, forName: "localhost" });
  await buildAll(join(lab.folder, "dist"));
  elasticMq = await startElasticMq();
  dynalite = await startDynalite();
});
afterAll(async () => {
  await elasticMq?.stop();
  await dynalite?.stop();
  await lab?.stop();
});

const settingsFor = (relay: ScriptedRelay, burst: string): Record<string, string> => ({
  HARDSTATE_TOKENS: `site=${token}`,
  HARDSTATE_RELAYS: `smtp://user:password@localhost:${relay.port}`,
  HARDSTATE_FROM: "Monitoring <nagios@example.com>",
  HARDSTATE_RECIPIENTS: "example.com",
  HARDSTATE_BURST: burst,
});

const onNode: Start = async (relay, burst) => {
  const bridge = await startBridge(lab, {
    port: 22_880,
    token,
    environment: {
      ...settingsFor(relay, burst),
      HARDSTATE_RELAY_CA_FILE: authorities,
      HARDSTATE_STATE: join(lab.folder, newName("node")),
      HARDSTATE_PORT: "22880",
    },
  });
  return { url: bridge.url, stop: () => bridge.kill("SIGTERM") };
};

const onLambda: Start = async (relay, burst) => {
  const client = clientOf(elasticMq.url);
  const queueUrl = await createAlertQueue(client, newName("lambda"));
  const table = newName("hardstate");
  await createTable(databaseOf(dynalite.url), table);
  const bridge = await startLambdaBridge({
    folder: join(lab.folder, "dist"),
    environment: {
      ...settingsFor(relay, burst),
      HARDSTATE_RELAY_CA: readFileSync(authorities, "utf8"),
      HARDSTATE_QUEUE: `sqs:${queueUrl}`,
      HARDSTATE_LEDGER: `dynamodb:${table}`,
      AWS_ENDPOINT_URL_DYNAMODB: dynalite.url,
    },
  });
  const source = await startEventSource({ client, queueUrl, lambda: bridge.worker, waitSeconds: 1 });
  let sweeping = true;
  const sweeps = (async () => {
    while (sweeping) {
      await bridge.sweep.invoke({});
      await new Promise((done) => setTimeout(done, 1000));
    }
  })();
  return {
    url: bridge.url,
    stop: async () => {
      sweeping = false;
      await sweeps;
      await source.stop();
      await bridge.stop();
    },
  };
};

const onCloudflare: Start = async (relay, burst) => {
  const queueUrl = await createAlertQueue(clientOf(elasticMq.url), newName("cloudflare"));
  const worker = await startWorker({
    bundle: join(lab.folder, "dist", "cloudflare", "cloudflare.js"),
    authorities,
    said: () => undefined,
    bindings: {
      ...settingsFor(relay, burst),
      HARDSTATE_QUEUE: `sqs:${queueUrl}`,
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
    },
  });
  // More often than Cloudflare runs it, so that sweeps are; runs that overlap do no harm.
  const run = () => void worker.cron().catch(() => undefined);
  run();
  const timer = setInterval(run, 10_000);
  return {
    url: worker.url,
    stop: async () => {
      clearInterval(timer);
      await worker.stop();
    },
  };
};

type Mail = { messageId: string; thread: string; text: string };
const header = (text: string, name: string): string =>
  new RegExp(`^${name}:((?:.*\r?\n[ \t])*.*)$`, "m").exec(text)?.[1]?.replace(/\s+/g, "") ?? "";

/** The mails without what depends on the moment at which a bridge decided, or on which of two contacts came first. */
const comparable = (contents: readonly string[]): Map<string, string> => {
  const mails: Mail[] = contents.map((text) => ({
    text,
    messageId: header(text, "Message-ID"),
    thread: header(text, "References"),
  }));
  const firstOf = new Map<string, string>();
  for (const { messageId, thread } of mails) {
    const first = firstOf.get(thread);
    if (first === undefined || messageId < first) firstOf.set(thread, messageId);
  }
  return new Map(
    mails.map(({ messageId, thread, text }) => [
      messageId,
      text
        .replaceAll(thread, `the thread of ${firstOf.get(thread)}`)
        .replace(/^Date: .*$/m, "Date: ")
        .replace(/^Thread-Index: .*$/m, "Thread-Index: ")
        .replace(/^X-Hardstate-Episode:\s+\w+$/m, "X-Hardstate-Episode: ")
        .replace(/^(Since|Lasted) .*$/gm, "$1"),
    ]),
  );
};

/** Sends all alerts through a bridge, moment by moment; its mails, and how the alerts ended. */
const through = async (start: Start) => {
  const relay = await scriptedRelay(tls);
  const bridge = await start(relay, "off");
  const headers = { Authorization: `Bearer ${token}` };
  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(bridge.url + path, { headers });
    return (await response.json()) as T;
  };
  const totals = async () => (await get<{ totals: Record<string, number> }>("/v1/journal?limit=1")).totals;
  let posted = 0;
  for (const moment of moments) {
    const { status } = await fetch(`${bridge.url}/v1/alerts`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify(moment),
    });
    expect(status).toBe(202);
    posted += moment.length;
    // An alert that waits for a host that never comes up again waits for good.
    await until(`the end of ${posted} alerts`, 150, async () => {
      const queue = await get<{ waiting: number; in_flight: number }>("/v1/queue");
      if (queue.waiting + queue.in_flight > 0 || ((await totals()).accepted ?? 0) < posted) return false;
      const { problems } = await get<{ problems: { waiting: { row: string }[] }[] }>(
        "/v1/problems?limit=500",
      );
      return problems.every(({ waiting }) => waiting.every(({ row }) => row === "R16"));
    });
  }
  const result = { mails: comparable(relay.contents), sent: relay.contents.length, totals: await totals() };
  await bridge.stop();
  await relay.close();
  return result;
};

describe(`${alerts} alerts of the corpus`, () => {
  type Result = ReturnType<typeof through>;
  let results: { node: Result; lambda: Result; worker: Result };
  // At once, for each waits most of its time.
  beforeAll(() => {
    results = { node: through(onNode), lambda: through(onLambda), worker: through(onCloudflare) };
    for (const result of Object.values(results)) result.catch(() => undefined);
  });

  it("make one mail for each that is mailed, with everything embedded in one process", async () => {
    const { sent, mails, totals } = await results.node;
    expect(moments.flat()).toHaveLength(alerts);
    expect(sent).toBe(mails.size);
    expect(sent).toBe(totals.mailed);
    expect(sent).toBeGreaterThan(alerts / 2);
  });

  const isThatOfOneProcess = async (result: Result) => {
    const [embedded, { sent, mails, totals }] = await Promise.all([results.node, result]);
    expect(totals).toEqual(embedded.totals);
    expect(sent).toBe(mails.size);
    expect(mails).toEqual(embedded.mails);
  };
  it("make the same mails, message for message, on Lambda with SQS and DynamoDB", async () => {
    await isThatOfOneProcess(results.lambda);
  });

  it("make the same mails, message for message, in a Worker with SQS and a Durable Object", async () => {
    await isThatOfOneProcess(results.worker);
  });
});

describe("a storm of 40 services", () => {
  it.concurrent.each<[string, Start]>([
    ["in one process", onNode],
    ["on Lambda", onLambda],
    ["in a Worker", onCloudflare],
  ])("is told once %s, by a few mails and digests, and so is its end", async (_, start) => {
    const relay = await scriptedRelay(tls);
    const bridge = await start(relay, "5/s");
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const services = Array.from({ length: 40 }, (_, n) => `S${n}`);
    for (const [type, state, count] of [
      ["PROBLEM", "CRITICAL", 40],
      ["RECOVERY", "OK", 80],
    ] as const) {
      const { status } = await fetch(`${bridge.url}/v1/alerts`, {
        method: "POST",
        headers,
        body: JSON.stringify(
          services.map((service) => ({
            ...posted({
              object: { host: "farm01", service },
              type,
              state,
              notification: { id: `${count}${service.slice(1)}` },
            }),
            recipients: [{ email: "ops@example.com" }],
          })),
        ),
      });
      expect(status).toBe(202);
      await until(`the end of ${count} alerts`, 150, async () => {
        const answer = await fetch(`${bridge.url}/v1/journal?limit=1`, { headers });
        const { totals } = (await answer.json()) as { totals: Record<string, number> };
        return totals.pending === 0 && (totals.accepted ?? 0) >= count;
      });
    }
    const mails = await Promise.all(relay.contents.map((content) => PostalMime.parse(content)));
    const told = mails.flatMap(({ subject = "", text = "" }) => {
      const [, type, service] = /^\[(PROBLEM|RECOVERY) \w+\] farm01\/(S\d+)$/.exec(subject) ?? [];
      if (type) return [`${type} ${service}`];
      return [...text.matchAll(/^ {2}(CRITICAL|recovered) +(S\d+)/gm)].map(
        ([, word, service]) => `${word === "CRITICAL" ? "PROBLEM" : "RECOVERY"} ${service}`,
      );
    });
    expect(told.toSorted()).toEqual(
      ["PROBLEM", "RECOVERY"].flatMap((type) => services.map((service) => `${type} ${service}`)).toSorted(),
    );
    expect(mails.some(({ subject }) => subject?.startsWith("[DIGEST]"))).toBe(true);
    expect(new Set(mails.map(({ messageId }) => messageId)).size).toBe(mails.length);
    await bridge.stop();
    await relay.close();
  });
});

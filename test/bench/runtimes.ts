import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { startFauxqs } from "fauxqs";
import { toMessage } from "../../functions/queue/message.ts";
import { buildAll } from "../../scripts/build.ts";
import { startWorker } from "../../scripts/workerd.ts";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { posted, queuedAlert } from "../world/alerts.ts";
import { lambdaFunction } from "../world/lambda/function.ts";
import { startFunctionUrl } from "../world/lambda/function-url.ts";
import { alternate, type Bench, median, mediansOf } from "./rounds.ts";

const token = randomBytes(24).toString("hex");

/** A sender that puts the body of a request on SQS, and does nothing else. */
const bareCode = (forWorkerd: boolean): string => `
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
let client;
const send = async (environment, MessageBody) => {
  client ??= new SQSClient({
    region: "us-east-1",
    endpoint: new URL(environment.QUEUE).origin,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });
  const id = crypto.randomUUID();
  await client.send(
    new SendMessageCommand({ QueueUrl: environment.QUEUE, MessageBody, MessageGroupId: id, MessageDeduplicationId: id }),
  );
};
${
  forWorkerd
    ? `export class LedgerObject {}
export default {
  fetch: async (request, environment) => {
    await send(environment, await request.text());
    return new Response("{}", { status: 202 });
  },
};`
    : `export const handler = async (event) => {
  await send(process.env, event.body);
  return { statusCode: 202, body: "{}" };
};`
}`;

/** Intake where nothing stays between two requests. */
export const bench: Bench = {
  summary: "one alert into SQS, in workerd and as a Lambda function, beside the AWS SDK alone",
  about:
    "Posts 100 alerts a round, one after the other, to the built Worker in workerd and to the built intake behind an " +
    "emulated Function URL, and to a function in the same place that hands its body to SQS by SendMessage and does " +
    "nothing else, with the message that ours makes. The SQS is fauxqs on loopback, in the process of the bench: a real " +
    "one takes longer, and then our share is less. At most 15 % of the time is to be ours: a ratio of 1/0.85.",
  run: async ({ rounds, quick }) => {
    const posts = quick ? 10 : 100;
    const folder = mkdtempSync(join(tmpdir(), "hardstate-bench-"));
    const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
    try {
      const built = await buildAll(folder);
      const pathOf = (name: string) => built.find((one) => one.name === name)?.path ?? "";
      const bareOf = async (forWorkerd: boolean): Promise<string> => {
        const place = join(folder, forWorkerd ? "bare-worker" : "bare-lambda");
        const outfile = join(place, forWorkerd ? "worker.js" : "index.mjs");
        await build({
          stdin: { contents: bareCode(forWorkerd), resolveDir: import.meta.dirname },
          outfile,
          bundle: true,
          minify: true,
          format: "esm",
          target: "node24",
          platform: forWorkerd ? "browser" : "node",
          external: ["node:*"],
          mainFields: forWorkerd ? ["browser", "module", "main"] : ["module", "main"],
          banner: forWorkerd
            ? {}
            : { js: 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);' },
        });
        return forWorkerd ? outfile : place;
      };
      const sqs = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
      ends.push(() => sqs.stop());
      const origin = `http://127.0.0.1:${sqs.port}`;
      // fauxqs names a host that no URL can have.
      const queue = (await createAlertQueue(clientOf(origin), "bench")).replace(
        /^.*?(?=\/\d+\/[^/]+$)/,
        origin,
      );
      const settings = {
        HARDSTATE_TOKENS: `site=${token}`,
        HARDSTATE_QUEUE: `sqs:${queue}`,
        HARDSTATE_FROM: "nagios@example.com",
        HARDSTATE_RECIPIENTS: "example.com",
      };
      const keys = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" };

      const worker = async (bundle: string, bindings: Record<string, string>): Promise<string> => {
        const { url, stop } = await startWorker({ bundle, bindings, said: () => undefined });
        ends.push(stop);
        return url;
      };
      const lambda = async (place: string, environment: Record<string, string>): Promise<string> => {
        const running = lambdaFunction({
          folder: place,
          handler: "index.handler",
          timeoutSeconds: 30,
          concurrency: 1,
          environment,
        });
        const front = await startFunctionUrl(running);
        ends.push(async () => {
          await front.stop();
          await running.stop();
        });
        return front.url;
      };
      const urls = {
        worker: await worker(pathOf("cloudflare"), {
          ...settings,
          ...keys,
          HARDSTATE_RELAYS: "smtp://user:password@127.0.0.1:2525",
        }),
        bareWorker: await worker(await bareOf(true), { QUEUE: queue }),
        lambda: await lambda(join(folder, "lambda-intake"), {
          ...settings,
          HARDSTATE_LEDGER: "dynamodb:none",
        }),
        bareLambda: await lambda(await bareOf(false), { QUEUE: queue }),
      };

      let count = 0;
      const alert = () => {
        const id = `bench-${String(count++).padStart(6, "0")}`;
        const object = { host: "farm01", service: id };
        return { id, object, recipients: [{ name: "oncall", email: "oncall@example.com" }] };
      };
      const series = (name: keyof typeof urls) => async () => {
        const times: number[] = [];
        const { id, object } = alert();
        const message = toMessage(queuedAlert({ id, contact: "oncall@example.com" }, { object })).body;
        for (let post = 0; post < posts; post++) {
          const body = name.startsWith("bare") ? message : JSON.stringify(posted(alert()));
          const began = performance.now();
          const answer = await fetch(`${urls[name]}/v1/alerts`, {
            method: "POST",
            body,
            headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
            signal: AbortSignal.timeout(30_000),
          });
          const text = await answer.text();
          if (answer.status !== 202) throw new Error(`${name} answers ${answer.status}: ${text}`);
          times.push(performance.now() - began);
        }
        return median(times);
      };
      // Code that is compiled and started at the first posts is paid once.
      for (const name of Object.keys(urls) as (keyof typeof urls)[]) await series(name)();
      const medians = mediansOf(
        await alternate(rounds, {
          worker: series("worker"),
          bareWorker: series("bareWorker"),
          lambda: series("lambda"),
          bareLambda: series("bareLambda"),
        }),
      );
      const unit = "ms";
      const target = { atMost: 1.176 };
      return [
        {
          what: "one alert through the Worker, p50",
          ours: medians.worker,
          unit,
          beside: { name: "SendMessage in workerd", value: medians.bareWorker },
          target,
        },
        {
          what: "one alert through the Lambda function, p50",
          ours: medians.lambda,
          unit,
          beside: { name: "SendMessage as a function", value: medians.bareLambda },
          target,
        },
      ];
    } finally {
      for (const end of ends.toReversed()) await end();
    }
  },
};

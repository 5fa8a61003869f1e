import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { CreateQueueCommand, GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { startFauxqs } from "fauxqs";
import { nodeAlone, readSettings } from "../functions/config.ts";
import { sqsClient } from "../functions/queue/sqs.ts";
import { asText, complain, say } from "../functions/report/log.ts";
import { capturingRelay, trialToken } from "../functions/runtime/trial.ts";
import { buildForCloudflare } from "./build.ts";
import { startWorker } from "./workerd.ts";

// The Worker as wrangler builds it, in workerd on this machine, with an SQS and a relay that are here too. Settings of the
// environment are the Worker's.
const state = process.env.HARDSTATE_STATE || ".hardstate/worker";
const port = Number(process.env.HARDSTATE_PORT || 8787);
const clock = () => Date.now();
const given = Object.entries(process.env).filter(
  ([name]) => name.startsWith("HARDSTATE_") && !nodeAlone.includes(name),
);

const startQueue = async () => {
  // Accepted alerts outlive a restart, as with SQS.
  const dataDir = join(state, "queue");
  const server = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false, dataDir });
  const origin = `http://127.0.0.1:${server.port}`;
  const client = sqsClient(origin, "us-east-1", { accessKeyId: "dev", secretAccessKey: "dev" });
  const create = async (name: string, more: Record<string, string> = {}): Promise<string> => {
    const Attributes = { FifoQueue: "true", ...more };
    const { QueueUrl = "" } = await client.send(
      new CreateQueueCommand({ QueueName: `${name}.fifo`, Attributes }),
    );
    // fauxqs names a host that no URL can have.
    return origin + QueueUrl.replace(/^.*?(?=\/\d+\/[^/]+$)/, "");
  };
  const { Attributes } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: await create("dead"), AttributeNames: ["QueueArn"] }),
  );
  const redrive = { deadLetterTargetArn: Attributes?.QueueArn, maxReceiveCount: 1000 };
  return {
    url: await create("alerts", { RedrivePolicy: JSON.stringify(redrive) }),
    stop: () => server.stop(),
  };
};

say("Building the Worker …");
mkdirSync(state, { recursive: true, mode: 0o700 });
const { path: bundle } = await buildForCloudflare(join(state, "build"));
const token = await trialToken(state);
const relay = await capturingRelay(state, clock, (event) => say(asText(event, clock())));
const authorities = join(state, "authorities.pem");
writeFileSync(authorities, relay.certificate);
const queue = await startQueue();
const bindings: Record<string, string> = {
  HARDSTATE_TOKENS: `dev=${token}`,
  HARDSTATE_RELAYS: `smtp://${relay.user}:${relay.password}@localhost:${relay.port}`,
  HARDSTATE_FROM: "Hardstate <hardstate@example.com>",
  HARDSTATE_RECIPIENTS: "example.com",
  HARDSTATE_QUEUE: `sqs:${queue.url}`,
  AWS_ACCESS_KEY_ID: "dev",
  AWS_SECRET_ACCESS_KEY: "dev",
  ...Object.fromEntries(given),
};
const reading = readSettings(bindings, "cloudflare");
if (!reading.ok) {
  complain("The Worker cannot start. These settings are wrong:\n");
  for (const { field, expected } of reading.faults) complain(`  ${field} needs ${expected}`);
  process.exit(2);
}
const worker = await startWorker({
  bundle,
  authorities,
  port,
  state,
  // A warning of workerd about an option that it does not need.
  said: (line) => line !== "" && !line.startsWith("NOSENTRY") && say(line),
  bindings,
}).catch((error: Error) => {
  complain(`The Worker cannot start (${error.message}). Is port ${port} in use? Set HARDSTATE_PORT.`);
  process.exit(3);
});
say(`
The Worker listens on ${worker.url}; every mail stays in ${state}/mail. From another terminal:

  curl -H "Authorization: Bearer $(cat ${state}/token)" ${worker.url}/v1/alerts --data-urlencode NOTIFICATIONTYPE=PROBLEM --data-urlencode HOSTNAME=web01 --data-urlencode SERVICEDESC=HTTP --data-urlencode SERVICESTATE=CRITICAL --data-urlencode "SERVICEOUTPUT=Socket timeout" --data-urlencode CONTACTEMAIL=you@example.com --data-urlencode "TIMET=$(date +%s)"

Ctrl-C ends it.
`);

let ending = false;
for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, async () => {
    ending = true;
    await worker.stop();
    await relay.close();
    await queue.stop();
    process.exit(0);
  });
// On Cloudflare each minute; here one run follows the other.
while (!ending)
  await worker.cron().catch(async (error: Error) => {
    if (ending) return;
    complain(error.message);
    await setTimeout(1000);
  });

import { defaultPolicy } from "../../functions/decide/policy.ts";
import { relays } from "../../functions/deliver/routes.ts";
import type { Transport } from "../../functions/deliver/transport.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { pipeline } from "../../functions/pipeline/pipeline.ts";
import { toMessage } from "../../functions/queue/message.ts";
import { queuedAlert } from "../world/alerts.ts";

// A worker process of its own: node writer.ts LEDGER NAME COUNT. It takes COUNT alerts of one object, each for another
// contact, through the pipeline, and prints the contacts whose mail was taken, a line for each.
const [, , path = "", name = "", count = "0"] = process.argv;
const ledger = sqliteLedger(path);
const clock = () => Date.now();
const route = "smtp://relay";
const transport: Transport = {
  route,
  send: async ({ envelope: { to } }) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    process.stdout.write(`${to}\n`);
    return { result: "accepted", reply: "250 Ok", code: 250, durationMilliseconds: 1 };
  },
};
const handle = pipeline({
  ledger,
  queue: { send: async (messages) => messages.map(() => true) },
  handOver: relays({ routes: [{ relay: { route, connections: 3 }, transport }], states: ledger, clock }),
  operators: [],
  sender: { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" },
  policy: defaultPolicy,
  giveUpAfterSeconds: 3600,
  clock,
  report: () => undefined,
});
for (let n = 0; n < Number(count); n++) {
  const queued = queuedAlert({
    id: `alert-${name}-${n}`,
    contact: `${name}${n}@example.com`,
    receivedAt: Date.now(),
  });
  const message = {
    ...toMessage(queued),
    receipt: "1",
    receiveCount: 1,
    visibleAgainAt: Date.now() + 400_000,
  };
  const disposition = await handle(message);
  if (disposition.message !== "remove") throw new Error(JSON.stringify(disposition));
}

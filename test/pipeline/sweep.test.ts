import { expect, it } from "vitest";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import type { Change } from "../../functions/ledger/ledger.ts";
import { hold } from "../../functions/ledger/page.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import type { OutgoingMessage } from "../../functions/queue/message.ts";
import { queuedAlert } from "../world/alerts.ts";

it("hands all over that is due, though workers meanwhile change what it has just put on the queue", async () => {
  const ledger = sqliteLedger(":memory:");
  const ids = Array.from({ length: 250 }, (_, n) => `alert-${String(n).padStart(4, "0")}`);
  for (const id of ids) {
    const queued = queuedAlert(
      { id, receivedAt: 1000 },
      { object: { host: "web01", service: id }, degraded: true },
    );
    const page = await ledger.read(queued);
    const verdict = decide(page, queued, defaultPolicy, 1000);
    if (verdict.action !== "hold") throw new Error("not to be held");
    await hold(ledger, page, queued, verdict, 1000);
  }
  const handed = new Set<string>();
  const queue = {
    send: async (messages: readonly OutgoingMessage[]) => {
      for (const { body } of messages) handed.add(JSON.parse(body).id);
      return messages.map(() => true);
    },
  };
  let writes = 0;
  // A worker was first at one entry of each page.
  const contested = {
    ...ledger,
    write: async (change: Change) => {
      if (writes++ % 100 === 0) await ledger.write(change);
      return ledger.write(change);
    },
  };
  await sweep({ ledger: contested, queue, operators: [], report: () => undefined }, 1_000_000);
  expect([...handed].sort()).toEqual(ids);
  expect(await ledger.due(1_000_000, 100)).toEqual([]);
  ledger.close();
});

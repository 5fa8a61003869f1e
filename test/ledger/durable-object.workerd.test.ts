import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import { durableObjectLedger, type LedgerStub } from "../../functions/ledger/durable-object.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { claim, hold, settle } from "../../functions/ledger/page.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { queuedAlert } from "../world/alerts.ts";
import { contract } from "./contract.ts";

const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<LedgerStub> };

let count = 0;
contract("durable object", async () => {
  const name = `ledger-${count++}`;
  const reopen = () => durableObjectLedger(() => LEDGER.getByName(name));
  const ledger = reopen();
  return { ledger, reopen, forget: (before) => ledger.prune(before, 10) };
});

it("notes once what came of a mail, though the object was away, and its answer was lost", async () => {
  const real = () => LEDGER.getByName("away");
  const away = Object.assign(new Error("reset because its code was updated"), { durableObjectReset: true });
  const faults: ("before" | "after")[] = [];
  const stub = (): LedgerStub => ({
    call: <Name extends keyof Ledger>(name: Name, ...values: Parameters<Ledger[Name]>) => {
      const fault = name === "write" ? faults.shift() : undefined;
      const answer = async () => {
        if (fault === "before") throw away;
        const given = await real().call(name, ...values);
        if (fault === "after") throw away;
        return given;
      };
      return answer() as ReturnType<Ledger[Name]>;
    },
  });
  let waits = 0;
  const ledger = durableObjectLedger(stub, async () => void waits++);
  const queued = queuedAlert();
  const page = await ledger.read(queued);
  const verdict = decide(page, queued, defaultPolicy, 1000);
  if (verdict.action !== "send") throw new Error("not to be sent");
  const handOut = { visibleAgainAt: 60_000, receiveCount: 1 };
  const mine = await claim(ledger, page, verdict, "<m@example.com>", 1000, handOut);
  if (!mine) throw new Error("not claimed");
  const outcome = { result: "accepted", reply: "250 2.0.0 Ok", code: 250, durationMilliseconds: 5 } as const;
  const handover = { attempts: [{ at: 1500, route: "smtp://relay", outcome }] };
  faults.push("before", "before", "after");
  const ending = { at: 2000, as: "mailed", reason: "250 2.0.0 Ok" } as const;
  expect(await settle(ledger, queued, mine, handover, ending, (entry) => entry)).toEqual(ending);
  expect(waits).toBe(3);
  expect(await ledger.story("site", queued.id)).toMatchObject({ ending, attempts: handover.attempts });
  faults.push("before");
  await expect(claim(ledger, await ledger.read(queued), verdict, "<m@x>", 1, handOut)).rejects.toThrow(
    "reset",
  );
});

it("lists all that waits, and hands over all that is due, though one answer of the object could not hold it", async () => {
  const ledger = durableObjectLedger(() => LEDGER.getByName("much"));
  // 40 MB: of one object for many contacts, and of many objects.
  const alerts = Array.from({ length: 300 }, (_, n) =>
    queuedAlert(
      { id: `alert-${String(n).padStart(4, "0")}`, contact: `contact${n}@example.com`, receivedAt: 1000 },
      {
        object: { host: "web01", service: `S${Math.max(0, n - 150)}` },
        degraded: true,
        long_output: "x".repeat(65_000),
        perfdata: "x".repeat(16_000),
        custom: Object.fromEntries(Array.from({ length: 60 }, (_, c) => [`C${c}`, "x".repeat(900)])),
      },
    ),
  );
  for (const queued of alerts) {
    const page = await ledger.read(queued);
    const verdict = decide(page, queued, defaultPolicy, 1000);
    if (verdict.action !== "hold") throw new Error("not to be held");
    expect(await hold(ledger, page, queued, verdict, 1000)).toBe(true);
  }
  expect((await ledger.journal({ site: "site", limit: 500 })).items).toHaveLength(alerts.length);
  const handed: string[] = [];
  const queue = {
    send: async (messages: readonly { body: string }[]) => {
      handed.push(...messages.map(({ body }) => JSON.parse(body).id));
      return messages.map(() => true);
    },
  };
  const count = await sweep({ ledger, queue, operators: [], report: () => undefined }, 1_000_000);
  expect(count).toBe(alerts.length);
  expect(handed.sort()).toEqual(alerts.map(({ id }) => id));
  expect(await ledger.due(1_000_000, 100)).toEqual([]);
});

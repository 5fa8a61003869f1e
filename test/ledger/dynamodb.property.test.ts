import { type DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Verdict } from "../../functions/decide/case.ts";
import { type Entry, told } from "../../functions/decide/entry.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import { dynamodbLedger } from "../../functions/ledger/dynamodb.ts";
import type { Ledger, Page } from "../../functions/ledger/ledger.ts";
import { claim, drop, hold, holdUnsent, release, settle, settleUnsent } from "../../functions/ledger/page.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import type { QueuedAlert } from "../../functions/queue/message.ts";
import { queuedAlert } from "../world/alerts.ts";
import { type Judge, startDynalite } from "../world/judges.ts";
import { clientOf, createTable } from "./table.ts";

// Whatever three workers do to two objects, and wherever each of them dies: what DynamoDB holds is what SQLite does.

let server: Judge;
let client: DynamoDBClient;
beforeAll(async () => {
  server = await startDynalite();
  client = clientOf(server.url);
});
afterAll(() => server.stop());

/** The results of a step's requests: one is the last that leaves, but for some beside it; or an answer is lost. */
type Fate = { dies?: number; beside: number; loses?: number };
const fate: fc.Arbitrary<Fate> = fc.record({
  dies: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined, freq: 2 }),
  beside: fc.nat(255),
  loses: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined, freq: 2 }),
});

/** A client with this fate; `ended` once nothing is under way any more. */
const doomed = ({ dies = 100, beside, loses = 100 }: Fate) => {
  const mortal = clientOf(server.url);
  const under = new Set<Promise<unknown>>();
  let [begun, answered] = [0, 0];
  mortal.middlewareStack.add(
    (next) => async (args) => {
      const index = begun++;
      if (index >= dies && (index - dies > 7 || (beside & (1 << (index - dies))) === 0))
        throw new Error("killed");
      const request = next(args);
      under.add(request);
      return request;
    },
    { step: "initialize" },
  );
  mortal.middlewareStack.add(
    (next) => async (args) => {
      const answer = await next(args);
      if (answered++ === loses) throw Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
      return answer;
    },
    { step: "deserialize", priority: "low" },
  );
  return { mortal, ended: () => Promise.allSettled(under) };
};

const start = 100_000_000;
type Action =
  | { do: "read"; worker: number; alert: QueuedAlert }
  | { do: "act"; worker: number; mail: "mailed" | "deferred" | "lost" | "refused" | "held"; fate: Fate }
  | { do: "sweep"; fate: Fate }
  | { do: "pass"; seconds: number };
const alert = fc
  .record({
    type: fc.constantFrom("PROBLEM", "PROBLEM", "RECOVERY", "ACKNOWLEDGEMENT"),
    service: fc.constantFrom("HTTP", null),
    contact: fc.constantFrom("alice", "bob"),
    monitor: fc.constantFrom("A", "A", "B"),
    number: fc.integer({ min: 1, max: 2 }),
    run: fc.integer({ min: 1, max: 2 }),
    degraded: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  })
  .map(({ type, service, contact, monitor, number, run, degraded }) => {
    const over = type === "RECOVERY";
    const bad = service ? "CRITICAL" : "DOWN";
    return queuedAlert(
      {
        id: [type, service, contact, monitor, number, run, degraded].join("."),
        contact: `${contact}@example.com`,
        receivedAt: start + number * 1000,
      },
      {
        type,
        degraded,
        state: over ? (service ? "OK" : "UP") : bad,
        object: { host: "web01", service },
        monitor: { id: monitor },
        notification: { id: String(2 * number + (over ? 1 : 0)), number: over ? 0 : 1 },
        time: start / 1000 + 2 * number + (over ? 1 : 0),
      },
    );
  });
const worker = fc.nat(2);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("read" as const), worker, alert }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("act" as const),
      worker,
      mail: fc.constantFrom("mailed" as const, "mailed", "deferred", "lost", "refused", "held"),
      fate,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("sweep" as const), fate }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("pass" as const), seconds: fc.constantFrom(1, 40, 700) }),
  },
);

/** The message that a worker has in hand: the page as each ledger gave it. */
type Hand = { queued: QueuedAlert; pages: { dynamodb: Page; sqlite: Page }; sending?: Verdict };
type Step = (ledger: Ledger, which: "dynamodb" | "sqlite") => Promise<unknown>;

const attemptOf = (mail: string, at: number) => ({
  at,
  route: "smtp://relay:25",
  outcome:
    mail === "mailed"
      ? { result: "accepted" as const, reply: "250 ok", durationMilliseconds: 1 }
      : {
          result: mail === "refused" ? ("refused" as const) : ("deferred" as const),
          lostAfterData: mail === "lost",
          step: "data" as const,
          reply: "no",
          durationMilliseconds: 1,
        },
});

const finish =
  (hand: Hand, verdict: Verdict & { action: "send" }, mail: string, now: number): Step =>
  async (ledger, which) => {
    const [queued, page] = [hand.queued, hand.pages[which]];
    const handover = { attempts: [attemptOf(mail, now)] } as Parameters<typeof settle>[3];
    if (mail === "mailed" || mail === "refused")
      return settle(ledger, queued, page, handover, { at: now, as: mail, reason: mail }, (entry) =>
        mail === "mailed" ? told(entry, verdict.kind, queued, verdict.episode?.id, now) : entry,
      );
    if (mail === "held") return holdUnsent(ledger, queued, page, handover, now + 30_000, now);
    return release(ledger, queued, page, handover, now);
  };

const decided =
  (hand: Hand, verdict: Verdict, now: number): Step =>
  (ledger, which) => {
    const page = hand.pages[which];
    if (page.record.ending) return drop(ledger, page);
    if (verdict.action === "send")
      return claim(ledger, page, verdict, "<m@example.com>", now, {
        visibleAgainAt: now + 60_000,
        receiveCount: 1,
      });
    if (verdict.action === "hold") return hold(ledger, page, hand.queued, verdict, now);
    return settleUnsent(ledger, page, verdict, now);
  };

const handedOver = (entry: Entry, now: number): Entry => ({
  ...entry,
  held: Object.fromEntries(
    Object.entries(entry.held).map(([id, held]) => [id, held.due <= now ? { ...held, queued: true } : held]),
  ),
});

/** Alerts that are due at once have no order. */
const dueOf = async (ledger: Ledger, now: number) =>
  (await ledger.due(now, 100)).sort((a, b) => a.key.localeCompare(b.key));

let count = 0;
const play = async (actions: readonly Action[]) => {
  const table = `history-${count++}`;
  await createTable(client, table);
  const sqlite = sqliteLedger(":memory:");
  const dynamodb = dynamodbLedger(client, table);
  const hands = new Map<number, Hand>();
  const met = new Map<string, QueuedAlert>();
  let now = start;

  const revisionOf = async (key: string) => {
    const Key = { pk: { S: key }, sk: { S: "entry" } };
    const { Item } = await client.send(new GetItemCommand({ TableName: table, Key, ConsistentRead: true }));
    return Item?.revision?.N;
  };
  /** Does one step in both; in SQLite only if DynamoDB's entry has it. The answers of both, or that the worker died. */
  const both = async (key: string, fated: Fate, step: Step) => {
    const before = await revisionOf(key);
    const { mortal, ended } = doomed(fated);
    const said = await step(dynamodbLedger(mortal, table), "dynamodb").then(
      (value) => ({ value }),
      (error: Error) => {
        if (error.message !== "killed") throw error;
        return undefined;
      },
    );
    await ended();
    mortal.destroy();
    if (!said && (await revisionOf(key)) === before) return undefined;
    const value = await step(sqlite, "sqlite");
    if (said) expect(said.value).toEqual(value);
    return said && { dynamodb: said.value, sqlite: value };
  };

  for (const action of actions) {
    now += 10;
    if (action.do === "pass") now += action.seconds * 1000;
    if (action.do === "read") {
      const queued = action.alert;
      met.set(queued.id, queued);
      const pages = { dynamodb: await dynamodb.read(queued), sqlite: await sqlite.read(queued) };
      expect(pages.dynamodb).toEqual(pages.sqlite);
      hands.set(action.worker, { queued, pages });
    }
    const hand = action.do === "act" && hands.get(action.worker);
    if (hand && action.do === "act") {
      hands.delete(action.worker);
      const { key } = hand.pages.sqlite;
      if (hand.sending?.action === "send") {
        await both(key, action.fate, finish(hand, hand.sending, action.mail, now));
        continue;
      }
      const verdict = decide(hand.pages.sqlite, hand.queued, defaultPolicy, now);
      const said = await both(key, action.fate, decided(hand, verdict, now));
      if (said?.dynamodb && verdict.action === "send" && !hand.pages.sqlite.record.ending)
        hands.set(action.worker, {
          queued: hand.queued,
          pages: said as Hand["pages"],
          sending: verdict,
        });
    }
    if (action.do === "sweep") {
      const [due, model] = [await dueOf(dynamodb, now), await dueOf(sqlite, now)];
      expect(due).toEqual(model);
      for (const { key, entry } of due)
        await both(key, action.fate, (ledger) =>
          ledger.write({ key, entry: handedOver(entry, now), records: [] }),
        );
    }
  }
  // The worker that gets a dead worker's message reads its object first.
  for (const queued of met.values()) expect(await dynamodb.read(queued)).toEqual(await sqlite.read(queued));
  for (const { id } of met.values())
    expect(await dynamodb.story("site", id)).toEqual(await sqlite.story("site", id));
  const listed = (ledger: Ledger) =>
    Promise.all([
      ledger.journal({ site: "site", limit: 100 }),
      ledger.problems({ site: "site", limit: 100 }),
      ledger.totals("site"),
      dueOf(ledger, now + 86_400_000),
    ]);
  expect(await listed(dynamodb)).toEqual(await listed(sqlite));
  sqlite.close();
};

it("holds what SQLite holds, whoever dies at whichever request and whatever answer is lost", async () => {
  await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 20, maxLength: 60 }), play), {
    numRuns: 16,
  });
});

import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Verdict } from "../../functions/decide/case.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import { newRoute } from "../../functions/deliver/breaker.ts";
import { dynamodbLedger } from "../../functions/ledger/dynamodb.ts";
import type { Ledger, Page } from "../../functions/ledger/ledger.ts";
import { claim, hold, settle, settleUnsent } from "../../functions/ledger/page.ts";
import type { QueuedAlert } from "../../functions/queue/message.ts";
import { queuedAlert } from "../world/alerts.ts";
import { type Judge, startDynalite } from "../world/judges.ts";
import { contract } from "./contract.ts";
import { clientOf, createTable, expire } from "./table.ts";

let server: Judge;
let client: DynamoDBClient;
beforeAll(async () => {
  server = await startDynalite();
  client = clientOf(server.url);
});
afterAll(() => server.stop());

let count = 0;
const newTable = async () => {
  const table = `ledger-${count++}`;
  await createTable(client, table);
  return table;
};
contract("dynamodb", async () => {
  const table = await newTable();
  return {
    ledger: dynamodbLedger(client, table),
    reopen: () => dynamodbLedger(client, table),
    forget: (before) => expire(client, table, before),
  };
});

type Input = { Key?: { sk?: { S?: string } } };
/** A client to whose commands something happens: before they leave, or to their answers. */
const disturbed = (
  step: "initialize" | "deserialize",
  happens: (command: string, sk: string | undefined, next: () => Promise<unknown>) => Promise<unknown>,
) => {
  const disturbed = clientOf(server.url);
  let of = new WeakMap<object, Input>();
  disturbed.middlewareStack.add(
    (next, context) => async (args) => {
      of = of.set(context, args.input as Input);
      return next(args);
    },
    { step: "initialize", priority: "high" },
  );
  const around =
    (next: (args: never) => Promise<unknown>, context: { commandName?: string }) => (args: never) =>
      happens(context.commandName ?? "", of.get(context)?.Key?.sk?.S, () => next(args));
  disturbed.middlewareStack.add(around as never, { step: step as "initialize", priority: "low" });
  return disturbed;
};
const reset = () => Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });

describe("a DynamoDB that", () => {
  const handOut = { visibleAgainAt: 60_000, receiveCount: 1 };
  const decided = (page: Page, queued: QueuedAlert) => decide(page, queued, defaultPolicy, 1000);
  const claimOn = async (ledger: Ledger, queued: QueuedAlert) => {
    const page = await ledger.read(queued);
    const verdict = decided(page, queued);
    if (verdict.action !== "send") throw new Error(`not to be sent: ${verdict.reason}`);
    return claim(ledger, page, verdict, "<m@example.com>", 1000, handOut);
  };
  let table: string;
  let ledger: Ledger;
  beforeEach(async () => {
    table = await newTable();
    ledger = dynamodbLedger(client, table);
  });
  /** A ledger whose process dies after the entry was written and before its records are. */
  const dying = () =>
    dynamodbLedger(
      disturbed("initialize", async (command, sk, next) => {
        if (command === "UpdateItemCommand" && sk === "record") throw new Error("killed");
        return next();
      }),
      table,
    );

  it("was left between an entry and its records has them when the alert comes again", async () => {
    const queued = queuedAlert();
    await expect(claimOn(dying(), queued)).rejects.toThrow("killed");
    expect(await ledger.story(queued.site, queued.id)).toBeUndefined();
    const page = await ledger.read(queued);
    expect(page.entry.revision).toBe(1);
    expect(page.record).toMatchObject({ claim: { attempt: 1 }, messageId: "<m@example.com>" });
    expect(await ledger.totals("site")).toMatchObject({ pending: 1 });
  });

  it("was left between an entry and its records has them when another alert of the object comes", async () => {
    const [first, second] = [queuedAlert(), queuedAlert({ id: "alert-of-bob", contact: "bob@example.com" })];
    await expect(claimOn(dying(), first)).rejects.toThrow("killed");
    await claimOn(ledger, second);
    expect(await ledger.story("site", first.id)).toMatchObject({ claim: { attempt: 1 } });
    expect((await ledger.read(first)).record.claim).toBeDefined();
  });

  it("was left between an entry and its records still knows a second run of the same event", async () => {
    await expect(claimOn(dying(), queuedAlert({ id: "the-first-one" }))).rejects.toThrow("killed");
    expect((await ledger.read(queuedAlert({ id: "second-run" }))).twin).toBe("the-first-one");
  });

  it("was left between an entry and what it holds gives it when it is due", async () => {
    const queued = queuedAlert({ id: "alert-held" }, { degraded: true });
    const doomed = dying();
    const page = await doomed.read(queued);
    const verdict = decided(page, queued);
    if (verdict.action !== "hold") throw new Error("not to be held");
    await expect(hold(doomed, page, queued, verdict, 1000)).rejects.toThrow("killed");
    expect((await ledger.due(verdict.due, 10)).map(({ alerts }) => alerts)).toEqual([
      [{ queued, due: verdict.due }],
    ]);
  });

  it("loses the answer to a write still gives the claim to whoever wrote it", async () => {
    let lost = 0;
    const unlucky = disturbed("deserialize", async (command, sk, next) => {
      const answer = await next();
      if (command === "UpdateItemCommand" && sk === "entry" && lost++ === 0) throw reset();
      return answer;
    });
    expect(await claimOn(dynamodbLedger(unlucky, table), queuedAlert())).toBeDefined();
    expect(lost).toBe(2);
    expect((await ledger.read(queuedAlert())).entry.revision).toBe(1);
  });

  it("loses the answer to a write, and another worker writes next, still tells who wrote what", async () => {
    let lost = false;
    const unlucky = disturbed("deserialize", async (command, sk, next) => {
      const answer = await next();
      if (command !== "UpdateItemCommand" || sk !== "entry" || lost) return answer;
      lost = true;
      await claimOn(ledger, queuedAlert({ id: "alert-of-bob", contact: "bob@example.com" }));
      throw reset();
    });
    expect(await claimOn(dynamodbLedger(unlucky, table), queuedAlert())).toBeDefined();
    expect(lost).toBe(true);
    expect((await ledger.read(queuedAlert())).entry.revision).toBe(2);
    expect(await ledger.totals("site")).toMatchObject({ pending: 2 });
  });

  it("loses the answer to a write of a route's state counts its failure once", async () => {
    let lost = false;
    const unlucky = disturbed("deserialize", async (command, _, next) => {
      const answer = await next();
      if (command !== "UpdateItemCommand" || lost) return answer;
      lost = true;
      throw reset();
    });
    const state = { ...newRoute("smtp://relay:25"), failures: 1 };
    expect(await dynamodbLedger(unlucky, table).writeRoute(state)).toBe(true);
    expect(lost).toBe(true);
    expect(await ledger.writeRoute(state)).toBe(false);
  });

  it("reads only some of a batch is asked for the rest", async () => {
    await claimOn(ledger, queuedAlert());
    let batches = 0;
    const slow = disturbed("initialize", async (command, _, next) => {
      const answer = (await next()) as {
        output: { Responses: Record<string, unknown[]>; UnprocessedKeys: object };
      };
      if (command !== "BatchGetItemCommand" || batches++ > 0) return answer;
      const unread = (answer.output.Responses[table] ?? []).map((item) => {
        const { pk, sk } = item as Record<string, unknown>;
        return { pk, sk };
      });
      answer.output = { Responses: {}, UnprocessedKeys: { [table]: { Keys: unread } } };
      return answer;
    });
    expect(await dynamodbLedger(slow, table).read(queuedAlert())).toEqual(await ledger.read(queuedAlert()));
    expect(batches).toBe(2);
  });

  it("reads no more than 1 MB of a partition at once is asked until all is read", async () => {
    const queued = queuedAlert();
    const page = await ledger.read(queued);
    const made = Array.from({ length: 40 }, (_, index) => ({
      ...queued,
      id: `made-${String(index).padStart(4, "0")}`,
      made: { row: "R27" as const, episode: "e" },
    }));
    const verdict = { ...decided(page, queued), action: "suppress", row: "R3", made } as Verdict;
    await settleUnsent(ledger, page, verdict, 2000);
    const small = disturbed("initialize", async (command, _, next) => {
      const answer = (await next()) as {
        output: { Responses: Record<string, Record<string, unknown>[]>; UnprocessedKeys: object };
      };
      if (command !== "BatchGetItemCommand") return answer;
      const items = answer.output.Responses[table] ?? [];
      const Keys = items.slice(3).map(({ pk, sk }) => ({ pk, sk }));
      answer.output = {
        Responses: { [table]: items.slice(0, 3) },
        UnprocessedKeys: Keys.length > 0 ? { [table]: { Keys } } : {},
      };
      return answer;
    });
    expect(await dynamodbLedger(small, table).read(queued)).toEqual(await ledger.read(queued));
  });

  it("has room for a mail that was tried a thousand times before it was taken", async () => {
    const queued = queuedAlert();
    const page = await claimOn(ledger, queued);
    if (!page) throw new Error("not claimed");
    const reply = `421 4.7.0 Try again later, closing connection. ${"(see the status page) ".repeat(20)}`;
    const attempts = Array.from({ length: 1000 }, (_, index) => ({
      at: 1000 + index,
      route: "smtp://mail.example.com:587",
      outcome: {
        result: "deferred" as const,
        lostAfterData: false,
        step: "connect" as const,
        reply,
        durationMilliseconds: index,
      },
    }));
    const ending = { at: 3000, as: "mailed" as const, reason: "250 OK" };
    await settle(ledger, queued, page, { attempts }, ending, (entry) => entry);
    const kept = (await ledger.story("site", queued.id))?.attempts;
    expect(kept).toHaveLength(200);
    expect(kept?.at(-1)).toEqual(attempts.at(-1));
    expect(await ledger.totals("site")).toMatchObject({ mailed: 1, pending: 0 });
    expect((await ledger.read(queued)).record.ending).toEqual(ending);
    expect((await ledger.journal({ site: "site", limit: 1 })).items).toHaveLength(1);
  });

  it("has a long journal of an object tells in a few requests that a contact is not in it", async () => {
    const queued = queuedAlert();
    const page = await ledger.read(queued);
    const made = Array.from({ length: 40 }, (_, index) => ({
      ...queued,
      id: `made-${String(index).padStart(4, "0")}`,
      made: { row: "R27" as const, episode: "e" },
    }));
    const verdict = { ...decided(page, queued), action: "suppress", row: "R3", made } as Verdict;
    await settleUnsent(ledger, page, verdict, 2000);
    let requests = 0;
    const counting = disturbed("initialize", async (_command, _sk, next) => {
      requests += 1;
      return next();
    });
    const query = { site: "site", object: "web01/HTTP", contact: "nobody@example.com", limit: 1 };
    expect(await dynamodbLedger(counting, table).journal(query)).toEqual({ items: [] });
    expect(requests).toBeLessThan(5);
  });

  it("has too many alerts to count tells how far, and from when on, it has counted them", async () => {
    const hour = 3_600_000;
    const end = async (id: string, receivedAt: number, made: QueuedAlert[] = []) => {
      const queued = queuedAlert({ id, receivedAt });
      const page = await ledger.read(queued);
      const verdict = { ...decided(page, queued), action: "suppress", row: "R3", made } as Verdict;
      expect(await settleUnsent(ledger, page, verdict, receivedAt)).toBe(true);
    };
    const many = Array.from({ length: 41 }, (_, index) => ({
      ...queuedAlert({ id: `made-${String(index).padStart(4, "0")}`, receivedAt: 3 * hour }),
      made: { row: "R27" as const, episode: "e" },
    }));
    await end("alert-0001", 3 * hour, many);
    for (const id of ["alert-0002", "alert-0003"]) await end(id, 4 * hour);
    // Pages of two keys where it asks for 2,500.
    const small = clientOf(server.url);
    small.middlewareStack.add(
      (next) => (args) => {
        const input = args.input as { Limit?: number };
        if (input.Limit === 2500) input.Limit = 2;
        return next(args);
      },
      { step: "initialize" },
    );
    expect(await dynamodbLedger(small, table).flow("site", 0)).toMatchObject({
      since: 4 * hour,
      hours: [{ at: 4 * hour, accepted: 2, mailed: 0, suppressed: 2 }],
    });
    expect((await ledger.flow("site", 0)).hours.map(({ accepted }) => accepted)).toEqual([42, 2]);
    expect(await dynamodbLedger(small, table).totals("site")).toMatchObject({ pending: 40, suppressed: 3 });
    expect(await ledger.totals("site")).toMatchObject({ pending: 41, suppressed: 3 });
  });

  it("has many alerts of another kind passes over 2,000 at most, and tells where to go on", async () => {
    const queued = queuedAlert();
    await claimOn(ledger, queued);
    let [asked, first]: [number, unknown] = [0, undefined];
    const endless = clientOf(server.url);
    endless.middlewareStack.add(
      (next, context) => async (args) => {
        const answer = await next(args);
        if (context.commandName !== "QueryCommand") return answer;
        asked += 1;
        const output = answer.output as { Items: unknown[] };
        first ??= output.Items[0];
        output.Items = Array.from({ length: 100 }, () => first);
        return answer;
      },
      { step: "initialize" },
    );
    const query = { site: "site", contact: "ops@example.com", outcome: "mailed", limit: 10 } as const;
    const { items, next } = await dynamodbLedger(endless, table).journal(query);
    expect({ items, asked }).toEqual({ items: [], asked: 20 });
    expect(next).toBe(`${queued.receivedAt}.${queued.id}`);
  });

  it("is throttled has changed nothing, and says so", async () => {
    const throttled = disturbed("initialize", async (command, _, next) => {
      if (command === "UpdateItemCommand")
        throw Object.assign(new Error("Rate exceeded"), { name: "ThrottlingException" });
      return next();
    });
    await expect(claimOn(dynamodbLedger(throttled, table), queuedAlert())).rejects.toThrow("Rate exceeded");
    expect((await ledger.read(queuedAlert())).entry.revision).toBe(0);
  });

  it.each<[string, object, "before" | "after"]>([
    ["is throttled", { name: "ThrottlingException", $metadata: { httpStatusCode: 400 } }, "before"],
    ["is away", { code: "ECONNREFUSED" }, "before"],
    ["does not answer", { name: "TimeoutError" }, "after"],
    ["fails", { name: "InternalServerError", $metadata: { httpStatusCode: 500 } }, "after"],
  ])("%s for a moment notes what came of a mail once it takes it", async (_, fault, when) => {
    let faults = 0;
    let waits = 0;
    const unsteady = disturbed("initialize", async (command, sk, next) => {
      const now = command === "UpdateItemCommand" && sk === "entry" && faults-- > 0;
      if (now && when === "before") throw Object.assign(new Error("not now"), fault);
      const answer = await next();
      if (now) throw Object.assign(new Error("not now"), fault);
      return answer;
    });
    const patient = dynamodbLedger(unsteady, table, async () => void waits++);
    const queued = queuedAlert();
    const mine = await claimOn(patient, queued);
    if (!mine) throw new Error("not claimed");
    const outcome = {
      result: "accepted",
      reply: "250 2.0.0 Ok",
      code: 250,
      durationMilliseconds: 5,
    } as const;
    const handover = { attempts: [{ at: 1500, route: "smtp://relay", outcome }] };
    const ending = { at: 2000, as: "mailed", reason: "250 2.0.0 Ok" } as const;
    faults = 2;
    expect(await settle(patient, queued, mine, handover, ending, (entry) => entry)).toEqual(ending);
    expect(waits).toBeGreaterThan(0);
    const known = (await ledger.read(queued)).record;
    expect(known).toMatchObject({ ending, attempts: handover.attempts });
    faults = 1;
    const other = queuedAlert({ id: "alert-of-bob", contact: "bob@example.com" });
    await expect(claimOn(patient, other)).rejects.toThrow("not now");
  });

  it("holds the longest alert for forty contacts has room for it in one entry", async () => {
    const queued = queuedAlert(
      {},
      { long_output: "All work and no play. ".repeat(2900), perfdata: "x=1 ".repeat(4000) },
    );
    const page = await ledger.read(queued);
    const made = Array.from({ length: 40 }, (_, index) => ({
      ...queued,
      id: `made-${String(index).padStart(4, "0")}`,
      contact: `c${index}@example.com`,
      made: { row: "R27" as const, episode: "e" },
    }));
    const verdict = { ...decided(page, queued), action: "suppress", row: "R3", made } as Verdict;
    expect(await settleUnsent(ledger, page, verdict, 2000)).toBe(true);
    expect(await ledger.totals("site")).toMatchObject({ pending: 40, suppressed: 1 });
  });
});

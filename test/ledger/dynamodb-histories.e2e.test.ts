import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { dynamodbLedger } from "../../functions/ledger/dynamodb.ts";
import { workerEnds } from "../../scripts/rehearsal.ts";
import { type Judge, startDynalite } from "../judges.ts";
import { brokenBy, history } from "./histories.ts";
import { clientOf, createTable } from "./table.ts";

let dynalite: Judge;
beforeAll(async () => {
  dynalite = await startDynalite();
});
afterAll(() => dynalite.stop());

// Always the same ones; PROPERTY_RUNS=900 makes as many others.
const given = process.env.PROPERTY_RUNS;
const runs = Number(given ?? 20);
const seed = Number(process.env.PROPERTY_SEED ?? (given ? Date.now() : 4242));

type Fate = "lives" | "dies before" | "dies after";
const fates = fc.array(
  fc
    .integer({ min: 0, max: 29 })
    .map((n): Fate => (n === 0 ? "dies before" : n === 1 ? "dies after" : "lives")),
  { minLength: 300, maxLength: 300 },
);

it(`${runs} random histories on DynamoDB keep every promise, though workers die before and after single writes`, {
  timeout: 3_600_000,
}, async () => {
  let [count, mails, deaths] = [0, 0, 0];
  await fc.assert(
    fc.asyncProperty(history, fates, async (one, written) => {
      const [client, table] = [clientOf(dynalite.url), `history-${count++}`];
      await createTable(client, table);
      let writes = 0;
      client.middlewareStack.add(
        (next, context) => async (args) => {
          if (context.commandName !== "UpdateItemCommand") return next(args);
          // They stop in the end, or the last alert might just be on its way again.
          const fate = written[writes++] ?? "lives";
          const die = () => {
            deaths += 1;
            throw new Error(workerEnds);
          };
          if (fate === "dies before") die();
          const answer = await next(args);
          if (fate === "dies after") die();
          return answer;
        },
        { step: "initialize" },
      );
      const openLedger = () => ({ ...dynamodbLedger(client, table), close: () => client.destroy() });
      const { broken, mails: made, log } = await brokenBy(one, openLedger);
      mails += made;
      // A worker that dies delays a mail as a relay does that is away.
      const unconditional = broken.filter((promise) => !promise.includes("if the relay takes all at once"));
      expect(unconditional, log).toEqual([]);
    }),
    // To shrink a history takes longer than to read it.
    { numRuns: runs, seed, endOnFailure: true },
  );
  expect(mails).toBeGreaterThan(runs);
  expect(deaths).toBeGreaterThan(runs);
});

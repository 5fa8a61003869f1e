import { afterAll, beforeAll, expect, it } from "vitest";
import { operatorSite } from "../../functions/identity.ts";
import { dynamodbLedger } from "../../functions/ledger/dynamodb.ts";
import { clientOf, createTable } from "../ledger/table.ts";
import { coverage } from "../simulation/coverage.ts";
import { draws } from "../simulation/draws.ts";
import { historyOf } from "../simulation/history.ts";
import { brokenIn } from "../simulation/oracle.ts";
import { simulator } from "../simulation/play.ts";
import { simulated } from "../simulation/stage.ts";
import { type Judge, startDynalite } from "../world/judges.ts";

let dynalite: Judge;
beforeAll(async () => {
  dynalite = await startDynalite();
});
afterAll(() => dynalite.stop());

// Always the same ones; SIMULATION_RUNS=900 plays as many.
const runs = Number(process.env.SIMULATION_RUNS ?? 60);

it(`${runs} histories on DynamoDB keep every promise, though workers die and single writes fail before or after they are done`, {
  timeout: 3_600_000,
}, async () => {
  let failures = 0;
  const { add, total } = coverage();
  for (let seed = 1; seed <= runs; seed++) {
    const [client, table] = [clientOf(dynalite.url), `history-${seed}`];
    await createTable(client, table);
    const fate = draws(seed, "writes");
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const fails = context.commandName === "UpdateItemCommand" ? fate() : 1;
        const fail = () => {
          failures += 1;
          throw new Error(`${simulated}: a write of DynamoDB`);
        };
        if (fails < 0.01) fail();
        const answer = await next(args);
        if (fails < 0.02) fail();
        return answer;
      },
      { step: "initialize" },
    );
    const ledger = dynamodbLedger(client, table);
    const records = async () => {
      const ofSites = ["site", operatorSite].map((site) => ledger.journal({ site, limit: 500 }));
      return (await Promise.all(ofSites)).flatMap(({ items }) => items);
    };
    const played = await simulator(async () => ({ ledger, records }))(historyOf(seed));
    client.destroy();
    expect(brokenIn(played), `seed ${seed}`).toEqual([]);
    add(played);
  }
  expect(total("mails taken by a relay")).toBeGreaterThan(runs);
  expect(total("workers that died")).toBeGreaterThan(runs / 4);
  expect(failures).toBeGreaterThan(runs / 4);
});

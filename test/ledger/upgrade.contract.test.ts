import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type AttributeValue, type DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openProblem } from "../../functions/decide/entry.ts";
import type { Policy } from "../../functions/decide/policy.ts";
import { dynamodbLedger } from "../../functions/ledger/dynamodb.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import type { RelayAnswer } from "../../scripts/hardstate/rehearsal.ts";
import { type Judge, startDynalite } from "../world/judges.ts";
import { world } from "../world/world.ts";
import { clientOf, createTable } from "./table.ts";

type Post = { at: number; relay?: RelayAnswer; post: unknown };
type SentMail = { at: number; to: string; subject: string; thread?: string };
/** An attribute of an item; bytes are in base64. */
type Recorded = { S: string } | { N: string } | { SS: string[] } | { B: string };
type Scenario = {
  title: string;
  burst?: Policy["burst"];
  posted: Post[];
  told: SentMail[];
  upgradeAt: number;
  rows?: string[];
  items?: Record<string, Recorded>[];
  next: Post[];
  mails: SentMail[];
};
const recorded: { begin: number; schema: string[]; scenarios: Scenario[] } = JSON.parse(
  readFileSync(new URL("entries-0.1.json", import.meta.url), "utf8"),
);
const { begin } = recorded;

/** A subject of version 0.1 in the form of today. */
const today = (subject: string): string =>
  subject.replace(/^([A-Z]+ [A-Z]+): /, "[$1] ").replace(/^DIGEST /, "[DIGEST] ");

const expectedOf = ({ mails }: Scenario): SentMail[] =>
  mails.map((mail) => ({ ...mail, subject: today(mail.subject) }));

/** The mails that follow an upgrade, where the ledger has what was stored; those in a conversation of then with that. */
const mailsAfter = async (
  scenario: Scenario,
  openLedger: () => Ledger & { close(): void },
): Promise<SentMail[]> => {
  const { upgradeAt } = scenario;
  const { bridge, mails, passTo, relay } = world({
    policy: { burst: scenario.burst },
    begin: begin + upgradeAt * 1000,
    openLedger,
  });
  relay(scenario.posted.findLast((one) => one.relay)?.relay ?? "accepted");
  try {
    for (const next of scenario.next) {
      await passTo(next.at - upgradeAt);
      if (next.relay) relay(next.relay);
      await bridge.post("site", next.post);
    }
    await passTo(20_000_000 - upgradeAt);
    expect(bridge.waiting()).toEqual([]);
  } finally {
    bridge.close();
  }
  const threads = new Set(scenario.told.map(({ thread }) => thread));
  return mails.map(({ at, to, subject, headers }) => {
    const thread = headers["X-Hardstate-Episode"];
    const [name = ""] = to.split("@");
    return { at: at + upgradeAt, to: name, subject, ...(threads.has(thread) && { thread }) };
  });
};

const titled = (scenarios: Scenario[]) =>
  scenarios.map((scenario): [string, Scenario] => [scenario.title, scenario]);

describe("an upgrade from version 0.1 with SQLite", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hardstate-upgrade-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const openOld = (scenario: Scenario | undefined) => {
    const path = join(folder, "ledger.db");
    const db = new DatabaseSync(path);
    for (const statement of [...recorded.schema, ...(scenario?.rows ?? [])]) db.exec(statement);
    db.close();
    return sqliteLedger(path);
  };

  it.each(titled(recorded.scenarios.filter(({ rows }) => rows)))("%s", async (_, scenario) => {
    expect(await mailsAfter(scenario, () => openOld(scenario))).toEqual(expectedOf(scenario));
  });

  it("finds in the old file what is open since when, and the stories of its alerts", async () => {
    const scenario = recorded.scenarios.find(({ title }) =>
      title.startsWith("a problem that lasts for an hour"),
    );
    const ledger = openOld(scenario);
    try {
      const { items } = await ledger.problems({ site: "site", limit: 10 });
      expect(items.map(({ host, service, entry }) => [host, service, openProblem(entry)?.since])).toEqual([
        ["web1", "http", begin],
      ]);
      expect(await ledger.totals("site")).toMatchObject({ mailed: 1, suppressed: 1, pending: 0 });
      const { items: records } = await ledger.journal({ site: "site", limit: 10 });
      expect(records.map(({ verdict, ending }) => [verdict?.row, ending?.as])).toEqual([
        ["R3", "suppressed"],
        ["R1", "mailed"],
      ]);
    } finally {
      ledger.close();
    }
  });
});

describe("an upgrade from version 0.1 with DynamoDB", () => {
  let server: Judge;
  let client: DynamoDBClient;
  beforeAll(async () => {
    server = await startDynalite();
    client = clientOf(server.url);
  });
  afterAll(() => server.stop());

  const attribute = ([name, value]: [string, Recorded]): [string, AttributeValue] => [
    name,
    "B" in value ? { B: Buffer.from(value.B, "base64") } : value,
  ];

  it.each(titled(recorded.scenarios.filter(({ items }) => items)))("%s", async (title, scenario) => {
    const table = title.replaceAll(/\W+/g, "-");
    await createTable(client, table);
    for (const item of scenario.items ?? [])
      await client.send(
        new PutItemCommand({
          TableName: table,
          Item: Object.fromEntries(Object.entries(item).map(attribute)),
        }),
      );
    const ledger = { ...dynamodbLedger(client, table), close: () => undefined };
    expect(await mailsAfter(scenario, () => ledger)).toEqual(expectedOf(scenario));
  });
});

import type { QueryCommandInput, QueryCommandOutput } from "@aws-sdk/client-dynamodb";
import { type Flow, hourMilliseconds, hoursOf, lastMailed, mailedAt } from "../flow.ts";
import { type JournalRecord, type Outcome, outcomes, type Totals } from "../journal.ts";
import { readCursor } from "../ledger.ts";
import { type Item, parse, sortable, text } from "./items.ts";
import { newest, search, type Table } from "./table.ts";

type Named = readonly [name: string, value: string];

/** Flow and totals count 50,000 alerts of a kind at most: so many pages of so many keys. */
const countedPages = 20;
const countedAtOnce = 2500;

/** Reads the pages of a search one after the other, until all are read or enough. Whether all were. */
const eachPage = async (
  table: Table,
  index: string,
  key: Named,
  more: Partial<QueryCommandInput>,
  range: Parameters<typeof search>[4],
  count: (page: QueryCommandOutput) => void,
): Promise<boolean> => {
  let [pages, ExclusiveStartKey]: [number, Item | undefined] = [0, undefined];
  do {
    const paged = { ...more, Limit: countedAtOnce, ExclusiveStartKey };
    const page: QueryCommandOutput = await search(table, index, key, paged, range);
    count(page);
    pages += 1;
    ExclusiveStartKey = page.LastEvaluatedKey;
  } while (ExclusiveStartKey && pages < countedPages);
  return !ExclusiveStartKey;
};

/** How many records of a site end how, of each outcome up to 50,000. */
export const totalsOf = async (table: Table, site: string): Promise<Totals> => {
  const count = async (outcome: Outcome) => {
    let sum = 0;
    const key = ["site_ending", `${site} ${outcome}`] as const;
    await eachPage(table, "ending", key, { Select: "COUNT" }, undefined, ({ Count = 0 }) => {
      sum += Count;
    });
    return [outcome, sum] as const;
  };
  return Object.fromEntries(await Promise.all(outcomes.map(count))) as Totals;
};

/** The alerts of an index by the hour, newest first; `from` is the time since which all are counted. */
const byHour = async (table: Table, index: string, key: Named, since: number) => {
  const counts = new Map<number, number>();
  let last = since;
  const backwards = { ScanIndexForward: false, ProjectionExpression: "#range" };
  const range = ["at", ">=", sortable(since, "")] as const;
  const isWhole = await eachPage(table, index, key, backwards, range, ({ Items = [] }) => {
    for (const item of Items) {
      [last] = readCursor(text(item, "at"));
      const hour = Math.floor(last / hourMilliseconds);
      counts.set(hour, (counts.get(hour) ?? 0) + 1);
    }
  });
  return { counts, from: isWhole ? since : last };
};

/** Reads two keys of an index for each alert: some 16 alerts for each unit of reading. */
export const flowOf = async (table: Table, site: string, since: number): Promise<Flow> => {
  const ofEnding = (ending: string) => ["site_ending", `${site} ${ending}`] as const;
  const [accepted, mailed, suppressed, newestOne, mails] = await Promise.all([
    byHour(table, "time", ["site", site], since),
    byHour(table, "ending", ofEnding("mailed"), since),
    byHour(table, "ending", ofEnding("suppressed"), since),
    newest(table, "time", ["site", site], "at", undefined, 1),
    newest(table, "ending", ofEnding("mailed"), "at", undefined, lastMailed),
  ]);
  const cut = Math.max(accepted.from, mailed.from, suppressed.from);
  // The hour in which counting ended is not whole.
  const from = cut === since ? since : (Math.floor(cut / hourMilliseconds) + 1) * hourMilliseconds;
  const hours = hoursOf({ accepted: accepted.counts, mailed: mailed.counts, suppressed: suppressed.counts });
  const [first] = newestOne.page;
  return {
    since: from,
    hours: hours.filter(({ at }) => cut === since || at >= from),
    acceptedAt: first && readCursor(first.cursor)[0],
    mailedAt: mailedAt(mails.page.flatMap(({ item }) => (item ? [parse<JournalRecord>(item)] : []))),
  };
};

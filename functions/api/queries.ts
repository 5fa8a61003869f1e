import type { Context, Hono } from "hono";
import type { Fault } from "../alert.ts";
import { type JournalRecord, type Outcome, outcomes } from "../ledger/journal.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { findRejection, listRejections, type Rejection } from "../ledger/rejection.ts";
import { deduplicationId } from "../queue/message.ts";
import { mostDeadLetters, type Queue } from "../queue/queue.ts";
import { answer, type LoggedRefusals, onlyMethod, refusal } from "./refusals.ts";
import { asLines, findStatus } from "./status.ts";
import { alertOf, deadLetterOf, problemOf, rejectedOf, rejectedStoryOf, wholeOf } from "./views.ts";

/** An app whose requests belong to the site of their token. */
export type App = Hono<{ Variables: { site: string } }>;
type SiteContext = Context<{ Variables: { site: string } }>;

export type QueryParts = {
  queue: Queue;
  ledger: Ledger;
  clock: () => number;
  refusals: LoggedRefusals;
};

/** The results by which the journal can be searched. */
export const journalOutcomes = [...outcomes, "rejected"] as const;
export const isOutcome = (word: string): word is (typeof journalOutcomes)[number] =>
  (journalOutcomes as readonly string[]).includes(word);

export const mostListed = 500;
export const usualListed = 100;

/** All faults of the parameters of a list. */
const faultsOf = (given: Record<string, string>, filters: readonly string[]): Fault[] => {
  const known = [...filters, "before", "limit"];
  const faults: Fault[] = Object.keys(given)
    .filter((name) => !known.includes(name))
    .map((name) => ({ field: name, expected: `one of ${known.join(", ")}` }));
  const { limit, before, outcome } = given;
  if (limit !== undefined && !(/^[1-9]\d{0,3}$/.test(limit) && Number(limit) <= mostListed))
    faults.push({ field: "limit", expected: `a number from 1 to ${mostListed}` });
  if (before !== undefined && !/^\d{1,16}\.[A-Za-z0-9._-]{1,128}$/.test(before))
    faults.push({ field: "before", expected: "the value of next in the page before" });
  if (outcome !== undefined && filters.includes("outcome") && !isOutcome(outcome))
    faults.push({ field: "outcome", expected: `one of ${journalOutcomes.join(", ")}` });
  return faults;
};

/** An alert, wherever it is. `waits`: whether it is in the queue, where the queue can tell. */
export const findAlert = async (
  { queue, ledger }: Pick<QueryParts, "queue" | "ledger">,
  site: string,
  id: string,
): Promise<{ record?: JournalRecord; waits?: boolean; rejection?: Rejection }> => {
  const record = await ledger.story(site, id);
  if (record) return { record };
  const waits = await queue.holds(deduplicationId(site, id));
  return waits ? { waits } : { waits, rejection: await findRejection(ledger, site, id) };
};

/** Answers one page of a list. */
const listing =
  ({ refuse, orUnavailable }: LoggedRefusals) =>
  (
    c: SiteContext,
    filters: readonly string[],
    list: (which: { site: string; before?: string; limit: number }) => Promise<unknown>,
  ): Response | Promise<Response> => {
    const [site, { before, limit = usualListed }] = [c.get("site"), c.req.query()];
    const faults = faultsOf(c.req.query(), filters);
    if (faults.length > 0)
      return refuse("not-readable", "Some parameters are wrong: see errors.", { site, faults });
    return orUnavailable("ledger", async () => answer(await list({ site, before, limit: Number(limit) })));
  };

/** The lists of open problems and of the journal. */
const addLists = (app: App, { ledger, refusals }: QueryParts) => {
  const list = listing(refusals);
  app.get("/v1/problems", (c) =>
    list(c, [], async (which) => {
      const { items, next } = await ledger.problems(which);
      return { problems: items.map(problemOf), next };
    }),
  );
  app.get("/v1/journal", (c) =>
    list(c, ["object", "contact", "outcome"], async (which) => {
      const { object, contact, outcome } = c.req.query();
      if (outcome === "rejected") {
        const { items, next } = await listRejections(ledger, { ...which, object, contact });
        return { alerts: items.map(rejectedOf), next };
      }
      const ended = which.before === undefined ? await ledger.totals(which.site) : undefined;
      const accepted = Object.values(ended ?? {}).reduce((sum, count) => sum + count, 0);
      const asked = { ...which, object, contact, outcome: outcome as Outcome };
      const { items, next } = await ledger.journal(asked);
      return { alerts: items.map(alertOf), next, totals: ended && { accepted, ...ended } };
    }),
  );
};

/** Adds what a site may ask: its alerts, open problems, journal, queue and status. */
export const addQueries = (app: App, parts: QueryParts): void => {
  const { queue, clock, refusals } = parts;
  app.get("/v1/alerts/:id", (c) => {
    const id = c.req.param("id");
    const find = async () => {
      const { record, waits, rejection } = await findAlert(parts, c.get("site"), id);
      if (record) return answer(wholeOf(record));
      if (waits)
        return answer({ id, status: "pending", detail: "It waits in the queue; nothing was decided yet." });
      if (rejection) return answer(rejectedStoryOf(rejection));
      const unseen =
        waits === undefined ? " An alert that was just accepted may still wait in the queue." : "";
      return refusal("not-found", `The ledger has no alert of this id and site.${unseen}`);
    };
    return refusals.orUnavailable("ledger", find, [id]);
  });
  addLists(app, parts);
  app.get("/v1/queue", (c) =>
    refusals.orUnavailable("queue", async () => {
      const { waiting, handedOut, oldestAt } = await queue.depth();
      const dead = (await queue.deadLetters(mostDeadLetters, c.get("site"))).map(deadLetterOf);
      return answer({ waiting, in_flight: handedOut, oldest: oldestAt, dead_letters: dead });
    }),
  );
  app.get("/v1/status", (c) =>
    refusals.orUnavailable("queue or ledger", async () => {
      const { status } = await findStatus(parts, c.get("site"), clock());
      const plain = c.req.header("Accept")?.trim().toLowerCase().startsWith("text/plain");
      return plain ? c.text(asLines(status)) : answer(status);
    }),
  );
  for (const path of ["/v1/alerts/:id", "/v1/problems", "/v1/journal", "/v1/queue", "/v1/status"])
    app.all(path, onlyMethod("GET"));
};

import type { Context, Hono } from "hono";
import type { Fault } from "../alert.ts";
import { type Outcome, outcomes } from "../ledger/journal.ts";
import type { Ledger, Listing } from "../ledger/ledger.ts";
import { findRejection, listRejections } from "../ledger/rejection.ts";
import { asLines, readStatus } from "../operator/status.ts";
import { deduplicationId } from "../queue/message.ts";
import { mostDeadLetters, type Queue } from "../queue/queue.ts";
import { answer, type LoggedRefusals, onlyMethod, refusal } from "./refusals.ts";
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
  if (
    outcome !== undefined &&
    filters.includes("outcome") &&
    !(journalOutcomes as readonly string[]).includes(outcome)
  )
    faults.push({ field: "outcome", expected: `one of ${journalOutcomes.join(", ")}` });
  return faults;
};

/** Answers one page of what `list` finds. */
const listing =
  ({ refuse, unavailable }: LoggedRefusals) =>
  async <T>(
    c: SiteContext,
    filters: readonly string[],
    list: (limit: number) => Promise<Listing<T>>,
    shown: (items: T[], next: string | undefined) => unknown,
  ): Promise<Response> => {
    const given = c.req.query();
    const faults = faultsOf(given, filters);
    if (faults.length > 0)
      return refuse("not-readable", "Some parameters are wrong: see errors.", {
        site: c.get("site"),
        faults,
      });
    try {
      const { items, next } = await list(Number(given.limit ?? usualListed));
      return answer(shown(items, next));
    } catch (error) {
      return unavailable("ledger", error);
    }
  };

/** One alert's story, wherever it is: in the journal, in the queue, or among the rejected ones. */
const addStory = (app: App, { queue, ledger, refusals }: QueryParts) => {
  app.get("/v1/alerts/:id", async (c) => {
    const [site, id] = [c.get("site"), c.req.param("id")];
    let held: boolean | undefined;
    try {
      const record = await ledger.story(site, id);
      if (record) return answer(wholeOf(record));
      held = await queue.holds(deduplicationId(site, id));
      if (held)
        return answer({ id, status: "pending", detail: "It waits in the queue; nothing was decided yet." });
      const rejection = await findRejection(ledger, site, id);
      if (rejection) return answer(rejectedStoryOf(rejection));
    } catch (error) {
      return refusals.unavailable("ledger", error, [id]);
    }
    const unseen = held === undefined ? " An alert that was just accepted may still wait in the queue." : "";
    return refusal("not-found", `The ledger has no alert of this id and site.${unseen}`);
  });
};

/** The lists of open problems and of the journal. */
const addLists = (app: App, { ledger, refusals }: QueryParts) => {
  const list = listing(refusals);
  app.get("/v1/problems", (c) =>
    list(
      c,
      [],
      (limit) => ledger.problems({ site: c.get("site"), before: c.req.query("before"), limit }),
      (items, next) => ({ problems: items.map(problemOf), next }),
    ),
  );
  const filters = ["object", "contact", "outcome"];
  app.get("/v1/journal", (c) => {
    const [site, { object, contact, outcome, before }] = [c.get("site"), c.req.query()];
    if (outcome === "rejected")
      return list(
        c,
        filters,
        (limit) => listRejections(ledger, { site, object, contact, before, limit }),
        (items, next) => ({ alerts: items.map(rejectedOf), next }),
      );
    let totals: Record<string, number> | undefined;
    return list(
      c,
      filters,
      async (limit) => {
        if (before === undefined) {
          const ended = await ledger.totals(site);
          totals = { accepted: Object.values(ended).reduce((sum, count) => sum + count, 0), ...ended };
        }
        return ledger.journal({ site, object, contact, outcome: outcome as Outcome, before, limit });
      },
      (items, next) => ({ alerts: items.map(alertOf), next, totals }),
    );
  });
};

/** Adds what a site may ask: its alerts, open problems, journal, queue and status. */
export const addQueries = (app: App, parts: QueryParts): void => {
  const { queue, clock, refusals } = parts;
  addStory(app, parts);
  addLists(app, parts);
  app.get("/v1/queue", async (c) => {
    try {
      const { waiting, handedOut, oldestAt } = await queue.depth();
      const dead = (await queue.deadLetters(mostDeadLetters, c.get("site"))).map(deadLetterOf);
      return answer({ waiting, in_flight: handedOut, oldest: oldestAt, dead_letters: dead });
    } catch (error) {
      return refusals.unavailable("queue", error);
    }
  });
  app.get("/v1/status", async (c) => {
    const site = c.get("site");
    try {
      const { status } = await readStatus(parts, site, clock());
      const plain = c.req.header("Accept")?.trim().toLowerCase().startsWith("text/plain");
      return plain ? c.text(asLines(status)) : answer(status);
    } catch (error) {
      return refusals.unavailable("queue or ledger", error);
    }
  });
  for (const path of ["/v1/alerts/:id", "/v1/problems", "/v1/journal", "/v1/queue", "/v1/status"])
    app.all(path, onlyMethod("GET"));
};

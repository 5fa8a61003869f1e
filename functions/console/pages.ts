import { findAlert, isOutcome, journalOutcomes } from "../api/queries.ts";
import { findStatus } from "../api/status.ts";
import { problemOf } from "../api/views.ts";
import { listRejections } from "../ledger/rejection.ts";
import { mostDeadLetters } from "../queue/queue.ts";
import { type Answers, type ConsoleApp, forms, framed, type Page } from "./browser.ts";
import { curveBegin } from "./curve.ts";
import type { ConsoleParts } from "./http.ts";
import {
  deadLettersPage,
  journalPage,
  mostOnPage,
  nowPage,
  problemsPage,
  rejectionPage,
  rejectionsPage,
  storyPage,
  waitingPage,
} from "./page.ts";

const cursor = /^\d{1,16}\.[A-Za-z0-9._-]{1,128}$/;
const anything = /^[\s\S]{1,2048}$/;

type Make = (c: Page, given: Record<string, string>, site: string) => Response | Promise<Response>;
type Show = (path: string, taken: Record<string, RegExp>, make: Make) => unknown;

/** Adds pages with these parameters, for readers with a session. Other parameters are faults. */
const showing =
  (app: ConsoleApp, { fault, inSession }: Answers): Show =>
  (path, taken, make) => {
    // A Map: an object would also know a parameter named constructor.
    const parameters = new Map(Object.entries(taken));
    return app.get(path, framed, inSession, (c) => {
      const given = Object.fromEntries(Object.entries(c.req.query()).filter(([, value]) => value !== ""));
      const wrong = Object.entries(given).filter(([name, value]) => !parameters.get(name)?.test(value));
      if (wrong.length === 0) return make(c, given, c.get("session").site);
      const names = wrong.map(([name]) =>
        parameters.has(name) ? `such a value of ${name}` : "one of its parameters",
      );
      const advice = "Follow a link, or search from the journal's form.";
      return fault(c, 400, "This address is wrong", `This page does not take ${names.join(", ")}.`, advice);
    });
  };

const addNow = (show: Show, { readerOf }: Answers, parts: ConsoleParts): void => {
  show("/", {}, async (c, _, site) => {
    const now = parts.clock();
    const [found, totals] = await Promise.all([
      findStatus(parts, site, now, curveBegin(now)),
      parts.ledger.totals(site),
    ]);
    return c.html(nowPage(readerOf(c), { ...found, totals }));
  });
};

const addJournal = (show: Show, { readerOf, fault }: Answers, { ledger }: ConsoleParts): void => {
  show("/problems", { before: cursor }, async (c, { before }, site) => {
    const { items, next } = await ledger.problems({ site, before, limit: mostOnPage });
    return c.html(problemsPage(readerOf(c), { problems: items.map(problemOf), next }, before === undefined));
  });

  const search = { object: anything, contact: anything, outcome: anything, before: cursor };
  show("/journal", search, async (c, { object, contact, outcome, before }, site) => {
    if (outcome !== undefined && !isOutcome(outcome))
      return fault(c, 400, "There is no such outcome", `An outcome is one of ${journalOutcomes.join(", ")}.`);
    const named = { object: object?.trim() || undefined, contact: contact?.trim() || undefined };
    const which = { ...named, before, site, limit: mostOnPage };
    const asked = { ...named, outcome, before };
    return outcome === "rejected"
      ? c.html(rejectionsPage(readerOf(c), asked, await listRejections(ledger, which)))
      : c.html(journalPage(readerOf(c), asked, await ledger.journal({ ...which, outcome })));
  });
};

const addStory = (show: Show, { readerOf, fault }: Answers, parts: ConsoleParts): void => {
  show("/alerts/:id", {}, async (c, _, site) => {
    const id = c.req.param("id") ?? "";
    const { record, waits, rejection } = await findAlert(parts, site, id);
    if (record) return c.html(storyPage(readerOf(c), record));
    if (waits) return c.html(waitingPage(readerOf(c), id));
    if (rejection) return c.html(rejectionPage(readerOf(c), rejection));
    return fault(
      c,
      404,
      "There is no such alert",
      "This site has none of this id. One that has just come may still wait in the queue, and what ended is forgotten after 30 days.",
      "The journal lists what there is.",
    );
  });
};

const addDeadLetters = (
  app: ConsoleApp,
  show: Show,
  answers: Answers,
  { queue, report }: ConsoleParts,
): void => {
  const { readerOf, fault, inSession } = answers;
  const { formIn, limited } = forms(answers);
  show("/dead-letters", { from: /^\d{1,3}$/, back: /^\d{1,6}$/ }, async (c, { from = "0", back }, site) => {
    const deadLetters = await queue.deadLetters(mostDeadLetters, site);
    const putBack = back === undefined ? undefined : Number(back);
    return c.html(deadLettersPage(readerOf(c), deadLetters, Number(from), putBack));
  });

  app.post("/dead-letters/redrive", framed, limited, inSession, async (c) => {
    const form = await formIn(c);
    if (form instanceof Response) return form;
    const [{ site }, id] = [c.get("session"), form.get("id") ?? undefined];
    const count = await queue.redrive({ site, id });
    if (count === 0)
      return fault(
        c,
        404,
        "Nothing to put back",
        "No dead letter of this site is that one. Somebody may have put it back already.",
      );
    report({ event: "redriven", site, id, count });
    return c.redirect(`/dead-letters?back=${count}`, 303);
  });
};

/** Adds the pages of the console. */
export const addPages = (app: ConsoleApp, answers: Answers, parts: ConsoleParts): void => {
  const show = showing(app, answers);
  addNow(show, answers, parts);
  addJournal(show, answers, parts);
  addStory(show, answers, parts);
  addDeadLetters(app, show, answers, parts);
};

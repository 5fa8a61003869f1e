import { html } from "hono/html";
import type { OpenEpisode } from "../api/shapes.ts";
import { problemOf } from "../api/views.ts";
import { cursor, type Show } from "./browser.ts";
import { more, mostOnPage, page, type Reader } from "./frame.ts";
import type { ConsoleParts } from "./http.ts";
import { type Html, journalLink, names, plural, row, since, state } from "./text.ts";

/** The page of open problems, with the contacts who know. */
export const problemsPage = (
  reader: Reader,
  { problems, next }: { problems: readonly OpenEpisode[]; next?: string },
  first = true,
): Html => {
  const content = html`<h1>Open problems</h1>
${
  problems.length === 0
    ? html`<p class="card quiet">${first ? "None. All that was reported has recovered." : "No more."}</p>`
    : html`<ul class="problems">${problems.map(
        (problem) => html`<li class="card">
<h2>${problem.state && state(problem.state)} ${journalLink("object", problem.object)}</h2>
<dl class="parts">
${problem.since !== undefined && row("Since", since(problem.since, reader.now))}
${row("Told", problem.told.length > 0 ? names(problem.told.map(({ contact }) => contact)) : "nobody yet")}
${problem.waiting.length > 0 && row("Waiting", names(problem.waiting.map(({ contact }) => contact)))}
${problem.acknowledged !== undefined && row("Acknowledged", since(problem.acknowledged, reader.now))}
${row("Seen by", names(problem.monitors))}
${Boolean(problem.suppressed) && row("Suppressed", plural(problem.suppressed ?? 0, "alert"))}
</dl></li>`,
      )}</ul>${more("/problems", next)}`
}`;
  return page(reader, "Open problems", "/problems", content);
};

/** Adds the page of open problems. */
export const addProblems = (show: Show, { ledger }: ConsoleParts): void =>
  show("/problems", { before: cursor }, async ({ reader, site, given: { before } }) => {
    const { items, next } = await ledger.problems({ site, before, limit: mostOnPage });
    return problemsPage(reader, { problems: items.map(problemOf), next }, before === undefined);
  });

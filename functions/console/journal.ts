import { html, raw } from "hono/html";
import { isOutcome, journalOutcomes } from "../api/queries.ts";
import type { Line, RejectedLine } from "../api/shapes.ts";
import { alertOf, rejectedOf } from "../api/views.ts";
import type { Listing } from "../ledger/ledger.ts";
import { faultWords, listRejections } from "../ledger/rejection.ts";
import { type Answers, anything, cursor, type Show } from "./browser.ts";
import { more, mostOnPage, page, type Reader } from "./frame.ts";
import type { ConsoleParts } from "./http.ts";
import { foreign, type Html, outcomeWords, query, state, storyPath, timeAt } from "./text.ts";

/** The search of the journal. */
type Search = {
  object?: string;
  contact?: string;
  outcome?: (typeof journalOutcomes)[number];
  before?: string;
};

const searchForm = (search: Search): Html =>
  html`<form class="card search" role="search" method="get" action="/journal">
<p><label for="object">Object</label><input id="object" name="object" value="${search.object ?? ""}" maxlength="600" placeholder="web01 or web01/HTTP" spellcheck="false" autocapitalize="none"></p>
<p><label for="contact">Contact</label><input id="contact" name="contact" value="${search.contact ?? ""}" maxlength="254" placeholder="ops@example.com" spellcheck="false" autocapitalize="none"></p>
<p><label for="outcome">Outcome</label><select id="outcome" name="outcome"><option value="">any</option>${journalOutcomes.map(
    (outcome) => html`<option${outcome === search.outcome && raw(" selected")}>${outcome}</option>`,
  )}</select></p>
<p><button>Search</button></p></form>`;

/** A page of what was searched for, as a table. */
const foundPage = (
  reader: Reader,
  search: Search,
  title: string,
  words: { none: Html | string; caption: string; heads: readonly string[] },
  rows: readonly Html[],
  next: string | undefined,
): Html => {
  const content = html`<h1>${title}</h1>
${searchForm(search)}
${
  rows.length === 0
    ? html`<p class="card quiet">${next === undefined ? words.none : "None among the newest: go on with the older ones."}</p>`
    : html`<table class="journal"><caption>${words.caption}; times are UTC</caption>
<thead><tr>${words.heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${rows}</tbody></table>`
}${more("/journal", next, search)}`;
  return page(reader, title, "/journal", content);
};

/** The page of the journal that was searched for. */
export const journalPage = (reader: Reader, search: Search, { items, next }: Listing<Line>): Html => {
  const rejected = query({ ...search, outcome: "rejected", before: undefined });
  const words = {
    none: html`No alert is like that. Object and contact are looked for by their whole names. <a href="/journal${rejected}">What the bridge rejected</a> is listed separately.`,
    caption: "Alerts, newest first",
    heads: ["Received", "Alert", "Contact", "Outcome"],
  };
  const rows = items.map(
    (line) => html`<tr><td>${timeAt(line.received)}</td>
<td><a href="${storyPath(line.id)}">${foreign(line.object)}</a> <span class="type">${line.type.toLowerCase()}</span> ${state(line.state)}</td>
<td>${foreign(line.contact, 64)}</td><td class="outcome">${outcomeWords(line.outcome, 140)}</td></tr>`,
  );
  return foundPage(reader, search, "Journal", words, rows, next);
};

/** The page of rejections that was searched for. */
export const rejectionsPage = (
  reader: Reader,
  search: Search,
  { items, next }: Listing<RejectedLine>,
): Html => {
  const words = {
    none: "Nothing that is like that was rejected in the last 30 days.",
    caption: "What the bridge did not take, the last first: one line for each object, contact and day",
    heads: ["Last", "Object", "Contact", "Outcome"],
  };
  const rows = items.map(
    (line) => html`<tr><td>${timeAt(line.received)}</td>
<td><a href="${storyPath(line.id)}">${line.object === undefined ? "not readable" : foreign(line.object)}</a></td>
<td>${line.contact === undefined ? "not readable" : foreign(line.contact, 64)}</td><td class="outcome"><b>rejected</b>${line.count > 1 && ` ${line.count} times`}: ${foreign(faultWords(line.errors), 140)}</td></tr>`,
  );
  return foundPage(reader, search, "Rejected", words, rows, next);
};

/** Adds the pages of the journal. */
export const addJournal = (show: Show, { ledger }: ConsoleParts, { fault }: Answers): void => {
  const search = { object: anything, contact: anything, outcome: anything, before: cursor };
  show("/journal", search, async ({ c, reader, site, given: { object, contact, outcome, before } }) => {
    if (outcome !== undefined && !isOutcome(outcome))
      return fault(c, 400, "There is no such outcome", `An outcome is one of ${journalOutcomes.join(", ")}.`);
    const named = { object: object?.trim() || undefined, contact: contact?.trim() || undefined };
    const which = { ...named, before, site, limit: mostOnPage };
    const asked = { ...named, outcome, before };
    if (outcome === "rejected") {
      const { items, next } = await listRejections(ledger, which);
      return rejectionsPage(reader, asked, { items: items.map(rejectedOf), next });
    }
    const { items, next } = await ledger.journal({ ...which, outcome });
    return journalPage(reader, asked, { items: items.map(alertOf), next });
  });
};

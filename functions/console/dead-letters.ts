import { html } from "hono/html";
import type { DeadLetter } from "../api/shapes.ts";
import { deadLetterOf } from "../api/views.ts";
import { mostDeadLetters } from "../queue/queue.ts";
import { type Answers, type ConsoleApp, forms, framed, type Show } from "./browser.ts";
import { carried, mostOnPage, page, type Reader } from "./frame.ts";
import type { ConsoleParts } from "./http.ts";
import type { Session } from "./session.ts";
import { foreign, type Html, plural, row, since, state, storyPath } from "./text.ts";

/** How many dead letters there are, as far as they are counted. */
export const deadWords = (count: number): string =>
  count < mostDeadLetters ? plural(count, "alert") : `${mostDeadLetters} alerts or more`;

/** The form that puts back one dead letter, or all if it has no id. */
export const putBackForm = (
  session: Session | undefined,
  id: string | undefined,
  words: string,
  about: Html | string,
): Html =>
  html`<form method="post" action="/dead-letters/redrive">${session && carried(session)}${
    id !== undefined && html`<input type="hidden" name="id" value="${id}">`
  }<button>${words}<span class="unseen"> ${about}</span></button></form>`;

const letterName = ({ id = "", object, type, state: how }: DeadLetter): Html =>
  object !== undefined && type && how
    ? html`${state(how)} <span class="type">${type.toLowerCase()} of</span> <a href="${storyPath(id)}">${foreign(object)}</a>`
    : html`What is no alert`;

/** The page of dead letters, the oldest first, from this number on, with the forms that put them back. */
export const deadLettersPage = (
  reader: Reader,
  letters: readonly DeadLetter[],
  from: number,
  putBack?: number,
): Html => {
  const { session, now } = reader;
  const alerts = letters.filter(({ id }) => id !== undefined).length;
  const till = from + mostOnPage;
  const content = html`<h1>Dead letters</h1>
${putBack !== undefined && html`<p class="card good" role="status">${plural(putBack, "alert")} put back: the bridge tries again.</p>`}
${
  letters.length === 0
    ? html`<p class="card quiet">None. Whatever was to be mailed was mailed, or is still tried.</p>`
    : html`<div class="above"><p class="quiet">${deadWords(letters.length)} that no relay took, the oldest first. Put one back when its reason is gone.</p>
${alerts > 1 && putBackForm(session, undefined, letters.length < mostDeadLetters ? `Put all ${alerts} back` : "Put all back", "")}</div>
<ul class="problems">${letters.slice(from, till).map(
        (letter) => html`<li class="card">
<h2>${letterName(letter)}</h2>
<p class="outcome">${foreign(letter.reason, 200)}</p>
<dl class="parts">${letter.contact !== undefined && row("Contact", foreign(letter.contact, 64))}
${row("Dead", since(letter.dead, now))}</dl>
${letter.id !== undefined && putBackForm(session, letter.id, "Put back", foreign(letter.object ?? "", 64))}</li>`,
      )}</ul>${letters.length > till && html`<p class="more"><a href="/dead-letters?from=${till}" rel="next">Next</a></p>`}`
}`;
  return page(reader, "Dead letters", "/dead-letters", content);
};

/** Adds the page of dead letters, and the form that puts them back. */
export const addDeadLetters = (
  show: Show,
  { queue, report }: ConsoleParts,
  answers: Answers,
  app: ConsoleApp,
): void => {
  const { fault, inSession } = answers;
  const { formIn, limited } = forms(answers);
  show("/dead-letters", { from: /^\d{1,3}$/, back: /^\d{1,6}$/ }, async ({ reader, site, given }) => {
    const { from = "0", back } = given;
    const letters = (await queue.deadLetters(mostDeadLetters, site)).map(deadLetterOf);
    return deadLettersPage(reader, letters, Number(from), back === undefined ? undefined : Number(back));
  });

  app.post("/dead-letters/redrive", framed, limited, inSession, async (c) => {
    const form = await formIn(c);
    if (form instanceof Response) return form;
    const [{ site }, id] = [c.get("session"), form.get("id") ?? undefined];
    const count = await queue.redrive({ site, id });
    if (count === 0) {
      const reason = "No dead letter of this site is that one. Somebody may have put it back already.";
      return fault(c, 404, "Nothing to put back", reason);
    }
    report({ event: "redriven", site, id, count });
    return c.redirect(`/dead-letters?back=${count}`, 303);
  });
};

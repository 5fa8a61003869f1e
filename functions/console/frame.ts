import { html, raw } from "hono/html";
import type { Session } from "./session.ts";
import { type Html, query, shown } from "./text.ts";

/** The reader of a page, and the time. */
export type Reader = { session?: Session; now: number };

/** How many items one page lists, so that it stays small whatever is in them. */
export const mostOnPage = 16;

/** The secret of a form of the console. */
export const carried = ({ formToken }: Session): Html =>
  html`<input type="hidden" name="form_token" value="${formToken}">`;

const rooms = [
  ["/", "Now"],
  ["/problems", "Problems"],
  ["/journal", "Journal"],
  ["/dead-letters", "Dead letters"],
] as const;

/** A whole page. `here` is the path of the room that it belongs to. */
export const page = ({ session }: Reader, title: string, here: string, content: Html, fresh = false): Html =>
  html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${shown(title, 80)} · Hardstate</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="icon" href="/console.svg"><link rel="stylesheet" href="/console.css"><script src="/console.js" defer></script></head>
<body><a class="skip" href="#content">Skip to the content</a>
<header><p class="brand">Hardstate</p>
${
  session &&
  html`<nav aria-label="Console"><ul>${rooms.map(
    ([path, name]) =>
      html`<li><a href="${path}"${path === here && raw(' aria-current="page"')}>${name}</a></li>`,
  )}</ul></nav>
<form class="leave" method="post" action="/logout">${carried(session)}<span>site <b>${session.site}</b></span> <button class="plain">Log out</button></form>`
}
</header>
<main id="content" tabindex="-1"${fresh && raw(" data-fresh")}>
${content}
</main></body></html>`;

/** The login, as the answer to whatever was asked for; `after` is the path that it leads to. */
export const loginPage = (reader: Reader, after: string, fault?: string): Html => {
  const content = html`<form class="card login" method="post" action="/login">
<h1>Log in</h1>
${fault && html`<p class="bad" role="alert" id="fault">${fault}</p>`}
<p id="what">With a token of <code>HARDSTATE_TOKENS</code>: it opens the console of its site for 12 hours.</p>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus spellcheck="false" aria-describedby="${fault && "fault "}what"${fault && raw(' aria-invalid="true"')}>
<input type="hidden" name="after" value="${after}">
<button>Log in</button></form>`;
  return page({ ...reader, session: undefined }, "Log in", "", content);
};

/** A page that says what went wrong, and what to do. */
export const faultPage = (reader: Reader, title: string, advice: readonly string[]): Html => {
  const content = html`<div class="card"><h1>${title}</h1>${advice.map((line) => html`<p>${line}</p>`)}
<p><a href="/">Back to the first page</a></p></div>`;
  return page(reader, title, "", content);
};

/** The link to the older items of a list, if there are any. */
export const more = (
  path: string,
  next: string | undefined,
  search: Record<string, string | undefined> = {},
): Html | false =>
  next !== undefined &&
  html`<p class="more"><a href="${path}${query({ ...search, before: next })}" rel="next">Older</a></p>`;

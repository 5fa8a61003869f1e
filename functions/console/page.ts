import { html, raw } from "hono/html";
import { objectName } from "../alert.ts";
import type { StatusPage } from "../api/shapes.ts";
import type { Flow } from "../ledger/flow.ts";
import { type JournalRecord, type Outcome, objectOf, outcomes } from "../ledger/journal.ts";
import {
  countOf,
  faultWords,
  type Rejection,
  rejectionOutcome,
  rejectionStory,
} from "../ledger/rejection.ts";
import { eventsOf, outcomeOf, stamp } from "../ledger/story.ts";
import { type DeadLetter, mostDeadLetters } from "../queue/queue.ts";
import { curve } from "./curve.ts";
import type { Session } from "./session.ts";

type Html = ReturnType<typeof html>;

/** The reader of a page, and the time. */
export type Reader = { session?: Session; now: number };

/** An open problem, as `GET /v1/problems` tells it. */
export type Problem = {
  object: string;
  state?: string;
  since?: number;
  acknowledged?: number;
  monitors: string[];
  told: { contact: string; state: string; at: number }[];
  waiting: { contact: string; row: string; due: number }[];
  suppressed?: number;
};

/** The search of the journal. */
export type Search = { object?: string; contact?: string; outcome?: Outcome | "rejected"; before?: string };

/** How many items one page lists, so that it stays small whatever is in them. */
export const mostOnPage = 16;
const mostContacts = 3;

const escapedBytes: Record<string, number> = { "&": 5, "<": 4, ">": 4, '"': 6, "'": 5 };
const bytesOf = (character: string): number => {
  const code = character.codePointAt(0) ?? 0;
  return escapedBytes[character] ?? (code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4);
};
/**
 * Foreign text as it may be shown: at most `most` characters and twice as many bytes of HTML, and a visible mark
 * for each one that would break the line or turn its direction.
 */
const shown = (text: string, most = 120): string => {
  const characters = [...text.replace(/[\p{Cc}\p{Bidi_C}\u2028\u2029]/gu, "\ufffd")];
  let bytes = 0;
  const over = characters.findIndex((character, index) => {
    bytes += bytesOf(character);
    return index >= most || bytes > most * 2;
  });
  return over < 0 ? characters.join("") : `${characters.slice(0, Math.max(over - 1, 0)).join("")}…`;
};
/** Foreign text whose direction ends with it. */
const foreign = (text: string, most?: number): Html => html`<bdi>${shown(text, most)}</bdi>`;

/** How long ago something was, or in how long it will be, in a word or three. */
const agoWords = (milliseconds: number): string => {
  const seconds = Math.round(Math.abs(milliseconds) / 1000);
  if (seconds < 5) return "just now";
  const words =
    seconds < 90
      ? `${seconds} s`
      : seconds < 5400
        ? `${Math.round(seconds / 60)} min`
        : seconds < 172_800
          ? `${Math.round(seconds / 3600)} h`
          : `${Math.round(seconds / 86_400)} d`;
  return milliseconds < 0 ? `in ${words}` : `${words} ago`;
};

const iso = (at: number): string => `${stamp(at).replace(" ", "T")}Z`;
const timeAt = (at: number): Html => html`<time datetime="${iso(at)}">${stamp(at)}</time>`;
const ago = (at: number, now: number): Html =>
  html`<time class="ago" datetime="${iso(at)}">${agoWords(now - at)}</time>`;
const since = (at: number, now: number): Html => html`${timeAt(at)} UTC, ${ago(at, now)}`;
const state = (name: string): Html => html`<b class="state ${name.toLowerCase()}">${name}</b>`;
const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;
/** How many dead letters there are, as far as they are counted. */
const deadWords = (count: number): string =>
  count < mostDeadLetters ? plural(count, "alert") : `${mostDeadLetters} alerts or more`;
/** The part of a URL after the path that asks for these; empty without any. */
const query = (search: Record<string, string | undefined>): string => {
  const given = Object.entries(search).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return given.length > 0 ? `?${new URLSearchParams(given)}` : "";
};
/** An object or contact that leads to its journal, unless its name is too long to be repeated in an address. */
const journalLink = (by: "object" | "contact", name: string): Html => {
  const search = query({ [by]: name });
  return search.length > 240 ? foreign(name) : html`<a href="/journal${search}">${foreign(name)}</a>`;
};
const story = (id: string): string => `/alerts/${encodeURIComponent(id)}`;
const carried = ({ formToken }: Session): Html =>
  html`<input type="hidden" name="form_token" value="${formToken}">`;

const rooms = [
  ["/", "Now"],
  ["/problems", "Problems"],
  ["/journal", "Journal"],
  ["/dead-letters", "Dead letters"],
] as const;

/** A whole page. `here` is the path of the room that it belongs to. */
const page = ({ session }: Reader, title: string, here: string, content: Html, fresh = false): Html =>
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
export const loginPage = (reader: Reader, after: string, fault?: string): Html =>
  page(
    { ...reader, session: undefined },
    "Log in",
    "",
    html`<form class="card login" method="post" action="/login">
<h1>Log in</h1>
${fault && html`<p class="bad" role="alert" id="fault">${fault}</p>`}
<p id="what">With a token of <code>HARDSTATE_TOKENS</code>: it opens the console of its site for 12 hours.</p>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus spellcheck="false" aria-describedby="${fault && "fault "}what"${fault && raw(' aria-invalid="true"')}>
<input type="hidden" name="after" value="${after}">
<button>Log in</button></form>`,
  );

/** A page that says what went wrong, and what to do. */
export const faultPage = (reader: Reader, title: string, advice: readonly string[]): Html =>
  page(
    reader,
    title,
    "",
    html`<div class="card"><h1>${title}</h1>${advice.map((line) => html`<p>${line}</p>`)}
<p><a href="/">Back to the first page</a></p></div>`,
  );

const longWaitMilliseconds = 15 * 60_000;

/** A notice about posts without a token, if there were any. */
const wrongTokenWords = ({ count, last, monitor }: StatusPage["wrong_tokens"], now: number): string[] =>
  count === 0
    ? []
    : [
        `${plural(count, "post")} with a wrong token or none in the last 24 hours, the last ${agoWords(now - (last ?? now))}${monitor ? ` from ${shown(monitor)}` : ""}.`,
      ];

/** Whether mail is flowing, in words; `mood` is one of bad, warn, good and calm. */
const health = (
  { routes, queue, dead_letters, heartbeats, last, rejected, wrong_tokens, bouncing }: StatusPage,
  pending: number,
  now: number,
): { mood: string; title: string; worries: string[] } => {
  const down = routes.filter((route) => route.down);
  const refusing = routes.filter(({ down, refused }) => refused && !down);
  const silent = heartbeats.filter((monitor) => monitor.silent);
  // An alert that no relay took yet is in both, the journal and the queue.
  const waiting = Math.max(pending, queue.waiting + queue.in_flight);
  const late = queue.oldest !== undefined && now - queue.oldest > longWaitMilliseconds;
  const worries = [
    ...(down.length > 0 ? [`${plural(down.length, "relay")} down.`] : []),
    ...(refusing.length > 0 ? [`${plural(refusing.length, "relay")} refused the last mail.`] : []),
    ...(late ? ["Alerts wait longer than they should."] : []),
    ...(dead_letters > 0 ? [`${deadWords(dead_letters)} could not be mailed: see Dead letters.`] : []),
    ...(silent.length > 0 ? [`${plural(silent.length, "monitor")} fell silent.`] : []),
    ...(rejected > 0
      ? [`${plural(rejected, "alert")} rejected in the last 24 hours, and not mailed: see Rejected.`]
      : []),
    ...bouncing.map(({ contact, days, reply, refused }) =>
      refused
        ? `No relay accepts mail to ${shown(contact, 100)}. The last reply was: ${shown(reply, 200)}.`
        : `Mail to ${shown(contact, 100)} came back on ${days} days, the last time with: ${shown(reply, 200)}.`,
    ),
    ...wrongTokenWords(wrong_tokens, now),
  ];
  // Whether another route works is seen by the mails alone.
  const stuck = down.some(({ since: from = 0 }) => from > (last.mailed ?? 0)) && waiting > 0;
  if (stuck)
    return {
      mood: "bad",
      title: "Mail is not flowing",
      worries: [`${plural(waiting, "alert")} waiting.`, ...worries],
    };
  if (worries.length > 0) return { mood: "warn", title: "Mail is flowing, but …", worries };
  return last.accepted === undefined && waiting === 0
    ? { mood: "calm", title: "Nothing has arrived yet", worries: ["No alert of this site is known."] }
    : { mood: "good", title: "Mail is flowing", worries: ["There is nothing to do."] };
};

/** Whether a monitor lives. The bridge calls it silent only where it is told after how long: old news is no life. */
const heard = (silent: boolean, age: number): Html =>
  silent
    ? html`<b class="state critical">silent</b>`
    : age > longWaitMilliseconds
      ? html`<b class="state">heard</b>`
      : html`<b class="state ok">alive</b>`;

const fact = (name: string, value: Html | string, more?: Html | string | false): Html =>
  html`<div><dt>${name}</dt><dd><b>${value}</b>${more && html` <span>${more}</span>`}</dd></div>`;

/** Where the alerts of the journal went, the digests and recoveries that the ledger made among them. */
const accounting = (totals: Record<Outcome, number>): Html => {
  const accepted = outcomes.reduce((sum, outcome) => sum + totals[outcome], 0);
  return html`<p class="sum"><span>accepted <b>${accepted}</b></span>${outcomes.map(
    (outcome, index) =>
      html` <span>${index === 0 ? "=" : "+"} <a href="/journal?outcome=${outcome}">${outcome} <b>${totals[outcome]}</b></a></span>`,
  )}</p>`;
};

/** The first page: whether mail is flowing. */
export const nowPage = (
  reader: Reader,
  { status, totals, flow }: { status: StatusPage; totals: Record<Outcome, number>; flow: Flow },
): Html => {
  const { now } = reader;
  const { mood, title, worries } = health(status, totals.pending, now);
  const { queue, routes, heartbeats } = status;
  const last = (at: number | undefined) => (at === undefined ? "never" : ago(at, now));
  return page(
    reader,
    title,
    "/",
    html`<div class="verdict ${mood}" id="verdict" role="status"><h1>${title}</h1>${worries.map((line) => html`<p>${line}</p>`)}</div>
<dl class="facts" id="facts">
${fact("Last accepted", last(flow.acceptedAt), flow.acceptedAt !== undefined && timeAt(flow.acceptedAt))}
${fact("Last mailed", last(flow.mailedAt), flow.mailedAt !== undefined && timeAt(flow.mailedAt))}
${fact(
  "In the queue",
  String(queue.waiting + queue.in_flight),
  queue.oldest !== undefined
    ? html`the oldest came ${ago(queue.oldest, now)}`
    : queue.waiting + queue.in_flight === 0
      ? "empty"
      : `${queue.in_flight} in hand`,
)}
${fact("Rejected", html`<a href="/journal?outcome=rejected">${status.rejected}</a>`, "in 24 hours")}
${fact("Dead letters", html`<a href="/dead-letters">${status.dead_letters}</a>`, status.dead_letters >= mostDeadLetters && "or more")}
</dl>
<section class="card" id="flow"><h2>Flow</h2>${curve(flow, now)}
<h3>All of the last 30 days</h3>${accounting(totals)}</section>
<section class="card" id="relays"><h2>Relays</h2>${
      routes.length === 0
        ? html`<p class="quiet">None has been used yet.</p>`
        : html`<ul class="list">${routes.map(
            ({ route, down, refused, since: from, reason, probe_at }) =>
              html`<li><b class="state ${down || refused ? "critical" : "ok"}">${refused ? "refuses us" : down ? "down" : "in use"}</b>
<span>${foreign(route)}${
                (down || refused) &&
                html`<br><span class="quiet">${from !== undefined && html`since ${since(from, now)}`}${
                  probe_at !== undefined && html`; next tried ${ago(probe_at, now)}`
                }</span>${reason && html`<br>${foreign(reason, 300)}`}`
              }</span></li>`,
          )}</ul>`
    }</section>
<section class="card" id="monitors"><h2>Monitors</h2>${
      heartbeats.length === 0
        ? html`<p class="quiet">None sends heartbeats.</p>`
        : html`<ul class="list">${heartbeats.map(
            ({ monitor, last, silent }) =>
              html`<li>${heard(silent, now - last)} <span>${foreign(monitor)} <span class="quiet">last heard ${ago(last, now)}</span></span></li>`,
          )}</ul>`
    }</section>`,
    true,
  );
};

const more = (path: string, next: string | undefined, search: Search = {}): Html | false =>
  next !== undefined &&
  html`<p class="more"><a href="${path}${query({ ...search, before: next })}" rel="next">Older</a></p>`;

const names = (contacts: readonly string[]): Html =>
  html`${contacts.slice(0, mostContacts).map((contact, index) => html`${index > 0 && ", "}${foreign(contact, 40)}`)}${
    contacts.length > mostContacts && ` and ${contacts.length - mostContacts} more`
  }`;

/** The page of open problems, with the contacts who know. */
export const problemsPage = (
  reader: Reader,
  { problems, next }: { problems: readonly Problem[]; next?: string },
  first = true,
): Html =>
  page(
    reader,
    "Open problems",
    "/problems",
    html`<h1>Open problems</h1>
${
  problems.length === 0
    ? html`<p class="card quiet">${first ? "None. All that was reported has recovered." : "No more."}</p>`
    : html`<ul class="problems">${problems.map(
        (problem) => html`<li class="card">
<h2>${problem.state && state(problem.state)} ${journalLink("object", problem.object)}</h2>
<dl class="parts">
${problem.since !== undefined && html`<div><dt>Since</dt><dd>${since(problem.since, reader.now)}</dd></div>`}
<div><dt>Told</dt><dd>${problem.told.length > 0 ? names(problem.told.map(({ contact }) => contact)) : "nobody yet"}</dd></div>
${
  problem.waiting.length > 0 &&
  html`<div><dt>Waiting</dt><dd>${names(problem.waiting.map(({ contact }) => contact))}</dd></div>`
}
${problem.acknowledged !== undefined && html`<div><dt>Acknowledged</dt><dd>${since(problem.acknowledged, reader.now)}</dd></div>`}
<div><dt>Seen by</dt><dd>${names(problem.monitors)}</dd></div>
${Boolean(problem.suppressed) && html`<div><dt>Suppressed</dt><dd>${plural(problem.suppressed ?? 0, "alert")}</dd></div>`}
</dl></li>`,
      )}</ul>${more("/problems", next)}`
}`,
  );

/** How it stands with an alert, its first word for the eye. */
const outcomeWords = (record: JournalRecord, most: number): Html => {
  const [, first = "", rest = ""] = /^(\w*)(.*)$/s.exec(shown(outcomeOf(record), most)) ?? [];
  return html`<bdi><b>${first}</b>${rest}</bdi>`;
};

const searchForm = (search: Search): Html =>
  html`<form class="card search" role="search" method="get" action="/journal">
<p><label for="object">Object</label><input id="object" name="object" value="${search.object ?? ""}" maxlength="600" placeholder="web01 or web01/HTTP" spellcheck="false" autocapitalize="none"></p>
<p><label for="contact">Contact</label><input id="contact" name="contact" value="${search.contact ?? ""}" maxlength="254" placeholder="ops@example.com" spellcheck="false" autocapitalize="none"></p>
<p><label for="outcome">Outcome</label><select id="outcome" name="outcome"><option value="">any</option>${[
    ...outcomes,
    "rejected",
  ].map(
    (outcome) => html`<option${outcome === search.outcome && raw(" selected")}>${outcome}</option>`,
  )}</select></p>
<p><button>Search</button></p></form>`;

/** The page of the journal that was searched for. */
export const journalPage = (
  reader: Reader,
  search: Search,
  { items, next }: { items: readonly JournalRecord[]; next?: string },
): Html =>
  page(
    reader,
    "Journal",
    "/journal",
    html`<h1>Journal</h1>
${searchForm(search)}
${
  items.length === 0
    ? html`<p class="card quiet">${next === undefined ? html`No alert is like that. Object and contact are looked for by their whole names. <a href="/journal${query({ ...search, outcome: "rejected", before: undefined })}">What the bridge rejected</a> is listed separately.` : "None among the newest: go on with the older ones."}</p>`
    : html`<table class="journal"><caption>Alerts, newest first; times are UTC</caption>
<thead><tr><th scope="col">Received</th><th scope="col">Alert</th><th scope="col">Contact</th><th scope="col">Outcome</th></tr></thead>
<tbody>${items.map(
        (record) => html`<tr><td>${timeAt(record.receivedAt)}</td>
<td><a href="${story(record.id)}">${foreign(objectOf(record))}</a> <span class="type">${record.type.toLowerCase()}</span> ${state(record.state)}</td>
<td>${foreign(record.contact, 64)}</td><td class="outcome">${outcomeWords(record, 140)}</td></tr>`,
      )}</tbody></table>`
}${more("/journal", next, search)}`,
  );

/** The page of rejections that was searched for. */
export const rejectionsPage = (
  reader: Reader,
  search: Search,
  { items, next }: { items: readonly Rejection[]; next?: string },
): Html =>
  page(
    reader,
    "Rejected",
    "/journal",
    html`<h1>Rejected</h1>
${searchForm(search)}
${
  items.length === 0
    ? html`<p class="card quiet">${next === undefined ? "Nothing that is like that was rejected in the last 30 days." : "None among the newest: go on with the older ones."}</p>`
    : html`<table class="journal"><caption>What the bridge did not take, the last first: one line for each object, contact and day; times are UTC</caption>
<thead><tr><th scope="col">Last</th><th scope="col">Object</th><th scope="col">Contact</th><th scope="col">Outcome</th></tr></thead>
<tbody>${items.map(
        (one) => html`<tr><td>${timeAt(one.last)}</td>
<td><a href="${story(one.id)}">${one.object === undefined ? "not readable" : foreign(one.object)}</a></td>
<td>${one.contact === undefined ? "not readable" : foreign(one.contact, 64)}</td><td class="outcome"><b>rejected</b>${countOf(one) > 1 && ` ${countOf(one)} times`}: ${foreign(faultWords(one.faults), 140)}</td></tr>`,
      )}</tbody></table>`
}${more("/journal", next, search)}`,
  );

/** The rejections for one object and contact on one day. */
export const rejectionPage = (reader: Reader, rejection: Rejection): Html => {
  const { object, contact, monitor, first, last, ids } = rejection;
  const name = object ?? "an object that cannot be read";
  return page(
    reader,
    `Rejected: ${name}`,
    "/journal",
    html`<h1>Rejected: ${foreign(name, 600)}</h1>
<p class="card outcome">${foreign(rejectionOutcome(rejection), 3000)}</p>
<section class="card"><h2>What happened</h2><ol class="events">${rejectionStory(rejection)
      .slice(0, -1)
      .map((line) => html`<li>${foreign(line, 550)}</li>`)}</ol></section>
<section class="card"><h2>The alerts</h2><dl class="parts">
${row("First", since(first, reader.now))}
${row("Last", since(last, reader.now))}
${row("Contact", foreign(contact ?? "not readable"))}
${row("Object", foreign(name, 600))}
${row("Monitor", foreign(monitor ?? "not known"))}
${ids.length > 0 && row("Last ids", html`<code>${shown(ids.join(" "), 1800)}</code>`)}
</dl></section>`,
  );
};

const row = (name: string, value: Html | string): Html => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

const putBackForm = (
  session: Session | undefined,
  id: string | undefined,
  words: string,
  about: Html | string,
): Html =>
  html`<form method="post" action="/dead-letters/redrive">${session && carried(session)}${
    id !== undefined && html`<input type="hidden" name="id" value="${id}">`
  }<button>${words}<span class="unseen"> ${about}</span></button></form>`;

/** After days of attempts, the first and the last events of a mail tell enough. */
const mostEvents = 16;
const firstEvents = 4;

/** The story of one alert. */
export const storyPage = (reader: Reader, record: JournalRecord): Html => {
  const { verdict, ending } = record;
  const object = objectOf(record);
  const events = eventsOf(record);
  const left = events.length - mostEvents;
  const happened =
    left > 0
      ? [
          ...events.slice(0, firstEvents),
          { at: events[firstEvents]?.at ?? 0, line: `… and ${left} more like these until` },
          ...events.slice(firstEvents + left),
        ]
      : events;
  return page(
    reader,
    `${record.type} ${object}`,
    "/journal",
    html`<h1>${state(record.state)} <span class="type">${record.type.toLowerCase()} of</span> ${foreign(object, 600)}</h1>
<p class="card outcome">${outcomeWords(record, 800)}</p>
${
  record.digest &&
  html`<p class="card">It is told with others by <a href="${story(record.digest.id)}">a digest</a>, as: ${foreign(record.digest.line, 200)}</p>`
}
${
  record.members &&
  html`<p class="card">It tells ${record.members.length} alerts: <a href="/journal?contact=${encodeURIComponent(record.contact)}&amp;outcome=digested">what digests told this contact</a></p>`
}
${(ending?.as === "dead" || ending?.as === "refused") && putBackForm(reader.session, record.id, "Put back", "into the queue")}
<section class="card"><h2>What happened</h2><ol class="events">${happened.map(
      ({ at, line }) => html`<li>${timeAt(at)} <span>${foreign(line, 550)}</span></li>`,
    )}</ol></section>
<section class="card"><h2>The alert</h2><dl class="parts">
${row("Received", since(record.receivedAt, reader.now))}
${row("Contact", journalLink("contact", record.contact))}
${row("Object", journalLink("object", object))}
${row("Monitor", foreign(record.monitor))}
${row("Id", html`<code>${shown(record.id)}</code>`)}
${record.messageId !== undefined && row("Message-ID", html`<code>${shown(record.messageId, 250)}</code>`)}
${verdict && row("Decided", html`${since(verdict.at, reader.now)}, by row ${verdict.row} of the decision table`)}
</dl></section>`,
  );
};

/** An alert of which nothing but its place in the queue is known. */
export const waitingPage = (reader: Reader, id: string): Html =>
  page(
    reader,
    "It waits in the queue",
    "/journal",
    html`<h1>It waits in the queue</h1><p class="card">Nothing was decided yet of <code>${shown(id)}</code>. Load this page again in a moment.</p>`,
  );

const letterName = ({ alert }: DeadLetter): Html =>
  alert
    ? html`${state(alert.alert.state)} <span class="type">${alert.alert.type.toLowerCase()} of</span> <a href="${story(alert.id)}">${foreign(objectName(alert.alert))}</a>`
    : html`What is no alert`;

/** The page of dead letters, the oldest first, from this number on, with the forms that put them back. */
export const deadLettersPage = (
  reader: Reader,
  letters: readonly DeadLetter[],
  from: number,
  putBack?: number,
): Html => {
  const { session, now } = reader;
  const alerts = letters.filter(({ alert }) => alert).length;
  const till = from + mostOnPage;
  return page(
    reader,
    "Dead letters",
    "/dead-letters",
    html`<h1>Dead letters</h1>
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
<dl class="parts">${letter.alert && row("Contact", foreign(letter.alert.contact, 64))}
${row("Dead", since(letter.deadAt, now))}</dl>
${letter.alert && putBackForm(session, letter.alert.id, "Put back", foreign(objectName(letter.alert.alert), 64))}</li>`,
      )}</ul>${letters.length > till && html`<p class="more"><a href="/dead-letters?from=${till}" rel="next">Next</a></p>`}`
}`,
  );
};

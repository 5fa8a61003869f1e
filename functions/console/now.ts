import { html } from "hono/html";
import type { StatusPage } from "../api/shapes.ts";
import { findStatus } from "../api/status.ts";
import type { Flow } from "../ledger/flow.ts";
import { type Outcome, outcomes } from "../ledger/journal.ts";
import { mostDeadLetters } from "../queue/queue.ts";
import type { Show } from "./browser.ts";
import { curve, curveBegin } from "./curve.ts";
import { deadWords } from "./dead-letters.ts";
import { page, type Reader } from "./frame.ts";
import type { ConsoleParts } from "./http.ts";
import { ago, agoWords, foreign, type Html, plural, shown, since, timeAt } from "./text.ts";

const longWaitMilliseconds = 15 * 60_000;

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
  const tried = agoWords(now - (wrong_tokens.last ?? now));
  const worries = [
    down.length > 0 && `${plural(down.length, "relay")} down.`,
    refusing.length > 0 && `${plural(refusing.length, "relay")} refused the last mail.`,
    late && "Alerts wait longer than they should.",
    dead_letters > 0 && `${deadWords(dead_letters)} could not be mailed: see Dead letters.`,
    silent.length > 0 && `${plural(silent.length, "monitor")} fell silent.`,
    rejected > 0 &&
      `${plural(rejected, "alert")} rejected in the last 24 hours, and not mailed: see Rejected.`,
    ...bouncing.map(({ contact, days, reply, refused }) =>
      refused
        ? `No relay accepts mail to ${shown(contact, 100)}. The last reply was: ${shown(reply, 200)}.`
        : `Mail to ${shown(contact, 100)} came back on ${days} days, the last time with: ${shown(reply, 200)}.`,
    ),
    wrong_tokens.count > 0 &&
      `${plural(wrong_tokens.count, "post")} with a wrong token or none in the last 24 hours, the last ${tried}${wrong_tokens.monitor ? ` from ${shown(wrong_tokens.monitor)}` : ""}.`,
  ].filter((worry) => worry !== false);
  // Whether another route works is seen by the mails alone.
  if (waiting > 0 && down.some(({ since: from = 0 }) => from > (last.mailed ?? 0))) {
    const stuck = `${plural(waiting, "alert")} waiting.`;
    return { mood: "bad", title: "Mail is not flowing", worries: [stuck, ...worries] };
  }
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

const list = (id: string, title: string, none: string, items: readonly Html[]): Html =>
  html`<section class="card" id="${id}"><h2>${title}</h2>${
    items.length === 0 ? html`<p class="quiet">${none}</p>` : html`<ul class="list">${items}</ul>`
  }</section>`;

const relay = (
  { route, down, refused, since: from, reason, probe_at }: StatusPage["routes"][number],
  now: number,
) =>
  html`<li><b class="state ${down || refused ? "critical" : "ok"}">${refused ? "refuses us" : down ? "down" : "in use"}</b>
<span>${foreign(route)}${
    (down || refused) &&
    html`<br><span class="quiet">${from !== undefined && html`since ${since(from, now)}`}${
      probe_at !== undefined && html`; next tried ${ago(probe_at, now)}`
    }</span>${reason && html`<br>${foreign(reason, 300)}`}`
  }</span></li>`;

const monitor = (one: StatusPage["heartbeats"][number], now: number) =>
  html`<li>${heard(one.silent, now - one.last)} <span>${foreign(one.monitor)} <span class="quiet">last heard ${ago(one.last, now)}</span></span></li>`;

/** The first page: whether mail is flowing. */
export const nowPage = (
  reader: Reader,
  { status, totals, flow }: { status: StatusPage; totals: Record<Outcome, number>; flow: Flow },
): Html => {
  const { now } = reader;
  const { mood, title, worries } = health(status, totals.pending, now);
  const { queue, routes, heartbeats, dead_letters } = status;
  const inQueue = queue.waiting + queue.in_flight;
  const inHand = inQueue === 0 ? "empty" : `${queue.in_flight} in hand`;
  const last = (name: string, at: number | undefined) =>
    at === undefined ? fact(name, "never") : fact(name, ago(at, now), timeAt(at));
  const content = html`<div class="verdict ${mood}" id="verdict" role="status"><h1>${title}</h1>${worries.map((line) => html`<p>${line}</p>`)}</div>
<dl class="facts" id="facts">
${last("Last accepted", flow.acceptedAt)}
${last("Last mailed", flow.mailedAt)}
${fact("In the queue", String(inQueue), queue.oldest === undefined ? inHand : html`the oldest came ${ago(queue.oldest, now)}`)}
${fact("Rejected", html`<a href="/journal?outcome=rejected">${status.rejected}</a>`, "in 24 hours")}
${fact("Dead letters", html`<a href="/dead-letters">${dead_letters}</a>`, dead_letters >= mostDeadLetters && "or more")}
</dl>
<section class="card" id="flow"><h2>Flow</h2>${curve(flow, now)}
<h3>All of the last 30 days</h3>${accounting(totals)}</section>
${list(
  "relays",
  "Relays",
  "None has been used yet.",
  routes.map((one) => relay(one, now)),
)}
${list(
  "monitors",
  "Monitors",
  "None sends heartbeats.",
  heartbeats.map((one) => monitor(one, now)),
)}`;
  return page(reader, title, "/", content, true);
};

/** Adds the first page. */
export const addNow = (show: Show, parts: ConsoleParts): void =>
  show("/", {}, async ({ reader, site }) => {
    const [found, totals] = await Promise.all([
      findStatus(parts, site, reader.now, curveBegin(reader.now)),
      parts.ledger.totals(site),
    ]);
    return nowPage(reader, { ...found, totals });
  });

import { html } from "hono/html";
import { findAlert } from "../api/queries.ts";
import type { RejectedStory } from "../api/shapes.ts";
import { rejectedStoryOf } from "../api/views.ts";
import { type JournalRecord, objectOf } from "../ledger/journal.ts";
import { eventsOf, outcomeOf } from "../ledger/story.ts";
import type { Answers, Show } from "./browser.ts";
import { putBackForm } from "./dead-letters.ts";
import { page, type Reader } from "./frame.ts";
import type { ConsoleParts } from "./http.ts";
import {
  foreign,
  type Html,
  journalLink,
  outcomeWords,
  row,
  shown,
  since,
  state,
  storyPath,
  timeAt,
} from "./text.ts";

/** The rejections for one object and contact on one day. */
export const rejectionPage = (reader: Reader, rejection: RejectedStory): Html => {
  const { object, contact, monitor, first, received, outcome, alerts } = rejection;
  const name = object ?? "an object that cannot be read";
  const content = html`<h1>Rejected: ${foreign(name, 600)}</h1>
<p class="card outcome">${foreign(outcome, 3000)}</p>
<section class="card"><h2>What happened</h2><ol class="events">${rejection.story
    .slice(0, -1)
    .map((line) => html`<li>${foreign(line, 550)}</li>`)}</ol></section>
<section class="card"><h2>The alerts</h2><dl class="parts">
${row("First", since(first, reader.now))}
${row("Last", since(received, reader.now))}
${row("Contact", foreign(contact ?? "not readable"))}
${row("Object", foreign(name, 600))}
${row("Monitor", foreign(monitor ?? "not known"))}
${alerts.length > 0 && row("Last ids", html`<code>${shown(alerts.join(" "), 1800)}</code>`)}
</dl></section>`;
  return page(reader, `Rejected: ${name}`, "/journal", content);
};

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
  const content = html`<h1>${state(record.state)} <span class="type">${record.type.toLowerCase()} of</span> ${foreign(object, 600)}</h1>
<p class="card outcome">${outcomeWords(outcomeOf(record), 800)}</p>
${
  record.digest &&
  html`<p class="card">It is told with others by <a href="${storyPath(record.digest.id)}">a digest</a>, as: ${foreign(record.digest.line, 200)}</p>`
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
</dl></section>`;
  return page(reader, `${record.type} ${object}`, "/journal", content);
};

/** An alert of which nothing but its place in the queue is known. */
const waitingPage = (reader: Reader, id: string): Html => {
  const title = "It waits in the queue";
  const content = html`<h1>${title}</h1><p class="card">Nothing was decided yet of <code>${shown(id)}</code>. Load this page again in a moment.</p>`;
  return page(reader, title, "/journal", content);
};

/** Adds the page of an alert, wherever it is. */
export const addStory = (show: Show, parts: ConsoleParts, { fault }: Answers): void =>
  show("/alerts/:id", {}, async ({ c, reader, site }) => {
    const id = c.req.param("id") ?? "";
    const { record, waits, rejection } = await findAlert(parts, site, id);
    if (record) return storyPage(reader, record);
    if (waits) return waitingPage(reader, id);
    if (rejection) return rejectionPage(reader, rejectedStoryOf(rejection));
    const reason =
      "This site has none of this id. One that has just come may still wait in the queue, and what ended is forgotten after 30 days.";
    return fault(c, 404, "There is no such alert", reason, "The journal lists what there is.");
  });

import { html } from "hono/html";
import { type Flow, type Hour, hourMilliseconds } from "../ledger/flow.ts";

const hoursShown = 24;
const lines = ["accepted", "mailed", "suppressed"] as const;

/** When a day's curve begins: it ends with the hour of `now`. */
export const curveBegin = (now: number): number =>
  (Math.floor(now / hourMilliseconds) - hoursShown + 1) * hourMilliseconds;

/** The least round number, 4 or more, that is not below another. */
const roundAbove = (number: number): number => {
  const power = 10 ** Math.floor(Math.log10(Math.max(number, 4)));
  return (
    [1, 2, 3, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= Math.max(number, 4)) ?? number
  );
};

const hourWords = (at: number): string =>
  `${String(Math.floor(at / hourMilliseconds) % 24).padStart(2, "0")}:00`;

/** A day of a site's flow as lines, one for each hour, with the same numbers as a table. */
export const curve = (flow: Flow, now: number) => {
  const begin = curveBegin(now);
  const byHour = new Map(flow.hours.map((hour) => [hour.at, hour]));
  const hours: Hour[] = Array.from({ length: hoursShown }, (_, index) => {
    const at = begin + index * hourMilliseconds;
    return byHour.get(at) ?? { at, accepted: 0, mailed: 0, suppressed: 0 };
  });
  const top = roundAbove(Math.max(...hours.map(({ accepted }) => accepted)));
  const sum = (line: (typeof lines)[number]) => hours.reduce((total, hour) => total + hour[line], 0);
  const points = (line: (typeof lines)[number]) =>
    hours.map((hour, index) => `${index * 10},${100 - (hour[line] / top) * 100}`).join(" ");
  const busy = hours.filter(({ accepted }) => accepted > 0);
  return html`<figure>
<figcaption>Alerts received in the last 24 hours, by hour of UTC</figcaption>
<ul class="key">${lines.map((line) => html`<li class="${line}">${line} <b>${sum(line)}</b></li>`)}</ul>
<div class="plot"><span class="top">${top}</span>
<svg viewBox="0 -2 230 104" preserveAspectRatio="none" role="img" aria-label="Of ${sum("accepted")} alerts accepted in 24 hours ${sum("mailed")} were mailed and ${sum("suppressed")} suppressed; the numbers of each hour follow.">
<path class="grid" d="M0 0H230M0 50H230M0 100H230"/>
<polygon class="accepted" points="0,100 ${points("accepted")} 230,100"/>
${lines.map((line) => html`<polyline class="${line}" points="${points(line)}"/>`)}
</svg></div>
<p class="axis" aria-hidden="true">${[0, 6, 12, 18, 23].map((index) => html`<span>${hourWords(begin + index * hourMilliseconds)}</span>`)}</p>
${flow.since > begin && html`<p class="quiet">There were too many alerts to count those before ${hourWords(flow.since)} UTC.</p>`}
${
  busy.length > 0 &&
  html`<details><summary>The numbers of each hour</summary>
<table class="numbers"><thead><tr><th scope="col">Hour (UTC)</th>${lines.map((line) => html`<th scope="col">${line}</th>`)}</tr></thead>
<tbody>${busy.map((hour) => html`<tr><th scope="row">${hourWords(hour.at)}</th>${lines.map((line) => html`<td>${hour[line]}</td>`)}</tr>`)}</tbody></table></details>`
}
</figure>`;
};

import { html } from "hono/html";
import { type Alert, severity } from "../alert.ts";
import { timeIn } from "../time.ts";
import { type Measure, readPerfdata, thresholdsOf } from "./perfdata.ts";

/** The facts in a body. */
export type Facts = {
  /** The beginning of the first line: see `siteMark`. */
  mark: string;
  subject: string;
  site: string;
  title: string;
  object: string;
  alert: Alert;
  contact: string;
  /** Unix milliseconds of the bridge; absent outside an episode. */
  since?: number;
  link?: string;
  why: string;
  /** The time zone of its times. */
  zone: string;
  id: string;
  /** The lines of the sender at the end. */
  footer?: readonly string[];
};

/** The two largest units that count: `2 d 3 h`, `10 min`. */
const duration = (milliseconds: number): string => {
  const seconds = Math.round(milliseconds / 1000);
  const parts = [
    `${Math.floor(seconds / 86_400)} d`,
    `${Math.floor(seconds / 3600) % 24} h`,
    `${Math.floor(seconds / 60) % 60} min`,
    `${seconds % 60} s`,
  ];
  const first = parts.findIndex((part) => !part.startsWith("0 "));
  const largest = parts.slice(first, first + 2).filter((part) => !part.startsWith("0 "));
  return largest.join(" ") || "less than 1 s";
};

/** When the episode began, unless the monitor's time says that this is its beginning, or waited in a spool. */
const openedAt = ({ alert, since }: Facts): number | undefined =>
  since !== undefined && since < alert.time * 1000 ? since : undefined;

/** The addition of a recovery to its headline. */
const lasted = (facts: Facts): string => {
  const since = openedAt(facts);
  return facts.title === "RECOVERY" && since !== undefined
    ? ` after ${duration(facts.alert.time * 1000 - since)}`
    : "";
};

/** The rows that have a value. */
const known = (table: [label: string, value: string | undefined][]) =>
  table.filter((row): row is [string, string] => Boolean(row[1]));

/** Label and value of each line of the table; only what the monitor sent. */
const rows = (facts: Facts): [string, string][] => {
  const { alert, contact, site, zone } = facts;
  const { object, notification } = alert;
  const about = [object.alias, object.address].filter((word) => word && word !== object.host).join(", ");
  const attempt =
    alert.attempt && alert.max_attempts ? `, attempt ${alert.attempt} of ${alert.max_attempts}` : "";
  const before = alert.prev_state && alert.prev_state !== alert.state ? `, was ${alert.prev_state}` : "";
  const since = openedAt(facts);
  return known([
    ["Host", about ? `${object.host} (${about})` : object.host],
    ["Service", object.service ?? undefined],
    ["State", `${alert.state} (${alert.state_type}${attempt}${before})`],
    ["Time", timeIn(alert.time * 1000, zone)],
    [facts.title === "RECOVERY" ? "Began" : "Open since", since ? timeIn(since, zone) : undefined],
    ["Author", alert.comment ? undefined : alert.author],
    ["Groups", object.groups?.join(", ")],
    ["Contact", contact],
    ["Notification", notification.number ? `number ${notification.number}` : undefined],
    ["Site", site],
    ["Monitor", `${alert.monitor.id} (${alert.source})`],
  ]);
};

const links = ({ alert, link }: Facts): [string, string][] =>
  known([
    ["Show", link],
    ["Action", alert.object.urls?.action],
    ["Notes", alert.object.urls?.notes],
    ["Information", alert.object.urls?.info],
  ]);

const commentLabel = ({ author }: Alert): string => (author ? `Comment by ${author}` : "Comment");

/** Said of every problem mail of an escalation: its reader may never have heard of this problem. */
const escalation = ({ type, notification }: Alert): string | undefined => {
  if (type !== "PROBLEM" || !notification.escalated) return undefined;
  const number = notification.number ? ` for notification ${notification.number} of this problem` : "";
  return `This is an escalation: the monitor's escalation rules chose this contact${number}.`;
};

/** Text in lines of at most 76 characters, but for longer words. */
export const wrapped = (text: string): string => text.replaceAll(/(?=[^\n]{77})([^\n]{1,76}) /g, "$1\n");

/** The end of a text body: the alert's id, and the lines of the sender. */
export const signature = (id: string, footer: readonly string[] = []): string =>
  `\n-- \n${[`Alert ${id}, by Hardstate`, ...footer].map((line) => `${line}\n`).join("")}`;

/** One line for each value, or the monitor's text if that has another form. */
const perfdataText = ({ perfdata = "" }: Alert): string => {
  const measures = readPerfdata(perfdata);
  if (!measures) return perfdata;
  const width = Math.min(30, Math.max(...measures.map(({ label }) => label.length)));
  const line = (one: Measure) => {
    const thresholds = thresholdsOf(one);
    return `${one.label.padEnd(width)}  ${one.value}${thresholds && ` (${thresholds})`}`;
  };
  return measures.map(line).join("\n");
};

const cutMark = "The monitor's text was longer; the rest was cut.";

/** The plain text body, LF line ends. */
export const textBody = (facts: Facts): string => {
  const { mark, title, object, alert, why, id, footer } = facts;
  const labelled = [...rows(facts), ...links(facts)];
  const escalated = escalation(alert);
  const width = Math.max(...labelled.map(([label]) => label.length));
  const block = (label: string, text: string | undefined) => (text ? `\n${label}:\n\n${text}\n` : "");
  return [
    `${mark}${title}: ${object} is ${alert.state}${lasted(facts)}\n`,
    alert.output ? `\n${wrapped(alert.output)}\n` : "",
    block(commentLabel(alert), wrapped(alert.comment ?? "")),
    escalated ? `\n${wrapped(escalated)}\n` : "",
    "\n",
    ...labelled.map(([label, value]) => `${label.padEnd(width)}  ${value}\n`),
    block("Output", alert.long_output),
    alert.truncated ? `\n${cutMark}\n` : "",
    block("Performance data", perfdataText(alert)),
    `\n${wrapped(`Why this mail: ${why}`)}\n`,
    signature(id, footer),
  ].join("");
};

/** By severity, each with white text on it: readable whatever the mail program makes of the page around. */
export const colours = ["#1a7f37", "#9a6700", "#bc4c00", "#cf222e"];

export const small = "opacity:.75;font-size:13px";

/** A line in which addresses of web pages are links. */
const linked = (line: string) =>
  line
    .split(/(https?:\/\/[^\s<>"]+)/)
    .map((part, index) =>
      index % 2 === 1 ? html`<a href="${part}" style="color:inherit">${part}</a>` : part,
    );

/** A page: no scripts, no remote content, inline styles alone; everything from outside is escaped by the template. */
export const htmlPage = (
  title: string,
  id: string,
  content: unknown,
  footer: readonly string[] = [],
): string =>
  String(html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>${title}</title></head>
<body style="margin:0;padding:16px;font:15px/1.5 system-ui,sans-serif"><div style="max-width:680px;margin:0 auto;overflow-wrap:anywhere;word-break:break-word">
${content}
<p style="${small};border-top:1px solid #8884;padding-top:8px">Alert ${id}, by Hardstate${footer.map((line) => html`<br>${linked(line)}`)}</p>
</div></body></html>
`);

/** Values, thresholds, and a bar where a value has a maximum. */
const perfdataTable = (measures: readonly Measure[]) => html`<div style="${small}">Performance data</div>
<table style="border-collapse:collapse;margin:4px 0 16px">
${measures.map((one) => {
  const percent = Math.round((one.share ?? 0) * 100);
  const bar = html`<div style="width:120px;background:#8884;border-radius:2px"><div style="width:${percent}%;height:8px;background:#57606a;border-radius:2px"></div></div>`;
  return html`<tr><td style="padding:2px 14px 2px 0">${one.label}</td><td style="padding:2px 14px 2px 0;text-align:right">${one.value}</td><td style="padding:2px 14px 2px 0;${small}">${thresholdsOf(one)}</td><td>${one.share === undefined ? "" : bar}</td></tr>
`;
})}</table>`;

export const htmlBody = (facts: Facts): string => {
  const { mark, subject, title, object, alert, link, why, id, footer } = facts;
  const colour = colours[severity[alert.state]];
  const escalated = escalation(alert);
  const measures = readPerfdata(alert.perfdata ?? "");
  const pre =
    "white-space:pre-wrap;font:13px/1.45 ui-monospace,Menlo,Consolas,monospace;margin:4px 0 16px;padding:10px;border:1px solid #8884;border-radius:4px";
  const block = (label: string, text: string | undefined) =>
    text ? html`<div style="${small}">${label}</div><pre dir="auto" style="${pre}">${text}</pre>` : "";
  const row = (label: string, value: unknown) =>
    html`<tr><th scope="row" style="text-align:left;vertical-align:top;font-weight:normal;white-space:nowrap;padding:2px 14px 2px 0;${small}">${label}</th><td style="padding:2px 0">${value}</td></tr>`;
  const content = html`<div style="border-left:6px solid ${colour};padding:2px 0 2px 12px"><div style="${small}">${mark}${title}</div><div style="font-size:20px"><b dir="ltr">${link ? html`<a href="${link}" style="color:inherit">${object}</a>` : object}</b> is <b style="background:${colour};color:#ffffff;padding:0 6px;border-radius:4px">${alert.state}</b>${lasted(facts)}</div></div>
${alert.output ? html`<p dir="auto" style="font-size:16px">${alert.output}</p>` : ""}
${block(commentLabel(alert), alert.comment)}
${escalated ? html`<p><b>${escalated}</b></p>` : ""}
<table style="border-collapse:collapse;margin:0 0 16px">
${rows(facts).map(([label, value]) => row(label, value))}
${links(facts).map(([label, url]) => row(label, html`<a href="${url}">${url}</a>`))}
</table>
${block("Output", alert.long_output)}
${alert.truncated ? html`<p><b>${cutMark}</b></p>` : ""}
${measures ? perfdataTable(measures) : block("Performance data", alert.perfdata)}
<p>Why this mail: ${why}</p>`;
  return htmlPage(subject, id, content, footer);
};

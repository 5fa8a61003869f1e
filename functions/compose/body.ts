import { html } from "hono/html";
import { type Alert, severity } from "../alert.ts";

/** What a body tells. */
export type Facts = {
  title: string;
  object: string;
  alert: Alert;
  contact: string;
  /** Unix milliseconds; absent outside an episode. */
  since?: number;
  link?: string;
  why: string;
  id: string;
};

const dateTime = new Intl.DateTimeFormat("sv-SE", {
  dateStyle: "short",
  timeStyle: "medium",
  timeZone: "UTC",
});
const timeWithZone = (milliseconds: number): string => `${dateTime.format(milliseconds)} UTC`;

/** Label and value of each line of the table; only what the monitor sent. */
const rows = ({ alert, since, contact }: Facts): [string, string][] => {
  const { object, notification } = alert;
  const about = [object.alias, object.address].filter((word) => word && word !== object.host).join(", ");
  const attempt =
    alert.attempt && alert.max_attempts ? `, attempt ${alert.attempt} of ${alert.max_attempts}` : "";
  const before = alert.prev_state && alert.prev_state !== alert.state ? `, was ${alert.prev_state}` : "";
  const table: [string, string | undefined][] = [
    ["Host", about ? `${object.host} (${about})` : object.host],
    ["Service", object.service ?? undefined],
    ["State", `${alert.state} (${alert.state_type}${attempt}${before})`],
    ["Time", timeWithZone(alert.time * 1000)],
    ["Open since", since === undefined ? undefined : timeWithZone(since)],
    ["Author", alert.author],
    ["Groups", object.groups?.join(", ")],
    ["Contact", contact],
    ["Notification", notification.number ? `number ${notification.number}` : undefined],
    ["Monitor", `${alert.monitor.id} (${alert.source})`],
  ];
  return table.filter((row): row is [string, string] => Boolean(row[1]));
};

const links = ({ alert, link }: Facts): [string, string][] =>
  (
    [
      ["Show", link],
      ["Action", alert.object.urls?.action],
      ["Notes", alert.object.urls?.notes],
      ["Information", alert.object.urls?.info],
    ] as [string, string | undefined][]
  ).filter((row): row is [string, string] => row[1] !== undefined);

const cutMark = "The monitor's text was longer; the rest was cut.";

/** The plain text body, LF line ends. */
export const textBody = (facts: Facts): string => {
  const { title, object, alert, why, id } = facts;
  const labelled = [...rows(facts), ...links(facts)];
  const width = Math.max(...labelled.map(([label]) => label.length));
  const block = (label: string, text: string | undefined) => (text ? `\n${label}:\n\n${text}\n` : "");
  return [
    `${title}: ${object} is ${alert.state}\n`,
    alert.output ? `\n${alert.output}\n` : "",
    block("Comment", alert.comment),
    `\nWhy this mail: ${why}\n\n`,
    ...labelled.map(([label, value]) => `${label.padEnd(width)}  ${value}\n`),
    block("Output", alert.long_output),
    block("Performance data", alert.perfdata),
    alert.truncated ? `\n${cutMark}\n` : "",
    `\n-- \nAlert ${id}, by Hardstate\n`,
  ].join("");
};

const colours = ["#1a7f37", "#9a6700", "#bc4c00", "#cf222e"];

/** The HTML body: no scripts, no remote content; everything from outside is escaped by the template. */
export const htmlBody = (facts: Facts): string => {
  const { title, object, alert, why, id } = facts;
  const small = "color:#777;font-size:13px";
  const pre =
    "white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.45 ui-monospace,Menlo,Consolas,monospace;margin:4px 0 16px;padding:10px;border:1px solid #8884;border-radius:4px";
  const block = (label: string, text: string | undefined) =>
    text ? html`<div style="${small}">${label}</div><pre style="${pre}">${text}</pre>` : "";
  const row = (label: string, value: unknown) =>
    html`<tr><th scope="row" style="text-align:left;vertical-align:top;font-weight:normal;padding:2px 14px 2px 0;${small}">${label}</th><td style="padding:2px 0;overflow-wrap:anywhere">${value}</td></tr>`;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>${title} ${alert.state}: ${object}</title></head>
<body style="margin:0;padding:16px;font:15px/1.5 system-ui,sans-serif"><div style="max-width:680px;margin:0 auto">
<div style="border-left:6px solid ${colours[severity[alert.state]]};padding:2px 0 2px 12px"><div style="${small}">${title}</div><div style="font-size:20px;overflow-wrap:anywhere"><b>${object}</b> is <b style="color:${colours[severity[alert.state]]}">${alert.state}</b></div></div>
<p style="font-size:16px;overflow-wrap:anywhere">${alert.output ?? ""}</p>
${block("Comment", alert.comment)}
<p style="overflow-wrap:anywhere">Why this mail: ${why}</p>
<table role="presentation" style="border-collapse:collapse;margin:0 0 16px">
${rows(facts).map(([label, value]) => row(label, value))}
${links(facts).map(([label, url]) => row(label, html`<a href="${url}">${url}</a>`))}
</table>
${block("Output", alert.long_output)}
${block("Performance data", alert.perfdata)}
${alert.truncated ? html`<p style="${small}">${cutMark}</p>` : ""}
<p style="${small};border-top:1px solid #8884;padding-top:8px">Alert ${id}, by Hardstate</p>
</div></body></html>
`;
  return String(page);
};

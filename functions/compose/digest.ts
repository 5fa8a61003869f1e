import { html } from "hono/html";
import { type NotificationType, type State, severity } from "../alert.ts";
import type { JournalRecord } from "../ledger/journal.ts";
import type { QueuedAlert } from "../queue/message.ts";
import { colours, htmlPage, signature, wrapped } from "./body.ts";
import { type ComposedMail, linkTo, mailAbout, type Sender, siteName, urgentStates } from "./mail.ts";
import { siteMark, subjectOf } from "./subject.ts";

/** How it stands with one object, by all that the digest tells of it. */
type Line = {
  host: string;
  service: string | null;
  /** Undefined: this digest tells of its downtime alone. */
  state?: State;
  output: string;
  /** The worst that this digest tells of it, if it has recovered since. */
  was?: State;
  recovered: boolean;
  /** The last words of this digest about its downtime: its author and the reason. */
  downtime?: { became: string; why: string };
  /** For the line of a note: its type, its text, and how many notes have the same text. */
  note?: { type: NotificationType; says: string; times: number };
};

const became: Partial<Record<NotificationType, string>> = {
  DOWNTIMESTART: "started",
  DOWNTIMEEND: "ended",
  DOWNTIMECANCELLED: "cancelled",
};

/** The word for a note in its line, and the noun in the summary. */
const noteWords: Partial<Record<NotificationType, [word: string, noun: string]>> = {
  CUSTOM: ["custom", "custom notification"],
  ACKNOWLEDGEMENT: ["acknowledged", "acknowledgement"],
  FLAPPINGSTART: ["flapping", "flapping notification"],
  FLAPPINGSTOP: ["flapping ended", "flapping notification"],
  FLAPPINGDISABLED: ["flapping off", "flapping notification"],
};

/** One line for each text about an object: a later note does not replace an earlier one. */
const noteLinesOf = (members: readonly JournalRecord[]): Line[] => {
  const lines = new Map<string, Line & Required<Pick<Line, "note">>>();
  for (const { objectKey, host, service, type, digest } of members) {
    if (!noteWords[type]) continue;
    const says = digest?.line ?? "";
    const key = JSON.stringify([objectKey, type, says]);
    const times = (lines.get(key)?.note.times ?? 0) + 1;
    lines.set(key, { host, service, output: "", recovered: false, note: { type, says, times } });
  }
  return [...lines.values()];
};

/**
 * One line for each object, by its last alert that was decided, or by other mails of its contact meanwhile. Times do
 * not decide: an alert that waited is older than it looks. Recovered is told with what it was.
 */
const linesOf = (
  members: readonly JournalRecord[],
  meanwhile: NonNullable<JournalRecord["meanwhile"]>,
): Line[] =>
  [...Map.groupBy(members, ({ objectKey }) => objectKey)].map(([key, records]) => {
    const { host, service } = records[0] as JournalRecord;
    const downtimes = records.filter(({ type }) => became[type] !== undefined);
    const set = downtimes.at(-1);
    const downtime = set && { became: became[set.type] ?? "", why: set.digest?.line ?? "" };
    const last = records.filter((record) => !downtimes.includes(record)).at(-1);
    if (!last) return { host, service, output: "", recovered: false, downtime };
    const problems = records.filter(({ type }) => type === "PROBLEM");
    const worst = problems.toSorted((a, b) => severity[b.state] - severity[a.state])[0];
    const good = service === null ? "UP" : "OK";
    const known = meanwhile[key];
    const recovered = known?.recovered ?? last.type === "RECOVERY";
    const state = known && !recovered ? known.state : recovered ? good : last.state;
    return {
      host,
      service,
      state,
      output: state === last.state ? (last.digest?.line ?? "") : "",
      was: recovered ? (worst?.state ?? known?.state) : undefined,
      recovered,
      downtime,
    };
  });

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
/** The worst problem first, then recoveries; downtimes alone and notes come last. */
const rank = ({ recovered, state }: Line): number =>
  state === undefined ? -2 : recovered ? -1 : severity[state];

/** By host, those with the worst first; a host's own line before its services'. */
const byHost = (lines: readonly Line[]): [host: string, lines: Line[]][] => {
  const worst = (of: readonly Line[]) => Math.max(...of.map(rank));
  return [...Map.groupBy(lines, ({ host }) => host)]
    .map(([host, of]): [string, Line[]] => [
      host,
      of.toSorted(
        (a, b) =>
          Number(a.service !== null) - Number(b.service !== null) ||
          rank(b) - rank(a) ||
          compare(a.service ?? "", b.service ?? ""),
      ),
    ])
    .toSorted(([a, of], [b, others]) => worst(others) - worst(of) || compare(a, b));
};

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

/** The content of a digest, in the words of a subject. */
const summary = (lines: readonly Line[]): string => {
  const open = lines.filter(({ state, recovered }) => state !== undefined && !recovered).length;
  const over = lines.filter(({ recovered }) => recovered).length;
  const downtimes = Object.values(became).map((word) => {
    const count = lines.filter(({ downtime }) => downtime?.became === word).length;
    return count > 0 && `${counted(count, "downtime")} ${word}`;
  });
  const noted = Map.groupBy(
    lines.flatMap(({ note }) => note ?? []),
    ({ type }) => noteWords[type]?.[1] ?? type,
  );
  const notes = [...noted].map(([noun, of]) =>
    counted(
      of.reduce((sum, { times }) => sum + times, 0),
      noun,
    ),
  );
  return [open > 0 && counted(open, "problem"), over > 0 && `${over} recovered`, ...downtimes, ...notes]
    .filter(Boolean)
    .join(", ");
};

/** The first hosts, and how many more there are. */
const hostsOf = (groups: readonly [string, Line[]][]): string => {
  const named = groups.slice(0, 3).map(([host]) => (host.length > 40 ? `${host.slice(0, 39)}…` : host));
  const more = groups.length - named.length;
  return more > 0
    ? `${named.join(", ")} and ${counted(more, "more host")}`
    : named.join(", ").replace(/, ([^,]*)$/, " and $1");
};

const why =
  "More came at once than is mailed one by one: the first mails went out alone, this one tells the rest.";

const nameOf = ({ service }: Line): string => service ?? "(host)";
const wordOf = ({ recovered, state, note }: Line): string =>
  note ? (noteWords[note.type]?.[0] ?? note.type) : recovered ? "recovered" : (state ?? "downtime");
/** The text of a line after the object's name. */
const detailOf = ({ state, recovered, was, output, downtime, note }: Line): string => {
  if (note) return [note.says, note.times > 1 && `(${note.times} times)`].filter(Boolean).join(" ");
  const detail = recovered ? was && `was ${was}` : output;
  const why = downtime?.why && `${downtime.became} (${downtime.why})`;
  const set = downtime && (why || downtime.became);
  return [detail, set && (state === undefined ? set : `downtime ${set}`)].filter(Boolean).join("; ");
};

/** The texts around a digest's lines. */
type Heading = { title: string; site: string; id: string; footer?: readonly string[] };

const textOf = ({ title, site, id, footer }: Heading, groups: readonly [string, Line[]][]): string => {
  const all = groups.flatMap(([, lines]) => lines);
  const width = Math.min(40, Math.max(...all.map((line) => nameOf(line).length)));
  const wordWidth = Math.max(11, ...all.map((line) => wordOf(line).length));
  const row = (line: Line) =>
    [`  ${wordOf(line).padEnd(wordWidth)}`, nameOf(line).padEnd(width), detailOf(line)].join("  ").trimEnd();
  return [
    `${title}\n`,
    ...groups.map(([host, lines]) => `\n${host}\n${lines.map(row).join("\n")}\n`),
    `\n${wrapped(`Why this mail: ${why}`)}\nSite: ${site}\n`,
    signature(id, footer),
  ].join("");
};

const htmlOf = (
  { title, site, id, footer }: Heading,
  groups: readonly [string, Line[]][],
  link: (line: Line) => string | undefined,
): string => {
  const name = (line: Line) => {
    const url = link(line);
    return url ? html`<a href="${url}" style="color:inherit">${nameOf(line)}</a>` : nameOf(line);
  };
  // No table: on a telephone its columns would cut names into pieces.
  const badge =
    "display:inline-block;min-width:84px;text-align:center;color:#ffffff;padding:0 6px;margin-right:4px;border-radius:4px";
  const row = (line: Line) =>
    html`<div style="margin:4px 0"><b style="background:${line.state ? colours[severity[line.state]] : "#57606a"};${badge}">${wordOf(line)}</b> <b dir="ltr">${line.was ? html`<s>${name(line)}</s>` : name(line)}</b> <span dir="auto">${detailOf(line)}</span></div>
`;
  const content = html`<div style="font-size:20px"><b>${title}</b></div>
${groups.map(
  ([host, lines]) => html`<h2 style="font-size:16px;margin:16px 0 4px" dir="ltr">${host}</h2>
${lines.map(row)}`,
)}
<p>Why this mail: ${why}<br>Site: ${site}</p>`;
  return htmlPage(title, id, content, footer);
};

/**
 * The mail of a digest: one line for each object of its members, by host, the worst first; what has recovered within
 * the digest is struck through. Deterministic like any mail: the same members make the same mail, and what was told
 * meanwhile of their objects if it was put back.
 */
export const composeDigest = (
  queued: QueuedAlert,
  members: readonly JournalRecord[],
  date: number,
  sender: Sender,
  meanwhile: JournalRecord["meanwhile"] = {},
): ComposedMail => {
  const ofStates = members.filter(({ type }) => !noteWords[type]);
  const lines = [...linesOf(ofStates, meanwhile), ...noteLinesOf(members)];
  const groups = byHost(lines);
  const title = `${siteMark(queued)}${summary(lines)} on ${counted(groups.length, "host")}`;
  const heading = { title, site: siteName(queued), id: queued.id, footer: sender.footer };
  const link = (line: Line) => linkTo(sender, queued.site, line);
  return mailAbout(queued, date, sender, {
    subject: subjectOf(queued, "DIGEST", `${summary(lines)}: ${hostsOf(groups)}`),
    text: textOf(heading, groups),
    html: htmlOf(heading, groups, link),
    reason: "R46 more came at once than is mailed one by one",
    urgent: lines.some(({ state, recovered }) => state && !recovered && urgentStates.includes(state)),
  });
};

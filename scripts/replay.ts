import { createReadStream, statSync } from "node:fs";
import { contactOf, type LoggedNotification, readLogLine, toPost } from "../functions/intake/nagios-log.ts";
import { defaultPolicy } from "../functions/ledger/policy.ts";
import { meaning, type Row } from "../functions/ledger/rows.ts";
import type { Event } from "../functions/telemetry.ts";
import { rehearse } from "./rehearsal.ts";

/** What became of one notification of the log; `row` is that of nagios.md §5.2. */
export type Replayed = {
  at: number;
  object: string;
  contact: string;
  /** As Nagios wrote it; a recovery that Hardstate makes itself has none. */
  type: string;
  state: string;
  mailed?: string;
  row: Row;
  reason: string;
};

export type Replay = {
  lines: number;
  notifications: number;
  first?: number;
  last?: number;
  commands: Record<string, number>;
  contacts: Record<string, { nagios: number; hardstate: number }>;
  /** How many were not mailed, by row. */
  suppressed: Partial<Record<Row, number>>;
  /** How many were mailed, by kind. */
  mailed: Record<string, number>;
  /** How many were told by these digests. */
  digested: number;
  broken: { file: string; line: number; reason: string }[];
  all: Replayed[];
};

/** The lines of a file, ended by LF alone: an output may hold a CR, or a Unicode line separator. */
async function* linesOf(path: string, read: (bytes: number) => void): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of createReadStream(path)) {
    read((chunk as Buffer).length);
    const lines = (rest + decoder.decode(chunk as Buffer, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}

/** Holds are at most ten minutes, and host cover is asked again every five: by then all is decided. */
const settleMilliseconds = 3_600_000;

/**
 * Replays the notifications of log files, in the order given, as if each had been posted when it was logged: against
 * intake's reading, ledger, pipeline and sweep as they are, with the default policies and a relay that takes all.
 * `progress` is told the share of bytes read, at every 1000th line.
 */
export const replay = async (
  paths: readonly string[],
  only: { command?: string },
  progress: (share: number, lines: number) => void,
): Promise<Replay> => {
  const size = paths.reduce((sum, path) => sum + statSync(path).size, 0);
  const result: Replay = {
    lines: 0,
    notifications: 0,
    commands: {},
    contacts: {},
    suppressed: {},
    mailed: {},
    digested: 0,
    broken: [],
    all: [],
  };
  const origins = new Map<string, LoggedNotification>();
  const count = (counts: Record<string, number>, name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  const accountOf = (contact: string) => {
    const account = result.contacts[contact] ?? { nagios: 0, hardstate: 0 };
    result.contacts[contact] = account;
    return account;
  };
  let kind = "";
  let now = 0;
  const ended = (event: Event) => {
    if (event.event !== "ended") return;
    const contact = contactOf(event.contact) ?? event.contact;
    const origin = origins.get(event.id);
    origins.delete(event.id);
    const mailed = event.ending === "mailed" ? kind : undefined;
    if (mailed) accountOf(contact).hardstate += 1;
    const digested = event.ending === "digested";
    if (mailed) count(result.mailed, mailed);
    else if (digested) result.digested += 1;
    else if (origin) count(result.suppressed, event.row);
    // What the ledger makes itself and then does not need is nobody's notification.
    if (!origin && !mailed) return;
    result.all.push({
      at: origin?.at ?? Math.floor(now / 1000),
      object: event.object,
      contact,
      type: origin?.type ?? "",
      state: origin?.state ?? "",
      mailed: digested ? "DIGEST" : mailed,
      row: event.row,
      reason: event.reason.replaceAll(event.contact, contact).replace(/: 250 .*$/, ""),
    });
  };
  let stage: ReturnType<typeof rehearse> | undefined;
  let bytes = 0;
  /** The events of one second: the same for other contacts and commands is one, for the same ones another. */
  let second = { at: 0, events: new Map<string, { number: number; heard: Set<string> }>() };
  let events = 0;
  const numberOf = ({ at, host, service, type, state, contact, command }: LoggedNotification): number => {
    if (second.at !== at) second = { at, events: new Map() };
    const name = JSON.stringify([host, service, type, state]);
    const who = JSON.stringify([contact, command]);
    const known = second.events.get(name);
    if (known && !known.heard.has(who)) {
      known.heard.add(who);
      return known.number;
    }
    events += 1;
    second.events.set(name, { number: events, heard: new Set([who]) });
    return events;
  };
  for (const path of paths) {
    let line = 0;
    for await (const text of linesOf(path, (read) => {
      bytes += read;
    })) {
      line += 1;
      result.lines += 1;
      if (result.lines % 1000 === 0) progress(bytes / size, result.lines);
      if (text.trim() === "") continue;
      const read = readLogLine(text);
      if (read === "other") continue;
      if ("broken" in read) {
        result.broken.push({ file: path, line, reason: read.broken });
        continue;
      }
      count(result.commands, read.command);
      if (only.command !== undefined && read.command !== only.command) continue;
      result.notifications += 1;
      result.first ??= read.at;
      result.last = read.at;
      accountOf(read.contact).nagios += 1;
      stage ??= rehearse({
        policy: defaultPolicy,
        begin: read.at * 1000,
        relay: ({ subject }, at) => {
          kind = subject.split(" ")[0] ?? "";
          now = at;
          return "accepted";
        },
        report: ended,
      });
      await stage.passTo(read.at * 1000);
      const id = `notification-${result.notifications}`;
      origins.set(id, read);
      const post = toPost(read, "nagios");
      await stage.post("replay", {
        ...post,
        id,
        monitor: { id: "nagios", start: 1 },
        notification: { id: String(numberOf(read)) },
      });
    }
  }
  if (stage && result.last !== undefined) await stage.passTo(result.last * 1000 + settleMilliseconds);
  stage?.close();
  // Covered by a host that was down when the log ended.
  for (const { contact, at, host, service, type, state } of origins.values()) {
    count(result.suppressed, "R16");
    const object = service === null ? host : `${host}/${service}`;
    result.all.push({
      at,
      object,
      contact,
      type,
      state,
      row: "R16",
      reason: "its host was down when the log ended",
    });
  }
  return result;
};

const minuteOf = new Intl.DateTimeFormat("sv-SE", {
  dateStyle: "short",
  timeStyle: "short",
  timeZone: "UTC",
});
const secondOf = new Intl.DateTimeFormat("sv-SE", {
  dateStyle: "short",
  timeStyle: "medium",
  timeZone: "UTC",
});

/** Text from a log as a terminal may show it. */
const shown = (text: string): string => text.replace(/\p{Cc}/gu, "?");

const mostBroken = 10;

const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`;

/** A replay in words, for a terminal of 80 columns; with `list` each notification too, which may be wider. */
export const replayWords = (replay: Replay, list: boolean): string[] => {
  const { lines, notifications, first, last, contacts, suppressed, mailed, digested, broken, commands, all } =
    replay;
  const words: string[] = [];
  if (list) {
    for (const { at, object, contact, type, state, mailed, row, reason } of all.toSorted(
      (a, b) => a.at - b.at,
    )) {
      const what = type ? `${type} ${state}` : "(no notification)";
      const became = mailed ? `mailed as ${mailed}` : "not mailed";
      words.push(`${secondOf.format(at * 1000)}  ${shown(`${what} ${object} to ${contact}`)}`);
      words.push(`                     ${became}: ${shown(reason)} (${row})`);
    }
    words.push("");
  }
  const from =
    first === undefined
      ? ""
      : `, ${minuteOf.format(first * 1000)} to ${minuteOf.format((last ?? first) * 1000)} UTC`;
  words.push(`${counted(lines, "line")}, ${counted(notifications, "notification")}${from}`, "");
  const width = Math.max(10, ...Object.keys(contacts).map((name) => shown(name).length));
  const row = (name: string, nagios: number | string, hardstate: number | string) =>
    `${shown(name).padEnd(width)}  ${String(nagios).padStart(8)}  ${String(hardstate).padStart(9)}`;
  words.push(row("mails to", "Nagios", "Hardstate"));
  const byName = Object.entries(contacts).sort(([, a], [, b]) => b.nagios - a.nagios);
  for (const [name, { nagios, hardstate }] of byName) words.push(row(name, nagios, hardstate));
  const sum = (side: "nagios" | "hardstate") => byName.reduce((total, [, counts]) => total + counts[side], 0);
  words.push(row("all", sum("nagios"), sum("hardstate")), "");
  const mostFirst = (counts: Record<string, number>) => Object.entries(counts).sort(([, a], [, b]) => b - a);
  words.push("mailed by Hardstate");
  for (const [kind, count] of mostFirst(mailed)) words.push(`${String(count).padStart(8)}  ${kind}`);
  if (digested > 0) words.push(`${String(digested).padStart(8)}  told by these digests`);
  words.push("", "not mailed, because");
  for (const [name, count] of mostFirst(suppressed))
    words.push(`${String(count).padStart(8)}  ${meaning[name as Row]} (${name})`);
  if (Object.keys(commands).length > 1) {
    words.push("", "notification commands in the log (--command NAME looks at one alone)");
    for (const [name, count] of mostFirst(commands))
      words.push(`${String(count).padStart(8)}  ${shown(name)}`);
  }
  if (broken.length > 0) {
    words.push("", `${counted(broken.length, "line")} could not be read`);
    for (const { file, line, reason } of broken.slice(0, mostBroken))
      words.push(`  ${file}:${line}: ${reason}`);
    if (broken.length > mostBroken) words.push(`  and ${broken.length - mostBroken} more`);
  }
  return words;
};

import { statSync } from "node:fs";
import { readAlert, severity } from "../../functions/alert.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { meaning, type Row } from "../../functions/decide/rows.ts";
import type { Event } from "../../functions/report/event.ts";
import { say } from "../../functions/report/log.ts";
import { type Command, NotFoundOut, paragraph, WrongUse, wordOf } from "./command.ts";
import { visible } from "./import/findings.ts";
import { linesOf, stampReader } from "./log-files.ts";
import { contactOf, type LoggedNotification, type LoggedState, readLogLine, toPost } from "./nagios-log.ts";
import { rehearse } from "./rehearsal.ts";

/** The result of one notification of the log; `row` is that of docs/decision-table.md. */
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
  /** How many ALERT, CURRENT STATE and INITIAL STATE lines say when a problem begins and ends. */
  states: number;
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
  /** Warnings about these files, to be read before the numbers. */
  remarks: string[];
  all: Replayed[];
};

/** Counts by names that come from outside: `__proto__` is a name like any other. */
const byName = <T>(): Record<string, T> => Object.create(null);

type LogFile = { path: string; first?: number; stampOf: ReturnType<typeof stampReader> };

/** In how many lines the first time of a file is looked for. */
const mostUnstamped = 1000;

/** The files in the order of their first lines; those without any time come last. */
const sortedByTime = async (
  paths: readonly string[],
  zoneless: (path: string) => void,
): Promise<LogFile[]> => {
  const files: LogFile[] = [];
  for (const path of new Set(paths)) {
    const status = statSync(path, { throwIfNoEntry: false });
    if (status && !status.isFile() && !status.isDirectory())
      throw new NotFoundOut(`${path} is no regular file, and replay reads each file twice. Copy it first.`);
    const written = status?.mtimeMs ?? 0;
    const opened = () => stampReader(written, () => zoneless(path));
    const stampOf = opened();
    let first: number | undefined;
    let line = 0;
    for await (const text of linesOf(path, () => undefined)) {
      first = stampOf(text)?.at;
      line += 1;
      if (first !== undefined || line >= mostUnstamped) break;
    }
    files.push({ path, first, stampOf: opened() });
  }
  const when = ({ first }: LogFile) => first ?? Number.POSITIVE_INFINITY;
  return files.sort((a, b) => (when(a) === when(b) ? 0 : when(a) - when(b)));
};

type Problem = { id: string; epoch: number; open: boolean };

/**
 * Which problem of its object each notification is about, as the core would have said. A problem begins with the first
 * line that says that the object is not OK, and ends with the first one after it that says it is.
 */
const problems = () => {
  const known = new Map<string, Problem>();
  let count = 0;
  return {
    see: ({ at, host, service, state }: LoggedState): void => {
      const object = JSON.stringify([host, service]);
      const last = known.get(object);
      if (severity[state] === 0) {
        if (last) last.open = false;
      } else if (!last?.open) {
        count += 1;
        // Two problems may begin within a second; their epochs differ all the same.
        const epoch = Math.max(at, (last?.epoch ?? 0) + 1);
        known.set(object, { id: String(count), epoch, open: true });
      }
    },
    of: ({ host, service, type }: LoggedNotification): Record<string, unknown> | undefined => {
      const last = known.get(JSON.stringify([host, service]));
      if (last?.open) return { id: last.id, epoch: last.epoch };
      return last && type === "RECOVERY" ? { last_id: last.id, epoch: last.epoch } : undefined;
    },
  };
};

/** The number of each event: in one second the same for another contact or command is one, for the same ones another. */
const eventNumbers = () => {
  let second = { at: 0, events: new Map<string, { number: number; heard: Set<string> }>() };
  let count = 0;
  return ({ at, host, service, type, state, contact, command }: LoggedNotification): number => {
    if (second.at !== at) second = { at, events: new Map() };
    const name = JSON.stringify([host, service, type, state]);
    const hearer = JSON.stringify([contact, command]);
    const known = second.events.get(name);
    if (known && !known.heard.has(hearer)) {
      known.heard.add(hearer);
      return known.number;
    }
    count += 1;
    second.events.set(name, { number: count, heard: new Set([hearer]) });
    return count;
  };
};

const countIn = (counts: Record<string, number>, name: string): void => {
  counts[name] = (counts[name] ?? 0) + 1;
};

/** A reason with the contact's name in place of the address that stands for it. */
const plain = ({ contact, reason }: { contact: string; reason: string }): string =>
  reason.replaceAll(contact, contactOf(contact) ?? contact).replace(/: 250 .*$/, "");

/** Notes in `result` what becomes of each notification. */
const bookkeeping = (result: Replay) => {
  const origins = new Map<string, LoggedNotification>();
  const holds = new Map<string, { row: Row; reason: string }>();
  const lastMail = { kind: "", at: 0 };
  const accountOf = (contact: string) => {
    const account = result.contacts[contact] ?? { nagios: 0, hardstate: 0 };
    result.contacts[contact] = account;
    return account;
  };
  return {
    /** A notification of the log, and the id under which it is posted. */
    posted: (id: string, origin: LoggedNotification): void => {
      result.notifications += 1;
      result.first = Math.min(origin.at, result.first ?? origin.at);
      result.last = Math.max(origin.at, result.last ?? origin.at);
      accountOf(origin.contact).nagios += 1;
      origins.set(id, origin);
    },
    mailed: (subject: string, at: number): void => {
      lastMail.kind = /\w+/.exec(subject)?.[0] ?? "";
      lastMail.at = at;
    },
    decided: (event: Event): void => {
      if (event.event === "held") holds.set(event.id, { row: event.row, reason: plain(event) });
      if (event.event !== "ended") return;
      holds.delete(event.id);
      const contact = contactOf(event.contact) ?? event.contact;
      const origin = origins.get(event.id);
      origins.delete(event.id);
      const mailed = event.ending === "mailed" ? lastMail.kind : undefined;
      const digested = event.ending === "digested";
      if (mailed) accountOf(contact).hardstate += 1;
      if (mailed) countIn(result.mailed, mailed);
      else if (digested) result.digested += 1;
      else if (origin) countIn(result.suppressed, event.row);
      // The ledger made this alert itself and then did not need it: it is no notification of the log.
      if (!origin && !mailed) return;
      result.all.push({
        at: origin?.at ?? Math.floor(lastMail.at / 1000),
        object: event.object,
        contact,
        type: origin?.type ?? "",
        state: origin?.state ?? "",
        mailed: digested ? "DIGEST" : mailed,
        row: event.row,
        reason: plain(event),
      });
    },
    /** Adds the alerts that are still held when the replay is over. */
    finish: (): void => {
      for (const [id, { contact, at, host, service, type, state }] of origins) {
        const held = holds.get(id);
        if (!held) throw new Error(`nothing became of ${id}`);
        countIn(result.suppressed, held.row);
        const object = service === null ? host : `${host}/${service}`;
        const reason = `still held two hours after the log ends: ${held.reason}`;
        result.all.push({ at, object, contact, type, state, row: held.row, reason });
      }
    },
  };
};

/** Nothing is held or covered for longer than an hour: two hours after the last line all is decided. */
const settleMilliseconds = 2 * 3_600_000;

const newReplay = (): Replay => ({
  lines: 0,
  notifications: 0,
  states: 0,
  commands: byName(),
  contacts: byName(),
  suppressed: {},
  mailed: byName(),
  digested: 0,
  broken: [],
  remarks: [],
  all: [],
});

/** The bridge of a replay. It begins with the first notification that is posted. */
const replayStage = (result: Replay) => {
  const books = bookkeeping(result);
  let stage: ReturnType<typeof rehearse> | undefined;
  return {
    post: async (notification: LoggedNotification, change: Record<string, unknown>): Promise<void> => {
      stage ??= rehearse({
        policy: defaultPolicy,
        begin: notification.at * 1000,
        relay: ({ subject }, at) => {
          books.mailed(subject, at);
          return "accepted";
        },
        report: books.decided,
      });
      await stage.passTo(notification.at * 1000);
      const id = `notification-${result.notifications + 1}`;
      books.posted(id, notification);
      const monitor = { id: "nagios", start: 1 };
      await stage.post("replay", { ...toPost(notification, "nagios"), ...change, id, monitor });
    },
    finish: async (): Promise<void> => {
      if (stage && result.last !== undefined) await stage.passTo(result.last * 1000 + settleMilliseconds);
      stage?.close();
      books.finish();
    },
  };
};

/**
 * Replays the notifications of log files, oldest file first, as if each had been posted when it was logged: against
 * intake's reading, ledger, pipeline and sweep as they are, with the default policies and a relay that takes all. Each
 * has the problem that the lines about states give it. `progress` is told the share of bytes read, at every 1000th line.
 */
export const replay = async (
  paths: readonly string[],
  only: { command?: string },
  progress: (share: number, lines: number) => void,
): Promise<Replay> => {
  const result = newReplay();
  const zoneless = new Set<string>();
  const files = await sortedByTime(paths, (path) => zoneless.add(path));
  const size = files.reduce((sum, { path }) => sum + statSync(path).size, 0);
  const [stage, problem, numberOf] = [replayStage(result), problems(), eventNumbers()];
  let bytes = 0;
  let last: { path: string; at: number } | undefined;
  /** Notes a line; resolves to its fault, if it has one. */
  const take = async (path: string, read: LoggedState | LoggedNotification): Promise<string | undefined> => {
    last = { path, at: Math.max(read.at, last?.at ?? 0) };
    problem.see(read);
    if (!("contact" in read)) {
      result.states += 1;
      return undefined;
    }
    const alert = readAlert(toPost(read, "nagios"));
    if (!alert.ok)
      return alert.faults.map(({ field, expected }) => `${field}: expected ${expected}`).join("; ");
    countIn(result.commands, read.command);
    if (only.command !== undefined && read.command !== only.command) return undefined;
    const notification = { id: String(numberOf(read)) };
    await stage.post(read, { notification, problem: problem.of(read) });
    return undefined;
  };
  for (const { path, first, stampOf } of files) {
    if (last && first !== undefined && first < last.at)
      result.remarks.push(
        `${path} begins before ${last.path} ends. Are these logs of two monitors, or is one log given twice? Replay each alone.`,
      );
    let line = 0;
    for await (const text of linesOf(path, (read) => {
      bytes += read;
    })) {
      line += 1;
      result.lines += 1;
      if (result.lines % 1000 === 0) progress(bytes / size, result.lines);
      if (text.trim() === "") continue;
      const read = readLogLine(text, stampOf);
      if (read === "other") continue;
      const reason = "broken" in read ? read.broken : await take(path, read);
      if (reason !== undefined) result.broken.push({ file: path, line, reason });
    }
  }
  await stage.finish();
  if (zoneless.size > 0)
    result.remarks.push(
      `${[...zoneless].join(", ")}: times without a time zone are read as ${Intl.DateTimeFormat().resolvedOptions().timeZone}. TZ=... before the command names another.`,
    );
  if (result.notifications > 0 && result.states === 0)
    result.remarks.push(
      "There is no SERVICE ALERT or HOST ALERT line. So a problem ends only where a recovery notification is logged, and problems after an end without one count as repeats.",
    );
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

const longestName = 56;

/** A name from a log as a table of 80 columns may show it. */
const shownName = (text: string): string =>
  text.length > longestName ? `${visible(text.slice(0, longestName - 3))}...` : visible(text);

const mostBroken = 10;

const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`;

/** A replay in words, for a terminal of 80 columns; with `list` each notification too, which may be wider. */
export const replayWords = (replay: Replay, list: boolean): string[] => {
  const { lines, notifications, first, last, contacts, suppressed, mailed, digested, broken, commands, all } =
    replay;
  const { remarks } = replay;
  const words: string[] = [];
  if (list) {
    for (const { at, object, contact, type, state, mailed, row, reason } of all.toSorted(
      (a, b) => a.at - b.at,
    )) {
      const what = type ? `${type} ${state}` : "(no notification)";
      const became = mailed ? `mailed as ${mailed}` : "not mailed";
      words.push(`${secondOf.format(at * 1000)}  ${visible(`${what} ${object} to ${contact}`)}`);
      words.push(`                     ${became}: ${visible(reason)} (${row})`);
    }
    words.push("");
  }
  const from =
    first === undefined
      ? ""
      : `, ${minuteOf.format(first * 1000)} to ${minuteOf.format((last ?? first) * 1000)} UTC`;
  words.push(`${counted(lines, "line")}, ${counted(notifications, "notification")}${from}`, "");
  const width = Math.max(10, ...Object.keys(contacts).map((name) => shownName(name).length));
  const row = (name: string, nagios: number | string, hardstate: number | string) =>
    `${shownName(name).padEnd(width)}  ${String(nagios).padStart(8)}  ${String(hardstate).padStart(9)}`;
  words.push(row("mails to", "Nagios", "Hardstate"));
  const accounts = Object.entries(contacts).sort(([, a], [, b]) => b.nagios - a.nagios);
  for (const [name, { nagios, hardstate }] of accounts) words.push(row(name, nagios, hardstate));
  const sum = (side: "nagios" | "hardstate") =>
    accounts.reduce((total, [, counts]) => total + counts[side], 0);
  words.push(row("all", sum("nagios"), sum("hardstate")), "");
  const mostFirst = (counts: Record<string, number>) => Object.entries(counts).sort(([, a], [, b]) => b - a);
  words.push("mailed by Hardstate");
  for (const [kind, count] of mostFirst(mailed)) words.push(`${String(count).padStart(8)}  ${kind}`);
  if (digested > 0) words.push(`${String(digested).padStart(8)}  told by these digests`);
  if (Object.keys(suppressed).length > 0) words.push("", "not mailed, because");
  for (const [name, count] of mostFirst(suppressed))
    words.push(`${String(count).padStart(8)}  ${meaning[name as Row]} (${name})`);
  if (Object.keys(commands).length > 1) {
    words.push("", "notification commands in the log (--command NAME looks at one alone)");
    for (const [name, count] of mostFirst(commands))
      words.push(`${String(count).padStart(8)}  ${shownName(name)}`);
  }
  if (broken.length > 0) {
    words.push("", `${counted(broken.length, "line")} could not be read`);
    for (const { file, line, reason } of broken.slice(0, mostBroken))
      words.push(`  ${file}:${line}: ${reason}`);
    if (broken.length > mostBroken) words.push(`  and ${broken.length - mostBroken} more`);
  }
  for (const remark of remarks) words.push("", paragraph("", remark));
  return words;
};

const progressMilliseconds = 2000;

/** Tells how far a long work is, on standard error, now and then. */
const progress = () => {
  const begun = Date.now();
  let last = begun;
  return (share: number, lines: number) => {
    const now = Date.now();
    if (now - last < progressMilliseconds) return;
    last = now;
    const left = Math.round(((now - begun) / share - (now - begun)) / 1000);
    process.stderr.write(`${lines} lines, ${Math.floor(share * 100)} %, about ${left} s left\n`);
  };
};

/** Why these files have nothing to replay. */
const nothingIn = ({ lines, broken, commands }: Replay, paths: string[], command?: string): string => {
  const named = Object.keys(commands);
  if (named.length > 0)
    return `No notification is by the command ${command}. The log has ${named.map(shownName).join(", ")}.`;
  const files = paths.join(", ");
  if (lines === 0) return `${files} ${paths.length === 1 ? "is" : "are"} empty.`;
  const [first] = broken;
  const unread = first
    ? ` ${counted(broken.length, "line")} could not be read. The first: ${first.reason}.`
    : "";
  return `No notification is in ${files}.${unread} Is this a nagios.log, and does nagios.cfg have log_notifications=1?`;
};

/** `hardstate replay`. */
export const replayCommand: Command = {
  summary: "shows what Nagios mailed, and what Hardstate would have mailed",
  usage: `usage: hardstate replay FILE... [--command NAME] [--list] [--json]

Shows per contact what Nagios mailed, what Hardstate would have mailed with its
default settings, and why it would leave out the rest. Nothing is sent; the
files are only read.

FILE is a nagios.log or an archive of it, written by Nagios, Naemon, Centreon or
Icinga (the CompatLogger of Icinga 2), or their lines in syslog. Files packed by
gzip are read too. The file with the oldest first line is read first.

A problem begins and ends where SERVICE ALERT and HOST ALERT lines say so. A log
does not say which services are volatile: Hardstate mails each of their events,
here they count as repeats. Nor does it name escalations: recoveries that only
Hardstate would send to their contacts are missing here.

  --command NAME   only notifications that this command sent
  --list           also each notification, and what would become of it
  --json           the same as one JSON object

exit status: 0 done  2 wrong use  3 a file cannot be read, or has no
             notification`,
  options: { command: { type: "string" }, list: { type: "boolean" } },
  run: async (paths, values) => {
    if (paths.length === 0) throw new WrongUse("replay needs at least one FILE");
    const only = { command: wordOf(values.command) };
    const result = await replay(paths, only, progress());
    if (result.notifications === 0) throw new NotFoundOut(nothingIn(result, paths, only.command));
    if (values.json) say(JSON.stringify(values.list ? result : { ...result, all: undefined }));
    else for (const line of replayWords(result, values.list === true)) say(line);
    return 0;
  },
};

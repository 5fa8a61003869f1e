import { contactKey } from "../address.ts";
import { type Alert, cut, type Fault, objectName, readAlert } from "../alert.ts";
import { clockOf } from "../decide/case.ts";
import { openProblem } from "../decide/entry.ts";
import type { RouteState } from "../deliver/breaker.ts";
import type { Attempt } from "../deliver/outcome.ts";
import { fingerprint, operatorSite } from "../identity.ts";
import type { OpenProblem } from "../ledger/ledger.ts";
import { countOf, type Rejection } from "../ledger/rejection.ts";
import { type QueuedAlert, toMessage } from "../queue/message.ts";
import type { Queue } from "../queue/queue.ts";
import { adviceFor } from "./advice.ts";

/** A notice to operators. */
export type Notice =
  /** A route that is down or works again, or that refuses us and is not down yet. */
  | { about: "route"; state: RouteState }
  | {
      about: "dead" | "refused";
      id: string;
      object: string;
      contact: string;
      reason: string;
      last?: Attempt;
    }
  | { about: "unreadable"; reason: string }
  /** A monitor whose clock is wrong, and how. */
  | { about: "clock"; site: string; monitor: string; reason: string }
  /** The rejections of a site on one day for one contact or, if no contact can be read, from one monitor. */
  | { about: "rejected"; site: string; rejections: readonly [Rejection, ...Rejection[]] }
  /** The open problems, once a day; `more` if not all is in the list. */
  | {
      about: "still-open";
      problems: readonly (OpenProblem & { site: string })[];
      more: boolean;
      dayNumber: number;
    }
  /** A monitor that is silent, or is heard again. */
  | { about: "heartbeat"; site: string; monitor: string; since: number; silent: boolean };

const hour = 3_600_000;
const day = 24 * hour;

const counted = (problems: number): string =>
  problems === 1 ? "one problem is" : `${problems} problems are`;

const ownHost = "hardstate";
/** The services of `ownHost` in notices and digests. A text with a blank at its end is the beginning of a name. */
const ownServices = [
  "route ",
  "refusal by ",
  "mail to ",
  "heartbeat of ",
  "clock of ",
  "rejected: ",
  "returned mail: ",
  "dead letters",
  "still open",
  "unreadable messages",
  "digest",
] as const;
type Beginning<Text> = Text extends `${string} ` ? `${Text}${string}` : Text;

/**
 * Whether an object's name looks like one of the bridge's own, in upper or lower case and with any blanks. No site may
 * post such an alert. A site may post alerts about the host itself, and about its other services.
 */
export const isOwnObject = (alert: Pick<Alert, "object">): boolean => {
  const name = objectName(alert)
    .normalize("NFKC")
    .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
    .replace(/\s+/g, " ")
    .replace(/ ?\/ ?/g, "/")
    .trim()
    .toLowerCase();
  return ownServices.some((service) => {
    const own = `${ownHost}/${service}`;
    return own.endsWith(" ") ? name.startsWith(own) : name === own;
  });
};

/** A notice in words; `key` is the same for what is to be told once. */
export type Words = {
  service: Beginning<(typeof ownServices)[number]>;
  state?: "WARNING";
  /** Whether this is the end of what was told before; undefined: it has none. */
  recovered?: boolean;
  key: string;
  output: string;
  todo: string;
};

/** Whom a rejection concerns: what operators are told of once a day. */
export const concerned = ({ contact, monitor }: Rejection): string =>
  contact ?? (monitor === undefined ? "an unknown monitor" : `monitor ${monitor}`);

/** The meaning of a fault for the people who run the bridge and the monitor, and what to do. */
const remedyFor = ({ field, expected }: Fault, contact: string | undefined): string => {
  if (expected === "an address that HARDSTATE_RECIPIENTS allows")
    return `HARDSTATE_RECIPIENTS does not allow ${contact}. If the address is right, add it or its domain to HARDSTATE_RECIPIENTS. If it is misspelt, correct the contact's definition in the monitor.`;
  return `${field}: the bridge needs ${expected}.`;
};

const mostNamed = 10;

type About<Kind> = Extract<Notice, { about: Kind }>;

const routeWords = ({ state: { route, down, told, removed, refusal } }: About<"route">): Words => {
  if (refusal && !down && !told.down)
    return {
      service: `refusal by ${route}`,
      state: "WARNING",
      key: `${route} refuses ${refusal.at}`,
      output: `${route} refuses mail: ${refusal.reason}`,
      todo: `${adviceFor(refusal.step, refusal.reason)}\nThe mail takes the next route, or is retried. Nothing is lost.\nMore: hardstate doctor\nNo more mail about refusals by this route within 24 hours.`,
    };
  const over = removed ? `${route} is in the settings no more` : `Mail goes by ${route} again`;
  return {
    service: `route ${route}`,
    recovered: !down,
    key: down ? `${route} down ${down.since}` : `${route} works ${told.at}`,
    output: down ? `No mail goes by ${route}: ${down.reason}` : over,
    todo: down
      ? `${adviceFor(down.step, down.reason)}\nMeanwhile mail takes the next route, or waits; nothing is lost. This route is probed every few minutes, and used again after the first success.\nMore: hardstate doctor`
      : "There is nothing to do.",
  };
};

const burialWords = (
  { about, id, object, contact, reason, last }: About<"dead" | "refused">,
  now: number,
): Words => {
  const failed = last && last.outcome.result !== "accepted" ? last.outcome : undefined;
  const advice = failed ? `${adviceFor(failed.step, failed.reply)}\n` : "";
  const [service, key, span] =
    about === "dead"
      ? (["dead letters", `dead ${Math.floor(now / hour)}`, "the hour"] as const)
      : ([`mail to ${contact}`, `${contactKey(contact)} ${Math.floor(now / day)}`, "the day"] as const);
  return {
    service,
    key,
    output: `${object} for ${contact} was not mailed: ${reason}`,
    todo: `${advice}It is a dead letter now. Its story: hardstate explain ${id}\nWhen the cause is gone, put it back: hardstate redrive ${id}\nAll dead letters: hardstate redrive\nNo more mail about this cause within ${span}.`,
  };
};

const heartbeatWords = ({ site, monitor, since, silent }: About<"heartbeat">): Words => ({
  service: `heartbeat of ${site}/${monitor}`,
  recovered: !silent,
  key: `${site} ${monitor} ${silent ? "silent" : "heard again"} ${since}`,
  output: silent
    ? `${monitor} of ${site} has not been heard since ${clockOf(since)}`
    : `${monitor} of ${site} is heard again`,
  todo: silent
    ? "Does the monitor run, does its cron, and can it reach the bridge? On its host: notify --test\nIf it is gone for good, the bridge forgets it 30 days after its last heartbeat."
    : "Its alerts of that time wait in its spool, and come now.",
});

const clockWords = ({ site, monitor, reason }: About<"clock">, now: number): Words => ({
  service: `clock of ${site}/${monitor}`,
  state: "WARNING",
  key: `clock ${site} ${monitor} ${Math.floor(now / day)}`,
  output: `${reason}, at site ${site}`,
  todo: "Its alerts are mailed all the same. But the times in its mails are wrong, and its alerts may come in the wrong order.\nOn the monitoring host, set the clock by NTP and restart the monitor.\nNo more mail about this clock today.",
});

const rejectedWords = ({ site, rejections }: About<"rejected">): Words => {
  const [{ id, first, contact }, who] = [rejections[0], concerned(rejections[0])];
  const count = rejections.reduce((sum, one) => sum + countOf(one), 0);
  const objects = [...new Set(rejections.map(({ object }) => object ?? "an object that cannot be read"))];
  const named = objects.slice(0, mostNamed).map((object) => `  ${object}`);
  const more = objects.length > mostNamed ? [`  and ${objects.length - mostNamed} more`] : [];
  const remedies = new Set(rejections.flatMap(({ faults }) => faults.map((one) => remedyFor(one, contact))));
  return {
    service: `rejected: ${who}`,
    key: `rejected ${site} ${who} ${Math.floor(first / day)}`,
    output: `The bridge rejected ${count === 1 ? "an alert" : `${count} alerts`} for ${who}: no mail was sent`,
    todo: `${[...remedies].join("\n")}\nRejected at site ${site}:\n${[...named, ...more].join("\n")}\nThe bridge keeps no rejected alert. On the monitoring host, notify keeps it in the folder "rejected" of its spool: when the cause is gone, move the file back into the spool.\nMore: hardstate explain ${id}\nAll of them: the console's journal with the outcome "rejected".\nNo more mail about ${who} today.`,
  };
};

const stillOpenWords = ({ problems, more, dayNumber }: About<"still-open">, now: number): Words => {
  const sites = new Set(problems.map(({ site }) => site)).size;
  const lines = problems
    .map(({ site, host, service, entry }) => ({
      object: `${sites > 1 ? `${site}: ` : ""}${objectName({ object: { host, service } })}`,
      state: openProblem(entry)?.state ?? "",
      since: openProblem(entry)?.since ?? now,
    }))
    .toSorted((a, b) => a.since - b.since)
    .map(({ object, state, since }) => `${state.padEnd(11)} since ${clockOf(since)}  ${object}`);
  return {
    service: "still open",
    state: "WARNING",
    key: `still open ${dayNumber}`,
    output: `${more ? "More than " : ""}${counted(problems.length)} open, the oldest first`,
    todo: `${lines.join("\n")}${more ? "\nand more" : ""}`,
  };
};

const unreadableWords = ({ reason }: About<"unreadable">, now: number): Words => ({
  service: "unreadable messages",
  key: `unreadable ${Math.floor(now / hour)}`,
  output: `The queue holds a message that is not an alert: ${reason}`,
  todo: "It is a dead letter now. Does another program write to this queue, or a newer version of the bridge?",
});

const wordsOf = (notice: Notice, now: number): Words => {
  switch (notice.about) {
    case "route":
      return routeWords(notice);
    case "dead":
    case "refused":
      return burialWords(notice, now);
    case "heartbeat":
      return heartbeatWords(notice);
    case "clock":
      return clockWords(notice, now);
    case "rejected":
      return rejectedWords(notice);
    case "still-open":
      return stillOpenWords(notice, now);
    case "unreadable":
      return unreadableWords(notice, now);
  }
};

/**
 * The alerts that tell operators of something in these words, one for each address: they go the way of all alerts, so they
 * are kept, retried and journaled, by whichever route works. The same cause within its hour (refused and returned mail,
 * rejected posts: day) has the same id, and so is one alert.
 */
export const alertsOf = (words: Words, operators: readonly string[], now: number): QueuedAlert[] => {
  const { service, state = "CRITICAL", recovered, key, output, todo } = words;
  const reading = readAlert({
    v: 1,
    source: "other",
    monitor: { id: "hardstate" },
    type: recovered ? "RECOVERY" : "PROBLEM",
    object: { host: ownHost, service: cut(service, 255) },
    state: recovered ? "OK" : state,
    // A notice without an end of its own is news each time.
    notification: { volatile: recovered === undefined },
    output,
    long_output: todo,
    time: Math.floor(now / 1000),
  });
  if (!reading.ok) throw new Error(`a notice is no alert: ${JSON.stringify(reading.faults)}`);
  const alert = reading.value;
  return operators.map((contact) => ({
    v: 1,
    id: fingerprint("notice", key, contact).slice(0, 32),
    site: operatorSite,
    contact,
    receivedAt: now,
    alert,
  }));
};

export const noticeAlerts = (notice: Notice, operators: readonly string[], now: number): QueuedAlert[] =>
  alertsOf(wordsOf(notice, now), operators, now);

type TellParts = { queue: Pick<Queue, "send">; operators: readonly string[] };

/** Puts a notice in these words on the queue. Rejects unless the queue has all of it. */
export const tellInWords = async ({ queue, operators }: TellParts, words: Words, now: number) => {
  const notices = alertsOf(words, operators, now);
  const taken = notices.length > 0 ? await queue.send(notices.map(toMessage)) : [];
  if (!taken.every(Boolean)) throw new Error("the queue took only some of the notices for the operators");
};

export const tell = (parts: TellParts, notice: Notice, now: number): Promise<void> =>
  tellInWords(parts, wordsOf(notice, now), now);

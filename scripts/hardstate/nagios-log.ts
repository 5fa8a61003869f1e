import {
  hostStates,
  type NotificationType,
  notificationTypes,
  type State,
  serviceStates,
  severity,
} from "../../functions/alert.ts";

/** A notification as the log tells it: one line for each contact and each of its commands. `at` is in Unix seconds. */
export type LoggedNotification = {
  at: number;
  contact: string;
  command: string;
  type: NotificationType;
  host: string;
  service: string | null;
  state: State;
  output: string;
  author?: string;
  comment?: string;
};

/** The state of an object at a time, as an ALERT, CURRENT STATE or INITIAL STATE line of the log says. */
export type LoggedState = { at: number; host: string; service: string | null; state: State };

/** The time of a line in Unix seconds, and the entry that follows it. */
export type Stamped = { at: number; entry: string };

/** Reads the `[Unix time]` that each core writes at the start of a line. */
export const unixStamp = (line: string): Stamped | undefined => {
  const [stamp, seconds] = /^\[(\d{1,11})\] /.exec(line.slice(0, 32)) ?? [];
  return stamp === undefined ? undefined : { at: Number(seconds), entry: line.slice(stamp.length) };
};

const domain = "contact.invalid";

/**
 * An address that stands for a contact of whom only the name is known, under a domain that no mail can go to
 * (RFC 6761 §6.4). Names that differ have addresses that differ, in more than case. `parseAddress` takes it unless it
 * is too long: there is room for 235 letters, and a byte that is not a-w, y, z or a digit takes three.
 */
export const contactAddress = (name: string): string => {
  const letters = Array.from(new TextEncoder().encode(name), (byte) => {
    const letter = String.fromCharCode(byte);
    return /[a-wyz0-9]/.test(letter) ? letter : `x${byte.toString(16).padStart(2, "0")}`;
  }).join("");
  // A label has room for 63 letters: the longest names go on in subdomains.
  const [local = "", ...labels] = letters.match(/.{1,63}/g) ?? [];
  return `${local}@${[...labels, domain].join(".")}`;
};

/** The name behind an address that `contactAddress` gave, in any case of its letters; undefined for all others. */
export const contactOf = (address: string): string | undefined => {
  const given = address.toLowerCase();
  const letters = given.replace(/\.?contact\.invalid$/, "").replace(/[@.]/g, "");
  const bytes = Array.from(letters.matchAll(/x([0-9a-f]{2})|./gs), ([letter, hex]) =>
    hex === undefined ? letter.charCodeAt(0) : Number.parseInt(hex, 16),
  );
  const name = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
  return contactAddress(name) === given ? name : undefined;
};

const longestAddress = 254;

const usual = (state: State): NotificationType => (severity[state] === 0 ? "RECOVERY" : "PROBLEM");

/** `CRITICAL` is a problem, `OK` a recovery; any other notification has its state behind it, as in `CUSTOM (OK)`. */
const readState = (
  text: string,
  states: readonly State[],
): { type: NotificationType; state: State } | undefined => {
  const [, word = "", inBrackets] = /^([A-Z]+)(?: \(([A-Z]+)\))?$/.exec(text) ?? [];
  // Icinga 2 writes RECOVERY alone for a service, and DOWN (DOWN) for the problem of a host.
  const state =
    inBrackets === undefined && word === "RECOVERY"
      ? states.find((one) => usual(one) === "RECOVERY")
      : states.find((one) => one === (inBrackets ?? word));
  if (state === undefined) return undefined;
  const written = word === "FLAPPINGEND" ? "FLAPPINGSTOP" : word;
  const type = word === state ? usual(state) : notificationTypes.find((one) => one === written);
  const contradictory = (type === "PROBLEM" || type === "RECOVERY") && type !== usual(state);
  return type === undefined || contradictory ? undefined : { type, state };
};

const stateExpected = {
  HOST: "no state of a host that fits the notification, such as DOWN or CUSTOM (UP)",
  SERVICE: "no state of a service that fits the notification, such as CRITICAL or CUSTOM (OK)",
};

/** The fields of `contact;host;service;state;command;output;author;comment`, without `service` for a host's. */
const readNotification = (
  at: number,
  kind: "HOST" | "SERVICE",
  fields: readonly string[],
): LoggedNotification | { broken: string } => {
  const [contact = "", host = ""] = fields;
  const service = kind === "HOST" ? null : (fields[2] ?? "");
  const [stateText = "", command = "", ...texts] = fields.slice(kind === "HOST" ? 2 : 3);
  if (contact === "") return { broken: "no contact in the notification" };
  if (contactAddress(contact).length > longestAddress)
    return { broken: "too long a contact name in the notification" };
  if (host === "") return { broken: "no host in the notification" };
  if (service === "") return { broken: "no service in the notification" };
  const told = readState(stateText, kind === "HOST" ? hostStates : serviceStates);
  if (!told) return { broken: stateExpected[kind] };
  if (command === "") return { broken: "no command in the notification" };
  if (texts.length === 0) return { broken: "no output in the notification: the line is cut off" };
  const known = { at, contact, command, ...told, host, service };
  if (told.type === "PROBLEM" || told.type === "RECOVERY")
    return { ...known, output: texts.join(";").replace(/;$/, "") };
  const [output = "", author, ...comments] = texts;
  const comment = comments.join(";");
  return { ...known, output, ...(author && { author }), ...(comment && { comment }) };
};

/**
 * Reads one line of a nagios.log, with or without its line end (LF or CRLF): a notification, a state, some "other"
 * entry, or in words what keeps it from being read. Lines end at LF alone: an output may have a CR in it. `stampOf`
 * reads the time at the start of the line.
 *
 * Nagios Core 3 and 4, Naemon, Icinga 1 and Centreon write the same fields. Each of them makes colons of the semicolons
 * in an output, so the next one ends it; a comment runs to the end of the line. Nagios and Icinga 1 write author and
 * comment of ACKNOWLEDGEMENT and CUSTOM alone, Naemon of all but PROBLEM and RECOVERY. Icinga 2's CompatLogger ends
 * every output with a semicolon, and tells no state of a service but in PROBLEM and RECOVERY: its other lines about
 * services cannot be read.
 */
export const readLogLine = (
  line: string,
  stampOf: (line: string) => Stamped | undefined = unixStamp,
): LoggedNotification | LoggedState | "other" | { broken: string } => {
  const stamped = stampOf(line);
  if (!stamped) return { broken: "no time that can be read, such as [1764410400]" };
  const [start = "", kind, initial] =
    /^(?:(HOST|SERVICE) (?:NOTIFICATION|ALERT): |(?:CURRENT|INITIAL) (HOST|SERVICE) STATE: )/.exec(
      stamped.entry.slice(0, 32),
    ) ?? [];
  const of = kind ?? initial;
  if (of !== "HOST" && of !== "SERVICE") return "other";
  const { at } = stamped;
  const fields = stamped.entry
    .slice(start.length)
    .replace(/\r?\n?$/, "")
    .split(";");
  if (start.endsWith("NOTIFICATION: ")) return readNotification(at, of, fields);
  const [host = ""] = fields;
  const service = of === "HOST" ? null : (fields[1] ?? "");
  const states: readonly State[] = of === "HOST" ? hostStates : serviceStates;
  const state = states.find((one) => one === fields[of === "HOST" ? 1 : 2]);
  if (host === "" || service === "" || state === undefined)
    return { broken: `expected ${of === "HOST" ? "host;state" : "host;service;state"} in the entry` };
  return { at, host, service, state };
};

/**
 * The JSON alert (docs/nagios.md §5.1) of a logged notification, still to be read by `readPost`. The log carries no ids:
 * what one contact was told of one object, type and state in one second is one event.
 */
export const toPost = (notification: LoggedNotification, monitor: string): Record<string, unknown> => {
  const { at, contact, type, host, service, state, output, author, comment } = notification;
  return {
    v: 1,
    source: "nagios",
    monitor: { id: monitor },
    type,
    object: { host, service },
    state,
    recipients: [{ name: contact, email: contactAddress(contact) }],
    author,
    comment,
    output,
    time: at,
  };
};

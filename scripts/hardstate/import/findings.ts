import type { Secret } from "../../../functions/secret.ts";

/** Where something stands; line 0 is the file as a whole. */
export type Place = { file: string; line: number };

/**
 * Something that a reader of the report should know: `attention`, look at it before you start; `not-carried`, it stays
 * behind; `wrong`, the line is not what its kind of file holds. Neither `what` nor `why` repeats text that may be a secret:
 * only names and hosts that were recognised as such.
 */
export type Note = Place & { sort: "attention" | "not-carried" | "wrong"; what: string; why: string };

export type System = "sendmail" | "postfix" | "msmtp";

/** A smart host, and how its system talks to it. */
export type Route = Place & {
  system: System;
  host: string;
  port: number;
  /** The system looks up the MX of `host` first. */
  mx: boolean;
  protection: "starttls" | "implicit" | "none";
  /** Under what its login is looked up; the first that is found wins. */
  keys: readonly string[];
  /** Its system logs in there. */
  wantsLogin: boolean;
  mechanisms?: readonly string[];
  /** The name given in EHLO. */
  name?: string;
};

/** A user and a password, empty if the file has none; an empty key is for every host. */
export type Login = Place & {
  system: System;
  key: string;
  user: string;
  password: Secret;
  mechanisms?: readonly string[];
};

/** A contact of Nagios as one file defines it, before inheritance. */
export type Definition = Place & { directives: Map<string, string> };

/** A setting as it is written. */
export type Value = { text: string; line: number };

/** The parts of the files that concern us, and the remarks about the others. */
export type Findings = {
  routes: Route[];
  logins: Login[];
  /**
   * Whom mails are from; `guessed` if the file tells the domain alone. The domain in the file `nameFile` goes before the
   * address, which may then be absent.
   */
  senders: (Place & { address?: string; guessed?: true; nameFile?: string })[];
  authorities: (Place & { setting: string; path: string })[];
  aliases: (Place & { name: string; targets: readonly string[] })[];
  contacts: Definition[];
  notes: Note[];
};

export const nothing = (): Findings => {
  return { routes: [], logins: [], senders: [], authorities: [], aliases: [], contacts: [], notes: [] };
};

/** Adds what one file says to what was found before. Nothing in the text makes it throw. */
export type Reader = (text: string, file: string, found: Findings) => void;

export const noteAt = (found: Findings, at: Place, sort: Note["sort"], what: string, why: string): void => {
  found.notes.push({ file: at.file, line: at.line, sort, what, why });
};

/** `noteAt` for the lines of one file. */
export const notesOf =
  (found: Findings, file: string) => (line: number, sort: Note["sort"], what: string, why: string) =>
    noteAt(found, { file, line }, sort, what, why);

export const placeOf = ({ file, line }: Place): string => (line > 0 ? `${file}:${line}` : file);

/** Text of a file for people: one line, without characters that change the direction of text. */
export const visible = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, "?");

/** Names for people: visible, no endless lines. */
export const shown = (text: string, most = 60): string => {
  const line = visible(text);
  return line.length > most ? `${line.slice(0, most - 3)}...` : line;
};

/** Lines ended by LF or CRLF, numbered from 1. */
export const numberedLines = (text: string): { line: number; text: string }[] =>
  text.split("\n").map((one, index) => ({ line: index + 1, text: one.replace(/\r$/, "") }));

/** Joins lines that begin with a blank to the line before, as aliases(5) and postfix do; comments fall out. */
export const logicalLines = (text: string): { line: number; text: string }[] => {
  const joined: { line: number; parts: string[] }[] = [];
  for (const { line, text: one } of numberedLines(text)) {
    const bare = one.trim();
    if (bare === "" || bare.startsWith("#")) continue;
    const last = joined.at(-1);
    if (/^\s/.test(one) && last) last.parts.push(bare);
    else joined.push({ line, parts: [bare] });
  }
  return joined.map(({ line, parts }) => ({ line, text: parts.join(" ") }));
};

/** A host name or an address that a relay URL can name. */
const hostOf = (text: string): string | undefined => {
  const host = text.replace(/^IPv6:|\.$/gi, "").toLowerCase();
  if (host.includes(":")) return URL.canParse(`http://[${host}]/`) ? host : undefined;
  const labels = host.split(".");
  if (host.length > 253 || !labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label)))
    return undefined;
  // A URL takes 587 for an address in other words, 0.0.2.75.
  return URL.canParse(`http://${host}/`) && new URL(`http://${host}/`).hostname === host ? host : undefined;
};

/** Reads `host` or `[host]`. Without brackets its MX comes first; an address has none, nor has this machine. */
export const destinationOf = (text: string): { host: string; mx: boolean } | undefined => {
  const bracketed = /^\[(.*)\]$/.exec(text)?.[1];
  const host = hostOf(bracketed ?? text);
  const mx = bracketed === undefined && host !== "localhost" && !/:|^[\d.]+$/.test(host ?? "");
  return host === undefined ? undefined : { host, mx };
};

/** A host's full name, as EHLO and a sender need it. */
export const fullName = (text = ""): string | undefined => {
  const to = destinationOf(text);
  return to?.mx && to.host.includes(".") ? to.host : undefined;
};

const services = new Map([
  ["smtp", 25],
  ["submission", 587],
  ["smtps", 465],
  ["submissions", 465],
]);

/** A port's number, or that of the mail service named. */
export const portOf = (text: string): number | undefined => {
  const port = services.get(text.toLowerCase()) ?? (/^\d{1,5}$/.test(text) ? Number(text) : 0);
  return port > 0 && port < 65_536 ? port : undefined;
};

/** Mechanisms in upper case; a list of nothing is no list. */
export const mechanismsOf = (text = ""): string[] | undefined =>
  text.toUpperCase().match(/[^\s,]+/g) ?? undefined;

/** The settings of a file that the bridge does not have, by their names: why it stays behind. */
export type LeftBehind = readonly (readonly [names: RegExp, why: string])[];

/** Notes of all that is left over: each with its reason, or together with the lines, if there is none to give. */
export const noteRest = (
  found: Findings,
  file: string,
  rest: ReadonlyMap<string, { line: number }>,
  leftBehind: LeftBehind,
  /** The word for a name that may be a misplaced password. */
  another?: string,
): void => {
  const others: string[] = [];
  for (const [name, { line }] of rest) {
    const why = leftBehind.find(([names]) => names.test(name))?.[1];
    if (why) noteAt(found, { file, line }, "not-carried", name, why);
    else others.push(`${another ?? shown(name)} (${line})`);
  }
  const why = "not read: as far as import knows, it does not say where mail goes";
  if (others.length > 0) noteAt(found, { file, line: 0 }, "not-carried", others.join(", "), why);
};

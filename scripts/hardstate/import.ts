import { randomBytes } from "node:crypto";
import { existsSync, linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { say } from "../../functions/report/log.ts";
import { Secret } from "../../functions/secret.ts";
import { type Command, NotFoundOut, paragraph, WrongUse } from "./command.ts";
import { type Draft, environmentFile, missingOf } from "./import/draft.ts";
import { type Findings, type Note, nothing, placeOf, shown } from "./import/findings.ts";
import { formats, kindOf, readBytes } from "./import/kind.ts";
import { draftSettings } from "./import/settings.ts";

const usage = `usage: hardstate import [--out FILE] [--force] [--json] FILE...

Reads how this machine sends mail today and makes settings of it: sendmail's
.mc, authinfo and access (text, not .db), /etc/aliases, Postfix's main.cf and
sasl_passwd, msmtprc, and the object files of Nagios. Shows the settings, then
by file and line what is carried, what is left out and why, and what you must
still fill in. It reads the files named and two that they may point to, the
relay's CA and /etc/mailname. It runs no command and sends nothing.

The kind of a file follows from its name or its text. If it does not, write
KIND=FILE. KIND is one of
  mc authinfo access aliases main.cf sasl_passwd msmtprc nagios

  --out FILE   write the settings, with the passwords and a new token, to FILE
               (mode 0600). Without it nothing is written
  --force      replace FILE if it exists
  --json       the report as one JSON object

FILE suits EnvironmentFile= of systemd and node --env-file.

exit status: 0 the settings are complete  1 you must fill something in, or a
             line of the input is wrong  2 wrong use  3 a file cannot be read`;

const largest = 1024 * 1024;
const site = "site1";

/** Writes a file that nobody else can read, whole or not at all; over another one only with `force`. */
const writeSecretly = (path: string, text: string, force: boolean): void => {
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    writeFileSync(draft, text, { flag: "wx", mode: 0o600, flush: true });
    // Unlike a rename, a link does not replace what somebody else has made meanwhile.
    if (force) renameSync(draft, path);
    else linkSync(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
};

/** The content of a file, or why it cannot be read. */
const bytesOf = (path: string): Buffer | string => {
  try {
    const status = statSync(path);
    if (status.isFile() && status.size <= largest) return readFileSync(path);
    return "expected a file of text of at most 1 MiB";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown";
  }
};

/** Adds what the file of one word of the command line says; its path. */
const readOne = (word: string, found: Findings): string => {
  const [, named = "", rest = ""] = /^([a-z_.]+)=(.+)$/.exec(word) ?? [];
  const path = formats.has(named) ? rest : word;
  const bytes = bytesOf(path);
  if (typeof bytes === "string") throw new NotFoundOut(`${path} cannot be read (${bytes}).`);
  const kind = formats.has(named) ? named : kindOf(path, bytes.toString("latin1"));
  const kinds = [...formats.keys()].join(" ");
  if (kind === undefined)
    throw new WrongUse(
      `the kind of ${path} follows neither from its name nor from its text. Write KIND=FILE. KIND is one of ${kinds}`,
    );
  readBytes(path, kind, bytes, found);
  return path;
};

/** The report in words. */
const reportOf = (draft: Draft): string => {
  const notes = (sort: Note["sort"]) =>
    draft.notes.filter((one) => one.sort === sort).map((one) => `${placeOf(one)}: ${one.what}: ${one.why}`);
  const carried = draft.lines.filter(({ value }) => value);
  const sections: [string, string[]][] = [
    ["carried", carried.map(({ name, from }) => `${name}: ${from.join(", ")}`)],
    ["you must fill in", missingOf(draft).map((one) => `${one.setting} needs ${one.expected}`)],
    ["wrong input", notes("wrong")],
    ["look at this", notes("attention")],
    ["left out", notes("not-carried")],
  ];
  return sections
    .filter(([, entries]) => entries.length > 0)
    .flatMap(([heading, entries]) => [
      "",
      heading,
      ...entries.map((one) => paragraph("    ", shown(one, 10_000)).slice(2)),
    ])
    .join("\n");
};

/** `hardstate import`. */
export const importCommand: Command = {
  summary: "makes settings from the files of sendmail, Postfix, msmtp and Nagios",
  usage,
  options: { out: { type: "string" }, force: { type: "boolean" } },
  run: async (words, { out, force, json }) => {
    if (words.length === 0) throw new WrongUse("import needs at least one FILE");
    if (out === "") throw new WrongUse("--out needs a FILE");
    if (force && out === undefined) throw new WrongUse("--force needs --out FILE");
    const path = typeof out === "string" ? out : undefined;
    const exists = new WrongUse(`${path} exists. Use --force to replace it`);
    if (path && !force && existsSync(path)) throw exists;
    const found = nothing();
    const files = words.map((word) => readOne(word, found));
    const token = new Secret(randomBytes(24).toString("hex"));
    const draft = draftSettings(found, { site, token }, (authority) => {
      const bytes = bytesOf(authority);
      return typeof bytes === "string" ? undefined : bytes.toString();
    });
    try {
      if (path) writeSecretly(path, environmentFile(draft, files, true), force === true);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw code === "EEXIST" ? exists : new NotFoundOut(`${path} cannot be written (${code}).`);
    }
    const missing = missingOf(draft);
    const settings = draft.lines
      .filter(({ value }) => value)
      .map(({ name, shown, from }) => ({ name, value: shown, from }));
    const { notes } = draft;
    if (json) say(JSON.stringify({ written: path ?? null, settings, missing, notes }));
    else {
      if (path) say(`${path} is written, mode 0600. Put its token into /etc/hardstate/notify.conf too.`);
      else say(environmentFile({ ...draft, notes: [] }, files, false).trimEnd());
      say(reportOf(draft));
      if (!path) say("\nNothing is written. Use --out FILE to write the settings with their secrets.");
    }
    return missing.length > 0 || notes.some(({ sort }) => sort === "wrong") ? 1 : 0;
  },
};

import { readAliasesFile } from "./aliases.ts";
import { type Findings, notesOf, type Reader } from "./findings.ts";
import { readMsmtprc } from "./msmtp.ts";
import { readNagiosObjects } from "./nagios-objects.ts";
import { readMainCf, readSaslPasswd } from "./postfix.ts";
import { readAuthinfo, readSendmailMc } from "./sendmail.ts";

/** How a kind of file is read, and what tells it: its name, or else what stands in it. */
type Format = { read: Reader; name: RegExp; content?: RegExp };

/** The kinds of files, by their names on the command line. */
export const formats: ReadonlyMap<string, Format> = new Map<string, Format>([
  ["nagios", { read: readNagiosObjects, name: /\.cfg$/, content: /^[ \t]*define[ \t]+[a-z]+[ \t]*\{/m }],
  ["mc", { read: readSendmailMc, name: /\.mc$/, content: /^[ \t]*(define\(`|FEATURE\(|MAILER\()/m }],
  ["authinfo", { read: readAuthinfo("authinfo"), name: /^authinfo(\.txt)?$/, content: /^AuthInfo:/im }],
  ["access", { read: readAuthinfo("access"), name: /^access(\.txt)?$/ }],
  ["main.cf", { read: readMainCf, name: /^main\.cf$/, content: /^(relayhost|smtp_\w+)[ \t]*=/m }],
  ["sasl_passwd", { read: readSaslPasswd, name: /^sasl_passwo?r?d(\.txt)?$/ }],
  ["msmtprc", { read: readMsmtprc, name: /^\.?msmtprc$/, content: /^[ \t]*(account|tls)[ \t]+\S/m }],
  ["aliases", { read: readAliasesFile, name: /^aliases(\.txt)?$/, content: /^(postmaster|root):/im }],
]);

/** The kind of a file, by its name or else by its content. */
export const kindOf = (path: string, text: string): string | undefined => {
  const base = path.slice(path.lastIndexOf("/") + 1);
  const all = [...formats];
  const known =
    all.find(([, { name }]) => name.test(base)) ?? all.find(([, { content }]) => content?.test(text));
  return known?.[0];
};

/** Adds what the bytes of one file of a kind say. Nothing in them makes it throw. */
export const readBytes = (file: string, kind: string, bytes: Uint8Array, found: Findings): void => {
  const note = notesOf(found, file);
  const nul = bytes.indexOf(0);
  if (nul !== -1) {
    const line = bytes.subarray(0, nul).filter((byte) => byte === 10).length + 1;
    note(line, "wrong", kind, "expected text and no NUL: of a map (.db), name the text it is made from");
    return;
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    text = new TextDecoder("latin1").decode(bytes);
    note(0, "attention", kind, "not UTF-8, so read as Latin-1: look at names and passwords");
  }
  formats.get(kind)?.read(text, file, found);
};

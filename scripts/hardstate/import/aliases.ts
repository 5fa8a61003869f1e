import { parseAddress } from "../../../functions/address.ts";
import { logicalLines, notesOf, type Reader, shown } from "./findings.ts";

/** The names that HARDSTATE_ALIASES can have before a =, inside double quotes of a settings file. */
export const isAliasName = (text: string): boolean => /^[^\s=,"\\\p{Cc}\p{Cs}]{1,200}$/u.test(text);

const unquoted = (text: string): string => text.replace(/^"(.*)"$/s, "$1");

/** A target that is neither an address nor an alias, and why it is left out. */
const others: readonly (readonly [RegExp, string])[] = [
  [/^\|/, "a target is a program (|): the bridge runs none"],
  [/^\//, "a target is a file: the bridge writes mail to none"],
  [/^:include:/i, "a target is a list in another file (:include:): put its addresses here"],
  [/^:/, "a target is an instruction to the mail server"],
  [/^\\/, "a target is a mailbox of that machine (\\)"],
];

/** Reads an aliases file of sendmail, postfix or msmtp: `name: target, target`. */
export const readAliasesFile: Reader = (text, file, found) => {
  const note = notesOf(found, file);
  for (const { line, text: one } of logicalLines(text)) {
    const [, written = "", list = ""] = /^("[^"]*"|[^":]*):(.*)$/s.exec(one) ?? [];
    const name = unquoted(written.trim());
    // Commas inside double quotes separate nothing: "Doe, Jane" <jane@example.com>.
    const targets = (list.match(/(?:"[^"]*"|[^,"])+/g) ?? []).map((part) => part.trim()).filter(Boolean);
    if (name === "" || targets.length === 0 || (list.match(/"/g)?.length ?? 0) % 2 === 1) {
      note(line, "wrong", "aliases", "expected name: target, target, with every double quote closed");
      continue;
    }
    const what = `alias ${shown(name)}`;
    if (!isAliasName(name)) {
      note(line, "not-carried", what, 'HARDSTATE_ALIASES holds no name with blanks, = , " or \\');
      continue;
    }
    const carried: string[] = [];
    for (const target of targets.map(unquoted)) {
      const other = others.find(([pattern]) => pattern.test(target));
      const address = /<([^<>]*)>$/.exec(target)?.[1] ?? target;
      const reading = parseAddress(address);
      if (other) note(line, "not-carried", what, other[1]);
      else if (reading.ok && isAliasName(reading.value)) carried.push(reading.value);
      else if (isAliasName(target) && !target.includes("@")) carried.push(target);
      else note(line, "wrong", what, "expected targets such as ops@example.com, or other aliases");
    }
    if (carried.length > 0) found.aliases.push({ file, line, name: name.toLowerCase(), targets: carried });
  }
};

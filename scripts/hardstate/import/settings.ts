import { parseAddress } from "../../../functions/address.ts";
import { readSettings } from "../../../functions/config.ts";
import type { Secret } from "../../../functions/secret.ts";
import { type Draft, type DraftLine, open, settled } from "./draft.ts";
import { type Findings, fullName, noteAt, placeOf, shown } from "./findings.ts";
import { isLocal, recipientLines } from "./recipients.ts";
import { relayLine } from "./relays.ts";

/** Reads a file that a setting names; undefined if it cannot be read. */
type TextOf = (path: string) => string | undefined;

const senderLine = (found: Findings, textOf: TextOf): { line: DraftLine; domain?: string } => {
  const name = "HARDSTATE_FROM";
  for (const sender of found.senders) {
    const { nameFile, guessed } = sender;
    const mailName = nameFile && fullName(textOf(nameFile)?.split("\n")[0]?.trim());
    const address = mailName ? `nagios@${mailName}` : sender.address;
    if (nameFile && !address) {
      const why = `${shown(nameFile)} has no full domain here, nor has myhostname: give ${name}`;
      noteAt(found, sender, "attention", "myorigin", why);
      continue;
    }
    const reading = parseAddress(address ?? "");
    if (!reading.ok || isLocal(reading.value)) {
      noteAt(found, sender, "attention", "the sender", "not carried: no address that the world can answer");
      continue;
    }
    const source = mailName
      ? `${shown(nameFile ?? "")} of this machine`
      : nameFile
        ? "myhostname"
        : "the file";
    const why = `${source} tells the domain alone; nagios is taken for the user`;
    if (guessed) noteAt(found, sender, "attention", `${name}=${reading.value}`, why);
    const domain = reading.value.slice(reading.value.lastIndexOf("@") + 1);
    return { line: settled(name, reading.value, [placeOf(sender)]), domain };
  }
  return { line: open(name, "Monitoring <nagios@example.com>", "an address: no file tells the sender") };
};

/** One string of an environment, in Linux. */
const longest = 131_000;

/**
 * A settings file from what was found. Each line is checked by the bridge's own reading: what it would refuse is left
 * to be filled in by hand. `textOf` reads the files that settings name: that of a private CA, and Debian's mailname.
 */
export const draftSettings = (
  found: Findings,
  { site, token }: { site: string; token: Secret },
  textOf: TextOf,
): Draft => {
  const sender = senderLine(found, textOf);
  const lines: DraftLine[] = [
    { ...settled("HARDSTATE_TOKENS", `${site}=${token.reveal()}`, ["new"]), shown: `${site}=[redacted]` },
    relayLine(found),
  ];
  let pem: string | undefined;
  for (const place of found.authorities) {
    if (!place.path.startsWith("/"))
      noteAt(found, place, "attention", place.setting, "no full path: give it as HARDSTATE_RELAY_CA_FILE");
    else if (lines.length > 2)
      noteAt(found, place, "not-carried", place.setting, "one file of authorities is carried, the first");
    else {
      pem = textOf(place.path);
      lines.push(settled("HARDSTATE_RELAY_CA_FILE", place.path, [placeOf(place)]));
      const why = "cannot be read here: the bridge must be able to";
      if (pem === undefined) noteAt(found, place, "attention", "HARDSTATE_RELAY_CA_FILE", why);
    }
  }
  lines.push(sender.line, ...recipientLines(found, sender.domain));

  const refuse = (one: DraftLine, expected: string) => {
    one.value = undefined;
    one.shown = one.shown.length < 1000 ? one.shown.replaceAll("[redacted]", "PASSWORD") : "";
    one.expected.push(expected);
  };
  for (const one of lines)
    if (/["\\$`\p{Cc}\p{Cs}]/u.test(one.value?.reveal() ?? ""))
      refuse(one, 'a value without " \\ $ and `, which systemd, node and sh read differently');
    else if (new TextEncoder().encode(one.value?.reveal()).length > longest)
      refuse(one, `at most ${longest} bytes: put it into a file that ${one.name}_FILE names`);
  const environment: Record<string, string | undefined> = { HARDSTATE_RELAY_CA: pem };
  for (const { name, value } of lines) if (!name.endsWith("_FILE")) environment[name] = value?.reveal();
  const reading = readSettings(environment);
  for (const { field, expected } of reading.ok ? [] : reading.faults) {
    const one = lines.find(({ name, value }) => value && name.replace(/_FILE$/, "") === field);
    if (one) refuse(one, expected);
  }
  return { lines, notes: found.notes };
};

import { parseAddress } from "../address.ts";
import { readSettings } from "../config.ts";
import type { Secret } from "../secret.ts";
import { type Draft, type DraftLine, open, settled } from "./draft.ts";
import { type Findings, noteAt, placeOf } from "./findings.ts";
import { isLocal, recipientLines } from "./recipients.ts";
import { relayLine } from "./relays.ts";

const senderLine = (found: Findings): { line: DraftLine; domain?: string } => {
  const name = "HARDSTATE_FROM";
  for (const sender of found.senders) {
    const reading = parseAddress(sender.address);
    if (!reading.ok || isLocal(reading.value)) {
      noteAt(found, sender, "attention", "the sender", "not carried: no address that the world can answer");
      continue;
    }
    const why = "the file tells the domain alone; nagios is taken for the user";
    if (sender.guessed) noteAt(found, sender, "attention", `${name}=${reading.value}`, why);
    const domain = reading.value.slice(reading.value.lastIndexOf("@") + 1);
    return { line: settled(name, reading.value, [placeOf(sender)]), domain };
  }
  return { line: open(name, "Monitoring <nagios@example.com>", "an address: no file tells the sender") };
};

/** One string of an environment, in Linux. */
const longest = 131_000;

/**
 * A settings file from what was found. Each line is checked by the bridge's own reading: what it would refuse is left
 * to be filled in by hand. `authority` reads the file of a private CA; it is undefined if it cannot be read.
 */
export const draftSettings = (
  found: Findings,
  { site, token }: { site: string; token: Secret },
  authority: (path: string) => string | undefined,
): Draft => {
  const sender = senderLine(found);
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
      pem = authority(place.path);
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

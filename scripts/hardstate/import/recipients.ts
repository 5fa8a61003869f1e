import { contactKey, mayLeadOn, parseAddress } from "../../../functions/address.ts";
import { isAliasName } from "./aliases.ts";
import { type DraftLine, open, settled } from "./draft.ts";
import { type Findings, type Note, noteAt, type Place, shown } from "./findings.ts";
import { contactsOf } from "./nagios-objects.ts";

/** An address that no relay can deliver to, such as root@localhost. */
export const isLocal = (address: string): boolean => {
  const domain = address.slice(address.lastIndexOf("@") + 1);
  return !domain.includes(".") || /(^|\.)localdomain$/.test(domain);
};

/** An alias with those of its targets that lead to an address, and how many addresses there are at their ends. */
type Carried = Place & { targets: string[]; ends: number };

const mostLinks = 10;
const mostEnds = 1000;

/** The aliases that lead to an address. A target in a circle, too far away or on that machine is left out and told. */
const carriedAliases = (found: Findings): Map<string, Carried> => {
  const known = new Map<string, Findings["aliases"][number]>();
  for (const alias of found.aliases)
    if (!known.has(alias.name)) known.set(alias.name, alias);
    else
      noteAt(
        found,
        alias,
        "wrong",
        `alias ${shown(alias.name)}`,
        "expected each name once: the first is carried",
      );
  const done = new Map<string, Carried>();
  const follow = (
    { file, line, name, targets }: Findings["aliases"][number],
    path: readonly string[],
  ): Carried => {
    const carried: Carried = { file, line, targets: [], ends: 0 };
    const add = (target: string, ends: number) => {
      carried.targets.push(target);
      carried.ends += ends;
    };
    for (const target of targets) {
      const next = known.get(target.toLowerCase());
      const leave = (why: string) =>
        noteAt(found, carried, "not-carried", `alias ${shown(name)}`, `${shown(target)} ${why}`);
      if (!next || next.name === name) {
        if (target.includes("@") && !isLocal(target)) add(target, 1);
        else leave("is a mailbox of that machine");
      } else if (path.includes(next.name) || path.length >= mostLinks)
        leave(`leads back to it, or over more than ${mostLinks} aliases`);
      else {
        const { ends } = done.get(next.name) ?? follow(next, [...path, next.name]);
        if (ends === 0 || carried.ends + ends > mostEnds) leave(`leads to no address, or over ${mostEnds}`);
        else add(target, ends);
      }
    }
    done.set(name, carried);
    return carried;
  };
  const all = [...known].map(([name, alias]) => [name, done.get(name) ?? follow(alias, [name])] as const);
  return new Map(all.filter(([, { ends }]) => ends > 0));
};

/** The addresses of an email, with commas between them, or with blanks as the command `mail` takes them. */
const addressesIn = (email: string): string[] =>
  email
    .split(",")
    .map((part) => part.trim())
    .flatMap((part) => {
      const words = part.split(/\s+/);
      return words.every((word) => word.includes("@") && parseAddress(word).ok) ? words : [part];
    });

/** The lines of who may be mailed and who stands for whom; `ownDomain` is that of the sender. */
export const recipientLines = (found: Findings, ownDomain: string | undefined): DraftLine[] => {
  const aliases = carriedAliases(found);
  const words = new Map<string, string>();
  for (const [name, { targets }] of aliases) words.set(name, `${name}=${[...new Set(targets)]}`);
  const recipients = new Map<string, string>();
  const files = new Set<string>();
  const add = (address: string, place: Place) => {
    files.add(place.file);
    if (recipients.has(contactKey(address))) return;
    recipients.set(contactKey(address), address);
    const why = "is listed itself: a relay may send an address with %, ! or a leading - on to another domain";
    if (mayLeadOn(address)) noteAt(found, place, "attention", shown(address), why);
  };
  for (const alias of aliases.values())
    for (const target of alias.targets) if (!aliases.has(target.toLowerCase())) add(target, alias);

  const needed = new Set<string>();
  for (const contact of contactsOf(found)) {
    const what = `contact ${shown(contact.name)}`;
    const note = (sort: Note["sort"], why: string) => noteAt(found, contact, sort, what, why);
    const { email, pager, never, incomplete } = contact;
    const own = contact.name.toLowerCase();
    const pagerAlone = email === undefined && pager && !isLocal(pager) && !never && !incomplete;
    if (pagerAlone && isAliasName(own) && !words.has(own)) {
      words.set(own, `${own}=${pager}`);
      add(pager, contact);
      note("attention", `has a pager address and no email: carried as the alias ${shown(own)}`);
    }
    for (const given of addressesIn(email ?? contact.name)) {
      const key = given.toLowerCase();
      const reading = parseAddress(given);
      const local = key.slice(0, Math.max(key.lastIndexOf("@"), 0));
      if (given === "" || words.has(key)) continue;
      if (reading.ok && !isLocal(reading.value) && email !== undefined) add(reading.value, contact);
      else if (never || (email === undefined && incomplete)) continue;
      else if (!isAliasName(key) || (key.includes("@") && !reading.ok))
        note("wrong", "expected an email such as ops@example.com, or several with commas");
      else if (aliases.has(local)) {
        // Its mail went to that machine, whose alias sent it on.
        words.set(key, `${key}=${local}`);
        note("attention", `${shown(key)} is of that machine: carried as an alias of ${shown(local)}`);
      } else {
        needed.add(key);
        note(
          "attention",
          `${shown(key)}: HARDSTATE_ALIASES must give its address, for a relay cannot know it`,
        );
      }
    }
  }
  const all = [...recipients.values()];
  const others = all.filter((address) => !address.endsWith(`@${ownDomain}`) || mayLeadOn(address));
  // The sender's own domain is opened as a whole, others address by address.
  const allowed = others.length < all.length ? [ownDomain, ...others] : others;
  const carried = [...words.values()].join(" ");
  const nobody = "the domains and addresses that mail may go to: no contact or alias has one";
  const lines =
    allowed.length > 0
      ? [settled("HARDSTATE_RECIPIENTS", allowed.join(" "), [...files])]
      : [open("HARDSTATE_RECIPIENTS", ownDomain ?? "example.com", nobody)];
  const expected = [...needed].map((key) => `an address for ${shown(key)}: add ${shown(key)}=ADDRESS`);
  if (carried) lines.push({ ...settled("HARDSTATE_ALIASES", carried, [...files]), expected });
  else if (needed.size > 0)
    lines.push({
      ...open("HARDSTATE_ALIASES", [...needed].map((key) => `${key}=ADDRESS`).join(" "), ""),
      expected,
    });
  return lines;
};

import type { Reading } from "./alert.ts";

const localPart = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const label = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const fault = (expected: string): Reading<never> => ({ ok: false, faults: [{ field: "address", expected }] });

/** The domain in ASCII after IDNA (RFC 5891), lower case; undefined if it is none. */
const asciiDomain = (domain: string): string | undefined => {
  // Characters that IDNA drops without a trace would let two spellings of a domain pass for one.
  if (/[\p{Default_Ignorable_Code_Point}\p{C}\p{Z}%/\\?#:@[\]]/u.test(domain)) return undefined;
  if (!URL.canParse(`http://${domain}/`)) return undefined;
  const ascii = new URL(`http://${domain}/`).hostname;
  const labels = ascii.split(".");
  if (ascii.length > 253 || !labels.every((part) => label.test(part))) return undefined;
  return /^\d+$/.test(labels.at(-1) ?? "") ? undefined : ascii;
};

/**
 * Reads one bare mailbox `local@domain` (RFC 5321 §4.1.2, dot-string only). Quoted local parts, comments, source
 * routes, address literals and display names are refused: each has been used to show one address to the check and
 * another to RCPT. The result, with the domain in lower-case ASCII, is what goes to the allow-list and to RCPT.
 */
export const parseAddress = (text: string): Reading<string> => {
  if (text.length > 320) return fault("at most 320 characters");
  const at = text.lastIndexOf("@");
  const local = text.slice(0, at);
  if (at < 1 || local.length > 64 || !localPart.test(local))
    return fault("a bare address local@domain with an unquoted ASCII local part of 1-64 characters");
  const domain = asciiDomain(text.slice(at + 1));
  if (domain === undefined) return fault("a domain name after the @");
  if (local.length + 1 + domain.length > 254) return fault("at most 254 characters");
  return { ok: true, value: `${local}@${domain}` };
};

/** Whether other mail servers can know the domain of an address: it has a dot and is not a local name (RFC 6761). */
export const hasMailDomain = (address: string): boolean =>
  /@.*\.(?!(localhost|localdomain|invalid)$)[^.]+$/i.test(address);

/** The key under which one mailbox is remembered: nobody gives two people addresses that differ in case alone. */
export const contactKey = (address: string): string => address.toLowerCase();

/** Tells whether mail may go to an address that `parseAddress` gave. */
export type AllowList = (address: string) => boolean;

/**
 * By default Postfix and Sendmail send `user%other.example@example.com` and `other.example!user@example.com` on to
 * other.example, and some programs take a leading `-` for an option.
 */
export const mayLeadOn = (address: string): boolean => /^-|[%!].*@/.test(address);

/**
 * Reads the words of HARDSTATE_RECIPIENTS: a domain allows its addresses (not those of subdomains), an address
 * itself. A domain does not allow an address with `%`, `!` or a leading `-`: a relay may send it on. Case is ignored.
 */
export const readAllowList = (words: readonly string[]): Reading<AllowList> => {
  const allowed = new Set<string>();
  const faults = [];
  for (const [index, word] of words.entries()) {
    // A local part may be "*" (RFC 5322), but who writes it here means a domain.
    const reading = word.startsWith("*")
      ? fault("no *")
      : word.includes("@")
        ? parseAddress(word)
        : parseAddress(`any@${word}`);
    if (!reading.ok)
      faults.push({ field: `word ${index + 1}`, expected: "a domain such as example.com, or an address" });
    else allowed.add(contactKey(word.includes("@") ? reading.value : reading.value.slice("any@".length)));
  }
  if (faults.length > 0) return { ok: false, faults };
  return {
    ok: true,
    value: (address) => {
      const key = contactKey(address);
      return allowed.has(key) || (!mayLeadOn(key) && allowed.has(key.slice(key.lastIndexOf("@") + 1)));
    },
  };
};

/** From a name or address in lower case to the addresses it stands for, loops already refused. */
export type Aliases = ReadonlyMap<string, readonly string[]>;

const deepestChain = 10;
const mostLinks = 10_000;

/**
 * Reads the words of HARDSTATE_ALIASES, `name=target,target`. A target may be another alias; chains are followed
 * here once, and a loop, a chain of more than 10 links or a target that leads nowhere is a fault.
 */
export const readAliases = (words: readonly string[]): Reading<Aliases> => {
  const faults: { field: string; expected: string }[] = [];
  const targets = new Map<string, string[]>();
  for (const [index, word] of words.entries()) {
    const [key = "", list = "", ...more] = word.split("=");
    const names = list.split(",").filter(Boolean);
    if (key === "" || names.length === 0 || more.length > 0)
      faults.push({ field: `word ${index + 1}`, expected: "name=address or name=address,address" });
    else if (targets.has(key.toLowerCase()))
      faults.push({ field: `word ${index + 1}`, expected: "no alias twice; give its targets as a,b" });
    else targets.set(key.toLowerCase(), names);
  }
  let links = 0;
  const follow = (key: string, path: readonly string[]): string[] => {
    links += 1;
    // Nine lists of nine lists, nine deep, would keep the start busy for hours.
    if (links === mostLinks)
      faults.push({ field: "aliases", expected: `at most ${mostLinks} links among them` });
    if (links >= mostLinks) return [];
    if (path.includes(key)) {
      faults.push({ field: path[0] ?? key, expected: `no loop (${[...path, key].join(" → ")})` });
      return [];
    }
    if (path.length >= deepestChain) {
      faults.push({ field: path[0] ?? key, expected: `a chain of at most ${deepestChain} aliases` });
      return [];
    }
    return (targets.get(key) ?? []).flatMap((target) => {
      if (targets.has(target.toLowerCase())) return follow(target.toLowerCase(), [...path, key]);
      const reading = parseAddress(target);
      if (reading.ok) return [reading.value];
      faults.push({ field: key, expected: "targets that are addresses or other aliases" });
      return [];
    });
  };
  const resolved = new Map([...targets.keys()].map((key) => [key, [...new Set(follow(key, []))]]));
  return faults.length > 0 ? { ok: false, faults } : { ok: true, value: resolved };
};

/** A contact as a monitor names it: either part may be missing. */
export type Contact = { name?: string; email?: string };

/** The mailboxes of one contact, and each part of its email that is none, once, with the reason. At least one in all. */
type Resolution = { addresses: string[]; rejected: { text: string; expected: string }[] };

/** Commas, semicolons and blanks stand between addresses; a quoted part or a comment may contain all but the comma. */
const partsOf = (email: string): string[] => email.split(/["<>()]/.test(email) ? "," : /[,;\s]/);

/**
 * Finds the mailboxes of one contact: its email, or what an alias of its email or, without one, of its name stands
 * for. Every mailbox in `addresses` has passed the allow-list, once each; one that has not does not stop the others.
 */
export const resolveContact = (contact: Contact, aliases: Aliases, allowed: AllowList): Resolution => {
  const given = contact.email || contact.name || "";
  const addresses = new Map<string, string>();
  const rejected = new Map<string, string>();
  const result = () => ({
    addresses: [...addresses.values()],
    rejected: [...rejected].map(([text, expected]) => ({ text, expected })),
  });
  const admit = (address: string) => {
    if (allowed(address)) addresses.set(contactKey(address), address);
    else
      rejected.set(
        address,
        mayLeadOn(address)
          ? "an address that HARDSTATE_RECIPIENTS lists itself: with %, ! or a leading - its domain is not enough"
          : "an address that HARDSTATE_RECIPIENTS allows",
      );
  };
  // Not even its good parts are taken: a line end in an address is an attack.
  if (/[^\P{Cc}\t]/u.test(given)) {
    rejected.set(given, "an address without control characters");
    return result();
  }
  const parts = contact.email ? partsOf(given) : given.split(",");
  for (const text of new Set(parts.map((part) => part.trim()).filter(Boolean))) {
    const alias = aliases.get(text.toLowerCase());
    const address = parseAddress(text);
    if (alias) for (const target of alias) admit(target);
    else if (!contact.email)
      rejected.set(text, "an address: no alias in HARDSTATE_ALIASES has this contact's name");
    else if (address.ok) admit(address.value);
    else rejected.set(text, address.faults.map(({ expected }) => expected).join("; "));
  }
  if (addresses.size + rejected.size === 0)
    rejected.set("", "an address, or a name that an alias stands for");
  return result();
};

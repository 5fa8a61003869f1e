import { BlockList, isIPv4, isIPv6 } from "node:net";
import { type Dns, NoAnswer } from "./dns.ts";

/** The senders that a domain's SPF records allow (RFC 7208). */
export type ValidSpf = {
  result: "valid";
  record: string;
  /** How many terms make a receiver ask DNS, in the worst case. */
  lookups: number;
  /** The record's result for every sender that no term names. */
  rest: "pass" | "neutral" | "softfail" | "fail";
  /** Each domain whose record is a part of this one, by include or redirect, unless that excludes it. */
  domains: ReadonlySet<string>;
  /** Whether a term depends on the sender, so that nobody can tell its addresses beforehand. */
  depends: boolean;
  /** The networks that may send, such as 192.0.2.0/24. */
  networks: readonly string[];
  /** Terms that receivers ignore, and that look like a mistake. */
  oddities: readonly string[];
};
export type Spf =
  | ValidSpf
  | { result: "none"; detail: string }
  /** Receivers answer `permerror`, which counts as no record, or as a failure. */
  | { result: "wrong"; detail: string }
  /** DNS gave no answer. */
  | { result: "unknown"; detail: string };

/** RFC 7208 §4.6.4. */
const mostLookups = 10;
const mostVoid = 2;
const mostMxHosts = 10;
/** No real record needs more. Without this limit, a hostile record could keep us busy. */
const enough = 50;

class Wrong extends Error {}

const rests = { "+": "pass", "?": "neutral", "~": "softfail", "-": "fail" } as const;
type Qualifier = keyof typeof rests;

type Term = {
  name: "all" | "include" | "a" | "mx" | "ptr" | "ip4" | "ip6" | "exists" | "redirect";
  sign: Qualifier;
  domain?: string;
  /** ip4 and ip6 have it. */
  network?: string;
  /** a and mx have it: how many bits of an address count. */
  bits?: { four: number; six: number };
};

const isMacro = (text: string): boolean => text.includes("%");

/** Whether a text may stand for a domain: a name with a dot, with or without macros (RFC 7208 §7.1). */
const isDomain = (text: string): boolean => {
  const plain = text.replace(/%\{[slodiphcrtv]\d*r?[.+,/_=-]*\}|%[%_-]/gi, "m.m");
  return /^[^\s%/:]+\.[a-z0-9-]*[a-z0-9]\.?$/i.test(plain);
};

/** Reads one term; undefined for a modifier without a meaning here. Throws Wrong. */
const readTerm = (text: string): Term | undefined => {
  const wrong = () => new Wrong(`"${text}" is no valid term`);
  const [, modifier, value = ""] = /^([a-z][a-z0-9_.-]*)=(.*)$/i.exec(text) ?? [];
  if (modifier) {
    if (modifier.toLowerCase() !== "redirect") return undefined;
    if (!isDomain(value)) throw wrong();
    return { name: "redirect", sign: "+", domain: value };
  }
  const [, signs = "", word = "", rest = ""] = /^([+?~-]?)([a-z0-9]+)(.*)$/i.exec(text) ?? [];
  const sign = (signs || "+") as Qualifier;
  const name = word.toLowerCase();
  const within = (prefix: string | undefined, most: number): number => {
    const bits = Number(prefix ?? most);
    if (bits > most) throw wrong();
    return bits;
  };
  switch (name) {
    case "all":
      if (rest !== "") throw wrong();
      return { name, sign };
    case "ptr":
      if (rest !== "" && !isDomain(rest.slice(1))) throw wrong();
      return { name, sign };
    case "include":
    case "exists":
      if (!rest.startsWith(":") || !isDomain(rest.slice(1))) throw wrong();
      return { name, sign, domain: rest.slice(1) };
    case "a":
    case "mx": {
      const match = /^(?::(.+?))?(?:\/(\d{1,2}))?(?:\/\/(\d{1,3}))?$/.exec(rest);
      const [, domain, four, six] = match ?? [];
      if (!match || (domain !== undefined && !isDomain(domain))) throw wrong();
      return { name, sign, domain, bits: { four: within(four, 32), six: within(six, 128) } };
    }
    case "ip4":
    case "ip6": {
      const [, address = "", prefix] = /^:([0-9a-f:.]+)(?:\/(\d{1,3}))?$/i.exec(rest) ?? [];
      if (!(name === "ip4" ? isIPv4 : isIPv6)(address)) throw wrong();
      return { name, sign, network: `${address}/${within(prefix, name === "ip4" ? 32 : 128)}` };
    }
    default:
      throw wrong();
  }
};

const spfRecord = /^v=spf1( |$)/i;

/** Reads what a record of a domain says. Throws Wrong. */
const readTerms = (record: string): { terms: Term[]; oddities: string[] } => {
  if (/[^\x20-\x7e]/.test(record)) throw new Wrong("its record has characters that are not ASCII");
  const words = record.split(/ +/).slice(1).filter(Boolean);
  const oddities = words.filter((word) => /^(all|include|a|mx|ptr|ip[46]|exists)=/i.test(word));
  const terms = words.flatMap((word) => readTerm(word) ?? []);
  const modifiers = words.map((word) => /^(redirect|exp)=/i.exec(word)?.[1]?.toLowerCase()).filter(Boolean);
  if (new Set(modifiers).size < modifiers.length) throw new Wrong(`"${modifiers[0]}=" is in it twice`);
  return { terms, oddities };
};

/** Puts networks, such as 192.0.2.0/24, into a list that addresses can be looked for in. */
export const listOf = (networks: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", prefix] = network.split("/");
    list.addSubnet(address, Number(prefix), isIPv6(address) ? "ipv6" : "ipv4");
  }
  return list;
};

/** The findings so far of a record and its includes. */
type Audit = {
  dns: Dns;
  domains: Set<string>;
  networks: string[];
  oddities: string[];
  lookups: number;
  voids: number;
  depends: boolean;
};

/** The SPF record of a domain; undefined if it has none. Throws Wrong if it has several. */
const recordOf = async (name: string, dns: Dns): Promise<string | undefined> => {
  const { records } = await dns.txt(name);
  const found = records.filter((text) => spfRecord.test(text));
  if (found.length > 1)
    throw new Wrong(`${name} has ${found.length} SPF records, and only one is allowed: join them`);
  return found[0];
};

const count = (audit: Audit) => {
  audit.lookups += 1;
  if (audit.lookups > enough)
    throw new Wrong(`it needs more than ${enough} look-ups, and ${mostLookups} are allowed`);
};

/** The addresses of a host, put among those that may send if a match is a pass. */
const addressesOf = async (audit: Audit, host: string, { bits }: Term, grants: boolean) => {
  const { records } = await audit.dns.addresses(host);
  if (grants)
    for (const address of records)
      audit.networks.push(`${address}/${(isIPv6(address) ? bits?.six : bits?.four) ?? 128}`);
  return records;
};

/** A record on the way: of which domain, and whether a match in it is a pass of the whole. */
type Place = { name: string; grants: boolean; path: readonly string[] };

/** Follows an include or a redirect. */
const followTo = async (audit: Audit, target: string, term: string, { grants, path }: Place) => {
  const name = target.toLowerCase().replace(/\.$/, "");
  if (path.includes(name)) throw new Wrong(`${term} leads back to itself (${[...path, name].join(" → ")})`);
  const text = await recordOf(name, audit.dns);
  if (text === undefined) throw new Wrong(`${term} leads to a domain without an SPF record`);
  return follow(audit, text, { name, grants, path: [...path, name] });
};

/** Follows a term that makes a receiver ask DNS. */
const followTerm = async (audit: Audit, term: Term, place: Place) => {
  const target = term.domain ?? place.name;
  const grants = place.grants && term.sign === "+";
  count(audit);
  if (term.name === "ptr" || term.name === "exists" || isMacro(target)) audit.depends ||= grants;
  else if (term.name === "include") await followTo(audit, target, `include:${target}`, { ...place, grants });
  else if (term.name === "a") {
    if ((await addressesOf(audit, target, term, grants)).length === 0) audit.voids += 1;
  } else {
    const { records } = await audit.dns.mx(target);
    if (records.length === 0) audit.voids += 1;
    if (records.length > mostMxHosts) throw new Wrong(`${target} has more than ${mostMxHosts} MX hosts`);
    for (const { exchange } of records) await addressesOf(audit, exchange, term, grants);
  }
};

/** Follows a record; tells what becomes of a sender that no term of it names. */
const follow = async (audit: Audit, text: string, place: Place): Promise<ValidSpf["rest"]> => {
  const { grants } = place;
  if (grants) audit.domains.add(place.name.toLowerCase());
  const { terms, oddities } = readTerms(text);
  audit.oddities.push(...oddities);
  for (const term of terms) {
    const { name, sign, network } = term;
    if (name === "all") {
      if (grants && sign === "+") audit.networks.push("0.0.0.0/0", "::/0");
      // Nothing behind it is read, nor a redirect before it (RFC 7208 §5.1).
      return rests[sign];
    }
    if (network && grants && sign === "+") audit.networks.push(network);
    if (!network && name !== "redirect") await followTerm(audit, term, place);
  }
  const { domain: target } = terms.find(({ name }) => name === "redirect") ?? {};
  if (target === undefined) return "neutral";
  count(audit);
  if (!isMacro(target)) return followTo(audit, target, `redirect=${target}`, place);
  audit.depends ||= grants;
  return "neutral";
};

/**
 * Reads the SPF record of a domain and all that it includes, as a receiver does when no term matches. Counts the
 * look-ups, and names what makes a receiver answer `permerror`.
 */
export const spfOf = async (domain: string, dns: Dns): Promise<Spf> => {
  const met = {
    domains: new Set<string>(),
    networks: [],
    oddities: [],
    lookups: 0,
    voids: 0,
    depends: false,
  };
  const audit: Audit = { dns, ...met };
  try {
    const record = await recordOf(domain, dns);
    if (record === undefined) {
      const like = (await dns.txt(domain)).records.find((one) => /^\W*(v\s*=\s*)?spf/i.test(one));
      return { result: "none", detail: like ? `"${like}" is none: it must begin with "v=spf1 "` : "none" };
    }
    const rest = await follow(audit, record, { name: domain, grants: true, path: [domain.toLowerCase()] });
    const { lookups, voids } = audit;
    if (lookups > mostLookups)
      throw new Wrong(
        `it needs ${lookups} look-ups, and ${mostLookups} are allowed: leave out what is not used`,
      );
    if (voids > mostVoid)
      throw new Wrong(`${voids} of its terms lead to names without records, and ${mostVoid} are allowed`);
    const { domains, depends, networks, oddities } = audit;
    return { result: "valid", record, lookups, rest, domains, depends, networks, oddities };
  } catch (error) {
    if (error instanceof Wrong) return { result: "wrong", detail: error.message };
    if (error instanceof NoAnswer) return { result: "unknown", detail: error.message };
    throw error;
  }
};

import type { Dns } from "./dns.ts";
import { tagsOf } from "./tags.ts";

export type Policy = "none" | "quarantine" | "reject";

/** Which DMARC policy receivers find for a domain (RFC 9989). */
export type Dmarc = {
  /** The organizational domain: two domains with the same one are aligned where `relaxed` is enough. */
  organization: string;
  /** Why receivers do not read a record as it was meant. */
  faults: readonly string[];
  /** Undefined: there is no policy. */
  policy?: {
    /** Where the record stands, such as _dmarc.example.com. */
    at: string;
    record: string;
    /** The policy that receivers are asked to follow, the test mode taken into account. */
    asked: Policy;
    test: boolean;
    strictSpf: boolean;
    strictDkim: boolean;
  };
};

const policies: readonly string[] = ["none", "quarantine", "reject"] satisfies Policy[];
const isPolicy = (text: string | undefined): text is Policy => text !== undefined && policies.includes(text);
/** In test mode receivers are asked for the next lower one (RFC 9989 §4.7). */
const lower: Record<Policy, Policy> = { none: "none", quarantine: "none", reject: "quarantine" };

/** The names to ask for a domain's record, longest first (RFC 9989 §4.10): at most eight. */
const walkOf = (domain: string): string[] => {
  const labels = domain.split(".");
  const parents = labels.length < 8 ? labels.slice(1) : labels.slice(-7);
  return [domain, ...parents.map((_, index) => parents.slice(index).join("."))];
};

type Found = { name: string; record: string; tags?: ReadonlyMap<string, string> };

/** The record of each name of the walk that has just one, up to the first with `psd`. */
const walk = async (domain: string, dns: Dns, faults: string[]): Promise<Found[]> => {
  const found: Found[] = [];
  for (const name of walkOf(domain)) {
    const { records } = await dns.txt(`_dmarc.${name}`);
    const valid = records.filter((record) => /^v\s*=\s*DMARC1\s*(;|$)/.test(record));
    const other = records.find((record) => /dmarc1/i.test(record) && !valid.includes(record));
    if (other)
      faults.push(
        `the record at _dmarc.${name} does not begin with "v=DMARC1;", so receivers ignore it: "${other}"`,
      );
    if (valid.length > 1)
      faults.push(`_dmarc.${name} has ${valid.length} DMARC records, so receivers ignore all of them`);
    const [record, second] = valid;
    if (record === undefined || second !== undefined) continue;
    const tags = tagsOf(record);
    found.push({ name, record, tags });
    if (/^[yn]$/i.test(tags?.get("psd") ?? "")) break;
  }
  return found;
};

const psdOf = ({ tags }: Found): string => tags?.get("psd")?.toLowerCase() ?? "u";

/** RFC 9989 §4.10.2. */
const organizationOf = (domain: string, found: readonly Found[]): string => {
  const own = found.find((one) => psdOf(one) === "n");
  if (own) return own.name;
  const suffix = found.find((one) => psdOf(one) === "y" && one.name !== domain);
  if (suffix)
    return domain
      .split(".")
      .slice(-(suffix.name.split(".").length + 1))
      .join(".");
  return found.at(-1)?.name ?? domain;
};

/** Finds the policy for a domain by walking up the tree of names. Rejects with NoAnswer if DNS gives no answer. */
export const dmarcOf = async (domain: string, dns: Dns): Promise<Dmarc> => {
  const faults: string[] = [];
  const found = await walk(domain, dns, faults);
  const organization = organizationOf(domain, found);
  // RFC 9989 §4.10.1: its own record, else the organization's, else that of the public suffix.
  const governing =
    found.find(({ name }) => name === domain) ??
    found.find(({ name }) => name === organization) ??
    found.find((one) => psdOf(one) === "y");
  if (!governing) return { organization, faults };
  const { name, record, tags } = governing;
  const at = `_dmarc.${name}`;
  if (!tags) {
    faults.push(`the record at ${at} is not made of name=value pairs, each once, between semicolons`);
    return { organization, faults };
  }
  const given = (tag: string) => tags.get(tag)?.toLowerCase();
  const wrong = ["p", "sp", "np"].filter((tag) => (tag === "p" || tags.has(tag)) && !isPolicy(given(tag)));
  for (const tag of wrong)
    faults.push(`${tag}= at ${at} is not none, quarantine or reject; receivers then use p=none at most`);
  for (const tag of ["aspf", "adkim"])
    if (tags.has(tag) && !/^[rs]$/.test(given(tag) ?? "")) faults.push(`${tag}= at ${at} is neither r nor s`);
  // RFC 9989 §4.7: without a valid policy, a record that asks for reports counts as p=none. Else there is no policy.
  if (wrong.length > 0 && !/^mailto:/i.test(tags.get("rua") ?? "")) return { organization, faults };
  const [own, sub, missing] = ["p", "sp", "np"].map((tag) => {
    const policy = wrong.length > 0 ? "none" : given(tag);
    return isPolicy(policy) ? policy : undefined;
  });
  let policy: Policy = own ?? "none";
  if (name !== domain) {
    const gone = missing !== undefined && (await dns.addresses(domain)).missing;
    policy = (gone ? missing : undefined) ?? sub ?? policy;
  }
  const test = given("t") === "y";
  const asked = test ? lower[policy] : policy;
  return {
    organization,
    faults,
    policy: {
      at,
      record,
      asked,
      test,
      strictSpf: given("aspf") === "s",
      strictDkim: given("adkim") === "s",
    },
  };
};

/** The organizational domain of another domain of the mail, for alignment. */
export const organizationalDomain = async (domain: string, dns: Dns): Promise<string> =>
  organizationOf(domain, await walk(domain, dns, []));

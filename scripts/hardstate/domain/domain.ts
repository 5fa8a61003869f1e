import { isIP, isIPv6 } from "node:net";
import type { Relay } from "../../../functions/deliver/relay-url.ts";
import type { DomainCheck } from "../stages.ts";
import { type Dkim, dkimOf } from "./dkim.ts";
import { type Dmarc, dmarcOf, organizationalDomain } from "./dmarc.ts";
import { type Answer, type Dns, NoAnswer } from "./dns.ts";
import { type Provider, providerOf } from "./providers.ts";
import { listOf, type Spf, spfOf, type ValidSpf } from "./spf.ts";

/** The subjects of the check: the domains of From and of the envelope sender, and the relay that takes our mail. */
export type Sending = {
  from: string;
  envelope: string;
  /** Its host, as `sendingHost` finds it. */
  relay: string;
  /** DKIM selectors that the relay is said to sign with. */
  selectors: readonly string[];
};

/** The host whose name tells the relay's provider: with `mx` the domain's first MX host; for SES the region's SMTP host. */
export const sendingHost = async (relay: Relay, dns: Dns): Promise<string> => {
  if (relay.kind === "ses") return `email-smtp.${relay.region}.amazonaws.com`;
  if (!relay.mx) return relay.host;
  try {
    const { records } = await dns.mx(relay.host);
    return records.toSorted((a, b) => a.priority - b.priority)[0]?.exchange || relay.host;
  } catch (error) {
    if (error instanceof NoAnswer) return relay.host;
    throw error;
  }
};

/** Whether something makes a mail pass DMARC. */
type Helps = "yes" | "no" | "unknown";
type Check = DomainCheck;

const unlessUnknown = async (check: string, work: () => Promise<Check>): Promise<Check> => {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    return { check, result: "unknown", detail: `DNS gives no answer (${error.message})` };
  }
};

const absent = "does not exist in DNS";
const noMail =
  "Give HARDSTATE_FROM and HARDSTATE_ENVELOPE_FROM a domain that takes mail: many receivers refuse mail whose sender takes no mail.";

/** Whether a domain takes mail (RFC 5321 §5.1). */
const mailCheck = async (domain: string, dns: Dns): Promise<Check> => {
  const check = "mx";
  const { records } = await dns.mx(domain);
  const hosts = records.toSorted((a, b) => a.priority - b.priority).map(({ exchange }) => exchange);
  if (hosts.length > 0 && hosts.every((host) => host === "" || host === "."))
    return {
      check,
      result: "fail",
      detail: `${domain} says that it takes no mail (its MX record is ".")`,
      advice: noMail,
    };
  if (hosts.length > 0) {
    const found: Answer<string>[] = await Promise.all(hosts.slice(0, 4).map((host) => dns.addresses(host)));
    if (found.some((answer) => answer.records.length > 0))
      return { check, result: "pass", detail: `${domain} takes mail at ${hosts.join(", ")}` };
    return {
      check,
      result: "fail",
      detail: `the MX hosts of ${domain} have no address: ${hosts.join(", ")}`,
      advice: noMail,
    };
  }
  const { records: addresses, missing } = await dns.addresses(domain);
  if (addresses.length > 0)
    return { check, result: "pass", detail: `${domain} has no MX record, and takes mail at its own address` };
  const why = missing ? absent : "has no MX record and no address";
  return { check, result: "fail", detail: `${domain} ${why}`, advice: noMail };
};

const spfCheck = (domain: string, spf: Spf): Check => {
  const check = "spf";
  if (spf.result === "unknown")
    return { check, result: "unknown", detail: `DNS gives no answer (${spf.detail})` };
  if (spf.result === "none")
    return {
      check,
      result: "warning",
      detail: `${domain} has no SPF record${spf.detail === "none" ? "" : `: ${spf.detail}`}`,
      advice: `Publish one TXT record at ${domain} that names every server that sends its mail, such as "v=spf1 mx include:PROVIDER ~all".`,
    };
  if (spf.result === "wrong")
    return {
      check,
      result: "fail",
      detail: `the SPF record of ${domain} does not work: ${spf.detail}`,
      advice: "Correct the record: receivers treat a faulty one as a failure, or ignore it.",
    };
  const { record, lookups, rest, networks, depends, oddities } = spf;
  const words = `${record} (${lookups} of 10 look-ups)`;
  if (networks.includes("0.0.0.0/0"))
    return {
      check,
      result: "fail",
      detail: `${words} allows everybody to send`,
      advice:
        'Replace "+all" by "~all" or "-all": now anybody can send as this domain, and receivers distrust it.',
    };
  if (networks.length === 0 && !depends)
    return {
      check,
      result: "fail",
      detail: `${words} allows nobody to send`,
      advice: "Add the relay to the record, or send from a domain that allows it.",
    };
  if (oddities.length > 0)
    return {
      check,
      result: "warning",
      detail: `${words}: receivers ignore ${oddities.join(" ")}`,
      advice: "Write a colon instead of the equals sign.",
    };
  return { check, result: "pass", detail: rest === "neutral" ? `${words}; it ends without "all"` : words };
};

/** The first and the last address of an IPv4 network; of an IPv6 one, the first. */
const endsOf = (network: string): string[] => {
  const [address = "", prefix] = network.split("/");
  if (isIPv6(address)) return [address];
  const size = 2 ** (32 - Number(prefix));
  const number = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const last = number - (number % size) + size - 1;
  return [address, [24, 16, 8, 0].map((bits) => Math.floor(last / 2 ** bits) % 256).join(".")];
};

/** Whether the networks of one record cover all those of another, judged by the first and last address of each. */
const contains = (whole: ValidSpf, part: Spf): boolean => {
  if (part.result !== "valid" || part.networks.length === 0) return false;
  const list = listOf(whole.networks);
  const holds = (address: string) => list.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  return part.networks.flatMap(endsOf).every(holds);
};

/** The addresses of a host; none if DNS does not tell. */
const addressesOf = async (host: string, dns: Dns): Promise<string[]> => {
  try {
    return (await dns.addresses(host)).records;
  } catch (error) {
    if (error instanceof NoAnswer) return [];
    throw error;
  }
};

/** The result of SPF for the relay, and whether that makes a mail pass DMARC. */
type Coverage = { check: Check; helps: Helps };

const coverage = (result: Check["result"], helps: Helps, detail: string, advice?: string): Coverage => ({
  check: { check: "relay", result, detail, ...(advice && { advice }) },
  helps,
});
const unknownCoverage = (detail: string) => coverage("unknown", "unknown", detail);

/** Whether a valid SPF record covers a provider. */
const providerCoverage = async (
  { name, includes }: Extract<Provider, { ownEnvelope: false }>,
  envelope: string,
  spf: ValidSpf,
  dns: Dns,
): Promise<Coverage> => {
  const covered = () => coverage("pass", "yes", `SPF covers ${name}`);
  if (includes.some((include) => spf.domains.has(include))) return covered();
  if (spf.depends)
    return unknownCoverage(
      `whether SPF covers ${name}: the record depends on who sends (macros, exists or ptr)`,
    );
  const theirs = await spfOf(includes[0], dns);
  if (contains(spf, theirs)) return covered();
  if (theirs.result === "unknown") return unknownCoverage(`whether SPF covers ${name}: ${theirs.detail}`);
  return coverage(
    "fail",
    "no",
    `SPF of ${envelope} does not cover ${name}, which runs the relay: receivers treat its mail as forged`,
    `Add include:${includes[0]} to the SPF record of ${envelope}.`,
  );
};

/** Whether the SPF record covers the relay. */
const relayCoverage = async ({ envelope, relay }: Sending, spf: Spf, dns: Dns): Promise<Coverage> => {
  const provider = providerOf(relay);
  if (provider?.ownEnvelope)
    return unknownCoverage(
      `${provider.name} replaces the envelope sender by one of its own, or of a domain that is set up there. Receivers then look at that domain's SPF record, not at that of ${envelope}: set up DKIM at ${provider.name}`,
    );
  if (spf.result === "unknown") return unknownCoverage("there is no SPF record to look into");
  if (spf.result !== "valid")
    return coverage(
      provider && spf.result === "none" ? "fail" : "warning",
      "no",
      "SPF does not cover the relay: there is no valid record",
      provider &&
        `Publish "v=spf1 include:${provider.includes[0]} ~all" at ${envelope}, together with every other server that sends for it.`,
    );
  if (provider) return providerCoverage(provider, envelope, spf, dns);
  if (spf.networks.length === 0 && !spf.depends)
    return coverage("warning", "no", "SPF does not cover the relay: it allows nobody to send");
  const addresses = isIP(relay) ? [relay] : await addressesOf(relay, dns);
  const list = listOf(spf.networks);
  const own = addresses.find((address) => list.check(address, isIPv6(address) ? "ipv6" : "ipv4"));
  if (own === undefined)
    return unknownCoverage(`which address ${relay} sends from, and so whether SPF covers it`);
  return coverage("pass", "unknown", `SPF covers ${own}, the address of ${relay}, if it sends from there`);
};

const alignmentCheck = async (
  { from, envelope }: Sending,
  { organization, policy }: Dmarc,
  dns: Dns,
): Promise<{ check: Check; aligned: boolean }> => {
  const check = "alignment";
  if (from === envelope)
    return {
      check: { check, result: "pass", detail: `From and envelope sender are both of ${from}` },
      aligned: true,
    };
  const same = (await organizationalDomain(envelope, dns)) === organization;
  const aligned = same && !policy?.strictSpf;
  if (aligned)
    return {
      check: {
        check,
        result: "pass",
        detail: `${envelope} (envelope) and ${from} (From) are both of ${organization}`,
      },
      aligned,
    };
  const why = same ? `DMARC's aspf=s requires ${from} itself` : `it is another domain than ${from} (From)`;
  return {
    check: {
      check,
      result: "warning",
      detail: `SPF of ${envelope} (envelope) does not count for DMARC: ${why}`,
      advice: `Have the relay sign with DKIM for ${from}, or give HARDSTATE_ENVELOPE_FROM an address of ${from}.`,
    },
    aligned,
  };
};

const dkimChecks = async (
  { from, selectors }: Sending,
  { organization, policy }: Dmarc,
  dns: Dns,
): Promise<{ checks: Check[]; helps: Helps }> => {
  const check = "dkim";
  if (selectors.length === 0)
    return {
      checks: [{ check, result: "unknown", detail: "whether the relay signs; --selector NAME checks a key" }],
      helps: "unknown",
    };
  const results = { good: "pass", weak: "warning", bad: "fail", unknown: "unknown" } as const;
  const found: Dkim[] = [];
  for (const selector of selectors) {
    const own = await dkimOf(selector, from, dns);
    // A key of the organization counts too, unless DMARC is strict about it.
    const wider = own.result === "bad" && organization !== from && !policy?.strictDkim;
    const other = wider ? await dkimOf(selector, organization, dns) : own;
    found.push(other.result === "bad" ? own : other);
  }
  const checks = found.map(({ result, detail }): Check => {
    const advice = {
      good: undefined,
      weak: "Create a new key at the relay.",
      bad: "Publish the key that the relay's administrator or provider shows for this selector.",
      unknown: undefined,
    }[result];
    return { check, result: results[result], detail, ...(advice && { advice }) };
  });
  return { checks, helps: found.every(({ result }) => result === "bad") ? "no" : "unknown" };
};

const asks = {
  none: "deliver mail that fails",
  quarantine: "put mail that fails into the spam folder",
  reject: "refuse mail that fails",
} as const;

/** The policy of DMARC, and whether our mail passes by the known results of SPF and DKIM. */
const dmarcChecks = (from: string, { policy, faults }: Dmarc, spf: Helps, dkim: Helps): Check[] => {
  const check = "dmarc";
  const wrong = faults.map(
    (detail): Check => ({
      check,
      result: "fail",
      detail,
      advice: "Correct the record: receivers do not do what it is meant to ask.",
    }),
  );
  if (!policy) {
    if (wrong.length > 0) return wrong;
    return [
      {
        check,
        result: "warning",
        detail: `${from} has no DMARC policy`,
        advice: `Publish "v=DMARC1; p=none" at _dmarc.${from}: large receivers ask for one.`,
      },
    ];
  }
  const words = `${policy.at} asks receivers to ${asks[policy.asked]}${policy.test ? " (test mode)" : ""}: ${policy.record}`;
  const helps = [spf, dkim];
  if (policy.asked === "none" || helps.includes("yes"))
    return [...wrong, { check, result: "pass", detail: words }];
  if (helps.includes("unknown"))
    return [...wrong, { check, result: "unknown", detail: `whether our mail passes. ${words}` }];
  return [
    ...wrong,
    {
      check,
      result: "fail",
      detail: `our mail fails by SPF and by DKIM, and ${words}`,
      advice: `Have SPF cover the relay for an envelope sender of ${from}, or have the relay sign with DKIM for ${from}.`,
    },
  ];
};

/**
 * Checks by DNS whether receivers have reason to accept our mail: whether the domains of From and envelope sender
 * take mail, and what SPF, DKIM and DMARC say about them and the relay. A check is `unknown` if DNS alone cannot
 * decide it.
 */
export const checkDomains = async (sending: Sending, dns: Dns): Promise<DomainCheck[]> => {
  const { from, envelope } = sending;
  const mail = await Promise.all(
    [...new Set([from, envelope])].map((domain) => unlessUnknown("mx", () => mailCheck(domain, dns))),
  );
  // A domain that does not exist has nothing else to check.
  if (mail.some(({ detail }) => detail.endsWith(absent))) return mail;
  const spf = await spfOf(envelope, dns);
  const relay = await relayCoverage(sending, spf, dns);
  const checks = [...mail, spfCheck(envelope, spf), relay.check];
  try {
    const dmarc = await dmarcOf(from, dns);
    const { check, aligned } = await alignmentCheck(sending, dmarc, dns);
    const dkim = await dkimChecks(sending, dmarc, dns);
    const spfHelps = aligned ? relay.helps : "no";
    return [...checks, check, ...dkim.checks, ...dmarcChecks(from, dmarc, spfHelps, dkim.helps)];
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    return [
      ...checks,
      { check: "dmarc", result: "unknown", detail: `DNS gives no answer (${error.message})` },
    ];
  }
};

import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { SmtpRelay } from "../../../functions/deliver/relay-url.ts";
import { dmarcOf } from "../../../scripts/hardstate/domain/dmarc.ts";
import { dnsOf } from "../../../scripts/hardstate/domain/dns.ts";
import { checkDomains, type Sending, sendingHost } from "../../../scripts/hardstate/domain/domain.ts";
import { spfOf } from "../../../scripts/hardstate/domain/spf.ts";
import { resolverOfZones, type Zones } from "../../deliver/name-server.ts";
import { relayAt } from "../../deliver/sending.ts";

const keyOf = (bits: number) =>
  generateKeyPairSync("rsa", { modulusLength: bits })
    .publicKey.export({ type: "spki", format: "der" })
    .toString("base64");
const [key512, key1024, key2048] = [keyOf(512), keyOf(1024), keyOf(2048)];
const ed25519 = generateKeyPairSync("ed25519")
  .publicKey.export({ type: "spki", format: "der" })
  .subarray(-32)
  .toString("base64");

/** A domain that is well: it takes mail, and all of it goes through a relay at 192.0.2.25. */
const good: Zones = {
  "example.com": ["MX 10 mx.example.com", "TXT v=spf1 ip4:192.0.2.0/24 -all", "TXT other=words"],
  "mx.example.com": ["A 192.0.2.1"],
  "relay.example.com": ["A 192.0.2.25"],
  "_dmarc.example.com": ["TXT v=DMARC1; p=none"],
  "good._domainkey.example.com": [`TXT v=DKIM1; k=rsa; p=${key2048}`],
  "spf.protection.outlook.com": ["TXT v=spf1 ip4:40.92.0.0/15 ip6:2a01:111:f400::/48 -all"],
};
const spf = (record: string): Zones => ({ "example.com": ["MX 10 mx.example.com", `TXT ${record}`] });
const dmarc = (...records: string[]): Zones => ({ "_dmarc.example.com": records.map((one) => `TXT ${one}`) });
const dkim = (record: string): Zones => ({ "s1._domainkey.example.com": [`TXT ${record}`] });
const includes = (count: number): Zones => ({
  ...spf(`v=spf1 ${Array.from({ length: count }, (_, n) => `include:i${n}.example.com`).join(" ")} -all`),
  ...Object.fromEntries(
    Array.from({ length: count }, (_, n) => [`i${n}.example.com`, [`TXT v=spf1 ip4:198.51.100.${n} -all`]]),
  ),
});

const checksOf = async (zones: Zones, change: Partial<Sending> = {}) => {
  const resolver = await resolverOfZones({ ...good, ...zones });
  const sending: Sending = {
    from: "example.com",
    envelope: "example.com",
    relay: "relay.example.com",
    selectors: [],
    ...change,
  };
  return checkDomains(sending, dnsOf(resolver));
};
const office = { relay: "smtp.office365.com" };
const s1 = { selectors: ["s1"] };

type Row = [
  name: string,
  zones: Zones,
  change: Partial<Sending>,
  check: string,
  result: string,
  detail: RegExp,
  advice?: RegExp,
];
const rows: Row[] = [
  // Whether the domain takes mail.
  ["takes mail", {}, {}, "mx", "pass", /^example\.com takes mail at mx\.example\.com$/],
  [
    "does not exist",
    {},
    { from: "nowhere.example" },
    "mx",
    "fail",
    /^nowhere\.example does not exist/,
    /HARDSTATE_FROM/,
  ],
  [
    "has neither MX nor address",
    { "example.com": [] },
    {},
    "mx",
    "fail",
    /no MX record and no address/,
    /HARDSTATE_FROM/,
  ],
  [
    "has an address and no MX",
    { "example.com": ["A 192.0.2.7"] },
    {},
    "mx",
    "pass",
    /no MX record, and takes mail at its own address/,
  ],
  [
    "has an IPv6 address and no MX",
    { "example.com": ["AAAA 2001:db8::7"] },
    {},
    "mx",
    "pass",
    /at its own address/,
  ],
  [
    "takes no mail (null MX)",
    { "example.com": ["MX 0 ."] },
    {},
    "mx",
    "fail",
    /says that it takes no mail/,
    /whose sender takes no mail/,
  ],
  [
    "has an MX host without an address",
    { "example.com": ["MX 5 gone.example.com"] },
    {},
    "mx",
    "fail",
    /MX hosts of example\.com have no address/,
    /HARDSTATE_FROM/,
  ],
  [
    "has an envelope of another domain that does not exist",
    {},
    { envelope: "nowhere.example" },
    "mx",
    "fail",
    /^nowhere\.example/,
    /ENVELOPE/,
  ],
  ["cannot be looked up", { "example.com": "SERVFAIL" }, {}, "mx", "unknown", /ESERVFAIL/],
  ["is not answered for", { "example.com": "silence" }, {}, "mx", "unknown", /ETIMEOUT/],
  // SPF.
  ["has an SPF record", {}, {}, "spf", "pass", /^v=spf1 ip4:192\.0\.2\.0\/24 -all \(0 of 10 look-ups\)$/],
  [
    "has no SPF record",
    { "example.com": ["A 192.0.2.7", "TXT x"] },
    {},
    "spf",
    "warning",
    /no SPF record$/,
    /TXT record at example\.com/,
  ],
  [
    "has one that does not begin as it must",
    spf("spf1 mx -all"),
    {},
    "spf",
    "warning",
    /must begin with "v=spf1 "/,
  ],
  [
    "has two SPF records",
    { "example.com": ["A 192.0.2.7", "TXT v=spf1 mx -all", "TXT v=spf1 a -all"] },
    {},
    "spf",
    "fail",
    /2 SPF records, and only one is allowed/,
    /Correct the record/,
  ],
  [
    "has a term that is none",
    spf("v=spf1 ipv4:192.0.2.1 -all"),
    {},
    "spf",
    "fail",
    /"ipv4:192\.0\.2\.1" is no valid term/,
  ],
  [
    "has an address that is none",
    spf("v=spf1 ip4:192.0.2.300 -all"),
    {},
    "spf",
    "fail",
    /"ip4:192\.0\.2\.300"/,
  ],
  [
    "has two addresses with a comma",
    spf("v=spf1 ip4:192.0.2.1,192.0.2.2 -all"),
    {},
    "spf",
    "fail",
    /no valid term/,
  ],
  [
    "has a network that is too small",
    spf("v=spf1 ip4:192.0.2.1/33 -all"),
    {},
    "spf",
    "fail",
    /no valid term/,
  ],
  ["has a dash that is none", spf("v=spf1 mx \u00e2all"), {}, "spf", "fail", /not ASCII/],
  [
    "has an include without a dot",
    spf("v=spf1 include:localhost -all"),
    {},
    "spf",
    "fail",
    /"include:localhost"/,
  ],
  [
    "has include= for include:",
    spf("v=spf1 ip4:192.0.2.1 include=spf.protection.outlook.com -all"),
    {},
    "spf",
    "warning",
    /receivers ignore include=/,
    /colon/,
  ],
  [
    "has two redirects",
    spf("v=spf1 redirect=a.example.com redirect=b.example.com"),
    {},
    "spf",
    "fail",
    /"redirect=" is in it twice/,
  ],
  ["needs ten look-ups", includes(10), {}, "spf", "pass", /\(10 of 10 look-ups\)/],
  ["needs eleven look-ups", includes(11), {}, "spf", "fail", /11 look-ups, and 10 are allowed/],
  [
    "includes itself",
    spf("v=spf1 include:example.com -all"),
    {},
    "spf",
    "fail",
    /leads back to itself \(example\.com → example\.com\)/,
  ],
  [
    "includes in a circle",
    { ...spf("v=spf1 include:a.example.com -all"), "a.example.com": ["TXT v=spf1 redirect=Example.com."] },
    {},
    "spf",
    "fail",
    /leads back to itself/,
  ],
  [
    "includes a domain without a record",
    spf("v=spf1 include:none.example.com -all"),
    {},
    "spf",
    "fail",
    /include:none\.example\.com leads to a domain without an SPF record/,
  ],
  [
    "has three terms that lead nowhere",
    spf("v=spf1 a:a.void.example a:b.void.example mx:c.void.example -all"),
    {},
    "spf",
    "fail",
    /3 of its terms lead to names without records, and 2/,
  ],
  [
    "has two terms that lead nowhere",
    spf("v=spf1 ip4:192.0.2.1 a:a.void.example mx:c.void.example -all"),
    {},
    "spf",
    "pass",
    /2 of 10/,
  ],
  ["lets everybody send", spf("v=spf1 mx +all"), {}, "spf", "fail", /allows everybody/, /"\+all"/],
  [
    "lets everybody send by an include",
    { ...spf("v=spf1 include:a.example.com -all"), "a.example.com": ["TXT v=spf1 all"] },
    {},
    "spf",
    "fail",
    /allows everybody/,
  ],
  ["lets nobody send", spf("v=spf1 -all"), {}, "spf", "fail", /allows nobody/],
  [
    "has a redirect",
    { ...spf("v=spf1 redirect=a.example.com"), "a.example.com": ["TXT v=spf1 ip4:192.0.2.25 ~all"] },
    {},
    "relay",
    "pass",
    /SPF covers 192\.0\.2\.25/,
  ],
  [
    "has an SPF record that cannot be looked up",
    { ...spf("v=spf1 include:a.example.com -all"), "a.example.com": "SERVFAIL" },
    {},
    "spf",
    "unknown",
    /TXT of a\.example\.com: ESERVFAIL/,
  ],
  [
    "has a record in two strings",
    spf(`v=spf1 ${"ip4:192.0.2.25 ".repeat(20)}-all`),
    {},
    "spf",
    "pass",
    /0 of 10/,
  ],
  // Whether SPF covers the relay.
  [
    "covers a relay with an address of its own",
    {},
    {},
    "relay",
    "pass",
    /SPF covers 192\.0\.2\.25, the address of relay\.example\.com/,
  ],
  [
    "covers a relay that is an address",
    {},
    { relay: "192.0.2.9" },
    "relay",
    "pass",
    /SPF covers 192\.0\.2\.9/,
  ],
  ["covers the relay by its mx", spf("v=spf1 mx/24 -all"), {}, "relay", "pass", /192\.0\.2\.25/],
  [
    "does not say whether it covers a private relay",
    spf("v=spf1 ip4:203.0.113.9 -all"),
    {},
    "relay",
    "unknown",
    /which address relay\.example\.com sends from/,
  ],
  [
    "covers Microsoft 365",
    spf("v=spf1 include:spf.protection.outlook.com -all"),
    office,
    "relay",
    "pass",
    /covers Microsoft 365/,
  ],
  [
    "covers Microsoft 365 two includes down",
    {
      ...spf("v=spf1 include:a.example.com -all"),
      "a.example.com": ["TXT v=spf1 include:spf.protection.outlook.com"],
    },
    office,
    "relay",
    "pass",
    /covers Microsoft 365/,
  ],
  [
    "covers Microsoft 365 by its networks",
    spf("v=spf1 ip4:40.92.0.0/15 ip6:2a01:111:f400::/48 -all"),
    office,
    "relay",
    "pass",
    /covers Microsoft 365/,
  ],
  [
    "covers half of Microsoft 365's networks",
    spf("v=spf1 ip4:40.92.0.0/16 ip6:2a01:111:f400::/48 -all"),
    office,
    "relay",
    "fail",
    /does not cover Microsoft 365/,
  ],
  ["lets nobody send, not even a private relay", spf("v=spf1 -all"), {}, "relay", "warning", /allows nobody/],
  [
    "rejects all mail, for nobody may send it",
    { ...dmarc("v=DMARC1; p=reject"), ...spf("v=spf1 -all") },
    s1,
    "dmarc",
    "fail",
    /our mail fails by SPF and by DKIM/,
  ],
  [
    "does not cover Microsoft 365",
    {},
    office,
    "relay",
    "fail",
    /does not cover Microsoft 365/,
    /Add include:spf\.protection\.outlook\.com/,
  ],
  [
    "excludes Microsoft 365",
    spf("v=spf1 ip4:192.0.2.1 -include:spf.protection.outlook.com ~all"),
    office,
    "relay",
    "fail",
    /does not cover/,
  ],
  [
    "has no record for Microsoft 365",
    { "example.com": ["A 192.0.2.7"] },
    office,
    "relay",
    "fail",
    /no valid record/,
    /include:spf\.protection\.outlook\.com/,
  ],
  [
    "depends on who sends",
    spf("v=spf1 exists:%{i}._spf.example.com -all"),
    office,
    "relay",
    "unknown",
    /macros, exists or ptr/,
  ],
  [
    "uses a provider with envelopes of its own",
    {},
    { relay: "email-smtp.us-gov-west-1.amazonaws.com" },
    "relay",
    "unknown",
    /Amazon SES replaces the envelope sender by one of its own/,
  ],
  ["uses SES by SMTP", {}, { relay: "email-smtp.eu-west-1.amazonaws.com" }, "relay", "unknown", /Amazon SES/],
  // Alignment.
  ["has From and envelope of one domain", {}, {}, "alignment", "pass", /both of example\.com/],
  [
    "has an envelope of a subdomain",
    { "b.example.com": ["A 192.0.2.7"] },
    { envelope: "b.example.com" },
    "alignment",
    "pass",
    /both of example\.com/,
  ],
  [
    "has an envelope of a subdomain, and is strict",
    { ...dmarc("v=DMARC1; p=none; aspf=s"), "b.example.com": ["A 192.0.2.7"] },
    { envelope: "b.example.com" },
    "alignment",
    "warning",
    /aspf=s requires example\.com itself/,
    /DKIM/,
  ],
  [
    "has an envelope of another domain",
    { "example.net": ["A 192.0.2.7"] },
    { envelope: "example.net" },
    "alignment",
    "warning",
    /another domain than example\.com/,
    /HARDSTATE_ENVELOPE_FROM/,
  ],
  // DKIM.
  ["is asked about without a selector", {}, {}, "dkim", "unknown", /--selector NAME/],
  ["has a good key", dkim(`v=DKIM1; p=${key2048}`), s1, "dkim", "pass", /is RSA with 2048 bits$/],
  ["has an Ed25519 key", dkim(`v=DKIM1; k=ed25519; p=${ed25519}`), s1, "dkim", "pass", /is Ed25519$/],
  [
    "has a key of 1024 bits",
    dkim(`v=DKIM1; p=${key1024}`),
    s1,
    "dkim",
    "warning",
    /1024 bits; 2048 bits are recommended/,
  ],
  [
    "has a key of 512 bits",
    dkim(`v=DKIM1; p=${key512}`),
    s1,
    "dkim",
    "fail",
    /512 bits, and receivers accept no signature/,
  ],
  ["has a key for tests", dkim(`v=DKIM1; t=y; p=${key2048}`), s1, "dkim", "warning", /only a test/],
  [
    "has a key of another algorithm",
    dkim(`v=DKIM1; h=sha1; p=${key2048}`),
    s1,
    "dkim",
    "fail",
    /allows no SHA-256/,
  ],
  [
    "has no such key",
    {},
    s1,
    "dkim",
    "fail",
    /^s1\._domainkey\.example\.com does not exist/,
    /Publish the key/,
  ],
  ["has a revoked key", dkim("v=DKIM1; p="), s1, "dkim", "fail", /revoked/],
  ["has half a key", dkim(`v=DKIM1; p=${key2048.slice(0, 200)}`), s1, "dkim", "fail", /perhaps cut off/],
  [
    "has two keys",
    { "s1._domainkey.example.com": [`TXT p=${key2048}`, `TXT p=${key1024}`] },
    s1,
    "dkim",
    "fail",
    /2 records/,
  ],
  [
    "has a key that cannot be looked up",
    { "s1._domainkey.example.com": "SERVFAIL" },
    s1,
    "dkim",
    "unknown",
    /ESERVFAIL/,
  ],
  // DMARC.
  [
    "asks for nothing",
    {},
    {},
    "dmarc",
    "pass",
    /^_dmarc\.example\.com asks receivers to deliver mail that fails: v=DMARC1; p=none$/,
  ],
  ["has no DMARC policy", dmarc(), {}, "dmarc", "warning", /no DMARC policy/, /Publish/],
  [
    "rejects, and SPF covers the relay",
    { ...dmarc("v=DMARC1; p=reject"), ...spf("v=spf1 include:spf.protection.outlook.com -all") },
    office,
    "dmarc",
    "pass",
    /asks receivers to refuse mail that fails/,
  ],
  [
    "rejects, and it is open whether our mail passes",
    dmarc("v=DMARC1; p=reject"),
    {},
    "dmarc",
    "unknown",
    /whether our mail passes/,
  ],
  [
    "rejects our mail",
    dmarc("v=DMARC1; p=reject"),
    { ...office, ...s1 },
    "dmarc",
    "fail",
    /our mail fails by SPF and by DKIM/,
    /Have SPF cover the relay/,
  ],
  [
    "quarantines our mail, with another envelope",
    { ...dmarc("v=DMARC1; p=quarantine"), "example.net": ["A 192.0.2.7"] },
    { envelope: "example.net", ...s1 },
    "dmarc",
    "fail",
    /spam folder/,
  ],
  [
    "rejects, in test mode",
    dmarc("v=DMARC1; p=reject; t=y"),
    { ...office, ...s1 },
    "dmarc",
    "fail",
    /spam folder \(test mode\)/,
  ],
  [
    "quarantines, in test mode",
    dmarc("v=DMARC1; p=quarantine; t=y"),
    { ...office, ...s1 },
    "dmarc",
    "pass",
    /asks receivers to deliver/,
  ],
  [
    "has two DMARC records",
    dmarc("v=DMARC1; p=none", "v=DMARC1; p=reject"),
    {},
    "dmarc",
    "fail",
    /2 DMARC records/,
    /Correct the record/,
  ],
  [
    "has a DMARC record in small letters",
    dmarc("v=dmarc1; p=none"),
    {},
    "dmarc",
    "fail",
    /does not begin with "v=DMARC1;"/,
  ],
  [
    "has a policy that does not exist",
    dmarc("v=DMARC1; p=block"),
    {},
    "dmarc",
    "fail",
    /p= at _dmarc\.example\.com is not none, quarantine or reject/,
  ],
  [
    "has a tag twice",
    dmarc("v=DMARC1; p=none; p=reject"),
    {},
    "dmarc",
    "fail",
    /name=value pairs, each once/,
  ],
  [
    "has a DMARC record that cannot be looked up",
    { "_dmarc.example.com": "SERVFAIL" },
    {},
    "dmarc",
    "unknown",
    /ESERVFAIL/,
  ],
];

describe("a domain that", () => {
  it.each(rows)("%s is named so", async (_, zones, change, check, result, detail, advice) => {
    const found = (await checksOf(zones, change)).filter(
      (one) => one.check === check && detail.test(one.detail),
    );
    expect(found).toEqual([expect.objectContaining({ result })]);
    if (advice) expect(found[0]?.advice).toMatch(advice);
    if (result === "pass" || result === "unknown") expect(found[0]?.advice).toBeUndefined();
  });
});

it.each<[string, Partial<SmtpRelay>, Zones, string]>([
  ["is its own", {}, {}, "corp.example"],
  [
    "with mx is the domain's first",
    { mx: true },
    { "corp.example": ["MX 20 b.example", "MX 10 corp.mail.protection.outlook.com"] },
    "corp.mail.protection.outlook.com",
  ],
  ["with mx and no record is the domain itself", { mx: true }, {}, "corp.example"],
  [
    "with mx that cannot be looked up is the domain itself",
    { mx: true },
    { "corp.example": "SERVFAIL" },
    "corp.example",
  ],
])("the host of a relay %s", async (_, change, zones, host) => {
  const relay = relayAt(587, { host: "corp.example", ...change });
  expect(await sendingHost(relay, dnsOf(await resolverOfZones(zones)))).toBe(host);
});

it("a domain that does not exist is checked no further", async () => {
  const checks = await checksOf({}, { from: "nowhere.example", envelope: "nowhere.example" });
  expect(checks.map(({ check }) => check)).toEqual(["mx"]);
});

describe("the DMARC policy of a domain", () => {
  const deep = "a.b.c.d.e.f.g.h.example.com";
  it.each<[string, string, Zones, string, string | undefined]>([
    [
      "is its own",
      "mon.example.com",
      { "_dmarc.mon.example.com": ["TXT v=DMARC1; p=reject"], ...dmarc("v=DMARC1; p=none") },
      "example.com",
      "reject",
    ],
    [
      "is that of its organization",
      "mon.example.com",
      dmarc("v=DMARC1; p=quarantine"),
      "example.com",
      "quarantine",
    ],
    [
      "is for subdomains where there is one",
      "mon.example.com",
      { ...dmarc("v=DMARC1; p=reject; sp=none"), "mon.example.com": ["A 192.0.2.7"] },
      "example.com",
      "none",
    ],
    [
      "is for names that do not exist",
      "typo.example.com",
      dmarc("v=DMARC1; p=none; sp=none; np=reject"),
      "example.com",
      "reject",
    ],
    [
      "is not for names that do",
      "mon.example.com",
      { ...dmarc("v=DMARC1; p=none; sp=quarantine; np=reject"), "mon.example.com": ["A 192.0.2.7"] },
      "example.com",
      "quarantine",
    ],
    [
      "ends at psd=n",
      "a.b.example.com",
      { "_dmarc.b.example.com": ["TXT v=DMARC1; p=reject; psd=n"], ...dmarc("v=DMARC1; p=none") },
      "b.example.com",
      "reject",
    ],
    [
      "is that of the public suffix",
      "mon.agency.example",
      { "_dmarc.example": ["TXT v=DMARC1; p=reject; psd=y"], "mon.agency.example": ["A 192.0.2.7"] },
      "agency.example",
      "reject",
    ],
    [
      "of a public suffix itself is its own",
      "example",
      { "_dmarc.example": ["TXT v=DMARC1; p=reject; psd=y"] },
      "example",
      "reject",
    ],
    [
      "is found above two records that count for none",
      "mon.example.com",
      {
        "_dmarc.mon.example.com": ["TXT v=DMARC1; p=none", "TXT v=DMARC1; p=none"],
        ...dmarc("v=DMARC1; p=reject"),
      },
      "example.com",
      "reject",
    ],
    [
      "skips names that are too deep",
      deep,
      { "_dmarc.b.c.d.e.f.g.h.example.com": ["TXT v=DMARC1; p=none"], ...dmarc("v=DMARC1; p=reject") },
      "example.com",
      "reject",
    ],
    [
      "with reports and a wrong policy is none",
      "example.com",
      dmarc("v=DMARC1; p=block; rua=mailto:d@example.com"),
      "example.com",
      "none",
    ],
    [
      "with a wrong policy alone does not exist",
      "example.com",
      dmarc("v=DMARC1; p=block"),
      "example.com",
      undefined,
    ],
    ["may not exist", "nothing.example", { "_dmarc.example.com": [] }, "nothing.example", undefined],
  ])("%s", async (_, domain, zones, organization, asked) => {
    const found = await dmarcOf(domain, dnsOf(await resolverOfZones(zones)));
    expect([found.organization, found.policy?.asked]).toEqual([organization, asked]);
  });
});

it("a stranger's SPF record does not keep us busy", async () => {
  const found = await spfOf("example.com", dnsOf(await resolverOfZones(includes(200))));
  expect(found).toMatchObject({ result: "wrong", detail: expect.stringMatching(/more than 50 look-ups/) });
});

import { describe, expect, it } from "vitest";
import {
  type Aliases,
  type AllowList,
  type Contact,
  contactKey,
  parseAddress,
  readAliases,
  readAllowList,
  resolveContact,
} from "../functions/address.ts";
import type { Reading } from "../functions/alert.ts";

const good = <T>(reading: Reading<T>): T => {
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading.value;
};
const allowing = (...words: string[]): AllowList => good(readAllowList(words));
const aliasing = (...words: string[]): Aliases => good(readAliases(words));

describe("an address that is taken", () => {
  it.each([
    ["a plain one stays as it is", "ops@example.com", "ops@example.com"],
    ["the domain is written in lower case", "ops@EXAMPLE.Com", "ops@example.com"],
    ["the local part keeps its case", "Ops.Team@example.com", "Ops.Team@example.com"],
    [
      "a plus and other atom characters are allowed",
      "o'neil+nagios/1=a@example.com",
      "o'neil+nagios/1=a@example.com",
    ],
    ["a single label is a domain", "root@localhost", "root@localhost"],
    ["a domain with an umlaut goes out in ASCII", "ops@münchen.example", "ops@xn--mnchen-3ya.example"],
    ["a decomposed umlaut is the same domain", "ops@mu\u0308nchen.example", "ops@xn--mnchen-3ya.example"],
    ["full-width letters are the plain ones", "ops@ｅｘａｍｐｌｅ.com", "ops@example.com"],
    ["an ideographic full stop is a dot", "ops@example。com", "ops@example.com"],
    ["a domain given in punycode stays", "ops@xn--mnchen-3ya.example", "ops@xn--mnchen-3ya.example"],
    ["a local part of 64 characters", `${"l".repeat(64)}@example.com`, `${"l".repeat(64)}@example.com`],
    ["a label of 63 characters", `ops@${"d".repeat(63)}.com`, `ops@${"d".repeat(63)}.com`],
  ])("%s", (_, text, address) => {
    expect(parseAddress(text)).toEqual({ ok: true, value: address });
    expect(parseAddress(address)).toEqual({ ok: true, value: address });
  });

  it("a Cyrillic letter makes another domain, and is seen to", () => {
    const lookalike = good(parseAddress("ops@ex\u0430mple.com"));
    expect(lookalike).toMatch(/@xn--/);
    expect(allowing("example.com")(lookalike)).toBe(false);
  });

  it("punycode with a soft hyphen in it is not the domain without", () => {
    const reading = parseAddress("ops@xn--example-nka.com");
    expect(reading.ok && allowing("example.com")(reading.value)).toBe(false);
  });
});

describe("an address that is refused", () => {
  it.each([
    ["nothing", ""],
    ["a name alone", "nagiosadmin"],
    ["nothing before the @", "@example.com"],
    ["nothing after the @", "ops@"],
    ["two of them", "ops@example.com,evil@example.org"],
    ["two of them with a semicolon", "ops@example.com;evil@example.org"],
    ["two @", "ops@example.org@example.com"],
    ["a quoted local part with another address in it", '"xclow3n@gmail.com x"@internal.domain'],
    ["a quoted local part", '"ops"@example.com'],
    ["a comment in the domain", "user@good-corp.com(x)evil.com"],
    ["a comment in the local part", "user(x)@example.com"],
    ["a comment after the domain", "user@example.com (Bob)"],
    ["a display name", "Bob <ops@example.com>"],
    ["angle brackets", "<ops@example.com>"],
    ["a source route", "@relay.example:ops@example.com"],
    ["a percent route in the domain", "ops@example.com%evil.example"],
    ["a bang path in the domain", "ops@evil.example!example.com"],
    ["a group", "team:ops@example.com;"],
    ["an address literal", "ops@[192.0.2.1]"],
    ["an IPv6 address literal", "ops@[IPv6:2001:db8::1]"],
    ["a bare IP address", "ops@192.0.2.1"],
    ["an IP address in hexadecimal", "ops@0x7f.1"],
    ["an IP address as one number", "ops@2130706433"],
    ["a top level of digits", "ops@example.123"],
    ["a second command", "a@b.com>\r\nRCPT TO:<evil@evil.com"],
    ["a parameter of RCPT", "a@b.com> NOTIFY=NEVER"],
    ["a line end after it", "ops@example.com\r\n"],
    ["LF before it", "\nops@example.com"],
    ["NUL in the local part", "ops\0@example.com"],
    ["NUL in the domain", "ops@example.com\0.evil.example"],
    ["a tab in the domain, which URLs drop", "ops@exam\tple.com"],
    ["LF in the domain, which URLs drop", "ops@exam\nple.com"],
    ["a blank in the local part", "o ps@example.com"],
    ["a blank in the domain", "ops@example .com"],
    ["a domain given with a soft hyphen", "ops@exa\u00admple.com"],
    ["a domain given with a zero-width space", "ops@exa\u200bmple.com"],
    ["a domain given with a zero-width joiner", "ops@exa\u200dmple.com"],
    ["a domain given with a word joiner", "ops@exa\u2060mple.com"],
    ["a domain given with a variation selector", "ops@exa\ufe0fmple.com"],
    ["a domain given with a byte order mark", "ops@\ufeffexample.com"],
    ["a domain given with a direction override", "ops@ok\u202emoc.live"],
    ["a domain given with a private character", "ops@exa\ue000mple.com"],
    ["a domain given with half a surrogate pair", "ops@exa\ud800mple.com"],
    ["a domain of a character that becomes a slash", "ops@a\u2100.example"],
    ["an encoded word", "=?utf-8?Q?ops?=@example.com (=?utf-8?Q?x?=)"],
    ["a local part with an umlaut", "öps@example.com"],
    ["a local part of full-width letters", "ｏps@example.com"],
    ["a dot before the @", "ops.@example.com"],
    ["a dot in front", ".ops@example.com"],
    ["two dots in the local part", "o..ps@example.com"],
    ["two dots in the domain", "ops@example..com"],
    ["a dot at the end", "ops@example.com."],
    ["a label that begins with a hyphen", "ops@-example.com"],
    ["a label that ends with a hyphen", "ops@example-.com"],
    ["an underscore in the domain", "ops@ex_ample.com"],
    ["a port", "ops@example.com:25"],
    ["a path", "ops@example.com/x"],
    ["a backslash", "ops@example.com\\x"],
    ["a query", "ops@example.com?x"],
    ["a fragment", "ops@example.com#x"],
    ["an encoded dot", "ops@example%2ecom"],
    ["a local part of 65 characters", `${"l".repeat(65)}@example.com`],
    ["a label of 64 characters", `ops@${"d".repeat(64)}.com`],
    ["255 characters in all", `ops@${`${"d".repeat(49)}.`.repeat(5)}x`],
    ["a domain that is too long only in ASCII", `ops@${"ü.".repeat(60)}example`],
    ["321 characters", `ops@${"d.".repeat(158)}x`],
  ])("%s", (_, text) => {
    expect(parseAddress(text)).toEqual({
      ok: false,
      faults: [{ field: "address", expected: expect.any(String) }],
    });
  });

  it.each([",", "(", "<", "a:", ".", "@", '"', " ", "a.", "ü", "\\"])("100 KB of '%s'", (part) => {
    const flood = part.repeat(102_400 / part.length);
    for (const text of [flood, `ops@${flood}`, `${flood}@example.com`, `ops@example.com${flood}`])
      expect(parseAddress(text).ok).toBe(false);
  });

  it("is not repeated in the fault", () => {
    expect(JSON.stringify(parseAddress("canary secret@example.com"))).not.toContain("canary");
  });
});

describe("the allow-list", () => {
  it.each([
    ["a domain allows its addresses", ["example.com"], "ops@example.com", true],
    ["a domain allows no other domain", ["example.com"], "ops@example.org", false],
    ["a domain does not allow its subdomains", ["example.com"], "ops@eu.example.com", false],
    ["a domain does not allow what ends like it", ["example.com"], "ops@notexample.com", false],
    ["a domain does not allow what begins like it", ["example.com"], "ops@example.com.evil.example", false],
    ["an address allows itself", ["ops@example.com"], "ops@example.com", true],
    ["an address does not allow its neighbours", ["ops@example.com"], "dba@example.com", false],
    ["a domain's word ignores case", ["EXAMPLE.COM"], "ops@example.com", true],
    ["an address's word ignores case", ["OPS@Example.com"], "ops@EXAMPLE.com", true],
    [
      "a word with an umlaut means the domain in ASCII",
      ["münchen.example"],
      "ops@xn--mnchen-3ya.example",
      true,
    ],
    [
      "an address with an umlaut is looked up in ASCII",
      ["xn--mnchen-3ya.example"],
      "ops@MÜNCHEN.example",
      true,
    ],
    ["full-width letters are looked up as plain ones", ["example.com"], "ops@ｅxample.com", true],
    ["without words nothing is allowed", [], "ops@example.com", false],
    ["a domain does not allow a percent route", ["example.com"], "a%evil.example@example.com", false],
    ["a domain does not allow a bang path", ["example.com"], "evil.example!b@example.com", false],
    ["a domain does not allow what looks like an option", ["example.com"], "-v@example.com", false],
    ["a percent route allows itself", ["a%b.example@example.com"], "a%b.example@example.com", true],
    ["a - inside is no option", ["example.com"], "on-call@example.com", true],
  ])("%s", (_, words, text, expected) => {
    expect(allowing(...words)(good(parseAddress(text)))).toBe(expected);
  });

  it.each(["*", "@example.com", "example.com,example.org", "ops@", "192.0.2.1", "exa\u00admple.com"])(
    "the word '%s' is refused by its number",
    (word) => {
      const reading = readAllowList(["example.com", word]);
      expect(reading).toEqual({ ok: false, faults: [{ field: "word 2", expected: expect.any(String) }] });
    },
  );

  it("every wrong word is told", () => {
    const reading = readAllowList(["*", "example.com", "@"]);
    expect(reading.ok ? [] : reading.faults.map(({ field }) => field)).toEqual(["word 1", "word 3"]);
  });
});

describe("aliases", () => {
  const chain = (links: number) =>
    Array.from({ length: links }, (_, n) => `a${n}=${n === links - 1 ? "ops@example.com" : `a${n + 1}`}`);

  it.each<[string, string[], string, string[]]>([
    ["one address", ["root=ops@example.com"], "root", ["ops@example.com"]],
    ["several addresses", ["root=a@example.com,b@example.com"], "root", ["a@example.com", "b@example.com"]],
    ["another alias", ["root=admins", "admins=ops@example.com"], "root", ["ops@example.com"]],
    ["an alias in other case", ["root=ADMINS", "Admins=ops@example.com"], "root", ["ops@example.com"]],
    [
      "an address that is an alias itself",
      ["root=x@example.com", "x@example.com=y@example.com"],
      "root",
      ["y@example.com"],
    ],
    [
      "the same address by two ways, once",
      ["r=a,b", "a=ops@example.com", "b=ops@example.com"],
      "r",
      ["ops@example.com"],
    ],
    ["a domain in ASCII", ["root=ops@münchen.example"], "root", ["ops@xn--mnchen-3ya.example"]],
    ["a chain of ten", chain(10), "a0", ["ops@example.com"]],
  ])("may stand for %s", (_, words, name, addresses) => {
    expect(aliasing(...words).get(name)).toEqual(addresses);
  });

  it.each<[string, string[]]>([
    ["an alias of itself", ["root=root"]],
    ["a loop of two", ["a=b", "b=a"]],
    ["a loop that other case hides", ["a=B", "b=A"]],
    ["a loop beside a good address", ["a=ops@example.com,b", "b=a"]],
    ["a chain of eleven", chain(11)],
    ["a target that leads nowhere", ["root=admins"]],
    ["a target that is no address", ["root=@example.com"]],
    ["a target with a display name", ["root=Bob<ops@example.com>"]],
    ["a name without targets", ["root="]],
    ["targets without a name", ["=ops@example.com"]],
    ["a word without =", ["ops@example.com"]],
    ["a word with two =", ["root=a=ops@example.com"]],
    ["commas alone", ["root=,,"]],
  ])("%s is refused", (_, words) => {
    expect(readAliases(words)).toEqual({ ok: false, faults: expect.arrayContaining([expect.anything()]) });
  });

  it("no words are no aliases", () => {
    expect(aliasing()).toEqual(new Map());
  });

  it("that lead to each other nine times nine ways, nine deep, are refused at once", () => {
    const all = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const words = all.flatMap((level) =>
      all.map((n) => {
        const targets = level < 9 ? all.map((m) => `a${level + 1}x${m}`) : ["ops@example.com"];
        return `a${level}x${n}=${targets.join(",")}`;
      }),
    );
    expect(readAliases(words)).toMatchObject({
      ok: false,
      faults: [{ field: "aliases", expected: expect.stringMatching(/10000 links/) }],
    });
  });
});

describe("resolving a contact", () => {
  const aliases = aliasing(
    "nagiosadmin=Ops@example.com,dba@example.com",
    "old@example.com=ops@example.com",
    "x=x@example.org",
  );
  const resolve = (contact: Contact) => resolveContact(contact, aliases, allowing("example.com"));

  it.each<[string, Contact, string[]]>([
    ["its email goes before its name", { name: "nagiosadmin", email: "a@example.com" }, ["a@example.com"]],
    [
      "an alias of its name stands in for a missing email",
      { name: "nagiosadmin" },
      ["Ops@example.com", "dba@example.com"],
    ],
    [
      "an empty email counts as missing",
      { name: "nagiosadmin", email: "" },
      ["Ops@example.com", "dba@example.com"],
    ],
    ["a name's case is ignored", { name: "NagiosAdmin" }, ["Ops@example.com", "dba@example.com"]],
    ["an email may be an alias", { email: "nagiosadmin" }, ["Ops@example.com", "dba@example.com"]],
    ["an address may be an alias", { email: "OLD@example.com" }, ["ops@example.com"]],
    [
      "commas separate several addresses",
      { email: "a@example.com, b@EXAMPLE.com," },
      ["a@example.com", "b@example.com"],
    ],
    [
      "an alias and an address mix",
      { email: "old@example.com,b@example.com" },
      ["ops@example.com", "b@example.com"],
    ],
    [
      "one mailbox in two spellings is one",
      { email: "OPS@example.com,ops@EXAMPLE.com" },
      ["ops@example.com"],
    ],
  ])("%s", (_, contact, addresses) => {
    expect(resolve(contact)).toEqual({ addresses, rejected: [] });
  });

  it.each<[string, string]>([
    ["a blank", "a@example.com b@example.com"],
    ["a tab", "a@example.com\tb@example.com"],
    ["a semicolon", "a@example.com;b@example.com"],
    ["all of them in a row", " a@example.com ;, \t b@example.com; "],
  ])("%s separates two addresses as a comma does", (_, email) => {
    expect(resolve({ email })).toEqual({ addresses: ["a@example.com", "b@example.com"], rejected: [] });
  });

  it("a blank does not separate the words of a name: each of them could be an alias of somebody else", () => {
    expect(resolve({ name: "old@example.com nagiosadmin" }).addresses).toEqual([]);
  });

  it.each<[string, string, string[]]>([
    ["a pager", "a@example.com,pager", ["pager"]],
    ["a stranger", "a@example.com ops@example.org", ["ops@example.org"]],
    ["an alias that stands for a stranger", "x;a@example.com", ["x@example.org"]],
    [
      "a display name that is quoted",
      '"Ops, Team" <ops@example.com>,a@example.com',
      ['"Ops', 'Team" <ops@example.com>'],
    ],
    ["the same pager twice", "pager,a@example.com,pager", ["pager"]],
  ])("%s among others is rejected alone", (_, email, texts) => {
    const { addresses, rejected } = resolve({ email });
    expect(addresses).toEqual(["a@example.com"]);
    expect(rejected.map(({ text }) => text)).toEqual(texts);
  });

  it.each<[string, Contact]>([
    ["neither name nor email", {}],
    ["empty name and email", { name: "", email: "" }],
    ["commas alone", { email: ", ," }],
    ["a name without an alias", { name: "oncall" }],
    ["a name that is an address", { name: "ops@example.com" }],
    ["an email that is no address", { email: "oncall" }],
    ["a stranger", { email: "ops@example.org" }],
    ["an alias that stands for a stranger", { email: "x" }],
    ["a display name", { email: "Ops <ops@example.com>" }],
    ["an allowed domain in a quoted stranger", { email: '"a@example.com x"@example.org' }],
    ["a stranger whose comment is allowed", { email: "a@example.com(x)example.org" }],
    ["a macro that nobody resolved", { email: "$CONTACTEMAIL$" }],
    ["a second command", { email: "a@example.com>\r\nRCPT TO:<evil@example.org" }],
    ["a line end after the address", { email: "a@example.com\r\n" }],
    ["a line end between two addresses", { email: "a@example.com,\r\nb@example.com" }],
    ["NUL after the address", { email: "a@example.com\0" }],
    ["100 KB of commas", { email: ",".repeat(102_400) }],
    ["100 KB of brackets", { email: "(<".repeat(51_200) }],
  ])("%s is refused", (_, contact) => {
    expect(resolve(contact)).toEqual({
      addresses: [],
      rejected: [{ text: expect.any(String), expected: expect.any(String) }],
    });
  });

  it("the reason does not repeat the address", () => {
    const { rejected } = resolve({ email: "canary@example.org canary" });
    expect(rejected).toHaveLength(2);
    for (const { expected } of rejected) expect(expected).not.toContain("canary");
  });

  it("an address that a relay may send on is named as such: its domain is in the list", () => {
    const { rejected } = resolve({ email: "a%evil.example@example.com" });
    expect(rejected.map(({ expected }) => expected)).toEqual([expect.stringContaining("%")]);
  });

  it("51,200 parts that are no address take little time", () => {
    const started = performance.now();
    expect(resolve({ email: "a,".repeat(51_200) }).rejected).toHaveLength(1);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe("the key of a contact", () => {
  it("ignores case", () => {
    expect(contactKey("Ops@example.com")).toBe(contactKey("ops@EXAMPLE.com"));
  });
  it("differs for different mailboxes", () => {
    expect(contactKey("ops@example.com")).not.toBe(contactKey("ops+a@example.com"));
  });
});

describe("an address or list that an operator may mean otherwise", () => {
  it("is a fault: *@example.com allows no domain", () => {
    expect(readAllowList(["*@example.com"]).ok).toBe(false);
  });

  it("is a fault: an alias that is given twice", () => {
    expect(readAliases(["root=a@example.com", "Root=b@example.com"]).ok).toBe(false);
  });
});

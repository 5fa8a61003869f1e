import { describe, expect, it } from "vitest";
import { readAliases } from "../../../functions/address.ts";
import { said, seen, settingsOf } from "./inputs.ts";

const carried = (aliases: string) => settingsOf({ aliases }).HARDSTATE_ALIASES;

describe("an aliases file", () => {
  it("carries what leads to an address, and tells of all else", () => {
    const aliases = `# who reads what
postmaster: root
root: ops@example.com, \\root,
\t"On Call" <oncall@example.net>
decode: "|/usr/bin/uudecode canary"
archive: /var/mail/archive
lists: :include:/etc/mail/canary
team: root, "|/usr/local/bin/page --token canary"
fred: fred
ping: pong
pong: ping
`;
    expect(settingsOf({ aliases })).toMatchObject({
      HARDSTATE_ALIASES: "postmaster=root root=ops@example.com,oncall@example.net team=root",
      HARDSTATE_RECIPIENTS: "ops@example.com oncall@example.net",
    });
    expect(said({ aliases }, "not-carried")).toEqual([
      "3 alias root: a target is a mailbox of that machine (\\)",
      "5 alias decode: a target is a program (|): the bridge runs none",
      "6 alias archive: a target is a file: the bridge writes mail to none",
      "7 alias lists: a target is a list in another file (:include:): put its addresses here",
      "8 alias team: a target is a program (|): the bridge runs none",
      "9 alias fred: fred is a mailbox of that machine",
      "11 alias pong: ping leads back to it, or over more than 10 aliases",
      "10 alias ping: pong leads to no address, or over 1000",
    ]);
    expect(seen({ aliases })).not.toContain("canary");
  });

  it.each<[string, string, string | undefined]>([
    [
      "a list over lines",
      "a: a@x.example,\n  b@x.example\n# c\n\t, c@x.example",
      "a=a@x.example,b@x.example,c@x.example",
    ],
    ["capitals", "Root: A@X.Example\nb: ROOT", "root=A@x.example b=ROOT"],
    ["CRLF and tabs", "a:\ta@x.example\r\n", "a=a@x.example"],
    ["quotes", '"a": "a@x.example"', "a=a@x.example"],
    ["a name with a comma before an address", 'a: "Doe, Jane" <a@x.example>', "a=a@x.example"],
    ["the same target twice", "a: a@x.example, a@x.example", "a=a@x.example"],
    ["itself among others", "a: a, a@x.example", "a=a@x.example"],
    ["a circle with a way out", "a: b, a@x.example\nb: a", "a=a@x.example"],
    ["an address of that machine", "a: a@localhost", undefined],
    ["the same name twice", "a: b@x.example\nA: c@x.example", "a=b@x.example"],
    ["a mailbox of that machine", "postmaster: root", undefined],
  ])("with %s", (_, text, words) => {
    expect(carried(text)).toBe(words);
  });

  it.each<[string, string]>([
    ["canary", "1 aliases: expected name: target, target, with every double quote closed"],
    ["a:", "1 aliases: expected name: target, target, with every double quote closed"],
    [": a@x.example", "1 aliases: expected name: target, target, with every double quote closed"],
    ['a: "b@x.example', "1 aliases: expected name: target, target, with every double quote closed"],
    ['"a: b@x.example', "1 aliases: expected name: target, target, with every double quote closed"],
    ["a: b@x.example\nA: c@x.example", "2 alias a: expected each name once: the first is carried"],
    ["a: canary canary", "1 alias a: expected targets such as ops@example.com, or other aliases"],
    [
      "a: b@x.example\0RCPT",
      "1 aliases: expected text and no NUL: of a map (.db), name the text it is made from",
    ],
    ["a: <b@x.example\rcanary>", "1 alias a: expected targets such as ops@example.com, or other aliases"],
  ])("%j is wrong", (aliases, words) => {
    expect(said({ aliases }, "wrong")).toEqual([words]);
    expect(seen({ aliases })).not.toContain("canary");
  });

  it("with long chains, or such as multiply, ends, and the bridge can read what is carried", () => {
    const chain = Array.from({ length: 5000 }, (_, n) => `a${n}: a${n + 1}`).join("\n");
    const level = (n: number) => (_: unknown, m: number) =>
      `l${n}-${m}: ${Array.from({ length: 9 }, (_, k) => `l${n + 1}-${k}`).join(", ")}`;
    const many = Array.from({ length: 9 }, (_, n) => Array.from({ length: 9 }, level(n)).join("\n"));
    const last = Array.from({ length: 9 }, (_, m) => `l9-${m}: a${m}@x.example`);
    for (const text of [`${chain}\na5000: a@x.example`, [...many, ...last].join("\n")])
      expect(readAliases(carried(text)?.split(" ") ?? []).ok).toBe(true);
  });
});

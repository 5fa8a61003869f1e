import { describe, expect, it } from "vitest";
import { draftOf, relayOf, said, seen, settingsOf } from "./inputs.ts";

const encrypted = "smtp_tls_security_level = encrypt\n";
const sasl = "smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\n";

describe("a main.cf", () => {
  it("with its sasl_passwd becomes a relay, an authority and a sender", () => {
    const main = `${encrypted}${sasl}smtp_tls_CAfile = /etc/my.pem
myhostname = monitor.example.com
myorigin = $mydomain
mydomain = example.com
relayhost = [smtp.example.com]:587\n`;
    const sasl_passwd = '[smtp.example.com]:587 me@example.com:canary:pass%word "2" $x #3\n';
    expect(settingsOf({ "main.cf": main, sasl_passwd })).toMatchObject({
      HARDSTATE_RELAYS:
        "smtp://me%40example.com:canary%3Apass%25word%20%222%22%20%24x%20%233@smtp.example.com:587?name=monitor.example.com",
      HARDSTATE_RELAY_CA_FILE: "/etc/my.pem",
      HARDSTATE_FROM: "nagios@example.com",
    });
  });

  it.each<[string, string, string | undefined]>([
    ["[host]:port", "relayhost = [m.example]:587", "smtp://m.example:587"],
    ["[host]", "relayhost=[m.example]", "smtp://m.example:25"],
    ["host:port: its MX", "relayhost = m.example:587", "smtp://m.example:587?mx"],
    ["host: its MX", "relayhost = m.example", "smtp://m.example:25?mx"],
    ["an address", "relayhost = 192.0.2.7:587", "smtp://192.0.2.7:587"],
    ["an IPv6 address", "relayhost = [ipv6:2001:db8::7]:587", "smtp://[2001:db8::7]:587"],
    ["a service's name", "relayhost = [m.example]:submission", "smtp://m.example:587"],
    [
      "TLS from the start",
      "relayhost = [m.example]:4465\nsmtp_tls_wrappermode = yes",
      "smtps://m.example:4465",
    ],
    ["port 465", "relayhost = [m.example]:465", "smtps://m.example:465"],
    [
      "several, and a fallback",
      "relayhost = [a.example], [b.example]\nsmtp_fallback_relay = c.example:587",
      "smtp://a.example:25 smtp://b.example:25 smtp://c.example:587?mx",
    ],
    ["parameters", "h = m\nrelayhost = [$h.\x24{d}]:$(p)\nd = example\np = 587", "smtp://m.example:587"],
    ["a line that goes on", "relayhost =\n# no\n\n  [m.example]:587", "smtp://m.example:587"],
    ["CRLF and tabs", "relayhost\t=\t[m.example]:587\r\n", "smtp://m.example:587"],
    ["the last of two", "relayhost = [a.example]\nrelayhost = [m.example]", "smtp://m.example:25"],
    [
      "a name for EHLO",
      "smtp_helo_name = mon.example\nrelayhost = [m.example]",
      "smtp://m.example:25?name=mon.example",
    ],
    ["no relay", "relayhost =", undefined],
    ["a comment", "#relayhost = [m.example]", undefined],
  ])("with %s", (_, text, relay) => {
    expect(relayOf({ "main.cf": encrypted + text })).toBe(relay);
  });

  it.each<[string, string | undefined, string]>([
    ["mail.example.org\n", "mon.example.com", "nagios@mail.example.org"],
    ["mon1\n", "mon.example.com", "nagios@mon.example.com"],
    [`x.example\u0000${"y".repeat(300)}`, "mon.example.com", "nagios@mon.example.com"],
    ["", "mon.example.com", "nagios@mon.example.com"],
    ["mail.example.org\nanother\n", undefined, "nagios@mail.example.org"],
  ])("whose myorigin is a file that says %j, and myhostname %s, has the sender %s", (text, host, from) => {
    const main = `myorigin = /etc/mailname\n${host ? `myhostname = ${host}` : ""}`;
    const { lines, notes } = draftOf({ "main.cf": main }, (path) =>
      path === "/etc/mailname" ? text || undefined : undefined,
    );
    expect(lines.find(({ name }) => name === "HARDSTATE_FROM")?.value?.reveal()).toBe(from);
    expect(notes.map(({ why }) => why).join()).toMatch(
      from.includes(".org") ? /^\/etc\/mailname of this machine tells/ : /^myhostname tells/,
    );
  });

  it("carries five relays at most, each once", () => {
    const relayhost = `relayhost = ${["a", "a", "b", "c", "d", "e", "f"].map((one) => `[${one}.example]`)}`;
    const texts = { "main.cf": encrypted + relayhost };
    expect(relayOf(texts)?.split(" ")).toHaveLength(5);
    expect(said(texts, "not-carried").join("\n")).toMatch(/relay a\.example:25[\s\S]*relay f\.example:25/);
  });

  it.each<[string, string]>([
    ["relayhost = [m.example", "1 relayhost: expected host, host:port, [host] or [host]:port"],
    ["relayhost = [m.example]:0", "1 relayhost: expected host, host:port, [host] or [host]:port"],
    ["relayhost = canary:canary@m.example", "1 relayhost: expected host, host:port, [host] or [host]:port"],
    ["\n  canary canary", "2 main.cf: expected name = value"],
    ["canary:canary = x", "1 main.cf: expected name = value"],
    ["canary==", "1 main.cf: expected name = value"],
  ])("%j is wrong", (text, words) => {
    expect(said({ "main.cf": text }, "wrong")).toEqual([words]);
    expect(seen({ "main.cf": text })).not.toContain("canary");
  });

  it.each<[string, string, RegExp]>([
    ["a parameter that it lacks", "relayhost = $other", /1 relayhost: refers to what this file does not say/],
    ["parameters in a circle", "relayhost = $a\na = $b$b\nb = $a$a", /1 relayhost: refers to/],
    ["a login's file not given", `relayhost = [m.example]\n${sasl}`, /1 login for m\.example: no file given/],
    [
      "myorigin in a file that has no domain",
      "myorigin = /etc/mailname\nmyhostname = mon1",
      /1 myorigin: \/etc\/mailname has no full domain here, nor has myhostname: give HARDSTATE_FROM/,
    ],
    ["no TLS", "relayhost = [m.example]", /1 tls=none: postfix uses no TLS here/],
  ])("with %s is to be looked at", (_, text, words) => {
    expect(said({ "main.cf": text }, "attention").join("\n")).toMatch(words);
  });

  it("tells what stays behind", () => {
    const text =
      "transport_maps = hash:/x\nalways_bcc = a@x.example\ncontent_filter =\nmynetworks = 127.0.0.0/8";
    expect(said({ "main.cf": text }, "not-carried")).toEqual([
      "1 transport_maps: everything goes to the relay by SMTP",
      "2 always_bcc: no copies are sent",
      "0 mynetworks (4): not read: as far as import knows, it does not say where mail goes",
    ]);
  });

  it("without TLS stays without, but never with a password", () => {
    const relay = (host: string, sasl_passwd: string) =>
      relayOf({ "main.cf": `relayhost = ${host}\n${sasl_passwd && sasl}`, sasl_passwd });
    expect(relay("[m.example]", "")).toBe("smtp://m.example:25?tls=none");
    expect(relay("[m.example]", "[m.example] u:p")).toBe("smtp://u:p@m.example:25");
    expect(relay("[127.0.0.1]", "[127.0.0.1] u:p")).toBe("smtp://u:p@127.0.0.1:25?tls=none");
  });

  it("may hold the login itself, and does not log in when postfix would not", () => {
    const text = `${encrypted}relayhost = [m.example]\nsmtp_sasl_password_maps = static:u:p w:x\n`;
    expect(relayOf({ "main.cf": `${text}smtp_sasl_auth_enable = yes` })).toBe(
      "smtp://u:p%20w%3Ax@m.example:25",
    );
    expect(relayOf({ "main.cf": text })).toBe("smtp://m.example:25");
    expect(said({ "main.cf": text }, "not-carried")[0]).toMatch(/smtp_sasl_auth_enable is not yes/);
  });

  it("restricts the mechanisms", () => {
    const text = `${encrypted}relayhost = [m.example]\n${sasl}smtp_sasl_mechanism_filter = login, plain`;
    expect(relayOf({ "main.cf": text, sasl_passwd: "[m.example] u:p" })).toBe(
      "smtp://u:p@m.example:25?auth=LOGIN,PLAIN",
    );
  });
});

describe("a sasl_passwd", () => {
  it.each<[string, string, string, string | undefined]>([
    ["the same words", "[m.example]:587", "[m.example]:587 u:p", "smtp://u:p@m.example:587"],
    ["the host alone", "[m.example]:587", "m.example u:p", "smtp://u:p@m.example:587"],
    ["another host", "[m.example]:587", "[n.example]:587 u:p", undefined],
    ["another port", "[m.example]:587", "[m.example]:25 u:p", undefined],
    ["CRLF, tabs and capitals", "[m.example]:587", "[M.Example]:587\t\tu:p\r\n", "smtp://u:p@m.example:587"],
    [
      "colons, quotes, percent and blanks",
      "[m.example]",
      "[m.example] u:p:\"'%25 #$`\\",
      "smtp://u:p%3A%22%27%2525%20%23%24%60%5C@m.example:25",
    ],
  ])("with %s", (_, relayhost, text, relay) => {
    const main = `${encrypted + sasl}relayhost = ${relayhost}`;
    expect(relayOf({ "main.cf": main, sasl_passwd: text })).toBe(relay);
  });

  it.each<[string, string]>([
    ["[m.example]:587", "1 sasl_passwd: expected [host]:port user:password"],
    ["[m.example]:587 canary", "1 sasl_passwd: expected [host]:port user:password"],
    ["[m.example]:587 canary:", "1 sasl_passwd: expected a password behind user:"],
    [
      "can/ary canary:canary",
      "1 sasl_passwd: expected host, host:port, [host] or [host]:port before the user",
    ],
  ])("%s is wrong", (sasl_passwd, words) => {
    expect(said({ sasl_passwd }, "wrong")).toEqual([words]);
    expect(seen({ sasl_passwd })).not.toContain("canary");
  });
});

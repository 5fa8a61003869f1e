import { describe, expect, it } from "vitest";
import { callsOf } from "../../../scripts/hardstate/import/m4.ts";
import { machine, relayOf, said, seen, settingsOf } from "./inputs.ts";

const login = 'AuthInfo:mail.example.com "U:bridge" "P:secret"\n';
const smart = (host: string) => `define(\`SMART_HOST', \`${host}')`;

describe("a sendmail.mc", () => {
  it("with its authinfo becomes a relay, an authority and a sender", () => {
    expect(settingsOf({ mc: machine["sendmail.mc"], authinfo: machine.authinfo })).toMatchObject({
      HARDSTATE_RELAYS:
        "smtp://bridge:canary-password@relay.example.com:587?auth=LOGIN,PLAIN&name=monitor.example.com",
      HARDSTATE_RELAY_CA_FILE: "/etc/mail/relay-ca.pem",
      HARDSTATE_FROM: "nagios@example.com",
    });
  });

  it.each<[string, string, string | undefined]>([
    ["a host in brackets", smart("[mail.example.com]"), "smtp://mail.example.com:25"],
    ["a host without brackets: its MX", smart("mail.example.com"), "smtp://mail.example.com:25?mx"],
    ["a mailer", smart("relay:[mail.example.com]"), "smtp://mail.example.com:25"],
    ["a mailer, without brackets", smart("esmtp:mail.example.com"), "smtp://mail.example.com:25?mx"],
    ["an address", smart("[192.0.2.7]"), "smtp://192.0.2.7:25"],
    ["an address without brackets", smart("192.0.2.7"), "smtp://192.0.2.7:25"],
    ["this machine", smart("localhost"), "smtp://localhost:25"],
    ["an IPv6 address", smart("[IPv6:2001:db8::7]"), "smtp://[2001:db8::7]:25"],
    ["two hosts", smart("relay:[a.example]:b.example"), "smtp://a.example:25 smtp://b.example:25?mx"],
    [
      "a second one for when it is away",
      `${smart("[a.example]")}define(\`confFALLBACK_SMARTHOST', \`[b.example]')`,
      "smtp://a.example:25 smtp://b.example:25",
    ],
    [
      "a port",
      `define(\`RELAY_MAILER_ARGS', \`TCP $h 587')\n${smart("[m.example]")}`,
      "smtp://m.example:587",
    ],
    [
      "a name of a port",
      `define(\`RELAY_MAILER_ARGS', \`IPC $h submission')\n${smart("[m.example]")}`,
      "smtp://m.example:587",
    ],
    [
      "port 465",
      `define(\`RELAY_MAILER_ARGS', \`TCP $h 465')${smart("[m.example]")}`,
      "smtps://m.example:465",
    ],
    [
      "the port of its own mailer",
      `define(\`ESMTP_MAILER_ARGS', \`TCP $h 26')define(\`RELAY_MAILER_ARGS', \`TCP $h 27')${smart("esmtp:[m.example]")}`,
      "smtp://m.example:26",
    ],
    ["dnl behind it", `${smart("[m.example]")}dnl the relay \` (`, "smtp://m.example:25"],
    ["dnl before it", `dnl ${smart("[m.example]")}\n`, undefined],
    ["dnl inside", "define(`SMART_HOST',dnl not this, (`\n`[m.example]')", "smtp://m.example:25"],
    ["nested quotes", "define(`SMART_HOST', ``[m.example]'')", "smtp://m.example:25"],
    ["no quotes", "define(SMART_HOST, [m.example])", "smtp://m.example:25"],
    ["the last of two", `${smart("[a.example]")}\n${smart("[m.example]")}`, "smtp://m.example:25"],
    ["one that is taken back", `${smart("[a.example]")}undefine(\`SMART_HOST')`, undefined],
    ["CRLF and tabs", "divert(-1)\r\n\tdefine(`SMART_HOST',\t`[m.example]')\r\n", "smtp://m.example:25"],
    ["a comment, before cf.m4", `# ${smart("[a.example]")}\ninclude(\`../m4/cf.m4')\n`, undefined],
    [
      "what is no comment, after cf.m4",
      `include(\`../m4/cf.m4')\n# ${smart("[m.example]")}`,
      "smtp://m.example:25",
    ],
    ["a trailing dot and capitals", smart("[M.Example.]"), "smtp://m.example:25"],
  ])("with %s", (_, mc, relay) => {
    expect(relayOf({ mc })).toBe(relay);
  });

  it.each<[string, string, string]>([
    [
      "an open quote",
      "divert(0)\ndefine(`SMART_HOST', `[m.example])\n",
      "2 m4: expected a ' that closes the ` which begins here; nothing behind it is read",
    ],
    [
      "an open parenthesis",
      "\n\ndefine(`SMART_HOST', `[m.example]'\n",
      "3 m4: expected a ) that ends define(; nothing behind it is read",
    ],
    [
      "other quotes",
      "changequote([,])",
      "1 m4: expected quotes ` and ', as they are; nothing behind it is read",
    ],
    [
      "no host",
      smart("relay:"),
      "1 SMART_HOST: expected a host, [host] or relay:[host]; a port goes into RELAY_MAILER_ARGS",
    ],
    [
      "a port behind the host",
      smart("[m.example]:587"),
      "1 SMART_HOST: expected a host, [host] or relay:[host]; a port goes into RELAY_MAILER_ARGS",
    ],
    [
      "a port that is none",
      `${smart("[m.example]")}\ndefine(\`RELAY_MAILER_ARGS', \`TCP $h 99999')`,
      "2 RELAY_MAILER_ARGS: expected TCP $h, and a port behind it or none",
    ],
    ["a domain that is none", "MASQUERADE_AS(`a b')", "1 MASQUERADE_AS: expected a domain"],
  ])("with %s names the line and what was expected", (_, mc, words) => {
    expect(said({ mc }, "wrong")).toContain(words);
  });

  it.each<[string, string, RegExp]>([
    ["another file", "include(`/etc/mail/relay.m4')", /1 include: another file: name it too/],
    ["another mailer", smart("uucp-new:m"), /1 SMART_HOST: not by SMTP/],
    ["a macro", `define(\`HUB', \`m.example')${smart("[HUB]")}`, /SMART_HOST: macros .* the text of HUB/],
    ["no login", smart("[m.example]"), /1 TLS to m\.example: the bridge insists on it/],
    ["a login that no file has", `${smart("[m.example]")}FEATURE(\`authinfo')`, /1 login for m\.example/],
    ["an authority without a path", "define(`confCACERT', `certs/ca.pem')", /confCACERT: no full path/],
  ])("with %s is to be looked at", (_, mc, words) => {
    expect(said({ mc }, "attention").join("\n")).toMatch(words);
  });

  it("tells what stays behind, each with its line", () => {
    const mc = `FEATURE(\`mailertable')\ndefine(\`MAIL_HUB', \`x')\ndefine(\`confPID_FILE', \`x')
LOCAL_CONFIG\nDSother.example\nifdef(\`X', \`${smart("[a.example]")}')\nFEATURE(\`msp')`;
    expect(said({ mc }, "not-carried")).toEqual([
      "1 FEATURE mailertable: routes for single domains: everything goes to the relay",
      "2 MAIL_HUB: mail of local users: give each contact an address, or an alias",
      "4 LOCAL_CONFIG: lines of sendmail.cf are not read",
      "6 ifdef: conditions are not followed: give what holds without one",
      "7 FEATURE msp: hands mail to the daemon of its own machine: name the daemon's sendmail.mc too",
      "0 confPID_FILE (3): not read: as far as import knows, it does not say where mail goes",
    ]);
  });
});

describe("an authinfo", () => {
  const mc = `${smart("[mail.example.com]")}FEATURE(\`authinfo')`;
  it.each<[string, string, string]>([
    ["a user and a password", login, "bridge:secret@"],
    ["CRLF and tabs", login.replace(" ", "\t\t").replace("\n", "\r\n"), "bridge:secret@"],
    ["base64", 'AuthInfo:mail.example.com "U:bridge" "P=YTpiQGM="', "bridge:a%3Ab%40c@"],
    [
      "blanks, quotes' and percent",
      'AuthInfo:mail.example.com "U:a b" "P:p%2 \'$x#;"',
      "a%20b:p%252%20%27%24x%23%3B@",
    ],
    ["small letters and brackets", 'authinfo:[MAIL.example.com] "u:bridge" "p:secret"', "bridge:secret@"],
    ["an entry for all", 'AuthInfo: "U:bridge" "P:secret"', "bridge:secret@"],
    ["an entry for all before the host's", `AuthInfo: "U:x" "P:y"\n${login}`, "bridge:secret@"],
    [
      "the name that logs in",
      'AuthInfo:mail.example.com "U:root" "I:bridge" "P:secret" "R:r"',
      "bridge:secret@",
    ],
    ["no blank between parts", 'AuthInfo:mail.example.com "U:bridge""P:secret"', "bridge:secret@"],
    ["a backslash", 'AuthInfo:mail.example.com "U:a\\b" "P:secret"', "a%5Cb:secret@"],
    ["UTF-8", 'AuthInfo:mail.example.com "U:bridge" "P:pä€"', "bridge:p%C3%A4%E2%82%AC@"],
  ])("with %s", (_, authinfo, relay) => {
    expect(relayOf({ mc, authinfo })).toBe(`smtp://${relay}mail.example.com:25`);
  });

  const parts = 'parts in double quotes: "U:user" "P:password", "I:..", "R:..", "M:.."';
  it.each<[string, string]>([
    ["AuthInfo:mail.example.com U:canary P:canary", parts],
    ['AuthInfo:mail.example.com "U:canary" "P:canary', parts],
    ['AuthInfo:mail.example.com "U:canary" "X:canary"', parts],
    ['AuthInfo:mail.example.com "U:x" "P=c*"', "base64 of UTF-8 behind P="],
    ['AuthInfo:mail.example.com "P:canary"', 'a user: "U:user" or "I:user"'],
    ['AuthInfo:mail.example.com "U:x"', 'a password: "P:password"'],
    ['AuthInfo:a/b "U:canary" "P:canary"', "a host's name or address, or nothing, behind AuthInfo:"],
  ])("%s needs %s", (authinfo, words) => {
    expect(said({ authinfo: `\n${authinfo}` }, "wrong")).toEqual([`2 AuthInfo: expected ${words}`]);
    expect(seen({ authinfo })).not.toContain("canary");
  });

  it.each(["mail.example.com", "canary canary", "AuthInfo:mail.example.com"])(
    "%s is no entry",
    (authinfo) => {
      expect(said({ authinfo }, "wrong")).toEqual([
        '1 authinfo: expected AuthInfo:host "U:user" "P:password"',
      ]);
      expect(seen({ authinfo })).not.toContain("canary");
    },
  );

  it("never gives a login to another host", () => {
    const texts = { mc, authinfo: 'AuthInfo:other.example.com "U:bridge" "P:secret"' };
    expect(relayOf(texts)).toBeUndefined();
    expect(seen(texts)).toContain("smtp://USER:PASSWORD@mail.example.com:25");
    expect(said(texts, "not-carried")[0]).toMatch(/1 a login: for another host/);
  });

  it("may stand in an access map", () => {
    const access = `Connect:127.0.0.1 RELAY\nTLS_Srv:x VERIFY\n${login}`;
    expect(relayOf({ mc, access })).toBe("smtp://bridge:secret@mail.example.com:25");
    expect(said({ access }, "not-carried")[0]).toMatch(/^0 lines 1, 2: rules for mail that comes in/);
  });

  it("keeps the order of the mechanisms that the bridge has, and tells of the others", () => {
    const relay = (mechanisms: string) => {
      const authinfo = `AuthInfo:mail.example.com "U:bridge" "P:secret" "M:${mechanisms}"`;
      return [relayOf({ mc, authinfo }), seen({ mc, authinfo })];
    };
    expect(relay("CRAM-MD5 LOGIN PLAIN")[0]).toBe(
      "smtp://bridge:secret@mail.example.com:25?auth=CRAM-MD5,LOGIN,PLAIN",
    );
    expect(relay("DIGEST-MD5 PLAIN")).toEqual([
      "smtp://bridge:secret@mail.example.com:25?auth=PLAIN",
      expect.stringContaining("DIGEST-MD5"),
    ]);
    expect(relay("DIGEST-MD5")).toEqual([
      "smtp://bridge:secret@mail.example.com:25",
      expect.stringContaining("it takes PLAIN,LOGIN"),
    ]);
  });

  it("as a compiled map is told from text, with the line", () => {
    expect(said({ authinfo: Uint8Array.of(10, 0, 5) }, "wrong")).toEqual([
      "2 authinfo: expected text and no NUL: of a map (.db), name the text it is made from",
    ]);
  });
});

describe("calls of m4", () => {
  it.each<[string, string[][]]>([
    ["define(`x', `a `b' c')", [["define", "x", "a `b' c"]]],
    ["define(x, (a,b))", [["define", "x", "(a,b)"]]],
    ["a dnl b `\nX(c)", [["X", "c"]]],
    ["`X(a)'it's Y( `b')", [["Y", "b"]]],
    ["dnlX(a)", [["dnlX", "a"]]],
  ])("in %s", (text, calls) => {
    expect(callsOf(text).calls.map(({ name, args }) => [name, ...args])).toEqual(calls);
  });
});

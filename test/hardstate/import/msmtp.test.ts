import { describe, expect, it } from "vitest";
import { said, seen, settingsOf } from "./inputs.ts";

const plain = "host m.example\nauth on\nuser u\npassword p\n";

describe("an msmtprc", () => {
  it.each<[string, string, string | undefined, string | undefined]>([
    [
      "a default account made of another",
      `defaults\ntls on\nport 587\naccount work\nfrom me@example.com\nhost m.example\nauth login\nuser me\npassword "a b#c"\naccount default : work\n`,
      "smtp://me:a%20b%23c@m.example:587?auth=LOGIN",
      "me@example.com",
    ],
    ["no account", `tls on\n${plain}`, "smtp://u:p@m.example:25", undefined],
    ["one account", `account a\ntls on\n${plain}`, "smtp://u:p@m.example:25", undefined],
    ["tls without STARTTLS", `tls on\ntls_starttls off\n${plain}`, "smtps://u:p@m.example:465", undefined],
    ["a password without TLS: it needs STARTTLS", plain, "smtp://u:p@m.example:25", undefined],
    ["neither TLS nor a login", "host m.example\nport 2525", "smtp://m.example:2525?tls=none", undefined],
    [
      "a name for EHLO",
      "tls on\nhost m.example\ndomain mon.example",
      "smtp://m.example:25?name=mon.example",
      undefined,
    ],
    [
      "quotes, tabs and CRLF",
      'tls\ton\r\nhost\t"m.example"\r\nauth cram-md5\r\nuser "a b"\r\npassword "p"q %#"\r\n',
      "smtp://a%20b:p%22q%20%25%23@m.example:25?auth=CRAM-MD5",
      undefined,
    ],
    ["auth off", `tls on\n${plain}auth off`, "smtp://m.example:25", undefined],
    [
      "a pattern for from",
      "tls on\nhost m.example\nfrom *@example.com",
      "smtp://m.example:25",
      "nagios@example.com",
    ],
  ])("with %s", (_, msmtprc, relay, from) => {
    const settings = settingsOf({ msmtprc });
    expect([settings.HARDSTATE_RELAYS, settings.HARDSTATE_FROM]).toEqual([relay, from]);
  });

  it.each<[string, string]>([
    ["host=canary", "1 msmtprc: expected a command and its value"],
    ["account", "1 account: expected account NAME, or account NAME : NAME-OF-ONE-BEFORE"],
    [
      "account a : b\nhost m.example",
      "1 account: expected account NAME, or account NAME : NAME-OF-ONE-BEFORE",
    ],
    ["host m.example\nport x", "2 port: expected a port from 1 to 65535"],
    ["host canary/", "1 host: expected a host's name or address"],
    ["", "0 account: expected a default account with a host, or a single account"],
    [
      "account a\nhost m.example\naccount b\nhost n.example",
      "0 account: expected a default account with a host, or a single account",
    ],
  ])("%j is wrong", (msmtprc, words) => {
    expect(said({ msmtprc }, "wrong")).toContain(words);
    expect(seen({ msmtprc })).not.toContain("canary");
  });

  it("runs no command, and tells what is left", () => {
    const msmtprc =
      "host m.example\ntls on\nauth on\nuser u\npasswordeval echo canary\neval x\ncanary\naliases /etc/aliases";
    expect(said({ msmtprc }, "attention")).toContain(
      "5 passwordeval: commands are not run: give what it prints",
    );
    expect(said({ msmtprc }, "not-carried")).toEqual([
      "6 eval: commands are not run: write what it prints into the file",
      "8 aliases: another file: name it too",
      "0 another command (7): not read: as far as import knows, it does not say where mail goes",
    ]);
    expect(seen({ msmtprc })).toContain("smtp://u:PASSWORD@m.example:25");
    expect(seen({ msmtprc })).not.toContain("canary");
  });
});

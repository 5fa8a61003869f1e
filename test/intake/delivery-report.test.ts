import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readReport } from "../../functions/intake/delivery-report.ts";

const folder = "test/intake/reports";
const sample = (name: string) => readFileSync(`${folder}/${name}.eml`, "utf8");
const name = "e0d1ab370d30e446439bad3ca522707a9edf7f70";

/**
 * Reports by the systems that wrote them, with where they come from. "Written here" is what that program wrote about a
 * mail of ours; the others are made after the forms that these pages and samples show, with our mail and addresses.
 */
const reports: [sample: string, source: string, kind: string, reply: string, permanent: boolean][] = [
  ["postfix", "Written here by Postfix 3.7.11", "bounce", "5.1.1 no such user here", true],
  [
    "postfix-delayed",
    "Written here by Postfix 3.7.11",
    "delay",
    "4.3.5 mail system configuration error",
    false,
  ],
  [
    "exim",
    "Written here by Exim 4.96",
    "bounce",
    "5.0.0 550 5.1.1 <ops@example.net>: Recipient address rejected: User unknown",
    true,
  ],
  [
    "sendmail",
    "Written here by Sendmail 8.17.1.9",
    "bounce",
    "550 5.1.1 ops@example.net... User unknown",
    true,
  ],
  ["sendmail-delayed", "Written here by Sendmail 8.17.1.9", "delay", "4.2.2", false],
  [
    "exim-4.69-text",
    "Exim's deliver.c before 4.80; github.com/sisimai/rb-sisimai set-of-emails email-exim-02",
    "bounce",
    "host mx3.example.net [192.0.2.33]: 550 5.1.1 <ops@example.net>: Recipient address rejected: User unknown in virtual mailbox table",
    true,
  ],
  [
    "exim-4.69-delayed-text",
    "Exim's deliver.c before 4.80",
    "delay",
    "host mx3.example.net [192.0.2.33]: 450 4.2.0 mailbox is busy",
    false,
  ],
  [
    "sendmail-8.8-text",
    "Sendmail's savemail.c with SendMimeErrors=False",
    "bounce",
    "<<< 550 <ops@example.net>... User unknown 550 <ops@example.net>... User unknown",
    true,
  ],
  [
    "exchange-5.5-text",
    "github.com/sisimai/rb-sisimai set-of-emails email-exchange2003-07",
    "bounce",
    "ops@EXAMPLE.NET on Fri, 15 Jan 2027 08:10:08 -0000 The recipient name is not recognized The MTS-ID of the original message is: c=us;a= ;p=example;l=MX40701150810 MSEXCH:IMS:Example:SITE1:MX4 0 (000C05A6) Unknown Recipient",
    true,
  ],
  [
    "exchange-2010",
    "github.com/sisimai/rb-sisimai set-of-emails email-exchange2007-04",
    "bounce",
    "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found",
    true,
  ],
  [
    "microsoft365",
    "learn.microsoft.com, Exchange Online non-delivery reports",
    "bounce",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    true,
  ],
  [
    "microsoft365-html",
    "The same page: what a gateway leaves of it",
    "bounce",
    "Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup'",
    true,
  ],
  [
    "qmail",
    "qmail-send.c and qmail-remote.c; github.com/sisimai/rb-sisimai set-of-emails email-qmail-01",
    "bounce",
    "Remote host said: 550 5.1.1 <ops@example.net>: User unknown Giving up on 192.0.2.33.",
    true,
  ],
  [
    "qmail-expired",
    "qmail-send.c",
    "bounce",
    "CNAME lookup failed temporarily. (#4.4.3) I'm not going to try again; this message has been in the queue too long.",
    false,
  ],
  [
    "gmail",
    "github.com/sisimai/rb-sisimai set-of-emails email-gsuite-12",
    "bounce",
    "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550 5.1.1 unnecessary spaces. For more information, go to https://support.google.com/mail/?p=NoSuchUser",
    true,
  ],
];

describe("a report", () => {
  it.each(reports)("of %s (%s) is a %s: %s", (file, _, kind, reply, permanent) => {
    const report = readReport(sample(file));
    expect(report?.returned).toEqual([name]);
    expect(report?.about("OPS@example.net")).toEqual({ kind, reply, ...(permanent && { permanent: true }) });
    expect(report?.about("other@example.net")).toBeUndefined();
  });

  it("is the same with the line ends of SMTP", () => {
    for (const [file] of reports) {
      const [lf, crlf] = [sample(file), sample(file).replaceAll("\n", "\r\n")];
      expect(readReport(crlf)?.about("ops@example.net")).toEqual(readReport(lf)?.about("ops@example.net"));
      expect(readReport(crlf)?.returned).toEqual(readReport(lf)?.returned);
    }
  });

  it("that says the mail was delivered says nothing of a return", () => {
    const report = readReport(sample("postfix-delivered"));
    expect(report?.returned).toEqual([name]);
    expect(report?.about("ok@example.net")).toBeUndefined();
    expect(report?.about()).toBeUndefined();
  });

  it.each(["out-of-office", "read-receipt"])("is not what %s is", (file) => {
    expect(readReport(sample(file))).toBeUndefined();
  });

  it("of a mail whose Message-ID SES replaced is known by the address that it was sent to", () => {
    const report = readReport(sample("ses-smtp").replace("To: nagios@", `To: bounces+${name}@`));
    expect(report).toMatchObject({ returned: [], sentTo: [name] });
    const reply = "550 5.1.1 <ops@example.net>: Recipient address rejected: User unknown";
    expect(report?.about()).toEqual({ kind: "bounce", reply, permanent: true });
    expect(readReport(sample("ses-smtp"), `<bounces+${name}@example.com>`)?.sentTo).toEqual([name]);
    expect(readReport(sample("ses-smtp"), `bounces+0${name}@example.com`)?.sentTo).toEqual([]);
  });

  it("that returns nothing of the mail is known by the ENVID, in whatever case a server writes it", () => {
    const [words = "", ...more] = sample("postfix").split("\n--");
    const bare = [words, ...more.slice(0, 2)].join("\n--").replaceAll(name, name.toUpperCase());
    expect(bare).not.toMatch(/^message-id: *<e0d1/im);
    expect(readReport(bare)).toMatchObject({ returned: [name] });
    expect(readReport(bare.replace("Original-Envelope-Id", "X-Other"))).toMatchObject({ returned: [] });
  });

  it("that names several recipients says of each its own", () => {
    const two = sample("gmail").replace(
      "Final-Recipient: rfc822; ops@example.net\n",
      "Final-Recipient: rfc822; first@example.net\nAction: delayed\nStatus: 4.2.2\n\nFinal-Recipient: rfc822; ops@example.net\n",
    );
    expect(readReport(two)?.about("first@example.net")).toMatchObject({ kind: "delay" });
    expect(readReport(two)?.about("ops@example.net")).toMatchObject({ kind: "bounce", permanent: true });
    expect(readReport(two)?.about()).toBeUndefined();
  });

  it("is not made by what the returned mail says", () => {
    const words = "RCPT failed: 550 5.1.1 <dba@example.net>: no such user, permanent error";
    const status = "Final-Recipient: rfc822; dba@example.net\nAction: failed\nStatus: 5.1.1\n";
    for (const file of ["qmail", "exim-4.69-text", "postfix", "gmail"]) {
      const said = sample(file).replace("RECOVERY: web1/HTTP", `${words}\n\n${status}\nRECOVERY: web1/HTTP`);
      expect(readReport(said)?.about("dba@example.net")).toBeUndefined();
      expect(readReport(said)?.about("ops@example.net")?.reply).not.toContain("dba@");
    }
  });

  it("that is only quoted by a person is none", () => {
    const quoted = sample("postfix").replace(/^From: .*$/m, "From: Ops <ops@example.net>");
    const forwarded = quoted.replace(/^Content-Type: multipart.*\n.*$/m, "Content-Type: text/plain");
    expect(readReport(forwarded)).toBeUndefined();
  });

  it("has a reply in one printable line", () => {
    const odd = sample("postfix").replace(
      "no such user here",
      "no\u0007 such \u001b[31muser\n here \u2028 x",
    );
    expect(readReport(odd)?.about("ops@example.net")?.reply).toMatch(
      /^5\.1\.1 no such \[31muser here x$|^[\P{Cc}]+$/u,
    );
  });

  it.each([
    ["dashes", "-".repeat(1_000_000)],
    ["blanks", `Message-ID:${" ".repeat(1_000_000)}`],
    ["line ends", "\n".repeat(1_000_000)],
    ["blanks at line ends", " \n".repeat(500_000)],
    ["brackets", "<".repeat(1_000_000)],
    ["open styles", "<style ".repeat(140_000)],
    ["open scripts", "<p ".repeat(330_000)],
    ["equals signs", "=".repeat(1_000_000)],
    ["digits", "550 5.1.1 ".repeat(100_000)],
    ["dots", "5.".repeat(500_000)],
    ["addresses", "ops@example.net\n550 x\n".repeat(45_000)],
    ["names", `Message-ID: <${name}@x>\n`.repeat(15_000)],
    ["half names", "0a".repeat(500_000)],
    ["boundaries", "--b\n".repeat(250_000)],
    ["nested parts", "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(20_000)],
    ["recipients", "Final-Recipient: rfc822; ops@example.net\nAction: failed\n\n".repeat(16_000)],
    ["folds", "\n ".repeat(500_000)],
    [
      "recipients, and of lines to search for each",
      `\n--b\nContent-Type: message/delivery-status\n\n${"Action: failed\nFinal-Recipient: a;b\n\n".repeat(49)}`.repeat(
        24,
      ) + `\n--b\n\n${"b\n".repeat(5000)}`.repeat(24),
    ],
  ])("of a megabyte of %s is read in a moment", (_, hostile) => {
    const heads = [
      "From: MAILER-DAEMON@x\nContent-Type: text/plain\n\n",
      "From: MAILER-DAEMON@x\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n",
      "From: MAILER-DAEMON@x\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n",
      "From: MAILER-DAEMON@x\nX-Failed-Recipients: ",
      "",
    ];
    for (const head of heads) {
      const begun = performance.now();
      const report = readReport(head + hostile);
      report?.about("ops@example.net");
      report?.about();
      expect(performance.now() - begun).toBeLessThan(2000);
    }
  });

  it("is in the table above, each sample once", () => {
    const others = ["out-of-office", "read-receipt", "postfix-delivered", "ses-smtp"];
    const files = readdirSync(folder).map((file) => file.replace(".eml", ""));
    expect(files.toSorted()).toEqual([...reports.map(([file]) => file), ...others].toSorted());
  });
});

import { describe, expect, it } from "vitest";
import {
  readAuthenticationResults,
  verdictsOf,
} from "../../../scripts/hardstate/domain/authentication-results.ts";

const mailWith = (...headers: string[]) =>
  [
    "Delivered-To: ops@example.org",
    ...headers,
    "From: =?utf-8?Q?Monitoring?= <nagios@example.com>",
    "Subject: [CUSTOM UP] mon1",
    "",
    "Authentication-Results: not.a.header; spf=fail",
  ].join("\r\n");

const google = (spf: string, dkim: string, dmarc: string) =>
  mailWith(
    `Authentication-Results: mx.google.com;\r\n       ${dkim};\r\n       ${spf};\r\n       ${dmarc}`,
    "Received-SPF: pass",
  );
const spfPass =
  "spf=pass (google.com: domain of nagios@example.com designates 192.0.2.9 as permitted sender) smtp.mailfrom=nagios@example.com";
const dkimPass = "dkim=pass header.i=@example.com header.s=s1 header.b=abcd=";
const dmarcPass = "dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=example.com";

type Words = [result: string, detail: RegExp, advice?: RegExp];
const rows: [string, string, server: string, spf: Words, dkim: Words, dmarc: Words][] = [
  [
    "passes everything at Google",
    google(spfPass, dkimPass, dmarcPass),
    "mx.google.com",
    [
      "pass",
      /^the relay may send for example\.com \(google\.com: domain of nagios@example\.com designates 192/,
    ],
    ["pass", /^signed for example\.com$/],
    ["pass", /counts as sent by example\.com \(p=NONE sp=NONE dis=NONE\)/],
  ],
  [
    "passes at Microsoft 365, which leaves its name out",
    mailWith(
      "Authentication-Results: spf=pass (sender IP is 192.0.2.9)\r\n smtp.mailfrom=example.com; dkim=pass (signature was verified)\r\n header.d=example.com;dmarc=pass action=none\r\n header.from=example.com;compauth=pass reason=100",
    ),
    "",
    ["pass", /sender IP is 192\.0\.2\.9/],
    ["pass", /signed for example\.com/],
    ["pass", /example\.com/],
  ],
  [
    "comes from an address that SPF does not name",
    google(
      "spf=fail (google.com: domain of nagios@example.com does not designate 192.0.2.9 as permitted sender) smtp.mailfrom=nagios@example.com",
      "dkim=none",
      "dmarc=fail (p=REJECT sp=REJECT dis=REJECT) header.from=example.com",
    ),
    "mx.google.com",
    [
      "fail",
      /^fail for example\.com: the relay's address is not among .* 192\.0\.2\.9/,
      /SPF record of example\.com/,
    ],
    ["warning", /has no signature/, /sign with DKIM for example\.com/],
    ["fail", /^fail for example\.com \(p=REJECT/, /^Correct SPF or DKIM first/],
  ],
  [
    "passes by DKIM alone",
    google("spf=softfail smtp.mailfrom=nagios@example.com", dkimPass, dmarcPass),
    "mx.google.com",
    ["warning", /^softfail for example\.com/, /Add the relay/],
    ["pass", /example\.com/],
    ["pass", /example\.com/],
  ],
  [
    "passes for the provider's domains, not for ours",
    google(
      "spf=pass smtp.mailfrom=bounces+1@mail.provider.example",
      "dkim=pass header.d=provider.example",
      "dmarc=fail header.from=example.com",
    ),
    "mx.google.com",
    ["pass", /may send for mail\.provider\.example, which is not example\.com/],
    ["pass", /signed for provider\.example/],
    ["fail", /what passed is of another domain/, /^Have SPF or DKIM pass for example\.com itself/],
  ],
  [
    "has a signature that does not fit",
    google(spfPass, "dkim=fail (body hash did not verify) header.d=example.com", dmarcPass),
    "mx.google.com",
    ["pass", /example\.com/],
    ["warning", /^fail for example\.com \(body hash did not verify\)/, /--selector NAME/],
    ["pass", /example\.com/],
  ],
  [
    "meets a faulty SPF record",
    google(
      "spf=permerror smtp.mailfrom=nagios@example.com",
      "dkim=none",
      "dmarc=none header.from=example.com",
    ),
    "mx.google.com",
    ["fail", /record is faulty/, /hardstate doctor names/],
    ["warning", /no signature/],
    ["fail", /no DMARC policy, and neither SPF nor DKIM vouches/, /d=example\.com/],
  ],
  [
    "meets a DNS that does not answer",
    google(
      "spf=temperror smtp.mailfrom=nagios@example.com",
      "dkim=temperror header.d=example.com",
      "dmarc=temperror",
    ),
    "mx.google.com",
    ["unknown", /DNS did not answer/],
    ["unknown", /DNS did not answer/],
    ["unknown", /DNS did not answer/],
  ],
  [
    "has no DMARC policy",
    google(spfPass, "dkim=none", "dmarc=none header.from=example.com"),
    "mx.google.com",
    ["pass", /example\.com/],
    ["warning", /no signature/],
    ["warning", /no DMARC policy$/],
  ],
  [
    "has a header for each method, and forged ones below",
    mailWith(
      "Authentication-Results: mx.example.org 1;\r\n\tdmarc=fail (p=quarantine) header.from=example.com",
      "Authentication-Results: mx.example.org; dkim=none",
      "Authentication-Results: mx.example.org; spf=none smtp.mailfrom=example.com",
      "Authentication-Results: forged.example; spf=pass; dkim=pass; dmarc=pass",
    ),
    "mx.example.org",
    ["fail", /has no SPF record/],
    ["warning", /no signature/],
    ["fail", /p=quarantine/],
  ],
  [
    "is odd, but as RFC 8601 allows",
    mailWith(
      'Authentication-Results : mx.example.org (a (nested; comment) \\) here) 1 ; SPF / 1 = Pass\r\n (why; not) smtp . mailfrom=x reason="good; (really)"; dkim = pass header.d="example.com" ; dmarc=pass',
    ),
    "mx.example.org",
    ["pass", /why; not/],
    ["pass", /signed for example\.com/],
    ["pass", /example\.com/],
  ],
  [
    "has results of nothing",
    mailWith("Authentication-Results: mx.example.org; none"),
    "mx.example.org",
    ["unknown", /nothing about SPF/],
    ["warning", /nothing about a signature/],
    ["fail", /nothing about DMARC, and neither/],
  ],
];

describe("a received mail that", () => {
  it.each(rows)("%s is told so", (_, source, server, ...expected) => {
    const read = readAuthenticationResults(source);
    if (!read) throw new Error("there is no header");
    expect([read.server, read.from]).toEqual([server, "example.com"]);
    for (const [index, verdict] of verdictsOf(read).entries()) {
      const [result, detail, advice] = expected[index] ?? ["", /^$/];
      expect(verdict).toMatchObject({ result, detail: expect.stringMatching(detail) });
      if (advice) expect(verdict.advice).toMatch(advice);
    }
  });

  it.each([
    ["has no header of that kind", mailWith("X-Spam: no")],
    ["is empty", ""],
    ["is no mail", "\u0000\u0001\n\n"],
  ])("%s tells nothing", (_, source) => {
    expect(readAuthenticationResults(source)).toBeUndefined();
  });

  it.each(["constructor", "__proto__"])("names a result %s that no receiver writes", (word) => {
    const read = readAuthenticationResults(mailWith(`Authentication-Results: x; spf=${word}`));
    expect(read && verdictsOf(read)[0].detail).toBe(
      `${word} for the envelope sender: the receiver does not accept it`,
    );
  });

  it("is made to keep us busy does not", () => {
    const hostile = `Authentication-Results: x; ${"(".repeat(200_000)}${"a=".repeat(200_000)}`;
    expect(readAuthenticationResults(hostile)).toMatchObject({ server: "x" });
    expect(readAuthenticationResults(`Authentication-Results: x; ${"a.".repeat(300_000)}`)).toBeDefined();
    expect(
      readAuthenticationResults(`From: ${"@".repeat(500_000)}\nAuthentication-Results: x`),
    ).toBeDefined();
  });
});

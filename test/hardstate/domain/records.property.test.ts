import fc from "fast-check";
import { expect, it } from "vitest";
import {
  readAuthenticationResults,
  verdictsOf,
} from "../../../scripts/hardstate/domain/authentication-results.ts";
import { dkimOf } from "../../../scripts/hardstate/domain/dkim.ts";
import { dmarcOf } from "../../../scripts/hardstate/domain/dmarc.ts";
import type { Dns } from "../../../scripts/hardstate/domain/dns.ts";
import { checkDomains } from "../../../scripts/hardstate/domain/domain.ts";
import { spfOf } from "../../../scripts/hardstate/domain/spf.ts";

const word = fc.oneof(
  fc.constantFrom(
    ...["v=spf1 ", "v=DMARC1;", "v=DKIM1;", "all", "-", "~", "+", "?", " ", ";", "=", ":", "/", "//", "%{i}"],
    ...["include:", "redirect=", "exp=", "a", "mx", "ptr", "ip4:", "ip6:", "exists:", "1.2.3.4", "::1", "33"],
    ...[
      "a.example",
      "b.example",
      "p=",
      "reject",
      "sp=",
      "np=",
      "t=y",
      "psd=",
      "y",
      "rua=mailto:x",
      "k=",
      "h=",
    ],
    ...[
      "Authentication-Results:",
      "From: <a@b.example>\n",
      "spf=",
      "dkim=",
      "dmarc=",
      "pass",
      "(",
      ")",
      '"',
      "\\",
    ],
    "\n",
  ),
  fc.string({ maxLength: 4 }),
);
const text = fc.array(word, { maxLength: 25 }).map((words) => words.join(""));

/** A DNS that answers every question with these texts, whatever the name. */
const dnsWith = (texts: string[], hosts: string[]): Dns => ({
  txt: async () => ({ records: texts, missing: false }),
  mx: async () => ({ records: hosts.map((exchange, priority) => ({ exchange, priority })), missing: false }),
  addresses: async () => ({ records: ["192.0.2.1", "2001:db8::1"], missing: false }),
});
const answers = fc.record({
  texts: fc.array(text, { maxLength: 3 }),
  hosts: fc.array(text, { maxLength: 3 }),
});

it("whatever records a domain has, it is looked at to the end, and each finding has words", async () => {
  await fc.assert(
    fc.asyncProperty(answers, text, async ({ texts, hosts }, first) => {
      const dns = dnsWith([...texts, `v=spf1 ${first}`], hosts);
      const sending = {
        from: "a.example",
        envelope: "b.example",
        relay: "smtp.office365.com",
        selectors: ["s1"],
      };
      const checks = await checkDomains(sending, dns);
      expect(checks.length).toBeGreaterThan(4);
      for (const { detail, result, advice } of checks) {
        expect(detail).not.toBe("");
        if (result === "fail") expect(advice).toBeTruthy();
      }
    }),
    { numRuns: 5_000 },
  );
});

it("whatever one record says, it is read", async () => {
  await fc.assert(
    fc.asyncProperty(text, async (record) => {
      const [spf, dmarc, dkim] = [`v=spf1 ${record}`, `v=DMARC1; ${record}`, `v=DKIM1; ${record}`];
      expect(await spfOf("a.example", dnsWith([spf], []))).toHaveProperty("result");
      expect(await dmarcOf("a.example", dnsWith([dmarc], []))).toHaveProperty("organization");
      expect(await dkimOf("s1", "a.example", dnsWith([dkim], []))).toHaveProperty("detail");
    }),
    { numRuns: 5_000 },
  );
});

it("whatever a received mail says, it is read", () => {
  fc.assert(
    fc.property(text, text, (top, rest) => {
      const read = readAuthenticationResults(`Authentication-Results: ${top}\n${rest}`);
      if (!read) throw new Error("the header is gone");
      for (const { detail } of verdictsOf(read)) expect(detail).not.toBe("");
    }),
    { numRuns: 10_000 },
  );
});

it("a record as long as DNS allows is read at once", async () => {
  for (const long of [" ", ";", "a=", "a ", "=", "/", "%{i}", "ip4:", "0", "a:", "include:a.example "]) {
    const record = long.repeat(65_000 / long.length);
    const dns = dnsWith([`v=spf1 ${record}`, `v=DMARC1; p=none;${record}x`, `v=DKIM1; p=${record}x`], []);
    const startedAt = performance.now();
    await Promise.all([spfOf("a.example", dns), dmarcOf("a.example", dns), dkimOf("s1", "a.example", dns)]);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  }
});

import PostalMime from "postal-mime";
import { describe, expect, it } from "vitest";
import type { State } from "../../functions/alert.ts";
import { composeDigest } from "../../functions/compose/digest.ts";
import { reduced } from "../../functions/compose/mail.ts";
import { render } from "../../functions/compose/mime.ts";
import { type JournalRecord, newRecord } from "../../functions/ledger/journal.ts";
import { queuedAlert } from "../world/alerts.ts";

const sender = {
  from: { address: "nagios@example.com" },
  envelopeFrom: "bounce@example.com",
  link: {
    service: "https://nagios.example.com/?h={host}&s={service}",
    host: "https://nagios.example.com/?h={host}",
  },
};
const digest = queuedAlert({ id: "digest-0001", made: { row: "R46", episode: "digest-0001" } });
let count = 0;
const told = (
  [host = "", service = null]: [host: string, service?: string | null],
  state: State,
  line = "",
): JournalRecord => ({
  ...newRecord(digest),
  id: `alert-${count}`,
  objectKey: JSON.stringify([host, service]),
  host,
  service,
  type: state === "OK" || state === "UP" ? "RECOVERY" : "PROBLEM",
  state,
  receivedAt: count++,
  digest: { id: digest.id, line },
});
const mail = (...members: JournalRecord[]) => composeDigest(digest, members, 1_800_000_000_000, sender);

const why = [
  "Why this mail: More came at once than is mailed one by one: the first mails",
  "went out alone, this one tells the rest.",
];

describe("the mail of a digest", () => {
  it("names its site in a header and a line, and in the subject if several sites use the bridge", () => {
    const member = told(["web01", "HTTP"], "CRITICAL");
    const { subject, headers, text, html } = mail(member);
    expect(subject).toBe("[DIGEST] 1 problem: web01");
    expect(headers["X-Hardstate-Site"]).toBe("site");
    expect(text).toMatch(/^Site: site$/m);
    expect(html).toContain("Site: site</p>");
    const shared = composeDigest({ ...digest, severalSites: true }, [member], 1_800_000_000_000, sender);
    expect(shared.subject).toBe("[site DIGEST] 1 problem: web01");
    expect(shared.text).toMatch(/^\[site\] 1 problem on 1 host\n/);
  });

  it("has a line for each object, by host, the worst first, and what is over last", () => {
    const { subject, text } = mail(
      told(["web02", "HTTP"], "CRITICAL", "no answer"),
      told(["web01", "Disk"], "WARNING", "8 % free"),
      told(["web01"], "DOWN", "100 % loss"),
      told(["web01", "HTTP"], "CRITICAL", "refused"),
      told(["web02", "HTTP"], "OK", "fine"),
      told(["db01", "Load"], "OK", "fine"),
    );
    expect(subject).toBe("[DIGEST] 3 problems, 2 recovered: web01, db01 and web02");
    expect(text.split("\n").slice(2)).toEqual([
      "web01",
      "  DOWN         (host)  100 % loss",
      "  CRITICAL     HTTP    refused",
      "  WARNING      Disk    8 % free",
      "",
      "db01",
      "  recovered    Load",
      "",
      "web02",
      "  recovered    HTTP    was CRITICAL",
      "",
      ...why,
      "Site: site",
      "",
      "-- ",
      "Alert digest-0001, by Hardstate",
      "",
    ]);
  });

  it("has one line for each text of a note, with the number of times, after the states", () => {
    const of = (name: [string, string?], type: JournalRecord["type"], line: string) => ({
      ...told(name, "CRITICAL", line),
      type,
    });
    const { subject, text, html } = mail(
      of(["web01", "HTTP"], "CUSTOM", "ann: please look"),
      told(["web01", "HTTP"], "CRITICAL", "refused"),
      of(["web01", "HTTP"], "ACKNOWLEDGEMENT", "bob: on it"),
      told(["web01", "HTTP"], "OK", "fine"),
      of(["web01", "HTTP"], "CUSTOM", "ann: please look"),
      of(["web01", "HTTP"], "CUSTOM", "ann: <b>now</b>"),
      of(["db01"], "FLAPPINGSTART", "changes too often"),
      of(["db01"], "FLAPPINGSTOP", ""),
    );
    expect(subject).toBe(
      "[DIGEST] 1 recovered, 3 custom notifications, 1 acknowledgement, 2 flapping notifications: web01 and db01",
    );
    expect(text.split("\n").slice(2, -8)).toEqual([
      "web01",
      "  recovered       HTTP    was CRITICAL",
      "  custom          HTTP    ann: please look (2 times)",
      "  acknowledged    HTTP    bob: on it",
      "  custom          HTTP    ann: <b>now</b>",
      "",
      "db01",
      "  flapping        (host)  changes too often",
      "  flapping ended  (host)",
    ]);
    expect(html).toContain("ann: &lt;b&gt;now&lt;/b&gt;");
  });

  it("tells of downtimes after what is broken and what is over, with who set them and why", () => {
    const of = (name: [string, string?], type: JournalRecord["type"], state: State, line = "") => ({
      ...told(name, state, line),
      type,
    });
    const { subject, text, html } = mail(
      of(["web01", "HTTP"], "DOWNTIMESTART", "OK", "ann: kernel update"),
      told(["web01", "Disk"], "WARNING", "8 % free"),
      of(["web01", "Disk"], "DOWNTIMESTART", "WARNING", "ann: kernel update"),
      of(["web01", "Disk"], "DOWNTIMEEND", "WARNING"),
      of(["web01"], "DOWNTIMECANCELLED", "UP"),
      told(["web01", "Load"], "OK"),
      of(["db01"], "DOWNTIMESTART", "DOWN", "ann: kernel update"),
    );
    expect(subject).toBe(
      "[DIGEST] 1 problem, 1 recovered, 2 downtimes started, 1 downtime ended, 1 downtime cancelled: web01 and db01",
    );
    expect(text.split("\n").slice(2)).toEqual([
      "web01",
      "  downtime     (host)  cancelled",
      "  WARNING      Disk    8 % free; downtime ended",
      "  recovered    Load",
      "  downtime     HTTP    started (ann: kernel update)",
      "",
      "db01",
      "  downtime     (host)  started (ann: kernel update)",
      "",
      ...why,
      "Site: site",
      "",
      "-- ",
      "Alert digest-0001, by Hardstate",
      "",
    ]);
    expect(html).toContain('<span dir="auto">started (ann: kernel update)</span>');
    expect(html).not.toContain("undefined");
  });

  it("strikes through what recovered within it, and nothing else", () => {
    const { html } = mail(
      told(["a", "s1"], "CRITICAL"),
      told(["a", "s1"], "OK"),
      told(["a", "s2"], "OK"),
      told(["a", "s3"], "CRITICAL"),
      told(["a", "s4"], "OK"),
      told(["a", "s4"], "CRITICAL"),
    );
    expect(html?.match(/<s>.*?<\/s>/g)).toEqual([
      '<s><a href="https://nagios.example.com/?h=a&amp;s=s1" style="color:inherit">s1</a></s>',
    ]);
  });

  it("has every line in its reduced form too: what is cut would be told by no mail", () => {
    const names = Array.from({ length: 300 }, (_, index) => `web${String(index).padStart(3, "0")}`);
    const { html, text } = reduced(mail(...names.map((name) => told([name], "DOWN"))), "552 too large", true);
    expect(html).toBeUndefined();
    expect(names.filter((name) => !text.includes(`\n${name}\n`))).toEqual([]);
  });

  it("escapes whatever comes from outside, and has no content from elsewhere", () => {
    const { html } = mail(told(["<script>h</script>", '"><img src=x>'], "CRITICAL", "<b>&</b>"));
    expect(html).not.toMatch(/<script|<img|<b>&/);
    expect(html).toContain("&lt;script&gt;h&lt;/script&gt;");
    expect(html).toContain("&lt;b&gt;&amp;&lt;/b&gt;");
  });

  it("names few hosts in its subject, however many and however long", () => {
    const hosts = Array.from({ length: 1000 }, (_, n) =>
      told([`${String(n).padStart(4, "0")}${"x".repeat(251)}`], "DOWN"),
    );
    expect(mail(...hosts).subject).toMatch(
      /^\[DIGEST\] 1000 problems: 0000x{35}…, 0001x{35}…, 0002x{35}… and 997 more hosts$/,
    );
  });

  it("is the same for the same alerts, and whole when it was sent", async () => {
    const members = Array.from({ length: 1000 }, (_, n) =>
      told(["farm", `S${n}`], "CRITICAL", "ü".repeat(60)),
    );
    expect(mail(...members)).toEqual(mail(...members));
    const bytes = render(mail(...members)).bytes;
    const lines = Buffer.from(bytes).toString("latin1").split("\r\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(998);
    const read = await PostalMime.parse(bytes);
    expect(read.subject).toBe("[DIGEST] 1000 problems: farm");
    expect(read.text?.match(/^ {2}CRITICAL/gm)).toHaveLength(1000);
    expect(read.headers).toContainEqual(
      expect.objectContaining({ key: "auto-submitted", value: "auto-generated" }),
    );
  });
});

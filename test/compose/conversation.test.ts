import PostalMime from "postal-mime";
import { expect, it } from "vitest";
import { outlookHeaders } from "../../functions/compose/conversation.ts";
import { world } from "../world/world.ts";

// The FILETIME 0x01D046C6FC06... in an index that Outlook wrote, which a reader published with its time.
const begun = Number(0x01d046c6fc060000n / 10_000n - 11_644_473_600_000n);
const indexOf = (sent?: number) =>
  Buffer.from(outlookHeaders("<a@b>", "web01/HTTP", begun, sent)["Thread-Index"] ?? "", "base64");

it("an index begins with 01 and the upper 40 bits of the first mail's FILETIME", () => {
  expect(new Date(begun).toISOString()).toMatch(/^2015-02-12T\d\d:22:43/);
  expect(indexOf().subarray(0, 6).toString("hex")).toBe("0101d046c6fc");
  expect(indexOf()).toHaveLength(22);
});

it("a later mail has the header of the first, and the time since then in 2^18 * 100 ns", () => {
  const later = indexOf(begun + 3_600_000);
  expect(later).toHaveLength(27);
  expect(later.subarray(0, 22)).toEqual(indexOf());
  expect(later.readUInt32BE(22)).toBe(Math.floor((3_600_000 * 10_000) / 2 ** 18));
});

it("a mail that a clock set back has dated before the first counts as sent with it", () => {
  expect(indexOf(begun - 1000).readUInt32BE(22)).toBe(0);
});

it("another conversation has another GUID", () => {
  const other = Buffer.from(outlookHeaders("<c@b>", "x", begun, undefined)["Thread-Index"] ?? "", "base64");
  expect(other.subarray(6)).not.toEqual(indexOf().subarray(6));
});

/** The base subject of RFC 5256 §2.1: without reply words and texts in brackets before it. */
const baseSubject = (subject: string): string => {
  const shorter = subject.replace(/^(\s+|(re|fwd?)\s*(\[[^[\]]*\])?:|\[[^[\]]*\]\s*(?=\S))/i, "");
  return shorter === subject ? subject : baseSubject(shorter);
};

/** The conversation that each mail belongs to, by the published rules of Gmail and of Outlook. */
const conversationsOf = async (bytes: Buffer) => {
  const { headers, subject = "", references } = await PostalMime.parse(bytes);
  const header = (name: string) => headers.find(({ key }) => key === name)?.value ?? "";
  return {
    gmail: `${baseSubject(subject)} ${references}`,
    // MS-OXCMAIL and MS-OXOCNTC: the GUID of the index, or else the topic.
    outlook: Buffer.from(header("thread-index"), "base64").subarray(6, 22).toString("hex"),
    olderOutlook: header("thread-topic").toUpperCase(),
  };
};

it("the mails of a problem are one conversation in Gmail and Outlook, and those of the next are another", async () => {
  const { tell, passTo, mails } = world();
  const [object, problem] = [{ host: "web01", service: "HTTP" }, { id: "5" }];
  await tell("PROBLEM", object, "WARNING", { problem });
  await passTo(60);
  await tell("PROBLEM", object, "CRITICAL", { problem });
  await passTo(120);
  await tell("ACKNOWLEDGEMENT", object, "CRITICAL", { problem, author: "ops", comment: "on it" });
  await passTo(180);
  await tell("RECOVERY", object, "OK", { problem: { last_id: "5" } });
  await passTo(7200);
  await tell("PROBLEM", object, "CRITICAL", { problem: { id: "6" } });
  await passTo(7260);
  expect(mails.map(({ subject }) => subject)).toEqual([
    "[PROBLEM WARNING] web01/HTTP",
    "[UPDATE CRITICAL] web01/HTTP",
    "[ACKNOWLEDGEMENT CRITICAL] web01/HTTP",
    "[RECOVERY OK] web01/HTTP",
    "[PROBLEM CRITICAL] web01/HTTP",
  ]);
  const found = await Promise.all(mails.map(({ bytes }) => conversationsOf(bytes)));
  for (const by of ["gmail", "outlook"] as const) {
    const ids = found.map((one) => one[by]);
    expect(new Set(ids.slice(0, 4)).size).toBe(1);
    expect(ids[4]).not.toBe(ids[0]);
  }
  expect(new Set(found.map(({ olderOutlook }) => olderOutlook))).toEqual(new Set(["WEB01/HTTP"]));
});

it.each([
  ["[PROBLEM CRITICAL] web01/HTTP", "web01/HTTP"],
  ["Re: [berlin RECOVERY OK] web01/HTTP", "web01/HTTP"],
  ["PROBLEM CRITICAL: web01/HTTP", "PROBLEM CRITICAL: web01/HTTP"],
])("the base subject of %s is %s", (subject, base) => {
  expect(baseSubject(subject)).toBe(base);
});

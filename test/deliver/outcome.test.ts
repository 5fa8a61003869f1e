import { describe, expect, test } from "vitest";
import { printable, queueIdOf } from "../../functions/deliver/outcome.ts";

describe("a relay's queue id", () => {
  test.for<[relay: string, reply: string, id: string | undefined]>([
    ["Postfix", "250 2.0.0 Ok: queued as 4XyZ1k2m3nz9sT", "4XyZ1k2m3nz9sT"],
    ["Exim", "250 OK id=1rXyZa-0000Ab-2c", "1rXyZa-0000Ab-2c"],
    [
      "Exchange",
      "250 2.6.0 <a@example.com> [InternalId=42953, Hostname=AM0.example.com] 8339 bytes Queued mail for delivery",
      "42953",
    ],
    ["a relay that names none", "250 2.0.0 OK", undefined],
    ["a relay that says nothing", "", undefined],
  ])("of %s is read as it is said", ([, reply, id]) => {
    expect(queueIdOf(reply)).toBe(id);
  });
});

describe("a printable reply", () => {
  test("is one line", () => {
    expect(printable("550-no\n550 never\r\n")).toBe("550-no 550 never");
  });

  test("has no control character that a terminal obeys", () => {
    expect(printable("550 \x1b[2Jno\x07\x9b31m\0\x7f\u2028\u2029!")).toBe("550  [2Jno 31m !");
  });

  test("keeps what people wrote in their own letters", () => {
    expect(printable("550 Empfänger gibt es nicht")).toBe("550 Empfänger gibt es nicht");
  });

  test("has at most 500 characters", () => {
    expect(printable("x".repeat(10_000))).toHaveLength(500);
  });
});

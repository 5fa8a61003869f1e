import { describe, expect, test } from "vitest";
import { printable } from "../../functions/deliver/printable.ts";

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

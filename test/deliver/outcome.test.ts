import { describe, expect, test } from "vitest";
import { queueIdOf } from "../../functions/deliver/outcome.ts";

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

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { queueIdOf } from "../../functions/deliver/outcome.ts";

type Accepted = { system: string; reply: string; queueId?: string };
const { accepted } = parse(readFileSync("test/deliver/replies.yaml", "utf8")) as { accepted: Accepted[] };

test.each(accepted)("$system's queue id in '$reply' is $queueId", ({ reply, queueId }) => {
  expect(queueIdOf(reply)).toBe(queueId);
});

test("a queue id is read from the last line of a reply of several", () => {
  expect(queueIdOf("250-2.0.0 Thank you\n250 2.0.0 t7VGNO3Z000335 Message accepted for delivery")).toBe(
    "t7VGNO3Z000335",
  );
});

test("a reply without words has no queue id", () => {
  expect(queueIdOf("")).toBeUndefined();
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newRecord, twinOf } from "../../functions/ledger/journal.ts";
import { alertOf, queuedAlert } from "../world/alerts.ts";
import { world } from "../world/world.ts";

const begin = 100_000_000;
let { mails, bridge, post: postNow } = world({ begin });
beforeEach(() => {
  ({ mails, bridge, post: postNow } = world({ begin }));
});
afterEach(() => bridge.close());

/** Posts without an id, and tells the one that the alert was given. */
const post = (change: Record<string, unknown>) =>
  postNow({ time: 100_000, notification: { id: "101", number: 1 }, ...change });
/** Neither an id nor a number names it. */
const unnamed = { monitor: { id: "monitor1" }, problem: {}, notification: {} };
const trap = { ...unnamed, notification: { volatile: true } };
const said = () => mails.map(({ text }) => /(trap|comment) \d+|$/.exec(text)?.[0]);

describe("notifications of one second that nothing names", () => {
  it("are as many events as there are outputs", async () => {
    for (const output of ["trap 01", "trap 02", "trap 03"]) await post({ ...trap, output });
    expect(said()).toEqual(["trap 01", "trap 02", "trap 03"]);
  });

  it("are one event, posted again with the same output, and have one id", async () => {
    const ids = [await post({ ...trap, output: "trap 01" }), await post({ ...trap, output: "trap 01" })];
    await post({ ...trap, id: "another-id", output: "trap 01" });
    expect(new Set(ids).size).toBe(1);
    expect(said()).toEqual(["trap 01"]);
  });

  it.each(["CUSTOM", "ACKNOWLEDGEMENT"])(
    "of type %s are as many events as there are comments",
    async (type) => {
      for (const comment of ["comment 1", "comment 2", "comment 2"])
        await post({ ...unnamed, type, notification: { number: 1 }, comment });
      expect(said()).toEqual(["comment 1", "comment 2"]);
    },
  );

  it("that have an id or a number are told apart by that alone", async () => {
    for (const output of ["trap 01", "trap 02"]) {
      await post({ notification: { id: "7", volatile: true }, output });
      await post({ ...trap, notification: { number: 1, volatile: true }, output });
    }
    expect(said()).toEqual(["trap 01", "trap 01"]);
  });
});

describe.each([
  ["that has an id", {}],
  ["that nothing names", unnamed],
])("a notification %s, which a monitor runs again without its environment", (_, of) => {
  const full = { ...of, type: "CUSTOM", comment: "comment 1" };
  const poor = { ...of, type: "CUSTOM", output: undefined, degraded: true };

  it("is mailed with its texts, if these follow within five seconds", async () => {
    const first = await post(poor);
    await bridge.passTo(begin + 2000);
    expect(mails).toEqual([]);
    expect(await post(full)).not.toBe(first);
    await bridge.passTo(begin + 60_000);
    expect(said()).toEqual(["comment 1"]);
    expect((await bridge.ledger().story("site", first ?? ""))?.verdict?.row).toBe("R0");
  });

  it("is not mailed again, if its texts came first", async () => {
    await post(full);
    await post(poor);
    await bridge.passTo(begin + 60_000);
    expect(said()).toEqual(["comment 1"]);
  });

  it("is mailed once, if its texts never come", async () => {
    const ids = [await post(poor), await post(poor)];
    await bridge.passTo(begin + 60_000);
    expect(new Set(ids).size).toBe(1);
    expect(mails).toHaveLength(1);
  });
});

it("one without texts gives way to each of two that nothing else tells apart", async () => {
  await post({ ...trap, output: undefined, degraded: true });
  for (const output of ["trap 01", "trap 02"]) await post({ ...trap, output });
  await bridge.passTo(begin + 60_000);
  expect(said()).toEqual(["trap 01", "trap 02"]);
});

it("a record of the version before, which has no text key, is of the same event whatever the text", () => {
  const alert = alertOf({ ...trap, output: "trap 02" });
  const { textKey, ...before } = newRecord(queuedAlert({}, { ...trap, output: "trap 01" }));
  expect(textKey).toBeDefined();
  expect(twinOf(undefined, alert, [before])).toBe(before.id);
  expect(twinOf(undefined, alert, [{ ...before, textKey }])).toBeUndefined();
});

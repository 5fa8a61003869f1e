import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { meaning } from "../../functions/decide/rows.ts";
import { storyOf } from "../../functions/ledger/story.ts";
import type { RelayAnswer } from "../../scripts/hardstate/rehearsal.ts";
import { world } from "../world/world.ts";

// 10:00 on a day in 2026.
const begin = Date.UTC(2026, 10, 22, 10);

/** The story of the last of some posts, ten seconds apart, when `later` seconds have gone by. */
const storyAfter = async (posts: Record<string, unknown>[], answers: RelayAnswer[] = [], later = 0) => {
  const { bridge, passTo, post, story } = world({ begin, relay: () => answers.shift() ?? "accepted" });
  try {
    let id = "";
    for (const [index, change] of posts.entries()) {
      await passTo(index * 10);
      id = await post({
        monitor: { id: "monitor1", start: begin / 1000 - 1000 },
        problem: { id: "5", epoch: begin / 1000 - 10 },
        notification: { id: String(index + 1), number: 1 },
        ...change,
      });
    }
    await passTo((posts.length - 1) * 10 + later);
    return storyOf(await story(id));
  } finally {
    bridge.close();
  }
};

const recovery = { type: "RECOVERY", state: "OK" };

describe("an alert's story", () => {
  it("of a suppressed one names what was told to whom and when, and the row", async () => {
    expect((await storyAfter([{}, { notification: { id: "2", number: 2 } }])).at(-1)).toBe(
      "suppressed: web01/HTTP was already reported CRITICAL to ops@example.com at 22 Nov 2026, 10:00 UTC (R3)",
    );
  });

  it("of a mailed one tells each step, with the relay's words", async () => {
    expect(await storyAfter([{}])).toEqual([
      "2026-11-22 10:00:00 UTC  received from monitor1: PROBLEM CRITICAL of web01/HTTP for ops@example.com",
      "2026-11-22 10:00:00 UTC  smtp://relay accepted in 0.0 s: 250 2.0.0 Ok",
      "mailed: PROBLEM mail, first news of this problem (R1); 250 2.0.0 Ok",
    ]);
  });

  it("of one that the relay does not take tells what it waits for", async () => {
    const story = await storyAfter([{}], ["deferred", "deferred"], 30);
    expect(story.slice(1)).toEqual([
      "2026-11-22 10:00:00 UTC  smtp://relay deferred in 0.0 s: 450 4.2.0 later",
      "2026-11-22 10:00:00 UTC  held until 2026-11-22 10:00:30 UTC: no relay has taken it yet; if it recovers before then, no mail is sent (R29)",
      "2026-11-22 10:00:30 UTC  smtp://relay deferred in 0.0 s: 450 4.2.0 later",
      "pending: waits for its next try, the last said: 450 4.2.0 later; first news of this problem (R1)",
    ]);
  });

  it("of one that is held says until when and why", async () => {
    const twin = { monitor: { id: "monitor2", start: 2000 }, problem: { id: "77", epoch: 99_000 } };
    expect((await storyAfter([{}, twin, recovery])).at(-1)).toBe(
      "held until 2026-11-22 10:10:20 UTC: over at monitor1, while monitor2 still reports the problem (R22)",
    );
    expect((await storyAfter([{}, twin, recovery], [], 600)).at(-1)).toMatch(
      /^mailed: RECOVERY mail, over at monitor1 alone: monitor2 still reports the problem 600 s later \(R24\)/,
    );
  });

  it("of a refused one has the relay's refusal", async () => {
    expect((await storyAfter([{}], ["refused"])).at(-1)).toBe(
      "refused: PROBLEM mail, first news of this problem (R1); 550 5.1.1 unknown",
    );
  });

  it("of one given up says after how long", async () => {
    const relay = Array.from({ length: 200 }, () => "deferred" as const);
    expect((await storyAfter([{}], relay, 49 * 3600)).at(-1)).toMatch(/^dead: .*given up after 48 h/);
  });
});

describe("the rows of the table", () => {
  it("have a meaning in words, every one that a verdict can have", () => {
    const folder = new URL("../../functions/decide/", import.meta.url);
    const source = readdirSync(folder)
      .filter((name) => name !== "rows.ts")
      .map((name) => readFileSync(new URL(name, folder), "utf8"))
      .join("");
    const rows = new Set([...source.matchAll(/"(R\d+)"/g)].map(([, row]) => row ?? ""));
    expect(rows.size).toBeGreaterThan(35);
    expect([...rows].sort()).toEqual(Object.keys(meaning).sort());
  });
});

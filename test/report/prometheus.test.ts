import { describe, expect, it } from "vitest";
import { afterAttempt, newRoute, type RouteState } from "../../functions/deliver/breaker.ts";
import { type Heartbeat, newHeartbeat } from "../../functions/ledger/heartbeat.ts";
import type { Depth } from "../../functions/queue/queue.ts";
import type { Event } from "../../functions/report/event.ts";
import { prometheus } from "../../functions/report/prometheus.ts";

const [first, second] = ["smtp://relay.example.com:587", "smtps://fallback.example.com:465"];
const about = { id: "canary-id-0001", object: "canary-host/HTTP", contact: "canary@example.com" };

/** The numbers of a bridge whose queue and ledger say this. */
const bridge = (
  depth: () => Promise<Depth> = async () => ({ waiting: 0, handedOut: 0 }),
  states: () => Promise<RouteState[]> = async () => [],
  heartbeats: Heartbeat[] = [],
) =>
  prometheus({
    queue: { depth, deadLetterCount: async () => 2 },
    ledger: { routes: states, heartbeats: async () => heartbeats },
    routes: [first, second],
    clock: () => 100_000,
    readMilliseconds: 20,
  });
/** The samples of a scrape, by name and labels. */
const samples = async (
  { scrape }: ReturnType<typeof bridge>,
  site = "site",
): Promise<Map<string, number>> => {
  const lines = (await scrape(site)).text.split("\n").filter((line) => line && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
};

describe("Prometheus", () => {
  it("counts events, and shows nothing of whom they are about", async () => {
    const numbers = bridge();
    const ended = { ...about, event: "ended", reason: "news", seconds: 0.3 } as const;
    const events: Event[] = [
      { ...about, event: "accepted", site: "canary-site", type: "PROBLEM", state: "CRITICAL" },
      { ...ended, ending: "mailed", row: "R1", route: first, code: 250 },
      { ...ended, ending: "suppressed", row: "R26" },
      { ...ended, ending: "suppressed", row: "R3" },
      { ...ended, ending: "suppressed", row: "R3" },
      {
        ...about,
        event: "attempt-failed",
        row: "R1",
        route: first,
        result: "deferred",
        code: 451,
        reply: "451 canary",
      },
      { event: "returned", id: "a", site: "s", contact: "canary@example.com", kind: "bounce", reply: "550" },
      {
        event: "request-refused",
        status: 202,
        reason: "canary",
        faults: [],
        site: "canary-site",
        rejected: 3,
      },
      { event: "request-refused", status: 401, reason: "canary", faults: [], wrongTokens: 2 },
    ];
    for (const event of events) numbers.observe(event);
    const shown = await samples(numbers);
    expect(Object.fromEntries([...shown].filter(([name]) => /_total/.test(name)))).toEqual({
      'hardstate_accepted_total{type="PROBLEM"}': 1,
      [`hardstate_mailed_total{row="R1",route="${first}",code="250"}`]: 1,
      'hardstate_suppressed_total{row="R26"}': 1,
      'hardstate_suppressed_total{row="R3"}': 2,
      [`hardstate_deferred_total{route="${first}",code="451"}`]: 1,
      hardstate_recoveries_without_problem_total: 1,
      'hardstate_returned_total{kind="bounce"}': 1,
      hardstate_sweeps_total: 0,
      hardstate_failed_total: 0,
      hardstate_rejected_total: 3,
      hardstate_wrong_tokens_total: 2,
      'hardstate_unavailable_total{what="queue"}': 0,
      'hardstate_unavailable_total{what="ledger"}': 0,
    });
    expect(shown.get('hardstate_delivery_seconds_bucket{le="0.25"}')).toBe(0);
    expect(shown.get('hardstate_delivery_seconds_bucket{le="0.5"}')).toBe(1);
    expect(shown.get("hardstate_delivery_seconds_sum")).toBe(0.3);
    expect([...shown.keys()].join("\n")).not.toContain("canary");
  });

  it("reads queue and routes when it is scraped", async () => {
    let depth: Depth = { waiting: 3, handedOut: 1, oldestAt: 40_000 };
    const away = { result: "unauthorised", step: "auth", reply: "535 no", durationMilliseconds: 1 } as const;
    const open = afterAttempt(newRoute(second), away, 5);
    const numbers = bridge(
      async () => depth,
      async () => [open, { ...newRoute("smtp://gone:25"), removed: true }],
    );
    const shown = await samples(numbers);
    expect(
      Object.fromEntries([...shown].filter(([name]) => /queue_|dead_l|route_|readable/.test(name))),
    ).toEqual({
      'hardstate_readable{part="queue"}': 1,
      'hardstate_readable{part="ledger"}': 1,
      hardstate_queue_waiting: 3,
      hardstate_queue_in_hand: 1,
      hardstate_queue_oldest_age_seconds: 60,
      hardstate_dead_letters: 2,
      [`hardstate_route_down{route="${first}"}`]: 0,
      [`hardstate_route_down{route="${second}"}`]: 1,
      [`hardstate_route_unauthorised{route="${first}"}`]: 0,
      [`hardstate_route_unauthorised{route="${second}"}`]: 1,
    });
    depth = { waiting: 0, handedOut: 0 };
    expect((await samples(numbers)).get("hardstate_queue_oldest_age_seconds")).toBe(0);
    depth = { waiting: 1, handedOut: 0 };
    expect((await samples(numbers)).has("hardstate_queue_oldest_age_seconds")).toBe(false);
  });

  it("does not take a host that is away for a refused login", async () => {
    const away = {
      result: "deferred",
      step: "connect",
      reply: "no answer",
      durationMilliseconds: 1,
    } as const;
    const once = afterAttempt(newRoute(first), { ...away, lostAfterData: false }, 5);
    const open = afterAttempt(once, { ...away, lostAfterData: false }, 5);
    const shown = await samples(bridge(undefined, async () => [open]));
    expect(shown.get(`hardstate_route_down{route="${first}"}`)).toBe(1);
    expect(shown.get(`hardstate_route_unauthorised{route="${first}"}`)).toBe(0);
  });

  it("tells a site how long its own monitors are silent, and the operators' site of all", async () => {
    const beat = (site: string, monitor: string, at: number) => ({ ...newHeartbeat(site, monitor), at });
    const numbers = bridge(undefined, undefined, [
      beat("site", "mon1", 40_000),
      beat("other", "mon9", 99_000),
    ]);
    const ages = async (site: string) =>
      Object.fromEntries([...(await samples(numbers, site))].filter(([name]) => name.includes("heartbeat")));
    const [mine, others] = [
      'hardstate_heartbeat_age_seconds{site="site",monitor="mon1"}',
      'hardstate_heartbeat_age_seconds{site="other",monitor="mon9"}',
    ];
    const [of, ofOther, ofOperators] = await Promise.all([ages("site"), ages("other"), ages("operator")]);
    expect([of, ofOther, ofOperators]).toEqual([
      { [mine]: 60 },
      { [others]: 1 },
      { [mine]: 60, [others]: 1 },
    ]);
  });

  it.each<[string, () => Promise<never>]>([
    ["fails", () => Promise.reject(new Error("disk I/O error"))],
    ["does not answer in time", () => new Promise(() => {})],
  ])("tells of a store that %s, shows nothing stale, and answers all the same", async (_, broken) => {
    let broke = false;
    const numbers = bridge(
      async () => (broke ? broken() : { waiting: 5, handedOut: 0 }),
      async () => (broke ? broken() : []),
    );
    numbers.observe({ event: "swept", due: 0 });
    expect((await samples(numbers)).get("hardstate_queue_waiting")).toBe(5);
    broke = true;
    const shown = await samples(numbers);
    const left = [...shown].filter(([name]) => /queue_|dead_l|route_|readable|sweeps/.test(name));
    expect(Object.fromEntries(left)).toEqual({
      hardstate_sweeps_total: 1,
      'hardstate_readable{part="queue"}': 0,
      'hardstate_readable{part="ledger"}': 0,
    });
  });
});

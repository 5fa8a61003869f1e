import { afterEach, describe, expect, it } from "vitest";
import { useRoutes } from "../../functions/deliver/routes.ts";
import type { Rehearsal, RelayAnswer } from "../../scripts/hardstate/rehearsal.ts";
import { world } from "../world/world.ts";

const begin = 1_800_000_000_000;
const minute = 60;
const hour = 3600;
const day = 24 * hour;

type Relays = (route: string, at: number, to: string) => RelayAnswer;

let stage: Rehearsal;
afterEach(() => stage.close());

/** A bridge with these routes; what each answers at a second of the story. */
const bridge = (routes: string[], relays: Relays) => {
  const made = world({
    begin,
    routes,
    policy: { burst: undefined },
    operators: ["admin@example.com"],
    relay: ({ to }, at, route) => relays(route, at, to),
  });
  stage = made.bridge;
  let count = 500;
  return {
    mailed: made.mailsTo,
    tried: made.tries,
    passTo: made.passTo,
    post: async (at: number, change: Record<string, unknown> = {}) => {
      await made.passTo(at);
      return made.post({ notification: { id: String(count++) }, ...change });
    },
  };
};

const recovery = { type: "RECOVERY", state: "OK", problem: { last_id: "5", epoch: 99_990 } };

describe("a relay that is away", () => {
  it.each<[string, seconds: number, latest: number]>([
    ["35 s", 35, 2 * minute],
    ["5 min", 5 * minute, 10 * minute],
    ["20 min", 20 * minute, 30 * minute],
    ["10 h", 10 * hour, 10 * hour + 10 * minute],
  ])(
    "for %s loses nothing: problem and recovery go out in order soon after it is back",
    async (_, away, latest) => {
      const { post, passTo, mailed } = bridge(["smtp://a"], (_, at) => (at < away ? "away" : "accepted"));
      await post(0);
      await post(33, recovery);
      await passTo(latest);
      expect(mailed().map(({ subject }) => subject)).toEqual([
        "[PROBLEM CRITICAL] web01/HTTP",
        "[RECOVERY OK] web01/HTTP",
      ]);
      expect(mailed()[0]?.at).toBeGreaterThanOrEqual(away);
    },
  );

  it("is not called by each of a hundred mails, but by one probe at a time", async () => {
    const { post, passTo, mailed, tried } = bridge(["smtp://a"], (_, at) =>
      at < 20 * minute ? "away" : "accepted",
    );
    for (let n = 0; n < 100; n++)
      await post(n / 10, { object: { host: `web${n}`, service: null }, state: "DOWN" });
    await passTo(40 * minute);
    expect(mailed()).toHaveLength(100);
    const before = tried.filter(({ at }) => at < 20 * minute).length;
    expect(before).toBeLessThanOrEqual(14);
  });

  it("for 49 h makes dead letters, and the operator is mailed when it is back", async () => {
    const { post, passTo, mailed } = bridge(["smtp://a"], (_, at) => (at < 49 * hour ? "away" : "accepted"));
    const id = await post(0);
    await passTo(50 * hour);
    expect(mailed()).toEqual([]);
    expect(stage.buried()).toContain(id);
    expect(await stage.ledger().story("site", id)).toMatchObject({
      ending: { as: "dead", reason: "given up after 48 h: connect ECONNREFUSED" },
    });
    expect(mailed("admin@example.com").map(({ subject }) => subject)).toContain(
      "[operator PROBLEM CRITICAL] hardstate/dead letters",
    );
  });

  it("leaves the mail to the second route at once, and is used again when a probe found it well", async () => {
    const { post, passTo, mailed } = bridge(["smtp://a", "smtp://b"], (route, at) =>
      route === "smtp://a" && at < 10 * minute ? "away" : "accepted",
    );
    for (let n = 0; n < 30; n++)
      await post(n * minute, { object: { host: `web${n}`, service: null }, state: "DOWN" });
    await passTo(31 * minute);
    expect(mailed()).toHaveLength(30);
    expect(mailed().every(({ at }, n) => at === n * minute)).toBe(true);
    expect(
      mailed()
        .map(({ route }) => route.at(-1))
        .join(""),
    ).toMatch(/^b{10,20}a{10,20}$/);
  });
});

describe("a refused password", () => {
  const wrongFor = (seconds: number) => (_: string, at: number) =>
    (at < seconds ? "unauthorised" : "accepted") as RelayAnswer;

  it("for ten minutes is shown to the relay by the probes alone, and mail flows after the change", async () => {
    const { post, passTo, mailed, tried } = bridge(["smtp://a"], wrongFor(10 * minute));
    for (let n = 0; n < 60; n++)
      await post(n * 9, { object: { host: `web${n}`, service: null }, state: "DOWN" });
    await passTo(20 * minute);
    expect(tried.filter(({ at }) => at < 10 * minute).map(({ at }) => at)).toEqual([0, 30, 90, 210, 510]);
    expect(mailed()).toHaveLength(60);
    expect(new Set(mailed().map(({ at }) => at)).size).toBeLessThanOrEqual(2);
  });

  it("is told to the operator at once by another route, once an hour, and when it is over", async () => {
    const { post, passTo, mailed } = bridge(["smtp://a", "smtp://b"], (route, at) =>
      route === "smtp://a" && at < 150 * minute ? "unauthorised" : "accepted",
    );
    await post(0);
    for (let n = 1; n < 40; n++)
      await post(n * 5 * minute, { object: { host: `web${n}`, service: null }, state: "DOWN" });
    await passTo(day / 2);
    expect(mailed("admin@example.com")).toMatchObject([
      { at: 0, route: "smtp://b", subject: "[operator PROBLEM CRITICAL] hardstate/route smtp://a" },
      { route: "smtp://a", subject: "[operator RECOVERY OK] hardstate/route smtp://a" },
    ]);
  });

  it("of a route that is taken out of the settings is over, and told so", async () => {
    const { post, passTo, mailed } = bridge(["smtp://a", "smtp://b"], (route) =>
      route === "smtp://a" ? "unauthorised" : "accepted",
    );
    await post(0);
    await passTo(minute);
    await useRoutes(stage.ledger(), ["smtp://b"], begin + minute * 1000, true);
    await passTo(day);
    expect(mailed("admin@example.com")).toMatchObject([
      { subject: "[operator PROBLEM CRITICAL] hardstate/route smtp://a" },
      {
        subject: "[operator RECOVERY OK] hardstate/route smtp://a",
        text: expect.stringContaining("smtp://a is in the settings no more"),
      },
    ]);
  });

  it("for one recipient alone does not keep all others from the route: each probe is another mail's", async () => {
    const { post, passTo, mailed } = bridge(["smtp://a"], (_, __, to) =>
      to === "bad@example.com" ? "unauthorised" : "accepted",
    );
    await post(0, { recipients: [{ email: "bad@example.com" }] });
    for (let n = 1; n < 60; n++)
      await post(n * minute, { object: { host: `web${n}`, service: null }, state: "DOWN" });
    await passTo(60 * minute);
    expect(mailed()).toHaveLength(59);
    expect(
      Math.max(...mailed().map(({ at, subject }) => at - minute * Number(/\d+/.exec(subject)?.[0]))),
    ).toBeLessThan(3 * minute);
  });

  it("of the only route is told when it is over; nothing is lost", async () => {
    const { post, passTo, mailed } = bridge(["smtp://a"], wrongFor(2 * hour));
    await post(0);
    await passTo(3 * hour);
    expect(mailed()).toHaveLength(1);
    expect(mailed("admin@example.com").map(({ subject }) => subject)).toEqual([
      "[operator PROBLEM CRITICAL] hardstate/route smtp://a",
      "[operator RECOVERY OK] hardstate/route smtp://a",
    ]);
  });
});

describe("an operator", () => {
  it("is mailed of refused mail once per contact and day", async () => {
    const { post, passTo, mailed } = bridge(["smtp://a"], (_, __, to) =>
      to === "ops@example.com" ? "refused" : "accepted",
    );
    for (let n = 0; n < 48; n++)
      await post(n * hour, { object: { host: `web${n}`, service: null }, state: "DOWN" });
    await passTo(49 * hour);
    expect(mailed("admin@example.com").map(({ subject }) => subject)).toEqual(
      Array(3)
        .fill("[operator PROBLEM CRITICAL] hardstate/mail to ops@example.com")
        .slice(0, mailed("admin@example.com").length),
    );
    expect(mailed("admin@example.com").length).toBeGreaterThanOrEqual(2);
    expect(mailed("admin@example.com").length).toBeLessThanOrEqual(3);
  });

  it("is mailed of a contact and of a route whose names are as long as can be", async () => {
    const contact = `${"c".repeat(64)}@${"d".repeat(60)}.${"d".repeat(60)}.${"d".repeat(59)}.example`;
    const long = `smtp://${"relay.".repeat(41)}example:587`;
    const { post, passTo, mailed } = bridge([long, "smtp://b"], (route, _, to) =>
      route === long ? "unauthorised" : to === contact ? "refused" : "accepted",
    );
    const id = await post(0, { recipients: [{ email: contact }] });
    await passTo(3 * day);
    expect(contact).toHaveLength(254);
    expect(stage.buried()).toEqual([id]);
    expect(mailed("admin@example.com")).toHaveLength(2);
  });

  it("whose own mail is refused is not mailed about that", async () => {
    const { post, passTo, tried } = bridge(["smtp://a"], () => "refused");
    await post(0);
    await post(minute, { object: { host: "web02", service: null }, state: "DOWN" });
    await passTo(3 * day);
    expect(tried.filter(({ to }) => to === "admin@example.com")).toHaveLength(1);
  });

  it("whose own mail is given up is not mailed about that", async () => {
    const { post, passTo } = bridge(["smtp://a"], () => "away");
    await post(0);
    await passTo(10 * day);
    expect(stage.buried()).toHaveLength(3);
    await passTo(20 * day);
    expect(stage.buried()).toHaveLength(3);
    expect(stage.waiting()).toEqual([]);
  });
});

describe("a lost reply to the final dot", () => {
  it("makes a second copy by the same route alone, however many routes there are", async () => {
    let lost = true;
    const { post, passTo, tried, mailed } = bridge(["smtp://a", "smtp://b"], () => {
      if (!lost) return "accepted";
      lost = false;
      return "lost";
    });
    await post(0);
    await passTo(hour);
    expect(tried.map(({ route }) => route)).toEqual(["smtp://a", "smtp://a"]);
    expect(mailed()).toHaveLength(1);
  });
});

describe("a dead letter that is put back", () => {
  it("is decided anew, and its story says so", async () => {
    const { post, passTo } = bridge(["smtp://a"], (_, at) => (at < 100 ? "refused" : "accepted"));
    const id = await post(0);
    await passTo(200);
    await stage.redrive();
    const record = await stage.ledger().story("site", id);
    expect(record).toMatchObject({ ending: { as: "mailed" }, putBackAt: begin + 200_000 });
  });
});

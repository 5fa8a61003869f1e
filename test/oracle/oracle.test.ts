import { execFile } from "node:child_process";
import { describe, expect, it } from "vitest";
import { type PlayedMail, player } from "../scenarios/scenarios.ts";
import { draws } from "../simulation/draws.ts";
import { type CoreSetup, type Notice, runCore } from "./cores.ts";
import type { History } from "./history.ts";
import { judge } from "./judge.ts";
import { history, modes } from "./modes.ts";
import { head, outputOf, scenarioOf } from "./scenario.ts";

const run = (...words: string[]): Promise<{ status: number; text: string }> =>
  new Promise((done) =>
    execFile(
      process.execPath,
      ["test/oracle/oracle.ts", ...words],
      { maxBuffer: 10_000_000 },
      (error, out, err) => done({ status: Number(error?.code ?? 0), text: out + err }),
    ),
  );

describe("the judge", () => {
  /** A history of one problem with its end, for alice and bob, and the mails that it must make. */
  const good = history("plain", 1);
  const mailsOf = (of: History): PlayedMail[] => {
    const told = new Set<string>();
    return of.posts.flatMap((post) => {
      const { type, state, object, real } = post.notice;
      return post.to.flatMap((to) => {
        const name = `${to} ${real} ${type} ${type === "PROBLEM" ? state : ""}`;
        if (told.has(name)) return [];
        told.add(name);
        const first = ![...told].some((one) => one.startsWith(`${to} ${real} PROBLEM`) && one !== name);
        const kind = type === "PROBLEM" && !first ? "UPDATE" : type;
        return [
          { t: post.t, to, kind, state, object, row: "", thread: `${to} ${real}`, output: outputOf(post) },
        ];
      });
    });
  };
  // Without what becomes better: each state of a problem here is worse than the one before.
  const [problem, end] = [
    good.posts.find(({ notice }) => notice.type === "PROBLEM"),
    good.posts.find(({ notice }) => notice.type === "RECOVERY"),
  ];
  if (!problem || !end) throw new Error("the first plain history has no problem that ends");
  const ours = good.posts.filter(({ notice }) =>
    [problem.notice.serial, end.notice.serial].includes(notice.serial),
  );
  const small: History = { ...good, posts: ours };
  const mails = mailsOf(small);
  const [first, ...rest] = mails;
  if (!first) throw new Error("the history makes no mail");
  const kindsOf = (played: PlayedMail[], of = small) => [
    ...new Set(judge(of, played).map(({ kind }) => kind)),
  ];
  const without = (kind: string) => mails.filter((mail) => mail.to !== first.to || mail.kind !== kind);
  const changed = (kind: string, change: Partial<PlayedMail>) =>
    mails.map((mail) => (mail.to === first.to && mail.kind === kind ? { ...mail, ...change } : mail));

  it("has nothing against the mails that a history must make", () => {
    expect(mails.length).toBeGreaterThan(2);
    expect(kindsOf(mails)).toEqual([]);
  });

  it.each<[string, PlayedMail[]]>([
    ["swallowed", without("PROBLEM").filter(({ to }) => to !== first.to)],
    ["twice", [first, { ...first, t: first.t + 1 }, ...rest]],
    ["no end", without("RECOVERY")],
    ["end twice", [...mails, ...mails.filter(({ kind, to }) => kind === "RECOVERY" && to === first.to)]],
    ["unasked", [...mails, { ...first, to: "mallory" }]],
    ["wrong text", changed("RECOVERY", { output: first.output })],
    ["wrong text", changed("PROBLEM", { output: null })],
    ["torn thread", changed("RECOVERY", { thread: "another" })],
  ])("finds what is %s", (kind, played) => {
    expect(kindsOf(played)).toContain(kind);
  });

  it("lets a problem be silent that came after its end, and calls its mail stale", () => {
    const [r] = ours.filter(({ notice }) => notice.type === "RECOVERY");
    if (!r) throw new Error("no recovery");
    const late = { ...small, posts: [r, { ...problem, t: r.t + 60, to: r.to }] };
    expect(kindsOf([], late)).toEqual([]);
    expect(kindsOf([{ ...first, to: String(r.to[0]), t: r.t + 60 }], late)).toEqual(["stale"]);
  });
});

describe("a simulated core", () => {
  const spell = (object: string, at: number, end: number, state: "CRITICAL" | "DOWN" = "CRITICAL") => ({
    object,
    states: [{ at, state }],
    end,
  });
  const contact = (name: string, serviceOptions = "wucr") => ({
    name,
    mailboxes: [name],
    hostOptions: "dur",
    serviceOptions,
  });
  const service = {
    name: "web1/http",
    options: "wucr",
    contacts: ["alice"],
    escalations: [],
    renotifySeconds: 0,
    checkSeconds: 60,
    retrySeconds: 60,
    attempts: 1,
    volatile: false,
  };
  const host = { ...service, name: "web1", options: "dur" };
  const setup: CoreSetup = {
    monitor: "A",
    family: "4.5.12",
    objects: [service],
    contacts: [contact("alice"), contact("bob")],
    spells: [spell("web1/http", 600, 10_000)],
    restarts: [],
    acknowledgements: [],
    clock: [],
    until: 20_000,
    counter: 40,
  };
  const notices = (change: Partial<CoreSetup>): Notice[] =>
    runCore({ ...setup, ...change }, draws(1, "core"), { notice: 1, real: 1 }).notices;
  const told = (change: Partial<CoreSetup>) =>
    notices(change).map(({ type, contacts }) => `${type} ${contacts.map(({ name }) => name)}`);

  it("is silent while a state is SOFT, and about what was never HARD", () => {
    const objects = [{ ...service, attempts: 3 }];
    const [problem] = notices({ objects });
    expect(problem?.issued).toBeGreaterThan(720);
    expect(notices({ objects, spells: [spell("web1/http", 600, 700)] })).toEqual([]);
  });

  it("sends the end of an escalation to its last level before 4.5.7, and then to the usual contacts", () => {
    const escalations = [{ first: 2, last: 0, contacts: ["bob"] }];
    const objects = [{ ...service, escalations, renotifySeconds: 6000 }];
    const twice = ["PROBLEM alice", "PROBLEM bob"];
    expect(told({ objects, family: "4.5.6" })).toEqual([...twice, "RECOVERY bob"]);
    expect(told({ objects, family: "4.5.12" })).toEqual([...twice, "RECOVERY alice"]);
  });

  it("says nothing of a service while its host is down, and loses or retries the recovery", () => {
    const spells = [
      spell("web1/http", 600, 4000),
      spell("web1", 2000, 6000, "DOWN"),
      spell("web1/disk", 3000, 5000),
    ];
    const objects = [host, service, { ...service, name: "web1/disk" }];
    const of = (family: CoreSetup["family"]) =>
      notices({ objects, spells, family }).map(({ type, object }) => `${type} ${object}`);
    const before = ["PROBLEM web1/http", "PROBLEM web1"];
    expect(of("4.5.6")).toEqual([...before, "RECOVERY web1"]);
    expect(of("4.5.12")).toEqual([...before, "RECOVERY web1", "RECOVERY web1/http"]);
    expect(of("4.3")).toEqual([...before, "RECOVERY web1/http", "RECOVERY web1"]);
  });

  it("names a problem as its version does, and issues numbers again after a crash", () => {
    const ids = (change: Partial<CoreSetup>) =>
      notices(change).map(({ macros }) => [macros.pid, macros.lpid]);
    expect(ids({ family: "4.5.12" })).toEqual([
      ["41", "0"],
      ["0", "41"],
    ]);
    expect(ids({ family: "4.4.6" })).toEqual([
      ["41", "0"],
      ["41", "0"],
    ]);
    expect(ids({ family: "curl" })).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
    const spells = [spell("web1/http", 600, 900), spell("web1/http", 3000, 3300)];
    const restarts = [{ at: 2000, seconds: 10, memory: "crashes" as const }];
    const problems = notices({ spells, restarts }).filter(({ type }) => type === "PROBLEM");
    expect(problems.map(({ macros }) => macros.pid)).toEqual(["41", "41"]);
    expect(new Set(problems.map(({ real }) => real)).size).toBe(2);
  });
});

describe("the oracle", () => {
  it("draws the same history for the same seed, and one that scenarios can play", async () => {
    expect(history("pair-lossy", 5)).toEqual(history("pair-lossy", 5));
    const play = player();
    const scenario = scenarioOf(history("plain", 1));
    expect((await play(scenario, { ...head, scenarios: [] })).length).toBeGreaterThan(0);
  });

  it("finds nothing in 200 histories of each mode", { timeout: 120_000 }, async () => {
    const names = Object.keys(modes);
    const halves = [names.filter((_, index) => index % 2 === 0), names.filter((_, index) => index % 2 === 1)];
    for (const { status, text } of await Promise.all(
      halves.map((half) => run("--histories", "200", "--mode", half.join(","))),
    ))
      expect(status, text).toBe(0);
  });

  it("finds faults that are planted in the decision", { timeout: 60_000 }, async () => {
    const planted = ["worse-is-silent", "another-text", "any-monitor-ends-it", "end-for-none"];
    const { status, text } = await run("--plants", planted.join(","));
    expect(status, text).toBe(0);
    for (const name of planted) expect(text).toMatch(new RegExp(`^${name} +\\S+, seed \\d+: `, "m"));
  });

  it("says how it is used, and what it does not know", async () => {
    const usage = expect.stringContaining("npm run oracle -- --histories N");
    expect(await run()).toMatchObject({ status: 2, text: usage });
    expect(await run("--histories", "many")).toMatchObject({ status: 2, text: usage });
    expect(await run("--strange")).toMatchObject({ status: 2, text: usage });
    expect(await run("--mode", "moon", "--histories", "1")).toMatchObject({
      status: 2,
      text: expect.stringContaining("There is no mode moon."),
    });
    const list = await run("--list");
    expect(list.status).toBe(0);
    for (const name of Object.keys(modes)) expect(list.text).toMatch(new RegExp(`^${name} `, "m"));
    for (const line of list.text.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });
});

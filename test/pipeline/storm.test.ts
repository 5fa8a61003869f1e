import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RenderedMail } from "../../functions/compose/mime.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { type RelayAnswer, workerEnds } from "../../scripts/hardstate/rehearsal.ts";
import { world } from "../world/world.ts";

const second = 1000;
const begin = 1_800_000_000_000;
const burst = { most: 3, milliseconds: 60_000 };

/** The burst is three mails in a minute; each service is on the host that its first digit names. */
const stage = ({ policy, ...parts }: Parameters<typeof world>[0] = {}) => {
  const made = world({ policy: { flapHoldSeconds: 0, burst, ...policy }, ...parts });
  const tell = (type: string, service: string, state: string, change: object = {}) =>
    made.tell(type, { host: `web${service.slice(1, 2)}`, service }, state, change);
  const to = (contact = "ops@example.com") => ({ recipients: [{ email: contact }] });
  return {
    ...made,
    problem: (service: string, state = "CRITICAL", contact?: string) =>
      tell("PROBLEM", service, state, to(contact)),
    recovery: (service: string, contact?: string) => tell("RECOVERY", service, "OK", to(contact)),
    tell,
    note: (type: string, service: string, comment: string) =>
      tell(type, service, "CRITICAL", { author: "ann", comment }),
  };
};

describe("a storm", () => {
  it("begins with mails at once; after a minute one digest tells the rest", async () => {
    const { problem, pass, subjects, mails, bridge } = stage();
    for (const service of ["s11", "s12", "s21", "s22", "s23", "s31"]) await problem(service);
    expect(subjects()).toEqual(["s11", "s12", "s21"].map((one) => `[PROBLEM CRITICAL] web${one[1]}/${one}`));
    await pass(59);
    expect(mails).toHaveLength(3);
    await pass(1);
    expect(subjects().slice(3)).toEqual(["[DIGEST] 3 problems: web2 and web3"]);
    expect(mails[3]?.text).toMatch(
      /\nweb2\n {2}CRITICAL {5}s22 {2}s22 is CRITICAL\n {2}CRITICAL {5}s23 {2}s23 is CRITICAL\n\nweb3\n {2}CRITICAL {5}s31/,
    );
    expect(await bridge.ledger().totals("site")).toEqual({
      pending: 0,
      mailed: 4,
      suppressed: 0,
      digested: 3,
      refused: 0,
      dead: 0,
    });
    await pass(3600);
    expect(mails).toHaveLength(4);
  });

  it("has each of its alerts say in the journal which digest told it, and the digest what it told", async () => {
    const { problem, pass, story } = stage();
    for (const service of ["s1", "s2", "s3"]) await problem(service);
    const ids = [await problem("s4"), await problem("s5")];
    await pass(60);
    const [first, other] = await Promise.all(ids.map(story));
    expect(first).toMatchObject({ ending: { as: "digested" }, digest: { line: "s4 is CRITICAL" } });
    expect(other?.digest?.id).toBe(first?.digest?.id);
    const digest = await story(first?.digest?.id ?? "");
    expect(digest).toMatchObject({ made: "R46", members: ids, ending: { as: "mailed" } });
    expect(digest?.verdict).toMatchObject({ kind: "DIGEST", row: "R46" });
  });

  it("strikes through what recovered before the digest, and mails the recovery of a mail by itself", async () => {
    const { problem, recovery, pass, subjects, mails } = stage({ policy: { burst: { ...burst, most: 4 } } });
    for (const service of ["s1", "s2", "s3", "s4", "s5", "s6"]) await problem(service);
    await recovery("s5");
    await pass(60);
    expect(subjects().slice(4)).toEqual(
      ["[DIGEST] 1 problem, 1 recovered: web5 and web6"].map((one) =>
        one.replace("web5 and web6", "web6 and web5"),
      ),
    );
    expect(mails[4]?.html).toMatch(/<s>s5<\/s>/);
    expect(mails[4]?.html).not.toMatch(/<s>s6<\/s>/);
    expect(mails[4]?.text).toMatch(/recovered {4}s5 {2}was CRITICAL/);
    await recovery("s1");
    expect(subjects().slice(5)).toEqual(["[RECOVERY OK] web1/s1"]);
  });

  it("ends as it was told: recoveries of what a digest told come in a digest, though there is room", async () => {
    const { problem, recovery, pass, subjects, mails } = stage();
    for (const service of ["s1", "s2", "s3", "s4", "s5"]) await problem(service);
    await pass(3600);
    for (const service of ["s1", "s4", "s5"]) await recovery(service);
    expect(subjects().slice(4)).toEqual(["[RECOVERY OK] web1/s1"]);
    await pass(60);
    expect(subjects().slice(5)).toEqual(["[DIGEST] 2 recovered: web4 and web5"]);
    expect(mails[5]?.html).not.toContain("<s>");
    // A new problem of the same object is news of its own.
    await problem("s4");
    expect(subjects().at(-1)).toBe("[PROBLEM CRITICAL] web4/s4");
    await recovery("s4");
    expect(subjects().at(-1)).toBe("[RECOVERY OK] web4/s4");
  });

  it("tells a problem that comes while a digest is to tell its object's recovery in a digest, not before it", async () => {
    const { problem, recovery, pass, subjects } = stage();
    for (const service of ["s1", "s2", "s3", "s4"]) await problem(service);
    await pass(3600);
    await recovery("s4");
    await problem("s4");
    await pass(60);
    expect(subjects().slice(4)).toEqual(["[DIGEST] 1 problem: web4"]);
    await recovery("s4");
    await pass(60);
    expect(subjects().slice(5)).toEqual(["[DIGEST] 1 recovered: web4"]);
  });

  it("tells of an object once, as it was last, with the worst first", async () => {
    const { problem, pass, mails } = stage();
    for (const service of ["s1", "s2", "s3"]) await problem(service);
    await problem("s41", "WARNING");
    await problem("s42", "WARNING");
    await problem("s51", "UNKNOWN");
    await problem("s42", "CRITICAL");
    await pass(60);
    expect(mails[3]?.subject).toBe("[DIGEST] 3 problems: web4 and web5");
    expect(mails[3]?.text).toMatch(/web4\n {2}CRITICAL {5}s42.*\n {2}WARNING {6}s41.*\n\nweb5\n {2}UNKNOWN/);
  });

  it("is each contact's own", async () => {
    const { problem, pass, mails } = stage();
    for (const service of ["s1", "s2", "s3", "s4"]) {
      await problem(service);
      await problem(service, "CRITICAL", "dba@example.com");
    }
    await problem("s5");
    expect(mails).toHaveLength(6);
    await pass(60);
    expect(
      mails
        .slice(6)
        .map(({ to, subject }) => `${to} ${subject}`)
        .sort(),
    ).toEqual([
      "dba@example.com [DIGEST] 1 problem: web4",
      "ops@example.com [DIGEST] 2 problems: web4 and web5",
    ]);
  });

  it("goes on with mails and one digest in each minute", async () => {
    const { problem, pass, subjects } = stage();
    for (let minute = 0; minute < 3; minute++) {
      for (let n = 0; n < 5; n++) await problem(`s${minute}${n}`);
      await pass(60);
    }
    const kinds = subjects().map((subject) => /\w+/.exec(subject)?.[0]);
    const minute = ["PROBLEM", "PROBLEM", "PROBLEM", "DIGEST"];
    expect(kinds).toEqual([...minute, ...minute, ...minute]);
  });

  it("does not hold up what a human did", async () => {
    const { problem, tell, subjects } = stage();
    for (const service of ["s1", "s2", "s3", "s4"]) await problem(service);
    await tell("ACKNOWLEDGEMENT", "s1", "CRITICAL");
    await tell("CUSTOM", "s4", "CRITICAL");
    expect(subjects().slice(3)).toEqual(["[ACKNOWLEDGEMENT CRITICAL] web1/s1", "[CUSTOM CRITICAL] web4/s4"]);
  });

  it("of custom notifications: 60 mails in ten minutes, and digests tell all others with author and text", async () => {
    const { note, pass, mails, bridge, story } = stage();
    const ids: string[] = [];
    for (let n = 0; n < 2100; n++) ids.push(await note("CUSTOM", "s1", `look at ${n}`));
    await pass(61);
    expect(mails.map(({ subject }) => subject)).toEqual([
      ...Array(60).fill("[CUSTOM CRITICAL] web1/s1"),
      ...Array(2).fill("[DIGEST] 1000 custom notifications: web1"),
      "[DIGEST] 40 custom notifications: web1",
    ]);
    const texts = mails.map(({ text }) => text).join("\n");
    const told = [...texts.matchAll(/^(?: {2}custom +s1 {2}ann: )?(look at \d+)$/gm)].map(([, text]) => text);
    expect(told).toEqual(Array.from({ length: 2100 }, (_, n) => `look at ${n}`));
    expect(await bridge.ledger().totals("site")).toMatchObject({ pending: 0, mailed: 63, digested: 2040 });
    const { verdict, ending, digest } = await story(ids[60] ?? "");
    expect(verdict).toMatchObject({ row: "R32", kind: "CUSTOM", reason: "somebody sent this by hand" });
    expect(ending).toMatchObject({
      as: "digested",
      reason: `more than 60 CUSTOM mails in 600 s: told by the digest ${digest?.id}`,
    });
    expect((await story(digest?.id ?? "")).holds[0]?.reason).toBe(
      "more than 60 CUSTOM mails in 600 s: the rest is told together",
    );
    await pass(539);
    await note("CUSTOM", "s1", "later");
    expect(mails.at(-1)?.subject).toBe("[CUSTOM CRITICAL] web1/s1");
  }, 120_000);

  it("of one type of note holds up no other type, and no problem", async () => {
    const { note, problem, subjects } = stage();
    for (let n = 0; n < 61; n++) await note("CUSTOM", "s1", `look at ${n}`);
    await problem("s2");
    await note("ACKNOWLEDGEMENT", "s2", "on it");
    await note("FLAPPINGSTART", "s2", "");
    expect(subjects().slice(60)).toEqual([
      "[PROBLEM CRITICAL] web2/s2",
      "[ACKNOWLEDGEMENT CRITICAL] web2/s2",
      "[FLAPPINGSTART CRITICAL] web2/s2",
    ]);
  });

  it.each(["ACKNOWLEDGEMENT", "FLAPPINGSTART", "FLAPPINGSTOP", "FLAPPINGDISABLED"])(
    "of %s alerts is gathered, also where HARDSTATE_BURST is off",
    async (type) => {
      const { note, pass, mails } = stage({ policy: { burst: undefined } });
      for (let n = 0; n < 62; n++) await note(type, `s${n}`, `text ${n}`);
      expect(mails).toHaveLength(60);
      await pass(60);
      expect(mails).toHaveLength(61);
      expect(mails[60]?.text).toMatch(/ s60 {2}ann: text 60\n(.*\n)*.* s61 {2}ann: text 61\n/);
    },
  );

  it("of a day (HARDSTATE_BURST=3/d) makes no note wait for more than ten minutes", async () => {
    const { note, problem, pass, mails } = stage({
      policy: { burst: { most: 3, milliseconds: 86_400_000 } },
    });
    for (let n = 0; n < 4; n++) await problem(`s${n}`);
    for (let n = 0; n < 61; n++) await note("CUSTOM", "s1", `look at ${n}`);
    await pass(599);
    expect(mails).toHaveLength(63);
    await pass(1);
    expect(mails[63]?.subject).toBe("[DIGEST] 1 problem, 1 custom notification: web3 and web1");
  });

  it("is told mail by mail where HARDSTATE_BURST is off", async () => {
    const { problem, subjects } = stage({ policy: { burst: undefined } });
    for (let n = 0; n < 30; n++) await problem(`s${n}`);
    expect(subjects()).toHaveLength(30);
  });

  it("fills another digest when one is full", async () => {
    const { problem, pass, mails } = stage({ policy: { burst: { most: 1, milliseconds: 3_600_000 } } });
    for (let n = 0; n < 1003; n++) await problem(`s${n}`);
    await pass(3601);
    expect(mails.map(({ subject }) => subject.split(":")[0])).toEqual([
      "[PROBLEM CRITICAL] web0/s0",
      "[DIGEST] 1000 problems",
      "[DIGEST] 2 problems",
    ]);
  }, 30_000);
});

describe("a digest", () => {
  it("waits for the relay like any mail; what comes meanwhile is told by the next, after it", async () => {
    const { problem, recovery, relay, pass, subjects, mails } = stage();
    for (const service of ["s1", "s2", "s3", "s4", "s5"]) await problem(service);
    relay("away");
    await pass(90);
    await recovery("s4");
    await pass(120);
    expect(mails).toHaveLength(3);
    relay("accepted");
    await pass(1800);
    expect(subjects().slice(3)).toEqual(["[DIGEST] 2 problems: web4 and web5", "[DIGEST] 1 recovered: web4"]);
    await pass(86_400);
    expect(mails).toHaveLength(5);
  });

  it("has the same Message-ID and text at every try, and the Date of that", async () => {
    const { problem, relay, pass, mails, tries } = stage();
    for (const service of ["s1", "s2", "s3", "s4"]) await problem(service);
    relay("lost");
    await pass(60);
    relay("accepted");
    await pass(600);
    const [first, second, ...more] = tries.slice(3);
    expect(mails.slice(3)).toEqual([second]);
    const told = ({ at: _, date: __, bytes: ___, ...mail }: RenderedMail & { at: number }) => mail;
    expect([first, second].map((mail) => mail && told(mail))).toEqual([
      first && told(first),
      first && told(first),
    ]);
    expect([first?.date, second?.date]).toEqual([begin + 60_000, begin + 90_000]);
    expect(more).toEqual([]);
  });

  it("that is refused is a dead letter, the operator is told, and put back it tells the same", async () => {
    const { problem, relay, pass, mails, bridge, story } = stage({ operators: ["admin@example.com"] });
    for (const service of ["s1", "s2", "s3"]) await problem(service);
    const member = await problem("s4");
    relay("refused");
    await pass(60);
    relay("accepted");
    await pass(1);
    const id = (await story(member)).digest?.id ?? "";
    expect(await story(id)).toMatchObject({ ending: { as: "refused" } });
    expect(bridge.buried()).toContain(id);
    await problem("s5");
    await bridge.redrive();
    expect(
      mails.filter(({ subject }) => subject.startsWith("[DIGEST]")).map(({ subject }) => subject),
    ).toEqual(["[DIGEST] 1 problem: web4"]);
  });

  it("of which the ledger knows nothing makes no mail", async () => {
    const ledger = sqliteLedger(":memory:");
    const { problem, pass, mails, bridge, story } = stage({ openLedger: () => ledger });
    for (const service of ["s1", "s2", "s3", "s4"]) await problem(service);
    const { key, entry } = (await ledger.due(begin + 60 * second, 1))[0] ?? {};
    if (!key || !entry) throw new Error("no digest is held");
    await ledger.write({ key, entry: { ...entry, storm: undefined }, records: [] });
    await pass(60);
    expect(mails).toHaveLength(3);
    const id = Object.keys(entry.held)[0] ?? "";
    expect(await story(id)).toMatchObject({ ending: { as: "suppressed" }, verdict: { row: "R46" } });
    expect(bridge.waiting()).toEqual([]);
  });
});

describe("whatever dies in a storm", () => {
  /** A ledger whose `nth` write never returns: done or not, the worker ends there. */
  const dyingAt = (nth: number, done: boolean) => {
    const ledger = sqliteLedger(":memory:");
    let writes = 0;
    const write: Ledger["write"] = async (change) => {
      writes += 1;
      if (writes !== nth) return ledger.write(change);
      if (done) await ledger.write(change);
      throw new Error(workerEnds);
    };
    return { openLedger: () => ({ ...ledger, write }), writes: () => writes };
  };
  /** How often each object's problem and recovery was told, in whatever mail. */
  const toldIn = (mails: readonly RenderedMail[]) => {
    const told: string[] = [];
    for (const { subject, text } of mails) {
      const alone = /^\[(PROBLEM|RECOVERY) \w+\] web\d\/(\w+)$/.exec(subject);
      if (alone) told.push(`${alone[1]} ${alone[2]}`);
      for (const [, word = "", service] of text.matchAll(/^ {2}(\w+) +(s\d+)(?: |$)/gm))
        if (!alone) told.push(`${word === "recovered" ? "RECOVERY" : "PROBLEM"} ${service}`);
    }
    return told.sort();
  };
  const play = async (nth: number, done: boolean) => {
    const dying = dyingAt(nth, done);
    const { problem, recovery, pass, mails, bridge } = stage({ openLedger: dying.openLedger });
    const services = ["s1", "s2", "s3", "s4", "s5", "s6"];
    for (const service of services) await problem(service);
    await pass(700);
    for (const service of services) await recovery(service);
    await pass(1400);
    return {
      told: toldIn(mails),
      mails,
      totals: await bridge.ledger().totals("site"),
      waiting: bridge.waiting(),
      writes: dying.writes(),
    };
  };

  it("at any write, before it or after it, every problem and every recovery is told once", async () => {
    const whole = await play(0, false);
    expect(whole.told).toHaveLength(12);
    expect(whole.mails.map(({ subject }) => /\w+/.exec(subject)?.[0])).toEqual([
      ...["PROBLEM", "PROBLEM", "PROBLEM", "DIGEST"],
      ...["RECOVERY", "RECOVERY", "RECOVERY", "DIGEST"],
    ]);
    expect(whole.writes).toBeGreaterThan(30);
    for (let nth = 1; nth <= whole.writes; nth++)
      for (const done of [false, true]) {
        const { told, mails, totals, waiting } = await play(nth, done);
        // A mail that went out and could not be noted has a second copy, with its Message-ID.
        const copies = mails.length - new Set(mails.map(({ messageId }) => messageId)).size;
        expect(copies, `write ${nth}`).toBeLessThanOrEqual(1);
        expect(new Set(told), `write ${nth}, ${done ? "after" : "before"} it`).toEqual(new Set(whole.told));
        if (copies === 0) expect(told, `write ${nth}, ${done ? "after" : "before"} it`).toEqual(whole.told);
        expect(totals.pending).toBe(0);
        expect(waiting).toEqual([]);
      }
  }, 60_000);
});

it("whatever happens, each alert ends once and each digested one is a member of the digest that it names", async () => {
  const act = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ service: fc.integer({ min: 0, max: 9 }), bad: fc.integer({ min: 0, max: 2 }) }),
    },
    { weight: 1, arbitrary: fc.record({ seconds: fc.constantFrom(1, 20, 61, 500) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        relay: fc.constantFrom<RelayAnswer>("accepted", "away", "lost", "crash", "deferred"),
      }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 60 }), async (acts) => {
      const { problem, recovery, pass, relay, bridge } = stage();
      for (const one of acts) {
        if ("seconds" in one) await pass(one.seconds);
        else if ("relay" in one) relay(one.relay);
        else if (one.bad > 0) await problem(`s${one.service}`, one.bad > 1 ? "CRITICAL" : "WARNING");
        else await recovery(`s${one.service}`);
      }
      relay("accepted");
      await pass(4 * 3600);
      const { items } = await bridge.ledger().journal({ site: "site", limit: 500 });
      const byId = new Map(items.map((record) => [record.id, record]));
      for (const { ending, digest, id } of items) {
        expect(ending).toBeDefined();
        expect(ending?.as === "digested").toBe(digest !== undefined);
        if (digest) expect(byId.get(digest.id)?.members).toContain(id);
      }
      for (const { id, members, ending } of items) {
        if (members) expect(ending?.as).toBe("mailed");
        for (const member of members ?? []) expect(byId.get(member)?.digest?.id).toBe(id);
      }
    }),
    { numRuns: 60 },
  );
}, 60_000);

import { describe, expect, it } from "vitest";
import { defaultPolicy, type Policy } from "../../functions/decide/policy.ts";
import { relays } from "../../functions/deliver/routes.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { admit, join } from "../../functions/ledger/storm.ts";
import { pipeline } from "../../functions/pipeline/pipeline.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { type OutgoingMessage, toMessage } from "../../functions/queue/message.ts";
import { workerEnds } from "../../scripts/hardstate/rehearsal.ts";
import { queuedAlert } from "../world/alerts.ts";
import { world } from "../world/world.ts";

const begin = 1_800_000_000_000;
const burst = { most: 3, milliseconds: 60_000 };

/** The burst is three mails in a minute; all services are on one host. */
const stage = (policy: Partial<Policy> = {}, openLedger?: () => Ledger & { close(): void }) => {
  const made = world({ policy: { flapHoldSeconds: 0, burst, ...policy }, openLedger });
  const web = (service: string) => ({ host: "web", service });
  return {
    ...made,
    problem: (service: string, change?: object) => made.tell("PROBLEM", web(service), "CRITICAL", change),
    recovery: (service: string, change?: object) => made.tell("RECOVERY", web(service), "OK", change),
    told: (service: string) =>
      made.mails.flatMap(({ subject, text }) => [
        ...(subject.includes(`web/${service}`) ? [/\w+/.exec(subject)?.[0]] : []),
        ...[...text.matchAll(/^ {2}(\w+) +(s\d+)(?: |$)/gm)]
          .filter(([, , one]) => one === service)
          .map(([, word]) => `digest ${word}`),
      ]),
  };
};
const nothingAlone: Policy = { ...defaultPolicy, burst: { ...burst, most: 0 } };
const four = ["s1", "s2", "s3", "s4"];

it("a recovery comes after the digest of its problem, though HARDSTATE_BURST was turned off between them", async () => {
  const { problem, recovery, policy, pass, told } = stage();
  for (const s of four) await problem(s);
  policy.burst = undefined;
  await recovery("s4");
  await pass(120);
  expect(told("s4").at(-1)).not.toBe("digest CRITICAL");
  expect(told("s4")).toEqual(["digest recovered"]);
});

it("sixty downtimes in a second are the first three mails and a digest", async () => {
  const { tell, pass, subjects, mails, story } = stage();
  const of = { author: "ann", comment: "kernel update\nof all" };
  const ids: string[] = [];
  for (let n = 1; n <= 60; n++)
    ids.push(await tell("DOWNTIMESTART", { host: "web", service: `s${n}` }, "OK", of));
  expect(subjects()).toEqual([1, 2, 3].map((n) => `[DOWNTIMESTART OK] web/s${n}`));
  await pass(60);
  expect(subjects().slice(3)).toEqual(["[DIGEST] 57 downtimes started: web"]);
  expect(
    mails[3]?.text.match(/^ {2}downtime {5}s\d+ +started \(ann: kernel update of all\)$/gm),
  ).toHaveLength(57);
  expect((await story(ids[59] ?? "")).ending).toMatchObject({ as: "digested" });
  await pass(3600);
  expect(mails).toHaveLength(4);
});

it("acknowledgements and custom notifications in a storm are never held up", async () => {
  const { tell, problem, subjects } = stage();
  for (const s of four) await problem(s);
  for (const type of ["ACKNOWLEDGEMENT", "CUSTOM"])
    await tell(type, { host: "web", service: "s1" }, "CRITICAL");
  expect(subjects().slice(3)).toEqual(["[ACKNOWLEDGEMENT CRITICAL] web/s1", "[CUSTOM CRITICAL] web/s1"]);
});

it("a downtime after the storm is a mail of its own, though a digest told the problem; before that, it is in the digest", async () => {
  const { tell, problem, pass, subjects } = stage();
  for (const s of four) await problem(s);
  await tell("DOWNTIMESTART", { host: "web", service: "s4" }, "CRITICAL");
  await pass(60);
  expect(subjects().slice(3)).toEqual(["[DIGEST] 1 problem, 1 downtime started: web"]);
  await tell("DOWNTIMEEND", { host: "web", service: "s4" }, "CRITICAL");
  expect(subjects().slice(4)).toEqual(["[DOWNTIMEEND CRITICAL] web/s4"]);
});

describe("a digest that was refused and is put back tells how it stands now", () => {
  it("after the recovery was told", async () => {
    const { problem, recovery, relay, pass, told, bridge } = stage();
    for (const s of four) await problem(s);
    relay("refused");
    await pass(60);
    relay("accepted");
    await pass(1);
    await recovery("s4");
    await pass(120);
    await bridge.redrive();
    await pass(120);
    expect(told("s4").at(-1)).not.toBe("digest CRITICAL");
  });
  it("after a new problem was told", async () => {
    const { problem, recovery, relay, pass, told, bridge } = stage();
    for (const s of four) await problem(s);
    await pass(61);
    await recovery("s4");
    relay("refused");
    await pass(60);
    relay("accepted");
    await pass(1);
    await problem("s4");
    await pass(120);
    await bridge.redrive();
    await pass(120);
    expect(told("s4").at(-1)).not.toBe("digest recovered");
  });
});

it("a problem of a digest that nobody took is told at its next notification, as after a dead mail", async () => {
  const { problem, relay, pass, told } = stage();
  for (const s of four) await problem(s);
  relay("refused");
  await pass(60);
  relay("accepted");
  await pass(3600);
  await problem("s4", { notification: { id: "900", number: 2 } });
  await pass(120);
  expect(told("s4")).not.toEqual([]);
});

it("an alert that waited for its host for more than 30 days is not forgotten before its digest is mailed", async () => {
  const { tell, problem, pass, told, subjects } = stage({ hostCoverSeconds: 43_200 });
  const host = { host: "web" };
  await tell("PROBLEM", host, "DOWN");
  for (let n = 0; n < 6; n++) await problem(`s${n}`);
  for (let day = 0; day < 40; day++) {
    await pass(86_400);
    await tell("PROBLEM", host, "DOWN", { notification: { id: String(1000 + day), number: day + 2 } });
  }
  await tell("RECOVERY", host, "UP", { notification: { id: "5000", number: 1 } });
  await pass(50_000);
  expect(subjects().length).toBeGreaterThan(4);
  for (let n = 0; n < 6; n++) expect(told(`s${n}`)).toHaveLength(1);
});

it("an alert whose worker dies twice on its way into a digest is told once, though digests closed meanwhile", async () => {
  const memory = sqliteLedger(":memory:");
  let dieAt: ((change: Parameters<Ledger["write"]>[0]) => boolean) | undefined;
  const write: Ledger["write"] = async (change) => {
    if (dieAt?.(change)) {
      dieAt = undefined;
      throw new Error(workerEnds);
    }
    return memory.write(change);
  };
  const { problem, pass, told, bridge } = stage({}, () => ({ ...memory, write }));
  for (const s of four) await problem(s);
  // Dies between settling and joining; its message comes again when that digest is mailed.
  dieAt = ({ records, entry }) =>
    records.length === 0 && Object.values(entry.storm?.digests ?? {})[0]?.length === 2;
  await problem("s5");
  expect(dieAt).toBeUndefined();
  await pass(61);
  dieAt = ({ records: [record] }) => record?.ending?.as === "digested";
  await pass(3600);
  expect(dieAt).toBeUndefined();
  expect(told("s5")).toEqual(["digest CRITICAL"]);
  const { items } = await bridge.ledger().journal({ site: "site", limit: 500 });
  expect(items.every(({ ending }) => ending)).toBe(true);
});

it("two objects of one printed name have a line each", async () => {
  const { problem, tell, pass, mails } = stage();
  for (const s of ["s1", "s2", "s3"]) await problem(s);
  await tell("PROBLEM", { host: "web/a", service: "b" }, "CRITICAL");
  await tell("PROBLEM", { host: "web", service: "a/b" }, "CRITICAL");
  await tell("RECOVERY", { host: "web", service: "a/b" }, "OK");
  await pass(60);
  expect(mails.at(-1)?.subject).toMatch(/^\[DIGEST\] 1 problem, 1 recovered/);
});

it("a digest tells the last decision about an object, not the last alert received", async () => {
  const { problem, recovery, pass, mails, tell } = stage({ burst: { most: 3, milliseconds: 3_600_000 } });
  for (const s of ["s1", "s2", "s3"]) await problem(s);
  await tell("PROBLEM", { host: "web", service: "s4" }, "WARNING");
  const m2 = { monitor: { id: "m2", start: 1 } };
  await tell("PROBLEM", { host: "web", service: "s4" }, "WARNING", m2);
  await pass(10);
  await recovery("s4");
  await pass(10);
  await problem("s4", m2);
  await problem("s5");
  await pass(7200);
  expect(mails.at(-1)?.subject).toMatch(/1 problem, 1 recovered/);
});

it("a problem comes after the digest of a recovery that had no problem", async () => {
  const { problem, recovery, pass, told, relay } = stage({ orphanRecovery: true });
  for (const s of ["s1", "s2", "s3"]) await problem(s);
  await recovery("s9");
  relay("away");
  await pass(120);
  relay("accepted");
  await problem("s9");
  await pass(7200);
  expect(told("s9").at(-1)).not.toBe("digest recovered");
});

it("a digest that was due while the bridge was off for 31 days is whole", async () => {
  const memory = sqliteLedger(":memory:");
  let off = false;
  const { problem, pass, told } = stage({}, () => ({
    ...memory,
    due: async (now, limit) => (off ? [] : memory.due(now, limit)),
    prune: async (before, limit) => (off ? 0 : memory.prune(before, limit)),
  }));
  for (const s of four) await problem(s);
  off = true;
  await pass(31 * 86_400);
  off = false;
  await pass(86_400);
  expect(told("s4")).toEqual(["digest CRITICAL"]);
});

it("ids of alerts may be names that every object has", async () => {
  const { problem, recovery, pass, told, bridge } = stage();
  for (const s of ["s1", "s2", "s3"]) await problem(s);
  await problem("s4", { id: "constructor" });
  await problem("s5", { id: "__proto__" });
  await problem("s6", { id: "toString" });
  await pass(60);
  await recovery("s4", { id: "hasOwnProperty" });
  await pass(60);
  expect([told("s4"), told("s5"), told("s6")]).toEqual([
    ["digest CRITICAL", "digest recovered"],
    ["digest CRITICAL"],
    ["digest CRITICAL"],
  ]);
  expect((await bridge.ledger().totals("site")).pending).toBe(0);
});

it("a digest does not wait for a clock that was set back", async () => {
  const ledger = sqliteLedger(":memory:");
  const joining = async (id: string, now: number) => {
    const queued = queuedAlert({ id, receivedAt: now });
    const noted = await admit(ledger, queued, nothingAlone, undefined, undefined, now);
    return join(ledger, queued, noted?.id ?? "", nothingAlone, now);
  };
  const digest = await joining("alert-0001", begin);
  expect(await ledger.due(begin + 60_000, 1)).toHaveLength(1);
  expect(await joining("alert-0002", begin - 86_400_000)).toBe(digest);
  expect(await ledger.due(begin - 86_400_000 + 60_000, 1)).toHaveLength(1);
});

it("a digest that is full is mailed before the next, though a worker's clock is behind", async () => {
  const ledger = sqliteLedger(":memory:");
  const joining = async (id: string, now: number) => {
    const queued = queuedAlert({ id, receivedAt: now });
    const noted = await admit(ledger, queued, nothingAlone, undefined, undefined, now);
    return join(ledger, queued, noted?.id ?? "", nothingAlone, now);
  };
  const first = await joining("alert-0000", begin);
  for (let n = 1; n < 1000; n++) await joining(`alert-${n}`, begin);
  const second = await joining("alert-1000", begin - 40_000);
  expect(second).not.toBe(first);
  const [due] = await ledger.due(begin + 86_400_000, 1);
  expect(due?.alerts.map(({ queued }) => queued.id)).toEqual([first, second]);
});

/** A worker with a relay that takes all, on a clock that a test sets. */
const workerAt = (ledger: Ledger, clock: () => number) => {
  const report = () => undefined;
  const sent: OutgoingMessage[] = [];
  const queue = {
    send: async (messages: readonly OutgoingMessage[]) => {
      sent.push(...messages);
      return messages.map(() => true);
    },
  };
  const accepted = { result: "accepted" as const, reply: "250 Ok", code: 250, durationMilliseconds: 1 };
  const route = {
    relay: { route: "a", connections: 3 },
    transport: { route: "a", send: async () => accepted },
  };
  const handle = pipeline({
    ledger,
    queue,
    handOver: relays({ routes: [route], states: ledger, clock }),
    operators: [],
    sender: { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" },
    policy: defaultPolicy,
    giveUpAfterSeconds: 3600,
    clock,
    report,
  });
  return {
    sent,
    handed: (message: OutgoingMessage) =>
      handle({ ...message, receipt: "1", receiveCount: 1, visibleAgainAt: clock() + 400_000 }),
    sweep: (now: number) => sweep({ ledger, queue, operators: [], report }, now),
  };
};

it("a worker whose clock is behind does not take an alert from the sweep for one that still waits", async () => {
  let now = begin;
  const { handed, sweep, sent } = workerAt(sqliteLedger(":memory:"), () => now);
  const message = toMessage(queuedAlert({ receivedAt: begin }, { degraded: true }));
  expect(await handed(message)).toEqual({ message: "remove" });
  const due = begin + defaultPolicy.degradedHoldSeconds * 1000;
  now = due - 50;
  expect(await handed(message)).toEqual({ message: "give-back", afterSeconds: 1 });
  await sweep(due);
  expect(sent).toHaveLength(1);
  expect(await handed(message)).toEqual({ message: "give-back", afterSeconds: 1 });
});

it("a recovery that one contact's notification has made is not made again by the same for another", async () => {
  let now = begin;
  const { handed, sweep, sent } = workerAt(sqliteLedger(":memory:"), () => now);
  const alert = (id: string, contact: string, more: Record<string, unknown>) =>
    toMessage(queuedAlert({ id, contact, receivedAt: begin }, { time: begin / 1000, ...more }));
  const stop = { type: "FLAPPINGSTOP", state: "OK", notification: { id: "102", number: 1 } };
  await handed(alert("alert-0001", "ops@example.com", {}));
  await handed(alert("alert-0002", "ops@example.com", { monitor: { id: "monitor2", start: 1000 } }));
  await handed(alert("alert-0003", "ops@example.com", stop));
  now = begin + 60_000;
  await sweep(now);
  const [made] = sent;
  // The other monitor still reports the problem, so it waits.
  expect(made && (await handed(made))).toEqual({ message: "remove" });
  await handed(alert("alert-0004", "dba@example.com", stop));
  now = begin + 120_000;
  await sweep(now);
  expect(sent).toHaveLength(1);
});

import { beforeEach, describe, expect, it } from "vitest";
import type { Verdict } from "../../functions/decide/case.ts";
import { emptyEntry, openProblem, told, withHeld } from "../../functions/decide/entry.ts";
import { isRolledBack } from "../../functions/decide/order.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import type { Attempt } from "../../functions/deliver/outcome.ts";
import { fingerprint } from "../../functions/identity.ts";
import { newRecord } from "../../functions/ledger/journal.ts";
import type { Ledger, Page } from "../../functions/ledger/ledger.ts";
import { claim, hold, release, settle, settleUnsent } from "../../functions/ledger/page.ts";
import {
  countOf,
  findRejection,
  listRejections,
  mostRejections,
  noteRejected,
  noteWrongTokens,
  type Rejected,
  turnedAway,
} from "../../functions/ledger/rejection.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import type { OutgoingMessage, QueuedAlert } from "../../functions/queue/message.ts";
import { queuedAlert } from "../world/alerts.ts";

const attempt: Attempt = {
  at: 1,
  route: "smtp://relay",
  outcome: {
    result: "accepted",
    reply: "250 2.0.0 Ok: queued as ABC",
    code: 250,
    queueId: "ABC",
    durationMilliseconds: 5,
  },
};
/** A problem of a host, from one run of a monitor. */
const from = (id: string, start: number, number: number) =>
  queuedAlert(
    { id },
    {
      object: { host: id, service: null },
      state: "DOWN",
      monitor: { id: "A", start },
      notification: { id: String(number) },
    },
  );
const handOut = { visibleAgainAt: 60_000, receiveCount: 1 };
const toSend = (page: Page, queued = queuedAlert()): Verdict & { action: "send" } => {
  const verdict = decide(page, queued, defaultPolicy, 1000);
  if (verdict.action !== "send") throw new Error(`not to be sent: ${verdict.reason}`);
  return verdict;
};

/**
 * A ledger to be tried, empty. `reopen` opens what it wrote, as another process would; `forget` does what time does to
 * what ended before it, and tells how many records and entries that were.
 */
export type Tried = { ledger: Ledger; reopen(): Ledger; forget(before: number): Promise<number> };

/** The promises of every ledger. */
export const contract = (name: string, make: () => Promise<Tried>) =>
  describe(name, () => {
    let ledger: Ledger;
    let reopen: Tried["reopen"];
    let forget: Tried["forget"];
    beforeEach(async () => {
      ({ ledger, reopen, forget } = await make());
    });

    it("knows nothing of an object that it never met", async () => {
      const page = await ledger.read(queuedAlert());
      expect(page.entry).toEqual(emptyEntry);
      expect(page.host).toBeUndefined();
      expect(page.record).toMatchObject({ id: queuedAlert().id, attempts: [] });
      expect(page.record.ending).toBeUndefined();
      expect(page.twin).toBeUndefined();
    });

    it("keeps a claim with attempt and time for whoever opens it next", async () => {
      const queued = queuedAlert();
      const page = await ledger.read(queued);
      expect(await claim(ledger, page, toSend(page), "<m@example.com>", 1000, handOut)).toBeDefined();
      const { record, entry } = await reopen().read(queued);
      expect(record.claim).toEqual({ attempt: 1, since: 1000, until: 60_000, receiveCount: 1 });
      expect(record.messageId).toBe("<m@example.com>");
      expect(entry.revision).toBe(1);
      expect(entry.contacts).toEqual({});
    });

    it("goes on with the story of a dead letter for whoever has it put back by hand, and for nobody else", async () => {
      const queued = queuedAlert();
      const page = await ledger.read(queued);
      const ending = { at: 2000, as: "dead", reason: "given up" } as const;
      await settle(ledger, queued, page, { attempts: [] }, ending, (entry) => entry);
      expect(await ledger.read(queued)).toMatchObject({ record: { ending }, putBack: false });
      const back = { ...queued, putBackAt: 3000 };
      const again = await ledger.read(back);
      expect(again).toMatchObject({ record: { putBackAt: 3000 }, putBack: true });
      expect(again.record.ending).toBeUndefined();
      await settle(ledger, back, again, { attempts: [] }, ending, (entry) => entry);
      expect(await ledger.read(back)).toMatchObject({ record: { ending }, putBack: false });
    });

    it("gives one of two workers the claim when both read the same revision", async () => {
      const [queued, other] = [queuedAlert(), reopen()];
      const [mine, theirs] = [await ledger.read(queued), await other.read(queued)];
      const claims = await Promise.all([
        claim(ledger, mine, toSend(mine), "<m@example.com>", 1000, handOut),
        claim(other, theirs, toSend(theirs), "<m@example.com>", 1000, handOut),
      ]);
      expect(claims.filter(Boolean)).toHaveLength(1);
    });

    it("changes neither entry nor journal on a conflict", async () => {
      const queued = queuedAlert();
      const stale = await ledger.read(queued);
      await claim(ledger, stale, toSend(stale), "<m@example.com>", 1000, handOut);
      const before = await ledger.read(queued);
      expect(
        await settleUnsent(ledger, stale, { ...toSend(stale), action: "suppress", row: "R3" }, 2000),
      ).toBe(false);
      expect(await ledger.read(queued)).toEqual(before);
    });

    it("settles with what the contact was told, on top of what others wrote meanwhile", async () => {
      const [alice, bob] = [
        queuedAlert({ id: "alert-of-alice" }),
        queuedAlert({ id: "alert-of-bob", contact: "bob@example.com" }),
      ];
      const page = await ledger.read(alice);
      const verdict = toSend(page, alice);
      const mine = await claim(ledger, page, verdict, "<m@example.com>", 1000, handOut);
      if (!mine) throw new Error("no claim");
      const bobs = await ledger.read(bob);
      await claim(ledger, bobs, toSend(bobs, bob), "<n@example.com>", 1001, handOut);
      await settle(
        ledger,
        alice,
        mine,
        { attempts: [attempt] },
        { at: 2000, as: "mailed", reason: "250" },
        (entry) => told(entry, verdict.kind, alice, verdict.episode?.id, 2000),
      );
      const after = await reopen().read(alice);
      expect(after.record).toMatchObject({ ending: { as: "mailed" }, attempts: [attempt] });
      expect(after.record.claim).toBeUndefined();
      expect(after.entry.contacts["ops@example.com"]).toMatchObject({ state: "CRITICAL", recovered: false });
      expect(after.entry.contacts["bob@example.com"]).toBeUndefined();
      expect((await reopen().read(bob)).record.claim).toBeDefined();
    });

    it("keeps what is named __proto__, constructor, toJSON or 10", async () => {
      for (const name of ["__proto__", "constructor", "toJSON", "10"]) {
        const queued = queuedAlert(
          { id: name, site: name, contact: `${name}@example.com`.toLowerCase() },
          { monitor: { id: name, start: 1000 }, object: { host: name, service: name } },
        );
        const page = await ledger.read(queued);
        const wait = { action: "hold", row: "R29", reason: "it waits", due: 5000 } as const;
        const waiting = withHeld(toSend(page, queued).entry, queued, "R29", 5000);
        expect(await hold(ledger, page, queued, { ...wait, entry: waiting }, 1000)).toBe(true);
        const held = await reopen().read(queued);
        expect(Object.keys(held.entry.held)).toEqual([name]);
        expect((await reopen().due(5000, 1))[0]?.alerts).toMatchObject([{ queued: { id: name } }]);
        const verdict = toSend(held, queued);
        const mine = await claim(ledger, held, verdict, "<m@example.com>", 2000, handOut);
        if (!mine) throw new Error("no claim");
        const ending = { at: 3000, as: "mailed", reason: "250" } as const;
        await settle(ledger, queued, mine, { attempts: [attempt] }, ending, (entry) =>
          told(entry, verdict.kind, queued, verdict.episode?.id, 3000),
        );
        const { entry, record } = await reopen().read(queued);
        expect(record).toMatchObject({ ending, monitor: name, host: name, service: name });
        expect([Object.keys(entry.held), Object.keys(entry.monitors)]).toEqual([[], [name]]);
        expect(Object.keys(entry.contacts[queued.contact]?.names ?? {})).toEqual([name]);
        expect(openProblem(entry)).toMatchObject({ monitors: [name], told: [{ contact: queued.contact }] });
        await ledger.writeHeartbeat({ ...(await ledger.heartbeat(name, name)), at: 4000 });
        expect(await reopen().heartbeat(name, name)).toMatchObject({ site: name, monitor: name, at: 4000 });
      }
    });

    it("releases a claim with the attempt noted and no ending", async () => {
      const queued = queuedAlert();
      const page = await ledger.read(queued);
      const mine = await claim(ledger, page, toSend(page), "<m@example.com>", 1000, handOut);
      if (!mine) throw new Error("no claim");
      await release(ledger, queued, mine, { attempts: [attempt] }, 1000);
      const { record } = await reopen().read(queued);
      expect(record).toMatchObject({ attempts: [attempt] });
      expect(record.claim).toBeUndefined();
      expect(record.ending).toBeUndefined();
    });

    it("names the twin of an alert that reports the same event, and no other", async () => {
      const first = queuedAlert({ id: "the-first-one" });
      const page = await ledger.read(first);
      await claim(ledger, page, toSend(page), "<m@example.com>", 1000, handOut);
      expect((await ledger.read(queuedAlert({ id: "second-run" }))).twin).toBe("the-first-one");
      expect((await ledger.read(first)).twin).toBeUndefined();
      expect(
        (await ledger.read(queuedAlert({ id: "second-run", contact: "bob@example.com" }))).twin,
      ).toBeUndefined();
      expect((await ledger.read(queuedAlert({ id: "second-run", site: "other" }))).twin).toBeUndefined();
    });

    it("tells an alert's story to its own site alone", async () => {
      const queued = queuedAlert();
      const page = await ledger.read(queued);
      await settleUnsent(
        ledger,
        page,
        { ...toSend(page), action: "suppress", row: "R3", reason: "told before" },
        2000,
      );
      expect(await reopen().story(queued.site, queued.id)).toMatchObject({
        ending: { as: "suppressed", reason: "told before", at: 2000 },
        verdict: { row: "R3" },
      });
      expect(await ledger.story("other", queued.id)).toBeUndefined();
      expect(await ledger.story(queued.site, "unknown-id")).toBeUndefined();
    });

    it("finds nothing of a name that is longer than any, or of none", async () => {
      const queued = queuedAlert();
      const page = await ledger.read(queued);
      await claim(ledger, page, toSend(page), "<m@example.com>", 1000, handOut);
      const long = "x".repeat(5000);
      expect(await ledger.story("site", long)).toBeUndefined();
      for (const name of [long, ""]) {
        expect(await ledger.journal({ site: "site", object: name, limit: 10 })).toEqual({ items: [] });
        expect(await ledger.journal({ site: "site", contact: name, limit: 10 })).toEqual({ items: [] });
      }
    });

    it("tells in an alert's story what came back of its mail, once each, in order", async () => {
      const queued = queuedAlert();
      const page = await ledger.read(queued);
      await claim(ledger, page, toSend(page), "<m@example.com>", 1000, handOut);
      const bounce = {
        at: 5000,
        kind: "bounce",
        contact: "ops@example.com",
        reply: "550 no such user",
      } as const;
      const complaint = { ...bounce, at: 20_000, kind: "complaint", reply: "abuse" } as const;
      for (const returned of [complaint, bounce, bounce])
        await ledger.noteReturned("site", queued.id, returned);
      expect(await reopen().story("site", queued.id)).toMatchObject({ returned: [bounce, complaint] });
      expect((await ledger.read(queued)).record.returned).toBeUndefined();
      await ledger.noteReturned("site", "unknown-id", bounce);
      expect(await ledger.story("site", "unknown-id")).toBeUndefined();
    });

    it("finds an alert by the name of its mail, from its first try on", async () => {
      const [queued, name] = [queuedAlert(), "0a".repeat(20)];
      const page = await ledger.read(queued);
      expect(await ledger.mailed(name)).toBeUndefined();
      const claimed = await claim(ledger, page, toSend(page), `<${name}@example.com>`, 1000, handOut);
      expect(await reopen().mailed(name)).toMatchObject({ id: queued.id, site: queued.site });
      await settle(
        ledger,
        queued,
        claimed ?? page,
        { attempts: [attempt] },
        { at: 2000, as: "mailed", reason: "250" },
        (entry) => entry,
      );
      expect(await reopen().mailed(name)).toMatchObject({ id: queued.id, ending: { as: "mailed" } });
      expect(await ledger.mailed("0b".repeat(20))).toBeUndefined();
    });

    it("lists what came back of a site's mails, the last first", async () => {
      const bounce = {
        at: 5000,
        kind: "bounce",
        contact: "a@example.com",
        reply: "550",
        permanent: true,
      } as const;
      await ledger.noteReturned("site", "alert-0001", bounce);
      await ledger.noteReturned("site", "alert-0000", { ...bounce, at: 7000 });
      await ledger.noteReturned("site", "alert-0002", { ...bounce, at: 6000 });
      await ledger.noteReturned("site2", "alert-0003", bounce);
      expect(await reopen().returned("site")).toEqual([
        { ...bounce, at: 7000, id: "alert-0000" },
        { ...bounce, at: 6000, id: "alert-0002" },
        { ...bounce, id: "alert-0001" },
      ]);
      expect(await ledger.returned("sit")).toEqual([]);
    });

    it("counts every one of many concurrent changes to one entry", async () => {
      const ledgers = [ledger, reopen()];
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const mine = ledgers[index % 2] ?? ledger;
          const queued = queuedAlert({ id: `alert-number-${index}`, contact: `c${index}@example.com` });
          for (;;) {
            const page = await mine.read(queued);
            if (await claim(mine, page, toSend(page, queued), "<m@example.com>", 1000, handOut)) return;
          }
        }),
      );
      expect((await reopen().read(queuedAlert())).entry.revision).toBe(20);
    });

    /** Takes an alert to its end without a mail. */
    const suppressed = async (queued: QueuedAlert) => {
      const page = await ledger.read(queued);
      const verdict = decide(page, queued, defaultPolicy, queued.receivedAt);
      await settleUnsent(ledger, page, { ...verdict, action: "suppress" } as Verdict, queued.receivedAt);
    };
    /** The monitor's known runs when this alert is looked at. */
    const runsWith = async (id: string, start: number, number: number) => {
      const { runs = [] } = await reopen().read(from(id, start, number));
      return runs.map(
        ({ start, lowest, highest }) =>
          `${start}: ${lowest}-${highest}${isRolledBack(runs, start) ? ", rolled back" : ""}`,
      );
    };
    const waits = (id: string, until: number, service = "HTTP") => {
      const queued = queuedAlert({ id }, { object: { host: "web01", service }, degraded: true });
      return { queued: { ...queued, receivedAt: until - 5000 }, until };
    };
    const holdIt = async ({ queued }: { queued: QueuedAlert }) => {
      const page = await ledger.read(queued);
      const verdict = decide(page, queued, defaultPolicy, queued.receivedAt);
      if (verdict.action !== "hold") throw new Error("not to be held");
      return hold(ledger, page, queued, verdict, queued.receivedAt);
    };

    it("gives what it holds when it is due, and not before, the first due first", async () => {
      const [late, early] = [waits("alert-late", 20_000, "Disk"), waits("alert-early", 10_000)];
      for (const one of [late, early]) expect(await holdIt(one)).toBe(true);
      expect(await ledger.due(9999, 10)).toEqual([]);
      const due = await reopen().due(20_000, 10);
      expect(due.map(({ object, alerts }) => [object, alerts])).toEqual([
        ["web01/HTTP", [{ queued: early.queued, due: 10_000 }]],
        ["web01/Disk", [{ queued: late.queued, due: 20_000 }]],
      ]);
      expect(await ledger.due(20_000, 1)).toHaveLength(1);
    });

    it("gives a long alert whole to each contact for whom it waits", async () => {
      const { queued } = waits("alert-long", 10_000);
      const long = { ...queued, alert: { ...queued.alert, long_output: "x".repeat(20_000) } };
      const [one, other] = ["one", "other"].map((name) => ({
        queued: { ...long, id: `alert-${name}`, contact: `${name}@example.com` },
      }));
      for (const each of [one, other]) if (each) expect(await holdIt(each)).toBe(true);
      const [due] = await reopen().due(10_000, 10);
      expect(due?.alerts.map(({ queued }) => queued)).toEqual([one?.queued, other?.queued]);
      if (one) await suppressed(one.queued);
      const [left] = await reopen().due(10_000, 10);
      expect(left?.alerts.map(({ queued }) => queued)).toEqual([other?.queued]);
    });

    it("does not give again what the queue has", async () => {
      const one = waits("alert-0001", 10_000);
      await holdIt(one);
      const [due] = await ledger.due(10_000, 10);
      const held = due?.entry.held["alert-0001"];
      if (!due || !held) throw new Error("nothing is due");
      const entry = { ...due.entry, held: { "alert-0001": { ...held, queued: true as const } } };
      expect(await ledger.write({ key: due.key, entry, records: [] })).toBe(true);
      expect(await ledger.write({ key: due.key, entry, records: [] })).toBe(false);
      expect(await reopen().due(10_000, 10)).toEqual([]);
    });

    it("shows a service's alert what is known of its host", async () => {
      const host = queuedAlert({ id: "alert-of-host" }, { object: { host: "web01" }, state: "DOWN" });
      const page = await ledger.read(host);
      await claim(ledger, page, toSend(page, host), "<m@example.com>", 1000, handOut);
      const { host: known, entry } = await reopen().read(queuedAlert());
      expect(known && openProblem(known)?.state).toBe("DOWN");
      expect(entry).toEqual(emptyEntry);
      expect((await ledger.read(queuedAlert({ site: "other" }))).host).toBeUndefined();
    });

    it("knows a monitor's runs by their numbers, whatever the object, and not by a late alert of the run before", async () => {
      await suppressed(from("alert-0001", 1000, 5001));
      expect(await runsWith("alert-0002", 2000, 9)).toEqual(["2000: 9-9, rolled back", "1000: 5001-5001"]);
      await suppressed(from("alert-0002", 2000, 9));
      await suppressed(from("alert-0003", 1000, 5002));
      expect(await runsWith("alert-0004", 2000, 10)).toEqual(["2000: 9-10, rolled back", "1000: 5001-5002"]);
      expect((await runsWith("alert-0005", 3000, 11))[0]).toBe("3000: 11-11");
    });

    it("knows that a monitor lost its numbers also by an alert of the run before that waited for a relay", async () => {
      await suppressed(from("alert-0001", 2000, 9));
      expect(await runsWith("alert-0002", 2000, 9)).toEqual(["2000: 9-9"]);
      await suppressed(from("alert-0003", 1000, 5001));
      expect(await runsWith("alert-0004", 2000, 9)).toEqual(["2000: 9-9, rolled back", "1000: 5001-5001"]);
    });

    it("knows that a monitor lost its numbers also by the first of them, decided after others", async () => {
      await suppressed(from("alert-0001", 2000, 300));
      await suppressed(from("alert-0002", 1000, 2));
      expect(await runsWith("alert-0003", 2000, 300)).toEqual(["2000: 300-300", "1000: 2-2"]);
      await suppressed(from("alert-0003", 2000, 2));
      expect(await runsWith("alert-0004", 2000, 301)).toEqual(["2000: 2-301, rolled back", "1000: 2-2"]);
    });

    it("knows it of a run that was over before its first alert was decided", async () => {
      await suppressed(from("alert-0001", 1000, 300));
      await suppressed(from("alert-0002", 3000, 2));
      expect(await runsWith("alert-0003", 2000, 1)).toEqual([
        "3000: 2-2",
        "2000: 1-1, rolled back",
        "1000: 300-300",
      ]);
    });

    it("knows the last four runs of a monitor, in whatever order they come, and those of no other", async () => {
      const starts = [4000, 1000, 6000, 3000, 2000, 5000];
      for (const start of starts) await suppressed(from(`alert-${start}`, start, start));
      await suppressed(from("alert-1001", 1000, 1001));
      const runs = await runsWith("alert-6001", 6000, 6001);
      expect(runs).toEqual(["6000: 6000-6001", "5000: 5000-5000", "4000: 4000-4000", "3000: 3000-3000"]);
      const other = await ledger.read({ ...from("alert-0007", 1000, 7), site: "other" });
      expect(other.runs).toEqual([{ start: 1000, lowest: 7, highest: 7 }]);
    });

    it("lists the journal page by page, newest first, by object and by contact", async () => {
      for (let n = 0; n < 7; n++)
        await suppressed(
          queuedAlert(
            { id: `alert-000${n}`, receivedAt: 1000 + Math.floor(n / 2), contact: `c${n % 2}@example.com` },
            { object: { host: "web01", service: n < 4 ? "HTTP" : "Disk" }, notification: { id: String(n) } },
          ),
        );
      const ids = async (query: object) =>
        (await ledger.journal({ site: "site", limit: 100, ...query })).items
          .map(({ id }) => id.slice(-1))
          .join("");
      expect(await ids({})).toBe("6543210");
      expect(await ids({ object: "web01/Disk" })).toBe("654");
      expect(await ids({ contact: "c1@example.com" })).toBe("531");
      expect(await ids({ site: "other" })).toBe("");
      let [pages, before]: [string, string | undefined] = ["", undefined];
      for (let page = 0; page < 5; page++) {
        const { items, next } = await ledger.journal({ site: "site", limit: 3, before });
        pages += `${items.map(({ id }) => id.slice(-1)).join("")}|`;
        before = next;
        if (!next) break;
      }
      expect(pages).toBe("654|321|0|");
      expect(await ledger.totals("site")).toMatchObject({ suppressed: 7, pending: 0, mailed: 0 });
    });

    /** Takes an alert to a mail that a relay took at a time. */
    const mailed = async (queued: QueuedAlert, at: number) => {
      const page = await ledger.read(queued);
      const mine = await claim(ledger, page, toSend(page, queued), "<m@example.com>", at - 1, handOut);
      if (!mine) throw new Error("no claim");
      const ending = { at, as: "mailed", reason: "250" } as const;
      await settle(ledger, queued, mine, { attempts: [attempt] }, ending, (entry) => entry);
    };
    const one = (id: string, receivedAt: number, service: string, contact = "ops@example.com") =>
      queuedAlert(
        { id, receivedAt, contact },
        { object: { host: "web01", service }, notification: { id: id.slice(-1) } },
      );

    it("tells the stories of many alerts at once, in their order, and leaves out what there is not", async () => {
      const ids = Array.from({ length: 120 }, (_, index) => `alert-${String(index).padStart(4, "0")}`);
      for (const [index, id] of ids.entries()) if (index % 12 === 5) await suppressed(one(id, 1000, "HTTP"));
      await suppressed({ ...one("alert-0000", 1000, "HTTP"), site: "other" });
      const wanted = ids.toReversed();
      const found = await reopen().stories("site", wanted);
      expect(found.map(({ id }) => id)).toEqual(wanted.filter((id) => Number(id.slice(-4)) % 12 === 5));
      expect(found[0]).toEqual(await ledger.story("site", found[0]?.id ?? ""));
      expect(await ledger.stories("site", [])).toEqual([]);
    });

    it("lists the journal by outcome, alone and with object and contact, page by page", async () => {
      await mailed(one("alert-0000", 1000, "HTTP"), 1500);
      await suppressed(one("alert-0001", 1001, "HTTP", "bob@example.com"));
      await mailed(one("alert-0002", 1002, "Disk", "bob@example.com"), 1500);
      await mailed(one("alert-0003", 1003, "Load"), 1500);
      const open = one("alert-0004", 1004, "Swap");
      const page = await ledger.read(open);
      await claim(ledger, page, toSend(page, open), "<m@example.com>", 1500, handOut);
      const ids = async (query: object) =>
        (await ledger.journal({ site: "site", limit: 100, ...query })).items
          .map(({ id }) => id.slice(-1))
          .join("");
      expect(await ids({ outcome: "mailed" })).toBe("320");
      expect(await ids({ outcome: "suppressed" })).toBe("1");
      expect(await ids({ outcome: "pending" })).toBe("4");
      expect(await ids({ outcome: "dead" })).toBe("");
      expect(await ids({ outcome: "mailed", object: "web01/HTTP" })).toBe("0");
      expect(await ids({ outcome: "mailed", contact: "Bob@example.com" })).toBe("2");
      expect(await ids({ outcome: "pending", contact: "bob@example.com" })).toBe("");
      expect(await ids({ outcome: "pending", contact: "ops@example.com", object: "web01/Swap" })).toBe("4");
      expect(await ids({ outcome: "mailed", site: "other" })).toBe("");
      const first = await ledger.journal({ site: "site", outcome: "mailed", limit: 2 });
      expect(first.items.map(({ id }) => id)).toEqual(["alert-0003", "alert-0002"]);
      expect(await ids({ outcome: "mailed", limit: 2, before: first.next })).toBe("0");
      expect(await reopen().totals("site")).toMatchObject({ mailed: 3, suppressed: 1, pending: 1, dead: 0 });
    });

    it("counts a site's flow by the hour in which alerts were received, and tells when the last was mailed", async () => {
      const hour = 3_600_000;
      expect(await ledger.flow("site", hour)).toEqual({ since: hour, hours: [] });
      await mailed(one("alert-0000", hour - 1, "Early"), hour);
      await mailed(one("alert-0001", hour, "HTTP"), 9 * hour);
      await mailed(one("alert-0002", 2 * hour - 1, "Disk"), 2 * hour);
      await suppressed(one("alert-0003", hour + 1, "Load"));
      await suppressed(one("alert-0004", 3 * hour, "Swap"));
      const open = one("alert-0005", 3 * hour + 1, "Users");
      const page = await ledger.read(open);
      await claim(ledger, page, toSend(page, open), "<m@example.com>", 3 * hour + 1, handOut);
      await suppressed({ ...one("alert-0006", hour, "HTTP"), site: "other" });
      expect(await reopen().flow("site", hour)).toEqual({
        since: hour,
        hours: [
          { at: hour, accepted: 3, mailed: 2, suppressed: 1 },
          { at: 3 * hour, accepted: 2, mailed: 0, suppressed: 1 },
        ],
        acceptedAt: 3 * hour + 1,
        mailedAt: 9 * hour,
      });
      expect(await ledger.flow("site", 5 * hour)).toMatchObject({ hours: [], acceptedAt: 3 * hour + 1 });
    });

    it("lists the problems that are open, page by page", async () => {
      for (let n = 0; n < 3; n++) {
        const queued = queuedAlert(
          { id: `alert-000${n}` },
          { object: { host: `web0${n}`, service: null }, state: "DOWN" },
        );
        const page = await ledger.read(queued);
        await claim(ledger, page, toSend(page, queued), "<m@example.com>", 1000, handOut);
      }
      const first = await ledger.problems({ site: "site", limit: 2 });
      const second = await ledger.problems({ site: "site", limit: 2, before: first.next });
      expect([...first.items, ...second.items].map(({ host }) => host).sort()).toEqual([
        "web00",
        "web01",
        "web02",
      ]);
      expect(second.next).toBeUndefined();
      expect((await ledger.problems({ site: "other", limit: 2 })).items).toEqual([]);
    });

    it("forgets what ended before a time, and nothing else", async () => {
      const old = queuedAlert({ id: "alert-ended", receivedAt: 1000 }, { type: "RECOVERY", state: "OK" });
      await suppressed(old);
      const open = queuedAlert(
        { id: "alert-open", receivedAt: 1000 },
        { object: { host: "db01", service: null }, state: "DOWN" },
      );
      const page = await ledger.read(open);
      await claim(ledger, page, toSend(page, open), "<m@example.com>", 1000, handOut);
      expect(await forget(1000)).toBe(0);
      expect(await forget(2000)).toBe(2);
      expect(await ledger.story("site", "alert-ended")).toBeUndefined();
      expect(await ledger.story("site", "alert-open")).toBeDefined();
      expect(await ledger.totals("site")).toMatchObject({ suppressed: 0, pending: 1 });
      expect((await ledger.problems({ site: "site", limit: 9 })).items).toHaveLength(1);
      expect((await ledger.read(old)).entry).toEqual(emptyEntry);
    });

    it("lists what is open at any site", async () => {
      for (const [site, host] of [
        ["site", "web01"],
        ["other", "db01"],
      ] as const) {
        const queued = queuedAlert(
          { site, id: `alert-${host}` },
          { object: { host, service: null }, state: "DOWN" },
        );
        const page = await ledger.read(queued);
        await claim(ledger, page, toSend(page, queued), "<m@example.com>", 1000, handOut);
      }
      await suppressed(queuedAlert({ id: "alert-over" }, { type: "RECOVERY", state: "OK" }));
      const open = await ledger.open(9);
      expect(open.map(({ site, host }) => `${site} ${host}`).sort()).toEqual(["other db01", "site web01"]);
      expect(open.every(({ entry }) => openProblem(entry)?.state === "DOWN")).toBe(true);
      expect(await ledger.open(1)).toHaveLength(1);
    });

    it("takes 200 recoveries with long outputs in one write, and hands out each when it is due (R27)", async () => {
      // No two lines are the same: they can hardly be packed.
      const long = Array.from({ length: 1000 }, (_, n) => fingerprint("line", String(n))).join("\n");
      const contacts = Array.from({ length: 200 }, (_, n) => `first.last${n}@example.com`);
      let before = emptyEntry;
      for (const contact of contacts) {
        const queued = queuedAlert({ id: `alert-of-${contact}`, contact });
        const verdict = decide({ entry: before }, queued, defaultPolicy, queued.receivedAt);
        if (verdict.action !== "send") throw new Error(verdict.reason);
        before = told(verdict.entry, verdict.kind, queued, verdict.episode?.id, queued.receivedAt);
      }
      const first = newRecord(queuedAlert());
      expect(await ledger.write({ key: first.objectKey, entry: before, records: [first] })).toBe(true);
      const end = queuedAlert(
        { id: "alert-of-boss", contact: "boss@example.com", receivedAt: 100_060_000 },
        {
          type: "RECOVERY",
          state: "OK",
          problem: { last_id: "5", epoch: 99_990 },
          notification: { id: "102", escalated: true },
          long_output: long,
          time: 100_060,
        },
      );
      const page = await ledger.read(end);
      const verdict = decide(page, end, defaultPolicy, end.receivedAt);
      expect(verdict.made).toHaveLength(200);
      expect(await settleUnsent(ledger, page, verdict, end.receivedAt)).toBe(true);
      const handedOut: QueuedAlert[] = [];
      const queue = {
        send: async (messages: readonly OutgoingMessage[]) => {
          handedOut.push(...messages.map(({ body }) => JSON.parse(body) as QueuedAlert));
          return messages.map(() => true);
        },
      };
      const parts = { ledger: reopen(), queue, operators: [], report: () => undefined };
      expect(await sweep(parts, end.receivedAt + 59_999)).toBe(0);
      expect(await sweep(parts, end.receivedAt + 60_000)).toBe(200);
      expect(await sweep(parts, end.receivedAt + 60_001)).toBe(0);
      expect(handedOut.map(({ contact }) => contact).sort()).toEqual(contacts.sort());
      expect(handedOut.every(({ alert }) => alert.long_output === long)).toBe(true);
    });

    it("keeps each monitor's heartbeat, one step at a time", async () => {
      const first = await ledger.heartbeat("site", "m1");
      expect(first).toEqual({ site: "site", monitor: "m1", revision: 0, at: 0 });
      expect(await ledger.writeHeartbeat({ ...first, at: 5000 })).toBe(true);
      expect(await ledger.writeHeartbeat({ ...first, at: 6000 })).toBe(false);
      const second = await reopen().heartbeat("site", "m1");
      expect(second).toEqual({ site: "site", monitor: "m1", revision: 1, at: 5000 });
      const silent = { since: 5000, told: true as const };
      expect(await ledger.writeHeartbeat({ ...second, silent })).toBe(true);
      await ledger.writeHeartbeat({ ...(await ledger.heartbeat("other", "m1")), at: 7000 });
      await ledger.writeHeartbeat({ ...(await ledger.heartbeat("site", "m0")), at: 8000 });
      expect(await ledger.heartbeats()).toEqual([
        { site: "other", monitor: "m1", revision: 1, at: 7000 },
        { site: "site", monitor: "m0", revision: 1, at: 8000 },
        { site: "site", monitor: "m1", revision: 2, at: 5000, silent },
      ]);
      await forget(7500);
      expect((await ledger.heartbeats()).map(({ at }) => at)).toEqual([8000]);
    });

    it("keeps an entry by its key alone, and its first step without a record", async () => {
      expect(await ledger.entry("contact")).toEqual(emptyEntry);
      const storm = { since: 1000, alone: 1, next: 5, digests: { d1: ["alert-0001"] } };
      const counted = { ...emptyEntry, touchedAt: 1000, storm };
      const of = { site: "site", host: "hardstate", service: "digest" };
      expect(await ledger.write({ key: "contact", entry: counted, records: [], of })).toBe(true);
      expect(await ledger.write({ key: "contact", entry: counted, records: [], of })).toBe(false);
      expect(await reopen().entry("contact")).toEqual({ ...counted, revision: 1 });
      const next = { ...counted, revision: 1, storm: { ...storm, alone: 2 } };
      expect(await ledger.write({ key: "contact", entry: next, records: [] })).toBe(true);
      expect((await ledger.entry("contact")).storm?.alone).toBe(2);
      expect((await ledger.journal({ site: "site", limit: 9 })).items).toEqual([]);
    });

    const fault = { field: "recipients.0.email", expected: "an address that HARDSTATE_RECIPIENTS allows" };
    const rejected = (object: string, contact?: string, id?: string): Rejected => ({
      object,
      contact,
      monitor: "m1",
      id,
      faults: [fault],
    });
    const [day, hour] = [86_400_000, 3_600_000];
    const noon = 100 * day + 12 * hour;

    it("keeps one rejection for each object, contact and day, with how many there were, and beside all sums", async () => {
      for (let minute = 0; minute < 30; minute++)
        await noteRejected(
          ledger,
          "site",
          [rejected("web01/HTTP", "db@exmaple.com", `post-${minute + 1000}`)],
          noon + minute * 60_000,
        );
      await noteRejected(ledger, "site", [rejected("web01/HTTP", "DB@exmaple.com")], noon + day);
      await noteRejected(ledger, "site", [rejected("web01/Disk", "db@exmaple.com")], noon + day + 1);
      await noteRejected(ledger, "other", [rejected("db01")], noon);
      const { items } = await reopen().rejections({ site: "site", limit: 9 });
      expect(items.map((one) => [one.object, one.contact, countOf(one)])).toEqual([
        ["web01/Disk", "db@exmaple.com", 1],
        ["web01/HTTP", "DB@exmaple.com", 1],
        ["web01/HTTP", "db@exmaple.com", 30],
      ]);
      const [, , first] = items;
      expect(first).toMatchObject({ site: "site", monitor: "m1", faults: [fault], first: noon });
      expect(first?.last).toBe(noon + 29 * 60_000);
      expect(first?.ids.slice(-2)).toEqual(["post-1028", "post-1029"]);
      expect(await ledger.rejection("site", first?.id ?? "")).toEqual(first);
      expect(await findRejection(ledger, "site", "post-1029")).toEqual(first);
      expect(await findRejection(ledger, "other", "post-1029")).toBeUndefined();
      const totals = Object.values(await ledger.totals("site"));
      expect(totals.every((count) => count === 0)).toBe(true);
      expect((await ledger.journal({ site: "site", limit: 9 })).items).toEqual([]);
      expect((await ledger.flow("site", 0)).acceptedAt).toBeUndefined();
      expect(await ledger.due(noon + 2 * day, 9)).toEqual([]);
    });

    it("lists rejections page by page, the last one first, by object and by contact", async () => {
      for (let n = 0; n < 5; n++)
        await noteRejected(ledger, "site", [rejected(`web0${n}`, `c${n % 2}@example.org`)], noon + n);
      const hosts = async (query: object) => {
        const { items, next } = await listRejections(ledger, { site: "site", limit: 9, ...query });
        return [items.map(({ object }) => object?.slice(-1)).join(""), next] as const;
      };
      expect(await hosts({})).toEqual(["43210", undefined]);
      expect(await hosts({ contact: "C1@example.org" })).toEqual(["31", undefined]);
      expect(await hosts({ object: "web02" })).toEqual(["2", undefined]);
      const [first, next] = await hosts({ limit: 2 });
      expect([first, (await hosts({ limit: 2, before: next }))[0]]).toEqual(["43", "21"]);
    });

    it("lets a flood make no more than so many rejections of a site and day, and counts the rest in one", async () => {
      const flood = (from: number) =>
        Array.from({ length: 90 }, (_, n) => rejected(`host${from + n}`, `u${from + n}@example.org`));
      for (let n = 0; n < 4; n++) await noteRejected(ledger, "site", flood(n * 90), noon + n);
      const { items } = await ledger.rejections({ site: "site", limit: 500 });
      expect(items).toHaveLength(mostRejections + 1);
      expect(items.reduce((sum, one) => sum + countOf(one), 0)).toBe(360);
      expect(items.find(({ object }) => object === undefined)).toMatchObject({ ids: [], faults: [fault] });
      await noteRejected(ledger, "site", flood(1000), noon + day);
      expect((await ledger.rejections({ site: "site", limit: 500 })).items).toHaveLength(mostRejections + 91);
    });

    it("loses no rejection of several that are noted at once", async () => {
      const others = [ledger, reopen(), reopen()];
      await Promise.all(
        others.map((one, n) =>
          noteRejected(one, "site", [rejected("web01", "x@example.org", `post-${n}000`)], noon),
        ),
      );
      const { items } = await ledger.rejections({ site: "site", limit: 9 });
      expect(items.map(countOf)).toEqual([3]);
      expect(items[0]?.ids.toSorted()).toEqual(["post-0000", "post-1000", "post-2000"]);
    });

    it("gives rejections that operators were not told of, until they were", async () => {
      await noteRejected(ledger, "site", [rejected("web01", "x@example.org")], noon);
      await noteRejected(ledger, "other", [rejected("web02", "x@example.org")], noon + 1);
      await noteWrongTokens(ledger, 3, undefined, noon);
      const untold = await reopen().untoldRejections(9);
      expect(untold.map(({ site }) => site).toSorted()).toEqual(["other", "site"]);
      expect(await ledger.untoldRejections(1)).toHaveLength(1);
      for (const one of untold) expect(await ledger.writeRejection({ ...one, told: true })).toBe(true);
      for (const one of untold) expect(await ledger.writeRejection(one)).toBe(false);
      expect(await ledger.untoldRejections(9)).toEqual([]);
      await noteRejected(ledger, "site", [rejected("web01", "x@example.org")], noon + hour);
      expect(await ledger.untoldRejections(9)).toEqual([]);
    });

    it("counts what was turned away in the last 24 hours, and requests without a token with their last monitor", async () => {
      const none = { rejected: 0, wrongTokens: { count: 0 } };
      expect(await turnedAway(ledger, "site", noon)).toEqual(none);
      await noteRejected(ledger, "site", [rejected("web01"), rejected("web02")], noon - 30 * hour);
      for (let ago = 25; ago >= 0; ago -= 5)
        await noteRejected(ledger, "site", [rejected("web01"), rejected("web02")], noon - ago * hour);
      await noteRejected(ledger, "other", [rejected("web01")], noon);
      await noteWrongTokens(ledger, 7, "m0", noon - 25 * hour);
      await noteWrongTokens(ledger, 7, "m1", noon - 20 * hour);
      await noteWrongTokens(ledger, 2, undefined, noon - hour);
      expect(await turnedAway(reopen(), "site", noon)).toEqual({
        rejected: 10,
        wrongTokens: { count: 9, last: noon - hour, monitor: undefined },
      });
      expect(await turnedAway(ledger, "site", noon + 48 * hour)).toEqual(none);
    });

    it("forgets rejections of which the last was before a time", async () => {
      await noteRejected(ledger, "site", [rejected("web01")], noon);
      await noteRejected(ledger, "site", [rejected("web01")], noon + day);
      await forget(noon + hour);
      expect((await ledger.rejections({ site: "site", limit: 9 })).items.map(({ last }) => last)).toEqual([
        noon + day,
      ]);
    });

    it("says that it is ready", async () => {
      await expect(ledger.ready()).resolves.toBeUndefined();
    });
  });

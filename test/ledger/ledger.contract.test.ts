import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import {
  type Attempt,
  claim,
  type Ledger,
  type Page,
  release,
  settle,
  settleUnsent,
} from "../../functions/ledger/ledger.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { decide, told, type Verdict } from "../../functions/ledger/verdict.ts";
import { queuedAlert } from "../alerts.ts";

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
const handOut = { visibleAgainAt: 60_000, receiveCount: 1 };
const toSend = (page: Page, queued = queuedAlert()): Verdict & { action: "send" } => {
  const verdict = decide(page.entry, queued, page.twin, {}, 1000);
  if (verdict.action !== "send") throw new Error(`not to be sent: ${verdict.reason}`);
  return verdict;
};

/** What every ledger promises. `reopen` opens what `ledger` wrote, as another process would. */
const contract = (name: string, make: () => { ledger: Ledger; reopen: () => Ledger }) =>
  describe(name, () => {
    let ledger: Ledger;
    let reopen: () => Ledger;
    beforeEach(() => {
      ({ ledger, reopen } = make());
    });

    it("knows nothing of an object that it never met", async () => {
      const page = await ledger.read(queuedAlert());
      expect(page.entry).toEqual({ revision: 0, monitors: {}, contacts: {} });
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
      await settle(ledger, alice, mine, attempt, { at: 2000, as: "mailed", reason: "250" }, (entry) =>
        told(entry, verdict.kind, alice, verdict.entry.episode?.id, 2000),
      );
      const after = await reopen().read(alice);
      expect(after.record).toMatchObject({ ending: { as: "mailed" }, attempts: [attempt] });
      expect(after.record.claim).toBeUndefined();
      expect(after.entry.contacts["ops@example.com"]).toMatchObject({ state: "CRITICAL", recovered: false });
      expect(after.entry.contacts["bob@example.com"]).toBeUndefined();
      expect((await reopen().read(bob)).record.claim).toBeDefined();
    });

    it("releases a claim with the attempt noted and no ending", async () => {
      const queued = queuedAlert();
      const page = await ledger.read(queued);
      const mine = await claim(ledger, page, toSend(page), "<m@example.com>", 1000, handOut);
      if (!mine) throw new Error("no claim");
      await release(ledger, queued, mine, attempt);
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

    it("says that it is ready", async () => {
      await expect(ledger.ready()).resolves.toBeUndefined();
    });
  });

const folder = mkdtempSync(join(tmpdir(), "hardstate-ledger-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
contract("sqlite", () => {
  const path = join(folder, `${count++}.sqlite`);
  return { ledger: sqliteLedger(path), reopen: () => sqliteLedger(path) };
});

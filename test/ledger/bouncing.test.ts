import { beforeEach, describe, expect, it } from "vitest";
import { bouncing } from "../../functions/ledger/bouncing.ts";
import type { Verdict } from "../../functions/ledger/case.ts";
import { claim, type Ledger, settle } from "../../functions/ledger/ledger.ts";
import { defaultPolicy } from "../../functions/ledger/policy.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { decide } from "../../functions/ledger/verdict.ts";
import { queuedAlert } from "../alerts.ts";

const hour = 3_600_000;
const day = 24 * hour;
const begin = 20_000 * day;

type Came = "bounce" | "soft bounce" | "delay" | "complaint" | "nothing";
let ledger: Ledger;
let count: number;
beforeEach(() => {
  [ledger, count] = [sqliteLedger(":memory:"), 0];
});

/** A mail at a time, and what came back of it a minute later. */
const mail = async (at: number, came: Came, contact = "ops@example.com", site = "site") => {
  const id = `alert-${String(count++).padStart(4, "0")}`;
  const queued = queuedAlert(
    { id, contact, site, receivedAt: at },
    { object: { host: id, service: null }, state: "DOWN" },
  );
  const page = await ledger.read(queued);
  const verdict = decide(page, queued, defaultPolicy, at) as Verdict & { action: "send" };
  const mine = await claim(ledger, page, verdict, `<${id}@example.com>`, at, {
    visibleAgainAt: at,
    receiveCount: 1,
  });
  if (!mine) throw new Error("not claimed");
  await settle(ledger, queued, mine, { attempts: [] }, { at, as: "mailed", reason: "250" }, (entry) => entry);
  if (came === "nothing") return;
  await ledger.noteReturned(site, id, {
    at: at + 60_000,
    kind: came === "soft bounce" ? "bounce" : came,
    contact,
    reply: `550 ${id}`,
    ...(came === "bounce" && { permanent: true }),
  });
};
const found = async (now: number, site = "site") =>
  (await bouncing(ledger, site, now)).map(({ contact, days }) => `${contact} ${days}`);

describe("a contact", () => {
  it("is bouncing after three days of bounces, with the last reason", async () => {
    for (const days of [0, 1]) await mail(begin + days * day, "bounce");
    expect(await found(begin + day + 2 * hour)).toEqual([]);
    await mail(begin + 2 * day, "bounce", "OPS@example.com");
    expect(await bouncing(ledger, "site", begin + 2 * day + hour)).toEqual([
      { contact: "OPS@example.com", days: 3, last: begin + 2 * day + 60_000, reply: "550 alert-0002" },
    ]);
    expect(await found(begin + 3 * day, "other")).toEqual([]);
  });

  it("is not bouncing after three bounces on one day", async () => {
    for (const hours of [0, 1, 2, 3]) await mail(begin + hours * hour, "bounce");
    expect(await found(begin + day)).toEqual([]);
  });

  it.each<Came>(["soft bounce", "delay", "complaint"])("is not for a %s", async (came) => {
    for (const days of [0, 1, 2]) await mail(begin + days * day, came);
    expect(await found(begin + 3 * day)).toEqual([]);
  });

  it("is no longer bouncing once a mail stayed, and is again after three more days", async () => {
    for (const days of [0, 1, 2]) await mail(begin + days * day, "bounce");
    await mail(begin + 3 * day, "nothing");
    // It may still bounce.
    expect(await found(begin + 3 * day + hour)).toEqual(["ops@example.com 3"]);
    expect(await found(begin + 3 * day + hour + 1)).toEqual([]);
    for (const days of [4, 5]) await mail(begin + days * day, "bounce");
    expect(await found(begin + 6 * day)).toEqual([]);
    await mail(begin + 6 * day, "bounce");
    expect(await found(begin + 7 * day)).toEqual(["ops@example.com 3"]);
  });

  it("is counted by its own mails, whatever happens to others' mails", async () => {
    for (const days of [0, 1, 2, 3]) {
      await mail(begin + days * day, "bounce");
      await mail(begin + days * day, "nothing", "dba@example.com");
      await mail(begin + days * day, "bounce", days === 0 ? "a@example.com" : "b@example.com");
    }
    expect((await found(begin + 4 * day)).toSorted()).toEqual(["b@example.com 3", "ops@example.com 4"]);
  });
});

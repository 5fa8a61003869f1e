import { beforeEach, describe, expect, it } from "vitest";
import type { Verdict } from "../../functions/decide/case.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import type { DeliveryOutcome, Step } from "../../functions/deliver/outcome.ts";
import { failure } from "../../functions/deliver/refusal.ts";
import { bouncing } from "../../functions/ledger/bouncing.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { claim, release, settle } from "../../functions/ledger/page.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { queuedAlert } from "../world/alerts.ts";

const hour = 3_600_000;
const day = 24 * hour;
const begin = 20_000 * day;

type Came = "bounce" | "soft bounce" | "delay" | "complaint" | "nothing";
let ledger: Ledger;
let count: number;
beforeEach(() => {
  [ledger, count] = [sqliteLedger(":memory:"), 0];
});

/** A mail at a time that is decided and not yet handed to a relay. */
const begun = async (at: number, contact: string, site: string) => {
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
  return { id, queued, mine };
};
/** A mail at a time, and the report that came back a minute later. */
const mail = async (at: number, came: Came, contact = "ops@example.com", site = "site") => {
  const { id, queued, mine } = await begun(at, contact, site);
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

const minute = 60_000;
const reply = (step: Step, code: number): DeliveryOutcome => ({
  ...failure(step, code, `${code} no`),
  step,
  code,
  reply: `${code} no`,
  durationMilliseconds: 1,
});
/** A mail that a relay refused or deferred at each of these times. */
const tried = async (outcome: DeliveryOutcome, times: number[], contact = "ops@example.com") => {
  const [at = 0] = times;
  const { queued, mine } = await begun(at, contact, "site");
  const handover = { attempts: times.map((time) => ({ at: time, route: "smtp://relay", outcome })) };
  if (outcome.result !== "refused") return release(ledger, queued, mine, handover, at);
  return settle(
    ledger,
    queued,
    mine,
    handover,
    { at, as: "refused", reason: outcome.reply },
    (entry) => entry,
  );
};
const minutes = (...counts: number[]) => counts.map((count) => begin + count * minute);

describe("a contact for whom no relay accepts mail", () => {
  it("is named after three refused mails over 15 minutes, with the last reason, to its own site", async () => {
    for (const at of minutes(0, 1)) await tried(reply("recipient", 550), [at]);
    expect(await found(begin + hour)).toEqual([]);
    await tried(reply("recipient", 550), minutes(15), "OPS@example.com");
    expect(await bouncing(ledger, "site", begin + hour)).toEqual([
      { contact: "OPS@example.com", days: 1, last: begin + 15 * minute, reply: "550 no", refused: true },
    ]);
    expect(await found(begin + hour, "other")).toEqual([]);
  });

  it("is named after three tries of one mail that were deferred over 15 minutes", async () => {
    await tried(reply("recipient", 450), minutes(0, 5, 15));
    expect(await found(begin + hour)).toEqual(["ops@example.com 1"]);
  });

  it("is not named for refusals of a moment, or for greylisting", async () => {
    for (const at of minutes(0, 1, 2, 14)) await tried(reply("recipient", 550), [at]);
    await tried(reply("recipient", 450), minutes(0, 1, 3, 8), "dba@example.com");
    expect(await found(begin + hour)).toEqual([]);
  });

  it("is not named for a relay's replies before or after RCPT", async () => {
    for (const at of minutes(0, 20, 40)) await tried(reply("after-data", 554), [at]);
    await tried(reply("connect", 421), minutes(0, 20, 40), "dba@example.com");
    expect(await found(begin + hour)).toEqual([]);
  });

  it("is not named while a relay asks for a slower pace", async () => {
    const said = "450 4.7.1 too many messages, slow down";
    const tooFast: DeliveryOutcome = {
      ...failure("recipient", 450, said),
      step: "recipient",
      code: 450,
      reply: said,
      durationMilliseconds: 1,
    };
    expect(tooFast).toMatchObject({ tooFast: true });
    await tried(tooFast, minutes(0, 20, 40));
    expect(await found(begin + hour)).toEqual([]);
  });

  it("is not named after a relay has accepted a mail to them", async () => {
    for (const at of minutes(0, 10, 20)) await tried(reply("recipient", 550), [at]);
    await mail(begin + 30 * minute, "nothing");
    expect(await found(begin + hour)).toEqual([]);
    for (const at of minutes(40, 50, 60)) await tried(reply("recipient", 550), [at]);
    expect(await found(begin + hour)).toEqual(["ops@example.com 1"]);
  });
});

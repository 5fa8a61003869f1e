import { beforeEach, describe, expect, it } from "vitest";
import type { Mail } from "../../functions/deliver/mail.ts";
import type { DeliveryOutcome } from "../../functions/deliver/outcome.ts";
import { failure } from "../../functions/deliver/refusal.ts";
import { routeConnections } from "../../functions/deliver/route-connections.ts";
import { mail as anyMail } from "./sending.ts";

const accepted = (durationMilliseconds = 10): DeliveryOutcome => ({
  result: "accepted",
  reply: "250 Ok",
  durationMilliseconds,
});
const failed = (reply: string | undefined, step: "recipient" | "connect" = "recipient"): DeliveryOutcome => {
  const code = reply === undefined ? undefined : Number(reply.slice(0, 3));
  return { ...failure(step, code, reply ?? ""), step, reply: reply ?? "", code, durationMilliseconds: 10 };
};
const unknown = failed("550 5.1.1 unknown");

const never = new AbortController().signal;
const mail = (site: string, contact: string): Mail =>
  anyMail({ alert: { site, id: "alert-0001" }, envelope: { from: "nagios@example.com", to: contact } });

let route: ReturnType<typeof routeConnections>;
let now: number;
let pauses: { at: number; over(): void }[];
/** Lets time pass, a quarter of a second after the other. */
const pass = async (milliseconds: number) => {
  for (const end = now + milliseconds; now < end; ) {
    now += 250;
    for (const { at, over } of pauses.splice(0)) {
      if (at <= now) over();
      else pauses.push({ at, over });
    }
    await settled();
  }
};
/** Each mail that got a connection, as "site contact", in order. */
let began: string[];
const withConnections = (connections: number) => {
  [now, pauses] = [0, []];
  route = routeConnections(
    connections,
    () => now,
    (milliseconds) =>
      new Promise((over) => pauses.push({ at: now + milliseconds, over: () => over(undefined) })),
  );
  route.show(true);
  began = [];
};
beforeEach(() => withConnections(3));

const settled = () => new Promise((resolve) => setImmediate(resolve));
/** A mail that needs a connection. `end` gives it back, with the mail's outcome. */
const come = (site: string, contact: string, signal = never) => {
  const one = mail(site, contact);
  const taken = route.take(one, signal);
  taken.then((has) => has && began.push(`${site} ${contact}`));
  return {
    taken,
    end: async (outcome: DeliveryOutcome) => {
      route.learn(one, outcome);
      route.release(one);
      await settled();
    },
  };
};
/** Sends one mail for each outcome, one after the other. */
const sent = async (site: string, contact: string, ...outcomes: DeliveryOutcome[]) => {
  for (const outcome of outcomes) {
    const one = come(site, contact);
    await one.taken;
    await one.end(outcome);
  }
  began = [];
};

describe("a free connection", () => {
  it("goes to sites by turns, however many mails of each wait", async () => {
    withConnections(1);
    const first = come("a", "x@a");
    const rest = [...Array(5).fill("a"), "b", "b", "c"].map((site) => come(site, `x@${site}`));
    await first.end(accepted());
    for (const { taken, end } of rest) taken.then(() => end(accepted()));
    await expect.poll(() => began).toHaveLength(9);
    expect(began.map((name) => name.slice(0, 1)).join("")).toBe("abcabaaaa");
  });

  it("goes to a site's contacts by turns", async () => {
    withConnections(1);
    const first = come("a", "x@a");
    const rest = ["x@a", "x@a", "x@a", "y@a", "z@a"].map((contact) => come("a", contact));
    await first.end(accepted());
    for (const { taken, end } of rest) taken.then(() => end(accepted()));
    await expect.poll(() => began).toHaveLength(6);
    expect(began.slice(1).join()).toBe("a x@a,a y@a,a z@a,a x@a,a x@a");
  });

  it("goes to the site that has the fewest, though another one came first", async () => {
    await sent("a", "x@a", accepted());
    const connected = [come("a", "x@a"), come("a", "x@a"), come("a", "x@a")];
    come("a", "x@a");
    come("b", "x@b");
    await connected[0]?.end(accepted());
    expect(began.at(-1)).toBe("b x@b");
  });

  it("goes to the next mail if the one before waits no longer", async () => {
    withConnections(1);
    const first = come("a", "x@a");
    const impatient = new AbortController();
    const gone = come("b", "x@b", impatient.signal);
    come("c", "x@c");
    impatient.abort();
    expect(await gone.taken).toBe(false);
    await first.end(accepted());
    expect(began).toEqual(["a x@a", "c x@c"]);
  });
});

describe("the last free connection", () => {
  it("stays free for other sites while a site's mails hang", async () => {
    for (let count = 0; count < 100; count++) come("a", `dead${count}@a`);
    await settled();
    expect(began).toHaveLength(2);
    come("b", "x@b");
    await settled();
    expect(began.at(-1)).toBe("b x@b");
  });

  it("stays free for a third site while the mails of two hang", async () => {
    for (let count = 0; count < 100; count++)
      for (const site of ["a", "b"]) come(site, `dead${count}@${site}`);
    await settled();
    expect(began).toEqual(["a dead0@a", "b dead0@b"]);
    come("c", "x@c");
    await settled();
    expect(began.at(-1)).toBe("c x@c");
  });

  it.each<[string, DeliveryOutcome[]]>([
    ["was accepted slowly", [accepted(), accepted(3_000)]],
    ["was refused", [accepted(), unknown]],
    ["got no answer", [accepted(), failed(undefined)]],
  ])("is not for an address whose last mail %s", async (_, outcomes) => {
    await sent("a", "x@a", ...outcomes);
    for (let count = 0; count < 3; count++) come("a", "x@a");
    await settled();
    expect(began).toHaveLength(2);
  });

  it("is for any address that took its last mail quickly, so a site alone can use all", async () => {
    await sent("a", "x@a", accepted());
    for (let count = 0; count < 5; count++) come("a", count % 2 ? "X@a" : "x@a");
    await settled();
    expect(began).toHaveLength(3);
  });

  it("goes to a quick address of a site before the site's mails that hang", async () => {
    await sent("a", "good@a", accepted());
    for (let count = 0; count < 100; count++) come("a", `dead${count}@a`);
    for (let count = 0; count < 5; count++) come("a", "good@a");
    await settled();
    expect(began).toEqual(["a dead0@a", "a dead1@a", "a good@a"]);
  });

  it("is also for a site's new contact while quick mails of that site have the others", async () => {
    await sent("a", "quick@a", accepted());
    const held = Array.from({ length: 6 }, () => come("a", "quick@a"));
    come("a", "new@a");
    await held[0]?.end(accepted());
    expect(began.at(-1)).toBe("a quick@a");
    await held[1]?.end(accepted());
    expect(began.at(-1)).toBe("a new@a");
  });

  it("goes to each site by turns if the route has only one", async () => {
    withConnections(1);
    const first = come("a", "dead@a");
    come("a", "dead@a");
    come("b", "x@b");
    await settled();
    expect(began).toEqual(["a dead@a"]);
    await first.end(failed(undefined));
    expect(began.at(-1)).toBe("b x@b");
  });
});

describe("an address that failed three times in a row at RCPT", () => {
  it.each<[string, DeliveryOutcome]>([
    ["refused", unknown],
    ["deferred", failed("450 4.2.1 try later")],
    ["without an answer", failed(undefined)],
    ["refused for want of a login", failed("530 5.7.0 authentication required")],
  ])("shares one connection with all other such addresses (%s)", async (_, outcome) => {
    withConnections(10);
    for (const contact of ["dead1@a", "dead2@b"]) await sent("a", contact, outcome, outcome, outcome);
    const one = come("a", "dead1@a");
    for (let count = 0; count < 5; count++) come("b", "dead2@b");
    for (let count = 0; count < 5; count++) come("a", "good@a");
    await settled();
    expect(began.filter((name) => name.includes("dead"))).toEqual(["a dead1@a"]);
    expect(began.filter((name) => name.includes("good"))).toHaveLength(5);
    await one.end(outcome);
    expect(began.at(-1)).toBe("b dead2@b");
  });

  it.each<[string, DeliveryOutcome[]]>([
    ["failed twice", [unknown, unknown]],
    ["has taken a mail since", [unknown, unknown, unknown, accepted()]],
    ["failed because the route did", Array(5).fill(failed(undefined, "connect"))],
    ["failed because we were too fast", Array(5).fill(failed("450 4.7.1 too many mails, rate limit"))],
    [
      "failed because the relay refuses our sender",
      Array(5).fill(failed("553 5.7.1 Sender address rejected")),
    ],
  ])("does not include an address that %s", async (_, outcomes) => {
    withConnections(10);
    await sent("a", "x@a", ...outcomes);
    for (let count = 0; count < 5; count++) come("a", "x@a");
    await settled();
    expect(began).toHaveLength(5);
  });

  it("is forgotten after a thousand others, and so are they", async () => {
    withConnections(10);
    await sent("a", "dead@a", unknown, unknown, unknown);
    for (let count = 0; count < 1000; count++) await sent("a", `x${count}@a`, accepted());
    for (let count = 0; count < 5; count++) come("a", "dead@a");
    await settled();
    expect(began).toHaveLength(5);
  });

  it("shares the turns of one good contact with all others of its site", async () => {
    withConnections(1);
    const dead = Array.from({ length: 5 }, (_, index) => `dead${index}@a`);
    for (const contact of dead) await sent("a", contact, unknown, unknown, unknown);
    const first = come("a", "x@a");
    const rest = [...dead, "good@a", "good@a"].map((contact) => come("a", contact));
    await first.end(accepted());
    for (const { taken, end } of rest) taken.then(() => end(unknown));
    await expect.poll(() => began).toHaveLength(8);
    expect(began.slice(1, 5)).toEqual(["a dead0@a", "a good@a", "a dead1@a", "a good@a"]);
  });
});

describe("a site without a connection", () => {
  /** A mail that has a connection and is logged in; it releases it when it is made to. */
  const hanging = async (site: string, contact: string) => {
    const one = mail(site, contact);
    await route.take(one, never);
    route.mayGive(one, () => {
      given.push(contact);
      route.learn(one, failed(undefined));
      route.release(one);
    });
    return one;
  };
  let given: string[];
  beforeEach(async () => {
    given = [];
    for (const contact of ["one", "two", "three"]) await sent("a", contact, accepted());
  });

  it("is given that of the slowest mail of a site that has several, once that is slow", async () => {
    for (const contact of ["one", "two", "three"]) await hanging("a", contact);
    await pass(1_000);
    come("b", "quiet");
    await pass(500);
    expect(given).toEqual([]);
    await pass(1_500);
    expect([given, began]).toEqual([["one"], ["b quiet"]]);
  });

  it("is given it when mails of the other site begin to hang after it came", async () => {
    const mails: Mail[] = [];
    for (const contact of ["one", "two", "three"]) mails.push(await hanging("a", contact));
    await pass(1_000);
    come("b", "quiet");
    await pass(500);
    for (const one of mails)
      route.mayGive(one, () => {
        given.push(one.envelope.to);
        route.release(one);
      });
    await pass(1_500);
    expect(given).toEqual([]);
    await pass(1_000);
    expect([given, began]).toEqual([["one"], ["b quiet"]]);
  });

  it("is given it at once if that mail is slow already, though two sites hang", async () => {
    await hanging("a", "one");
    await hanging("c", "other");
    await hanging("a", "two");
    await pass(5_000);
    come("b", "quiet");
    await settled();
    expect([given, began]).toEqual([["one"], ["b quiet"]]);
  });

  it("takes none from a site that has one, nor from a mail whose content leaves", async () => {
    withConnections(2);
    await sent("a", "one", accepted());
    await hanging("a", "one");
    await hanging("c", "other");
    await pass(10_000);
    come("b", "quiet");
    await pass(10_000);
    expect(given).toEqual([]);
    withConnections(2);
    for (const contact of ["one", "two"]) await sent("a", contact, accepted());
    for (const contact of ["one", "two"]) route.mayGive(await hanging("a", contact));
    come("b", "quiet");
    await pass(10_000);
    expect(given).toEqual([]);
  });
});

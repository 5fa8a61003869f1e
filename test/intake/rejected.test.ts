import { existsSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { readAliases, readAllowList } from "../../functions/address.ts";
import type { Posted } from "../../functions/api/shapes.ts";
import { webConsole } from "../../functions/console/http.ts";
import { intake } from "../../functions/intake/app.ts";
import type { IntakeParts } from "../../functions/intake/doors.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { type OutgoingMessage, readQueuedAlert } from "../../functions/queue/message.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import type { Event } from "../../functions/report/event.ts";
import { asJson } from "../../functions/report/log.ts";
import { samplesOf } from "../../functions/report/metrics.ts";
import { Secret } from "../../functions/secret.ts";
import { described } from "../api/described.ts";
import { posted, takenFrom } from "../world/alerts.ts";

const [allowed, aliases] = [readAllowList(["example.com"]), readAliases(["root=ops@example.com"])];
if (!allowed.ok || !aliases.ok) throw new Error("the tests' own settings are wrong");
const token = "a".repeat(24);
const noon = 100 * 86_400_000 + 12 * 3_600_000;

let now: number;
let events: Event[];
let parts: IntakeParts;
let app: ReturnType<typeof intake>;
const start = (more: Partial<IntakeParts> = {}) => {
  parts = { ...parts, ...more };
  app = described(intake(parts).route("/", webConsole(parts)));
};
beforeEach(() => {
  [now, events] = [noon, []];
  parts = {
    tokens: [
      { site: "site", token: new Secret(token) },
      { site: "other", token: new Secret("b".repeat(24)) },
    ],
    aliases: aliases.value,
    allowed: allowed.value,
    operators: [],
    queue: sqliteQueue(":memory:", () => now),
    ledger: sqliteLedger(":memory:"),
    clock: () => now,
    report: (event) => events.push(event),
  };
  start();
});

const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
const post = (value: unknown, more: Record<string, string> = {}) =>
  app.request("/v1/alerts", {
    method: "POST",
    body: typeof value === "string" ? value : JSON.stringify(value),
    headers: { ...headers, ...more },
  });
const get = async (path: string, bearer = token) => {
  const response = await app.request(path, { headers: { Authorization: `Bearer ${bearer}` } });
  // biome-ignore lint/suspicious/noExplicitAny: the answers are checked against the document already
  return (await response.json()) as any;
};
const journal = async (query = "", bearer = token) =>
  (await get(`/v1/journal?outcome=rejected${query}`, bearer)).alerts;
const alert = (change: Record<string, unknown> = {}) =>
  posted({ monitor: { id: "m1" }, recipients: [{ email: "ops@example.com" }], ...change });
const misspelt = alert({ id: "alert-0001", recipients: [{ email: "db@exmaple.com" }] });
const rejectedMetric = () =>
  events
    .flatMap(samplesOf)
    .filter(({ name }) => name === "hardstate_rejected_total")
    .reduce((sum, { value }) => sum + value, 0);

describe("a post that is rejected", () => {
  it("is in the journal by its outcome, with object, contact, monitor and faults, and has a story", async () => {
    expect((await post(misspelt)).status).toBe(422);
    const [line, ...more] = await journal();
    expect(more).toEqual([]);
    expect(line).toMatchObject({
      object: "web01/HTTP",
      contact: "db@exmaple.com",
      monitor: "m1",
      status: "rejected",
      received: noon,
      count: 1,
      errors: [{ field: "recipients.0.email", expected: expect.stringContaining("HARDSTATE_RECIPIENTS") }],
    });
    for (const id of [line.id, "alert-0001"]) {
      const story = await get(`/v1/alerts/${id}`);
      expect(story).toMatchObject({ id: line.id, status: "rejected", alerts: ["alert-0001"] });
      expect(story.story.join("\n")).toMatch(/posted by m1, and rejected: web01\/HTTP for db@exmaple\.com/);
    }
    expect(await journal("", "b".repeat(24))).toEqual([]);
    expect(await journal("&contact=other@example.com")).toEqual([]);
    expect(await journal("&contact=DB@exmaple.com&object=web01/HTTP")).toHaveLength(1);
  });

  it("makes no more than 201 records of a site and day, though a flood comes all at once", async () => {
    const of = (n: number) => alert({ recipients: [{ email: `u${n}@example.net` }] });
    const posts = Array.from({ length: 8 }, (_, n) =>
      post(Array.from({ length: 100 }, (_, m) => of(n * 100 + m))),
    );
    for (const { status } of await Promise.all(posts)) expect(status).toBe(422);
    const { items } = await parts.ledger.rejections({ site: "site", limit: 1000 });
    expect(items).toHaveLength(201);
    expect((await get("/v1/status")).rejected).toBe(800);
  });

  it("is found by the alert's id also where each of several mailboxes is wrong", async () => {
    await post(alert({ id: "alert-0002", recipients: [{ email: "a@example.net,b@example.net" }] }));
    expect(await get("/v1/alerts/alert-0002")).toMatchObject({ status: "rejected", object: "web01/HTTP" });
    expect(await journal()).toHaveLength(2);
  });

  it("counts for the site's rate as an alert that is taken", async () => {
    start({ rate: { most: 60, milliseconds: 60_000 } });
    expect((await post(Array(61).fill(misspelt))).status).toBe(422);
    expect((await post(alert())).status).toBe(429);
    now += 2_000;
    expect((await post(alert())).status).toBe(202);
  });

  it("is beside the sum of what was accepted", async () => {
    await post(misspelt);
    await post(alert());
    const { totals, alerts } = await get("/v1/journal");
    expect([totals.accepted, alerts]).toEqual([0, []]);
    expect(rejectedMetric()).toBe(1);
    expect((await get("/v1/status")).rejected).toBe(1);
  });

  it("is one record a day however often it comes", async () => {
    for (let minute = 0; minute < 60; minute++) {
      now = noon + minute * 60_000;
      await post({ ...misspelt, id: `alert-${1000 + minute}` });
    }
    expect(await journal()).toMatchObject([{ count: 60, first: noon, received: now }]);
    expect((await get("/v1/alerts/alert-1059")).status).toBe("rejected");
  });

  it("is noted for each bad item of a batch, and for one bad mailbox of several, beside what is queued", async () => {
    const response = await post([
      alert({ id: "good-0001", recipients: [{ email: "ops@example.com,pager" }] }),
      alert({ id: "bad-00001", state: "DOWN", object: { host: "db01", service: "Load" } }),
      "x",
    ]);
    expect(response.status).toBe(202);
    expect((await takenFrom(parts.queue)).map(({ contact }) => contact)).toEqual(["ops@example.com"]);
    const lines = (await journal()) as { object?: string; contact?: string; errors: { field: string }[] }[];
    const told = lines.map((one) => [one.object, one.contact, one.errors[0]?.field]);
    expect(told).toHaveLength(3);
    expect(told).toContainEqual(["web01/HTTP", "pager", "recipients.0.email"]);
    expect(told).toContainEqual(["db01/Load", "ops@example.com", "state"]);
    expect(rejectedMetric()).toBe(3);
    expect(events.filter(({ event }) => event === "accepted")).toHaveLength(1);
  });

  it.each<[string, () => Response | Promise<Response>]>([
    ["no JSON", () => post("{", { "X-Hardstate-Monitor": "m7" })],
    ["another form", () => post("<xml/>", { "Content-Type": "text/xml", "X-Hardstate-Monitor": "m7" })],
    ["too many alerts", () => post(Array(101).fill(1), { "X-Hardstate-Monitor": "m7" })],
  ])("is noted though nothing of it can be read: %s", async (_, request) => {
    await request();
    const [line] = await journal();
    expect(line).toMatchObject({ count: 1, monitor: "m7", status: "rejected" });
    expect(line).not.toHaveProperty("object");
  });

  it.each<[string, unknown]>([
    ["names that are no text", { object: { host: 5, service: {} }, monitor: [], recipients: "x" }],
    [
      "__proto__ and getters",
      JSON.parse('{"__proto__":{"object":{"host":"x"}},"recipients":[null,{"email":1}]}'),
    ],
    ["a list", [[[]]]],
    [
      "names that are too long",
      { object: { host: "h".repeat(9999) }, recipients: [{ name: "n".repeat(9999) }] },
    ],
    [
      "control characters",
      { object: { host: "a\r\nb\u202e" }, recipients: [{ email: "a\u0000@example.com" }] },
    ],
  ])("is noted with what is readable, whatever was posted: %s", async (_, value) => {
    await post(value);
    const [line] = await journal();
    for (const text of [line.object ?? "", line.contact ?? ""]) {
      expect(text.length).toBeLessThanOrEqual(255);
      expect(text).not.toMatch(/\p{Cc}|\u202e/u);
    }
  });

  it("is answered as ever though the ledger cannot note it, and that is an error of the bridge", async () => {
    const broken = () => Promise.reject(new Error("disk I/O error"));
    start({ ledger: { ...parts.ledger, writeRejection: broken, rejection: broken } });
    expect((await post(misspelt)).status).toBe(422);
    expect((await post(alert({ recipients: [{ email: "ops@example.com,pager" }] }))).status).toBe(202);
    expect(await takenFrom(parts.queue)).toHaveLength(1);
    expect(events.filter(({ event }) => event === "failed")).toHaveLength(2);
  });

  it("is answered within seconds though the ledger never answers", async () => {
    start({ ledger: { ...parts.ledger, rejection: () => new Promise(() => {}) } });
    const begun = performance.now();
    expect((await post(misspelt)).status).toBe(422);
    expect(performance.now() - begun).toBeLessThan(4000);
    expect(events.at(-1)).toMatchObject({ event: "failed", error: expect.stringContaining("in time") });
  });

  it("is not noted when nothing was taken because the queue is away: all of it comes again", async () => {
    start({ queue: { ...parts.queue, send: () => Promise.reject(new Error("away")) } });
    expect((await post([alert(), misspelt])).status).toBe(503);
    expect(await journal()).toEqual([]);
  });

  it("is a probe if it says so or is empty: logged as one, and neither counted nor noted", async () => {
    expect((await post(misspelt, { "X-Hardstate-Probe": "1" })).status).toBe(422);
    expect((await post("", { "Content-Type": "application/x-ndjson" })).status).toBe(422);
    expect(events.map(({ event }) => event)).toEqual(["probed", "probed"]);
    expect(await journal()).toEqual([]);
    expect((await post(alert(), { "X-Hardstate-Probe": "1" })).status).toBe(202);
    expect(await takenFrom(parts.queue)).toHaveLength(1);
  });
});

describe("a post with thousands of faults", () => {
  const mailboxes = Array.from({ length: 122 }, (_, n) => ({ email: `x${n}` }));
  const batch = (change: (item: number) => object = () => ({})) =>
    Array.from({ length: 100 }, (_, item) => alert({ recipients: mailboxes, ...change(item) }));
  const logged = () => events.map((event) => asJson(event, now)).toSorted((a, b) => b.length - a.length);

  it.each([
    ["all of it", 422, batch()],
    ["all but one item", 202, [alert(), ...batch().slice(1)]],
  ])("is answered and logged in few words, and each item by its own: %s", async (_, status, items) => {
    const response = await post(items);
    const text = await response.text();
    expect([response.status, text.length < 130_000]).toEqual([status, true]);
    const { alerts, errors, more } = JSON.parse(text) as Record<string, unknown> & { alerts: Posted[] };
    const bad = items.filter((item) => item.recipients === mailboxes).length;
    const perItem = Map.groupBy(alerts, ({ item }) => item);
    expect(perItem.size).toBe(100);
    for (const entries of [...perItem.values()].slice(-bad)) {
      expect(entries).toHaveLength(5);
      for (const one of entries) expect(one).toMatchObject({ status: "rejected", errors: [{}] });
      expect(entries.at(-1)).toMatchObject({ more: 117 });
    }
    if (status === 422) expect([errors, more]).toEqual([expect.objectContaining({ length: 20 }), 12_180]);
    const [longest = ""] = logged();
    expect(longest.length).toBeLessThan(10_000);
    expect(JSON.parse(longest)).toMatchObject({ more: bad * 122 - 20, moreIds: bad * 122 - 100 });
    expect(rejectedMetric()).toBe(bad * 122);
    expect((await get("/v1/status")).rejected).toBe(bad * 122);
  });

  it("asks the ledger for no more records than a day may have", async () => {
    let reads = 0;
    const { ledger } = parts;
    const rejection: typeof ledger.rejection = (...about) => {
      reads += 1;
      return ledger.rejection(...about);
    };
    start({ ledger: { ...ledger, rejection } });
    await post(batch((item) => ({ object: { host: `host${item}`, service: "HTTP" } })));
    expect(reads).toBeLessThan(250);
    expect((await parts.ledger.rejections({ site: "site", limit: 1000 })).items).toHaveLength(201);
    expect((await get("/v1/status")).rejected).toBe(12_200);
  });

  it("names all faults of an alert that has a few", async () => {
    const answer = await (await post(alert({ recipients: mailboxes.slice(0, 20) }))).json();
    expect(answer).toMatchObject({ errors: { length: 20 }, alerts: { length: 20 } });
    expect(JSON.stringify(answer)).not.toContain('"more"');
  });

  it("gives no long text back", async () => {
    const long = "x".repeat(100_000);
    const form = { "Content-Type": "application/x-www-form-urlencoded" };
    for (const response of [
      await post(`{"${long}":1,"${long}":2}`),
      await post(`${long}=1&${long}=2`, form),
      await post(alert({ recipients: [{ email: long }], object: { host: long } })),
      await app.request(`/v1/journal?${long}=1`, { headers }),
    ])
      expect((await response.text()).length).toBeLessThan(2000);
    expect(logged()[0]?.length).toBeLessThan(2000);
  });

  it("tells how many ids it leaves out where the queue takes nothing", async () => {
    start({ queue: { ...parts.queue, send: () => Promise.reject(new Error("disk I/O error")) } });
    const recipients = Array.from({ length: 150 }, (_, n) => ({ email: `u${n}@example.com` }));
    expect((await post(alert({ recipients }))).status).toBe(503);
    expect(events).toMatchObject([{ event: "unavailable", ids: { length: 100 }, moreIds: 50 }]);
  });

  it("is charged by its alerts, too many or not", async () => {
    start({ rate: { most: 60, milliseconds: 60_000 } });
    await post(Array(160).fill(1));
    expect((await post(alert())).headers.get("Retry-After")).toBe("101");
  });
});

describe("a post without an address", () => {
  const expected = async (more: Record<string, string | undefined>) => {
    const fields = {
      NOTIFICATIONTYPE: "PROBLEM",
      HOSTNAME: "web01",
      HOSTSTATE: "DOWN",
      TIMET: "100000",
      ...more,
    };
    const given = Object.entries(fields).filter((pair): pair is [string, string] => pair[1] !== undefined);
    const response = await post(new URLSearchParams(given).toString(), {
      "Content-Type": "application/x-www-form-urlencoded",
    });
    const { errors } = (await response.json()) as { errors: { field: string; expected: string }[] };
    expect(errors.map(({ field }) => field)).toEqual(["recipients.0.email (CONTACTEMAIL)"]);
    return errors[0]?.expected;
  };

  it("is told what is missing in nagios.cfg, and which definition file passes the address", async () => {
    for (const contact of [
      { CONTACTNAME: "dba" },
      {},
      { CONTACTNAME: "dba", CONTACTEMAIL: "$CONTACTEMAIL$" },
    ])
      expect(await expected(contact)).toMatch(
        /the monitor passed none.*enable_environment_macros=1.*nagios-without-environment\.cfg.*HARDSTATE_ALIASES/,
      );
    const naemon = await expected({ CONTACTNAME: "dba", SOURCE: "naemon" });
    expect(naemon).toMatch(/scripts\/monitors\/naemon\.cfg/);
    expect(naemon).not.toMatch(/nagios/);
    expect(await expected({ SOURCE: "icinga2" })).toMatch(/scripts\/monitors\/icinga2\.conf/);
  });

  it("names definition files that there are", async () => {
    for (const SOURCE of ["nagios", "naemon", "icinga2"])
      expect(
        existsSync(/scripts\/monitors\/[\w.-]+\w/.exec((await expected({ SOURCE })) ?? "")?.[0] ?? ""),
      ).toBe(true);
  });

  it("has an address if the contact's name is an alias", async () => {
    expect((await post(alert({ recipients: [{ name: "root" }] }))).status).toBe(202);
  });
});

describe("operators", () => {
  const operators = ["admin@example.com"];
  const notices = async () => {
    const sent: OutgoingMessage[] = [];
    const queue = { send: async (all: readonly OutgoingMessage[]) => all.map((one) => sent.push(one) > 0) };
    await sweep({ ledger: parts.ledger, queue, operators, report: () => {} }, now);
    return sent.map(({ body }) => {
      const reading = readQueuedAlert(body);
      if (!reading.ok) throw new Error("no alert");
      const { id, site, alert } = reading.value;
      return { id, site, output: alert.output, text: alert.long_output ?? "" };
    });
  };

  it("are told once a day of each contact whose alerts are rejected: what, why and what to do", async () => {
    await post([misspelt, { ...misspelt, object: { host: "web02", service: "HTTP" } }]);
    const [notice, ...more] = await notices();
    expect(more).toEqual([]);
    expect(notice).toMatchObject({
      site: "operator",
      output: "The bridge rejected 2 alerts for db@exmaple.com: no mail was sent",
    });
    expect(notice?.text).toMatch(
      /HARDSTATE_RECIPIENTS does not allow db@exmaple\.com\. If the address is right/,
    );
    expect(notice?.text).toMatch(/Rejected at site site:\n {2}web0\d\/HTTP\n {2}web0\d\/HTTP\n/);
    expect(notice?.text).toMatch(/hardstate explain [0-9a-f]{32}\n/);
    expect(await notices()).toEqual([]);
    now += 3_600_000;
    await post(misspelt);
    expect(await notices()).toEqual([]);
    await post({ ...misspelt, object: { host: "web03", service: "HTTP" } });
    expect((await notices()).map(({ id }) => id)).toEqual([notice?.id]);
    now += 86_400_000;
    await post(misspelt);
    const [later] = await notices();
    expect(later?.id).not.toBe(notice?.id);
  });

  it("are told by the monitor where no contact can be read, and of the field that is wrong", async () => {
    await post({ ...alert({ state: "DOWN" }), recipients: undefined });
    const [notice] = await notices();
    expect(notice?.output).toBe("The bridge rejected an alert for monitor m1: no mail was sent");
    expect(notice?.text).toMatch(/state: the bridge needs .*\nrecipients: the bridge needs /);
  });

  it("hear of it though the bridge dies between the queue and the ledger, and by the same id", async () => {
    await post(misspelt);
    const { ledger } = parts;
    parts = { ...parts, ledger: { ...ledger, writeRejection: () => Promise.reject(new Error("killed")) } };
    await expect(notices()).rejects.toThrow("killed");
    parts = { ...parts, ledger };
    expect(await notices()).toHaveLength(1);
  });
});

describe("posts with a wrong token or none", () => {
  const wrong = (more: Record<string, string> = {}) =>
    post(alert(), { Authorization: "Bearer wrong-token-of-24-letters-x", ...more });
  const wrongTokens = async () => (await get("/v1/status")).wrong_tokens;

  it("are counted with the last monitor that gave its name, and never with the token", async () => {
    expect(await wrongTokens()).toEqual({ count: 0 });
    await wrong({ "X-Hardstate-Monitor": "m3" });
    expect(await wrongTokens()).toEqual({ count: 1, last: noon, monitor: "m3" });
    now += 3_600_000;
    await wrong({ Authorization: "", "X-Hardstate-Monitor": "no name!" });
    expect(await wrongTokens()).toEqual({ count: 2, last: now });
    now += 86_400_000;
    expect(await wrongTokens()).toEqual({ count: 0 });
    expect(await journal()).toEqual([]);
    expect(JSON.stringify(events)).not.toContain("wrong-token-of");
  });

  it("make few writes however many come, and each is counted at last, in the metric too", async () => {
    let writes = 0;
    const { ledger } = parts;
    start({
      ledger: {
        ...ledger,
        writeRejection: (rejection) => {
          writes += 1;
          return ledger.writeRejection(rejection);
        },
      },
    });
    for (let n = 0; n < 300; n++) {
      now += 100;
      await wrong();
    }
    expect(writes).toBeLessThanOrEqual(4);
    now += 60_000;
    expect(await wrongTokens()).toMatchObject({ count: 300 });
    await wrong();
    const counted = events.flatMap(samplesOf).filter(({ name }) => name === "hardstate_wrong_tokens_total");
    expect(counted.reduce((sum, { value }) => sum + value, 0)).toBe(301);
  });

  it("are not those who only read", async () => {
    await app.request("/v1/status", { headers: { Authorization: "Bearer wrong" } });
    expect(await wrongTokens()).toEqual({ count: 0 });
  });
});

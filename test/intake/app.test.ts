import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { readAliases, readAllowList } from "../../functions/address.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { newRoute } from "../../functions/deliver/breaker.ts";
import { intake } from "../../functions/intake/app.ts";
import type { IntakeParts } from "../../functions/intake/doors.ts";
import { mostWaitingBytes } from "../../functions/intake/quota.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { toMessage } from "../../functions/queue/message.ts";
import type { Queue } from "../../functions/queue/queue.ts";
import { type SqliteQueue, sqliteQueue } from "../../functions/queue/sqlite.ts";
import type { Event } from "../../functions/report/event.ts";
import { Secret } from "../../functions/secret.ts";
import { rehearse } from "../../scripts/hardstate/rehearsal.ts";
import { openapi } from "../../scripts/openapi.ts";
import { described } from "../api/described.ts";
import { cutOff, posted, queuedAlert, takenFrom } from "../world/alerts.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-http-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const tokens = {
  first: "a".repeat(24),
  second: "b".repeat(24),
  other: "c".repeat(24),
  operator: "o".repeat(24),
};
const allowed = readAllowList(["example.com"]);
const aliases = readAliases(["root=ops@example.com", "team=ann@example.com,bob@example.com"]);
if (!allowed.ok || !aliases.ok) throw new Error("the tests' own settings are wrong");

let queue: SqliteQueue;
let file: string;
let events: Event[];
let app: ReturnType<typeof intake>;
/** Intake in front of `on`. */
const intakeOf = (
  on: Queue,
  ledgerFile = join(folder, `${count++}.sqlite`),
  more: Partial<Pick<IntakeParts, "tokens" | "scrape" | "rate" | "clock">> = {},
) =>
  described(
    intake({
      openapi,
      tokens: [
        { site: "site", token: new Secret(tokens.first) },
        { site: "site", token: new Secret(tokens.second) },
        { site: "other", token: new Secret(tokens.other) },
        { site: "operator", token: new Secret(tokens.operator) },
      ],
      aliases: aliases.value,
      allowed: allowed.value,
      operators: [],
      queue: on,
      ledger: sqliteLedger(ledgerFile),
      clock: () => 100_000_000,
      report: (event) => events.push(event),
      ...more,
    }),
  );
beforeEach(() => {
  file = join(folder, `${count++}.sqlite`);
  queue = sqliteQueue(file, () => Date.now());
  events = [];
  app = intakeOf(queue);
});

const alert = (change: Record<string, unknown> = {}) =>
  posted({ recipients: [{ name: "ops", email: "ops@example.com" }], ...change });
const post = (body: string, type = "application/json", headers: Record<string, string> = {}) =>
  app.request("/v1/alerts", {
    method: "POST",
    body,
    headers: { "Content-Type": type, Authorization: `Bearer ${tokens.first}`, ...headers },
  });
const postJson = (value: unknown) => post(JSON.stringify(value));
const taken = () => takenFrom(queue);

describe("POST /v1/alerts", () => {
  it("takes a small post before a large one that came first", async () => {
    const recipients = Array.from({ length: 150 }, (_, index) => ({ email: `c${index}@example.com` }));
    const large = Array.from({ length: 40 }, (_, index) =>
      alert({ id: `large-number-${index}`, recipients }),
    );
    const order: string[] = [];
    const answered = (name: string) => (response: Response) => {
      expect(response.status).toBe(202);
      order.push(name);
    };
    await Promise.all([
      Promise.resolve(postJson(large)).then(answered("large")),
      Promise.resolve(postJson(alert({ id: "small-one" }))).then(answered("small")),
    ]);
    expect(order).toEqual(["small", "large"]);
    expect((await queue.depth()).waiting).toBe(6001);
  });

  it("answers 503 when the queue fails between two parts of a post, and takes each alert once when it is sent again", async () => {
    const recipients = Array.from({ length: 150 }, (_, index) => ({ email: `c${index}@example.com` }));
    const large = Array.from({ length: 4 }, (_, index) => alert({ id: `large-number-${index}`, recipients }));
    let sends = 0;
    const send: Queue["send"] = (messages) =>
      ++sends === 2 ? Promise.reject(new Error("disk I/O error")) : queue.send(messages);
    app = intakeOf({ ...queue, send });
    expect((await postJson(large)).status).toBe(503);
    expect((await queue.depth()).waiting).toBe(200);
    expect((await postJson(large)).status).toBe(202);
    expect((await queue.depth()).waiting).toBe(600);
    expect(events.filter(({ event }) => event === "repeated")).toHaveLength(200);
  });

  it("takes one alert and answers with its id, object and contact", async () => {
    const response = await postJson(alert({ id: "client-id-1" }));
    expect(response.status).toBe(202);
    expect(await response.json()).toEqual({
      alerts: [
        { item: 0, id: "client-id-1", object: "web01/HTTP", contact: "ops@example.com", status: "queued" },
      ],
    });
    expect(await taken()).toMatchObject([{ id: "client-id-1", site: "site", receivedAt: 100_000_000 }]);
  });

  it("knows by a Date header how far the poster's clock is behind, and by none or a bad one nothing", async () => {
    const body = JSON.stringify(alert());
    await post(body, "application/json", { Date: "Fri, 02 Jan 1970 02:46:40 GMT" });
    expect(await taken()).toMatchObject([{ clockBehind: 3_600_000 }]);
    for (const headers of [{}, { Date: "noon" }] as Record<string, string>[]) {
      await post(body, "application/json", headers);
      expect((await taken())[0]).not.toHaveProperty("clockBehind");
    }
  });

  it("notes whether several sites may post, without the operators' site and second tokens", async () => {
    const tokensOf = (...sites: string[]) =>
      sites.map((site, index) => ({ site, token: new Secret(Object.values(tokens)[index] ?? "") }));
    for (const [given, expected] of [
      [tokensOf("site", "site", "other"), true],
      [tokensOf("site", "site", "operator"), undefined],
    ] as const) {
      app = intakeOf(queue, undefined, { tokens: given });
      await postJson(alert());
      expect((await taken())[0]?.severalSites).toBe(expected);
    }
  });

  it("takes a list, and lines of JSON, in their order", async () => {
    const several = [1, 2, 3].map((n) => alert({ id: `client-id-${n}` }));
    expect((await postJson(several)).status).toBe(202);
    expect((await taken()).map(({ id }) => id)).toEqual(["client-id-1", "client-id-2", "client-id-3"]);
    const lines = several.map((one) => JSON.stringify(one)).join("\n");
    expect((await post(`${lines}\n`, "application/x-ndjson")).status).toBe(202);
    expect(await taken()).toHaveLength(3);
  });

  it("takes a form with macro names, prefixed or not", async () => {
    const form =
      "NOTIFICATIONTYPE=PROBLEM&HOSTNAME=web01&NAGIOS_SERVICEDESC=HTTP&SERVICESTATE=CRITICAL&TIMET=5&CONTACTEMAIL=ops%40example.com&SERVICEOUTPUT=100%25+full";
    expect((await post(form, "application/x-www-form-urlencoded")).status).toBe(202);
    expect(await taken()).toMatchObject([
      { alert: { object: { host: "web01", service: "HTTP" }, output: "100% full" } },
    ]);
  });

  it("names the macro beside the field when a form lacks it", async () => {
    const response = await post("HOSTNAME=web01&HOSTSTATE=DOWN", "application/x-www-form-urlencoded");
    const { errors } = (await response.json()) as { errors: { field: string }[] };
    expect(errors.map(({ field }) => field)).toEqual([
      "type (NOTIFICATIONTYPE)",
      "recipients.0.email (CONTACTEMAIL)",
    ]);
  });

  it("makes one queued alert of each recipient, with ids that a retry makes again", async () => {
    const two = alert({ id: "client-id-1", recipients: [{ name: "team" }, { email: "root" }] });
    await postJson(two);
    const first = await taken();
    expect(first.map(({ contact }) => contact)).toEqual([
      "ann@example.com",
      "bob@example.com",
      "ops@example.com",
    ]);
    await postJson({ ...two, recipients: [{ email: "root" }, { name: "team" }] });
    expect((await taken()).map(({ id }) => id).toSorted()).toEqual(first.map(({ id }) => id).toSorted());
  });

  it("queues an alert for its good mailboxes and names each bad one with the reason", async () => {
    const response = await post(
      "NOTIFICATIONTYPE=PROBLEM&HOSTNAME=web01&HOSTSTATE=DOWN&TIMET=5&ID=client-id-1&CONTACTEMAIL=ops@example.com+dba@example.com,pager;ann@example.org",
      "application/x-www-form-urlencoded",
    );
    expect(response.status).toBe(202);
    const { alerts } = (await response.json()) as { alerts: { id: string }[] };
    const field = "recipients.0.email (CONTACTEMAIL)";
    const of = { item: 0, id: expect.stringMatching(/^client-id-1\.[0-9a-f]{8}$/), object: "web01" };
    expect(alerts).toEqual([
      { ...of, contact: "ops@example.com", status: "queued" },
      { ...of, contact: "dba@example.com", status: "queued" },
      {
        ...of,
        contact: "pager",
        status: "rejected",
        errors: [{ field, expected: expect.stringContaining("local@domain") }],
      },
      {
        ...of,
        contact: "ann@example.org",
        status: "rejected",
        errors: [{ field, expected: expect.stringContaining("HARDSTATE_RECIPIENTS") }],
      },
    ]);
    expect(new Set(alerts.map(({ id }) => id)).size).toBe(4);
    expect((await taken()).map(({ id }) => id)).toEqual(alerts.slice(0, 2).map(({ id }) => id));
  });

  it("takes an alert though a recipient in its list is no contact at all", async () => {
    const recipients = [{ email: 5 }, "ops@example.com", null, {}, { name: ["x"], email: "ops@example.com" }];
    const response = await postJson(alert({ recipients }));
    expect(response.status).toBe(202);
    const { alerts } = (await response.json()) as { alerts: { errors?: { field: string }[] }[] };
    expect(alerts).toMatchObject([{ status: "queued", contact: "ops@example.com" }, { status: "rejected" }]);
    expect(alerts[1]?.errors?.map(({ field }) => field)).toEqual(
      [0, 1, 2, 3].map((index) => `recipients.${index}.email`),
    );
  });

  it("names each mailbox of an alert of which none is good", async () => {
    const recipients = [{ email: "pager, x@example.org" }, { name: "nobody" }];
    const response = await postJson(alert({ id: "client-id-1", recipients }));
    expect(response.status).toBe(422);
    const { alerts } = (await response.json()) as { alerts: { contact: string; status: string }[] };
    expect(alerts.map(({ contact, status }) => [contact, status])).toEqual([
      ["pager", "rejected"],
      ["x@example.org", "rejected"],
      ["nobody", "rejected"],
    ]);
    expect(await taken()).toEqual([]);
  });

  it("gives an alert without id the same one whenever it comes", async () => {
    await postJson(alert());
    const [first] = await taken();
    await postJson(alert({ output: "other words" }));
    expect((await taken()).map(({ id }) => id)).toEqual([first?.id]);
  });

  it("says in the log that an alert is a repetition, which the queue has already", async () => {
    await postJson(alert());
    await postJson([alert(), alert({ object: { host: "db01", service: "Load" } })]);
    expect(events.map((event) => [event.event, "object" in event && event.object])).toEqual([
      ["accepted", "web01/HTTP"],
      ["repeated", "web01/HTTP"],
      ["accepted", "db01/Load"],
    ]);
    expect(await taken()).toHaveLength(2);
  });

  it("takes the good items of a batch and lists the faults of the others", async () => {
    const response = await postJson([alert(), alert({ state: "DOWN" }), { v: 1 }, "x"]);
    expect(response.status).toBe(202);
    const { alerts } = (await response.json()) as {
      alerts: { status: string; errors?: { field: string }[] }[];
    };
    expect(alerts.map(({ status }) => status)).toEqual(["queued", "rejected", "rejected", "rejected"]);
    expect(alerts[1]?.errors?.map(({ field }) => field)).toEqual(["state"]);
    expect(await taken()).toHaveLength(1);
  });

  it.each<[string, () => Response | Promise<Response>, number, string]>([
    ["no JSON", () => post("{"), 400, "body"],
    ["no token", () => post("{}", "application/json", { Authorization: "" }), 401, ""],
    ["a form that is not taken", () => post("<xml/>", "application/xml"), 415, ""],
    ["a compressed body", () => post("x", "application/json", { "Content-Encoding": "gzip" }), 415, ""],
    ["more than 256 KiB", () => post(" ".repeat(256 * 1024 + 1)), 413, ""],
    [
      "a length of more than 256 KiB",
      () => post("{}", "application/json", { "Content-Length": `${256 * 1024 + 1}` }),
      413,
      "",
    ],
    ["more than 100 alerts", () => postJson(Array.from({ length: 101 }, () => alert())), 422, "body"],
    ["an empty list", () => post("[]"), 422, "body"],
    [
      "a recipient outside the allow-list",
      () => postJson(alert({ recipients: [{ email: "x@example.org" }] })),
      422,
      "recipients.0.email",
    ],
    [
      "a recipient that is two in disguise",
      () => postJson(alert({ recipients: [{ email: "a@example.com>\r\nRCPT TO:<evil@evil.com" }] })),
      422,
      "recipients.0.email",
    ],
    [
      "a contact that no alias names",
      () => postJson(alert({ recipients: [{ name: "nobody" }] })),
      422,
      "recipients.0.email",
    ],
    [
      "more than 200 mailboxes in one contact",
      () => {
        const email = Array.from({ length: 201 }, (_, n) => `u${n}@example.com`).join(",");
        return postJson(alert({ recipients: [{ email }] }));
      },
      422,
      "recipients",
    ],
    ["an unknown type", () => postJson(alert({ type: "ALARM" })), 422, "type"],
    ["a PROBLEM that is OK", () => postJson(alert({ state: "OK" })), 422, "state"],
    ["brackets a quarter million deep", () => post("[".repeat(250_000)), 400, "body"],
  ])("refuses %s with a problem document and changes nothing", async (_, request, status, field) => {
    const response = await request();
    expect(response.status).toBe(status);
    expect(response.headers.get("Content-Type")).toBe("application/problem+json");
    const problem = (await response.json()) as {
      type: string;
      status: number;
      errors?: { field: string; expected: string }[];
    };
    expect(problem).toMatchObject({ type: expect.stringMatching(/^urn:hardstate:problem:/), status });
    if (field) expect(problem.errors?.map((error) => error.field)).toContain(field);
    expect(await taken()).toEqual([]);
    expect(events).toMatchObject([{ event: "request-refused", status }]);
  });

  const form = "NOTIFICATIONTYPE=PROBLEM&HOSTNAME=web01&HOSTSTATE=DOWN&CONTACTEMAIL=ops@example.com";
  it("takes a form whose output has an unescaped & that repeats no macro", async () => {
    const body = `${form}&HOSTOUTPUT=a&b=1&b=2`;
    expect((await post(body, "application/x-www-form-urlencoded")).status).toBe(202);
  });

  it("names the id of an alert that it refuses because a field is given twice", async () => {
    const json = JSON.stringify(alert({ id: "named-alert-1" })).replace("{", '{"state":"OK",');
    const { alerts } = (await (await post(json)).json()) as { alerts: unknown[] };
    expect(alerts).toMatchObject([{ id: "named-alert-1", status: "rejected" }]);
  });

  it.each([
    [`${form}&HOSTNAME=web02`, "HOSTNAME"],
    [
      `${form}&NOTIFICATIONCOMMENT=x&NOTIFICATIONTYPE=RECOVERY&HOSTNAME=core-db&HOSTSTATE=UP`,
      "NOTIFICATIONTYPE",
    ],
    [`${form}&NAGIOS_HOSTNAME=core-db`, "HOSTNAME"],
  ])("refuses a form that gives a field twice: %s", async (body, field) => {
    const response = await post(body, "application/x-www-form-urlencoded");
    expect(response.status).toBe(422);
    const { errors } = (await response.json()) as { errors: { field: string; expected: string }[] };
    expect(errors).toContainEqual({ field, expected: "a field that is given once" });
    expect(await taken()).toEqual([]);
  });

  it("refuses JSON that gives a name twice, and takes the other items of its list", async () => {
    const whole = JSON.stringify(alert({ comment: "COMMENT" }));
    const twice = whole.replace('"COMMENT"', '"","type":"RECOVERY","state":"OK"');
    const expected = [
      { field: "type", expected: "a field that is given once" },
      { field: "state", expected: "a field that is given once" },
    ];
    expect(await (await post(twice)).json()).toMatchObject({ errors: expected });
    for (const [body, type] of [
      [`[${whole},${twice}]`, "application/json"],
      [`${whole}\n${twice}\n`, "application/x-ndjson"],
    ] as const) {
      const { alerts } = (await (await post(body, type)).json()) as { alerts: unknown[] };
      expect(alerts).toMatchObject([
        { item: 0, status: "queued" },
        { item: 1, status: "rejected", errors: expected },
      ]);
    }
    expect(await taken()).toHaveLength(1);
  });

  it("tells in the log which alerts were refused, and which were posted when nothing could be taken", async () => {
    await postJson([alert({ id: "good-alert" }), alert({ id: "bad-alert-1", state: "DOWN" }), "x"]);
    await postJson(alert({ id: "bad-alert-2", state: "DOWN" }));
    const refusals = events.filter(({ event }) => event === "request-refused");
    expect(refusals).toMatchObject([
      { status: 202, ids: ["bad-alert-1"] },
      { status: 422, ids: ["bad-alert-2"] },
    ]);
    app = intakeOf({ ...queue, send: () => Promise.reject(new Error("disk I/O error")) });
    await postJson([alert({ id: "post-alert-1" }), alert({ id: "post-alert-2" })]);
    expect(events.at(-1)).toMatchObject({ event: "unavailable", ids: ["post-alert-1", "post-alert-2"] });
  });

  it.each<[string, () => Response | Promise<Response>]>([
    ["no time", () => postJson(alert({ time: undefined }))],
    ["a time that is no number", () => post(JSON.stringify(alert()).replace("100000", "1e999"))],
    ["a time in milliseconds", () => postJson(alert({ time: 1_795_366_380_000 }))],
    [
      "a form without TIMET",
      () =>
        post(
          "NOTIFICATIONTYPE=PROBLEM&HOSTNAME=web01&HOSTSTATE=DOWN&CONTACTEMAIL=ops@example.com",
          "application/x-www-form-urlencoded",
        ),
    ],
  ])("takes an alert with %s as of the time of receipt", async (_, request) => {
    expect((await request()).status).toBe(202);
    expect((await taken()).map(({ alert }) => alert.time)).toEqual([100_000]);
  });

  it("takes an alert with an id that cannot be read by the id of its event", async () => {
    await postJson(alert());
    const [own] = await taken();
    for (const id of ["../../etc", "short", 5, ["client-id-1"]])
      expect(await (await postJson(alert({ id }))).json()).toMatchObject({ alerts: [{ id: own?.id }] });
  });

  it("takes a form post whose information is odd", async () => {
    const odd = {
      MAXSERVICEATTEMPTS: "7200",
      SERVICEATTEMPT: "1001",
      LASTSERVICESTATE: "PENDING",
      SERVICENOTIFICATIONNUMBER: "1000001",
      SERVICEPROBLEMID: "web01!HTTP!5",
      LASTSERVICEPROBLEMID: "é",
      SERVICENOTIFICATIONID: "7 of 8",
      LASTSERVICEOK: "never",
      PROCESSSTARTTIME: "-1",
      NOTIFICATIONISESCALATED: "maybe",
      SERVICESTATETYPE: "FIRM",
      SOURCE: "zabbix",
      SERVICEACTIONURL: "javascript:alert(1)",
    };
    const right = {
      NOTIFICATIONTYPE: "PROBLEM",
      HOSTNAME: "web01",
      SERVICEDESC: "HTTP",
      SERVICESTATE: "CRITICAL",
      SERVICEOUTPUT: "Socket timeout",
      CONTACTEMAIL: "ops@example.com",
      TIMET: "5",
    };
    const body = new URLSearchParams({ ...right, ...odd }).toString();
    expect((await post(body, "application/x-www-form-urlencoded")).status).toBe(202);
    const [queued] = await taken();
    expect(JSON.parse(JSON.stringify(queued?.alert))).toEqual({
      v: 1,
      source: "other",
      monitor: { id: "nagios" },
      type: "PROBLEM",
      object: { host: "web01", service: "HTTP", groups: [], urls: {} },
      state: "CRITICAL",
      state_type: "HARD",
      problem: {},
      notification: { escalated: false, recipients: [] },
      output: "Socket timeout",
      long_output: "",
      perfdata: "",
      comment: "",
      truncated: false,
      time: 5,
      custom: {},
    });
  });

  it("tells every fault at once", async () => {
    const response = await postJson({ ...alert(), v: 2, type: "X", state: "Y", recipients: [] });
    const { errors } = (await response.json()) as { errors: { field: string }[] };
    expect(errors.map(({ field }) => field).toSorted()).toEqual(["recipients", "state", "type", "v"]);
  });

  it("does not let __proto__ or constructor through", async () => {
    const body = JSON.stringify(alert()).replace("{", '{"__proto__":{"degraded":true},"constructor":1,');
    expect((await post(body)).status).toBe(202);
    const [queued] = await taken();
    expect(queued?.alert.degraded).toBeUndefined();
    expect(Object.keys(queued?.alert ?? {})).not.toContain("constructor");
  });

  it("answers 503 with Retry-After and takes nothing while the queue's file is locked", async () => {
    let now = 100_000_000;
    app = intakeOf(queue, undefined, { clock: () => now });
    const other = new DatabaseSync(file);
    other.exec("BEGIN EXCLUSIVE");
    const response = await postJson([alert(), alert({ object: { host: "db01" }, state: "DOWN" })]);
    expect([response.status, response.headers.get("Retry-After")]).toEqual([503, "10"]);
    expect((await app.request("/readyz")).status).toBe(503);
    other.exec("ROLLBACK");
    expect(await taken()).toEqual([]);
    now += 1000;
    expect((await app.request("/readyz")).status).toBe(200);
    expect(events.map(({ event }) => event)).toEqual(["unavailable", "unavailable"]);
  });
});

describe("a queue that takes only some", () => {
  it("makes the answer 503, and the whole post may come again without doubling", async () => {
    let room = 1;
    const narrow: Queue = {
      ...queue,
      send: async (messages) => {
        await queue.send(messages.slice(0, room));
        return messages.map((_, index) => index < room);
      },
    };
    app = intakeOf(narrow);
    const two = alert({ id: "client-id-1", recipients: [{ name: "team" }] });
    expect((await postJson(two)).status).toBe(503);
    room = 2;
    expect((await postJson(two)).status).toBe(202);
    expect((await taken()).map(({ contact }) => contact)).toEqual(["ann@example.com", "bob@example.com"]);
  });
});

describe("a token", () => {
  const authorised = async (authorization: string) =>
    (await app.request("/v1/alerts/unknown-id", { headers: { Authorization: authorization } })).status ===
    404;

  it("opens the door of its site, and so does the site's second one", async () => {
    expect(await authorised(`Bearer ${tokens.first}`)).toBe(true);
    expect(await authorised(`Bearer ${tokens.second}`)).toBe(true);
  });

  it.each([
    ["", "none"],
    ["Bearer ", "an empty one"],
    [`Bearer ${tokens.first.slice(1)}`, "a part of one"],
    [`Bearer ${tokens.first}x`, "one with more behind it"],
    [`Bearer\t${tokens.first}`, "one after a tab"],
    [`bearer ${tokens.first}`.replace("bearer", "Basic"), "another scheme"],
    [`Bearer ${tokens.first}, Bearer ${tokens.second}`, "two at once"],
  ])("%j (%s) does not", async (authorization) => {
    expect(await authorised(authorization)).toBe(false);
  });

  it("is in no event and no answer", async () => {
    const wrong = "wrong-token-with-24-letters";
    const response = await post("{}", "application/json", { Authorization: `Bearer ${wrong}` });
    const told = JSON.stringify(events) + (await response.text());
    for (const secret of [wrong, ...Object.values(tokens)]) expect(told).not.toContain(secret);
  });

  it("names the site: another site's token does not show its alerts", async () => {
    await postJson(alert({ id: "client-id-1" }));
    const story = (token: string) =>
      app.request("/v1/alerts/client-id-1", { headers: { Authorization: `Bearer ${token}` } });
    expect(await (await story(tokens.first)).json()).toMatchObject({ id: "client-id-1", status: "pending" });
    expect((await story(tokens.other)).status).toBe(404);
  });
});

describe("a token of the operators' site", () => {
  const headers = { Authorization: `Bearer ${tokens.operator}` };
  const asOperator = (method: string, path: string, body?: string) =>
    app.request(path, { method, body, headers: { "Content-Type": "application/json", ...headers } });

  it("posts no alert and no heartbeat, with the reason, and that is in the log", async () => {
    for (const [method, path, body] of [
      ["POST", "/v1/alerts", JSON.stringify(alert())],
      ["POST", "/v1/alerts", ""],
      ["PUT", "/v1/heartbeat", "monitor=m1"],
    ] as const) {
      const response = await asOperator(method, path, body);
      expect(response.status).toBe(403);
      const { type, detail } = (await response.json()) as { type: string; detail: string };
      expect(type).toBe("urn:hardstate:problem:forbidden");
      expect(detail).toContain("Use a token of the monitor's site");
      expect(events.at(-1)).toMatchObject({ event: "request-refused", status: 403, site: "operator" });
    }
    expect(await taken()).toEqual([]);
  });

  it("reads the notices, puts them back and reports mail", async () => {
    expect((await asOperator("GET", "/v1/journal")).status).toBe(200);
    expect((await asOperator("GET", "/v1/queue")).status).toBe(200);
    expect((await asOperator("POST", "/v1/dead-letters/redrive", "{}")).status).toBe(200);
    const report = { method: "POST", body: "x", headers: { ...headers, "Content-Type": "message/rfc822" } };
    expect((await app.request("/v1/returns", report)).status).toBe(200);
  });
});

describe("the rate of a site", () => {
  const rate = { most: 4, milliseconds: 60_000 };
  let now: number;
  beforeEach(() => {
    now = 100_000_000;
    app = intakeOf(queue, undefined, { rate, clock: () => now });
  });
  const other = (change = {}) => alert({ object: { host: `host${count++}`, service: "HTTP" }, ...change });
  const status = async (bearer: string, alerts: unknown = other()) => {
    const body = JSON.stringify(alerts);
    const response = await post(body, "application/json", { Authorization: `Bearer ${bearer}` });
    return [response.status, response.headers.get("Retry-After")];
  };

  it("is 429 beyond, with the seconds until there is room, and 202 then", async () => {
    for (let turn = 0; turn < 4; turn++) expect(await status(tokens.first)).toEqual([202, null]);
    expect(await status(tokens.first)).toEqual([429, "15"]);
    now += 14_999;
    expect(await status(tokens.first)).toEqual([429, "1"]);
    now += 1;
    expect(await status(tokens.first)).toEqual([202, null]);
    expect(await taken()).toHaveLength(5);
  });

  it("counts what a batch makes: it goes through whole, and the next waits for as many", async () => {
    const team = Array.from({ length: 3 }, () => other({ recipients: [{ name: "team" }] }));
    expect(await status(tokens.first, team)).toEqual([202, null]);
    expect(await taken()).toHaveLength(6);
    expect(await status(tokens.first)).toEqual([429, "45"]);
  });

  it("is the site's, whichever of its tokens comes; another site has its own", async () => {
    for (let turn = 0; turn < 4; turn++) await status(tokens.first);
    expect(await status(tokens.second)).toEqual([429, "15"]);
    expect(await status(tokens.other)).toEqual([202, null]);
  });

  it("stops alerts alone: heartbeats and questions go through, so no monitor is called silent", async () => {
    for (let turn = 0; turn < 5; turn++) await status(tokens.first);
    const headers = { Authorization: `Bearer ${tokens.first}` };
    const beat = { method: "PUT", body: '{"monitor":"m1"}', headers };
    expect((await app.request("/v1/heartbeat", beat)).status).toBe(200);
    expect((await app.request("/v1/status", { headers })).status).toBe(200);
  });

  it("is told in the log once until something goes through again", async () => {
    for (let turn = 0; turn < 10; turn++) await status(tokens.first);
    const refusals = () => events.filter((event) => event.event === "request-refused");
    expect(refusals()).toMatchObject([{ status: 429, site: "site" }]);
    now += 15_000;
    for (let turn = 0; turn < 3; turn++) await status(tokens.first);
    expect(refusals()).toHaveLength(2);
  });
});

describe("the quota of a site's waiting bytes", () => {
  const waiting = new Map<string, number>();
  beforeEach(() => {
    waiting.clear();
    app = intakeOf({ ...queue, waitingBytes: async (site) => waiting.get(site) }, undefined, {
      clock: () => now,
    });
  });
  let now = 100_000_000;
  /** The queue is asked four times a second at most. */
  const wait = (site: string, bytes: number) => {
    waiting.set(site, bytes);
    now += 1000;
  };
  const status = async (bearer: string) => {
    const response = await post(JSON.stringify(alert()), undefined, { Authorization: `Bearer ${bearer}` });
    const { detail } = (await response.json()) as { detail?: string };
    return [response.status, response.headers.get("Retry-After"), detail];
  };
  const refusals = () => events.filter((event) => event.event === "request-refused");

  it("answers 429 with the reason, and logs it once until a post is accepted again", async () => {
    const reason = expect.stringMatching(/^512 MiB of this site's alerts wait/);
    for (let turn = 0; turn < 2; turn++) {
      wait("site", mostWaitingBytes - 1);
      expect(await status(tokens.first)).toEqual([202, null, undefined]);
      wait("site", mostWaitingBytes);
      for (const token of [tokens.first, tokens.second, tokens.first])
        expect(await status(token)).toEqual([429, "60", reason]);
      expect(await status(tokens.other)).toEqual([202, null, undefined]);
      expect(refusals()).toHaveLength(turn + 1);
    }
    expect(refusals()[0]).toMatchObject({ status: 429, site: "site", reason });
    wait("site", 0);
    expect(await status(tokens.first)).toEqual([202, null, undefined]);
  });

  it("counts in the queue, and answers 503 while the queue cannot be read", async () => {
    app = intakeOf(queue);
    expect(await queue.waitingBytes("site")).toBe(0);
    await postJson(alert());
    expect(await queue.waitingBytes("site")).toBeGreaterThan(100);
    app = intakeOf({ ...queue, waitingBytes: () => Promise.reject(new Error("disk I/O error")) });
    expect((await status(tokens.first)).slice(0, 2)).toEqual([503, "10"]);
    expect(events.at(-1)).toMatchObject({ event: "unavailable", what: "queue", error: "disk I/O error" });
  });
});

describe("wrong tokens", () => {
  it("are answered and logged one by one up to sixty in a minute; a right one is never held up by them", async () => {
    let now = 100_000_000;
    app = intakeOf(queue, undefined, { clock: () => now });
    const statuses = new Map<number, number>();
    for (let turn = 0; turn < 1000; turn++) {
      const wrong = { Authorization: `Bearer ${"x".repeat(24)}${turn}` };
      const { status } = await app.request("/v1/queue", { headers: wrong });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    expect(Object.fromEntries(statuses)).toEqual({ 401: 60, 429: 940 });
    expect(events).toHaveLength(61);
    expect((await postJson(alert())).status).toBe(202);
    now += 1000;
    expect((await app.request("/v1/queue")).status).toBe(401);
  });
});

describe("GET /v1/problems and /v1/journal", () => {
  /** A ledger with a problem told twice, one recovered, and one of another site. */
  const withHistory = async () => {
    const ledgerFile = join(folder, `${count++}.sqlite`);
    const stage = rehearse({
      policy: defaultPolicy,
      begin: 100_000_000,
      relay: () => "accepted",
      openLedger: () => sqliteLedger(ledgerFile),
    });
    const at = async (seconds: number, site: string, change: Record<string, unknown>) => {
      await stage.passTo(100_000_000 + seconds * 1000);
      await stage.post(
        site,
        alert({ id: `alert-at-${seconds}`, notification: { id: String(seconds) }, ...change }),
      );
    };
    const disk = { object: { host: "web01", service: "Disk" } };
    await at(1, "site", {});
    await at(2, "site", { notification: { id: "2", number: 2 } });
    await at(3, "site", { ...disk, state: "WARNING", recipients: [{ email: "Ann@Example.com" }] });
    await at(4, "site", {
      ...disk,
      type: "RECOVERY",
      state: "OK",
      recipients: [{ email: "ann@example.com" }],
    });
    await at(5, "other", {});
    stage.close();
    const listing = intakeOf(queue, ledgerFile);
    return async (path: string, token = tokens.first) => {
      const response = await listing.request(path, { headers: { Authorization: `Bearer ${token}` } });
      return { status: response.status, body: (await response.json()) as Record<string, never> };
    };
  };

  it("list the open problems with who was told, and how often nothing was mailed", async () => {
    const ask = await withHistory();
    expect((await ask("/v1/problems")).body).toEqual({
      problems: [
        {
          object: "web01/HTTP",
          state: "CRITICAL",
          since: 100_001_000,
          monitors: ["monitor1"],
          told: [{ contact: "ops@example.com", state: "CRITICAL", at: 100_001_000 }],
          waiting: [],
          suppressed: 1,
        },
      ],
    });
  });

  it("list a site's alerts newest first, with their outcome in words, and what adds up", async () => {
    const ask = await withHistory();
    const { body } = await ask("/v1/journal");
    const { alerts, totals } = body as unknown as {
      alerts: { id: string; outcome: string }[];
      totals: object;
    };
    expect(alerts.map(({ id }) => id)).toEqual(["alert-at-4", "alert-at-3", "alert-at-2", "alert-at-1"]);
    expect(alerts[2]).toMatchObject({
      object: "web01/HTTP",
      status: "suppressed",
      outcome: expect.stringMatching(/^suppressed: web01\/HTTP was already reported .* \(R3\)$/),
    });
    expect(totals).toEqual({
      accepted: 4,
      pending: 0,
      mailed: 3,
      suppressed: 1,
      digested: 0,
      refused: 0,
      dead: 0,
    });
    const other = (await ask("/v1/journal", tokens.other)).body as unknown as { alerts: { id: string }[] };
    expect(other.alerts.map(({ id }) => id)).toEqual(["alert-at-5"]);
  });

  it("take an object, a contact in any case, an outcome, and a page", async () => {
    const ask = await withHistory();
    const ids = async (query: string) => {
      const { body } = await ask(`/v1/journal?${query}`);
      const { alerts, next } = body as unknown as { alerts: { id: string }[]; next?: string };
      return { ids: alerts.map(({ id }) => id.at(-1)).join(""), next };
    };
    expect((await ids("object=web01/Disk")).ids).toBe("43");
    expect((await ids("contact=ANN@example.com")).ids).toBe("43");
    expect((await ids("outcome=suppressed")).ids).toBe("2");
    expect((await ids("outcome=mailed&object=web01/HTTP")).ids).toBe("1");
    const first = await ids("limit=3");
    expect(first.ids).toBe("432");
    expect(await ids(`limit=3&before=${first.next}`)).toEqual({ ids: "1" });
    const { next, problems } = (await ask("/v1/problems?limit=1")).body;
    expect(problems).toHaveLength(1);
    expect((await ask(`/v1/problems?before=${next}`)).body).toEqual({ problems: [] });
  });

  it("and GET /v1/status tell when a site's last alert came, and when a relay last took a mail of it", async () => {
    const ask = await withHistory();
    expect((await ask("/v1/status")).body).toMatchObject({
      last: { accepted: 100_004_000, mailed: 100_004_000 },
    });
    expect((await ask("/v1/status", tokens.other)).body).toMatchObject({
      last: { accepted: 100_005_000, mailed: 100_005_000 },
    });
  });

  it.each(["limit=0", "limit=501", "limit=x", "before=x", "before=1.'; DROP", "outcome=eaten", "colour=red"])(
    "refuse %s and name the field",
    async (query) => {
      const ask = await withHistory();
      const { status, body } = await ask(`/v1/journal?${query}`);
      expect(status).toBe(400);
      expect(body).toMatchObject({ errors: [{ field: query.split("=")[0] }] });
    },
  );

  it("need a token, and GET", async () => {
    for (const path of ["/v1/problems", "/v1/journal"]) {
      expect((await app.request(path)).status).toBe(401);
      const headers = { Authorization: `Bearer ${tokens.first}` };
      const response = await app.request(path, { method: "DELETE", headers });
      expect([response.status, response.headers.get("Allow")]).toEqual([405, "GET"]);
    }
  });
});

describe("heartbeats", () => {
  const put = (body: string, token = tokens.first) =>
    app.request("/v1/heartbeat", { method: "PUT", body, headers: { Authorization: `Bearer ${token}` } });
  const status = async (token: string) => {
    const response = await app.request("/v1/status", { headers: { Authorization: `Bearer ${token}` } });
    return ((await response.json()) as { heartbeats: unknown[] }).heartbeats;
  };

  it("are taken 600 times a minute of a site, and another site's do not wait for it", async () => {
    for (let turn = 0; turn < 600; turn++) expect((await put("monitor=m1")).status).toBe(200);
    const full = await put("monitor=m1");
    expect([full.status, full.headers.get("Retry-After")]).toEqual([429, "1"]);
    expect((await put("monitor=m1", tokens.other)).status).toBe(200);
  });

  it.each(['{"monitor":"m1"}', "monitor=m1"])("are kept for the token's site: %s", async (body) => {
    const response = await put(body);
    expect([response.status, await response.json()]).toEqual([
      200,
      { site: "site", monitor: "m1", at: 100_000_000 },
    ]);
    expect(await status(tokens.second)).toEqual([{ monitor: "m1", last: 100_000_000, silent: false }]);
    expect(await status(tokens.other)).toEqual([]);
  });

  it.each(["", "monitor=", '{"monitor":7}', "[]", `monitor=${"m".repeat(65)}`, "monitor=%0a", "x=1"])(
    "without a monitor's name are refused, and change nothing: '%s'",
    async (body) => {
      const response = await put(body);
      expect(response.status).toBe(422);
      expect(await response.json()).toMatchObject({ errors: [{ field: expect.stringMatching("monitor") }] });
      expect(await status(tokens.first)).toEqual([]);
    },
  );

  it("are of a hundred monitors of a site at most", async () => {
    for (let n = 0; n < 100; n++) expect((await put(`monitor=m${n}`)).status).toBe(200);
    expect((await put("monitor=m100")).status).toBe(422);
    expect((await put("monitor=m99")).status).toBe(200);
    expect((await put("monitor=m100", tokens.other)).status).toBe(200);
  });

  it.each(["monitor=m1&monitor=m2", '{"monitor":"m1","monitor":"m2"}'])(
    "of two monitors in one request are refused: %s",
    async (body) => {
      const headers = { Authorization: `Bearer ${tokens.first}` };
      const response = await app.request("/v1/heartbeat", { method: "PUT", body, headers });
      expect(response.status).toBe(422);
      const errors = [{ field: "monitor", expected: "a field that is given once" }];
      expect(await response.json()).toMatchObject({ errors });
    },
  );

  it("need a token, PUT and few bytes", async () => {
    expect((await put("monitor=m1", "x".repeat(24))).status).toBe(401);
    expect((await put(`monitor=${"m".repeat(2000)}`)).status).toBe(413);
    const headers = { Authorization: `Bearer ${tokens.first}` };
    const response = await app.request("/v1/heartbeat", { method: "POST", body: "monitor=m1", headers });
    expect([response.status, response.headers.get("Allow")]).toEqual([405, "PUT"]);
  });
});

describe("the status", () => {
  const open = (since: number, step: "auth" | "connect") => ({
    since,
    step,
    probes: 0,
    probeAt: since + 30_000,
    probing: false,
    reason: "no",
  });
  const ask = async (accept: string) => {
    const ledgerFile = join(folder, `${count++}.sqlite`);
    const ledger = sqliteLedger(ledgerFile);
    for (const [route, state] of Object.entries({
      "smtp://a": {},
      "smtp://b": {
        open: open(99_000_000, "auth"),
        refusal: { at: 99_000_000, reason: "no", step: "auth" as const },
      },
      "smtp://c": { open: open(98_000_000, "connect") },
      "smtp://gone": { open: open(98_000_000, "connect"), removed: true as const },
    }))
      await ledger.writeRoute({ ...newRoute(route), ...state });
    for (const [monitor, at] of [
      ["m1", 99_960_000],
      ["m2", 90_000_000],
    ] as const)
      await ledger.writeHeartbeat({
        ...(await ledger.heartbeat("site", monitor)),
        at,
        ...(at < 99_000_000 && { silent: { since: at } }),
      });
    await queue.send([toMessage(queuedAlert({ id: "dead-0001" }))]);
    for (const one of await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 30 }))
      await queue.bury(one, "no");
    await queue.send([toMessage(queuedAlert({ id: "waiting-1", receivedAt: 99_990_000 }))]);
    return intakeOf(queue, ledgerFile).request("/v1/status", {
      headers: { Authorization: `Bearer ${tokens.first}`, Accept: accept },
    });
  };

  it("tells of queue, dead letters, routes and heartbeats", async () => {
    const route = { down: false, refused: false };
    expect(await (await ask("application/json")).json()).toEqual({
      now: 100_000_000,
      queue: { waiting: 1, in_flight: 0, oldest: 99_990_000 },
      dead_letters: 1,
      routes: [
        { route: "smtp://a", ...route },
        {
          route: "smtp://b",
          down: true,
          refused: true,
          since: 99_000_000,
          reason: "no",
          probe_at: 99_030_000,
        },
        {
          route: "smtp://c",
          down: true,
          refused: false,
          since: 98_000_000,
          reason: "no",
          probe_at: 98_030_000,
        },
      ],
      heartbeats: [
        { monitor: "m1", last: 99_960_000, silent: false },
        { monitor: "m2", last: 90_000_000, silent: true },
      ],
      last: {},
      rejected: 0,
      wrong_tokens: { count: 0 },
      bouncing: [],
    });
  });

  it("is also lines of names and numbers, for scripts", async () => {
    const response = await ask("text/plain");
    expect(response.headers.get("Content-Type")).toMatch(/^text\/plain/);
    expect(await response.text()).toBe(
      [
        "oldest_seconds 10",
        "waiting 1",
        "in_flight 0",
        "dead_letters 1",
        "rejected 0",
        "wrong_tokens 0",
        "bouncing 0",
        "routes 3",
        "routes_down 2",
        "routes_open 2",
        "routes_refused 1",
        "heartbeats 2",
        "heartbeats_silent 1",
        "heartbeat_seconds 10000",
        "",
      ].join("\n"),
    );
  });
});

describe("dead letters", () => {
  const call = (path: string, token: string, body?: string) =>
    app.request(path, {
      ...(body !== undefined && { method: "POST", body }),
      headers: { Authorization: `Bearer ${token}` },
    });
  const queuePage = async (token: string) => (await call("/v1/queue", token)).json();
  const redrive = async (token: string, body: string) => {
    const response = await call("/v1/dead-letters/redrive", token, body);
    return [response.status, ((await response.json()) as { redriven?: number }).redriven];
  };
  const buryAll = async () => {
    for (;;) {
      const messages = await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 30 });
      if (messages.length === 0) break;
      for (const message of messages) await queue.bury(message, "550 5.1.1 no such user");
    }
  };
  /** Two of one site, one of another, and a message that is not an alert. */
  beforeEach(async () => {
    for (const [site, id] of [
      ["site", "dead-0001"],
      ["site", "dead-0002"],
      ["other", "dead-0001"],
    ])
      await queue.send([toMessage(queuedAlert({ site, id, receivedAt: 5 }))]);
    await queue.send([{ group: "g", deduplicationId: "d", body: "canary9f", site: "", contact: "" }]);
    await buryAll();
    await queue.send([toMessage(queuedAlert({ id: "waiting-1", receivedAt: 7 }))]);
  });

  it("are listed to their own site, with the relay's words; a message without an alert to all, without its text", async () => {
    const letters = [
      {
        id: "dead-0001",
        object: "web01/HTTP",
        contact: "ops@example.com",
        type: "PROBLEM",
        state: "CRITICAL",
        reason: "550 5.1.1 no such user",
      },
      { reason: "550 5.1.1 no such user" },
      { id: "dead-0002" },
    ];
    expect(await queuePage(tokens.first)).toMatchObject({
      waiting: 1,
      in_flight: 0,
      oldest: 7,
      dead_letters: letters,
    });
    expect(JSON.stringify(await queuePage(tokens.first))).not.toContain("canary9f");
    expect(((await queuePage(tokens.other)) as { dead_letters: unknown[] }).dead_letters).toHaveLength(2);
  });

  it("are listed, however many another site has", async () => {
    const others = Array.from({ length: 500 }, (_, n) => queuedAlert({ site: "other", id: `other-${n}` }));
    for (const alerts of [others, [queuedAlert({ id: "dead-0003" })]]) {
      await queue.send(alerts.map(toMessage));
      await buryAll();
    }
    const { dead_letters: letters } = (await queuePage(tokens.first)) as { dead_letters: { id: string }[] };
    expect(letters.map(({ id }) => id)).toContain("dead-0003");
  });

  it("are put back one by one, and those of another site stay", async () => {
    expect(await redrive(tokens.first, '{"id":"dead-0001"}')).toEqual([200, 1]);
    expect((await taken()).map(({ site, id }) => [site, id])).toEqual([
      ["site", "waiting-1"],
      ["site", "dead-0001"],
    ]);
    expect((await queue.deadLetters(9)).map((letter) => letter.alert?.site)).toEqual([
      "other",
      undefined,
      "site",
    ]);
    expect(events).toContainEqual({ event: "redriven", site: "site", id: "dead-0001", count: 1 });
  });

  it.each(["{}", ""])("are put back all at once by '%s', those of the site alone", async (body) => {
    expect(await redrive(tokens.first, body)).toEqual([200, 2]);
    expect((await queue.deadLetters(9)).map((letter) => letter.alert?.site)).toEqual(["other", undefined]);
  });

  it.each([
    ["[1]", 400],
    ["[]", 400],
    ["{", 400],
    ['{"id":7}', 400],
    ['{"all":true}', 400],
    ['{"id":"dead-0003"}', 404],
    [JSON.stringify({ id: "x".repeat(2000) }), 413],
  ])("stay where they are on %.20s", async (body, status) => {
    expect((await redrive(tokens.first, body))[0]).toBe(status);
    expect(await queue.deadLetters(9)).toHaveLength(4);
  });

  it.each<[string, Record<string, string>]>([
    ["with its length", { "Content-Length": "30" }],
    ["in chunks", {}],
  ])("stay where they are when the order is cut off, %s", async (_, headers) => {
    const response = await app.request("/v1/dead-letters/redrive", {
      method: "POST",
      headers: { Authorization: `Bearer ${tokens.first}`, ...headers },
      body: cutOff('{"id":"dead-'),
      duplex: "half",
    } as RequestInit);
    expect(response.status).toBe(400);
    expect(await queue.deadLetters(9)).toHaveLength(4);
    expect(events).not.toContainEqual(expect.objectContaining({ event: "failed" }));
  });

  it("are nobody's without a token", async () => {
    expect((await call("/v1/queue", "x".repeat(24))).status).toBe(401);
    expect((await redrive("x".repeat(24), "{}"))[0]).toBe(401);
    expect((await call("/v1/dead-letters/redrive", tokens.first)).status).toBe(405);
  });
});

describe("GET /metrics", () => {
  const scrape = async (site: string) => ({
    text: `hardstate_x{site="${site}"} 1\n`,
    contentType: "text/plain; version=0.0.4",
  });
  const ask = (method = "GET", headers: Record<string, string> = {}) =>
    intakeOf(queue, undefined, { scrape }).request("/metrics", { method, headers });

  it("answers Prometheus with a token, and nobody else", async () => {
    const response = await ask("GET", { Authorization: `Bearer ${tokens.first}` });
    expect([response.status, response.headers.get("Content-Type"), await response.text()]).toEqual([
      200,
      "text/plain; version=0.0.4",
      'hardstate_x{site="site"} 1\n',
    ]);
    const refused = await ask();
    expect([refused.status, refused.headers.get("WWW-Authenticate")]).toEqual([401, "Bearer"]);
    const posted = await ask("POST");
    expect([posted.status, posted.headers.get("Allow")]).toEqual([405, "GET"]);
  });

  it("is not there where the runtime has no numbers of its own", async () => {
    const headers = { Authorization: `Bearer ${tokens.first}` };
    expect((await app.request("/metrics", { headers })).status).toBe(404);
  });
});

describe("other paths", () => {
  it("are none that docs/http-api.md does not list", () => {
    const page = readFileSync("docs/http-api.md", "utf8");
    const scrape = async () => ({ text: "", contentType: "text/plain" });
    const paths = intakeOf(queue, undefined, { scrape })
      .routes.map(({ path }) => path.replace(/:(\w+)/, "{$1}"))
      // Intake has the console's first page to write the numbers that it shows.
      .filter((path) => !path.includes("*") && path !== "/");
    expect(new Set(paths).size).toBe(13);
    for (const path of paths) expect(page).toContain(`${path}\``);
  });

  it("are alive and ready without a token", async () => {
    expect(await (await app.request("/healthz")).json()).toEqual({ status: "alive" });
    expect(await (await app.request("/readyz")).json()).toEqual({ status: "ready" });
  });

  it("ask the stores once a second whether they are ready, however many ask", async () => {
    let now = 100_000_000;
    let [asked, away] = [0, false];
    const { promise: first, resolve: answered } = Promise.withResolvers<void>();
    const ready = async () => {
      asked += 1;
      if (asked === 1) await first;
      if (away) throw new Error("AccessDenied");
    };
    app = intakeOf({ ...queue, ready }, undefined, { clock: () => now });
    const statuses = (many: number) =>
      Promise.all(Array.from({ length: many }, async () => (await app.request("/readyz")).status));
    const early = statuses(3);
    now += 5000;
    const late = statuses(3);
    answered();
    expect([...(await early), ...(await late), asked]).toEqual([200, 200, 200, 200, 200, 200, 1]);
    now += 999;
    away = true;
    expect([...(await statuses(2)), asked]).toEqual([200, 200, 1]);
    now += 1;
    expect([...(await statuses(3)), asked]).toEqual([503, 503, 503, 2]);
    expect(events).toHaveLength(1);
    now -= 3_600_000;
    away = false;
    expect([...(await statuses(2)), asked]).toEqual([200, 200, 3]);
  });

  it("ask again where a question has no end", async () => {
    let now = 100_000_000;
    let asked = 0;
    const ready = () => {
      asked += 1;
      return asked === 1 ? new Promise<void>(() => {}) : Promise.resolve();
    };
    app = intakeOf({ ...queue, ready }, undefined, { clock: () => now });
    app.request("/readyz");
    now += 10_000;
    expect((await app.request("/readyz")).status).toBe(200);
  });

  it("say what they do not take", async () => {
    expect((await app.request("/nothing")).status).toBe(404);
    const response = await app.request("/v1/alerts", {
      headers: { Authorization: `Bearer ${tokens.first}` },
    });
    expect([response.status, response.headers.get("Allow")]).toEqual([405, "POST"]);
  });
});

describe("every notification that a real Nagios sent", () => {
  const corpus = new URL("../corpus/nagios/", import.meta.url);
  const recordings = readdirSync(corpus).filter((file) => file.endsWith(".env"));
  it.each(recordings)("is taken from the form post of its environment: %s", async (name) => {
    const form = new URLSearchParams();
    for (const line of readFileSync(new URL(name, corpus), "utf8").split("\n")) {
      const [, key, value] = /^(NAGIOS_\w+)=(.*)$/.exec(line) ?? [];
      if (key && value !== undefined) form.append(key, value);
    }
    const response = await post(form.toString(), "application/x-www-form-urlencoded");
    expect(await response.json()).toMatchObject({ alerts: [{ status: "queued" }] });
    const [queued] = await taken();
    expect(queued?.contact).toBe(form.get("NAGIOS_CONTACTEMAIL"));
    expect(queued?.alert).toMatchObject({
      type: form.get("NAGIOS_NOTIFICATIONTYPE"),
      object: { host: form.get("NAGIOS_HOSTNAME"), service: form.get("NAGIOS_SERVICEDESC") || null },
      time: Number(form.get("NAGIOS_TIMET")),
    });
  });
});

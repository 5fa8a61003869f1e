import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readAllowList } from "../../functions/address.ts";
import { webConsole } from "../../functions/console/http.ts";
import { script } from "../../functions/console/script.ts";
import { sessionMilliseconds } from "../../functions/console/session.ts";
import { style } from "../../functions/console/style.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { newRoute } from "../../functions/deliver/breaker.ts";
import { intake } from "../../functions/intake/app.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { toMessage } from "../../functions/queue/message.ts";
import { type SqliteQueue, sqliteQueue } from "../../functions/queue/sqlite.ts";
import type { Event } from "../../functions/report/event.ts";
import { Secret } from "../../functions/secret.ts";
import { rehearse } from "../../scripts/hardstate/rehearsal.ts";
import { cutOff, queuedAlert } from "../world/alerts.ts";
import { hostile, hostileAlerts, writeBusyDay } from "./busy-day.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-pages-"));
afterAll(() => rmSync(folder, { recursive: true }));
const end = Date.UTC(2026, 10, 25, 12, 30);
const tokens = { site: "a".repeat(24), other: "b".repeat(24), fresh: "c".repeat(24) };
const allowed = readAllowList(["example.com"]);
if (!allowed.ok) throw new Error("the tests' own settings are wrong");

let ledger: Ledger;
let queue: SqliteQueue;
let events: Event[];
let now: number;
let app: ReturnType<typeof bridgeOn>;
const bridgeOn = (on: Ledger, letters = queue) => {
  const parts = {
    tokens: Object.entries(tokens).map(([site, token]) => ({ site, token: new Secret(token) })),
    aliases: new Map(),
    allowed: allowed.value,
    operators: [],
    queue: letters,
    ledger: on,
    clock: () => now,
    report: (event: Event) => events.push(event),
  };
  return intake(parts).route("/", webConsole(parts));
};
beforeAll(async () => {
  const path = join(folder, "ledger.sqlite");
  await writeBusyDay(path, end, "site");
  const stage = rehearse({
    policy: defaultPolicy,
    begin: end - 60_000,
    relay: () => "accepted",
    openLedger: () => sqliteLedger(path),
  });
  for (const alert of hostileAlerts("ops@example.com")) await stage.post("site", alert);
  const [theirs] = hostileAlerts("ops@example.com");
  const object = { host: "secret-host", service: null };
  await stage.post("other", { ...theirs, id: "of-the-other-site", object });
  stage.close();
  ledger = sqliteLedger(path);
});
beforeEach(() => {
  events = [];
  now = end;
  queue = sqliteQueue(":memory:", () => now);
  app = bridgeOn(ledger);
});

const form = (fields: Record<string, string>, headers: Record<string, string> = {}) => ({
  method: "POST",
  body: new URLSearchParams(fields).toString(),
  headers: { Host: "localhost:8787", "Content-Type": "application/x-www-form-urlencoded", ...headers },
});
const send = (path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
  app.request(path, form(fields, headers));
const cookieIn = (response: Response): string =>
  (response.headers.get("Set-Cookie") ?? "").split(";")[0] ?? "";
const logIn = async (token = tokens.site) => cookieIn(await send("/login", { token }));
const get = async (path: string, cookie = "", headers: Record<string, string> = {}) => {
  const response = await app.request(path, {
    headers: { Host: "localhost:8787", Cookie: cookie, ...headers },
  });
  return { response, status: response.status, text: await response.text() };
};
const formTokenIn = (text: string): string =>
  /name="form_token" value="([0-9a-f]{64})"/.exec(text)?.[1] ?? "";
/** Dead letters of a site, and one of another. */
const bury = async (...ids: string[]) => {
  for (const id of ids)
    await queue.send([
      toMessage(queuedAlert({ id }, { object: { host: `host-of-${id}`, service: hostile.quotes } })),
    ]);
  await queue.send([toMessage(queuedAlert({ id: "of-the-other", site: "other" }))]);
  for (;;) {
    const messages = await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 30 });
    if (messages.length === 0) return;
    for (const message of messages)
      await queue.bury(message, `550 5.1.1 <gone> no such user ${hostile.quotes}`);
  }
};

const rooms = ["/", "/problems", "/journal", "/alerts/hostile-script", "/dead-letters"];

describe("a login", () => {
  it("with a token leads to the page that was asked for, and sets a strict cookie", async () => {
    const asked = await get("/journal?outcome=mailed");
    expect(asked.status).toBe(401);
    expect(asked.text).toContain('value="/journal?outcome=mailed"');
    const response = await send("/login", { token: ` ${tokens.site}\n`, after: "/journal?outcome=mailed" });
    expect([response.status, response.headers.get("Location")]).toEqual([303, "/journal?outcome=mailed"]);
    expect(response.headers.get("Set-Cookie")).toMatch(
      /^hardstate=site~\d{13}~[0-9a-f]{64}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
    );
    expect(response.headers.get("Set-Cookie")).not.toContain(tokens.site);
  });

  it.each<[string, string, Record<string, string>]>([
    ["by https", "https://bridge.example.com/login", { Host: "bridge.example.com" }],
    ["behind a TLS proxy", "/login", { Host: "bridge.example.com", "X-Forwarded-Proto": "https" }],
  ])("%s sets a cookie that goes by TLS alone, to this host alone", async (_, url, headers) => {
    const response = await send(url, { token: tokens.site }, headers);
    expect(response.headers.get("Set-Cookie")).toMatch(
      /^__Host-hardstate=.*; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
    );
    const { status } = await get("/", cookieIn(response), headers);
    expect(status).toBe(url.startsWith("https") ? 401 : 200);
  });

  it.each<[string, Record<string, string>]>([
    ["with its length", { "Content-Length": "30" }],
    ["in chunks", {}],
  ])("that is cut off is no fault of the bridge, %s", async (_, headers) => {
    const broken = { ...form({}, headers), body: cutOff("token="), duplex: "half" } as RequestInit;
    expect((await app.request("/login", broken)).status).toBe(400);
    expect(events).not.toContainEqual(expect.objectContaining({ event: "failed" }));
  });

  it("without TLS is for loopback alone", async () => {
    const refused = await send("/login", { token: tokens.site }, { Host: "bridge.example.com" });
    expect([refused.status, refused.headers.get("Set-Cookie")]).toEqual([403, null]);
    expect(await refused.text()).toContain("Open the console by https");
    for (const Host of ["127.0.0.1:8787", "[::1]:8787", "localhost"])
      expect((await send("/login", { token: tokens.site }, { Host })).status).toBe(303);
  });

  it.each([
    ["an unknown token", "wrong-token-of-24-letters"],
    ["none", ""],
    ["a very long one", "x".repeat(3000)],
  ])("with %s is refused without repeating it", async (_, token) => {
    const response = await send("/login", { token });
    expect([response.status, response.headers.get("Set-Cookie")]).toEqual([401, null]);
    const said = (await response.text()) + JSON.stringify(events);
    expect(said).toContain('role="alert"');
    expect(said).toContain("a login with an unknown token");
    if (token) expect(said).not.toContain(token.slice(0, 20));
  });

  it.each([
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "/journal\\",
    "/log",
    "javascript:x",
    "/\n/x",
  ])("leads nowhere but into the console: %j", async (after) => {
    const response = await send("/login", { token: tokens.site, after });
    expect(response.headers.get("Location")).toBe("/");
  });

  it.each<[string, RequestInit, number]>([
    ["is longer than 4 KiB", form({ token: "x".repeat(5000) }), 413],
    ["is no form", form({}, { "Content-Type": "application/json" }), 415],
    ["comes from another site", form({ token: tokens.site }, { "Sec-Fetch-Site": "cross-site" }), 403],
    ["comes from another origin", form({ token: tokens.site }, { Origin: "http://evil.example" }), 403],
    ["comes from no origin", form({ token: tokens.site }, { Origin: "null" }), 403],
    ["comes from another port", form({ token: tokens.site }, { Origin: "http://localhost:99" }), 403],
  ])("that %s is refused", async (_, request, status) => {
    const response = await app.request("/login", request);
    expect([response.status, response.headers.get("Set-Cookie")]).toEqual([status, null]);
  });
});

describe("logins with unknown tokens", () => {
  it("are answered and logged one by one up to sixty in a minute; who has a token gets in all the same", async () => {
    const wrong = async () => (await send("/login", { token: "x".repeat(30) })).status;
    for (let turn = 0; turn < 60; turn++) expect(await wrong()).toBe(401);
    const response = await send("/login", { token: "x".repeat(30) });
    expect([response.status, response.headers.get("Retry-After")]).toEqual([429, "1"]);
    for (let turn = 0; turn < 100; turn++) expect(await wrong()).toBe(429);
    expect(events).toHaveLength(61);
    expect((await send("/login", { token: tokens.site })).status).toBe(303);
  });
});

describe("every page", () => {
  it.each(rooms)("%s needs a session, and says so in a login", async (path) => {
    for (const cookie of ["", "hardstate=site~1~x"]) {
      const { status, text, response } = await get(path, cookie);
      expect(status).toBe(401);
      expect(text).toContain('action="/login"');
      expect(response.headers.get("Cache-Control")).toBe("no-store");
      expect(text.includes("Your session is over")).toBe(cookie !== "");
    }
  });

  it.each(rooms)("%s says when its session is over", async (path) => {
    const cookie = await logIn();
    now += sessionMilliseconds;
    expect(await get(path, cookie)).toMatchObject({
      status: 401,
      text: expect.stringContaining("Your session is over. Log in again."),
    });
  });

  it.each([...rooms, "/alerts/unknown-id", "/nothing-here", "/console.css", "/console.js"])(
    "%s lets the browser load and run nothing that is not the console's own",
    async (path) => {
      const { response, text } = await get(path, await logIn(), { Accept: "text/html" });
      const policy = response.headers.get("Content-Security-Policy") ?? "";
      for (const rule of [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
      ])
        expect(policy).toContain(rule);
      expect(policy).not.toMatch(/unsafe|\*|data:/);
      expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
      expect(response.headers.get("Referrer-Policy")).toBe("same-origin");
      if (!path.startsWith("/console")) {
        expect(response.headers.get("Cache-Control")).toBe("no-store");
        for (const [tag] of text.matchAll(/<[^>]*>/g))
          expect(tag).not.toMatch(/ style=| on\w+=|^<(script|style|base|iframe)>|https?:|javascript:/);
      }
    },
  );

  it.each(rooms)("%s is under 40 KiB with its style and script, whatever monitors say", async (path) => {
    await bury(...Array.from({ length: 30 }, (_, index) => `dead-${String(index).padStart(4, "0")}`));
    const { text } = await get(path, await logIn());
    const bytes = [text, style, script].map((part) => Buffer.byteLength(part)).reduce((a, b) => a + b);
    expect(bytes).toBeLessThan(40 * 1024);
  });

  it.each(rooms)("%s shows nothing of another site", async (path) => {
    await bury("dead-0001");
    const [mine, fresh] = [await get(path, await logIn()), await get(path, await logIn(tokens.fresh))];
    for (const { text } of [mine, fresh]) expect(text).not.toMatch(/secret-host|of-the-other/);
    expect(fresh.text).not.toMatch(/web0[2-9]|dead-0001|script&gt;/);
  });

  it.each(["/problems", "/journal"])("%s shows hostile names as text", async (path) => {
    const { text } = await get(path, await logIn());
    expect(text).toContain("&lt;script&gt;document.title=&#39;taken&#39;&lt;/script&gt;");
    expect(text).toContain("&quot;&gt;&lt;img src=x onerror=alert(1)&gt;");
    expect(text).not.toContain(hostile.script);
    expect(text).not.toContain("<img");
    expect(text.replace(/<[^>]*>/g, "")).not.toContain("x".repeat(121));
  });

  it.each([
    ["/?x=1", 400, "one of its parameters"],
    ["/problems?before=yesterday", 400, "such a value of before"],
    ["/journal?outcome=eaten", 400, "pending, mailed, suppressed"],
    ["/journal?before=1.'", 400, "such a value of before"],
    ["/journal?colour=%3Cscript%3E", 400, "one of its parameters"],
    ["/dead-letters?from=-1", 400, "such a value of from"],
    ["/alerts/unknown-id", 404, "The journal lists what there is"],
    ["/alerts/%3Cscript%3Ealert(1)%3C%2Fscript%3E", 404, "There is no such alert"],
    ["/alerts/of-the-other-site", 404, "There is no such alert"],
    ["/jornal", 404, "There is no such page"],
  ])("%s tells what to do", async (path, status, words) => {
    const page = await get(path, await logIn(), { Accept: "text/html" });
    expect(page.status).toBe(status);
    expect(page.text).toContain(words);
    expect(page.text).toContain('aria-label="Console"');
    expect(page.text).not.toMatch(/<script>|colour/);
  });

  it.each(["constructor", "__proto__", "toString"])("does not take %s as a parameter", async (name) => {
    const { status, text } = await get(`/journal?${name}=1`, await logIn());
    expect([status, text]).toEqual([400, expect.stringContaining("one of its parameters")]);
    expect(events).not.toContainEqual(expect.objectContaining({ event: "failed" }));
  });

  it("that cannot be made says so, and keeps the reason for the log", async () => {
    const cookie = await logIn();
    app = bridgeOn({ ...ledger, journal: () => Promise.reject(new Error("disk-is-full")) });
    const { status, text, response } = await get("/journal", cookie);
    expect([status, response.headers.get("Retry-After")]).toEqual([503, "10"]);
    expect(text).toContain("This page cannot be shown now");
    expect(text).not.toContain("disk-is-full");
    expect(JSON.stringify(events)).toContain("disk-is-full");
  });

  it("leaves the bridge's own paths and answers to it", async () => {
    expect((await get("/healthz", "", { Accept: "text/html" })).text).toBe('{"status":"alive"}\n');
    expect((await get("/nothing")).text).toContain("urn:hardstate:problem:not-found");
    expect((await get("/v1/journal", await logIn(), { Accept: "text/html" })).status).toBe(401);
  });
});

describe("the first page", () => {
  const verdictOf = async (token = tokens.site) => {
    const { text } = await get("/", await logIn(token));
    return /id="verdict"[^>]*>(.*?)<\/div>/s.exec(text)?.[1]?.replace(/<[^>]+>/g, "|") ?? "";
  };

  it("says that mail is flowing, and what is accounted for adds up", async () => {
    expect(await verdictOf()).toContain("Mail is flowing|");
    const { text } = await get("/", await logIn());
    const sum = /class="sum">(.*?)<\/p>/s.exec(text)?.[1]?.replace(/<[^>]+>/g, "") ?? "";
    const [, accepted, ...parts] =
      /accepted (\d+) = pending (\d+) \+ mailed (\d+) \+ suppressed (\d+) \+ digested (\d+) \+ refused (\d+) \+ dead (\d+)/
        .exec(sum)
        ?.map(Number) ?? [];
    expect(accepted).toBeGreaterThan(200);
    expect(parts.reduce((a, b) => a + b)).toBe(accepted);
    expect(text).toMatch(/<polyline class="mailed" points="0,[\d.]+( \d+,[\d.]+){23}"/);
  });

  it("of a site that has sent nothing says that", async () => {
    expect(await verdictOf(tokens.fresh)).toContain("Nothing has arrived yet");
  });

  it("names each worry: a relay, dead letters, a silent monitor, a long wait", async () => {
    await bury("dead-0001");
    await queue.send([toMessage(queuedAlert({ receivedAt: now - 16 * 60_000 }))]);
    const down = {
      since: now - 7200_000,
      probes: 1,
      probeAt: now + 30_000,
      probing: false,
      reason: "535 no",
      step: "auth" as const,
    };
    app = bridgeOn({
      ...ledger,
      routes: async () => [{ ...newRoute("smtp://first"), down, refusal: { at: now, ...down } }],
      heartbeats: async () => [
        { ...(await ledger.heartbeat("site", "m1")), at: now - 1000, silent: { since: now } },
        { ...(await ledger.heartbeat("other", "m2")), at: now - 1000, silent: { since: now } },
      ],
    });
    expect(await verdictOf()).toMatch(
      /flowing, but.*1 relay down.*wait longer.*1 alert could not be mailed.*1 monitor fell silent/,
    );
    const { text } = await get("/", await logIn());
    expect(text).toContain("refuses us");
    expect(text).toContain("535 no");
    expect(text).not.toContain("m2");
  });

  it("says that mail is not flowing when a relay is out and nothing was taken since, while alerts wait", async () => {
    const down = {
      since: now - 1,
      probes: 1,
      probeAt: now,
      probing: false,
      reason: "no",
      step: "connect" as const,
    };
    app = bridgeOn({ ...ledger, routes: async () => [{ ...newRoute("smtp://first"), down }] });
    expect(await verdictOf()).toContain("Mail is flowing, but");
    await queue.send([toMessage(queuedAlert({ receivedAt: now }))]);
    expect(await verdictOf()).toContain("Mail is not flowing|");
  });

  it("counts an alert once that is in the journal and, for its next try, in the queue", async () => {
    const down = {
      since: now - 1,
      probes: 1,
      probeAt: now,
      probing: false,
      reason: "no",
      step: "connect" as const,
    };
    const totals = { ...(await ledger.totals("site")), pending: 1 };
    const routes = [{ ...newRoute("smtp://first"), down }];
    app = bridgeOn({ ...ledger, routes: async () => routes, totals: async () => totals });
    await queue.send([toMessage(queuedAlert({ receivedAt: now }))]);
    expect(await verdictOf()).toContain("1 alert waiting.");
  });

  it("calls no monitor alive that was heard long ago, though nobody is told of silence", async () => {
    const of = async (monitor: string, at: number) => ({ ...(await ledger.heartbeat("site", monitor)), at });
    app = bridgeOn({
      ...ledger,
      heartbeats: async () => [await of("m1", now - 60_000), await of("m2", now - 86_400_000)],
    });
    const { text } = await get("/", await logIn());
    const words = [...text.matchAll(/<li><b class="state ?\w*">(alive|heard|silent)</g)].map(
      ([, word]) => word,
    );
    expect(words).toEqual(["alive", "heard"]);
  });
});

describe("the journal", () => {
  it("is searched by object, contact and outcome, and keeps the search from page to page", async () => {
    const cookie = await logIn();
    const first = await get("/journal?object=&contact=OPS%40example.com&outcome=mailed", cookie);
    expect(first.text.match(/<tr>/g)).toHaveLength(17);
    expect(first.text).toContain('value="OPS@example.com"');
    expect(first.text).toMatch(/<option selected>mailed/);
    const next = /href="(\/journal\?[^"]*)" rel="next"/.exec(first.text)?.[1]?.replaceAll("&amp;", "&") ?? "";
    expect(next).toMatch(/contact=OPS%40example.com&outcome=mailed&before=/);
    const second = await get(next, cookie);
    expect(second.status).toBe(200);
    expect(second.text).not.toContain("<b>suppressed</b>");
    expect(second.text.match(/\/alerts\/[\w.-]+/g)).not.toEqual(first.text.match(/\/alerts\/[\w.-]+/g));
    expect((await get("/journal?object=no-such-host", cookie)).text).toContain("No alert is like that");
  });
});

describe("an alert's page", () => {
  it("tells its story", async () => {
    const { text } = await get("/alerts/hostile-long", await logIn());
    expect(text).toContain("received from monitor1");
    expect(text).toContain("smtp://relay accepted in 0.0 s: 250 2.0.0 Ok");
    expect(text).toContain("<b>mailed</b>: PROBLEM mail");
    expect(text).toContain("x".repeat(255));
  });

  it("of one that went out in a digest leads to that", async () => {
    const record = await ledger.story("site", "hostile-long");
    if (!record) throw new Error("no record");
    const digest = { id: "digest-0001", line: "web01 <CRITICAL>" };
    app = bridgeOn({ ...ledger, story: async () => ({ ...record, digest }) });
    const { text } = await get("/alerts/hostile-long", await logIn());
    expect(text).toContain(
      '<a href="/alerts/digest-0001">a digest</a>, as: <bdi>web01 &lt;CRITICAL&gt;</bdi>',
    );
  });

  it("of a digest leads to what digests told its contact", async () => {
    const record = await ledger.story("site", "hostile-long");
    if (!record) throw new Error("no record");
    const members = ["alert-0001", "alert-0002"];
    app = bridgeOn({ ...ledger, story: async () => ({ ...record, members }) });
    const cookie = await logIn();
    const { text } = await get("/alerts/hostile-long", cookie);
    const [, path = ""] = /It tells 2 alerts: <a href="([^"]+)"/.exec(text) ?? [];
    expect(path).toBe(`/journal?contact=${encodeURIComponent(record.contact)}&amp;outcome=digested`);
    expect((await get(path.replace("&amp;", "&"), cookie)).text).toContain("No alert is like that");
  });

  it("says of one that still waits in the queue that it does", async () => {
    await queue.send([toMessage(queuedAlert({ id: "just-came" }))]);
    expect((await get("/alerts/just-came", await logIn())).text).toContain("It waits in the queue");
  });
});

describe("dead letters", () => {
  it("are listed with their reason, sixteen at a time", async () => {
    await bury(...Array.from({ length: 18 }, (_, index) => `dead-${String(index).padStart(4, "0")}`));
    const cookie = await logIn();
    const [first, second] = [await get("/dead-letters", cookie), await get("/dead-letters?from=16", cookie)];
    expect(first.text).toContain("550 5.1.1 &lt;gone&gt; no such user");
    expect(first.text).toContain("Put all 18 back");
    expect(first.text.match(/name="id"/g)).toHaveLength(16);
    expect(second.text.match(/name="id"/g)).toHaveLength(2);
  });

  it("are not said to be 500 when there may be more", async () => {
    await bury("dead-0001");
    const [letter] = await queue.deadLetters(1);
    if (!letter) throw new Error("nothing was buried");
    const many = {
      deadLetters: async (limit: number) => Array(limit).fill(letter),
      deadLetterCount: async () => 500,
    };
    app = bridgeOn(ledger, { ...queue, ...many });
    const cookie = await logIn();
    const [now, letters] = [(await get("/", cookie)).text, (await get("/dead-letters", cookie)).text];
    expect(now).toContain("500 alerts or more could not be mailed");
    expect(letters).toContain("500 alerts or more that no relay took");
    expect(letters).toContain("Put all back");
  });

  it("are put back one by one, or all of the site's", async () => {
    await bury("dead-0001", "dead-0002", "dead-0003");
    const cookie = await logIn();
    const form_token = formTokenIn((await get("/dead-letters", cookie)).text);
    const one = await send("/dead-letters/redrive", { form_token, id: "dead-0002" }, { Cookie: cookie });
    expect([one.status, one.headers.get("Location")]).toEqual([303, "/dead-letters?back=1"]);
    expect((await get("/dead-letters?back=1", cookie)).text).toContain("1 alert put back");
    expect(events).toContainEqual({ event: "redriven", site: "site", id: "dead-0002", count: 1 });
    const again = await send("/dead-letters/redrive", { form_token, id: "dead-0002" }, { Cookie: cookie });
    expect([again.status, await again.text()]).toEqual([404, expect.stringContaining("Nothing to put back")]);
    await send("/dead-letters/redrive", { form_token }, { Cookie: cookie });
    expect((await queue.deadLetters(9)).map(({ alert }) => alert?.site)).toEqual(["other"]);
  });

  it.each<[string, (token: string) => [Record<string, string>, Record<string, string>], number]>([
    ["without the session's form token", () => [{}, {}], 403],
    ["with another session's form token", () => [{ form_token: "0".repeat(64) }, {}], 403],
    ["from another site", (form_token) => [{ form_token }, { "Sec-Fetch-Site": "same-site" }], 403],
    ["from another origin", (form_token) => [{ form_token }, { Origin: "https://evil.example" }], 403],
    ["without a session", (form_token) => [{ form_token }, { Cookie: "" }], 401],
    ["as JSON", (form_token) => [{ form_token }, { "Content-Type": "application/json" }], 415],
  ])("stay where they are when asked for %s", async (_, make, status) => {
    await bury("dead-0001");
    const cookie = await logIn();
    const [fields, headers] = make(formTokenIn((await get("/dead-letters", cookie)).text));
    const response = await send("/dead-letters/redrive", fields, { Cookie: cookie, ...headers });
    expect(response.status).toBe(status);
    expect(await queue.deadLetters(9)).toHaveLength(2);
  });
});

describe("a logout", () => {
  it("takes the cookie away", async () => {
    const cookie = await logIn();
    const form_token = formTokenIn((await get("/", cookie)).text);
    const response = await send("/logout", { form_token }, { Cookie: cookie });
    expect([response.status, response.headers.get("Set-Cookie")]).toEqual([
      303,
      "hardstate=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict",
    ]);
    expect((await send("/logout", {}, { Cookie: cookie })).status).toBe(403);
  });
});

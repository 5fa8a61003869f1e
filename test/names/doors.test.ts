import { expect, it } from "vitest";
import { readSettings } from "../../functions/config.ts";
import { webConsole } from "../../functions/console/http.ts";
import type { Mail } from "../../functions/deliver/mail.ts";
import { relays } from "../../functions/deliver/routes.ts";
import { intake } from "../../functions/intake/app.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { pipeline } from "../../functions/pipeline/pipeline.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { drainInOrder } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import type { Event } from "../../functions/report/event.ts";
import { asJson, asText } from "../../functions/report/log.ts";
import { prometheus } from "../../functions/report/prometheus.ts";
import { posted } from "../world/alerts.ts";

const token = "t".repeat(24);

/** A bridge whose site, alias, monitors, objects and contacts all have one name, and all that it says. */
const visited = async (name: string, mailbox = name.toLowerCase()): Promise<string[]> => {
  const reading = readSettings({
    HARDSTATE_TOKENS: `${name}=${token} operator=${"o".repeat(24)}`,
    HARDSTATE_RELAYS: "smtp://relay.example.com",
    HARDSTATE_FROM: "nagios@example.com",
    HARDSTATE_RECIPIENTS: "example.com",
    HARDSTATE_ALIASES: `${name}=${mailbox}@example.com`,
    HARDSTATE_OPERATOR: name,
    HARDSTATE_HEARTBEAT_AFTER: "10min",
    HARDSTATE_LINK: "https://icinga.example.com/{host}/{service}",
  });
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  const settings = reading.value;
  const said: string[] = [];
  let now = 1_800_000_000_000;
  const clock = () => now;
  const ledger = sqliteLedger(":memory:");
  const queue = sqliteQueue(":memory:", clock);
  const [{ route = "" } = {}] = settings.relays;
  const { observe, scrape } = prometheus({ queue, ledger, routes: [route], clock });
  const report = (event: Event) => {
    observe(event);
    said.push(asJson(event, now), asText(event, now));
  };
  const front = { ...settings, queue, ledger, clock, report, scrape };
  const app = intake(front).route("/", webConsole(front));
  const transport = {
    route,
    send: async (mail: Mail) => {
      said.push(JSON.stringify({ ...mail, bytes: undefined }));
      const reply = "250 2.0.0 Ok";
      return { result: "accepted", reply, code: 250, queueId: name, durationMilliseconds: 1 } as const;
    },
  };
  const routes = settings.relays.map((relay) => ({ relay, transport }));
  const handOver = relays({ routes, states: ledger, clock });
  const handle = pipeline({ ...settings, ledger, queue, handOver, clock, report });
  const work = async () => {
    await sweep({ ...settings, ledger, queue, report }, now);
    for (;;) {
      const messages = await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
      if (messages.length === 0) return;
      const failed = (_: unknown, error: unknown) => {
        throw error;
      };
      for (const [message, { message: end }] of await drainInOrder(messages, handle, failed))
        if (end === "remove") await queue.remove([message]);
        else if (end === "bury") await queue.bury(message, name);
        else throw new Error("nothing is to wait here");
    }
  };
  let cookie = "";
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await app.request(path, {
      ...init,
      headers: { Host: "localhost", Authorization: `Bearer ${token}`, Cookie: cookie, ...init.headers },
    });
    cookie ||= response.headers.get("Set-Cookie")?.split(";")[0] ?? "";
    const text = await response.text();
    said.push(`${path} ${response.status} ${text}`);
    return text;
  };
  const send = (path: string, type: string, body: string, method = "POST") => {
    // Records of one millisecond are listed in the order of ids.
    now += 1;
    return ask(path, { method, body, headers: { "Content-Type": type, "X-Hardstate-Monitor": name } });
  };

  const id = name.padEnd(8, "-");
  const alert = (change: Record<string, unknown> = {}) =>
    JSON.stringify({
      ...posted({
        monitor: { id: name, start: 1000 },
        object: { host: name, service: name, alias: name, groups: [name] },
        output: name,
        author: name,
        comment: name,
        ...change,
      }),
      // As a key that JSON.parse makes, and no literal may have.
      custom: JSON.parse(`{"${name}":"${name}"}`),
      recipients: [{ name }, { email: `${mailbox}@example.com` }, { email: name }, { name: `not ${name}` }],
      ...JSON.parse(`{"${name}":"${name}"}`),
    });
  await send("/v1/alerts", "application/json", alert({ id }));
  await work();
  now += 60_000;
  for (const type of ["PROBLEM", "ACKNOWLEDGEMENT"])
    await send("/v1/alerts", "application/x-ndjson", `${alert({ type })}\n`);
  const form = {
    HOSTNAME: name,
    SERVICEDESC: name,
    MONITOR: `${name}.2`,
    CONTACTNAME: name,
    HOSTGROUPNAMES: name,
  };
  const rest = {
    NOTIFICATIONTYPE: "PROBLEM",
    SERVICESTATE: "CRITICAL",
    NOTIFICATIONAUTHOR: name,
    [name]: name,
  };
  const macros = new URLSearchParams(Object.entries({ ...form, ...rest, [`_HOST${name}`]: name }));
  await send("/v1/alerts", "application/x-www-form-urlencoded", macros.toString());
  await send(
    "/v1/alerts",
    "application/json",
    `{"object":{"host":"${name}"},"recipients":[{"email":"${name}"}]}`,
  );
  await send("/v1/alerts", "application/json", `{"${name}":${alert()}}`);
  await send("/v1/alerts", `application/${name}`, name);
  await send("/v1/heartbeat", "application/json", JSON.stringify({ monitor: name }), "PUT");
  await send("/v1/heartbeat", "application/x-www-form-urlencoded", `monitor=${name}&${name}=${name}`, "PUT");
  await ask("/v1/alerts", {
    method: "POST",
    headers: { Authorization: "Bearer no", "X-Hardstate-Monitor": name },
  });
  await send("/v1/dead-letters/redrive", "application/json", JSON.stringify({ id: name }));
  await work();
  now += 60_000;
  await send(
    "/v1/alerts",
    "application/json",
    alert({ type: "RECOVERY", state: "OK", problem: { last_id: "5" } }),
  );
  await work();
  now += 3_600_000;
  // The monitor is silent by now, and what was rejected is told.
  await work();
  await work();
  const { items } = await ledger.journal({ site: name, limit: 100 });
  const [mailName = ""] = /(?<=<)[^@]*/.exec(items.find((one) => one.messageId)?.messageId ?? "") ?? [];
  const words = `Final-Recipient: rfc822; ${mailbox}@example.com\nAction: failed\nDiagnostic-Code: smtp; 550 ${name}`;
  const head =
    'Content-Type: multipart/report; boundary="b"\n\n--b\nContent-Type: message/delivery-status\n\n';
  const returned = `${head}Original-Envelope-Id: ${mailName}\n\n${words}\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <${mailName}@example.com>\n\n--b--\n`;
  expect(await send("/v1/returns", "message/rfc822", returned)).toContain("noted");

  await send("/login", "application/x-www-form-urlencoded", `token=${token}`);
  expect(cookie).not.toBe("");
  const which = `object=${name}/${name}&contact=${mailbox}@example.com`;
  const ids = items.map((one) => one.id);
  for (const path of [
    "problems",
    "queue",
    "status",
    "journal",
    `journal?${which}`,
    "journal?outcome=rejected",
  ])
    await ask(`/v1/${path}`);
  for (const path of [
    "journal?outcome=",
    `journal?${name}=1`,
    `problems?before=${name}`,
    name,
    `alerts/${name}`,
  ])
    await ask(`/v1/${path}`);
  for (const one of [id, ...ids]) await ask(`/v1/alerts/${one}`);
  await ask("/v1/status", { headers: { Accept: "text/plain" } });
  await ask("/metrics");
  for (const path of [
    "",
    "problems",
    "journal",
    `journal?${which}`,
    "journal?outcome=rejected",
    "dead-letters",
  ])
    await ask(`/${path}`);
  for (const path of [name, `?${name}=1`, `journal?outcome=${name}`, ...ids.map((one) => `alerts/${one}`)])
    await ask(`/${path}`);
  ledger.close();
  queue.close();
  return said;
};

/** Without hashes, for names go into them. */
const told = (said: readonly string[]) =>
  said
    .map((line) => line.replace(/[0-9a-f]{16,}|(?<="Thread-Index":")[^"]+|(?<=\.)[0-9a-f]{8}\b/g, "#"))
    .sort();

const hostile = ["__proto__", "constructor", "toString", "then", "toJSON", "10"];
/** The same text about plain names of the same length, because pages cut long texts. */
const plain = new Map<number, Promise<string[]>>();
it.each(hostile)("%s is a name as any other at every door", async (name) => {
  const [other, mailbox] = ["zq".padEnd(name.length, "k"), "vj".padEnd(name.length, "k")];
  const known = plain.get(name.length) ?? visited(other, mailbox);
  plain.set(name.length, known);
  const expected = (await known).map((line) =>
    line.replaceAll(other, name).replaceAll(mailbox, name.toLowerCase()),
  );
  expect(told(await visited(name))).toEqual(told(expected));
});

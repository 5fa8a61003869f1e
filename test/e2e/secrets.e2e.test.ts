import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { authority, certificate } from "../deliver/certificate.ts";
import { scriptedRelay } from "../deliver/scripted-relay.ts";
import { posted } from "../world/alerts.ts";
import { until, watchCommandLines } from "../world/lab.ts";

const consolePages = [
  "/",
  "/problems",
  "/journal",
  "/alerts/with-secrets-1",
  "/dead-letters",
  "/nothing",
  "/console.js",
];

/** A secret that is nowhere else, with signs that each encoding writes in its own way. */
const secret = (signs = '+/%&<"\\~') => `S3cr${signs}${randomBytes(12).toString("hex")}`;
const secrets = {
  token: secret("+/%&:~"),
  "the site's second token": secret(),
  "another site's token": secret(),
  "a wrong token": secret("+/%&:~"),
  "a wrong token of a login": secret(),
  "the password of a relay that refuses it": secret(),
  "the password of a relay without TLS": secret(),
  "the password of a relay that is away": secret(),
  "the password of a relay that works": secret(),
  "the client secret of OAuth": secret(),
  "the refresh token of OAuth": secret(),
  "AWS's secret key": randomBytes(30).toString("base64"),
  "AWS's session token": randomBytes(90).toString("base64"),
  "the password in files to import": secret("+%&~"),
  "a password in settings that are wrong": secret("+&~"),
};

/** Every form in which a secret may come out; of base64 what does not depend on its surroundings. */
const formsOf = (value: string): string[] => {
  const bytes = Buffer.from(value);
  const base64 = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]);
    return text.toString("base64").slice(Math.ceil((before * 8) / 6), Math.floor((text.length * 8) / 6));
  });
  const json = JSON.stringify(value).slice(1, -1);
  const html = value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
  return [
    ...[value, json, JSON.stringify(json).slice(1, -1), html, html.replaceAll("&quot;", "&#34;")],
    ...[encodeURIComponent(value), encodeURIComponent(encodeURIComponent(value))],
    new URLSearchParams({ "": value }).toString().slice(1),
    ...base64,
    ...base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")),
    ...base64.map((text) => encodeURIComponent(text)),
    ...[bytes.toString("hex"), bytes.toString("hex").toUpperCase()],
  ];
};
const forms = Object.entries(secrets).flatMap(([name, value]) =>
  formsOf(value).map((form) => ({ name, form })),
);
/** The secrets that a text shows. */
const shownIn = (text: string): string[] => [
  ...new Set(forms.filter(({ form }) => text.includes(form)).map(({ name }) => name)),
];

/** All that was said, by the place where it was said. */
const places = new Map<string, string>();
const say = (place: string, text: string) => places.set(place, (places.get(place) ?? "") + text);

const folder = mkdtempSync("/tmp/hardstate-secrets-");
const children: ChildProcess[] = [];
const ending: (() => unknown)[] = [];
afterAll(async () => {
  for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && !signalCode)) {
    child.kill("SIGKILL");
    await once(child, "close");
  }
  for (const end of ending) await end();
  rmSync(folder, { recursive: true });
});

/** Runs a program to its end; what it says is one place. Resolves to its exit status. */
const run = async (place: string, words: string[], environment: Record<string, string> = {}) => {
  const [program = "", ...rest] = words;
  const child = spawn(program, rest, {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  children.push(child);
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => say(place, String(chunk)));
  const [status] = await once(child, "close");
  return status as number;
};
const hardstate = (place: string, words: string[], environment: Record<string, string>) =>
  run(`hardstate ${place}`, [process.execPath, "scripts/hardstate/hardstate.ts", ...words], environment);
const start = async (place: string, environment: Record<string, string>) => {
  const child = spawn(process.execPath, ["functions/runtime/node.ts"], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => say(place, String(chunk)));
  await until(`${place} listens`, 20, () => places.get(place)?.includes('"started"') ?? false);
  return async () => {
    child.kill("SIGTERM");
    await once(child, "close");
  };
};

/** A server that repeats all that it is sent, as it is and encoded, in words that it calls an error. */
const parrot = async () => {
  const server = createServer(async (request, response) => {
    let heard = "";
    for await (const chunk of request) heard += chunk;
    const headers = Object.values(request.headers).join(" ");
    const values = [...new URLSearchParams(heard).values()].join(" ");
    const said = [headers, heard, values, Buffer.from(values).toString("base64")].join(" ");
    if (request.url === "/token")
      return response
        .writeHead(401)
        .end(JSON.stringify({ error: "invalid_client", error_description: said }));
    response
      .writeHead(403, { "Content-Type": "text/xml" })
      .end(
        `<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>${said.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</Message></Error></ErrorResponse>`,
      );
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  ending.push(() => server.close());
  return (server.address() as AddressInfo).port;
};

const [port, sesPort] = [23_010, 23_011];
const url = `http://127.0.0.1:${port}`;
const bearer = { Authorization: `Bearer ${secrets.token}` };
/** Asks the bridge; its answer, headers and body, is one place. */
const ask = async (place: string, path: string, init: RequestInit = {}) => {
  const response = await fetch(url + path, { redirect: "manual", headers: bearer, ...init });
  say(place, `${JSON.stringify([...response.headers])}\n${await response.text()}`);
  return response;
};

let watched: { seen: string[]; looks: number };
beforeAll(async () => {
  const look = watchCommandLines(forms.map(({ form }) => form));
  const ca = await authority();
  const host = await certificate({ ca });
  const works = await scriptedRelay(host);
  const repeat = (line: string) => `535 5.7.8 I know you: ${line} ${line.split(" ").at(-1)}\r\n`;
  const refuses = await scriptedRelay(host, { AUTH: repeat, password: repeat, user: repeat });
  const byToken = await scriptedRelay(host, { "TLS-EHLO": "250-relay.example\r\n250 AUTH XOAUTH2\r\n" });
  ending.push(works.close, refuses.close, byToken.close);
  const parrotPort = await parrot();
  const login = (password: string) => `monitor:${encodeURIComponent(password)}@127.0.0.1`;
  const environment = {
    HARDSTATE_STATE: join(folder, "state"),
    HARDSTATE_PORT: String(port),
    HARDSTATE_TOKENS: [
      `site=${secrets.token}`,
      `site=${secrets["the site's second token"]}`,
      `other=${secrets["another site's token"]}`,
    ].join(" "),
    HARDSTATE_RELAYS: [
      `smtp://${login(secrets["the password of a relay that refuses it"])}:${refuses.port}`,
      `smtps://${login(secrets["the password of a relay without TLS"])}:${works.port}`,
      `smtp://${login(secrets["the password of a relay that is away"])}:1`,
      `smtp://monitor@127.0.0.1:${byToken.port}?auth=XOAUTH2`,
      `smtp://${login(secrets["the password of a relay that works"])}:${works.port}`,
    ].join(" "),
    HARDSTATE_OAUTH: `token_url=http://127.0.0.1:${parrotPort}/token client_id=bridge client_secret=${encodeURIComponent(secrets["the client secret of OAuth"])} refresh_token=${encodeURIComponent(secrets["the refresh token of OAuth"])}`,
    HARDSTATE_RELAY_CA: ca.cert,
    HARDSTATE_FROM: "Monitoring <nagios@example.com>",
    HARDSTATE_RECIPIENTS: "example.com",
    HARDSTATE_OPERATOR: "root@example.com",
  };
  const aws = {
    HARDSTATE_STATE: join(folder, "ses-state"),
    HARDSTATE_PORT: String(sesPort),
    HARDSTATE_TOKENS: environment.HARDSTATE_TOKENS,
    HARDSTATE_RELAYS: "ses://eu-west-1",
    HARDSTATE_FROM: "nagios@example.com",
    HARDSTATE_RECIPIENTS: "example.com",
    AWS_ACCESS_KEY_ID: "AKIAIOSFODNN7EXAMPLE",
    AWS_SECRET_ACCESS_KEY: secrets["AWS's secret key"],
    AWS_SESSION_TOKEN: secrets["AWS's session token"],
    AWS_ENDPOINT_URL_SES: `http://127.0.0.1:${parrotPort}/`,
  };

  // Wrong settings, each with a secret in it.
  const wrong = secrets["a password in settings that are wrong"];
  const mistakes: Record<string, string>[] = [
    { HARDSTATE_TOKENS: `${wrong}${wrong}` },
    { HARDSTATE_TOKENS: `site=${wrong} site=${wrong} site=${wrong}` },
    { HARDSTATE_RELAYS: `smtp://monitor:${wrong}/@relay.example.com` },
    { HARDSTATE_RELAYS: `smtp://monitor:${wrong}@relay.example.com:99999` },
    { HARDSTATE_RELAYS: `http://monitor:${wrong}@relay.example.com?x=${wrong}` },
    { HARDSTATE_OAUTH: `client_secret=${wrong} ${wrong}=${wrong} token_url=${wrong}` },
    { HARDSTATE_RELAY_CA: wrong },
    { HARDSTATE_TOKENS_FILE: "/nonexistent" },
    { HARDSTATE_TOKEN: wrong },
  ];
  for (const change of mistakes) {
    expect(
      await run("a start with wrong settings", [process.execPath, "functions/runtime/node.ts"], {
        ...environment,
        ...change,
      }),
    ).toBe(2);
    await hardstate("check of wrong settings", ["check"], { ...environment, ...change });
  }

  const stop = await start("the bridge's log", environment);
  const stopSes = await start("the log of a bridge on SES", aws);

  // Alerts, and each way in which intake refuses.
  const alert = (change = {}) =>
    JSON.stringify(posted({ id: "with-secrets-1", recipients: [{ email: "ops@example.com" }], ...change }));
  const post = (place: string, body: string, headers: Record<string, string> = {}) =>
    ask(place, "/v1/alerts", {
      method: "POST",
      body,
      headers: { "Content-Type": "application/json", ...bearer, ...headers },
    });
  await post("POST /v1/alerts", alert());
  const refused = "answers of intake that refuses";
  const presented = { Authorization: `Bearer ${secrets["a wrong token"]}` };
  await post(refused, alert(), presented);
  await post(refused, alert(), { Authorization: `Basic ${btoa(`x:${secrets["a wrong token"]}`)}` });
  await post(refused, "{");
  await post(refused, alert({ state: "DOWN", recipients: [{ email: "x@example.org" }] }));
  // The bridge ends this connection after its answer.
  await post(refused, " ".repeat(300_000), { Connection: "close" });
  await post(refused, "x", { "Content-Type": "text/plain" });
  await post(refused, "x", { "Content-Encoding": "gzip" });
  await ask(refused, "/v1/journal?limit=x&token=y");
  await ask(refused, "/v1/alerts/unknown-id-1");
  await ask(refused, "/v1/heartbeat", { method: "PUT", body: "{}" });
  await ask(refused, "/v1/dead-letters/redrive", { method: "POST", body: "[]" });
  await ask(refused, "/nothing");
  await fetch(`http://127.0.0.1:${sesPort}/v1/alerts`, {
    method: "POST",
    body: alert(),
    headers: { "Content-Type": "application/json", ...bearer },
  });
  await until("a mail has gone its way", 60, async () => {
    const story = await fetch(`${url}/v1/alerts/with-secrets-1`, { headers: bearer });
    return ((await story.json()) as { status: string }).status === "mailed";
  });
  await until(
    "SES has refused us",
    30,
    () => places.get("the log of a bridge on SES")?.includes("attempt-failed") ?? false,
  );
  await ask("PUT /v1/heartbeat", "/v1/heartbeat", { method: "PUT", body: '{"monitor":"monitor1"}' });
  for (const path of [
    "/v1/alerts/with-secrets-1",
    "/v1/problems",
    "/v1/journal",
    "/v1/queue",
    "/v1/status",
    "/metrics",
    "/openapi.json",
    "/healthz",
    "/readyz",
  ])
    await ask(`GET ${path}`, path);

  // The console.
  const form = (fields: Record<string, string>, cookie = "") => ({
    method: "POST",
    body: new URLSearchParams(fields),
    headers: { Cookie: cookie },
  });
  await ask(
    "a login with a wrong token",
    "/login",
    form({ token: secrets["a wrong token of a login"], after: "/journal" }),
  );
  const session = await ask("a login", "/login", form({ token: secrets.token }));
  const cookie = (session.headers.get("Set-Cookie") ?? "").split(";")[0] ?? "";
  for (const path of consolePages)
    expect(
      (await ask(`the console's ${path}`, path, { headers: { Cookie: cookie, Accept: "text/html" } })).status,
    ).toBe(path === "/nothing" ? 404 : 200);
  await ask(
    "a form that is not ours",
    "/dead-letters/redrive",
    form({ form_token: secrets["a wrong token of a login"] }, cookie),
  );

  // The commands.
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  await hardstate("check", ["check", "root", "ops@example.com"], environment);
  for (const words of [[], ["--json"], ["--transcript"], ["--to", "ops@example.com"]])
    await hardstate("doctor", ["doctor", ...words], environment);
  await hardstate("doctor of SES", ["doctor", "--to", "ops@example.com"], aws);
  await hardstate("explain", ["explain", "with-secrets-1"], environment);
  await hardstate(
    "explain with a wrong token",
    ["explain", "with-secrets-1", "--token-file", file("wrong-token", secrets["a wrong token"])],
    environment,
  );
  await hardstate(
    "explain without a bridge",
    ["explain", "with-secrets-1", "--url", "http://127.0.0.1:1"],
    environment,
  );
  await hardstate("redrive", ["redrive"], environment);
  await hardstate("canary", ["canary", "ops@example.com"], environment);
  await hardstate("backup", ["backup", join(folder, "backup")], environment);
  const imported = secrets["the password in files to import"];
  const paths = [
    file(
      "authinfo",
      `AuthInfo:relay.example.com "U:m" "I:m" "P:${imported}" "M:PLAIN"\nAuthInfo "P:${imported}`,
    ),
    file("sasl_passwd", `[relay.example.com]:587 monitor:${imported}\nbroken ${imported}\n`),
    file(
      ".msmtprc",
      `account a\nhost relay.example.com\nuser m\npassword ${imported}\nauth on\ntls on\npasswordeval "echo ${imported}"\n`,
    ),
  ];
  await hardstate("import", ["import", ...paths], {});
  await hardstate("import as JSON", ["import", "--json", ...paths], {});

  // The monitoring host.
  const shim = (name: string, token: string, address = url) => {
    mkdirSync(join(folder, `${name}-spool`), { mode: 0o700, recursive: true });
    return {
      HARDSTATE_SHIM_CONFIG: file(
        `${name}.conf`,
        `url = "${address}/v1/alerts"\nheader = "Authorization: Bearer ${token}"\n`,
      ),
      HARDSTATE_SHIM_SPOOL: join(folder, `${name}-spool`),
      NAGIOS_CONTACTEMAIL: "ops@example.com",
    };
  };
  const words = [
    "-m",
    "monitor1",
    "-t",
    "PROBLEM",
    "-s",
    "CRITICAL",
    "-H",
    "web02",
    "-S",
    "HTTP",
    "-c",
    "ops",
    "-T",
    "1795366380",
  ];
  for (const shell of [["dash"], ["busybox", "sh"], ["bash"]])
    for (const [name, token, address] of [
      ["right", secrets.token, url],
      ["wrong", secrets["a wrong token"], url],
      ["away", secrets.token, "http://127.0.0.1:1"],
    ] as const)
      for (const rest of [words, ["--test"], ["--drain"], ["--heartbeat", "-m", "monitor1"]])
        await run(
          "notify, as sh -x shows it",
          [...shell, "-x", resolve("scripts/notify"), ...rest],
          shim(name, token, address),
        );
  await run(
    "check_hardstate",
    ["sh", "-x", resolve("scripts/check_hardstate"), "-v"],
    shim("right", secrets.token),
  );
  await run(
    "check_hardstate with a wrong token",
    ["sh", "-x", resolve("scripts/check_hardstate"), "-v"],
    shim("wrong", secrets["a wrong token"]),
  );

  await stop();
  await stopSes();
  for (const content of works.contents) say("the mails", content);
  for (const name of ["state", "ses-state", "backup", "right-spool", "wrong-spool", "away-spool"])
    for (const path of readdirSync(join(folder, name), { recursive: true, encoding: "utf8" }))
      if (statSync(join(folder, name, path)).isFile())
        say(`the files in ${name}`, readFileSync(join(folder, name, path), "latin1"));
  watched = look();
}, 240_000);

describe("secrets that were in every setting while everything failed", () => {
  it("would be found in any of their forms, wherever they stand", () => {
    for (const [name, value] of Object.entries(secrets))
      for (const before of ["", "x", "xy", "xyz"]) {
        const bytes = Buffer.from(`${before}${value}!`);
        const said = [
          bytes.toString(),
          JSON.stringify(bytes.toString()),
          encodeURIComponent(bytes.toString()),
          new URLSearchParams({ q: bytes.toString() }).toString(),
          ...(["base64", "base64url", "hex"] as const).map((encoding) => bytes.toString(encoding)),
        ];
        for (const text of said) expect(shownIn(text)).toEqual([name]);
      }
  });

  it.each([
    "a start with wrong settings",
    "the bridge's log",
    "the log of a bridge on SES",
    "answers of intake that refuses",
    ...["POST /v1/alerts", "PUT /v1/heartbeat", "GET /v1/alerts/with-secrets-1", "GET /v1/problems"],
    ...["GET /v1/journal", "GET /v1/queue", "GET /v1/status", "GET /metrics", "GET /openapi.json"],
    ...["GET /healthz", "GET /readyz", "a login with a wrong token", "a login", "a form that is not ours"],
    ...consolePages.map((path) => `the console's ${path}`),
    ...[
      "check of wrong settings",
      "check",
      "doctor",
      "doctor of SES",
      "explain",
      "explain with a wrong token",
    ].map((words) => `hardstate ${words}`),
    ...["explain without a bridge", "redrive", "canary", "backup", "import", "import as JSON"].map(
      (words) => `hardstate ${words}`,
    ),
    "notify, as sh -x shows it",
    "check_hardstate",
    "check_hardstate with a wrong token",
    "the mails",
    "the files in state",
    "the files in ses-state",
    "the files in backup",
    "the files in wrong-spool",
    "the files in away-spool",
  ])("are not in %s", (place) => {
    const text = places.get(place) ?? "";
    expect(text.length).toBeGreaterThan(10);
    expect(shownIn(text)).toEqual([]);
  });

  it("are on no command line", () => {
    expect(watched.looks).toBeGreaterThan(100);
    expect(watched.seen).toEqual([]);
  });

  it("were in use: every route failed as it should, and said so", () => {
    const log = places.get("the bridge's log") ?? "";
    for (const step of ["auth", "tls", "connect", "token"]) expect(log).toContain(`"step":"${step}"`);
    expect(log).toContain("[redacted]");
    expect(places.get("the log of a bridge on SES")).toContain("SignatureDoesNotMatch");
  });
});

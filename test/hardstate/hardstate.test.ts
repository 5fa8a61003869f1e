import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { posted } from "../world/alerts.ts";
import { compiled } from "../world/compiled.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-command-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs `hardstate WORDS`. */
const run = (words: string[], environment: Record<string, string> = {}) =>
  new Promise<{ status: number; out: string; err: string }>((done) =>
    execFile(
      process.execPath,
      ["scripts/hardstate/hardstate.ts", ...words],
      { env: { PATH: process.env.PATH, ...compiled, ...environment } },
      (error, out, err) => done({ status: Number(error?.code ?? 0), out, err }),
    ),
  );
const write = (name: string, text: string | Buffer) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

describe("hardstate", () => {
  it.each<[string, string[], number, RegExp]>([
    ["nothing", [], 2, /usage: hardstate COMMAND/],
    ["an unknown command", ["frobnicate"], 2, /there is no command frobnicate/],
    ["a command that every object has", ["toString", "--help"], 2, /there is no command toString/],
    [
      "an unknown option",
      ["replay", "--frobnicate", "x"],
      2,
      /Unknown option '--frobnicate'[\s\S]*usage: hardstate replay/,
    ],
    ["no file", ["replay"], 2, /replay needs at least one FILE/],
    ["a file that is not there", ["replay", "/nonexistent"], 3, /\/nonexistent cannot be read \(ENOENT\)/],
    ["a folder", ["replay", "test"], 3, /test cannot be read \(EISDIR\)/],
    [
      "a notification command that the log has not",
      ["replay", "--command", "by-mail", "test/corpus/nagios.log"],
      3,
      /No notification is by the command by-mail\. The log has notify-service, page-service, notify-host\./,
    ],
    ["no id", ["explain"], 2, /explain needs one ID/],
    ["a word that is no id", ["redrive", "../x"], 2, /an ID is/],
    ["a URL that is none", ["explain", "alert-0001", "--url", "gopher"], 2, /--url needs/],
    [
      "a login in the URL",
      ["explain", "alert-0001", "--url", "http://u:pw@127.0.0.1:1"],
      2,
      /without a login/,
    ],
  ])("with %s says what is wrong", async (_, words, status, text) => {
    const result = await run(words, { HARDSTATE_STATE: folder });
    expect([result.status, result.out]).toEqual([status, ""]);
    expect(result.err).toMatch(text);
  });

  it("says its version", async () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8"));
    expect(await run(["--version"])).toMatchObject({ status: 0, out: `hardstate ${version}\n`, err: "" });
  });

  it("runs by the link that npm makes of the package's bin", async () => {
    const { bin } = JSON.parse(readFileSync("package.json", "utf8"));
    const link = join(folder, "hardstate");
    symlinkSync(resolve(bin.hardstate), link);
    const ended = spawnSync(process.execPath, [link, "help"], { encoding: "utf8" });
    expect([ended.status, ended.stdout]).toEqual([0, expect.stringContaining("usage: hardstate")]);
  });

  it.each([
    ["--help"],
    ["-h"],
    ["backup", "--help"],
    ["check", "--help"],
    ["doctor", "--help"],
    ["explain", "--help"],
    ["import", "--help"],
    ["redrive", "--help"],
    ["replay", "--help"],
  ])("%s %s fits a terminal of 80 columns", async (...words) => {
    const { status, out } = await run(words);
    expect(status).toBe(0);
    expect(out).toMatch(/^usage: hardstate/);
    expect(out.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });
});

describe("hardstate replay", () => {
  const corpus = "test/corpus/nagios.log";

  it("counts what Nagios mailed and what we would have, by contact and reason", async () => {
    const { status, out } = await run(["replay", corpus]);
    expect(status).toBe(0);
    const notifications = readFileSync(corpus, "latin1").match(/ NOTIFICATION: /g)?.length;
    expect(out).toMatch(new RegExp(`66 lines, ${notifications} notifications, 2026-11-22`));
    expect(out.split("\n").filter((line) => line.length > 80)).toEqual([]);
    const { out: json } = await run(["replay", "--json", "--list", corpus]);
    const result = JSON.parse(json) as {
      contacts: Record<string, { nagios: number; hardstate: number }>;
      mailed: Record<string, number>;
      suppressed: Record<string, number>;
      all: { type: string; mailed?: string }[];
    };
    const sum = (counts: number[]) => counts.reduce((all, count) => all + count, 0);
    const mailed = sum(Object.values(result.mailed));
    expect(sum(Object.values(result.contacts).map(({ nagios }) => nagios))).toBe(notifications);
    expect(sum(Object.values(result.contacts).map(({ hardstate }) => hardstate))).toBe(mailed);
    const own = result.all.filter(({ type, mailed }) => !type && mailed).length;
    expect(mailed - own + sum(Object.values(result.suppressed))).toBe(notifications);
  });

  /** A log in which Nagios repeats a problem ten times, with the names of others between. */
  const repeated = (seconds: number) =>
    Array.from(
      { length: 10 },
      (_, n) =>
        `[${1_795_385_000 + n * seconds}] SERVICE NOTIFICATION: ops;web01;HTTP;CRITICAL;notify-service;Socket timeout`,
    ).join("\n");

  it("shows ten mails of one problem as one, and why", async () => {
    const { out } = await run(["replay", write("ten.log", `${repeated(3600)}\n`)]);
    expect(out).toMatch(/^ops +10 +1$/m);
    expect(out).toMatch(/^ +9 {2}the contact knows: the problem goes on \(R3\)$/m);
  });

  it("takes the same contact's second command for the same mail, and can look at one command alone", async () => {
    const line = "[1795385000] HOST NOTIFICATION: ops;web01;DOWN";
    const path = write("two.log", `${line};by-mail;dead\n${line};by-pager;dead\n`);
    expect((await run(["replay", path])).out).toMatch(/^ops +2 +1$/m);
    expect((await run(["replay", path, "--command", "by-mail"])).out).toMatch(/^ops +1 +1$/m);
  });

  it("keeps a DOWN, UP and DOWN of one second apart", async () => {
    const lines = ["DOWN", "UP", "DOWN"].map(
      (state) => `[1795385000] HOST NOTIFICATION: ops;web01;${state};by-mail;x`,
    );
    expect((await run(["replay", write("fast.log", lines.join("\n"))])).out).toMatch(/^ops +3 +3$/m);
  });

  it("says how many a storm would make, and how many its digest tells", async () => {
    const lines = Array.from(
      { length: 30 },
      (_, n) => `[1795385000] SERVICE NOTIFICATION: ops;web01;S${n};CRITICAL;notify-service;Socket timeout`,
    );
    const path = write("storm.log", lines.join("\n"));
    const { out } = await run(["replay", path]);
    expect(out).toMatch(/^ops +30 +21$/m);
    expect(out).toMatch(/^ +20 {2}PROBLEM\n +1 {2}DIGEST\n +10 {2}told by these digests$/m);
    const { out: json } = await run(["replay", "--json", path]);
    expect(JSON.parse(json)).toMatchObject({ digested: 10, suppressed: {} });
  });

  it("makes the recovery that Nagios forgets after flapping", async () => {
    const path = write(
      "flapping.log",
      ["CRITICAL", "FLAPPINGSTART (CRITICAL)", "FLAPPINGSTOP (OK)"]
        .map(
          (state, n) =>
            `[${1_795_385_000 + n * 100}] SERVICE NOTIFICATION: ops;web01;HTTP;${state};by-mail;x`,
        )
        .join("\n"),
    );
    const { out } = await run(["replay", "--list", path]);
    expect(out).toMatch(/^ops +3 +4$/m);
    expect(out).toMatch(/\(no notification\) web01\/HTTP to ops\n +mailed as RECOVERY: .*\(R37\)/);
  });

  it("counts broken lines and names them, and goes on", async () => {
    const path = write(
      "broken.log",
      Buffer.concat([
        Buffer.from("no time here\n[1795385000] HOST NOTIFICATION: ops;web01;BURNING;by-mail;x\n"),
        Buffer.from([0x5b, 0xff, 0x1b, 0x0a]),
        Buffer.from("[1795385001] HOST NOTIFICATION: ops;web01;DOWN;by-mail;x"),
      ]),
    );
    const { status, out } = await run(["replay", path]);
    expect(status).toBe(0);
    expect(out).toMatch(/^4 lines, 1 notification,/);
    expect(out).toMatch(/^3 lines could not be read$/m);
    expect(out).toContain(`${path}:1: no time that can be read, such as [1764410400]`);
    expect(out).toContain(`${path}:2: no state of a host that fits`);
    expect(out).not.toMatch(/[^\P{Cc}\n]/u);
  });

  it("says so when a file has no notification", async () => {
    const { status, err } = await run(["replay", "package.json"]);
    expect(status).toBe(3);
    expect(err).toMatch(/No notification is in package\.json.*lines could not be read/);
  });
});

/** A bridge as `hardstate serve` starts it. */
const serve = async (environment: Record<string, string>) => {
  const bridge = spawn(process.execPath, ["scripts/hardstate/hardstate.ts", "serve"], {
    env: { PATH: process.env.PATH, HARDSTATE_PORT: "0", ...compiled, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => bridge.once("close", resolve));
  let output = "";
  const url = await new Promise<string>((resolve) => {
    bridge.stdout.on("data", (chunk) => {
      output += chunk;
      const started = /"url":"([^"]+)"/.exec(output);
      if (started) resolve(started[1] ?? "");
    });
  });
  return {
    url,
    stop: () => {
      bridge.kill("SIGTERM");
      return ended;
    },
  };
};

describe("hardstate canary", () => {
  const token = "t".repeat(24);
  const environment = {
    HARDSTATE_STATE: join(folder, "canary"),
    HARDSTATE_TOKENS: `site=${token}`,
    HARDSTATE_RELAYS: "smtp://u:p@127.0.0.1:9",
    HARDSTATE_FROM: "nagios@example.com",
    HARDSTATE_RECIPIENTS: "example.com",
  };

  it("says that the relay did not take the mail in time, and what it waits for", async () => {
    const { url, stop } = await serve(environment);
    const words = ["canary", "ops@example.com", "--within", "1", "--url", url];
    const { status, out } = await run(words, environment);
    expect(status).toBe(1);
    expect(out).toMatch(/^NOT mailed after 1 s: pending: .*ECONNREFUSED/);
    expect(out).toMatch(/hardstate explain canary-[0-9a-f-]{36}\. About the relay: hardstate doctor/);
    const json = await run([...words, "--json"], environment);
    expect([json.status, JSON.parse(json.out)]).toMatchObject([1, { mailed: false, status: "pending" }]);
    expect(await run(["canary", "ops@elsewhere.example", "--url", url], environment)).toMatchObject({
      status: 3,
      err: expect.stringMatching(
        /answered 422: recipients\.0\.email needs an address that HARDSTATE_RECIPIENTS allows/,
      ),
    });
    expect(await stop()).toBe(0);
  }, 20_000);

  it.each([[[]], [["a@example.com", "b@example.com"]], [["a@example.com", "--within", "0"]]])(
    "needs one address, and seconds that can be waited: %s",
    async (words) => {
      expect((await run(["canary", ...words], environment)).status).toBe(2);
    },
  );
});

describe("hardstate explain", () => {
  const state = join(folder, "state");
  let url = "";
  let stop: () => Promise<unknown>;
  beforeAll(async () => {
    ({ url, stop } = await serve({ HARDSTATE_STATE: state }));
  });
  afterAll(() => stop());
  const explain = (...words: string[]) =>
    run(["explain", ...words, "--url", url], { HARDSTATE_STATE: state });

  it("tells the story of an alert in words, and as JSON", async () => {
    const recipients = [{ email: "ops@example.com" }];
    const time = Math.floor(Date.now() / 1000);
    const alerts = [
      posted({ id: "alert-one", recipients, time }),
      posted({ id: "alert-two", recipients, time, notification: { id: "102", number: 2 } }),
    ];
    const response = await fetch(`${url}/v1/alerts`, {
      method: "POST",
      body: JSON.stringify(alerts),
      headers: {
        "Content-Type": "application/json",
        Authorization: `Bearer ${readFileSync(join(state, "token"), "utf8").trim()}`,
      },
    });
    expect(response.status).toBe(202);
    await expect
      .poll(async () => (await explain("alert-two")).out, { timeout: 10_000, interval: 200 })
      .toMatch(
        /^suppressed: web01\/HTTP was already reported CRITICAL to ops@example\.com at .* UTC \(R3\)$/m,
      );
    const mailed = await explain("alert-one");
    expect(mailed.status).toBe(0);
    expect(mailed.out).toMatch(
      / {2}received from monitor1: PROBLEM CRITICAL of web01\/HTTP for ops@example\.com\n/,
    );
    expect(mailed.out).toMatch(
      /accepted over TLSv1\.3 TLS_\w+ to localhost in \d\.\d s: 250 .*\nmailed: PROBLEM mail, first news of this problem \(R1\)/,
    );
    expect(JSON.parse((await explain("alert-one", "--json")).out)).toMatchObject({ status: "mailed" });
  });

  it("finds the newest alert about an object, and the journal lists all with their ids", async () => {
    const journal = (...words: string[]) =>
      run(["journal", ...words, "--url", url], { HARDSTATE_STATE: state });
    expect((await explain("web01/HTTP")).out).toMatch(/\nsuppressed: .* \(R3\)\n$/);
    const { status, out } = await journal("web01/HTTP", "--contact", "ops@example.com", "--since", "1h");
    expect([status, out]).toEqual([
      0,
      expect.stringMatching(
        /^(\S{20} {2}PROBLEM CRITICAL web01\/HTTP for ops@example\.com\n {2}\w+: .*\n {2}alert-(one|two)\n){2}$/,
      ),
    ]);
    expect(JSON.parse((await journal("--limit", "1", "--json")).out).alerts).toHaveLength(1);
    for (const words of [["web02"], ["--contact", "nobody@example.com"]]) {
      const none = await journal(...words);
      expect([none.status, none.out]).toEqual([1, "No match. Object and contact must match exactly.\n"]);
    }
    expect((await explain("web02/HTTP")).status).toBe(3);
  });

  it.each([
    [["a", "b"], "journal needs one OBJECT or none"],
    [["--since", "yesterday"], "--since needs 90s, 10min, 48h or 7d"],
    [["--limit", "501"], "--limit needs a number from 1 to 500"],
  ])("journal %j is wrong use, and the answer fits a terminal", async (words, message) => {
    const { status, err } = await run(["journal", ...words]);
    expect([status, err.split("\n")[0]]).toEqual([2, `hardstate journal: ${message}`]);
    expect(err.split("\n").length).toBeLessThan(8);
  });

  it("tells what became of the digest that tells an alert", async () => {
    const alerts = Array.from({ length: 21 }, (_, n) =>
      posted({
        id: `storm-${n}-alert`,
        object: { host: "farm01", service: `S${n}` },
        recipients: [{ email: "storm@example.com" }],
      }),
    );
    const headers = {
      "Content-Type": "application/json",
      Authorization: `Bearer ${readFileSync(join(state, "token"), "utf8").trim()}`,
    };
    await fetch(`${url}/v1/alerts`, { method: "POST", body: JSON.stringify(alerts), headers });
    const digested = async () => {
      const answer = await fetch(`${url}/v1/journal?outcome=digested`, { headers });
      return ((await answer.json()) as { alerts: { id: string }[] }).alerts;
    };
    await expect.poll(digested, { timeout: 10_000 }).toHaveLength(1);
    const [{ id } = { id: "" }] = await digested();
    expect((await explain(id)).out).toMatch(
      /\ndigested: PROBLEM, first news of this problem \(R1\); more than 20 mails in 60 s: told by the digest \w{32}\n\nThe digest \w{32}:\n.*\nheld until .*: more than 20 mails in 60 s: the rest is told together \(R46\)/s,
    );
  }, 20_000);

  it("the canary says when the relay took its mail, and what it said", async () => {
    const environment = { HARDSTATE_STATE: state };
    const { status, out } = await run(["canary", "you@example.com", "--url", url], environment);
    expect([status, out]).toEqual([
      0,
      expect.stringMatching(/^mailed in \d+\.\d s by smtp:\/\/localhost:\d+: 250 .*queued as TRIAL\d+\n$/),
    ]);
    const json = await run(["canary", "you@example.com", "--json", "--url", url], environment);
    expect(JSON.parse(json.out)).toMatchObject({ mailed: true, status: "mailed", result: "accepted" });
    const two = await run(["canary", "you@example.com,me@example.com", "--url", url], environment);
    expect([two.status, two.out]).toEqual([
      0,
      expect.stringMatching(
        /^mailed in .* to you@example\.com .*TRIAL\d+\nmailed in .* to me@example\.com .*TRIAL\d+\n$/s,
      ),
    ]);
  });

  it("a digest that was given up is told by the exit status", async () => {
    const digest = "d".repeat(32);
    const bridge = createServer(({ url: asked }, response) => {
      const told = asked === "/v1/alerts/told-by-digest";
      response.end(
        JSON.stringify(told ? { status: "digested", story: ["digested"], digest } : { status: "dead" }),
      );
    }).listen(0, "127.0.0.1");
    await once(bridge, "listening");
    const { port } = bridge.address() as AddressInfo;
    const asking = ["--url", `http://127.0.0.1:${port}`];
    const { status, out } = await run(["explain", "told-by-digest", ...asking], { HARDSTATE_STATE: state });
    bridge.close();
    expect([status, out]).toEqual([1, expect.stringContaining(`The digest ${digest}:\ndead`)]);
  });

  it("redrive lists no dead letters while there are none, and finds none to put back", async () => {
    const redrive = (...words: string[]) =>
      run(["redrive", ...words, "--url", url], { HARDSTATE_STATE: state });
    expect(await redrive()).toMatchObject({ status: 0, out: "There are no dead letters.\n" });
    expect(await redrive("no-such-alert")).toMatchObject({
      status: 3,
      err: expect.stringMatching(/no dead letter no-such-alert/),
    });
    expect(await redrive("--all")).toMatchObject({ status: 0, out: expect.stringMatching(/^0 put back/) });
    expect(await redrive("--all", "dead-0001")).toMatchObject({ status: 2 });
    expect(JSON.parse((await redrive("--json")).out)).toEqual({ dead_letters: [] });
  });

  it("says what it cannot find out", async () => {
    expect(await explain("no-such-alert")).toMatchObject({
      status: 3,
      err: expect.stringMatching(/no alert no-such-alert/),
    });
    const wrong = write("wrong-token", "w".repeat(30));
    expect(await explain("alert-one", "--token-file", wrong)).toMatchObject({
      status: 3,
      err: expect.stringMatching(/does not know this token/),
    });
    expect(
      await run(["explain", "alert-one", "--url", "http://127.0.0.1:9"], { HARDSTATE_STATE: state }),
    ).toMatchObject({
      status: 3,
      err: expect.stringMatching(/does not answer \(.*\)\. Is the bridge running\?/),
    });
    const tokens = `a=${"w".repeat(30)} trial=${readFileSync(join(state, "token"), "utf8")}`;
    expect(await run(["explain", "alert-one", "--url", url], { HARDSTATE_TOKENS: tokens })).toMatchObject({
      status: 0,
    });
    expect(await run(["explain", "alert-one"], { HARDSTATE_STATE: folder })).toMatchObject({
      status: 3,
      err: expect.stringMatching(/trial's token .* cannot be read \(ENOENT\)/),
    });
  });
});

describe("hardstate check", () => {
  const password = "Secret/of:the@relay";
  const settings = {
    HARDSTATE_TOKENS: `site1=${"t".repeat(30)}`,
    HARDSTATE_RELAYS_FILE: write(
      "relays",
      `smtp://nagios:${encodeURIComponent(password)}@relay.example.com:587?auth=LOGIN&rate=30/min ses://eu-west-1 smtps://second.example.com`,
    ),
    HARDSTATE_FROM: "Monitoring <nagios@example.com>",
    HARDSTATE_RECIPIENTS: "example.com",
    HARDSTATE_ALIASES: "root=ops@example.com team=root,b@example.com",
  };
  const check = async (words: string[], change: Record<string, string> = {}) => {
    const result = await run(["check", ...words], { ...settings, ...change });
    for (const secret of [password, encodeURIComponent(password), "tttt"])
      expect(result.out + result.err).not.toContain(secret);
    if (!words.includes("--json"))
      expect(result.out.split("\n").filter((line) => line.length > 80)).toEqual([]);
    return result;
  };

  it("tells which login each route gets, and what each alias stands for", async () => {
    const { status, out } = await check([]);
    expect(status).toBe(0);
    expect(out).toMatch(
      / {2}smtp:\/\/relay\.example\.com:587\n {4}login nagios by LOGIN; STARTTLS; .*30 mails in 60 s\n/,
    );
    expect(out).toMatch(/ {2}smtps:\/\/second\.example\.com:465\n {4}no login; TLS from the start;/);
    expect(out).toMatch(/^ {2}team +→ ops@example\.com, b@example\.com$/m);
    expect(out).toMatch(/^ {2}HARDSTATE_QUEUE +sqlite:\.hardstate\/queue\.sqlite \(default\)$/m);
    expect(out).toMatch(/The settings are valid\.\n$/);
    expect(JSON.parse((await check(["--json"])).out)).toMatchObject({
      verdict: "pass",
      routes: [{ route: "smtp://relay.example.com:587" }, { route: "ses://eu-west-1" }, {}],
      aliases: [{ name: "root" }, { addresses: [{ allowed: true }, { allowed: true }] }],
    });
  });

  it("names a blank in a password, without the password", async () => {
    const change = {
      HARDSTATE_RELAYS_FILE: write("google", "smtp://u:abcd%20efgh%C2%A0ijkl@smtp.gmail.com"),
    };
    const { status, out } = await check([], change);
    expect([status, out.match(/abcd|efgh|ijkl/)]).toEqual([0, null]);
    expect(out).toMatch(/ {4}WARNING: The password contains a blank\. Google and others/);
    const { routes } = JSON.parse((await check(["--json"], change)).out);
    expect(routes[0].warning).toMatch(/contains a blank/);
  });

  it("names the blanks of a password that tear a URL apart", async () => {
    const url = "smtp://u%40gmail.com:abcd efgh ijkl mnop@smtp.gmail.com:587 smtp://relay.example.com";
    const { status, out } = await check([], { HARDSTATE_RELAYS_FILE: write("pasted", url) });
    expect([status, out.match(/abcd|efgh|ijkl|mnop/)]).toEqual([1, null]);
    expect(out.match(/HARDSTATE_RELAYS needs .*/g)).toEqual([expect.stringMatching(/no blank within a URL/)]);
  });

  it("names an alias that leads where no mail may go", async () => {
    const { status, out } = await check([], { HARDSTATE_ALIASES: "root=ops@example.com,x@evil.example" });
    expect(status).toBe(1);
    expect(out).toMatch(
      /root +→ ops@example\.com, x@evil\.example \(NOT ALLOWED by\s+HARDSTATE_RECIPIENTS\)/,
    );
  });

  it.each<[string, number, RegExp]>([
    ["root", 0, /^ {2}root +→ ops@example\.com\n$/],
    ["Team", 0, /^ {2}Team +→ ops@example\.com, b@example\.com\n$/],
    ["ops@example.com", 0, /→ ops@example\.com\n$/],
    ["x@evil.example", 1, /→ REFUSED: needs an address that HARDSTATE_RECIPIENTS allows\n$/],
    ["nobody", 1, /→ REFUSED: needs an address: no alias/],
    ["ops@example.com x@evil.example", 1, /→ ops@example\.com, REFUSED: needs an address\s+that HARDSTATE/],
  ])("tells where mail for %s would go", async (name, status, words) => {
    expect(await check([name])).toMatchObject({ status, out: expect.stringMatching(words), err: "" });
  });

  it("names all faults at once, and no value", async () => {
    const faulty = {
      HARDSTATE_PORT: "tttt",
      HARDSTATE_OAUTH: "tttt",
      HARDSTATE_TYPO: "1",
      HARDSTATE_FROM_FILE: "/none",
    };
    const { status, out } = await check([], faulty);
    expect(status).toBe(1);
    for (const name of Object.keys(faulty)) expect(out).toContain(`  ${name.replace("_FILE", "")}`);
    const { verdict, faults } = JSON.parse((await check(["--json", "root"], faulty)).out);
    expect([verdict, faults.length >= 5]).toEqual(["fail", true]);
  });
});

import { execFile } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join, resolve } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readAliases, readAllowList } from "../../functions/address.ts";
import { newRoute } from "../../functions/deliver/breaker.ts";
import { intake } from "../../functions/intake/app.ts";
import { newHeartbeat } from "../../functions/ledger/heartbeat.ts";
import { type SqliteLedger, sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { toMessage } from "../../functions/queue/message.ts";
import { type SqliteQueue, sqliteQueue } from "../../functions/queue/sqlite.ts";
import { Secret } from "../../functions/secret.ts";
import { queuedAlert } from "../world/alerts.ts";
import { watchCommandLines } from "../world/lab.ts";

const token = "t".repeat(32);
const now = 1_795_366_380_000;
const allowed = readAllowList(["example.com"]);
const aliases = readAliases([]);
if (!allowed.ok || !aliases.ok) throw new Error("the tests' own settings are wrong");

/** The shells and awks that monitoring hosts have; each awk is put first in PATH. */
const hosts: [string, string[], string[]][] = [
  ["dash and mawk", ["/usr/bin/dash"], ["/usr/bin/mawk"]],
  ["busybox for all", ["/usr/bin/busybox", "sh"], ["/usr/bin/busybox", "awk"]],
  ["bash and gawk", ["/usr/bin/bash", "--posix"], ["/usr/bin/gawk"]],
];
const programs = mkdtempSync("/tmp/hardstate-shells-");
const busyboxTools =
  "cat date find grep head id ln ls mkdir mv od readlink rm sed sort stat tail touch tr".split(" ");
const plugin = "scripts/check_hardstate";

let folder: string;
let queue: SqliteQueue;
let ledger: SqliteLedger;
let server: Server;
let environment: Record<string, string>;

const listen = async (made: Server): Promise<string> => {
  server = made;
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};
const close = () => {
  server.closeAllConnections();
  return new Promise((done) => server.close(done));
};
const configure = (text: string) => writeFileSync(join(folder, "notify.conf"), text, { mode: 0o600 });
const pointAt = (url: string, withToken = token) =>
  configure(`url = "${url}/v1/alerts"\nheader = "Authorization: Bearer ${withToken}"\n`);
/** In place of the bridge, something that answers as `say` does. */
const between = async (say: (response: ServerResponse) => void) => {
  await close();
  pointAt(await listen(createServer((_request, response) => say(response))));
};

beforeAll(() => {
  for (const [name, [sh], awk] of hosts) {
    mkdirSync(join(programs, name));
    writeFileSync(join(programs, name, "awk"), `#!/bin/sh\nexec ${awk.join(" ")} "$@"\n`, { mode: 0o755 });
    // An Alpine host has no other tools either.
    if (name === "busybox for all")
      for (const tool of busyboxTools) symlinkSync("/usr/bin/busybox", join(programs, name, tool));
    expect(existsSync(sh ?? ""), `${name} is installed`).toBe(true);
  }
  return () => rmSync(programs, { recursive: true });
});
beforeEach(async () => {
  folder = mkdtempSync("/tmp/hardstate-check-");
  queue = sqliteQueue(join(folder, "queue.sqlite"), () => now);
  ledger = sqliteLedger(":memory:");
  const bridge = intake({
    tokens: [{ site: "site", token: new Secret(token) }],
    aliases: aliases.value,
    allowed: allowed.value,
    operators: [],
    queue,
    ledger,
    clock: () => now,
    report: () => {},
  });
  pointAt(await listen(createAdaptorServer({ fetch: bridge.fetch }) as Server));
  environment = {
    PATH: "/usr/bin:/bin",
    HARDSTATE_SHIM_CONFIG: join(folder, "notify.conf"),
    HARDSTATE_SHIM_SPOOL: join(folder, "spool"),
  };
});
afterEach(async () => {
  await close();
  queue.close();
  rmSync(folder, { recursive: true });
});

type Ended = { status: number; stdout: string; stderr: string };
const run = (command: readonly string[], env: Record<string, string>): Promise<Ended> =>
  new Promise((done) =>
    execFile(
      command[0] ?? "",
      command.slice(1),
      { env, timeout: 20_000, killSignal: "SIGKILL" },
      (error, stdout, stderr) => done({ status: error ? Number(error.code) : 0, stdout, stderr }),
    ),
  );
const check = (...words: string[]): Promise<Ended> => run([plugin, ...words], environment);
const firstLine = ({ stdout }: Ended) => stdout.split("\n")[0] ?? "";
const wordsOf = (ended: Ended) => firstLine(ended).split(" | ")[0] ?? "";
const dataOf = (ended: Ended) => firstLine(ended).split(" | ")[1] ?? "";

const wait = (seconds: number, count = 1) =>
  queue.send(
    Array.from({ length: count }, (_, n) =>
      toMessage(queuedAlert({ id: `alert-${seconds}-${n}`, receivedAt: now - seconds * 1000 })),
    ),
  );
const bury = async () => {
  for (const message of await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 30 }))
    await queue.bury(message, "550 5.1.1 no such user");
};
const breakRoute = (step: "auth" | "connect") =>
  ledger.writeRoute({
    ...newRoute("smtp://relay.example.com:587"),
    down: { since: now, probes: 1, probeAt: now, probing: false, reason: "535 5.7.8 bad", step },
    ...(step === "auth" && { refusal: { at: now, reason: "535 5.7.8 bad", step } }),
  });
const beat = (secondsAgo: number, silent = false) =>
  ledger.writeHeartbeat({
    ...newHeartbeat("site", "monitor1"),
    at: now - secondsAgo * 1000,
    ...(silent && { silent: { since: now - secondsAgo * 1000 } }),
  });

describe.each(hosts)("with %s", (name, sh) => {
  const here = (...words: string[]) =>
    run([...sh, plugin, ...words], { ...environment, PATH: `${join(programs, name)}:/usr/bin:/bin` });

  it("an idle bridge is OK, with performance data of all that is watched", async () => {
    await beat(31);
    expect(await here()).toEqual({
      status: 0,
      stdout:
        "HARDSTATE OK - nothing waits, no dead letters | routes_refused=0;;0;0; oldest=0s;300;900;0; " +
        "dead_letters=0;;0;0; routes_down=0;0;;0; waiting=0;;;0; heartbeats_silent=0;;0;0; heartbeat=31s;300;900;0; " +
        "rejected=0;0;;0; bouncing=0;0;;0; wrong_tokens=0;;;0;\n",
      stderr: "",
    });
  });

  it("the worst comes first, all that is wrong below it, and with -v all values", async () => {
    await wait(400, 3);
    await breakRoute("auth");
    await beat(1000);
    expect((await here("-v")).stdout.split("\n")).toEqual([
      expect.stringMatching(
        /^HARDSTATE CRITICAL - 1 of its relays refuses us: run hardstate doctor \(and 3 more\) \| /,
      ),
      "CRITICAL - 1 of its relays refuses us: run hardstate doctor",
      "CRITICAL - a monitor was not heard for 1000 s: does it run?",
      "WARNING - an alert waits for 400 s, in all 3: run hardstate doctor",
      "WARNING - 1 of its relays is down: run hardstate doctor",
      "oldest_seconds 400",
      "waiting 3",
      "in_flight 0",
      "dead_letters 0",
      "rejected 0",
      "wrong_tokens 0",
      "bouncing 0",
      "routes 1",
      "routes_down 1",
      "routes_open 1",
      "routes_refused 1",
      "heartbeats 1",
      "heartbeats_silent 0",
      "heartbeat_seconds 1000",
      "",
    ]);
  });

  it.each([
    ["10", 10, 0],
    ["10", 11, 2],
    ["10:", 10, 0],
    ["10:", 9, 2],
    ["~:10", 10, 0],
    ["~:10", 11, 2],
    ["10:20", 20, 0],
    ["10:20", 9, 2],
    ["10:20", 21, 2],
    ["@10:20", 10, 2],
    ["@10:20", 20, 2],
    ["@10:20", 21, 0],
    ["@10", 5, 2],
    ["9.5", 9, 0],
    ["9.5", 10, 2],
    ["-5:-1", 0, 2],
    ["", 5000, 0],
  ])("the range %j judges %i s as status %i", async (range, seconds, status) => {
    await wait(seconds);
    const ended = await here("-w", "", "-c", range);
    expect(ended.status).toBe(status);
    expect(dataOf(ended)).toContain(` oldest=${seconds}s;;${range};0;`);
  });

  it("an answer other than a status is UNKNOWN, and nothing of it reaches a terminal", async () => {
    await between((response) => response.end("\x1b[31mlogin | \x07\0 \xff here".repeat(50_000)));
    const ended = await here("-v");
    expect(ended.status).toBe(3);
    expect(wordsOf(ended)).toBe(
      "HARDSTATE UNKNOWN - what answers says no waiting: is the url that of Hardstate?",
    );
    expect(ended.stdout + ended.stderr).toMatch(/^[\x20-\x7e\n]*$/);
    expect(ended.stdout).not.toContain("|");
  });
});

describe("each thing that is watched", () => {
  it.each<[string, number, string, () => Promise<unknown>]>([
    ["an alert that waits", 1, "an alert waits for 301 s, in all 1: run hardstate doctor", () => wait(301)],
    ["one that waits long", 2, "an alert waits for 901 s, in all 1: run hardstate doctor", () => wait(901)],
    [
      "a dead letter",
      2,
      "1 dead letter, which nobody got: run hardstate redrive",
      async () => {
        await wait(1);
        await bury();
      },
    ],
    ["a relay that is down", 1, "1 of its relays is down: run hardstate doctor", () => breakRoute("connect")],
    [
      "a refused login",
      2,
      "1 of its relays refuses us: run hardstate doctor (and 1 more)",
      () => breakRoute("auth"),
    ],
    ["a silent monitor", 2, "1 monitor is silent: does it run?", () => beat(200, true)],
    ["a late heartbeat", 1, "a monitor was not heard for 301 s: does it run?", () => beat(301)],
  ])("%s has the status %i", async (_, status, words, happen) => {
    await happen();
    const ended = await check();
    expect(ended.status).toBe(status);
    expect(wordsOf(ended)).toBe(`HARDSTATE ${status === 2 ? "CRITICAL" : "WARNING"} - ${words}`);
  });

  it.each<[string[], () => Promise<unknown>]>([
    [["--dead-letters-critical=", "--dead-letters-warning", "2"], () => wait(1).then(bury)],
    [["--down-warning", "1"], () => breakRoute("connect")],
    [["--refused-critical", "1", "--down-warning="], () => breakRoute("auth")],
    [["--silent-critical="], () => beat(200, true)],
    [["--heartbeat-warning", "10:", "--heartbeat-critical", "2000"], () => beat(1000)],
    [["-w1000", "-c", "2000", "--waiting-critical=1"], () => wait(950)],
  ])("has ranges of its own: %j", async (words, happen) => {
    await happen();
    expect((await check()).status).toBeGreaterThan(0);
    expect(await check(...words)).toMatchObject({ status: 0 });
  });

  it("what waits is told, but not for how long where the queue cannot tell", async () => {
    const lines = "waiting 1\nin_flight 6\ndead_letters 0\nroutes 1\nroutes_open 0\n";
    await between((response) => response.end(`${lines}routes_refused 0\nheartbeats_silent 0\n`));
    const ended = await check();
    expect(wordsOf(ended)).toBe("HARDSTATE OK - 7 wait, no dead letters");
    expect(dataOf(ended)).not.toContain("oldest=");
  });

  it("lines that a later bridge adds are no fault", async () => {
    const lines = "oldest_seconds 1\nwaiting 1\nin_flight 0\ndead_letters 0\nroutes 1\nroutes_open 0\n";
    await between((response) =>
      response.end(`moon_phase 3\n${lines}routes_refused 0\nheartbeats_silent 0\nroute_names a b\n`),
    );
    const ended = await check();
    expect(wordsOf(ended)).toBe("HARDSTATE OK - 1 waits, the oldest for 1 s, no dead letters");
    expect(dataOf(ended)).not.toContain("heartbeat=");
  });
});

describe("a bridge that does not answer as it should", () => {
  it("is CRITICAL when nobody listens", async () => {
    configure(`url = "http://127.0.0.1:1/v1/alerts"\nheader = "Authorization: Bearer ${token}"\n`);
    const ended = await check();
    expect(ended.status).toBe(2);
    expect(firstLine(ended)).toBe(
      "HARDSTATE CRITICAL - the bridge cannot be reached: does it run? is the url right?",
    );
    expect(ended.stdout).toContain("curl: (7)");
  });

  it("is CRITICAL when it says nothing, within the time of -t", async () => {
    await between(() => {});
    const begun = Date.now();
    expect(await check("-t", "1")).toMatchObject({ status: 2 });
    expect(Date.now() - begun).toBeLessThan(5000);
  });

  it("is CRITICAL when it breaks off, and when its queue cannot be read", async () => {
    await between((response) => {
      response.writeHead(200, { "Content-Length": "1000" }).write("oldest_seconds 0\n");
      setImmediate(() => response.destroy());
    });
    expect(await check()).toMatchObject({ status: 2 });
    await between((response) => response.writeHead(503).end('{"detail":"queue or ledger"}'));
    const ended = await check();
    expect(ended).toMatchObject({
      status: 2,
      stdout: expect.stringContaining('{"detail":"queue or ledger"}'),
    });
    expect(firstLine(ended)).toContain("the bridge answers 503");
  });

  it("is CRITICAL when it does not know the token, which is never shown", async () => {
    const wrong = "secret-".repeat(5);
    const watched = watchCommandLines([wrong]);
    const address = server.address() as AddressInfo;
    pointAt(`http://127.0.0.1:${address.port}`, wrong);
    const ended = await check("-v");
    expect(ended.status).toBe(2);
    expect(firstLine(ended)).toBe(
      `HARDSTATE CRITICAL - the bridge does not know the token in ${join(folder, "notify.conf")}`,
    );
    expect(ended.stdout + ended.stderr).not.toContain("secret-");
    expect(watched().seen).toEqual([]);
  });

  it.each([
    [302, ""],
    [404, "not here"],
  ])("is UNKNOWN when something answers %i", async (status, body) => {
    await between((response) => response.writeHead(status).end(body));
    expect(await check()).toMatchObject({
      status: 3,
      stdout: expect.stringContaining(`something answers ${status}`),
    });
  });
});

describe("wrong use is UNKNOWN, and says what is expected", () => {
  it.each([
    [["-x", "1"], "there is no option -x"],
    [["-w"], "-w is no option, or needs a value"],
    [["words"], "words is no option"],
    [["-t", "0"], "-t needs 1 to 99 seconds"],
    [["-t", "ten"], "-t needs 1 to 99 seconds"],
    ...["20:10", "x", "1:2:3", "@", ":", "10:x", "1e3", "$(id)"].map((range): [string[], string] => [
      ["-w", range],
      range === ":" ? "OK" : "a RANGE is 10, 10:, ~:10, 10:20 or @10:20",
    ]),
  ])("%j", async (words, expected) => {
    const ended = await check(...words);
    expect(firstLine(ended)).toContain(expected);
    expect(ended.status).toBe(expected === "OK" ? 0 : 3);
  });

  it("also a wrong range while the bridge is away", async () => {
    await close();
    expect(await check("--heartbeat-critical", "x")).toMatchObject({ status: 3 });
    server = createServer().listen(0);
  });

  it("no settings, or settings without the url", async () => {
    rmSync(join(folder, "notify.conf"));
    expect(firstLine(await check())).toMatch(/^HARDSTATE UNKNOWN - .*notify\.conf cannot be read/);
    configure('url = "https://bridge.example.com/"\n');
    expect(await check()).toMatchObject({ status: 3, stdout: expect.stringContaining("/v1/alerts") });
  });
});

describe.each(hosts)("the spool of this host, by %s", (name, sh) => {
  const here = (...words: string[]) =>
    run([...sh, plugin, ...words], { ...environment, PATH: `${join(programs, name)}:/usr/bin:/bin` });
  const put = (path: string, text: string, secondsAgo = 0) => {
    const file = join(folder, "spool", path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${text}\n`);
    const at = Date.now() / 1000 - secondsAgo;
    utimesSync(file, at, at);
  };
  const alert = (service: string | undefined, contact: string) =>
    JSON.stringify({ v: 1, object: { host: "web01", service }, recipients: [{ name: contact }] });
  const answer = (...statuses: string[]) =>
    statuses
      .map((status) =>
        JSON.stringify({
          item: 0,
          contact: "pager",
          status,
          errors: [{ field: "recipients.0.email", expected: 'an address | "allowed"' }],
        }),
      )
      .join(",");
  const day = 86_400;

  it("is good without a folder, with an empty one, and with alerts that have just come", async () => {
    expect(wordsOf(await here())).toBe("HARDSTATE OK - nothing waits, no dead letters");
    mkdirSync(join(folder, "spool"));
    expect((await here()).status).toBe(0);
    put("0000000001-0000000001-a.json", alert("HTTP", "ops"), 200);
    const ended = await here();
    expect([ended.status, dataOf(ended)]).toEqual([
      0,
      expect.stringMatching(
        / spool_rejected=0;;0;0; spool_oldest=20\ds;300;900;0; spool_partly_rejected=0;0;;0; rejected=0;0;;0; bouncing=0;0;;0; wrong_tokens=0;;;0;$/,
      ),
    ]);
  });

  it.each([
    [400, 1, "WARNING"],
    [1000, 2, "CRITICAL"],
  ])(
    "whose oldest alert waits for %i s has status %i, and that alert is named",
    async (age, status, word) => {
      put("0000000001-0000000001-a.json", alert("HTTP", "ops"));
      put("0000000001-0000000002-b.json", alert(undefined, "dba"), age);
      put("rejected/0000000001-0000000003-c.json", alert("HTTP", "x"), 2 * day);
      const ended = await here();
      expect([ended.status, wordsOf(ended)]).toEqual([
        status,
        expect.stringMatching(
          new RegExp(
            `^HARDSTATE ${word} - 2 alerts wait in \\S+/spool, the oldest \\(web01 for dba\\) for ${age / 10}\\d s: run notify --test$`,
          ),
        ),
      ]);
      expect((await here("--spool", "")).status).toBe(0);
      expect((await here("--spool-warning", "", "--spool-critical", "")).status).toBe(0);
      environment.HARDSTATE_SHIM_SPOOL = "/nonexistent";
      expect((await here()).status).toBe(0);
      expect((await here(`--spool=${join(folder, "spool")}`)).status).toBe(status);
    },
  );

  it("with a rejected alert is CRITICAL for a day, and says of which, why, and what to do", async () => {
    put("rejected/0000000001-0000000001-a.json", alert('HT"TP', "ops"), 100);
    put("rejected/0000000001-0000000001-a.answer", answer("rejected"), 100);
    const ended = await here();
    expect([ended.status, wordsOf(ended)]).toEqual([
      2,
      expect.stringMatching(
        /^HARDSTATE CRITICAL - the bridge rejected 1 alert in 24 h, the latest web01\/HT"TP for ops: recipients\.0\.email must be an address \/ "allowed"; mend it and move its \.json from (\S+)\/rejected back to \1, or delete it$/,
      ),
    ]);
    put("rejected/0000000001-0000000001-a.json", alert("HTTP", "ops"), day + 100);
    expect((await here()).status).toBe(0);
  });

  it("with an alert of which a mailbox was rejected is WARNING", async () => {
    put("rejected/0000000001-0000000001-a.json", alert("HTTP", "ops"), 100);
    put("rejected/0000000001-0000000001-a.answer", answer("queued", "rejected"), 100);
    const ended = await here();
    expect([ended.status, wordsOf(ended)]).toEqual([
      1,
      expect.stringContaining(
        "in 24 h, the latest web01/HTTP for ops: pager: recipients.0.email must be an address",
      ),
    ]);
  });

  it("lists the last ten that were rejected, and names a file without an alert", async () => {
    for (let n = 10; n < 30; n++)
      put(`rejected/0000000001-00000000${n}-a.json`, alert(`S${n}`, "ops"), 100 - n);
    put("rejected/0000000001-0000000001-zeros.json", "\0\0", 5);
    const { stdout } = await here();
    const listed = stdout.split("\n").filter((line) => line.startsWith("rejected: "));
    expect(listed).toHaveLength(10);
    expect(listed[0]).toContain("web01/S21 for ops");
    expect(listed[9]).toContain("rejected/0000000001-0000000001-zeros.json");
    expect(stdout.split("\n")[0]).toContain("the bridge rejected 21 alerts in 24 h");
  });

  it("is told of also while the bridge cannot be reached", async () => {
    put("0000000001-0000000001-a.json", alert("HTTP", "ops"), 100);
    await close();
    const { status, stdout } = await here();
    expect([status, stdout]).toEqual([
      2,
      expect.stringMatching(/1 alert waits in \S+, the oldest \(web01\/HTTP for ops\)/),
    ]);
    server = createServer().listen(0);
  });

  it("that its user cannot read is WARNING, with what to do", async () => {
    put("0000000001-0000000001-a.json", alert("HTTP", "ops"), 2000);
    chmodSync(folder, 0o755);
    chmodSync(join(folder, "spool"), 0o700);
    chmodSync(join(folder, "notify.conf"), 0o644);
    const env = { ...environment, PATH: `${join(programs, name)}:/usr/bin:/bin` };
    chmodSync(programs, 0o755);
    const ended = await run(["/usr/sbin/runuser", "-u", "nobody", "--", ...sh, resolve(plugin)], env);
    expect([ended.status, wordsOf(ended)]).toEqual([
      1,
      expect.stringMatching(
        /WARNING - nobody cannot look into \S+spool: run this check as the user of notify$/,
      ),
    ]);
  });
});

describe("the number of alerts that the bridge rejected in a day, for any monitor of the site", () => {
  it("is WARNING, and wrong tokens are what the range says", async () => {
    const status =
      "waiting 0\nin_flight 0\ndead_letters 0\nroutes 0\nroutes_open 0\nroutes_refused 0\nheartbeats 0\nheartbeats_silent 0\nrejected 2\nwrong_tokens 3\n";
    await between((response) => response.end(status));
    expect(wordsOf(await check())).toBe(
      "HARDSTATE WARNING - 2 alerts of this site were rejected in 24 h: see Now in the console",
    );
    expect((await check("--rejected-critical", "1")).status).toBe(2);
    expect((await check("--rejected-warning", "")).status).toBe(0);
    expect(wordsOf(await check("--wrong-tokens-critical", "2"))).toContain(
      "3 requests in 24 h had a wrong token",
    );
  });
});

describe("contacts who get no mail", () => {
  it("are named, and WARNING", async () => {
    const status =
      "waiting 0\nin_flight 0\ndead_letters 0\nroutes 0\nroutes_open 0\nroutes_refused 0\nheartbeats 0\nheartbeats_silent 0\nbouncing 2\n";
    const named = "bouncing_contact ops@example.com\nbouncing_contact dba@example.com\n";
    await between((response) => response.end(status + named));
    expect(await check()).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(
        /^HARDSTATE WARNING - mail to ops@example\.com, dba@example\.com comes back, or no relay accepts it: see Now in the console \|/,
      ),
    });
    expect((await check("--bouncing-critical", "1")).status).toBe(2);
    expect((await check("--bouncing-warning", "")).status).toBe(0);
  });
});

describe("-h and -V", () => {
  it("say every option that there is, and the version of this house", async () => {
    const help = await check("-h");
    expect(help.status).toBe(3);
    const script = readFileSync(plugin, "utf8");
    const values = new Set([...script.matchAll(/^\t--([a-z-]+)-warning\b/gm)].map(([, value = ""]) => value));
    expect(values.size).toBe(12);
    for (const value of values) expect(help.stdout).toMatch(new RegExp(`^    ${value} `, "m"));
    for (const option of ["-w", "-c", "-t", "-v", "-h", "-V", "--spool"])
      expect(help.stdout).toContain(option);
    const { version } = JSON.parse(readFileSync("package.json", "utf8"));
    expect(await check("-V")).toMatchObject({ status: 3, stdout: `check_hardstate ${version}\n` });
  });
});

import { execFile, execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { createAdaptorServer } from "@hono/node-server";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readAliases, readAllowList } from "../../functions/address.ts";
import { intake } from "../../functions/intake/app.ts";
import type { IntakeParts } from "../../functions/intake/doors.ts";
import { mostWaitingBytes } from "../../functions/intake/quota.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { type SqliteQueue, sqliteQueue } from "../../functions/queue/sqlite.ts";
import { Secret } from "../../functions/secret.ts";
import { posted, takenFrom } from "../world/alerts.ts";
import { labScript, until } from "../world/lab.ts";

const run = promisify(execFile);
const corpus = resolve("test/corpus/nagios");
const [token, operatorToken] = ["t".repeat(32), "o".repeat(32)];
const allowed = readAllowList(["example.com"]);
const aliases = readAliases([]);
if (!allowed.ok || !aliases.ok) throw new Error("the tests' own settings are wrong");

/** The shells and awks that monitoring hosts have; each is a folder put first in PATH. */
const hosts: Record<string, { sh: string[]; awk: string[] }> = {
  "dash and mawk": { sh: ["/usr/bin/dash"], awk: ["/usr/bin/mawk"] },
  "busybox for all": { sh: ["/usr/bin/busybox", "sh"], awk: ["/usr/bin/busybox", "awk"] },
  "bash and gawk": { sh: ["/usr/bin/bash", "--posix"], awk: ["/usr/bin/gawk"] },
};
const programs = mkdtempSync("/tmp/hardstate-shells-");
const busyboxTools =
  "cat date find grep head id ln ls mkdir mv od readlink rm sed sort stat tail touch tr".split(" ");

let folder: string;
let queue: SqliteQueue;
let server: Server;
let environment: Record<string, string>;
let spool: string;

/** How many requests the bridge had. */
let requests = 0;
const listen = async (port = 0, more: Partial<IntakeParts> = {}) => {
  const app = intake({
    tokens: [
      { site: "site", token: new Secret(token) },
      { site: "operator", token: new Secret(operatorToken) },
    ],
    aliases: aliases.value,
    allowed: allowed.value,
    operators: [],
    queue,
    ledger: sqliteLedger(":memory:"),
    clock: () => 100_000_000,
    report: () => {},
    ...more,
  });
  server = createAdaptorServer({ fetch: app.fetch }) as Server;
  requests = 0;
  server.on("request", () => {
    requests += 1;
  });
  await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
};
const close = () => new Promise((done) => server.close(done));
const configure = (url: string, withToken = token) =>
  writeFileSync(
    join(folder, "notify.conf"),
    `url = "${url}"\nheader = "Authorization: Bearer ${withToken}"\n`,
    { mode: 0o600 },
  );

beforeAll(() => {
  for (const [name, { sh, awk }] of Object.entries(hosts)) {
    mkdirSync(join(programs, name));
    writeFileSync(join(programs, name, "awk"), `#!/bin/sh\nexec ${awk.join(" ")} "$@"\n`, { mode: 0o755 });
    // An Alpine host has no other tools either.
    if (name === "busybox for all")
      for (const tool of busyboxTools) symlinkSync("/usr/bin/busybox", join(programs, name, tool));
    expect(existsSync(sh[0] ?? ""), `${name} is installed`).toBe(true);
  }
  return () => rmSync(programs, { recursive: true });
});
let port: number;
beforeEach(async () => {
  folder = mkdtempSync("/tmp/hardstate-shim-");
  spool = join(folder, "spool");
  queue = sqliteQueue(join(folder, "queue.sqlite"), () => Date.now());
  port = await listen();
  configure(`http://127.0.0.1:${port}/v1/alerts`);
  environment = {
    PATH: "/usr/bin:/bin",
    HARDSTATE_SHIM_CONFIG: join(folder, "notify.conf"),
    HARDSTATE_SHIM_SPOOL: spool,
  };
});
afterEach(async () => {
  await close();
  queue.close();
  rmSync(folder, { recursive: true });
});

type Ended = { status: number; stdout: string; stderr: string };
const ended = (running: Promise<{ stdout: string; stderr: string }>): Promise<Ended> =>
  running.then(
    ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ status: code, stdout, stderr }),
  );
const notify = (words: readonly string[], more: Record<string, string> = {}): Promise<Ended> =>
  ended(run("scripts/notify", words, { env: { ...environment, ...more } }));
const problem = [
  "-m",
  "monitor1",
  "-t",
  "PROBLEM",
  "-s",
  "CRITICAL",
  "-H",
  "web01",
  "-S",
  "HTTP",
  "-c",
  "ops",
  "-T",
  "1795366380",
];
const ops = { NAGIOS_CONTACTEMAIL: "ops@example.com", NAGIOS_SERVICEOUTPUT: "it broke" };

const taken = () => takenFrom(queue);
const waiting = () => readdirSync(spool).filter((name) => name.endsWith(".json"));

/** The environment of a recorded notification, byte for byte. */
const macrosOf = (bytes: Buffer): Map<string, Buffer> => {
  const macros = new Map<string, Buffer>();
  for (const line of bytes.toString("latin1").split("\n")) {
    const at = line.indexOf("=");
    if (line.startsWith("NAGIOS_"))
      macros.set(line.slice("NAGIOS_".length, at), Buffer.from(line.slice(at + 1), "latin1"));
  }
  return macros;
};
/** The words after the shim's name in the shipped definition, with this notification's macros filled in. */
const wordsFor = (environmentMacros: Map<string, Buffer>): string[] => {
  const kind = environmentMacros.get("SERVICEDESC")?.length ? "service" : "host";
  const definition = readFileSync("scripts/monitors/nagios.cfg", "utf8");
  const line = new RegExp(`hardstate-notify-${kind}\\n *command_line +\\S+ (.*)`).exec(definition)?.[1] ?? "";
  return [...line.matchAll(/'\$(\w+)\$'|(\S+)/g)].map(([, macro, word]) =>
    macro ? (environmentMacros.get(macro)?.toString("latin1") ?? "") : (word ?? ""),
  );
};

describe.each(Object.entries(hosts))("with %s", (host, { sh }) => {
  it.each(readdirSync(corpus).filter((name) => name.endsWith(".env")))(
    "the shim posts what a form post of the same notification says: %s",
    async (name) => {
      const bytes = readFileSync(join(corpus, name));
      const macros = macrosOf(bytes);
      const form = [...macros].map(([key, value]) => {
        const encoded = [...value].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
        return `NAGIOS_${key}=${encoded}`;
      });
      const response = await fetch(`http://127.0.0.1:${port}/v1/alerts`, {
        method: "POST",
        body: [...form, "MONITOR=monitor1"].join("&"),
        headers: { "Content-Type": "application/x-www-form-urlencoded", Authorization: `Bearer ${token}` },
      });
      expect(response.status).toBe(202);
      const [byForm] = await taken();

      // Node would make UTF-8 of the environment's bytes; the lab's script keeps them.
      await run(labScript("replay"), [join(corpus, name), ...sh, "scripts/notify", ...wordsFor(macros)], {
        env: {
          ...environment,
          PATH: `${join(programs, host)}:/usr/bin:/bin`,
          REPLAY_KEEP: "HARDSTATE_SHIM_CONFIG HARDSTATE_SHIM_SPOOL",
        },
      });
      const [byShim] = await taken();
      expect(waiting()).toEqual([]);
      expect(byShim?.alert).toEqual(byForm?.alert);
      expect(byShim?.contact).toBe(byForm?.contact);
      expect(byShim?.contactName).toBe(byForm?.contactName);
    },
  );

  it("the lines of Icinga's output are all there, and nothing in them is taken for an escape", async () => {
    const env = { ...environment, ...ops, PATH: `${join(programs, host)}:/usr/bin:/bin` };
    const rest = Array.from({ length: 2000 }, (_, n) => `line ${n} of C:\\new\\temp, "übrig"`).join("\n");
    await run(sh[0] ?? "", [...sh.slice(1), "scripts/notify", "-k", "icinga2", ...problem], {
      env: { ...env, NAGIOS_SERVICEOUTPUT: `first\n${rest.slice(0, 30_000)}` },
    });
    const [queued] = await taken();
    expect(queued?.alert.source).toBe("icinga2");
    expect(queued?.alert.output).toBe("first");
    expect(queued?.alert.long_output).toBe(rest.slice(0, 30_000));
    expect(queued?.alert.truncated).toBe(false);
  });

  it("120 KB of output with invalid UTF-8, quotes and control bytes is valid JSON, cut and marked", async () => {
    const hostile = Buffer.from('\\"\x01\x1b[31m\xff\xe2\x82 \xc3\xa9\t', "latin1");
    const output = Buffer.concat(Array.from({ length: 10_000 }, () => hostile)).subarray(0, 120_000);
    writeFileSync(join(folder, "output"), output);
    const script = `NAGIOS_LONGSERVICEOUTPUT=$(cat '${join(folder, "output")}'); export NAGIOS_LONGSERVICEOUTPUT; exec ${sh.join(" ")} scripts/notify ${problem.join(" ")}`;
    const env = { ...environment, ...ops, PATH: `${join(programs, host)}:/usr/bin:/bin` };
    await run("bash", ["-c", script], { env });
    const [queued] = await taken();
    expect(queued?.alert.truncated).toBe(true);
    expect(queued?.alert.long_output?.startsWith('\\" ')).toBe(true);
    expect(queued?.alert.long_output).toContain("� [31m".replace("� ", " "));
    expect(Buffer.byteLength(queued?.alert.long_output ?? "")).toBeGreaterThan(50_000);
  });
});

describe.each(Object.entries(hosts))("a bridge that needs to be left alone, by %s", (host, { sh }) => {
  const by = (...words: string[]) => {
    const env = { ...environment, ...ops, PATH: `${join(programs, host)}:/usr/bin:/bin` };
    return ended(run(sh[0] ?? "", [...sh.slice(1), "scripts/notify", ...words], { env }));
  };
  const later = (seconds: number) => {
    rmSync(join(spool, "pause"));
    symlinkSync(String(Math.floor(Date.now() / 1000) + seconds), join(spool, "pause"));
  };

  it("for its site's rate is not asked again before the time it said; then it gets all, in order", async () => {
    await close();
    await listen(port, { rate: { most: 1, milliseconds: 2000 }, clock: () => Date.now() });
    expect((await by(...problem)).stderr).toContain('"event":"sent"');
    const refused = await by(...problem, "-s", "WARNING");
    expect(refused.status).toBe(0);
    expect(refused.stderr).toMatch(
      /"event":"trouble","error":"the bridge answers 429: nothing is sent for [12] s/,
    );
    expect(requests).toBe(2);
    const third = await by(...problem, "-s", "UNKNOWN");
    expect(third.status).toBe(0);
    expect(third.stderr).toMatch(
      /^\{"at":"[^"]+","event":"kept","id":"[^"]+","object":"web01\/HTTP","contact":"ops"\}\n$/,
    );
    expect((await by("--drain")).status).toBe(1);
    expect(requests).toBe(2);
    await until("the time is over", 5, async () => (await by("--drain")).status === 0);
    expect(requests).toBe(3);
    expect((await taken()).map(({ alert }) => alert.state)).toEqual(["CRITICAL", "WARNING", "UNKNOWN"]);
    expect(readdirSync(spool)).toEqual([]);
  });

  it("for the quota of waiting bytes keeps new alerts, and sends them when there is room", async () => {
    let bytes = mostWaitingBytes;
    await close();
    const full = { ...queue, waitingBytes: async () => bytes };
    await listen(port, { queue: full, clock: () => Date.now() });
    const refused = await by(...problem);
    expect([refused.status, waiting().length]).toEqual([0, 1]);
    expect(refused.stderr).toMatch(
      /the bridge answers 429: nothing is sent for (60|10) s: .*wait for their mail/,
    );
    expect((await by("--drain")).status).toBe(1);
    expect(requests).toBe(1);
    bytes -= 1;
    // So long the bridge remembers how much waits.
    await new Promise((resolve) => setTimeout(resolve, 300));
    later(-1);
    expect((await by("--drain")).status).toBe(0);
    expect(await taken()).toHaveLength(1);
    expect(readdirSync(spool)).toEqual([]);
  });

  it("for its queue takes nothing is not asked again before the time it said", async () => {
    queue.close();
    expect((await by(...problem)).stderr).toContain("the bridge answers 503: nothing is sent for 10 s");
    expect((await by(...problem, "-s", "WARNING")).stderr).not.toContain("trouble");
    expect(requests).toBe(1);
    expect(waiting()).toHaveLength(2);
    queue = sqliteQueue(join(folder, "other.sqlite"), () => Date.now());
    await close();
    await listen(port);
    later(-1);
    expect((await by("--drain")).status).toBe(0);
    expect(await taken()).toHaveLength(2);
  });

  it.each<[string, number, string | undefined, RegExp]>([
    ["no time", 429, undefined, /nothing is sent for 10 s/],
    ["a day", 429, "86400", /nothing is sent for 300 s/],
    ["a date", 503, "Fri, 31 Dec 1999 23:59:59 GMT", /answers 503: busy/],
    ["an octal number", 503, "0099", /answers 503: busy/],
    ["a number without end", 429, "9".repeat(400), /nothing is sent for 10 s/],
    ["words for a shell", 429, "$(touch OWNED)", /nothing is sent for 10 s/],
  ])("that says %s is asked again in time", async (_, status, after, words) => {
    const headers = after === undefined ? {} : { "Retry-After": after };
    const stop = await between((_request, response) => response.writeHead(status, headers).end("busy"));
    const { status: exit, stderr } = await by(...problem);
    stop();
    expect([exit, stderr]).toEqual([0, expect.stringMatching(words)]);
    expect(waiting()).toHaveLength(1);
    expect(existsSync("OWNED")).toBe(false);
  });

  it("and a clock that was set back do not hold the alerts up", async () => {
    const stop = await between((_request, response) => response.writeHead(429).end("busy"));
    await by(...problem);
    stop();
    later(7200);
    configure(`http://127.0.0.1:${port}/v1/alerts`);
    expect((await by("--drain")).status).toBe(0);
    expect(await taken()).toHaveLength(1);
  });
});

describe("a notification that cannot be handed over", () => {
  const refusing: [string, () => Promise<void> | void][] = [
    ["nobody listens", async () => configure("http://127.0.0.1:1/v1/alerts")],
    ["there are no settings", () => rmSync(join(folder, "notify.conf"))],
    ["the token is wrong", () => configure(`http://127.0.0.1:${port}/v1/alerts`, "x".repeat(32))],
    ["the queue does not take it", () => queue.close()],
  ];
  it.each(refusing)("waits in the spool, with exit status 0, when %s", async (_, breakIt) => {
    await breakIt();
    expect((await notify(problem, ops)).status).toBe(0);
    expect(waiting()).toHaveLength(1);
    queue = sqliteQueue(join(folder, "other.sqlite"), () => Date.now());
  });

  it("waits in the spool when the bridge says nothing, and the shim ends within Nagios's patience", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
    configure(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/v1/alerts`);
    const ending = await ended(
      run("scripts/notify", problem, {
        env: { ...environment, ...ops },
        timeout: 15_000,
        killSignal: "SIGKILL",
      }),
    );
    silent.closeAllConnections();
    silent.close();
    expect(ending.status).toBe(0);
    expect(waiting()).toHaveLength(1);
  }, 20_000);

  it("is sent by the next run, oldest first, with the id it had", async () => {
    await close();
    const process = ["-P", "1000"];
    for (const id of ["11", "9", "10"]) await notify([...problem, ...process, "-i", id], ops);
    const before = waiting().map((name) => JSON.parse(readFileSync(join(spool, name), "utf8")));
    await listen(port);
    expect((await notify([...problem, ...process, "-i", "12"], ops)).status).toBe(0);
    const alerts = await taken();
    expect(alerts.map(({ alert }) => alert.notification.id)).toEqual(["9", "10", "11", "12"]);
    expect(
      alerts
        .slice(0, 3)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(before.map(({ id }) => id).toSorted());
    expect(waiting()).toEqual([]);
  });

  it("is sent in its order also by a monitor that has no numbers, inside one second", async () => {
    await close();
    const outputs = ["one", "two", "three", "four", "five", "six"];
    for (const output of outputs) await notify(problem, { ...ops, NAGIOS_SERVICEOUTPUT: output });
    await listen(port);
    expect((await notify(["--drain"])).status).toBe(0);
    expect((await taken()).map(({ alert }) => alert.output)).toEqual(outputs);
  });

  it("is drained by cron, 250 at a time as well as one", async () => {
    await close();
    mkdirSync(spool, { mode: 0o700 });
    for (let n = 0; n < 250; n++) {
      const alert = posted({
        id: `spooled-${n}`,
        object: { host: "h", service: `s${n}` },
        recipients: [{ email: "ops@example.com" }],
      });
      writeFileSync(
        join(spool, `0000001000-${String(n).padStart(10, "0")}-${n}.json`),
        `${JSON.stringify(alert)}\n`,
      );
    }
    expect(await notify(["--drain"])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("still wait"),
    });
    expect(waiting()).toHaveLength(250);
    await listen(port);
    const { status, stderr } = await notify(["--drain"]);
    expect(status).toBe(0);
    expect(new Set(stderr.match(/"event":"[a-z]+"/g))).toEqual(new Set(['"event":"sent"']));
    expect(stderr.trim().split("\n")).toHaveLength(250);
    expect((await taken()).map(({ id }) => id)).toEqual(
      Array.from({ length: 250 }, (_, n) => `spooled-${n}`),
    );
    expect(waiting()).toEqual([]);
  });

  it("goes to rejected/ with the bridge's answer beside it when the bridge calls it invalid", async () => {
    await close();
    for (const state of ["CRITICAL", "DOWN", "WARNING"])
      await notify([...problem, "-s", state, "-P", "1", "-i", String(state.length)], ops);
    await listen(port);
    expect((await notify(["--drain"])).status).toBe(0);
    expect((await taken()).map(({ alert }) => alert.state)).toEqual(["WARNING", "CRITICAL"]);
    expect(waiting()).toEqual([]);
    const [answer, rejected] = readdirSync(join(spool, "rejected")).sort();
    expect(JSON.parse(readFileSync(join(spool, "rejected", rejected ?? ""), "utf8")).state).toBe("DOWN");
    expect(readFileSync(join(spool, "rejected", answer ?? ""), "utf8")).toContain(
      "of a service, one of OK WARNING CRITICAL UNKNOWN",
    );
  });
});

describe("many notifications at once", () => {
  it("all arrive, once, though one process sends at a time", async () => {
    const numbers = Array.from({ length: 40 }, (_, n) => n);
    const endings = await Promise.all(
      numbers.map((n) => notify([...problem, "-S", `s${n}`, "-P", "1", "-i", String(n + 1)], ops)),
    );
    expect(endings.map(({ status }) => status)).toEqual(numbers.map(() => 0));
    await until("an empty spool", 30, () => waiting().length === 0);
    const services = (await taken()).map(({ alert }) => alert.object.service);
    expect(services.toSorted()).toEqual(numbers.map((n) => `s${n}`).toSorted());
    expect(readdirSync(spool)).toEqual([]);
  });

  it("are not held up by the lock of a process that was killed", async () => {
    await notify(problem, ops);
    symlinkSync("999999-9999999999", join(spool, "lock"));
    await notify(problem, ops);
    expect(await taken()).toHaveLength(2);
    expect(waiting()).toEqual([]);
  });

  it("are sent by one process at a time, though the lock changes hands while another looks at it", async () => {
    // The lock's holder ends, and this test takes the lock, between the look at the lock and what follows from it.
    const slow = join(folder, "slow");
    mkdirSync(slow);
    const [looked, go] = [join(folder, "looked"), join(folder, "go")];
    const wait = `touch ${looked}; while [ ! -e ${go} ]; do sleep 0.01; done`;
    writeFileSync(
      join(slow, "readlink"),
      `#!/bin/sh\n/usr/bin/readlink "$@" || exit\n[ -e ${looked} ] || { ${wait}; }\n`,
      { mode: 0o755 },
    );
    mkdirSync(spool, { mode: 0o700 });
    const lock = join(spool, "lock");
    symlinkSync("999999-9999999999", lock);
    const running = notify(problem, { ...ops, PATH: `${slow}:${environment.PATH}` });
    await until("its look at the lock", 5, () => existsSync(looked));
    rmSync(lock);
    const ours = `${process.pid}-9999999999`;
    symlinkSync(ours, lock);
    writeFileSync(go, "");
    expect((await running).status).toBe(0);
    expect(readlinkSync(lock)).toBe(ours);
    expect(requests).toBe(0);
    expect(waiting()).toHaveLength(1);
    // Only the next run can send it.
    rmSync(lock);
    expect((await notify(["--drain"])).status).toBe(0);
    expect(await taken()).toHaveLength(1);
    expect(readdirSync(spool)).toEqual([]);
  });

  it("are not delayed by a process that was killed while it replaced such a lock", async () => {
    mkdirSync(spool, { mode: 0o700 });
    symlinkSync("999999-9999999999", join(spool, "lock"));
    symlinkSync("999998-9999999999", join(spool, "lock.999999.9999999999"));
    await notify(problem, ops);
    expect(await taken()).toHaveLength(1);
    expect(readdirSync(spool)).toEqual([]);
  });

  it("are not delayed by a lock whose text makes no sense", async () => {
    mkdirSync(spool, { mode: 0o700 });
    symlinkSync("a/b", join(spool, "lock"));
    await notify(problem, ops);
    expect(await taken()).toHaveLength(1);
  });
});

/** Something between the shim and the bridge: answers what `say` writes. */
const between = async (say: (request: IncomingMessage, response: ServerResponse) => void) => {
  const portal = createServer(say);
  await new Promise<void>((done) => portal.listen(0, "127.0.0.1", done));
  configure(`http://127.0.0.1:${(portal.address() as AddressInfo).port}/v1/alerts`);
  return () => {
    portal.closeAllConnections();
    portal.close();
  };
};

describe("a token of the bridge's own site", () => {
  it("gets one 403 a run: the alert waits, the log says why, and it is sent with the right token", async () => {
    configure(`http://127.0.0.1:${port}/v1/alerts`, operatorToken);
    for (const asked of [1, 2]) {
      const { status, stderr } = await (asked === 1 ? notify(problem, ops) : notify(["--drain"]));
      expect(status).toBe(asked - 1);
      expect(stderr).toMatch(
        /"event":"trouble","error":"the bridge answers 403: .*belongs to the bridge's own site/,
      );
      expect(requests).toBe(asked);
      expect(waiting()).toHaveLength(1);
    }
    expect((await notify(["--heartbeat", "-m", "m1"])).stdout).toMatch(/CRITICAL .* the bridge answers 403/);
    configure(`http://127.0.0.1:${port}/v1/alerts`);
    expect((await notify(["--drain"])).status).toBe(0);
    expect(await taken()).toHaveLength(1);
  });
});

describe("an answer that is not the bridge's", () => {
  it.each<[string, number, string]>([
    ["a portal's page with status 202", 202, "<html>Please log in</html>"],
    ["an empty 202", 202, ""],
    ["half of a 202", 202, '{"alerts":[{"item":0,"id":"x","object":"web01/HTTP","con'],
    ["a 202 that names no alert", 202, '{"alerts":[]}'],
    ["a 200", 200, "ok"],
    ["a redirect", 302, ""],
    ["a proxy's 422", 422, "unprocessable"],
    ["a 429", 429, "slow down"],
  ])("deletes nothing: %s", async (_, status, body) => {
    const stop = await between((_request, response) => response.writeHead(status).end(body));
    const { status: exit, stderr } = await notify(problem, ops);
    stop();
    expect([exit, stderr]).toEqual([0, expect.stringContaining(String(status))]);
    expect(waiting()).toHaveLength(1);
    expect(existsSync(join(spool, "rejected"))).toBe(false);
  });

  it("that says too large of many at once makes it send fewer at once", async () => {
    await close();
    for (const id of ["1", "2", "3", "4", "5"]) await notify([...problem, "-P", "1", "-i", id], ops);
    await listen(port);
    let forwarded = 0;
    const stop = await between(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      if (body.length > 1500) return response.writeHead(413).end("too large");
      const answer = await fetch(`http://127.0.0.1:${port}/v1/alerts`, {
        method: "POST",
        body,
        headers: { "Content-Type": "application/x-ndjson", Authorization: `Bearer ${token}` },
      });
      forwarded += 1;
      return response.writeHead(answer.status).end(await answer.text());
    });
    expect((await notify(["--drain"])).status).toBe(0);
    stop();
    expect((await taken()).map(({ alert }) => alert.notification.id)).toEqual(["1", "2", "3", "4", "5"]);
    expect(forwarded).toBeGreaterThan(1);
    expect(existsSync(join(spool, "rejected"))).toBe(false);
  });
});

describe("a run that was killed", () => {
  const part = (pid: number, text: string) =>
    writeFileSync(join(spool, `.${pid}.0000001000-0000000001-adopted.json`), text);

  it("between writing and naming its alert has it taken up by the next drain", async () => {
    mkdirSync(spool, { mode: 0o700 });
    part(
      999_999,
      `${JSON.stringify(posted({ id: "adopted-1", recipients: [{ email: "ops@example.com" }] }))}\n`,
    );
    expect((await notify(["--drain"])).status).toBe(0);
    expect((await taken()).map(({ id }) => id)).toEqual(["adopted-1"]);
  });

  it("while it wrote leaves nothing that is sent", async () => {
    mkdirSync(spool, { mode: 0o700 });
    part(999_999, '{"v":1,"id":"cut-off-1"');
    expect((await notify(["--drain"])).status).toBe(0);
    expect(await taken()).toEqual([]);
    expect(readdirSync(spool)).toEqual([]);
  });

  it.each([
    ["an empty file", ""],
    ["an old one", "999999 1\n"],
  ])("does not leave a lock that jams the spool: %s", async (_, text) => {
    mkdirSync(spool, { mode: 0o700 });
    writeFileSync(join(spool, "lock"), text);
    await notify(problem, ops);
    expect(await taken()).toHaveLength(1);
  });

  it("by a power cut may leave zeros for an alert: those are rejected, and no other", async () => {
    await close();
    for (const id of ["2", "3"]) await notify([...problem, "-P", "1", "-i", id], ops);
    writeFileSync(join(spool, "0000000001-0000000001-zeros.json"), Buffer.alloc(900));
    await listen(port);
    expect((await notify(["--drain"])).status).toBe(0);
    expect((await taken()).map(({ alert }) => alert.notification.id)).toEqual(["2", "3"]);
    expect(readdirSync(join(spool, "rejected")).sort()).toEqual([
      "0000000001-0000000001-zeros.answer",
      "0000000001-0000000001-zeros.json",
    ]);
  });
});

describe.each(Object.entries(hosts))("the shim's lines, by %s", (host, { sh }) => {
  /** Runs the shim with a logger that keeps what it is given. */
  const by = async (...words: string[]) => {
    const log = join(folder, "syslog");
    writeFileSync(join(folder, "logger"), `#!/bin/sh\ncat >>${log}\n`, { mode: 0o755 });
    rmSync(log, { force: true });
    const env = { ...environment, ...ops, PATH: `${folder}:${join(programs, host)}:/usr/bin:/bin` };
    const { stderr } = await ended(run(sh[0] ?? "", [...sh.slice(1), "scripts/notify", ...words], { env }));
    expect(readFileSync(log, "utf8")).toBe(stderr);
    return stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  };
  const line = (event: string, more: Record<string, unknown> = {}) => ({
    at: expect.stringMatching(/^\d{4}-.*Z$/),
    event,
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    object: "web01/HTTP",
    contact: "ops",
    ...more,
  });
  const onHost = problem.filter((word) => word !== "-S" && word !== "HTTP").with(5, "DOWN");

  it("name object and contact of an alert that was sent, kept, sent later or lost", async () => {
    expect(await by(...problem)).toEqual([line("sent")]);
    expect(await by(...onHost)).toEqual([line("sent", { object: "web01" })]);
    await close();
    expect((await by(...problem)).slice(1)).toEqual([line("kept")]);
    chmodSync(spool, 0o755);
    const lost = await by(...problem);
    expect(lost.filter(({ event }) => event === "lost")).toEqual([line("lost")]);
    chmodSync(spool, 0o700);
    await listen(port);
    expect(await by("--drain")).toEqual([line("sent")]);
  });

  it("say once that others may read or change the settings file, and no alert waits for that", async () => {
    const conf = join(folder, "notify.conf");
    const trouble = (words: string) => ({
      at: expect.any(String),
      event: "trouble",
      error: `the settings file ${conf} ${words}`,
    });
    const open = trouble("has the mode -rw-r--r--, not 0600: others may read the token");
    const foreign = "to the user 12345, neither root nor root: that user may send alerts elsewhere";
    chmodSync(conf, 0o644);
    expect(await by(...problem)).toEqual([open, line("sent")]);
    expect(await by(...problem)).toEqual([line("sent")]);
    chownSync(conf, 12345, 0);
    expect(await by(...problem)).toEqual([
      trouble(`has the mode -rw-r--r--, not 0600: others may read the token, and it belongs ${foreign}`),
      line("sent"),
    ]);
    chmodSync(conf, 0o600);
    expect(await by(...problem)).toEqual([trouble(`belongs ${foreign}`), line("sent")]);
    expect(await by(...problem)).toEqual([line("sent")]);
    chownSync(conf, 0, 0);
    for (const mode of [0o400, 0o600]) {
      chmodSync(conf, mode);
      expect(await by(...problem)).toEqual([line("sent")]);
    }
    // The file was correct in between, so this is news.
    chmodSync(conf, 0o640);
    expect(await by("--drain")).toEqual([
      trouble("has the mode -rw-r-----, not 0600: others may read the token"),
    ]);
    chmodSync(conf, 0o600);
    await by(...problem);
    expect(await taken()).toHaveLength(8);
    expect(readdirSync(spool)).toEqual([]);
  });

  it("name the field that the bridge rejects", async () => {
    const error = expect.stringMatching(
      /^state must be .*one of OK WARNING CRITICAL UNKNOWN; it is in rejected/,
    );
    expect(await by(...problem.with(5, "DOWN"))).toEqual([line("rejected", { error })]);
  });

  it("are JSON whatever stands in a name", async () => {
    for (const name of ['say "hi"', "C:\\", '"', '\\"\\', "{}[],:", "Übrig\x1b[31m", "a\nb"]) {
      const [sent] = await by(...problem.with(7, name).with(9, name).with(11, name));
      expect(sent.event).toBe("sent");
    }
  });
});

describe.each(Object.entries(hosts))("an alert of which one mailbox is rejected, by %s", (host, { sh }) => {
  const by = (...words: string[]) => {
    const env = { ...environment, ...ops, PATH: `${join(programs, host)}:/usr/bin:/bin` };
    return ended(run(sh[0] ?? "", [...sh.slice(1), "scripts/notify", ...words], { env }));
  };
  const queued = (item: number) => ({
    item,
    id: `x.${item}`,
    object: "web01/HTTP",
    contact: "ops@example.com",
    status: "queued",
  });
  const refused = (item: number, contact: string) => ({
    item,
    id: `y.${item}`,
    object: "web01/HTTP",
    contact,
    status: "rejected",
    errors: [{ field: "recipients.0.email", expected: 'an address, as "ops@example.com"' }],
  });
  const answering = (...alerts: object[]) =>
    between((_request, response) => response.writeHead(202).end(`${JSON.stringify({ alerts })}\n`));

  it("is not sent again; the line names the mailbox, and a copy is kept in rejected/", async () => {
    const stop = await answering(queued(0), refused(0, 'pager"1'));
    const { status, stderr } = await by(...problem);
    stop();
    expect([status, JSON.parse(stderr)]).toEqual([
      0,
      {
        at: expect.any(String),
        event: "partly-rejected",
        id: expect.any(String),
        object: "web01/HTTP",
        contact: "ops",
        error:
          'pager"1: recipients.0.email must be an address, as "ops@example.com"; it is in rejected/ of the spool',
      },
    ]);
    expect(waiting()).toEqual([]);
    const [answer = "", alert = ""] = readdirSync(join(spool, "rejected")).toSorted();
    expect(JSON.parse(readFileSync(join(spool, "rejected", alert), "utf8")).object.host).toBe("web01");
    expect(readFileSync(join(spool, "rejected", answer), "utf8")).toContain('"contact":"pager\\"1"');
  });

  it("by the bridge itself is mailed to the other mailbox", async () => {
    const env = { ...environment, NAGIOS_CONTACTEMAIL: "ops@example.com,pager", NAGIOS_SERVICEOUTPUT: "" };
    const path = `${join(programs, host)}:/usr/bin:/bin`;
    const words = [...sh.slice(1), "scripts/notify", ...problem];
    const partly = await ended(run(sh[0] ?? "", words, { env: { ...env, PATH: path } }));
    expect([partly.status, JSON.parse(partly.stderr)]).toMatchObject([
      0,
      { event: "partly-rejected", error: expect.stringMatching(/^pager: recipients\.0\.email must be /) },
    ]);
    expect((await taken()).map(({ contact }) => contact)).toEqual(["ops@example.com"]);
    expect([waiting(), readdirSync(join(spool, "rejected")).length]).toEqual([[], 2]);
  });

  it("does not touch the others of its batch", async () => {
    await close();
    for (const id of ["1", "2", "3"]) await by(...problem, "-P", "1", "-i", id);
    const alerts = [queued(0), refused(1, "one"), queued(1), refused(1, "two"), refused(2, "three")];
    const stop = await answering(...alerts);
    const { status, stderr } = await by("--drain");
    stop();
    await listen(port);
    expect([status, waiting()]).toEqual([0, []]);
    const lines = stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ event, error }) => [event, error?.replaceAll(/ must be .*?(;|$)/g, "$1")])).toEqual([
      [
        "partly-rejected",
        "one: recipients.0.email; two: recipients.0.email; it is in rejected/ of the spool",
      ],
      ["rejected", "three: recipients.0.email; it is in rejected/ of the spool"],
      ["sent", undefined],
    ]);
    const [answer = ""] = readdirSync(join(spool, "rejected")).toSorted();
    const beside = readFileSync(join(spool, "rejected", answer), "utf8");
    expect(beside.match(/"item":\d/g)).toEqual(['"item":1', '"item":1', '"item":1']);
  });

  it("is sent, though the copy cannot be kept", async () => {
    mkdirSync(spool, { mode: 0o700 });
    writeFileSync(join(spool, "rejected"), "in the way");
    const stop = await answering(queued(0), refused(0, "pager"));
    await by(...problem);
    stop();
    expect(waiting()).toEqual([]);
  });

  it("of a 202 that is cut off is sent again", async () => {
    const text = JSON.stringify({ alerts: [queued(0), refused(0, "pager")] });
    const stop = await between((_request, response) => response.writeHead(202).end(text.slice(0, -9)));
    await by(...problem);
    stop();
    expect(waiting()).toHaveLength(1);
  });
});

describe.each(Object.entries(hosts))("the folder rejected/, by %s", (host, { sh }) => {
  const drain = () => {
    const env = { ...environment, PATH: `${join(programs, host)}:/usr/bin:/bin` };
    return ended(run(sh[0] ?? "", [...sh.slice(1), "scripts/notify", "--drain"], { env }));
  };
  const put = (name: string, daysAgo = 0) => {
    mkdirSync(join(spool, "rejected"), { recursive: true, mode: 0o700 });
    const path = join(spool, "rejected", name);
    writeFileSync(path, "{}\n");
    const at = Date.now() / 1000 - daysAgo * 86_400;
    utimesSync(path, at, at);
  };
  const kept = () => readdirSync(join(spool, "rejected")).toSorted();

  it("is removed after a week", async () => {
    for (const days of [0, 6, 8]) for (const end of ["answer", "json"]) put(`1-1-${days}.${end}`, days);
    expect((await drain()).status).toBe(0);
    expect(kept()).toEqual(["1-1-0.answer", "1-1-0.json", "1-1-6.answer", "1-1-6.json"]);
  });

  it("is a thousand alerts at most: the oldest make room", async () => {
    const name = (n: number) => `0000000001-${String(n).padStart(10, "0")}-x`;
    for (let n = 0; n < 1003; n++) for (const end of ["answer", "json"]) put(`${name(n)}.${end}`);
    await drain();
    expect(kept()).toHaveLength(2000);
    expect(kept()[0]).toBe(`${name(3)}.answer`);
  });

  it("leaves no answer behind when the alert is put back by hand", async () => {
    put("1-1-a.answer");
    put("1-1-b.answer");
    put("1-1-b.json");
    await drain();
    expect(kept()).toEqual(["1-1-b.answer", "1-1-b.json"]);
  });

  it("is as old as its rejection, not as its alert", async () => {
    await close();
    mkdirSync(spool, { mode: 0o700 });
    const path = join(spool, "0000000001-0000000001-old.json");
    writeFileSync(path, "no alert\n");
    utimesSync(path, 1000, 1000);
    await listen(port);
    await drain();
    expect(kept()).toEqual(["0000000001-0000000001-old.answer", "0000000001-0000000001-old.json"]);
  });
});

describe("the spool", () => {
  it("that others may write to is refused, and the alert is sent all the same", async () => {
    mkdirSync(spool);
    chmodSync(spool, 0o777);
    const { status, stderr } = await notify(problem, ops);
    expect([status, stderr]).toEqual([0, expect.stringContaining("must have mode 0700")]);
    expect(await taken()).toHaveLength(1);
  });

  it("that cannot keep what the bridge rejects keeps the alert itself", async () => {
    mkdirSync(spool, { mode: 0o700 });
    writeFileSync(join(spool, "rejected"), "in the way");
    await notify([...problem, "-s", "DOWN"], ops);
    expect(waiting()).toHaveLength(1);
  });

  it("that is a link is refused", async () => {
    mkdirSync(join(folder, "elsewhere"), { mode: 0o700 });
    symlinkSync(join(folder, "elsewhere"), spool);
    expect((await notify(problem, ops)).stderr).toContain("is not a folder of this user");
    expect(readdirSync(join(folder, "elsewhere"))).toEqual([]);
  });

  it.each(Object.keys(hosts))(
    "that is full leaves the alert to be sent at once; if that fails too, the shim says that it is lost: %s",
    async (host) => {
      environment.PATH = `${join(programs, host)}:/usr/bin:/bin`;
      mkdirSync(spool, { mode: 0o700 });
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=4k,mode=700", "tmpfs", spool]);
      try {
        expect((await notify(problem, { ...ops, NAGIOS_LONGSERVICEOUTPUT: "x".repeat(20_000) })).status).toBe(
          0,
        );
        expect(await taken()).toHaveLength(1);
        expect(readdirSync(spool)).toEqual([]);
        await close();
        const lost = await notify(problem, { ...ops, NAGIOS_LONGSERVICEOUTPUT: "x".repeat(20_000) });
        expect([lost.status, lost.stderr]).toEqual([1, expect.stringContaining("this alert is lost")]);
        expect(lost.stderr).toMatch(/"event":"lost","id":"[0-9a-f-]{36}"/);
        await listen(port);
      } finally {
        execFileSync("umount", [spool]);
      }
    },
  );

  const spooled = (n: number) => {
    const alert = { id: `spooled-${n}`, recipients: [{ email: "ops@example.com" }] };
    return `${JSON.stringify(posted(alert))}\n`;
  };

  it("sends no file whose name is none of its own, and runs nothing for it", async () => {
    mkdirSync(spool, { mode: 0o700 });
    const names = [
      "0 1.json",
      "0$(touch OWNED).json",
      "0`touch OWNED`.json",
      "0;touch OWNED.json",
      "-0.json",
    ];
    for (const name of [...names, "0\n1.json", "0*.json", "0..-x-@y.json"])
      writeFileSync(join(spool, name), spooled(1));
    writeFileSync(join(spool, "0000000002-0000000002-x.json"), spooled(2));
    const { stderr } = await ended(
      run(resolve("scripts/notify"), ["--drain"], { env: environment, cwd: folder }),
    );
    expect((await taken()).map(({ id }) => id)).toEqual(["spooled-2"]);
    expect(stderr).not.toContain("rejected");
    for (const where of [folder, spool]) expect(readdirSync(where)).not.toContain("OWNED");
    expect(readdirSync(spool)).toHaveLength(names.length + 3);
  });

  it.each(["busybox for all"])(
    "with 20,000 alerts in it is sent oldest first, and the shim ends in its time: %s",
    async (host) => {
      mkdirSync(spool, { mode: 0o700 });
      for (let n = 0; n < 20_000; n++)
        writeFileSync(join(spool, `0000001000-${String(n).padStart(10, "0")}-${n}.json`), spooled(n));
      const [shell = "", ...words] = hosts[host]?.sh ?? [];
      const env = { ...environment, PATH: `${join(programs, host)}:/usr/bin:/bin` };
      const began = performance.now();
      await ended(run(shell, [...words, "scripts/notify", "--drain"], { env, maxBuffer: 10_000_000 }));
      expect(performance.now() - began).toBeLessThan(15_000);
      const ids = (await taken()).map(({ id }) => id);
      expect(ids.length).toBeGreaterThanOrEqual(100);
      expect(ids).toEqual(ids.map((_, n) => `spooled-${n}`));
      expect(waiting()).toHaveLength(20_000 - ids.length);
    },
  );

  it("sends no link and no empty file that stands in it", async () => {
    await notify(problem, ops);
    writeFileSync(join(folder, "secret"), "not for the bridge\n");
    symlinkSync(join(folder, "secret"), join(spool, "0000000001-0000000001-a.json"));
    writeFileSync(join(spool, "0000000002-0000000001-b.json"), "");
    await notify(problem, ops);
    expect(await taken()).toHaveLength(2);
    expect(readdirSync(join(spool, "rejected")).sort()[0]).toContain("0000000002");
  });
});

describe("the command line of the shipped definitions, expanded by a shell", () => {
  const hostile = [
    "$(touch OWNED)",
    "`touch OWNED`",
    "; touch OWNED;",
    '"; touch OWNED; "',
    "-o/tmp/x",
    "%s%n",
    "\\c",
    "\\\\n",
    "ends with \\",
    "a\nb",
    "$HOSTNAME$",
    "@/etc/passwd",
  ];
  it.each(["nagios", "nagios-without-environment", "naemon"])(
    "runs nothing that a plugin or a person wrote: %s.cfg",
    async (file) => {
      const line =
        /service\n *command_line +(.*)/.exec(readFileSync(`scripts/monitors/${file}.cfg`, "utf8"))?.[1] ?? "";
      for (const text of hostile) {
        const values: Record<string, string> = {
          NOTIFICATIONTYPE: "PROBLEM",
          HOSTNAME: "web01",
          SERVICEDESC: "HTTP",
          CONTACTNAME: "ops",
          SERVICESTATE: "CRITICAL",
          CONTACTEMAIL: "ops@example.com",
          TIMET: "1795366380",
          // The part of an output that Nagios leaves on a command line, with its shipped illegal_macro_output_chars.
          SERVICEOUTPUT: text.replace(/[`~$&|'"<>\p{Cc}]/gu, ""),
        };
        const expanded = line
          .replace("/usr/local/bin/notify", resolve("scripts/notify"))
          .replace(/\$(\w+)\$/g, (_, name: string) => values[name] ?? "");
        const { status } = await ended(
          run("sh", ["-c", expanded], {
            cwd: folder,
            env: {
              ...environment,
              ...(file === "nagios" && {
                ...ops,
                NAGIOS_SERVICEOUTPUT: text,
                NAGIOS_NOTIFICATIONCOMMENT: text,
                NAGIOS_NOTIFICATIONAUTHOR: text,
              }),
            },
          }),
        );
        expect(status).toBe(0);
        const [queued] = await taken();
        if (file === "nagios") expect(queued?.alert.comment).toBe(text);
        else expect(queued?.alert.output).toBe(values.SERVICEOUTPUT);
      }
      expect(existsSync(join(folder, "OWNED"))).toBe(false);
    },
  );
});

describe("notify --test", () => {
  it("says that all is well", async () => {
    mkdirSync(spool, { mode: 0o700 });
    const { status, stdout } = await notify(["--test"]);
    expect([status, stdout]).toEqual([
      0,
      expect.stringContaining("ok       the bridge answers and knows the token"),
    ]);
    expect(await taken()).toEqual([]);
  });

  it.each<[string, () => void, string]>([
    [
      "a settings file that others can read",
      () => chmodSync(join(folder, "notify.conf"), 0o644),
      "is readable and has mode 0600",
    ],
    [
      "a settings file of another user",
      () => chownSync(join(folder, "notify.conf"), 12345, 0),
      "has mode 0600: it belongs to the user 12345, neither root nor root: that user may send alerts elsewhere",
    ],
    ["no settings file", () => rmSync(join(folder, "notify.conf")), "is readable and has mode 0600"],
    [
      "a wrong token",
      () => configure(`http://127.0.0.1:${port}/v1/alerts`, "x".repeat(32)),
      "does not know the token",
    ],
    [
      "a token of the operators' site",
      () => configure(`http://127.0.0.1:${port}/v1/alerts`, operatorToken),
      "the token belongs to the site operator",
    ],
    ["a wrong path", () => configure(`http://127.0.0.1:${port}/healthz`), "is the url right?"],
    ["a bridge that is away", () => configure("http://127.0.0.1:1/v1/alerts"), "Failed to connect"],
    ["no spool", () => rmSync(spool, { recursive: true }), "is a folder of"],
  ])("names %s", async (_, breakIt, words) => {
    mkdirSync(spool, { mode: 0o700 });
    breakIt();
    const { status, stdout } = await notify(["--test"]);
    expect(status).toBe(1);
    expect(
      stdout
        .split("\n")
        .filter((line) => line.startsWith("NOT OK"))
        .join("\n"),
    ).toContain(words);
    expect(stdout).not.toContain(token);
  });

  const shipped = `illegal_object_name_chars=\`~!$%^&*|'"<>?,()=\nillegal_macro_output_chars=\`~$&|'"<>\n`;
  it.each<[string, string | undefined, string[]]>([
    ["as shipped", shipped, []],
    ["with spaces, and set twice", ` illegal_macro_output_chars = x\n${shipped}`, []],
    ["that lets all outputs through", shipped.replace(/illegal_macro.*/, ""), ["illegal_macro_output_chars"]],
    [
      "that lets quotes through",
      shipped.replaceAll("'", ""),
      ["illegal_object_name_chars", "illegal_macro_output_chars"],
    ],
    ["that takes it back", `${shipped}illegal_object_name_chars=x\n`, ["illegal_object_name_chars"]],
    [
      "that comments it out",
      shipped.replaceAll("illegal", "#illegal"),
      ["illegal_object_name_chars", "illegal_macro_output_chars"],
    ],
    ["that is not there", undefined, ["can be read by"]],
  ])("looks at a monitor's settings %s", async (_, settings, wrong) => {
    mkdirSync(spool, { mode: 0o700 });
    const file = join(folder, "nagios.cfg");
    if (settings !== undefined) writeFileSync(file, settings);
    const { status, stdout } = await notify(["--test", file]);
    expect(status).toBe(wrong.length > 0 ? 1 : 0);
    const found = stdout.split("\n").filter((line) => line.startsWith("NOT OK"));
    expect(found).toEqual(wrong.map((word) => expect.stringContaining(word)));
    for (const line of found) expect(line).toContain(file);
  });
});

describe.each(Object.entries(hosts))("notify --test with the monitor's objects, by %s", (host, { sh }) => {
  const test = (...words: string[]) => {
    const env = { ...environment, PATH: `${join(programs, host)}:/usr/bin:/bin` };
    return ended(
      run(sh[0] ?? "", [...sh.slice(1), resolve("scripts/notify"), "--test", ...words], { env, cwd: folder }),
    );
  };
  const quotes = `illegal_object_name_chars='\nillegal_macro_output_chars='\n`;
  const contact = (name: string, ...more: string[]) =>
    `define contact{\n\tcontact_name\t${name} ; who is told\n  use notified\n  ${more.join("\n  ")}\n}\n`;
  const template = `define contact {
  name notified
  register 0
  service_notification_commands hardstate-notify-service
  host_notification_commands hardstate-notify-host
}
`;
  /** Writes nagios.cfg, or another main file, with its objects. */
  const monitor = (settings: string, definitions: string, objects: string, main = "nagios.cfg") => {
    mkdirSync(spool, { mode: 0o700, recursive: true });
    mkdirSync(join(folder, "conf.d/deeper"), { recursive: true });
    writeFileSync(join(folder, "commands.cfg"), readFileSync(`scripts/monitors/${definitions}`));
    writeFileSync(join(folder, "conf.d/deeper/contacts.cfg"), template + objects);
    const text = `${quotes}${settings}\ncfg_file=commands.cfg\ncfg_dir = ${join(folder, "conf.d")} \n`;
    writeFileSync(join(folder, main), text);
    return main;
  };
  const ops = contact("ops", "email ops@example.com");
  const wrong = ({ stdout }: Ended) =>
    stdout
      .split("\n")
      .filter((line) => line.startsWith("NOT OK"))
      .map((line) => line.slice(9));

  it.each([
    ["enable_environment_macros=1", "nagios.cfg"],
    ["enable_environment_macros=0\n enable_environment_macros = 1", "nagios.cfg"],
    ["enable_environment_macros=1", "nagios-without-environment.cfg"],
    ["enable_environment_macros=0", "nagios-without-environment.cfg"],
    ["", "nagios-without-environment.cfg"],
  ])("is good with %j and %s", async (settings, definitions) => {
    const told = await test(monitor(settings, definitions, ops));
    expect([told.status, wrong(told)]).toEqual([0, []]);
    expect(told.stdout).toContain(`contacts of ${folder}/nagios.cfg for which the bridge takes alerts: 1\n`);
  });

  it.each(["enable_environment_macros=0", "", "#enable_environment_macros=1"])(
    "names the trap of %j with the commands for environment macros, and the file that fits",
    async (settings) => {
      const told = await test(monitor(settings, "nagios.cfg", ops));
      expect(told.status).toBe(1);
      expect(wrong(told)).toEqual(
        ["host", "service"].map((kind) =>
          expect.stringMatching(
            new RegExp(
              `the command hardstate-notify-${kind} needs environment macros, but enable_environment_macros=0: .*Take the commands of scripts/monitors/nagios-without-environment\\.cfg, or set enable_environment_macros=1$`,
            ),
          ),
        ),
      );
    },
  );

  it("knows that Naemon has none, whatever it is set to", async () => {
    const trap = await test(monitor("enable_environment_macros=1", "nagios.cfg", ops, "naemon.cfg"));
    expect(wrong(trap)).toHaveLength(2);
    expect(wrong(trap)[0]).toMatch(/Naemon has no environment macros.*scripts\/monitors\/naemon\.cfg$/);
    expect((await test(monitor("", "naemon.cfg", ops, "naemon.cfg"))).status).toBe(0);
  });

  it("says which file fits while there is no command yet", async () => {
    const none = "no command of notify yet: take those of scripts/monitors";
    expect((await test(monitor("", "check_hardstate.cfg", ""))).stdout).toContain(
      `${none}/nagios-without-environment.cfg`,
    );
    const { status, stdout } = await test(monitor("enable_environment_macros=1", "check_hardstate.cfg", ""));
    expect([status, stdout]).toEqual([0, expect.stringContaining(`${none}/nagios.cfg`)]);
  });

  it("names each contact whose alerts the bridge would reject, and why; none is mailed", async () => {
    const objects = [
      ops,
      contact("night shift", "email ops@exampel.com"),
      contact("no address"),
      contact("unset", "email null"),
      contact("two", "email ops@example.com,nobody@elsewhere.org"),
      contact(
        "silent",
        "email x@elsewhere.org",
        "service_notification_commands null",
        "host_notification_commands mail",
      ),
      contact("never", "email x@elsewhere.org", "register 0"),
      contact("more", "email dba@example.com", "service_notification_commands +mail!x"),
      "define contact {\n  contact_name other\n  email x@elsewhere.org\n  service_notification_commands mail\n}\n",
      contact("continued", "email ops@\\\nexample.com"),
    ];
    const told = await test(monitor("", "nagios-without-environment.cfg", objects.join("")));
    const domain = expect.stringMatching(
      /^the bridge would reject alerts for the contact night shift: recipients\.0\.email must be /,
    );
    expect([told.status, wrong(told)]).toEqual([
      1,
      [
        domain,
        expect.stringMatching(/contact no address: recipients\.0\.email must be .*alias/),
        expect.stringMatching(/contact unset: recipients\.0\.email must be .*alias/),
        expect.stringMatching(/contact two: recipients\.0\.email must be /),
      ],
    ]);
    expect(told.stdout).toContain("for which the bridge takes alerts: 3\n");
    expect(await taken()).toEqual([]);
  });

  it("asks of 250 contacts a hundred at a time, as a probe", async () => {
    const headers: (string | undefined)[] = [];
    server.on("request", (request) => headers.push(request.headers["x-hardstate-probe"] as string));
    const many = Array.from({ length: 250 }, (_, n) =>
      contact(`c${n}`, `email c${n}@${n === 222 ? "elsewhere.org" : "example.com"}`),
    );
    const told = await test(monitor("", "nagios-without-environment.cfg", many.join("")));
    expect(wrong(told)).toEqual([expect.stringContaining("the contact c222: ")]);
    expect(told.stdout).toContain("for which the bridge takes alerts: 249\n");
    expect(headers).toEqual(["1", "1", "1", "1"]);
  });

  it("names a monitor's name that the bridge does not take, and an object file that is not there", async () => {
    const main = monitor("cfg_file=/nonexistent.cfg", "nagios-without-environment.cfg", ops);
    const commands = readFileSync(join(folder, "commands.cfg"), "utf8");
    writeFileSync(join(folder, "commands.cfg"), commands.replaceAll("-m monitor1", "-m 'münchen!'"));
    expect(wrong(await test(main))).toEqual([
      expect.stringContaining("can read /nonexistent.cfg, which"),
      expect.stringMatching(/the contact ops: monitor\.id must be /),
    ]);
  });

  it("runs nothing that stands in a contact, and sends it as it is", async () => {
    const hostile = ["$(touch OWNED)", "`touch OWNED`", "; touch OWNED", 'a"b', "a\\b", "%s%n", "-o/tmp/x"];
    const objects = hostile.map((text) => contact(text.replace(";", ""), `email ${text.replace(";", "")}`));
    expect(wrong(await test(monitor("", "nagios-without-environment.cfg", objects.join(""))))).toEqual(
      hostile.map((text) =>
        expect.stringContaining(`the contact ${text.replace("; ", "")}: recipients.0.email must be`),
      ),
    );
    expect(existsSync(join(folder, "OWNED"))).toBe(false);
  });
});

describe("notify --test with a spool", () => {
  it("in which alerts wait for long is NOT OK", async () => {
    await close();
    await notify(problem, ops);
    const path = join(spool, waiting()[0] ?? "");
    expect((await notify(["--test"])).stdout).toContain("1 wait in the spool, 0 were rejected");
    await listen(port);
    expect((await notify(["--test"])).status).toBe(0);
    const at = Date.now() / 1000 - 400;
    utimesSync(path, at, at);
    const { status, stdout } = await notify(["--test"]);
    expect([status, stdout]).toEqual([
      1,
      expect.stringMatching(/NOT OK +for more than 5 minutes .*: 1; notify --drain says why/),
    ]);
  });

  it("in which alerts of the last day were rejected is NOT OK, and says of which and why", async () => {
    await close();
    for (const id of ["1", "2"])
      await notify([...problem.with(5, id === "1" ? "CRITICAL" : "DOWN"), "-P", "1", "-i", id], ops);
    await listen(port);
    await notify(["--drain"]);
    const { status, stdout } = await notify(["--test"]);
    expect([status, stdout]).toEqual([
      1,
      expect.stringMatching(
        /NOT OK +the bridge rejected alerts in the last 24 hours.*\n +web01\/HTTP for ops: state must be .*CRITICAL UNKNOWN\n/,
      ),
    ]);
    const [, alert = ""] = readdirSync(join(spool, "rejected")).toSorted();
    const at = Date.now() / 1000 - 90_000;
    utimesSync(join(spool, "rejected", alert), at, at);
    expect(await notify(["--test"])).toMatchObject({
      status: 0,
      stdout: expect.stringContaining(", 1 were rejected"),
    });
  });
});

describe("notify --heartbeat", () => {
  const beat = async (shell: string, ...words: string[]) => {
    const path = `${join(programs, shell)}:/usr/bin:/bin`;
    const [program = "", ...before] = hosts[shell]?.sh ?? [];
    try {
      const { stdout } = await run(program, [...before, "scripts/notify", "--heartbeat", ...words], {
        env: { ...environment, PATH: path },
      });
      return [0, stdout];
    } catch (error) {
      const { code, stdout } = error as { code: number; stdout: string };
      return [code, stdout];
    }
  };

  it.each(Object.keys(hosts))("tells the bridge that a monitor lives, by %s", async (shell) => {
    expect(await beat(shell, "-m", "monitor1")).toEqual([0, "OK - the bridge knows that monitor1 lives\n"]);
    const response = await fetch(`http://127.0.0.1:${port}/v1/status`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    expect(await response.json()).toMatchObject({
      heartbeats: [{ monitor: "monitor1", last: 100_000_000, silent: false }],
    });
  });

  it("is CRITICAL without a bridge, with another token, and without settings", async () => {
    configure(`http://127.0.0.1:${port}/v1/alerts`, "x".repeat(32));
    const refused = await beat("dash and mawk", "-m", "monitor1");
    expect(refused).toEqual([2, expect.stringMatching(/^CRITICAL - no heartbeat: the bridge answers 401\n/)]);
    await close();
    const absent = await beat("dash and mawk", "-m", "monitor1");
    expect(absent).toEqual([
      2,
      expect.stringMatching(/^CRITICAL - no heartbeat: the bridge answers nothing\n/),
    ]);
    await listen(port);
    configure("http://127.0.0.1/elsewhere");
    expect(await beat("dash and mawk", "-m", "monitor1")).toEqual([2, expect.stringMatching(/no url/)]);
  });

  it.each(Object.keys(hosts))("is CRITICAL when what answers 200 is no bridge, by %s", async (shell) => {
    const portal = createServer((_, response) => response.end("<b>\x1b[31mlog in | x=1 \xff\0</b>"));
    await new Promise<void>((done) => portal.listen(0, "127.0.0.1", done));
    try {
      configure(`http://127.0.0.1:${(portal.address() as AddressInfo).port}/v1/alerts`);
      const [code, stdout] = await beat(shell, "-m", "monitor1");
      expect([code, stdout]).toEqual([
        2,
        expect.stringMatching(/^CRITICAL - no heartbeat: what answers 200 is not the bridge\n/),
      ]);
      expect(stdout).toMatch(/^[\x20-\x7b\x7d\x7e\n]*$/);
    } finally {
      await new Promise((done) => portal.close(done));
    }
  });

  it.each([[], ["-m"], ["-m", "a b"], ["monitor1"]])("needs -m and a name: %s", async (...words) => {
    expect(await beat("dash and mawk", ...(words as string[]))).toEqual([2, ""]);
  });
});

describe("each option of the shim", () => {
  const words =
    "-k naemon -m mon.1 -t PROBLEM -H db01 -S Disk -s WARNING -y SOFT -b CRITICAL -a 2 -A 5 -v 1 -i 77 -n 3 -p 41 -l 40 -E 1795366000 -T 1795366380 -P 1795360000 -e 1 -c dba";
  it("is in the alert", async () => {
    await notify(words.split(" "), ops);
    const [queued] = await taken();
    expect(queued?.contactName).toBe("dba");
    expect(queued?.alert).toMatchObject({
      source: "naemon",
      monitor: { id: "mon.1", start: 1_795_360_000 },
      type: "PROBLEM",
      object: { host: "db01", service: "Disk" },
      state: "WARNING",
      state_type: "SOFT",
      prev_state: "CRITICAL",
      attempt: 2,
      max_attempts: 5,
      problem: { id: "41", last_id: "40", epoch: 1_795_366_000 },
      notification: { id: "77", number: 3, escalated: true, volatile: true },
      time: 1_795_366_380,
    });
  });

  it.each(["", "$TIMET$", "soon", "9".repeat(20)])(
    "that says no time, %j, has the alert say now",
    async (time) => {
      await notify([...problem, "-T", time], ops);
      const [queued] = await taken();
      expect(Math.abs((queued?.alert.time ?? 0) - Date.now() / 1000)).toBeLessThan(10);
    },
  );

  it("that Nagios left as a macro's name is as if it was empty", async () => {
    await notify(
      [...problem.with(5, "DOWN"), "-S", "$SERVICEDESC$", "-p", "$", "-b", "$LASTHOSTSTATE$"],
      ops,
    );
    const [queued] = await taken();
    expect(queued?.alert).toMatchObject({ object: { host: "web01", service: null }, state: "DOWN" });
    expect([queued?.alert.problem.id, queued?.alert.prev_state]).toEqual([undefined, undefined]);
  });
});

describe("the rare ways of the shim", () => {
  it.each(Object.keys(hosts))(
    "custom variables that do not fit are left out, and the alert says that it is cut: %s",
    async (host) => {
      environment.PATH = `${join(programs, host)}:/usr/bin:/bin`;
      const custom = Object.fromEntries(
        Array.from({ length: 12 }, (_, n) => [`NAGIOS__HOSTV${n}`, "x".repeat(900)]),
      );
      await notify(problem, { ...ops, ...custom });
      const [queued] = await taken();
      expect(Object.keys(queued?.alert.custom ?? {})).toHaveLength(8);
      expect(queued?.alert.truncated).toBe(true);
    },
  );

  it("alerts that are too large for one post go in several, in order", async () => {
    await close();
    const large = { ...ops, NAGIOS_LONGSERVICEOUTPUT: "x".repeat(65_000) };
    for (const id of ["1", "2", "3", "4", "5"]) await notify([...problem, "-P", "1", "-i", id], large);
    await listen(port);
    expect((await notify(["--drain"])).status).toBe(0);
    expect((await taken()).map(({ alert }) => alert.notification.id)).toEqual(["1", "2", "3", "4", "5"]);
    expect(requests).toBe(2);
  });

  it("a single alert that is too large for a proxy is put aside, and the next is sent", async () => {
    await close();
    for (const id of ["1", "2"])
      await notify([...problem, "-P", "1", "-i", id], {
        ...ops,
        NAGIOS_LONGSERVICEOUTPUT: "x".repeat(id === "1" ? 3000 : 10),
      });
    await listen(port);
    const stop = await between(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      if (body.length > 2000) return response.writeHead(413).end("too large");
      const answer = await fetch(`http://127.0.0.1:${port}/v1/alerts`, {
        method: "POST",
        body,
        headers: { "Content-Type": "application/x-ndjson", Authorization: `Bearer ${token}` },
      });
      return response.writeHead(answer.status).end(await answer.text());
    });
    const { stderr } = await notify(["--drain"]);
    stop();
    expect(stderr).toContain('"event":"rejected"');
    expect(stderr).toContain('"contact":"ops","error":"the bridge answers 413, too large');
    expect((await taken()).map(({ alert }) => alert.notification.id)).toEqual(["2"]);
    expect(readdirSync(join(spool, "rejected"))).toHaveLength(2);
  });

  it("a clock that is set back while it runs does not let it wait for longer than 8 s", async () => {
    await close();
    for (const id of ["1", "2"]) await notify([...problem, "-P", "1", "-i", id], ops);
    // The first look is ahead by an hour, and all others are right.
    writeFileSync(
      join(folder, "date"),
      `#!/bin/sh\n[ -e ${folder}/looked ] && exec /usr/bin/date "$@"\n: >${folder}/looked\nexec /usr/bin/date -d '1 hour' "$@"\n`,
      { mode: 0o755 },
    );
    await listen(port);
    // The first answer makes it look at the clock again; the second does not come.
    let posts = 0;
    const stop = await between((_request, response) => {
      posts += 1;
      if (posts === 1) response.writeHead(413).end();
    });
    const began = performance.now();
    await ended(
      run("scripts/notify", ["--drain"], { env: { ...environment, PATH: `${folder}:/usr/bin:/bin` } }),
    );
    stop();
    expect(posts).toBe(2);
    expect(performance.now() - began).toBeLessThan(12_000);
  }, 30_000);

  it("without /proc it takes its id from /dev/urandom", async () => {
    const script = `mount -t tmpfs tmpfs /proc && exec scripts/notify ${problem.join(" ")}`;
    await run("unshare", ["-m", "sh", "-c", script], { env: { ...environment, ...ops } });
    const [queued] = await taken();
    expect(queued?.id).toMatch(/^[0-9a-f]{32}$/);
  });

  it("each post says when it was sent, in any locale", async () => {
    const dates: (string | undefined)[] = [];
    server.on("request", (request) => dates.push(request.headers.date));
    await notify(problem, { ...ops, LC_ALL: "de_DE.UTF-8", TZ: "Asia/Tokyo" });
    expect(dates).toHaveLength(1);
    expect(Math.abs(Date.parse(dates[0] ?? "") - Date.now())).toBeLessThan(10_000);
  });

  it("each post and heartbeat names its monitor, as far as it is one", async () => {
    const headers: (string | undefined)[] = [];
    server.on("request", (request) => headers.push(request.headers["x-hardstate-monitor"] as string));
    await notify(problem, ops);
    await notify([...problem, "-m", "no monitor\r\nX: y"], ops);
    await notify(["--heartbeat", "-m", "mon.2"]);
    expect(headers).toEqual(["monitor1", undefined, "mon.2"]);
  });
});

describe("wrong use", () => {
  it.each([
    [[], "no option is given"],
    [["-Z"], "there is no option -Z"],
    [["--help", "me"], undefined],
    [["web01"], "there is no option web01"],
    [["--drain", "now"], "--drain takes no more words"],
    [["--test", "a", "b"], "--test takes one file"],
    [["--heartbeat"], "--heartbeat needs -m MONITOR"],
    [["-m", "mon1", "-Z", "x"], "there is no option -Z"],
    [["-m", "mon1", "-t"], "-t, or it needs a value"],
    [["-m", "mon1", "more"], "more belongs to no option"],
  ])("of the shim is told, and how to use it: %j", async (words, said) => {
    const { status, stdout, stderr } = await notify(words);
    expect(status).toBe(said === undefined ? 0 : 2);
    expect(said === undefined ? stdout : stderr).toContain("usage: notify -m MONITOR");
    if (said !== undefined) expect(stderr).toContain(said);
    expect(
      `${stdout}${stderr}`.split("\n").filter((line) => line.length > 80 && !line.startsWith("{")),
    ).toEqual([]);
  });

  it("in a monitor's command is told to syslog too, for the alert is lost", async () => {
    const { stderr } = await notify([...problem, "-Z"], ops);
    expect(JSON.parse(stderr.split("\n")[0] ?? "")).toMatchObject({
      event: "trouble",
      error: expect.stringContaining("this alert is lost, the command is wrong"),
    });
  });
});

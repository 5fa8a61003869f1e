import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { posted } from "../world/alerts.ts";
import {
  type Bridge,
  type BridgeSettings,
  bridgeSettings,
  type Lab,
  mailsIn,
  openLab,
  type Relay,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";

const run = promisify(execFile);

describe("a mail that a real Postfix takes and cannot deliver", () => {
  let lab: Lab;
  let relay: Relay;
  let settings: BridgeSettings;
  let bridge: Bridge;
  const file = (name: string, text: string, mode = 0o755) => {
    const path = join(lab.folder, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };
  const postfix = (program: string, ...words: string[]) =>
    run(program, ["-c", join(lab.folder, "relay/etc"), ...words]);
  const operator = { Authorization: `Bearer ${"o".repeat(32)}` };
  const ask = async (path: string) =>
    (await fetch(bridge.url + path, {
      headers: { Authorization: `Bearer ${settings.token}` },
    })) as Response;
  const send = async (id: string, contact: string) => {
    const alert = posted({
      id,
      object: { host: id, service: null },
      state: "DOWN",
      recipients: [{ email: contact }],
    });
    const response = await fetch(`${bridge.url}/v1/alerts`, {
      method: "POST",
      body: JSON.stringify(alert),
      headers: { Authorization: `Bearer ${settings.token}`, "Content-Type": "application/json" },
    });
    expect(response.status).toBe(202);
  };
  const storyOf = async (id: string) =>
    (await (await ask(`/v1/alerts/${id}`)).json()) as {
      status: string;
      story: string[];
      returned?: unknown[];
    };

  beforeAll(async () => {
    lab = openLab();
    relay = await startRelay(lab);
    copyFileSync("scripts/returned", join(lab.folder, "returned"));
    chmodSync(join(lab.folder, "returned"), 0o755);
    settings = bridgeSettings(lab, relay, 18_911);
    settings.environment.HARDSTATE_ENVELOPE_FROM = "bounces@bounces.example.com";
    settings.environment.HARDSTATE_OPERATOR = "admin@example.com";
    appendFileSync(settings.environment.HARDSTATE_TOKENS_FILE ?? "", ` operator=${"o".repeat(32)}`);
    bridge = await startBridge(lab, settings);
    const config = file(
      "returned.conf",
      `url = "${bridge.url}/v1/alerts"\nheader = "Authorization: ${operator.Authorization}"\n`,
      0o600,
    );
    await run("chown", ["nobody", config]);
    const gone = file(
      "gone",
      `#!/bin/sh\ncat >/dev/null\nwhile [ -e ${lab.folder}/wait ]; do sleep 0.1; done\necho '5.1.1 this mailbox is gone'\nexit 67\n`,
    );
    const aliases = file("aliases", `bounces "|${lab.folder}/returned ${config}"\n`, 0o644);
    appendFileSync(
      join(lab.folder, "relay/etc/master.cf"),
      `local unix - n n - - local\ngone unix - n n - - pipe\n  flags=q user=nobody argv=${gone}\n`,
    );
    await postfix(
      "postconf",
      "-e",
      "mydestination=bounces.example.com",
      `alias_maps=texthash:${aliases}`,
      "recipient_delimiter=+",
      "transport_maps=inline:{ {gone@example.com=gone:} {bounces.example.com=local:} }",
    );
    await postfix("postfix", "reload");
  });
  afterAll(() => lab.stop());

  it("is mailed, and bounced in its story; operators hear of it once, and it is counted", async () => {
    await send("gone-alert-1", "gone@example.com");
    await until("the bounce", 20, async () => (await storyOf("gone-alert-1")).returned !== undefined);
    const { status, story } = await storyOf("gone-alert-1");
    expect(status).toBe("mailed");
    expect(story.at(-1)).toMatch(
      /^mailed: PROBLEM mail, .*250 2\.0\.0 Ok: queued as \w+; bounced \d+ s later: 5\.1\.1 this mailbox is gone$/,
    );
    await send("gone-alert-2", "gone@example.com");
    await until("the second", 20, async () => (await storyOf("gone-alert-2")).returned !== undefined);
    const scrape = await (await ask("/metrics")).text();
    expect(scrape).toContain('hardstate_returned_total{kind="bounce"} 2');
    const notices = async () =>
      (await mailsIn(relay.maildir)).filter(({ subject }) => subject?.includes("returned mail"));
    await until("the notice", 20, async () => (await notices()).length > 0);
    const [notice, ...more] = await notices();
    expect(more).toEqual([]);
    expect(notice?.to?.[0]?.address).toBe("admin@example.com");
    expect(notice?.text).toContain("gone@example.com did not arrive: 5.1.1 this mailbox is gone");
  });

  it("is told later by Postfix, if the bridge was away when it bounced", async () => {
    file("wait", "");
    await send("gone-alert-3", "gone@example.com");
    await until("the relay's 250", 20, async () => (await storyOf("gone-alert-3")).status === "mailed");
    await bridge.kill("SIGTERM");
    rmSync(join(lab.folder, "wait"));
    const log = () => readFileSync(join(lab.folder, "relay/maillog"), "utf8");
    await until("the deferral", 20, () =>
      /relay=local.*status=deferred .*returned: the bridge did not read this mail/.test(log()),
    );
    bridge = await startBridge(lab, settings);
    await postfix("postqueue", "-f");
    await until("the bounce", 20, async () => (await storyOf("gone-alert-3")).returned !== undefined);
  });

  it("comes back to a reverse-path of its own", async () => {
    await bridge.kill("SIGTERM");
    settings.environment.HARDSTATE_ENVELOPE_FROM = "bounces+*@bounces.example.com";
    bridge = await startBridge(lab, settings);
    await send("gone-alert-4", "gone@example.com");
    await until("the bounce", 20, async () => (await storyOf("gone-alert-4")).returned !== undefined);
    expect((await storyOf("gone-alert-4")).story.at(-1)).toContain("5.1.1 this mailbox is gone");
    const log = readFileSync(join(lab.folder, "relay/maillog"), "utf8");
    expect(log).toMatch(/to=<bounces\+[0-9a-f]{40}@bounces\.example\.com>, relay=local.*status=sent/);
  });
});

describe("the script returned", () => {
  const folder = mkdtempSync("/tmp/hardstate-returned-");
  const config = join(folder, "notify.conf");
  let server: Server | undefined;
  let got: { path: string; type: string; body: string }[];
  const listen = async (status: number, answer: string) => {
    got = [];
    server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      got.push({ path: request.url ?? "", type: request.headers["content-type"] ?? "", body });
      response.writeHead(status).end(answer);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    writeFileSync(
      config,
      `url = "http://127.0.0.1:${port}/v1/alerts"\nheader = "Authorization: Bearer secret"\n`,
    );
  };
  const returned = async (mail: string, ...words: string[]) => {
    const child = spawn("sh", ["scripts/returned", ...words], { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
    child.stdin.on("error", () => {});
    child.stdin.end(mail);
    const [status] = await once(child, "close");
    return { status, said };
  };
  afterEach(() => server?.close());
  afterAll(() => rmSync(folder, { recursive: true }));

  it("posts the mail as it is, and says nothing", async () => {
    await listen(200, '{"status":"noted"}\n');
    expect(await returned("From: MAILER-DAEMON\n\n\u00fc @x & +\n", config)).toEqual({ status: 0, said: "" });
    expect(got).toEqual([
      { path: "/v1/returns", type: "message/rfc822", body: "From: MAILER-DAEMON\n\n\u00fc @x & +\n" },
    ]);
  });

  it("reads all of a huge mail, and posts its first megabyte", async () => {
    await listen(200, '{"status":"ignored"}\n');
    expect(await returned("x".repeat(20_000_000), config)).toEqual({ status: 0, said: "" });
    expect(got[0]?.body).toHaveLength(1024 * 1024);
  });

  it.each([
    [503, "{}", "the bridge did not read this mail: {}"],
    [429, "{}", "the bridge did not read this mail"],
    [401, "{}", "the bridge did not read this mail"],
    [200, "<html>welcome to our portal</html>", "is not the bridge"],
  ])("has the mail kept after %i %s", async (code, answer, words) => {
    await listen(code, answer);
    const { status, said } = await returned("x", config);
    expect([status, said]).toEqual([75, expect.stringContaining(words)]);
    expect(said).not.toContain("secret");
  });

  it("has the mail kept where nothing listens, or the settings are wrong", async () => {
    await listen(200, "");
    server?.close();
    expect(await returned("x", config)).toMatchObject({ status: 75 });
    expect(await returned("x", join(folder, "none"))).toMatchObject({ status: 75 });
    writeFileSync(config, "url = http://127.0.0.1/\n");
    expect(await returned("x", config)).toEqual({
      status: 75,
      said: `returned: ${config} has no url that ends with /v1/alerts\n`,
    });
  });

  it("tells how it is used", async () => {
    expect((await returned("", "--help")).said).toContain("usage: returned [FILE] < MAIL");
    expect(await returned("", "a", "b")).toMatchObject({ status: 64 });
    expect(await returned("", "--wrong")).toMatchObject({ status: 64 });
    expect(existsSync("scripts/returned")).toBe(true);
  });
});

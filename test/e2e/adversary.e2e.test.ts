import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import PostalMime from "postal-mime";
import { describe, expect, it, onTestFinished } from "vitest";
import type { SmtpRelay } from "../../functions/deliver/relay-url.ts";
import { Secret } from "../../functions/secret.ts";
import { certificate } from "../deliver/certificate.ts";
import { ca, mail, patient, transportTo } from "../deliver/sending.ts";
import { until } from "../world/lab.ts";

const nobody = 65_534;

/** A folder that `owner` may write, gone when the test is over. */
const folderOf = (owner: number) => {
  const folder = mkdtempSync("/tmp/hardstate-adversary-");
  onTestFinished(() => rmSync(folder, { recursive: true }));
  chownSync(folder, owner, owner);
  return folder;
};

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
};

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true));
    socket.on("connect", () => socket.destroy()).on("error", () => resolve(false));
  });

/** A program that listens on `port` until the test is over, or until it is ended. */
const listening = async (port: number, command: string, words: readonly string[]) => {
  const child = spawn(command, words, { stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  child.stderr.on("data", (chunk) => {
    complaint += chunk;
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const end = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  onTestFinished(end);
  await until(`${command} on port ${port}`, 30, () => {
    if (child.exitCode !== null) throw new Error(`${command} ended: ${complaint}`);
    return answers(port);
  });
  return end;
};

/** Postfix's smtp-sink, misbehaving as its options say; every mail that comes is a file in `dump`. */
const sink = async (options: readonly string[], dump = folderOf(nobody), port?: number) => {
  const on = port ?? (await freePort());
  const words = ["-u", "nobody", ...options, "-d", `${dump}/mail.`, `127.0.0.1:${on}`, "10"];
  return { port: on, dump, end: await listening(on, "smtp-sink", words) };
};
const inClear: Partial<SmtpRelay> = { protection: "none", credentials: undefined };

describe("smtp-sink", () => {
  const deferred = { result: "deferred", lostAfterData: false };
  const lost = { result: "deferred", lostAfterData: true };
  const accepted = { result: "accepted" };
  it.each<[string, string, object]>([
    ["-q", "CONNECT", deferred],
    ["-q", "EHLO", deferred],
    ["-q", "MAIL", deferred],
    ["-q", "RCPT", deferred],
    ["-q", "DATA", deferred],
    ["-q", ".", lost],
    ["-Q", "CONNECT", { ...deferred, code: 421 }],
    ["-Q", "EHLO", { ...deferred, code: 421 }],
    ["-Q", "MAIL", { ...deferred, code: 421 }],
    ["-Q", "RCPT", { ...deferred, code: 421 }],
    ["-Q", "DATA", { ...deferred, code: 421 }],
    ["-Q", ".", { ...deferred, code: 421 }],
    ["-r", "CONNECT", { ...deferred, code: 450 }],
    ["-r", "EHLO", accepted],
    ["-r", "EHLO,HELO", { ...deferred, code: 450 }],
    ["-r", "MAIL", { ...deferred, code: 450 }],
    ["-r", "RCPT", { ...deferred, code: 450 }],
    ["-r", "DATA", { ...deferred, code: 450 }],
    ["-r", ".", { ...deferred, code: 450 }],
    ["-f", "CONNECT", { ...deferred, code: 500 }],
    ["-f", "EHLO", accepted],
    ["-f", "EHLO,HELO", { ...deferred, code: 500 }],
    ["-f", "MAIL", { result: "unauthorised", code: 500 }],
    ["-f", "RCPT", { result: "unauthorised", code: 500 }],
    ["-f", "DATA", { result: "unauthorised", code: 500 }],
    ["-f", ".", { result: "unauthorised", code: 500 }],
  ])("%s %s decides the outcome", async (option, command, outcome) => {
    const { port } = await sink([option, command]);
    expect(await transportTo(port, inClear).send(mail(), patient())).toMatchObject(outcome);
  });

  it.each<[string, object]>([
    ["CONNECT", deferred],
    ["EHLO", deferred],
    ["MAIL", deferred],
    ["RCPT", deferred],
    ["DATA", deferred],
    [".", lost],
  ])("that thinks for ten minutes at %s ends the attempt in its time", async (command, outcome) => {
    const { port } = await sink(["-p", "-W", `${command}:600`, "-t", "1000"]);
    const begun = performance.now();
    expect(await transportTo(port, inClear).send(mail(), AbortSignal.timeout(1000))).toMatchObject(outcome);
    expect(performance.now() - begun).toBeLessThan(3000);
  });

  it("that greets after 25 seconds is waited for", async () => {
    const { port } = await sink(["-p", "-W", "CONNECT:25", "-t", "1000"]);
    const begun = performance.now();
    expect(await transportTo(port, inClear).send(mail(), AbortSignal.timeout(60_000))).toMatchObject(
      accepted,
    );
    expect(performance.now() - begun).toBeGreaterThan(24_000);
  });

  it("that loses the final 250 gets the same bytes again, Message-ID and all, and in the end takes them", async () => {
    const { port, dump, end } = await sink(["-q", "."]);
    const transport = transportTo(port, inClear);
    for (const _ of [1, 2]) expect(await transport.send(mail(), patient())).toMatchObject(lost);
    await end();
    await sink([], dump, port);
    expect((await transport.send(mail(), patient())).result).toBe("accepted");
    const copies = readdirSync(dump).map((name) => readFileSync(join(dump, name), "latin1"));
    const parsed = await Promise.all(copies.map((copy) => PostalMime.parse(copy)));
    expect(parsed.map(({ messageId }) => messageId)).toEqual(Array(3).fill("<1@example.com>"));
    // The lines that the sink writes before the mail's own header name its session.
    expect(new Set(copies.map((copy) => copy.slice(copy.indexOf("\nFrom: ")))).size).toBe(1);
  });
});

describe("Exim", () => {
  const exim = process.env.EXIM ?? "/opt/lab-exim/usr/sbin/exim4";
  const user = "nagios";
  const password = "correct-horse-9";
  const owner = 64_999;

  /** A relay that needs AUTH, offered under TLS alone, and keeps in its queue what it accepts. */
  const start = async () => {
    if (!existsSync(exim)) throw new Error(`no ${exim}: .ci/run unpacks it, or set EXIM`);
    const folder = folderOf(owner);
    const file = (name: string, text: string) => {
      const path = join(folder, name);
      writeFileSync(path, text);
      return path;
    };
    mkdirSync(join(folder, "spool"));
    chownSync(join(folder, "spool"), owner, owner);
    const { key, cert } = await certificate({ ca });
    const [port, tlsPort] = [await freePort(), await freePort()];
    const settings = file(
      "exim.conf",
      `spool_directory = ${folder}/spool
log_file_path = ${folder}/spool/%slog
pid_file_path = ${folder}/spool/pid
primary_hostname = relay.example.com
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port} : ${tlsPort}
tls_on_connect_ports = ${tlsPort}
tls_advertise_hosts = *
tls_certificate = ${file("cert.pem", cert)}
tls_privatekey = ${file("key.pem", key)}
auth_advertise_hosts = \${if def:tls_in_cipher {*}}
queue_only
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny  local_parts = unknown
        message = no such user
  defer local_parts = later
        message = come again
  accept authenticated = *
  deny  message = who are you?
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and {{eq{$auth2}{${user}}}{eq{$auth3}{${password}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = \${if and {{eq{$auth1}{${user}}}{eq{$auth2}{${password}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = \${if eq{$auth1}{${user}}{${password}}fail}
  server_set_id = $auth1
`,
    );
    // Debian's Exim needs its own user, who is there for this process alone.
    const names = ["passwd", "group"].map((name) => {
      const entry = name === "passwd" ? `${owner}::/:/bin/false` : "";
      return [
        `/etc/${name}`,
        file(name, `${readFileSync(`/etc/${name}`, "utf8")}Debian-exim:x:${owner}:${entry}\n`),
      ];
    });
    const mounts = names.map(([real, own]) => `mount --bind ${own} ${real} && `).join("");
    await listening(port, "unshare", ["--mount", "sh", "-c", `${mounts}exec ${exim} -C ${settings} -bdf`]);
    const input = join(folder, "spool/input");
    return { port, tlsPort, queued: () => (existsSync(input) ? readdirSync(input) : []) };
  };
  const account = { credentials: { user, password: new Secret(password) } };

  it.each<[string, Partial<SmtpRelay>]>([
    ["STARTTLS and AUTH PLAIN", { auth: ["PLAIN"] }],
    ["STARTTLS and AUTH LOGIN", { auth: ["LOGIN"] }],
    ["STARTTLS and AUTH CRAM-MD5", { auth: ["CRAM-MD5"] }],
    ["implicit TLS", { protection: "implicit" }],
  ])("takes a mail by %s under the id that the outcome tells", async (_, change) => {
    const { port, tlsPort, queued } = await start();
    const at = change.protection === "implicit" ? tlsPort : port;
    const outcome = await transportTo(at, { ...account, ...change }).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "accepted", code: 250, tls: { version: "TLSv1.3" } });
    expect(queued().sort()).toEqual(
      ["-D", "-H"].map((part) => `${"queueId" in outcome ? outcome.queueId : "none"}${part}`),
    );
  });

  it("takes several mails through one session, a refused and a deferred one between them", async () => {
    const { port, queued } = await start();
    const transport = transportTo(port, account);
    const to = (address: string) => mail({ envelope: { from: "nagios@example.com", to: address } });
    const outcomes = [];
    for (const name of ["ops", "unknown", "later", "ops"])
      outcomes.push(await transport.send(to(`${name}@example.org`), patient()));
    expect(outcomes).toMatchObject([
      { result: "accepted" },
      { result: "refused", code: 550, reply: "550 no such user" },
      { result: "deferred", lostAfterData: false, code: 451 },
      { result: "accepted" },
    ]);
    expect(queued()).toHaveLength(4);
  });

  it("takes a body full of ends of data as one mail", async () => {
    const { port, queued } = await start();
    const attack = "MAIL FROM:<admin@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nsmuggled";
    const text = ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r\n\0.\r\n", "\r\n.\r\r\n"]
      .map((end) => `${end}${attack}${end}`)
      .join("");
    expect((await transportTo(port, account).send(mail({ text }), patient())).result).toBe("accepted");
    expect(queued()).toHaveLength(2);
  });

  it.each<[string, Partial<SmtpRelay>, number | undefined]>([
    ["a wrong password", { credentials: { user, password: new Secret("wrong") } }, 535],
    [
      "a wrong password by CRAM-MD5",
      { credentials: { user, password: new Secret("wrong") }, auth: ["CRAM-MD5"] },
      535,
    ],
    ["a mechanism that it does not offer", { auth: ["XOAUTH2"] }, undefined],
    ["an authority that did not sign its certificate", { ca: undefined }, undefined],
  ])("with %s gets no mail: we are unauthorised", async (_, change, code) => {
    const { port, queued } = await start();
    const outcome = await transportTo(port, { ...account, ...change }).send(mail(), patient());
    expect(outcome).toMatchObject({ result: "unauthorised", code });
    expect(queued()).toEqual([]);
  });
});

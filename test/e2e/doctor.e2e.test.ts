import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Finding } from "../../scripts/hardstate/stages.ts";
import { startNameServer } from "../deliver/name-server.ts";
import { type Lab, mailsIn, openLab, type Relay, startRelay, until } from "../world/lab.ts";

const run = promisify(execFile);

let lab: Lab;
let relay: Relay;
let names: Awaited<ReturnType<typeof startNameServer>>;
beforeAll(async () => {
  lab = openLab();
  names = await startNameServer({ "example.com": ["A 192.0.2.7", "TXT v=spf1 a -all"] });
  lab.onStop(async () => names.close());
  relay = await startRelay(lab);
});
afterAll(() => lab?.stop());

type Report = { verdict: string; failed: string | null; stages: Finding[] };

/** Runs `hardstate doctor` on the relay. */
const doctor = async (
  words: string[],
  { password = relay.password, port = relay.port, scheme = "smtp", ca = true } = {},
) => {
  const file = join(lab.folder, "url");
  writeFileSync(file, `${scheme}://${relay.user}:${password}@localhost:${port}`, { mode: 0o600 });
  const { status, out, err } = await new Promise<{ status: number; out: string; err: string }>((done) =>
    execFile(
      process.execPath,
      [
        "scripts/hardstate/hardstate.ts",
        "doctor",
        "--url-file",
        file,
        "--json",
        "--transcript",
        "--dns",
        `127.0.0.1:${names.port}`,
        ...words,
      ],
      {
        env: {
          PATH: process.env.PATH,
          HARDSTATE_STATE: join(lab.folder, "state"),
          ...(ca && { HARDSTATE_RELAY_CA: readFileSync(relay.ca, "utf8") }),
          HARDSTATE_FROM: "Monitoring <nagios@example.com>",
          HARDSTATE_OPERATOR: "admin@example.net",
        },
      },
      (error, stdout, stderr) => done({ status: Number(error?.code ?? 0), out: stdout, err: stderr }),
    ),
  );
  expect(err).toBe("");
  for (const secret of [password, Buffer.from(`\0${relay.user}\0${password}`).toString("base64")])
    expect(out).not.toContain(secret);
  const report = JSON.parse(out) as Report;
  return { status, ...report, of: (stage: string) => report.stages.find((one) => one.stage === stage) };
};

describe("hardstate doctor and a real Postfix", () => {
  it.each<[string, () => object]>([
    ["STARTTLS", () => ({})],
    ["TLS from the start", () => ({ scheme: "smtps", port: relay.tlsPort })],
  ])("with %s that is well finds nothing, and its test mail arrives", async (_, change) => {
    await lab.script("relay", "mode", "auth");
    const before = (await mailsIn(relay.maildir)).length;
    const { status, failed, of } = await doctor(["--to", "ops@example.net"], change());
    expect([status, failed]).toEqual([0, null]);
    expect(of("open-relay")?.detail).toMatch(/554 5\.7\.1 .*Relay access denied/);
    expect(of("auth")?.detail).toMatch(/^nagios by PLAIN: 235 2\.7\.0/);
    expect(of("accepted")?.detail).toMatch(/^queue id [0-9A-Z]+: 250 2\.0\.0 Ok: queued as/i);
    await until("the test mail", 10, async () => (await mailsIn(relay.maildir)).length === before + 1);
    const { subject } = (await mailsIn(relay.maildir)).at(-1) ?? {};
    expect(subject).toMatch(/^\[CUSTOM UP\] /);
  });

  it.each<[string, string, string[], string | null, RegExp]>([
    ["relays for everyone", "open", [], "open-relay", /^OPEN RELAY/],
    ["offers no AUTH", "no-auth", [], "auth-offered", /offers no AUTH/],
    ["has lost STARTTLS", "no-tls", [], "tls", /^STARTTLS is not offered \(502 5\.5\.1/],
    ["says later", "tempfail", ["--to", "ops@example.net"], "recipient", /^450 4\.3\.0/],
    ["knows no such recipient", "reject", ["--to", "ops@example.net"], "recipient", /^550 5\.1\.1/],
    ["greylists", "greylist", ["--to", "ops@example.net"], "recipient", /^450 4\.7\.1 .*greylisted/],
    ["takes its time", "slow", ["--to", "ops@example.net"], null, /queue id/],
  ])("that %s is named", async (_, mode, words, stage, detail) => {
    await lab.script("relay", "mode", mode);
    const before = (await mailsIn(relay.maildir)).length;
    const { status, failed, of } = await doctor(words);
    expect(failed).toBe(stage);
    expect(status).toBe(stage === null ? 0 : 1);
    const finding = of(stage ?? "accepted");
    expect(finding?.detail).toMatch(detail);
    if (stage !== null) expect(await mailsIn(relay.maildir)).toHaveLength(before);
    // The first runs have seen it.
    if (mode === "no-tls")
      expect(finding?.warnings).toEqual([expect.stringMatching(/still offered STARTTLS/)]);
  });

  it("that refuses our sender for this login, which it says only at RCPT, is named without a mail", async () => {
    await lab.script("relay", "mode", "auth");
    const restrictions = [
      "smtpd_sender_login_maps=inline:{ nagios@example.com=boss@example.com }",
      "smtpd_sender_restrictions=reject_sender_login_mismatch",
    ];
    const configuration = join(lab.folder, "relay", "etc");
    await run("postconf", ["-c", configuration, "-e", ...restrictions]);
    await run("postfix", ["-c", configuration, "reload"]);
    await until("the new restrictions", 10, async () => (await doctor([])).failed !== null);
    const { status, failed, of } = await doctor([]);
    expect([status, failed]).toEqual([1, "sender"]);
    expect(of("auth")?.result).toBe("pass");
    expect(of("sender")?.detail).toMatch(
      /^553 5\.7\.1 <nagios@example\.com>: Sender address rejected: not owned by/,
    );
    expect(of("sender")?.advice).toMatch(/HARDSTATE_FROM/);
    expect(of("open-relay")?.detail).toMatch(/without a login no mail for outside: 553 .*not logged in/);
  });

  it("that refuses the password is named, and asked once", async () => {
    await lab.script("relay", "mode", "auth");
    const { status, failed, of } = await doctor(["--to", "ops@example.net"], { password: "wrong-horse-9" });
    expect([status, failed]).toEqual([1, "auth"]);
    expect(of("auth")?.detail).toMatch(/^535 5\.7\.8 .*authentication failed/);
    expect(of("auth")?.advice).toMatch(/User or password is wrong/);
  });

  it("that speaks TLS from the start where STARTTLS is configured, and the other way round, is named", async () => {
    const silent = await doctor([], { port: relay.tlsPort });
    expect([silent.failed, silent.of("banner")?.advice]).toEqual([
      "banner",
      expect.stringMatching(/smtps:\/\//),
    ]);
    const clear = await doctor([], { scheme: "smtps" });
    expect([clear.failed, clear.of("tls")?.advice]).toEqual(["tls", expect.stringMatching(/smtp:\/\//)]);
  });

  it("without its authority's certificate is named", async () => {
    const { failed, of } = await doctor([], { ca: false });
    expect([failed, of("tls")?.advice]).toEqual(["tls", expect.stringMatching(/HARDSTATE_RELAY_CA/)]);
  });
});

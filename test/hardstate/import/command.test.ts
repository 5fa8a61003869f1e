import { execFile } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { readSettings } from "../../../functions/config.ts";
import { compiled } from "../../world/compiled.ts";
import { machine } from "./inputs.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-import-"));
afterAll(() => rmSync(folder, { recursive: true }));

const run = (...words: string[]) =>
  new Promise<{ status: number; out: string; err: string }>((done) =>
    execFile(
      process.execPath,
      [join(process.cwd(), "scripts/hardstate/hardstate.ts"), "import", ...words],
      { env: { PATH: process.env.PATH, ...compiled }, cwd: folder },
      (error, out, err) => done({ status: Number(error?.code ?? 0), out, err }),
    ),
  );
const write = (name: string, text: string | Uint8Array) => {
  writeFileSync(join(folder, name), text);
  return name;
};
const whole = Object.entries(machine).map(([name, text]) => write(name, text));

describe("hardstate import", () => {
  it.each<[string, string[], number, RegExp]>([
    ["no file", [], 2, /import needs at least one FILE/],
    ["an unknown option", ["--frobnicate", "aliases"], 2, /Unknown option '--frobnicate'/],
    ["--out without a file", ["aliases", "--out"], 2, /--out/],
    ["--force without --out", ["--force", "aliases"], 2, /--force needs --out FILE/],
    ["a file that is not there", ["/none/aliases"], 3, /\/none\/aliases cannot be read \(ENOENT\)/],
    ["a folder", ["mc=/"], 3, /\/ cannot be read \(expected a file of text of at most 1 MiB\)/],
    ["a device that never ends", ["mc=/dev/zero"], 3, /\/dev\/zero cannot be read \(expected a file of text/],
    [
      "a file too large",
      [write("main.cf", new Uint8Array(1_100_000))],
      3,
      /cannot be read \(expected a file of/,
    ],
    [
      "a kind that cannot be told",
      [write("what", "canary")],
      2,
      /Write KIND=FILE\. KIND is one of nagios mc/,
    ],
    [
      "a place that is not there",
      ["aliases", "--out", "/none/x"],
      3,
      /\/none\/x cannot be written \(ENOENT\)/,
    ],
  ])("with %s says what is wrong", async (_, words, status, text) => {
    const result = await run(...words);
    expect([result.status, result.out]).toEqual([status, ""]);
    expect(result.err).toMatch(text);
    expect(result.err).not.toContain("canary");
  });

  it("shows the settings without their secrets, and writes nothing", async () => {
    const before = readdirSync(folder);
    const { status, out } = await run(...whole);
    expect(status).toBe(0);
    expect(out).toContain(
      'HARDSTATE_RELAYS="smtp://bridge:[redacted]@relay.example.com:587?auth=LOGIN,PLAIN&name=monitor.example.com"',
    );
    expect(out).toMatch(/^ {2}HARDSTATE_RELAYS: sendmail\.mc:6, authinfo:1$/m);
    expect(out).toMatch(/^ {2}aliases:4: alias pager: a target is a program/m);
    expect(out).not.toContain("canary");
    expect(readdirSync(folder)).toEqual(before);
  });

  it("writes a file for its owner alone, which the bridge can start with", async () => {
    const path = join(folder, "settings.env");
    const { status, out, err } = await run(...whole, "--out", path);
    expect([status, err]).toEqual([0, ""]);
    expect(out).toMatch(/settings\.env is written, mode 0600/);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const text = readFileSync(path, "utf8");
    const { HARDSTATE_RELAY_CA_FILE, ...settings } = parseEnv(text) as Record<string, string>;
    expect(HARDSTATE_RELAY_CA_FILE).toBe("/etc/mail/relay-ca.pem");
    expect(readSettings(settings).ok).toBe(true);
    expect(settings.HARDSTATE_RELAYS).toContain("bridge:canary-password@");
    expect(settings.HARDSTATE_TOKENS).toMatch(/^site1=[0-9a-f]{48}$/);
    expect(out).not.toContain(settings.HARDSTATE_TOKENS?.slice("site1=".length));
    expect(out).not.toContain("canary");

    const again = await run(...whole, "--out", path);
    expect([again.status, again.out]).toEqual([2, ""]);
    expect(again.err).toMatch(/settings\.env exists\. Use --force to replace it/);
    expect(readFileSync(path, "utf8")).toBe(text);

    expect((await run(...whole, "--out", path, "--force")).status).toBe(0);
    expect(readFileSync(path, "utf8")).not.toBe(text);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).filter((name) => name.startsWith("settings.env."))).toEqual([]);
  });

  it("reads contacts without notifications, pager addresses and continued lines, and is complete", async () => {
    const objects = join(import.meta.dirname, "objects");
    const words = [...whole.slice(0, 3), join(objects, "contacts.cfg"), join(objects, "continuation.cfg")];
    const { status, out } = await run(...words, "--json");
    const { settings, missing, notes } = JSON.parse(out);
    expect([status, missing, notes.filter(({ sort }: { sort: string }) => sort === "wrong")]).toEqual([
      0,
      [],
      [],
    ]);
    expect(settings).toContainEqual(
      expect.objectContaining({
        name: "HARDSTATE_ALIASES",
        value: "root=ops@example.com nagios=root pager=5551234@sms.example.net",
      }),
    );
    const { out: words80 } = await run(...words);
    const report = words80.slice(words80.indexOf("\ncarried\n"));
    const wide = report.split("\n").filter((line) => line.length > 80 && line.trim().includes(" "));
    expect(wide.filter((line) => !line.includes(objects))).toEqual([]);
  });

  it("does not write where a link leads", async () => {
    symlinkSync(join(folder, "target"), join(folder, "link"));
    const { status, err } = await run("aliases", "--out", "link");
    expect([status, err]).toEqual([2, expect.stringMatching(/exists\. Use --force/)]);
    expect(existsSync(join(folder, "target"))).toBe(false);
  });

  it("tells a file's kind by its name, its text or the word before it", async () => {
    const report = async (word: string) => (await run(word, "--json")).out;
    expect(await report(write("relay.txt", "AuthInfo:m.example U:x"))).toContain('"what":"AuthInfo"');
    expect(await report(write("team", "root: |x"))).toContain('"what":"alias root"');
    expect(await report(`aliases=${write("list", "a: |x")}`)).toContain('"what":"alias a"');
    expect(await report("nagios=aliases")).toContain('"what":"Nagios objects"');
  });

  it("as JSON is one object", async () => {
    const { status, out } = await run(...whole, "--json");
    expect(status).toBe(0);
    const report = JSON.parse(out);
    expect(report).toMatchObject({ written: null, missing: [] });
    expect(report.settings[0]).toEqual({
      name: "HARDSTATE_TOKENS",
      value: "site1=[redacted]",
      from: ["new"],
    });
    expect(report.notes).toContainEqual({
      file: "aliases",
      line: 4,
      sort: "not-carried",
      what: "alias pager",
      why: "a target is a program (|): the bridge runs none",
    });
    expect(out).not.toContain("canary");
  });

  // Every place where a password may stand, well written or not.
  it.each<[string, string]>([
    [
      "authinfo",
      'AuthInfo:m.example "U:u" "P:canary"\nAuthInfo:m.example U:canary P:canary\nAuthInfo:m.example "P:canary\n"U:canary" "P:canary"\ncanary\n',
    ],
    ["access", 'AuthInfo:m.example "U:u" "P:canary\ncanary:canary\n'],
    ["sasl_passwd", "[m.example]:587 u:canary\nm.example canary\ncanary\n[canary:canary x:canary\n  canary"],
    [
      "main.cf",
      "smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = static:u:canary\nrelayhost = u:canary@m.example\ncanary\ncanary:canary = canary\nsmtp_tls_CAfile = canary",
    ],
    [
      "msmtprc",
      'account a\nhost m.example\nport canary\nauth on\nuser u\npassword "canary\npasswordeval echo canary\ncanary canary\nhost = canary\nfrom canary\ntls canary',
    ],
    [
      "relay.mc",
      "define(`confAUTH', `canary')\ndefine(`SMART_HOST', `u:canary@m.example')\ndefine(`RELAY_MAILER_ARGS', `canary')\nesyscmd(`echo canary')\ndefine(`confDEF_AUTH_INFO', `canary",
    ],
    [
      "aliases",
      'root: "|/bin/mail --password canary", /canary, :include:/canary, canary canary\ncanary\n"canary',
    ],
    [
      "objects.cfg",
      "$USER1$=canary\ndefine contact {\ncontact_name c\nhost_notification_options canary\nemail canary canary@x\n_PASSWORD canary\n",
    ],
  ])("shows nothing of a secret in %s", async (name, text) => {
    const path = write(name, text);
    for (const words of [[path], [path, "--json"], [path, "--out", `${name}.env`, "--force"]]) {
      const { status, out, err } = await run(...words);
      expect(status).toBe(1);
      expect(out + err).not.toContain("canary");
    }
    const written = readFileSync(join(folder, `${name}.env`), "utf8").split("\n");
    expect(written.filter((line) => line.startsWith("#")).join("\n")).not.toContain("canary");
  });
});

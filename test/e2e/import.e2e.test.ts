import { execFile } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv, promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Lab, mailsIn, openLab, type Relay, startBridge, startRelay, until } from "../world/lab.ts";

const run = promisify(execFile);
let lab: Lab;
let relay: Relay;
beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
});
afterAll(() => lab?.stop());

it("a machine that mails by sendmail's smart host mails by the bridge, on what import wrote", async () => {
  const files = {
    "sendmail.mc": `divert(-1)dnl
include(\`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`monitor.example.com')dnl
define(\`SMART_HOST', \`relay:[127.0.0.1]')dnl
define(\`RELAY_MAILER_ARGS', \`TCP $h ${relay.port}')dnl
FEATURE(\`authinfo', \`hash /etc/mail/authinfo.db')dnl
define(\`confAUTH_MECHANISMS', \`LOGIN PLAIN')dnl
define(\`confCACERT', \`${relay.ca}')dnl
MASQUERADE_AS(\`example.com')dnl
MAILER(\`smtp')dnl
`,
    authinfo: `AuthInfo:127.0.0.1 "U:${relay.user}" "I:${relay.user}" "P:${relay.password}" "M:LOGIN PLAIN"\n`,
    aliases: "root: ops@example.com\nnagiosadmin: root\n",
  };
  const paths = Object.entries(files).map(([name, text]) => {
    writeFileSync(join(lab.folder, name), text);
    return join(lab.folder, name);
  });
  const out = join(lab.folder, "hardstate.env");
  const command = ["scripts/hardstate/hardstate.ts", "import", "--out", out, ...paths];
  const { stdout } = await run(process.execPath, command, { env: { PATH: process.env.PATH } });
  expect(stdout).not.toContain(relay.password);
  expect(statSync(out).mode & 0o777).toBe(0o600);

  const settings = parseEnv(readFileSync(out, "utf8")) as Record<string, string>;
  const token = settings.HARDSTATE_TOKENS?.split("=")[1] ?? "";
  const port = 18_789;
  const here = { HARDSTATE_STATE: join(lab.folder, "state"), HARDSTATE_PORT: String(port) };
  const bridge = await startBridge(lab, { port, token, environment: { ...settings, ...here } });
  const alert = {
    NOTIFICATIONTYPE: "PROBLEM",
    HOSTNAME: "web01",
    SERVICEDESC: "HTTP",
    SERVICESTATE: "CRITICAL",
    SERVICEOUTPUT: "Socket timeout",
    CONTACTNAME: "nagiosadmin",
    TIMET: String(Math.floor(Date.now() / 1000)),
  };
  const { status } = await fetch(`${bridge.url}/v1/alerts`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
    body: new URLSearchParams(alert),
  });
  expect(status).toBe(202);
  await until("the mail in the maildir", 30, async () => (await mailsIn(relay.maildir)).length > 0);
  const [mail, ...more] = await mailsIn(relay.maildir);
  expect(mail?.subject).toContain("web01/HTTP");
  expect(mail?.from?.address).toBe("nagios@example.com");
  expect(readFileSync(join(lab.folder, "relay", "maillog"), "utf8")).toContain("to=<ops@example.com>");
  expect(more).toEqual([]);
});

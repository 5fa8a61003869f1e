import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import {
  type Bridge,
  bridgeSettings,
  commandLines,
  installShim,
  type Lab,
  mailsIn,
  openLab,
  type Relay,
  type Shim,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";

const run = promisify(execFile);
let lab: Lab;
let relay: Relay;
let bridge: Bridge;
let shim: Shim;
let port = 23_020;
/** The bridge's log lines about this. */
const events = (name: string) => bridge.events().filter(({ event }) => event === name);
const nagios = (...words: string[]) => lab.script("nagios", ...words);

beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
});
/** A bridge that knows of nothing yet. */
const freshBridge = async () => {
  const settings = bridgeSettings(lab, relay, port++);
  settings.environment.HARDSTATE_STATE = join(lab.folder, `state-${port}`);
  bridge = await startBridge(lab, settings);
  shim = await installShim(lab, bridge.url, settings.token, "nagios");
};
afterAll(() => lab?.stop());

/** The output of a plugin, and the text of an author: whatever runs of it makes a file, here or where it can. */
const owned = "/tmp/hardstate-owned";
const texts: [threat: string, text: string][] = [
  ["a substitution", `$(touch ${owned})`],
  ["a substitution in backticks", `\`touch ${owned}\``],
  ["the end of single quotes", `'; touch ${owned}; '`],
  ["the end of double quotes", `"; touch ${owned}; "`],
  ["the end of both", `'"; touch ${owned}; "'`],
  ["a pipe and a redirection", `x | touch ${owned} > ${owned} &`],
  ["one apostrophe", "Bob's"],
  ["an option of the shim", "-H other -c evil"],
  ["an option of curl that writes", `-o${owned}`],
  ["an option of curl that reads settings", "-K/etc/passwd"],
  ["a file to curl's --data", "@/etc/passwd"],
  ["a file to curl's --form", "out=</etc/passwd"],
  ["a file to curl's --data-urlencode", "out@/etc/passwd"],
  ["conversions of printf", "%s%n%s%n"],
  ["the end of what printf prints", "disk 50\\c% used TAIL"],
  ["escapes of printf", "C:\\new\\temp \\0101 \\x41"],
  ["a doubled backslash", "\\\\n"],
  ["a backslash at the end", "ends with \\"],
  ["macros of Nagios (Icinga 2 #9186)", "cost $5 $HOSTNAME$ $ARG1$ $$"],
  ["an escape of mail(1)", "~!id"],
  ["a file to mail(1)", "~r /etc/passwd"],
  ["a line of a template", "#{HOME} {{7*7}} <%= 7*7 %>"],
  ["a glob and a home", "* ? [a-z] ~root ~"],
];
/** A plugin's second line (NRPE, CVE-2014-2913): Nagios takes \n in a passive result for one. */
const twoLines: [string, string] = ["a second line", `x\\n touch ${owned}`];

describe.each<[string, string, string, boolean]>([
  ["dash, with environment macros", "dash", "nagios.cfg", true],
  ["busybox, with environment macros", "busybox sh", "nagios.cfg", true],
  ["dash, all on the command line", "dash", "nagios-without-environment.cfg", false],
  ["busybox, all on the command line", "busybox sh", "nagios-without-environment.cfg", false],
])("a real Nagios's sh -c and the shim in %s", (_, shell, file, whole) => {
  it("run nothing that a plugin printed or a person wrote, and all of it is in the mail", async () => {
    rmSync(owned, { force: true });
    await freshBridge();
    const mailsBefore = (await mailsIn(relay.maildir)).length;
    const { host, service } = commandLines(`scripts/monitors/${file}`, {
      ...shim,
      command: `/usr/bin/${shell} ${shim.command}`,
    });
    const all = [...texts, twoLines];
    const options = ["-n", String(all.length), "-S", service, "-H", host, ...(whole ? [] : ["-E"])];
    // An alias may hold what a name may not; with it the host's name goes through every macro of the alert.
    const extra = join(lab.folder, "extra.cfg");
    writeFileSync(
      extra,
      `define host {
  host_name evil
  alias \`touch ${owned}\` $(touch ${owned}) '; touch ${owned}; "
  address $(touch ${owned})
  check_command read_state!none
  max_check_attempts 1
  active_checks_enabled 0
  notification_period always
  check_period always
  contacts oncall
}
`,
    );
    await nagios("start", ...options, "-x", extra);
    onTestFinished(() => nagios("stop").then(() => undefined));
    const tell = (line: string) =>
      writeFileSync(
        join(lab.folder, "nagios/rw/nagios.cmd"),
        `[${Math.floor(Date.now() / 1000)}] ${line}\n`,
        { flag: "a" },
      );
    const name = (index: number) => `S${String(index + 1).padStart(4, "0")}`;
    const drain = () =>
      run("runuser", ["-u", "nagios", "--", ...`${shell} ${shim.command}`.split(" "), "--drain"], {
        env: { ...process.env, ...shim.environment },
      });
    // By id, because a post without an answer is sent again.
    const count = (wanted: number) =>
      until(`${wanted} alerts`, 60, async () => {
        const taken = new Map(events("accepted").map(({ id, type, object }) => [id, `${type} ${object}`]));
        if (taken.size === wanted) return true;
        const drained = taken.size < wanted ? await drain().catch(({ stderr }) => ({ stderr })) : undefined;
        const said = readFileSync(join(lab.folder, "nagios/nagios.log"), "utf8").split("\n");
        throw new Error(
          [
            `${taken.size} alerts: ${[...taken.values()].sort().join(", ")}`,
            `spool: ${readdirSync(shim.spool).join(" ")}`,
            `--drain: ${drained?.stderr}`,
            ...said.filter((line) => / NOTIFICATION: |EXTERNAL COMMAND: ACK|[Ww]arning|[Ee]rror/.test(line)),
          ].join("\n"),
        );
      });
    for (const [index, [, text]] of all.entries())
      tell(`PROCESS_SERVICE_CHECK_RESULT;farm01;${name(index)};2;${text}`);
    tell(`PROCESS_HOST_CHECK_RESULT;evil;1;'; touch ${owned}; "$(touch ${owned})`);
    await count(all.length + 1);
    for (const [index, [, text]] of all.entries())
      tell(`ACKNOWLEDGE_SVC_PROBLEM;farm01;${name(index)};1;1;0;${text.replaceAll(";", ",")};${text}`);
    await count(2 * all.length + 1);
    await until("as many mails", 60, async () => {
      const mailed = (await mailsIn(relay.maildir)).length - mailsBefore;
      if (mailed > 2 * all.length) return true;
      const others = bridge.lines().filter((line) => !/"event":"(accepted|mailed)"/.test(line));
      throw new Error([`${mailed} mails`, ...others.slice(-40)].join("\n"));
    });

    expect(existsSync(owned)).toBe(false);
    expect(readdirSync(shim.spool).filter((path) => path.endsWith(".json") || path === "rejected")).toEqual(
      [],
    );
    const mails = (await mailsIn(relay.maildir)).slice(mailsBefore);
    for (const { to } of mails) expect(to?.map(({ address }) => address)).toEqual(["oncall@example.com"]);
    const passwd = readFileSync("/etc/passwd", "utf8").split("\n")[0] ?? "";
    for (const { text } of mails) expect(text).not.toContain(passwd);
    for (const [index, [threat, text]] of texts.entries()) {
      const of = (type: string) => {
        const found = mails.filter(({ subject }) => subject === `[${type} CRITICAL] farm01/${name(index)}`);
        expect(found.length, `${type}: ${threat}`).toBe(1);
        return found[0]?.text ?? "";
      };
      // Nagios writes : for ; in a passive result, reads its escapes, and takes | for the beginning of performance
      // data; on a command line it strips what a shell could run (illegal_macro_output_chars), and has no comment.
      const [said = ""] = text.replaceAll(";", ":").split("|", 1);
      const output = said.replace(whole ? "" : /[`~$&|'"<>]/g, "");
      if (!text.includes("\\")) expect(of("PROBLEM"), threat).toContain(output.trim());
      if (whole) expect(of("ACKNOWLEDGEMENT"), threat).toContain(`\n\n${text}\n`);
      else of("ACKNOWLEDGEMENT");
    }
  });
});

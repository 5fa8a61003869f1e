import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { capturingRelay } from "../../functions/runtime/trial.ts";
import {
  type Bridge,
  bridgeSettings,
  installShim,
  type Lab,
  mailsIn,
  openLab,
  type Shim,
  startBridge,
  until,
} from "../world/lab.ts";

const run = promisify(execFile);
/** The shells and awks that monitoring hosts have. */
const hosts: [name: string, sh: string[], awk: string][] = [
  ["dash and mawk", ["/usr/bin/dash"], "/usr/bin/mawk"],
  ["busybox for both", ["/usr/bin/busybox", "sh"], "/usr/bin/busybox awk"],
  ["bash and gawk", ["/usr/bin/bash", "--posix"], "/usr/bin/gawk"],
];

let lab: Lab;
let bridge: Bridge;
let shim: Shim;
let mail: string;
let token: string;

beforeAll(async () => {
  lab = openLab();
  const clock = () => Date.now();
  const { certificate, ...relay } = await capturingRelay(lab.folder, clock, () => {});
  lab.onStop(relay.close);
  mail = join(lab.folder, "mail");
  const ca = join(lab.folder, "relay-ca.pem");
  writeFileSync(ca, certificate);
  const settings = bridgeSettings(lab, { ...relay, ca, tlsPort: 0, maildir: mail }, 18_811);
  settings.environment.HARDSTATE_ALIASES = "ops=ops@example.com";
  token = settings.token;
  bridge = await startBridge(lab, settings);
  shim = await installShim(lab, bridge.url, token);
});
afterAll(() => lab?.stop());

const mailsAbout = async (host: string) =>
  (await mailsIn(mail)).filter(({ subject }) => subject?.includes(`${host}/HTTP`));
const endings = (host: string) =>
  bridge.events().filter(({ event, object }) => event === "ended" && object === `${host}/HTTP`);

describe.each(hosts)(
  "a notification run twice, without Nagios's environment and with it, by %s",
  (name, sh, awk) => {
    /** One run of the shim for one notification, as Nagios starts it. */
    const notify = (host: string, macros: Record<string, string>) => {
      const programs = join(lab.folder, name);
      mkdirSync(programs, { recursive: true });
      writeFileSync(join(programs, "awk"), `#!/bin/sh\nexec ${awk} "$@"\n`);
      chmodSync(join(programs, "awk"), 0o755);
      const now = String(Math.floor(Date.now() / 1000));
      const words = `-m mon1 -t PROBLEM -s CRITICAL -y HARD -H ${host} -S HTTP -c ops -i 7 -n 1 -P 1000 -E 999 -T ${now}`;
      const env = { PATH: `${programs}:/usr/bin:/bin`, ...shim.environment, ...macros };
      return run(sh[0] ?? "", [...sh.slice(1), shim.command, ...words.split(" ")], { env });
    };
    const full = {
      NAGIOS_NOTIFICATIONTYPE: "PROBLEM",
      NAGIOS_CONTACTEMAIL: "ops@example.com",
      NAGIOS_SERVICEOUTPUT: "Socket timeout",
    };
    const host = name.replaceAll(" ", "-");

    it("is one mail: the one with the output", async () => {
      await notify(`both-${host}`, {});
      await new Promise((done) => setTimeout(done, 2000));
      expect(await mailsAbout(`both-${host}`)).toEqual([]);
      await notify(`both-${host}`, full);
      await until("both have ended", 20, () => endings(`both-${host}`).length === 2);
      const [first, ...more] = await mailsAbout(`both-${host}`);
      expect([first?.text, more]).toEqual([expect.stringContaining("Socket timeout"), []]);
      expect(
        endings(`both-${host}`)
          .map(({ row }) => row)
          .toSorted(),
      ).toEqual(["R0", "R1"]);
    });

    it("is one mail after five seconds if the one with the output does not come", async () => {
      await notify(`poor-${host}`, {});
      await until("the mail", 20, async () => (await mailsAbout(`poor-${host}`)).length === 1);
      expect(readdirSync(shim.spool)).toEqual([]);
    });

    it("is mailed at once if the output is there, though it is empty", async () => {
      await notify(`empty-${host}`, { NAGIOS_CONTACTEMAIL: "ops@example.com", NAGIOS_SERVICEOUTPUT: "" });
      await until("its end", 4, () => endings(`empty-${host}`).length === 1);
    });
  },
);

// The id of a post without one is made of the event: the same for both.
describe("a form post sent twice, degraded and whole", () => {
  it("is one mail: the one with the output", async () => {
    const post = (more: Record<string, string>) =>
      fetch(`${bridge.url}/v1/alerts`, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}` },
        body: new URLSearchParams({
          NOTIFICATIONTYPE: "PROBLEM",
          HOSTNAME: "form",
          SERVICEDESC: "HTTP",
          SERVICESTATE: "CRITICAL",
          CONTACTEMAIL: "ops@example.com",
          SERVICENOTIFICATIONID: "7",
          TIMET: "1795366380",
          ...more,
        }),
      });
    expect((await post({ DEGRADED: "1" })).status).toBe(202);
    await new Promise((done) => setTimeout(done, 2000));
    expect((await post({ SERVICEOUTPUT: "Socket timeout" })).status).toBe(202);
    await until("the mail", 20, async () => (await mailsAbout("form")).length > 0);
    await until("both have ended", 20, () => endings("form").length === 2);
    const [first, ...more] = await mailsAbout("form");
    expect([first?.text, more]).toEqual([expect.stringContaining("Socket timeout"), []]);
  });
});

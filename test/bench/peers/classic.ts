import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { loadavg } from "node:os";
import { type Lab, until } from "../../world/lab.ts";

/** The classic chain: mail(1), Sendmail as its submission program, Sendmail as a daemon, the relay. */
export type Classic = {
  environment: Record<string, string>;
  /** The text to which Nagios's default command for services expands. */
  command(service: string): string[];
  stop(): Promise<unknown>;
};

/** Starts it beside the lab's relay, which must run. */
export const startClassic = async (lab: Lab): Promise<Classic> => {
  const stop = () => lab.script("classic", "stop");
  // Above a load of 12 Sendmail runs and takes no connection, and a storm that is just over has left as much.
  await until("a load below 2", 240, () => (loadavg()[0] ?? 0) < 2);
  const started = await lab.script("classic", "start", "-q", "60").catch(async (error) => {
    await stop();
    throw error;
  });
  const settings = readFileSync(started, "utf8");
  const [, mailrc = ""] = /^export MAILRC=(.*)$/m.exec(settings) ?? [];
  return {
    environment: { MAILRC: mailrc },
    command: (service) => [
      "sh",
      "-c",
      `/usr/bin/printf "%b" "***** Nagios *****\\n\\nNotification Type: PROBLEM\\n\\nService: ${service}\\nHost: Web server 1\\nAddress: 192.0.2.10\\nState: CRITICAL\\n\\nDate/Time: Sun Nov 22 16:31:00 UTC 2026\\n\\nAdditional Info:\\n\\nCRITICAL - Socket timeout after 10 seconds\\n" | /usr/bin/mail -s "** PROBLEM Service Alert: Web server 1/${service} is CRITICAL **" oncall@example.com`,
    ],
    stop,
  };
};

const sendmail = `${process.env.LAB_SENDMAIL_ROOT ?? "/opt/lab-sendmail"}/`;
const millisecondsPerTick = 10;

/** The CPU time so far of all Sendmail processes that run, and of those of their children that are over. */
export const sendmailMilliseconds = (): number => {
  let ticks = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readlinkSync(`/proc/${pid}/exe`).startsWith(sendmail)) continue;
      const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
        .replace(/^.*\) /, "")
        .split(" ");
      ticks += fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    } catch (error) {
      // It ended between the two looks, or is not ours to see.
      if (!["ENOENT", "ESRCH", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
  return ticks * millisecondsPerTick;
};

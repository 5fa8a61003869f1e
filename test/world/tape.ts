import { execFile } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { joined, type Lab, mailsIn, type Shim, until } from "./lab.ts";
import type { Received } from "./tape-judge.ts";

/** One run of a notification command: what the core told, and whom. */
export type Posted = {
  type: string;
  /** HOST or HOST/SERVICE. */
  object: string;
  state: string;
  output: string;
  contact: string;
  mailboxes: string[];
  /** The core's own name of the problem; absent where it gives none, as Icinga at a RECOVERY. */
  problem?: string;
  /** PROCESSSTARTTIME and the notification id; 0 of Icinga. */
  start: number;
  id: number;
  escalated: boolean;
  volatile: boolean;
  /** The exit status of the shim; absent while it runs. */
  exit?: number;
};

/** Every run of the notification commands of a lab's core. */
export type Tape = {
  /** The shim with the recorder in front of it. */
  shim: Shim;
  /** Oldest first. */
  posted(): Posted[];
  /** Waits until the tape has as many runs as the core logged, each has ended, and the bridge decided on all it will. */
  settled(logged: () => number): Promise<void>;
};

const read = (path: string): Posted => {
  const words = readFileSync(path, "utf8").split("\0");
  const argv = words.filter((word) => word.startsWith("argv ")).map((word) => word.slice(5));
  const option = (letter: string) =>
    (argv.includes(`-${letter}`) ? argv[argv.indexOf(`-${letter}`) + 1] : "") ?? "";
  const environment = (name: string) =>
    words.find((word) => word.startsWith(`NAGIOS_${name}=`))?.slice(`NAGIOS_${name}=`.length) ?? "";
  const service = option("S");
  const object = service ? `${option("H")}/${service}` : option("H");
  const [icinga, epoch] = [option("k") === "icinga2", Number(option("E"))];
  // Nagios keeps LASTSERVICEOK until the RECOVERY is sent, and has ids. Icinga has neither.
  const named = epoch > 0 ? `since ${epoch}` : `${option("p")} of ${option("P")}`;
  return {
    type: option("t"),
    object,
    state: option("s"),
    output: environment(service ? "SERVICEOUTPUT" : "HOSTOUTPUT"),
    contact: option("c"),
    mailboxes: environment("CONTACTEMAIL").split(","),
    problem: icinga && option("t") === "RECOVERY" ? undefined : named,
    start: icinga ? 0 : Number(option("P")),
    id: icinga ? 0 : Number(option("i")),
    escalated: option("e") === "1",
    volatile: option("v") === "1",
  };
};

/** Puts a recorder in front of the shim: it writes down its arguments and environment, then runs the shim. */
export const startTape = (on: Lab, shim: Shim, url: string, token: string): Tape => {
  const folder = join(on.folder, "tape");
  const command = join(folder, "notify");
  const runs = join(folder, "runs");
  mkdirSync(runs, { recursive: true });
  writeFileSync(
    command,
    `#!/bin/sh
run=${runs}/$(date +%s.%N).$$
{
	for word; do printf 'argv %s\\0' "$word"; done
	env -0
} >"$run.part" && mv "$run.part" "$run.run" || exit 3
${shim.command} "$@"
code=$?
echo $code >"$run.part" && mv "$run.part" "$run.exit"
exit $code
`,
  );
  chmodSync(command, 0o755);
  const { uid, gid } = statSync(shim.spool);
  chownSync(runs, uid, gid);
  const posted = () => {
    const names = readdirSync(runs);
    const ended = new Set(names.filter((name) => name.endsWith(".exit")));
    return names
      .filter((name) => name.endsWith(".run"))
      .sort()
      .map((name) => {
        const exit = name.replace(/run$/, "exit");
        const code = ended.has(exit) ? Number(readFileSync(join(runs, exit), "utf8")) : undefined;
        return { ...read(join(runs, name)), exit: code };
      });
  };
  const pending = async () => {
    const headers = { Authorization: `Bearer ${token}` };
    const answer = await fetch(`${url}/v1/journal?limit=1`, { headers });
    return ((await answer.json()) as { totals: { pending: number } }).totals.pending;
  };
  return {
    shim: { ...shim, command },
    posted,
    settled: async (logged) => {
      await until("each notification is on the tape, and its command has ended", 60, () => {
        const all = posted();
        return all.length === logged() && all.every(({ exit }) => exit !== undefined);
      });
      let [left, since] = [-1, 0];
      await until("the bridge has decided on each, or holds it", 60, async () => {
        if (!readdirSync(shim.spool).some((name) => name.endsWith(".json"))) {
          const now = await pending();
          if (now !== left) [left, since] = [now, Date.now()];
          return left === 0 || Date.now() - since > 3000;
        }
        // On a busy machine an answer comes too late for the shim, and it keeps the alert.
        await promisify(execFile)("runuser", ["-u", "nagios", "--", shim.command, "--drain"], {
          env: { ...process.env, ...shim.environment },
        });
        return false;
      });
    },
  };
};

const good = new Set(["OK", "UP"]);

/** Outputs for check results: each has a number of its own, and tells the number of its object's outage. */
export const outages = () => {
  const open = new Set<string>();
  const latest = new Map<string, number>();
  let results = 0;
  let count = 0;
  return {
    /** How many outages there were. */
    count: () => count,
    output: (object: string, state: string): string => {
      results += 1;
      if (good.has(state)) open.delete(object);
      else if (!open.has(object)) {
        open.add(object);
        count += 1;
        latest.set(object, count);
      }
      const outage = latest.has(object) ? `outage ${latest.get(object)}` : "no outage";
      return `${outage} ${open.has(object) ? `is ${state}` : "is over"}, result ${results}.`;
    },
  };
};

/** Every mail in a maildir as the judge reads it, oldest first, with the lines of a sentence joined. */
export const receivedIn = async (maildir: string): Promise<Received[]> =>
  (await mailsIn(maildir)).map(({ to, subject = "", text = "" }) => ({
    mailbox: to?.[0]?.address ?? "",
    subject,
    text: joined(text),
  }));

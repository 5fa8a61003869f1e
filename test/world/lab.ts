import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import PostalMime, { type Email } from "postal-mime";
import { compiled } from "./compiled.ts";

const run = promisify(execFile);

/** The path of one of the lab's scripts. */
export const labScript = (name: string): string => resolve("test/lab", name);

/** Programs of the lab that are running; `stop` ends them all. */
export type Lab = {
  folder: string;
  /** Runs one of the lab's scripts on this lab's state; resolves to what it printed. */
  script(name: string, ...words: string[]): Promise<string>;
  /** Registers what is to be ended. */
  onStop(end: () => Promise<unknown>): void;
  stop(): Promise<void>;
};

export const openLab = (): Lab => {
  const folder = mkdtempSync("/tmp/hardstate-lab-");
  chmodSync(folder, 0o755);
  const ends: (() => Promise<unknown>)[] = [];
  // The programs that are started here are daemons, which outlive their parents.
  const interrupted = () => void open.stop().finally(() => process.exit(3));
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, interrupted);
  const open: Lab = {
    folder,
    script: async (name, ...words) => {
      const [verb = "", ...rest] = words;
      const { stdout } = await run(labScript(name), [verb, ...rest], {
        env: { ...process.env, LAB_STATE: folder },
        timeout: 120_000,
      });
      return stdout.trim();
    },
    onStop: (end) => ends.push(end),
    stop: async () => {
      for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, interrupted);
      for (const end of ends.reverse()) await end();
      rmSync(folder, { recursive: true });
    },
  };
  return open;
};

export type Relay = {
  port: number;
  tlsPort: number;
  user: string;
  password: string;
  ca: string;
  maildir: string;
};

/** Labs that run side by side look for ports from here on: a relay that is killed has its port back when it starts. */
const firstRelayPort = 20_587 + 500 * (Number(process.env.VITEST_POOL_ID ?? 1) - 1);

/** A real Postfix: STARTTLS and AUTH wanted, every accepted mail a file in `maildir`. */
export const startRelay = async (on: Lab): Promise<Relay> => {
  const settings = readFileSync(await on.script("relay", "start", "-p", String(firstRelayPort)), "utf8");
  on.onStop(() => on.script("relay", "stop"));
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(settings)?.[1] ?? "";
  return {
    port: Number(value("RELAY_PORT")),
    tlsPort: Number(value("RELAY_TLS_PORT")),
    user: value("RELAY_USER"),
    password: value("RELAY_PASSWORD"),
    ca: value("RELAY_CA"),
    maildir: value("RELAY_MAILDIR"),
  };
};

/** Changes the settings of a lab's Postfix while it runs. */
export const setPostfix = async (on: Lab, ...settings: readonly string[]): Promise<void> => {
  const folder = join(on.folder, "relay/etc");
  await run("postconf", ["-c", folder, "-e", ...settings]);
  await run("postfix", ["-c", folder, "reload"]);
  // Postfix tells its processes one after the other.
  await new Promise((resolve) => setTimeout(resolve, 500));
};

/** The facts in /proc; undefined of a process that has ended meanwhile, or may not be looked at. */
const ofProcess = <T>(look: () => T): T | undefined => {
  try {
    return look();
  } catch (error) {
    if (["ENOENT", "ESRCH", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
};
const pids = () => readdirSync("/proc").filter((name) => /^\d+$/.test(name));

/** All processes of a lab's relay that live: they work in its queue. */
const relayPids = ({ folder }: Lab): number[] =>
  pids()
    .filter((pid) => ofProcess(() => readlinkSync(`/proc/${pid}/cwd`))?.startsWith(`${folder}/relay/queue`))
    .map(Number);

/** Sends a signal to all processes of a lab's relay; tells how many there were. */
export const signalRelay = (on: Lab, signal: NodeJS.Signals): number =>
  relayPids(on).filter((pid) => ofProcess(() => process.kill(pid, signal))).length;

/** Kills a lab's relay so that it can be started again at once. */
export const killRelay = async (on: Lab): Promise<void> => {
  await on.script("relay", "kill");
  // A child that was born meanwhile would keep the port for as long as we keep its connection.
  await until("the end of all its processes", 10, () => signalRelay(on, "SIGKILL") === 0);
  // Its master may be dead and not waited for, for seconds or for ever: the script would take it for running.
  rmSync(join(on.folder, "relay/queue/pid/master.pid"));
};

/** When Postfix began to write a file of a maildir, in microseconds: SECONDS.VdeviceIinodeMmicroseconds.host. */
const writtenAt = (file: string): number => {
  const [, seconds, microseconds] = /^(\d+)\.V\w+M(\d+)\./.exec(file) ?? [];
  return Number(seconds) * 1e6 + Number(microseconds);
};

/** The text of a mail with the lines of each sentence joined. */
export const joined = (text = ""): string => text.replaceAll(/(?<!\n)\n(?!\n)/g, " ");

/** Every mail in a maildir, oldest first as the relay wrote them. */
export const mailsIn = async (maildir: string): Promise<Email[]> => {
  const files = readdirSync(maildir).sort((one, other) => writtenAt(one) - writtenAt(other));
  return Promise.all(files.map((file) => PostalMime.parse(readFileSync(join(maildir, file)))));
};

export type Bridge = {
  url: string;
  events: () => Record<string, unknown>[];
  /** All that it printed. */
  lines: () => string[];
  pid: number;
  /** Resolves when it has ended, to the exit status or the signal. */
  ended: Promise<number | NodeJS.Signals | null>;
  kill(signal: NodeJS.Signals): Promise<void>;
};
export type BridgeSettings = {
  port: number;
  token: string;
  environment: Record<string, string>;
  /** The folder of another checkout of Hardstate, to start that one. */
  checkout?: string;
};

export const bridgeSettings = (on: Lab, relay: Relay, port: number): BridgeSettings => {
  const token = randomBytes(24).toString("hex");
  const file = (name: string, text: string) => {
    const path = join(on.folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  return {
    port,
    token,
    environment: {
      HARDSTATE_STATE: join(on.folder, "state"),
      HARDSTATE_PORT: String(port),
      HARDSTATE_TOKENS_FILE: file("tokens", `site=${token}`),
      HARDSTATE_RELAYS_FILE: file("relays", `smtp://${relay.user}:${relay.password}@localhost:${relay.port}`),
      HARDSTATE_RELAY_CA_FILE: relay.ca,
      HARDSTATE_FROM: "Monitoring <nagios@example.com>",
      HARDSTATE_RECIPIENTS: "example.com",
      // A mail for each: what is counted and timed is one by one. test/e2e/storm.e2e.test.ts is about digests.
      HARDSTATE_BURST: "off",
    },
  };
};

/** The options that `npm start` gives to Node: its options and the program. */
export const bridgeWords: readonly string[] = (
  JSON.parse(readFileSync("package.json", "utf8")) as { scripts: { start: string } }
).scripts.start
  .replace(/^.* node /, "")
  .split(" ");

/** The bridge as `npm start` runs it. */
export const startBridge = async (
  on: Lab,
  { port, environment, checkout }: BridgeSettings,
): Promise<Bridge> => {
  const child = spawn(process.execPath, bridgeWords, {
    cwd: checkout,
    env: { PATH: process.env.PATH, ...compiled, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  const ended = new Promise<number | NodeJS.Signals | null>((end) =>
    child.once("close", (code, signal) => end(code ?? signal)),
  );
  await new Promise<void>((listening, failed) => {
    child.once("close", (code) => failed(new Error(`the bridge ended with ${code}`)));
    child.stdout.on("data", (chunk) => {
      output += chunk;
      if (output.includes('"started"')) listening();
    });
  });
  const kill = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await ended;
  };
  on.onStop(() => kill("SIGTERM"));
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    ended,
    kill,
    lines: () => output.split("\n").filter(Boolean),
    events: () =>
      output
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line)),
  };
};

export type Shim = { command: string; config: string; spool: string; environment: Record<string, string> };

/** The shim and the plugin where a monitor of user `owner` can run them, with their settings file and the spool. */
export const installShim = async (on: Lab, url: string, token: string, owner = "root"): Promise<Shim> => {
  const folder = join(on.folder, "shim");
  mkdirSync(folder, { recursive: true });
  const [command, config, spool] = [
    join(folder, "notify"),
    join(folder, "notify.conf"),
    join(folder, "spool"),
  ];
  for (const name of ["notify", "check_hardstate"]) {
    copyFileSync(join("scripts", name), join(folder, name));
    chmodSync(join(folder, name), 0o755);
  }
  writeFileSync(config, `url = "${url}/v1/alerts"\nheader = "Authorization: Bearer ${token}"\n`, {
    mode: 0o600,
  });
  mkdirSync(spool, { mode: 0o700, recursive: true });
  const [uid, gid] = await Promise.all(
    ["-u", "-g"].map(async (flag) => Number((await run("id", [flag, owner])).stdout)),
  );
  for (const path of [folder, config, spool]) chownSync(path, uid ?? 0, gid ?? 0);
  return {
    command,
    config,
    spool,
    environment: { HARDSTATE_SHIM_CONFIG: config, HARDSTATE_SHIM_SPOOL: spool },
  };
};

/** The command lines for host and service as a shipped file defines them, for this shim. */
export const commandLines = (file: string, shim: Shim): { host: string; service: string } => {
  const [host = "", service = ""] = [...readFileSync(file, "utf8").matchAll(/^ *command_line +(.*)$/gm)].map(
    ([, line]) =>
      `HARDSTATE_SHIM_CONFIG=${shim.config} HARDSTATE_SHIM_SPOOL=${shim.spool} ${line?.replace("/usr/local/bin/notify", shim.command)}`,
  );
  return { host, service };
};

/** Polls until `test` holds; after `seconds` rejects, and tells what `test` threw last. */
export const until = async (
  what: string,
  seconds: number,
  test: () => boolean | Promise<boolean>,
): Promise<void> => {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    let cause: unknown;
    try {
      if (await test()) return;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > end)
      throw new Error(`not within ${seconds} s: ${what}${cause ? ` (${cause})` : ""}`, { cause });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

/** Watches every process's command line until stopped; tells which of `words` it saw on one. */
export const watchCommandLines = (words: readonly string[]) => {
  const seen = new Set<string>();
  let looks = 0;
  const timer = setInterval(() => {
    looks += 1;
    for (const pid of pids()) {
      const line = ofProcess(() => readFileSync(`/proc/${pid}/cmdline`, "latin1"));
      for (const word of words) if (line?.includes(word)) seen.add(word);
    }
  }, 3);
  return () => {
    clearInterval(timer);
    return { seen: [...seen], looks };
  };
};

import { execFile, execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Lab, type Shim, until } from "./lab.ts";

/** A real Icinga 2 whose states are set by passive results. */
export type Icinga = {
  /** The lines that it wrote to its log. */
  log(): string;
  /** Writes external commands, without their time. */
  tell(...commands: string[]): void;
};

const daemon = `
include <itl>
object Endpoint NodeName {}
object Zone ZoneName { endpoints = [ NodeName ] }
object CheckerComponent "checker" {}
object NotificationComponent "notification" {}
object IcingaApplication "app" {}
`;

/** A shipped file of Icinga's, with the paths of this shim in place of those of an installation. */
export const shippedConf = (path: string, { command, environment }: Shim): string => {
  const words = ["/usr/bin/env", ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)];
  const quoted = words.map((word) => JSON.stringify(word)).join(", ");
  return readFileSync(path, "utf8").replaceAll(
    /"\/usr\/local\/bin\/notify"|"\/usr\/local\/bin\/(check_hardstate)"/g,
    (_, plugin?: string) => `${quoted}, ${JSON.stringify(plugin ? join(command, "..", plugin) : command)}`,
  );
};

/** Writes a configuration with these definitions; the words of a command line that reads it. */
const configured = (on: Lab, name: string, definitions: string) => {
  const folder = join(on.folder, name);
  const at = (path: string) => join(folder, path);
  for (const path of ["run", "data", "log", "cache", "spool"]) mkdirSync(at(path), { recursive: true });
  const [pipe, log] = [at("run/icinga2.cmd"), at("log/icinga2.log")];
  const features = `
object ExternalCommandListener "command" { command_path = "${pipe}" }
object FileLogger "log" { severity = "information", path = "${log}" }
`;
  writeFileSync(at("icinga2.conf"), daemon + features + definitions);
  execFileSync("chown", ["-R", "nagios:nagios", folder]);
  const constants = {
    ConfigDir: folder,
    DataDir: at("data"),
    LogDir: at("log"),
    CacheDir: at("cache"),
    InitRunDir: at("run"),
    SpoolDir: at("spool"),
    PidPath: at("run/icinga2.pid"),
    NodeName: "monitor",
    ZoneName: "monitor",
    RunAsUser: "nagios",
    RunAsGroup: "nagios",
  };
  const set = Object.entries(constants).flatMap(([constant, value]) => ["-D", `${constant}=${value}`]);
  return { pipe, log, words: ["daemon", "-c", at("icinga2.conf"), ...set] };
};

/** Has Icinga 2 read these definitions; rejects with what it says if they are not valid. */
export const checkIcinga = async (on: Lab, definitions: string): Promise<void> => {
  const { words } = configured(on, "icinga2-check", definitions);
  await promisify(execFile)("icinga2", [...words, "-C"], { timeout: 60_000 }).catch(({ stdout }) => {
    throw new Error(stdout);
  });
};

/** Starts Icinga 2 in the lab's folder, as user nagios, with these definitions; the lab's end is its end. */
export const startIcinga = async (on: Lab, definitions: string): Promise<Icinga> => {
  const { pipe, log, words } = configured(on, "icinga2", definitions);
  const child = spawn("icinga2", words, {
    // A daemon's environment, not the caller's: notification commands inherit it.
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => {
      output += chunk;
    });
  const ended = new Promise<void>((end) => child.once("close", () => end()));
  on.onStop(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  await until(`Icinga 2 takes commands: ${output}`, 30, () => {
    if (child.exitCode !== null) throw new Error(`Icinga 2 ended:\n${output}`);
    return existsSync(pipe);
  });
  return {
    log: () => readFileSync(log, "utf8"),
    tell: (...commands) => {
      const now = Math.floor(Date.now() / 1000);
      appendFileSync(pipe, commands.map((command) => `[${now}] ${command}\n`).join(""));
    },
  };
};

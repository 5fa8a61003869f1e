import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The time of a command, in milliseconds; the CPU time is of all processes that it or its children waited for. */
export type Cost = { wall: number; cpu: number };

const loop =
  'TIMEFORMAT="%R %U %S"; time for ((i = 0; i < $0; i++)); do "$@" >/dev/null 2>&1 || exit 9; done';

/** Runs a command so often, one after the other; rejects if it fails. */
export const costOf = async (
  times: number,
  words: readonly string[],
  environment: Record<string, string>,
): Promise<Cost> => {
  const env = { PATH: process.env.PATH, ...environment };
  const { stderr } = await run("bash", ["--norc", "-c", loop, String(times), ...words], {
    env,
    timeout: 120_000,
  });
  const [wall = 0, user = 0, system = 0] = stderr
    .trim()
    .split(" ")
    .map((seconds) => (1000 * Number(seconds)) / times);
  return { wall, cpu: user + system };
};

/** Runs a command once. */
export const runOnce = async (words: readonly string[], environment: Record<string, string>) => {
  const [command = "", ...rest] = words;
  const env = { PATH: process.env.PATH, ...environment };
  await run(command, rest, { env, timeout: 60_000 });
};

/** The environment that a real Nagios gave a notification command. */
export const notification = (): Record<string, string> =>
  Object.fromEntries(
    readFileSync("test/corpus/nagios/01-service-critical.problem-1.oncall.env", "utf8")
      .split("\n")
      .filter((line) => line.startsWith("NAGIOS_"))
      .map((line) => line.split(/=(.*)/s).slice(0, 2)),
  );

/** The words of the shipped definition for this service; with one `id` each time it is the same notification. */
export const shimWords = (command: string, service: string, id: number): string[] => {
  const macros: Record<string, string> = {
    ...notification(),
    NAGIOS_SERVICEDESC: service,
    NAGIOS_SERVICENOTIFICATIONID: String(id),
  };
  const definition = readFileSync("scripts/monitors/nagios.cfg", "utf8");
  const line = /hardstate-notify-service\n *command_line +\S+ (.*)/.exec(definition)?.[1] ?? "";
  const words = [...line.matchAll(/'\$(\w+)\$'|(\S+)/g)].map(([, macro, word]) =>
    macro ? (macros[`NAGIOS_${macro}`] ?? "") : (word ?? ""),
  );
  return [command, ...words];
};

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A program of ours in a process of its own; `stop` ends it, and waits. */
export type Running = { child: ChildProcess; said(): string; stop(): Promise<void> };

/** Starts a program with this Node, in a folder, and waits until it has printed `"started"`. */
export const startProgram = async (
  words: readonly string[],
  environment: Record<string, string> = {},
  cwd?: string,
): Promise<Running> => {
  const child = spawn(process.execPath, words, {
    cwd,
    env: { PATH: process.env.PATH, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  let said = "";
  await new Promise<void>((started, failed) => {
    const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
    child.once("close", (code) => failed(new Error(`${words[0]} ended with ${code}`)));
    child.stdout.on("data", (chunk) => {
      said += chunk;
      if (!said.includes('"started"')) return;
      clearTimeout(late);
      started();
    });
  });
  const stop = async () => {
    child.kill("SIGTERM");
    await closed;
  };
  return { child, said: () => said, stop };
};

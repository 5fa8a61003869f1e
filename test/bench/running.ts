import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { NotFoundOut } from "../../scripts/hardstate/command.ts";
import { bridgeWords } from "../world/lab.ts";

/** A bridge that runs as `npm start` runs it. */
export type Running = {
  url: string;
  pid: number;
  /** Posts a body of JSON; rejects unless all of it was taken. */
  post(body: unknown): Promise<void>;
  get<T>(path: string): Promise<T>;
  stop(): Promise<void>;
};

const startWithinMilliseconds = 20_000;

/** Starts a bridge with these settings; what it prints is thrown away. */
export const startRunning = async (
  environment: Record<string, string>,
  port: number,
  token: string,
): Promise<Running> => {
  const child = spawn(process.execPath, bridgeWords, {
    env: {
      PATH: process.env.PATH,
      // As in package.json: without it each start compiles TypeScript, and keeps the memory that takes.
      NODE_COMPILE_CACHE: "node_modules/.cache/hardstate",
      // A bench posts what no site would.
      HARDSTATE_RATE: "off",
      ...environment,
      HARDSTATE_PORT: String(port),
    },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = new Promise<void>((end) => child.once("close", () => end()));
  const url = `http://127.0.0.1:${port}`;
  const headers = { Authorization: `Bearer ${token}` };
  const until = Date.now() + startWithinMilliseconds;
  const ready = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await ready())) {
    if (child.exitCode !== null || Date.now() > until) throw new NotFoundOut("the bridge did not start");
    await setTimeout(100);
  }
  return {
    url,
    pid: child.pid ?? 0,
    post: async (body) => {
      const signal = AbortSignal.timeout(30_000);
      const init = { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, signal };
      const answer = await fetch(`${url}/v1/alerts`, { ...init, body: JSON.stringify(body) });
      const text = await answer.text();
      if (answer.status !== 202) throw new Error(`a post was answered ${answer.status}: ${text}`);
    },
    get: async <T>(path: string) => {
      const answer = await fetch(url + path, { headers, signal: AbortSignal.timeout(30_000) });
      return (await answer.json()) as T;
    },
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
};

/** The resident memory of a process, in MiB. */
export const residentOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

/** The seconds of processor that a process has used, in ticks of 10 ms. */
export const processorSecondsOf = (pid: number): number => {
  // The name, in brackets, may have spaces: the fields are counted after it.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

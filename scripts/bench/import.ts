import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { say } from "../../functions/telemetry.ts";
import { buildAll } from "../build.ts";

// How long a process takes to import each Lambda bundle, beside an empty module, in alternation; medians.
const rounds = Number(process.argv[2] ?? 21);
const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "hardstate-bench-"));
const empty = join(folder, "empty.mjs");
writeFileSync(empty, "export const handler = async () => ({});\n");
const environment = {
  HARDSTATE_TOKENS: "site1=a-token-of-twenty-four-characters",
  HARDSTATE_RELAYS: "ses://eu-west-1",
  HARDSTATE_FROM: "nagios@example.com",
  HARDSTATE_RECIPIENTS: "example.com",
  HARDSTATE_QUEUE: "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/hardstate.fifo",
  HARDSTATE_LEDGER: "dynamodb:hardstate",
  AWS_REGION: "eu-west-1",
};
const script =
  "const began = performance.now(); await import(process.argv[1]); console.log(performance.now() - began);";
const millisecondsOf = async (path: string): Promise<number> => {
  const words = ["--input-type=module", "-e", script, path];
  const { stdout } = await run(process.execPath, words, { env: environment });
  return Number(stdout);
};
const median = (numbers: number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;

const built = (await buildAll(folder)).filter(({ name }) => name.startsWith("lambda-"));
const candidates = [{ name: "empty", path: empty }, ...built];
const times = new Map(candidates.map(({ name }) => [name, [] as number[]]));
for (let round = 0; round < rounds; round++)
  for (const { name, path } of candidates) times.get(name)?.push(await millisecondsOf(path));
const base = median(times.get("empty") ?? []);
for (const { name, kib } of built) {
  const ms = median(times.get(name) ?? []) - base;
  say(
    `${name.padEnd(16)} ${kib.toFixed(1).padStart(6)} KiB gzip   import ${ms.toFixed(1).padStart(5)} ms over an empty module`,
  );
}
say(`medians of ${rounds} processes each, in alternation`);
rmSync(folder, { recursive: true });

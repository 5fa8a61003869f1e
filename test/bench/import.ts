import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildAll } from "../../scripts/build.ts";
import { alternate, type Bench, mediansOf } from "./rounds.ts";

const run = promisify(execFile);
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
  const { stdout } = await run(process.execPath, words, { env: environment, timeout: 30_000 });
  return Number(stdout);
};

/** The cost of our code at a cold start. */
export const bench: Bench = {
  summary: "how long a process takes to import each Lambda bundle, beside an empty module",
  about: `Builds the bundles and starts a process for each import. docs/benchmarks.md's figures are of 21 rounds.`,
  run: async ({ rounds }) => {
    const folder = mkdtempSync(join(tmpdir(), "hardstate-bench-"));
    try {
      const empty = join(folder, "empty.mjs");
      writeFileSync(empty, "export const handler = async () => ({});\n");
      const built = (await buildAll(folder)).filter(({ name }) => name.startsWith("lambda-"));
      const sides = [{ name: "empty", path: empty }, ...built].map(
        ({ name, path }) => [name, () => millisecondsOf(path)] as const,
      );
      const medians = mediansOf(await alternate(rounds, Object.fromEntries(sides)));
      return built.map(({ name, kib }) => ({
        what: `import of ${name}, ${kib.toFixed(1)} KiB gzip, over an empty module`,
        ours: (medians[name] ?? Number.NaN) - (medians.empty ?? Number.NaN),
        unit: "ms",
      }));
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

#!/usr/bin/env node
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { complain, say } from "../../functions/report/log.ts";
import { NotFoundOut, paragraph, type Status, WrongUse } from "../../scripts/hardstate/command.ts";
import { type Bench, figureLines, isReached, machine, progress } from "./rounds.ts";

// The other files of this folder are shared by several benches.
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts"))
  .filter((file) => /^export const bench\b/m.test(readFileSync(join(import.meta.dirname, file), "utf8")))
  .map((file) => file.slice(0, -".ts".length));
const benchOf = async (name: string): Promise<Bench> => (await import(`./${name}.ts`)).bench;

const usage = `npm run bench -- NAME [--rounds N] [--quick] [--keep] [--before DIR]

Measures Hardstate beside something else, in turns and in the same run, and
tells the median of each and their ratio. Progress goes to standard error.
Exit: 0 every target is reached, 1 one is not, 2 wrong use, 3 not found out.

  --rounds N  how often each side is measured (default 5)
  --quick     smaller sizes, to see that it works: its figures mean little
  --keep      keeps what took long to make, for the next run
  --before DIR  another checkout of Hardstate, as one more side of intake,
              decide, relay, latency and fairness
  --help      this; after NAME, more about it
`;

const main = async (): Promise<Status> => {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse();
  } catch (error) {
    throw new WrongUse((error as Error).message);
  }
  const { rounds, quick = false, keep = false, before, help } = parsed.values;
  const [name, ...more] = parsed.positionals;
  if (help && name === undefined) {
    say(usage);
    for (const known of names) say(paragraph(`  ${known.padEnd(12)}`, (await benchOf(known)).summary));
    return 0;
  }
  if (name === undefined || !names.includes(name) || more.length > 0)
    throw new WrongUse(`One of these: ${names.join(" ")}. --help tells of each.`);
  const bench = await benchOf(name);
  if (help) {
    say(`${usage}\n${paragraph("", bench.about)}`);
    return 0;
  }
  if (rounds !== undefined && !/^[1-9]\d{0,3}$/.test(rounds)) throw new WrongUse("--rounds needs a number.");
  progress(`${name}: ${bench.summary}`);
  const began = performance.now();
  const figures = await bench.run({
    rounds: Number(rounds ?? 5),
    quick,
    keep,
    before: before && resolve(before),
  });
  for (const figure of figures) say(figureLines(figure));
  say(paragraph("", `(${name}, ${Math.round((performance.now() - began) / 1000)} s, on ${machine()})`));
  return figures.every(isReached) ? 0 : 1;
};

const parse = () =>
  parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: "string" },
      quick: { type: "boolean" },
      keep: { type: "boolean" },
      before: { type: "string" },
      help: { type: "boolean" },
    },
  });

try {
  process.exitCode = await main();
} catch (error) {
  const wrong = error instanceof WrongUse;
  complain(wrong || error instanceof NotFoundOut ? error.message : String((error as Error).stack ?? error));
  process.exitCode = wrong ? 2 : 3;
}

import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { paragraph } from "../../../scripts/hardstate/command.ts";
import { plantInModules } from "../../simulation/plants.ts";
import { kinds } from "./kinds.ts";
import { plants } from "./plants.ts";
import { noteUncaught, type Played, play, type Stage } from "./play.ts";
import { shrink } from "./shrink.ts";
import { stageOf } from "./stage.ts";

const usage = `Plays sessions with relays that misbehave, and judges what our SMTP client does
by the bytes on the wire and the outcome alone.

  npm run fuzz-smtp -- --cases N [--from SEED] [--kind NAME[,NAME...]]
                          N cases, the kinds in turn
  npm run fuzz-smtp -- --kind NAME --seed N
                          one case, shrunk
  npm run fuzz-smtp -- --list
                          the kinds, a sentence each
  npm run fuzz-smtp -- --plants all
                          plants faults in the client, or those that are
                          named, and tells which case finds each

  --tls             by Node's own TLS, where else it is only made believe
  --transcripts K   shows at most K findings, each of another sort (3)

Status 1 if anything was violated.`;

const say = (text: string) => process.stdout.write(`${text}\n`);
const fail = (text: string): never => {
  process.stderr.write(`${text}\n`);
  process.exit(2);
};
const read = () => {
  try {
    return parseArgs({
      options: {
        cases: { type: "string" },
        from: { type: "string", default: "1" },
        kind: { type: "string" },
        seed: { type: "string" },
        plants: { type: "string" },
        transcripts: { type: "string", default: "3" },
        tls: { type: "boolean", default: false },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return fail(`${(error as Error).message}\n\n${usage}`);
  }
};
const values = read();
const number = (name: "cases" | "from" | "seed" | "transcripts"): number => {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 0) fail(`--${name} takes a whole number.\n\n${usage}`);
  return value;
};
const mostCasesForAPlant = 6_000;
const mostGrowthBytes = 64 * 1_048_576;

if (values.help) {
  say(usage);
  process.exit(0);
}
if (values.list) {
  for (const [name, { about }] of Object.entries(kinds)) say(paragraph(name.padEnd(14), about));
  process.exit(0);
}
for (const event of ["uncaughtException", "unhandledRejection"]) process.on(event, noteUncaught);
const names = values.kind?.split(",") ?? Object.keys(kinds);
for (const name of names) if (!kinds[name]) fail(`There is no kind ${name}. --list shows them.`);
const caseOf = (index: number) => ({
  kind: names[index % names.length] as string,
  seed: number("from") + Math.floor(index / names.length),
});
const transcriptOf = ({ transcript }: Played) => transcript.map((line) => line.slice(0, 400)).join("\n");

if (values.plants !== undefined) {
  const planted = values.plants === "all" ? Object.keys(plants) : values.plants.split(",");
  const strange = planted.find((name) => !plants[name]);
  if (strange !== undefined)
    fail(`No fault is called ${strange}. There are:\n${Object.keys(plants).join("\n")}`);
  plantInModules(plants);
  const sound = await stageOf({ realTls: values.tls });
  let missed = 0;
  for (const name of planted) {
    let stage: Stage;
    try {
      stage = await stageOf({ plant: name, realTls: values.tls });
    } catch (error) {
      missed += 1;
      say(paragraph(`${name.padEnd(28)} `, `NOT PLANTED: ${(error as Error).message}`));
      continue;
    }
    let found: string | undefined;
    for (let index = 0; found === undefined && index < mostCasesForAPlant; index++) {
      const one = caseOf(index);
      const [says] = (await play(one, stage)).violations;
      if (says === undefined || (await play(one, sound)).violations.includes(says)) continue;
      found = `${one.kind}, seed ${one.seed}: ${says.split("\n")[0]}`;
    }
    if (found === undefined) missed += 1;
    say(paragraph(`${name.padEnd(28)} `, found ?? `NOT FOUND in ${mostCasesForAPlant} cases`));
  }
  process.exit(missed === 0 ? 0 : 1);
}

if (values.cases === undefined && values.seed === undefined) fail(usage);
const stage = await stageOf({ realTls: values.tls });

if (values.seed !== undefined) {
  const played = await shrink({ kind: names[0] as string, seed: number("seed") }, stage);
  say(transcriptOf(played));
  process.exit(played.violations.length > 0 ? 1 : 0);
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const heap = () => {
  collect();
  return process.memoryUsage().heapUsed + process.memoryUsage().external;
};
const cases = number("cases");
const began = Date.now();
let said = began;
let transcripts = number("transcripts");
let wrong = 0;
let heapAtFirst: number | undefined;
const sorts = new Map<string, { count: number; first: string }>();
const table = new Map(names.map((name) => [name, { cases: 0, wrong: 0, mails: 0, slowest: 0 }]));
const outcomes = new Map<string, number>();
for (let index = 0; index < cases; index++) {
  const one = caseOf(index);
  const played = await play(one, stage);
  const row = table.get(one.kind) ?? { cases: 0, wrong: 0, mails: 0, slowest: 0 };
  row.cases += 1;
  row.mails += played.outcomes.length;
  row.slowest = Math.max(row.slowest, played.milliseconds);
  for (const result of played.outcomes) outcomes.set(result, (outcomes.get(result) ?? 0) + 1);
  const [violation] = played.violations;
  if (violation !== undefined) {
    row.wrong += 1;
    wrong += 1;
    const sort = violation.split("\n", 1)[0]?.replaceAll(/\d+/g, "N") ?? "";
    const known = sorts.get(sort);
    sorts.set(sort, {
      count: (known?.count ?? 0) + 1,
      first: known?.first ?? `${one.kind}, seed ${one.seed}`,
    });
    if (!known && transcripts > 0) {
      transcripts -= 1;
      say(`\n# ${one.kind}, seed ${one.seed}: ${violation}`);
      say(transcriptOf(await shrink(one, stage)));
    }
  }
  // Everything that is made once is made by then.
  if (index === Math.floor(cases / 5)) heapAtFirst = heap();
  if (Date.now() - said < 10_000) continue;
  said = Date.now();
  const rate = ((index + 1) * 1000) / (said - began);
  const left = Math.ceil((cases - index) / rate);
  process.stderr.write(`${index + 1} of ${cases} cases, ${rate.toFixed(0)} a second, ${left} s to go\n`);
}
const growth = heap() - (heapAtFirst ?? heap());
say(`\n${"kind".padEnd(14)} ${"wrong of".padStart(14)} ${"mails".padStart(8)} ${"slowest".padStart(10)}`);
for (const [name, row] of table)
  say(
    `${name.padEnd(14)} ${`${row.wrong} of ${row.cases}`.padStart(14)} ${String(row.mails).padStart(8)} ${`${row.slowest.toFixed(0)} ms`.padStart(10)}`,
  );
for (const [sort, { count, first }] of sorts)
  say(paragraph(`${String(count).padStart(6)} `, `${sort} (${first})`));
say(
  paragraph(
    "",
    `${cases} cases from seed ${number("from")} in ${((Date.now() - began) / 1000).toFixed(0)} s: ${wrong} with a violation; outcomes: ${[...outcomes].map(([result, count]) => `${count} ${result}`).join(", ")}; the heap grew by ${(growth / 1_048_576).toFixed(1)} MB.`,
  ),
);
if (growth > mostGrowthBytes) say(`It may grow by ${mostGrowthBytes / 1_048_576} MB.`);
process.exit(wrong === 0 && growth <= mostGrowthBytes ? 0 : 1);

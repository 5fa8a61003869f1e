import { parseArgs } from "node:util";
import { paragraph } from "../../scripts/hardstate/command.ts";
import { plantInModules } from "../simulation/plants.ts";
import type { History } from "./history.ts";
import type { Kind, Violation } from "./judge.ts";
import { history as historyOf, modes } from "./modes.ts";
import { plants } from "./plants.ts";
import { oracle } from "./play.ts";
import { scenarioOf, yamlOf } from "./scenario.ts";
import { shrink } from "./shrink.ts";

const usage = `Plays histories of simulated monitoring cores on the bridge, and judges the mails
by what really happened: the simulator knows which problem each post is of.

  npm run oracle -- --histories N [--from SEED] [--mode NAME[,NAME...]]
  npm run oracle -- --mode NAME --seed N   one history: its findings, shrunk
  npm run oracle -- --list                 the modes, a sentence each
  npm run oracle -- --plants all           faults planted in the bridge, or those
                                           that are named: which history finds
                                           each (of at most 300 a mode)

  --scenarios K  shows at most K findings as scenarios, each of another mode and
                 kind (3); they are in the form of npm run scenarios
  --kind NAME    shows scenarios of this kind alone

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
        histories: { type: "string" },
        from: { type: "string", default: "1" },
        mode: { type: "string" },
        seed: { type: "string" },
        scenarios: { type: "string", default: "3" },
        kind: { type: "string" },
        plants: { type: "string" },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return fail(`${(error as Error).message}\n\n${usage}`);
  }
};
const values = read();
const number = (name: "histories" | "from" | "seed" | "scenarios"): number => {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 0) fail(`--${name} takes a whole number.\n\n${usage}`);
  return value;
};

if (values.help) {
  say(usage);
  process.exit(0);
}
if (values.list) {
  for (const [name, { about }] of Object.entries(modes)) say(paragraph(name.padEnd(22), about));
  process.exit(0);
}
if (values.plants !== undefined) {
  const planted = values.plants === "all" ? Object.keys(plants) : values.plants.split(",");
  const strange = planted.find((name) => !plants[name]);
  if (strange !== undefined)
    fail(`No fault is called ${strange}. There are:\n${Object.keys(plants).join("\n")}`);
  plantInModules(plants);
  const sound = await oracle();
  let missed = 0;
  for (const name of planted) {
    let play: typeof sound;
    try {
      play = await oracle(name);
    } catch (error) {
      missed += 1;
      say(paragraph(`${name.padEnd(28)} `, `NOT PLANTED: ${(error as Error).message}`));
      continue;
    }
    let found: string | undefined;
    let tried = 0;
    for (let seed = 1; found === undefined && seed <= 300; seed++)
      for (const mode of plants[name]?.modes.split(",") ?? []) {
        const one = historyOf(mode, seed);
        tried += 1;
        const { violations } = await play(one);
        const before = violations.length > 0 ? (await sound(one)).violations : [];
        const [first] = violations.filter(({ says }) => !before.some((old) => old.says === says));
        if (!first) continue;
        found = `${mode}, seed ${seed}: ${first.kind}, ${first.says}`;
        break;
      }
    if (found === undefined) missed += 1;
    say(paragraph(`${name.padEnd(28)} `, found ?? `NOT FOUND in ${tried} histories`));
  }
  process.exit(missed === 0 ? 0 : 1);
}
if (values.histories === undefined && values.seed === undefined) fail(usage);
const names = values.mode?.split(",") ?? Object.keys(modes);
for (const name of names) if (!modes[name]) fail(`There is no mode ${name}. --list shows them.`);

const play = await oracle();
const violationsOf = async (one: History): Promise<Violation[]> => (await play(one)).violations;

const show = async (one: History, violation: Violation) => {
  const smaller = await shrink(one, violation, violationsOf);
  const { mails, violations } = await play(smaller);
  const says =
    violations.find(
      ({ kind, mailbox, object }) =>
        kind === violation.kind && mailbox === violation.mailbox && object === violation.object,
    ) ?? violation;
  const scenario = scenarioOf(smaller);
  say(
    `\n# ${one.mode}, seed ${one.seed}: ${violation.kind}, for ${violation.mailbox} about ${violation.object}`,
  );
  say(paragraph("# ", says.says).replaceAll("\n", "\n# "));
  say(yamlOf({ ...scenario, title: `${violation.kind} - ${says.says}` }, mails));
};

let scenarios = number("scenarios");
const shown = new Set<string>();
const showOnce = async (one: History, violations: readonly Violation[]) => {
  for (const violation of violations) {
    const name = `${one.mode} ${violation.kind}`;
    if (scenarios === 0 || shown.has(name) || (values.kind && violation.kind !== values.kind)) continue;
    shown.add(name);
    scenarios -= 1;
    await show(one, violation);
  }
};

if (values.seed !== undefined) {
  const one = historyOf(names[0] ?? "", number("seed"));
  const { mails, violations } = await play(one);
  say(yamlOf(scenarioOf(one), mails));
  for (const { kind, mailbox, object, says } of violations)
    say(paragraph(`${kind}: `, `${mailbox}, ${object}: ${says}`));
  await showOnce(one, violations);
  process.exit(violations.length > 0 ? 1 : 0);
}

const histories = number("histories");
const from = number("from");
const began = Date.now();
let said = began;
let done = 0;
let wrong = 0;
const table: { name: string; wrong: number; posts: number; kinds: Map<Kind, number> }[] = [];
for (const name of names) {
  const kinds = new Map<Kind, number>();
  const row = { name, wrong: 0, posts: 0, kinds };
  table.push(row);
  for (let seed = from; seed < from + histories; seed++) {
    const one = historyOf(name, seed);
    const violations = await violationsOf(one);
    row.posts += one.posts.length;
    if (violations.length > 0) row.wrong += 1;
    for (const kind of new Set(violations.map((violation) => violation.kind)))
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    await showOnce(one, violations);
    done += 1;
    if (Date.now() - said < 10_000) continue;
    said = Date.now();
    const rate = (done * 1000) / (said - began);
    const left = Math.ceil((names.length * histories - done) / rate);
    process.stderr.write(
      `${done} of ${names.length * histories} histories, ${rate.toFixed(0)} a second, ${left} s to go\n`,
    );
  }
  wrong += row.wrong;
}
say(`\n${"mode".padEnd(22)} wrong of     posts  histories with a violation of a kind`);
for (const { name, wrong, posts, kinds } of table) {
  const head = `${name.padEnd(22)} ${String(wrong).padStart(5)} ${String(histories).padEnd(6)} ${String(posts).padEnd(6)} `;
  say(
    paragraph(
      head,
      [...kinds]
        .sort(([, a], [, b]) => b - a)
        .map(([kind, count]) => `${kind} ${count}`)
        .join(", ") || "none",
    ),
  );
}
say(`${done} histories from seed ${from}: ${wrong} with a violation`);
process.exitCode = wrong === 0 ? 0 : 1;

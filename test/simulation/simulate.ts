import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { paragraph } from "../../scripts/hardstate/command.ts";
import { plantInModules, plants } from "./plants.ts";

const usage = `Plays histories of the bridge on a simulated queue, ledger and network.

  npm run simulate -- --histories N [--from SEED]
  npm run simulate -- --seed N       one history, told line by line
  npm run simulate -- --plants all   each of the planted faults, or those that
                                     are named, with a comma between them
  --go-on                            names each seed that breaks a promise
  --workers K                        in so many processes
  --verbose                          tells each call as well

Ends at the first history that breaks a promise, with status 1, and shows
a smaller one that breaks it too. Of planted faults it tells how many
histories each took; with --seed, what came of one of them there.
`;

const { values } = parseArgs({
  options: {
    histories: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    plants: { type: "string" },
    workers: { type: "string", default: "1" },
    "go-on": { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);
if (values.help) {
  say(usage);
  process.exit(0);
}
const workers = Number(values.workers);
if (workers > 1) {
  const each = Math.ceil(Number(values.histories) / workers);
  const run = (number: number): Promise<number> => {
    const range = ["--histories", String(each), "--from", String(Number(values.from) + number * each)];
    const options = [...(values["go-on"] ? ["--go-on"] : []), ...range];
    const child = spawn(process.execPath, [import.meta.filename, ...options], { stdio: "inherit" });
    return new Promise((resolve) => child.on("close", (status) => resolve(status ?? 3)));
  };
  process.exit(Math.max(...(await Promise.all(Array.from({ length: workers }, (_, number) => run(number))))));
}

/** The simulation with the bridge as it is, or with a fault in it. */
const simulation = async (plant?: string) => {
  const with_ = plant === undefined ? "" : `?plant=${plant}`;
  type Parts = [typeof import("./history.ts"), typeof import("./oracle.ts"), typeof import("./play.ts")];
  const [{ historyOf }, { brokenIn }, { simulator }] = (await Promise.all(
    ["history", "oracle", "play"].map((name) => import(`./${name}.ts${with_}`)),
  )) as Parts;
  return { historyOf, brokenIn, play: simulator() };
};
/** The broken promises: by a sentence of its own, if nothing else tells it. */
const inWords = ({ promise, by }: { promise: string; by: unknown[] }): string =>
  typeof by[0] === "string" && by[0].includes(" ") ? by[0] : promise;
const histories = Number(values.histories);
const from = Number(values.from);

const named = values.plants === "all" ? Object.keys(plants) : values.plants?.split(",");
if (named && values.seed === undefined) {
  plantInModules();
  let missed = 0;
  const sound = await simulation();
  for (const name of named) {
    if (!plants[name])
      throw new Error(`no fault is called ${name}; there are ${Object.keys(plants).join(", ")}`);
    const { historyOf, brokenIn, play } = await simulation(name);
    let found: string | undefined;
    let tried = 0;
    while (found === undefined && tried < histories) {
      const history = historyOf(from + tried++);
      found = brokenIn(await play(history)).map(inWords)[0];
      // A promise that the bridge breaks as it is, is no find.
      if (found !== undefined && sound.brokenIn(await sound.play(history)).length > 0) found = undefined;
    }
    if (found === undefined) missed += 1;
    const where = found === undefined ? `NOT FOUND in ${tried}` : `history ${tried}: ${found}`;
    say(paragraph(`${name.padEnd(28)} `, where));
  }
  process.exit(missed === 0 ? 0 : 1);
}
if (named) plantInModules();
const { historyOf, brokenIn, play } = await simulation(named?.[0]);
const { shrink } = await import("./shrink.ts");
const { coverage } = await import("./coverage.ts");

/** Ids are long; a line has 80 columns. */
const short = (line: string) => {
  const cut = line.replace(/\b([0-9a-f]{8})[0-9a-f]{24,56}\b/g, "$1");
  return cut.length > 80 ? `${cut.slice(0, 79)}…` : cut;
};
const isNews = (line: string) =>
  /[A-Z]{4}|posts|is told|takes|ended|holds|handed|from now on|puts back|bury|give back|failed/.test(line);
const show = async (history: Awaited<ReturnType<typeof shrink>>) => {
  const { monitored, actions, spared, ...rest } = history;
  say(paragraph("history  ", JSON.stringify({ mode: monitored.mode, ...rest }).replaceAll(",", ", ")));
  for (const action of actions) say(short(`         ${JSON.stringify(action)}`));
  if (spared.length > 0) say(`         without ${spared.length} of its faults`);
  const played = await play(history, (line) => {
    if (values.verbose || isNews(line)) say(short(line));
  });
  const broken = brokenIn(played);
  for (const { promise, by } of broken) {
    say(paragraph("BROKEN   ", promise));
    for (const one of by.slice(0, 3))
      say(paragraph("         ", typeof one === "string" ? one : JSON.stringify(one).slice(0, 400)));
  }
  return broken;
};

if (values.seed !== undefined) {
  const history = historyOf(Number(values.seed));
  const [first] = brokenIn(await play(history));
  const broken = await show(first ? await shrink(history, first.promise, play, brokenIn) : history);
  process.exit(broken.length > 0 ? 1 : 0);
}

const began = Date.now();
let said = began;
const { add, table } = coverage();
let failed = 0;
for (let done = 0; done < histories; done++) {
  const history = historyOf(from + done);
  const played = await play(history);
  add(played);
  const [first] = brokenIn(played);
  if (first && values["go-on"]) {
    failed += 1;
    say(paragraph(`seed ${history.seed} breaks: `, inWords(first)));
  } else if (first) {
    say(`history ${done + 1}, seed ${history.seed}, breaks a promise; a smaller one:`);
    const broken = await show(await shrink(history, first.promise, play, brokenIn));
    if (broken.length === 0) say("the smaller one breaks none: the simulation itself is at fault");
    process.exit(1);
  }
  if (Date.now() - said < 10_000) continue;
  said = Date.now();
  const rate = ((done + 1) * 1000) / (said - began);
  const left = Math.ceil((histories - done - 1) / rate);
  say(`${done + 1} of ${histories} histories, ${rate.toFixed(0)} a second, ${left} s to go`);
}
for (const line of table()) say(line);
say(
  `${histories} histories from seed ${from}: ${failed === 0 ? "every promise was kept" : `${failed} broke one`}`,
);
process.exitCode = failed === 0 ? 0 : 1;

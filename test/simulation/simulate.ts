import { parseArgs } from "node:util";
import { paragraph } from "../../scripts/command.ts";
import { planted, plants } from "./plants.ts";

const usage = `Plays histories of the bridge on a simulated queue, ledger and network.

  npm run simulate -- --histories N [--from SEED]
  npm run simulate -- --seed N       one history, told line by line
  npm run simulate -- --plant NAME   with a fault planted in the bridge;
                                     --plant list names them
  --verbose                          tells each call as well

Ends at the first history that breaks a promise, with status 1, and shows
a smaller one that breaks it too.
`;

const { values } = parseArgs({
  options: {
    histories: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    plant: { type: "string" },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);
if (values.help) {
  say(usage);
  process.exit(0);
}
if (values.plant === "list") {
  for (const [name, { breaks }] of Object.entries(plants)) say(paragraph(`${name.padEnd(28)} `, breaks));
  process.exit(0);
}
// Before the bridge is loaded.
const found = values.plant === undefined ? undefined : planted(values.plant);

const { historyOf } = await import("./history.ts");
const { brokenIn } = await import("./oracle.ts");
const { simulator } = await import("./play.ts");
const { shrink } = await import("./shrink.ts");
const { coverage } = await import("./coverage.ts");
const { play } = simulator();

/** Ids are long; a line has 80 columns. */
const short = (line: string) => {
  const cut = line.replace(/\b([0-9a-f]{8})[0-9a-f]{24,56}\b/g, "$1");
  return cut.length > 80 ? `${cut.slice(0, 79)}…` : cut;
};
const isNews = (line: string) =>
  /[A-Z]{4}|posts|is told|takes|ended|holds|handed|from now on|puts back|bury|give back|failed/.test(line);
const show = async (history: Awaited<ReturnType<typeof shrink>>) => {
  const { actions, spared, ...rest } = history;
  say(paragraph("history  ", JSON.stringify(rest).replaceAll(",", ", ")));
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
  const broken = await show(first ? await shrink(history, first.promise, play) : history);
  process.exit(broken.length > 0 ? 1 : 0);
}

const histories = Number(values.histories);
const from = Number(values.from);
const began = Date.now();
let said = began;
const { add, table } = coverage();
for (let done = 0; done < histories; done++) {
  const history = historyOf(from + done);
  const played = await play(history);
  add(played);
  const [first] = brokenIn(played);
  if (first) {
    say(`history ${done + 1}, seed ${history.seed}, breaks a promise; a smaller one:`);
    const broken = await show(await shrink(history, first.promise, play));
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
if (found) say(`not found in ${histories} histories: ${found}`);
say(`${histories} histories from seed ${from}: every promise was kept`);

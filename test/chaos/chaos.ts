import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs, promisify } from "node:util";
import { complain, say } from "../../functions/report/log.ts";
import { paragraph, WrongUse } from "../../scripts/hardstate/command.ts";
import { bridgeSettings, labScript, openLab, startRelay, until } from "../world/lab.ts";
import type { Figures } from "./account.ts";
import type { Fault } from "./bench.ts";
import { faults } from "./faults.ts";

/** The faults of the classic chain in the lab's `faults` that are made here too. */
const classicExperiments = [
  "nagios-restart",
  "nagios-crash",
  "relay-down",
  "relay-crash",
  "relay-tempfail",
  "sendmail-crash",
];

const usage = `npm run chaos [-- [--runs N] [--only NAME,...] [--classic]]

Breaks the bridge, its relay, its disk, its clock and a real Nagios again and
again, with a real Postfix, and compares what was accepted with what arrived.
One table tells it, beside what the lab measured of the classic chain (second
copies/lost). Needs root, test/lab/setup, and faketime.

  --runs N     so often each, instead of as often as follows
  --only NAME  these alone
  --classic    measures the classic chain first, and keeps its figures; --only then
               also takes ${classicExperiments.slice(0, 3).join(", ")},
               ${classicExperiments.slice(3).join(", ")}

${faults.map(({ name, title, runs }) => `  ${name.padEnd(16)}${String(runs).padStart(3)}  ${title}`).join("\n")}

Exits with 0; 1 if anything was lost, or mailed twice where it must not be;
2 after wrong use; 3 if it could not be found out.`;

const classicFile = new URL("./classic.json", import.meta.url);
type Classic = { alerts: number; experiments: Record<string, { twice: number; lost: number }> };
const readClassic = (): Classic => JSON.parse(readFileSync(classicFile, "utf8"));

const alerts = 500;
/** Lets the lab break the classic chain, and keeps what it says of each experiment. */
const measureClassic = async (wanted: (name: string) => boolean): Promise<void> => {
  for (const name of classicExperiments.filter(wanted)) {
    // Above a load of 12 Sendmail takes no connection, and a storm that is just over has left as much.
    await until("a load below 6", 600, () => (loadavg()[0] ?? 0) < 6);
    const { experiments } = readClassic();
    const folder = mkdtempSync("/tmp/hardstate-classic-");
    const { stdout } = await promisify(execFile)(
      labScript("faults"),
      [name, "-n", String(alerts), "-s", folder],
      { timeout: 900_000 },
    ).finally(() => rmSync(folder, { recursive: true }));
    for (const [line, title = "", lost, twice] of stdout.matchAll(
      /^(\S.*?) +\d+ alerts, +\d+ different, +(\d+) missing, +(\d+) duplicates.*$/gm,
    )) {
      complain(line);
      experiments[title] = { twice: Number(twice), lost: Number(lost) };
    }
    writeFileSync(classicFile, `${JSON.stringify({ alerts, experiments }, undefined, 2)}\n`);
  }
};

const columns = [
  ["fault", 34],
  ["runs", 4],
  ["accepted", 8],
  ["mailed", 6],
  ["twice", 5],
  ["lost", 4],
  ["classic", 7],
] as const;
const row = (cells: readonly (string | number)[]): string =>
  cells
    .map((cell, index) => {
      const [, width = 0] = columns[index] ?? [];
      return index === 0 ? String(cell).padEnd(width) : String(cell).padStart(width);
    })
    .join("  ")
    .trimEnd();

/** A fault's line of the table: sums over its runs, and the slowest. */
const lineOf = ({ title, classic }: Fault, runs: readonly Figures[], known: Classic): string => {
  const sum = (of: (figures: Figures) => number) => runs.reduce((total, figures) => total + of(figures), 0);
  const seconds = Math.max(...runs.map((figures) => figures.seconds ?? 0));
  const beside = classic === undefined ? undefined : known.experiments[classic];
  return row([
    title,
    runs.length,
    sum(({ accepted }) => accepted),
    sum(({ mailed }) => mailed),
    sum(({ twice }) => twice),
    sum(({ lost }) => lost),
    beside ? `${beside.twice}/${beside.lost}` : "",
    seconds > 0 ? `well ${seconds} s later` : "",
  ]);
};

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      runs: { type: "string" },
      only: { type: "string" },
      classic: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    say(usage);
    return 0;
  }
  const { runs, only } = values;
  const names = only?.split(",");
  const known = [...faults.map(({ name }) => name), ...(values.classic ? classicExperiments : [])];
  if ((runs && !/^[1-9]\d{0,3}$/.test(runs)) || names?.some((name) => !known.includes(name)))
    throw new WrongUse("--runs needs a number, --only names of faults: see --help");
  const wanted = (name: string) => !names || names.includes(name);
  if (values.classic) await measureClassic(wanted);
  const lines: string[] = [];
  const bad: string[] = [];
  const lab = openLab();
  try {
    const relay = await startRelay(lab);
    const bench = { lab, relay, settings: bridgeSettings(lab, relay, 22_000) };
    for (const fault of faults.filter(({ name }) => wanted(name))) {
      const figures: Figures[] = [];
      for (let index = 0; index < Number(runs ?? fault.runs); index++) {
        const came = await fault.run(bench, index);
        figures.push(came);
        complain(`${fault.name} ${index + 1}: ${JSON.stringify(came)}`);
        const faulty = [...(came.lost > 0 ? [`${came.lost} lost`] : []), ...came.wrong];
        if (faulty.length > 0) bad.push(`${fault.name} ${index + 1}: ${faulty.join("; ")}`);
      }
      lines.push(lineOf(fault, figures, readClassic()));
    }
  } finally {
    await lab.stop();
  }
  say([row(columns.map(([name]) => name)), ...lines].join("\n"));
  for (const words of bad) say(paragraph("BAD ", words));
  return bad.length > 0 ? 1 : 0;
};

try {
  process.exitCode = await main();
} catch (error) {
  const { code, message, stack } = error as NodeJS.ErrnoException;
  const wrongUse = error instanceof WrongUse || String(code).startsWith("ERR_PARSE_ARGS");
  complain(wrongUse ? message : (stack ?? message));
  process.exitCode = wrongUse ? 2 : 3;
}

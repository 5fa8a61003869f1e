#!/usr/bin/env node
import { parseArgs } from "node:util";
import { complain, say } from "../../functions/report/log.ts";
import { backupCommand } from "./backup.ts";
import { ask, asking, askingOptions, bridgeOf } from "./bridge.ts";
import { canary } from "./canary.ts";
import { check } from "./check.ts";
import { type Command, NotFoundOut, type Status, WrongUse } from "./command.ts";
import { doctor } from "./doctor.ts";
import { importCommand } from "./import.ts";
import { replayCommand } from "./replay.ts";

const idForm = /^[A-Za-z0-9._-]{8,80}$/;

/** Statuses of alerts that were to be mailed and were not. */
const failures: readonly string[] = ["rejected", "refused", "dead"];
type Story = { status: string; story?: string[]; detail?: string; digest?: string };
const linesOf = ({ status, story, detail }: Story): string[] => story ?? [`${status}: ${detail}`];

const explain: Command = {
  summary: "tells what became of an alert, and why",
  usage: `usage: hardstate explain ID [--json] [--url URL] [--token-file FILE]

Tells what became of the alert of this id, and why. Ids are in the answer to a
post, in the log, and in the last line of each mail.

${asking}

exit status: 0 all is well  1 the alert was rejected, refused or given up
             2 wrong use  3 there is no such alert, or the bridge cannot be
             asked`,
  options: askingOptions,
  run: async ([id, ...more], values) => {
    if (id === undefined || more.length > 0) throw new WrongUse("explain needs one ID");
    if (!idForm.test(id)) throw new WrongUse("an ID is 8 or more letters, digits, . _ -");
    const [answer] = await ask(values, `/v1/alerts/${id}`, {}, "first");
    if (!answer) throw new NotFoundOut(`There is no alert ${id} at ${bridgeOf(values)}.`);
    const story = (await answer.json()) as Story;
    if (values.json) say(JSON.stringify(story));
    else for (const line of linesOf(story)) say(line);
    const [digest] = story.digest ? await ask(values, `/v1/alerts/${story.digest}`, {}, "first") : [];
    if (!digest) return failures.includes(story.status) ? 1 : 0;
    const whole = (await digest.json()) as Story;
    if (!values.json) say(`\nThe digest ${story.digest}:`);
    if (!values.json) for (const line of linesOf(whole)) say(line);
    return failures.includes(whole.status) ? 1 : 0;
  },
};

type Letter = { id?: string; object?: string; contact?: string; reason: string; dead: number };

/** A dead letter in two lines. */
const letterWords = ({ id, object, contact, reason, dead }: Letter): string =>
  `${id ?? "(no alert)"}  ${object ? `${object} for ${contact}, ` : ""}${new Date(dead).toISOString().slice(0, 19)}Z\n  ${reason}`;

const redrive: Command = {
  summary: "lists dead letters, and puts them back on the queue",
  usage: `usage: hardstate redrive [ID | --all] [--json] [--url URL] [--token-file FILE]

Alone it lists the dead letters: alerts that a relay refused, or that were given
up. With an ID or --all it puts that one or all of them back on the queue, where
they are decided anew.

${asking}

exit status: 0 there are none, or they were put back  1 there are some
             2 wrong use  3 there is no such dead letter, or the bridge cannot
             be asked`,
  options: { all: { type: "boolean" }, ...askingOptions },
  run: async ([id, ...more], values) => {
    if (more.length > 0 || (id !== undefined && values.all))
      throw new WrongUse("redrive needs one ID, or --all, or nothing");
    if (id !== undefined && !idForm.test(id)) throw new WrongUse("an ID is 8 or more letters, digits, . _ -");
    if (id === undefined && !values.all) {
      const answers = await ask(values, "/v1/queue", {}, "all");
      const lists = (await Promise.all(answers.map((answer) => answer.json()))) as {
        dead_letters: Letter[];
      }[];
      // What is no alert is in every site's list.
      const all = lists.flatMap(({ dead_letters }) => dead_letters);
      const letters = [...new Map(all.map((letter) => [JSON.stringify(letter), letter])).values()];
      if (values.json) say(JSON.stringify({ dead_letters: letters }));
      else if (letters.length === 0) say("There are no dead letters.");
      else for (const letter of letters) say(letterWords(letter));
      return letters.length === 0 ? 0 : 1;
    }
    const order = { method: "POST", body: JSON.stringify({ id }) };
    const answers = await ask(values, "/v1/dead-letters/redrive", order, "all");
    const counts = (await Promise.all(answers.map((answer) => answer.json()))) as { redriven: number }[];
    const count = counts.reduce((sum, { redriven }) => sum + redriven, 0);
    if (id !== undefined && count === 0)
      throw new NotFoundOut(`There is no dead letter ${id} at ${bridgeOf(values)}.`);
    if (values.json) say(JSON.stringify({ redriven: count }));
    else say(`${count} put back. What becomes of ${count === 1 ? "it" : "them"}: hardstate explain ID`);
    return 0;
  },
};

const serve: Command = {
  summary: "starts the bridge, as npm start does",
  usage: `usage: hardstate serve

Starts the bridge by the settings of the environment; without any it is a trial,
and says how to try it. SIGTERM or Ctrl-C ends it, and what waits is on disk.

exit status: 0 it was told to end  2 a setting is wrong  3 it cannot start`,
  options: {},
  run: async (words) => {
    if (words.length > 0) throw new WrongUse("serve needs no words");
    await import("../../functions/runtime/node.ts");
    return 0;
  },
};

const commands = new Map<string, Command>([
  ["backup", backupCommand],
  ["canary", canary],
  ["check", check],
  ["doctor", doctor],
  ["explain", explain],
  ["import", importCommand],
  ["redrive", redrive],
  ["replay", replayCommand],
  ["serve", serve],
]);

const usage = `usage: hardstate COMMAND [--help]

${[...commands].map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`).join("\n")}

To begin: hardstate serve, and do what it says. Why did I get no mail?
hardstate explain ID, and if the relay is the reason, hardstate doctor.`;

/** Runs one command line. */
const main = async ([name, ...rest]: string[]): Promise<Status> => {
  const command = commands.get(name ?? "");
  if (name === "--help" || name === "-h" || name === "help") {
    say(usage);
    return 0;
  }
  if (!command) {
    if (name !== undefined) complain(`hardstate: there is no command ${name}\n`);
    complain(usage);
    return 2;
  }
  try {
    const { positionals, values } = parseArgs({
      args: rest,
      allowPositionals: true,
      options: { ...command.options, json: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help) {
      say(command.usage);
      return 0;
    }
    return await command.run(positionals, values);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof NotFoundOut) {
      complain(`hardstate ${name}: ${message}`);
      return 3;
    }
    if (!(error instanceof WrongUse) && !code?.startsWith("ERR_PARSE_ARGS")) throw error;
    complain(`hardstate ${name}: ${message.split(". To specify")[0]}\n\n${command.usage}`);
    return 2;
  }
};

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));

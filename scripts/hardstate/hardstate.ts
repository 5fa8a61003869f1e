#!/usr/bin/env node
import { parseArgs } from "node:util";
import { complain, say } from "../../functions/report/log.ts";
import hardstate from "../../package.json" with { type: "json" };
import { backupCommand } from "./backup.ts";
import { canary } from "./canary.ts";
import { check } from "./check.ts";
import { type Command, NotFoundOut, type Status, WrongUse } from "./command.ts";
import { doctor } from "./doctor.ts";
import { explain } from "./explain.ts";
import { importCommand } from "./import.ts";
import { journal } from "./journal.ts";
import { redrive } from "./redrive.ts";
import { replayCommand } from "./replay.ts";
import { serve } from "./serve.ts";

const commands = new Map<string, Command>([
  ["backup", backupCommand],
  ["canary", canary],
  ["check", check],
  ["doctor", doctor],
  ["explain", explain],
  ["import", importCommand],
  ["journal", journal],
  ["redrive", redrive],
  ["replay", replayCommand],
  ["serve", serve],
]);

const usage = `usage: hardstate COMMAND [--help]
       hardstate --version

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
  if (name === "--version" || name === "-V") {
    say(`hardstate ${hardstate.version}`);
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
    const [synopsis] = command.usage.split("\n\n");
    complain(
      `hardstate ${name}: ${message.split(". To specify")[0]}\n\n${synopsis}\nMore: hardstate ${name} --help`,
    );
    return 2;
  }
};

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));

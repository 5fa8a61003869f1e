import { readFileSync } from "node:fs";

/** 0 good, 1 the thing asked about is bad, 2 wrong use, 3 could not be found out. */
export type Status = 0 | 1 | 2 | 3;
/** The values of a command line's options. */
export type Values = Record<string, string | boolean | undefined>;
/** One of the commands of `hardstate`. */
export type Command = {
  summary: string;
  usage: string;
  options: Record<string, { type: "string" | "boolean" }>;
  run(words: string[], values: Values): Promise<Status>;
};

/** Wrong use: what is wrong, and where the right use is found. */
export class WrongUse extends Error {}
/** The command could not find out the answer. */
export class NotFoundOut extends Error {}

/** The text that an option was given. */
export const wordOf = (value: string | boolean | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;

/** The content of a file. `what` names it for a person. */
export const fileText = (path: string, what: string): string => {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new NotFoundOut(`${what} ${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
};

const columns = 80;

/** A paragraph behind `head` for a terminal of 80 columns: its other lines are indented as far. */
export const paragraph = (head: string, text: string): string => {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line === "") lines[lines.length - 1] = word;
    else if (head.length + line.length + 1 + word.length <= columns)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return head + lines.join(`\n${" ".repeat(head.length)}`);
};

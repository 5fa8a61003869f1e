import { Secret } from "../../../functions/secret.ts";
import { type Note, placeOf, visible } from "./findings.ts";

/** One setting of the file. */
export type DraftLine = {
  name: string;
  /** Undefined if a person has to fill it in. */
  value?: Secret;
  /** The text for people: the value without its secrets, or a line to begin with. */
  shown: string;
  /** The places it comes from. */
  from: string[];
  /** The part that a person has to fill in, or to add to the value. */
  expected: string[];
};

export type Draft = { lines: DraftLine[]; notes: Note[] };

/** A line that is complete and holds no secret. */
export const settled = (name: string, shown: string, from: string[]): DraftLine => {
  return { name, value: new Secret(shown), shown, from, expected: [] };
};

/** A line that a person has to fill in, with one to begin with. */
export const open = (name: string, shown: string, expected: string, from: string[] = []): DraftLine => {
  return { name, shown, from, expected: [expected] };
};

/** The parts that a person must still fill in. */
export const missingOf = ({ lines }: Draft): { setting: string; expected: string }[] =>
  lines.flatMap(({ name, expected }) => expected.map((one) => ({ setting: name, expected: one })));

// systemd takes a \ in double quotes for an escape and node does not; node ends the value at the first ". A value
// without both, in double quotes, is the same to both, whatever else is in it: $ and % stand for themselves.
const assignment = (name: string, value: string): string => `${name}="${value}"`;

/** One line, whatever is in it. Older systemd joins a comment that ends in a backslash with the next line. */
const comment = (text: string): string => `# ${visible(text.replaceAll("\\", "/"))}`;

const linesOf = ({ name, value, shown, expected }: DraftLine, reveal: boolean): string[] => [
  ...expected.map((one) => comment(`To be filled in: ${name} needs ${one}.`)),
  value ? assignment(name, reveal ? value.reveal() : shown) : comment(assignment(name, shown)),
];

/**
 * The settings as a file for systemd's EnvironmentFile= and node's --env-file. With `reveal` it holds the secrets;
 * without, it shows [redacted] in their place.
 */
export const environmentFile = ({ lines, notes }: Draft, files: string[], reveal: boolean): string => {
  const looked = notes
    .filter(({ sort }) => sort === "attention")
    .map((note) => comment(`${placeOf(note)}: ${note.what}: ${note.why}`));
  return `${[
    comment("Settings of Hardstate, for EnvironmentFile= of systemd and node --env-file."),
    comment(`Imported from ${files.join(", ")}.`),
    comment("It holds secrets: keep it at mode 0600."),
    "",
    ...lines.flatMap((one) => linesOf(one, reveal)),
    ...(looked.length > 0 ? ["", comment("To be looked at:"), ...looked] : []),
  ].join("\n")}\n`;
};

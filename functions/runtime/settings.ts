import { readFileSync } from "node:fs";
import type { Fault } from "../alert.ts";
import { settings as known } from "../config.ts";

/** The names and values that a process was given. */
export type Environment = Record<string, string | undefined>;

/** The environment with each HARDSTATE_NAME_FILE replaced by what its file holds. */
export const withFiles = (environment: Environment) => {
  const result: Environment = { ...environment };
  const faults: Fault[] = [];
  for (const { name } of known) {
    const path = environment[`${name}_FILE`];
    if (path === undefined) continue;
    delete result[`${name}_FILE`];
    if (environment[name] !== undefined)
      faults.push({ field: name, expected: `${name} or ${name}_FILE, not both` });
    try {
      result[name] = readFileSync(path, "utf8");
    } catch (error) {
      faults.push({
        field: `${name}_FILE`,
        expected: `a readable file (${(error as NodeJS.ErrnoException).code})`,
      });
    }
  }
  return { environment: result, faults };
};

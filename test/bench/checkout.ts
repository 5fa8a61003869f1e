import { existsSync } from "node:fs";
import { join } from "node:path";

/** Imports the first of these files that a checkout has: older ones have other rooms. */
export const importFrom = (checkout: string, ...paths: string[]): Promise<unknown> => {
  const found = paths.map((path) => join(checkout, path)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${checkout} has none of ${paths.join(", ")}`);
  return import(found);
};

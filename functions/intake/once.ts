import type { Fault } from "../alert.ts";
import { isNaming, resolved } from "./monitors.ts";

const once = (field: string): Fault => ({ field, expected: "a field that is given once" });

/** Other fields are not read: it does not matter if a plugin's output with an unescaped & makes two of them. */
const isRead = (name: string): boolean => /^(monitor|(NAGIOS_)?_?[A-Z][A-Z0-9_]*)$/.test(name);

/**
 * The macros that a form has twice. An unescaped & in a comment begins a new field, which must not replace the monitor's
 * own. A macro that `isNaming` also counts as given twice if the form has another value for it under NAGIOS_.
 */
export const repeatedFields = (form: URLSearchParams): Fault[] => {
  const differs = (name: string): boolean => {
    const other = form.get(`NAGIOS_${name}`);
    return other !== null && isNaming(name) && resolved(other) !== resolved(form.get(name));
  };
  const counts = Map.groupBy(form.keys(), (name) => name);
  return [...counts]
    .filter(([name, all]) => isRead(name) && (all.length > 1 || differs(name)))
    .map(([name]) => once(name));
};

// Strings (with a colon if they are names), brackets, braces and commas.
const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[[\]{},]/g;

/**
 * The names that an object in this JSON has twice, by the number of the item in the list; 0 if the JSON is not a list.
 * JSON.parse takes the last one, so a text that a script did not escape could replace a field.
 */
export const repeatedNames = (json: string): Map<number, Fault[]> => {
  const found = new Map<number, Set<string>>();
  /** The names of each object that is open; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  let item = 0;
  for (const [token, colon] of json.matchAll(tokens)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (token === ",") item += open.length === 1 && !open[0] ? 1 : 0;
    else if (colon !== undefined) {
      const [names, name] = [open.at(-1), JSON.parse(token.slice(0, -colon.length)) as string];
      if (names?.has(name)) found.set(item, (found.get(item) ?? new Set()).add(name));
      names?.add(name);
    }
  }
  return new Map([...found].map(([item, names]) => [item, [...names].map(once)]));
};

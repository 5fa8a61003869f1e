import type { Fault } from "../alert.ts";
import { fromMacros, type Macros } from "./monitors.ts";
import { repeatedFields, repeatedNames } from "./once.ts";

/** One item of a post, and the faults of its form. */
export type Item = { input?: unknown; faults: Fault[] };

/**
 * Whether JSON.stringify writes a value as this text: then no name was lost when it was read. To look for names given
 * twice takes a tenth of a post's time.
 */
const isWritten = (value: unknown, text: string): boolean => {
  try {
    return JSON.stringify(value) === text;
  } catch {
    // JSON.parse takes a value of any depth, and JSON.stringify does not.
    return false;
  }
};

/** The value of a text in JSON, and the names that it has twice; undefined if it is not JSON. */
const parseJson = (text: string): { value: unknown; repeated: Map<number, Fault[]> } | undefined => {
  try {
    const value = JSON.parse(text);
    return { value, repeated: isWritten(value, text) ? new Map() : repeatedNames(text) };
  } catch {
    return undefined;
  }
};

const jsonItem = (text: string): Item | undefined => {
  const json = parseJson(text);
  return json && { input: json.value, faults: [...json.repeated.values()].flat() };
};

export const parseOne = (text: string): Item =>
  jsonItem(text) ?? { faults: [{ field: "alert", expected: "JSON" }] };

const parseForm = (text: string, read: (fields: Macros) => unknown): Item => {
  const form = new URLSearchParams(text);
  return { input: read(Object.fromEntries(form)), faults: repeatedFields(form) };
};

/** One object, in JSON or as a form. */
export const parseObject = (text: string): Item => jsonItem(text) ?? parseForm(text, (fields) => fields);

export const formPost = "application/x-www-form-urlencoded";

const readers: Record<string, (text: string) => Item[] | undefined> = {
  "application/json": (text) => {
    const json = parseJson(text);
    const values = json && (Array.isArray(json.value) ? json.value : [json.value]);
    return values?.map((input, index) => ({ input, faults: json?.repeated.get(index) ?? [] }));
  },
  "application/x-ndjson": (text) =>
    text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map(parseOne),
  [formPost]: (text) => [parseForm(text, fromMacros)],
};
export const forms = Object.keys(readers);

/** The items of a body in one of `forms`; undefined if it cannot be read as a whole. */
export const itemsOf = (form: string, text: string): Item[] | undefined => readers[form]?.(text);

export const idOf = ({ input }: Item): string | undefined => {
  const id = typeof input === "object" && input && "id" in input ? input.id : 0;
  return typeof id === "string" && /^[A-Za-z0-9._-]{8,64}$/.test(id) ? id : undefined;
};

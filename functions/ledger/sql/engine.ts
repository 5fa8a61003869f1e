import type { Entry } from "../../decide/entry.ts";
import { readEntry } from "../read-entry.ts";

export type Value = string | number | null;

export type Row = Record<string, unknown>;

/** A whole statement, or the parts of a template between its values. */
export type Statement = string | readonly string[];

export const textOf = (statement: Statement): string => [statement].flat().join("?");

/** The functions of node:sqlite and of a Durable Object's storage. All calls but `together` are synchronous. */
export type SqlEngine = {
  exec(script: string): void;
  all(statement: Statement, ...values: Value[]): Row[];
  /** The number of rows changed. */
  run(statement: Statement, ...values: Value[]): number;
  /** All or nothing; resolves to what `work` returned. */
  transaction<T>(work: () => T): T;
  /** The same, soon and in one commit with others, where a commit takes long. */
  together?<T>(work: () => T): Promise<T>;
};

export const parse = <T>(row: Row): T => JSON.parse(String(row.body)) as T;

export const entryOf = (row: Row): Entry => readEntry(parse(row), Number(row.revision));

/** A document of a row with its revision. */
export const noteOf = <T extends { revision: number }>(row: Row): T => ({
  ...parse<T>(row),
  revision: Number(row.revision),
});

export const placeOf = ({ host, service }: Row) => ({
  host: String(host),
  service: service === null ? null : String(service),
});

import { meaning } from "../../functions/decide/rows.ts";
import { paragraph } from "../../scripts/hardstate/command.ts";
import type { Played } from "./play.ts";

/** Counts what happened in histories: one in which nothing does proves nothing. */
export const coverage = () => {
  const counts = new Map<string, Map<string, number>>();
  const count = (group: string, what: string, number = 1) => {
    const of = counts.get(group) ?? new Map<string, number>();
    counts.set(group, of.set(what, (of.get(what) ?? 0) + number));
  };
  return {
    add: ({ records, copies, posts, faults, counts: others, milliseconds }: Played) => {
      count("in all", "histories");
      count("in all", "alerts answered 202", posts.size);
      count("in all", "mails taken by a relay", copies.length);
      const mails = new Set(copies.map(({ mail }) => mail.messageId)).size;
      count("in all", "second copies", copies.length - mails);
      count("in all", "faults", faults.size);
      count("in all", "virtual hours", milliseconds / 3_600_000);
      for (const [what, number] of others)
        count(what.startsWith("relay ") ? "relays" : "in all", what.replace(/^relay /, ""), number);
      for (const [call, { kind }] of faults) count("faults", `${kind}, ${call.split(" ", 1)[0]}`);
      for (const { ending, verdict, holds, members } of records) {
        count("endings", ending?.as ?? "covered");
        if (members) count("in all", "digests");
        const rows = [verdict?.row, ...holds.map(({ row }) => row)].filter((row) => row !== undefined);
        for (const row of new Set(rows)) count("rows", row);
      }
    },
    /** How often something happened in all. */
    total: (what: string): number => counts.get("in all")?.get(what) ?? 0,
    /** The counts, for a terminal; rows that were never reached are named. */
    table: (): string[] => {
      const lines = [...counts].map(([group, of]) => {
        const sorted = [...of].toSorted(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
        const words = sorted.map(([what, number]) => `${what}: ${Math.round(number)}`).join("; ");
        return paragraph(`${group.padEnd(8)} `, words);
      });
      const missing = Object.keys(meaning).filter((row) => !counts.get("rows")?.has(row));
      return [...lines, paragraph("no row   ", missing.join(" ") || "none was missed")];
    },
  };
};

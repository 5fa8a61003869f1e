import type { Ledger } from "./ledger.ts";
import type { SqlEngine } from "./sql/engine.ts";
import { entriesIn } from "./sql/entries.ts";
import { journalIn } from "./sql/journal.ts";
import { notesIn } from "./sql/notes.ts";
import { schema } from "./sql/schema.ts";

/** The ledger in SQL: an entry and its alerts' journal records change together, or not at all. */
export const sqlLedger = (engine: SqlEngine): Ledger => {
  // At once, for another process may write meanwhile.
  engine.transaction(() => engine.exec(schema));
  return {
    ...entriesIn(engine),
    ...journalIn(engine),
    ...notesIn(engine),
    ready: async () => {
      engine.transaction(() => {});
    },
  };
};

import { writeFileSync } from "node:fs";
import { meaning, type Row } from "../functions/decide/rows.ts";
import type { Event } from "../functions/report/event.ts";
import { player, readScenarios } from "../test/scenarios/scenarios.ts";

const files = ["scenarios", "swallowed", "rows"].map((name) => `test/scenarios/${name}.yaml`);

/** The result of an alert by a row, from the events of the bridge. */
const resultOf = (event: Event): [Row, string] | undefined => {
  if (event.event === "held") return [event.row, "waits"];
  if (event.event !== "ended") return undefined;
  return [
    event.row,
    event.ending === "mailed" ? "mail" : event.ending === "digested" ? "in a digest" : "no mail",
  ];
};

/** Plays every scenario on the bridge; resolves to the results of each row and the scenarios in which they came. */
const played = async () => {
  const rows = new Map<Row, { results: Set<string>; scenarios: Set<string> }>();
  let scenario = "";
  const play = player((event) => {
    const [row, result] = resultOf(event) ?? [];
    if (!row || !result) return;
    const known = rows.get(row) ?? { results: new Set(), scenarios: new Set() };
    known.results.add(result);
    known.scenarios.add(scenario);
    rows.set(row, known);
  });
  for (const path of files) {
    const file = readScenarios(path);
    for (const each of file.scenarios) {
      scenario = each.id;
      await play(each, file);
    }
  }
  return rows;
};

/** Rules that hold for all rows, and so are no rows of a verdict. */
const rules = `- **R40** A cluster is one monitor: an Icinga zone or a Checkmk site. A second notification of it is R0.
- **R41** Times of two monitors are never compared. A wrong clock neither reorders nor drops an alert.
- **R42** An empty ledger knows nothing: a problem is R1, a recovery R26. One mail too many is better than silence.
- **R43** If a relay may have a mail and did not say so, the contact counts as told: the recovery is mailed.
- **R44** A problem of which the bridge hears nothing for 30 days ends without a mail.`;

/** docs/decision-table.md: each row, its meaning, and what the scenarios of the repository made of it. */
export const decisionTable = async (): Promise<string> => {
  const rows = await played();
  const lines = Object.entries(meaning).map(([row, words]) => {
    const { results = new Set(), scenarios = new Set() } = rows.get(row as Row) ?? {};
    const shown = [...scenarios].slice(0, 4).join(", ") + (scenarios.size > 4 ? ", …" : "");
    // Scenarios have no burst.
    if (row === "R46") return `| ${row} | ${words} | mail | test/pipeline/storm.test.ts |`;
    return `| ${row} | ${words} | ${[...results].sort().join(", ")} | ${shown} |`;
  });
  return `# The decision table

Every alert is decided by one row of this table, for each contact by itself. The log, \`hardstate explain\`, the console
and the header \`X-Hardstate-Reason\` of each mail name the row.

This file is made by \`npm run docs\` from \`functions/decide/rows.ts\` and from the scenarios in \`test/scenarios/\`: the
script plays them on the bridge and notes the rows that it meets. A test keeps the file equal to that.

| row | the bridge found | result | scenarios |
| --- | --- | --- | --- |
${lines.join("\n")}

A result of "waits" comes with a second decision when the wait is over. "In a digest" is the result of rows that make a
mail when \`HARDSTATE_BURST\` is reached.

## Rules for all rows

${rules}
`;
};

if (import.meta.main) writeFileSync("docs/decision-table.md", await decisionTable());

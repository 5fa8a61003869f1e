import { openFilled, openFolder } from "./filled.ts";
import { alternate, type Bench, type Figure, mediansOf, progress } from "./rounds.ts";

type Filled = Awaited<ReturnType<typeof openFilled>>;
const steps: [what: string, times: number, (bridge: Filled) => (times: number) => Promise<number>][] = [
  ["a decision that suppresses", 200, ({ suppressed }) => suppressed],
  ["a decision that mails, its contact's count and the settlement", 200, ({ mailed }) => mailed],
  ["GET /v1/problems", 20, ({ get }) => get("/v1/problems")],
  ["GET /v1/journal", 20, ({ get }) => get("/v1/journal")],
  ["GET /v1/status", 20, ({ get }) => get("/v1/status")],
  ["a sweep with nothing due", 200, ({ idleSweep }) => idleSweep],
  ["a sweep with 100 alerts due", 1, ({ busySweep }) => busySweep],
];

/** The cost of a large ledger. */
export const bench: Bench = {
  summary: "a SQLite ledger with 1,000,000 episodes beside one with 1,000",
  about:
    `Fills two ledgers with episodes of as many services, half of them open, with what decisions, claims and
settlements write; some minutes, and 4 GB in the folder for temporary files, kept there with --keep. Then measures, in
turns, through the pipeline, intake and the sweep. --quick: 20,000 episodes.`.replaceAll("\n", " "),
  run: async ({ rounds, quick, keep }) => {
    const sizes = { large: quick ? 20_000 : 1_000_000, small: 1000 };
    const folder = openFolder(keep);
    const bridges = {
      large: await openFilled(folder.path, sizes.large),
      small: await openFilled(folder.path, sizes.small),
    };
    const figures: Figure[] = [];
    for (const [what, times, step] of steps) {
      progress(`  ${what}`);
      const { large, small } = mediansOf(
        await alternate(rounds, {
          large: () => step(bridges.large)(times),
          small: () => step(bridges.small)(times),
        }),
      );
      figures.push({
        what: `SQLite, ${sizes.large.toLocaleString("en-US")} episodes: ${what}`,
        ours: large,
        unit: "ms",
        beside: { name: `${sizes.small.toLocaleString("en-US")} episodes`, value: small },
        target: { atMost: 1.3 },
      });
    }
    for (const bridge of Object.values(bridges)) bridge.close();
    folder.end();
    return figures;
  },
};

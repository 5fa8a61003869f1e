import type { PlayedMail, player as Player } from "../scenarios/scenarios.ts";
import type { History } from "./history.ts";
import { judge, type Violation } from "./judge.ts";
import { head, scenarioOf } from "./scenario.ts";

/** Plays histories on the bridge, as it is or with a planted fault, and judges their mails. */
export const oracle = async (plant?: string) => {
  const query = plant === undefined ? "" : `?plant=${plant}`;
  const { player } = (await import(`../scenarios/scenarios.ts${query}`)) as { player: typeof Player };
  const play = player();
  return async (history: History): Promise<{ mails: PlayedMail[]; violations: Violation[] }> => {
    const mails = await play(scenarioOf(history), { ...head, scenarios: [] });
    return { mails, violations: judge(history, mails) };
  };
};

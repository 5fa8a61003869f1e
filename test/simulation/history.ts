import { defaultPolicy } from "../../functions/decide/policy.ts";
import type { History as Monitored } from "../oracle/history.ts";
import { modes, history as monitored } from "../oracle/modes.ts";
import { draws } from "./draws.ts";
import { type Answer, answers } from "./network.ts";

/**
 * Events besides the monitors' notifications of problems, at a second of the history: at a relay; by a stranger,
 * who may not be mailed to; by an operator's hand; a note about an object; and a command that Nagios runs again without
 * its environment, so that a poor copy follows the post of a problem. `key` names it for whatever is drawn about it.
 */
export type Action = { key: number; at: number } & (
  | { do: "relay"; route: number; answer: Answer }
  | { do: "stranger" }
  | { do: "redrive" }
  | { do: "note"; type: (typeof notes)[number] }
  | { do: "poor"; serial: number }
);

/** Notifications that change nothing of what is known of a problem; SOFT is a problem that is not HARD yet. */
const notes = ["CUSTOM", "DOWNTIMESTART", "DOWNTIMEEND", "FLAPPINGSTART", "FLAPPINGSTOP", "SOFT"] as const;

/** One history: all that happens in it follows from this. */
export type History = {
  seed: number;
  /** The posts of the oracle's simulated cores, and the truth behind them. */
  monitored: Monitored;
  /** Recoveries in whose place FLAPPINGSTOP with a good state comes: the core before 4.5.6 sends no other end. */
  flapEnds: number[];
  actions: Action[];
  workers: number;
  loops: number;
  routes: number;
  connections: number;
  rate?: { most: number; milliseconds: number };
  /** How likely any call goes wrong. */
  faultRate: number;
  /** How far the clocks of processes may be off. */
  skewMilliseconds: number;
  burst?: { most: number; milliseconds: number };
  noteBurst: { most: number; milliseconds: number };
  renotifyAfterSeconds?: number;
  giveUpAfterSeconds: number;
  redriveAtEnd: boolean;
  /** For a failing history that is made smaller: calls that go well after all, and whether all take equally long. */
  spared: string[];
  even: boolean;
};

/** The history of a seed. */
export const historyOf = (seed: number): History => {
  const draw = draws(seed, "history");
  const found = monitored(draw.of(Object.keys(modes)), seed);
  if (draw.chance(0.3)) {
    for (const post of found.posts) {
      const late = draw.of([0, 0, 0, 0, 1, 2, 15, 90, 200]);
      post.t += late;
      if (post.sent !== undefined) post.sent += late;
    }
    found.posts.sort((a, b) => a.t - b.t);
  }
  const isAlone = new Set(found.reals.map(({ monitor }) => monitor)).size === 1;
  const isPlain = found.posts.every(
    ({ notice }) => notice.macros.ep !== undefined && notice.ps === found.posts[0]?.notice.ps,
  );
  const ends = found.posts.filter(({ notice }) => notice.type === "RECOVERY");
  const flapEnds = draw.chance(0.15) && isAlone && isPlain ? ends.map(({ notice }) => notice.serial) : [];
  // It is told to everyone who knows of the problem (R37), as the end of an escalated one.
  for (const { notice } of found.posts) if (flapEnds.includes(notice.serial)) notice.escalated = true;
  const routes = draw.of([1, 1, 2]);
  const actions: Action[] = [];
  let key = 0;
  /** A time when something is going on. */
  const eventful = () =>
    Math.max(1, (found.posts.length > 0 ? draw.of(found.posts).t : 600) + draw.between(-90, 60));
  const happens = (share: number, most: number, of: () => void) => {
    if (draw.chance(share)) for (let count = draw.between(1, most + 1); count > 0; count--) of();
  };
  happens(0.5, 4, () => {
    const [at, route] = [eventful(), draw.between(0, routes)];
    const until = at + draw.of([20, 45, 200, 1200, 4000, 20_000]);
    actions.push({ key: key++, at, do: "relay", route, answer: draw.of(answers) });
    actions.push({ key: key++, at: until, do: "relay", route, answer: "accepted" });
  });
  for (const { from, to } of found.relayAway)
    for (let route = 0; route < routes; route++) {
      actions.push({ key: key++, at: from, do: "relay", route, answer: "away" });
      actions.push({ key: key++, at: to, do: "relay", route, answer: "accepted" });
    }
  happens(0.2, 2, () => actions.push({ key: key++, at: eventful(), do: "redrive" }));
  happens(0.1, 2, () => actions.push({ key: key++, at: eventful(), do: "stranger" }));
  happens(0.15, 3, () => {
    const problems = found.posts.filter(({ notice }) => notice.type === "PROBLEM");
    if (problems.length === 0) return;
    const { t, notice } = draw.of(problems);
    actions.push({ key: key++, at: t + 3, do: "poor", serial: notice.serial });
  });
  happens(0.3, 3, () => actions.push({ key: key++, at: eventful(), do: "note", type: draw.of(notes) }));
  return {
    seed,
    monitored: found,
    flapEnds,
    actions: actions.sort((a, b) => a.at - b.at || a.key - b.key),
    workers: draw.of([1, 2, 2, 3]),
    loops: draw.of([1, 2]),
    routes,
    connections: draw.of([1, 3]),
    rate: draw.chance(0.1) ? { most: 2, milliseconds: 60_000 } : undefined,
    faultRate: draw.of([0, 0.01, 0.02, 0.05, 0.1]),
    skewMilliseconds: draw.of([0, 0, 0, 2_000]),
    burst: draw.chance(0.4) ? { most: draw.between(1, 4), milliseconds: 60_000 } : undefined,
    renotifyAfterSeconds: draw.chance(0.1) ? 300 : undefined,
    giveUpAfterSeconds: draw.of([900, 172_800, 172_800]),
    redriveAtEnd: draw.chance(0.5),
    noteBurst: draw.chance(0.3) ? { most: 1, milliseconds: 600_000 } : defaultPolicy.noteBurst,
    spared: [],
    even: false,
  };
};

import { type Contact, contacts, type MonitorAction, objects } from "../ledger/monitors.ts";
import { draws } from "./draws.ts";
import { type Answer, answers } from "./network.ts";

/** What happens besides the monitors: at a relay, by a stranger who may not be mailed to, and by an operator's hand. */
export type OtherAction =
  | { do: "relay"; route: number; answer: Answer }
  | { do: "stranger" }
  | { do: "redrive" };
/** `key` names it for whatever is drawn about it. */
export type Action = (MonitorAction | OtherAction) & { key: number };

/** One history: all that happens in it follows from this. */
export type History = {
  seed: number;
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
  const to = (): Contact[] => {
    const some = contacts.filter(() => draw.chance(0.5));
    return draw.chance(0.5) || some.length === 0 ? [...contacts] : some;
  };
  const routes = draw.of([1, 1, 2]);
  const volatile = draw.chance(0.08);
  const relayTrouble = draw.chance(0.5);
  const monitor = () => draw.of(["A", "A", "B"] as const);
  const kinds = [
    ..."sssssssss",
    ..."aa",
    ..."tt",
    "r",
    ..."ppppppp",
    ...(relayTrouble ? "RRRo" : ""),
    ...(draw.chance(0.2) ? "x" : ""),
  ];
  const actionOf = (key: number): Action => {
    switch (draw.of(kinds)) {
      case "s":
        return {
          key,
          do: "state",
          monitor: monitor(),
          object: draw.of(objects),
          bad: draw.of([0, 0, 1, 2] as const),
          to: to(),
          escalated: draw.chance(0.15),
          ...(volatile && { volatile: true }),
        };
      case "a":
        return { key, do: "again", monitor: monitor(), object: draw.of(objects), to: to() };
      case "t": {
        const soft = draw.chance(0.1);
        const types = [
          "ACKNOWLEDGEMENT",
          "FLAPPINGSTART",
          "FLAPPINGSTOP",
          "FLAPPINGSTOP",
          "CUSTOM",
          "DOWNTIMESTART",
          "DOWNTIMEEND",
        ];
        const type = soft ? "PROBLEM" : draw.of(types);
        return { key, do: "tell", monitor: monitor(), object: draw.of(objects), type, to: to(), soft };
      }
      case "r":
        return { key, do: "restart", monitor: monitor(), forgetful: draw.chance(0.5) };
      case "R": {
        const answer = draw.chance(0.4) ? "accepted" : draw.of(answers);
        return { key, do: "relay", route: draw.between(0, routes), answer };
      }
      case "o":
        return { key, do: "redrive" };
      case "x":
        return { key, do: "stranger" };
      default:
        return { key, do: "pass", seconds: draw.of([1, 5, 20, 40, 70, 130, 320, 700, 4000]) };
    }
  };
  const actions = Array.from({ length: draw.between(3, 18) }, (_, key) => actionOf(key));
  return {
    seed,
    actions,
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
    spared: [],
    even: false,
  };
};

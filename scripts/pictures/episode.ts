import type { Row } from "../../functions/decide/rows.ts";
import { world } from "../../test/world/world.ts";
import { panel, text } from "./svg.ts";

type Step = { minute: number; monitor: "nagios1" | "nagios2"; type: "PROBLEM" | "RECOVERY"; word: string };
/** The result of the alert of one step. */
type Played = Step & { result: "mail" | "waits" | "no mail"; row: Row };

const steps: readonly Step[] = [
  { minute: 0, monitor: "nagios1", type: "PROBLEM", word: "problem" },
  { minute: 1, monitor: "nagios2", type: "PROBLEM", word: "problem" },
  { minute: 30, monitor: "nagios1", type: "PROBLEM", word: "repeated" },
  { minute: 31, monitor: "nagios2", type: "PROBLEM", word: "repeated" },
  { minute: 60, monitor: "nagios1", type: "PROBLEM", word: "repeated" },
  { minute: 75, monitor: "nagios1", type: "RECOVERY", word: "recovery" },
  { minute: 76, monitor: "nagios2", type: "RECOVERY", word: "recovery" },
];
const begin = Date.UTC(2026, 10, 25, 2, 10);
const timeOf = ({ minute }: Step): string => new Date(begin + minute * 60_000).toISOString().slice(11, 16);

/** Plays the steps on the bridge, and keeps what it first decided about each alert. */
const played = async (): Promise<Played[]> => {
  const { bridge, events, passTo, tell } = world({ begin });
  const found: Played[] = [];
  for (const step of steps) {
    const { minute, monitor, type } = step;
    await passTo(minute * 60);
    const before = events.length;
    const state = type === "PROBLEM" ? "CRITICAL" : "OK";
    await tell(type, { host: "web01", service: "HTTP" }, state, { monitor: { id: monitor, start: 1 } });
    const decided = events.slice(before).find(({ event }) => event === "held" || event === "ended");
    if (decided?.event === "held") found.push({ ...step, result: "waits", row: decided.row });
    else if (decided?.event === "ended")
      found.push({ ...step, result: decided.ending === "mailed" ? "mail" : "no mail", row: decided.row });
    else throw new Error(`nothing was decided at minute ${minute}`);
  }
  bridge.close();
  return found;
};

const left = 120;
const columnWidth = 98;
const laneOf = { nagios1: 104, nagios2: 164 };
const mailbox = 262;

const envelope = (x: number, y: number): string =>
  `<rect class="mail" x="${x - 16}" y="${y - 11}" width="32" height="22" rx="3"/><path class="flap" d="M${x - 15} ${y - 9}l15 11 15-11"/>`;

const column = ({ monitor, type, word, result, row, ...step }: Played, index: number): string => {
  const x = left + 44 + index * columnWidth;
  const y = laneOf[monitor];
  const end = result === "mail" ? mailbox - 16 : 212;
  const words = { mail: "one mail", waits: "waits", "no mail": "no mail" }[result];
  return [
    text(x, 62, timeOf({ monitor, type, word, ...step }), "middle quiet"),
    `<path class="way${result === "mail" ? "" : " stopped"}" d="M${x} ${y + 10}V${end}"/>`,
    `<circle class="${type === "PROBLEM" ? "bad" : "good"}" cx="${x}" cy="${y}" r="9"/>`,
    text(x, y - 16, word, "middle"),
    result === "mail"
      ? `<path class="way" d="M${x - 5} ${end - 6}l5 6 5-6"/>${envelope(x, mailbox)}`
      : `<path class="end" d="M${x - 7} ${end}h14"/>`,
    text(
      x,
      mailbox + 34,
      result === "mail" ? `<tspan class="strong">${words}</tspan>` : words,
      "middle",
      true,
    ),
    text(x, mailbox + 51, row, "middle quiet"),
  ].join("\n");
};

/** episode.svg: one outage that two monitors report, and what the bridge makes of each of their alerts. */
export const episode = async (): Promise<string> => {
  const all = await played();
  const mails = all.filter(({ result }) => result === "mail").length;
  const lanes = Object.entries(laneOf).map(
    ([name, y]) => `<path class="lane" d="M${left} ${y}H816"/>\n${text(24, y + 5, name, "strong")}`,
  );
  return panel({
    width: 840,
    height: 366,
    title: `One outage of web01/HTTP: ${all.length} alerts of two monitors, ${mails} mails to the contact`,
    body: [
      text(24, 32, `web01/HTTP is down once: ${all.length} alerts, ${mails} mails`, "head"),
      ...lanes,
      text(24, mailbox + 5, "the contact", "strong"),
      ...all.map(column),
      text(
        24,
        344,
        "R22 waits for the recovery that nagios2 must still report. R1 to R23: rows of the decision table.",
        "quiet",
      ),
    ].join("\n"),
  });
};

import { say } from "../../functions/report/log.ts";
import { durationSeconds } from "../../functions/time.ts";
import { ask, asking, askingOptions } from "./bridge.ts";
import { type Command, WrongUse, wordOf } from "./command.ts";

type Line = {
  id: string;
  object: string;
  contact: string;
  type: string;
  state: string;
  received: number;
  outcome: string;
};

/** An alert in three lines. */
const wordsOf = ({ id, object, contact, type, state, received, outcome }: Line): string =>
  `${new Date(received).toISOString().slice(0, 19)}Z  ${type} ${state} ${object} for ${contact}\n  ${outcome}\n  ${id}`;

/** The bridge lists no more at once. */
const most = 500;
const usual = 20;

export const journal: Command = {
  summary: "lists the newest alerts, their results and their ids",
  usage: `usage: hardstate journal [OBJECT] [--contact ADDRESS] [--since TIME]
                         [--limit N] [--json] [--url URL] [--token-file FILE]

Lists the newest alerts of each site, the newest first, with their ids for
hardstate explain. OBJECT is web01 or web01/HTTP. TIME is 90s, 10min, 48h or 7d.
N is from 1 to ${most}; without it, ${usual}, or ${most} with --since.

${asking}

exit status: 0 there are some  1 there are none  2 wrong use
             3 the bridge cannot be asked`,
  options: {
    contact: { type: "string" },
    since: { type: "string" },
    limit: { type: "string" },
    ...askingOptions,
  },
  run: async ([object, ...more], values) => {
    const [contact, since] = [wordOf(values.contact), wordOf(values.since)];
    const limit = wordOf(values.limit) ?? String(since === undefined ? usual : most);
    if (more.length > 0) throw new WrongUse("journal needs one OBJECT or none");
    const seconds = since === undefined ? undefined : durationSeconds(since);
    if (since !== undefined && seconds === undefined)
      throw new WrongUse("--since needs 90s, 10min, 48h or 7d");
    if (!/^[1-9]\d{0,2}$/.test(limit) || Number(limit) > most)
      throw new WrongUse(`--limit needs a number from 1 to ${most}`);
    const query = new URLSearchParams({ limit, ...(object && { object }), ...(contact && { contact }) });
    const answers = await ask(values, `/v1/journal?${query}`, {}, "all");
    const pages = (await Promise.all(answers.map((answer) => answer.json()))) as { alerts: Line[] }[];
    const from = seconds === undefined ? 0 : Date.now() - seconds * 1000;
    const alerts = pages
      .flatMap(({ alerts }) => alerts)
      .filter(({ received }) => received >= from)
      .sort((one, other) => other.received - one.received);
    if (values.json) say(JSON.stringify({ alerts }));
    else if (alerts.length === 0) say("No match. Object and contact must match exactly.");
    else for (const alert of alerts) say(wordsOf(alert));
    return alerts.length === 0 ? 1 : 0;
  },
};

import { say } from "../../functions/report/log.ts";
import { ask, asking, askingOptions, bridgeOf, idForm } from "./bridge.ts";
import { type Command, NotFoundOut, WrongUse } from "./command.ts";

type DeadLetter = { id?: string; object?: string; contact?: string; reason: string; dead: number };

/** A dead letter in two lines. */
const wordsOf = ({ id, object, contact, reason, dead }: DeadLetter): string =>
  `${id ?? "(no alert)"}  ${object ? `${object} for ${contact}, ` : ""}${new Date(dead).toISOString().slice(0, 19)}Z\n  ${reason}`;

export const redrive: Command = {
  summary: "lists dead letters, and puts them back on the queue",
  usage: `usage: hardstate redrive [ID | --all] [--json] [--url URL] [--token-file FILE]

Alone it lists the dead letters: alerts that a relay refused, or that were given
up. With an ID or --all it puts that one or all of them back on the queue, where
they are decided anew.

${asking}

exit status: 0 there are none, or they were put back  1 there are some
             2 wrong use  3 there is no such dead letter, or the bridge cannot
             be asked`,
  options: { all: { type: "boolean" }, ...askingOptions },
  run: async ([id, ...more], values) => {
    if (more.length > 0 || (id !== undefined && values.all))
      throw new WrongUse("redrive needs one ID, or --all, or nothing");
    if (id !== undefined && !idForm.test(id)) throw new WrongUse("an ID is 8 or more letters, digits, . _ -");
    if (id === undefined && !values.all) {
      const answers = await ask(values, "/v1/queue", {}, "all");
      const lists = (await Promise.all(answers.map((answer) => answer.json()))) as {
        dead_letters: DeadLetter[];
      }[];
      // Unreadable messages belong to no site: each list has them.
      const all = lists.flatMap(({ dead_letters }) => dead_letters);
      const deadLetters = [...new Map(all.map((one) => [JSON.stringify(one), one])).values()];
      if (values.json) say(JSON.stringify({ dead_letters: deadLetters }));
      else if (deadLetters.length === 0) say("There are no dead letters.");
      else for (const one of deadLetters) say(wordsOf(one));
      return deadLetters.length === 0 ? 0 : 1;
    }
    const order = { method: "POST", body: JSON.stringify({ id }) };
    const answers = await ask(values, "/v1/dead-letters/redrive", order, "all");
    const counts = (await Promise.all(answers.map((answer) => answer.json()))) as { redriven: number }[];
    const count = counts.reduce((sum, { redriven }) => sum + redriven, 0);
    if (id !== undefined && count === 0)
      throw new NotFoundOut(`There is no dead letter ${id} at ${bridgeOf(values)}.`);
    if (values.json) say(JSON.stringify({ redriven: count }));
    else say(`${count} put back. To see the result: hardstate explain ID`);
    return 0;
  },
};

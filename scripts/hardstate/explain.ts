import { say } from "../../functions/report/log.ts";
import { ask, asking, askingOptions, bridgeOf, idForm } from "./bridge.ts";
import { type Command, NotFoundOut, type Values, WrongUse } from "./command.ts";

/** Statuses of alerts that needed a mail and got none. */
const failures: readonly string[] = ["rejected", "refused", "dead"];
type Story = { status: string; story?: string[]; detail?: string; digest?: string };
const linesOf = ({ status, story, detail }: Story): string[] => story ?? [`${status}: ${detail}`];

const storyOf = async (values: Values, id: string): Promise<Story | undefined> => {
  const [answer] = await ask(values, `/v1/alerts/${id}`, {}, "first");
  return answer && ((await answer.json()) as Story);
};

/** The id of the newest alert about an object, if there is one. */
const newestOf = async (values: Values, object: string): Promise<string | undefined> => {
  const answers = await ask(values, `/v1/journal?limit=1&object=${encodeURIComponent(object)}`, {}, "all");
  const pages = (await Promise.all(answers.map((answer) => answer.json()))) as {
    alerts: { id: string; received: number }[];
  }[];
  return pages.flatMap(({ alerts }) => alerts).sort((a, b) => b.received - a.received)[0]?.id;
};

export const explain: Command = {
  summary: "tells what became of an alert, and why",
  usage: `usage: hardstate explain ID | OBJECT [--json] [--url URL]
                         [--token-file FILE]

Tells what became of the alert of this id, or of the newest alert about this
object (web01 or web01/HTTP), and why. Ids are in the answer to a post, in the
log, in the last line of each mail, and in hardstate journal.

${asking}

exit status: 0 all is well  1 the alert was rejected, refused or given up
             2 wrong use  3 there is no such alert, or the bridge cannot be
             asked`,
  options: askingOptions,
  run: async ([word, ...more], values) => {
    if (word === undefined || more.length > 0) throw new WrongUse("explain needs one ID or OBJECT");
    const found = idForm.test(word) ? await storyOf(values, word) : undefined;
    const id = found ? word : await newestOf(values, word);
    const story = found ?? (id === undefined ? undefined : await storyOf(values, id));
    if (!story)
      throw new NotFoundOut(
        `There is no alert ${word} at ${bridgeOf(values)}. For a list: hardstate journal`,
      );
    if (values.json) say(JSON.stringify(story));
    else for (const line of linesOf(story)) say(line);
    const digest = story.digest ? await storyOf(values, story.digest) : undefined;
    if (!digest) return failures.includes(story.status) ? 1 : 0;
    if (!values.json) say(`\nThe digest ${story.digest}:`);
    if (!values.json) for (const line of linesOf(digest)) say(line);
    return failures.includes(digest.status) ? 1 : 0;
  },
};

import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { say } from "../../functions/report/log.ts";
import { ask, asking, askingOptions, bridgeOf } from "./bridge.ts";
import { type Command, NotFoundOut, paragraph, WrongUse, wordOf } from "./command.ts";

/** The bridge's answer about an alert. */
type Story = {
  status: string;
  outcome?: string;
  detail?: string;
  attempts?: { route: string; result: string; reply: string }[];
  story?: string[];
};

/** One of the alerts that a post made; an alias may stand for several mailboxes, and each has an id of its own. */
type Queued = { id: string; contact: string };

const usualSeconds = 60;
const askEveryMilliseconds = 250;

const alertOf = (id: string, email: string, now: number) => ({
  v: 1,
  id,
  source: "other",
  monitor: { id: "canary" },
  type: "CUSTOM",
  object: { host: "hardstate", service: "canary" },
  state: "OK",
  // Else two of one second are the same notification, run twice.
  notification: { id },
  output: "This mail shows that alerts become mail. Nothing need be done.",
  time: Math.floor(now / 1000),
  recipients: [{ email }],
});

/** `hardstate canary`: one marked alert through everything, to the relay's reply. */
export const canary: Command = {
  summary: "sends one marked alert through everything, to the relay's reply",
  usage: `usage: hardstate canary ADDRESS [--within SECONDS] [--json] [--url URL]
                        [--token-file FILE]

Posts one alert for ADDRESS, as a monitor would, and waits until the relay took
its mail: by queue, ledger and the first route that works. It says how long that
took, and the relay's words. ADDRESS must be one that HARDSTATE_RECIPIENTS
allows.

  --within SECONDS  how long to wait, ${usualSeconds} unless told otherwise

${asking}

exit status: 0 the relay took the mail  1 it did not, or not in time
             2 wrong use  3 the bridge cannot be asked, or refused the alert`,
  options: { within: { type: "string" }, ...askingOptions },
  run: async ([address, ...more], values) => {
    if (address === undefined || more.length > 0) throw new WrongUse("canary needs one ADDRESS");
    const within = wordOf(values.within) ?? String(usualSeconds);
    if (!/^[1-9]\d{0,3}$/.test(within)) throw new WrongUse("--within needs seconds, from 1 to 9999");
    const [id, begun] = [`canary-${randomUUID()}`, Date.now()];
    const [taken] = await ask(
      values,
      "/v1/alerts",
      {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(alertOf(id, address, begun)),
      },
      "first",
    );
    if (!taken) throw new NotFoundOut(`${bridgeOf(values)} takes no alerts: is that the bridge?`);
    const end = begun + Number(within) * 1000;
    const follow = async ({ id, contact }: Queued) => {
      let story: Story = { status: "pending" };
      while (story.status === "pending" && Date.now() < end) {
        const [answer] = await ask(values, `/v1/alerts/${id}`, {}, "first");
        if (answer) story = (await answer.json()) as Story;
        if (story.status === "pending") await setTimeout(askEveryMilliseconds);
      }
      return { id, contact, story, seconds: (Date.now() - begun) / 1000 };
    };
    const { alerts } = (await taken.json()) as { alerts: Queued[] };
    const followed = await Promise.all(alerts.map(follow));
    for (const { id, contact, story, seconds } of followed) {
      const last = story.attempts?.at(-1);
      const mailed = story.status === "mailed";
      const to = alerts.length > 1 ? `to ${contact} ` : "";
      if (values.json) say(JSON.stringify({ id, mailed, seconds, status: story.status, ...last }));
      else if (mailed)
        say(paragraph(`mailed in ${seconds.toFixed(1)} s `, `${to}by ${last?.route}: ${last?.reply}`));
      else {
        const reason = story.outcome ?? story.detail ?? story.status;
        say(`NOT mailed ${to}after ${seconds.toFixed(0)} s: ${reason}`);
        say(`Later: hardstate explain ${id}. About the relay: hardstate doctor`);
      }
    }
    return followed.every(({ story }) => story.status === "mailed") ? 0 : 1;
  },
};

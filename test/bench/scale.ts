import { readdirSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { bridgeSettings, openLab, startRelay } from "../world/lab.ts";
import { inputOf } from "./episodes.ts";
import { type Bench, type Figure, median, progress, short } from "./rounds.ts";
import { residentOf, startRunning } from "./running.ts";

const stormMilliseconds = 60_000;
const contacts = 3;
const endWithinMilliseconds = 240_000;
type Totals = Record<
  "accepted" | "pending" | "mailed" | "digested" | "suppressed" | "dead" | "refused",
  number
>;
type Played = { seconds: number; deepest: number; resident: number; lost: number; mails: number };

/** One storm: so many objects go bad within a minute, at an even pace, each in one post for three contacts. */
const play = async (objects: number, digests: boolean): Promise<Played> => {
  const lab = openLab();
  try {
    const relay = await startRelay(lab);
    const settings = bridgeSettings(lab, relay, 24_100);
    const { HARDSTATE_BURST: _, ...withDigests } = settings.environment;
    const environment = digests ? withDigests : settings.environment;
    const bridge = await startRunning(environment, settings.port, settings.token);
    lab.onStop(bridge.stop);
    let [deepest, resident, over] = [0, 0, false];
    const watching = (async () => {
      while (!over) {
        const { waiting, in_flight } = await bridge.get<{ waiting: number; in_flight: number }>("/v1/queue");
        deepest = Math.max(deepest, waiting + in_flight);
        resident = Math.max(resident, residentOf(bridge.pid));
        await setTimeout(500);
      }
    })();
    const began = performance.now();
    const posts: Promise<void>[] = [];
    for (let service = 0; service < objects; service++) {
      const due = (service / objects) * stormMilliseconds - (performance.now() - began);
      if (due > 0) await setTimeout(due);
      posts.push(bridge.post(inputOf({ service, notification: service + 1, at: Date.now(), contacts })));
    }
    await Promise.all(posts);
    const totals = async () => (await bridge.get<{ totals: Totals }>("/v1/journal?limit=1")).totals;
    let now = await totals();
    // A digest is an alert of its own, held until its minute is over.
    while (now.pending > 0 || now.accepted < objects * contacts) {
      if (performance.now() - began > endWithinMilliseconds)
        throw new Error(`not all alerts ended in time: ${JSON.stringify(now)}`);
      await setTimeout(200);
      now = await totals();
    }
    const seconds = (performance.now() - began) / 1000;
    over = true;
    await watching;
    const mails = readdirSync(relay.maildir).length;
    // A digest has a record too: what is neither a mail of one alert nor in a digest is lost.
    const told = now.mailed - (now.accepted - objects * contacts) + now.digested;
    const lost = objects * contacts - told + (now.mailed - mails);
    progress(
      `  digests ${digests ? "on" : "off"}: ${short(seconds)} s, ${mails} mails, at most ${deepest} waited, ${short(resident)} MiB, lost ${lost}`,
    );
    return { seconds, deepest, resident, lost, mails };
  } finally {
    await lab.stop();
  }
};

/** A storm of a large site. */
export const bench: Bench = {
  summary: "2,800 objects that go bad in 60 s for three contacts, with and without digests",
  about: `Starts a bridge and the lab's Postfix (test/lab, as root), posts a problem every 21 ms for a minute,
and waits until every alert has ended: without digests 8,400 mails, with them few. Nothing may be lost. A round takes
some four minutes. --quick: 280 objects.`.replaceAll("\n", " "),
  run: async ({ rounds, quick }) => {
    const objects = quick ? 280 : 2800;
    const played: Record<"on" | "off", Played[]> = { on: [], off: [] };
    for (let round = 0; round < rounds; round++)
      for (const which of round % 2 === 0 ? (["on", "off"] as const) : (["off", "on"] as const))
        played[which].push(await play(objects, which === "on"));
    return (["on", "off"] as const).flatMap((which): Figure[] => {
      const of = (name: keyof Played) => median(played[which].map((one) => one[name]));
      const what = `${objects} objects for ${contacts} contacts in 60 s, digests ${which}:`;
      const beside = { name: "the storm itself", value: stormMilliseconds / 1000 };
      return [
        // With digests the last are told when the minute after the storm's is over.
        {
          what: `${what} until all have ended, of ${of("mails")} mails`,
          ours: of("seconds"),
          unit: "s",
          beside,
          target: { atMost: which === "on" ? 2.1 : 1.1 },
        },
        { what: `${what} the most that waited`, ours: of("deepest"), unit: "alerts" },
        { what: `${what} memory`, ours: of("resident"), unit: "MiB" },
        {
          what: `${what} lost, and one more`,
          ours: of("lost") + 1,
          unit: "alerts",
          beside: { name: "none lost", value: 1 },
          target: { atMost: 1 },
        },
      ];
    });
  },
};

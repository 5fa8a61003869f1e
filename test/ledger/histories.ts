import fc from "fast-check";
import { defaultPolicy } from "../../functions/ledger/policy.ts";
import { type RehearsalParts, type RelayAnswer, rehearse } from "../../scripts/rehearsal.ts";
import {
  type Contact,
  comings,
  contacts,
  type MonitorAction,
  objects,
  type Said,
  type Way,
} from "./monitors.ts";
import { type Got, gotOf, type Outcomes, promises } from "./promises.ts";

// Whatever two monitors, three contacts and a relay do to each other, by histories made at random.

type Action = MonitorAction | { do: "relay"; answer: RelayAnswer };

const monitor = fc.constantFrom("A" as const, "A" as const, "B" as const);
const object = fc.constantFrom(...objects);
const to: fc.Arbitrary<Contact[]> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Contact[]>([...contacts]) },
  { weight: 2, arbitrary: fc.subarray<Contact>([...contacts], { minLength: 1 }) },
);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("state" as const),
      monitor,
      object,
      bad: fc.constantFrom(0 as const, 0 as const, 1 as const, 2 as const),
      to,
      escalated: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("again" as const), monitor, object, to }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("tell" as const),
      monitor,
      object,
      type: fc.constantFrom("ACKNOWLEDGEMENT", "FLAPPINGSTART", "FLAPPINGSTOP", "CUSTOM", "DOWNTIMESTART"),
      to,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("restart" as const), monitor, forgetful: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("relay" as const),
      answer: fc.constantFrom<RelayAnswer>("accepted", "accepted", "deferred", "away", "lost", "crash"),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      seconds: fc.constantFrom(1, 5, 20, 40, 70, 130, 320, 700, 4000),
    }),
  },
);
const way: fc.Arbitrary<Way> = fc.record({
  delaySeconds: fc.constantFrom(0, 0, 0, 0, 1, 2, 15, 90, 200),
  twice: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  lost: fc.integer({ min: 0, max: 24 }).map((n) => n === 0),
});
export const history = fc.record({
  actions: fc.array(action, { minLength: 3, maxLength: 50 }),
  ways: fc.array(way, { minLength: 60, maxLength: 60 }),
});

const begin = 200_000_000_000;

/** Plays a history on a ledger, then lets two days pass with a good relay. */
const play = async (
  { actions, ways }: { actions: Action[]; ways: Way[] },
  openLedger?: RehearsalParts["openLedger"],
): Promise<Outcomes & { log: string[] }> => {
  const got: Got[] = [];
  const said: Said[] = [];
  const posts = new Map<string, Record<string, unknown>>();
  let answer: RelayAnswer = "accepted";
  const seen = new Set<string>();
  /** What happened, for whoever reads of a failure. */
  const log: string[] = [];
  const stage = rehearse({
    policy: defaultPolicy,
    begin,
    openLedger,
    report: (event) => {
      if (event.event === "ended" || event.event === "held")
        log.push(
          `      ${event.event} ${event.contact.split("@")[0]} ${event.id.slice(0, 6)}: ${event.reason}`,
        );
    },
    relay: (mail, at) => {
      log.push(`${(at - begin) / 1000} ${answer} ${mail.subject} to ${mail.to.split("@")[0]}`);
      // A worker that dies and a connection that is lost may both have handed the mail over; here they have.
      const copy = seen.has(mail.messageId);
      if (answer === "deferred" || answer === "away") return answer;
      seen.add(mail.messageId);
      if (!copy) got.push(gotOf(mail));
      return answer;
    },
  });
  const passTo = async (time: number) => {
    await stage.passTo(time);
    const known = new Set([...stage.waiting(), ...stage.buried()]);
    for (const id of posts.keys())
      if (!known.has(id) && !(await stage.ledger().story("site", id))) throw new Error(`${id} is lost`);
  };
  const { coming, end } = comings(actions, begin, (sent) => ways[sent % ways.length] as Way);
  for (const next of coming) {
    await passTo(next.at);
    if ("other" in next) {
      answer = next.other.answer;
      continue;
    }
    const { monitor, type, object, notification, state, problem } = next.input;
    const recipient = (next.input.recipients as { email: string }[])[0]?.email.split("@")[0];
    log.push(
      `${(next.at - begin) / 1000} ${JSON.stringify([monitor, type, object, state, notification, problem])} for ${recipient}`,
    );
    for (const { id } of await stage.post("site", next.input)) posts.set(id, next.input);
    said.push(...next.facts);
  }
  await passTo(end + 300_000);
  answer = "accepted";
  await passTo(end + 300_000 + 40 * 3_600_000);
  const held = (await stage.ledger().due(Number.MAX_SAFE_INTEGER, 100)).flatMap(({ entry }) =>
    Object.values(entry.held).map(({ row }) => row),
  );
  const totals = await stage.ledger().totals("site");
  const { items } = await stage.ledger().journal({ site: "site", limit: 500 });
  const relayWasAway = actions.some((step) => step.do === "relay" && step.answer !== "accepted");
  const result = { log, relayWasAway, got, said, held, totals, posts, items, queue: stage.waiting() };
  stage.close();
  return result;
};

/** Plays a history: which promises it broke, how many mails it made, and what happened. */
export const brokenBy = async (
  one: Parameters<typeof play>[0],
  openLedger?: RehearsalParts["openLedger"],
): Promise<{ broken: string[]; mails: number; log: string }> => {
  const result = await play(one, openLedger);
  const broken = promises.filter(([, breakers]) => breakers(result).length > 0).map(([promise]) => promise);
  return { broken, mails: result.got.length, log: result.log.join("\n") };
};

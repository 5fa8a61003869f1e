import { problemOf } from "../../functions/api/views.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import type { Event } from "../../functions/report/event.ts";
import { rehearse } from "../../scripts/hardstate/rehearsal.ts";
import { type Draw, draws } from "../simulation/draws.ts";

/** Keys that every object has or that JavaScript treats in its own way, and numbers, which objects put in order. */
export const hostileNames = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "isPrototypeOf",
  "__defineGetter__",
  "__lookupGetter__",
  "length",
  "name",
  "then",
  "toJSON",
  "0",
  "1",
  "7",
  "10",
  "4294967294",
  "-1",
  "null",
  "undefined",
] as const;

/** Alerts' ids have at least eight characters. */
const hostileIds = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "isPrototypeOf",
  "__defineGetter__",
];

/** The names of one history; what has the same place in two of them is the same thing. */
type Names = Record<
  "sites" | "monitors" | "hosts" | "services" | "contacts" | "mailboxes",
  readonly string[]
> & {
  id(number: number): string;
};

const plain: Names = {
  sites: ["plain-site-a", "plain-site-b"],
  monitors: ["plain-monitor-a", "plain-monitor-b", "plain-monitor-c"],
  hosts: ["plain-host-a", "plain-host-b"],
  services: ["plain-service-a", "plain-service-b"],
  contacts: ["plain-contact-a", "plain-contact-b", "plain-contact-c"],
  mailboxes: ["plain-mailbox-a", "plain-mailbox-b", "plain-mailbox-c"],
  id: (number) => `plain-alert-${String(number).padStart(4, "0")}`,
};

/** Names with a meaning in JavaScript. Ids are such names too, or numbers that go up or down. */
const hostile = (draw: Draw): Names => {
  const some = (count: number, from: readonly string[] = hostileNames) => {
    const left = [...from];
    return Array.from({ length: count }, () => left.splice(draw.between(0, left.length), 1)[0] ?? "");
  };
  const ids = some(hostileIds.length, hostileIds);
  const counting = draw.of(["up", "down", "names"]);
  return {
    sites: some(2),
    // Lists have them in the order of their names, and the plain names have the same order.
    monitors: some(3).sort(),
    hosts: some(2).sort(),
    services: some(2).sort(),
    contacts: some(3),
    mailboxes: some(3).map((name) => name.toLowerCase()),
    id: (number) =>
      counting === "names"
        ? (ids[number] ?? `${ids[number % ids.length]}.${number}`)
        : String(counting === "up" ? 10_000_000 + number : 4_000_000_000 - number),
  };
};

/** One step of a history: a post, or a change of the relay; all names are places in `Names`. */
type Step = { after: number } & (
  | { relay: "accepted" | "away" | "refused" }
  | { post: (names: Names) => { site: string; input: Record<string, unknown> } }
);

/** A history of posts about a few objects, while the relay is there, away, or refuses all. */
const historyOf = (draw: Draw): Step[] => {
  let [t, number, notification] = [0, 0, 0];
  /** A host, one service of it and one contact, within minutes. */
  const narrow = draw.chance(0.5);
  return Array.from({ length: draw.between(8, 40) }, (): Step => {
    const after = draw.of(narrow ? [1, 2, 5, 10, 30, 60, 200] : [1, 2, 5, 20, 70, 400, 2000]);
    t += after;
    if (draw.chance(0.12)) return { after, relay: draw.of(["accepted", "away", "away", "refused"]) };
    const [site, monitor, host, service] = [
      !narrow && draw.chance(0.2) ? 1 : 0,
      draw.between(0, 3),
      !narrow && draw.chance(0.2) ? 1 : 0,
      narrow ? draw.of([0, 2]) : draw.between(0, 3),
    ];
    const kind = draw.of([
      "PROBLEM",
      "PROBLEM",
      "PROBLEM",
      "RECOVERY",
      "RECOVERY",
      "ACKNOWLEDGEMENT",
      "DOWNTIMESTART",
      "FLAPPINGSTART",
    ]);
    const isHost = service === 2;
    const state =
      kind === "RECOVERY" ? (isHost ? "UP" : "OK") : isHost ? "DOWN" : draw.of(["WARNING", "CRITICAL"]);
    const contacts = narrow ? [0] : draw.chance(0.3) ? [0, 1, 2] : [draw.between(0, 2)];
    const named = draw.chance(0.7);
    const escalated = draw.chance(0.1);
    const volatile = !isHost && draw.chance(0.1);
    const [index, epoch] = [number++, draw.chance(0.5) ? 100_000 + t - (t % 600) : undefined];
    notification += 1;
    const own = String(notification);
    const time = 100_000 + t;
    return {
      after,
      post: (names) => ({
        site: names.sites[site] ?? "",
        input: {
          v: 1,
          ...(named && { id: names.id(index) }),
          source: "nagios",
          monitor: { id: names.monitors[monitor], start: 1000 },
          type: kind,
          object: { host: names.hosts[host], service: isHost ? null : names.services[service] },
          state,
          problem: epoch === undefined ? {} : { id: String(epoch), epoch },
          notification: { id: own, number: 1, escalated, volatile },
          author: names.contacts[0],
          comment: names.hosts[0],
          output: names.services[0],
          time,
          recipients: contacts.map((one) => ({
            name: names.contacts[one],
            email: `${names.mailboxes[one]}@example.com`,
          })),
        },
      }),
    };
  });
};

/** The mails and events of a history, sorted within each millisecond. */
const outcomeOf = async (
  history: readonly Step[],
  names: Names,
  burst: number | undefined,
): Promise<string[]> => {
  const said: string[] = [];
  let answer: "accepted" | "away" | "refused" = "accepted";
  const begin = 100_000_000;
  let now = begin;
  const stage = rehearse({
    policy: {
      ...defaultPolicy,
      burst: burst === undefined ? undefined : { most: burst, milliseconds: 60_000 },
    },
    begin,
    relay: ({ to, subject, headers, text }, at) => {
      said.push(JSON.stringify([at, "mail", to, subject, headers, text]));
      return answer;
    },
    report: (event: Event) => said.push(JSON.stringify([event])),
  });
  for (const step of history) {
    now += step.after * 1000;
    await stage.passTo(now);
    if ("relay" in step) {
      answer = step.relay;
      if (answer === "accepted") stage.hasten();
    } else {
      const { site, input } = step.post(names);
      await stage.post(site, input);
    }
  }
  answer = "accepted";
  stage.hasten();
  await stage.passTo(now + 3 * 3_600_000);
  for (const site of names.sites) {
    for (const record of (await stage.ledger().journal({ site, limit: 500 })).items)
      said.push(JSON.stringify(record));
    for (const open of (await stage.ledger().problems({ site, limit: 500 })).items)
      said.push(JSON.stringify(problemOf(open)));
  }
  stage.close();
  // Ids that are made of names differ.
  return said.map((line) =>
    line.replace(/[0-9a-f]{16,}|(?<="Thread-Index":")[^"]+|(?<=\.)[0-9a-f]{8}\b/g, "#").replace(/ +/g, " "),
  );
};

/** A text about plain names, with the hostile names instead. */
const renamed = (text: string, to: Names, ids: number): string => {
  let result = text;
  for (const kind of ["sites", "monitors", "hosts", "services", "contacts", "mailboxes"] as const)
    for (const [index, name] of plain[kind].entries())
      result = result.replaceAll(name, to[kind][index] ?? "");
  for (let index = 0; index < ids; index++) result = result.replaceAll(plain.id(index), to.id(index));
  return result;
};

/** Plays a history of this seed with plain and with hostile names. Both results are in the hostile names. */
export const bothWays = async (seed: number) => {
  const history = historyOf(draws(seed, "history"));
  const names = hostile(draws(seed, "names"));
  const burst = draws(seed, "burst").of([undefined, 1, 3]);
  const expected = await outcomeOf(history, plain, burst);
  const got = await outcomeOf(history, names, burst);
  return {
    expected: expected.map((line) => renamed(line, names, history.length)).sort(),
    got: got.sort(),
  };
};

import fc from "fast-check";
import { type State, severity } from "../../functions/alert.ts";
import type { Mail } from "../../functions/compose/mail.ts";
import { defaultPolicy } from "../../functions/ledger/policy.ts";
import { type RehearsalParts, type RelayAnswer, rehearse } from "../../scripts/rehearsal.ts";
import { posted } from "../alerts.ts";

// Whatever two monitors, three contacts and a relay do to each other, by histories made at random.

const contacts = ["alice", "bob", "carol"] as const;
type Contact = (typeof contacts)[number];
const objects = ["web1", "web1/http"] as const;
type ObjectName = (typeof objects)[number];

type Action =
  | { do: "state"; monitor: "A" | "B"; object: ObjectName; bad: 0 | 1 | 2; to: Contact[]; escalated: boolean }
  | { do: "again"; monitor: "A" | "B"; object: ObjectName; to: Contact[] }
  | { do: "tell"; monitor: "A" | "B"; object: ObjectName; type: string; to: Contact[] }
  | { do: "restart"; monitor: "A" | "B"; forgetful: boolean }
  | { do: "relay"; answer: RelayAnswer }
  | { do: "pass"; seconds: number };
/** How a monitor sees an object; `truth` names the problem as it is, whatever the monitor forgets. */
type View = { bad: 0 | 1 | 2; epoch: number; problem: number; number: number; truth: string };
/** What the way from monitor to bridge does to a post. */
type Way = { delaySeconds: number; twice: boolean; lost: boolean };

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

/** What a monitor said of an object's state to a contact, and the bridge took. */
type Said = {
  monitor: string;
  object: ObjectName;
  contact: Contact;
  good: boolean;
  start: number;
  number: number;
};
type Got = {
  contact: Contact;
  object: string;
  kind: string;
  state: State;
  episode: string;
  row: string;
  mail: Mail;
};

const begin = 200_000_000_000;

/** Plays a history on a ledger, then lets two days pass with a good relay. */
const play = async (
  { actions, ways }: { actions: Action[]; ways: Way[] },
  openLedger?: RehearsalParts["openLedger"],
) => {
  const got: Got[] = [];
  const said: Said[] = [];
  const posts = new Map<string, Record<string, unknown>>();
  let answer: RelayAnswer = "accepted";
  let now = begin;
  const seen = new Set<string>();
  const forgot = new Set<string>();
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
      const [, kind = "", state = "", object = ""] = /^(\S+) (\S+): (.*)$/.exec(mail.subject) ?? [];
      if (!copy)
        got.push({
          contact: mail.to.split("@")[0] as Contact,
          object,
          kind,
          state: state as State,
          episode: mail.headers["X-Hardstate-Episode"] ?? "",
          row: mail.headers["X-Hardstate-Reason"]?.split(" ")[0] ?? "",
          mail,
        });
      return answer;
    },
  });
  const monitors = Object.fromEntries(
    ["A", "B"].map((name, n) => [
      name,
      {
        start: 100_000_000 + n,
        notification: 50 + n * 5000,
        problem: n * 700,
        views: new Map<ObjectName, View>(),
      },
    ]),
  );
  const onTheWay: { at: number; order: number; input: Record<string, unknown>; facts: Said[] }[] = [];
  let sent = 0;
  const arrive = async (until: number) => {
    for (;;) {
      const [next] = onTheWay.sort((a, b) => a.at - b.at || a.order - b.order);
      if (!next || next.at > until) break;
      onTheWay.shift();
      await stage.passTo(next.at);
      const { monitor, type, object, notification } = next.input;
      const recipient = (next.input.recipients as { email: string }[])[0]?.email.split("@")[0];
      log.push(
        `${(next.at - begin) / 1000} ${JSON.stringify([monitor, type, object, next.input.state, notification, next.input.problem])} for ${recipient}`,
      );
      for (const { id } of await stage.post("site", next.input)) posts.set(id, next.input);
      said.push(...next.facts);
    }
    await stage.passTo(until);
    now = until;
    const known = new Set([...stage.waiting(), ...stage.buried()]);
    for (const id of posts.keys())
      if (!known.has(id) && !(await stage.ledger().story("site", id))) throw new Error(`${id} is lost`);
  };
  const send = (name: string, object: ObjectName, type: string, to: Contact[], escalated = false) => {
    const monitor = monitors[name];
    const view = monitor?.views.get(object);
    if (!monitor || !view) return;
    monitor.notification += 1;
    const [host, service] = object.split("/");
    const bad = service ? (["OK", "WARNING", "CRITICAL"] as const) : (["UP", "UNREACHABLE", "DOWN"] as const);
    const stateful = type === "PROBLEM" || type === "RECOVERY";
    // Each contact's command is a process of its own, so each has its own way.
    for (const contact of to) {
      const { delaySeconds, twice, lost } = ways[sent++ % ways.length] as Way;
      if (lost) continue;
      const input = posted({
        id: `post-${name}-${sent}`,
        monitor: { id: name, start: monitor.start },
        type,
        object: { host, service: service ?? null },
        state: bad[view.bad],
        problem: {
          id: String(view.bad === 0 ? 0 : view.problem),
          last_id: String(view.problem),
          epoch: view.epoch,
        },
        custom: { truth: view.truth },
        notification: { id: String(monitor.notification), number: view.number, escalated },
        time: Math.floor(now / 1000),
        recipients: [{ email: `${contact}@example.com` }],
      });
      const facts: Said[] = stateful
        ? [
            {
              monitor: name,
              object,
              contact,
              good: view.bad === 0,
              start: monitor.start,
              number: monitor.notification,
            },
          ]
        : [];
      onTheWay.push({ at: now + delaySeconds * 1000, order: sent, input, facts });
      if (twice)
        // Nagios runs a command again whose worker died, without its environment.
        onTheWay.push({
          at: now + delaySeconds * 1000 + 3000,
          order: sent,
          input: { ...input, id: `again-${name}-${sent}`, degraded: true },
          facts: [],
        });
    }
  };
  let problems = 0;
  const change = (
    name: string,
    object: ObjectName,
    bad: 0 | 1 | 2,
    to: Contact[],
    escalated: boolean,
    truth = `problem-${++problems}`,
  ) => {
    const monitor = monitors[name];
    if (!monitor) return;
    const before = monitor.views.get(object);
    const was = before?.bad ?? 0;
    if (was === bad) return;
    if (was === 0) monitor.problem += 1;
    monitor.views.set(object, {
      bad,
      epoch: was === 0 ? Math.floor(now / 1000) : (before?.epoch ?? 0),
      problem: was === 0 ? monitor.problem : (before?.problem ?? 0),
      truth: was === 0 ? truth : (before?.truth ?? truth),
      number: was === 0 ? 1 : (before?.number ?? 0) + 1,
    });
    send(name, object, bad === 0 ? "RECOVERY" : "PROBLEM", to, escalated);
  };
  for (const step of actions) {
    switch (step.do) {
      case "state":
        change(step.monitor, step.object, step.bad, step.to, step.escalated);
        break;
      case "again": {
        const view = monitors[step.monitor]?.views.get(step.object);
        if (!view || view.bad === 0) break;
        view.number += 1;
        send(step.monitor, step.object, "PROBLEM", step.to);
        break;
      }
      case "tell":
        send(step.monitor, step.object, step.type, step.to);
        break;
      case "restart": {
        const monitor = monitors[step.monitor];
        if (!monitor) break;
        // Nobody restarts twice in a second: its numbers would begin again under the same start.
        monitor.start = Math.max(Math.floor(now / 1000), monitor.start + 1);
        // Once: a monitor that has said but little since is not known to have forgotten it again (§5.1, rollback).
        if (!step.forgetful || forgot.has(step.monitor)) break;
        forgot.add(step.monitor);
        Object.assign(monitor, { notification: 0, problem: 0 });
        for (const [object, { bad, truth }] of [...monitor.views]) {
          monitor.views.delete(object);
          change(step.monitor, object, bad, [...contacts], false, truth);
        }
        break;
      }
      case "relay":
        answer = step.answer;
        break;
      case "pass":
        await arrive(now + step.seconds * 1000);
    }
  }
  await arrive(now + 300_000);
  answer = "accepted";
  await arrive(now + 40 * 3_600_000);
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

const stateKinds = ["PROBLEM", "ESCALATION", "UPDATE", "REMINDER", "RECOVERY"];
const isFirst = ({ kind }: Got) => kind === "PROBLEM" || kind === "ESCALATION";

/** Each contact's mails about each object's state, in order. */
const threads = (got: readonly Got[]) => [
  ...Map.groupBy(
    got.filter(({ kind }) => stateKinds.includes(kind)),
    (mail) => `${mail.contact} ${mail.object}`,
  ),
];
/** The last thing that each monitor said of an object, by the monitor's own order. */
const lastSaid = (said: readonly Said[]) =>
  [...Map.groupBy(said, ({ monitor }) => monitor).values()].map(
    (all) => all.toSorted((a, b) => a.start - b.start || a.number - b.number).at(-1) as Said,
  );

type Result = Awaited<ReturnType<typeof play>>;

/** The problem that a mail is about, as it was in truth, whatever its monitor called it. */
const problemOf = ({ posts, items }: Result, { mail }: Got) => {
  const record = items.find(({ messageId }) => messageId === mail.messageId);
  return (posts.get(record?.id ?? "")?.custom as { truth: string } | undefined)?.truth;
};

/** Whether the last word of a monitor on an object was said to this contact too. */
const saidTo = (said: readonly Said[], { monitor, object, start, number }: Said, contact: Contact): boolean =>
  said.some(
    (one) =>
      one.monitor === monitor &&
      one.object === object &&
      one.contact === contact &&
      one.start === start &&
      one.number === number,
  );

/** What must hold of every history: a sentence, and who breaks it. */
const promises: [string, (result: Result) => unknown[]][] = [
  [
    "an episode makes one first mail and one recovery for a contact, and updates that are each worse",
    ({ got }) =>
      threads(got).filter(([, mails]) =>
        [...Map.groupBy(mails, ({ episode }) => episode).values()].some((ofIt) => {
          const worse = ofIt.filter(({ kind }) => kind !== "RECOVERY").map(({ state }) => severity[state]);
          return (
            ofIt.filter(isFirst).length > 1 ||
            ofIt.filter(({ kind }) => kind === "RECOVERY").length > 1 ||
            String(worse) !== String([...new Set(worse)].sort())
          );
        }),
      ),
  ],
  [
    "a recovery goes only to who was told of the problem, and once",
    ({ got }) =>
      threads(got).filter(([, mails]) =>
        mails.some(
          ({ kind }, index) =>
            kind === "RECOVERY" && [undefined, "RECOVERY"].includes(mails[index - 1]?.kind),
        ),
      ),
  ],
  [
    "who was told of a problem is not told of it again before its recovery, though its monitor lost its memory",
    (result) =>
      threads(result.got).filter(([, mails]) =>
        mails.some((mail, index) => {
          const before = mails.slice(0, index).findLast(isFirst);
          if (!isFirst(mail) || !before || mails[index - 1]?.kind === "RECOVERY") return false;
          const problem = problemOf(result, mail);
          return problem !== undefined && problemOf(result, before) === problem;
        }),
      ),
  ],
  [
    "nobody who was told of a host that stays down is told of its services, if the relay takes all at once",
    ({ got, said, relayWasAway }) =>
      relayWasAway || said.some(({ object, good }) => object === "web1" && good)
        ? []
        : got.filter((mail, index) => {
            if (mail.object === "web1" || !isFirst(mail) || mail.row === "R18") return false;
            const host = threads(got.slice(0, index)).find(([thread]) => thread === `${mail.contact} web1`);
            return host !== undefined && host[1].at(-1)?.kind !== "RECOVERY";
          }),
  ],
  [
    // A recovery that was lost on its way shows in the state that flapping ended in (R37).
    "a contact who was sent a problem that lasts has been told of it, or of its host, or who still reports it",
    ({ got, said }) =>
      contacts.flatMap((contact) =>
        objects.filter((object) => {
          const last = (name: string) =>
            threads(got)
              .find(([thread]) => thread === `${contact} ${name}`)?.[1]
              .at(-1);
          const bad = lastSaid(said.filter((one) => one.object === object)).some(
            (one) => !one.good && saidTo(said, one, contact),
          );
          const covered = object !== "web1" && ![undefined, "RECOVERY"].includes(last("web1")?.kind);
          const mail = last(object);
          return (
            bad &&
            !covered &&
            !["R24", "R37"].includes(mail?.row ?? "") &&
            [undefined, "RECOVERY"].includes(mail?.kind)
          );
        }),
      ),
  ],
  [
    "a contact who was sent every recovery has been told of the last",
    ({ got, said }) =>
      threads(got).filter(([thread, mails]) => {
        const last = lastSaid(said.filter(({ object }) => thread.endsWith(` ${object}`)));
        const over = last.every((one) => one.good && saidTo(said, one, mails[0]?.contact ?? "alice"));
        return over && mails.at(-1)?.kind !== "RECOVERY";
      }),
  ],
  [
    "every alert is accounted for: accepted = pending + mailed + suppressed + digested + refused + dead",
    ({ posts, items, totals, queue, held }) => {
      const made = items.filter((record) => record.made).length;
      const sum = Object.values(totals).reduce((all, count) => all + count, 0);
      const covered = held.filter((row) => row === "R16").length;
      const wrong =
        sum !== posts.size + made || totals.pending !== covered || totals.dead + totals.refused > 0;
      return [...queue, ...(wrong ? [totals] : [])];
    },
  ],
];

/** Plays a history: which promises it broke, how many mails it made, and what happened. */
export const brokenBy = async (
  one: Parameters<typeof play>[0],
  openLedger?: RehearsalParts["openLedger"],
): Promise<{ broken: string[]; mails: number; log: string }> => {
  const result = await play(one, openLedger);
  const broken = promises.filter(([, breakers]) => breakers(result).length > 0).map(([promise]) => promise);
  return { broken, mails: result.got.length, log: result.log.join("\n") };
};

import { describe, expect, it } from "vitest";
import type { Verdict } from "../../functions/decide/case.ts";
import {
  type Entry,
  emptyEntry,
  forgotten,
  openProblem,
  told,
  withHeld,
  withoutHeld,
} from "../../functions/decide/entry.ts";
import { numbering, type Run } from "../../functions/decide/order.ts";
import { defaultPolicy, type Policy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import type { QueuedAlert } from "../../functions/queue/message.ts";
import { queuedAlert } from "../world/alerts.ts";

/** One alert of a story: when the bridge looks at it, for whom, and what differs from a first HARD CRITICAL. */
type Step = {
  at?: number;
  /** When the bridge took it, if that was before it was looked at. */
  taken?: number;
  to?: string;
  /** The host itself instead of its service. */
  host?: true;
  /** Another service of the host. */
  service?: string;
  type?: string;
  state?: string;
  st?: string;
  mon?: string;
  start?: number;
  /** -1: the monitor does not number. */
  nid?: number;
  num?: number;
  pid?: string;
  lpid?: string;
  ep?: number;
  time?: number;
  /** By how many seconds the monitor's clock was behind when it posted this, as its Date header said. */
  behind?: number;
  esc?: boolean;
  vol?: boolean;
  degraded?: boolean;
  twin?: string;
  /** The relay did not take the mail that this alert made: the first time a PROBLEM waits for its recovery. */
  unsent?: boolean;
  /** The sweep is late. */
  unswept?: true;
  /** No alert: time goes by, and what is due is looked at again. */
  pass?: true;
};

/** Second 0 of every story: monitors' clocks say 100,000 then. */
const began = 100_000_000;

/** Plays a story; each mail is taken by the relay at once. The last decision as [action or kind, row]. */
const play = (steps: readonly Step[], policy: Partial<Policy> = {}) => {
  const entries = new Map<string, Entry>();
  const known = new Map<string, readonly Run[]>();
  const waiting = new Map<string, QueuedAlert>();
  const mails: string[] = [];
  let last: { verdict: Verdict; object: string } | undefined;
  const look = (queued: QueuedAlert, step: Step, now: number) => {
    const { alert } = queued;
    const object = alert.object.service ?? "the host";
    const { runs } = numbering(known.get(alert.monitor.id) ?? [], queued);
    known.set(alert.monitor.id, runs);
    const page = {
      entry: entries.get(object) ?? emptyEntry,
      host: alert.object.service === null ? undefined : entries.get("the host"),
      runs,
      twin: step.twin,
    };
    const verdict = decide(page, queued, { ...defaultPolicy, ...policy }, now);
    for (const made of verdict.made ?? []) waiting.set(made.id, made);
    let { entry } = verdict;
    if (verdict.action === "hold") waiting.set(queued.id, queued);
    else entry = withoutHeld(entry, queued.id);
    if (verdict.action === "send" && step.unsent) {
      waiting.set(queued.id, queued);
      if (verdict.kind === "PROBLEM") entry = withHeld(entry, queued, "R29", queued.receivedAt + 30_000);
    } else if (verdict.action === "send") {
      entry = told(entry, verdict.kind, queued, verdict.episode?.id, now);
      mails.push(`${verdict.kind} ${alert.state} ${queued.contact.split("@")[0]}`);
    }
    entries.set(object, entry);
    last = { verdict, object };
  };
  /** The held alerts that are due until `now`, each at its time. */
  const pass = (now: number) => {
    for (;;) {
      const due = [...entries.values()]
        .flatMap(({ held }) => Object.entries(held))
        .sort(([, a], [, b]) => a.due - b.due)[0];
      const queued = due && waiting.get(due[0]);
      if (!due || !queued || due[1].due > now) return;
      look(queued, {}, due[1].due);
    }
  };
  for (const [index, step] of steps.entries()) {
    const now = began + (step.at ?? index) * 1000;
    if (!step.unswept) pass(now);
    if (step.pass) continue;
    const good = step.host ? "UP" : "OK";
    const queued = queuedAlert(
      {
        id: `alert-${index}`,
        contact: `${step.to ?? "alice"}@example.com`,
        receivedAt: began + (step.taken ?? step.at ?? index) * 1000,
        ...(step.behind !== undefined && { clockBehind: step.behind * 1000 }),
      },
      {
        type: step.type ?? "PROBLEM",
        object: { host: "web01", service: step.host ? null : (step.service ?? "HTTP") },
        state: step.state ?? (step.type === "RECOVERY" ? good : step.host ? "DOWN" : "CRITICAL"),
        state_type: step.st ?? "HARD",
        monitor: { id: step.mon ?? "A", start: step.start ?? 1000 },
        problem: { id: step.pid ?? "5", last_id: step.lpid, epoch: step.ep ?? 99_990 },
        notification: {
          id: step.nid === -1 ? undefined : String(step.nid ?? index + 1),
          number: step.num ?? 1,
          escalated: step.esc,
          volatile: step.vol,
        },
        time: step.time ?? 100_000 + Math.floor(step.taken ?? step.at ?? index),
        degraded: step.degraded,
      },
    );
    look(queued, step, now);
  }
  if (!last) throw new Error("an empty story");
  const { verdict, object } = last;
  const entry = entries.get(object) ?? emptyEntry;
  return {
    is: [verdict.action === "send" ? verdict.kind : verdict.action, verdict.row],
    entry,
    verdict,
    mails,
  };
};

const recovery = { type: "RECOVERY", pid: "0", lpid: "5" } as const;
const hostDown = { host: true, nid: 50 } as const;
const hostUp = { host: true, nid: 60, ...recovery } as const;

describe("the decision table", () => {
  it.each<[string, string, string, Step[], Partial<Policy>?]>([
    ["R0", "suppress", "a notification that was run twice is one mail", [{}, { nid: 1, twin: "alert-0" }]],
    ["R1", "PROBLEM", "the first news of a problem is mailed", [{}]],
    ["R1", "PROBLEM", "a second contact gets his own first news", [{}, { to: "bob", nid: 1 }]],
    ["R2", "PROBLEM", "a contact who was not told is told, whatever the number says", [{ num: 3 }]],
    ["R2", "PROBLEM", "a contact who joins later is told of the open problem", [{}, { to: "bob", num: 2 }]],
    ["R3", "suppress", "a renotification of the same state is suppressed", [{}, { num: 2 }]],
    [
      "R3",
      "suppress",
      "the tenth renotification too",
      [{}, ...Array.from({ length: 10 }, () => ({ num: 2 }))],
    ],
    [
      "R4",
      "REMINDER",
      "a reminder is mailed when it is due",
      [{}, { at: 7200, num: 2 }],
      { renotifyAfterSeconds: 7200 },
    ],
    ["R3", "suppress", "and not before", [{}, { at: 7199, num: 2 }], { renotifyAfterSeconds: 7200 }],
    [
      "R4",
      "REMINDER",
      "and whatever became of the state, as long as it is no worse",
      [{}, { at: 7200, num: 2, state: "WARNING" }],
      { renotifyAfterSeconds: 7200 },
    ],
    [
      "R3",
      "suppress",
      "nor again before the next is due",
      [{}, { at: 7200, num: 2 }, { at: 10_800, num: 3 }],
      { renotifyAfterSeconds: 7200 },
    ],
    [
      "R3",
      "suppress",
      "nor after somebody acknowledged it",
      [{}, { type: "ACKNOWLEDGEMENT" }, { at: 7200, num: 2 }],
      { renotifyAfterSeconds: 7200 },
    ],
    [
      "R8",
      "suppress",
      "nor from a monitor that did not open the episode",
      [{}, { mon: "B" }, { mon: "B", at: 7200, num: 2 }],
      { renotifyAfterSeconds: 7200 },
    ],
    ["R5", "UPDATE", "WARNING that becomes CRITICAL is mailed", [{ state: "WARNING" }, { num: 2 }]],
    ["R6", "record", "CRITICAL that becomes WARNING is not", [{}, { state: "WARNING", num: 2 }]],
    [
      "R6",
      "record",
      "nor when it is back at CRITICAL",
      [{ state: "WARNING" }, { num: 2 }, { state: "WARNING", num: 3 }, { num: 4 }],
    ],
    [
      "R7",
      "ESCALATION",
      "an escalated contact hears of an open problem",
      [{}, { to: "boss", esc: true, num: 2 }],
    ],
    ["R8", "PROBLEM", "a contact of the other monitor alone is told by it", [{}, { mon: "B", to: "bob" }]],
    [
      "R8",
      "suppress",
      "two monitors of one outage make one mail",
      [{}, { mon: "B", ep: 103_550, time: 103_601, pid: "91" }],
    ],
    [
      "R9",
      "PROBLEM",
      "a new problem is news though the recovery between was lost",
      [{}, { pid: "9", ep: 100_500 }],
    ],
    ["R11", "PROBLEM", "each event of a volatile service is news", [{ vol: true }, { vol: true }]],
    [
      "R13",
      "suppress",
      "a problem overtaken by its recovery is not mailed",
      [{ ...recovery, nid: 21 }, { nid: 20 }],
    ],
    [
      "R1",
      "PROBLEM",
      "the next problem after that is",
      [{ ...recovery, nid: 21 }, { nid: 20 }, { nid: 22, ep: 100_490 }],
    ],
    [
      "R13",
      "suppress",
      "nor when an older recovery came in late between",
      [{ nid: 1 }, { ...recovery, nid: 4 }, { ...recovery, nid: 2 }, { nid: 3 }],
    ],
    [
      "R19",
      "PROBLEM",
      "per-contact processes may overtake each other",
      [
        { nid: 2, num: 2 },
        { to: "bob", nid: 1 },
      ],
    ],
    [
      "R13",
      "suppress",
      "nor one whose end this contact's queue had first, though the relay was away",
      [
        { nid: 1 },
        { ...recovery, nid: 2, at: 240 },
        { ...recovery, to: "carol", nid: 2, at: 510, taken: 150 },
        { to: "carol", nid: 1, at: 511, taken: 200 },
      ],
    ],
    ["R20", "RECOVERY", "the recovery of a mailed problem is mailed", [{}, recovery]],
    [
      "R20",
      "RECOVERY",
      "to the second contact too, after the first had his",
      [{}, { to: "bob", nid: 1 }, recovery, { ...recovery, to: "bob", nid: 3 }],
    ],
    ["R21", "record", "a recovery repeated is not", [{}, recovery, { ...recovery, nid: 9 }]],
    ["R21", "record", "a recovery nobody was told of is not mailed", [{}, { ...recovery, to: "bob" }]],
    ["R1", "PROBLEM", "a problem after a recovery is a new one", [{}, recovery, { pid: "6", ep: 100_500 }]],
    [
      "R25",
      "RECOVERY",
      "a recovery that names another problem still ends this one",
      [{}, { ...recovery, lpid: "77", ep: 1 }],
    ],
    ["R26", "record", "a recovery without any problem is only noted", [recovery]],
    [
      "R28",
      "suppress",
      "a late recovery does not end a newer problem",
      [{}, { nid: 3, pid: "6", ep: 100_290 }, { ...recovery, nid: 2 }],
    ],
    [
      "R32",
      "CUSTOM",
      "what somebody sends by hand is always mailed",
      [{}, { type: "CUSTOM" }, { type: "CUSTOM", state: "OK" }],
    ],
    [
      "R33",
      "ACKNOWLEDGEMENT",
      "an acknowledgement goes to those who were told",
      [{}, { type: "ACKNOWLEDGEMENT" }],
    ],
    ["R34", "record", "and not to those who were not", [{}, { type: "ACKNOWLEDGEMENT", to: "bob" }]],
    [
      "R34",
      "ACKNOWLEDGEMENT",
      "but a SOFT problem's is still human news",
      [{ type: "ACKNOWLEDGEMENT", st: "SOFT" }],
    ],
    ["R35", "DOWNTIME", "downtimes are mailed", [{ type: "DOWNTIMESTART", state: "OK" }]],
    ["R36", "FLAPPING", "flapping is mailed, even in state OK", [{}, { type: "FLAPPINGSTART", state: "OK" }]],
    // Timers and what is shared between monitors, hosts and contacts.
    [
      "R5",
      "record",
      "a policy may keep UPDATE from being mailed",
      [{ state: "WARNING" }, { num: 2 }],
      { worsening: false },
    ],
    [
      "R10",
      "record",
      "a problem that a monitor without its retention finds again is not news",
      [
        { nid: 2, pid: "2", ep: 99_000 },
        { service: "other", nid: 5001 },
        { nid: 9, pid: "6", start: 100_650, ep: 100_690 },
      ],
    ],
    [
      "R5",
      "UPDATE",
      "unless it is worse than he was told",
      [
        { nid: 2, pid: "2", ep: 99_000, state: "WARNING" },
        { service: "other", nid: 5001 },
        { nid: 9, pid: "6", start: 100_650, ep: 100_690 },
      ],
    ],
    [
      "R9",
      "PROBLEM",
      "nor one that began long after that start",
      [
        { nid: 2, pid: "2", ep: 99_000 },
        { service: "other", nid: 5001 },
        { nid: 9, pid: "6", start: 100_650, ep: 101_600 },
      ],
    ],
    [
      "R9",
      "PROBLEM",
      "nor one after a restart that kept its numbers",
      [
        { nid: 2, pid: "2", ep: 99_000 },
        { nid: 9, pid: "6", start: 100_650, ep: 100_690 },
      ],
    ],
    [
      "R12",
      "suppress",
      "a new problem of A is not news while B saw the old one on",
      [
        { nid: 1 },
        { mon: "B", nid: 7, pid: "70" },
        { ...recovery, nid: 2 },
        { nid: 3, pid: "6", ep: 100_500 },
      ],
    ],
    [
      "R14",
      "hold",
      "the slower monitor's problem waits when the other has just reported the end",
      [{}, { ...recovery, at: 100 }, { mon: "B", at: 200, nid: 7 }],
    ],
    [
      "R15",
      "PROBLEM",
      "and is mailed when it lasts",
      [{}, { ...recovery, at: 100 }, { mon: "B", at: 200, nid: 7 }, { pass: true, at: 320 }],
    ],
    [
      "R13",
      "suppress",
      "and is not when it ends",
      [
        {},
        { ...recovery, at: 100 },
        { mon: "B", at: 200, nid: 7 },
        { ...recovery, mon: "B", at: 250, nid: 8 },
        { pass: true, at: 251 },
      ],
    ],
    [
      "R1",
      "PROBLEM",
      "after 120 s it is news at once",
      [{}, { ...recovery, at: 100 }, { mon: "B", at: 221, nid: 7 }],
    ],
    ["R16", "hold", "a service under a host that this contact knows to be down waits", [hostDown, {}]],
    [
      "R17",
      "PROBLEM",
      "a contact who was not told of the host is told of the service",
      [hostDown, { to: "dba" }],
    ],
    [
      "R1",
      "PROBLEM",
      "a policy may let hosts cover nothing",
      [hostDown, {}],
      { hostCoverSeconds: undefined },
    ],
    ["R16", "hold", "it waits on while the host is down", [hostDown, {}, { pass: true, at: 3600 }]],
    [
      "R18",
      "PROBLEM",
      "but no longer than an hour, for the host's end may never come",
      [hostDown, {}, { pass: true, at: 3601 }],
    ],
    [
      "R1",
      "PROBLEM",
      "what the same monitor sends after the host's DOWN proves that the host is up",
      [hostDown, { nid: 51 }],
    ],
    [
      "R16",
      "hold",
      "another monitor's word waits for five minutes after the host's DOWN",
      [hostDown, { mon: "B", at: 200 }],
    ],
    ["R18", "PROBLEM", "and is mailed then", [hostDown, { mon: "B", at: 200 }, { pass: true, at: 300 }]],
    ["R1", "PROBLEM", "or at once after that", [hostDown, { mon: "B", at: 301 }]],
    [
      "R16",
      "hold",
      "and for five minutes after",
      [hostDown, {}, { ...hostUp, at: 600 }, { pass: true, at: 899 }],
    ],
    [
      "R18",
      "PROBLEM",
      "and is mailed if it is still bad then",
      [hostDown, {}, { ...hostUp, at: 600 }, { pass: true, at: 900 }],
    ],
    [
      "R5",
      "UPDATE",
      "and what got worse meanwhile is an update of that",
      [hostDown, { state: "WARNING" }, { num: 2 }, { ...hostUp, at: 600 }, { pass: true, at: 900 }],
    ],
    ["R31", "record", "its recovery is not told", [hostDown, {}, { ...recovery, nid: 52 }]],
    [
      "R31",
      "record",
      "nor is it itself, then",
      [hostDown, {}, { ...recovery, nid: 52 }, { pass: true, at: 7200 }],
    ],
    [
      "R22",
      "hold",
      "a recovery waits while the other monitor still reports the problem",
      [{}, { mon: "B", nid: 7 }, { ...recovery, at: 400 }],
    ],
    [
      "R20",
      "RECOVERY",
      "a policy may mail the first monitor's at once",
      [{}, { mon: "B", nid: 7 }, { ...recovery, at: 400 }],
      { pairRecoverySeconds: 0 },
    ],
    [
      "R23",
      "RECOVERY",
      "the recovery of the last monitor is mailed",
      [{}, { mon: "B", nid: 7 }, { ...recovery, at: 400 }, { ...recovery, mon: "B", nid: 8, at: 431 }],
    ],
    [
      "R23",
      "RECOVERY",
      "to a contact of the first monitor too, whose recovery waited",
      [
        {},
        { mon: "B", nid: 7 },
        { mon: "B", to: "bob", nid: 7 },
        { ...recovery, at: 400 },
        { ...recovery, mon: "B", to: "bob", nid: 8, at: 431 },
        { pass: true, at: 432 },
      ],
    ],
    [
      "R24",
      "RECOVERY",
      "after ten minutes it is mailed though the other monitor still complains",
      [{}, { mon: "B", nid: 7 }, { ...recovery, at: 400 }, { pass: true, at: 1000 }],
    ],
    [
      "R21",
      "record",
      "and the other's recovery is not told again",
      [
        {},
        { mon: "B", nid: 7 },
        { ...recovery, at: 400 },
        { pass: true, at: 1000 },
        { ...recovery, mon: "B", nid: 8 },
      ],
    ],
    [
      "R2",
      "PROBLEM",
      "but its next renotification is",
      [
        {},
        { mon: "B", nid: 7 },
        { ...recovery, at: 400 },
        { pass: true, at: 1000 },
        { mon: "B", nid: 8, num: 2, at: 1100 },
      ],
    ],
    [
      "R26",
      "RECOVERY",
      "a policy may mail a recovery without any problem",
      [recovery],
      { orphanRecovery: true },
    ],
    [
      "R27",
      "RECOVERY",
      "the recovery of an escalated problem reaches those whom Nagios forgets",
      [{}, { to: "boss", esc: true, num: 2 }, recovery, { pass: true, at: 62 }],
    ],
    [
      "R21",
      "record",
      "not twice, if it did not forget them",
      [
        {},
        { to: "boss", esc: true, num: 2 },
        recovery,
        { ...recovery, to: "boss", at: 10, nid: 3 },
        { pass: true, at: 62 },
      ],
    ],
    [
      "R20",
      "RECOVERY",
      "a monitor that never told this contact does not hold the end back",
      [{}, { mon: "B", to: "bob", nid: 7 }, { ...recovery, at: 400 }],
    ],
    [
      "R27",
      "RECOVERY",
      "though the next problem has begun, of which others were told",
      [
        {},
        { to: "boss", esc: true, num: 2 },
        recovery,
        { at: 30, nid: 9, pid: "6", ep: 100_020 },
        { pass: true, at: 62 },
      ],
    ],
    [
      "R20",
      "RECOVERY",
      "not when it was not escalated",
      [{}, { to: "bob", nid: 1 }, recovery, { pass: true, at: 62 }],
    ],
    [
      "R29",
      "suppress",
      "a recovery within 30 s of a problem that no relay took is not mailed",
      [{ unsent: true }, { ...recovery, at: 9 }],
    ],
    [
      "R29",
      "suppress",
      "nor is the problem, then",
      [{ unsent: true }, { ...recovery, at: 9 }, { pass: true, at: 31 }],
    ],
    [
      "R1",
      "PROBLEM",
      "else the problem is tried again after 30 s",
      [{ unsent: true }, { pass: true, at: 30 }],
    ],
    [
      "R30",
      "hold",
      "a recovery that overtakes it later waits behind it",
      [{ unsent: true }, { ...recovery, at: 31, unswept: true }],
    ],
    ["R30", "hold", "and an acknowledgement too", [{ unsent: true }, { type: "ACKNOWLEDGEMENT", at: 9 }]],
    [
      "R33",
      "ACKNOWLEDGEMENT",
      "which then is mailed",
      [{ unsent: true }, { type: "ACKNOWLEDGEMENT", at: 9 }, { pass: true, at: 31 }],
    ],
    [
      "R33",
      "suppress",
      "the other monitor's word of the same acknowledgement is not mailed",
      [
        {},
        { mon: "B", nid: 7 },
        { type: "ACKNOWLEDGEMENT", at: 60 },
        { type: "ACKNOWLEDGEMENT", mon: "B", at: 180, nid: 8 },
      ],
    ],
    [
      "R33",
      "ACKNOWLEDGEMENT",
      "unless it comes after 120 s",
      [
        {},
        { mon: "B", nid: 7 },
        { type: "ACKNOWLEDGEMENT", at: 60 },
        { type: "ACKNOWLEDGEMENT", mon: "B", at: 181, nid: 8 },
      ],
    ],
    [
      "R35",
      "suppress",
      "a downtime is mailed once for a pair",
      [
        { type: "DOWNTIMESTART", state: "OK" },
        { type: "DOWNTIMESTART", state: "OK", mon: "B" },
      ],
    ],
    [
      "R35",
      "DOWNTIME",
      "and each one that the same monitor reports",
      [
        { type: "DOWNTIMESTART", state: "OK" },
        { type: "DOWNTIMESTART", state: "OK" },
      ],
    ],
    [
      "R36",
      "suppress",
      "flapping is mailed once for a pair",
      [{}, { type: "FLAPPINGSTART" }, { type: "FLAPPINGSTART", mon: "B" }],
    ],
    [
      "R37",
      "RECOVERY",
      "flapping that ends well without a recovery makes one after 60 s",
      [
        {},
        { type: "FLAPPINGSTART", state: "OK" },
        { type: "FLAPPINGSTOP", state: "OK", at: 100 },
        { pass: true, at: 160 },
      ],
    ],
    [
      "R21",
      "record",
      "not twice, if the monitor sends one",
      [
        {},
        { type: "FLAPPINGSTART", state: "OK" },
        { type: "FLAPPINGSTOP", state: "OK", at: 100 },
        { ...recovery, at: 110 },
        { pass: true, at: 160 },
      ],
    ],
    [
      "R36",
      "FLAPPING",
      "flapping that ends badly makes none",
      [{}, { type: "FLAPPINGSTART" }, { type: "FLAPPINGSTOP", at: 100 }, { pass: true, at: 7200 }],
    ],
    [
      "R38",
      "FLAPPING",
      "the end of flapping is news when the problem is over too",
      [{}, recovery, { type: "FLAPPINGSTOP", state: "OK" }],
    ],
    ["R39", "hold", "a notification without its texts waits for the one that has them", [{ degraded: true }]],
    [
      "R0",
      "suppress",
      "and gives way to it",
      [{ degraded: true }, { degraded: true, twin: "alert-9", nid: 1 }],
    ],
    ["R1", "PROBLEM", "or is mailed after 5 s", [{ degraded: true }, { pass: true, at: 5 }]],
    [
      "R41",
      "RECOVERY",
      "monitors' clocks are never compared with each other",
      [
        { time: 100_000 },
        { ...recovery, time: 100_400 },
        { mon: "B", at: 500, time: 50_000, nid: 7 },
        { ...recovery, mon: "B", at: 900, time: 50_400, nid: 8 },
      ],
    ],
    ["R45", "record", "a SOFT problem is not mailed", [{ st: "SOFT" }]],
    ["R45", "record", "nor a SOFT recovery", [{}, { ...recovery, st: "SOFT" }]],
    ["R1", "PROBLEM", "and a SOFT one leaves no trace", [{ st: "SOFT" }, {}]],
  ])("%s %s: %s", (row, action, _, steps, policy) => {
    // R41 is a rule for all rows, and has none of its own.
    expect(play(steps, policy).is).toEqual([action, row === "R41" ? "R20" : row]);
  });

  it("R30 R20: a contact whose problem waited for the relay gets it and its recovery, though another's recovery came first", () => {
    const waited = [
      { nid: 1 },
      { ...recovery, nid: 2, at: 600 },
      { to: "bob", nid: 1, taken: 1, at: 900 },
    ] satisfies Step[];
    expect(play(waited).is).toEqual(["PROBLEM", "R30"]);
    expect(play([...waited, { ...recovery, to: "bob", nid: 2, taken: 600, at: 901 }]).is).toEqual([
      "RECOVERY",
      "R20",
    ]);
  });

  it("R20: a standby that takes over under the same name, started earlier, ends what the other opened", () => {
    const { is, entry } = play([
      { nid: 50, start: 99_000 },
      { ...recovery, nid: 10, start: 98_000, at: 100 },
    ]);
    expect(is).toEqual(["RECOVERY", "R20"]);
    expect(openProblem({ ...entry, contacts: {} })).toBeUndefined();
  });

  it("R1: a standby that takes over under the same name, started earlier, is not taken for the past", () => {
    const failback = [
      { ...recovery, start: 2000, time: 100_000 },
      { start: 1000, nid: 7, time: 200_000 },
    ];
    expect(play(failback).is).toEqual(["PROBLEM", "R1"]);
  });

  it("R33: a late acknowledgement of the problem before does not silence the reminders of this one", () => {
    const story = [
      { nid: 1 },
      { nid: 3, pid: "6", ep: 100_290 },
      { nid: 2, type: "ACKNOWLEDGEMENT" },
      { nid: 4, pid: "6", ep: 100_290, at: 7300, num: 2 },
    ];
    expect(play(story, { renotifyAfterSeconds: 7200 }).is).toEqual(["REMINDER", "R4"]);
  });

  it("R29: a problem that the relay did not take is not lost because the other monitor's went by in between", () => {
    const story = [
      { mon: "B", nid: 50, unsent: true },
      { at: 1, nid: 1, unsent: true },
      { ...recovery, at: 30.5, nid: 2 },
      { pass: true, at: 60 },
    ] satisfies Step[];
    expect(play(story).mails).toEqual(["PROBLEM CRITICAL alice"]);
  });

  it("R29: a problem is dropped with its recovery, though another contact's recovery came later", () => {
    const story = [
      { unsent: true },
      { ...recovery, to: "bob", nid: 2, at: 90, unswept: true },
      { ...recovery, nid: 2, taken: 15, at: 91, unswept: true },
      { pass: true, at: 200 },
    ] satisfies Step[];
    expect(play(story).mails).toEqual([]);
    expect(play(story).is).toEqual(["suppress", "R29"]);
  });

  it("R13: a problem that its recovery overtook is not told after that, whatever others were told meanwhile", () => {
    const second = { pid: "6", ep: 100_040 };
    const story = [
      { at: 0 },
      { to: "bob", at: 1 },
      { ...recovery, to: "bob", nid: 2, at: 40 },
      { to: "bob", nid: 3, at: 41, ...second },
      { ...recovery, to: "bob", nid: 4, at: 131, ...second },
      { ...recovery, nid: 4, taken: 41, at: 140, ...second },
      { nid: 3, taken: 43, at: 141, ...second },
    ] satisfies Step[];
    expect(play(story).is).toEqual(["suppress", "R13"]);
    expect(play(story).mails.filter((mail) => mail.endsWith("alice"))).toEqual([
      "PROBLEM CRITICAL alice",
      "RECOVERY OK alice",
    ]);
  });

  it("R20: a contact who is told late of an earlier problem is told of its end, while the next one is open", () => {
    const { entry } = play([{}, recovery, { nid: 3, pid: "6", ep: 100_001 }]);
    const of = (type: string, state: string, id: string) =>
      queuedAlert(
        { contact: "bob@example.com" },
        { type, state, monitor: { id: "A", start: 1000 }, notification: { id } },
      );
    const late = told(entry, "PROBLEM", of("PROBLEM", "CRITICAL", "1"), "the first", began + 900_000);
    const verdict = decide({ entry: late }, of("RECOVERY", "OK", "2"), defaultPolicy, began + 901_000);
    expect([verdict.action, verdict.row]).toEqual(["send", "R20"]);
    expect(openProblem(verdict.entry)).toMatchObject({
      monitors: ["A"],
      told: [{ contact: "alice@example.com" }],
    });
  });

  it("a RECOVERY of another conversation leaves what this contact was told of since", () => {
    const { entry } = play([{}]);
    const alice = queuedAlert({ contact: "alice@example.com" }, { type: "RECOVERY", state: "OK" });
    expect(told(entry, "RECOVERY", alice, "another", 702_000)).toEqual(entry);
  });

  it("R13: what a monitor said before it lost its memory is not told after what it said since", () => {
    const since = { start: 2000, ep: 100_001, nid: 9 } satisfies Step;
    const late = { start: 1000, ep: 99_990, nid: 1, time: 99_995, at: 720 } satisfies Step;
    expect(play([since, late]).is).toEqual(["suppress", "R13"]);
    expect(play([since, { ...late, start: 3000, ep: 100_500, nid: 100, time: 100_720 }]).is).toEqual([
      "PROBLEM",
      "R9",
    ]);
  });

  it("R44: a problem of which nothing was heard for 30 days is over, and not before", () => {
    const end = began + 30 * 86_400_000;
    const { entry } = play([{ at: 0 }]);
    expect(forgotten(entry, end - 1)).toBeUndefined();
    expect(openProblem(entry)).toMatchObject({ state: "CRITICAL", monitors: ["A"] });
    const after = forgotten(entry, end);
    expect(after && openProblem(after)).toBeUndefined();
    expect(forgotten(play([{}, recovery]).entry, end * 3)).toBeUndefined();
  });

  it("gives the reason in words that name the object, the contact and the time", () => {
    const { verdict } = play([{ at: 36_120 }, { at: 36_200, num: 2 }]);
    expect(verdict.reason).toBe(
      "web01/HTTP was already reported CRITICAL to alice@example.com at 2 Jan 1970, 13:48 UTC",
    );
  });

  it("orders by process and notification id inside a monitor, whatever its clock did", () => {
    expect(
      play([
        { nid: 5, time: 200_000 },
        { ...recovery, nid: 6, time: 100_000 },
      ]).is,
    ).toEqual(["RECOVERY", "R20"]);
  });

  it("a held recovery that is looked at again lets nothing go, though its order is none (R22)", () => {
    const both = ["alice", "bob", "carol"].flatMap((to): Step[] => [
      { to, at: 0, nid: 1000 },
      { to, at: 1, mon: "B" },
    ]);
    // By its numbers each end comes before the next, and by their times, for two numbers are far apart, the last first.
    const ends = [
      { ...recovery, at: 100, nid: 1001, time: 100_110 },
      { ...recovery, at: 101, nid: 901_001, time: 100_105, to: "bob" },
      { ...recovery, at: 102, nid: 1_801_001, time: 100_100, to: "carol", unswept: true },
    ] satisfies Step[];
    const { entry, is } = play([...both, ...ends]);
    expect(is).toEqual(["hold", "R22"]);
    const alices = queuedAlert(
      { id: "alert-6", contact: "alice@example.com", receivedAt: began + 100_000 },
      {
        type: "RECOVERY",
        state: "OK",
        monitor: { id: "A", start: 1000 },
        problem: { last_id: "5", epoch: 99_990 },
        notification: { id: "1001" },
        time: 100_110,
      },
    );
    const again = decide({ entry }, alices, defaultPolicy, began + 102_000);
    expect(again.entry.held["alert-8"]).toEqual(entry.held["alert-8"]);
    expect(again.entry.monitors).toEqual(entry.monitors);
  });

  it("an entry keeps for a week what is over, though each contact was told of a problem and of no end", () => {
    const day = 86_400;
    const days = Array.from({ length: 60 }, (_, n): Step[] => [
      { at: n * day, to: `contact${n}`, ep: 99_990 + n * day, nid: 2 * n, pid: String(n) },
      // Nobody takes the mail of this one.
      { at: n * day + 100, to: `late${n}`, ep: 99_990 + n * day, nid: 2 * n, pid: String(n), unsent: true },
      { ...recovery, at: n * day + 200, to: "carol", ep: 99_990 + n * day, nid: 2 * n + 1, lpid: String(n) },
    ]);
    const { entry } = play(days.flat());
    const sizes = [entry.contacts, entry.begun, entry.monitors.A?.problems ?? []].map(
      (all) => Object.keys(all).length,
    );
    expect(Math.max(...sizes)).toBeLessThan(20);
    expect(Object.keys(entry.contacts)).toContain("contact59@example.com");
    expect(
      Object.keys(
        play([{}, { at: 60 * day, to: "bob", num: 60 }, { at: 61 * day, to: "bob", pid: "6", ep: 200_000 }])
          .entry.contacts,
      ),
    ).toHaveLength(2);
  });

  it("an entry of 200 contacts, told by a pair and of the end, stays below 60 KB: an item of DynamoDB has 400", () => {
    const all = (step: Step): Step[] =>
      Array.from({ length: 200 }, (_, n) => ({ nid: 1000, ...step, to: `firstname.lastname${n}` }));
    const uuid = "f1553f12-81a5-6b8c-2bdc-0e8f0dde910d";
    const open = [...all({ at: 0, pid: uuid }), ...all({ at: 3, mon: "B", nid: 7, pid: uuid })];
    const ended = [
      ...open,
      ...all({ ...recovery, at: 60, nid: 1001 }),
      ...all({ ...recovery, at: 70, mon: "B", nid: 8 }),
    ];
    const { entry, mails } = play(ended);
    expect(mails).toHaveLength(400);
    expect(Object.values(entry.monitors).map(({ problems }) => problems.length)).toEqual([1, 1]);
    expect(JSON.stringify(entry).length).toBeLessThan(60_000);
    // An escalated end makes a recovery for each of them in one write (R27).
    const boss = { to: "boss", esc: true } satisfies Step;
    const made = play([...all({ at: 0 }), { ...recovery, ...boss, at: 60, nid: 1002 }]);
    expect(made.verdict.made).toHaveLength(200);
    expect(JSON.stringify(made.verdict.entry).length).toBeLessThan(90_000);
  });

  it("does not tell a contact of a new problem by a mail of the one before", () => {
    const story = [
      { at: 0 },
      { ...recovery, at: 10 },
      { to: "bob", pid: "6", ep: 100_019, at: 20 },
    ] satisfies Step[];
    const alice = queuedAlert(
      { contact: "alice@example.com" },
      { monitor: { id: "A", start: 1000 }, problem: { id: "5", epoch: 99_990 }, notification: { id: "1" } },
    );
    const late = told(play(story).entry, "PROBLEM", alice, "the first", began + 21_000);
    const [first, second] = late.monitors.A?.problems ?? [];
    expect(late.contacts["alice@example.com"]?.names).toEqual({ A: first?.key });
    expect(second?.epoch).toBe(100_019);
    expect(play([...story, { pid: "6", ep: 100_019, at: 30, nid: 3 }]).is).toEqual(["PROBLEM", "R1"]);
  });
});

describe("one wrong clock or number silences nothing", () => {
  const year = 365 * 86_400;
  const next = { at: 600, nid: 9, pid: "6", lpid: "5", ep: 100_595 } satisfies Step;
  const end = { ...recovery, at: 300, nid: 2 } satisfies Step;
  /** The same, said by a monitor without numbers. */
  const unnumbered = (steps: readonly Step[]) => steps.map((step) => ({ ...step, nid: -1 }));
  const wrong: [string, Step[]][] = [
    ["an end whose clock is a year ahead", [{}, { ...end, time: 100_300 + year }]],
    ["an end whose clock is a day behind", [{}, { ...end, time: 100_300 - 86_400 }]],
    ["an end of a process that starts in a year", [{}, { ...end, start: 100_000 + year }]],
    ["an end with an impossible number", [{}, { ...end, nid: 999_999_999_999_999 }]],
    ["a problem whose clock is a year ahead", [{ time: 100_000 + year, ep: 99_990 + year }]],
    ["a problem of a process that starts in a year", [{ start: 100_000 + year }]],
    ["a problem with an impossible number", [{ nid: 999_999_999_999_999 }]],
  ];
  it.each(wrong)("after %s the next problem is mailed", (_, steps) => {
    expect(play([...steps, next]).mails.at(-1)).toBe("PROBLEM CRITICAL alice");
    expect(play([...steps, next]).mails).toHaveLength(play(steps).mails.length + 1);
    const bare = play(unnumbered([...steps, next]));
    expect(bare.mails).toHaveLength(play(unnumbered(steps)).mails.length + 1);
  });

  it.each(wrong)("after %s the next problem's end is mailed", (_, steps) => {
    const over = { ...recovery, at: 900, nid: 10, lpid: "6", ep: 100_595 } satisfies Step;
    expect(play([...steps, next, over]).mails.at(-1)).toBe("RECOVERY OK alice");
    expect(play(unnumbered([...steps, next, over])).mails.at(-1)).toBe("RECOVERY OK alice");
  });

  it.each([1200, 7 * 3600, 86_400])(
    "a clock that is set back by %i s is no late post, where the post says when it was sent",
    (behind) => {
      const set = { ...next, nid: -1, time: 100_600 - behind, ep: 100_595 - behind, behind } satisfies Step;
      expect(play([{ nid: -1, behind: 0 }, set]).is).toEqual(["PROBLEM", "R9"]);
      const late = { ...set, behind: 0, ep: 90_000 } satisfies Step;
      expect(play([{ nid: -1, behind: 0 }, late]).is).toEqual(["suppress", "R13"]);
    },
  );

  it("names the clock in the story", () => {
    expect(play([{ time: 100_000 + year }]).verdict.reason).toBe(
      "first news of this problem; the clock of A is 8760.0 h ahead",
    );
    expect(play([{ time: 100_000 - 3600 }]).verdict.reason).toBe("first news of this problem");
  });
});

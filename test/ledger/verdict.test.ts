import { describe, expect, it } from "vitest";
import { decide, type Entry, emptyEntry, type Policy, told } from "../../functions/ledger/verdict.ts";
import { queuedAlert } from "../alerts.ts";

/** One alert of a story: when the bridge looks at it, for whom, and what differs from a first HARD CRITICAL. */
type Step = {
  at?: number;
  /** When the bridge took it, if that was before it was looked at. */
  taken?: number;
  to?: string;
  type?: string;
  state?: string;
  st?: string;
  mon?: string;
  start?: number;
  nid?: number;
  num?: number;
  pid?: string;
  lpid?: string;
  ep?: number;
  time?: number;
  esc?: boolean;
  vol?: boolean;
  twin?: string;
  /** The relay did not take the mail that this alert made. */
  unsent?: boolean;
};

/** Plays a story; each mail is taken by the relay at once. The last alert's verdict as [action or kind, row]. */
const play = (steps: readonly Step[], policy: Policy = {}) => {
  let entry: Entry = emptyEntry;
  let verdict: ReturnType<typeof decide> | undefined;
  for (const [index, step] of steps.entries()) {
    const queued = queuedAlert(
      {
        id: `alert-${index}`,
        contact: `${step.to ?? "alice"}@example.com`,
        receivedAt: (step.taken ?? step.at ?? index) * 1000,
      },
      {
        type: step.type ?? "PROBLEM",
        state: step.state ?? (step.type === "RECOVERY" ? "OK" : "CRITICAL"),
        state_type: step.st ?? "HARD",
        monitor: { id: step.mon ?? "A", start: step.start ?? 1000 },
        problem: { id: step.pid ?? "5", last_id: step.lpid, epoch: step.ep ?? 99_990 },
        notification: {
          id: String(step.nid ?? index + 1),
          number: step.num ?? 1,
          escalated: step.esc,
          volatile: step.vol,
        },
        time: step.time ?? 100_000 + index,
      },
    );
    const now = (step.at ?? index) * 1000;
    verdict = decide(entry, queued, step.twin, policy, now);
    entry = verdict.entry;
    if (verdict.action === "send" && !step.unsent)
      entry = told(entry, verdict.kind, queued, verdict.entry.episode?.id, now);
  }
  if (!verdict) throw new Error("an empty story");
  return { is: [verdict.action === "send" ? verdict.kind : verdict.action, verdict.row], entry, verdict };
};

const recovery = { type: "RECOVERY", pid: "0", lpid: "5" };

describe("the decision table", () => {
  it.each<[string, string, string, Step[], Policy?]>([
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
      "R3",
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
      "R3",
      "suppress",
      "two monitors of one outage make one mail",
      [{}, { mon: "B", ep: 103_550, pid: "91" }],
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
    ["R20", "RECOVERY", "the recovery of a mailed problem is mailed", [{}, recovery]],
    [
      "R20",
      "RECOVERY",
      "to the second contact too, after the first had his",
      [{}, { to: "bob", nid: 1 }, recovery, { ...recovery, to: "bob", nid: 3 }],
    ],
    ["R21", "record", "a recovery repeated is not", [{}, recovery, { ...recovery, nid: 9 }]],
    ["R21", "record", "a recovery nobody was told of is not mailed", [{}, { ...recovery, to: "bob" }]],
    ["R21", "record", "nor one whose problem the relay never took", [{ unsent: true }, recovery]],
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
    ["R45", "record", "a SOFT problem is not mailed", [{ st: "SOFT" }]],
    ["R45", "record", "nor a SOFT recovery", [{}, { ...recovery, st: "SOFT" }]],
    ["R1", "PROBLEM", "and a SOFT one leaves no trace", [{ st: "SOFT" }, {}]],
  ])("%s %s: %s", (row, action, _, steps, policy) => {
    expect(play(steps, policy).is).toEqual([action, row]);
  });

  it("R30 R20: a contact whose problem waited for the relay gets it and its recovery, though another's recovery came first", () => {
    const waited = [
      { nid: 1 },
      { to: "bob", nid: 1, unsent: true },
      { ...recovery, nid: 2, at: 600 },
      { to: "bob", nid: 1, taken: 1, at: 900 },
    ] satisfies Step[];
    expect(play(waited).is).toEqual(["PROBLEM", "R30"]);
    expect(play([...waited, { ...recovery, to: "bob", nid: 2, taken: 600, at: 901 }]).is).toEqual([
      "RECOVERY",
      "R20",
    ]);
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

  it("says again what it said when the relay had not taken the mail", () => {
    for (const story of [[{}], [{ state: "WARNING" }, { num: 2 }], [{}, recovery]] satisfies Step[][]) {
      const last = story.at(-1) ?? {};
      const nid = story.length;
      const [first, again] = [
        play([...story.slice(0, -1), { ...last, nid, unsent: true }]),
        play([...story.slice(0, -1), { ...last, nid, unsent: true }, { ...last, nid }]),
      ];
      expect(again.is[0]).toBe(first.is[0]);
      expect(again.entry.episode?.id).toBe(first.entry.episode?.id);
    }
  });

  it("gives the reason in words that name the object, the contact and the time", () => {
    const { verdict } = play([{ at: 36_120 }, { at: 36_200, num: 2 }]);
    expect(verdict.reason).toBe(
      "web01/HTTP was already reported CRITICAL to alice@example.com at 1 Jan 1970, 10:02 UTC",
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

  it("does not tell a contact of a new episode by a mail of the one before", () => {
    const queued = queuedAlert({ contact: "alice@example.com" });
    const before = play([{}, recovery]).entry;
    const { entry } = play([{}, recovery, { to: "bob", pid: "6", ep: 100_500 }]);
    expect(told(entry, "RECOVERY", queued, before.episode?.id, 1).contacts).toEqual(entry.contacts);
  });
});

import { type Case, madeRecovery, unmailed, type Verdict } from "./case.ts";
import {
  before,
  type Entry,
  type Episode,
  isWaitingProblem,
  othersOpen,
  released,
  withHeld,
  withView,
} from "./entry.ts";
import type { Row } from "./rows.ts";

/** R27: those whom the core may pass over with the recovery of this episode, and the one that each knows of. */
const passed = ({ entry, key, policy }: Case, open: Episode): [contact: string, episode: string][] => {
  if (policy.recoveryFanout === "none") return [];
  // Who was told of an earlier episode only, and not of its end, still believes in it.
  const unheard = Object.entries(entry.contacts)
    .filter(([, about]) => about.episode !== open.id && !about.recovered)
    .map(([contact, { episode }]): [string, string] => [contact, episode]);
  const addressed = policy.recoveryFanout === "all" || open.escalated ? open.addressed : [];
  const heard = (contact: string) =>
    entry.contacts[contact]?.episode === open.id && entry.contacts[contact]?.recovered;
  const mine = addressed
    .filter((contact) => !heard(contact))
    .map((contact): [string, string] => [contact, open.id]);
  return [...new Map([...unheard, ...mine])].filter(([contact]) => contact !== key);
};

/** R27: whoever was told, and was passed over when the recovery came. */
const passedOver = ({ entry, key, open, object, queued }: Case): Verdict => {
  const about = entry.contacts[key];
  if (open)
    return unmailed("suppress", "R28", `${object} has a newer problem than the one that ended`, entry);
  if (!about) return unmailed("record", "R21", `${queued.contact} was not told of the problem`, entry);
  if (about.recovered)
    return unmailed("record", "R21", `${queued.contact} was told by the monitor that it is over`, entry);
  if (about.episode !== queued.made?.episode)
    return unmailed("record", "R21", `${queued.contact} was told of another problem since`, entry);
  return {
    action: "send",
    kind: "RECOVERY",
    row: "R27",
    reason: "it is over, and the monitor did not say so to this contact",
    episode: { id: about.episode, since: about.at },
    entry,
  };
};

/** For so long a recovery waits behind a problem that the queue was given again. */
const unsentMilliseconds = 3_600_000;

/** R20-R31: a recovery. Object and order decide: the ids that a recovery carries are unreliable (R25). */
export const recovery = (c: Case): Verdict => {
  if (c.queued.made?.row === "R27") return passedOver(c);
  const { alert, order, view, open, object, queued, key, policy, entry, now } = c;
  const { monitor } = alert;
  const { episode } = entry;
  const told = entry.contacts[key];
  // Who knows the end of an earlier episode was not told of this one.
  const about = told?.recovered && told.episode !== episode?.id ? undefined : told;
  const toldEpisode =
    about && (about.episode === episode?.id ? episode : { id: about.episode, since: about.at });

  const others = othersOpen(entry, monitor.id);
  if (view?.problem && before(order, view.problem)) {
    const late = about && !about.recovered && about.episode !== episode?.id;
    if (late && about.by.monitor === monitor.id && others.length === 0)
      return {
        action: "send",
        kind: "RECOVERY",
        row: "R30",
        reason: "the end of an earlier problem, that this contact was told of late",
        episode: toldEpisode,
        entry,
      };
    return unmailed(
      "suppress",
      "R28",
      `${object} has a newer problem than the one this recovery ends`,
      entry,
    );
  }

  // What the object's entry is from now on, whatever this contact gets.
  const waitsUntil = queued.receivedAt + policy.pairRecoverySeconds * 1000;
  const overdue = others.length > 0 && about !== undefined && !about.recovered && now >= waitsUntil;
  const closes = open !== undefined && (others.length === 0 || overdue);
  // Not by R24: whoever listens to the other monitor is told when that has seen the end.
  const last = others.length === 0 && (closes || (view?.open === true && view.episode === episode?.id));
  const seen = released(
    withView(entry, monitor.id, {
      open: false,
      recovery: view?.recovery && before(order, view.recovery) ? view.recovery : order,
    }),
    now,
    (held) =>
      (isWaitingProblem(held) && (closes || held.monitor === monitor.id)) ||
      ((closes || last) && held.row === "R22"),
  );
  const closedAt = overdue ? now : queued.receivedAt;
  const over: Entry = closes
    ? others.reduce<Entry>((base, other) => withView(base, other, { outvotedAt: now }), {
        ...seen,
        episode: { ...open, state: alert.state, closedAt, closedBy: monitor.id },
      })
    : seen;
  const made =
    episode && last ? passed(c, episode).map(([contact, id]) => madeRecovery(c, "R27", contact, id)) : [];
  const fanoutDue = closedAt + policy.fanoutSeconds * 1000;
  const next = made.reduce((base, alert) => withHeld(base, alert, "R27", fanoutDue), over);
  const quiet = (action: "suppress" | "record", row: Row, reason: string): Verdict => ({
    ...unmailed(action, row, reason, next),
    made,
  });
  const hold = (row: Row, due: number, reason: string): Verdict => ({
    action: "hold",
    row,
    due,
    reason,
    entry: withHeld(next, queued, row, due),
    made,
  });
  const send = (row: Row, reason: string): Verdict => ({
    action: "send",
    kind: "RECOVERY",
    row,
    reason,
    episode: toldEpisode,
    entry: next,
    made,
  });

  /** R21: he is known to have had the end, so that a problem which that overtook on its way is not told late (R13). */
  const untold = (reason: string): Verdict => {
    if (!episode || (open && !closes)) return quiet("record", "R21", reason);
    const by = { monitor: monitor.id, start: monitor.start, epoch: alert.problem.epoch };
    const end = {
      episode: episode.id,
      worst: 0,
      state: alert.state,
      at: queued.receivedAt,
      recovered: true,
      by,
    };
    return {
      ...unmailed("record", "R21", reason, { ...next, contacts: { ...next.contacts, [key]: end } }),
      made,
    };
  };

  // What this contact gets: R26, R29-R31, R21, R24, R22, R37, R23, and else R20 or R25.
  if (!episode)
    return policy.orphanRecovery
      ? send("R26", `no problem of ${object} is known here, and such recoveries are to be mailed`)
      : quiet("record", "R26", `no problem of ${object} is known here`);
  const mine = Object.entries(entry.held).filter(([, held]) => held.contact === key);
  // Unless the queue has lost it: then it is not waited for.
  const waits = mine.find(([, { row, due }]) => row === "R29" && now - due < unsentMilliseconds);
  if (waits && about?.episode !== episode.id) {
    const [id, unsent] = waits;
    const age = queued.receivedAt - unsent.receivedAt;
    if (age > policy.flapHoldSeconds * 1000)
      return hold(
        "R30",
        Math.max(unsent.due, now) + 1,
        "its problem still waits for the relay, and goes first",
      );
    // Who still believes in an earlier problem is told that all is well now.
    if (!about) {
      const spared = quiet(
        "suppress",
        "R29",
        `${object} recovered ${Math.round(age / 1000)} s after its problem, which was not mailed yet`,
      );
      if (unsent.monitor !== monitor.id) return spared;
      // By the time that is looked at, another contact's recovery may have told a later end.
      const held = { ...next.held, [id]: { ...(next.held[id] ?? unsent), spared: true as const } };
      return { ...spared, entry: { ...next, held } };
    }
  }
  if (!about)
    return mine.some(([, { row }]) => row === "R16")
      ? quiet(
          "record",
          "R31",
          `the problem of ${object} was covered by its host's, and ${queued.contact} not told of it`,
        )
      : untold(`${queued.contact} was not told of the problem`);
  if (about.recovered) return quiet("record", "R21", `${queued.contact} was already told that it is over`);
  if (overdue)
    return policy.pairRecoverySeconds === 0
      ? send("R20", "the problem that this contact was told of is over")
      : send(
          "R24",
          `over at ${monitor.id} alone: ${others.join(", ")} still reports the problem ${policy.pairRecoverySeconds} s later`,
        );
  if (others.length > 0)
    return hold(
      "R22",
      waitsUntil,
      `over at ${monitor.id}, while ${others.join(", ")} still reports the problem`,
    );
  if (queued.made?.row === "R37") return send("R37", "flapping ended well, and the monitor sent no recovery");
  const pair = Object.entries(entry.monitors).some(
    ([id, { episode: in_ }]) => id !== monitor.id && in_ === episode.id,
  );
  if (pair) return send("R23", "every monitor that reported the problem has reported its end");
  const named = alert.problem.id ?? alert.problem.last_id;
  const mismatch = named !== undefined && view?.problemId !== undefined && named !== view.problemId;
  return send(mismatch ? "R25" : "R20", "the problem that this contact was told of is over");
};

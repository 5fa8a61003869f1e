import { type Case, clockOf, madeRecovery, unmailed, type Verdict } from "./case.ts";
import { before, type Entry, type Kind, lastAnnounced, withHeld } from "./entry.ts";
import type { Row } from "./rows.ts";

/** R32-R38: everything that is not about a state. */
export const auxiliary = (c: Case): Verdict => {
  const { alert, open, told, entry, object, queued, policy, key, now } = c;
  const send = (kind: Kind, row: Row, reason: string, next = entry): Verdict => ({
    action: "send",
    kind,
    row,
    reason,
    episode: entry.episode,
    entry: next,
  });
  if (alert.type === "CUSTOM") return send("CUSTOM", "R32", "somebody sent this by hand");

  const last = lastAnnounced(entry, queued);
  const twice =
    last !== undefined &&
    last.monitor !== alert.monitor.id &&
    queued.receivedAt - last.at <= policy.auxiliaryWindowSeconds * 1000;
  /** R33-R36, R38: once per pair. */
  const once = (kind: Kind, row: Row, reason: string, next = entry): Verdict => {
    if (!policy.auxiliary) return unmailed("record", row, `a ${alert.type} is not to be mailed`, next);
    if (!twice) return send(kind, row, reason, next);
    const twin = `${last.monitor} reported the same ${alert.type} at ${clockOf(last.at)}`;
    return unmailed("suppress", row, twin, next);
  };

  if (alert.type === "ACKNOWLEDGEMENT") {
    const reason = "somebody has taken it on";
    if (!open) return once("ACKNOWLEDGEMENT", "R34", reason);
    const late = c.view?.problem !== undefined && before(c.order, c.view.problem);
    const acknowledged: Entry = late
      ? entry
      : { ...entry, episode: { ...open, acknowledgedAt: open.acknowledgedAt ?? now } };
    const unsent = Object.values(entry.held).find((held) => held.contact === key && held.row === "R29");
    if (unsent && !told) {
      const due = Math.max(unsent.due, now) + 1;
      return {
        action: "hold",
        row: "R30",
        due,
        reason: "the problem still waits for the relay, and goes first",
        entry: withHeld(acknowledged, queued, "R30", due),
      };
    }
    if (told) return once("ACKNOWLEDGEMENT", "R33", reason, acknowledged);
    return unmailed(
      "record",
      "R34",
      `${queued.contact} was not told of the problem of ${object}`,
      acknowledged,
    );
  }

  if (!alert.type.startsWith("FLAPPING")) return once("DOWNTIME", "R35", "the contact asked for downtimes");
  const stopped = alert.type === "FLAPPINGSTOP" || alert.type === "FLAPPINGDISABLED";
  if (stopped && !open) return once("FLAPPING", "R38", "flapping is news, though the problem is over");
  const verdict = once("FLAPPING", "R36", "flapping is news whatever the state");
  if (!stopped || !open || (alert.state !== "OK" && alert.state !== "UP")) return verdict;
  // R37: the core before 4.5.6 sends no recovery after this one; it waits for everyone who was told.
  const made = open.addressed.map((contact) => madeRecovery(c, "R37", contact, open.id));
  const due = queued.receivedAt + policy.flapSettleSeconds * 1000;
  return {
    ...verdict,
    made,
    entry: made.reduce((base, alert) => withHeld(base, alert, "R37", due), verdict.entry),
  };
};

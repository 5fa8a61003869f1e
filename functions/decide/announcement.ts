import {
  type Case,
  clockOf,
  holding,
  knowing,
  mailing,
  unmailed,
  type Verdict,
  withRecoveries,
} from "./case.ts";
import { goesBefore, type Kind, lastAnnounced, namedBy, othersLive, waitingIn, withView } from "./entry.ts";
import { isOf, liveProblem, withProblem } from "./monitor-view.ts";
import type { Row } from "./rows.ts";

/** R32-R38: everything that is not about a state. */
export const announcement = (given: Case): Verdict => {
  const { told, alert, entry, held, key, now, object, order, policy, queued, view } = given;
  const { monitor } = alert;
  const live = liveProblem(view);
  if (alert.type === "CUSTOM") return mailing(given, "CUSTOM", "R32", "somebody sent this by hand");

  const last = lastAnnounced(entry, queued);
  /** R33-R36, R38: once per pair. */
  const once = (kind: Kind, row: Row, reason: string, next = entry): Verdict => {
    const isTwice =
      last !== undefined &&
      last.monitor !== monitor.id &&
      queued.receivedAt - last.at <= policy.announcementWindowSeconds * 1000;
    if (!isTwice) return mailing(given, kind, row, reason, { next });
    const twin = `${last.monitor} reported the same ${alert.type} at ${clockOf(last.at)}`;
    return unmailed("suppress", row, twin, next);
  };

  if (alert.type === "ACKNOWLEDGEMENT") {
    const reason = "somebody has taken it on";
    const isOpen = view !== undefined && live !== undefined && isOf(view, live, alert, order);
    const noted = isOpen && withProblem(view, { ...live, acknowledgedAt: live.acknowledgedAt ?? now });
    const acknowledged = noted ? withView(entry, monitor.id, noted) : entry;
    const [, unsent] =
      waitingIn(entry).find(([, one]) => one.contact === key && goesBefore(one, queued)) ?? [];
    const named = namedBy(entry, told, monitor.id);
    const isTold =
      told !== undefined &&
      !told.recovered &&
      (named
        ? view !== undefined && isOf(view, named, alert, order)
        : othersLive(entry, told, monitor.id).length > 0);
    if (unsent && !isTold && held?.row !== "R30") {
      const waits = "the problem still waits for the relay, and goes first";
      return holding(given, "R30", Math.max(unsent.due, now) + 1, waits, acknowledged);
    }
    if (isTold) return once("ACKNOWLEDGEMENT", "R33", reason, acknowledged);
    if (!isOpen) return once("ACKNOWLEDGEMENT", "R34", reason);
    const untold = `${queued.contact} was not told of the problem of ${object}`;
    return unmailed("record", "R34", untold, acknowledged);
  }

  if (!alert.type.startsWith("FLAPPING")) return once("DOWNTIME", "R35", "the contact asked for downtimes");
  const isEnd = alert.type !== "FLAPPINGSTART";
  if (isEnd && !live) return once("FLAPPING", "R38", "flapping is news, though the problem is over");
  const verdict = once("FLAPPING", "R36", "flapping is news whatever the state");
  if (!isEnd || !live || (alert.state !== "OK" && alert.state !== "UP")) return verdict;
  // R37: the core before 4.5.6 sends no recovery after this one; it waits for everyone who was told.
  const due = queued.receivedAt + policy.flapSettleSeconds * 1000;
  return withRecoveries(given, verdict, "R37", knowing(given, live.key), live.key, due);
};

import { contactKey } from "../address.ts";
import { objectName } from "../alert.ts";
import type { QueuedAlert } from "../queue/message.ts";
import { announcement } from "./announcement.ts";
import { type Case, holding, type Known, unmailed, type Verdict } from "./case.ts";
import { closed } from "./entry.ts";
import { own } from "./monitor-view.ts";
import { oddClock, orderOf } from "./order.ts";
import type { Policy } from "./policy.ts";
import { problem } from "./problem.ts";
import { recovery } from "./recovery.ts";

/** R0, R39, R45: whether this is an event of its own, and a confirmed one. */
const identity = (given: Case): Verdict | undefined => {
  const { entry, queued, alert, twin, policy, now } = given;
  if (twin !== undefined)
    return unmailed("suppress", "R0", `the same notification was taken before, as ${twin}`, entry);
  const due = queued.receivedAt + policy.degradedHoldSeconds * 1000;
  const bare = "the monitor gave it no texts: the same with its texts may follow";
  if (alert.degraded && now < due) return holding(given, "R39", due, bare, entry);
  const stateful = alert.type === "PROBLEM" || alert.type === "RECOVERY";
  if (stateful && alert.state_type === "SOFT")
    return unmailed("record", "R45", "the state is SOFT: not confirmed yet", entry);
  return undefined;
};

/** The verdict with a word on a clock that cannot be right, so that the story tells why receipt decided its order. */
const withClock = (verdict: Verdict, { queued }: Case): Verdict => {
  const odd = oddClock(queued);
  return odd ? { ...verdict, reason: `${verdict.reason}; ${odd}` } : verdict;
};

/**
 * The state machine of the ledger: what one alert means for one contact, given what each monitor said of its object
 * and what this contact was told. Rows as in docs/decision-table.md. Deciding again on what was written gives the same, or
 * what became of it with time: so whatever dies in between, the next one goes on.
 */
export const decide = (known: Known, queued: QueuedAlert, policy: Policy, now: number): Verdict => {
  const { alert } = queued;
  const entry = { ...known.entry, touchedAt: now };
  const key = contactKey(queued.contact);
  const given: Case = {
    ...known,
    entry,
    queued,
    alert,
    order: orderOf(queued),
    view: own(entry.monitors, alert.monitor.id),
    told: own(entry.contacts, key),
    held: own(entry.held, queued.id),
    policy,
    now,
    object: objectName(alert),
    key,
  };
  if (queued.made?.row === "R46") {
    const reason = "too much came at once to mail it one by one";
    return { action: "send", kind: "DIGEST", row: "R46", reason, entry: closed(entry, queued.id) };
  }
  const verdict = identity(given);
  if (verdict) return verdict;
  if (alert.type === "PROBLEM") return withClock(problem(given), given);
  if (alert.type === "RECOVERY") return withClock(recovery(given), given);
  return announcement(given);
};

import { contactKey } from "../address.ts";
import { objectName } from "../alert.ts";
import type { QueuedAlert } from "../queue/queue.ts";
import { auxiliary } from "./auxiliary.ts";
import { type Case, type Known, unmailed, type Verdict } from "./case.ts";
import { openEpisode, orderOf, withHeld } from "./entry.ts";
import type { Policy } from "./policy.ts";
import { problem } from "./problem.ts";
import { recovery } from "./recovery.ts";
import { closed } from "./storm.ts";

/** What is under a key that a client chose: `constructor` and its like are in every object. */
const own = <T>(values: Record<string, T>, key: string): T | undefined =>
  Object.hasOwn(values, key) ? values[key] : undefined;

/** R0, R39, R45: whether this is an event of its own, and a confirmed one. */
const identity = ({ entry, queued, alert, twin, policy, now }: Case): Verdict | undefined => {
  if (twin !== undefined)
    return unmailed("suppress", "R0", `the same notification was taken before, as ${twin}`, entry);
  const due = queued.receivedAt + policy.degradedHoldSeconds * 1000;
  if (alert.degraded && now < due)
    return {
      action: "hold",
      row: "R39",
      reason: "the monitor gave it no texts: the same with its texts may follow",
      due,
      entry: withHeld(entry, queued, "R39", due),
    };
  const stateful = alert.type === "PROBLEM" || alert.type === "RECOVERY";
  if (stateful && alert.state_type === "SOFT")
    return unmailed("record", "R45", "the state is SOFT: not confirmed yet", entry);
  return undefined;
};

/**
 * The state machine of the ledger: what one alert means for one contact, given what is known of its object. Rows as
 * in nagios.md §5.2; the first that matches in a block wins. Deciding again on what was written gives the same, or
 * what became of it with time: so whatever dies in between, the next one goes on.
 */
export const decide = (known: Known, queued: QueuedAlert, policy: Policy, now: number): Verdict => {
  const { alert } = queued;
  const entry = { ...known.entry, touchedAt: now };
  const key = contactKey(queued.contact);
  const open = openEpisode(entry);
  const about = entry.contacts[key];
  const c: Case = {
    ...known,
    entry,
    queued,
    alert,
    order: orderOf(alert),
    view: own(entry.monitors, alert.monitor.id),
    open,
    told: open && about?.episode === open.id ? about : undefined,
    held: own(entry.held, queued.id),
    policy,
    now,
    object: objectName(alert),
    key,
  };
  if (queued.made?.row === "R46")
    return {
      action: "send",
      kind: "DIGEST",
      row: "R46",
      reason: "too much came at once to mail it one by one",
      entry: closed(entry, queued.id),
    };
  const verdict = identity(c);
  if (verdict) return verdict;
  if (alert.type === "PROBLEM") return problem(c);
  if (alert.type === "RECOVERY") return recovery(c);
  return auxiliary(c);
};

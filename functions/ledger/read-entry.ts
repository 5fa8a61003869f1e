import type { State } from "../alert.ts";
import { type Entry, emptyEntry, type Told } from "../decide/entry.ts";
import type { MonitorView, Problem } from "../decide/monitor-view.ts";
import type { Order } from "../decide/order.ts";
import { fingerprint } from "../identity.ts";

/** The parts of an entry until version 0.1: one episode of the object, and what contacts knew of that. */
type OldEntry = Pick<Entry, "touchedAt" | "held" | "announced" | "storm"> & {
  episode?: { id: string; since: number; state: State; escalated?: true; acknowledgedAt?: number };
  monitors: Record<string, OldView>;
  contacts: Record<string, OldTold>;
};
type OldName = { start?: number; epoch?: number; problemId?: string };
type OldView = OldName & { problem?: Order; recovery?: Order };
type OldTold = Pick<Told, "worst" | "state" | "at" | "recovered" | "digest"> & {
  episode: string;
  by: OldName & { monitor: string };
};

/** With a time of receipt: the monitor's time, but not after the entry's last step, for a clock may be ahead. */
const received = (order: Order, { touchedAt }: OldEntry): Order & { receivedAt: number } => ({
  ...order,
  receivedAt: Math.min(order.time * 1000, touchedAt),
});

const problemOf = (
  monitor: string,
  name: OldName,
  reported: Order,
  stored: OldEntry,
  state: State,
): Problem => {
  const { start, epoch, problemId: id } = name;
  const { episode } = stored;
  const order = received(reported, stored);
  const receivedAt = Math.min(order.receivedAt, episode?.since ?? order.receivedAt);
  return {
    key: fingerprint("problem", monitor, String(start), String(epoch), String(id)).slice(0, 16),
    start,
    epoch,
    id,
    first: order,
    last: order,
    receivedAt,
    began: Math.min(receivedAt, (epoch ?? order.time) * 1000),
    state,
    ...(episode?.escalated && { escalated: true }),
    ...(episode?.acknowledgedAt !== undefined && { acknowledgedAt: episode.acknowledgedAt }),
  };
};

/**
 * The entry that a ledger stored. One of version 0.1 is read too: its episode becomes each contact's conversation,
 * and each contact keeps the one problem by which they were told. A problem that cannot be proven to be known is
 * mailed again.
 */
export const readEntry = (stored: Omit<Entry, "revision"> | OldEntry, revision: number): Entry => {
  if ("begun" in stored) return { ...stored, revision };
  const { touchedAt, held, announced, storm, episode } = stored;
  const views = new Map<string, MonitorView>();
  for (const [monitor, { problem, recovery, ...name }] of Object.entries(stored.monitors)) {
    const state = episode?.state ?? "UNKNOWN";
    const end = recovery && received(recovery, stored);
    views.set(monitor, {
      problems: problem ? [problemOf(monitor, name, problem, stored, state)] : [],
      ...(end && { end: { order: end, receivedAt: end.receivedAt } }),
    });
  }
  const contacts = Object.entries(stored.contacts).map(([contact, about]): [string, Told] => {
    const { episode: thread, by, worst, state, at, recovered, digest: told } = about;
    const named = problemOf(by.monitor, by, { time: 0 }, stored, state);
    const view = views.get(by.monitor) ?? { problems: [] };
    if (!view.problems.some(({ key }) => key === named.key))
      views.set(by.monitor, { ...view, problems: [named, ...view.problems] });
    const since = thread === episode?.id ? episode.since : at;
    const names = { [by.monitor]: named.key };
    const rest = { worst, state, at, recovered, by: by.monitor, ...(told !== undefined && { digest: told }) };
    return [contact, { names, thread, since, ...rest }];
  });
  return {
    ...emptyEntry,
    revision,
    touchedAt,
    held,
    announced,
    ...(storm && { storm }),
    monitors: Object.fromEntries(views),
    contacts: Object.fromEntries(contacts),
  };
};

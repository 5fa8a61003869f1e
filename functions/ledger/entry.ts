import { contactKey } from "../address.ts";
import { type Alert, type NotificationType, type State, severity } from "../alert.ts";
import type { QueuedAlert } from "../queue/queue.ts";
import type { Row } from "./rows.ts";
import type { Storm } from "./storm.ts";

/** What a mail announces; UPDATE is a problem that got worse, REMINDER one that lasts. */
export type Kind =
  | "PROBLEM"
  | "UPDATE"
  | "ESCALATION"
  | "REMINDER"
  | "RECOVERY"
  | "ACKNOWLEDGEMENT"
  | "CUSTOM"
  | "DOWNTIME"
  | "FLAPPING"
  | "DIGEST";

/** Where an event stands among those of one monitor process; never compared across monitors (nagios.md §5.1). */
export type Order = { start?: number; number?: number; time: number };

/** What one monitor last said of an object. */
export type MonitorView = {
  open: boolean;
  /** When an episode was closed though this monitor had not reported its end (R24). */
  outvotedAt?: number;
  /** The episode it last took part in. */
  episode?: string;
  start?: number;
  epoch?: number;
  problemId?: string;
  problem?: Order;
  recovery?: Order;
};

/** What one contact was told in the episode that he was last told of, and by which problem of which monitor. */
export type Told = {
  episode: string;
  worst: number;
  state: State;
  at: number;
  recovered: boolean;
  /** The recovery that told him, if others had begun and ended another episode before. */
  end?: { monitor: string; order: Order };
  /** The digest by which he was told last: the rest of the episode comes in one too. */
  digest?: string;
  by: { monitor: string; start?: number; epoch?: number; problemId?: string };
};

/** From the first HARD problem to its recovery. Times are Unix milliseconds of the bridge. */
export type Episode = {
  id: string;
  since: number;
  state: State;
  opener: string;
  /** Everyone to whom a mail of its problem was begun. */
  addressed: string[];
  escalated?: true;
  /** How many alerts about it made no mail. */
  suppressed: number;
  acknowledgedAt?: number;
  /** When the bridge took the recovery that ended it, and from which monitor. */
  closedAt?: number;
  closedBy?: string;
};

/** An alert that waits in the ledger, until it is due or a recovery lets it go. */
export type Held = {
  row: Row;
  contact: string;
  monitor: string;
  receivedAt: number;
  due: number;
  /** Its time is over and the queue has it again. */
  queued?: true;
  /** R29: its recovery came soon, and was dropped with it. */
  spared?: true;
};

/** All that contacts and monitors share about one object. Written only on the revision it was read at. */
export type Entry = {
  /** 0: nothing was written yet. */
  revision: number;
  touchedAt: number;
  episode?: Episode;
  monitors: Record<string, MonitorView>;
  contacts: Record<string, Told>;
  /** By the alert's id. */
  held: Record<string, Held>;
  /** The last ACKNOWLEDGEMENT, DOWNTIME and FLAPPING mailed: by type and contact, who reported it when. */
  announced: Record<string, { at: number; monitor: string }>;
  /** In the entry of a contact, and there alone. */
  storm?: Storm;
};

export const emptyEntry: Entry = {
  revision: 0,
  touchedAt: 0,
  monitors: {},
  contacts: {},
  held: {},
  announced: {},
};

/** What one monitor process has numbered in all, whatever the object: by this a lost retention is known. */
export type Run = { start: number; lowest: number; highest: number };

const numberOf = ({ notification }: Alert): number | undefined =>
  /^\d{1,15}$/.test(notification.id ?? "") ? Number(notification.id) : undefined;

export const orderOf = (alert: Alert): Order => ({
  start: alert.monitor.start,
  number: numberOf(alert),
  time: alert.time,
});

/** Whether `a` came before `b` in the same monitor: by process and notification id, else by the monitor's clock. */
export const before = (a: Order, b: Order): boolean => {
  if (a.start === undefined || a.number === undefined || b.start === undefined || b.number === undefined)
    return a.time < b.time;
  if (a.start === b.start) return a.number < b.number;
  // A standby that takes over under the same name may have started earlier: then its clock must agree.
  return a.start < b.start && a.time <= b.time;
};

/** The number that an alert got in a run of its monitor. */
export type Numbered = { start: number; number: number };

/** So many runs of a monitor are known: an alert may be decided after some of later runs. */
export const mostRuns = 4;

/**
 * A monitor's last runs after this alert, the latest first: in whatever order alerts come, they end the same. `numbered`
 * is what the alert adds to what was known; undefined: nothing, as where a monitor does not number.
 */
export const numbering = (
  known: readonly Run[],
  alert: Alert,
): { runs: readonly Run[]; numbered?: Numbered } => {
  const { start, number } = orderOf(alert);
  if (start === undefined || number === undefined) return { runs: known };
  const { lowest, highest } = known.find((run) => run.start === start) ?? {
    lowest: Number.POSITIVE_INFINITY,
    highest: Number.NEGATIVE_INFINITY,
  };
  if (lowest <= number && number <= highest) return { runs: known };
  const run = { start, lowest: Math.min(lowest, number), highest: Math.max(highest, number) };
  const runs = [run, ...known.filter((other) => other.start !== start)];
  return {
    runs: runs.sort((a, b) => b.start - a.start).slice(0, mostRuns),
    numbered: { start, number },
  };
};

/**
 * Whether a run gave a number that the run before it had given: the monitor has lost what it knew (nagios.md §5.1,
 * "rollback", which speaks of the run's first event; that may be decided after others).
 */
export const isRolledBack = (runs: readonly Run[], start: number): boolean => {
  const at = runs.findIndex((run) => run.start === start);
  const [run, before] = [runs[at], runs[at + 1]];
  return run !== undefined && before !== undefined && run.lowest <= before.highest;
};

/** The open episode, if there is one. */
export const openEpisode = ({ episode }: Entry): Episode | undefined =>
  episode?.closedAt === undefined ? episode : undefined;

/** The other monitors that have reported the last episode and not its end. */
export const othersOpen = ({ episode, monitors }: Entry, monitor: string): string[] =>
  Object.entries(monitors)
    .filter(([id, view]) => id !== monitor && view.open && episode && view.episode === episode.id)
    .map(([id]) => id);

/** The entry with one monitor's view changed. */
export const withView = (entry: Entry, monitor: string, change: Partial<MonitorView>): Entry => ({
  ...entry,
  monitors: { ...entry.monitors, [monitor]: { open: false, ...entry.monitors[monitor], ...change } },
});

/** The entry with the alert held until it is due. */
export const withHeld = (entry: Entry, queued: QueuedAlert, row: Row, due: number): Entry => ({
  ...entry,
  held: {
    ...entry.held,
    [queued.id]: {
      row,
      contact: contactKey(queued.contact),
      monitor: queued.alert.monitor.id,
      receivedAt: queued.receivedAt,
      due,
    },
  },
});

/** The entry without the alert among those that wait. */
export const withoutHeld = (entry: Entry, id: string): Entry => {
  const { [id]: _, ...held } = entry.held;
  return { ...entry, held };
};

/** Whether a problem waits: for the slower monitor, for its host, or for a recovery that spares it. */
export const isWaitingProblem = ({ row }: Held): boolean => row === "R14" || row === "R16" || row === "R29";

/** The entry with some of those that wait due now. */
export const released = (entry: Entry, now: number, which: (held: Held) => boolean): Entry => ({
  ...entry,
  held: Object.fromEntries(
    Object.entries(entry.held).map(([id, held]) => [
      id,
      which(held) && !held.queued && held.due > now ? { ...held, due: now } : held,
    ]),
  ),
});

/** R44: an open problem of which nothing is heard for so long was deleted in the monitor. */
const forgetAfterMilliseconds = 30 * 86_400_000;
const dayMilliseconds = 86_400_000;

/**
 * When the sweep is to look at an entry; undefined: never. Of open problems it is the end of a day: to the millisecond,
 * each alert of one would move it in the ledger's index.
 */
export const dueAt = (entry: Entry): number | undefined => {
  const times = Object.values(entry.held).flatMap(({ due, queued }) => (queued ? [] : [due]));
  if (openEpisode(entry))
    times.push(Math.ceil((entry.touchedAt + forgetAfterMilliseconds) / dayMilliseconds) * dayMilliseconds);
  return times.length > 0 ? Math.min(...times) : undefined;
};

/** Whether digests of a contact are to tell what only this entry knows. */
export const isTelling = ({ storm }: Entry): boolean => Object.keys(storm?.digests ?? {}).length > 0;

/** R44: the entry with its episode closed without a word, if nothing was heard of it for too long. */
export const forgotten = (entry: Entry, now: number): Entry | undefined => {
  const open = openEpisode(entry);
  if (!open || now < entry.touchedAt + forgetAfterMilliseconds) return undefined;
  return { ...entry, touchedAt: now, episode: { ...open, closedAt: now } };
};

const announcedKey = (type: NotificationType, contact: string): string => `${type} ${contact}`;

/** What was last announced of this type to this contact. */
export const lastAnnounced = (
  entry: Entry,
  { alert, contact }: QueuedAlert,
): { at: number; monitor: string } | undefined =>
  entry.announced[announcedKey(alert.type, contactKey(contact))];

/**
 * The entry after a contact got a mail of this episode: only now does the ledger hold that he was told. It was decided
 * on at `decidedAt`, if that was some time ago.
 */
export const told = (
  entry: Entry,
  kind: Kind,
  queued: QueuedAlert,
  episode: string | undefined,
  now: number,
  { digest, decidedAt = Number.NEGATIVE_INFINITY }: { digest?: string; decidedAt?: number } = {},
): Entry => {
  const key = contactKey(queued.contact);
  const { alert, receivedAt } = queued;
  const before = entry.contacts[key];
  const news = {
    state: alert.state,
    at: now,
    ...(digest !== undefined && { digest }),
    by: {
      monitor: alert.monitor.id,
      start: alert.monitor.start,
      epoch: alert.problem.epoch,
      problemId: alert.problem.id,
    },
  };
  const learned = (): Told | undefined => {
    switch (kind) {
      case "PROBLEM":
      case "UPDATE":
      case "ESCALATION":
      case "REMINDER": {
        // A mail that waited long may be of an episode before the one that he was told of meanwhile.
        if (!episode || (before && before.episode === entry.episode?.id && before.episode !== episode))
          return before;
        const worst = before?.episode === episode ? before.worst : 0;
        return { ...news, episode, worst: Math.max(worst, severity[alert.state]), recovered: false };
      }
      case "RECOVERY":
        // Another monitor's problem may have made of it an episode since, of which he was told nothing.
        if (before && episode && (before.episode === episode || before.at <= decidedAt)) {
          const end = { monitor: alert.monitor.id, order: orderOf(alert) };
          return {
            ...before,
            episode,
            recovered: true,
            ...(entry.episode?.id !== episode && { end }),
            ...(digest !== undefined && { digest }),
          };
        }
        // R26: of no episode, but what comes next is not to be told before it.
        return (
          before ?? (digest === undefined ? undefined : { ...news, episode: "", worst: 0, recovered: true })
        );
      default:
        return before;
    }
  };
  const known = learned();
  const once = kind === "ACKNOWLEDGEMENT" || kind === "DOWNTIME" || kind === "FLAPPING";
  return {
    ...entry,
    ...(known && { contacts: { ...entry.contacts, [key]: known } }),
    ...(once && {
      announced: {
        ...entry.announced,
        [announcedKey(alert.type, key)]: { at: receivedAt, monitor: alert.monitor.id },
      },
    }),
  };
};

import { contactKey } from "../address.ts";
import { type NotificationType, type State, severity } from "../alert.ts";
import type { QueuedAlert } from "../queue/message.ts";
import {
  afterReport,
  latestOf,
  liveProblem,
  type MonitorView,
  namesIn,
  own,
  type Problem,
  withEach,
  worstOf,
} from "./monitor-view.ts";
import { receiptOf } from "./order.ts";
import type { Row } from "./rows.ts";

/** When the period began in which mails are counted, and how many went out alone in it. */
export type Count = { since: number; alone: number };

/**
 * The counts of one contact's mails, in an entry of their own. A digest is an alert that the ledger made. It is held here
 * until its period is over, and collects alerts until its own claim closes it.
 */
export type Storm = Count & {
  /** The same for each type of note. */
  notes?: Partial<Record<NotificationType, Count>>;
  /** No two digests of a contact have the same number. */
  next: number;
  /** Those that are not closed yet, with the ids of the alerts that each tells; the last one is still open. */
  digests: Record<string, string[]>;
};

/** The kind of news in a mail; UPDATE is a problem that got worse, REMINDER one that lasts. */
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

/** The news that one contact got about an object, and the problems behind it, by their monitors' names. */
export type Told = {
  /** For each monitor that is known to see what this contact was told of: the key of its problem. */
  names: Record<string, string>;
  /** The conversation that the mails belong to. */
  thread: string;
  since: number;
  worst: number;
  state: State;
  at: number;
  recovered: boolean;
  /** The monitor of the last mail, and those that have reported the same since. */
  by: string;
  echoes?: string[];
  /** The digest by which they were told last: the rest of the conversation comes in one too. */
  digest?: string;
};

/** The conversation that a mail belongs to, and since when what it tells has lasted. */
export type Episode = { id: string; since: number };

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
  /** It is one event of a volatile service: a recovery does not spare it. */
  volatile?: true;
};

/** All that contacts and monitors share about one object. Written only on the revision it was read at. */
export type Entry = {
  /** 0: nothing was written yet. */
  revision: number;
  touchedAt: number;
  monitors: Record<string, MonitorView>;
  contacts: Record<string, Told>;
  /** By contact: the problem of which a mail was begun, and its end not noted yet. */
  begun: Record<string, string>;
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
  begun: {},
  held: {},
  announced: {},
};

/**
 * The open problem of an object: what monitors still report, without what all contacts know to be over (R24), for the
 * other monitor may be switched off.
 */
export const openProblem = ({ monitors, contacts }: Entry) => {
  const told = Object.entries(contacts);
  const live = namesIn(monitors).flatMap((monitor) => {
    const problem = liveProblem(monitors[monitor]);
    if (!problem) return [];
    const knowing = told.filter(([, { names }]) => own(names, monitor) === problem.key);
    const isOver = knowing.length > 0 && knowing.every(([, { recovered }]) => recovered);
    return isOver ? [] : [{ monitor, problem, knowing: knowing.filter(([, one]) => !one.recovered) }];
  });
  const state = worstOf(live.map(({ problem }) => problem.state));
  if (state === undefined) return undefined;
  const acknowledged = live.flatMap(({ problem }) => problem.acknowledgedAt ?? []);
  return {
    state,
    since: Math.min(...live.map(({ problem }) => problem.receivedAt)),
    ...(acknowledged.length > 0 && { acknowledgedAt: Math.min(...acknowledged) }),
    monitors: live.map(({ monitor }) => monitor),
    told: [...new Map(live.flatMap(({ knowing }) => knowing))].map(([contact, { state, at }]) => ({
      contact,
      state,
      at,
    })),
    suppressed: live.reduce((sum, { problem }) => sum + (problem.suppressed ?? 0), 0),
  };
};

/** The monitors that still report what this contact was told of. */
const liveFor = ({ monitors }: Entry, { names }: Told): string[] =>
  namesIn(names).filter((id) => liveProblem(own(monitors, id))?.key === own(names, id));

/** The same without this one. */
export const othersLive = (entry: Entry, about: Told, monitor: string): string[] =>
  liveFor(entry, about).filter((id) => id !== monitor);

/** The problem by which a contact was told, as this monitor calls it. */
export const namedBy = (entry: Entry, about: Told | undefined, monitor: string): Problem | undefined => {
  const key = about && own(about.names, monitor);
  return key === undefined
    ? undefined
    : own(entry.monitors, monitor)?.problems.find((problem) => problem.key === key);
};

/** The entry with one monitor's view. */
export const withView = (entry: Entry, monitor: string, view: MonitorView): Entry => ({
  ...entry,
  monitors: { ...entry.monitors, [monitor]: view },
});

/** For so long it is kept what a contact was told of a problem that is over: notifications may be late. */
const toldMilliseconds = 7 * 86_400_000;

/** The entry without what has been over for so long that no alert of it comes any more. */
const withoutOld = (entry: Entry): Entry => {
  const isRecent = (at: number) => entry.touchedAt - at < toldMilliseconds;
  const recent = Object.values(entry.monitors).flatMap(({ problems }) =>
    problems.filter(({ last }) => isRecent(receiptOf(last))).map(({ key }) => key),
  );
  const contacts = Object.entries(entry.contacts).filter(
    ([, about]) => isRecent(about.at) || (!about.recovered && liveFor(entry, about).length > 0),
  );
  return {
    ...entry,
    contacts: Object.fromEntries(contacts),
    begun: Object.fromEntries(Object.entries(entry.begun).filter(([, key]) => recent.includes(key))),
  };
};

/** The entry after an alert of a problem, and that problem; `isFoundAgain` as in `afterReport`. */
export const withReport = (
  entry: Entry,
  queued: QueuedAlert,
  isFoundAgain: (latest: Problem) => boolean,
): { entry: Entry; view: MonitorView; problem: Problem } => {
  const { id } = queued.alert.monitor;
  const isKept = (key: string): boolean =>
    Object.values(entry.contacts).some(({ names }) => own(names, id) === key) ||
    Object.values(entry.begun).includes(key);
  const known = own(entry.monitors, id);
  const { view, problem } = afterReport(known, queued, isFoundAgain, isKept);
  const isSame =
    view.problems.length === known?.problems.length && latestOf(known)?.key === latestOf(view)?.key;
  return { entry: withView(isSame ? entry : withoutOld(entry), id, view), view, problem };
};

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
      ...(queued.alert.notification.volatile && { volatile: true }),
    },
  },
});

/** The alerts that wait, oldest first. A JavaScript object would list ids that are numbers first. */
export const waitingIn = ({ held }: Entry): [string, Held][] =>
  Object.entries(held).sort(([, a], [, b]) => a.receivedAt - b.receivedAt);

/** The entry without the alert among those that wait. */
export const withoutHeld = (entry: Entry, id: string): Entry => {
  const { [id]: _, ...held } = entry.held;
  return { ...entry, held };
};

/** Whether a problem waits: for the slower monitor, for its host, or for a recovery that spares it. */
export const isWaitingProblem = ({ row }: Held): boolean => row === "R14" || row === "R16" || row === "R29";

/** Whether a problem waits for the relay, or something behind it, and goes before an alert of the same contact. */
export const goesBefore = ({ row, receivedAt }: Held, queued: QueuedAlert): boolean =>
  row === "R29" || (row === "R30" && receivedAt < queued.receivedAt);

/** The entry with some of those that wait due now. */
export const released = (entry: Entry, now: number, which: (held: Held) => boolean): Entry => ({
  ...entry,
  held: withEach(entry.held, (held) =>
    which(held) && !held.queued && held.due > now ? { ...held, due: now } : held,
  ),
});

/** R44: an open problem of which nothing is heard for so long was deleted in the monitor. */
const forgetAfterMilliseconds = 30 * 86_400_000;
const dayMilliseconds = 86_400_000;

/**
 * When the sweep is to look at an entry; undefined: never. For open problems it is the end of a day: to the
 * millisecond, each alert of one would move it in the ledger's index.
 */
export const dueAt = (entry: Entry): number | undefined => {
  const times = Object.values(entry.held).flatMap(({ due, queued }) => (queued ? [] : [due]));
  if (openProblem(entry))
    times.push(Math.ceil((entry.touchedAt + forgetAfterMilliseconds) / dayMilliseconds) * dayMilliseconds);
  return times.length > 0 ? Math.min(...times) : undefined;
};

/** Whether digests of a contact are to tell what only this entry knows. */
export const isTelling = ({ storm }: Entry): boolean => Object.keys(storm?.digests ?? {}).length > 0;

/** R44: the entry with an end for each live problem without a word, if nothing was heard of it for too long. */
export const forgotten = (entry: Entry, now: number): Entry | undefined => {
  if (!openProblem(entry) || now < entry.touchedAt + forgetAfterMilliseconds) return undefined;
  const monitors = withEach(entry.monitors, (view): MonitorView => {
    const live = liveProblem(view);
    // Without a number it is later than the problem by its receipt.
    return live
      ? { ...view, end: { order: { time: live.last.time, receivedAt: now }, receivedAt: now } }
      : view;
  });
  return { ...entry, touchedAt: now, monitors };
};

const announcedKey = (type: NotificationType, contact: string): string => `${type} ${contact}`;

/** The last announcement of this type to this contact. */
export const lastAnnounced = (
  entry: Entry,
  { alert, contact }: QueuedAlert,
): { at: number; monitor: string } | undefined =>
  entry.announced[announcedKey(alert.type, contactKey(contact))];

/** The entry after a contact got a mail of this conversation: only now does the ledger hold that they were told. */
export const told = (
  entry: Entry,
  kind: Kind,
  queued: QueuedAlert,
  thread: string | undefined,
  now: number,
  digest?: string,
): Entry => {
  const key = contactKey(queued.contact);
  const { alert, receivedAt } = queued;
  const monitor = alert.monitor.id;
  const known = entry.contacts[key];
  const by = { at: now, by: monitor, echoes: undefined, ...(digest !== undefined && { digest }) };
  const { [key]: _, ...begun } = entry.begun;
  const knowing = (base: Entry, about: Omit<Told, "at" | "by">): Entry => ({
    ...base,
    begun,
    contacts: { ...base.contacts, [key]: { ...about, ...by } },
  });
  switch (kind) {
    case "PROBLEM":
    case "UPDATE":
    case "ESCALATION":
    case "REMINDER": {
      if (thread === undefined) return entry;
      const { entry: reported, problem } = withReport(entry, queued, () => false);
      const goesOn = known?.thread === thread ? known : undefined;
      return knowing(reported, {
        names: { ...goesOn?.names, [monitor]: problem.key },
        thread,
        since: goesOn?.since ?? problem.receivedAt,
        worst: Math.max(goesOn?.worst ?? 0, severity[alert.state]),
        state: alert.state,
        recovered: false,
      });
    }
    case "RECOVERY":
      if (known && known.thread === thread) return knowing(entry, { ...known, recovered: true });
      if (known || digest === undefined) return entry;
      // R26: of no problem, but what comes next is not to be told before it.
      return knowing(entry, {
        names: {},
        thread: "",
        since: now,
        worst: 0,
        state: alert.state,
        recovered: true,
      });
    case "ACKNOWLEDGEMENT":
    case "DOWNTIME":
    case "FLAPPING":
      return {
        ...entry,
        announced: { ...entry.announced, [announcedKey(alert.type, key)]: { at: receivedAt, monitor } },
      };
    default:
      return entry;
  }
};

/** The entry with a digest closed. Later alerts go into another digest. */
export const closed = (entry: Entry, id: string): Entry => {
  if (!entry.storm) return entry;
  const { [id]: _, ...digests } = entry.storm.digests;
  return { ...entry, storm: { ...entry.storm, digests } };
};

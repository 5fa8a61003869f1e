import type { Alert } from "../alert.ts";
import { fingerprint } from "../identity.ts";
import type { QueuedAlert } from "../queue/message.ts";
import { type Entry, type Episode, type Held, type Kind, type Told, withHeld } from "./entry.ts";
import { type MonitorView, own } from "./monitor-view.ts";
import type { Order, Run } from "./order.ts";
import type { Policy } from "./policy.ts";
import type { Row } from "./rows.ts";

/**
 * The decision about one alert for one contact, with its row and the reason in words. `entry` is what the ledger is
 * to hold from now on: with a mail, before it is sent; what the contact was told is added by `told`. `made` are
 * recoveries that no monitor sends; they are held in `entry`, as is the alert itself if the action is `hold`.
 */
export type Verdict = Send | Hold | (Decided & { action: "suppress" | "record" });
type Decided = { row: Row; reason: string; entry: Entry; made?: QueuedAlert[] };
/** `decidedAt`: it was decided at this time already, and only its delivery is tried again. */
export type Send = Decided & { action: "send"; kind: Kind; episode?: Episode; decidedAt?: number };
export type Hold = Decided & { action: "hold"; due: number };

/** A verdict that makes no mail. */
export const unmailed = (action: "suppress" | "record", row: Row, reason: string, entry: Entry): Verdict => ({
  action,
  row,
  reason,
  entry,
});

/** The knowledge of the ledger at a decision. */
export type Known = {
  entry: Entry;
  /** The entry of a service's host. */
  host?: Entry;
  /** The monitor's last runs, this alert included; the latest first. */
  runs?: readonly Run[];
  /** The id of another alert that reported the very same event. */
  twin?: string;
  /** A relay may have this alert's mail, though it never said so. */
  inDoubt?: boolean;
  /** It was a dead letter and was put back by hand: whatever followed it has been decided without it. */
  putBack?: boolean;
};

/** The facts that every block of the table needs. */
export type Case = Known & {
  queued: QueuedAlert;
  alert: Alert;
  order: Order;
  /** The earlier reports of this alert's monitor. */
  view: MonitorView | undefined;
  /** The last news that this contact got. */
  told: Told | undefined;
  /** This alert's place among those that wait. */
  held: Held | undefined;
  policy: Policy;
  now: number;
  object: string;
  key: string;
};

/** A time as reasons say it: `2 Jan 1970, 13:48 UTC`. */
export const clockOf = (at: number): string => {
  // biome-ignore lint/style/noRestrictedGlobals: it reads no clock. Intl would take a third of a decision's time.
  const text = new Date(at).toUTCString();
  return `${Number(text.slice(5, 7))} ${text.slice(8, 16)}, ${text.slice(17, 22)} UTC`;
};

/** A verdict that makes a mail: in the conversation that this contact knows, if no other is given. */
export const mailing = (
  { told, entry }: Case,
  kind: Kind,
  row: Row,
  reason: string,
  {
    next = entry,
    episode = told && { id: told.thread, since: told.since },
  }: { next?: Entry; episode?: Episode } = {},
): Verdict => ({ action: "send", kind, row, reason, episode, entry: next });

/** The alert is kept in the ledger until it is due. */
export const holding = ({ queued }: Case, row: Row, due: number, reason: string, entry: Entry): Hold => ({
  action: "hold",
  row,
  due,
  reason,
  entry: withHeld(entry, queued, row, due),
});

const notificationOf = ({ notification, time }: Alert): string => notification.id ?? String(time);

/** The recovery of a problem that no monitor sends, for one contact. One notification makes it once. */
const madeRecovery = (
  { alert, queued, now, view }: Case,
  row: "R27" | "R37",
  contact: string,
  problem: string,
): QueuedAlert => ({
  ...queued,
  id: fingerprint("made", row, problem, alert.monitor.id, notificationOf(alert), contact).slice(0, 32),
  contact,
  contactName: undefined,
  receivedAt: now,
  putBackAt: undefined,
  made: { row, episode: problem },
  alert: {
    ...alert,
    type: "RECOVERY",
    state: alert.object.service === null ? "UP" : "OK",
    // The texts of a problem say nothing of its end.
    ...(alert.type === "PROBLEM" && {
      output: "",
      long_output: "",
      perfdata: "",
      time: view?.end?.order.time ?? alert.time,
    }),
  } as Alert,
});

/** The verdict with recoveries of this problem for these contacts, held until they are due. */
export const withRecoveries = (
  given: Case,
  verdict: Verdict,
  row: "R27" | "R37",
  contacts: readonly string[],
  problem: string,
  due: number,
): Verdict => {
  const made = contacts.map((contact) => madeRecovery(given, row, contact, problem));
  const entry = made.reduce((base, one) => withHeld(base, one, row, due), verdict.entry);
  return { ...verdict, entry, made: [...(verdict.made ?? []), ...made] };
};

/** Those who were told of this problem by this monitor, or to whom a mail of it was begun, and not of its end. */
export const knowing = ({ entry, alert }: Case, problem: string): string[] => {
  const told = Object.entries(entry.contacts)
    .filter(([, { names, recovered }]) => !recovered && own(names, alert.monitor.id) === problem)
    .map(([contact]) => contact);
  const begun = Object.entries(entry.begun).filter(([, key]) => key === problem);
  return [...new Set([...told, ...begun.map(([contact]) => contact)])];
};

import type { Alert } from "../alert.ts";
import { digest } from "../identity.ts";
import type { QueuedAlert } from "../queue/queue.ts";
import type { Entry, Episode, Held, Kind, MonitorView, Order, Run, Told } from "./entry.ts";
import type { Policy } from "./policy.ts";
import type { Row } from "./rows.ts";

/**
 * What is to be done with one alert for one contact, the row behind it and the reason in words. `entry` is what the
 * ledger is to hold from now on: with a mail, before it is sent; what the contact was told is added by `told`. `made`
 * are recoveries that no monitor sends; they are held in `entry`, as is the alert itself if the action is `hold`.
 */
export type Verdict = { row: Row; reason: string; entry: Entry; made?: QueuedAlert[] } & (
  | {
      action: "send";
      kind: Kind;
      episode?: Pick<Episode, "id" | "since">;
      /** It was decided at this time already, and only its delivery is tried again. */
      decidedAt?: number;
    }
  | { action: "suppress" | "record" }
  | { action: "hold"; due: number }
);

/** A verdict that makes no mail. */
export const unmailed = (action: "suppress" | "record", row: Row, reason: string, entry: Entry): Verdict => ({
  action,
  row,
  reason,
  entry,
});

/** What the ledger knows when it decides. */
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

/** What every block of the table looks at. */
export type Case = Known & {
  queued: QueuedAlert;
  alert: Alert;
  order: Order;
  view: MonitorView | undefined;
  /** The episode, if it is open. */
  open: Episode | undefined;
  /** What this contact was told of the open episode. */
  told: Told | undefined;
  /** This alert's place among those that wait. */
  held: Held | undefined;
  policy: Policy;
  now: number;
  object: string;
  key: string;
};

const minutes = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "short",
  timeZone: "UTC",
});
/** A time as reasons say it. */
export const clockOf = (at: number): string => `${minutes.format(at)} UTC`;

/**
 * The recovery of an episode that no monitor sends, for one contact. The same notification makes it once, whoever of
 * its contacts is looked at.
 */
export const madeRecovery = (
  { alert, queued, now }: Case,
  row: "R27" | "R37",
  contact: string,
  episode: string,
): QueuedAlert => ({
  ...queued,
  id: digest(
    "made",
    row,
    episode,
    alert.monitor.id,
    alert.notification.id ?? String(alert.time),
    contact,
  ).slice(0, 32),
  contact,
  contactName: undefined,
  receivedAt: now,
  putBackAt: undefined,
  made: { row, episode },
  alert: { ...alert, type: "RECOVERY", state: alert.object.service === null ? "UP" : "OK" } as Alert,
});

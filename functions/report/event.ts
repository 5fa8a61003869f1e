import type { Fault, NotificationType, State } from "../alert.ts";
import type { Row } from "../decide/rows.ts";
import type { DeliveryOutcome, Step } from "../deliver/outcome.ts";
import type { Returned } from "../deliver/returned.ts";
import type { Ending } from "../ledger/journal.ts";

/** The fields of every event about one alert. */
type OfAlert = { id: string; object: string; contact: string };

/** Everything the bridge tells its operator while it runs. No event has a field that could hold a secret. */
export type Event =
  | (OfAlert & { event: "accepted"; site: string; type: NotificationType; state: State })
  /** An alert that came again under its id: it makes no second mail. */
  | (OfAlert & { event: "repeated"; reason: string })
  | {
      event: "request-refused";
      status: number;
      reason: string;
      faults: Fault[];
      /** How many faults are not in this line. */
      more?: number;
      site?: string;
      /** Those that the client gave to the alerts that were refused. */
      ids?: string[];
      moreIds?: number;
      /** How many alerts, or mailboxes of alerts, get no mail because of it. */
      rejected?: number;
      /** How many posts came with no token of a site since the last such line. */
      wrongTokens?: number;
    }
  /** A post of `notify --test`, which is refused and carries no alert. */
  | { event: "probed"; status: number; site?: string }
  /** A 503; `ids` are of the alerts that were posted or asked for. */
  | { event: "unavailable"; what: string; error: string; ids?: string[]; moreIds?: number }
  | (OfAlert & {
      event: "ended";
      ending: Ending;
      row: Row;
      reason: string;
      /** The last attempt: by which route, and the code of its reply if there was one. */
      route?: string;
      code?: number;
      queueId?: string;
      /** From its acceptance to this end. */
      seconds: number;
    })
  | (OfAlert & { event: "held"; row: Row; reason: string; until: number })
  | { event: "forgotten"; object: string; since: number }
  | (OfAlert & {
      event: "attempt-failed";
      row: Row;
      route: string;
      result: DeliveryOutcome["result"];
      step?: Step;
      code?: number;
      reply: string;
      /** Absent if another route took the mail. */
      retryAt?: number;
    })
  | { event: "route"; route: string; down: boolean; reason?: string; probeAt?: number }
  /** A mail came back after a relay or SES had accepted it. */
  | { event: "returned"; id: string; site: string; contact: string; kind: Returned["kind"]; reply: string }
  /** A mail that was posted as a report, and changes nothing. */
  | { event: "return-ignored"; site: string; reason: string }
  /** A monitor has been silent for too long, or is heard again. */
  | { event: "heartbeat"; site: string; monitor: string; silent: boolean; since: number }
  /** `silent` and `down`: how many monitors and routes are, where that is asked for. */
  | { event: "swept"; due: number; silent?: number; down?: number }
  | { event: "redriven"; site: string; id?: string; count: number }
  | { event: "captured"; id?: string; path: string; subject: string; to: string }
  | { event: "unreadable"; reason: string }
  | { event: "failed"; id?: string; during: string; error: string }
  | { event: "started"; url: string; routes: string[]; state: string }
  | { event: "stopping"; signal: string }
  | { event: "stopped" };

export type Report = (event: Event) => void;

/** Reports an error with its stack: of which work, and of which alert if it is of one. */
export const failing =
  (report: Report) =>
  (during: string, error: unknown, id?: string): void => {
    const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
    report({ event: "failed", id, during, error: words });
  };

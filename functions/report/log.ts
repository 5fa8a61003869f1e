import type { Fault, NotificationType, State } from "../alert.ts";
import type { Row } from "../decide/rows.ts";
import type { DeliveryOutcome, Step } from "../deliver/outcome.ts";
import type { Returned } from "../deliver/returned.ts";
import type { Ending } from "../ledger/journal.ts";
import { samplesOf } from "./metrics.ts";

/** Everything the bridge tells its operator while it runs. No event has a field that could hold a secret. */
export type Event =
  | {
      event: "accepted";
      id: string;
      site: string;
      object: string;
      contact: string;
      type: NotificationType;
      state: State;
    }
  /** An alert that came again under its id: it makes no second mail. */
  | { event: "repeated"; id: string; object: string; contact: string; reason: string }
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
  | {
      event: "ended";
      id: string;
      object: string;
      contact: string;
      ending: Ending;
      row: Row;
      reason: string;
      /** The last attempt: by which route, and the code of its reply if there was one. */
      route?: string;
      code?: number;
      queueId?: string;
      /** From its acceptance to this end. */
      seconds: number;
    }
  | { event: "held"; id: string; object: string; contact: string; row: Row; reason: string; until: number }
  | { event: "forgotten"; object: string; since: number }
  | {
      event: "attempt-failed";
      id: string;
      object: string;
      contact: string;
      row: Row;
      route: string;
      result: DeliveryOutcome["result"];
      step?: Step;
      code?: number;
      reply: string;
      /** Absent if another route took the mail. */
      retryAt?: number;
    }
  | { event: "route"; route: string; down: boolean; reason?: string; probeAt?: number }
  /** A mail came back after a relay or SES had accepted it. */
  | {
      event: "returned";
      id: string;
      site: string;
      contact: string;
      kind: Returned["kind"];
      reply: string;
    }
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

/** One line of JSON for machines. */
export const asJson = (event: Event, at: number): string =>
  JSON.stringify({ at: new Date(at).toISOString(), ...event });

/**
 * One line of JSON from which CloudWatch also makes metrics, all without dimensions: each would be billed as one more
 * (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
 */
export const asEmf = (event: Event, at: number): string => {
  const line = { at: new Date(at).toISOString(), ...event };
  const samples = samplesOf(event);
  if (samples.length === 0) return JSON.stringify(line);
  const Metrics = samples.map(({ name: Name }) => ({
    Name,
    Unit: Name === "hardstate_delivery_seconds" ? "Seconds" : "Count",
  }));
  const _aws = { Timestamp: at, CloudWatchMetrics: [{ Namespace: "Hardstate", Dimensions: [[]], Metrics }] };
  const values = Object.fromEntries(samples.map(({ name, value }) => [name, value]));
  return JSON.stringify({ ...line, ...values, _aws });
};

const timeOf = (at: number): string => new Date(at).toISOString().slice(11, 19);

const idsIn = ({ ids = [], moreIds }: { ids?: string[]; moreIds?: number }): string =>
  ids.length > 0 ? `: ${ids.join(" ")}${moreIds ? ` and ${moreIds} more` : ""}` : "";

const sentence = (event: Event): string => {
  switch (event.event) {
    case "accepted":
      return `accepted   ${event.type} ${event.state} ${event.object} for ${event.contact} (${event.id})`;
    case "repeated":
      return `repeated   ${event.object} for ${event.contact}: ${event.reason} (${event.id})`;
    case "request-refused": {
      const words = event.faults.map(({ field, expected }) => `${field}: ${expected}`);
      const faults = [...words, ...(event.more ? [`${event.more} more`] : [])].join("; ");
      return `refused    ${event.status} ${event.reason}${faults && ` (${faults})`}${idsIn(event)}`;
    }
    case "probed":
      return `probe      ${event.status} by ${event.site}: its token is right, and there was no alert to take`;
    case "unavailable":
      return `unavailable ${event.what}: ${event.error}${idsIn(event)}`;
    case "ended":
      return `${event.ending.padEnd(10)} ${event.object} for ${event.contact}: ${event.reason} (${event.row})${
        event.queueId ? `, relay's queue id ${event.queueId}` : ""
      }`;
    case "held":
      return `held       ${event.object} for ${event.contact} until ${timeOf(event.until)}: ${event.reason} (${event.row})`;
    case "forgotten":
      return `forgotten  ${event.object}: open since ${new Date(event.since).toISOString()}, and nothing was heard of it for 30 days (R44)`;
    case "attempt-failed":
      return `${event.result.padEnd(10)} ${event.object} for ${event.contact} by ${event.route}: ${event.reply}${event.retryAt === undefined ? "" : `; again at ${timeOf(event.retryAt)}`}`;
    case "route":
      return event.down
        ? `route      ${event.route} is down: ${event.reason}; next probe at ${timeOf(event.probeAt ?? 0)}`
        : `route      ${event.route} works again`;
    case "returned":
      return `${event.kind.padEnd(10)} of a mail to ${event.contact}: ${event.reply} (${event.id})`;
    case "return-ignored":
      return `ignored    a mail that was posted as a report by ${event.site}: ${event.reason}`;
    case "heartbeat":
      return `heartbeat  ${event.monitor} of ${event.site} ${event.silent ? `has been silent since ${new Date(event.since).toISOString()}` : "is heard again"}`;
    case "swept":
      return `swept      ${event.due} alerts were due`;
    case "redriven":
      return `put back   ${event.count} dead letter${event.count === 1 ? "" : "s"} of ${event.site}${event.id ? ` (${event.id})` : ""}`;
    case "captured":
      return `mail       ${event.path}  "${event.subject}" to ${event.to}`;
    case "unreadable":
      return `unreadable message put aside: ${event.reason}`;
    case "failed":
      return `error      ${event.during}${event.id ? ` (${event.id})` : ""}: ${event.error}`;
    case "started":
      return `listening  ${event.url}, mail by ${event.routes.join(", then ")}, state in ${event.state}`;
    case "stopping":
      return `stopping   on ${event.signal}: no new alerts, finishing what was begun`;
    case "stopped":
      return "stopped    nothing in hand; what waits is on disk";
  }
};

// Words of a request may be in a line, and must not look like another line: of all only a stack has lines of its own.
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
const unprintableInStacks = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** One line for a person at a terminal, without control characters; of an error with its stack. */
export const asText = (event: Event, at: number): string =>
  `${timeOf(at)} ${sentence(event).replace(event.event === "failed" ? unprintableInStacks : unprintable, " ")}`;

/** Writes events to standard output, for a person or, by default, as JSON. */
export const toConsole =
  (form: "text" | "json", clock: () => number): Report =>
  (event) => {
    const at = clock();
    console.log(form === "text" ? asText(event, at) : asJson(event, at));
  };

/** Words for the person who runs the program, as they are. */
export const say = (text: string): void => console.log(text);

/** An error that keeps the program from running. */
export const complain = (text: string): void => console.error(text);

import type { Event, Report } from "./event.ts";

/** One line of JSON for machines. */
export const asJson = (event: Event, at: number): string =>
  JSON.stringify({ at: new Date(at).toISOString(), ...event });

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

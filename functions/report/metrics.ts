import type { Event } from "./event.ts";

/** The counters of the bridge, with the same names in Prometheus and in CloudWatch: help texts, and labels. */
export const counters = {
  hardstate_accepted_total: ["Alerts that were taken, by notification type.", ["type"]],
  hardstate_rejected_total: ["Alerts, or mailboxes of alerts, that were posted and not taken for good."],
  hardstate_wrong_tokens_total: ["Posts without a token of HARDSTATE_TOKENS."],
  hardstate_mailed_total: [
    "Mails that a relay took, by row of the decision table, route and reply code.",
    ["row", "route", "code"],
  ],
  hardstate_suppressed_total: ["Alerts that make no mail, by row of the decision table.", ["row"]],
  hardstate_digested_total: ["Alerts that a digest told of, by row of the decision table.", ["row"]],
  hardstate_refused_total: [
    "Mails that a relay refused for good, by row, route and reply code.",
    ["row", "route", "code"],
  ],
  hardstate_dead_total: ["Alerts that were given up, by row of the decision table.", ["row"]],
  hardstate_deferred_total: [
    "Attempts that are made again, by route and reply code (none: no reply).",
    ["route", "code"],
  ],
  hardstate_unauthorised_total: [
    "Attempts that failed for our login, TLS or sender, by route and reply code.",
    ["route", "code"],
  ],
  hardstate_recoveries_without_problem_total: ["Recoveries whose problem never reached the bridge (R26)."],
  hardstate_returned_total: [
    "Mails that bounced, or were reported as spam, after a relay had accepted them.",
    ["kind"],
  ],
  hardstate_sweeps_total: ["How often the ledger was searched for what is due; once a second."],
  hardstate_failed_total: ["Errors of the bridge itself; the log has each with its stack."],
  hardstate_unavailable_total: ["Requests that were answered with 503, by what was not usable.", ["what"]],
} satisfies Record<string, [help: string, labels?: string[]]>;
type Counter = keyof typeof counters;

/** The addition of an event to one metric. Labels have few values: never an object, a contact or an id. */
export type Sample = {
  name: Counter | "hardstate_delivery_seconds" | "hardstate_silent_monitors" | "hardstate_route_down";
  value: number;
  labels?: Record<string, string>;
};
const one = (name: Counter, labels?: Record<string, string>): Sample => ({ name, value: 1, labels });

/** Where a mail was offered, and the reply's code: one of an SMTP reply, or of HTTP where SES or a token's server spoke. */
const replyOf = (route = "none", code = 0): Record<string, string> => ({
  route,
  code: code >= 100 && code <= 599 ? String(code) : "none",
});

/** The samples of an event; the only way from events to metrics. */
export const samplesOf = (event: Event): Sample[] => {
  switch (event.event) {
    case "accepted":
      return [one("hardstate_accepted_total", { type: event.type })];
    case "request-refused": {
      const { rejected = 0, wrongTokens = 0 } = event;
      const samples: Sample[] = [];
      if (rejected > 0) samples.push({ name: "hardstate_rejected_total", value: rejected });
      if (wrongTokens > 0) samples.push({ name: "hardstate_wrong_tokens_total", value: wrongTokens });
      return samples;
    }
    case "ended": {
      const { ending, row, route, code, seconds } = event;
      const replied = ending === "mailed" || ending === "refused";
      const samples = [one(`hardstate_${ending}_total`, { row, ...(replied && replyOf(route, code)) })];
      if (ending === "mailed") samples.push({ name: "hardstate_delivery_seconds", value: seconds });
      if (row === "R26") samples.push(one("hardstate_recoveries_without_problem_total"));
      return samples;
    }
    case "attempt-failed": {
      const { result, route, code } = event;
      // A refusal ends its alert, and is counted there.
      if (result !== "deferred" && result !== "unauthorised") return [];
      return [one(`hardstate_${result}_total`, replyOf(route, code))];
    }
    case "returned":
      // A late mail may still arrive.
      return event.kind === "delay" ? [] : [one("hardstate_returned_total", { kind: event.kind })];
    case "swept": {
      const { silent = 0, down = 0 } = event;
      const samples = [one("hardstate_sweeps_total")];
      // CloudWatch bills a metric for the hours in which it is written.
      if (silent > 0) samples.push({ name: "hardstate_silent_monitors", value: silent });
      if (down > 0) samples.push({ name: "hardstate_route_down", value: down });
      return samples;
    }
    case "unreadable":
    case "failed":
      return [one("hardstate_failed_total")];
    case "unavailable":
      return [one("hardstate_unavailable_total", { what: event.what })];
    default:
      return [];
  }
};

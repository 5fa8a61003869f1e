import type { Event } from "./event.ts";

/** The counters of the bridge, with the same names in Prometheus and in CloudWatch. */
export type Counter =
  | "hardstate_accepted_total"
  | "hardstate_rejected_total"
  | "hardstate_wrong_tokens_total"
  | "hardstate_mailed_total"
  | "hardstate_suppressed_total"
  | "hardstate_digested_total"
  | "hardstate_refused_total"
  | "hardstate_dead_total"
  | "hardstate_deferred_total"
  | "hardstate_unauthorised_total"
  | "hardstate_recoveries_without_problem_total"
  | "hardstate_returned_total"
  | "hardstate_sweeps_total"
  | "hardstate_failed_total"
  | "hardstate_unavailable_total";

/** The addition of an event to one metric. Labels have few values: never an object, a contact or an id. */
export type Sample = {
  name: Counter | "hardstate_delivery_seconds" | "hardstate_silent_monitors" | "hardstate_route_down";
  value: number;
  labels?: Record<string, string>;
};

/** Where a mail was offered, and the reply's code: one of an SMTP reply, or of HTTP where SES or a token's server spoke. */
const replyOf = (route = "none", code = 0): Record<string, string> => ({
  route,
  code: code >= 100 && code <= 599 ? String(code) : "none",
});

/** The samples of an event; the only way from events to metrics. */
export const samplesOf = (event: Event): Sample[] => {
  switch (event.event) {
    case "accepted":
      return [{ name: "hardstate_accepted_total", value: 1, labels: { type: event.type } }];
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
      const labels = { row, ...(replied && replyOf(route, code)) };
      const samples: Sample[] = [{ name: `hardstate_${ending}_total`, value: 1, labels }];
      if (ending === "mailed") samples.push({ name: "hardstate_delivery_seconds", value: seconds });
      if (row === "R26") samples.push({ name: "hardstate_recoveries_without_problem_total", value: 1 });
      return samples;
    }
    case "attempt-failed": {
      const { result, route, code } = event;
      // A refusal ends its alert, and is counted there.
      if (result !== "deferred" && result !== "unauthorised") return [];
      return [{ name: `hardstate_${result}_total`, value: 1, labels: replyOf(route, code) }];
    }
    case "returned":
      // A late mail may still arrive.
      if (event.kind === "delay") return [];
      return [{ name: "hardstate_returned_total", value: 1, labels: { kind: event.kind } }];
    case "swept": {
      const { silent = 0, down = 0 } = event;
      const samples: Sample[] = [{ name: "hardstate_sweeps_total", value: 1 }];
      // CloudWatch bills a metric for the hours in which it is written.
      if (silent > 0) samples.push({ name: "hardstate_silent_monitors", value: silent });
      if (down > 0) samples.push({ name: "hardstate_route_down", value: down });
      return samples;
    }
    case "unreadable":
    case "failed":
      return [{ name: "hardstate_failed_total", value: 1 }];
    case "unavailable":
      return [{ name: "hardstate_unavailable_total", value: 1, labels: { what: event.what } }];
    default:
      return [];
  }
};

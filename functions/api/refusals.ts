import type { Fault } from "../alert.ts";
import type { Report } from "../report/event.ts";
import { fewFaults, fewIds } from "./bounded.ts";

/** The kinds of refusals, each a problem document (RFC 9457); `type` is stable, `title` is for people. */
export const refusals = {
  "not-readable": { status: 400, title: "The request cannot be read" },
  "not-authorised": { status: 401, title: "A token of a site is needed" },
  forbidden: { status: 403, title: "This token may not do that" },
  "not-found": { status: 404, title: "There is nothing here" },
  "not-allowed": { status: 405, title: "This path does not take this method" },
  "too-large": { status: 413, title: "The body is too large" },
  "not-supported": { status: 415, title: "This form of body is not supported" },
  "not-valid": { status: 422, title: "Nothing was accepted" },
  "too-many": { status: 429, title: "Too much at once; send it again later" },
  unavailable: { status: 503, title: "Nothing was accepted; send it again" },
} as const;
export type RefusalName = keyof typeof refusals;

const retryAfterSeconds = 10;

/** JSON on a line of its own, so that a terminal's next prompt is on one too. */
export const answer = (
  value: unknown,
  status = 200,
  headers: Record<string, string> = { "Content-Type": "application/json" },
): Response => new Response(`${JSON.stringify(value)}\n`, { status, headers });

/** A refusal. In `more`, `errors` lists the faults and `alerts` the items of a batch. */
export const refusal = (
  name: RefusalName,
  detail: string,
  more: Record<string, unknown> = {},
  allowed = "POST",
  afterSeconds = retryAfterSeconds,
): Response => {
  const { status, title } = refusals[name];
  const headers = {
    "Content-Type": "application/problem+json",
    ...((status === 503 || status === 429) && { "Retry-After": String(afterSeconds) }),
    ...(status === 401 && { "WWW-Authenticate": "Bearer" }),
    ...(status === 405 && { Allow: allowed }),
  };
  return answer({ type: `urn:hardstate:problem:${name}`, title, status, detail, ...more }, status, headers);
};

/** The answer to any other method than this one. */
export const onlyMethod =
  (method: "GET" | "POST" | "PUT", words = `${method} this.`) =>
  (): Response =>
    refusal("not-allowed", words, {}, method);

export const takesNothing = (what: string): Response =>
  refusal("unavailable", `The ${what} cannot be used now.`);

/** An error in one line. */
export const errorWords = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** The parts of a refusal beside its name and detail; all but `more` is for the log too. */
type Particulars = {
  site?: string;
  faults?: readonly Fault[];
  ids?: readonly string[];
  rejected?: number;
  wrongTokens?: number;
  /** It answers a post of `notify --test`, which has no alert. */
  probe?: boolean;
  more?: Record<string, unknown>;
};

/** Refusals that the log has too. */
export const loggedRefusals = (report: Report) => {
  /** Queue or ledger failed; `ids` are of the alerts that were posted or asked for. */
  const unavailable = (what: string, error: unknown, ids?: readonly string[]): Response => {
    report({ event: "unavailable", what, error: errorWords(error), ...fewIds(ids) });
    return takesNothing(what);
  };
  return {
    unavailable,
    /** The answer of `work`, or that `what` is unavailable. */
    orUnavailable: (
      what: string,
      work: () => Promise<Response>,
      ids?: readonly string[],
    ): Promise<Response> => work().catch((error) => unavailable(what, error, ids)),
    refuse: (
      name: RefusalName,
      detail: string,
      { site, faults = [], ids, probe, more, ...counts }: Particulars = {},
    ): Response => {
      const { status } = refusals[name];
      const few = fewFaults(faults);
      report(
        probe
          ? { event: "probed", status, site }
          : { event: "request-refused", status, reason: detail, ...few, site, ...fewIds(ids), ...counts },
      );
      const { faults: errors, more: others } = few;
      return refusal(name, detail, { ...(errors.length > 0 && { errors, more: others }), ...more });
    },
    /** Logged once, until something goes through again: too many posts must not fill the log. */
    tooMany: (
      detail: string,
      { afterSeconds, first }: { afterSeconds: number; first: boolean },
      { site, wrongTokens }: Pick<Particulars, "site" | "wrongTokens"> = {},
    ): Response => {
      if (first)
        report({ event: "request-refused", status: 429, reason: detail, faults: [], site, wrongTokens });
      return refusal("too-many", detail, {}, undefined, afterSeconds);
    },
  };
};
export type LoggedRefusals = ReturnType<typeof loggedRefusals>;

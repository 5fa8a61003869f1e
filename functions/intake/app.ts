import { setImmediate } from "node:timers/promises";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import * as v from "valibot";
import type { Aliases, AllowList } from "../address.ts";
import { type Fault, objectName, read } from "../alert.ts";
import type {
  Letter,
  Line,
  OpenEpisode,
  Posted,
  RejectedLine,
  RejectedStory,
  StatusPage,
  Story,
} from "../api/shapes.ts";
import type { SiteToken } from "../config.ts";
import { openProblem, waitingIn } from "../decide/entry.ts";
import { operatorSite } from "../identity.ts";
import { bouncing } from "../ledger/bouncing.ts";
import type { Heartbeat } from "../ledger/heartbeat.ts";
import {
  type JournalRecord,
  type Outcome,
  objectOf,
  outcomeOf,
  outcomes,
  storyOf,
} from "../ledger/journal.ts";
import type { Ledger, Listing, OpenProblem } from "../ledger/ledger.ts";
import {
  countOf,
  findRejection,
  listRejections,
  type Rejected,
  type Rejection,
  rejectionOutcome,
  rejectionStory,
  turnedAway,
} from "../ledger/rejection.ts";
import { asLines, statusOf } from "../operator/status.ts";
import {
  type DeadLetter,
  deduplicationId,
  mostDeadLetters,
  type Queue,
  type QueuedAlert,
  toMessage,
} from "../queue/queue.ts";
import type { Report } from "../report/log.ts";
import type { Rate } from "../time.ts";
import { fewFaults, fewIds, fewRejections, type RejectedItem } from "./bounded.ts";
import { atMostEvery, rateLimiter, wrongTokens } from "./limit.ts";
import { fromMacros, inMacros, type Macros } from "./monitors.ts";
import { repeatedFields, repeatedNames } from "./once.ts";
import { readPost } from "./post.ts";
import { mostReportBytes, takeReport } from "./returns.ts";
import { tokenFinder } from "./token.ts";
import { readableParts, turnAway } from "./turned-away.ts";

export type IntakeParts = {
  tokens: readonly SiteToken[];
  aliases: Aliases;
  allowed: AllowList;
  queue: Queue;
  ledger: Ledger;
  /** The addresses that are mailed about the bridge itself. */
  operators: readonly string[];
  clock: () => number;
  report: Report;
  /** How many alerts a site may post; undefined: as many as it likes. */
  rate?: Rate;
  /** The API described: what openapi.json holds, from wherever the runtime keeps it. */
  openapi?: () => unknown;
  /** What Prometheus reads with a token of a site, where the runtime has it. */
  scrape?: (site: string) => Promise<{ text: string; contentType: string }>;
};

export const mostBytes = 256 * 1024;
export const mostAlerts = 100;
/** A post for more mailboxes is processed in parts of so many, with other requests in between. */
const mailboxesAtOnce = 200;
/**
 * So much of one site's alerts may wait in the queue. 10,000 services that fail at once, with five contacts and 2 KB each,
 * need 100 MB, and a relay may be down for days. A monitor that has gone mad must not fill a disk that sites share.
 */
export const mostWaitingBytes = 512 * 1024 * 1024;
/** The queue has room again only when relays accept mail. */
const quotaRetrySeconds = 60;
/** The queue is asked so often how much waits of a site. */
const quotaMilliseconds = 250;
/** Anybody may call /readyz, and each answer costs calls to AWS. */
const readinessMilliseconds = 1000;
/** How many heartbeats, and how many reports of undelivered mail, a site may send beside its alerts. */
const besideRate: Rate = { most: 600, milliseconds: 60_000 };
const retryAfterSeconds = 10;
const cutOffWords = "The body was cut off.";

/** The kinds of problem documents (RFC 9457); `type` is stable, `title` is for people. */
export const problems = {
  "not-readable": { status: 400, title: "The request cannot be read" },
  "not-authorised": { status: 401, title: "A token of a site is needed" },
  forbidden: { status: 403, title: "This token may not do that" },
  "not-found": { status: 404, title: "There is nothing here" },
  "not-allowed": { status: 405, title: "This path does not take this method" },
  "too-large": { status: 413, title: "The body is too large" },
  "not-supported": { status: 415, title: "This form of body is not taken" },
  "not-valid": { status: 422, title: "Nothing was taken" },
  "too-many": { status: 429, title: "Too much at once; send it again later" },
  unavailable: { status: 503, title: "Nothing was taken; send it again" },
} as const;
export type ProblemName = keyof typeof problems;

/** JSON on a line of its own, so that a terminal's next prompt is on one too. */
const answer = (
  value: unknown,
  status = 200,
  headers: Record<string, string> = { "Content-Type": "application/json" },
): Response => new Response(`${JSON.stringify(value)}\n`, { status, headers });

/** A problem document. `errors` lists the faults, `alerts` the items of a batch. */
export const problem = (
  name: ProblemName,
  detail: string,
  more: Record<string, unknown> = {},
  allowed = "POST",
  afterSeconds = retryAfterSeconds,
): Response => {
  const { status, title } = problems[name];
  const headers = {
    "Content-Type": "application/problem+json",
    ...((status === 503 || status === 429) && { "Retry-After": String(afterSeconds) }),
    ...(status === 401 && { "WWW-Authenticate": "Bearer" }),
    ...(status === 405 && { Allow: allowed }),
  };
  return answer({ type: `urn:hardstate:problem:${name}`, title, status, detail, ...more }, status, headers);
};

/** Lets whole bodies of at most so many bytes through; one that is cut off or too large is answered, not worked on. */
export const bodyWithin = (
  maxSize: number,
  answers: Record<"tooLarge" | "cutOff", (c: Context) => Response | Promise<Response>>,
): MiddlewareHandler => {
  const limited = bodyLimit({ maxSize, onError: answers.tooLarge });
  return async (c, next) => {
    let whole: boolean | undefined;
    const readAll = async () => {
      // Hono keeps the text for whoever asks again.
      await c.req.text();
      whole = true;
    };
    const length = c.req.header("Content-Length") ?? "";
    // Hono's limit makes a stream of the body first: that takes longer than all else that is done with an alert.
    const told = /^\d+$/.test(length) && c.req.header("Transfer-Encoding") === undefined;
    if (told && Number(length) > maxSize) return answers.tooLarge(c);
    const answer = await (told ? readAll() : limited(c, readAll)).catch(() => answers.cutOff(c));
    return whole ? next() : answer;
  };
};

/** One item of a post, and the faults of its form. */
type Item = { input?: unknown; faults: Fault[] };

/**
 * Whether JSON.stringify writes a value as this text: then no name was lost when it was read. To look for names given
 * twice takes a tenth of a post's time.
 */
const isWritten = (value: unknown, text: string): boolean => {
  try {
    return JSON.stringify(value) === text;
  } catch {
    // JSON.parse takes a value of any depth, and JSON.stringify does not.
    return false;
  }
};

/** The value of a text in JSON, and the names that it has twice; undefined if it is not JSON. */
const parseJson = (text: string): { value: unknown; repeated: Map<number, Fault[]> } | undefined => {
  try {
    const value = JSON.parse(text);
    return { value, repeated: isWritten(value, text) ? new Map() : repeatedNames(text) };
  } catch {
    return undefined;
  }
};

const itemOf = ({ value, repeated }: { value: unknown; repeated: Map<number, Fault[]> }): Item => ({
  input: value,
  faults: [...repeated.values()].flat(),
});

const parseOne = (text: string): Item => {
  const json = parseJson(text);
  return json ? itemOf(json) : { faults: [{ field: "alert", expected: "JSON" }] };
};

const parseForm = (text: string, read: (fields: Macros) => unknown): Item => {
  const form = new URLSearchParams(text);
  return { input: read(Object.fromEntries(form)), faults: repeatedFields(form) };
};

const formPost = "application/x-www-form-urlencoded";

/** The items of a body; undefined if its form as a whole cannot be read. */
const itemsOf = (form: string, text: string): Item[] | undefined => {
  switch (form) {
    case formPost:
      return [parseForm(text, fromMacros)];
    case "application/x-ndjson":
      return text
        .split("\n")
        .filter((line) => line.trim() !== "")
        .map(parseOne);
    default: {
      const json = parseJson(text);
      const values = json && (Array.isArray(json.value) ? json.value : [json.value]);
      return values?.map((input, index) => ({ input, faults: json?.repeated.get(index) ?? [] }));
    }
  }
};

const forms = ["application/json", "application/x-ndjson", formPost];

const idOf = ({ input }: Item): string | undefined => {
  const id = typeof input === "object" && input && "id" in input ? input.id : 0;
  return typeof id === "string" && /^[A-Za-z0-9._-]{8,64}$/.test(id) ? id : undefined;
};

/** What a client calls itself where its token or its body does not say it. */
const monitorOf = (c: Context): string | undefined =>
  /^[A-Za-z0-9._-]{1,64}$/.exec(c.req.header("X-Hardstate-Monitor") ?? "")?.[0];

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** An alert as lists show it. */
const alertOf = (record: JournalRecord): Line => ({
  id: record.id,
  object: objectOf(record),
  contact: record.contact,
  monitor: record.monitor,
  type: record.type,
  state: record.state,
  received: record.receivedAt,
  made: record.made,
  status: record.ending?.as ?? "pending",
  outcome: outcomeOf(record),
  digest: record.digest?.id,
});

/** The whole story, in words and in parts. */
const wholeOf = (record: JournalRecord): Story => ({
  ...alertOf(record),
  story: storyOf(record),
  verdict: record.verdict,
  holds: record.holds,
  claim: record.claim,
  message_id: record.messageId,
  attempts: record.attempts.map(({ outcome, ...attempt }) => ({ ...attempt, ...outcome })),
  ending: record.ending,
  members: record.members,
  returned: record.returned,
});

/** A rejection as lists show it. */
const rejectedOf = (rejection: Rejection): RejectedLine => ({
  id: rejection.id,
  object: rejection.object,
  contact: rejection.contact,
  monitor: rejection.monitor,
  first: rejection.first,
  received: rejection.last,
  status: "rejected",
  outcome: rejectionOutcome(rejection),
  count: countOf(rejection),
  errors: rejection.faults,
});
const rejectedStoryOf = (rejection: Rejection): RejectedStory => ({
  ...rejectedOf(rejection),
  story: rejectionStory(rejection),
  alerts: rejection.ids,
});

/** What is open about an object, with everyone who was told of it. */
export const problemOf = ({ host, service, entry }: OpenProblem): OpenEpisode => {
  const {
    state,
    since,
    acknowledgedAt: acknowledged,
    monitors = [],
    told = [],
    suppressed,
  } = openProblem(entry) ?? {};
  const waiting = waitingIn(entry).map(([, { contact, row, due }]) => ({ contact, row, due }));
  return {
    object: objectOf({ host, service }),
    state,
    since,
    acknowledged,
    monitors,
    told,
    waiting,
    suppressed,
  };
};

/** A dead letter without what its alert says: the story has that. */
const letterOf = ({ alert, reason, deadAt }: DeadLetter): Letter => ({
  id: alert?.id,
  object: alert && objectName(alert.alert),
  contact: alert?.contact,
  type: alert?.alert.type,
  state: alert?.alert.state,
  reason,
  dead: deadAt,
});

export const heartbeatPost = v.object({
  monitor: v.pipe(
    v.string("the monitor's name"),
    v.regex(/^[A-Za-z0-9._-]{1,64}$/, "1-64 of letters, digits, . _ -"),
  ),
});
/** Whoever has a site's token may not fill the ledger with names. */
const mostMonitors = 100;

export const redriveOrder = v.strictObject({ id: v.optional(v.string()) });

/** What the journal can be asked for. */
export const journalOutcomes = [...outcomes, "rejected"] as const;

export const mostListed = 500;
export const usualListed = 100;

/**
 * The HTTP side of the bridge, for any runtime. Answers 202 only after the queue's commit; whatever goes wrong
 * before it, the answer is a problem document and nothing was taken, or it is safe to send all of it again.
 */
export const intake = (parts: IntakeParts): Hono<{ Variables: { site: string } }> => {
  const { queue, ledger, clock, report, rate } = parts;
  const limiter = rateLimiter();
  const away = turnAway(parts);
  const tokenOf = tokenFinder(parts.tokens);
  const sites = new Set(parts.tokens.map(({ site }) => site).filter((site) => site !== operatorSite));
  const siteOf = (authorization: string | undefined): string | undefined =>
    tokenOf(/^Bearer ([\x21-\x7e]{1,256})$/.exec(authorization ?? "")?.[1] ?? "")?.site;
  const refuse = (
    name: ProblemName,
    detail: string,
    site?: string,
    faults: Fault[] = [],
    more = {},
    ids?: string[],
    counts: { rejected?: number; wrongTokens?: number } = {},
    probe = false,
  ): Response => {
    const { status } = problems[name];
    const few = fewFaults(faults);
    report(
      probe
        ? { event: "probed", status, site }
        : { event: "request-refused", status, reason: detail, ...few, site, ...fewIds(ids), ...counts },
    );
    const { faults: errors, more: others } = few;
    return problem(name, detail, { ...(errors.length > 0 && { errors, more: others }), ...more });
  };
  const takesNothing = (what: string) => problem("unavailable", `The ${what} cannot be used now.`);
  const unavailable = (what: string, error: unknown, ids?: string[]): Response => {
    report({ event: "unavailable", what, error: words(error), ...fewIds(ids) });
    return takesNothing(what);
  };

  const tooMany = (
    detail: string,
    { afterSeconds, first }: { afterSeconds: number; first: boolean },
    site?: string,
    wrongTokens?: number,
  ) => {
    // Once, until something goes through again: whoever posts too much must not fill the log.
    if (first)
      report({ event: "request-refused", status: 429, reason: detail, faults: [], site, wrongTokens });
    return problem("too-many", detail, {}, undefined, afterSeconds);
  };

  const app = new Hono<{ Variables: { site: string } }>();
  app.onError((error) => {
    report({ event: "failed", during: "a request", error: error.stack ?? error.message });
    return problem("unavailable", "Something went wrong here; the log has it.");
  });
  app.notFound(() => problem("not-found", "The paths are listed in README."));

  app.get("/healthz", () => answer({ status: "alive" }));
  const { scrape, openapi } = parts;
  if (openapi) {
    app.get("/openapi.json", () => answer(openapi()));
    app.all("/openapi.json", () => problem("not-allowed", "GET this.", {}, "GET"));
  }
  const readiness = atMostEvery(readinessMilliseconds, clock, async () => {
    for (const [what, part] of Object.entries({ queue, ledger })) {
      try {
        await part.ready();
      } catch (error) {
        report({ event: "unavailable", what, error: words(error) });
        return what;
      }
    }
    return undefined;
  });
  app.get("/readyz", async () => {
    const away = await readiness();
    return away === undefined ? answer({ status: "ready" }) : takesNothing(away);
  });

  /** Requests without a token that no line of the log has counted yet. */
  let unreported = 0;
  const authorise: MiddlewareHandler<{ Variables: { site: string } }> = async (c, next) => {
    const site = siteOf(c.req.header("Authorization"));
    if (site === undefined) {
      // Never before the token was looked at: who has one is not locked out by those who have none.
      const full = limiter.take(" wrong tokens", wrongTokens, clock());
      // A monitor posts: a reader without a token loses no alert.
      if (c.req.method === "POST" || c.req.method === "PUT") {
        unreported += 1;
        await away.wrongToken(monitorOf(c));
      }
      const counted = !full || full.first ? unreported || undefined : undefined;
      unreported -= counted ?? 0;
      return full
        ? tooMany("Too many requests come without a token of HARDSTATE_TOKENS.", full, undefined, counted)
        : refuse(
            "not-authorised",
            "Send Authorization: Bearer and a token of HARDSTATE_TOKENS.",
            undefined,
            [],
            {},
            undefined,
            { wrongTokens: counted },
          );
    }
    c.set("site", site);
    return next();
  };
  app.use("/v1/*", authorise);
  // The console's first page shows them.
  app.use("/", async (_, next) => {
    await away.writeWrongTokens();
    return next();
  });

  if (scrape) {
    app.get("/metrics", authorise, async (c) => {
      const { text, contentType } = await scrape(c.get("site"));
      return new Response(text, { headers: { "Content-Type": contentType } });
    });
    app.all("/metrics", () => problem("not-allowed", "GET this.", {}, "GET"));
  }

  /** The sites whose last post exceeded the quota. */
  const overQuota = new Set<string>();
  const bytesOf = new Map(
    parts.tokens.map(({ site }) => [
      site,
      atMostEvery(quotaMilliseconds, clock, () => queue.waitingBytes(site)),
    ]),
  );
  /** The answer to a site of which too much waits. */
  const beyondQuota = async (site: string): Promise<Response | undefined> => {
    let bytes: number | undefined;
    try {
      bytes = await bytesOf.get(site)?.();
    } catch (error) {
      return unavailable("queue", error);
    }
    const first = !overQuota.has(site);
    if (bytes === undefined || bytes < mostWaitingBytes) {
      overQuota.delete(site);
      return undefined;
    }
    overQuota.add(site);
    const detail = `${mostWaitingBytes / 1024 ** 2} MiB of this site's alerts wait for their mail.`;
    return tooMany(detail, { afterSeconds: quotaRetrySeconds, first }, site);
  };
  /** Before the body is read; what it turns out to hold is charged later. */
  const withinLimits: MiddlewareHandler<{ Variables: { site: string } }> = async (c, next) => {
    const site = c.get("site");
    const full = rate && limiter.take(site, rate, clock());
    if (full) return tooMany("This site posts more alerts than HARDSTATE_RATE allows.", full, site);
    return (await beyondQuota(site)) ?? next();
  };

  /** Alerts of the operators' site could look like the bridge's own notices. */
  const ofMonitors: MiddlewareHandler<{ Variables: { site: string } }> = async (c, next) => {
    const site = c.get("site");
    if (site !== operatorSite) return next();
    return refuse(
      "forbidden",
      "This token belongs to the bridge's own site. Use a token of the monitor's site.",
      site,
    );
  };

  app.post(
    "/v1/alerts",
    ofMonitors,
    withinLimits,
    bodyWithin(mostBytes, {
      tooLarge: (c) => refuse("too-large", `At most ${mostBytes} bytes.`, c.get("site")),
      cutOff: (c) => refuse("not-readable", cutOffWords, c.get("site")),
    }),
    async (c) => {
      const site = c.get("site");
      const form = (c.req.header("Content-Type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
      const text = await c.req.text();
      // As notify --test sends it: no alert is lost with what it is answered.
      const probe = c.req.header("X-Hardstate-Probe") !== undefined || text.trim() === "";
      const rejectAll = async (
        name: ProblemName,
        detail: string,
        faults: Fault[],
        rejected: readonly Rejected[] = [{ faults, monitor: monitorOf(c) }],
        more = {},
        ids?: string[],
      ) => {
        const counts = { rejected: rejected.length };
        const response = refuse(name, detail, site, faults, more, ids, counts, probe);
        if (rate) limiter.charge(site, rate, Math.max(rejected.length - 1, 0), clock());
        if (!probe) await away.rejected(site, rejected);
        return response;
      };
      if (!forms.includes(form) || c.req.header("Content-Encoding")) {
        const expected = `${forms.join(", ")}, not compressed`;
        return rejectAll("not-supported", `Send ${expected}.`, [{ field: "Content-Type", expected }]);
      }
      const items = itemsOf(form, text);
      if (items === undefined)
        return rejectAll("not-readable", "The body is not JSON.", [{ field: "body", expected: "JSON" }]);
      if (items.length === 0 || items.length > mostAlerts) {
        const expected = `1-${mostAlerts} alerts`;
        const faults = [{ field: "body", expected }];
        // Of an empty list nothing is lost.
        const rejected = items.length === 0 ? [] : undefined;
        if (rate && !rejected) limiter.charge(site, rate, items.length - 1, clock());
        return rejectAll("not-valid", `Send ${expected} at a time.`, faults, rejected);
      }

      const now = clock();
      // By RFC 9110 §6.6.1 it is when the request was made: that tells a late post from a wrong clock.
      // biome-ignore lint/style/noRestrictedGlobals: it reads a text, and no clock.
      const sent = Date.parse(c.req.header("Date") ?? "");
      const circumstances = {
        site,
        now,
        ...(Number.isFinite(sent) && { clockBehind: now - sent }),
        aliases: parts.aliases,
        allowed: parts.allowed,
        severalSites: sites.size > 1,
      };
      const queued: QueuedAlert[] = [];
      const turned: Rejected[] = [];
      const refused: RejectedItem[] = [];
      let nextPause = mailboxesAtOnce;
      const answers: Posted[] = [];
      for (const [index, item] of items.entries()) {
        if (answers.length > nextPause) {
          nextPause += mailboxesAtOnce;
          await setImmediate();
        }
        const reading =
          item.faults.length > 0
            ? { ok: false as const, faults: item.faults, rejected: [] }
            : readPost(item.input, circumstances);
        const named = (faults: Fault[]) => (form === formPost ? faults.map(inMacros) : faults);
        const of = ({ id, contact, alert }: QueuedAlert) => ({
          item: index,
          id,
          object: objectName(alert),
          contact,
        });
        const rejected = reading.rejected.map(({ queued, faults }): RejectedItem => {
          const [{ id, object, contact }, errors] = [of(queued), named(faults)];
          turned.push({ id, object, contact, monitor: queued.alert.monitor.id, faults: errors });
          return { ...of(queued), status: "rejected", errors };
        });
        if (!reading.ok && rejected.length === 0) {
          const [id, errors] = [idOf(item), named(reading.faults)];
          for (const parts of readableParts(item.input))
            turned.push({ monitor: monitorOf(c), ...parts, id, faults: errors });
          rejected.push({ item: index, id, status: "rejected", errors });
        }
        refused.push(...rejected);
        const taken = reading.ok ? reading.value : [];
        queued.push(...taken);
        answers.push(
          ...taken.map((one): Posted => ({ ...of(one), status: "queued" })),
          ...(rejected.length > 0 ? fewRejections(rejected, items.length) : []),
        );
      }
      const faults = refused.flatMap(({ item, errors }) =>
        errors.map((fault) => ({
          ...fault,
          field: items.length > 1 ? `${item}.${fault.field}` : fault.field,
        })),
      );
      const ids = refused.flatMap(({ id }) => id ?? []);
      if (queued.length === 0) {
        const detail = "No alert was accepted: see errors.";
        return rejectAll("not-valid", detail, faults, turned, { alerts: answers }, ids);
      }
      if (rate) limiter.charge(site, rate, turned.length - 1, clock());
      for (let start = 0; start < queued.length; start += mailboxesAtOnce) {
        const part = queued.slice(start, start + mailboxesAtOnce);
        let taken: (boolean | "known")[];
        try {
          if (start > 0) await setImmediate();
          taken = await queue.send(part.map(toMessage));
          if (!taken.every(Boolean))
            throw new Error("the queue took only some; the same ids may be sent again");
        } catch (error) {
          return unavailable(
            "queue",
            error,
            queued.slice(start).map(({ id }) => id),
          );
        }
        if (rate) limiter.charge(site, rate, part.length, clock());
        for (const [index, { id, contact, alert }] of part.entries()) {
          const about = { id, object: objectName(alert), contact };
          report(
            taken[index] === "known"
              ? { event: "repeated", ...about, reason: "the queue has this alert already" }
              : { event: "accepted", site, ...about, type: alert.type, state: alert.state },
          );
        }
      }
      if (faults.length > 0 && !probe) {
        report({
          event: "request-refused",
          status: 202,
          reason: "some alerts of a batch, or some mailboxes",
          ...fewFaults(faults),
          site,
          ...fewIds(ids),
          rejected: turned.length,
        });
        await away.rejected(site, turned);
      }
      return answer({ alerts: answers }, 202);
    },
  );

  const withinBesideRate =
    (kind: string): MiddlewareHandler<{ Variables: { site: string } }> =>
    async (c, next) => {
      const full = limiter.take(` ${kind} ${c.get("site")}`, besideRate, clock());
      return full ? tooMany(`This site sends too many ${kind}.`, full, c.get("site")) : next();
    };
  app.post(
    "/v1/returns",
    withinBesideRate("reports"),
    bodyWithin(mostReportBytes, {
      tooLarge: (c) =>
        refuse("too-large", `At most ${mostReportBytes} bytes: the first of them are enough.`, c.get("site")),
      cutOff: (c) => refuse("not-readable", cutOffWords, c.get("site")),
    }),
    async (c) => {
      const form = (c.req.header("Content-Type") ?? "").split(";")[0]?.trim().toLowerCase();
      if (form !== "message/rfc822" || c.req.header("Content-Encoding")) {
        const expected = "message/rfc822, not compressed";
        return refuse("not-supported", `Send ${expected}.`, c.get("site"), [
          { field: "Content-Type", expected },
        ]);
      }
      try {
        return answer(await takeReport(parts, c.get("site"), await c.req.text()));
      } catch (error) {
        return unavailable("queue or ledger", error);
      }
    },
  );
  app.all("/v1/returns", () => problem("not-allowed", "POST this."));

  app.get("/v1/alerts/:id", async (c) => {
    const [site, id] = [c.get("site"), c.req.param("id")];
    let held: boolean | undefined;
    try {
      const record = await ledger.story(site, id);
      if (record) return answer(wholeOf(record));
      held = await queue.holds(deduplicationId(site, id));
      if (held)
        return answer({ id, status: "pending", detail: "It waits in the queue; nothing was decided yet." });
      const rejection = await findRejection(ledger, site, id);
      if (rejection) return answer(rejectedStoryOf(rejection));
    } catch (error) {
      return unavailable("ledger", error, [id]);
    }
    const unseen = held === undefined ? " One that was just taken may still wait in the queue." : "";
    return problem("not-found", `The ledger has no alert of this id and site.${unseen}`);
  });

  /** Answers one page of what `list` finds; wrong parameters are told all at once. */
  const listing = async <T>(
    c: Context<{ Variables: { site: string } }>,
    filters: readonly string[],
    list: (limit: number) => Promise<Listing<T>>,
    shown: (items: T[], next: string | undefined) => unknown,
  ): Promise<Response> => {
    const given = c.req.query();
    const limit = given.limit ?? String(usualListed);
    const faults: Fault[] = Object.keys(given)
      .filter((name) => ![...filters, "before", "limit"].includes(name))
      .map((name) => ({ field: name, expected: `one of ${[...filters, "before", "limit"].join(", ")}` }));
    if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > mostListed)
      faults.push({ field: "limit", expected: `a number from 1 to ${mostListed}` });
    if (given.before !== undefined && !/^\d{1,16}\.[A-Za-z0-9._-]{1,128}$/.test(given.before))
      faults.push({ field: "before", expected: "what the page before gave as next" });
    if (
      given.outcome !== undefined &&
      filters.includes("outcome") &&
      !(journalOutcomes as readonly string[]).includes(given.outcome)
    )
      faults.push({ field: "outcome", expected: `one of ${journalOutcomes.join(", ")}` });
    if (faults.length > 0)
      return refuse(
        "not-readable",
        "These parameters are not taken; errors tells each.",
        c.get("site"),
        faults,
      );
    try {
      const { items, next } = await list(Number(limit));
      return answer(shown(items, next));
    } catch (error) {
      return unavailable("ledger", error);
    }
  };

  app.get("/v1/problems", (c) =>
    listing(
      c,
      [],
      (limit) => ledger.problems({ site: c.get("site"), before: c.req.query("before"), limit }),
      (items, next) => ({ problems: items.map(problemOf), next }),
    ),
  );

  app.get("/v1/journal", (c) => {
    const [site, { object, contact, outcome, before }] = [c.get("site"), c.req.query()];
    if (outcome === "rejected")
      return listing(
        c,
        ["object", "contact", "outcome"],
        (limit) => listRejections(ledger, { site, object, contact, before, limit }),
        (items, next) => ({ alerts: items.map(rejectedOf), next }),
      );
    let totals: Record<string, number> | undefined;
    return listing(
      c,
      ["object", "contact", "outcome"],
      async (limit) => {
        if (before === undefined) {
          const ended = await ledger.totals(site);
          totals = { accepted: Object.values(ended).reduce((sum, count) => sum + count, 0), ...ended };
        }
        return ledger.journal({ site, object, contact, outcome: outcome as Outcome, before, limit });
      },
      (items, next) => ({ alerts: items.map(alertOf), next, totals }),
    );
  });

  app.get("/v1/queue", async (c) => {
    try {
      const { waiting, handedOut, oldestAt } = await queue.depth();
      const dead = (await queue.deadLetters(mostDeadLetters, c.get("site"))).map(letterOf);
      return answer({ waiting, in_flight: handedOut, oldest: oldestAt, dead_letters: dead });
    } catch (error) {
      return unavailable("queue", error);
    }
  });

  app.get("/v1/status", async (c) => {
    const site = c.get("site");
    try {
      const depth = await queue.depth();
      const dead = await queue.deadLetterCount(site);
      const heartbeats = (await ledger.heartbeats()).filter((one) => one.site === site);
      const flow = await ledger.flow(site, clock());
      const routes = await ledger.routes();
      await away.writeWrongTokens();
      const turned = await turnedAway(ledger, site, clock());
      const lost = await bouncing(ledger, site, clock());
      const status: StatusPage = statusOf(clock(), depth, dead, routes, heartbeats, flow, turned, lost);
      const plain = c.req.header("Accept")?.trim().toLowerCase().startsWith("text/plain");
      return plain ? c.text(asLines(status)) : answer(status);
    } catch (error) {
      return unavailable("queue or ledger", error);
    }
  });

  const smallBody = bodyWithin(1024, {
    tooLarge: () => problem("too-large", "At most 1024 bytes."),
    cutOff: (c) => refuse("not-readable", cutOffWords, c.get("site")),
  });

  /** Notes that a monitor lives now. Undefined: the site has too many. */
  const beat = async (site: string, monitor: string): Promise<Heartbeat | undefined> => {
    for (let conflicts = 0; conflicts < 10; conflicts++) {
      const known = await ledger.heartbeat(site, monitor);
      if (known.revision === 0) {
        const others = (await ledger.heartbeats()).filter((one) => one.site === site);
        if (others.length >= mostMonitors) return undefined;
      }
      const heartbeat = { ...known, at: clock() };
      if (await ledger.writeHeartbeat(heartbeat)) return heartbeat;
    }
    throw new Error("the heartbeat changed ten times while it was written");
  };
  app.put("/v1/heartbeat", ofMonitors, withinBesideRate("heartbeats"), smallBody, async (c) => {
    const site = c.get("site");
    const text = await c.req.text();
    const json = parseJson(text);
    const item = json ? itemOf(json) : parseForm(text, (fields) => fields);
    const reading =
      item.faults.length > 0 ? { ok: false as const, ...item } : read(heartbeatPost, item.input);
    if (!reading.ok)
      return refuse("not-valid", 'Send {"monitor":"NAME"}, or monitor=NAME as a form.', site, reading.faults);
    try {
      const heartbeat = await beat(site, reading.value.monitor);
      if (!heartbeat)
        return refuse("not-valid", `This site has ${mostMonitors} monitors already.`, site, [
          { field: "monitor", expected: "one of those that were heard in the last 30 days" },
        ]);
      return answer({ site, monitor: heartbeat.monitor, at: heartbeat.at });
    } catch (error) {
      return unavailable("ledger", error);
    }
  });
  app.all("/v1/heartbeat", () => problem("not-allowed", "PUT this.", {}, "PUT"));

  app.post("/v1/dead-letters/redrive", smallBody, async (c) => {
    const site = c.get("site");
    const expected = 'an object: {"id": "..."} for one dead letter, {} for all';
    const item = parseOne((await c.req.text()) || "{}");
    // Valibot takes an empty list for an empty object, and that would put back all.
    const order = item.faults.length === 0 && !Array.isArray(item.input) ? item.input : undefined;
    const reading = read(redriveOrder, order);
    if (!reading.ok)
      return refuse("not-readable", "Nothing was put back.", site, [{ field: "body", expected }]);
    const { id } = reading.value;
    try {
      const count = await queue.redrive({ site, id });
      if (id !== undefined && count === 0)
        return problem("not-found", "No dead letter of this site has this id.");
      report({ event: "redriven", site, id, count });
      return answer({ redriven: count });
    } catch (error) {
      return unavailable("queue", error);
    }
  });
  app.all("/v1/dead-letters/redrive", () => problem("not-allowed", "POST this."));

  const getsAlone = [
    "/v1/alerts/:id",
    "/v1/problems",
    "/v1/journal",
    "/v1/queue",
    "/v1/status",
    "/healthz",
    "/readyz",
  ];
  for (const path of getsAlone) app.all(path, () => problem("not-allowed", "GET this.", {}, "GET"));
  app.all("/v1/alerts", () => problem("not-allowed", "POST alerts here."));
  return app;
};

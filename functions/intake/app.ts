import { type Context, Hono, type MiddlewareHandler } from "hono";
import { type App, addQueries } from "../api/queries.ts";
import { answer, errorWords, loggedRefusals, onlyMethod, refusal, takesNothing } from "../api/refusals.ts";
import type { SiteToken } from "../config.ts";
import { operatorSite } from "../identity.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Queue } from "../queue/queue.ts";
import type { Report } from "../report/event.ts";
import type { Rate } from "../time.ts";
import { type AlertParts, addAlerts } from "./alerts.ts";
import { addHeartbeats } from "./heartbeats.ts";
import { atMostEvery, type Limiter, rateLimiter, wrongTokens } from "./limit.ts";
import { quota } from "./quota.ts";
import { addRedrive } from "./redrive.ts";
import { addReturns } from "./returns.ts";
import { tokenFinder } from "./token.ts";
import { monitorOf, turnAway } from "./turned-away.ts";

export type IntakeParts = Pick<AlertParts, "aliases" | "allowed"> & {
  tokens: readonly SiteToken[];
  queue: Queue;
  ledger: Ledger;
  /** The addresses that are mailed about the bridge itself. */
  operators: readonly string[];
  clock: () => number;
  report: Report;
  /** How many alerts a site may post; undefined: no limit. */
  rate?: Rate;
  /** The API described: the content of openapi.json, from wherever the runtime keeps it. */
  openapi?: () => unknown;
  /** The text for Prometheus, which a token of a site may read, where the runtime has it. */
  scrape?: (site: string) => Promise<{ text: string; contentType: string }>;
};

type SiteMiddleware = MiddlewareHandler<{ Variables: { site: string } }>;

/** Anybody may call /readyz, and each answer costs calls to AWS. */
const readinessMilliseconds = 1000;
/** How many heartbeats, and how many reports of undelivered mail, a site may send beside its alerts. */
const besideRate: Rate = { most: 600, milliseconds: 60_000 };

/** Whether the bridge lives, and whether it can accept alerts. */
const addHealth = (app: App, { queue, ledger, clock, report }: IntakeParts) => {
  const readiness = atMostEvery(readinessMilliseconds, clock, async () => {
    for (const [what, part] of Object.entries({ queue, ledger })) {
      try {
        await part.ready();
      } catch (error) {
        report({ event: "unavailable", what, error: errorWords(error) });
        return what;
      }
    }
    return undefined;
  });
  app.get("/healthz", () => answer({ status: "alive" }));
  app.get("/readyz", async () => {
    const missing = await readiness();
    return missing === undefined ? answer({ status: "ready" }) : takesNothing(missing);
  });
  for (const path of ["/healthz", "/readyz"]) app.all(path, onlyMethod("GET"));
};

type Refusing = {
  refusals: ReturnType<typeof loggedRefusals>;
  limiter: Limiter;
  away: ReturnType<typeof turnAway>;
};

/** Finds the site of each request by its token, and refuses all others. */
const authorising = (
  { tokens, clock }: IntakeParts,
  { refusals, limiter, away }: Refusing,
): SiteMiddleware => {
  const tokenOf = tokenFinder(tokens);
  const siteOf = (authorization: string | undefined): string | undefined =>
    tokenOf(/^Bearer ([\x21-\x7e]{1,256})$/.exec(authorization ?? "")?.[1] ?? "")?.site;
  /** Requests without a token that no line of the log has counted yet. */
  let unreported = 0;
  const turnedAway = async (c: Context): Promise<Response> => {
    // Never before the token was looked at: requests without a token must not lock out those with one.
    const full = limiter.take(" wrong tokens", wrongTokens, clock());
    // A monitor posts: a reader without a token loses no alert.
    if (c.req.method === "POST" || c.req.method === "PUT") {
      unreported += 1;
      await away.wrongToken(monitorOf(c));
    }
    const counted = !full || full.first ? unreported || undefined : undefined;
    unreported -= counted ?? 0;
    const words = "Too many requests come without a token of HARDSTATE_TOKENS.";
    if (full) return refusals.tooMany(words, full, { wrongTokens: counted });
    const expected = "Send Authorization: Bearer and a token of HARDSTATE_TOKENS.";
    return refusals.refuse("not-authorised", expected, { wrongTokens: counted });
  };
  return async (c, next) => {
    const site = siteOf(c.req.header("Authorization"));
    if (site === undefined) return turnedAway(c);
    c.set("site", site);
    return next();
  };
};

/**
 * The HTTP side of the bridge, for any runtime. It answers 202 only after the queue's commit. Every refusal before that
 * means that nothing was accepted, or that it is safe to send all of it again.
 */
export const intake = (parts: IntakeParts): App => {
  const { ledger, queue, clock, report, scrape, openapi } = parts;
  const refusals = loggedRefusals(report);
  const [limiter, away] = [rateLimiter(), turnAway(parts)];
  const app: App = new Hono();
  app.onError((error) => {
    report({ event: "failed", during: "a request", error: error.stack ?? error.message });
    return refusal("unavailable", "Something went wrong here; the log has it.");
  });
  app.notFound(() => refusal("not-found", "docs/http-api.md lists the paths."));
  addHealth(app, parts);
  if (openapi) app.get("/openapi.json", () => answer(openapi())).all("/openapi.json", onlyMethod("GET"));

  const authorise = authorising(parts, { refusals, limiter, away });
  app.use("/v1/*", authorise);
  // The console's first page shows the wrong tokens.
  app.use("/", async (_, next) => {
    await away.writeWrongTokens();
    return next();
  });
  if (scrape) {
    app.get("/metrics", authorise, async (c) => {
      const { text, contentType } = await scrape(c.get("site"));
      return new Response(text, { headers: { "Content-Type": contentType } });
    });
    app.all("/metrics", onlyMethod("GET"));
  }

  /** Alerts of the operators' site could look like the bridge's own notices. */
  const ofMonitors: SiteMiddleware = async (c, next) => {
    const site = c.get("site");
    if (site !== operatorSite) return next();
    const words = "This token belongs to the bridge's own site. Use a token of the monitor's site.";
    return refusals.refuse("forbidden", words, { site });
  };
  const withinBesideRate =
    (kind: string): SiteMiddleware =>
    async (c, next) => {
      const site = c.get("site");
      const full = limiter.take(` ${kind} ${site}`, besideRate, clock());
      return full ? refusals.tooMany(`This site sends too many ${kind}.`, full, { site }) : next();
    };
  const severalSites =
    new Set(parts.tokens.flatMap(({ site }) => (site === operatorSite ? [] : site))).size > 1;
  addAlerts(
    app,
    { ...parts, severalSites, refusals, limiter, away },
    ofMonitors,
    quota(parts, refusals, limiter),
  );
  addReturns(app, parts, refusals, withinBesideRate("reports"));
  addHeartbeats(app, parts, refusals, ofMonitors, withinBesideRate("heartbeats"));
  addQueries(app, { queue, ledger, clock, refusals, flush: away.writeWrongTokens });
  addRedrive(app, parts, refusals);
  return app;
};

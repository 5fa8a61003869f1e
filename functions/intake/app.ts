import { type Context, Hono, type MiddlewareHandler } from "hono";
import { bodyWithin } from "../api/body.ts";
import { type App, addQueries } from "../api/queries.ts";
import { answer, errorWords, loggedRefusals, onlyMethod, refusal, takesNothing } from "../api/refusals.ts";
import { operatorSite } from "../identity.ts";
import type { Rate } from "../time.ts";
import { addAlerts, mostBytes } from "./alerts.ts";
import type { Doors, IntakeParts } from "./doors.ts";
import { addHeartbeats } from "./heartbeats.ts";
import { atMostEvery, rateLimiter, wrongTokens } from "./limit.ts";
import { quota } from "./quota.ts";
import { addRedrive } from "./redrive.ts";
import { addReturns, mostReportBytes } from "./returns.ts";
import { tokenFinder } from "./token.ts";
import { monitorOf, turnAway } from "./turned-away.ts";

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

/** Finds the site of each request by its token, and refuses all others. */
const authorising = ({ tokens, clock, refusals, limiter, away }: Doors): SiteMiddleware => {
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

/** Adds what is checked of each post before it is read: who sends it, how often, and how many bytes it has. */
const addChecks = (app: App, doors: Doors) => {
  const { clock, refusals, limiter } = doors;
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
  const cutOff = (c: Context) =>
    refusals.refuse("not-readable", "The body was cut off.", { site: c.get("site") });
  const within = (bytes: number, words = "") =>
    bodyWithin(bytes, {
      tooLarge: (c) =>
        refusals.refuse("too-large", `At most ${bytes} bytes${words}.`, { site: c.get("site") }),
      cutOff,
    });
  // The log does not have a larger one: no alert is in it.
  const small = bodyWithin(1024, { tooLarge: () => refusal("too-large", "At most 1024 bytes."), cutOff });
  app.post("/v1/alerts", ofMonitors, quota(doors), within(mostBytes));
  const enough = ": the first of them are enough";
  app.post("/v1/returns", withinBesideRate("reports"), within(mostReportBytes, enough));
  app.put("/v1/heartbeat", ofMonitors, withinBesideRate("heartbeats"), small);
  app.post("/v1/dead-letters/redrive", small);
};

/**
 * The HTTP side of the bridge, for any runtime. It answers 202 only after the queue's commit. Every refusal before that
 * means that nothing was accepted, or that it is safe to send all of it again.
 */
export const intake = (parts: IntakeParts): App => {
  const { report, scrape, openapi } = parts;
  const away = turnAway(parts);
  const doors: Doors = { ...parts, refusals: loggedRefusals(report), limiter: rateLimiter(), away };
  const app: App = new Hono();
  app.onError((error) => {
    report({ event: "failed", during: "a request", error: error.stack ?? error.message });
    return refusal("unavailable", "Something went wrong here; the log has it.");
  });
  app.notFound(() => refusal("not-found", "docs/http-api.md lists the paths."));
  addHealth(app, parts);
  if (openapi) app.get("/openapi.json", () => answer(openapi())).all("/openapi.json", onlyMethod("GET"));

  const authorise = authorising(doors);
  app.use("/v1/*", authorise);
  // The status and the console's first page tell the wrong tokens.
  for (const path of ["/", "/v1/status"])
    app.use(path, async (_, next) => {
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
  addChecks(app, doors);
  addAlerts(app, doors);
  addReturns(app, doors);
  addHeartbeats(app, doors);
  addQueries(app, doors);
  addRedrive(app, doors);
  return app;
};

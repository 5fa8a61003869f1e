import { type Context, Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { bodyWithin } from "../api/body.ts";
import { journalOutcomes } from "../api/queries.ts";
import { problemOf } from "../api/views.ts";
import type { IntakeParts } from "../intake/app.ts";
import { rateLimiter, wrongTokens } from "../intake/limit.ts";
import { tokenFinder } from "../intake/token.ts";
import { bouncing } from "../ledger/bouncing.ts";
import type { Outcome } from "../ledger/journal.ts";
import { findRejection, listRejections, turnedAway } from "../ledger/rejection.ts";
import { statusOf } from "../operator/status.ts";
import { deduplicationId, mostDeadLetters } from "../queue/queue.ts";
import { curveBegin } from "./curve.ts";
import {
  deadLettersPage,
  faultPage,
  journalPage,
  loginPage,
  mostOnPage,
  nowPage,
  problemsPage,
  type Reader,
  rejectionPage,
  rejectionsPage,
  storyPage,
  waitingPage,
} from "./page.ts";
import { script } from "./script.ts";
import { isFormToken, type Session, sessionMilliseconds, sessions } from "./session.ts";
import { icon, style } from "./style.ts";

export type ConsoleParts = Pick<IntakeParts, "tokens" | "queue" | "ledger" | "clock" | "report">;

type Page = Context<{ Variables: { session: Session } }>;

const mostFormBytes = 4096;

const policy = [
  "default-src 'none'",
  ...["style-src", "script-src", "img-src", "connect-src", "form-action"].map((what) => `${what} 'self'`),
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

const headers: Record<string, string> = {
  "Content-Security-Policy": policy,
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  // With no-referrer browsers send `Origin: null` with our own forms.
  "Referrer-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
};

const files = {
  "/console.css": { type: "text/css; charset=utf-8", text: style },
  "/console.js": { type: "text/javascript; charset=utf-8", text: script },
  "/console.svg": { type: "image/svg+xml", text: icon },
};

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;
const hostOf = (c: Page): string => c.req.header("Host") ?? new URL(c.req.url).host;
/** Whether the reader came by TLS, which may end at a proxy in front of the bridge. */
const isSecure = (c: Page): boolean =>
  new URL(c.req.url).protocol === "https:" || c.req.header("X-Forwarded-Proto")?.toLowerCase() === "https";
const cookieOf = (c: Page) => (isSecure(c) ? "__Host-hardstate" : "hardstate");
const keep = (c: Page, value: string, maxAge: number) =>
  setCookie(c, cookieOf(c), value, {
    path: "/",
    httpOnly: true,
    sameSite: "Strict",
    secure: isSecure(c),
    maxAge,
  });

/** Whether a form was sent by a page of ours, as far as the browser tells. */
const isOurs = (c: Page): boolean => {
  const site = c.req.header("Sec-Fetch-Site");
  if (site !== undefined) return site === "same-origin";
  const origin = c.req.header("Origin");
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === hostOf(c));
};

/** A path of this console alone, whatever is asked for. */
const localPath = (path: string): string =>
  /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,1000}$/.test(path) && !path.startsWith("/log") ? path : "/";

const isOutcome = (word: string): word is Outcome | "rejected" =>
  (journalOutcomes as readonly string[]).includes(word);

/**
 * The web console, at the root of the bridge: pages over ledger and queue of the site whose token opened the session,
 * complete without JavaScript. It changes nothing but by putting dead letters back.
 */
export const webConsole = ({ tokens, queue, ledger, clock, report }: ConsoleParts) => {
  const limiter = rateLimiter();
  const tokenOf = tokenFinder(tokens);
  const cookies = sessions(tokens);
  const app = new Hono<{ Variables: { session: Session } }>();
  const readerOf = (c: Page): Reader => ({ session: c.get("session"), now: clock() });

  const fault = (c: Page, status: 400 | 403 | 404 | 413 | 415 | 503, title: string, ...advice: string[]) =>
    c.html(faultPage(readerOf(c), title, advice), status);
  const login = (c: Page, words?: string, status: 401 | 429 = 401) => {
    const { pathname, search } = new URL(c.req.url);
    const after = c.req.method === "GET" ? localPath(pathname + search) : "/";
    return c.html(loginPage(readerOf(c), after, words), status);
  };
  const foreignForm = (c: Page) =>
    fault(
      c,
      403,
      "This form is not ours",
      "It came from another page. Open the console, and send it from there.",
    );

  app.onError((error, c) => {
    report({ event: "failed", during: "a page of the console", error: error.stack ?? error.message });
    c.header("Retry-After", "10");
    return fault(
      c,
      503,
      "This page cannot be shown now",
      "The queue or the ledger does not answer.",
      "Try again in a moment. The bridge's log has the reason.",
    );
  });

  const framed = async (c: Page, next: () => Promise<void>) => {
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
    c.header("Cache-Control", "no-store");
    await next();
  };
  const limited = bodyWithin(mostFormBytes, {
    tooLarge: (c) => fault(c, 413, "That is too much", `A form has at most ${mostFormBytes} bytes.`),
    cutOff: (c) => fault(c, 400, "The form was cut off", "Nothing was done. Send it again."),
  });
  /** The fields of a form; undefined if it is none. */
  const formOf = async (c: Page): Promise<URLSearchParams | undefined> =>
    /^application\/x-www-form-urlencoded\b/i.test(c.req.header("Content-Type") ?? "")
      ? new URLSearchParams(await c.req.text())
      : undefined;
  const noForm = (c: Page) => fault(c, 415, "This is no form", "Send it from the console's own page.");

  for (const [path, { type, text }] of Object.entries(files))
    app.get(path, framed, (c) => {
      c.header("Cache-Control", "max-age=300");
      c.header("Content-Type", type);
      return c.body(text);
    });

  app.post("/login", framed, limited, async (c) => {
    if (!isOurs(c)) return foreignForm(c);
    if (!isSecure(c) && !loopback.test(hostOf(c)))
      return fault(
        c,
        403,
        "Not without TLS",
        "A token would be readable on its way. Open the console by https, or on the bridge's own machine by http://127.0.0.1.",
        "A TLS proxy in front of the bridge must send X-Forwarded-Proto: https.",
      );
    const form = await formOf(c);
    if (!form) return noForm(c);
    const token = tokenOf((form.get("token") ?? "").trim());
    if (!token) {
      const full = limiter.take(" logins", wrongTokens, clock());
      const reason = full ? "too many logins with unknown tokens" : "a login with an unknown token";
      if (!full || full.first)
        report({ event: "request-refused", status: full ? 429 : 401, reason, faults: [] });
      if (full) c.header("Retry-After", String(full.afterSeconds));
      if (full)
        return login(c, "Too many tries with tokens that the bridge does not know. Wait a moment.", 429);
      return login(c, "The bridge does not know this token. Look for it in HARDSTATE_TOKENS, after site=.");
    }
    keep(c, cookies.open(token, clock()), sessionMilliseconds / 1000);
    return c.redirect(localPath(form.get("after") ?? "/"), 303);
  });

  /** The reader's session, if there is one; its pages show it from now on. */
  const sessionOf = (c: Page): Session | undefined => {
    const session = cookies.read(getCookie(c, cookieOf(c)) ?? "", clock());
    if (session) c.set("session", session);
    return session;
  };
  const inSession = async (c: Page, next: () => Promise<void>) => {
    if (sessionOf(c)) return next();
    return login(c, getCookie(c, cookieOf(c)) ? "Your session is over. Log in again." : undefined);
  };
  /** The text of a form of a session; it must carry the session's own token. */
  const formIn = async (c: Page): Promise<URLSearchParams | Response> => {
    const form = await formOf(c);
    if (!form) return noForm(c);
    return isOurs(c) && isFormToken(c.get("session"), form.get("form_token") ?? "") ? form : foreignForm(c);
  };

  app.post("/logout", framed, limited, inSession, async (c) => {
    const form = await formIn(c);
    if (form instanceof Response) return form;
    keep(c, "", 0);
    return c.redirect("/", 303);
  });

  /** Shows a page of these parameters to whoever has a session; others are faults. */
  const show = (
    path: string,
    taken: Record<string, RegExp>,
    make: (c: Page, given: Record<string, string>, site: string) => Response | Promise<Response>,
  ) => {
    // A Map: an object would also know a parameter named constructor.
    const parameters = new Map(Object.entries(taken));
    return app.get(path, framed, inSession, (c) => {
      const given = Object.fromEntries(Object.entries(c.req.query()).filter(([, value]) => value !== ""));
      const wrong = Object.entries(given).filter(([name, value]) => !parameters.get(name)?.test(value));
      return wrong.length > 0
        ? fault(
            c,
            400,
            "This address is wrong",
            `This page does not take ${wrong.map(([name]) => (parameters.has(name) ? `such a value of ${name}` : "one of its parameters")).join(", ")}.`,
            "Follow a link, or search from the journal's form.",
          )
        : make(c, given, c.get("session").site);
    });
  };
  const cursor = /^\d{1,16}\.[A-Za-z0-9._-]{1,128}$/;
  const anything = /^[\s\S]{1,2048}$/;

  show("/", {}, async (c, _, site) => {
    const now = clock();
    const [depth, dead, routes, heartbeats, totals, flow, turned, lost] = await Promise.all([
      queue.depth(),
      queue.deadLetterCount(site),
      ledger.routes(),
      ledger.heartbeats(),
      ledger.totals(site),
      ledger.flow(site, curveBegin(now)),
      turnedAway(ledger, site, now),
      bouncing(ledger, site, now),
    ]);
    const own = heartbeats.filter((one) => one.site === site);
    const status = statusOf(now, depth, dead, routes, own, flow, turned, lost);
    return c.html(nowPage(readerOf(c), { status, totals, flow }));
  });

  show("/problems", { before: cursor }, async (c, { before }, site) => {
    const { items, next } = await ledger.problems({ site, before, limit: mostOnPage });
    return c.html(problemsPage(readerOf(c), { problems: items.map(problemOf), next }, before === undefined));
  });

  const search = { object: anything, contact: anything, outcome: anything, before: cursor };
  show("/journal", search, async (c, { object, contact, outcome, before }, site) => {
    if (outcome !== undefined && !isOutcome(outcome))
      return fault(c, 400, "There is no such outcome", `An outcome is one of ${journalOutcomes.join(", ")}.`);
    const named = { object: object?.trim() || undefined, contact: contact?.trim() || undefined };
    const which = { ...named, before, site, limit: mostOnPage };
    const asked = { ...named, outcome, before };
    return outcome === "rejected"
      ? c.html(rejectionsPage(readerOf(c), asked, await listRejections(ledger, which)))
      : c.html(journalPage(readerOf(c), asked, await ledger.journal({ ...which, outcome })));
  });

  show("/alerts/:id", {}, async (c, _, site) => {
    const id = c.req.param("id") ?? "";
    const record = await ledger.story(site, id);
    if (record) return c.html(storyPage(readerOf(c), record));
    if (await queue.holds(deduplicationId(site, id))) return c.html(waitingPage(readerOf(c), id));
    const rejection = await findRejection(ledger, site, id);
    if (rejection) return c.html(rejectionPage(readerOf(c), rejection));
    return fault(
      c,
      404,
      "There is no such alert",
      "This site has none of this id. One that has just come may still wait in the queue, and what ended is forgotten after 30 days.",
      "The journal lists what there is.",
    );
  });

  show("/dead-letters", { from: /^\d{1,3}$/, back: /^\d{1,6}$/ }, async (c, { from = "0", back }, site) => {
    const letters = await queue.deadLetters(mostDeadLetters, site);
    const putBack = back === undefined ? undefined : Number(back);
    return c.html(deadLettersPage(readerOf(c), letters, Number(from), putBack));
  });

  app.post("/dead-letters/redrive", framed, limited, inSession, async (c) => {
    const form = await formIn(c);
    if (form instanceof Response) return form;
    const [{ site }, id] = [c.get("session"), form.get("id") ?? undefined];
    const count = await queue.redrive({ site, id });
    if (count === 0)
      return fault(
        c,
        404,
        "Nothing to put back",
        "No dead letter of this site is that one. Somebody may have put it back already.",
      );
    report({ event: "redriven", site, id, count });
    return c.redirect(`/dead-letters?back=${count}`, 303);
  });

  // A client that is not a browser gets the bridge's own answer.
  app.get("*", framed, (c, next) => {
    if (c.req.path.startsWith("/v1/") || !c.req.header("Accept")?.includes("text/html")) return next();
    sessionOf(c);
    return fault(
      c,
      404,
      "There is no such page",
      "The console has pages for what is now, for problems, the journal and dead letters.",
    );
  });
  return app;
};

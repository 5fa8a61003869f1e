import { Hono } from "hono";
import type { IntakeParts } from "../intake/doors.ts";
import { answering, type ConsoleApp, framed, showing } from "./browser.ts";
import { addDeadLetters } from "./dead-letters.ts";
import { addJournal } from "./journal.ts";
import { addLogin } from "./login.ts";
import { addNow } from "./now.ts";
import { addProblems } from "./problems.ts";
import { script } from "./script.ts";
import { addStory } from "./story.ts";
import { icon, style } from "./style.ts";

export type ConsoleParts = Pick<IntakeParts, "tokens" | "queue" | "ledger" | "clock" | "report">;

const files = {
  "/console.css": { type: "text/css; charset=utf-8", text: style },
  "/console.js": { type: "text/javascript; charset=utf-8", text: script },
  "/console.svg": { type: "image/svg+xml", text: icon },
};

/**
 * The web console, at the root of the bridge: pages over ledger and queue of the site whose token opened the session,
 * complete without JavaScript. It changes nothing but by putting dead letters back.
 */
export const webConsole = (parts: ConsoleParts): ConsoleApp => {
  const app: ConsoleApp = new Hono();
  const answers = answering(parts.tokens, parts.clock);
  const { fault, sessionOf } = answers;
  app.onError((error, c) => {
    const { report } = parts;
    report({ event: "failed", during: "a page of the console", error: error.stack ?? error.message });
    c.header("Retry-After", "10");
    const reason = "The queue or the ledger does not answer.";
    const advice = "Try again in a moment. The bridge's log has the reason.";
    return fault(c, 503, "This page cannot be shown now", reason, advice);
  });
  for (const [path, { type, text }] of Object.entries(files))
    app.get(path, framed, (c) => {
      c.header("Cache-Control", "max-age=300");
      c.header("Content-Type", type);
      return c.body(text);
    });
  addLogin(app, answers, parts);
  const show = showing(app, answers);
  for (const add of [addNow, addProblems, addJournal, addStory, addDeadLetters])
    add(show, parts, answers, app);

  // A client that is not a browser gets the bridge's own answer.
  app.get("*", framed, (c, next) => {
    if (c.req.path.startsWith("/v1/") || !c.req.header("Accept")?.includes("text/html")) return next();
    sessionOf(c);
    const advice = "The console has pages for what is now, for problems, the journal and dead letters.";
    return fault(c, 404, "There is no such page", advice);
  });
  return app;
};

import { rateLimiter, wrongTokens } from "../intake/limit.ts";
import { tokenFinder } from "../intake/token.ts";
import {
  type Answers,
  type ConsoleApp,
  forms,
  framed,
  isOurs,
  isPrivate,
  keep,
  localPath,
  type Page,
} from "./browser.ts";
import type { ConsoleParts } from "./http.ts";
import { sessionMilliseconds } from "./session.ts";

/** Adds login and logout. A session lives in its cookie alone. */
export const addLogin = (
  app: ConsoleApp,
  answers: Answers,
  { tokens, clock, report }: ConsoleParts,
): void => {
  const limiter = rateLimiter();
  const tokenOf = tokenFinder(tokens);
  const { fault, login, inSession, cookies } = answers;
  const { foreign, formOf, formIn, limited } = forms(answers);

  const unknownToken = (c: Page) => {
    const full = limiter.take(" logins", wrongTokens, clock());
    const reason = full ? "too many logins with unknown tokens" : "a login with an unknown token";
    if (!full || full.first)
      report({ event: "request-refused", status: full ? 429 : 401, reason, faults: [] });
    if (!full)
      return login(c, "The bridge does not know this token. Look for it in HARDSTATE_TOKENS, after site=.");
    c.header("Retry-After", String(full.afterSeconds));
    return login(c, "Too many tries with tokens that the bridge does not know. Wait a moment.", 429);
  };

  app.post("/login", framed, limited, async (c) => {
    if (!isOurs(c)) return foreign(c);
    if (!isPrivate(c))
      return fault(
        c,
        403,
        "Not without TLS",
        "A token would be readable on its way. Open the console by https, or on the bridge's own machine by http://127.0.0.1.",
        "A TLS proxy in front of the bridge must send X-Forwarded-Proto: https.",
      );
    const form = await formOf(c);
    if (form instanceof Response) return form;
    const token = tokenOf((form.get("token") ?? "").trim());
    if (!token) return unknownToken(c);
    keep(c, cookies.open(token, clock()), sessionMilliseconds / 1000);
    return c.redirect(localPath(form.get("after") ?? "/"), 303);
  });

  app.post("/logout", framed, limited, inSession, async (c) => {
    const form = await formIn(c);
    if (form instanceof Response) return form;
    keep(c, "", 0);
    return c.redirect("/", 303);
  });
};

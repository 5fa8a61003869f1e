import type { Context, Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { bodyWithin } from "../api/body.ts";
import type { SiteToken } from "../config.ts";
import { faultPage, loginPage, type Reader } from "./page.ts";
import { isFormToken, type Session, sessions } from "./session.ts";

type Variables = { session: Session };
export type ConsoleApp = Hono<{ Variables: Variables }>;
export type Page = Context<{ Variables: Variables }>;

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

/** A host of this machine. */
export const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;
export const hostOf = (c: Page): string => c.req.header("Host") ?? new URL(c.req.url).host;
/** Whether the reader came by TLS, which may end at a proxy in front of the bridge. */
export const isSecure = (c: Page): boolean =>
  new URL(c.req.url).protocol === "https:" || c.req.header("X-Forwarded-Proto")?.toLowerCase() === "https";
export const cookieOf = (c: Page) => (isSecure(c) ? "__Host-hardstate" : "hardstate");
export const keep = (c: Page, value: string, maxAge: number) =>
  setCookie(c, cookieOf(c), value, {
    path: "/",
    httpOnly: true,
    sameSite: "Strict",
    secure: isSecure(c),
    maxAge,
  });

/** Whether a form was sent by a page of ours, as far as the browser tells. */
export const isOurs = (c: Page): boolean => {
  const site = c.req.header("Sec-Fetch-Site");
  if (site !== undefined) return site === "same-origin";
  const origin = c.req.header("Origin");
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === hostOf(c));
};

/** A path of this console alone, whatever is asked for. */
export const localPath = (path: string): string =>
  /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,1000}$/.test(path) && !path.startsWith("/log") ? path : "/";

/** Answers to a browser that are the same on all pages. */
export const answering = (tokens: readonly SiteToken[], clock: () => number) => {
  const cookies = sessions(tokens);
  const readerOf = (c: Page): Reader => ({ session: c.get("session"), now: clock() });
  const fault = (c: Page, status: 400 | 403 | 404 | 413 | 415 | 503, title: string, ...advice: string[]) =>
    c.html(faultPage(readerOf(c), title, advice), status);
  const login = (c: Page, words?: string, status: 401 | 429 = 401) => {
    const { pathname, search } = new URL(c.req.url);
    const after = c.req.method === "GET" ? localPath(pathname + search) : "/";
    return c.html(loginPage(readerOf(c), after, words), status);
  };
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
  return { cookies, readerOf, fault, login, sessionOf, inSession };
};
export type Answers = ReturnType<typeof answering>;

export const framed = async (c: Page, next: () => Promise<void>): Promise<void> => {
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
  c.header("Cache-Control", "no-store");
  await next();
};

/** Reads forms of the console's own pages, and refuses all others. */
export const forms = ({ fault }: Answers) => {
  const foreign = (c: Page) => {
    const advice = "It came from another page. Open the console, and send it from there.";
    return fault(c, 403, "This form is not ours", advice);
  };
  /** A form of this console, or the page that refuses it. */
  const formOf = async (c: Page): Promise<URLSearchParams | Response> =>
    /^application\/x-www-form-urlencoded\b/i.test(c.req.header("Content-Type") ?? "")
      ? new URLSearchParams(await c.req.text())
      : fault(c, 415, "This is not a form", "Send it from the console's own page.");
  return {
    foreign,
    formOf,
    /** A form of a session, which must carry the session's own token. */
    formIn: async (c: Page): Promise<URLSearchParams | Response> => {
      const form = await formOf(c);
      if (form instanceof Response) return form;
      return isOurs(c) && isFormToken(c.get("session"), form.get("form_token") ?? "") ? form : foreign(c);
    },
    limited: bodyWithin(mostFormBytes, {
      tooLarge: (c) => fault(c, 413, "That is too much", `A form has at most ${mostFormBytes} bytes.`),
      cutOff: (c) => fault(c, 400, "The form was cut off", "Nothing was done. Send it again."),
    }),
  };
};

import type { Context, Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { bodyWithin } from "../api/body.ts";
import type { SiteToken } from "../config.ts";
import { faultPage, loginPage, type Reader } from "./frame.ts";
import { isFormToken, type Session, sessions } from "./session.ts";
import type { Html } from "./text.ts";

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
const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;
const hostOf = (c: Page): string => c.req.header("Host") ?? new URL(c.req.url).host;
/** Whether the reader came by TLS, which may end at a proxy in front of the bridge. */
const isSecure = (c: Page): boolean =>
  new URL(c.req.url).protocol === "https:" || c.req.header("X-Forwarded-Proto")?.toLowerCase() === "https";
/** Whether nobody between the reader and the bridge can read a token. */
export const isPrivate = (c: Page): boolean => isSecure(c) || loopback.test(hostOf(c));
const cookieOf = (c: Page) => (isSecure(c) ? "__Host-hardstate" : "hardstate");
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

/** A request for a page. */
type Asked = { c: Page; reader: Reader; site: string; given: Record<string, string> };
type Make = (asked: Asked) => Promise<Html | Response>;
export type Show = (path: string, taken: Record<string, RegExp>, make: Make) => void;

/** The parameters of pages. */
export const cursor = /^\d{1,16}\.[A-Za-z0-9._-]{1,128}$/;
export const anything = /^[\s\S]{1,2048}$/;

/** Adds pages with these parameters, for readers with a session. Other parameters are faults. */
export const showing =
  (app: ConsoleApp, { fault, inSession, readerOf }: Answers): Show =>
  (path, taken, make) => {
    // A Map: an object would also know a parameter named constructor.
    const parameters = new Map(Object.entries(taken));
    app.get(path, framed, inSession, async (c) => {
      const given = Object.fromEntries(Object.entries(c.req.query()).filter(([, value]) => value !== ""));
      const wrong = Object.entries(given).filter(([name, value]) => !parameters.get(name)?.test(value));
      if (wrong.length === 0) {
        const made = await make({ c, reader: readerOf(c), site: c.get("session").site, given });
        return made instanceof Response ? made : c.html(made);
      }
      const names = wrong.map(([name]) =>
        parameters.has(name) ? `such a value of ${name}` : "one of its parameters",
      );
      const advice = "Follow a link, or search from the journal's form.";
      return fault(c, 400, "This address is wrong", `This page does not take ${names.join(", ")}.`, advice);
    });
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

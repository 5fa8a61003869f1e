import { Secret } from "../../../functions/secret.ts";
import { type DraftLine, open } from "./draft.ts";
import { type Findings, type Login, noteAt, placeOf, type Route } from "./findings.ts";

const name = "HARDSTATE_RELAYS";
const mostRoutes = 5;
const known = ["PLAIN", "LOGIN", "CRAM-MD5"];

/** Percent-encoded as a part of a URL, and so that no shell would read anything into it. */
const encoded = (text: string): string =>
  encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );

const isLoopback = (host: string): boolean => /^(localhost|::1|127(\.\d{1,3}){3})$/.test(host);

/** The auth= of a route, and a note of the mechanisms that the bridge lacks. */
const authOf = (found: Findings, route: Route, login: Login): string | undefined => {
  const given = login.mechanisms ?? route.mechanisms ?? [];
  const kept = [...new Set(given.filter((mechanism) => known.includes(mechanism)))].join(",");
  const left = given.filter((mechanism) => !known.includes(mechanism));
  const takes = kept || "PLAIN,LOGIN, or XOAUTH2 with HARDSTATE_OAUTH";
  const why = `not among the bridge's mechanisms of AUTH: it takes ${takes}`;
  const place = login.mechanisms ? login : route;
  if (left.length > 0)
    noteAt(found, place, kept ? "not-carried" : "attention", left.join(", ").slice(0, 60), why);
  return kept !== "" && kept !== "PLAIN,LOGIN" ? `auth=${kept}` : undefined;
};

/** The URL of a route, given what to write for the password. */
const urlOf = (found: Findings, route: Route, login: Login | undefined) => {
  const { host, port, protection, system } = route;
  const clear = protection === "none" && (isLoopback(host) || !(login || route.wantsLogin));
  if (clear) noteAt(found, route, "attention", "tls=none", `${system} uses no TLS here: nor will the bridge`);
  else if (protection === "none")
    noteAt(found, route, "attention", "TLS", `${system} uses none; the bridge sends no password without it`);
  else if (protection === "starttls" && !login && !route.wantsLogin)
    noteAt(
      found,
      route,
      "attention",
      `TLS to ${host}`,
      "the bridge insists on it: add tls=none if there is none",
    );
  const auth = login && authOf(found, route, login);
  const all = [route.mx && "mx", auth, route.name && `name=${route.name}`, clear && "tls=none"];
  const parameters = all.filter(Boolean).join("&");
  const scheme = protection === "implicit" ? "smtps" : "smtp";
  const tail = `${host.includes(":") ? `[${host}]` : host}:${port}${parameters && `?${parameters}`}`;
  const user = login ? encoded(login.user) : route.wantsLogin ? "USER" : undefined;
  return (password: string) => `${scheme}://${user === undefined ? "" : `${user}:${password}@`}${tail}`;
};

/** The routes as URLs, with their passwords and without. */
export const relayLine = (found: Findings): DraftLine => {
  const routes: Route[] = [];
  for (const route of found.routes) {
    const again = routes.some(({ host, port }) => host === route.host && port === route.port);
    const why = `carried are those of the file named first, each once, at most ${mostRoutes}`;
    if (again || routes.length >= mostRoutes || route.file !== found.routes[0]?.file)
      noteAt(found, route, "not-carried", `relay ${route.host}:${route.port}`, why);
    else routes.push(route);
  }
  const used = new Set<Login>();
  const urls = routes.map((route) => {
    const ofSystem = found.logins.filter(({ system }) => system === route.system);
    const login = route.keys.map((key) => ofSystem.find((one) => one.key === key)).find(Boolean);
    const wanting = route.wantsLogin && !login?.password.reveal();
    const why = "no file given has one for this host: give it in HARDSTATE_RELAYS";
    if (wanting) noteAt(found, route, "attention", `login for ${route.host}`, why);
    const carried = route.wantsLogin ? login : undefined;
    if (carried) used.add(carried);
    return { route, login: carried, wanting, url: urlOf(found, route, carried) };
  });
  for (const login of found.logins)
    if (!used.has(login))
      noteAt(found, login, "not-carried", "a login", "for another host than the relays that are carried");
  const written = (password: (login: Login | undefined) => string) =>
    urls.map(({ login, url }) => url(password(login))).join(" ");
  const from = [...new Set(urls.flatMap(({ route, login }) => [route, login ?? route]).map(placeOf))];
  if (urls.length === 0)
    return open(name, "smtp://USER:PASSWORD@relay.example.com:587", "a relay: no file names one");
  const [shown, todo] = [written(() => "[redacted]"), written(() => "PASSWORD")];
  if (urls.some(({ wanting }) => wanting)) return open(name, todo, "user and password", from);
  const value = new Secret(written((login) => encoded(login?.password.reveal() ?? "")));
  return { name, value, shown, from, expected: [] };
};

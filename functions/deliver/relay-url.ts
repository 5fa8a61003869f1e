import { Secret } from "../secret.ts";
import { type Rate, readRate } from "../time.ts";

/** The properties of every delivery route. */
type Route = {
  /** Scheme, host and port, for logs and the journal; unlike any other route's. */
  route: string;
  connections: number;
  rate?: Rate;
};

/** SASL mechanisms that we speak. */
export type Mechanism = "PLAIN" | "LOGIN" | "CRAM-MD5" | "XOAUTH2";

/** Where access tokens come from: by a refresh token if there is one (RFC 6749 §6), else by client credentials (§4.4). */
export type OAuth = {
  tokenUrl: string;
  clientId: string;
  clientSecret?: Secret;
  scope?: string;
  refreshToken?: Secret;
};

/** One smart host and how we may talk to it. */
export type SmtpRelay = Route & {
  kind: "smtp";
  host: string;
  port: number;
  /** Whether the host is a domain whose MX records name the relays (RFC 5321 §5.1). */
  mx: boolean;
  /** `none` is allowed without credentials or on loopback alone. */
  protection: "starttls" | "implicit" | "none";
  credentials?: { user: string; password: Secret } | { user: string; oauth: OAuth };
  /** In order of preference; never one outside this list. */
  auth: readonly Mechanism[];
  /** The name given in EHLO; the runtime's choice if absent. */
  name?: string;
  /** PEM of the only authorities trusted; the system's if absent. */
  ca?: string;
};

/** Amazon SES in one region, with the credentials that AWS's own settings give. */
export type SesRelay = Route & { kind: "ses"; region: string; configurationSet?: string };

/** A delivery route. */
export type Relay = SmtpRelay | SesRelay;

/** Takes what the settings should say instead of something, without any of what they say. */
type Expect = (expected: string) => void;

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);

/** Whether a text is a URL without user and password: fetch refuses those, with an error that repeats them. */
export const isUrlWithoutLogin = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === "" && password === "";
};

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
};

const mostRoutes = 5;
/** For a rate of mails. */
export const mostMails = 1000;

const mechanisms = ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"];

/** The parameters of a relay URL, each once. */
const readParameters = (url: URL, known: readonly string[], expect: Expect) => {
  const parameters = new Map<string, string>();
  for (const [key, value] of url.searchParams) {
    if (!known.includes(key)) expect(`parameters among ${known.join(", ")}`);
    else if (parameters.has(key)) expect(`${key}= once`);
    else parameters.set(key, value);
  }
  const connections = Number(parameters.get("connections") ?? "3");
  if (!Number.isInteger(connections) || connections < 1 || connections > 50)
    expect("connections= from 1 to 50");
  const rate = parameters.get("rate");
  if (rate !== undefined && !readRate(rate, mostMails))
    expect(`rate= of at most ${mostMails} mails in each s, min, h or d, such as rate=30/min`);
  return { parameters, connections, rate: rate === undefined ? undefined : readRate(rate, mostMails) };
};

/** Whether a host's own name is one that EHLO may say (RFC 5321 §4.1.1.1): full, and not localhost. */
export const isFullName = (name: string): boolean =>
  /^(?=.{1,255}$)(?!localhost\b)[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(name);

const readSes = (url: URL, expect: Expect): SesRelay => {
  if (!/^[a-z]{2}(-[a-z]+)+-\d$/.test(url.hostname) || url.port || url.username || url.password)
    expect("ses://REGION, such as ses://eu-west-1, and nothing else before its ?parameters");
  if (!["", "/"].includes(url.pathname) || url.hash !== "")
    expect("nothing after the region but ?parameters");
  const known = ["configuration-set", "rate", "connections"];
  const { parameters, ...limits } = readParameters(url, known, expect);
  const configurationSet = parameters.get("configuration-set");
  if (configurationSet !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(configurationSet))
    expect("configuration-set= a name of letters, digits, _ and -");
  const region = url.hostname;
  return { kind: "ses", route: `ses://${region}`, region, configurationSet, ...limits };
};

/** Names the first sign of a user or password that ends a URL's host unless it is percent-encoded (RFC 3986 §3.2). */
const signToEncode = (text: string): string | undefined => {
  const sign = /^\w+:\/\/.*?([#/?]).*@/.exec(text)?.[1];
  return sign && `${sign} in the user or password written as ${encodeURIComponent(sign)}`;
};

/** Reads one relay URL, which is of use if nothing else was expected. */
const readRelay = (
  text: string,
  ca: string | undefined,
  oauth: OAuth | undefined,
  expect: Expect,
): Relay | undefined => {
  const form = "smtp://user:password@host:587, smtps://user:password@host:465 or ses://region";
  const sign = signToEncode(text);
  if (!URL.canParse(text)) {
    expect(sign ?? form);
    return undefined;
  }
  const url = new URL(text);
  if (url.protocol === "ses:") return readSes(url, expect);
  if (!["smtp:", "smtps:"].includes(url.protocol) || !/^([A-Za-z0-9.-]+|\[[0-9a-f:.]+\])$/.test(url.hostname))
    expect(form);
  if (url.port === "0") expect("a port from 1 to 65535");
  if (!["", "/"].includes(url.pathname) || url.hash !== "")
    expect(sign ?? "nothing after the port but ?parameters");
  const known = ["auth", "tls", "name", "mx", "rate", "connections"];
  const { parameters, ...limits } = readParameters(url, known, expect);
  const auth = (parameters.get("auth") ?? "PLAIN,LOGIN").toUpperCase().split(",");
  const byToken = auth.includes("XOAUTH2");
  if (!auth.every((mechanism) => mechanisms.includes(mechanism)) || new Set(auth).size < auth.length)
    expect("auth= of PLAIN, LOGIN and CRAM-MD5 in the order wanted, or XOAUTH2");
  else if (byToken && auth.length > 1) expect("auth=XOAUTH2 alone: a password is never tried instead");
  const [user, password] = [decoded(url.username), decoded(url.password)];
  if (user === undefined || password === undefined) expect("% in the user or password written as %25");
  if (byToken) {
    if (!user || password) expect("with auth=XOAUTH2 a user and no password");
    if (!oauth) expect("with auth=XOAUTH2 also HARDSTATE_OAUTH");
  } else if (Boolean(user) !== Boolean(password)) expect("user and password, or neither");
  // NUL ends a field of PLAIN (RFC 4616 §2), and a control character one of XOAUTH2; the rest is base64 on the wire.
  if (/\p{Cc}/u.test(user ?? "") || password?.includes("\0"))
    expect("a user without control characters, and a password without NUL");
  const mx = parameters.has("mx");
  if (mx && parameters.get("mx") !== "") expect("mx without a value");
  if (mx && !/[a-z]/i.test(url.hostname.replace(/^\[.*/, ""))) expect("mx with a name, not an address");
  const tls = parameters.get("tls");
  if (tls !== undefined && tls !== "none") expect("tls=none, or no tls parameter");
  if (tls === "none" && url.protocol === "smtps:") expect("smtp:// with tls=none");
  if (tls === "none" && user && (mx || !isLoopback(url.hostname)))
    expect("no tls=none with a login, except to a relay on loopback");
  const name = parameters.get("name");
  if (name !== undefined && !isFullName(name))
    expect("name= a full host name such as monitor.example.com, not localhost");
  const implicit = url.protocol === "smtps:";
  const port = Number(url.port || (implicit ? 465 : 587));
  const proof = byToken && oauth ? { oauth } : { password: new Secret(password ?? "") };
  return {
    kind: "smtp",
    route: `${url.protocol}//${url.hostname}:${port}`,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port,
    mx,
    protection: implicit ? "implicit" : tls === "none" ? "none" : "starttls",
    credentials: user ? { user, ...proof } : undefined,
    auth: auth as Mechanism[],
    name,
    ca,
    ...limits,
  };
};

/** A warning about a relay's password, which shows nothing of it. */
export const passwordDoubt = ({ credentials }: SmtpRelay): string | undefined =>
  credentials && "password" in credentials && /\s/.test(credentials.password.reveal())
    ? "The password contains a blank. Google and others show an app password in groups: leave the blanks between them out."
    : undefined;

const protections = { starttls: "STARTTLS", implicit: "TLS from the start", none: "no TLS" };

/** How a route is configured, in words, without its secrets. */
export const relayWords = (relay: Relay): string => {
  const { connections, rate } = relay;
  const limits = [
    `at most ${connections} connections`,
    ...(rate ? [`${rate.most} mails in ${rate.milliseconds / 1000} s`] : []),
  ];
  if (relay.kind === "ses") {
    const set = relay.configurationSet ? [`configuration set ${relay.configurationSet}`] : [];
    return ["Amazon SES with AWS's own credentials", ...set, ...limits].join(", ");
  }
  const { credentials, auth, protection, mx, name, ca } = relay;
  return [
    credentials ? `login ${credentials.user} by ${auth.join(", ")}` : "no login",
    protections[protection],
    ...(ca ? ["authority of HARDSTATE_RELAY_CA"] : []),
    ...(mx ? ["hosts by MX"] : []),
    ...(name ? [`EHLO ${name}`] : []),
    ...limits,
  ].join("; ");
};

/** Reads all routes. Two on one host and port, say with two logins, are told apart by a number. */
export const readRelays = (
  text: string,
  ca: string | undefined,
  oauth: OAuth | undefined,
  expect: Expect,
): Relay[] => {
  const urls = words(text);
  // The pieces of a password that was pasted with its blanks would each be a fault of their own.
  if (urls[0]?.includes("://") && urls.some((url) => !url.includes("://"))) {
    expect("no blank within a URL: leave those of an app password out, and write any other as %20");
    return [];
  }
  if (urls.length > mostRoutes) expect(`at most ${mostRoutes} routes`);
  const relays: Relay[] = [];
  for (const [index, url] of urls.entries()) {
    const faults: string[] = [];
    const relay = readRelay(url, ca, oauth, (expected) => faults.push(expected));
    for (const expected of faults) expect(urls.length > 1 ? `in route ${index + 1}, ${expected}` : expected);
    if (!relay || faults.length > 0) continue;
    const twins = relays.filter(({ route }) => route.replace(/#\d$/, "") === relay.route).length;
    relays.push(twins === 0 ? relay : { ...relay, route: `${relay.route}#${twins + 1}` });
  }
  return relays;
};

/** Reads the percent-encoded `name=value` words of HARDSTATE_OAUTH. In clear a secret goes to loopback alone. */
export const readOAuth = (text: string, expect: Expect): OAuth | undefined => {
  const known = ["token_url", "client_id", "client_secret", "scope", "refresh_token"];
  const given = new Map<string, string>();
  let sound = true;
  const wrong = (expected: string) => {
    sound = false;
    expect(expected);
  };
  for (const word of words(text)) {
    const [name = "", ...rest] = word.split("=");
    const value = decoded(rest.join("="));
    if (!known.includes(name)) wrong(`name=value words among ${known.join(", ")}`);
    else if (given.has(name)) wrong(`${name}= once`);
    else if (!value) wrong(`${name}= with a percent-encoded value`);
    else given.set(name, value);
  }
  const [tokenUrl = "", clientId = ""] = [given.get("token_url"), given.get("client_id")];
  const url = URL.canParse(tokenUrl) ? new URL(tokenUrl) : undefined;
  if (url?.protocol !== "https:" && !(url?.protocol === "http:" && isLoopback(url.hostname)))
    wrong("token_url= an https URL");
  else if (!isUrlWithoutLogin(tokenUrl))
    wrong("token_url= without user and password: they are client_id= and client_secret=");
  if (!clientId) wrong("client_id=");
  const [clientSecret, refreshToken] = ["client_secret", "refresh_token"]
    .map((name) => given.get(name))
    .map((secret) => (secret ? new Secret(secret) : undefined));
  if (!clientSecret && !refreshToken) wrong("client_secret=, refresh_token=, or both");
  return sound ? { tokenUrl, clientId, clientSecret, scope: given.get("scope"), refreshToken } : undefined;
};

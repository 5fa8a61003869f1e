import {
  type Aliases,
  type AllowList,
  hasMailDomain,
  parseAddress,
  readAliases,
  readAllowList,
} from "./address.ts";
import { cleanLine, type Fault, type Reading } from "./alert.ts";
import { anyName, reversePath, type Sender } from "./compose/mail.ts";
import { isSubjectPattern, subjectPattern } from "./compose/subject.ts";
import { defaultPolicy, type Policy } from "./decide/policy.ts";
import { isUrlWithoutLogin, mostMails, type Relay, readOAuth, readRelays } from "./deliver/relay-url.ts";
import { operatorSite } from "./identity.ts";
import { Secret } from "./secret.ts";
import { durationSeconds, isTimeZone, type Rate, readRate } from "./time.ts";

/** A site and one of its tokens. */
export type SiteToken = { site: string; token: Secret };

/** Everything the settings say, read and checked. */
export type Settings = {
  tokens: readonly SiteToken[];
  /** In order of preference; none where nothing is mailed. */
  relays: readonly Relay[];
  sender: Sender;
  /** The addresses that get mail about the bridge itself. */
  operators: readonly string[];
  allowed: AllowList;
  aliases: Aliases;
  /** How many alerts a site may post; undefined: as many as it likes. */
  rate?: Rate;
  policy: Policy;
  giveUpAfterSeconds: number;
  /** After how long a silence operators are told of a monitor; undefined: never. */
  heartbeatAfterSeconds?: number;
  timeZone: string;
  /** At which minute of the day in this zone operators are told what is still open; undefined: never. */
  stillOpenAtMinute?: number;
  queue: { kind: "sqlite"; path: string } | { kind: "sqs"; url: string };
  ledger: { kind: "sqlite"; path: string } | { kind: "dynamodb"; table: string } | { kind: "durable-object" };
  /** Node alone. */
  state: string;
  host: string;
  port: number;
};

/** Where the bridge, or a part of it, runs; each has a file of its own in runtime/. */
export type Runtime = "node" | "lambda-intake" | "lambda-worker" | "cloudflare";

/** The kinds of queue and ledger in a runtime; the first is the default. */
const stores: Record<Runtime, { queue: readonly string[]; ledger: readonly string[] }> = {
  node: { queue: ["sqlite", "sqs"], ledger: ["sqlite", "dynamodb"] },
  "lambda-intake": { queue: ["sqs"], ledger: ["dynamodb"] },
  "lambda-worker": { queue: ["sqs"], ledger: ["dynamodb"] },
  cloudflare: { queue: ["sqs"], ledger: ["durable-object"] },
};
/** Least privilege: intake never holds relay passwords, and the worker never holds tokens. */
const unneeded: Partial<Record<Runtime, string>> = {
  "lambda-intake": "HARDSTATE_RELAYS",
  "lambda-worker": "HARDSTATE_TOKENS",
};

/** A kind of queue or ledger: how it is written, and how the text after its colon is read. */
type Store = { form: string; read(rest: string): Settings["queue"] | Settings["ledger"] | undefined };
const storeKinds: Record<string, Store> = {
  sqlite: { form: "sqlite:PATH", read: (path) => (path ? { kind: "sqlite", path } : undefined) },
  sqs: {
    form: "sqs:URL of a FIFO queue",
    read: (url) =>
      /^https?:\/\/\S+\.fifo$/.test(url) && isUrlWithoutLogin(url) ? { kind: "sqs", url } : undefined,
  },
  dynamodb: {
    form: "dynamodb:TABLE",
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    read: (table) => (/^[\w.-]{3,255}$/.test(table) ? { kind: "dynamodb", table } : undefined),
  },
  "durable-object": {
    form: "durable-object",
    read: (rest) => (rest === "" ? { kind: "durable-object" } : undefined),
  },
};

/** A setting as docs/settings.md shows it. Defaults are Node's. */
export type Setting = { name: string; secret: boolean; required: boolean; fallback?: string };

/** Every setting there is. Any other HARDSTATE_ name is a fault. */
export const settings: readonly Setting[] = [
  { name: "HARDSTATE_TOKENS", secret: true, required: true },
  { name: "HARDSTATE_RELAYS", secret: true, required: true },
  { name: "HARDSTATE_OAUTH", secret: true, required: false },
  { name: "HARDSTATE_RELAY_CA", secret: false, required: false },
  { name: "HARDSTATE_FROM", secret: false, required: true },
  { name: "HARDSTATE_ENVELOPE_FROM", secret: false, required: false },
  { name: "HARDSTATE_SUBJECT", secret: false, required: false },
  { name: "HARDSTATE_REPLY_TO", secret: false, required: false },
  { name: "HARDSTATE_FOOTER", secret: false, required: false },
  { name: "HARDSTATE_RECIPIENTS", secret: false, required: true },
  { name: "HARDSTATE_ALIASES", secret: false, required: false },
  { name: "HARDSTATE_OPERATOR", secret: false, required: false },
  { name: "HARDSTATE_QUEUE", secret: false, required: false, fallback: "sqlite:STATE/queue.sqlite" },
  { name: "HARDSTATE_LEDGER", secret: false, required: false, fallback: "sqlite:STATE/ledger.sqlite" },
  { name: "HARDSTATE_LINK", secret: false, required: false },
  { name: "HARDSTATE_RENOTIFY_AFTER", secret: false, required: false, fallback: "never" },
  { name: "HARDSTATE_WORSENING", secret: false, required: false, fallback: "send" },
  { name: "HARDSTATE_PAIR_RECOVERY", secret: false, required: false, fallback: "10min" },
  { name: "HARDSTATE_FLAP_HOLD", secret: false, required: false, fallback: "30s" },
  { name: "HARDSTATE_HOST_COVER", secret: false, required: false, fallback: "5min" },
  { name: "HARDSTATE_ORPHAN_RECOVERY", secret: false, required: false, fallback: "suppress" },
  { name: "HARDSTATE_BURST", secret: false, required: false, fallback: "20/min" },
  { name: "HARDSTATE_RATE", secret: false, required: false, fallback: "200000/h" },
  { name: "HARDSTATE_HEARTBEAT_AFTER", secret: false, required: false, fallback: "off" },
  { name: "HARDSTATE_STILL_OPEN_AT", secret: false, required: false, fallback: "off" },
  { name: "HARDSTATE_TIMEZONE", secret: false, required: false, fallback: "UTC" },
  { name: "HARDSTATE_GIVE_UP_AFTER", secret: false, required: false, fallback: "48h" },
  { name: "HARDSTATE_STATE", secret: false, required: false, fallback: ".hardstate" },
  { name: "HARDSTATE_HOST", secret: false, required: false, fallback: "127.0.0.1" },
  { name: "HARDSTATE_PORT", secret: false, required: false, fallback: "8787" },
  { name: "HARDSTATE_LOG", secret: false, required: false, fallback: "auto" },
];

/** Settings of a process that listens by itself. A trial may have them: it brings everything else. */
export const nodeAlone: readonly string[] = [
  "HARDSTATE_STATE",
  "HARDSTATE_HOST",
  "HARDSTATE_PORT",
  "HARDSTATE_LOG",
];
/** Settings that have no use in a runtime. workerd takes no certificate authority of one's own. */
const useless: Record<Runtime, readonly string[]> = {
  node: [],
  "lambda-intake": nodeAlone,
  "lambda-worker": nodeAlone,
  cloudflare: [...nodeAlone, "HARDSTATE_RELAY_CA"],
};

/** The most that HARDSTATE_RATE may say. */
const mostPosted = 1_000_000;

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);

const mailbox = (text: string): { name?: string; address: string } | undefined => {
  const named = /^\s*"?([^"<>]*?)"?\s*<([^<>]+)>\s*$/.exec(text);
  const reading = parseAddress(named?.[2] ?? text.trim());
  if (!reading.ok || /\p{Cc}/u.test(text)) return undefined;
  const name = cleanLine(named?.[1] ?? "").trim();
  return name ? { name, address: reading.value } : { address: reading.value };
};

/** A bare address. A * in its local part stands for the name of each mail. */
const readReversePath = (text: string): string | undefined => {
  const reading = parseAddress(reversePath(text));
  if (!reading.ok) return undefined;
  if (!text.includes("*")) return reading.value;
  return /^[^*]*\*[^*]*@[^*]*$/.test(text) ? reading.value.replace(anyName, "*") : undefined;
};

const readTokens = (text: string, expect: (expected: string) => void): SiteToken[] => {
  // A token without its site reads as a site: no part of a pair may be repeated.
  const tokens = words(text).map((pair, index) => {
    const [site = "", ...rest] = pair.split("=");
    const token = rest.join("=");
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(site)) expect("site=token pairs, a site of letters, digits, . _ -");
    else if (!/^[\x21-\x7e]{24,256}$/.test(token))
      expect(`in pair ${index + 1}, a token of 24-256 ASCII characters after site=`);
    return { site, token };
  });
  for (const pairs of Map.groupBy(tokens, ({ site }) => site).values())
    if (pairs.length > 2) expect("at most two tokens for a site");
  if (new Set(tokens.map(({ token }) => token)).size < tokens.length) expect("no token twice");
  if (tokens.length === 0) expect("at least one site=token pair");
  else if (tokens.every(({ site }) => site === operatorSite))
    expect(`a token of another site too: no monitor can post with a token of the site ${operatorSite}`);
  return tokens.map(({ site, token }) => ({ site, token: new Secret(token) }));
};

/** Reads the texts of one environment, and collects every fault. */
const textReader = (environment: Record<string, string | undefined>, faults: Fault[]) => {
  const given = (name: string): string | undefined => environment[name]?.trim() || undefined;
  const fallbackOf = (name: string): string => settings.find((one) => one.name === name)?.fallback ?? "";
  const expecting = (name: string) => (expected: string) => faults.push({ field: name, expected });
  const take = <T>(
    name: string,
    readIt: (text: string) => T | undefined,
    expected: string,
    fallback = fallbackOf(name),
  ): T => {
    const value = readIt(given(name) ?? fallback);
    if (value === undefined) expecting(name)(expected);
    return value as T;
  };
  /** A value, or undefined for the word that means none. */
  const unless = <T>(
    name: string,
    word: string,
    readIt: (text: string) => T | undefined,
    expected: string,
  ): T | undefined =>
    (given(name) ?? fallbackOf(name)) === word ? undefined : take(name, readIt, `${word}, or ${expected}`);
  return {
    given,
    expecting,
    take,
    unless,
    /** A duration in seconds. */
    time: (name: string, word: string): number | undefined => unless(name, word, durationSeconds, duration),
    rate: (name: string, most: number, unit: string): Rate | undefined => {
      const expected = `1-${most} ${unit} in each s, min, h or d, such as ${fallbackOf(name)}`;
      return unless(name, "off", (text) => readRate(text, most), expected);
    },
    /** Whether `send` was chosen of the two. */
    sends: (name: string, words: readonly [string, string]): boolean => {
      const read = (text: string) => (words.includes(text) ? text : undefined);
      return take(name, read, `${words[0]} or ${words[1]}`) === "send";
    },
  };
};
type TextReader = ReturnType<typeof textReader>;

const duration = "a duration such as 90s, 10min, 48h or 7d";

/** Whether at most so many letters are wrong, missing, too many, or swapped with the next one. */
const isNear = (one: string, other: string, edits: number): boolean => {
  let same = 0;
  while (same < one.length && one[same] === other[same]) same += 1;
  const [left, right] = [one.slice(same), other.slice(same)];
  if (left === right) return true;
  if (edits === 0) return false;
  return (
    isNear(left.slice(1), right.slice(1), edits - 1) ||
    isNear(left.slice(1), right, edits - 1) ||
    isNear(left, right.slice(1), edits - 1) ||
    (left[0] === right[1] && left[1] === right[0] && isNear(left.slice(2), right.slice(2), edits - 1))
  );
};

/** Names that are no settings, or have no use here, and required settings that are missing. */
const nameFaults = (environment: Record<string, string | undefined>, runtime: Runtime): Fault[] => {
  const names = settings.map(({ name }) => name);
  const wrong = Object.keys(environment)
    .filter((name) => name.startsWith("HARDSTATE_") && !name.startsWith("HARDSTATE_SHIM_"))
    .flatMap((name): Fault[] => {
      if (useless[runtime].includes(name))
        return [{ field: name, expected: "to be left out: it has no use on this runtime" }];
      if (names.includes(name)) return [];
      const near =
        names.find((known) => isNear(known, name, 1)) ?? names.find((known) => isNear(known, name, 2));
      const hint = near === undefined ? "" : `; did you mean ${near}?`;
      return [{ field: name, expected: `to be left out: there is no such setting${hint}` }];
    });
  const missing = settings.filter(
    ({ name, required }) => required && !environment[name]?.trim() && unneeded[runtime] !== name,
  );
  return [...wrong, ...missing.map(({ name }) => ({ field: name, expected: "a value: it is required" }))];
};

const readRoutes = ({ given, expecting }: TextReader, runtime: Runtime): Settings["relays"] => {
  const ca = given("HARDSTATE_RELAY_CA");
  if (ca && !/-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.test(ca))
    expecting("HARDSTATE_RELAY_CA")(
      "the text of certificates in PEM; a path belongs into HARDSTATE_RELAY_CA_FILE",
    );
  const oauthWords = given("HARDSTATE_OAUTH");
  const oauth = oauthWords ? readOAuth(oauthWords, expecting("HARDSTATE_OAUTH")) : undefined;
  const routes = given("HARDSTATE_RELAYS");
  const relays = routes ? readRelays(routes, ca, oauth, expecting("HARDSTATE_RELAYS")) : [];
  if (runtime === "cloudflare" && relays.some((relay) => relay.kind === "smtp" && relay.port === 25))
    expecting("HARDSTATE_RELAYS")("no port 25: Cloudflare connects to none");
  return relays;
};

const readLink = ({ given, expecting }: TextReader): Sender["link"] => {
  const [service, host = service, ...more] = words(given("HARDSTATE_LINK") ?? "");
  const isLink = (link: string) =>
    /^https?:\/\/.*\{host\}/.test(link) && isUrlWithoutLogin(link.replaceAll(/\{(host|service)\}/g, "x"));
  const link = service && host ? { service, host } : undefined;
  if (more.length > 0 || (link && !(isLink(link.service) && isLink(link.host))))
    expecting("HARDSTATE_LINK")(
      "an http or https URL with {host} and {service}, without a login, or two: of services, of hosts",
    );
  return link;
};

const twoLines = "one or two lines of at most 200 characters";
const readFooter = (text: string): string[] | undefined => {
  const lines = text.split("\n").map((line) => cleanLine(line).trim());
  return lines.length <= 2 && lines.every((line) => line.length <= 200 && line !== "--") ? lines : undefined;
};

const readSender = (reader: TextReader, zone: string): Sender | undefined => {
  const { given, expecting, take } = reader;
  const address = "an address, or a name and an address: Monitoring <nagios@example.com>";
  const from = given("HARDSTATE_FROM") && take("HARDSTATE_FROM", mailbox, address);
  const starred = "a bare address; one * in it stands for 40 characters: bounces+*@example.com";
  const envelopeFrom =
    given("HARDSTATE_ENVELOPE_FROM") && take("HARDSTATE_ENVELOPE_FROM", readReversePath, starred);
  // Many relays refuse other senders, some only after they accepted the mail.
  const mailDomain = "a domain that other mail servers know: not localhost, and not a name without a dot";
  if (from && !hasMailDomain(from.address)) expecting("HARDSTATE_FROM")(mailDomain);
  if (envelopeFrom && !hasMailDomain(envelopeFrom)) expecting("HARDSTATE_ENVELOPE_FROM")(mailDomain);
  const link = readLink(reader);
  const isSubject = (text: string) => (isSubjectPattern(text) ? text : undefined);
  const subject = given("HARDSTATE_SUBJECT") && take("HARDSTATE_SUBJECT", isSubject, subjectPattern);
  const replyTo = given("HARDSTATE_REPLY_TO") && take("HARDSTATE_REPLY_TO", mailbox, address);
  const footer = given("HARDSTATE_FOOTER") && take("HARDSTATE_FOOTER", readFooter, twoLines);
  if (!from) return undefined;
  return {
    from,
    envelopeFrom: envelopeFrom || from.address,
    link,
    ...(zone !== "UTC" && { timeZone: zone }),
    ...(subject && { subject }),
    ...(replyTo && { replyTo }),
    ...(footer && { footer }),
  };
};

const readContacts = ({ given, expecting }: TextReader) => {
  const listOf = <T>(name: string, read: (list: string[]) => Reading<T>): T | undefined => {
    const reading = read(words(given(name) ?? ""));
    if (reading.ok) return reading.value;
    for (const fault of reading.faults) expecting(name)(`${fault.field}: ${fault.expected}`);
    return undefined;
  };
  const allowed = listOf("HARDSTATE_RECIPIENTS", readAllowList);
  const aliases = listOf("HARDSTATE_ALIASES", readAliases);
  const operators = words(given("HARDSTATE_OPERATOR") ?? "").flatMap((word): readonly string[] => {
    const reading = parseAddress(word);
    const known = aliases?.get(word.toLowerCase());
    if (!reading.ok && !known) expecting("HARDSTATE_OPERATOR")("addresses or aliases, space separated");
    return known ?? (reading.ok ? [reading.value] : []);
  });
  return { allowed, aliases, operators: [...new Set(operators)] };
};

const readPolicy = ({ time, sends, rate }: TextReader): Policy => ({
  ...defaultPolicy,
  renotifyAfterSeconds: time("HARDSTATE_RENOTIFY_AFTER", "never"),
  worsening: sends("HARDSTATE_WORSENING", ["send", "suppress"]),
  pairRecoverySeconds: time("HARDSTATE_PAIR_RECOVERY", "any") ?? 0,
  flapHoldSeconds: time("HARDSTATE_FLAP_HOLD", "off") ?? 0,
  hostCoverSeconds: time("HARDSTATE_HOST_COVER", "off"),
  burst: rate("HARDSTATE_BURST", mostMails, "mails"),
  orphanRecovery: sends("HARDSTATE_ORPHAN_RECOVERY", ["suppress", "send"]),
});

/** A queue or ledger of one of these kinds. */
const readStore = ({ take }: TextReader, name: string, kinds: readonly string[], fallback?: string) =>
  take(
    name,
    (text) => {
      const [, kind = "", rest = ""] = /^([a-z-]+)(?::(.*))?$/s.exec(text) ?? [];
      return kinds.includes(kind) ? storeKinds[kind]?.read(rest) : undefined;
    },
    kinds.map((kind) => storeKinds[kind]?.form).join(", or "),
    fallback,
  );

/** The forms of the log. The runtime reads HARDSTATE_LOG by itself, because it logs before it has settings. */
const logForms: readonly string[] = ["auto", "text", "json"];

/** The minute of a day. */
const minuteOf = (text: string): number | undefined => {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  return hours === undefined ? undefined : Number(hours) * 60 + Number(minutes);
};

/**
 * Reads all settings from `environment`, where a runtime has put them. Every fault is reported at once, by the setting's
 * name and the expectation, never by value. A name that begins with HARDSTATE_ and is not in `settings` is a typing
 * error. The shim's own two names are left alone.
 */
export const readSettings = (
  environment: Record<string, string | undefined>,
  runtime: Runtime = "node",
): Reading<Settings> => {
  const faults = nameFaults(environment, runtime);
  const reader = textReader(environment, faults);
  const { given, expecting, take, unless, time, rate } = reader;
  const tokens = given("HARDSTATE_TOKENS");
  const state = take("HARDSTATE_STATE", String, "a folder");
  const isZone = (text: string) => (isTimeZone(text) ? text : undefined);
  const timeZone = take("HARDSTATE_TIMEZONE", isZone, "a time zone's name, such as Europe/Berlin");
  const portOf = (text: string) =>
    /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined;
  take("HARDSTATE_LOG", (text) => (logForms.includes(text) ? text : undefined), "auto, text or json");
  const { queue, ledger } = stores[runtime];
  const inState = (file: string) => (runtime === "node" ? `sqlite:${state}/${file}` : undefined);
  const value = {
    state,
    tokens: tokens ? readTokens(tokens, expecting("HARDSTATE_TOKENS")) : [],
    relays: readRoutes(reader, runtime),
    sender: readSender(reader, timeZone),
    timeZone,
    ...readContacts(reader),
    policy: readPolicy(reader),
    rate: rate("HARDSTATE_RATE", mostPosted, "alerts"),
    heartbeatAfterSeconds: time("HARDSTATE_HEARTBEAT_AFTER", "off"),
    stillOpenAtMinute: unless("HARDSTATE_STILL_OPEN_AT", "off", minuteOf, "a time of the day such as 07:30"),
    giveUpAfterSeconds: take("HARDSTATE_GIVE_UP_AFTER", durationSeconds, duration),
    queue: readStore(reader, "HARDSTATE_QUEUE", queue, inState("queue.sqlite") ?? queue[0]),
    ledger: readStore(reader, "HARDSTATE_LEDGER", ledger, inState("ledger.sqlite") ?? ledger[0]),
    port: take("HARDSTATE_PORT", portOf, "a port from 0 to 65535"),
    host: take("HARDSTATE_HOST", String, "an address"),
  };
  // Without a fault nothing is missing in it.
  return faults.length > 0 ? { ok: false, faults } : { ok: true, value: value as Settings };
};

/** An error that names these faults of settings. */
export const wrongSettings = (faults: readonly Fault[]): Error =>
  new Error(
    `these settings are wrong: ${faults.map(({ field, expected }) => `${field} needs ${expected}`).join("; ")}`,
  );

import { randomUUID } from "node:crypto";
import { Resolver } from "node:dns/promises";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { parseAddress } from "../../functions/address.ts";
import { type Fault, readAlert } from "../../functions/alert.ts";
import { compose, reversePath } from "../../functions/compose/mail.ts";
import { render } from "../../functions/compose/mime.ts";
import { readSettings, type Settings } from "../../functions/config.ts";
import { emptyEntry } from "../../functions/decide/entry.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import type { Mail } from "../../functions/deliver/mail.ts";
import { printable } from "../../functions/deliver/printable.ts";
import type { Relay } from "../../functions/deliver/relay-url.ts";
import type { Line } from "../../functions/deliver/session.ts";
import { openSession } from "../../functions/deliver/smtp-session.ts";
import { complain, say } from "../../functions/report/log.ts";
import { withFiles } from "../../functions/runtime/settings.ts";
import { sessionsOf, transportOf } from "../../functions/runtime/transports.ts";
import {
  type Command,
  fileText,
  NotFoundOut,
  paragraph,
  type Status,
  type Values,
  WrongUse,
  wordOf,
} from "./command.ts";
import { readAuthenticationResults, verdictsOf } from "./domain/authentication-results.ts";
import { type Dns, dnsOf } from "./domain/dns.ts";
import { checkDomains, sendingHost } from "./domain/domain.ts";
import { type DomainCheck, examine, type Finding, type Seen, type Stage, stages } from "./stages.ts";

const clock = () => Date.now();

/** The settings that matter to a relay which is asked about alone. */
const ofOneRelay = [
  ...["HARDSTATE_RELAY_CA", "HARDSTATE_OAUTH", "HARDSTATE_FROM", "HARDSTATE_ENVELOPE_FROM"],
  ...["HARDSTATE_RECIPIENTS", "HARDSTATE_OPERATOR", "HARDSTATE_ALIASES", "HARDSTATE_STATE"],
];

type Asked = { settings: Settings; from?: string } | { faults: readonly Fault[] };

/** The settings, or those that a URL and the environment make. */
const settingsFor = (url: string | undefined): Asked => {
  const { environment, faults } = withFiles(process.env);
  if (url === undefined) {
    const reading = readSettings(environment);
    if (faults.length > 0 || !reading.ok)
      return { faults: [...faults, ...(reading.ok ? [] : reading.faults)] };
    return { settings: reading.value, from: reversePath(reading.value.sender.envelopeFrom) };
  }
  const given = Object.fromEntries(ofOneRelay.map((name) => [name, environment[name]]));
  const user = URL.canParse(url) ? new URL(url).username.replace("%40", "@") : "";
  const login = parseAddress(user).ok ? user : undefined;
  const from = given.HARDSTATE_FROM ?? given.HARDSTATE_ENVELOPE_FROM ?? login;
  const reading = readSettings({
    ...given,
    HARDSTATE_TOKENS: `doctor=${"-".repeat(24)}`,
    HARDSTATE_RELAYS: url,
    HARDSTATE_FROM: from ?? "nobody@example.org",
    HARDSTATE_RECIPIENTS: given.HARDSTATE_RECIPIENTS ?? "example.org",
  });
  const about = faults.filter(({ field }) => ofOneRelay.includes(field.replace(/_FILE$/, "")));
  if (about.length > 0 || !reading.ok) return { faults: [...about, ...(reading.ok ? [] : reading.faults)] };
  const { value } = reading;
  return {
    settings: given.HARDSTATE_RECIPIENTS ? value : { ...value, allowed: () => true },
    from: from && reversePath(value.sender.envelopeFrom),
  };
};

/** A mail as an alert makes it, that says what it is for. */
const testMail = (to: string, route: string, { sender }: Settings): Mail => {
  const now = clock();
  const alert = readAlert({
    v: 1,
    source: "other",
    monitor: { id: "doctor" },
    type: "CUSTOM",
    object: { host: hostname() },
    state: "UP",
    output: `A test mail of hardstate doctor, by ${route}`,
    author: "hardstate doctor",
    time: Math.floor(now / 1000),
  });
  if (!alert.ok) throw new Error(`the test mail is no alert: ${JSON.stringify(alert.faults)}`);
  const id = `doctor-${randomUUID()}`;
  const queued = { v: 1 as const, id, site: "doctor", contact: to, receivedAt: now, alert: alert.value };
  const verdict = decide({ entry: emptyEntry }, queued, defaultPolicy, now);
  if (verdict.action !== "send") throw new Error("a custom notification is mailed");
  return render(compose(queued, verdict, now, sender));
};

type Memory = Record<string, Seen>;

const memoryOf = (state: string): Memory => {
  try {
    return (JSON.parse(readFileSync(join(state, "doctor.json"), "utf8")) as { routes?: Memory }).routes ?? {};
  } catch {
    return {};
  }
};

const remember = (state: string, route: string, seen: Seen) => {
  const path = join(state, "doctor.json");
  try {
    mkdirSync(state, { recursive: true, mode: 0o700 });
    const routes = { ...memoryOf(state), [route]: seen };
    writeFileSync(`${path}.${process.pid}`, `${JSON.stringify({ routes })}\n`, { mode: 0o600 });
    renameSync(`${path}.${process.pid}`, path);
  } catch (error) {
    complain(`The findings cannot be kept for the next time (${(error as Error).message}).`);
  }
};

/** Asks the name server of --dns, or those of this machine. */
const nameServers = (given: string | undefined): Dns => {
  const resolver = new Resolver({ timeout: 3_000, tries: 2 });
  try {
    if (given !== undefined) resolver.setServers([given]);
  } catch {
    throw new WrongUse("--dns needs the address of a name server, such as 192.0.2.53");
  }
  return dnsOf(resolver);
};

const domainOf = (address: string): string => address.slice(address.lastIndexOf("@") + 1);

/** The checks by DNS of the domains of From and envelope sender when this relay sends. */
const domainChecks = async (
  relay: Relay,
  { from, envelopeFrom }: Settings["sender"],
  selectors: readonly string[],
  dns: Dns,
): Promise<DomainCheck[]> => {
  const domains = { from: domainOf(from.address), envelope: domainOf(envelopeFrom) };
  return checkDomains({ ...domains, relay: await sendingHost(relay, dns), selectors }, dns);
};

const head = (result: string, stage: string) => `  ${result.padEnd(8)} ${stage.padEnd(13)}`;

type Told = Pick<Finding, "detail" | "advice" | "warnings"> & { result: string };

const lines = (stage: string, { result, detail, advice, warnings = [] }: Told): string[] => [
  paragraph(head(result === "fail" ? "FAIL" : result, stage), detail),
  ...(advice ? [paragraph(head("", ""), `→ ${advice}`)] : []),
  ...warnings.map((warning) => paragraph(head("warning", stage), warning)),
];

const findingWords = ({ stage, checks, ...told }: Finding): string[] => [
  ...lines(stage, told),
  ...(checks ?? []).flatMap((check) =>
    lines(`  ${check.check}`, { ...check, detail: printable(check.detail) }),
  ),
];

const transcriptWords = (lines: readonly Line[]): string[] =>
  lines.flatMap(({ from, text }, index) => {
    const line = `  ${from === "client" ? "C" : "S"}: ${text}`;
    const begins = from === "relay" && text.startsWith("220") && lines[index - 1]?.text !== "STARTTLS";
    return begins ? ["", line] : [line];
  });

const statusOf = (failed: Stage | null): Status => {
  if (failed === null) return 0;
  if (failed === "config") return 2;
  return failed === "dns" || failed === "connect" ? 3 : 1;
};

const verdictOf = (failed: Stage | null) => (failed === null ? "pass" : "fail");

const faultsReport = (faults: readonly Fault[], json: boolean): Status => {
  const needs = faults.map(({ field, expected }) => `${field} needs ${expected}`);
  const found: Finding[] = stages.map((stage) =>
    stage === "config"
      ? { stage, result: "fail", detail: needs.join("; ") }
      : { stage, result: "skipped", detail: "not reached: config failed" },
  );
  if (json) say(JSON.stringify({ verdict: "fail", failed: "config", stages: found }));
  else {
    say(`${head("FAIL", "config")}these settings are wrong:`);
    for (const want of needs) say(paragraph(head("", ""), want));
    say("\nWithout settings, give a relay's URL.");
  }
  return 2;
};

/** Tells what the receiver of a mail found, from the mail's source in a file, or on standard input with "-". */
const tellResults = (file: string, json: boolean): Status => {
  if (file === "-" && process.stdin.isTTY)
    complain("Paste the source of the received mail, then press Ctrl-D.");
  const read = readAuthenticationResults(fileText(file === "-" ? "/dev/stdin" : file, "The mail's source"));
  if (!read)
    throw new NotFoundOut(
      "there is no header Authentication-Results. Save the whole source of the received mail (in Gmail: Show original). If it has none, use another provider.",
    );
  const checks = verdictsOf(read);
  const { result } = checks[2];
  if (json)
    say(JSON.stringify({ verdict: result === "fail" ? "fail" : "pass", server: read.server, checks }));
  else {
    say(printable(`What ${read.server || "the receiver"} found in the mail`));
    for (const check of checks)
      for (const line of lines(check.check, { ...check, detail: printable(check.detail) })) say(line);
    const good = result === "pass" ? "Good: receivers can tell that the mail is ours." : "";
    const open = "Not every receiver may accept such mail.";
    say(`\n${result === "fail" ? "Bad: receivers may refuse such mail or treat it as spam." : good || open}`);
  }
  return result === "fail" ? 1 : 0;
};

const howToSee =
  "A received mail shows what is unknown here. Send one with --to to your address at another provider, save its source there, and run hardstate doctor --results FILE.";

type Report = {
  verdict: "pass" | "fail";
  failed: Stage | null;
  stages: Finding[];
  route: string;
  transcript?: Line[];
};

/** Tells findings as they come, but those in a row that were skipped for one reason as one. */
const teller = () => {
  let held: Finding[] = [];
  const flush = () => {
    const [first, second] = held;
    if (first && second)
      say(paragraph("  skipped  ", `${held.map(({ stage }) => stage).join(", ")}: ${first.detail}`));
    else if (first) for (const line of findingWords(first)) say(line);
    held = [];
  };
  const tell = (finding: Finding) => {
    const { result, detail, warnings, checks } = finding;
    const short = result === "skipped" && !warnings && !checks;
    if (!short || held[0]?.detail !== detail) flush();
    if (short) held.push(finding);
    else for (const line of findingWords(finding)) say(line);
  };
  return { tell, flush };
};

const waitSeconds = 10;

/** Tells on the terminal every ten seconds that the relay has not replied yet. */
const patience = () => {
  let since = clock();
  const timer = setInterval(() => {
    const seconds = Math.round((clock() - since) / 1000);
    if (seconds >= waitSeconds) complain(`  waiting  ${seconds} s for the relay's next reply`);
  }, waitSeconds * 1000);
  return {
    heard: () => {
      since = clock();
    },
    end: () => clearInterval(timer),
  };
};

/** Examines one route and, unless it is for a machine, tells each stage as it is decided. */
const report = async (
  relay: Settings["relays"][number],
  { settings, from }: { settings: Settings; from?: string },
  values: Values,
  { selectors, dns }: { selectors: readonly string[]; dns: Dns },
): Promise<Report> => {
  const { state, sender } = settings;
  const transcript: Line[] = [];
  const to = wordOf(values.to);
  const { tell, flush } = teller();
  if (!values.json) say(relay.route);
  const question = {
    from,
    to: settings.operators[0] ?? to,
    outside: wordOf(values.outside),
    mail: to === undefined ? undefined : testMail(to, relay.route, settings),
    before: memoryOf(state)[relay.route],
  };
  const waiting = values.json ? undefined : patience();
  const { failed, seen, ...found } = await examine(relay, question, {
    open: (smtp, signal, observer) => {
      const [named, parts] = sessionsOf(smtp, sender, clock);
      return openSession(named, parts, signal, observer);
    },
    transport: (route, observer) => transportOf(route, sender, clock, observer),
    domain: from === undefined ? undefined : () => domainChecks(relay, sender, selectors, dns),
    clock,
    timeOf: Date.parse,
    tell: values.json ? () => undefined : tell,
    heard: ({ from: side, text }) => {
      waiting?.heard();
      transcript.push({ from: side, text: printable(text) });
    },
  }).finally(() => waiting?.end());
  if (seen) remember(state, relay.route, seen);
  if (!values.json) {
    flush();
    if (values.transcript) for (const line of transcriptWords(transcript)) say(line);
    const far = to === undefined ? "as far as can be told without a mail" : "a mail was accepted";
    say(failed === null ? `\nGood, ${far}.` : `\nBad: ${failed} failed.`);
  }
  return {
    verdict: verdictOf(failed),
    failed,
    stages: found.stages,
    route: relay.route,
    ...(values.transcript && { transcript }),
  };
};

/** `hardstate doctor` */
export const doctor: Command = {
  summary: "tells whether mail gets through to the relay, and what to do if not",
  usage: `usage: hardstate doctor [URL | --url-file FILE] [--to ADDRESS]
                        [--outside ADDRESS] [--selector NAMES] [--dns ADDRESS]
                        [--transcript] [--json]
       hardstate doctor --results FILE [--json]

Talks to each relay of the settings, as the bridge would, and tells how far it
gets: config dns connect banner ehlo tls auth-offered open-relay token auth
sender recipient data accepted domain. Each stage passes, fails with what to do
about it, or is skipped. Without --to nothing is mailed: after the login MAIL
and RCPT name our sender and an operator (HARDSTATE_OPERATOR), and RSET ends it.
The stage domain asks DNS about the domains of From and envelope sender: mx,
spf, whether that covers the relay, alignment, dkim and dmarc.

  URL                that relay alone, such as smtp://relay.example.com:587.
                     Of the settings HARDSTATE_FROM, _ENVELOPE_FROM, _OAUTH,
                     _OPERATOR, _ALIASES, _RELAY_CA, _RECIPIENTS and _STATE
                     count, if they are there
  --url-file FILE    the same, with the URL in a file: a password on a command
                     line can be seen by others
  --to ADDRESS       sends one test mail by each route, made as an alert's is
  --outside ADDRESS  of the open-relay test, which says MAIL and RCPT without a
                     login, and never DATA; else nobody@example.net
  --selector NAMES   of the relay's DKIM keys, with commas between them
  --dns ADDRESS      the name server to ask about the domains, where this
                     machine's own gives other answers than the world gets
  --results FILE     reads the source of a received mail and tells by its header
                     Authentication-Results whether spf, dkim and dmarc passed;
                     no relay is asked. With - it reads standard input
  --transcript       also all that was said, with credentials redacted
  --json             the same as one JSON object

What was seen of a relay is kept in STATE/doctor.json: if STARTTLS is gone the
next time, you are told.

exit status: 0 all is well  1 a stage after connect failed  2 wrong use, or
             config failed  3 dns or connect failed: nothing is known of it`,
  options: {
    "url-file": { type: "string" },
    to: { type: "string" },
    outside: { type: "string" },
    selector: { type: "string" },
    dns: { type: "string" },
    results: { type: "string" },
    transcript: { type: "boolean" },
  },
  run: async ([word, ...more], values) => {
    const file = wordOf(values["url-file"]);
    const results = wordOf(values.results);
    if (results !== undefined) {
      if (word !== undefined || file !== undefined)
        throw new WrongUse("--results reads a received mail, and asks no relay");
      return tellResults(results, values.json === true);
    }
    if (more.length > 0 || (word !== undefined && file !== undefined))
      throw new WrongUse("doctor takes at most one URL");
    const url = file === undefined ? word : fileText(file, "The file");
    if (url !== undefined && url.split(/\s+/).length !== 1) throw new WrongUse("doctor takes one URL");
    if (word && URL.canParse(word) && new URL(word).password)
      complain(
        "warning: others can see a password on a command line; --url-file FILE reads the URL from a file.\n",
      );
    const selectors = wordOf(values.selector)?.split(",") ?? [];
    if (!selectors.every((name) => /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i.test(name)))
      throw new WrongUse("--selector needs names such as s1, with commas between them");
    const dns = nameServers(wordOf(values.dns));
    const asked = settingsFor(url);
    if ("faults" in asked) return faultsReport(asked.faults, values.json === true);
    for (const name of ["to", "outside"]) {
      const address = wordOf(values[name]);
      if (address !== undefined && !parseAddress(address).ok)
        throw new WrongUse(`--${name} needs an address`);
      if (name === "to" && address !== undefined && !asked.settings.allowed(address))
        throw new WrongUse(`HARDSTATE_RECIPIENTS does not allow ${address}`);
    }
    const routes: Report[] = [];
    for (const relay of asked.settings.relays) {
      if (routes.length > 0 && !values.json) say("");
      routes.push(await report(relay, asked, values, { selectors, dns }));
    }
    const checks = routes.flatMap((route) => route.stages.flatMap((stage) => stage.checks ?? []));
    if (!values.json && checks.some(({ result }) => result === "unknown"))
      say(`\n${paragraph("", howToSee)}`);
    const statuses = routes.map(({ failed }) => statusOf(failed));
    const [only, second] = routes;
    const failed = routes.find((route) => route.failed)?.failed ?? null;
    if (values.json) say(JSON.stringify(second ? { verdict: verdictOf(failed), failed, routes } : only));
    return statuses.find((status) => status === 1) ?? statuses.find((status) => status !== 0) ?? 0;
  },
};

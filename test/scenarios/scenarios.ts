import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parse } from "yaml";
import type { RenderedMail } from "../../functions/compose/mime.ts";
import { own } from "../../functions/decide/monitor-view.ts";
import { defaultPolicy, type Policy } from "../../functions/decide/policy.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import type { Report } from "../../functions/report/event.ts";
import { complain, say } from "../../functions/report/log.ts";
import { memoryLedger, rehearse } from "../../scripts/hardstate/rehearsal.ts";

/** One post, or what happens to the bridge: the format is explained at the head of test/scenarios/scenarios.yaml. */
export type Event = {
  t: number;
  ctl?: "smtp_down" | "smtp_up" | "restart_bridge" | "ledger_lost";
  mon: string;
  obj: string;
  type: string;
  state: string;
  st: string;
  esc: number;
  vol: number;
  env: boolean;
  to: string | string[];
  num?: number;
  pid?: string;
  lpid?: string;
  nid?: number | string;
  ep?: number;
  mt?: number;
  sent?: number;
  ps?: number;
  cluster?: boolean;
  lsc?: number;
  /** The plugin's output; a text of its own if absent. */
  out?: string;
  author?: string;
  comment?: string;
};

/** The policies of a file or a scenario, as scenarios name them. */
type Policies = {
  renotify?: "never" | "every" | { interval: number };
  worsening?: "send" | "suppress";
  orphan_recovery?: "suppress" | "send";
  fanout_wait?: number;
  pair_recovery?: "all" | "any";
  pair_recovery_timeout?: number;
  pair_late?: number;
  flap_hold?: number;
  flap_settle?: number;
  host_cover?: boolean;
  cover_settle?: number;
  restart_grace?: number;
  aux_window?: number;
  degraded_hold?: number;
};

/** A scenario and the mails that it must make; the format is explained at the head of test/scenarios/scenarios.yaml. */
export type Scenario = {
  id: string;
  title: string;
  policy?: Policies;
  cluster?: boolean;
  events: Partial<Event>[];
  until?: number;
  mails: Record<string, string[]>;
};

export type ScenarioFile = {
  groups: Record<string, string[]>;
  policy?: Policies;
  event_defaults: Partial<Event>;
  scenarios: Scenario[];
};

/** A mail that a scenario made, as its reader has it. */
export type PlayedMail = {
  /** The scenario's second at which the relay took it. */
  t: number;
  to: string;
  kind: string;
  state: string;
  object: string;
  /** The row of the decision table that sent it. */
  row: string;
  /** The conversation that it belongs to. */
  thread: string;
  /** The first line of the plugin's output in its text; null if it has none. */
  output: string | null;
};

const policyOf = (file: Policies, scenario: Policies): Policy => {
  const given = { ...file, ...scenario };
  const { renotify = "never" } = given;
  const number = (name: keyof Policies, fallback: number): number => Number(given[name] ?? fallback);
  const p = defaultPolicy;
  return {
    renotifyAfterSeconds: renotify === "never" ? undefined : renotify === "every" ? 0 : renotify.interval,
    worsening: given.worsening !== "suppress",
    restartGraceSeconds: number("restart_grace", p.restartGraceSeconds),
    pairLateSeconds: number("pair_late", p.pairLateSeconds),
    hostCoverSeconds:
      given.host_cover === false ? undefined : number("cover_settle", p.hostCoverSeconds ?? 300),
    pairRecoverySeconds:
      given.pair_recovery === "any" ? 0 : number("pair_recovery_timeout", p.pairRecoverySeconds),
    orphanRecovery: given.orphan_recovery === "send",
    fanoutSeconds: number("fanout_wait", p.fanoutSeconds),
    flapHoldSeconds: number("flap_hold", p.flapHoldSeconds),
    announcementWindowSeconds: number("aux_window", p.announcementWindowSeconds),
    flapSettleSeconds: number("flap_settle", p.flapSettleSeconds),
    noteBurst: p.noteBurst,
    degradedHoldSeconds: number("degraded_hold", p.degradedHoldSeconds),
  };
};

const kinds: Record<string, string> = { ACKNOWLEDGEMENT: "ACK" };
const kindOf = (title: string): string => kinds[title] ?? title.replace(/^(DOWNTIME|FLAPPING).*/, "$1");

/** The first line of the plugin's output: it stands alone between the first line of a mail's text and the reason. */
const outputOf = (text: string): string | null => {
  const [, output = ""] = text.split("\n").filter(Boolean);
  return /^(Why this mail|Comment)\b/.test(output) ? null : output;
};

/** The text of a mail for its reader, taken at a second of the scenario. */
export const playedMail = ({ to, subject, headers, text }: RenderedMail, t: number): PlayedMail => {
  const [, title = "", state = "", object = ""] = /^\[(\S+) (\S+)\] (.*)$/.exec(subject) ?? [];
  return {
    t: Number(t.toFixed(3)),
    to: to.split("@")[0] ?? "",
    kind: kindOf(title),
    state,
    object,
    row: headers["X-Hardstate-Reason"]?.split(" ")[0] ?? "",
    thread: headers["X-Hardstate-Episode"] ?? "",
    output: outputOf(text),
  };
};

/** A mail as scenarios write it: KIND/STATE@seconds, with the object where a scenario has several. */
const written = ({ kind, state, t, object }: PlayedMail, withObject: boolean): string =>
  `${kind}/${state}@${t}${withObject ? ` ${object}` : ""}`;

/** The monitor that a site's ledger sees, and the site: a redundant set shares one, any other monitor has its own. */
const placeOf = (groups: ScenarioFile["groups"], mon: string): string =>
  Object.entries(groups).find(([, members]) => members.includes(mon))?.[0] ?? mon;

/** An event as its monitor posts it. */
export const postOf = (event: Event, monitor: string) => {
  const [host, service] = event.obj.split("/");
  // Icinga has no notification id: its number and last change name the event (docs/nagios.md §4).
  const icinga = event.lsc === undefined ? undefined : `${event.lsc}-${event.num ?? 0}-${event.state}`;
  return {
    v: 1,
    source: "nagios",
    monitor: { id: monitor, start: event.ps ?? (event.mon === "B" ? 2000 : 1000) },
    type: event.type,
    object: { host, service: service ?? null },
    state: event.state,
    state_type: event.st,
    problem: { id: event.pid, last_id: event.lpid, epoch: event.ep },
    notification: {
      id: event.nid === undefined ? icinga : String(event.nid),
      number: event.num,
      escalated: event.esc === 1,
      volatile: event.vol === 1,
    },
    output: event.env ? (event.out ?? `${event.state} - as told`) : undefined,
    author: event.author,
    comment: event.comment,
    degraded: event.env ? undefined : true,
    time: event.mt ?? Math.floor(100_000 + event.t),
    recipients: [event.to].flat().map((name) => ({ email: `${name}@example.com` })),
  };
};

/** Second 0 of every scenario. */
const began = 100_000_000;

const eventsOf = (scenario: Scenario, file: ScenarioFile): Event[] =>
  scenario.events.map((event) => ({ ...file.event_defaults, ...event }) as Event);

/**
 * Plays scenarios one after the other against intake, ledger, pipeline and sweep as they are, on a virtual clock, with
 * a relay that takes everything unless it is down. Resolves to the mails, in the order in which the relay took them;
 * `report` gets the events of the bridge.
 */
export const player = (report?: Report) => {
  const memory = memoryLedger();
  return async (scenario: Scenario, file: ScenarioFile): Promise<PlayedMail[]> => {
    const events = eventsOf(scenario, file);
    // Everything that the bridge keeps when it ends is on disk.
    const ends = events.some(({ ctl }) => ctl === "restart_bridge" || ctl === "ledger_lost");
    const folder = ends ? mkdtempSync(join(tmpdir(), "hardstate-scenario-")) : undefined;
    const ledgerFile = folder && join(folder, "ledger.sqlite");
    let relayIsUp = true;
    const mails: PlayedMail[] = [];
    const stage = rehearse({
      policy: policyOf(file.policy ?? {}, scenario.policy ?? {}),
      begin: began,
      report,
      openLedger: ledgerFile ? () => sqliteLedger(ledgerFile) : memory,
      relay: (mail, now) => {
        if (!relayIsUp) return "deferred";
        mails.push(playedMail(mail, (now - began) / 1000));
        return "accepted";
      },
    });
    const control: Record<NonNullable<Event["ctl"]>, () => void> = {
      smtp_down: () => {
        relayIsUp = false;
      },
      // A scenario tells of no retry times: what waits for the relay is tried when it is back.
      smtp_up: () => {
        relayIsUp = true;
        stage.hasten();
      },
      restart_bridge: () => stage.reopen(),
      ledger_lost: () =>
        stage.reopen(() => {
          for (const suffix of ["", "-wal", "-shm"]) rmSync(ledgerFile + suffix, { force: true });
        }),
    };
    try {
      for (const event of events) {
        await stage.passTo(began + Math.round(event.t * 1000));
        if (event.ctl) control[event.ctl]();
        else {
          const site = placeOf(file.groups, event.mon);
          const zone = (scenario.cluster ?? event.cluster) && site !== event.mon;
          const sentAt = event.sent === undefined ? undefined : event.sent * 1000;
          await stage.post(site, postOf(event, zone ? site : event.mon), sentAt);
        }
      }
      await stage.passTo(began + (scenario.until ?? (events.at(-1)?.t ?? 0) + 2000) * 1000);
      return mails;
    } finally {
      stage.close();
      if (folder) rmSync(folder, { recursive: true });
    }
  };
};

/** The mails of each recipient as a scenario writes them, in order. */
export const mailsOf = (
  played: readonly PlayedMail[],
  scenario: Scenario,
  file: ScenarioFile,
): Record<string, string[]> => {
  const events = eventsOf(scenario, file).filter(({ ctl }) => !ctl);
  const withObject = new Set(events.map(({ obj }) => obj)).size > 1;
  // `constructor` is a recipient like any other.
  const mails: Record<string, string[]> = Object.create(null);
  for (const mail of played) mails[mail.to] = [...(mails[mail.to] ?? []), written(mail, withObject)];
  return mails;
};

/** The missing and surplus mails of a scenario, a line for each recipient; none if they are as expected. */
export const differences = (expected: Record<string, string[]>, got: Record<string, string[]>): string[] =>
  [...new Set([...Object.keys(expected), ...Object.keys(got)])].sort().flatMap((name) => {
    const [wanted, had] = [(own(expected, name) ?? []).join(", "), (own(got, name) ?? []).join(", ")];
    return wanted === had
      ? []
      : [
          `${name}: expected ${wanted || "nothing"}`,
          `${" ".repeat(name.length)}       got ${had || "nothing"}`,
        ];
  });

export const readScenarios = (path: string): ScenarioFile =>
  parse(readFileSync(path, "utf8")) as ScenarioFile;

const usage = `usage: npm run scenarios -- [--json] FILE...

Plays the scenarios of YAML files; test/scenarios/scenarios.yaml is one and explains them.
--json prints what each scenario made, for other judges: an array of scenarios, each
with its mails (t, to, kind, state, object, row, thread, output). With npm, add
-s, so that nothing else is printed.`;

const main = async (words: readonly string[]): Promise<number> => {
  const json = words.includes("--json");
  const paths = words.filter((word) => word !== "--json");
  const strange = paths.find((path) => path.startsWith("-"));
  if (paths.length === 0 || strange !== undefined) {
    complain(strange === undefined ? usage : `There is no option ${strange}.\n${usage}`);
    return 2;
  }
  const play = player();
  const scenarios: unknown[] = [];
  let failed = 0;
  let passed = 0;
  for (const path of paths) {
    let file: ScenarioFile;
    try {
      file = readScenarios(path);
    } catch (error) {
      complain(`${path}: ${(error as Error).message}`);
      return 3;
    }
    for (const scenario of file.scenarios) {
      const played = await play(scenario, file);
      const wrong = differences(scenario.mails, mailsOf(played, scenario, file));
      if (wrong.length === 0) passed += 1;
      else failed += 1;
      const { id, title } = scenario;
      scenarios.push({ file: path, id, title, pass: wrong.length === 0, mails: played });
      if (json) continue;
      say(`${wrong.length === 0 ? "pass" : "FAIL"}  ${id}  ${title}`);
      for (const line of wrong) say(`        ${line}`);
    }
  }
  say(json ? JSON.stringify(scenarios, undefined, 2) : `\n${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
  process.exitCode = await main(process.argv.slice(2));

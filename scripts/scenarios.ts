import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parse } from "yaml";
import type { Mail } from "../functions/compose/mail.ts";
import { defaultPolicy, type Policy } from "../functions/ledger/policy.ts";
import { sqliteLedger } from "../functions/ledger/sqlite.ts";
import { complain, say } from "../functions/telemetry.ts";
import { rehearse } from "./rehearsal.ts";

type Event = {
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
  nid?: number;
  ep?: number;
  mt?: number;
  ps?: number;
  cluster?: boolean;
  lsc?: number;
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

/** A story and the mails that it must make; the format is explained at the head of test/scenarios.yaml. */
export type Scenario = {
  id: string;
  title: string;
  policy?: Policies;
  cluster?: boolean;
  events: Event[];
  until?: number;
  mails: Record<string, string[]>;
};

type File = {
  groups: Record<string, string[]>;
  policy?: Policies;
  event_defaults: Partial<Event>;
  scenarios: Scenario[];
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
    auxiliaryWindowSeconds: number("aux_window", p.auxiliaryWindowSeconds),
    flapSettleSeconds: number("flap_settle", p.flapSettleSeconds),
    degradedHoldSeconds: number("degraded_hold", p.degradedHoldSeconds),
  };
};

const kinds: Record<string, string> = { ACKNOWLEDGEMENT: "ACK" };
const kindOf = (title: string): string => kinds[title] ?? title.replace(/^(DOWNTIME|FLAPPING).*/, "$1");

/** A mail as scenarios write it: KIND/STATE@seconds, with the object where a scenario has several. */
const written = ({ subject }: Mail, seconds: number, withObject: boolean): string => {
  const [, title = "", state = "", object = ""] = /^(\S+) (\S+): (.*)$/.exec(subject) ?? [];
  return `${kindOf(title)}/${state}@${Number(seconds.toFixed(3))}${withObject ? ` ${object}` : ""}`;
};

/** The monitor that a site's ledger sees, and the site: a redundant set shares one, any other monitor has its own. */
const placeOf = (groups: File["groups"], mon: string): string =>
  Object.entries(groups).find(([, members]) => members.includes(mon))?.[0] ?? mon;

const postOf = (event: Event, monitor: string) => {
  const [host, service] = event.obj.split("/");
  // Icinga has no notification id: its number and last change name the event (nagios.md §4).
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
    output: event.env ? `${event.state} - as told` : undefined,
    degraded: event.env ? undefined : true,
    time: event.mt ?? Math.floor(100_000 + event.t),
    recipients: [event.to].flat().map((name) => ({ email: `${name}@example.com` })),
  };
};

/** Second 0 of every story. */
const began = 100_000_000;

/**
 * Plays one scenario against intake, ledger, pipeline and sweep as they are, on a virtual clock, with a relay that
 * takes everything unless it is down. Resolves to the mails of each recipient, in order.
 */
export const playScenario = async (scenario: Scenario, file: File): Promise<Record<string, string[]>> => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-scenario-"));
  const ledgerFile = join(folder, "ledger.sqlite");
  const events = scenario.events.map((event): Event => ({ ...file.event_defaults, ...event }) as Event);
  const withObject = new Set(events.filter(({ ctl }) => !ctl).map(({ obj }) => obj)).size > 1;
  let relayIsUp = true;
  const mails: Record<string, string[]> = {};
  const stage = rehearse({
    policy: policyOf(file.policy ?? {}, scenario.policy ?? {}),
    begin: began,
    openLedger: () => sqliteLedger(ledgerFile),
    relay: (mail, now) => {
      if (!relayIsUp) return "deferred";
      const name = mail.to.split("@")[0] ?? "";
      mails[name] = [...(mails[name] ?? []), written(mail, (now - began) / 1000, withObject)];
      return "accepted";
    },
  });
  const control: Record<NonNullable<Event["ctl"]>, () => void> = {
    smtp_down: () => {
      relayIsUp = false;
    },
    // A story tells of no retry times: what waits for the relay is tried when it is back.
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
        await stage.post(site, postOf(event, zone ? site : event.mon));
      }
    }
    await stage.passTo(began + (scenario.until ?? (events.at(-1)?.t ?? 0) + 2000) * 1000);
    return mails;
  } finally {
    stage.close();
    rmSync(folder, { recursive: true });
  }
};

/** What a scenario's mails lack or have too many of, a line for each recipient; none if they are as expected. */
export const differences = (expected: Record<string, string[]>, got: Record<string, string[]>): string[] =>
  [...new Set([...Object.keys(expected), ...Object.keys(got)])].sort().flatMap((name) => {
    const [wanted, had] = [(expected[name] ?? []).join(", "), (got[name] ?? []).join(", ")];
    return wanted === had
      ? []
      : [
          `${name}: expected ${wanted || "nothing"}`,
          `${" ".repeat(name.length)}       got ${had || "nothing"}`,
        ];
  });

export const readScenarios = (path: string): File => parse(readFileSync(path, "utf8")) as File;

const main = async (paths: readonly string[]): Promise<number> => {
  if (paths.length === 0) {
    complain(
      "usage: npm run scenarios -- FILE...   plays the scenarios of YAML files; test/scenarios.yaml is one",
    );
    return 2;
  }
  let failed = 0;
  let passed = 0;
  for (const path of paths) {
    let file: File;
    try {
      file = readScenarios(path);
    } catch (error) {
      complain(`${path}: ${(error as Error).message}`);
      return 3;
    }
    for (const scenario of file.scenarios) {
      const wrong = differences(scenario.mails, await playScenario(scenario, file));
      say(`${wrong.length === 0 ? "pass" : "FAIL"}  ${scenario.id}  ${scenario.title}`);
      for (const line of wrong) say(`        ${line}`);
      if (wrong.length === 0) passed += 1;
      else failed += 1;
    }
  }
  say(`\n${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
  process.exitCode = await main(process.argv.slice(2));

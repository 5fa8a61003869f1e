import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parse } from "yaml";
import type { Mail } from "../functions/compose/mail.ts";
import { readPost } from "../functions/intake/post.ts";
import type { SqliteLedger } from "../functions/ledger/sqlite.ts";
import { sqliteLedger } from "../functions/ledger/sqlite.ts";
import { pipeline } from "../functions/pipeline.ts";
import { dispose, drainInOrder, toMessage } from "../functions/queue/queue.ts";
import { sqliteQueue } from "../functions/queue/sqlite.ts";
import { complain, say } from "../functions/telemetry.ts";

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
};

/** A story and the mails that it must make; the format is explained at the head of test/scenarios.yaml. */
export type Scenario = {
  id: string;
  title: string;
  policy?: { renotify?: "never" | "every" | { interval: number } };
  events: Event[];
  until?: number;
  mails: Record<string, string[]>;
};

type File = {
  groups: Record<string, string[]>;
  policy: Scenario["policy"];
  event_defaults: Partial<Event>;
  scenarios: Scenario[];
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

const postOf = (event: Event) => {
  const [host, service] = event.obj.split("/");
  return {
    v: 1,
    source: "nagios",
    monitor: { id: event.mon, start: event.ps ?? (event.mon === "B" ? 2000 : 1000) },
    type: event.type,
    object: { host, service: service ?? null },
    state: event.state,
    state_type: event.st,
    problem: { id: event.pid, last_id: event.lpid, epoch: event.ep },
    notification: {
      id: event.nid === undefined ? undefined : String(event.nid),
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

/**
 * Plays one scenario against intake, queue, ledger and pipeline as they are, on a virtual clock, with a relay that
 * takes everything unless it is down. Resolves to the mails of each recipient, in order.
 */
export const playScenario = async (scenario: Scenario, file: File): Promise<Record<string, string[]>> => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-scenario-"));
  const ledgerFile = join(folder, "ledger.sqlite");
  let seconds = 0;
  const clock = () => Math.round(100_000_000 + seconds * 1000);
  const queue = sqliteQueue(join(folder, "queue.sqlite"), clock);
  let ledger: SqliteLedger = sqliteLedger(ledgerFile);
  let relayIsUp = true;
  const mails: Record<string, string[]> = {};
  const events = scenario.events.map((event): Event => ({ ...file.event_defaults, ...event }) as Event);
  const withObject = new Set(events.filter(({ ctl }) => !ctl).map(({ obj }) => obj)).size > 1;
  const renotify = scenario.policy?.renotify ?? "never";
  const renotifyAfterSeconds =
    renotify === "never" ? undefined : renotify === "every" ? 0 : renotify.interval;

  const worker = () =>
    pipeline({
      ledger,
      transport: {
        route: "smtp://relay",
        send: async (mail) => {
          if (!relayIsUp)
            return {
              result: "deferred",
              reply: "the relay is away",
              lostAfterData: false,
              durationMilliseconds: 0,
            };
          const name = mail.to.split("@")[0] ?? "";
          mails[name] = [...(mails[name] ?? []), written(mail, seconds, withObject)];
          return { result: "accepted", reply: "250", durationMilliseconds: 0 };
        },
      },
      sender: { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" },
      policy: { renotifyAfterSeconds },
      giveUpAfterSeconds: 48 * 3600,
      clock,
      report: () => undefined,
    });
  const fail = (_: unknown, error: unknown) => {
    throw error;
  };
  const drain = async () => {
    for (;;) {
      const messages = await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
      if (messages.length === 0) return;
      await dispose(queue, await drainInOrder(messages, worker(), fail));
    }
  };
  /** Lets the clock run; what becomes visible meanwhile is handled at its second. */
  const passTo = async (end: number) => {
    while (seconds < end) {
      seconds = Math.min(Math.floor(seconds) + 1, end);
      await drain();
    }
  };
  const control: Record<NonNullable<Event["ctl"]>, () => void> = {
    smtp_down: () => {
      relayIsUp = false;
    },
    smtp_up: () => {
      relayIsUp = true;
    },
    restart_bridge: () => {
      ledger.close();
      ledger = sqliteLedger(ledgerFile);
    },
    ledger_lost: () => {
      ledger.close();
      for (const suffix of ["", "-wal", "-shm"]) rmSync(ledgerFile + suffix, { force: true });
      ledger = sqliteLedger(ledgerFile);
    },
  };
  try {
    for (const event of events) {
      await passTo(event.t);
      if (event.ctl) {
        control[event.ctl]();
        continue;
      }
      const site = placeOf(file.groups, event.mon);
      const post = readPost(postOf(event), { site, now: clock(), aliases: new Map(), allowed: () => true });
      if (!post.ok) throw new Error(`${scenario.id}: ${JSON.stringify(post.faults)}`);
      await queue.send(post.value.map(toMessage));
      await drain();
    }
    await passTo(scenario.until ?? (events.at(-1)?.t ?? 0) + 2000);
    return mails;
  } finally {
    queue.close();
    ledger.close();
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

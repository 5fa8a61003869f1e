import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPost } from "../../functions/intake/post.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { toMessage } from "../../functions/queue/message.ts";
import { dispose, drainInOrder } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { pipelineOn, site } from "./episodes.ts";
import { type Bench, progress, short } from "./rounds.ts";

const minute = 60_000;
const day = 86_400_000;
const begin = Date.UTC(2027, 0, 4);
/** Weeks: what ended is kept for 30 days, so that the fifth is the first in which as much goes as comes. */
const weeks = 6;

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
const numbersFrom = (seed: number) => {
  let state = seed;
  return (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

type Told = {
  at: number;
  type: string;
  host: number;
  service?: number;
  state: string;
  problem: number;
  number: number;
};

/**
 * The notifications of a site's Nagios in some days, in order. In a day 3 % of the services have a problem; half are
 * the same 5 % of the services. Half of the problems last less than 25 minutes, one in ten longer than 3 hours, some
 * for days; each is told again every hour (notification_interval 60). One in five begins as WARNING and gets worse. One
 * of 500 services flaps; one of 100 hosts is down, and 20 services with it. Once a week a switch takes 30 hosts along.
 */
export const siteHistory = (services: number, days: number): Told[] => {
  const random = numbersFrom(5000);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const lasting = () => Math.min(25 * minute * Math.exp(1.6 * normal()), 7 * day);
  const busyUntil = new Map<string, number>();
  const all: Told[] = [];
  let problem = 0;
  const incident = (host: number, service: number | undefined, at: number, lasts: number) => {
    const name = `${host}/${service}`;
    if ((busyUntil.get(name) ?? 0) > at) return;
    busyUntil.set(name, at + lasts + minute);
    problem += 1;
    const worsens = service !== undefined && random() < 0.2;
    const bad = service === undefined ? "DOWN" : "CRITICAL";
    let number = 1;
    const tell = (when: number, type: string, state: string) =>
      all.push({ at: Math.round(when), type, host, service, state, problem, number: number++ });
    for (let since = 0; since < lasts; since += 60 * minute) {
      const early = worsens && since === 0;
      tell(at + since, "PROBLEM", early ? "WARNING" : bad);
      if (early && lasts > 10 * minute) tell(at + 10 * minute, "PROBLEM", bad);
    }
    tell(at + lasts, "RECOVERY", service === undefined ? "UP" : "OK");
  };
  const hosts = services / 20;
  const hostDown = (host: number, at: number) => {
    const lasts = lasting();
    incident(host, undefined, at, lasts);
    for (let service = 0; service < 20; service++)
      incident(host, service, at + random() * 5 * minute, lasts + random() * 5 * minute);
  };
  for (let today = begin; today < begin + days * day; today += day) {
    for (let count = 0; count < services * 0.03; count++) {
      const chosen = Math.floor(random() * services * (random() < 0.5 ? 0.05 : 1));
      incident(Math.floor(chosen / 20), chosen % 20, today + random() * day, lasting());
    }
    for (let count = 0; count < hosts / 100; count++)
      hostDown(Math.floor(random() * hosts), today + random() * day);
    for (let count = 0; count < services / 500; count++) {
      const [chosen, at] = [Math.floor(random() * services), today + random() * day];
      const flapping = {
        host: Math.floor(chosen / 20),
        service: chosen % 20,
        state: "CRITICAL",
        problem: 0,
        number: 0,
      };
      all.push({ ...flapping, at: Math.round(at), type: "FLAPPINGSTART" });
      all.push({ ...flapping, at: Math.round(at + 40 * minute), type: "FLAPPINGSTOP", state: "OK" });
    }
    if ((today - begin) % (7 * day) === 2 * day) {
      const [first, at] = [Math.floor(random() * (hosts - 30)), today + random() * day];
      for (let host = first; host < first + Math.min(30, hosts); host++)
        hostDown(host, at + random() * minute);
    }
  }
  return all.filter(({ at }) => at < begin + days * day).sort((a, b) => a.at - b.at);
};

const sizeOf = (path: string): number => (existsSync(path) ? statSync(path).size : 0);

/** How large the files of a site become. */
export const bench: Bench = {
  summary: "the files of a site of 5,000 services, week by week until as much is forgotten as comes",
  about:
    `Six weeks of a site of 5,000 services on 250 hosts with two contacts, on a virtual clock, through the queue,
the pipeline and the sweep as they are: 3 % of the services have a problem in a day, repeated every hour, some flap, hosts
and once a week a switch go down. Episodes that ended are kept for 30 days, so week six is no larger than week five. The
files are in memory where there is /dev/shm. --quick: 500 services. There is one round.`.replaceAll(
      "\n",
      " ",
    ),
  run: async ({ quick }) => {
    const services = quick ? 500 : 5000;
    const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "hardstate-bench-"));
    const paths = { ledger: join(folder, "ledger.sqlite"), queue: join(folder, "queue.sqlite") };
    let now = begin;
    const clock = () => now;
    const ledger = sqliteLedger(paths.ledger);
    const queue = sqliteQueue(paths.queue, clock);
    const ended: Record<string, number> = {};
    const handle = pipelineOn(ledger, queue, clock, {}, (event) => {
      if (event.event === "ended") ended[event.ending] = (ended[event.ending] ?? 0) + 1;
    });
    const failed = (_: unknown, error: unknown) => {
      throw error;
    };
    const workOff = async () => {
      for (;;) {
        const messages = await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
        if (messages.length === 0) return;
        await dispose(queue, await drainInOrder(messages, handle, failed));
      }
    };
    let notification = 0;
    const post = async ({ at, type, host, service, state, problem, number }: Told) => {
      notification += 1;
      const input = {
        v: 1,
        source: "nagios",
        monitor: { id: "monitor1", start: Math.floor(begin / 1000) - 86_400 },
        type,
        object: {
          host: `host${host}.example.com`,
          service: service === undefined ? null : `Service ${service}`,
        },
        state,
        problem: { id: String(problem), epoch: undefined },
        notification: { id: String(notification), number },
        output: `${state} - what the plugin says of it, in a line of usual length: 97.3 % used`,
        time: Math.floor(at / 1000),
        recipients: [{ email: "day@example.com" }, { email: "night@example.com" }],
      };
      const reading = readPost(input, { site, now: at, aliases: new Map(), allowed: () => true });
      if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
      await queue.send(reading.value.map(toMessage));
    };

    const history = siteHistory(services, weeks * 7);
    progress(`  ${history.length} notifications for two contacts each`);
    const sizes: number[] = [];
    let [next, log, largestQueue] = [0, 0, 0];
    for (let week = 1; week <= weeks; week++) {
      const end = begin + week * 7 * day;
      for (let turn = begin + (week - 1) * 7 * day; turn < end; turn += minute) {
        for (let told = history[next]; told && told.at < turn + minute; told = history[++next]) {
          now = Math.max(now, told.at);
          await post(told);
          await workOff();
        }
        now = turn + minute;
        await sweep({ ledger, queue, operators: [], report: () => undefined }, now);
        await workOff();
        log = Math.max(log, sizeOf(`${paths.ledger}-wal`));
        largestQueue = Math.max(largestQueue, sizeOf(paths.queue));
      }
      sizes.push(sizeOf(paths.ledger) / 1e6);
      const { waiting } = await queue.depth();
      progress(
        `  week ${week}: ledger ${short(sizes.at(-1) ?? 0)} MB, ended ${JSON.stringify(ended)}, ${waiting} wait`,
      );
    }
    const alerts = Object.values(ended).reduce((sum, count) => sum + count, 0);
    queue.close();
    ledger.close();
    rmSync(folder, { recursive: true });
    const [first = 0, , , , fifth = 0, sixth = 0] = sizes;
    const whose = `a site of ${services} services`;
    return [
      {
        what: `the ledger of ${whose} after a week of ${Math.round(alerts / weeks)} alerts`,
        ours: first,
        unit: "MB",
      },
      {
        what: `the ledger of ${whose} after six weeks: growth once what ended is forgotten`,
        ours: sixth,
        unit: "MB",
        beside: { name: "after five weeks", value: fifth },
        target: { atMost: 1.05 },
      },
      { what: "the largest log of the ledger that was not in its file yet", ours: log / 1e6, unit: "MB" },
      { what: "the queue's file at its largest", ours: largestQueue / 1e6, unit: "MB" },
    ];
  },
};

import { setImmediate } from "node:timers/promises";
import { readAllowList } from "../../functions/address.ts";
import { dueAt } from "../../functions/decide/entry.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { relays } from "../../functions/deliver/routes.ts";
import { intake } from "../../functions/intake/app.ts";
import type { IntakeParts } from "../../functions/intake/doors.ts";
import type { JournalRecord } from "../../functions/ledger/journal.ts";
import type { Change, Due, Ledger } from "../../functions/ledger/ledger.ts";
import { ledgerIn } from "../../functions/ledger/sqlite.ts";
import { drain } from "../../functions/pipeline/drain.ts";
import { pipeline } from "../../functions/pipeline/pipeline.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import type { QueuedAlert } from "../../functions/queue/message.ts";
import type { ReceivedMessage } from "../../functions/queue/queue.ts";
import { Secret } from "../../functions/secret.ts";
import { openDatabase } from "../../functions/sqlite.ts";
import type { Post } from "../oracle/history.ts";
import { eventOf, head, outputOf, readOutput } from "../oracle/scenario.ts";
import { type Event, postOf } from "../scenarios/scenarios.ts";
import { draws } from "./draws.ts";
import type { History } from "./history.ts";
import { ledgerOf } from "./ledger.ts";
import { type Copy, network } from "./network.ts";
import { simulatedQueue } from "./queue.ts";
import { type Process, simulated, stage } from "./stage.ts";

/** Second 0 of every history, as the clocks of the oracle's cores have it. */
export const begin = 100_000_000;
/** A time as a second of the history. */
export const secondsOf = (at: number): number => (at - begin) / 1000;
const hour = 3_600_000;
const site = "site";
const operator = "oper@example.com";
const token = "t".repeat(24);
const visibilityTimeoutSeconds = 400;

/** A monitor's post, and by how many milliseconds its clock is ahead, if it says what that shows. */
type Posting = { serial: number; input: ReturnType<typeof postOf> & { id: string }; ahead?: number };

/** The result of a history. */
export type Played = {
  history: History;
  copies: Copy[];
  /** The last answer of each route to a mail of each alert. */
  answered: Map<string, Map<string, string>>;
  /** Each mailbox's posts as the queue took them first: what a monitor said, and the second at which it came. */
  arrived: (Post & { id: string })[];
  /** The ids of what was posted and answered with 202. */
  posts: Set<string>;
  /** When the ledger first had each alert, and when a mail was first to tell it, by the alert's id. */
  decided: Map<string, number>;
  claimed: Map<string, number>;
  /** The plugin's output of each message of the queue, by its id: of a poor copy that of the whole. */
  outputs: Map<string, string>;
  /** The ids of what intake refused. */
  refused: string[];
  records: JournalRecord[];
  /** Rows by which alerts still wait in the ledger. */
  held: string[];
  waiting: string[];
  buried: string[];
  /** A broken promise: a sentence each. */
  wrong: string[];
  faults: Map<string, { kind: string }>;
  counts: Map<string, number>;
  milliseconds: number;
};

const rowsOf = (due: readonly Due[]) =>
  due.flatMap(({ entry }) => Object.values(entry.held).map(({ row }) => row));

const allowList = readAllowList(["example.com"]);
if (!allowList.ok) throw new Error("the simulation's own settings are wrong");
const allowed = allowList.value;

/** An empty ledger, and what its journal holds in the end. */
export type Opened = { ledger: Ledger; records: () => Promise<JournalRecord[]> };

/** A ledger of SQLite in memory that is made once: each call empties it. */
const inMemory = (): (() => Promise<Opened>) => {
  const db = openDatabase(":memory:", 0);
  const ledger = ledgerIn(db);
  const tables = ["object", "journal", "run", "rejection", "route"];
  const clear = tables.map((table) => db.prepare(`DELETE FROM ${table}`));
  const journal = db.prepare("SELECT body FROM journal ORDER BY received_at, id");
  const records = async () => journal.all().map(({ body }) => JSON.parse(String(body)) as JournalRecord);
  return async () => {
    for (const statement of clear) statement.run();
    return { ledger, records };
  };
};

/** Plays histories one after the other: the bridge as it is, on a queue, a ledger and relays that fail as they may. */
export const simulator = (open = inMemory()) => {
  /** Plays one; `tell` hears of all that happens in it. */
  return async (history: History, tell?: (line: string) => void): Promise<Played> => {
    const { ledger, records } = await open();
    let unsettled = 0;
    /** The ledger, for whose answers virtual time waits. */
    const base = Object.fromEntries(
      Object.entries(ledger).map(([name, call]: [string, (...words: never[]) => Promise<unknown>]) => [
        name,
        (...words: never[]) => {
          unsettled += 1;
          return call(...words).finally(() => {
            unsettled -= 1;
          });
        },
      ]),
    ) as unknown as Ledger;
    // The memory of the last history is freed only when the event loop has a turn.
    await setImmediate();
    const { seed, monitored, actions, flapEnds } = history;
    const last = Math.max(0, ...monitored.posts.map(({ t }) => t), ...actions.map(({ at }) => at));
    const calmAt = begin + Math.round(last * 1000) + 300_000;
    const weather = {
      seed,
      rate: history.faultRate,
      calmAt,
      spared: new Set(history.spared),
      even: history.even,
    };
    const on = stage(begin, weather, tell);
    const net = network(on, base);
    const bySerial = Map.groupBy(monitored.posts, ({ notice }) => notice.serial);
    const arrived: Played["arrived"] = [];
    const outputs = new Map<string, string>();
    const queue = simulatedQueue(on, seed, (body) => {
      const { id, contact, made, alert } = JSON.parse(body) as QueuedAlert;
      const serial = readOutput(alert.output ?? null)?.serial ?? Number(/^poor-n(\d+)/.exec(id)?.[1]);
      const to = contact.split("@")[0] ?? "";
      const post = made ? undefined : bySerial.get(serial)?.find((one) => one.to.includes(to));
      outputs.set(id, post ? outputOf(post) : (alert.output ?? ""));
      // Alerts that come in one millisecond are in order.
      const t = secondsOf(on.now()) + serial / 1_000_000;
      if (post) arrived.push({ ...post, id, t, to: [to] });
    });
    const counts = new Map<string, number>();
    const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
    const posts = new Set<string>();
    const refused: string[] = [];
    const { wrong } = net;

    const routes = Array.from({ length: history.routes }, (_, index) => `smtp://relay${index + 1}`);
    let births = 0;
    const born = (kind: string): Process => {
      const draw = draws(seed, `birth ${kind} ${births++}`);
      const skew = history.skewMilliseconds;
      return on.born(`${kind}${births}`, skew === 0 ? 0 : draw.between(-skew, skew));
    };
    /** A failure that we made is no news. */
    const failed = (who: Process, error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      on.say(who.name, `failed: ${text.split("\n")[0]}`);
      if (!text.includes(simulated) && !text.includes("the queue took only some")) wrong.push(text);
    };

    // The sweep: a process for each, at the time that the ledger is to be looked at.
    let nextSweep = Number.POSITIVE_INFINITY;
    const sweepAt = (due: number | undefined) => {
      if (due === undefined || due > on.now() + 48 * hour) return;
      const draw = draws(seed, `sweep ${due}`);
      // Node sweeps each second, the others each minute.
      const at = Math.max(due, on.now()) + draw.between(0, draw.chance(0.5) ? 1_000 : 60_000);
      if (at >= nextSweep) return;
      nextSweep = at;
      on.at(at, () => {
        if (at === nextSweep) void sweepOnce();
      });
    };
    /** How each alert's story has ended: a write may not take that back, but for what is put back by hand. */
    const ended = new Map<string, string>();
    const since = new Map<string, number>();
    const decided = new Map<string, number>();
    const claimed = new Map<string, number>();
    const written = ({ entry, records }: Change, known: boolean) => {
      sweepAt(dueAt(entry));
      if (!known) return;
      for (const { site, id, ending, putBackAt, receivedAt, verdict, claim } of records) {
        if (!decided.has(id)) decided.set(id, on.now());
        const sends = verdict?.action === "send" && (claim || ending?.as === "digested");
        if (sends && !claimed.has(id)) claimed.set(id, on.now());
        if (receivedAt !== (since.get(`${site} ${id}`) ?? receivedAt)) wrong.push(`${id} begins twice`);
        since.set(`${site} ${id}`, receivedAt);
        const before = ended.get(`${site} ${id}`);
        if (before && !ending && putBackAt === undefined) wrong.push(`${id} has ended, and begins again`);
        if (before === "mailed" && ending && ending.as !== "mailed")
          wrong.push(`${id} was mailed, and ends as ${ending.as}`);
        if (ending) ended.set(`${site} ${id}`, ending.as);
      }
    };
    const sweepOnce = async () => {
      nextSweep = Number.POSITIVE_INFINITY;
      const me = born("sweep");
      count("sweeps");
      const again = () => sweepAt(on.now() + 30_000);
      me.whenDead.push(again);
      const parts = {
        ledger: ledgerOf(base, on, me, written, () => sweepAt(on.now())),
        queue: queue.queueOf(me),
        operators: [operator],
        report: () => undefined,
      };
      let due: Due[];
      try {
        await sweep(parts, on.clockOf(me)());
        me.alive = false;
        // It writes what a dead worker left half done, and may fail as any write may.
        due = await base.due(Number.MAX_SAFE_INTEGER, 100);
      } catch (error) {
        failed(me, error);
        return again();
      }
      sweepAt(Math.min(...due.flatMap(({ alerts }) => alerts.map((alert) => alert.due))));
    };

    const work = (number: number) => {
      const me = born(`work${number}.`);
      const ledger = ledgerOf(base, on, me, written, () => sweepAt(on.now()));
      const mine = queue.queueOf(me);
      const clock = on.clockOf(me);
      const handOver = relays({
        routes: routes.map((route) => ({
          relay: { route, connections: history.connections, rate: history.rate },
          transport: net.transportOf(me, route),
        })),
        states: ledger,
        clock,
        timeout: on.timeoutOf(me),
        pause: on.waitOf(me),
      });
      const handle = pipeline({
        ledger,
        queue: mine,
        handOver,
        sender: { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" },
        operators: [operator],
        policy: {
          ...defaultPolicy,
          burst: history.burst,
          noteBurst: history.noteBurst,
          renotifyAfterSeconds: history.renotifyAfterSeconds,
        },
        giveUpAfterSeconds: history.giveUpAfterSeconds,
        clock,
        report: (event) => {
          if (event.event === "ended")
            on.say(me.name, `ended ${event.id}: ${event.ending}, ${event.row} ${event.reason}`);
          if (event.event === "held") on.say(me.name, `holds ${event.id}: ${event.row} ${event.reason}`);
        },
      });
      const wait = on.waitOf(me);
      me.whenDead.push(() => {
        count("workers that died");
        on.at(on.now() + draws(seed, `rebirth ${births}`).between(1_000, 30_000), () => work(number));
      });
      const loop = async () => {
        for (;;) {
          try {
            const messages = await mine.receive({ max: 10, waitSeconds: 20, visibilityTimeoutSeconds });
            const tellOf = (_: ReceivedMessage, error: unknown) => failed(me, error);
            await drain(
              { ...mine } as Parameters<typeof drain>[0],
              messages,
              handle,
              tellOf,
              undefined,
              wait,
            );
          } catch (error) {
            failed(me, error);
            await wait(1_000);
          }
        }
      };
      for (let loops = 0; loops < history.loops; loops++) void loop();
    };

    // Intake: it has no state, so its parts may be made once; who calls is the process of now.
    const front = () => {
      const me = born("intake");
      const mine = queue.queueOf(me);
      const app = intake({
        tokens: [{ site, token: new Secret(token) }],
        aliases: new Map(),
        allowed,
        operators: [],
        queue: {
          waitingBytes: async () => undefined,
          send: (messages) => {
            unsettled -= 1;
            return mine.send(messages).finally(() => {
              unsettled += 1;
            });
          },
        } as Partial<IntakeParts["queue"]> as IntakeParts["queue"],
        ledger: base,
        clock: on.clockOf(me),
        report: (event) => {
          if (event.event === "failed") wrong.push(event.error);
        },
      });
      return { me, app };
    };
    let intakeNow = front();
    const request = async (
      body: unknown,
      ahead?: number,
    ): Promise<{ status: number; text: string } | undefined> => {
      if (!intakeNow.me.alive) intakeNow = front();
      const { me, app } = intakeNow;
      const dead = new Promise<undefined>((resolve) => me.whenDead.push(() => resolve(undefined)));
      const answered = (async () => {
        unsettled += 1;
        try {
          const headers = {
            Authorization: `Bearer ${token}`,
            "Content-Type": "application/json",
            ...(ahead !== undefined && { Date: new Date(on.now() + ahead).toUTCString() }),
          };
          const response = await app.request("/v1/alerts", {
            method: "POST",
            headers,
            body: JSON.stringify(body),
          });
          return { status: response.status, text: await response.text() };
        } finally {
          unsettled -= 1;
        }
      })();
      return Promise.race([answered, dead]);
    };
    /** Posts again and again, as the shim's spool does, until it is told that all was taken. */
    const post = async (body: unknown, ahead: number | undefined, took: (ids: string[]) => void) => {
      for (let tries = 1; ; tries++) {
        const answer = await request(body, ahead);
        on.say("client", answer ? `is told ${answer.status}` : "is told nothing");
        count(`intake ${answer?.status ?? "died"}`);
        if (answer?.status === 422) return;
        if (answer?.status === 202) {
          const { alerts } = JSON.parse(answer.text) as { alerts: { id?: string; status: string }[] };
          took(alerts.flatMap(({ id, status }) => (status === "queued" && id ? [id] : [])));
          return;
        }
        const seconds = draws(seed, `again ${JSON.stringify(body).length} ${tries}`).between(2, 60);
        await new Promise<void>((resolve) => on.at(on.now() + seconds * 1000, resolve));
      }
    };

    const postAll = (all: readonly Posting[]) => {
      const body = all.flatMap(({ input }) => {
        const { type, state, object, id } = input;
        const { host, service } = object;
        on.say("monitor", `posts ${id}: ${type} ${state} ${host}${service ? `/${service}` : ""}`);
        // Now and then without an id of its own, or with one that is wrong beside it.
        const draw = draws(seed, `post ${id}`);
        const mine = draw.chance(0.1) && !/^(note|poor)/.test(id) ? { ...input, id: undefined } : input;
        if (!draw.chance(0.03)) return [mine];
        const stranger = { ...input, id: `stranger-${id}`, recipients: [{ email: "x@evil.example" }] };
        refused.push(stranger.id);
        return [stranger, mine];
      });
      void post(body.length === 1 ? body[0] : body, all[0]?.ahead, (ids) => {
        for (const id of ids) posts.add(id);
      });
    };
    // A spool that is drained posts at once what one monitor said within seconds.
    let spool: Posting[] = [];
    for (const [index, one] of monitored.posts.entries()) {
      const id = `${one.notice.monitor}-n${one.notice.serial}-${one.to.join("-")}`;
      const flaps = flapEnds.includes(one.notice.serial) && { type: "FLAPPINGSTOP", esc: 0 };
      const event = { ...head.event_defaults, ...eventOf(one), ...flaps } as Event;
      const input = { ...postOf(event, one.notice.monitor), id };
      const ahead = one.sent === undefined ? undefined : one.sent * 1000 - (begin + one.t * 1000);
      spool.push({ serial: one.notice.serial, input, ahead });
      const next = monitored.posts[index + 1];
      const isOne =
        next && next.t < one.t + 2 && next.notice.monitor === one.notice.monitor && !one.odd && !next.odd;
      if (isOne && draws(seed, `batch ${id}`).chance(0.3)) continue;
      const drained = spool.toSorted((a, b) => a.serial - b.serial);
      spool = [];
      on.at(begin + Math.round(one.t * 1000), () => postAll(drained));
    }
    for (const [index, action] of actions.entries())
      on.at(begin + Math.round(action.at * 1000), () => {
        if (action.do === "relay") net.doing(routes[action.route] ?? "", action.answer);
        if (action.do === "redrive") {
          on.say("operator", `puts back ${queue.buried().length}`);
          queue.redrive();
        }
        const { serial } = action.do === "poor" ? action : { serial: 0 };
        const about = serial === 0 ? monitored.posts[0] : bySerial.get(serial)?.[0];
        if (action.do === "note" && about) {
          const { monitor, object } = about.notice;
          const of = { t: action.at, mon: monitor, obj: object, to: about.to, out: action.type };
          const kind = action.type === "SOFT" ? { st: "SOFT" } : { type: action.type };
          const event = { ...head.event_defaults, ...of, ...kind } as Event;
          postAll([{ serial, input: { ...postOf(event, monitor), id: `note-${action.type}-${index}` } }]);
        }
        if (action.do === "poor" && about) {
          const event = { ...head.event_defaults, ...eventOf(about), env: false } as Event;
          postAll([
            { serial, input: { ...postOf(event, about.notice.monitor), id: `poor-n${serial}-${index}` } },
          ]);
        }
        if (action.do === "stranger") {
          const id = `stranger-${index}`;
          refused.push(id);
          const event = { ...head.event_defaults, t: action.at, to: "x" } as Event;
          const input = { ...postOf(event, "A"), id, recipients: [{ email: "x@evil.example" }] };
          void post(input, undefined, () => wrong.push("intake took an alert for a stranger"));
        }
      });
    on.at(calmAt, () => {
      for (const route of routes) net.doing(route, "accepted");
    });
    if (history.redriveAtEnd) on.at(calmAt + hour / 6, () => queue.redrive());
    for (let number = 1; number <= history.workers; number++) work(number);

    const rested = await on.run(calmAt + 72 * hour, () => unsettled <= 0);
    if (!rested) wrong.push("it does not come to rest within three days");
    const due = await base.due(Number.MAX_SAFE_INTEGER, 100);
    for (const [what, number] of net.counts) counts.set(`relay ${what}`, number);
    return {
      history,
      copies: net.copies,
      answered: net.answered,
      arrived,
      decided,
      claimed,
      outputs,
      posts,
      refused,
      records: await records(),
      held: rowsOf(due),
      waiting: queue.waiting(),
      buried: queue.buried(),
      wrong,
      faults: on.faults,
      counts,
      milliseconds: on.now() - begin,
    };
  };
};

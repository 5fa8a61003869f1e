import { setImmediate } from "node:timers/promises";
import { readAllowList } from "../../functions/address.ts";
import { relays } from "../../functions/deliver/relays.ts";
import { type IntakeParts, intake } from "../../functions/intake/http.ts";
import { dueAt } from "../../functions/ledger/entry.ts";
import type { JournalRecord } from "../../functions/ledger/journal.ts";
import type { Change, Due } from "../../functions/ledger/ledger.ts";
import { defaultPolicy } from "../../functions/ledger/policy.ts";
import { ledgerIn } from "../../functions/ledger/sqlite.ts";
import { pipeline } from "../../functions/pipeline.ts";
import type { ReceivedMessage } from "../../functions/queue/queue.ts";
import { drain } from "../../functions/runtime/drain.ts";
import { Secret } from "../../functions/secret.ts";
import { openDatabase } from "../../functions/sqlite.ts";
import { sweep } from "../../functions/sweep.ts";
import { comings, type Said } from "../ledger/monitors.ts";
import { draws } from "./draws.ts";
import type { History, OtherAction } from "./history.ts";
import { ledgerOf } from "./ledger.ts";
import { type Copy, network } from "./network.ts";
import { simulatedQueue } from "./queue.ts";
import { type Process, simulated, stage } from "./stage.ts";

const begin = 200_000_000_000;
const hour = 3_600_000;
const site = "site";
const operator = "oper@example.com";
const token = "t".repeat(24);
const visibilityTimeoutSeconds = 400;

/** What came of a history. */
export type Played = {
  history: History;
  copies: Copy[];
  said: Said[];
  /** What was posted and answered with 202, by the alert's id. */
  posts: Map<string, Record<string, unknown>>;
  /** The ids of what intake refused. */
  refused: string[];
  records: JournalRecord[];
  /** Rows by which alerts still wait in the ledger. */
  held: string[];
  waiting: string[];
  buried: string[];
  /** What went wrong that nothing may: a sentence each. */
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

/** Plays histories one after the other: the bridge as it is, on a queue, a ledger and relays that fail as they may. */
export const simulator = () => {
  const db = openDatabase(":memory:", 0);
  const base = ledgerIn(db);
  const clear = ["object", "journal", "run", "route"].map((table) => db.prepare(`DELETE FROM ${table}`));
  const journal = db.prepare("SELECT body FROM journal ORDER BY received_at, id");

  /** Plays one; `tell` hears of all that happens in it. */
  const play = async (history: History, tell?: (line: string) => void): Promise<Played> => {
    for (const statement of clear) statement.run();
    // What the last history left is freed only when the event loop has a turn.
    await setImmediate();
    const { seed } = history;
    const { coming, end } = comings<OtherAction>(history.actions, begin, (_, action, object, contact) => {
      const name = `${(action as { key?: number }).key ?? 0}-${contact}-${object.length}`;
      const draw = draws(seed, `way ${name}`);
      const delaySeconds = draw.of([0, 0, 0, 0, 1, 2, 15, 90, 200]);
      return { delaySeconds, twice: draw.chance(0.1), lost: draw.chance(0.04), name };
    });
    const calmAt = end + 300_000;
    const weather = {
      seed,
      rate: history.faultRate,
      calmAt,
      spared: new Set(history.spared),
      even: history.even,
    };
    const on = stage(begin, weather, tell);
    const net = network(on, base);
    const queue = simulatedQueue(on, seed);
    const counts = new Map<string, number>();
    const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
    const said: Said[] = [];
    const posts = new Map<string, Record<string, unknown>>();
    const refused: string[] = [];
    const { wrong } = net;

    const routes = Array.from({ length: history.routes }, (_, index) => `smtp://relay${index + 1}`);
    let births = 0;
    const born = (kind: string): Process => {
      const draw = draws(seed, `birth ${kind} ${births++}`);
      const skew = history.skewMilliseconds;
      return on.born(`${kind}${births}`, skew === 0 ? 0 : draw.between(-skew, skew));
    };
    /** What fails because we let it is no news. */
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
    const written = ({ entry, records }: Change) => {
      sweepAt(dueAt(entry));
      for (const { site, id, ending, putBackAt, receivedAt } of records) {
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
      // What its host covers waits for as long as that is down: nothing else comes of it.
      const rows = rowsOf(await base.due(Number.MAX_SAFE_INTEGER, 100));
      if (on.now() > calmAt + hour / 3 && rows.length > 0 && rows.every((row) => row === "R16")) return;
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
      try {
        await sweep(parts, on.clockOf(me)());
      } catch (error) {
        failed(me, error);
        return again();
      }
      me.alive = false;
      const due = await base.due(Number.MAX_SAFE_INTEGER, 100);
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
            await drain({ ...mine } as Parameters<typeof drain>[0], messages, handle, tellOf, wait);
          } catch (error) {
            failed(me, error);
            await wait(1_000);
          }
        }
      };
      for (let loops = 0; loops < history.loops; loops++) void loop();
    };

    // Intake: it has no state, so its parts may be made once; who calls is the process of now.
    let unsettled = 0;
    const front = () => {
      const me = born("intake");
      const mine = queue.queueOf(me);
      const app = intake({
        tokens: [{ site, token: new Secret(token) }],
        aliases: new Map(),
        allowed,
        queue: {
          send: (messages) => {
            unsettled -= 1;
            return mine.send(messages).finally(() => {
              unsettled += 1;
            });
          },
        } as IntakeParts["queue"],
        ledger: base,
        clock: on.clockOf(me),
        report: (event) => {
          if (event.event === "failed") wrong.push(event.error);
        },
      });
      return { me, app };
    };
    let intakeNow = front();
    const request = async (body: unknown): Promise<{ status: number; text: string } | undefined> => {
      if (!intakeNow.me.alive) intakeNow = front();
      const { me, app } = intakeNow;
      const dead = new Promise<undefined>((resolve) => me.whenDead.push(() => resolve(undefined)));
      const answered = (async () => {
        unsettled += 1;
        try {
          const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
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
    const post = async (body: unknown, took: (ids: string[]) => void) => {
      for (let tries = 1; ; tries++) {
        const answer = await request(body);
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

    const postAll = (posted: { input: Record<string, unknown>; facts: Said[] }[]) => {
      const body = posted.flatMap(({ input }) => {
        const { type, state, object, id, degraded } = input;
        const { host, service } = object as { host: string; service: string | null };
        on.say("monitor", `posts ${id}: ${type} ${state} ${host}${service ? `/${service}` : ""}`);
        // Now and then without an id of its own, or with one that is wrong beside it.
        const draw = draws(seed, `post ${id}`);
        const mine = draw.chance(0.1) && !degraded ? { ...input, id: undefined } : input;
        if (!draw.chance(0.03)) return [mine];
        const stranger = { ...input, id: `stranger-${id}`, recipients: [{ email: "x@evil.example" }] };
        refused.push(stranger.id);
        return [stranger, mine];
      });
      void post(body.length === 1 ? body[0] : body, (ids) => {
        for (const [index, id] of ids.entries()) posts.set(id, posted[index]?.input ?? {});
        for (const { facts } of posted) said.push(...facts);
      });
    };
    for (const [at, together] of Map.groupBy(coming, ({ at }) => at)) {
      const posted = together.filter((one) => "input" in one);
      // A spool that is drained posts all it has at once.
      const asOne = draws(seed, `batch ${at}`).chance(0.3);
      on.at(at, () => {
        for (const one of asOne ? (posted.length > 0 ? [posted] : []) : posted.map((each) => [each]))
          postAll(one);
      });
    }
    for (const [index, next] of coming.entries()) {
      if (!("other" in next)) continue;
      on.at(next.at, () => {
        const { other } = next;
        if (other.do === "relay") net.doing(routes[other.route] ?? "", other.answer);
        if (other.do === "redrive") {
          on.say("operator", `puts back ${queue.buried().length}`);
          queue.redrive();
        }
        if (other.do === "stranger") {
          refused.push(`stranger-${index}`);
          const alert = {
            v: 1,
            source: "nagios",
            monitor: { id: "A" },
            type: "PROBLEM",
            state: "DOWN",
            time: 1,
          };
          const recipients = [{ email: "x@evil.example" }];
          void post(
            { ...alert, id: `stranger-${index}`, object: { host: "h", service: null }, recipients },
            () => wrong.push("intake took an alert for a stranger"),
          );
        }
      });
    }
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
      said,
      posts,
      refused,
      records: journal.all().map(({ body }) => JSON.parse(String(body)) as JournalRecord),
      held: rowsOf(due),
      waiting: queue.waiting(),
      buried: queue.buried(),
      wrong,
      faults: on.faults,
      counts,
      milliseconds: on.now() - begin,
    };
  };
  return { play, close: () => db.close() };
};

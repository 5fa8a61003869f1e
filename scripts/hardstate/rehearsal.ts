import type { RenderedMail } from "../../functions/compose/mime.ts";
import { dueAt } from "../../functions/decide/entry.ts";
import type { Policy } from "../../functions/decide/policy.ts";
import type { DeliveryOutcome } from "../../functions/deliver/outcome.ts";
import { relays } from "../../functions/deliver/routes.ts";
import { readPost } from "../../functions/intake/post.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import { ledgerIn, sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { pipeline } from "../../functions/pipeline/pipeline.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { type OutgoingMessage, putBack, type QueuedAlert, toMessage } from "../../functions/queue/message.ts";
import type { Report } from "../../functions/report/event.ts";
import { openDatabase } from "../../functions/sqlite.ts";

/**
 * The answer of a rehearsal's relay to a mail: `away` cannot be reached, `unauthorised` refuses our login, `deferred`
 * defers this mail, `lost` took it or not and never said, `crash` ends the worker.
 */
export type RelayAnswer = "accepted" | "away" | "unauthorised" | "deferred" | "refused" | "lost" | "crash";

/**
 * The message of the error by which a worker of a rehearsal dies: its message is handed out again when its time is
 * over.
 */
export const workerEnds = "the worker ends here";

export type RehearsalParts = {
  policy: Policy;
  /** Unix milliseconds when it begins. */
  begin: number;
  relay: (mail: RenderedMail, now: number, route: string) => RelayAnswer;
  /** In order of preference; one if absent. */
  routes?: string[];
  operators?: string[];
  /** SQLite in memory if absent. A worker whose ledger says `workerEnds` dies there. */
  openLedger?: () => OpenLedger;
  report?: Report;
};

/** The bridge without its servers: intake's reading, ledger, pipeline and sweep as they are, on a virtual clock. */
export type Rehearsal = {
  ledger(): Ledger;
  /** Takes a post, sent at this time of its monitor's clock in Unix milliseconds, as intake does, and works until nothing is to be done. Throws what is wrong with it. */
  post(site: string, input: unknown, sentAt?: number): Promise<QueuedAlert[]>;
  /** Lets the clock run; whatever is due meanwhile is done at its time. */
  passTo(time: number): Promise<void>;
  /** Alerts that wait for the relay are tried now. */
  hasten(): void;
  /** The ids of alerts still in the queue, and of those buried. */
  waiting(): string[];
  buried(): string[];
  /** Puts what was buried back, and works until nothing is to be done. */
  redrive(): Promise<void>;
  /** Closes the ledger, and opens it again. */
  reopen(meanwhile?: () => void): void;
  close(): void;
};

type Message = OutgoingMessage & { sequence: number; receiveCount: number; readyAt: number };

const visibilityMilliseconds = 400_000;
const dayMilliseconds = 86_400_000;
/** Nothing takes time in a rehearsal, so nothing takes too long. */
const { signal: neverAborts } = new AbortController();

type OpenLedger = Ledger & { close(): void };

/**
 * A ledger in memory that is made once for many rehearsals: each call empties it. It keeps no indexes for searches,
 * which cost a rehearsal much of its time.
 */
export const memoryLedger = (): (() => OpenLedger) => {
  const db = openDatabase(":memory:", 0);
  db.exec("PRAGMA journal_mode = OFF");
  const ledger = { ...ledgerIn(db), close: () => undefined };
  const named = (types: string) =>
    db
      .prepare(`SELECT type, name FROM sqlite_schema WHERE type IN (${types}) AND sql IS NOT NULL`)
      .all()
      .map(({ type, name }) => ({ type: String(type), name: String(name) }));
  const needed = ["journal_event", "journal_time", "journal_begun", "object_due", "object_idle"];
  for (const { type, name } of named("'index', 'trigger'"))
    if (!needed.includes(name)) db.exec(`DROP ${type} ${name}`);
  const clear = named("'table'").map(({ name }) => db.prepare(`DELETE FROM ${name}`));
  return () => {
    for (const statement of clear) statement.run();
    return ledger;
  };
};

const outcomes: Record<Exclude<RelayAnswer, "crash">, DeliveryOutcome> = {
  accepted: { result: "accepted", reply: "250 2.0.0 Ok", code: 250, durationMilliseconds: 0 },
  away: {
    result: "deferred",
    step: "connect",
    reply: "connect ECONNREFUSED",
    lostAfterData: false,
    durationMilliseconds: 0,
  },
  unauthorised: {
    result: "unauthorised",
    step: "auth",
    reply: "535 5.7.8 no",
    code: 535,
    durationMilliseconds: 0,
  },
  deferred: {
    result: "deferred",
    step: "recipient",
    reply: "450 4.2.0 later",
    lostAfterData: false,
    durationMilliseconds: 0,
  },
  refused: {
    result: "refused",
    about: "recipient",
    step: "recipient",
    reply: "550 5.1.1 unknown",
    code: 550,
    durationMilliseconds: 0,
  },
  lost: {
    result: "deferred",
    step: "after-data",
    reply: "connection lost",
    lostAfterData: true,
    durationMilliseconds: 0,
  },
};

export const rehearse = (parts: RehearsalParts): Rehearsal => {
  const open = parts.openLedger ?? (() => sqliteLedger(":memory:"));
  const report = parts.report ?? (() => undefined);
  let now = parts.begin;
  /** No sweep is due before: when an entry that was written is due, and each day for what is old. */
  let sweepAt = now;
  const watched = (opened: OpenLedger): OpenLedger => ({
    ...opened,
    write: (change) => {
      sweepAt = Math.min(sweepAt, dueAt(change.entry) ?? sweepAt);
      return opened.write(change);
    },
    // Operators hear of it.
    writeRoute: (state) => {
      sweepAt = now;
      return opened.writeRoute(state);
    },
  });
  let ledger = watched(open());
  let sequence = 0;
  let messages: Message[] = [];
  const dead: Message[] = [];
  const idOf = ({ body }: Message): string => (JSON.parse(body) as QueuedAlert).id;

  const queue = {
    send: async (outgoing: readonly OutgoingMessage[]) => {
      for (const message of outgoing)
        if (!messages.some(({ deduplicationId }) => deduplicationId === message.deduplicationId))
          messages.push({ ...message, sequence: sequence++, receiveCount: 0, readyAt: now });
      return outgoing.map(() => true);
    },
  };
  const { operators = [] } = parts;
  const routes = (parts.routes ?? ["smtp://relay"]).map((route) => ({
    relay: { route, connections: 3 },
    transport: {
      route,
      send: async (mail: RenderedMail) => {
        const answer = parts.relay(mail, now, route);
        if (answer === "crash") throw new Error(workerEnds);
        return outcomes[answer];
      },
    },
  }));
  const handle = () =>
    pipeline({
      ledger,
      queue,
      handOver: relays({ routes, states: ledger, clock: () => now, timeout: () => neverAborts }),
      operators,
      sender: { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" },
      policy: parts.policy,
      giveUpAfterSeconds: 48 * 3600,
      clock: () => now,
      report,
    });
  /** Those that may be handed out: the first of each group. */
  const heads = () => {
    const groups = new Set<string>();
    return messages.filter(({ group }) => !groups.has(group) && groups.add(group));
  };
  const unlessEnded = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if ((error as Error).message !== workerEnds) throw error;
      return undefined;
    }
  };
  const sweepOnce = async () => {
    if (now < sweepAt) return;
    await sweep({ ledger, queue, operators, report }, now);
    const [first] = await ledger.due(Number.MAX_SAFE_INTEGER, 1);
    sweepAt = Math.min(now + dayMilliseconds, (first && dueAt(first.entry)) ?? Number.POSITIVE_INFINITY);
  };
  const workOff = async () => {
    for (;;) {
      await unlessEnded(sweepOnce);
      const message = heads().find(({ readyAt }) => readyAt <= now);
      if (!message) return;
      message.receiveCount += 1;
      message.readyAt = now + visibilityMilliseconds;
      const { sequence: receipt, readyAt: visibleAgainAt } = message;
      const disposition = await unlessEnded(() =>
        handle()({ ...message, receipt: String(receipt), visibleAgainAt }),
      );
      if (!disposition) continue;
      if (disposition.message === "give-back") message.readyAt = now + disposition.afterSeconds * 1000;
      else messages = messages.filter((other) => other !== message);
      if (disposition.message === "bury") dead.push(message);
    }
  };
  const nextTime = () => Math.min(sweepAt, ...heads().map(({ readyAt }) => readyAt));
  return {
    ledger: () => ledger,
    post: async (site, input, sentAt) => {
      const clockBehind = sentAt === undefined ? undefined : now - sentAt;
      const reading = readPost(input, { site, now, clockBehind, aliases: new Map(), allowed: () => true });
      if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
      await queue.send(reading.value.map(toMessage));
      await workOff();
      return reading.value;
    },
    passTo: async (time) => {
      for (;;) {
        await workOff();
        const next = nextTime();
        if (next > time) break;
        now = Math.max(now, next);
      }
      now = Math.max(now, time);
    },
    hasten: () => {
      for (const message of messages) message.readyAt = Math.min(message.readyAt, now);
    },
    waiting: () => messages.map(idOf),
    buried: () => dead.map(idOf),
    redrive: async () => {
      for (const letter of dead.splice(0)) {
        const { body } = putBack(letter.body, now);
        messages.push({ ...letter, body, receiveCount: 0, readyAt: now });
      }
      await workOff();
    },
    reopen: (meanwhile = () => undefined) => {
      ledger.close();
      meanwhile();
      ledger = watched(open());
      sweepAt = now;
    },
    close: () => ledger.close(),
  };
};

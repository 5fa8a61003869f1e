import { messageIdOf } from "../../functions/compose/mail.ts";
import { emptyEntry, told } from "../../functions/decide/entry.ts";
import { defaultPolicy, type Policy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import type { DeliveryOutcome } from "../../functions/deliver/outcome.ts";
import { relays } from "../../functions/deliver/routes.ts";
import { intake } from "../../functions/intake/app.ts";
import { readPost } from "../../functions/intake/post.ts";
import { newRecord } from "../../functions/ledger/journal.ts";
import type { Change, Ledger, Page } from "../../functions/ledger/ledger.ts";
import { claim, settle } from "../../functions/ledger/page.ts";
import { ledgerIn } from "../../functions/ledger/sqlite.ts";
import { pipeline } from "../../functions/pipeline/pipeline.ts";
import { type QueuedAlert, toMessage } from "../../functions/queue/message.ts";
import type { Queue, ReceivedMessage } from "../../functions/queue/queue.ts";
import type { Report } from "../../functions/report/event.ts";
import { Secret } from "../../functions/secret.ts";
import { openDatabase } from "../../functions/sqlite.ts";
import { progress, short } from "./rounds.ts";

export const site = "site";
const sender = { from: { address: "nagios@example.com" }, envelopeFrom: "nagios@example.com" };
const route = "smtp://relay.example.com:587";
const accepted: DeliveryOutcome = {
  result: "accepted",
  reply: "250 2.0.0 Ok: queued as 4fHq2L6Xz9z1Yb",
  code: 250,
  queueId: "4fHq2L6Xz9z1Yb",
  durationMilliseconds: 30,
  tls: {
    version: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    subject: "CN=relay.example.com",
    validTo: "Nov 25 22:53:45 2027 GMT",
  },
};

/** A notification of a Nagios about its service of this number; each host has 20. `notification` counts all of them. */
export type Told = {
  service: number;
  notification: number;
  at: number;
  recovery?: boolean;
  /** For how many contacts; one of three if absent. */
  contacts?: number;
  degraded?: boolean;
};
export const inputOf = ({ service, notification, at, recovery, contacts, degraded }: Told) => ({
  v: 1,
  source: "nagios",
  monitor: { id: "monitor1", start: 1_795_000_000 },
  type: recovery ? "RECOVERY" : "PROBLEM",
  object: {
    host: `host${Math.floor(service / 20)}.example.com`,
    service: `Service ${service % 20}`,
    address: "192.0.2.17",
  },
  state: recovery ? "OK" : "CRITICAL",
  notification: { id: String(notification), number: 1 },
  problem: { id: String(service + 1) },
  output: recovery ? "HTTP OK: HTTP/1.1 200 OK" : "CRITICAL - Socket timeout after 10 seconds",
  time: Math.floor(at / 1000),
  recipients: Array.from({ length: contacts ?? 1 }, (_, index) => ({
    email: `contact${contacts ? index : service % 3}@example.com`,
  })),
  ...(degraded && { degraded }),
});

/** The alerts of a post, as intake makes them. */
export const queuedOf = (input: Told): QueuedAlert[] => {
  const reading = readPost(inputOf(input), { site, now: input.at, aliases: new Map(), allowed: () => true });
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading.value;
};

/** The answer of intake to a GET on this ledger; throws if that is not 200. */
export const askingOf = (ledger: Ledger, queue: Queue, clock: () => number) => {
  const token = "a-token-of-twenty-four-characters";
  const app = intake({
    tokens: [{ site, token: new Secret(token) }],
    aliases: new Map(),
    allowed: () => true,
    operators: [],
    queue,
    ledger,
    clock,
    report: () => undefined,
  });
  return async (path: string): Promise<Response> => {
    const answer = await app.request(path, { headers: { Authorization: `Bearer ${token}` } });
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}`);
    return answer;
  };
};

/** The pipeline on a ledger, with a relay that takes every mail at once. */
export const pipelineOn = (
  ledger: Ledger,
  queue: Pick<Queue, "send">,
  clock: () => number,
  policy: Partial<Policy> = {},
  report: Report = () => undefined,
) =>
  pipeline({
    ledger,
    queue,
    handOver: relays({
      routes: [{ relay: { route, connections: 3 }, transport: { route, send: async () => accepted } }],
      states: ledger,
      clock,
    }),
    sender,
    operators: [],
    policy: { ...defaultPolicy, ...policy },
    giveUpAfterSeconds: 48 * 3600,
    clock,
    report,
  });

/** An alert as the queue hands it out at first. */
export const messageOf = (queued: QueuedAlert, now: number): ReceivedMessage => {
  const { group, body } = toMessage(queued);
  return { receipt: "1", group, body, receiveCount: 1, visibleAgainAt: now + 400_000 };
};

/** Mails the alerts of an episode of which the ledger knows nothing: all claims and settlements. */
const mailAll = async (ledger: Ledger, alerts: readonly QueuedAlert[]): Promise<void> => {
  let entry = emptyEntry;
  const noting: Ledger = {
    ...ledger,
    write: async (change) => {
      if (!(await ledger.write(change))) return false;
      entry = { ...change.entry, revision: change.entry.revision + 1 };
      return true;
    },
  };
  for (const queued of alerts) {
    const now = queued.receivedAt;
    const record = newRecord(queued);
    const page: Page = { key: record.objectKey, entry, record };
    const verdict = decide(page, queued, defaultPolicy, now);
    if (verdict.action !== "send") throw new Error(`no mail was decided: ${verdict.reason}`);
    const message = { visibleAgainAt: now + 400_000, receiveCount: 1 };
    const mine = await claim(noting, page, verdict, messageIdOf(queued, sender), now, message);
    if (!mine) throw new Error("an alert was not claimed");
    const handover = { attempts: [{ at: now, route, outcome: accepted }] };
    const ending = { at: now, as: "mailed" as const, reason: accepted.reply };
    await settle(noting, queued, mine, handover, ending, (before) =>
      told(before, verdict.kind, queued, verdict.episode?.id, now),
    );
  }
};

/** The items of an episode in the ledger in the end: it is written once here, not at each step. */
export const lastChange = async (ledger: Ledger, alerts: readonly QueuedAlert[]): Promise<Change> => {
  const changes: Change[] = [];
  const noting: Ledger = {
    ...ledger,
    write: async (change) => {
      changes.push(change);
      return true;
    },
  };
  await mailAll(noting, alerts);
  const entry = changes.at(-1)?.entry ?? emptyEntry;
  const records = new Map(changes.flatMap((change) => change.records.map((record) => [record.id, record])));
  const [first] = changes;
  if (!first) throw new Error("nothing was written");
  return { ...first, entry: { ...entry, revision: 0 }, records: [...records.values()] };
};

/** How an episode of a filled ledger was told: every second one is over. Its last mail was in the last 20 days. */
export const episodeOf = (number: number, episodes: number, now: number): QueuedAlert[] => {
  const at = Math.floor(now - ((episodes - number) / episodes) * 20 * 86_400_000);
  const problem = queuedOf({ service: number, notification: 2 * number + 1, at });
  if (number % 2 === 0) return problem;
  return [...problem, ...queuedOf({ service: number, notification: 2 * number + 2, at, recovery: true })];
};

/** The number of the service of an open episode, another one for each `turn`. */
export const openService = (turn: number, episodes: number): number =>
  ((turn * 999_983) % (episodes / 2)) * 2;

const atOnce = 20_000;

/** Fills a SQLite ledger with episodes, each of another service: with what decisions, claims and settlements write. */
export const fillSqlite = async (path: string, episodes: number, now: number): Promise<void> => {
  const db = openDatabase(path, 5000);
  db.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; PRAGMA wal_autocheckpoint = 100000;");
  const ledger = ledgerIn(Object.assign(db, { transaction: <T>(work: () => T): T => work() }));
  const began = performance.now();
  for (let first = 0; first < episodes; first += atOnce) {
    db.exec("BEGIN");
    for (let number = first; number < Math.min(first + atOnce, episodes); number++)
      if (!(await ledger.write(await lastChange(ledger, episodeOf(number, episodes, now)))))
        throw new Error("an episode was there already");
    db.exec("COMMIT");
    if (episodes > atOnce)
      progress(
        `  ${Math.min(first + atOnce, episodes)} of ${episodes} episodes, ${short((performance.now() - began) / 1000)} s`,
      );
  }
  db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  db.close();
};

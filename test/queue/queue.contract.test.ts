import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout } from "node:timers/promises";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { startFauxqs } from "fauxqs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type OutgoingMessage, toMessage } from "../../functions/queue/message.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { sqsQueue } from "../../functions/queue/sqs.ts";
import { queuedAlert } from "../world/alerts.ts";
import { clock, contract, idOf, message } from "./contract.ts";
import { clientOf, createAlertQueue, createQueue } from "./sqs.ts";

let count = 0;
const folder = mkdtempSync(join(tmpdir(), "hardstate-queue-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = () => join(folder, `${count++}.sqlite`);
contract("sqlite", async () => sqliteQueue(path(), clock));

describe("sqlite alone", () => {
  const options = { max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 0 };

  it("keeps what somebody else holds by now from a late worker", async () => {
    const queue = sqliteQueue(path(), clock);
    await queue.send([message("a", "a1")]);
    const late = await queue.receive(options);
    const held = await queue.receive(options);
    await queue.remove(late);
    for (const received of late) await queue.giveBack(received, 1000);
    expect((await queue.receive(options)).map(idOf)).toEqual(["a1"]);
    await queue.remove(held);
  });

  it("takes up at once what a dead process was handed, and no sooner what was given back for later", async () => {
    const file = path();
    const dead = sqliteQueue(file, clock);
    await dead.send([message("a", "in-flight"), message("b", "deferred")]);
    const messages = await dead.receive({ ...options, visibilityTimeoutSeconds: 400 });
    for (const received of messages) if (idOf(received) === "deferred") await dead.giveBack(received, 400);
    const next = sqliteQueue(file, clock);
    expect(await next.receive(options)).toEqual([]);
    expect(next.recover()).toBe(1);
    const [again] = await next.receive(options);
    expect(again && [idOf(again), again.receiveCount]).toEqual(["in-flight", 2]);
    expect(await next.receive(options)).toHaveLength(1);
  });

  it("hands out all messages after a receive that could not be written", async () => {
    const file = path();
    const queue = sqliteQueue(file, clock, 200);
    const of = (site: string, id: string) => ({ ...message(id, id), site });
    await queue.send([of("north", "n1"), of("south", "s1"), of("south", "s2")]);
    const other = new DatabaseSync(file);
    other.exec(`CREATE TRIGGER full BEFORE UPDATE ON message WHEN OLD.message_group = '${message("s2", "s2").group}'
      BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`);
    await expect(queue.receive(options)).rejects.toThrow(/full/);
    other.exec("DROP TRIGGER full");
    other.close();
    expect(await queue.depth()).toMatchObject({ waiting: 3, handedOut: 0 });
    const received = await queue.receive(options);
    expect(received.map(idOf).sort()).toEqual(["n1", "s1", "s2"]);
  });

  it.each([
    ["an hour", 3_600_000],
    ["a year", 365 * 86_400_000],
  ])("goes on when the clock is set back by %s", async (_, milliseconds) => {
    let now = Date.now();
    const queue = sqliteQueue(path(), () => now);
    await queue.send([message("a", "a1"), message("b", "b1")]);
    const [first] = await queue.receive({ ...options, max: 1 });
    if (first) await queue.giveBack(first, 1800);
    now -= milliseconds;
    await queue.receive(options);
    expect(await queue.receive(options)).toHaveLength(2);
  });

  it("hides for half an hour what is to wait for a day, and not for less", async () => {
    let now = Date.now();
    const queue = sqliteQueue(path(), () => now);
    await queue.send([message("a", "a1")]);
    const [first] = await queue.receive({ ...options, max: 1 });
    if (first) await queue.giveBack(first, 86_400);
    now += 1_799_000;
    await queue.receive(options);
    expect(await queue.receive(options)).toEqual([]);
    now += 1000;
    expect(await queue.receive(options)).toHaveLength(1);
  });

  it("shares one commit among the posts of one moment", async () => {
    const file = path();
    const queue = sqliteQueue(file, clock);
    const before = statSync(`${file}-wal`).size;
    const posts = Array.from({ length: 50 }, (_, index) =>
      queue.send([message(`g${index}`, `alert-${index}`)]),
    );
    expect((await Promise.all(posts)).flat()).toHaveLength(50);
    // Every commit writes at least the pages it changed: 50 of them would be 50 times this table and its indexes.
    expect(statSync(`${file}-wal`).size - before).toBeLessThan(50 * 4 * 4096);
  });

  const of = (site: string, contact: string, id: string, group = id): OutgoingMessage => ({
    ...message(group, id),
    site,
    contact,
  });
  const many = (site: string, contact: string, count: number, group?: string) =>
    Array.from({ length: count }, (_, index) => of(site, contact, `${site}-${contact}-${index}`, group));

  it("hands out by turns among sites, whatever the others have queued", async () => {
    const queue = sqliteQueue(path(), clock);
    await queue.send([...many("a", "x", 3000), ...many("b", "x", 3000)]);
    await queue.send([of("c", "x", "alone")]);
    const next = async (max: number) =>
      (await queue.receive({ max, waitSeconds: 0, visibilityTimeoutSeconds: 400 })).map(idOf);
    expect(await next(3)).toEqual(["a-x-0", "b-x-0", "alone"]);
    expect(await next(4)).toEqual(["a-x-1", "b-x-1", "a-x-2", "b-x-2"]);
  });

  it.each([
    ["in many groups", undefined],
    ["in one group", "one"],
  ])("hands out by turns among a site's contacts, though one has thousands %s", async (_, group) => {
    const queue = sqliteQueue(path(), clock);
    await queue.send(many("a", "flooded", 3000, group));
    const drained: string[] = [];
    const next = async (count: number) => {
      for (let taken = 0; taken < count; taken++) {
        const received = await queue.receive({ ...options, max: 1, visibilityTimeoutSeconds: 30 });
        drained.push(...received.map(idOf));
        await queue.remove(received);
      }
    };
    await next(100);
    await queue.send([of("a", "quiet", "quiet-1"), of("a", "quiet", "quiet-2")]);
    await next(4);
    expect(drained.slice(100).filter((id) => id.startsWith("quiet"))).toEqual(["quiet-1", "quiet-2"]);
  });

  it("gives messages that become visible at one moment their turns among the others", async () => {
    let now = Date.now();
    const queue = sqliteQueue(path(), () => now);
    await queue.send(many("a", "x", 2500));
    const all = { ...options, max: 2500, visibilityTimeoutSeconds: 400 };
    for (const received of await queue.receive(all)) await queue.giveBack(received, 60);
    await queue.send([of("b", "x", "late")]);
    const [late] = await queue.receive(options);
    if (late) await queue.giveBack(late, 60);
    now += 60_000;
    const order: string[] = [];
    for (let receives = 0; !order.includes("late"); receives++) {
      order.push(...(await queue.receive({ ...options, visibilityTimeoutSeconds: 400 })).map(idOf));
      expect(receives).toBeLessThan(5);
    }
  });

  it("hands a site no more while it has as many messages in hand as are free", async () => {
    const queue = sqliteQueue(path(), clock, 20);
    const held = { ...options, max: 50, visibilityTimeoutSeconds: 400 };
    await queue.send(many("a", "x", 50));
    const first = await queue.receive(held);
    expect(first).toHaveLength(10);
    await queue.send(many("b", "x", 50));
    expect(await queue.receive(held)).toHaveLength(5);
    await queue.send([of("c", "x", "alone")]);
    expect((await queue.receive(held)).map(idOf)).toEqual(["alone"]);
    const waiting = queue.receive({ ...held, max: 1, waitSeconds: 20 });
    await queue.remove(first);
    expect(await waiting).toHaveLength(1);
  });

  it("keeps a long alert once for all its contacts, in the queue and among the dead letters", async () => {
    const file = path();
    const queue = sqliteQueue(file, clock);
    const long = queuedAlert({ alert: { ...queuedAlert().alert, long_output: "x".repeat(60_000) } });
    const contacts = Array.from({ length: 100 }, (_, index) => `c${index}@example.com`);
    await queue.send(contacts.map((contact, index) => toMessage({ ...long, id: `alert-${index}`, contact })));
    const db = new DatabaseSync(file);
    const texts = () => db.prepare("SELECT length(json) AS length FROM text").all();
    expect(texts()).toHaveLength(1);
    expect(await queue.waitingBytes("site")).toBeLessThan(61_000 + 100 * 500);
    const all = await queue.receive({ max: 100, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
    expect(new Set(all.map(({ body }) => JSON.parse(body).alert.long_output.length))).toEqual(
      new Set([60_000]),
    );
    await queue.remove(all.slice(0, 50));
    for (const received of all.slice(50)) await queue.bury(received, "550");
    expect(await queue.waitingBytes("site")).toBe(0);
    // A list is read without the long text.
    expect((await queue.deadLetters(1))[0]?.alert?.alert.object.host).toBe("web01");
    expect(await queue.redrive({})).toBe(50);
    expect(await queue.waitingBytes("site")).toBeGreaterThan(60_000);
    expect(texts()).toHaveLength(1);
    const again = await queue.receive({ max: 100, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
    expect(again.every(({ body }) => JSON.parse(body).alert.long_output.length === 60_000)).toBe(true);
    await queue.remove(again);
    expect(await queue.waitingBytes("site")).toBe(0);
    expect(texts()).toEqual([]);
    db.close();
  });

  it("continues the turns after a restart", async () => {
    const file = path();
    const held = { max: 2, waitSeconds: 0, visibilityTimeoutSeconds: 400 };
    const before = sqliteQueue(file, clock);
    await before.send(many("a", "flooded", 500));
    expect((await before.receive(held)).map(idOf)).toEqual(["a-flooded-0", "a-flooded-1"]);
    before.close();
    const queue = sqliteQueue(file, clock);
    await queue.send([...many("a", "flooded", 510).slice(500), of("a", "quiet", "quiet")]);
    expect((await queue.receive(held)).map(idOf).toSorted()).toEqual(["a-flooded-2", "quiet"]);
    expect((await queue.receive(held)).map(idOf)).toEqual(["a-flooded-3", "a-flooded-4"]);
  });

  it("puts back each dead letter that there was, though others are buried meanwhile", async () => {
    const queue = sqliteQueue(path(), clock);
    await queue.send(many("a", "x", 160));
    const all = await queue.receive({ max: 160, waitSeconds: 0, visibilityTimeoutSeconds: 400 });
    const [kept, buried] = [all.slice(0, 10), all.slice(10)];
    for (const received of buried) await queue.bury(received, "550");
    const putBack = queue.redrive({});
    // The second page of letters has these too.
    for (const received of kept) await queue.bury(received, "550");
    expect(await putBack).toBe(150);
    expect(await queue.deadLetterCount()).toBe(10);
  });

  it("continues with a file of a version without turns", async () => {
    const file = path();
    const old = new DatabaseSync(file);
    old.exec(`
      CREATE TABLE message (sequence INTEGER PRIMARY KEY AUTOINCREMENT, message_group TEXT NOT NULL,
        deduplication_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, receive_count INTEGER NOT NULL DEFAULT 0,
        handed_out INTEGER NOT NULL DEFAULT 0, ready_at INTEGER) STRICT;
      CREATE INDEX message_ready ON message (ready_at, sequence) WHERE ready_at IS NOT NULL;
      CREATE TABLE dead_letter (sequence INTEGER PRIMARY KEY AUTOINCREMENT, message_group TEXT NOT NULL,
        deduplication_id TEXT NOT NULL, body TEXT NOT NULL, reason TEXT NOT NULL, dead_at INTEGER NOT NULL) STRICT;
      CREATE INDEX dead_letter_site ON dead_letter ((CASE WHEN json_valid(body) THEN body ->> '$.site' END), sequence);
    `);
    const keep = old.prepare(
      "INSERT INTO message (message_group, deduplication_id, body, ready_at) VALUES (?, ?, ?, ?)",
    );
    for (const [group, id, at] of [["a", "a1", 1], ["a", "a2", null], ["b", "b1", 2]] as const) // biome-ignore format: one row
      keep.run(group, id, message(group, id).body, at);
    old
      .prepare(
        "INSERT INTO dead_letter (message_group, deduplication_id, body, reason, dead_at) VALUES (?, ?, ?, ?, ?)",
      )
      .run("c", "c1", message("c", "c1").body, "550", 1);
    old.exec(
      "INSERT INTO dead_letter (message_group, deduplication_id, body, reason, dead_at) VALUES ('d', 'd', 'no alert', 'x', 2)",
    );
    old.close();
    const queue = sqliteQueue(file, clock);
    expect(await queue.waitingBytes("s")).toBeGreaterThan(300);
    expect((await queue.deadLetters(10, "s")).map(({ alert }) => alert?.id)).toEqual(["c1", undefined]);
    expect(await queue.deadLetters(10, "other")).toHaveLength(1);
    const held = { ...options, visibilityTimeoutSeconds: 400 };
    const first = await queue.receive(held);
    expect(first.map(idOf)).toEqual(["a1", "b1"]);
    await queue.remove(first);
    expect((await queue.receive(held)).map(idOf)).toEqual(["a2"]);
    expect(await queue.redrive({ site: "s" })).toBe(1);
  });

  it("takes nothing and says so while another process locks the file", async () => {
    const file = path();
    const queue = sqliteQueue(file, clock);
    const other = new DatabaseSync(file);
    other.exec("BEGIN EXCLUSIVE");
    await expect(queue.send([message("a", "a1")])).rejects.toThrow("locked");
    await expect(queue.ready()).rejects.toThrow("locked");
    other.exec("ROLLBACK");
    expect(await queue.receive(options)).toEqual([]);
    const sent = message("a", "a1");
    expect(await queue.send([sent])).toEqual([true]);
    expect(await queue.send([sent, message("a", "a2")])).toEqual(["known", true]);
  });
});

describe("with an SQS emulator", () => {
  let server: Awaited<ReturnType<typeof startFauxqs>>;
  let client: SQSClient;
  beforeAll(async () => {
    server = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
    client = clientOf(`http://127.0.0.1:${server.port}`);
  });
  afterAll(() => server.stop());

  contract("sqs", async () => sqsQueue(client, await createAlertQueue(client, `alerts-${count++}`), clock));

  type Batch = { Entries: { Id: string; MessageGroupId: string; MessageBody: string }[] };
  const bodies = ({ Entries }: Batch) => Entries.map(({ MessageBody }) => MessageBody);

  it("keeps a group in order though requests overtake each other", async () => {
    const arrived: string[] = [];
    let requests = 0;
    const overtaking = {
      send: async ({ input }: { input: Batch }) => {
        // Each request takes less time than the one before it.
        await setTimeout(Math.max(0, 50 - 10 * requests++));
        arrived.push(...bodies(input));
        return {};
      },
    } as unknown as SQSClient;
    const groups = Array.from({ length: 12 }, (_, index) => `g${index}`);
    const sent = [1, 2, 3].flatMap((nth) =>
      groups.map((group) => ({ ...message(group, `${nth}`), body: `${group} ${nth}` })),
    );
    expect(await sqsQueue(overtaking, "http://localhost/q.fifo", clock).send(sent)).toEqual(
      sent.map(() => true),
    );
    for (const group of groups)
      expect(arrived.filter((body) => body.startsWith(`${group} `))).toEqual(
        [1, 2, 3].map((nth) => `${group} ${nth}`),
      );
  });

  it("sends nothing more of a group when SQS did not take a message of it", async () => {
    const arrived: string[] = [];
    const refusing = {
      send: async ({ input }: { input: Batch }) => {
        const isRefused = ({ MessageBody }: { MessageBody: string }) => MessageBody === "a1";
        arrived.push(...bodies(input).filter((body) => body !== "a1"));
        return { Failed: input.Entries.filter(isRefused).map(({ Id }) => ({ Id })) };
      },
    } as unknown as SQSClient;
    const sent = ["a1", "b1", "a2", "b2"].map((body) => ({ ...message(body.slice(0, 1), body), body }));
    expect(await sqsQueue(refusing, "http://localhost/q.fifo", clock).send(sent)).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect(arrived).toEqual(["b1", "b2"]);
  });

  it("gives back for no longer than SQS takes: 12 hours, those included that a worker had it", async () => {
    const asked: { VisibilityTimeout?: number }[] = [];
    const noting = {
      send: async ({ input }: { input: object }) => {
        asked.push(input);
        return {};
      },
    } as unknown as SQSClient;
    const received = { receipt: "r", group: "a", body: "", receiveCount: 1, visibleAgainAt: 0 };
    await sqsQueue(noting, "http://localhost/q.fifo", clock).giveBack(received, 86_400);
    expect((asked[0]?.VisibilityTimeout ?? 0) + 420).toBeLessThanOrEqual(12 * 3600);
  });

  it.each([
    ["cut in the middle of a character", `550 ${"x".repeat(995)}\u{1f600}`],
    ["with a character that SQS refuses", "550 \ufffe\u0001"],
    ["that is empty", ""],
  ])("buries with a reason %s", async (_, reason) => {
    let told: string | undefined;
    const noting = {
      send: async ({ input }: { input: { MessageAttributes?: { reason?: { StringValue?: string } } } }) => {
        told ??= input.MessageAttributes?.reason?.StringValue;
        return { Attributes: { RedrivePolicy: '{"deadLetterTargetArn":"arn:dead.fifo"}' }, QueueUrl: "u" };
      },
    } as unknown as SQSClient;
    const received = { receipt: "r", group: "a", body: "{}", receiveCount: 1, visibleAgainAt: 0 };
    await sqsQueue(noting, "http://localhost/q.fifo", clock).bury(received, reason);
    expect(told).toMatch(/^[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]{1,1000}$/u);
  });

  it("asks all of SQS's servers for dead letters as long as there are more than it has seen", async () => {
    const waited: unknown[] = [];
    const answers: Record<string, object> = {
      GetQueueAttributesCommand: {
        Attributes: {
          RedrivePolicy: '{"deadLetterTargetArn":"arn:dead.fifo"}',
          ApproximateNumberOfMessages: "2",
        },
      },
      GetQueueUrlCommand: { QueueUrl: "u" },
    };
    const sparse = {
      send: async (command: { input: { WaitTimeSeconds?: number } }) => {
        if (command.constructor.name !== "ReceiveMessageCommand")
          return answers[command.constructor.name] ?? {};
        waited.push(command.input.WaitTimeSeconds);
        const MessageId = String(waited.length);
        return { Messages: waited.length < 3 ? [{ MessageId, ReceiptHandle: MessageId, Body: "{}" }] : [] };
      },
    } as unknown as SQSClient;
    expect(await sqsQueue(sparse, "http://localhost/q.fifo", clock).deadLetters(10)).toHaveLength(2);
    expect(waited).toEqual([1, 1, 0]);
  });

  it("puts all dead letters back, though it never holds more than a thousand", async () => {
    let [dead, held, most] = [1003, 0, 0];
    const answers: Record<string, (input: { Entries?: unknown[] }) => object> = {
      GetQueueAttributesCommand: () => ({
        Attributes: { RedrivePolicy: '{"deadLetterTargetArn":"arn:d.fifo"}' },
      }),
      GetQueueUrlCommand: () => ({ QueueUrl: "u" }),
      ReceiveMessageCommand: () => {
        const Messages = Array.from({ length: Math.min(10, dead - held) }, (_, index) => {
          const MessageId = String(dead - held - index);
          return { MessageId, ReceiptHandle: MessageId, Body: "no alert" };
        });
        held += Messages.length;
        most = Math.max(most, held);
        return { Messages };
      },
      DeleteMessageBatchCommand: ({ Entries = [] }) => {
        dead -= Entries.length;
        held -= Entries.length;
        return {};
      },
    };
    const stubbed = {
      send: async (command: { input: object }) => answers[command.constructor.name]?.(command.input) ?? {},
    } as unknown as SQSClient;
    expect(await sqsQueue(stubbed, "http://localhost/q.fifo", clock).redrive({})).toBe(1003);
    expect([dead, most]).toEqual([0, 1000]);
  });

  it("puts an alert back into its own group, whatever group it was buried from", async () => {
    const queue = sqsQueue(client, await createAlertQueue(client, `moved-${count++}`), clock);
    const receive = () => queue.receive({ max: 10, waitSeconds: 1, visibilityTimeoutSeconds: 30 });
    const own = toMessage(queuedAlert());
    await queue.send([
      { ...own, group: "of-its-burial" },
      { ...message("of-no-alert", "d"), body: "no alert" },
    ]);
    for (let buried = 0; buried < 2; )
      for (const received of await receive()) {
        await queue.bury(received, "550");
        buried += 1;
      }
    expect(await queue.redrive({})).toBe(2);
    const groups = (await receive()).map(({ group }) => group);
    expect(groups.sort()).toEqual([own.group, "of-no-alert"].sort());
  });

  it("tells a second request of its dead letters, though the first still looks for their queue", async () => {
    let searches = 0;
    const slow = {
      send: async (command: { constructor: { name: string } }) => {
        if (command.constructor.name === "GetQueueUrlCommand" && ++searches === 1)
          await new Promise(() => undefined);
        return client.send(command as never);
      },
    } as unknown as SQSClient;
    const queue = sqsQueue(slow, await createAlertQueue(client, `searched-${count++}`), clock);
    queue.deadLetterCount();
    expect(await queue.deadLetterCount()).toBe(0);
  });

  it("is not ready without a dead-letter queue", async () => {
    const queue = sqsQueue(client, await createQueue(client, `lonely-${count++}`), clock);
    await expect(queue.ready()).rejects.toThrow("redrive policy");
  });
});

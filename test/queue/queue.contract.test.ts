import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { startFauxqs } from "fauxqs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { OutgoingMessage, Queue } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { sqsQueue } from "../../functions/queue/sqs.ts";

const clock = () => Date.now();
let count = 0;
const message = (group: string, id: string): OutgoingMessage => ({
  group,
  deduplicationId: `${id}-${count++}`,
  body: JSON.stringify({
    v: 1,
    id,
    site: "s",
    contact: "ops@example.com",
    receivedAt: 1,
    alert: {
      v: 1,
      source: "nagios",
      monitor: { id: "m" },
      type: "PROBLEM",
      object: { host: "web01" },
      state: "DOWN",
      time: 1,
    },
  }),
});
const idOf = ({ body }: { body: string }): string => JSON.parse(body).id;

/** What every queue promises, whatever it is made of. */
const contract = (name: string, make: () => Promise<Queue>) =>
  describe(name, () => {
    let queue: Queue;
    beforeEach(async () => {
      queue = await make();
    });
    const receive = (visibilityTimeoutSeconds = 30, max = 10) =>
      queue.receive({ max, waitSeconds: 0, visibilityTimeoutSeconds });
    /** Receives and removes until nothing comes, and tells the ids in order. */
    const drain = async (): Promise<string[]> => {
      const ids: string[] = [];
      for (;;) {
        const messages = await receive();
        if (messages.length === 0) return ids;
        ids.push(...messages.map(idOf));
        await queue.remove(messages);
      }
    };

    it("takes a batch and hands out what it took, unchanged", async () => {
      const sent = Array.from({ length: 23 }, (_, index) => message(`g${index}`, `alert-${index}`));
      expect(await queue.send(sent)).toEqual(sent.map(() => true));
      expect((await drain()).toSorted()).toEqual(sent.map(idOf).toSorted());
    });

    it("hands out a group in the order in which it was sent", async () => {
      for (const id of ["one", "two", "three"]) await queue.send([message("g", id)]);
      await queue.send([message("g", "four"), message("g", "five")]);
      expect(await drain()).toEqual(["one", "two", "three", "four", "five"]);
    });

    it("locks a group while one of its messages is out, and no other group", async () => {
      await queue.send([message("a", "a1"), message("a", "a2"), message("b", "b1")]);
      const first = await receive(30, 1);
      expect(first.map(idOf)).toEqual(["a1"]);
      expect((await receive()).map(idOf)).toEqual(["b1"]);
      expect(await receive()).toEqual([]);
      await queue.remove(first);
      expect((await receive()).map(idOf)).toEqual(["a2"]);
    });

    it("keeps a group locked while its given-back message is hidden, then hands that one out first", async () => {
      await queue.send([message("a", "a1"), message("a", "a2"), message("b", "b1")]);
      const [first] = await receive(30, 1);
      if (!first) throw new Error("nothing was handed out");
      await queue.giveBack(first, 1);
      expect((await receive()).map(idOf)).toEqual(["b1"]);
      const again = await queue.receive({ max: 1, waitSeconds: 5, visibilityTimeoutSeconds: 30 });
      expect(again.map(idOf)).toEqual(["a1"]);
    });

    it("counts how often a message was handed out", async () => {
      await queue.send([message("a", "a1")]);
      for (const receiveCount of [1, 2, 3]) {
        const [received] = await receive();
        if (!received) throw new Error("nothing was handed out");
        expect(received.receiveCount).toBe(receiveCount);
        await queue.giveBack(received, 0);
      }
    });

    it("hands a message out again when nobody removed it in time", async () => {
      await queue.send([message("a", "a1")]);
      const before = clock();
      const [lost] = await receive(1);
      expect(lost?.visibleAgainAt).toBeGreaterThanOrEqual(before + 1000);
      const [again] = await queue.receive({ max: 1, waitSeconds: 5, visibilityTimeoutSeconds: 30 });
      expect(again && idOf(again)).toBe("a1");
    });

    it("passes over the removal of a message that was handed out anew", async () => {
      await queue.send([message("a", "a1")]);
      const late = await receive(1);
      const held = await queue.receive({ max: 1, waitSeconds: 5, visibilityTimeoutSeconds: 30 });
      expect(held.map(idOf)).toEqual(["a1"]);
      await expect(queue.remove(late)).resolves.toBeUndefined();
    });

    it("puts a dead letter aside with its reason, and goes on with its group", async () => {
      await queue.send([message("a", "dead-one"), message("a", "a2")]);
      const [received] = await receive(30, 1);
      if (!received) throw new Error("nothing was handed out");
      await queue.bury(received, "550 5.1.1 no such user");
      expect(await queue.deadLetters(10)).toMatchObject([
        { alert: { id: "dead-one" }, reason: "550 5.1.1 no such user" },
      ]);
      expect(await drain()).toEqual(["a2"]);
    });

    it("puts dead letters back, one or all, as if they were new", async () => {
      await queue.send([message("a", "dead-one"), message("b", "dead-two"), message("c", "dead-three")]);
      for (const received of await receive()) await queue.bury(received, "550");
      expect(await queue.redrive(({ alert }) => alert?.id === "dead-two")).toBe(1);
      const [again] = await receive();
      expect(again && [idOf(again), again.receiveCount]).toEqual(["dead-two", 1]);
      expect(JSON.parse(again?.body ?? "")).toMatchObject({ putBackAt: expect.any(Number) });
      if (again) await queue.remove([again]);
      expect(await queue.redrive(() => true)).toBe(2);
      expect((await drain()).toSorted()).toEqual(["dead-one", "dead-three"]);
      expect(await queue.deadLetters(10)).toEqual([]);
    });

    it("buries and redrives the same alert again at once", async () => {
      await queue.send([message("a", "stubborn")]);
      for (let round = 0; round < 2; round++) {
        const [received] = await receive();
        if (!received) throw new Error("nothing was handed out");
        await queue.bury(received, `refused ${round}`);
        expect(await queue.redrive(({ alert }) => alert?.id === "stubborn")).toBe(1);
      }
      expect(await drain()).toEqual(["stubborn"]);
    });

    it("keeps what is no alert among the dead letters, with its text", async () => {
      await queue.send([{ ...message("a", "a1"), body: "no alert" }]);
      const [received] = await receive();
      if (!received) throw new Error("nothing was handed out");
      await queue.bury(received, "unreadable");
      const letters = await queue.deadLetters(10);
      expect(letters).toMatchObject([{ reason: "unreadable", body: "no alert" }]);
      expect(letters[0]?.alert).toBeUndefined();
    });

    it("tells how many wait and how many are out", async () => {
      expect(await queue.depth()).toMatchObject({ waiting: 0, handedOut: 0 });
      await queue.send([message("a", "a1"), message("b", "b1"), message("c", "c1")]);
      await receive(30, 1);
      expect(await queue.depth()).toMatchObject({ waiting: 2, handedOut: 1 });
    });

    it("takes the same message only once while it waits", async () => {
      const twice = message("a", "twice");
      await queue.send([twice]);
      await queue.send([twice]);
      expect(await drain()).toEqual(["twice"]);
    });

    it("wakes a waiting worker when a message comes", async () => {
      const waiting = queue.receive({ max: 1, waitSeconds: 20, visibilityTimeoutSeconds: 30 });
      await queue.send([message("a", "a1")]);
      expect((await waiting).map(idOf)).toEqual(["a1"]);
    });

    it("lets a waiting worker go when it is told to stop", async () => {
      const stop = new AbortController();
      const waiting = queue.receive({
        max: 1,
        waitSeconds: 20,
        visibilityTimeoutSeconds: 30,
        signal: stop.signal,
      });
      stop.abort();
      expect(await waiting).toEqual([]);
    });

    it("says that it is ready", async () => {
      await expect(queue.ready()).resolves.toBeUndefined();
    });
  });

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

  it("goes on when the clock is set back by a year", async () => {
    let now = Date.now();
    const queue = sqliteQueue(path(), () => now);
    await queue.send([message("a", "a1"), message("b", "b1")]);
    const [first] = await queue.receive({ ...options, max: 1 });
    if (first) await queue.giveBack(first, 1800);
    now -= 365 * 86_400_000;
    await queue.receive(options);
    expect(await queue.receive(options)).toHaveLength(2);
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

  it("takes nothing and says so while another process locks the file", async () => {
    const file = path();
    const queue = sqliteQueue(file, clock);
    const other = new DatabaseSync(file);
    other.exec("BEGIN EXCLUSIVE");
    await expect(queue.send([message("a", "a1")])).rejects.toThrow("locked");
    await expect(queue.ready()).rejects.toThrow("locked");
    other.exec("ROLLBACK");
    expect(await queue.receive(options)).toEqual([]);
    expect(await queue.send([message("a", "a1")])).toEqual([true]);
  });
});

describe("with an SQS emulator", () => {
  let server: Awaited<ReturnType<typeof startFauxqs>>;
  let client: SQSClient;
  beforeAll(async () => {
    server = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
    client = new SQSClient({
      region: "us-east-1",
      endpoint: `http://127.0.0.1:${server.port}`,
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
    });
  });
  afterAll(() => server.stop());

  const createQueue = async (name: string, attributes: Record<string, string> = {}): Promise<string> => {
    const { QueueUrl = "" } = await client.send(
      new CreateQueueCommand({ QueueName: `${name}.fifo`, Attributes: { FifoQueue: "true", ...attributes } }),
    );
    return QueueUrl;
  };
  contract("sqs", async () => {
    const name = `alerts-${count++}`;
    const dead = await createQueue(`${name}-dead`);
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl: dead, AttributeNames: ["QueueArn"] }),
    );
    const url = await createQueue(name, {
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: Attributes?.QueueArn, maxReceiveCount: 1000 }),
    });
    return sqsQueue(client, url, clock);
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

  it("is not ready without a dead-letter queue", async () => {
    const queue = sqsQueue(client, await createQueue(`lonely-${count++}`), clock);
    await expect(queue.ready()).rejects.toThrow("redrive policy");
  });
});

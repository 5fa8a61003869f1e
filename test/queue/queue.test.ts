import { describe, expect, it } from "vitest";
import { type QueuedAlert, readQueuedAlert, toMessage } from "../../functions/queue/message.ts";
import {
  type Disposition,
  drainInOrder,
  idIn,
  type ReceivedMessage,
  retryDelaySeconds,
} from "../../functions/queue/queue.ts";
import { queuedAlert } from "../world/alerts.ts";

const received = (name: string): ReceivedMessage => ({
  receipt: name,
  group: name.slice(0, 1),
  body: name,
  receiveCount: 1,
  visibleAgainAt: 0,
});
const batch = ["a1", "b1", "a2", "a3", "b2", "c1"].map(received);

/** Runs a batch whose outcomes are given by name; all others are removed. */
const drain = async (outcomes: Record<string, Disposition | Error>) => {
  const handled: string[] = [];
  const failed: string[] = [];
  const dispositions = await drainInOrder(
    batch,
    async ({ body }) => {
      handled.push(body);
      const outcome = outcomes[body];
      if (outcome instanceof Error) throw outcome;
      return outcome ?? { message: "remove" };
    },
    ({ body }) => failed.push(body),
  );
  const named = Object.fromEntries([...dispositions].map(([{ body }, { message }]) => [body, message]));
  return { handled, failed, named };
};

describe("the id in a message", () => {
  it("is that of its alert, and none if it holds no alert", () => {
    expect(idIn(toMessage(queuedAlert({ id: "alert-0007" })))).toBe("alert-0007");
    expect(idIn({ body: "no alert" })).toBeUndefined();
  });
});

describe("drainInOrder", () => {
  it("handles the messages of one group one after the other, in order", async () => {
    let running = 0;
    const order: string[] = [];
    await drainInOrder(
      batch.filter(({ group }) => group === "a"),
      async ({ body }) => {
        expect(running++).toBe(0);
        await Promise.resolve();
        order.push(body);
        running--;
        return { message: "remove" };
      },
      () => {},
    );
    expect(order).toEqual(["a1", "a2", "a3"]);
  });

  it("gives back all later messages of a group with the one that is given back, unhandled", async () => {
    const { handled, named } = await drain({ a1: { message: "give-back", afterSeconds: 30 } });
    expect(handled.toSorted()).toEqual(["a1", "b1", "b2", "c1"]);
    expect(named).toEqual({
      a1: "give-back",
      a2: "give-back",
      a3: "give-back",
      b1: "remove",
      b2: "remove",
      c1: "remove",
    });
  });

  it("goes on in a group after a dead letter", async () => {
    const { named } = await drain({ a1: { message: "bury", reason: "550" } });
    expect(named).toMatchObject({ a1: "bury", a2: "remove", a3: "remove" });
  });

  it("touches neither a message that made an error nor the later ones of its group", async () => {
    const { failed, named } = await drain({ a2: new Error("the ledger is away") });
    expect(failed).toEqual(["a2"]);
    expect(named).toEqual({ a1: "remove", b1: "remove", b2: "remove", c1: "remove" });
  });
});

describe("retryDelaySeconds", () => {
  it("waits 30 s, then 1, 2, 5, 10, 15 minutes, then half an hour each time", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 100].map(retryDelaySeconds)).toEqual([
      30, 60, 120, 300, 600, 900, 1800, 1800, 1800,
    ]);
  });
});

const queued: QueuedAlert = {
  v: 1,
  id: "alert-0001",
  site: "s",
  contact: "ops@example.com",
  receivedAt: 1_795_366_380_000,
  alert: {
    v: 1,
    source: "nagios",
    monitor: { id: "m" },
    type: "PROBLEM",
    object: { host: "web01", service: "HTTP" },
    state: "CRITICAL",
    state_type: "HARD",
    problem: {},
    notification: {},
    output: "down 🔥 \ufffe",
    long_output: "",
    perfdata: "",
    comment: "",
    truncated: false,
    time: 1_795_366_380,
  },
};

describe("a queued alert", () => {
  it("is read back as it was written", () => {
    expect(readQueuedAlert(toMessage(queued).body)).toEqual({ ok: true, value: queued });
  });

  it("has no character in its body for which SQS would refuse it", () => {
    expect(toMessage(queued).body).toMatch(/^[\t\n\r -\ud7ff\ue000-\ufffd]*$/);
  });

  it.each([
    ["is not JSON", "{"],
    ["is of a version that is not known here", JSON.stringify({ ...queued, v: 2 })],
    ["names no contact", JSON.stringify({ ...queued, contact: "" })],
    ["holds an alert that is none", JSON.stringify({ ...queued, alert: { v: 1 } })],
  ])("that %s cannot be read, and the fault says so", (_, body) => {
    const reading = readQueuedAlert(body);
    expect(reading.ok ? [] : reading.faults).not.toEqual([]);
  });
});

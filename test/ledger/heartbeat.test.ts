import { expect, it } from "vitest";
import { findStatus } from "../../functions/api/status.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { sweep } from "../../functions/pipeline/sweep.ts";
import { type OutgoingMessage, readQueuedAlert } from "../../functions/queue/message.ts";
import type { Event } from "../../functions/report/event.ts";

const second = 1000;
const start = 500_000_000 * second;

/** A bridge that listens for heartbeats: what its operator is told, in order, each alert of an id once. */
const listening = (heartbeatAfterSeconds: number | undefined = 60) => {
  const ledger = sqliteLedger(":memory:");
  const told = new Map<string, string>();
  const events: Event[] = [];
  const parts = {
    ledger,
    queue: {
      send: async (messages: readonly OutgoingMessage[]) =>
        messages.map(({ body }) => {
          const reading = readQueuedAlert(body);
          if (!reading.ok) throw new Error("a notice is no alert");
          const { id, alert, contact } = reading.value;
          told.set(id, `${contact} ${alert.type} ${alert.object.service}: ${alert.output}`);
          return true;
        }),
    },
    operators: ["admin@example.com"],
    heartbeatAfterSeconds,
    report: (event: Event) => void events.push(event),
  };
  const beat = async (at: number, monitor = "m1") =>
    ledger.writeHeartbeat({ ...(await ledger.heartbeat("site", monitor)), at });
  return { ledger, parts, beat, events, told: () => [...told.values()] };
};
const silent =
  "admin@example.com PROBLEM heartbeat of site/m1: m1 of site has not been heard since 5 Nov 1985, 00:53 UTC";
const back = "admin@example.com RECOVERY heartbeat of site/m1: m1 of site is heard again";

it("tells the operator of a silent monitor once, and once that it is heard again", async () => {
  const { parts, beat, told, events } = listening();
  await beat(start);
  for (const seconds of [59, 60]) await sweep(parts, start + seconds * second);
  expect(told()).toEqual([]);
  for (const seconds of [61, 62, 3600]) await sweep(parts, start + seconds * second);
  expect(told()).toEqual([silent]);
  await beat(start + 7200 * second);
  for (const seconds of [7201, 7202]) await sweep(parts, start + seconds * second);
  expect(told()).toEqual([silent, back]);
  expect(events.map((event) => event.event === "heartbeat" && event.silent)).toEqual([true, false]);
  for (const seconds of [7261, 7262]) await sweep(parts, start + seconds * second);
  expect(told()).toHaveLength(3);
});

it("tells of each monitor by itself, and of none that was never heard", async () => {
  const { parts, beat, told } = listening();
  await sweep(parts, start + 1e9);
  expect(told()).toEqual([]);
  await beat(start, "m1");
  await beat(start + 30 * second, "m2");
  await sweep(parts, start + 61 * second);
  expect(told()).toEqual([silent]);
});

it("tells nothing where it is off", async () => {
  const { ledger, parts, beat, told } = listening();
  await beat(start);
  await sweep({ ...parts, heartbeatAfterSeconds: undefined }, start + 1e9);
  expect(told()).toEqual([]);
  expect((await ledger.heartbeat("site", "m1")).silent).toBeUndefined();
});

it("counts no silence while the bridge itself was down", async () => {
  const { parts, beat, told } = listening();
  await beat(start);
  const awakeSince = start + 3600 * second;
  await sweep({ ...parts, awakeSince }, awakeSince + 60 * second);
  expect(told()).toEqual([]);
  await sweep({ ...parts, awakeSince }, awakeSince + 61 * second);
  expect(told()).toEqual([silent]);
});

it("tells of both if it dies before either is noted, and the monitor is heard meanwhile", async () => {
  const { ledger, parts, beat, told } = listening();
  await beat(start);
  let writes = 0;
  const dying = {
    ...ledger,
    writeHeartbeat: (heartbeat: Parameters<typeof ledger.writeHeartbeat>[0]) =>
      ++writes === 2 ? Promise.reject(new Error("killed")) : ledger.writeHeartbeat(heartbeat),
  };
  await expect(sweep({ ...parts, ledger: dying }, start + 61 * second)).rejects.toThrow("killed");
  await beat(start + 62 * second);
  for (const seconds of [63, 64, 65]) await sweep(parts, start + seconds * second);
  expect(told()).toEqual([silent, back]);
});

it("keeps a heartbeat that comes while its silence is being noted", async () => {
  const { ledger, parts, beat, told } = listening();
  await beat(start);
  const racing = {
    ...ledger,
    heartbeats: async () => {
      const known = await ledger.heartbeats();
      await beat(start + 61 * second);
      return known;
    },
  };
  await sweep({ ...parts, ledger: racing }, start + 61 * second);
  expect(told()).toEqual([]);
  expect(await ledger.heartbeat("site", "m1")).toMatchObject({ at: start + 61 * second });
});

it("is silent in the status until it is heard, though operators are told of it no more", async () => {
  const { ledger, parts, beat } = listening();
  const queue = { depth: async () => ({ waiting: 0, handedOut: 0 }), deadLetterCount: async () => 0 };
  const shown = async (now: number) => (await findStatus({ queue, ledger }, "site", now)).status.heartbeats;
  await beat(start);
  await sweep(parts, start + 61 * second);
  expect(await shown(start + 62 * second)).toEqual([{ monitor: "m1", last: start, silent: true }]);
  const back = start + 63 * second;
  await beat(back);
  await sweep({ ...parts, heartbeatAfterSeconds: undefined }, back);
  expect(await shown(back)).toEqual([{ monitor: "m1", last: back, silent: false }]);
});

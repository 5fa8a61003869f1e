import { type OutgoingMessage, putBack } from "../../functions/queue/message.ts";
import type { Queue, ReceivedMessage } from "../../functions/queue/queue.ts";
import { draws } from "./draws.ts";
import { type Fault, type Process, type Stage, simulated } from "./stage.ts";

type Kept = OutgoingMessage & { sequence: number; receiveCount: number; visibleAt: number; receipt?: string };
type Waiter = { process: Process; max: number; take: (messages: Kept[]) => void };

const deduplicationMilliseconds = 300_000;
const mostReceives = 1000;

const reads: Fault[] = ["dies before", "dies after", "fails before", "fails after", "slow"];
const writes: Fault[] = [...reads, "straggles"];

/** An alert's id, for whoever reads what happens. */
export const idIn = (body: string): string => /"id":"([^"]+)"/.exec(body)?.[1] ?? "";

/**
 * A queue in memory that keeps the promises of SQS FIFO and no more: at least once; a group's messages in order, up to
 * ten at a time, and none of it while one is out; ids are known for five minutes; a receipt that has lapsed does nothing.
 * `added` hears of each message that it takes.
 */
export const simulatedQueue = (on: Stage, seed: number, added: (body: string) => void) => {
  const known = new Map<string, number>();
  const waiters: Waiter[] = [];
  let kept: Kept[] = [];
  let dead: (OutgoingMessage & { reason: string })[] = [];
  let sequence = 0;
  let handOuts = 0;

  const ready = (max: number): Kept[] => {
    const groups = [...Map.groupBy(kept, ({ group }) => group).values()].filter((group) =>
      group.every(({ visibleAt }) => visibleAt <= on.now()),
    );
    const draw = draws(seed, `hand-out ${handOuts}`);
    const taken: Kept[] = [];
    while (groups.length > 0 && taken.length < max) {
      const [group = []] = groups.splice(draw.between(0, groups.length), 1);
      taken.push(...group.slice(0, Math.min(draw.between(1, 11), max - taken.length)));
      if (draw.chance(0.5)) break;
    }
    return taken;
  };
  const serve = () => {
    for (const gone of kept.filter((one) => one.receiveCount >= mostReceives && one.visibleAt <= on.now())) {
      dead.push({ ...gone, reason: "received too often" });
      kept = kept.filter((one) => one !== gone);
    }
    while (waiters.length > 0) {
      if (!waiters[0]?.process.alive) {
        waiters.shift();
        continue;
      }
      const messages = ready(waiters[0].max);
      if (messages.length === 0) return;
      handOuts += 1;
      waiters.shift()?.take(messages);
    }
  };
  const hide = (message: Kept, milliseconds: number) => {
    message.visibleAt = on.now() + milliseconds;
    on.at(message.visibleAt, serve);
  };
  const heldBy = ({ receipt }: ReceivedMessage) =>
    kept.find((one) => one.receipt === receipt && one.visibleAt > on.now());
  const end = (message: ReceivedMessage) => {
    const held = heldBy(message);
    kept = kept.filter((one) => one !== held);
  };
  const add = (message: OutgoingMessage) => {
    const since = known.get(message.deduplicationId);
    if (since !== undefined && on.now() - since < deduplicationMilliseconds) return;
    known.set(message.deduplicationId, on.now());
    kept.push({ ...message, sequence: sequence++, receiveCount: 0, visibleAt: 0 });
    added(message.body);
  };

  const queueOf = (process: Process) => ({
    send: (messages: readonly OutgoingMessage[]): Promise<boolean[]> =>
      on.call(
        process,
        `send ${idIn(messages[0]?.body ?? "")}`,
        [...writes, "some only", "some only"],
        (fault) => {
          const refused = new Set<string>();
          const draw = draws(seed, `refused ${idIn(messages[0]?.body ?? "")} ${on.now()}`);
          const taken = messages.map((message) => {
            // The adapter sends no message of a group behind one that was not taken.
            if (fault === "some only" && draw.chance(0.5)) refused.add(message.group);
            if (refused.has(message.group)) return false;
            add(message);
            return true;
          });
          serve();
          return taken;
        },
      ),
    receive: ({
      max,
      visibilityTimeoutSeconds,
    }: Parameters<Queue["receive"]>[0]): Promise<ReceivedMessage[]> =>
      on.call(
        process,
        `receive by ${process.name}`,
        reads,
        () =>
          // A receiver that waits for 20 s again and again waits here once, for as long as that takes.
          new Promise((resolve) => {
            const take = (messages: Kept[]) => {
              const early = draws(seed, `long poll ${handOuts}`).between(0, 20_000);
              resolve(
                messages.map((message) => {
                  message.receiveCount += 1;
                  message.receipt = `${message.sequence}.${message.receiveCount}`;
                  hide(message, visibilityTimeoutSeconds * 1000);
                  const { group, body, receipt, receiveCount, visibleAt } = message;
                  const visibleAgainAt = visibleAt + process.skewMilliseconds - early;
                  on.say(process.name, `is handed ${idIn(body)}, time ${receiveCount}`);
                  return { receipt, group, body, receiveCount, visibleAgainAt };
                }),
              );
            };
            waiters.push({ process, max, take });
            serve();
          }),
      ),
    remove: async (messages: readonly ReceivedMessage[]): Promise<void> => {
      const [first] = messages;
      if (!first) return;
      const name = `remove ${messages.map(({ body }) => idIn(body)).join(" ")}`;
      const all = await on.call(process, name, [...writes, "some only"], (fault) => {
        for (const [index, message] of messages.entries())
          if (fault !== "some only" || index % 2 === 1) end(message);
        serve();
        return fault !== "some only";
      });
      if (!all) throw new Error(`${simulated}: ${name}`);
    },
    giveBack: (message: ReceivedMessage, seconds: number): Promise<void> =>
      on.call(process, `give back ${idIn(message.body)} for ${Math.ceil(seconds)} s`, writes, () => {
        const held = heldBy(message);
        if (held) hide(held, seconds * 1000);
        serve();
      }),
    /** Two calls, as SQS has it: who dies between them leaves it in both queues. */
    bury: async (message: ReceivedMessage, reason: string): Promise<void> => {
      const id = idIn(message.body);
      const { group, body } = message;
      await on.call(process, `bury ${id}`, writes, () => {
        dead.push({ ...putBack(body, on.now()), group, body, deduplicationId: id, reason });
      });
      await on.call(process, `remove ${id}`, writes, () => {
        end(message);
        serve();
      });
    },
  });

  return {
    queueOf,
    serve,
    waiting: (): string[] => kept.map(({ body }) => idIn(body)),
    buried: (): string[] => dead.map(({ body }) => idIn(body)),
    redrive: () => {
      for (const { group, body } of dead.splice(0))
        add({ ...putBack(body, on.now()), group, deduplicationId: `redriven ${sequence}` });
      dead = [];
      serve();
    },
  };
};

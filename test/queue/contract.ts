import { beforeEach, describe, expect, it } from "vitest";
import type { OutgoingMessage } from "../../functions/queue/message.ts";
import type { Queue } from "../../functions/queue/queue.ts";

export const clock = () => Date.now();
let count = 0;
export const message = (group: string, id: string): OutgoingMessage => ({
  group,
  deduplicationId: `${id}-${count++}`,
  site: "s",
  contact: "ops@example.com",
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
export const idOf = ({ body }: { body: string }): string => JSON.parse(body).id;

/** The promises of every queue, whatever it is made of. */
export const contract = (name: string, make: () => Promise<Queue>) =>
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
      expect(await queue.redrive({ id: "dead-two" })).toBe(1);
      const [again] = await receive();
      expect(again && [idOf(again), again.receiveCount]).toEqual(["dead-two", 1]);
      expect(JSON.parse(again?.body ?? "")).toMatchObject({ putBackAt: expect.any(Number) });
      if (again) await queue.remove([again]);
      expect(await queue.redrive({})).toBe(2);
      expect((await drain()).toSorted()).toEqual(["dead-one", "dead-three"]);
      expect(await queue.deadLetters(10)).toEqual([]);
    });

    it("shows all dead letters of one group, puts back the last of them, and the rest in their order", async () => {
      const ids = Array.from({ length: 12 }, (_, index) => `dead-${String(index).padStart(2, "0")}`);
      const of = (id: string, receivedAt: number) => {
        const made = message("a", id);
        return { ...made, body: JSON.stringify({ ...JSON.parse(made.body), receivedAt }) };
      };
      await queue.send(ids.map(of));
      for (let buried = 0; buried < ids.length; )
        for (const received of await receive()) {
          await queue.bury(received, "550");
          buried += 1;
        }
      const shown = (await queue.deadLetters(100)).map(({ alert }) => alert?.id);
      expect(shown).toEqual(ids);
      expect(await queue.redrive({ id: "dead-11" })).toBe(1);
      expect(await drain()).toEqual(["dead-11"]);
      expect(await queue.redrive({})).toBe(11);
      expect(await drain()).toEqual(ids.slice(0, 11));
    });

    it("shows a site its own dead letters and those that are no alert, and puts back its own alone", async () => {
      const of = (site: string, id: string) => {
        const made = message(id, id);
        return { ...made, site, body: JSON.stringify({ ...JSON.parse(made.body), site }) };
      };
      await queue.send([of("s", "mine-1"), of("other", "theirs-1"), of("s", "mine-2")]);
      await queue.send([{ ...message("a", "a1"), site: "", body: "no alert" }]);
      for (const received of await receive()) await queue.bury(received, "550");
      const shownTo = async (site?: string) =>
        (await queue.deadLetters(10, site)).map(({ alert }) => alert?.id ?? "no alert").sort();
      expect(await shownTo("s")).toEqual(["mine-1", "mine-2", "no alert"]);
      expect(await shownTo("other")).toEqual(["no alert", "theirs-1"]);
      expect(await shownTo()).toHaveLength(4);
      expect(await queue.redrive({ site: "other", id: "mine-1" })).toBe(0);
      expect(await queue.redrive({ site: "s", id: "mine-1" })).toBe(1);
      expect(await queue.redrive({ site: "s" })).toBe(1);
      expect(await shownTo()).toEqual(["no alert", "theirs-1"]);
      expect((await drain()).toSorted()).toEqual(["mine-1", "mine-2"]);
    });

    it("buries and redrives the same alert again at once", async () => {
      await queue.send([message("a", "stubborn")]);
      for (let round = 0; round < 2; round++) {
        const [received] = await receive();
        if (!received) throw new Error("nothing was handed out");
        await queue.bury(received, `refused ${round}`);
        expect(await queue.redrive({ id: "stubborn" })).toBe(1);
      }
      expect(await drain()).toEqual(["stubborn"]);
    });

    it("keeps a message without an alert among the dead letters, with its text", async () => {
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

    it("tells how many dead letters there are", async () => {
      expect(await queue.deadLetterCount()).toBe(0);
      await queue.send([message("a", "a1"), message("b", "b1"), message("c", "c1")]);
      for (const received of (await receive()).slice(0, 2)) await queue.bury(received, "refused");
      expect(await queue.deadLetterCount()).toBe(2);
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

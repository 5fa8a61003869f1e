import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import type { OutgoingMessage } from "../../functions/queue/message.ts";
import type { ReceivedMessage } from "../../functions/queue/queue.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-turns-"));
afterAll(() => rmSync(folder, { recursive: true }));

const texts = ["x", "y", "z"].map((letter) => JSON.stringify({ long: letter.repeat(5000) }));
const step = fc.oneof(
  fc.record({
    do: fc.constant("send" as const),
    site: fc.constantFrom("a", "b", "__proto__"),
    contact: fc.nat(3),
    group: fc.nat(5),
    text: fc.nat(3),
    id: fc.nat(40),
  }),
  fc.record({ do: fc.constant("receive" as const), max: fc.integer({ min: 1, max: 10 }) }),
  fc.record({ do: fc.constantFrom("remove", "give back", "bury", "late" as const), nth: fc.nat(9) }),
  fc.record({ do: fc.constant("redrive" as const) }),
  fc.record({ do: fc.constant("wait" as const), seconds: fc.nat(60) }),
  fc.record({ do: fc.constant("restart" as const) }),
);

/** Reads the file itself, and shares no statement with the queue. */
const judge = (path: string) => {
  const db = new DatabaseSync(path);
  const all = (statement: string) => db.prepare(statement).all() as Record<string, number & string>[];
  const found = {
    heads: all(`SELECT message_group FROM message GROUP BY message_group
      HAVING sum((turn IS NULL) = (ready_at IS NULL) AND sequence = (
        SELECT min(sequence) FROM message AS m WHERE m.message_group = message.message_group)) > 0
      OR sum((turn IS NOT NULL OR ready_at IS NOT NULL) AND sequence > (
        SELECT min(sequence) FROM message AS m WHERE m.message_group = message.message_group)) > 0`),
    texts: all("SELECT hash FROM text ORDER BY hash"),
    used: all(
      "SELECT text_hash AS hash FROM message WHERE text_hash IS NOT NULL UNION SELECT text_hash FROM dead_letter WHERE text_hash IS NOT NULL ORDER BY 1",
    ),
    counted: all("SELECT * FROM waiting WHERE messages > 0 OR bytes > 0 ORDER BY site"),
    real: all(`SELECT site, count(*) AS messages, sum(length(body)) + coalesce((
        SELECT sum(length(json)) FROM text WHERE hash IN (
          SELECT text_hash FROM message AS m WHERE m.site = message.site)), 0) AS bytes
      FROM message GROUP BY site ORDER BY site`),
  };
  db.close();
  return found;
};

it("whatever happens, each group has one head, texts are kept while they are used, and waiting messages are counted", async () => {
  let count = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const path = join(folder, `${count++}.sqlite`);
      let now = 1_700_000_000_000;
      let queue = sqliteQueue(path, () => now, 8);
      let out: ReceivedMessage[] = [];
      const late: ReceivedMessage[] = [];
      for (const one of steps) {
        if (one.do === "send") {
          const { site, contact, group, text, id } = one;
          const alert = texts[text];
          const message: OutgoingMessage = {
            group: `${site} ${contact} ${group}`,
            deduplicationId: `${site} ${id}`,
            site,
            contact: `c${contact}`,
            body: alert === undefined ? `{"id":"${id}"}` : `{"id":"${id}","alert":${alert}}`,
            alert,
          };
          await queue.send([message]);
        } else if (one.do === "receive") {
          const received = await queue.receive({
            max: one.max,
            waitSeconds: 0,
            visibilityTimeoutSeconds: 30,
          });
          expect(received.every(({ body }) => JSON.parse(body).id !== undefined)).toBe(true);
          out.push(...received);
        } else if (one.do === "redrive") await queue.redrive({});
        else if (one.do === "wait") now += one.seconds * 1000;
        else if (one.do === "restart") {
          queue.close();
          queue = sqliteQueue(path, () => now, 8);
          queue.recover();
          late.push(...out.splice(0));
        } else {
          const from = one.do === "late" ? late : out;
          const message = from[one.nth];
          if (!message) continue;
          if (one.do === "give back") await queue.giveBack(message, 20);
          else if (one.do === "bury") await queue.bury(message, "550");
          else await queue.remove([message]);
          out = out.filter((other) => other !== message);
        }
      }
      const { heads, texts: kept, used, counted, real } = judge(path);
      expect(heads).toEqual([]);
      expect(kept).toEqual(used);
      expect(counted).toEqual(real);
      // All other messages are handed out in the end: no turn and no limit keeps one back.
      now += 3_600_000;
      for (;;) {
        const some = await queue.receive({ max: 10, waitSeconds: 0, visibilityTimeoutSeconds: 30 });
        if (some.length === 0) break;
        await queue.remove(some);
      }
      expect(judge(path).counted).toEqual([]);
      queue.close();
    }),
    { numRuns: 60 },
  );
});

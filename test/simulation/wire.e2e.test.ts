import { describe, expect, it } from "vitest";
import { isLost } from "../../functions/deliver/outcome.ts";
import { smtpTransport } from "../../functions/deliver/smtp.ts";
import { mail, relayAt } from "../deliver/sending.ts";
import { type Cut, type Wire, wire } from "./wire.ts";

const mails = [mail({ messageId: "<1@example.com>" }), mail({ messageId: "<2@example.com>" })];

/** Sends two mails by one session, over connections of which the first breaks: what came of each. */
const sendBoth = async (cut?: Cut) => {
  const wires: Wire[] = [];
  const connect = async () => {
    const next = wire(wires.length === 0 ? cut : undefined);
    wires.push(next);
    return next.socket;
  };
  const secure = () => Promise.reject(new Error("it is in clear"));
  const relay = relayAt(25, { protection: "none", credentials: undefined });
  const transport = smtpTransport(
    relay,
    { resolveMx: async () => [], sockets: { connect, secure } },
    () => 0,
  );
  const outcomes = [];
  for (const one of mails) outcomes.push(await transport.send(one, AbortSignal.timeout(5_000)));
  transport.close();
  const taken = wires.flatMap((each) => each.taken);
  const copies = mails.map(
    ({ messageId }) => taken.filter((content) => content.includes(`Message-ID: ${messageId}`)).length,
  );
  return { outcomes, copies, wires };
};

const whole = await sendBoth();
const length = (direction: Cut["direction"]) => whole.wires[0]?.bytes[direction] ?? 0;

it("both mails go over one connection, if that does not break", () => {
  expect(whole.outcomes.map(({ result }) => result)).toEqual(["accepted", "accepted"]);
  expect(whole.copies).toEqual([1, 1]);
  expect(whole.wires).toHaveLength(1);
});

describe.each(["to relay", "from relay"] as const)("a connection that breaks %s", (direction) => {
  it.each(["end", "reset"] as const)(
    "at any byte by %s: what was taken is never called untaken",
    async (by) => {
      let [lost, deferred] = [0, 0];
      for (let bytes = 0; bytes < length(direction); bytes++) {
        const { outcomes, copies } = await sendBoth({ direction, bytes, by });
        for (const [index, outcome] of outcomes.entries()) {
          const where = `mail ${index + 1}, ${bytes} bytes ${direction}: ${JSON.stringify(outcome)}`;
          const doubted = isLost({ at: 0, route: "", outcome });
          expect(["accepted", "deferred"], where).toContain(outcome.result);
          if (outcome.result === "accepted") expect(copies[index], where).toBe(1);
          else expect(doubted || copies[index] === 0, where).toBe(true);
          if (doubted) lost += 1;
          else if (outcome.result === "deferred") deferred += 1;
        }
      }
      // Both must have happened in one direction, or it was not cut where it matters.
      expect(lost).toBeGreaterThan(10);
      expect(deferred).toBeGreaterThan(10);
    },
  );
});

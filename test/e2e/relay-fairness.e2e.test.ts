import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { relays } from "../../functions/deliver/routes.ts";
import { smtpTransport } from "../../functions/deliver/smtp.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { Secret } from "../../functions/secret.ts";
import { mail, relayAt } from "../deliver/sending.ts";
import { type Lab, openLab, setPostfix, startRelay } from "../world/lab.ts";

const clock = () => Date.now();
/** As many as one process has in hand. */
const inHand = 100;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/**
 * One process's way to a Postfix with its default limits of errors. It knows good@example.com, and answers to anyone
 * @stall.example.com after 20 s.
 */
const openRoute = async () => {
  const lab: Lab = openLab();
  ends.push(() => lab.stop());
  const { port, user, password, ca } = await startRelay(lab);
  await setPostfix(
    lab,
    "relay_domains = example.com, stall.example.com",
    "relay_recipient_maps = inline:{ good@example.com=yes, @stall.example.com=yes }",
    "smtpd_recipient_restrictions = check_recipient_access inline:{ {stall.example.com = sleep 20} }, permit",
  );
  const relay = relayAt(port, {
    host: "localhost",
    credentials: { user, password: new Secret(password) },
    ca: readFileSync(ca, "utf8"),
  });
  const transport = smtpTransport(relay, { resolveMx: async () => [] }, clock);
  ends.push(() => transport.close());
  const stopping = new AbortController();
  const handOver = relays({
    routes: [{ relay, transport }],
    states: sqliteLedger(":memory:"),
    clock,
    stopping: stopping.signal,
  });
  let sent = 0;
  const send = async (site: string, to: string) => {
    const began = performance.now();
    const messageId = `<${(sent++).toString(16).padStart(8, "0")}@example.com>`;
    const one = mail({
      alert: { site, id: messageId },
      messageId,
      to,
      envelope: { from: "nagios@example.com", to },
    });
    const { attempts } = await handOver(one, clock() + 395_000);
    return { result: attempts.at(-1)?.outcome.result, milliseconds: performance.now() - began };
  };
  /** Sends all of these, so many at a time as the process has in hand. Resolves to the results. */
  const flood = async (site: string, contacts: string[]) => {
    const left = [...contacts];
    const results: (string | undefined)[] = [];
    const work = async () => {
      for (let to = left.shift(); to !== undefined && !stopping.signal.aborted; to = left.shift())
        results.push((await send(site, to)).result);
    };
    await Promise.all(Array.from({ length: inHand }, work));
    return results;
  };
  return { send, flood, stop: () => stopping.abort() };
};

/** How long each of so many mails took, one after the other; all must have been accepted. */
const timesOf = async (
  count: number,
  send: () => ReturnType<Awaited<ReturnType<typeof openRoute>>["send"]>,
) => {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const { result, milliseconds } = await send();
    expect(result).toBe("accepted");
    times.push(milliseconds);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return times.sort((one, other) => other - one);
};

describe("a real Postfix with its default limits of errors", () => {
  it("takes one site's mail at once while another site mails 300 addresses that do not exist", async () => {
    const { send, flood } = await openRoute();
    const began = performance.now();
    const flooded = flood(
      "a",
      Array.from({ length: 300 }, (_, index) => `dead${index}@example.com`),
    );
    const [slowest = 0] = await timesOf(20, () => send("b", "good@example.com"));
    const results = await flooded;
    expect(slowest).toBeLessThan(2000);
    expect(results).toEqual(Array(300).fill("refused"));
    // In sessions that Postfix slows down each of them would take seconds.
    expect(performance.now() - began).toBeLessThan(60_000);
  });

  it("takes one site's mail at once while all mail of two other sites hangs at RCPT", async () => {
    const { send, flood, stop } = await openRoute();
    const contacts = Array.from({ length: 50 }, (_, index) => `x${index}@stall.example.com`);
    const flooded = [flood("a", contacts), flood("c", contacts)];
    const [slowest = 0] = await timesOf(20, () => send("b", "good@example.com"));
    expect(slowest).toBeLessThan(2000);
    stop();
    await Promise.all(flooded);
  });
});

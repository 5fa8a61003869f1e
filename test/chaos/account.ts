import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { posted } from "../world/alerts.ts";
import { type Bridge, type Lab, mailsIn, type Relay, until } from "../world/lab.ts";

/** The result of a run. `wrong` tells what must never be, `lost` apart. */
export type Figures = {
  accepted: number;
  mailed: number;
  twice: number;
  lost: number;
  wrong: string[];
  /** How long after the fault was mended all was well. */
  seconds?: number;
};

type Story = { status: string; message_id?: string };

/** Asks a bridge; rejects without an answer in 10 s. */
const ask = (bridge: string, token: string, path: string, body?: string): Promise<Response> =>
  fetch(bridge + path, {
    method: body === undefined ? "GET" : "POST",
    body,
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(10_000),
  });

/** A service's alert for some mailboxes. */
export const alertFor = (
  object: string,
  type: "PROBLEM" | "RECOVERY",
  contacts: readonly string[],
  monitor = "monitor1",
): Record<string, unknown> =>
  posted({
    id: `${object}-${type}-${monitor}`,
    type,
    object: { host: object, service: "HTTP" },
    state: type === "PROBLEM" ? "CRITICAL" : "OK",
    monitor: { id: monitor, start: 1000 },
    recipients: contacts.map((contact) => ({ email: `${contact}@example.com` })),
    problem: type === "PROBLEM" ? { id: "5", epoch: 99_990 } : undefined,
    last_problem: type === "RECOVERY" ? { id: "5" } : undefined,
    notification: { id: type === "PROBLEM" ? "101" : "102", number: 1 },
    time: Math.floor(Date.now() / 1000),
  });

/** Posts each alert again until it has its 202, as the shim does, and then asks what became of them. */
export type Client = {
  /** Ids that were taken, by a 202 to us or, as a monitor's shim is told, by another's. */
  accepted: Set<string>;
  post(alerts: readonly Record<string, unknown>[]): Promise<void>;
  /** How many requests got a 503 with Retry-After. */
  refused(): number;
  /** Waits until every alert has its end, in the ledger and at the relay. */
  quiet(bridge: Bridge, seconds: number): Promise<void>;
  /** Compares what was accepted with what the relay has. */
  figures(mails: number, mostTwice: number): Promise<Figures>;
};

/** Postfix sets this of a queue file when it is whole; what it was getting when it was killed stays without it. */
const isWhole = 0o100;
/** Files of mails that Postfix took and has not yet delivered. */
const inRelay = ({ folder }: Lab): number =>
  ["maildrop", "incoming", "active", "deferred"].reduce(
    (count, queue) =>
      count +
      readdirSync(join(folder, "relay/queue", queue), { recursive: true, withFileTypes: true }).filter(
        ({ parentPath, name }) => {
          const found = statSync(join(parentPath, name), { throwIfNoEntry: false });
          return found?.isFile() && (found.mode & isWhole) !== 0;
        },
      ).length,
    0,
  );

/** A client of the bridge at `url`; the maildir is emptied for it. */
export const clientOf = (lab: Lab, relay: Relay, url: string, token: string): Client => {
  for (const file of readdirSync(relay.maildir)) rmSync(join(relay.maildir, file));
  const accepted = new Set<string>();
  let refused = 0;
  /** Undefined: no answer, so nobody knows whether it was taken. */
  const answered = async (body: string): Promise<Response | undefined> => {
    try {
      const response = await ask(url, token, "/v1/alerts", body);
      // An answer of which half came is none.
      return new Response(await response.text(), response);
    } catch {
      return undefined;
    }
  };
  return {
    accepted,
    post: async (alerts) => {
      const end = Date.now() + 120_000;
      for (;;) {
        const answer = await answered(JSON.stringify(alerts));
        if (answer?.status === 202) {
          const taken = (await answer.json()) as { alerts: { id: string; status: string }[] };
          for (const { id, status } of taken.alerts) {
            if (status !== "queued") throw new Error(`${id} is ${status}`);
            accepted.add(id);
          }
          return;
        }
        if (answer && (answer.status !== 503 || !answer.headers.get("Retry-After")))
          throw new Error(`${answer.status}: ${await answer.text()}`);
        if (answer) refused += 1;
        if (Date.now() > end) throw new Error("alerts were not taken within 2 minutes");
        await setTimeout(50);
      }
    },
    refused: () => refused,
    quiet: (bridge, seconds) =>
      until("quiet", seconds, async () => {
        const { waiting, in_flight } = (await (await ask(bridge.url, token, "/v1/queue")).json()) as Record<
          string,
          number
        >;
        const { totals } = (await (await ask(bridge.url, token, "/v1/journal?limit=1")).json()) as {
          totals: Record<string, number>;
        };
        const state = `${waiting} wait, ${in_flight} in hand, ${JSON.stringify(totals)}, ${inRelay(lab)} in the relay`;
        if (waiting || in_flight || totals.pending || inRelay(lab)) throw new Error(state);
        return true;
      }),
    figures: async (mails, mostTwice) => {
      const stories: Story[] = [];
      for (const id of accepted)
        stories.push((await (await ask(url, token, `/v1/alerts/${id}`)).json()) as Story);
      const mailed = stories.filter(({ status }) => status === "mailed").map((story) => story.message_id);
      const open = stories.filter(({ status }) => !["mailed", "suppressed"].includes(status));
      const copies = (await mailsIn(relay.maildir)).map(({ messageId }) => messageId);
      const arrived = new Set(copies);
      const twice = copies.length - arrived.size;
      const missing = mailed.filter((id) => !arrived.has(id));
      const unknown = [...arrived].filter((id) => !mailed.includes(id));
      const lost = Math.max(mails - arrived.size, missing.length, open.length);
      const wrong = [
        ...(arrived.size > mails ? [`${arrived.size} different mails of ${mails}`] : []),
        ...(unknown.length > 0 ? [`${unknown.length} mails that the ledger does not know`] : []),
        ...(twice > mostTwice ? [`${twice} second copies where ${mostTwice} may be`] : []),
      ];
      return { accepted: accepted.size, mailed: arrived.size, twice, lost, wrong };
    },
  };
};

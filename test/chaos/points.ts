import { writeSync } from "node:fs";
import { createAdaptorServer as adaptorServer } from "@hono/node-server";
import { sqliteLedger as openLedger } from "../../functions/ledger/sqlite.ts";
import { sqliteQueue as openQueue } from "../../functions/queue/sqlite.ts";
import { transportOf as openTransport } from "../../functions/runtime/transports.ts";

/** Where the bridge can be made to die, in the order of an alert's way. */
export const points = {
  commit: "after intake's commit",
  answer: "before the answer",
  receive: "after receive",
  claim: "after claim",
  data: "after DATA, reply unread",
  reply: "after the reply",
  settle: "after settle",
  sweep: "during sweep",
} as const;
export type Point = keyof typeof points;

const { FAIL_POINT, FAIL_PASSAGE = "1" } = process.env;
let left = Number(FAIL_PASSAGE);

/** Dies here, as by kill -9, if this is the point and the passage that the environment names. */
const at = (point: Point) => {
  if (point !== FAIL_POINT || --left > 0) return;
  writeSync(1, `${JSON.stringify({ event: "fail-point", point })}\n`);
  process.kill(process.pid, "SIGKILL");
};

/** The sweep has found what is due, and not yet written that the queue has it. */
let sweeping = false;

export const sqliteQueue: typeof openQueue = (path, clock) => {
  const queue = openQueue(path, clock);
  return {
    ...queue,
    send: async (messages) => {
      const taken = await queue.send(messages);
      at(sweeping ? "sweep" : "commit");
      return taken;
    },
    receive: async (options) => {
      const messages = await queue.receive(options);
      if (messages.length > 0) at("receive");
      return messages;
    },
  };
};

export const sqliteLedger: typeof openLedger = (path) => {
  const ledger = openLedger(path);
  return {
    ...ledger,
    due: async (now, limit) => {
      const due = await ledger.due(now, limit);
      sweeping = due.some(({ alerts }) => alerts.length > 0);
      return due;
    },
    write: async (change) => {
      const written = await ledger.write(change);
      if (written && change.records.some(({ claim }) => claim)) at("claim");
      if (written && change.records.some(({ ending }) => ending)) at("settle");
      return written;
    },
  };
};

export const transportOf: typeof openTransport = (relay, sender, clock) => {
  // Heard before the session itself looks at the reply: the relay has the mail, and we do not know.
  const transport = openTransport(relay, sender, clock, {
    heard: ({ from, text }) => from === "relay" && / queued as /.test(text) && at("data"),
  });
  return {
    ...transport,
    send: async (mail, signal, loggedIn) => {
      const outcome = await transport.send(mail, signal, loggedIn);
      if (outcome.result === "accepted") at("reply");
      return outcome;
    },
  };
};

export const createAdaptorServer: typeof adaptorServer = (options) =>
  adaptorServer({
    ...options,
    fetch: async (request, env) => {
      const response = await options.fetch(request, env);
      if ((response as Response).status === 202) at("answer");
      return response;
    },
  });

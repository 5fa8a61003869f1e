import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { say } from "../../../functions/report/log.ts";

// An intake that does nothing with what it takes, on the same Hono and Node.
// usage: node http-server.ts PORT [FILE]   with FILE it answers when that has the body, with one sync for all that wait
const [port = "", file] = process.argv.slice(2);

const log = file === undefined ? undefined : openSync(file, "a", 0o600);
let waiting: { text: string; kept: () => void }[] = [];
const commit = (to: number) => {
  const group = waiting;
  waiting = [];
  writeSync(to, group.map(({ text }) => `${text}\n`).join(""));
  fdatasyncSync(to);
  for (const { kept } of group) kept();
};
const keep = (text: string, to: number) =>
  new Promise<void>((kept) => {
    waiting.push({ text, kept });
    if (waiting.length === 1) setImmediate(commit, to);
  });

const app = new Hono();
app.post("/v1/alerts", async (c) => {
  const text = await c.req.text();
  if (log !== undefined) await keep(text, log);
  return c.json({ alerts: [] }, 202);
});
const server = createAdaptorServer({ fetch: app.fetch });
server.listen(Number(port), "127.0.0.1", () => say('{"event":"started"}'));
process.once("SIGTERM", () => {
  if (log !== undefined) closeSync(log);
  process.exit(0);
});

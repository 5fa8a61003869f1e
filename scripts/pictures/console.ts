import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import { webConsole } from "../../functions/console/http.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { useRoutes } from "../../functions/deliver/routes.ts";
import { newHeartbeat } from "../../functions/ledger/heartbeat.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { sqliteQueue } from "../../functions/queue/sqlite.ts";
import { Secret } from "../../functions/secret.ts";
import { posted } from "../../test/world/alerts.ts";
import { rehearse } from "../hardstate/rehearsal.ts";

const [minute, hour] = [60_000, 3_600_000];
/** When the picture is taken. */
export const consoleTime = Date.UTC(2026, 10, 25, 14, 20);
export const consoleToken = "t0ken-of-the-pictures".padEnd(40, "x");
const begin = consoleTime - 23 * hour;

type Said = { at: number; host: string; service: string; type: "PROBLEM" | "RECOVERY"; outage: number };
const services = ["HTTP", "Disk", "Load", "Mail queue", "Certificate", "Replication"];

/** An outage as its monitor reports it: at its begin, every half an hour, and at its end. */
const outage = (number: number, from: number, minutes: number, host: string, service: string): Said[] => {
  const one = { host, service, outage: number };
  const problems = Array.from({ length: 1 + Math.floor(minutes / 30) }, (_, index) => ({
    ...one,
    at: from + index * 30 * minute,
    type: "PROBLEM" as const,
  }));
  return [...problems, { ...one, at: from + minutes * minute, type: "RECOVERY" as const }];
};

/** A day of outages, and one morning when a switch fails with all that is behind it. */
const day = (): Said[] => {
  const quiet = Array.from({ length: 110 }, (_, n) => {
    const share = (n + 0.5) / 110;
    const from = Math.round(begin + (share + Math.sin(share * 4 * Math.PI) / 16) * 22.9 * hour);
    return outage(
      n,
      from,
      7 + ((n * 37) % 95),
      `web${String(1 + ((n * 5) % 9)).padStart(2, "0")}`,
      services[n % 6] ?? "",
    );
  });
  const failed = Date.UTC(2026, 10, 25, 6, 41);
  const burst = Array.from({ length: 28 }, (_, n) =>
    outage(
      200 + n,
      failed + n * 500,
      25 + (n % 3),
      `db${String(1 + (n % 14)).padStart(2, "0")}`,
      n < 14 ? "Replication" : "Load",
    ),
  );
  return [...quiet, ...burst]
    .flat()
    .filter(({ at }) => at < consoleTime)
    .sort((one, other) => one.at - other.at);
};

/** Writes into a ledger what the bridge makes of that day. */
const writeDay = async (path: string): Promise<void> => {
  const stage = rehearse({
    policy: defaultPolicy,
    begin,
    relay: () => "accepted",
    openLedger: () => sqliteLedger(path),
  });
  for (const [index, { at, host, service, type, outage }] of day().entries()) {
    await stage.passTo(at);
    const input = {
      type,
      object: { host, service },
      state: type === "RECOVERY" ? "OK" : outage % 3 ? "CRITICAL" : "WARNING",
      problem: { id: String(outage), epoch: 1 },
      notification: { id: String(index), number: 1 },
      time: Math.floor(at / 1000),
      recipients: [{ email: "ops@example.com" }],
    };
    await stage.post("berlin", posted(input));
  }
  await stage.passTo(consoleTime);
  stage.close();
};

/** The bridge's console on loopback, with a day of alerts behind it, at `consoleTime`. */
export const startConsole = async (): Promise<{ url: string; close(): Promise<void> }> => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-pictures-"));
  const clock = () => consoleTime;
  await writeDay(join(folder, "ledger.sqlite"));
  const ledger = sqliteLedger(join(folder, "ledger.sqlite"));
  const queue = sqliteQueue(join(folder, "queue.sqlite"), clock, 200);
  await useRoutes(
    ledger,
    ["smtp://relay1.example.com:587", "smtp://relay2.example.com:587"],
    consoleTime,
    true,
  );
  for (const [monitor, seconds] of [
    ["nagios1", 12],
    ["nagios2", 40],
  ] as const)
    await ledger.writeHeartbeat({ ...newHeartbeat("berlin", monitor), at: consoleTime - seconds * 1000 });
  const tokens = [{ site: "berlin", token: new Secret(consoleToken) }];
  const app = webConsole({ tokens, queue, ledger, clock, report: () => undefined });
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      await new Promise((closed) => {
        server.close(closed);
        server.closeAllConnections();
      });
      queue.close();
      ledger.close();
      rmSync(folder, { recursive: true });
    },
  };
};

import { readFileSync } from "node:fs";
import { basename } from "node:path";

export type WorkerSettings = {
  /** The bundle as wrangler built it. */
  bundle: string;
  /** Vars and secrets. */
  bindings: Record<string, string>;
  /** Where the Durable Object is kept; in memory without it. */
  state?: string;
  port?: number;
  /** A file with the certificates of authorities that workerd is to trust too; of the first start of a process. */
  authorities?: string;
  /** The output of the Worker, line by line. */
  said(line: string): unknown;
};

/** The Worker in workerd on this machine. */
export type LocalWorker = {
  url: string;
  /** Runs the cron's handler; rejects with what it threw. */
  cron(): Promise<void>;
  stop(): Promise<void>;
};

/** Starts the Worker as it was built on loopback, in the runtime that Cloudflare has. */
export const startWorker = async (settings: WorkerSettings): Promise<LocalWorker> => {
  // Read when miniflare is loaded, and handed to workerd.
  if (settings.authorities) process.env.NODE_EXTRA_CA_CERTS = settings.authorities;
  const { convertV4MiniflareOptions, Miniflare } = await import("miniflare");
  const miniflare = new Miniflare({
    ...convertV4MiniflareOptions({
      modules: [
        {
          type: "ESModule",
          path: basename(settings.bundle),
          contents: readFileSync(settings.bundle, "utf8"),
        },
      ],
      compatibilityDate: "2026-10-20",
      compatibilityFlags: ["nodejs_compat"],
      bindings: settings.bindings,
      durableObjects: { LEDGER: { className: "LedgerObject", useSQLite: true } },
      host: "127.0.0.1",
      port: settings.port ?? 0,
      cf: false,
      handleStructuredLogs: ({ message }) => void settings.said(message),
    }),
    resourcePersistencePath: settings.state,
  });
  const url = await miniflare.ready;
  return {
    url: url.origin,
    cron: async () => {
      const worker = (await miniflare.getWorker()) as unknown as {
        scheduled(options: object): Promise<{ outcome: string }>;
      };
      const { outcome } = await worker.scheduled({ cron: "* * * * *" });
      if (outcome !== "ok") throw new Error(`the cron ended with ${outcome}`);
    },
    stop: () => miniflare.dispose(),
  };
};

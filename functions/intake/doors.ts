import type { Aliases, AllowList } from "../address.ts";
import type { LoggedRefusals } from "../api/refusals.ts";
import type { SiteToken } from "../config.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Rejected } from "../ledger/rejection.ts";
import type { Queue } from "../queue/queue.ts";
import type { Report } from "../report/event.ts";
import type { Rate } from "../time.ts";
import type { Limiter } from "./limit.ts";

export type IntakeParts = {
  aliases: Aliases;
  allowed: AllowList;
  tokens: readonly SiteToken[];
  queue: Queue;
  ledger: Ledger;
  /** The addresses that are mailed about the bridge itself. */
  operators: readonly string[];
  clock: () => number;
  report: Report;
  /** How many alerts a site may post; undefined: no limit. */
  rate?: Rate;
  /** The API described: the content of openapi.json, from wherever the runtime keeps it. */
  openapi?: () => unknown;
  /** The text for Prometheus, which a token of a site may read, where the runtime has it. */
  scrape?: (site: string) => Promise<{ text: string; contentType: string }>;
};

/** Notes what is turned away (turned-away.ts). */
export type TurnedAway = {
  rejected(site: string, rejected: readonly Rejected[]): Promise<unknown>;
  /** Counts a request without a token; `monitor` is the name that it gave itself. */
  wrongToken(monitor: string | undefined): Promise<void>;
  writeWrongTokens(): Promise<void>;
};

/** The parts of intake that a request meets, and what its answers share. */
export type Doors = IntakeParts & {
  refusals: LoggedRefusals;
  limiter: Limiter;
  away: TurnedAway;
};

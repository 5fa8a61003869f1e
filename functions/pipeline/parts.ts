import type { Sender } from "../compose/mail.ts";
import type { Policy } from "../decide/policy.ts";
import type { relays } from "../deliver/routes.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { digests } from "../ledger/storm.ts";
import type { Queue } from "../queue/queue.ts";
import type { Report } from "../report/event.ts";
import type { saying } from "./said.ts";

/** The parts that a runtime gives the pipeline. */
export type PipelineParts = {
  ledger: Ledger;
  queue: Pick<Queue, "send">;
  handOver: ReturnType<typeof relays>;
  sender: Sender;
  operators: readonly string[];
  policy: Policy;
  giveUpAfterSeconds: number;
  clock: () => number;
  report: Report;
};

/** These, with those that the pipeline makes of them. */
export type WorkParts = PipelineParts & {
  say: ReturnType<typeof saying>;
  digests: ReturnType<typeof digests>;
};

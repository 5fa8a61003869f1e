import { join } from "node:path";
import type { LambdaFunction } from "./function.ts";
import { lambdaFunction } from "./function.ts";
import { startFunctionUrl } from "./function-url.ts";

export type LambdaBridgeSettings = {
  /** Where the bundles were built. */
  folder: string;
  /** Settings and endpoints, of all functions. */
  environment: Record<string, string>;
  timeoutSeconds?: number;
  concurrency?: number;
};

/** The functions of a bridge on Lambda, intake behind a Function URL. */
export type LambdaBridge = {
  url: string;
  intake: LambdaFunction;
  worker: LambdaFunction;
  sweep: LambdaFunction;
  feedback: LambdaFunction;
  /** Everything that its functions have reported. */
  events(): Record<string, unknown>[];
  stop(): Promise<void>;
};

/** Each function gets the settings that it may have, as infra/ gives them. */
export const startLambdaBridge = async ({
  folder,
  environment,
  timeoutSeconds = 60,
  concurrency = 2,
}: LambdaBridgeSettings): Promise<LambdaBridge> => {
  const functionOf = (bundle: string, exported: string, withheld: string): LambdaFunction => {
    const known = Object.entries(environment).filter(([name]) => !name.startsWith(withheld));
    return lambdaFunction({
      folder: join(folder, bundle),
      handler: `index.${exported}`,
      name: `hardstate-${exported}`,
      timeoutSeconds,
      concurrency,
      environment: Object.fromEntries(known),
    });
  };
  const intake = functionOf("lambda-intake", "handler", "HARDSTATE_RELAYS");
  const [worker, sweep, feedback] = (["worker", "sweep", "feedback"] as const).map((exported) =>
    functionOf("lambda-worker", exported, "HARDSTATE_TOKENS"),
  ) as [LambdaFunction, LambdaFunction, LambdaFunction];
  const front = await startFunctionUrl(intake);
  const functions = [intake, worker, sweep, feedback];
  return {
    url: front.url,
    intake,
    worker,
    sweep,
    feedback,
    events: () =>
      functions.flatMap(({ output }) =>
        output()
          .filter((line) => line.startsWith("{"))
          .map((line) => JSON.parse(line) as Record<string, unknown>),
      ),
    stop: async () => {
      await front.stop();
      await Promise.all(functions.map(({ stop }) => stop()));
    },
  };
};

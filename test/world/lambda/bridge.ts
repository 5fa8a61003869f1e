import { join } from "node:path";
import type { LambdaFunction } from "./function.ts";
import { lambdaFunction } from "./function.ts";
import { startFunctionUrl } from "./function-url.ts";

export type LambdaBridgeSettings = {
  /** Where the bundles were built. */
  folder: string;
  /** Settings and endpoints, of all functions. */
  environment: Record<string, string>;
  concurrency?: number;
  /** The worker's; infra/ gives it 400. */
  workerSeconds?: number;
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

/** Settings by which each alert makes its mail at once. */
export const mailedAtOnce = {
  HARDSTATE_FROM: "nagios@example.com",
  HARDSTATE_RECIPIENTS: "example.com",
  HARDSTATE_BURST: "off",
  HARDSTATE_FLAP_HOLD: "off",
};

/** Each function gets the time that it may take and the settings that it may have, as infra/ gives them. */
export const startLambdaBridge = async ({
  folder,
  environment,
  concurrency = 2,
  workerSeconds = 400,
}: LambdaBridgeSettings): Promise<LambdaBridge> => {
  const functionOf = (name: string, timeoutSeconds: number): LambdaFunction => {
    const ofIntake = name === "intake";
    const withheld = ofIntake ? "HARDSTATE_RELAYS" : "HARDSTATE_TOKENS";
    const known = Object.entries(environment).filter(([setting]) => !setting.startsWith(withheld));
    return lambdaFunction({
      folder: join(folder, ofIntake ? "lambda-intake" : "lambda-worker"),
      handler: ofIntake ? "index.handler" : `index.${name}`,
      name: `hardstate-${name}`,
      timeoutSeconds,
      concurrency,
      // By this a service knows whose role calls.
      environment: { AWS_ACCESS_KEY_ID: name, ...Object.fromEntries(known) },
    });
  };
  const intake = functionOf("intake", 30);
  const worker = functionOf("worker", workerSeconds);
  const sweep = functionOf("sweep", 55);
  const feedback = functionOf("feedback", 30);
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

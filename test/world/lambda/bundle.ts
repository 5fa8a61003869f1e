import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type FunctionSettings, type LambdaFunction, lambdaFunction } from "./function.ts";

/** A function whose index.mjs is this code, until the test that asks is over. */
export const functionOf = (code: string, settings: Partial<FunctionSettings> = {}): LambdaFunction => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-bundle-"));
  writeFileSync(join(folder, "index.mjs"), code);
  const lambda = lambdaFunction({
    folder,
    handler: "index.handler",
    timeoutSeconds: 5,
    concurrency: 2,
    ...settings,
  });
  onTestFinished(async () => {
    await lambda.stop();
    rmSync(folder, { recursive: true });
  });
  return lambda;
};

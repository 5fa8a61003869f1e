import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Metafile } from "esbuild";
import { complain, say } from "../functions/telemetry.ts";

/** What is built: its entry, and how many KiB it may have, compressed by gzip. */
export const bundles = [
  { name: "lambda-intake", mostKib: 120 },
  { name: "lambda-worker", mostKib: 260 },
] as const;

/** One bundle as it was built. `inputs` are the files in it, by how many bytes of each. */
export type Built = { name: string; path: string; kib: number; mostKib: number; inputs: Map<string, number> };

const inputsOf = ({ outputs }: Metafile): Map<string, number> => {
  const whole = Object.values(outputs).find(({ entryPoint }) => entryPoint);
  return new Map(
    Object.entries(whole?.inputs ?? {}).map(([path, { bytesInOutput }]) => [path, bytesInOutput]),
  );
};

const buildForLambda = async (
  { name, mostKib }: (typeof bundles)[number],
  folder: string,
): Promise<Built> => {
  const path = join(folder, name, "index.mjs");
  const { metafile } = await build({
    entryPoints: [`functions/runtime/${name}.ts`],
    outfile: path,
    bundle: true,
    minify: true,
    sourcemap: true,
    metafile: true,
    platform: "node",
    target: "node24",
    format: "esm",
    mainFields: ["module", "main"],
    legalComments: "none",
    alias: { "@aws-sdk/credential-provider-node": "./functions/runtime/lambda-credentials.ts" },
    // What CommonJS modules require of Node.
    banner: { js: 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);' },
  });
  const kib = gzipSync(readFileSync(path), { level: 9 }).length / 1024;
  return { name, path, kib, mostKib, inputs: inputsOf(metafile) };
};

/** Builds everything into a folder, with source maps. */
export const buildAll = (folder: string): Promise<Built[]> =>
  Promise.all(bundles.map((bundle) => buildForLambda(bundle, folder)));

if (import.meta.main) {
  const built = await buildAll("dist");
  for (const { path, kib, mostKib } of built)
    say(`${path.padEnd(32)} ${kib.toFixed(1).padStart(6)} KiB gzip of ${mostKib}`);
  const over = built.filter(({ kib, mostKib }) => kib > mostKib);
  if (over.length > 0) {
    complain(
      `Too large: ${over.map(({ name }) => name).join(", ")}. What is in a bundle: test/build.test.ts`,
    );
    process.exit(1);
  }
}

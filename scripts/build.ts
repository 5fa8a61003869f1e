import { execFile } from "node:child_process";
import { copyFileSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build, type Metafile } from "esbuild";
import { complain, say } from "../functions/report/log.ts";

/**
 * The bundles for Lambda: its entry, how many KiB it may have, compressed by gzip, and the files that lie beside it.
 */
const forLambda = [
  { name: "lambda-intake", mostKib: 130, beside: ["functions/api/openapi.json"] },
  { name: "lambda-worker", mostKib: 260, beside: [] },
] as const;
const forCloudflare = { name: "cloudflare", mostKib: 216 } as const;

const run = promisify(execFile);

/** One bundle as it was built. `inputs` are the files in it, by how many bytes of each. */
export type Built = { name: string; path: string; kib: number; mostKib: number; inputs: Map<string, number> };

const inputsOf = ({ outputs }: Metafile): Map<string, number> => {
  const whole = Object.values(outputs).find(({ entryPoint }) => entryPoint);
  return new Map(
    Object.entries(whole?.inputs ?? {}).map(([path, { bytesInOutput }]) => [path, bytesInOutput]),
  );
};

const kibOf = (path: string): number => gzipSync(readFileSync(path), { level: 9 }).length / 1024;

const buildForLambda = async (
  { name, mostKib, beside }: (typeof forLambda)[number],
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
    alias: {
      "@aws-sdk/credential-provider-node": "./functions/runtime/lambda-credentials.ts",
      "@aws-sdk/endpoint-cache": "./functions/runtime/sdk-parts.ts",
      "@smithy/core/event-streams": "./functions/runtime/sdk-parts.ts",
    },
    // The parts of Node that CommonJS modules require.
    banner: { js: 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);' },
  });
  for (const file of beside) copyFileSync(file, join(folder, name, basename(file)));
  return { name, path, kib: kibOf(path), mostKib, inputs: inputsOf(metafile) };
};

/** By wrangler, which has esbuild inside: what is tested is what it deploys. */
export const buildForCloudflare = async (folder: string): Promise<Built> => {
  const { name, mostKib } = forCloudflare;
  const [into, meta] = [join(folder, name), join(folder, `${name}.json`)];
  const words = ["deploy", "--dry-run", "--outdir", into, "--metafile", meta];
  await run(process.execPath, ["node_modules/wrangler/bin/wrangler.js", ...words], {
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
    timeout: 60_000,
  });
  const path = join(into, `${name}.js`);
  const inputs = inputsOf(JSON.parse(readFileSync(meta, "utf8")));
  return { name, path, kib: kibOf(path), mostKib, inputs };
};

/** Builds everything into a folder, with source maps. */
export const buildAll = (folder: string): Promise<Built[]> =>
  Promise.all([...forLambda.map((bundle) => buildForLambda(bundle, folder)), buildForCloudflare(folder)]);

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

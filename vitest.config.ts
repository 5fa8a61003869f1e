import { availableParallelism } from "node:os";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const project = (name: string, include: string, testTimeout: number) => ({
  test: { name, include: [`test/**/${include}.ts`], testTimeout, hookTimeout: testTimeout },
});

export default defineConfig({
  test: {
    // By default one core is left out: of two, that would be half. Many tests wait, so three share two cores well.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    // Where .ci/run counts what passed and failed.
    reporters: process.env.TEST_RESULTS
      ? ["default", ["json", { outputFile: process.env.TEST_RESULTS }]]
      : ["default"],
    // A floor just under what the tests run without the lab.
    coverage: {
      include: ["functions/**/*.ts"],
      exclude: ["functions/**/*.d.ts"],
      reporter: ["text-summary", "html"],
      reportsDirectory: "node_modules/.cache/coverage",
      thresholds: { statements: 90, branches: 90, functions: 90, lines: 90 },
    },
    projects: [
      project("test", "!(*.property|*.contract|*.e2e|*.workerd).test", 20_000),
      project("property", "*.property.test", 60_000),
      project("contract", "*.contract.test", 30_000),
      project("e2e", "*.e2e.test", 300_000),
      {
        ...project("workerd", "*.workerd.test", 30_000),
        plugins: [cloudflareTest({ wrangler: { configPath: "wrangler.toml" } })],
      },
    ],
  },
});

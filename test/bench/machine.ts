import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bench, machine, median, progress } from "./rounds.ts";

/** The device and file system that hold a folder. */
const diskOf = (folder: string): string => {
  const mounts = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, at = ""]) => at === "/" || folder === at || folder.startsWith(`${at}/`))
    .sort(([, a = ""], [, b = ""]) => b.length - a.length);
  const [device, at, kind] = mounts[0] ?? [];
  return `${kind} of ${device} at ${at}`;
};

/** On what the figures were measured. */
export const bench: Bench = {
  summary: "the machine: processor, cores, memory, disk, kernel, Node, and what a commit to disk takes",
  about: "Times an append of 4 KB with fsync in the folder for temporary files, 100 in each round.",
  run: async ({ rounds }) => {
    const folder = mkdtempSync(join(tmpdir(), "hardstate-bench-"));
    progress(`  ${machine()}; ${diskOf(folder)}`);
    const file = openSync(join(folder, "appended"), "a");
    const page = Buffer.alloc(4096, "x");
    const times = Array.from({ length: rounds * 100 }, () => {
      const began = performance.now();
      writeSync(file, page);
      fsyncSync(file);
      return performance.now() - began;
    });
    closeSync(file);
    rmSync(folder, { recursive: true });
    return [{ what: `4 KB appended, and on disk: ${diskOf(folder)}`, ours: median(times), unit: "ms" }];
  },
};

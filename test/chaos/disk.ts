import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Does a work while a folder is a small disk of its own. */
export const withDisk = async <T>(folder: string, megabytes: number, work: () => Promise<T>): Promise<T> => {
  mkdirSync(folder, { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=755`, "tmpfs", folder]);
  try {
    return await work();
  } finally {
    execFileSync("umount", ["-l", folder]);
  }
};

/** Fills a disk with so many megabytes, or to its end; tells by which file. */
export const fill = (folder: string, megabytes: number): string => {
  const file = join(folder, "filler");
  try {
    writeFileSync(file, Buffer.alloc(megabytes * 1024 * 1024));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
  return file;
};

import { resolve } from "node:path";

/** For the environment of a program of ours that a test starts: compiled once, it starts in half the time, as by npm. */
export const compiled = { NODE_COMPILE_CACHE: resolve("node_modules/.cache/hardstate") };

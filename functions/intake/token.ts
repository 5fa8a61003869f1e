import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import type { SiteToken } from "../config.ts";

/** Whether two byte strings of one length are the same; every byte is compared, so that time tells nothing. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.reduce((sum, byte, index) => sum | (byte ^ (b[index] ?? 0)), 0) === 0;

/** Finds which of the tokens somebody presents. Hashes are compared, all of them, so that time tells nothing. */
export const tokenFinder = (tokens: readonly SiteToken[]) => {
  const known = tokens.map((token) => ({ token, hash: sha256(utf8ToBytes(token.token.reveal())) }));
  return (presented: string): SiteToken | undefined => {
    const hash = sha256(utf8ToBytes(presented));
    let found: SiteToken | undefined;
    for (const one of known) if (sameBytes(one.hash, hash)) found = one.token;
    return found;
  };
};

import { createHash, timingSafeEqual } from "node:crypto";
import type { SiteToken } from "../config.ts";

const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();

/** Finds which of the tokens somebody presents. Hashes are compared, all of them, so that time tells nothing. */
export const tokenFinder = (tokens: readonly SiteToken[]) => {
  const known = tokens.map((token) => ({ token, hash: hashOf(token.token.reveal()) }));
  return (presented: string): SiteToken | undefined => {
    const hash = hashOf(presented);
    let found: SiteToken | undefined;
    for (const one of known) if (timingSafeEqual(one.hash, hash)) found = one.token;
    return found;
  };
};

import { createHmac, timingSafeEqual } from "node:crypto";
import type { SiteToken } from "../config.ts";

/** A reader of the console, who has a token of this site. */
export type Session = {
  site: string;
  /** Unix milliseconds. */
  endsAt: number;
  /** A secret in each of its forms, so that no other page can send one. */
  formToken: string;
};

/** How long a login lasts: 12 hours. */
export const sessionMilliseconds = 12 * 3_600_000;

const signed = (key: string | Buffer, ...words: string[]): Buffer =>
  createHmac("sha256", key).update(words.join("~")).digest();

/**
 * Sessions that live in their cookies alone, signed with a key of the token that opened them: once that token is gone
 * from the settings, they are over.
 */
export const sessions = (tokens: readonly SiteToken[]) => {
  const keyOf = ({ token }: SiteToken) => signed(token.reveal(), "console of hardstate");
  const keys = tokens.map((token) => ({ site: token.site, key: keyOf(token) }));
  return {
    /** The cookie's value for whoever showed this token: letters, digits and `._-~`. */
    open: (token: SiteToken, now: number): string => {
      const endsAt = String(now + sessionMilliseconds);
      return [token.site, endsAt, signed(keyOf(token), "session", token.site, endsAt).toString("hex")].join(
        "~",
      );
    },
    /** The session of a cookie's value; undefined if it is over, or never was one. */
    read: (value: string, now: number): Session | undefined => {
      const [, site = "", endsAt = "", mark = ""] =
        /^([\w.-]{1,64})~(\d{13,15})~([0-9a-f]{64})$/.exec(value) ?? [];
      let found: Session | undefined;
      for (const known of keys) {
        const expected = signed(known.key, "session", site, endsAt);
        if (timingSafeEqual(expected, Buffer.from(mark.padEnd(64, "0"), "hex")) && known.site === site)
          found = {
            site,
            endsAt: Number(endsAt),
            formToken: signed(known.key, "form", value).toString("hex"),
          };
      }
      return found && now < found.endsAt ? found : undefined;
    },
  };
};

/** Whether this is what the forms of a session carry. */
export const isFormToken = ({ formToken }: Session, presented: string): boolean => {
  const [expected, given] = [formToken, presented].map((text) => Buffer.from(text)) as [Buffer, Buffer];
  return expected.length === given.length && timingSafeEqual(expected, given);
};

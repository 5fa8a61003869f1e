import { describe, expect, it } from "vitest";
import { isFormToken, sessionMilliseconds, sessions } from "../../functions/console/session.ts";
import { Secret } from "../../functions/secret.ts";

const now = 1_795_000_000_000;
const first = { site: "site", token: new Secret("a".repeat(24)) };
const second = { site: "site", token: new Secret("b".repeat(24)) };
const other = { site: "other", token: new Secret("c".repeat(24)) };
const { open, read } = sessions([first, second, other]);

describe("a session's cookie", () => {
  it("opens its token's site for twelve hours, and no longer", () => {
    const cookie = open(first, now);
    expect(read(cookie, now)).toMatchObject({ site: "site", endsAt: now + sessionMilliseconds });
    expect(read(cookie, now + sessionMilliseconds - 1)).toBeDefined();
    expect(read(cookie, now + sessionMilliseconds)).toBeUndefined();
    expect(read(open(other, now), now)?.site).toBe("other");
  });

  it("is over when its token is gone from the settings, though its site has another", () => {
    const cookie = open(first, now);
    expect(sessions([second, other]).read(cookie, now)).toBeUndefined();
    expect(sessions([{ ...first, token: new Secret("d".repeat(24)) }]).read(cookie, now)).toBeUndefined();
    expect(read(open(second, now), now)).toBeDefined();
  });

  it("holds no token, and no character that a cookie may not have", () => {
    expect(open(first, now)).toMatch(/^site~\d{13}~[0-9a-f]{64}$/);
  });

  it.each<[string, (cookie: string) => string]>([
    ["with another site", (cookie) => cookie.replace("site", "other")],
    ["with a later end", (cookie) => cookie.replace(/~(\d)/, "~2")],
    ["with another mark", (cookie) => cookie.replace(/.$/, (last) => (last === "0" ? "1" : "0"))],
    ["with a shorter mark", (cookie) => cookie.slice(0, -1)],
    ["with something behind", (cookie) => `${cookie}0`],
    ["in capitals", (cookie) => cookie.toUpperCase()],
    ["without a mark", (cookie) => cookie.split("~").slice(0, 2).join("~")],
    ["that is empty", () => ""],
  ])("is none %s", (_, change) => {
    const cookie = open(first, now);
    expect(change(cookie)).not.toBe(cookie);
    expect(read(change(cookie), now)).toBeUndefined();
  });
});

describe("a form's token", () => {
  it("is the session's own", () => {
    const [mine, theirs] = [read(open(first, now), now), read(open(first, now + 1), now)];
    if (!mine || !theirs) throw new Error("no session");
    expect(isFormToken(mine, mine.formToken)).toBe(true);
    for (const wrong of [theirs.formToken, "", mine.formToken.slice(1), `${mine.formToken}0`])
      expect(isFormToken(mine, wrong)).toBe(false);
  });

  it("is not what the cookie has", () => {
    const cookie = open(first, now);
    expect(cookie).not.toContain(read(cookie, now)?.formToken);
  });
});

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv } from "node:util";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { readSettings } from "../../../functions/config.ts";
import { environmentFile } from "../../../scripts/hardstate/import/draft.ts";
import { formats } from "../../../scripts/hardstate/import/kind.ts";
import { draftOf, type Texts } from "./inputs.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-import-"));
afterAll(() => rmSync(folder, { recursive: true }));

const mc = "define(`SMART_HOST', `[m.example]')FEATURE(`authinfo')MASQUERADE_AS(`x.example')";
const mainCf =
  "relayhost = [m.example]\nsmtp_tls_security_level = encrypt\nsmtp_sasl_auth_enable = yes\nmyorigin = x.example";
const aliases = "root: ops@x.example";
const base64 = (text: string) => Buffer.from(text).toString("base64");

/** The user and password that a relay's URL has, after the settings have gone through a file. */
const loginAfter = (texts: Texts, read: (text: string) => NodeJS.Dict<string>) => {
  const settings = read(environmentFile(draftOf({ ...texts, aliases }), ["x"], true));
  const reading = readSettings(settings);
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  const { username, password } = new URL(settings.HARDSTATE_RELAYS ?? "");
  return [decodeURIComponent(username), decodeURIComponent(password)];
};

const byNode = (text: string): Record<string, string> => {
  const path = join(folder, "settings.env");
  writeFileSync(path, text);
  const script = "console.log(JSON.stringify(process.env))";
  const out = execFileSync(process.execPath, [`--env-file=${path}`, "-e", script], {
    env: {},
    encoding: "utf8",
  });
  const all = Object.entries(JSON.parse(out) as Record<string, string>);
  return Object.fromEntries(all.filter(([name]) => name.startsWith("HARDSTATE_")));
};

const anything = fc.string({ unit: "binary", minLength: 1, maxLength: 40 });
const unit = fc.constantFrom(..."\"'`\\$%#;:=@/?&+ \t\n\r{}()!aä€");
const secret = fc.oneof(anything, fc.string({ unit, minLength: 1, maxLength: 20 }));
/** The texts that the bridge takes as a user and as a password: NUL ends a field of PLAIN. */
const anyUser = secret.filter((text) => !/\p{Cc}/u.test(text));
const anyPassword = secret.filter((text) => !text.includes("\0"));
const onOneLine = secret.filter((text) => !/[\r\n\0]/.test(text) && text.trim() === text);

describe("any user and password", () => {
  it("of an authinfo survive the settings file and node --env-file", () => {
    fc.assert(
      fc.property(anyUser, anyPassword, (user, password) => {
        const authinfo = `AuthInfo:m.example "U=${base64(user)}" "P=${base64(password)}"`;
        expect(loginAfter({ mc, authinfo }, byNode)).toEqual([user, password]);
      }),
      { numRuns: 15 },
    );
  });

  it("of an authinfo, in base64 or not, survive the same parser in this process", () => {
    fc.assert(
      fc.property(anyUser, anyPassword, fc.boolean(), (user, password, plain) => {
        const part = (tag: string, text: string) =>
          plain && !/["\\\r\n\0]/.test(text) ? `"${tag}:${text}"` : `"${tag}=${base64(text)}"`;
        const authinfo = `AuthInfo:m.example\t${part("U", user)} ${part("P", password)}\r\n`;
        expect(loginAfter({ mc, authinfo }, parseEnv)).toEqual([user, password]);
      }),
      { numRuns: 500 },
    );
  });

  it("of a sasl_passwd and an msmtprc do too", () => {
    const user = onOneLine.filter((text) => !/[:\p{Cc}]/u.test(text));
    fc.assert(
      fc.property(user, onOneLine, (user, password) => {
        const sasl_passwd = `[m.example] ${user}:${password}`;
        expect(loginAfter({ "main.cf": mainCf, sasl_passwd }, parseEnv)).toEqual([user, password]);
        const msmtprc = `tls on\nhost m.example\nfrom a@x.example\nauth on\nuser "${user}"\npassword "${password}"`;
        expect(loginAfter({ msmtprc }, parseEnv)).toEqual([user, password]);
      }),
      { numRuns: 500 },
    );
  });
});

const kinds = [...formats.keys()];
const fragments = fc.constantFrom(
  ..."define( ` ' , ) dnl include(`cf.m4') FEATURE(`msp') SMART_HOST AuthInfo: \"U: \"P= relayhost = [ ] : $a \x24{a} | / :include: \\ \" < > account host user password define contact { } use name email ; # \t \n \r\n".split(
    " ",
  ),
  "\n",
  " ",
);

describe("any bytes", () => {
  it("are read without an exception, and make settings of one line each", () => {
    const pieces = fc
      .array(fragments, { maxLength: 60 })
      .map((parts) => new TextEncoder().encode(parts.join(" ")));
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.oneof(fc.uint8Array({ maxLength: 300 }), pieces),
        (kind, bytes) => {
          const draft = draftOf({ [kind]: bytes });
          expect(draft.notes.every(({ what, why }) => what !== "" && why !== "")).toBe(true);
          const lines = environmentFile(draft, ["x"], true).split(/[\n\r]/);
          expect(lines.filter((line) => line && !/^(# |HARDSTATE_[A-Z_]+="[^"\\]*"$)/.test(line))).toEqual(
            [],
          );
        },
      ),
      { numRuns: 2000 },
    );
  });

  const units =
    "a| |\t|\\|\"|`|'|`'|(|)|define(|define(`|include(|dnl |a:|a: b,|$a|\x24{|$(|[|]|{|}|;|=|,|<|:|/|\n|a\n";
  it.each(kinds)("in lines of 200,000 letters are read in a moment as %s", (kind) => {
    for (const unit of units.split("|"))
      for (const [before, after] of [
        ["", ""],
        ["a: ", "x"],
        ["AuthInfo:m.example ", '"'],
        ["relayhost = ", " x"],
        ["[m.example] ", " x:"],
        ["account ", ""],
        ["define contact {\ncontact_name ", "\n}"],
        ["define(`SMART_HOST', `", "')"],
      ]) {
        const begun = performance.now();
        draftOf({ [kind]: before + unit.repeat(200_000 / unit.length) + after });
        expect(performance.now() - begun, JSON.stringify(before + unit)).toBeLessThan(3000);
      }
  });
});

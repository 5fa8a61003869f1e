import { parseEnv } from "node:util";
import { describe, expect, it } from "vitest";
import { environmentFile, missingOf } from "../../../scripts/hardstate/import/draft.ts";
import { draftOf, machine, settingsOf, type Texts } from "./inputs.ts";

const postfix = {
  "main.cf":
    "relayhost = m.example:587\nsmtp_tls_security_level = encrypt\nsmtp_sasl_auth_enable = yes\nmyorigin = x.example",
  sasl_passwd: "m.example:587 u:canary",
};
const pem = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n";

describe("the settings of what was found", () => {
  it("are complete when a relay, a sender and a recipient were", () => {
    const draft = draftOf({ ...postfix, aliases: "root: ops@x.example" });
    expect(missingOf(draft)).toEqual([]);
    expect(environmentFile(draft, ["main.cf", "sasl_passwd", "aliases"], true)).toBe(
      `# Settings of Hardstate, for EnvironmentFile= of systemd and node --env-file.
# Imported from main.cf, sasl_passwd, aliases.
# It holds secrets: keep it at mode 0600.

HARDSTATE_TOKENS="site1=${"t".repeat(48)}"
HARDSTATE_RELAYS="smtp://u:canary@m.example:587?mx"
HARDSTATE_FROM="nagios@x.example"
HARDSTATE_RECIPIENTS="x.example"
HARDSTATE_ALIASES="root=ops@x.example"

# To be looked at:
# main.cf:4: HARDSTATE_FROM=nagios@x.example: the file tells the domain alone; nagios is taken for the user
`,
    );
  });

  it("shown to people hold no secret", () => {
    const text = environmentFile(draftOf(postfix), ["main.cf"], false);
    expect(text).toContain('HARDSTATE_RELAYS="smtp://u:[redacted]@m.example:587?mx"');
    expect(text).toContain('HARDSTATE_TOKENS="site1=[redacted]"');
    expect(text).not.toMatch(/canary|ttt/);
  });

  it("leave lines to be filled in for what no file says", () => {
    const text = environmentFile(
      draftOf({ msmtprc: "host m.example\ntls on\nauth on\nuser u" }),
      ["a"],
      true,
    );
    expect(text).toContain(
      `# To be filled in: HARDSTATE_RELAYS needs user and password.
# HARDSTATE_RELAYS="smtp://u:PASSWORD@m.example:25"
# To be filled in: HARDSTATE_FROM needs an address: no file tells the sender.
# HARDSTATE_FROM="Monitoring <nagios@example.com>"
# To be filled in: HARDSTATE_RECIPIENTS needs the domains and addresses that mail may go to: no contact or alias has one.
# HARDSTATE_RECIPIENTS="example.com"`,
    );
    expect(Object.keys(parseEnv(text))).toEqual(["HARDSTATE_TOKENS"]);
  });

  it("keep the aliases that are known beside one to be filled in", () => {
    const nagios = "define contact {\ncontact_name else\n}";
    const text = environmentFile(draftOf({ ...postfix, aliases: "ops: a@x.example", nagios }), ["a"], true);
    expect(text).toContain(
      '# To be filled in: HARDSTATE_ALIASES needs an address for else: add else=ADDRESS.\nHARDSTATE_ALIASES="ops=a@x.example"\n',
    );
    expect(parseEnv(text).HARDSTATE_ALIASES).toBe("ops=a@x.example");
  });

  it("never make a second line of what stands in a file, nor of a file's name", () => {
    const hostile = "a\r\nHARDSTATE_HOST=0.0.0.0\u2028x\\";
    const draft = draftOf({
      mc: `define(\`SMART_HOST', \`[m.example\nHARDSTATE_HOST=0.0.0.0]')define(\`confCACERT', \`/a\nHARDSTATE_PORT=1')
MASQUERADE_AS(\`x.example\nHARDSTATE_PORT=1')define(\`X\nY', \`z')`,
      aliases: '"a\u0085b": "x\u2028y"@x.example, $(id)@x.example, `id`@x.example',
      nagios: 'define contact {\ncontact_name c"\\\nemail a"@x.example\n}\nadmin_email=a@x.example\u2028b',
    });
    const text = environmentFile(draft, [hostile], true);
    expect(Object.keys(parseEnv(text))).toEqual(["HARDSTATE_TOKENS"]);
    expect(
      text.split(/[\n\r\u0085\u2028\u2029]/).filter((line) => line && !/^(#|HARDSTATE_TOKENS=)/.test(line)),
    ).toEqual([]);
  });

  it("name a private authority, if it is one", () => {
    const texts = { ...postfix, "main.cf": `${postfix["main.cf"]}\nsmtp_tls_CAfile = /etc/my.pem` };
    const line = (authority: (path: string) => string | undefined) => {
      const { lines, notes } = draftOf(texts, authority);
      const found = lines.find(({ name }) => name === "HARDSTATE_RELAY_CA_FILE");
      return [found?.value?.reveal(), notes.some(({ why }) => why.startsWith("cannot be read here"))];
    };
    expect(line(() => pem)).toEqual(["/etc/my.pem", false]);
    expect(line(() => undefined)).toEqual(["/etc/my.pem", true]);
    expect(line(() => "no certificate")).toEqual([undefined, false]);
  });

  it.each<[string, Texts, string | undefined]>([
    [
      "the sender of the file named first",
      { mc: "MASQUERADE_AS(`b.example')", "main.cf": "myorigin=c.example" },
      "nagios@b.example",
    ],
    [
      "none that the world cannot answer",
      { nagios: "admin_email=nagios@localhost", mc: "MASQUERADE_AS(`x.localdomain')" },
      undefined,
    ],
  ])("take %s", (_, texts, from) => {
    expect(settingsOf(texts).HARDSTATE_FROM).toBe(from);
  });

  it("open the sender's own domain as a whole, and others address by address", () => {
    const aliases = "a: a@x.example, b@gmail.example\nb: c@gmail.example, B@gmail.example";
    expect(settingsOf({ ...postfix, aliases }).HARDSTATE_RECIPIENTS).toBe(
      "x.example b@gmail.example c@gmail.example",
    );
  });

  it.each([
    "a%evil.example@x.example",
    "evil.example!a@x.example",
    "-a@x.example",
    "a%evil.example@gmail.example",
  ])("list '%s' itself, since its domain does not allow it, and say so", (address) => {
    const texts = { ...postfix, aliases: `oncall: ${address}, ops@x.example` };
    expect(settingsOf(texts).HARDSTATE_RECIPIENTS).toBe(`x.example ${address}`);
    expect(draftOf(texts).notes).toContainEqual({
      file: "aliases",
      line: 1,
      sort: "attention",
      what: address,
      why: "is listed itself: a relay may send an address with %, ! or a leading - on to another domain",
    });
  });

  it("carry the relays of the file named first", () => {
    const { notes } = draftOf({ mc: machine["sendmail.mc"], msmtprc: "host n.example\ntls on" });
    expect(notes.find(({ what }) => what === "relay n.example:25")).toMatchObject({
      sort: "not-carried",
      line: 1,
    });
  });

  it("too long for an environment are to be put into a file", () => {
    const aliases = Array.from({ length: 9000 }, (_, n) => `a${n}: a${n}@x.example`).join("\n");
    expect(missingOf(draftOf({ ...postfix, aliases }))).toEqual([
      {
        setting: "HARDSTATE_ALIASES",
        expected: "at most 131000 bytes: put it into a file that HARDSTATE_ALIASES_FILE names",
      },
    ]);
  });
});

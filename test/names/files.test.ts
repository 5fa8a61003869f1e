import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { replay, replayWords } from "../../scripts/hardstate/replay.ts";
import { seen } from "../hardstate/import/inputs.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-names-"));
afterAll(() => rmSync(folder, { recursive: true }));

const hostile = ["__proto__", "constructor", "length", "then"];
/** A name of the same form that means nothing. */
const plain = (name: string) => name.replace(/[a-z]+/, (word) => "zq".padEnd(word.length, "k"));

const texts = (name: string) => ({
  "contacts.cfg": `define contact {
  name ${name}
  email base@example.com
  service_notification_commands ${name}
  host_notification_options ${name}
}
define contact {
  contact_name ${name}
  use ${name},missing-${name}
  pager ${name}
  ${name} ${name}
}
define contactgroup {
  contactgroup_name ${name}
  members ${name}
}
define command {
  command_name ${name}
  command_line /usr/bin/mail
}
`,
  aliases: `${name}: ${name}@example.com\nroot: ${name}\nother: ${name}, none-${name}\n`,
  "main.cf": `${name} = relay.example.com\nrelayhost = [$${name}]:587\nmyorigin = $\{${name}}\n$${name} = ${name}\n`,
  sasl_passwd: `[relay.example.com]:587 ${name}:secret-${name}\n`,
  msmtprc: `defaults\n${name} ${name}\naccount ${name}\nhost mail.example.com\nuser ${name}\nfrom ${name}@example.com\naccount default : ${name}\n`,
  "sendmail.mc": `define(\`${name}', \`relay.example.com')dnl\ndefine(\`SMART_HOST', ${name})dnl\n${name}(\`x')dnl\nFEATURE(\`${name}', \`${name}')dnl\n`,
  authinfo: `AuthInfo:relay.example.com "U:${name}" "I:${name}" "P:${name}" "${name}:${name}"\n`,
});

const replayed = async (name: string) => {
  const path = join(folder, "nagios.log");
  const line = (at: number, what: string) => `[${1_764_410_400 + at}] ${what};x`;
  writeFileSync(
    path,
    [
      line(0, `SERVICE ALERT: ${name};${name};CRITICAL;HARD;3`),
      line(0, `SERVICE NOTIFICATION: ${name};${name};${name};CRITICAL;${name}`),
      line(1, `SERVICE NOTIFICATION: ${name};${name};${name};CRITICAL;${name}-2`),
      line(2, `SERVICE NOTIFICATION: other;${name};${name};CRITICAL;${name}`),
      line(60, `HOST NOTIFICATION: ${name};${name};DOWN;${name}`),
      line(900, `SERVICE NOTIFICATION: ${name};${name};${name};OK;${name}`),
    ].join("\n"),
  );
  const result = await replay([path], {}, () => undefined);
  return `${JSON.stringify(result)}\n${replayWords(result, true).join("\n")}`;
};

describe.each(hostile)("a file with the name %s", (name) => {
  it.each(Object.keys(texts("")))("is imported as any other: %s", (kind) => {
    const read = (one: string) => seen({ [kind]: texts(one)[kind as keyof ReturnType<typeof texts>] });
    expect(read(name)).toBe(read(plain(name)).replaceAll(plain(name), name));
  });

  it("is replayed as any other log", async () => {
    expect(await replayed(name)).toBe((await replayed(plain(name))).replaceAll(plain(name), name));
  });
});

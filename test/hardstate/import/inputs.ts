import { Secret } from "../../../functions/secret.ts";
import { type Draft, environmentFile } from "../../../scripts/hardstate/import/draft.ts";
import { type Note, nothing } from "../../../scripts/hardstate/import/findings.ts";
import { readBytes } from "../../../scripts/hardstate/import/kind.ts";
import { draftSettings } from "../../../scripts/hardstate/import/settings.ts";

/** Texts by kind; each is read as a file of the kind's name. */
export type Texts = Record<string, string | Uint8Array>;

export const draftOf = (
  texts: Texts,
  authority: (path: string) => string | undefined = () => undefined,
): Draft => {
  const found = nothing();
  for (const [kind, text] of Object.entries(texts))
    readBytes(kind, kind, typeof text === "string" ? new TextEncoder().encode(text) : text, found);
  return draftSettings(found, { site: "site1", token: new Secret("t".repeat(48)) }, authority);
};

/** The settings that would be written, in the clear. */
export const settingsOf = (texts: Texts): Record<string, string> =>
  Object.fromEntries(
    draftOf(texts).lines.flatMap(({ name, value }) => (value ? [[name, value.reveal()]] : [])),
  );

export const relayOf = (texts: Texts): string | undefined => settingsOf(texts).HARDSTATE_RELAYS;

/** The notes of one sort as `line what: why`. */
export const said = (texts: Texts, sort: Note["sort"]): string[] =>
  draftOf(texts)
    .notes.filter((note) => note.sort === sort)
    .map(({ line, what, why }) => `${line} ${what}: ${why}`);

/** All that people see of texts: notes, and the settings as they are shown. */
export const seen = (texts: Texts): string => {
  const draft = draftOf(texts);
  return JSON.stringify(draft) + environmentFile(draft, ["x"], false);
};

/** A machine of sendmail and Nagios, whole. */
export const machine = {
  "sendmail.mc": `divert(-1)dnl
# the monitoring host hands everything to the company's relay
include(\`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`monitor.example.com')dnl
define(\`SMART_HOST', \`relay:[relay.example.com]')dnl
define(\`RELAY_MAILER_ARGS', \`TCP $h 587')dnl
FEATURE(\`authinfo', \`hash /etc/mail/authinfo.db')dnl
define(\`confAUTH_MECHANISMS', \`LOGIN PLAIN')dnl
define(\`confCACERT', \`/etc/mail/relay-ca.pem')dnl
MASQUERADE_AS(\`example.com')dnl
MAILER(\`smtp')dnl
`,
  authinfo: `AuthInfo:relay.example.com "U:bridge" "I:bridge" "P:canary-password" "M:LOGIN PLAIN"\n`,
  aliases: `# who reads what
root: ops@example.com
nagios: root
pager: "|/usr/local/bin/page --token canary"
`,
  "contacts.cfg": `define contact {
  contact_name                  oncall
  email                         oncall@example.net ; at home
  host_notification_options     d,u,r,f,s
  service_notification_options  w,u,c,r,f,s
}
`,
};

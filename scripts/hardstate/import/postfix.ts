import { Secret } from "../../../functions/secret.ts";
import {
  destinationOf,
  fullName,
  type LeftBehind,
  logicalLines,
  mechanismsOf,
  noteRest,
  notesOf,
  portOf,
  type Reader,
  type Value,
} from "./findings.ts";

/** The other settings of a main.cf that decide where mail goes or how it looks. */
const leftBehind: LeftBehind = [
  [/sender_dependent/, "HARDSTATE_FROM is the only sender"],
  [/^(transport_maps|default_transport|relay_transport)$/, "everything goes to the relay by SMTP"],
  [/(canonical|generic|virtual_alias)_maps$/, "addresses are not rewritten: use HARDSTATE_ALIASES"],
  [/^always_bcc$|_bcc_maps$/, "no copies are sent"],
  [/^content_filter$|^(smtp_)?(header|body)_checks$/, "mails are not filtered"],
  [/^smtp_tls_(policy_maps|per_site)$/, "rules for TLS to single hosts: the bridge always uses TLS"],
  [/^smtp_tls_CApath$/, "a folder of authorities: one file is carried, that of smtp_tls_CAfile"],
  [/^smtp_tls_(cert_file|chain_files)$/, "the bridge shows the relay no certificate of its own"],
  [/fingerprint/, "the bridge trusts authorities: HARDSTATE_RELAY_CA_FILE may hold the relay's certificate"],
  [/^smtp_bind_address$/, "the bridge does not choose its own address"],
  [/^luser_relay$/, "mail of unknown local users: give each contact an address, or an alias"],
];

/** Reads host, host:port, [host] or [host]:port. */
const nextHopOf = (text: string): { host: string; port: number; mx: boolean } | undefined => {
  const [, name = "", service = "25"] = /^(\[[^\]]*\]|[^[\]:]+)(?::([^:]+))?$/.exec(text) ?? [];
  const [to, port] = [destinationOf(name), portOf(service)];
  return to && port ? { ...to, port } : undefined;
};
const nextHop = "host, host:port, [host] or [host]:port";

const longest = 1000;

/** Reads a postfix main.cf, as far as it tells where mail goes. */
export const readMainCf: Reader = (text, file, found) => {
  const note = notesOf(found, file);
  const said = new Map<string, Value>();
  for (const { line, text: one } of logicalLines(text)) {
    const [, name, value = ""] = /^([A-Za-z]\w{0,99})\s*=(?!=)(.*)$/s.exec(one) ?? [];
    if (name === undefined) note(line, "wrong", "main.cf", "expected name = value");
    else said.set(name, { text: value.trim(), line });
  }
  const used = new Set<string>();
  /** The value with $name, ${name} and $(name) replaced; undefined if it says more than this file does. */
  const take = (name: string): Value | undefined => {
    used.add(name);
    const value = said.get(name);
    let expanded = value?.text ?? "";
    for (let pass = 0; pass < 10 && expanded.includes("$") && expanded.length <= longest; pass += 1)
      expanded = expanded.replace(/\$(?:\{(\w+)\}|\((\w+)\)|(\w+))/g, (all, a, b, c) => {
        used.add(a ?? b ?? c);
        return said.get(a ?? b ?? c)?.text ?? all;
      });
    if (!value || (!expanded.includes("$") && expanded.length <= longest))
      return value && { text: expanded, line: value.line };
    note(value.line, "attention", name, "refers to what this file does not say: not carried");
    return undefined;
  };
  const yes = (name: string): boolean => take(name)?.text.toLowerCase() === "yes";

  const tls = take("smtp_tls_security_level")?.text.toLowerCase() || (yes("smtp_use_tls") ? "may" : "none");
  const wrapped = yes("smtp_tls_wrappermode");
  const wantsLogin = yes("smtp_sasl_auth_enable");
  const mechanisms = mechanismsOf(take("smtp_sasl_mechanism_filter")?.text);
  const hostname = take("myhostname");
  const name = fullName((take("smtp_helo_name") ?? hostname)?.text);

  for (const setting of ["relayhost", "smtp_fallback_relay"]) {
    const value = take(setting);
    for (const written of value?.text.match(/[^\s,]+/g) ?? []) {
      const line = value?.line ?? 0;
      const to = nextHopOf(written);
      if (!to) note(line, "wrong", setting, `expected ${nextHop}`);
      if (!to) continue;
      const implicit = wrapped || to.port === 465;
      const protection = implicit ? "implicit" : tls === "none" ? "none" : "starttls";
      const keys = [written.toLowerCase(), to.host, ""];
      const route = { file, line, system: "postfix", ...to, protection, keys, wantsLogin } as const;
      found.routes.push({ ...route, mechanisms, name });
    }
  }
  const maps = take("smtp_sasl_password_maps");
  const [, user, secret = ""] = /^static:([^:]+):(.+)$/s.exec(maps?.text ?? "") ?? [];
  if (maps && !wantsLogin) {
    const why = "smtp_sasl_auth_enable is not yes: postfix does not log in";
    note(maps.line, "not-carried", "smtp_sasl_password_maps", why);
  } else if (maps && user) {
    const password = new Secret(secret);
    found.logins.push({ file, line: maps.line, system: "postfix", key: "", user, password });
  }
  const authority = take("smtp_tls_CAfile");
  if (authority?.text)
    found.authorities.push({ file, line: authority.line, setting: "smtp_tls_CAfile", path: authority.text });
  const origin = take("myorigin");
  const domain = fullName(origin?.text);
  if (origin?.text.startsWith("/")) {
    const host = fullName(hostname?.text);
    const address = host && `nagios@${host}`;
    found.senders.push({ file, line: origin.line, address, guessed: true, nameFile: origin.text });
  } else if (origin && domain)
    found.senders.push({ file, line: origin.line, address: `nagios@${domain}`, guessed: true });
  else if (origin) note(origin.line, "attention", "myorigin", "not a full domain: give HARDSTATE_FROM");

  const rest = [...said].filter(([one, { text }]) => !used.has(one) && !/^(|no|smtp)$/.test(text));
  noteRest(found, file, new Map(rest), leftBehind);
};

/** Reads the text that sasl_passwd's map is made from: `[host]:port user:password`. */
export const readSaslPasswd: Reader = (text, file, found) => {
  const note = notesOf(found, file);
  for (const { line, text: one } of logicalLines(text)) {
    const [, key = "", user, secret = ""] = /^(\S+)\s+([^:\s][^:]*):(.*)$/s.exec(one) ?? [];
    if (user === undefined) note(line, "wrong", "sasl_passwd", "expected [host]:port user:password");
    else if (key.includes("@"))
      note(line, "not-carried", "the login of a single sender", "HARDSTATE_FROM is the only sender");
    else if (!nextHopOf(key)) note(line, "wrong", "sasl_passwd", `expected ${nextHop} before the user`);
    else {
      if (secret === "") note(line, "wrong", "sasl_passwd", "expected a password behind user:");
      const password = new Secret(secret);
      found.logins.push({ file, line, system: "postfix", key: key.toLowerCase(), user, password });
    }
  }
};

import { Secret } from "../../../functions/secret.ts";
import {
  destinationOf,
  fullName,
  type LeftBehind,
  noteRest,
  notesOf,
  numberedLines,
  portOf,
  type Reader,
  shown,
  type Value,
} from "./findings.ts";

/** Commands that stay behind. */
const leftBehind: LeftBehind = [
  [/^tls_fingerprint$/, "the bridge trusts authorities: HARDSTATE_RELAY_CA_FILE may hold the relay's"],
  [/^tls_(cert|key)_file$/, "the bridge shows the relay no certificate of its own"],
  [/^tls_certcheck$/, "the bridge always checks the relay's certificate"],
  [/^(proxy_host|socket|source_ip)$/, "the bridge speaks to the relay itself"],
  [/^aliases$/, "another file: name it too"],
  [/^eval$/, "commands are not run: write what it prints into the file"],
  [/^(logfile|syslog|timeout|protocol|allow_from_override|set_from_header)$/, "msmtp's own matter"],
];

/** Reads an msmtprc: the default account, or the only one. */
export const readMsmtprc: Reader = (text, file, found) => {
  const note = notesOf(found, file);
  const defaults = new Map<string, Value>();
  const accounts = new Map<string, Map<string, Value>>();
  let current: Map<string, Value> | undefined;
  for (const { line, text: one } of numberedLines(text)) {
    const bare = one.trim();
    if (bare === "" || bare.startsWith("#")) continue;
    const [, command, rest = ""] = /^([a-z]\w*)(?:[ \t]+(.*))?$/.exec(bare) ?? [];
    const value = rest.replace(/^"(.*)"$/, "$1");
    if (command === "defaults") current = defaults;
    else if (command === "account") {
      const [, name, base] = /^([^\s:]+)[ \t]*(?::[ \t]*([^\s,]+))?$/.exec(value) ?? [];
      if (name === undefined || (base && !accounts.has(base)))
        note(line, "wrong", "account", "expected account NAME, or account NAME : NAME-OF-ONE-BEFORE");
      current = new Map([...defaults, ...(accounts.get(base ?? "") ?? [])]);
      if (name !== undefined) accounts.set(name, current);
    } else if (command === undefined) note(line, "wrong", "msmtprc", "expected a command and its value");
    else {
      // A file without accounts describes the default one.
      current ??= new Map();
      if (accounts.size === 0 && current !== defaults) accounts.set("default", current);
      current.set(command, { text: value, line });
    }
  }

  const chosen = accounts.get("default") ?? (accounts.size === 1 ? [...accounts.values()][0] : undefined);
  const host = chosen?.get("host");
  if (!chosen || !host) {
    note(0, "wrong", "account", "expected a default account with a host, or a single account");
    return;
  }
  // The account that the default one is made of is no other.
  for (const [name, values] of accounts)
    if (values.get("host")?.line !== host.line)
      note(values.get("host")?.line ?? 0, "not-carried", `account ${shown(name)}`, "not the default account");
  const taken = new Map(chosen);
  const take = (name: string): Value | undefined => {
    const value = taken.get(name);
    taken.delete(name);
    return value;
  };

  const from = take("from");
  const domain = fullName(/^(?:%U|\*)?@(.*)$/.exec(from?.text ?? "")?.[1]);
  if (from && domain)
    found.senders.push({ file, line: from.line, address: `nagios@${domain}`, guessed: true });
  else if (from) found.senders.push({ file, line: from.line, address: from.text });

  const [given, port, starttls, authority] = [
    take("tls"),
    take("port"),
    take("tls_starttls"),
    take("tls_trust_file"),
  ];
  const tls = given !== undefined && given.text !== "off";
  const implicit = tls && (starttls?.text === "off" || port?.text === "465");
  if (tls && authority && authority.text !== "system")
    found.authorities.push({ file, line: authority.line, setting: "tls_trust_file", path: authority.text });

  const method = take("auth")?.text.toUpperCase() ?? "OFF";
  const [user, password] = [take("user"), take("password")];
  const wantsLogin = method !== "OFF";
  const evaluated = take("passwordeval");
  if (wantsLogin && evaluated)
    note(evaluated.line, "attention", "passwordeval", "commands are not run: give what it prints");
  const to = destinationOf(take("host")?.text ?? "");
  const number = portOf(port?.text || (implicit ? "465" : "25"));
  if (!to) note(host.line, "wrong", "host", "expected a host's name or address");
  if (!number) note(port?.line ?? 0, "wrong", "port", "expected a port from 1 to 65535");
  const name = fullName(take("domain")?.text);
  if (to && number) {
    const protection = implicit ? "implicit" : tls ? "starttls" : "none";
    const route = { file, line: host.line, system: "msmtp", host: to.host, mx: false, port: number } as const;
    found.routes.push({ ...route, protection, keys: [to.host], wantsLogin, name });
    const mechanisms = /^(ON|)$/.test(method) ? undefined : [method];
    const login = { file, line: user?.line ?? 0, system: "msmtp", key: to.host, mechanisms } as const;
    if (wantsLogin && user?.text)
      found.logins.push({ ...login, user: user.text, password: new Secret(password?.text ?? "") });
  }
  noteRest(found, file, taken, leftBehind, "another command");
};

import { Secret } from "../../../functions/secret.ts";
import {
  destinationOf,
  fullName,
  type LeftBehind,
  mechanismsOf,
  noteRest,
  notesOf,
  numberedLines,
  portOf,
  type Reader,
  shown,
  type Value,
} from "./findings.ts";
import { callsOf } from "./m4.ts";

/** The other settings of a .mc that decide where mail goes or how it looks. */
const leftBehind: LeftBehind = [
  [/^(MAIL_HUB|LUSER_RELAY|LOCAL_RELAY)$/, "mail of local users: give each contact an address, or an alias"],
  [/^confFALLBACK_MX$/, "by the recipient's domain; a second relay goes into HARDSTATE_RELAYS"],
  [/^confDEF_AUTH_INFO$/, "a file of an old form: give its user and password in HARDSTATE_RELAYS"],
  [/^confCLIENT_(CERT|KEY)$/, "the bridge shows the relay no certificate of its own"],
  [/^confCACERT_PATH$/, "a folder of authorities: one file is carried, that of confCACERT"],
  [/^FEATURE msp$/, "hands mail to the daemon of its own machine: name the daemon's sendmail.mc too"],
  [/^FEATURE mailertable$/, "routes for single domains: everything goes to the relay"],
  [/^FEATURE genericstable$/, "senders are not rewritten: HARDSTATE_FROM is the only one"],
  [/^FEATURE (virtusertable|ldap_routing)$/, "recipients are not rewritten: use HARDSTATE_ALIASES"],
  [/^LOCAL_(CONFIG|RULE_[0-3]|RULESETS|NET_CONFIG)$/, "lines of sendmail.cf are not read"],
  [/^e?syscmd$/, "commands are not run"],
  [/^if(def|else)$/, "conditions are not followed: give what holds without one"],
];

/** Reads a sendmail.mc, as far as it tells where mail goes. */
export const readSendmailMc: Reader = (text, file, found) => {
  const note = notesOf(found, file);
  const said = new Map<string, Value>();
  const { calls, broken } = callsOf(text);
  for (const { name, args, line } of calls) {
    const [first = "", second = ""] = args;
    if (name === "define" || name === "pushdef") {
      if (/^[A-Za-z_]\w*$/.test(first)) said.set(first, { text: second, line });
      else note(line, "wrong", name, "expected define(`NAME', `value')");
    } else if (name === "undefine" || name === "popdef") said.delete(first);
    else if (name === "FEATURE") said.set(`FEATURE ${first}`, { text: second, line });
    else if (/^s?include$/.test(name))
      note(line, "attention", name, "another file: name it too, if it says where mail goes");
    else said.set(name, { text: first, line });
  }
  if (broken) note(broken.line, "wrong", "m4", `expected ${broken.expected}; nothing behind it is read`);

  const macros = new Set(said.keys());
  const take = (name: string): Value | undefined => {
    const value = said.get(name);
    said.delete(name);
    if (!value) return undefined;
    if (value.text.length > 1000) {
      note(value.line, "wrong", name, "expected at most 1000 letters");
      return undefined;
    }
    const macro = value.text.match(/[A-Za-z_]\w*/g)?.find((word) => word !== name && macros.has(word));
    // Quotes inside a value are gone when m4 has expanded it.
    if (!macro) return { text: value.text.replace(/[`']/g, "").trim(), line: value.line };
    note(value.line, "attention", name, `macros are not expanded: write the text of ${shown(macro)} there`);
    return undefined;
  };
  const wantsLogin = take("FEATURE authinfo") !== undefined;
  const mechanisms = mechanismsOf(take("confAUTH_MECHANISMS")?.text);
  const name = fullName(take("confDOMAIN_NAME")?.text);

  const smart = take("SMART_HOST");
  const fallback = take("confFALLBACK_SMARTHOST");
  const [, prefix = "relay", hosts = ""] = /^(?:([A-Za-z0-9-]+):)?(.*)$/s.exec(smart?.text ?? "") ?? [];
  const setting = `${prefix.toUpperCase()}_MAILER_ARGS`;
  const args = take(setting);
  const [, service = "25"] = /^(?:TCP|IPC)\s+\$h(?:\s+(\S+))?$/.exec(args?.text ?? "TCP $h") ?? ["", "?"];
  const port = portOf(service);
  if (smart?.text && !/^(relay|smtp|esmtp|smtp8|dsmtp)$/i.test(prefix))
    note(smart.line, "attention", "SMART_HOST", "not by SMTP (relay:, smtp:, esmtp:): give HARDSTATE_RELAYS");
  else if (smart?.text && port === undefined)
    note(args?.line ?? smart.line, "wrong", setting, "expected TCP $h, and a port behind it or none");
  else if (smart?.text && port !== undefined)
    // Several hosts are separated by colons, which inside brackets belong to an IPv6 address.
    for (const { text: list, line } of [{ text: hosts, line: smart.line }, ...(fallback ? [fallback] : [])])
      for (const written of list.match(/\[[^\]]*\]|[^:[\]]+/g) ?? [""]) {
        const to = destinationOf(written);
        const expected = "expected a host, [host] or relay:[host]; a port goes into RELAY_MAILER_ARGS";
        if (!to) note(line, "wrong", "SMART_HOST", expected);
        if (!to) continue;
        const protection = port === 465 ? "implicit" : "starttls";
        const route = { file, line, system: "sendmail", ...to, port, protection, mechanisms, name } as const;
        found.routes.push({ ...route, keys: [to.host, ""], wantsLogin });
      }

  const authority = take("confCACERT");
  if (authority?.text)
    found.authorities.push({ file, line: authority.line, setting: "confCACERT", path: authority.text });
  const masquerade = take("MASQUERADE_AS");
  const domain = fullName(masquerade?.text);
  if (masquerade && !domain) note(masquerade.line, "wrong", "MASQUERADE_AS", "expected a domain");
  if (masquerade && domain)
    found.senders.push({ file, line: masquerade.line, address: `nagios@${domain}`, guessed: true });

  noteRest(found, file, said, leftBehind);
};

/** The text of a part in base64; undefined if it is no base64 of UTF-8. */
const fromBase64 = (text: string): string | undefined => {
  try {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
};

/** Reads the parts of an AuthInfo entry, such as "U:user" or, in base64, "P=cGFzcw=="; else what was expected. */
const readParts = (text: string): Map<string, string> | string => {
  const parts = new Map<string, string>();
  const part = /\s*"([UIPRM])([:=])((?:[^"\\]|\\.)*)"\s*/giy;
  while (part.lastIndex < text.length) {
    const [, tag = "", sign, value = ""] = part.exec(text) ?? [];
    if (sign === undefined) return 'parts in double quotes: "U:user" "P:password", "I:..", "R:..", "M:.."';
    const said = sign === ":" ? value : fromBase64(value);
    if (said === undefined) return `base64 of UTF-8 behind ${tag}=`;
    parts.set(tag.toUpperCase(), said);
  }
  return parts;
};

/** Reads the text of the map authinfo, or of an access map, in which AuthInfo: entries may stand too. */
export const readAuthinfo =
  (map: "authinfo" | "access"): Reader =>
  (text, file, found) => {
    const note = notesOf(found, file);
    const others: number[] = [];
    for (const { line, text: one } of numberedLines(text)) {
      if (one.trim() === "" || one.startsWith("#")) continue;
      const [, key, value = ""] = /^AuthInfo:(\S*)\s+(\S.*)$/i.exec(one) ?? [];
      if (key === undefined) {
        if (map === "access" && !/^AuthInfo:/i.test(one)) others.push(line);
        else note(line, "wrong", map, 'expected AuthInfo:host "U:user" "P:password"');
        continue;
      }
      const host = key === "" ? "" : destinationOf(key)?.host;
      const parts = readParts(value);
      const wrong = (expected: string) => note(line, "wrong", "AuthInfo", `expected ${expected}`);
      if (host === undefined) wrong("a host's name or address, or nothing, behind AuthInfo:");
      else if (typeof parts === "string") wrong(parts);
      else {
        const user = parts.get("I") || parts.get("U");
        const password = new Secret(parts.get("P") ?? "");
        if (!user) wrong('a user: "U:user" or "I:user"');
        else if (!parts.get("P")) wrong('a password: "P:password"');
        if (!user) continue;
        if ((parts.get("U") || user) !== user)
          note(line, "attention", "AuthInfo U:", "the bridge logs in as I: and asks for no other identity");
        const login = { file, line, system: "sendmail", key: host, user, password } as const;
        found.logins.push({ ...login, mechanisms: mechanismsOf(parts.get("M")) });
      }
    }
    const why = "rules for mail that comes in, or for TLS to single hosts";
    if (others.length > 0) note(0, "not-carried", `lines ${others.join(", ")}`, why);
  };

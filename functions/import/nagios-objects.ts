import { parseAddress } from "../address.ts";
import {
  type Definition,
  type Findings,
  notesOf,
  numberedLines,
  type Place,
  type Reader,
  shown,
} from "./findings.ts";

/** Reads an object file of Nagios, or its main file: the contacts, and who the administrator is. */
export const readNagiosObjects: Reader = (text, file, found) => {
  const note = notesOf(found, file);
  const stay = new Map<string, number>();
  const stays = (what: string) => stay.set(what, (stay.get(what) ?? 0) + 1);
  let current: (Definition & { kind: string }) | undefined;
  for (const { line, text: one } of numberedLines(text)) {
    const bare = one
      .replace(/(?<!\\);.*$/, "")
      .replaceAll("\\;", ";")
      .trim();
    if (bare === "" || bare.startsWith("#")) continue;
    const kind = /^define\s+([a-z]+)\s*\{$/.exec(bare)?.[1];
    if (current && kind) note(current.line, "wrong", current.kind, `expected a } before line ${line}`);
    if (kind) {
      current = { kind: shown(kind), file, line, directives: new Map() };
    } else if (current && bare === "}") {
      if (current.kind === "contact") found.contacts.push(current);
      else stays(current.kind);
      current = undefined;
    } else if (current) {
      const [, directive, said = ""] = /^([A-Za-z_]\w*)(?:\s+(.*))?$/.exec(bare) ?? [];
      if (current.kind === "contact" && (directive === undefined || said.endsWith("\\")))
        note(line, "wrong", "contact", "expected a directive and its value on one line, or a }");
      else if (directive) current.directives.set(directive.toLowerCase(), said);
    } else {
      const [, variable = "", value = ""] = /^([a-z_]+)\s*=\s*(.*)$/.exec(bare) ?? [];
      const reading = parseAddress(value);
      if (variable === "admin_email" && reading.ok)
        found.senders.push({ file, line, address: reading.value });
      else if (variable === "admin_email") note(line, "wrong", variable, "expected an address");
      else if (/^(cfg|include)_(file|dir)$/.test(variable))
        note(line, "attention", variable, "not opened: name the files with contacts too");
      else if (variable === "enable_environment_macros" && value === "0")
        note(line, "attention", variable, "take scripts/monitors/nagios-without-environment.cfg");
      else if (variable === "") note(line, "wrong", "Nagios objects", "expected define KIND {");
      else stays("setting");
    }
  }
  if (current) note(current.line, "wrong", current.kind, "expected a } before the end of the file");
  const counts = [...stay].map(([what, count]) => `${count} ${what}`).join(", ");
  const why = "stays in Nagios, which goes on deciding who is notified when";
  if (counts) note(0, "not-carried", counts, why);
};

const listed = (text = ""): string[] =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);

const deepest = 50;

/** What a contact says itself, and what it inherits: the first template of its list goes before the next. */
const inheritance = (found: Findings) => {
  const templates = new Map(
    found.contacts.toReversed().map((one) => [one.directives.get("name") ?? "", one] as const),
  );
  const known = new Map<Definition, Map<string, string>>();
  const valuesOf = (definition: Definition, depth: number): Map<string, string> => {
    const before = known.get(definition);
    if (before) return before;
    const values = new Map(definition.directives);
    // Known before it is complete: so templates in a circle, which Nagios refuses, end.
    known.set(definition, values);
    for (const name of listed(values.get("use"))) {
      const template = templates.get(name);
      const expected = `expected a contact template in the files given, at most ${deepest} deep: name its file too`;
      if (!template || depth > deepest)
        notesOf(found, definition.file)(definition.line, "wrong", `use ${shown(name)}`, expected);
      else
        for (const [directive, text] of valuesOf(template, depth + 1))
          if (!["name", "use", "register"].includes(directive) && !values.has(directive))
            values.set(directive, text);
    }
    return values;
  };
  return (definition: Definition) => valuesOf(definition, 0);
};

const meanings: Record<string, Record<string, string>> = {
  host: { d: "DOWN", u: "UNREACHABLE", r: "recovery", f: "flapping", s: "downtime" },
  service: { w: "WARNING", u: "UNKNOWN", c: "CRITICAL", r: "recovery", f: "flapping", s: "downtime" },
};

export type Contact = Place & { name: string; email?: string };

/** The contacts that are to be notified; notes tell what their notification options keep from arriving. */
export const contactsOf = (found: Findings): Contact[] => {
  const contacts = new Map<string, Contact>();
  const told = new Set<string>();
  const valuesOf = inheritance(found);
  for (const definition of found.contacts) {
    const { file, line } = definition;
    const values = valuesOf(definition);
    const said = (directive: string): string | undefined => {
      const text = values.get(directive);
      return text === "null" || text === "" ? undefined : text;
    };
    const name = said("contact_name");
    if (said("register") === "0") continue;
    const note = notesOf(found, file);
    if (name === undefined || contacts.has(name)) {
      note(line, "wrong", "contact", "expected a contact_name that no other has, or register 0");
      continue;
    }
    contacts.set(name, { file, line, name, email: said("email") });
    const what = `contact ${shown(name)}`;
    for (const directive of values.keys())
      if (/^(pager|address\d)$/.test(directive) && said(directive)?.includes("@"))
        note(line, "not-carried", what, `${directive}: mail goes to email, which takes several, with commas`);
    for (const [kind, meaning] of Object.entries(meanings)) {
      const directive = `${kind}_notification_options`;
      const all = Object.keys(meaning);
      const given = listed(said(directive)).flatMap((one) => (one === "a" ? all : [one]));
      if (!given.every((letter) => letter === "n" || all.includes(letter)))
        note(line, "wrong", what, `expected ${directive} among ${all},a,n`);
      const off = said(`${kind}_notifications_enabled`) === "0" || given.includes("n");
      const missing = all.filter((letter) => off || !given.includes(letter));
      const words = missing.map((letter) => meaning[letter]).join(", ");
      if (missing.includes("r"))
        note(line, "attention", what, `not notified of ${words} of ${kind}s: no recovery will come`);
      else if (missing.length > 0)
        note(line, "not-carried", what, `not notified of ${words} of ${kind}s: that stays so in Nagios`);
      for (const command of listed(said(`${kind}_notification_commands`)))
        if (command !== `hardstate-notify-${kind}` && told.size < told.add(command).size)
          note(line, "attention", shown(command), `if it mails, hardstate-notify-${kind} takes its place`);
    }
  }
  return [...contacts.values()];
};

import { parseAddress } from "../../../functions/address.ts";
import {
  type Definition,
  type Findings,
  notesOf,
  numberedLines,
  type Place,
  type Reader,
  shown,
} from "./findings.ts";

/**
 * The lines as Nagios joins them: a `\` at a line's end continues it with the next one, without that one's leading
 * blanks. Two of them stand for one that is kept.
 */
const continuedLines = (text: string): { line: number; text: string }[] => {
  const joined: { line: number; text: string }[] = [];
  let goesOn = false;
  for (const { line, text: one } of numberedLines(text)) {
    const last = goesOn ? joined.at(-1) : undefined;
    goesOn = /(?:^|[^\\])\\$/.test(one);
    const said = one.replace(/\\$/, "");
    if (last) last.text += said.trimStart();
    else joined.push({ line, text: said });
  }
  return joined;
};

/** Reads an object file of Nagios, or its main file: the contacts, and who the administrator is. */
export const readNagiosObjects: Reader = (text, file, found) => {
  const note = notesOf(found, file);
  const stay = new Map<string, number>();
  const stays = (what: string) => stay.set(what, (stay.get(what) ?? 0) + 1);
  let current: (Definition & { kind: string }) | undefined;
  for (const { line, text: one } of continuedLines(text)) {
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
      if (current.kind === "contact" && directive === undefined)
        note(line, "wrong", "contact", "expected a directive and its value, or a }");
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

/**
 * The values of a contact, its own and inherited ones: the first template of its list goes before the next.
 * `incomplete` has the definitions of which a template is not in the files given.
 */
const inheritance = (found: Findings) => {
  const templates = new Map(
    found.contacts.toReversed().map((one) => [one.directives.get("name") ?? "", one] as const),
  );
  const known = new Map<Definition, Map<string, string>>();
  const incomplete = new Set<Definition>();
  const missing = new Set<string>();
  const valuesOf = (definition: Definition, depth: number): Map<string, string> => {
    const before = known.get(definition);
    if (before) return before;
    const values = new Map(definition.directives);
    // Known before it is complete: so templates in a circle, which Nagios refuses, end.
    known.set(definition, values);
    for (const name of listed(values.get("use"))) {
      const template = templates.get(name);
      const note = notesOf(found, definition.file);
      if (!template) {
        incomplete.add(definition);
        if (missing.size < missing.add(name).size)
          note(definition.line, "wrong", `the template ${shown(name)} is missing`, "add its file");
      } else if (depth > deepest)
        note(
          definition.line,
          "wrong",
          `use ${shown(name)}`,
          `expected at most ${deepest} templates in a row`,
        );
      else {
        for (const [directive, text] of valuesOf(template, depth + 1))
          if (!["name", "use", "register"].includes(directive) && !values.has(directive))
            values.set(directive, text);
        if (incomplete.has(template)) incomplete.add(definition);
      }
    }
    return values;
  };
  return { incomplete, valuesOf: (definition: Definition) => valuesOf(definition, 0) };
};

const meanings: Record<string, Record<string, string>> = {
  host: { d: "DOWN", u: "UNREACHABLE", r: "recovery", f: "flapping", s: "downtime" },
  service: { w: "WARNING", u: "UNKNOWN", c: "CRITICAL", r: "recovery", f: "flapping", s: "downtime" },
};

export type Contact = Place & {
  name: string;
  email?: string;
  /** The pager, if it is an address that mail can go to. */
  pager?: string;
  /** Nagios never notifies it, so it needs no address. */
  never: boolean;
  /** A template of it is not in the files given, so what it does not say may be said there. */
  incomplete: boolean;
};

const pagerOf = (text = ""): string | undefined => {
  const reading = parseAddress(text);
  return reading.ok && text.includes("@") ? reading.value : undefined;
};

/** Says what keeps every notification about hosts, or services, from a contact; undefined if nothing does. */
const offBy = (values: ReadonlyMap<string, string>, kind: string): string | undefined => {
  const said: [directive: string, off: (text: string) => boolean][] = [
    [`${kind}_notification_options`, (text) => listed(text).includes("n")],
    [`${kind}_notifications_enabled`, (text) => text === "0"],
    [`${kind}_notification_commands`, (text) => text === "null"],
    [`${kind}_notification_period`, (text) => text === "none"],
  ];
  return said.find(([directive, off]) => off(values.get(directive) ?? ""))?.[0];
};

/** All contacts; notes tell what Nagios keeps from them. */
export const contactsOf = (found: Findings): Contact[] => {
  const contacts = new Map<string, Contact>();
  const told = new Set<string>();
  const { incomplete, valuesOf } = inheritance(found);
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
    const off = Object.keys(meanings).map((kind) => offBy(values, kind));
    const never = off.every(Boolean);
    const contact = { file, line, name, email: said("email"), pager: pagerOf(said("pager")), never };
    contacts.set(name, { ...contact, incomplete: incomplete.has(definition) });
    const what = `contact ${shown(name)}`;
    if (never) note(line, "not-carried", what, `Nagios never notifies it, by ${off.join(" and ")}`);
    for (const directive of values.keys())
      if (/^(pager|address\d)$/.test(directive) && said(directive)?.includes("@") && !never)
        if (directive !== "pager" || contact.email !== undefined || !contact.pager)
          note(line, "not-carried", what, `${directive}: to mail it too, add it to email, after a comma`);
    for (const [kind, meaning] of Object.entries(meanings)) {
      const directive = `${kind}_notification_options`;
      const all = Object.keys(meaning);
      const options = said(directive);
      const given = listed(options).flatMap((one) => (one === "a" ? all : [one]));
      if (!given.every((letter) => letter === "n" || all.includes(letter)))
        note(line, "wrong", what, `expected ${directive} among ${all},a,n`);
      const off = offBy(values, kind) !== undefined;
      // Neither is there anything to say of a contact without notifications, nor of what a missing template may say.
      const silent = never || (!off && options === undefined && incomplete.has(definition));
      const missing = silent ? [] : all.filter((letter) => off || !given.includes(letter));
      const words = missing.map((letter) => meaning[letter]).join(", ");
      if (missing.includes("r"))
        note(line, "attention", what, `not notified of ${words} of ${kind}s: no recovery will come`);
      else if (missing.length > 0)
        note(line, "not-carried", what, `not notified of ${words} of ${kind}s: that stays so in Nagios`);
      for (const command of never ? [] : listed(said(`${kind}_notification_commands`)))
        if (command !== `hardstate-notify-${kind}` && told.size < told.add(command).size)
          note(line, "attention", shown(command), `if it mails, hardstate-notify-${kind} takes its place`);
    }
  }
  return [...contacts.values()];
};

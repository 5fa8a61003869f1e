import { describe, expect, it } from "vitest";
import { nothing } from "../../../scripts/hardstate/import/findings.ts";
import { readBytes } from "../../../scripts/hardstate/import/kind.ts";
import { contactsOf } from "../../../scripts/hardstate/import/nagios-objects.ts";
import { draftOf, machine, said, seen, settingsOf } from "./inputs.ts";

const all = "host_notification_options d,u,r,f,s\nservice_notification_options w,u,c,r,f,s\n";
const contact = (name: string, more: string) =>
  `define contact {\n${name && `contact_name ${name}\n`}${all}${more}\n}\n`;
const contactsIn = (...texts: string[]) => {
  const found = nothing();
  for (const text of texts) readBytes("x", "nagios", new TextEncoder().encode(text), found);
  return contactsOf(found).map(({ name, email }) => [name, email]);
};
const template = (name: string, more: string) => contact("", `name ${name}\nregister 0\n${more}`);

describe("object files of Nagios", () => {
  it("give contacts with their addresses, and the administrator as the sender", () => {
    const nagios = `${machine["contacts.cfg"]}admin_email=nagios@example.com\ndefine host {\nhost_name h\n}\n`;
    expect(settingsOf({ nagios })).toMatchObject({
      HARDSTATE_FROM: "nagios@example.com",
      HARDSTATE_RECIPIENTS: "oncall@example.net",
    });
    expect(draftOf({ nagios }).notes.filter(({ what }) => !what.startsWith("1 host"))).toEqual([]);
  });

  it("inherit from templates in other files", () => {
    expect(contactsIn(contact("c", "use t"), template("t", "email a@x.example"))).toEqual([
      ["c", "a@x.example"],
    ]);
  });

  it.each<[string, string, [string, string | undefined][]]>([
    [
      "the first of several templates first",
      template("t1", "email a@x.example") + template("t2", "email b@x.example") + contact("c", "use t1 , t2"),
      [["c", "a@x.example"]],
    ],
    [
      "templates of templates",
      template("t1", "email a@x.example") + template("t2", "use t1") + contact("c", "use t2"),
      [["c", "a@x.example"]],
    ],
    [
      "its own before its template's",
      template("t1", "email a@x.example") + contact("c", "use t1\nemail b@x.example"),
      [["c", "b@x.example"]],
    ],
    ["null", template("t1", "email a@x.example") + contact("c", "use t1\nemail null"), [["c", undefined]]],
    ["templates in a circle", contact("c", "name t\nuse t"), [["c", undefined]]],
    ["register 0", contact("c", "register 0"), []],
    [
      "comments",
      "# define contact {\n; define contact {\ndefine contact{ ; of\n  contact_name c ; the name\n  email a@x.example;b\n}",
      [["c", "a@x.example"]],
    ],
    ["a ; that is kept", "define contact{\ncontact_name a\\;b\n}", [["a;b", undefined]]],
    [
      "CRLF and tabs",
      "define contact{\r\n\tcontact_name\tc\r\n\temail\ta@x.example\r\n\t}\r\n",
      [["c", "a@x.example"]],
    ],
    ["other objects", "define host {\nhost_name h\nemail no\n}", []],
  ])("with %s", (_, text, contacts) => {
    expect(contactsIn(text)).toEqual(contacts);
  });

  it.each<[string, string]>([
    ["define contact {\ncontact_name c", "1 contact: expected a } before the end of the file"],
    ["define contact {\ncontact_name c\ndefine host {\n}", "1 contact: expected a } before line 3"],
    ["define contact {\n- x\n}", "2 contact: expected a directive and its value, or a }"],
    ["define contact", "1 Nagios objects: expected define KIND {"],
    ["$USER1$=canary", "1 Nagios objects: expected define KIND {"],
    [contact("", "email a@x.example"), "1 contact: expected a contact_name that no other has, or register 0"],
    [
      contact("c", "") + contact("c", ""),
      "7 contact: expected a contact_name that no other has, or register 0",
    ],
    [contact("c", "use t\n"), "1 the template t is missing: add its file"],
    [
      contact("c", "host_notification_options d,canary"),
      "1 contact c: expected host_notification_options among d,u,r,f,s,a,n",
    ],
    [
      contact("c", "email canary b@x.example"),
      "1 contact c: expected an email such as ops@example.com, or several with commas",
    ],
    ["admin_email=canary canary", "1 admin_email: expected an address"],
  ])("%j is wrong", (nagios, words) => {
    expect(said({ nagios }, "wrong")).toContain(words);
    expect(seen({ nagios })).not.toContain("canary");
  });

  it.each<[string, string, [string, string | undefined][]]>([
    ["a list", "email a@x.example,\\\n   b@x.example", [["c", "a@x.example,b@x.example"]]],
    ["a list that ends in nothing", "email a@x.example,\\\n\t\n", [["c", "a@x.example,"]]],
    ["a word", "email a@\\\r\n  x.example\r", [["c", "a@x.example"]]],
    ["a comment", "# no \\\n email b@x.example", [["c", undefined]]],
    ["no line after two of them", "address1 x\\\\\nemail a@x.example", [["c", "a@x.example"]]],
  ])("continue %s by a \\ at the end of a line", (_, more, contacts) => {
    expect(contactsIn(contact("c", more))).toEqual(contacts);
    expect(said({ nagios: contact("c", more) }, "wrong")).toEqual([]);
  });

  it("with addresses separated by blanks go to each of them", () => {
    const nagios = contact("c", "email a@x.example  b@y.example, c@z.example");
    expect(settingsOf({ nagios }).HARDSTATE_RECIPIENTS).toBe("a@x.example b@y.example c@z.example");
  });

  it("of a file that is not given are told once, and nothing that follows from that", () => {
    const missing = Array.from(
      { length: 3 },
      (_, n) => `define contact {\ncontact_name c${n}\nuse generic-contact\nalias C\n}\n`,
    );
    const { notes, lines } = draftOf({ nagios: missing.join("") });
    expect(notes).toEqual([
      {
        file: "nagios",
        line: 1,
        sort: "wrong",
        what: "the template generic-contact is missing",
        why: "add its file",
      },
    ]);
    expect(lines.map(({ name }) => name)).not.toContain("HARDSTATE_ALIASES");
    const child = "define contact {\ncontact_name c\nuse child\n}\n";
    const grandchild = `${child}define contact {\nname child\nregister 0\nuse generic-contact\n}\n`;
    expect(draftOf({ nagios: grandchild }).notes.map(({ line, what }) => [line, what])).toEqual([
      [5, "the template generic-contact is missing"],
    ]);
  });

  it.each([
    ["host_notification_options n\nservice_notification_options n"],
    ["host_notifications_enabled 0\nservice_notifications_enabled 0"],
    ["host_notification_commands null\nservice_notification_commands null"],
    ["host_notification_period none\nservice_notification_period none"],
    ["host_notification_options n\nservice_notification_period none"],
  ])("with %j never notify, and need no alias", (more) => {
    const nagios = contact("viewonly", more);
    const [host, service] = more.split("\n").map((line) => line.split(" ")[0]);
    expect(draftOf({ nagios }).notes).toMatchObject([
      { line: 1, sort: "not-carried", why: `Nagios never notifies it, by ${host} and ${service}` },
    ]);
    expect(draftOf({ nagios }).lines.map(({ name }) => name)).not.toContain("HARDSTATE_ALIASES");
  });

  it("with one kind of notification need an alias all the same", () => {
    const { lines } = draftOf({ nagios: contact("c", "host_notification_options n") });
    expect(lines.find(({ name }) => name === "HARDSTATE_ALIASES")?.expected).toEqual([
      "an address for c: add c=ADDRESS",
    ]);
  });

  it("with a pager address alone are carried as an alias of it", () => {
    const nagios = contact("Pager", "pager 5551234@sms.example.net");
    expect(settingsOf({ nagios })).toMatchObject({
      HARDSTATE_RECIPIENTS: "5551234@sms.example.net",
      HARDSTATE_ALIASES: "pager=5551234@sms.example.net",
    });
    const local = contact("pager", "pager 5551234@sms");
    expect(draftOf({ nagios: local }).lines.at(-1)?.expected).toEqual([
      "an address for pager: add pager=ADDRESS",
    ]);
    const both = contact("ops", "email ops@x.example\npager 5551234@sms.example.net");
    expect(settingsOf({ nagios: both }).HARDSTATE_ALIASES).toBeUndefined();
    expect(said({ nagios: both }, "not-carried")).toEqual([
      "1 contact ops: pager: to mail it too, add it to email, after a comma",
    ]);
  });

  it("with a name that every object has are read like others", () => {
    const nagios = contact("__proto__", "email a@x.example") + contact("constructor", "use toString\n");
    expect(settingsOf({ nagios }).HARDSTATE_RECIPIENTS).toBe("a@x.example");
    expect(said({ nagios }, "wrong")).toEqual(["7 the template toString is missing: add its file"]);
  });

  const off =
    "1 contact c: not notified of DOWN, UNREACHABLE, recovery, flapping, downtime of hosts: no recovery will come";
  it.each<[string, string, string]>([
    [
      "service_notification_options w,u,c,f,s",
      "attention",
      "1 contact c: not notified of recovery of services: no recovery will come",
    ],
    ["host_notification_options n", "attention", off],
    ["host_notifications_enabled 0", "attention", off],
    ["host_notification_options null", "attention", off],
    [
      "service_notification_options c,r\nhost_notification_options a",
      "not-carried",
      "1 contact c: not notified of WARNING, UNKNOWN, flapping, downtime of services: that stays so in Nagios",
    ],
    [
      "pager 5550100\naddress2 pager@x.example",
      "not-carried",
      "1 contact c: address2: to mail it too, add it to email, after a comma",
    ],
    [
      "host_notification_commands notify-by-mail,page",
      "attention",
      "1 notify-by-mail: if it mails, hardstate-notify-host takes its place",
    ],
    ["", "attention", "1 contact c: c: HARDSTATE_ALIASES must give its address, for a relay cannot know it"],
    [
      "email ops",
      "attention",
      "1 contact c: ops: HARDSTATE_ALIASES must give its address, for a relay cannot know it",
    ],
  ])("with %j tells what will arrive", (more, sort, words) => {
    expect(said({ nagios: contact("c", more) }, sort as "wrong")).toContain(words);
  });

  it("and aliases make one: who has no address needs an alias, and who is on that machine has one", () => {
    const nagios = contact("ops", "") + contact("admin", "email root@localhost");
    const aliases = "root: root@x.example\nops: root";
    expect(settingsOf({ nagios, aliases }).HARDSTATE_ALIASES).toBe(
      "root=root@x.example ops=root root@localhost=root",
    );
    const { lines } = draftOf({ nagios: nagios + contact("else", ""), aliases });
    expect(lines.find(({ name }) => name === "HARDSTATE_ALIASES")).toMatchObject({
      shown: "root=root@x.example ops=root root@localhost=root",
      expected: ["an address for else: add else=ADDRESS"],
    });
  });
});

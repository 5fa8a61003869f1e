import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Alert, readAlert } from "../../functions/alert.ts";
import { fromMacros, type Macros } from "../../functions/intake/monitors.ts";
import { readPost } from "../../functions/intake/post.ts";

const corpus = join(import.meta.dirname, "../corpus/nagios");
const recordings = readdirSync(corpus).filter((file) => file.endsWith(".env"));

/** The macros of a recording: `NAGIOS_X` from its environment, `X` from its command line. */
const recorded = (file: string, from: RegExp = /^(NAGIOS|ARGV)_/): Macros =>
  Object.fromEntries(
    readFileSync(join(corpus, file), "utf8")
      .split("\n")
      .filter((line) => from.test(line))
      .map((line) => {
        const at = line.indexOf("=");
        return [line.slice(0, at).replace(/^ARGV_/, ""), line.slice(at + 1)];
      }),
  );
const environment = /^NAGIOS_/;
const alertOf = (macros: Macros): Alert => {
  const reading = readAlert(fromMacros(macros));
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading.value;
};
const prefixed = (macros: Macros): Macros =>
  Object.fromEntries(Object.entries(macros).map(([name, value]) => [`NAGIOS_${name}`, value]));
const at = (value: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], value);

const hostAlert: Macros = {
  NOTIFICATIONTYPE: "PROBLEM",
  HOSTNAME: "web01",
  HOSTSTATE: "DOWN",
  CONTACTNAME: "oncall",
  CONTACTEMAIL: "oncall@example.com",
  TIMET: "1795366380",
};
const serviceAlert: Macros = { ...hostAlert, SERVICEDESC: "HTTP", SERVICESTATE: "CRITICAL" };

const macrosOf = (kind: "HOST" | "SERVICE", epoch: string): [string, string, string, unknown][] => [
  [kind, "NOTIFICATIONTYPE", "type", "PROBLEM"],
  [kind, "HOSTNAME", "object.host", "web01"],
  [kind, "HOSTALIAS", "object.alias", "Web server 1"],
  [kind, "HOSTADDRESS", "object.address", "192.0.2.10"],
  [kind, `${kind}DISPLAYNAME`, "object.display", "Web"],
  [kind, `${kind}ACTIONURL`, "object.urls.action", "https://a.example/"],
  [kind, `${kind}NOTESURL`, "object.urls.notes", "https://b.example/"],
  [kind, `${kind}INFOURL`, "object.urls.info", "https://c.example/"],
  [kind, `${kind}STATETYPE`, "state_type", "SOFT"],
  [kind, `LAST${kind}STATE`, "prev_state", kind === "HOST" ? "UNREACHABLE" : "WARNING"],
  [kind, `${kind}ATTEMPT`, "attempt", 2],
  [kind, `MAX${kind}ATTEMPTS`, "max_attempts", 4],
  [kind, `${kind}PROBLEMID`, "problem.id", "17"],
  [kind, `LAST${kind}PROBLEMID`, "problem.last_id", "16"],
  [kind, epoch, "problem.epoch", 1_795_366_379],
  [kind, `${kind}NOTIFICATIONID`, "notification.id", "23"],
  [kind, `${kind}NOTIFICATIONNUMBER`, "notification.number", 3],
  [kind, "NOTIFICATIONNUMBER", "notification.number", 4],
  [kind, "NOTIFICATIONISESCALATED", "notification.escalated", true],
  [kind, "NOTIFICATIONAUTHOR", "author", "O'Neil"],
  [kind, "NOTIFICATIONCOMMENT", "comment", "it's <fine>"],
  [kind, `${kind}OUTPUT`, "output", "CRITICAL - $5"],
  [kind, `LONG${kind}OUTPUT`, "long_output", "second line"],
  [kind, `${kind}PERFDATA`, "perfdata", "time=10s"],
  [kind, "TIMET", "time", 1_795_366_381],
  [kind, "PROCESSSTARTTIME", "monitor.start", 1_795_366_377],
];

describe("each macro arrives in its field", () => {
  it.each([
    ...macrosOf("HOST", "LASTHOSTUP"),
    ["HOST", "HOSTSTATE", "state", "UNREACHABLE"] as [string, string, string, unknown],
    ...macrosOf("SERVICE", "LASTSERVICEOK"),
    ["SERVICE", "SERVICEDESC", "object.service", "Disk /"] as [string, string, string, unknown],
    ["SERVICE", "SERVICESTATE", "state", "UNKNOWN"] as [string, string, string, unknown],
    ["SERVICE", "SERVICEISVOLATILE", "notification.volatile", true] as [string, string, string, unknown],
  ])("%s: %s is %s", (kind, macro, field, value) => {
    const macros = {
      ...(kind === "HOST" ? hostAlert : serviceAlert),
      [macro]: value === true ? "1" : String(value),
    };
    expect(at(alertOf(macros), field)).toBe(value);
    expect(at(alertOf(prefixed(macros)), field)).toBe(value);
  });

  it.each<[string, string, unknown]>([
    ["ID", "id", "client-id-1"],
    ["SOURCE", "source", "naemon"],
    ["MONITOR", "monitor.id", "monitor2"],
    ["DEGRADED", "degraded", true],
  ])("what a command definition adds: %s is %s", (name, field, value) => {
    expect(at(fromMacros({ ...hostAlert, [name]: value === true ? "1" : String(value) }), field)).toBe(value);
  });

  it("contact name and email are the one recipient", () => {
    expect(fromMacros(hostAlert).recipients).toEqual([{ name: "oncall", email: "oncall@example.com" }]);
  });

  it("the names of all recipients are a list", () => {
    expect(alertOf({ ...hostAlert, NOTIFICATIONRECIPIENTS: "dba,oncall" }).notification.recipients).toEqual([
      "dba",
      "oncall",
    ]);
  });

  it("a flag of 0 is false", () => {
    const macros = { ...serviceAlert, NOTIFICATIONISESCALATED: "0", SERVICEISVOLATILE: "0" };
    expect(alertOf(macros).notification).toMatchObject({ escalated: false, volatile: false });
  });

  it("without MONITOR and SOURCE it is Nagios", () => {
    expect(alertOf(hostAlert)).toMatchObject({ source: "nagios", monitor: { id: "nagios" } });
  });

  it.each([
    ["TIMET", "time"],
    ["HOSTATTEMPT", "attempt"],
    ["NOTIFICATIONNUMBER", "notification.number"],
    ["PROCESSSTARTTIME", "monitor.start"],
    ["LASTHOSTUP", "problem.epoch"],
  ])("a %s that is no number is none, and one with a fraction is one", (name, path) => {
    for (const odd of ["1e3", "-1", "soon", "0x10"])
      expect(at(fromMacros({ ...hostAlert, [name]: odd }), path)).toBeUndefined();
    expect(at(fromMacros({ ...hostAlert, [name]: "1795366380.25" }), path)).toBe(1_795_366_380.25);
  });

  it("a flag of true is one, in any case", () => {
    const macros = { ...serviceAlert, NOTIFICATIONISESCALATED: "True", SERVICEISVOLATILE: "true" };
    expect(alertOf(macros).notification).toMatchObject({ escalated: true, volatile: true });
  });
});

describe("host and service", () => {
  it("a service's alert has the service's twin of every macro", () => {
    const twins: Macros = {
      ...serviceAlert,
      HOSTOUTPUT: "host output",
      SERVICEOUTPUT: "service output",
      HOSTPERFDATA: "host=1",
      HOSTPROBLEMID: "1",
      HOSTNOTIFICATIONID: "2",
      HOSTATTEMPT: "3",
      LASTHOSTUP: "4",
      HOSTACTIONURL: "https://host.example/",
    };
    const alert = alertOf(twins);
    expect(alert).toMatchObject({ state: "CRITICAL", output: "service output", perfdata: "", problem: {} });
    expect([alert.notification.id, alert.attempt, alert.problem.epoch]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(alert.object.urls).toEqual({});
  });

  it.each([undefined, "", "$SERVICEDESC$", "$"])(
    "a SERVICEDESC of '%s' makes it a host's alert",
    (description) => {
      const macros = { ...serviceAlert, HOSTOUTPUT: "host output", SERVICEOUTPUT: "" };
      const alert = alertOf(
        description === undefined
          ? { ...hostAlert, HOSTOUTPUT: "host output" }
          : { ...macros, SERVICEDESC: description },
      );
      expect([alert.object.service, alert.state, alert.output]).toEqual([null, "DOWN", "host output"]);
    },
  );

  it("a service's groups come before its host's", () => {
    const groups = { SERVICEGROUPNAMES: "web,shop", HOSTGROUPNAMES: "production,web" };
    expect(alertOf({ ...serviceAlert, ...groups }).object.groups).toEqual(["web", "shop", "production"]);
    expect(alertOf({ ...hostAlert, ...groups }).object.groups).toEqual(["production", "web"]);
  });

  it("a host is never volatile", () => {
    expect(alertOf({ ...hostAlert, SERVICEISVOLATILE: "1" }).notification.volatile).toBeUndefined();
  });
});

describe("names with and without NAGIOS_", () => {
  it.each([[["NAGIOS_HOSTATTEMPT", "HOSTATTEMPT"]], [["HOSTATTEMPT", "NAGIOS_HOSTATTEMPT"]]])(
    "the command line's value wins in the order %s",
    (names) => {
      const macros = Object.fromEntries(names.map((name) => [name, name.startsWith("NAGIOS_") ? "9" : "2"]));
      expect(alertOf({ ...hostAlert, ...macros }).attempt).toBe(2);
    },
  );
});

describe("an empty value", () => {
  it.each(["", "$", "$HOSTALIAS$", "$_HOSTRACK$", "$ARG1", "$HOSTNAME:web01$", "?"])(
    "'%s' in a name",
    (value) => {
      expect(alertOf({ ...hostAlert, HOSTALIAS: value }).object.alias).toBeUndefined();
    },
  );

  it("is an unresolved email, so that an alias of the name can stand in", () => {
    expect(fromMacros({ ...hostAlert, CONTACTEMAIL: "$CONTACTEMAIL$" }).recipients).toEqual([
      { name: "oncall" },
    ]);
  });

  it("is a custom variable that the object does not have", () => {
    const macros = { ...hostAlert, _HOSTRACK: "$_HOSTRACK$", _HOSTROW: "7" };
    expect(alertOf(macros).custom).toEqual({ _HOSTROW: "7" });
  });

  it("is no text with a dollar in it", () => {
    const macros = {
      ...hostAlert,
      HOSTALIAS: "costs $5",
      HOSTOUTPUT: "$HOSTNAME$",
      NOTIFICATIONCOMMENT: "$5",
    };
    const { object, output, comment } = alertOf(macros);
    expect([object.alias, output, comment]).toEqual(["costs $5", "$HOSTNAME$", "$5"]);
  });
});

describe("long output", () => {
  it.each([
    ["a line end", "a\\nb", "a\nb"],
    ["a backslash", "C:\\\\temp", "C:\\temp"],
    ["a backslash before an n", "C:\\\\new", "C:\\new"],
    ["a backslash at the end of a line", "a\\\\\\nb", "a\\\nb"],
    ["two backslashes", "a\\\\\\\\nb", "a\\\\nb"],
    ["a single backslash before another letter", "a\\tb", "a\\tb"],
    ["a single backslash at the end", "a\\", "a\\"],
  ])("%s is undone once", (_, written, meant) => {
    expect(alertOf({ ...hostAlert, LONGHOSTOUTPUT: written }).long_output).toBe(meant);
    expect(alertOf({ ...serviceAlert, LONGSERVICEOUTPUT: written }).long_output).toBe(meant);
  });

  it("only the long output is undone", () => {
    const macros = {
      ...hostAlert,
      HOSTOUTPUT: "C:\\new",
      NOTIFICATIONCOMMENT: "a\\nb",
      HOSTPERFDATA: "'C:\\\\'=1",
    };
    expect(alertOf(macros)).toMatchObject({ output: "C:\\new", comment: "a\\nb", perfdata: "'C:\\\\'=1" });
  });
});

describe("custom variables", () => {
  it("of host, service and contact keep their names", () => {
    const variables = { _HOSTRACK: "4", _SERVICERUNBOOK: "https://wiki.example.com/", _CONTACTTEAM: "ops" };
    expect(alertOf({ ...serviceAlert, ...variables }).custom).toEqual(variables);
    expect(alertOf(prefixed({ ...serviceAlert, ...variables })).custom).toEqual(variables);
  });

  it("are no other fields of the form", () => {
    expect(alertOf({ ...hostAlert, _OTHER: "x", HOSTNOTES: "x", __proto__x: "x" }).custom).toEqual({});
  });
});

describe("a recorded notification of Nagios", () => {
  const allowed = () => true;
  const circumstances = { site: "site", now: 0, aliases: new Map(), allowed };

  it.each(recordings)("%s is read as one alert for its contact", (file) => {
    const [, type, number, contact] = /\.(\w+)-(\d+)\.(\w+)\.env$/.exec(file) ?? [];
    const reading = readPost(fromMacros(recorded(file)), circumstances);
    expect(reading).toMatchObject({
      ok: true,
      value: [
        { contact: `${contact}@example.com`, contactName: contact, alert: { type: type?.toUpperCase() } },
      ],
    });
    expect(Number(number)).toBe(reading.ok && (reading.value[0]?.alert.notification.number ?? 0));
  });

  it("every recording has an event of its own", () => {
    const ids = recordings.map((file) => {
      const reading = readPost(fromMacros(recorded(file)), circumstances);
      return reading.ok ? reading.value[0]?.id : undefined;
    });
    expect(new Set(ids).size).toBe(recordings.length);
  });

  it("a CRITICAL service arrives whole", () => {
    expect(alertOf(recorded("01-service-critical.problem-1.oncall.env"))).toMatchObject({
      type: "PROBLEM",
      monitor: { start: 1_795_366_377 },
      object: {
        host: "web01",
        service: "HTTP",
        alias: "Web server 1",
        address: "192.0.2.10",
        display: "HTTP",
        groups: ["production"],
        urls: { notes: "https://wiki.example.com/services/HTTP" },
      },
      state: "CRITICAL",
      state_type: "HARD",
      prev_state: "CRITICAL",
      attempt: 2,
      max_attempts: 2,
      problem: { id: "1", last_id: undefined, epoch: 1_795_366_379 },
      notification: { id: "1", number: 1, escalated: false, volatile: false, recipients: ["dba", "oncall"] },
      output: "CRITICAL - Socket timeout after 10 seconds",
      time: 1_795_366_380,
    });
  });

  it("an UNREACHABLE host is no service", () => {
    const alert = alertOf(recorded("13-host-unreachable.problem-1.oncall.env"));
    expect([alert.object.service, alert.state]).toEqual([null, "UNREACHABLE"]);
    expect(alert.output).toBe("CRITICAL - Host Unreachable (192.0.2.10)");
  });

  it.each([
    [
      "32-nagios-macros.problem-1.oncall.env",
      "output",
      "CRITICAL - costs $5 or $$5, $HOSTNAME$ and $USER1$ of 100%",
    ],
    [
      "34-backslashes.problem-1.oncall.env",
      "output",
      'CRITICAL - C:\\Windows\\new\\table\\u0041 \\" \\\\ \\\\\\\\ ends with \\',
    ],
    [
      "37-latin1.problem-1.oncall.env",
      "output",
      "CRITICAL - Festplatte voll: Gr\ufffd\ufffde 99 %, caf\ufffd, \ufffd\ufffd",
    ],
    [
      "38-tabs-and-controls.problem-1.oncall.env",
      "output",
      "CRITICAL -\ttab\tand return, bell  , escape  [31mred [0m, backspace  , DEL  ",
    ],
    [
      "39-many-lines.problem-1.oncall.env",
      "long_output",
      'line 2: "disk" is full\n\tline 3, indented, 100% of $5\n\nline 5 after an empty one\nliteral \\n stays? é\nlast line',
    ],
    ["42-header-injection.problem-1.oncall.env", "output", "CRITICAL - x Bcc: someone@example.org  body"],
    ["45-only-perfdata.problem-1.oncall.env", "perfdata", "time=10s"],
    [
      "49-backslashes-in-lines.problem-1.oncall.env",
      "long_output",
      "C:\\temp\\new\ntwo \\\\ of them \\\nend",
    ],
    ["50-comment-custom.custom-0.oncall.env", "comment", "it's <fine>"],
    ["50-comment-custom.custom-0.oncall.env", "author", 'Zoë "Z" O\'Neil'],
  ])("%s: the environment's %s arrives as it was meant", (file, field, expected) => {
    expect(at(alertOf(recorded(file, environment)), field)).toBe(expected);
  });
});

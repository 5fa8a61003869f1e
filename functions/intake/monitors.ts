import type { Fault } from "../alert.ts";

/** Fields of a form post: macro names, and what one curl line of a command definition adds. */
export type Macros = Record<string, string>;

/** A macro that the monitor could not resolve stands as itself (docs/nagios.md §2); Checkmk writes ? for unknown. */
const unresolved = /^(\$[A-Za-z0-9_:]*\$?|\?)$/;
/** A macro's value; undefined if there is none, or if the monitor could not resolve it. */
export const resolved = (value: string | null | undefined): string | undefined =>
  !value || unresolved.test(value) ? undefined : value;

/** Nagios escapes LONG*OUTPUT: `\n` is a line end, `\\` a backslash; undone in one pass, left to right. */
const unescapeLong = (text: string): string =>
  text.replace(/\\(\\|n)/g, (_, code: string) => (code === "n" ? "\n" : "\\"));

/** Digits as a number; some monitors write seconds with fractions. */
const number = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,15}(\.\d{1,9})?$/.test(text) ? Number(text) : undefined;

const macroOf: Record<string, string> = {
  type: "NOTIFICATIONTYPE",
  "object.host": "HOSTNAME",
  "object.service": "SERVICEDESC",
  state: "HOSTSTATE or SERVICESTATE",
  "monitor.id": "MONITOR",
  "recipients.0.email": "CONTACTEMAIL",
};

/** Whether a macro says what an alert is about. */
export const isNaming = (macro: string): boolean =>
  /^(NOTIFICATIONTYPE|HOSTNAME|SERVICEDESC|(HOST|SERVICE)STATE|CONTACTEMAIL)$/.test(macro);

/** A fault of a form's alert, with the macro beside the field: whoever posts a form knows no other names. */
export const inMacros = (fault: Fault): Fault => {
  const macro = macroOf[fault.field];
  return macro ? { ...fault, field: `${fault.field} (${macro})` } : fault;
};

/**
 * The JSON alert (docs/nagios.md §5.1) of a notification given by Nagios's and Naemon's macro names, with or without
 * `NAGIOS_`. A SERVICEDESC makes it a service's. The result is still to be read by `readPost`.
 */
export const fromMacros = (given: Macros): Record<string, unknown> => {
  const macros = new Map<string, string>();
  for (const [key, value] of Object.entries(given)) {
    const name = key.replace(/^NAGIOS_/, "");
    // The command line's value wins: Nagios mixes numbers up in the environment (docs/nagios.md §2).
    if (name === key || !macros.has(name)) macros.set(name, value);
  }
  const field = (name: string): string | undefined => resolved(macros.get(name));
  const text = (name: string): string | undefined => macros.get(name) || undefined;
  const kind = field("SERVICEDESC") === undefined ? "HOST" : "SERVICE";
  const list = (name: string) => field(name)?.split(",") ?? [];
  const recipients = [{ name: field("CONTACTNAME"), email: field("CONTACTEMAIL") }];
  // Before Nagios 4.5.7 a variable that the object lacks stands as itself; a shell makes $ of it.
  const custom = [...macros].filter(
    ([name, value]) => /^_(HOST|SERVICE|CONTACT)/.test(name) && !["", "$", `$${name}$`].includes(value),
  );
  const flag = (name: string) =>
    field(name) === undefined ? undefined : /^(1|true)$/i.test(field(name) ?? "");
  return {
    v: 1,
    id: field("ID"),
    source: field("SOURCE") ?? "nagios",
    monitor: { id: field("MONITOR") ?? "nagios", start: number(field("PROCESSSTARTTIME")) },
    type: field("NOTIFICATIONTYPE"),
    object: {
      host: field("HOSTNAME"),
      service: field("SERVICEDESC") ?? null,
      alias: field("HOSTALIAS"),
      address: field("HOSTADDRESS"),
      display: field(`${kind}DISPLAYNAME`),
      groups: [...(kind === "SERVICE" ? list("SERVICEGROUPNAMES") : []), ...list("HOSTGROUPNAMES")],
      urls: {
        action: field(`${kind}ACTIONURL`),
        notes: field(`${kind}NOTESURL`),
        info: field(`${kind}INFOURL`),
      },
    },
    state: field(`${kind}STATE`),
    state_type: field(`${kind}STATETYPE`),
    prev_state: field(`LAST${kind}STATE`),
    attempt: number(field(`${kind}ATTEMPT`)),
    max_attempts: number(field(`MAX${kind}ATTEMPTS`)),
    problem: {
      id: field(`${kind}PROBLEMID`),
      last_id: field(`LAST${kind}PROBLEMID`),
      epoch: number(field(kind === "HOST" ? "LASTHOSTUP" : "LASTSERVICEOK")),
    },
    notification: {
      id: field(`${kind}NOTIFICATIONID`),
      number: number(field(`${kind}NOTIFICATIONNUMBER`) ?? field("NOTIFICATIONNUMBER")),
      escalated: flag("NOTIFICATIONISESCALATED"),
      volatile: kind === "SERVICE" ? flag("SERVICEISVOLATILE") : undefined,
      recipients: list("NOTIFICATIONRECIPIENTS"),
    },
    recipients,
    author: field("NOTIFICATIONAUTHOR"),
    comment: text("NOTIFICATIONCOMMENT"),
    output: text(`${kind}OUTPUT`),
    long_output: unescapeLong(macros.get(`LONG${kind}OUTPUT`) ?? ""),
    perfdata: text(`${kind}PERFDATA`),
    time: number(field("TIMET")),
    custom: Object.fromEntries(custom),
    degraded: flag("DEGRADED"),
  };
};

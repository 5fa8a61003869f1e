import * as v from "valibot";

/** A fault of one field, in words for the person who sent it. `field` is a path such as `object.host`. */
export type Fault = { field: string; expected: string };

/** A value that was read, or everything that keeps it from being read. */
export type Reading<T> = { ok: true; value: T } | { ok: false; faults: Fault[] };

export const hostStates = ["UP", "DOWN", "UNREACHABLE"] as const;
export const serviceStates = ["OK", "WARNING", "CRITICAL", "UNKNOWN"] as const;
type HostState = (typeof hostStates)[number];
type ServiceState = (typeof serviceStates)[number];
export type State = HostState | ServiceState;

export const notificationTypes = [
  "PROBLEM",
  "RECOVERY",
  "ACKNOWLEDGEMENT",
  "FLAPPINGSTART",
  "FLAPPINGSTOP",
  "FLAPPINGDISABLED",
  "DOWNTIMESTART",
  "DOWNTIMEEND",
  "DOWNTIMECANCELLED",
  "CUSTOM",
] as const;
export type NotificationType = (typeof notificationTypes)[number];

/** How bad a state is; WARNING and UNREACHABLE weigh the same (docs/nagios.md §5.1). */
export const severity: Record<State, 0 | 1 | 2 | 3> = {
  OK: 0,
  UP: 0,
  WARNING: 1,
  UNREACHABLE: 1,
  UNKNOWN: 2,
  DOWN: 2,
  CRITICAL: 3,
};

const utf8 = new TextEncoder();
/** Whether a text has at most so many bytes of UTF-8: what is short enough for any three of a unit is not encoded. */
const isWithin = (text: string, limit: number): boolean =>
  text.length * 3 <= limit || utf8.encode(text).length <= limit;

/** The longest beginning of `text` that fits in `limit` bytes of UTF-8 and ends between two characters. */
export const cut = (text: string, limit: number): string => {
  if (isWithin(text, limit)) return text;
  const room = new Uint8Array(limit);
  return text.slice(0, utf8.encodeInto(text, room).read);
};

/**
 * Text without Unicode's characters for the direction of writing, which can make one name look like another. Zero-width
 * and combining characters stay.
 */
export const withoutBidi = (text: string): string => text.replace(/\p{Bidi_Control}/gu, "");

/** Text for people: any line ends become LF, other control characters a space, half surrogate pairs U+FFFD. */
const clean = (text: string): string =>
  withoutBidi(text.toWellFormed())
    .replace(/\r\n/g, "\n")
    .replace(/[^\P{Cc}\n\t]/gu, " ");

/** As `clean`, and without line ends: CR, LF, NUL and the Unicode line separators cannot end a header. */
export const cleanLine = (text: string): string => clean(text).replace(/[\n\t\u2028\u2029]/g, " ");

const name = (limit: number) =>
  v.pipe(
    v.string(`text of 1-${limit} bytes`),
    v.nonEmpty(`text of 1-${limit} bytes`),
    v.transform(cleanLine),
    v.check((text) => text !== "" && isWithin(text, limit), `text of 1-${limit} bytes`),
  );
const line = (limit: number) =>
  v.pipe(
    v.string("text"),
    v.transform((text) => cut(cleanLine(text), limit)),
  );
const integerTo = (most: number) => v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(most));
/**
 * A field without which an alert can still be told apart. If its value cannot be read, the field is dropped: the
 * alert is worth more than all that is said about it.
 */
const droppable = <T extends v.GenericSchema>(schema: T) => v.fallback(v.optional(schema), undefined);

/** Some monitors tell fractions of seconds. */
const unixSeconds = v.pipe(
  v.number("a Unix time in seconds"),
  v.minValue(0, "a Unix time in seconds"),
  v.maxValue(253_402_300_799, "a Unix time in seconds"),
  v.transform(Math.floor),
);
/** Nagios writes an unknown time as 0. */
const knownSeconds = v.pipe(
  unixSeconds,
  v.transform((seconds) => seconds || undefined),
);
const oneOf = <const T extends readonly string[]>(values: T) =>
  v.picklist(values, `one of ${values.join(" ")}`);

/** A problem's or a notification's; a number is taken for its digits. */
const id = v.pipe(
  v.union([v.string(), v.pipe(v.number(), v.safeInteger(), v.transform(String))]),
  v.regex(/^[0-9A-Za-z-]{0,64}$/, "at most 64 digits, letters and -"),
);
/** Nagios writes "no problem id" as 0 or as nothing. */
const problemId = v.pipe(
  id,
  v.transform((id) => (id === "0" || id === "" ? undefined : id)),
);

/** One text of several: if it is none, it is left out alone. */
const text = v.fallback(v.string("text"), "");
const names = (limit: number, most: number) =>
  v.pipe(
    v.array(v.fallback(line(limit), ""), "a list of texts"),
    v.transform((given) => [...new Set(given.filter(Boolean))].slice(0, most)),
  );

const urls = v.pipe(
  v.record(v.string(), text, "an object of texts"),
  v.transform((given) =>
    Object.fromEntries(
      Object.entries(given)
        .filter(([kind, url]) => ["action", "notes", "info"].includes(kind) && url.length <= 2048)
        .filter(([, url]) => /^https?:/i.test(url) && URL.canParse(url))
        .map(([kind, url]): [string, string] => [kind, new URL(url).href])
        .filter(([, href]) => href.length <= 2048),
    ),
  ),
);

const custom = v.pipe(
  v.record(v.string(), text, "an object of texts"),
  v.transform((given) =>
    Object.fromEntries(
      Object.entries(given)
        .map(([key, value]): [string, string] => [key, cut(clean(value), 1024)])
        .filter(([key, value]) => /^[A-Za-z0-9_]{1,64}$/.test(key) && key !== "__proto__" && value)
        .slice(0, 64),
    ),
  ),
);

/**
 * An alert's fields as JSON names them (docs/nagios.md §5.1, version 1), without recipients; unknown fields are dropped.
 * Only what says which object of which monitor is how, and when, must be readable.
 */
export const alertEntries = {
  v: v.literal(1, "1"),
  source: v.fallback(
    v.optional(oneOf(["nagios", "naemon", "icinga2", "checkmk", "other"]), "other"),
    "other",
  ),
  monitor: v.object(
    {
      id: v.pipe(
        v.string("text of letters, digits, . _ -"),
        v.regex(/^[A-Za-z0-9._-]{1,64}$/, "at most 64 of letters, digits, . _ -"),
      ),
      start: droppable(knownSeconds),
    },
    "an object with id",
  ),
  type: v.pipe(
    v.picklist([...notificationTypes, "FLAPPINGEND"], `one of ${notificationTypes.join(" ")}`),
    v.transform((type): NotificationType => (type === "FLAPPINGEND" ? "FLAPPINGSTOP" : type)),
  ),
  object: v.object(
    {
      host: name(255),
      service: v.optional(v.nullable(name(255)), null),
      alias: droppable(line(255)),
      address: droppable(line(255)),
      display: droppable(line(255)),
      groups: droppable(names(64, 64)),
      urls: droppable(urls),
    },
    "an object with host",
  ),
  state: oneOf([...hostStates, ...serviceStates]),
  state_type: v.fallback(v.optional(oneOf(["HARD", "SOFT"]), "HARD"), "HARD"),
  prev_state: droppable(oneOf([...hostStates, ...serviceStates])),
  attempt: droppable(integerTo(1000)),
  max_attempts: droppable(integerTo(1000)),
  problem: v.fallback(
    v.optional(
      v.object({ id: droppable(problemId), last_id: droppable(problemId), epoch: droppable(knownSeconds) }),
      {},
    ),
    {},
  ),
  notification: v.fallback(
    v.optional(
      v.object({
        id: droppable(id),
        number: droppable(integerTo(1_000_000)),
        escalated: droppable(v.boolean()),
        volatile: droppable(v.boolean()),
        recipients: droppable(names(255, 200)),
      }),
      {},
    ),
    {},
  ),
  author: droppable(line(255)),
  comment: droppable(v.string()),
  output: droppable(v.string()),
  long_output: droppable(v.string()),
  perfdata: droppable(v.string()),
  truncated: droppable(v.boolean()),
  time: unixSeconds,
  custom: droppable(custom),
  degraded: droppable(v.boolean()),
  dup_hint: droppable(v.boolean()),
};

type Fields = v.InferOutput<v.ObjectSchema<typeof alertEntries, undefined>>;
type AlertOf<Service, State> = Omit<Fields, "object" | "state" | "prev_state"> & {
  object: Omit<Fields["object"], "service"> & { service: Service };
  state: State;
  prev_state?: State;
};

/** One notification of one object; its state always fits its kind of object. Lengths are bounded (docs/nagios.md §5.1). */
export type Alert = AlertOf<null, HostState> | AlertOf<string, ServiceState>;

/** Reads `input` by `schema`; every fault is told at once, by field and expectation, never by value. */
export const read = <T extends v.GenericSchema>(schema: T, input: unknown): Reading<v.InferOutput<T>> => {
  const result = v.safeParse(schema, input);
  if (result.success) return { ok: true, value: result.output };
  const faults = result.issues.map((issue) => ({
    field: v.getDotPath(issue) ?? "alert",
    expected: issue.received === "undefined" ? "a value: this field is required" : issue.message,
  }));
  return { ok: false, faults };
};

/**
 * Reads one alert from what JSON.parse gave. Faults are an identity, a type or a state that cannot be read; any other
 * field that cannot be read is dropped. Names for people are cut, outputs and comments cut and marked `truncated`.
 * Reading what was read before changes nothing.
 */
export const readAlert = (input: unknown): Reading<Alert> => {
  const reading = read(v.object(alertEntries, "an object"), input);
  if (!reading.ok) return reading;
  const fields = reading.value;
  const faults: Fault[] = [];
  const kind = fields.object.service === null ? "host" : "service";
  const states: readonly string[] = kind === "host" ? hostStates : serviceStates;
  if (!states.includes(fields.state))
    faults.push({ field: "state", expected: `of a ${kind}, one of ${states.join(" ")}` });
  else if (fields.type === "PROBLEM" && severity[fields.state] === 0)
    faults.push({ field: "state", expected: "of a PROBLEM, not OK or UP" });
  else if (fields.type === "RECOVERY" && severity[fields.state] !== 0)
    faults.push({ field: "state", expected: "of a RECOVERY, OK or UP" });
  if (faults.length > 0) return { ok: false, faults };
  // Nagios says PENDING before the first check.
  const prev_state = states.includes(fields.prev_state ?? "") ? fields.prev_state : undefined;

  // Nagios's OUTPUT is one line, Icinga's has them all: the first line is the output everywhere.
  const [first = "", ...rest] = clean(fields.output ?? "").split("\n");
  const texts = {
    output: first,
    long_output: [...rest, ...(fields.long_output ? [clean(fields.long_output)] : [])].join("\n"),
    perfdata: clean(fields.perfdata ?? ""),
    comment: clean(fields.comment ?? ""),
  };
  const limits = { output: 4096, long_output: 65_536, perfdata: 16_384, comment: 4096 };
  let truncated = fields.truncated ?? false;
  for (const key of ["output", "long_output", "perfdata", "comment"] as const) {
    const fitting = cut(texts[key], limits[key]);
    truncated ||= fitting !== texts[key];
    texts[key] = fitting;
  }
  return { ok: true, value: { ...fields, prev_state, ...texts, truncated } as Alert };
};

/** The object as people read it: `host/service`, a host alone as `host`. */
export const objectName = ({ object }: { object: Pick<Alert["object"], "host" | "service"> }): string =>
  object.service === null ? object.host : `${object.host}/${object.service}`;

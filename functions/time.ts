const unitSeconds: Record<string, number> = { s: 1, min: 60, h: 3600, d: 86_400 };

/** Seconds of `90s`, `10min`, `48h` or `7d`; undefined for anything else or nothing at all. */
export const durationSeconds = (text: string): number | undefined => {
  const match = /^([1-9]\d{0,5})(s|min|h|d)$/.exec(text);
  return match ? Number(match[1]) * (unitSeconds[match[2] ?? ""] ?? 0) : undefined;
};

/** At most so many in any such time. */
export type Rate = { most: number; milliseconds: number };

/** Reads `30/min`: from 1 to `upTo` in each s, min, h or d; undefined for anything else. */
export const readRate = (text: string, upTo: number): Rate | undefined => {
  const [, most, unit = ""] = /^([1-9]\d{0,6})\/(s|min|h|d)$/.exec(text) ?? [];
  if (most === undefined || Number(most) > upTo) return undefined;
  return { most: Number(most), milliseconds: (durationSeconds(`1${unit}`) ?? 0) * 1000 };
};

/** Whether this is a time zone's name in the IANA database, such as Europe/Berlin. */
export const isTimeZone = (zone: string): boolean => {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: zone }));
  } catch {
    return false;
  }
};

const nameIn = (locale: string, timeZone: string, timeZoneName: "longOffset" | "short") => {
  const format = new Intl.DateTimeFormat(locale, { timeZone, timeZoneName });
  return (at: number) => format.formatToParts(at).find(({ type }) => type === "timeZoneName")?.value ?? "";
};

const readersFor = (timeZone: string) => ({
  time: new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone }),
  offset: nameIn("en", timeZone, "longOffset"),
  // Each locale knows the short names of its own zones alone.
  names: ["en-US", "en-GB", "en-AU", "en-IN"].map((locale) => nameIn(locale, timeZone, "short")),
});
const zones = new Map<string, ReturnType<typeof readersFor>>();
/** Made once: it takes longer to make them than to use them. */
const readersOf = (zone: string) => {
  const readers = zones.get(zone) ?? readersFor(zone);
  zones.set(zone, readers);
  return readers;
};

/** How far the clocks of a zone are ahead of UTC at a time, in milliseconds. */
const offsetAt = (at: number, zone: string): number => {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)/.exec(readersOf(zone).offset(at)) ?? [];
  const ahead = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60_000;
  return sign === "-" ? -ahead : ahead;
};

/** `2026-11-30 17:06:05 UTC`, or `2026-11-30 18:06:05 CET (+0100)`. */
export const timeIn = (at: number, zone: string): string => {
  const { time, offset, names } = readersOf(zone);
  if (zone === "UTC") return `${time.format(at)} UTC`;
  const name = names.map((read) => read(at)).find((one) => !/^(GMT|UTC)[+-]/.test(one));
  const ahead = offset(at).replace(/^GMT$/, "+0000").replace(/GMT|:/g, "");
  return `${time.format(at)} ${name ? `${name} ` : ""}(${ahead})`;
};

/** The day of a time in a zone, as its number since 1970, and when a minute of that day is. */
export const minuteOfDay = (now: number, minute: number, zone: string): { dayNumber: number; at: number } => {
  const dayNumber = Math.floor((now + offsetAt(now, zone)) / 86_400_000);
  const local = dayNumber * 86_400_000 + minute * 60_000;
  return { dayNumber, at: local - offsetAt(local - offsetAt(local, zone), zone) };
};

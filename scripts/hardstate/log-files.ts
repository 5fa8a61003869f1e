import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { NotFoundOut } from "./command.ts";
import { type Stamped, unixStamp } from "./nagios-log.ts";

const time = "(?<time>\\d\\d:\\d\\d:\\d\\d)";
const stampForms = [
  // Nagios's own, made readable by a person: [Tue Jan 12 00:05:02 2016]
  new RegExp(`^\\[[A-Z][a-z]{2} (?<day>[A-Z][a-z]{2} [ \\d]?\\d) ${time} (?<year>\\d{4})\\] `),
  // Centreon: [2025-11-29T10:00:00.123+00:00] [notifications] [info] [812]
  new RegExp(
    `^\\[(?<date>\\d{4}-\\d\\d-\\d\\d)[T ]${time}(?:[.,]\\d{1,9})? ?(?<zone>Z|[+-]\\d\\d:?\\d\\d)?\\] `,
  ),
  // syslog by RFC 5424: 2025-11-29T10:00:00.123456+00:00 mon1 nagios[812]:
  new RegExp(
    `^(?<date>\\d{4}-\\d\\d-\\d\\d)T${time}(?:\\.\\d{1,9})?(?<zone>Z|[+-]\\d\\d:\\d\\d) \\S{1,255} (?:[^\\s:]{1,100}: )?`,
  ),
  // syslog by RFC 3164, without a year: Nov 29 10:00:00 mon1 nagios[812]:
  new RegExp(`^(?<day>[A-Z][a-z]{2} [ \\d]\\d) ${time} \\S{1,255} (?:[^\\s:]{1,100}: )?`),
];

/** The text of Centreon between the time and the entry. */
const columns = /^(?:\[[^\]\s]{1,40}\] ){0,4}/;

const hourMilliseconds = 3_600_000;
const dayMilliseconds = 24 * hourMilliseconds;

/**
 * Reads the time of the lines of one log, in order. A stamp without a year is of the year before `written`, Unix
 * milliseconds, or follows the line before it. A stamp without a time zone is in that of this machine, and `zoneless`
 * is called.
 */
export const stampReader = (written: number, zoneless: () => void) => {
  // A sender's clock may be ahead of that of the file.
  let earliest = written - 365 * dayMilliseconds + hourMilliseconds;
  const timeOf = ({ day, year, date, time, zone }: Record<string, string | undefined>): number => {
    if (zone === undefined) zoneless();
    if (date !== undefined)
      return Date.parse(`${date}T${time}${zone?.replace(/^(.\d\d)(\d\d)$/, "$1:$2") ?? ""}`);
    const first = new Date(earliest).getFullYear();
    const [at = Number.NaN, later = at] = (year ? [year] : [first, first + 1]).map((one) =>
      Date.parse(`${day} ${one} ${time}`),
    );
    return at < earliest ? later : at;
  };
  return (line: string): Stamped | undefined => {
    const unix = unixStamp(line);
    if (unix) return { at: unix.at, entry: unix.entry.replace(columns, "") };
    const found = stampForms.map((form) => form.exec(line)).find(Boolean);
    if (!found) return undefined;
    const entry = line.slice(found[0].length);
    // The journal puts its own stamp before that of Nagios.
    const inner = unixStamp(entry);
    if (inner) return inner;
    const at = timeOf(found.groups ?? {});
    if (!(at >= 0)) return undefined;
    earliest = at - dayMilliseconds;
    return { at: Math.floor(at / 1000), entry: entry.replace(columns, "") };
  };
};

const longestLine = 1024 * 1024;

/** The first bytes of compressed files, in hex, and the program that unpacks them. */
const packed: readonly (readonly [begin: string, program: string])[] = [
  ["fd377a585a", "xz -d"],
  ["425a68", "bzip2 -d"],
  ["28b52ffd", "zstd -d"],
  ["504b0304", "unzip"],
];

const beginOf = async (path: string): Promise<string> => {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
    return buffer.toString("hex", 0, bytesRead);
  } finally {
    await file.close();
  }
};

/**
 * The lines of a file, unpacked if gzip packed it. They end at LF alone: an output may hold a CR, or a Unicode line
 * separator. A line ends at 1 MiB; the rest is left out. `read` is told how many bytes of the file were read.
 */
export async function* linesOf(path: string, read: (bytes: number) => void): AsyncGenerator<string> {
  try {
    const begin = await beginOf(path);
    const program = packed.find(([bytes]) => begin.startsWith(bytes))?.[1];
    if (program) throw new NotFoundOut(`${path} is compressed. Unpack it first, with ${program}.`);
    const raw = createReadStream(path);
    let known = 0;
    const bytes = begin.startsWith("1f8b") ? pipeline(raw, createGunzip(), () => undefined) : raw;
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of bytes) {
      read(raw.bytesRead - known);
      known = raw.bytesRead;
      const lines = (rest + decoder.decode(chunk as Buffer, { stream: true })).split("\n");
      rest = (lines.pop() ?? "").slice(0, longestLine);
      yield* lines;
    }
    rest += decoder.decode();
    if (rest !== "") yield rest;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith("Z_")) throw new NotFoundOut(`${path} is not a whole gzip file (${code}).`);
    if (code === undefined) throw error;
    throw new NotFoundOut(`${path} cannot be read (${code}).`);
  }
}

import type { Context } from "hono";
import { objectName } from "../alert.ts";
import { dayOf, noteRejected, noteWrongTokens, type Rejected } from "../ledger/rejection.ts";
import { failing } from "../report/event.ts";
import type { IntakeParts } from "./app.ts";

/** The name that a client gives itself, where its token or its body does not say it. */
export const monitorOf = (c: Context): string | undefined =>
  /^[A-Za-z0-9._-]{1,64}$/.exec(c.req.header("X-Hardstate-Monitor") ?? "")?.[0];

const mostRecipients = 20;

/** The readable parts of a posted alert that cannot be read as a whole: once for each recipient, at least once. */
export const readableParts = (input: unknown): Omit<Rejected, "faults">[] => {
  const at = (value: unknown, ...path: string[]): unknown =>
    path.reduce<unknown>(
      (part, name) =>
        typeof part === "object" && part !== null
          ? Object.getOwnPropertyDescriptor(part, name)?.value
          : undefined,
      value,
    );
  const text = (value: unknown, ...path: string[]): string | undefined => {
    const found = at(value, ...path);
    return typeof found === "string" && found !== "" ? found : undefined;
  };
  const [host, service = null] = [text(input, "object", "host"), text(input, "object", "service")];
  const parts = {
    object: host && objectName({ object: { host, service } }),
    monitor: text(input, "monitor", "id"),
  };
  const given = at(input, "recipients");
  const contacts = (Array.isArray(given) ? given.slice(0, mostRecipients) : [])
    .map((recipient) => text(recipient, "email") ?? text(recipient, "name"))
    .filter((contact) => contact !== undefined);
  return contacts.length > 0 ? contacts.map((contact) => ({ ...parts, contact })) : [parts];
};

/** The answer is true without a note: no client waits longer than this for it. */
const noteMilliseconds = 2000;
const leastMilliseconds = 10_000;

/**
 * Notes in the ledger what intake turns away. A note that cannot be written in two seconds is reported, and changes no
 * answer. Anybody can send a wrong token, so a process counts these in memory, and writes them to one record a day at
 * most once in ten seconds.
 */
export const turnAway = ({ ledger, clock, report }: IntakeParts) => {
  /** Whether it was written. */
  const note = async (work: Promise<void>): Promise<boolean> => {
    const { promise: tooLate, reject } = Promise.withResolvers<never>();
    AbortSignal.timeout(noteMilliseconds).addEventListener("abort", () =>
      reject(new Error("no answer of the ledger in time")),
    );
    try {
      await Promise.race([work, tooLate]);
      return true;
    } catch (error) {
      failing(report)("noting what was rejected", error);
      return false;
    }
  };
  const begun = new Map<string, { day: number; ids: Set<string> }>();
  /** The ids of rejections that this process has begun today. */
  const begunToday = (site: string): Set<string> => {
    const day = dayOf(clock());
    const known = begun.get(site);
    if (known?.day === day) return known.ids;
    const ids = new Set<string>();
    begun.set(site, { day, ids });
    return ids;
  };
  let [unwritten, writtenAt]: [number, number] = [0, Number.NEGATIVE_INFINITY];
  let last: string | undefined;
  const writeWrongTokens = async () => {
    const now = clock();
    // A clock that was set back must not stop the counting.
    if (unwritten === 0 || Math.abs(now - writtenAt) < leastMilliseconds) return;
    const count = unwritten;
    [unwritten, writtenAt] = [0, now];
    if (!(await note(noteWrongTokens(ledger, count, last, now)))) unwritten += count;
  };
  return {
    rejected: (site: string, rejected: readonly Rejected[]): Promise<unknown> =>
      note(noteRejected(ledger, site, rejected, clock(), begunToday(site))),
    /** Counts a request without a token; `monitor` is the name that it gave itself. */
    wrongToken: (monitor: string | undefined): Promise<void> => {
      unwritten += 1;
      last = monitor;
      return writeWrongTokens();
    },
    writeWrongTokens,
  };
};

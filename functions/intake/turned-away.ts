import type { Context } from "hono";
import * as v from "valibot";
import { objectName } from "../alert.ts";
import { dayOf, noteRejected, noteWrongTokens, type Rejected } from "../ledger/rejection.ts";
import { failing } from "../report/event.ts";
import type { IntakeParts, TurnedAway } from "./doors.ts";

/** The name that a client gives itself, where its token or its body does not say it. */
export const monitorOf = (c: Context): string | undefined =>
  /^[A-Za-z0-9._-]{1,64}$/.exec(c.req.header("X-Hardstate-Monitor") ?? "")?.[0];

const mostRecipients = 20;

const text = v.fallback(v.optional(v.pipe(v.string(), v.nonEmpty())), undefined);
const contact = v.fallback(v.object({ email: text, name: text }), {});
const firstFew = v.transform((all: unknown[]) => all.slice(0, mostRecipients));
const readable = v.fallback(
  v.object({
    object: v.fallback(v.object({ host: text, service: text }), {}),
    monitor: v.fallback(v.object({ id: text }), {}),
    recipients: v.fallback(v.pipe(v.array(v.unknown()), firstFew, v.array(contact)), []),
  }),
  { object: {}, monitor: {}, recipients: [] },
);

/** The readable parts of a posted alert that cannot be read as a whole: once for each recipient, at least once. */
export const readableParts = (input: unknown): Omit<Rejected, "faults">[] => {
  const { object, monitor, recipients } = v.parse(readable, input);
  const { host, service = null } = object;
  const parts = { object: host && objectName({ object: { host, service } }), monitor: monitor.id };
  const contacts = recipients.flatMap(({ email, name }) => email ?? name ?? []);
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
export const turnAway = ({ ledger, clock, report }: IntakeParts): TurnedAway => {
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
    rejected: (site, rejected) => note(noteRejected(ledger, site, rejected, clock(), begunToday(site))),
    wrongToken: (monitor) => {
      unwritten += 1;
      last = monitor;
      return writeWrongTokens();
    },
    writeWrongTokens,
  };
};
